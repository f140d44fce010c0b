// Builds a crate for wasm32-unknown-unknown and makes a component of it. Used by `build.rs` for the built-in
// component and by the tests for the hostile ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const TARGET: &str = "wasm32-unknown-unknown";

/// Variables of the outer cargo that would change or break the nested one: flags and wrappers meant for the host, and
/// the job server of a cargo that waits for us.
const OUTER_ONLY: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "RUSTDOCFLAGS",
    "CARGO_LLVM_COV",
];

/// Where the wasm standard library comes from.
enum Std {
    /// The toolchain in use has it.
    Installed { cargo: PathBuf, rustc: PathBuf },
    /// Debian's compiler and its source, which match each other: the standard library is built too.
    DebianSource,
}

/// Builds `package` of the workspace at `workspace` in a target folder of its own and returns the component's bytes.
pub fn component(workspace: &Path, package: &str, target_dir: &Path) -> Result<Vec<u8>> {
    let Some(std) = find_std() else {
        bail!("no standard library for {TARGET}; run `sh guest/setup.sh` and build again");
    };
    let mut cargo = match &std {
        Std::Installed { cargo, rustc } => {
            let mut command = Command::new(cargo);
            command.arg("build").env("RUSTC", rustc);
            command
        }
        Std::DebianSource => {
            let mut command = Command::new("/usr/bin/cargo");
            command
                .args(["build", "-Zbuild-std=std,panic_abort"])
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env_remove("RUSTUP_TOOLCHAIN");
            if let Some(linker) = debian_linker() {
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
            command
        }
    };
    for name in OUTER_ONLY {
        cargo.env_remove(name);
    }
    // Part of WebAssembly 2.0, which every runtime of components has: pages are searched sixteen bytes at a time. Less is put
    // in line than by default, which is 120 KB less at the same speed.
    let flags = format!(
        "-C target-feature=+simd128 -C llvm-args=-inline-threshold=40{}",
        short_paths()
    );
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
    cargo
        .current_dir(workspace)
        .args([
            "--locked",
            "--profile",
            "guest",
            "--target",
            TARGET,
            "--package",
            package,
        ])
        .arg("--target-dir")
        .arg(target_dir);
    let output = cargo.output().context("run cargo for the component")?;
    if !output.status.success() {
        bail!(
            "build the component `{package}`:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    let file = format!("{}.wasm", package.replace('-', "_"));
    let module = target_dir.join(TARGET).join("guest").join(file);
    let module = std::fs::read(&module).with_context(|| format!("read `{}`", module.display()))?;
    wit_component::ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()
        .context("make a component of the module")
}

/// Flags that leave the folders of this machine out of the component, which names sources where it panics: 15 KB less, and the
/// same bytes wherever it is built.
fn short_paths() -> String {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let sources = cargo_home.or(home).map(|home| home.join("registry/src"));
    let registries = sources.and_then(|sources| std::fs::read_dir(sources).ok());
    let mut flags = String::new();
    for registry in registries.into_iter().flatten().flatten() {
        let path = registry.path().display().to_string();
        // The flags are one text, with a blank between two.
        if !path.contains(char::is_whitespace) {
            flags.push_str(" --remap-path-prefix=");
            flags.push_str(&path);
            flags.push('=');
        }
    }
    flags
}

fn find_std() -> Option<Std> {
    let env =
        |name: &str, default: &str| PathBuf::from(std::env::var_os(name).unwrap_or(default.into()));
    let (cargo, rustc) = (env("CARGO", "cargo"), env("RUSTC", "rustc"));
    let skip_installed = std::env::var_os("TIDEGATE_WASM_STD").is_some_and(|way| way == "debian");
    if !skip_installed && has_std(&rustc) {
        return Some(Std::Installed { cargo, rustc });
    }
    let source = Path::new("/usr/bin/rustc");
    let source = print(source, &["--print", "sysroot"])?;
    let source = Path::new(&source).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    (source.exists() && Path::new("/usr/bin/cargo").exists() && debian_linker().is_some())
        .then_some(Std::DebianSource)
}

/// Whether this compiler finds a standard library for the target.
fn has_std(rustc: &Path) -> bool {
    let Some(folder) = print(rustc, &["--print", "target-libdir", "--target", TARGET]) else {
        return false;
    };
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

/// `rust-lld`, under the name Debian gives it or in rustup's toolchains; the first that exists behind its links.
fn debian_linker() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/bin/rust-lld");
    if debian.exists() {
        return Some(debian);
    }
    let sysroot = print(Path::new("rustc"), &["--print", "sysroot"])?;
    let hosts = std::fs::read_dir(Path::new(&sysroot).join("lib/rustlib")).ok()?;
    hosts
        .flatten()
        .map(|host| host.path().join("bin/rust-lld"))
        .find(|lld| lld.exists())
}

fn print(rustc: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(rustc).args(args).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
