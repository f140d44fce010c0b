//! Build scripts of connectors, run as their authors run them. Their tools come from the registries once, and stay.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard};

use super::guests;

/// What the cargo that runs the tests says to those that it starts.
const OUTER_ONLY: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_MAKEFLAGS",
    "RUSTC_WRAPPER",
];

/// Where the tools of the scripts are, from run to run.
pub fn tools() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates");
    std::fs::create_dir_all(&tools).expect("a folder for tools");
    tools
}

/// Runs a script in its folder to its end, with this `tidegate`, the tools, and the cache of compiled components.
pub fn run(folder: &Path, script: &str) -> Output {
    let output = command(folder).arg(script).output();
    output.expect("start sh")
}

/// `sh` in this folder, in the environment of [`run`].
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    for outer in OUTER_ONLY {
        command.env_remove(outer);
    }
    command
        .current_dir(folder)
        .env("TIDEGATE", env!("CARGO_BIN_EXE_tidegate"))
        .env("TIDEGATE_CACHE_DIR", guests::cache())
        .env("CONNECTOR_TOOLS", tools())
        .env("CARGO_TARGET_DIR", tools().join("rust"));
    command
}

/// Held while a script may install the tools of Python: two that do it at once get in each other's way.
pub fn python() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    // Whoever failed with it left tools that the next script looks at itself.
    ONE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Builds an example of `guest/examples` by its own `build.sh`, in a copy of its folder, into this folder.
pub fn built_example(name: &str, into: &Path) -> PathBuf {
    changed_example(name, into, |_| ())
}

/// The same, after a change of the copy.
pub fn changed_example(name: &str, into: &Path, change: impl FnOnce(&Path)) -> PathBuf {
    let example = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../guest/examples")
        .join(name);
    let copy = tempfile::tempdir_in(tools()).expect("a folder for the copy");
    for file in std::fs::read_dir(example).expect("the example").flatten() {
        let bytes = std::fs::read(file.path()).expect("a file of the example");
        std::fs::write(copy.path().join(file.file_name()), bytes).expect("copy it");
    }
    change(copy.path());
    let ended = run(copy.path(), "build.sh");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.starts_with(&format!("built {name}.wasm (")),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let file = into.join(format!("{name}.wasm"));
    std::fs::copy(copy.path().join(format!("{name}.wasm")), &file).expect("keep the component");
    file
}
