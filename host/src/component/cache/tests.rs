use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::component::engine::engine;

const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

struct Kept {
    named: tempfile::TempDir,
    engine: Engine,
    compiled: Vec<u8>,
}

impl Kept {
    fn open(&self) -> Result<Option<Cache>, String> {
        Cache::open(self.named.path(), &Limits::default())
    }

    fn cache(&self) -> Cache {
        self.open().unwrap().unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.named.path().join(FOLDER)
    }

    fn file(&self) -> PathBuf {
        self.folder().join(name(&self.engine, "abc"))
    }

    /// Why what is kept is not taken.
    fn refused(&self) -> String {
        let taken = self
            .open()
            .and_then(|cache| cache.expect("there is one").take(&self.engine, "abc"));
        match taken {
            Ok(_) => panic!("it is used"),
            Err(why) => why,
        }
    }
}

fn kept() -> Kept {
    let engine = engine(&Limits::default()).unwrap();
    let compiled = engine.precompile_component(EMPTY_COMPONENT).unwrap();
    let kept = Kept {
        named: tempfile::tempdir().unwrap(),
        engine,
        compiled,
    };
    let cache = kept.cache();
    cache.keep(&kept.engine, "abc", &kept.compiled).unwrap();
    kept
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_was_kept_is_taken_and_nothing_else_is_there() {
    let kept = kept();

    assert!(kept.cache().take(&kept.engine, "abc").unwrap().is_some());
    assert!(kept.cache().take(&kept.engine, "def").unwrap().is_none());
    assert_eq!(std::fs::read_dir(kept.folder()).unwrap().count(), 2);
}

#[test]
fn a_changed_byte_is_not_run() {
    let kept = kept();
    let mut bytes = std::fs::read(kept.file()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(kept.file(), bytes).unwrap();

    assert!(kept.refused().contains("has no valid signature"));
}

#[test]
fn a_file_with_the_right_checksum_and_without_the_key_is_not_run() {
    use sha2::Digest as _;
    let kept = kept();
    let mut forged = Sha256::digest(&kept.compiled).to_vec();
    forged.extend(&kept.compiled);
    std::fs::write(kept.file(), forged).unwrap();

    assert!(kept.refused().contains("has no valid signature"));
}

#[test]
fn what_another_key_signed_is_not_run() {
    let (kept, other) = (kept(), kept());
    std::fs::copy(other.file(), kept.file()).unwrap();

    assert!(kept.refused().contains("has no valid signature"));
}

#[test]
fn what_was_signed_for_another_component_is_not_run() {
    let kept = kept();
    let other = kept.folder().join(name(&kept.engine, "def"));
    std::fs::copy(kept.file(), other).unwrap();

    assert!(kept.cache().take(&kept.engine, "def").is_err());
}

#[test]
fn a_torn_file_is_not_run() {
    let kept = kept();
    std::fs::write(kept.file(), [0; TAG_BYTES]).unwrap();

    assert!(kept.refused().contains("has no valid signature"));
}

#[test]
fn a_file_that_others_can_write_or_that_has_another_name_is_not_run() {
    let kept = kept();
    chmod(&kept.file(), 0o620);
    assert!(kept.refused().contains("can be changed by others"));

    chmod(&kept.file(), 0o600);
    std::fs::hard_link(kept.file(), kept.named.path().join("second")).unwrap();
    assert!(kept.refused().contains("has 2 names"));
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let kept = kept();
    let elsewhere = kept.named.path().join("elsewhere");
    std::fs::rename(kept.file(), &elsewhere).unwrap();
    symlink(&elsewhere, kept.file()).unwrap();

    assert!(kept.refused().contains("is a link"));
}

#[test]
fn a_link_in_the_place_of_the_folder_is_not_followed() {
    let kept = kept();
    let elsewhere = kept.named.path().join("elsewhere");
    std::fs::rename(kept.folder(), &elsewhere).unwrap();
    symlink(&elsewhere, kept.folder()).unwrap();

    assert!(kept.refused().contains("is not a folder"));
}

#[test]
fn a_folder_that_is_swapped_for_a_link_while_it_is_open_changes_nothing() {
    let (kept, other) = (kept(), kept());
    let cache = kept.cache();
    let elsewhere = kept.named.path().join("elsewhere");
    std::fs::rename(kept.folder(), &elsewhere).unwrap();
    symlink(other.folder(), kept.folder()).unwrap();
    std::fs::remove_file(other.file()).unwrap();

    assert!(cache.take(&kept.engine, "abc").unwrap().is_some());
    cache.keep(&kept.engine, "def", &kept.compiled).unwrap();
    assert_eq!(std::fs::read_dir(elsewhere).unwrap().count(), 3);
    assert_eq!(std::fs::read_dir(other.folder()).unwrap().count(), 1);
}

#[test]
fn folders_that_others_can_enter_or_write_are_not_used_and_not_written_to() {
    let kept = kept();
    chmod(&kept.folder(), 0o755);
    assert!(kept.refused().contains("not this user's alone"));

    chmod(&kept.folder(), 0o700);
    chmod(kept.named.path(), 0o1777);
    assert!(kept.refused().contains("every user can write to it"));
    assert_eq!(std::fs::read_dir(kept.folder()).unwrap().count(), 2);
}

#[test]
fn a_key_that_others_can_read_or_that_is_not_whole_is_not_used() {
    let kept = kept();
    chmod(&kept.folder().join(KEY), 0o640);
    assert!(
        kept.refused()
            .contains("not a key that only this user can read")
    );

    chmod(&kept.folder().join(KEY), 0o600);
    std::fs::write(kept.folder().join(KEY), "").unwrap();
    assert!(
        kept.refused()
            .contains("not a key that only this user can read")
    );
}

#[test]
fn a_file_of_another_user_is_not_run() {
    let kept = kept();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(kept.file(), Some(65_534), None).unwrap();
    assert!(kept.refused().contains("belongs to user 65534"));

    std::os::unix::fs::chown(kept.folder(), Some(65_534), None).unwrap();
    assert!(kept.refused().contains("not this user's alone"));

    std::os::unix::fs::chown(kept.named.path(), Some(65_534), None).unwrap();
    assert!(kept.refused().contains("it belongs to user 65534"));
}

#[test]
fn the_oldest_beyond_the_limits_go() {
    let kept = kept();
    let limits = Limits {
        cache_files: 2,
        ..Limits::default()
    };
    std::fs::write(kept.folder().join("old.cwasm"), "").unwrap();
    let long_ago = File::options().write(true).open(kept.file());
    long_ago.unwrap().set_modified(UNIX_EPOCH).unwrap();
    let cache = Cache::open(kept.named.path(), &limits).unwrap().unwrap();

    cache.keep(&kept.engine, "def", &kept.compiled).unwrap();
    cache.keep(&kept.engine, "ghi", &kept.compiled).unwrap();

    let taken = |sha256| cache.take(&kept.engine, sha256).unwrap().is_some();
    assert!(!taken("abc") && taken("def") && taken("ghi"));
    assert!(!kept.folder().join("old.cwasm").exists());
}

#[test]
fn where_no_folder_can_be_made_there_is_no_cache() {
    let limits = Limits::default();

    assert!(
        Cache::open(Path::new("/proc/none/here"), &limits)
            .unwrap()
            .is_none()
    );
}
