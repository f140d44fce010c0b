//! `tests/advisories.sh` against a small database that is made up here: what is locked, and what is known against it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// One crate of each state that an advisory tells apart.
const LOCK: &str = r#"
version = 4
[[package]]
name = "engine"
version = "48.0.8"
[[package]]
name = "twice"
version = "1.2.0"
[[package]]
name = "twice"
version = "2.0.0-rc.1"
"#;

/// A database and a lock file, in a folder that goes away.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(world.path("db")).unwrap();
        std::fs::write(world.path("Cargo.lock"), LOCK).unwrap();
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// With an advisory against `name`, mended and never wrong in these versions.
    fn knows(self, id: &str, name: &str, patched: &str, rest: &str) -> Self {
        let folder = self.path("db/crates").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let toml = format!(
            "[advisory]\nid = \"{id}\"\npackage = \"{name}\"\n{rest}\n[versions]\npatched = {patched}\nunaffected = [\"< 1\"]\n"
        );
        let text = format!("```toml\n{toml}```\n\n# A title\n\nAnd what is wrong.\n");
        std::fs::write(folder.join(format!("{id}.md")), text).unwrap();
        self
    }

    /// The exit code and all that is printed.
    fn asked(&self) -> (Option<i32>, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/advisories.sh");
        let printed = Command::new("sh")
            .arg(script)
            .args([self.path("db"), self.path("Cargo.lock")])
            .output()
            .unwrap();
        let text = [printed.stdout, printed.stderr].concat();
        (
            printed.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }
}

#[test]
fn a_locked_version_that_is_known_to_be_bad_fails_with_what_mends_it() {
    let world = World::new()
        .knows(
            "RUSTSEC-2026-0001",
            "engine",
            r#"["^47.0.9", ">= 48.0.9"]"#,
            "",
        )
        .knows("RUSTSEC-2026-0002", "elsewhere", "[]", "");

    let (code, text) = world.asked();

    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("engine 48.0.8: RUSTSEC-2026-0001, patched: ^47.0.9; >= 48.0.9"),
        "{text}"
    );
    assert!(!text.contains("elsewhere"), "{text}");
}

#[test]
fn a_patched_version_one_before_the_fault_and_an_advisory_that_was_withdrawn_pass() {
    let world = World::new()
        .knows("RUSTSEC-2026-0001", "engine", r#"[">= 48.0.8"]"#, "")
        .knows(
            "RUSTSEC-2026-0002",
            "engine",
            r#"["~48.0.2, < 48.0.9"]"#,
            "",
        )
        .knows(
            "RUSTSEC-2026-0003",
            "engine",
            "[]",
            "withdrawn = \"2026-01-02\"",
        )
        .knows("RUSTSEC-2026-0004", "twice", r#"["^1.2", "> 1.9.9"]"#, "");

    let (code, text) = world.asked();

    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("4 advisories, 3 packages"), "{text}");
}

#[test]
fn each_locked_version_counts_and_a_pre_release_is_before_its_release() {
    let world = World::new().knows(
        "RUSTSEC-2026-0001",
        "twice",
        r#"["=1.2.0", ">= 2.0.0"]"#,
        "",
    );

    let (code, text) = world.asked();

    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("twice 2.0.0-rc.1:") && !text.contains("twice 1.2.0"),
        "{text}"
    );
}

#[test]
fn what_only_informs_is_told_and_passes() {
    let informs = "informational = \"unmaintained\"";
    let world = World::new().knows("RUSTSEC-2026-0001", "engine", "[]", informs);

    let (code, text) = world.asked();

    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("engine 48.0.8: RUSTSEC-2026-0001 (unmaintained), patched: none"),
        "{text}"
    );
}

#[test]
fn a_folder_that_is_no_database_and_an_advisory_that_is_not_understood_are_2() {
    let empty = World::new();
    let strange = World::new().knows("RUSTSEC-2026-0001", "engine", r#"["newer"]"#, "");

    let ((empty, said), (strange, told)) = (empty.asked(), strange.asked());

    assert_eq!((empty, strange), (Some(2), Some(2)), "{said}{told}");
    assert!(said.contains("no advisory"), "{said}");
    assert!(told.contains("RUSTSEC-2026-0001.md"), "{told}");
}
