//! The templates of `host/templates/connector`, and the WIT of this binary.

use std::fmt::Write as _;

use crate::cli::Language;

/// One file of a new connector.
pub struct File {
    /// Below its folder.
    pub path: String,
    /// Whole.
    pub bytes: Vec<u8>,
}

/// What is different from language to language.
pub struct Template {
    /// As people write it.
    pub language: &'static str,
    /// What the author edits.
    main: &'static str,
    /// Rows of README's table: a file, and what it has.
    listed: &'static [(&'static str, &'static str)],
    /// What has to be there to build it, and what `build.sh` installs.
    tools: &'static str,
    /// What connects a C library for WASI 0.1 to WASI 0.2.
    pub needs_adapter: bool,
    /// Its files: a path, and the text.
    pub files: &'static [(&'static str, &'static str)],
}

impl Template {
    /// A file of all languages, for this one.
    pub fn filled(&self, text: &str) -> String {
        let mut rows = String::new();
        for (file, what) in self.listed {
            let _ = writeln!(rows, "| `{file}` | {what} |");
        }
        text.replace("{{language}}", self.language)
            .replace("{{main}}", self.main)
            .replace("{{files}}", &rows)
            .replace("{{tools}}\n", self.tools)
    }
}

macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../", $folder, "/", $path)))),*]
    };
}

/// The file of the adapter, as the build scripts name it.
pub const ADAPTER: &str = "wasi_snapshot_preview1.reactor.wasm";

/// Files of all languages.
pub const COMMON: &[(&str, &str)] =
    files! { "templates/connector/common": "README.md", "job.env", "test.sh", "gitignore" };

/// The template of a language.
pub fn of(language: Language) -> Template {
    match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::Js => JS,
        Language::Ts => TS,
        Language::Go => GO,
        Language::C => C,
    }
}

const RUST: Template = Template {
    language: "Rust",
    main: "src/lib.rs",
    listed: &[
        ("src/lib.rs", "the connector: yours"),
        ("src/source.rs", "requests, with retries and redirects"),
        ("src/host.rs", "settings, log, `/out/records.ndjson`"),
        (
            "componentize/",
            "a program that makes a component of the compiled module",
        ),
    ],
    needs_adapter: false,
    tools: include_str!("../../../templates/connector/rust/TOOLS.md"),
    files: files! { "templates/connector/rust":
        "Cargo.toml", "Cargo.lock", "src/lib.rs", "src/source.rs", "src/host.rs", "componentize/Cargo.toml",
        "componentize/src/main.rs", "build.sh",
    },
};

const PYTHON: Template = Template {
    language: "Python",
    main: "connector.py",
    listed: &[
        ("connector.py", "the connector: yours"),
        ("source.py", "requests, with retries and redirects"),
    ],
    needs_adapter: false,
    tools: include_str!("../../../templates/connector/python/TOOLS.md"),
    files: files! { "templates/connector/python": "connector.py", "source.py", "build.sh" },
};

const JS: Template = Template {
    language: "JavaScript",
    main: "connector.js",
    listed: &[
        ("connector.js", "the connector: yours"),
        ("source.js", "requests, with retries and redirects"),
        ("host.js", "settings, log, `/out/records.ndjson`"),
        ("build.mjs", "bundles it, and makes a component of it"),
    ],
    needs_adapter: false,
    tools: include_str!("../../../templates/connector/js/TOOLS.md"),
    files: files! { "templates/connector":
        "js/connector.js", "js/source.js", "js/host.js", "js/build.sh", "node/build.mjs", "node/package.json",
        "node/package-lock.json",
    },
};

const TS: Template = Template {
    language: "TypeScript",
    main: "connector.ts",
    listed: &[
        ("connector.ts", "the connector: yours"),
        ("source.ts", "requests, with retries and redirects"),
        ("host.ts", "settings, log, `/out/records.ndjson`"),
        ("job.ts", "the types of `wit/job.wit`"),
        ("wasi.d.ts", "the types of what it uses of WASI"),
        ("build.mjs", "bundles it, and makes a component of it"),
    ],
    needs_adapter: false,
    tools: include_str!("../../../templates/connector/ts/TOOLS.md"),
    files: files! { "templates/connector":
        "ts/connector.ts", "ts/source.ts", "ts/host.ts", "ts/job.ts", "ts/wasi.d.ts", "ts/tsconfig.json", "ts/build.sh",
        "node/build.mjs", "node/package.json", "node/package-lock.json",
    },
};

const GO: Template = Template {
    language: "Go",
    main: "connector.go",
    listed: &[
        ("connector.go", "the connector: yours"),
        ("source.go", "requests, with retries and redirects"),
        ("gen/", "generated from `wit/`"),
    ],
    needs_adapter: true,
    tools: include_str!("../../../templates/connector/go/TOOLS.md"),
    files: files! { "templates/connector/go":
        "go.mod", "connector.go", "source.go", "build.sh",
        "gen/tidegate_sync_job/empty.s",
        "gen/tidegate_sync_job/wit_bindings.go",
        "gen/wasi_clocks_monotonic_clock/empty.s",
        "gen/wasi_clocks_monotonic_clock/wit_bindings.go",
        "gen/wasi_http_outgoing_handler/empty.s",
        "gen/wasi_http_outgoing_handler/wit_bindings.go",
        "gen/wasi_http_types/empty.s",
        "gen/wasi_http_types/wit_bindings.go",
        "gen/wasi_io_error/empty.s",
        "gen/wasi_io_error/wit_bindings.go",
        "gen/wasi_io_poll/empty.s",
        "gen/wasi_io_poll/wit_bindings.go",
        "gen/wasi_io_streams/empty.s",
        "gen/wasi_io_streams/wit_bindings.go",
        "gen/wit/LICENSE",
        "gen/wit/runtime/empty.s",
        "gen/wit/runtime/runtime.go",
        "gen/wit/types/option.go",
        "gen/wit/types/result.go",
        "gen/wit/types/tuple.go",
        "gen/wit/types/unit.go",
        "gen/wit_exports.go",
    },
};

const C: Template = Template {
    language: "C",
    main: "connector.c",
    listed: &[
        ("connector.c", "the connector: yours"),
        ("source.c", "requests, with retries and redirects"),
        ("json.c", "JSON, read without changing it"),
        ("gen/", "generated from `wit/`"),
    ],
    needs_adapter: true,
    tools: include_str!("../../../templates/connector/c/TOOLS.md"),
    files: files! { "templates/connector/c":
        "connector.c", "source.c", "source.h", "json.c", "json.h", "build.sh", "gen/wit.c", "gen/wit.h",
    },
};
