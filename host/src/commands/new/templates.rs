//! The templates of `host/templates/connector`, and the WIT of this binary.

use std::fmt::Write as _;

use crate::cli::Language;

/// One file of a new connector.
pub struct File {
    /// Below its folder.
    pub path: String,
    /// Whole.
    pub text: String,
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

/// The interfaces, as `tidegate wit` writes them.
pub const WIT: &[(&str, &str)] = files! { "../wit":
    "world.wit", "job.wit", "probe.wit", "deps/README.md", "deps/cli.wit", "deps/clocks.wit", "deps/filesystem.wit",
    "deps/http.wit", "deps/io.wit", "deps/random.wit", "deps/sockets.wit",
};

/// Files of all languages.
pub const COMMON: &[(&str, &str)] =
    files! { "templates/connector/common": "README.md", "job.env", "test.sh", "gitignore" };

/// The template of a language.
pub fn of(language: Language) -> Template {
    match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
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
    tools: include_str!("../../../templates/connector/python/TOOLS.md"),
    files: files! { "templates/connector/python": "connector.py", "source.py", "build.sh" },
};
