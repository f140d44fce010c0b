//! The components of the tests, built once for all of them, and the cache of compiled ones.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use super::scripts;

#[path = "../../../host/build/wasm.rs"]
mod wasm;

/// Where the word stands that decides how `describe` misbehaves: see `tests/guests/misbehaving/src/described.rs`.
const SWITCH: &[u8] = b"tidegate-describe:honest    ";

/// The misbehaving component.
pub fn misbehaving() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| built("misbehaving"))
}

/// The component that imports what toolchains import.
pub fn satisfied() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| built("satisfied"))
}

/// The same, but in `describe` it exits (`exit`) or traps (`panic`), or declares secrets (`keys`) or settings of the host (`hosts`).
pub fn satisfied_but(word: &str) -> PathBuf {
    let component = std::fs::read(satisfied()).expect("read the component");
    let switch = b"satisfied-describe:said ";
    let at = memchr::memmem::find(&component, switch).expect("its switch");
    let other = format!("satisfied-describe:{word:<5}").into_bytes();
    let patched = [&component[..at], &other, &component[at + other.len()..]].concat();
    let file = own_folder().join(format!("satisfied-but-{word}.wasm"));
    std::fs::write(&file, patched).expect("write the patched component");
    file
}

/// The example of a connector.
pub fn minimal() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| built("minimal-connector"))
}

/// The example of a connector in Python, `guest/examples/csv`.
pub fn csv() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let python = scripts::python();
        let file = scripts::built_example("csv", &own_folder());
        drop(python);
        compiled(&file);
        file
    })
}

/// The example of a connector whose requests are signed.
pub fn hawk() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| built("hawk-connector"))
}

/// The connector that is honest but for one flaw: see `tests/guests/flawed`.
pub fn flawed() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| built("flawed"))
}

/// Builds a crate of the workspace into a component file, compiled into the cache.
fn built(package: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace above host/");
    let component = wasm::component(workspace, package, &own_folder().join("guests"));
    let component = component.unwrap_or_else(|error| panic!("{error:#}"));
    let file = own_folder().join(format!("{package}.wasm"));
    std::fs::write(&file, component).expect("write the component");
    compiled(&file);
    file
}

/// The misbehaving component with another `describe`: `loop`, `memory`, `sleep`, `trap`, `crowd`, `rename`, `escapes`, `newline` or `huge`.
pub fn describing(word: &str) -> PathBuf {
    let mut component = std::fs::read(misbehaving()).expect("read the misbehaving component");
    let at: Vec<usize> = memchr::memmem::find_iter(&component, SWITCH).collect();
    assert_eq!(at.len(), 1, "the switch stands once in the component");
    let patched = format!("tidegate-describe:{word:<10}");
    component[at[0]..at[0] + SWITCH.len()].copy_from_slice(patched.as_bytes());
    let file = own_folder().join(format!("describing-{word}.wasm"));
    // Other tests of this binary may be reading it.
    let own = tempfile::NamedTempFile::new_in(own_folder()).expect("a temporary file");
    std::fs::write(&own, component).expect("write the patched component");
    own.persist(&file).expect("rename the patched component");
    file
}

/// The misbehaving component, which exports no `tidegate:sync/probe`.
pub fn without_a_look() -> PathBuf {
    let mut component = std::fs::read(misbehaving()).expect("read the misbehaving component");
    let (probe, other) = (b"tidegate:sync/probe@", b"tidegate:sync/other@");
    let at: Vec<usize> = memchr::memmem::find_iter(&component, probe).collect();
    for at in at {
        component[at..at + probe.len()].copy_from_slice(other);
    }
    let file = own_folder().join("without-a-look.wasm");
    std::fs::write(&file, component).expect("write the patched component");
    file
}

/// The folder of compiled components, with the built-in one already in it.
pub fn cache() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = own_folder().join("cache");
        std::fs::create_dir_all(&folder).expect("create the folder of compiled components");
        // Whatever the umask is: a cache that others can write to is not used.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))
            .expect("close the folder of compiled components");
        describe(&folder, &[]);
        folder
    })
}

/// Compiles a component into the cache, so that not every test does.
fn compiled(file: &Path) {
    describe(cache(), &["--component".as_ref(), file.as_os_str()]);
}

fn describe(cache: &Path, args: &[&std::ffi::OsStr]) {
    // One at a time: side by side they would only take each other's processor.
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().expect("no test panicked while describing");
    let status = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("describe")
        .args(args)
        .env_clear()
        .env("TIDEGATE_CACHE_DIR", cache)
        .stdout(Stdio::null())
        .status();
    assert!(
        status.expect("start tidegate").success(),
        "a component can be described"
    );
    drop(one);
}

fn own_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}
