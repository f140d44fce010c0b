//! Keeps compiled components, so that a run under cron starts in milliseconds.
//!
//! A compiled component is native code: loading a forged one would run it outside every wall. So the file lies in a folder
//! of our own (0700, ours), is a regular file that nobody else could write, is named after the component's digest and the
//! compiler's settings, and carries a checksum. Whatever is not as expected is not used, and compiled anew.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const CHECKSUM_BYTES: usize = 32;
/// A compiled form is larger than its component, but not by this much.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The compiled form of the component with this digest, if there is one that can be trusted.
pub fn take(cache_dir: &Path, engine: &Engine, sha256: &str) -> Option<Component> {
    let folder = &own_folder(cache_dir);
    is_private_folder(folder).then_some(())?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path(folder, engine, sha256))
        .ok()?;
    let metadata = file.metadata().ok()?;
    let private = metadata.is_file() && is_ours(metadata.uid()) && metadata.mode() & 0o022 == 0;
    (private && metadata.len() <= FILE_BYTES_MAX).then_some(())?;
    let compiled = checked(file)?;
    // SAFETY: `deserialize` runs the bytes as native code, so they must be what this engine serialized. They carry the
    // checksum that `keep` wrote, in a file that only this user could write, in a folder that only this user can enter;
    // the name ties them to the component and to the compiler's settings, and wasmtime checks its version besides.
    #[expect(
        unsafe_code,
        reason = "the only way to load compiled code; see the comment above"
    )]
    unsafe { Component::deserialize(engine, &compiled) }.ok()
}

/// Keeps `compiled` for the next run. `None` when it could not be kept, which is not worth failing for.
pub fn keep(cache_dir: &Path, engine: &Engine, sha256: &str, compiled: &[u8]) -> Option<()> {
    let folder = &own_folder(cache_dir);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .ok()?;
    is_private_folder(folder).then_some(())?;
    let path = path(folder, engine, sha256);
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .ok()?;
    let written = file
        .write_all(&Sha256::digest(compiled))
        .and_then(|()| file.write_all(compiled))
        .and_then(|()| std::fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.ok()
}

/// A folder of our own inside the one that was named, which may be open to others.
fn own_folder(cache_dir: &Path) -> PathBuf {
    cache_dir.join("compiled")
}

fn checked(mut file: File) -> Option<Vec<u8>> {
    let mut checksum = [0; CHECKSUM_BYTES];
    file.read_exact(&mut checksum).ok()?;
    let mut compiled = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut compiled).ok()?;
    (Sha256::digest(&compiled)[..] == checksum).then_some(compiled)
}

/// Named after what was compiled and how: another component, compiler, processor or setting is another file.
fn path(folder: &Path, engine: &Engine, sha256: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    folder.join(format!("{sha256}-{:016x}.cwasm", hasher.finish()))
}

fn is_private_folder(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir() && is_ours(metadata.uid()) && metadata.mode() & 0o077 == 0
    })
}

fn is_ours(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::engine::engine;
    use crate::limits::Limits;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Kept {
        folder: tempfile::TempDir,
        engine: Engine,
        file: PathBuf,
    }

    fn kept() -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&Limits::default()).unwrap();
        let compiled = engine.precompile_component(EMPTY_COMPONENT).unwrap();
        keep(folder.path(), &engine, "abc", &compiled).unwrap();
        let file = path(&own_folder(folder.path()), &engine, "abc");
        Kept {
            folder,
            engine,
            file,
        }
    }

    fn is_taken(kept: &Kept) -> bool {
        take(kept.folder.path(), &kept.engine, "abc").is_some()
    }

    #[test]
    fn what_was_kept_is_taken() {
        assert!(is_taken(&kept()));
    }

    #[test]
    fn a_changed_byte_is_not_run() {
        let kept = kept();
        let mut bytes = std::fs::read(&kept.file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&kept.file, bytes).unwrap();

        assert!(!is_taken(&kept));
    }

    #[test]
    fn a_file_that_others_can_write_is_not_run() {
        let kept = kept();
        std::fs::set_permissions(&kept.file, std::fs::Permissions::from_mode(0o666)).unwrap();

        assert!(!is_taken(&kept));
    }

    #[test]
    fn a_folder_that_others_can_enter_is_not_used() {
        let kept = kept();
        let folder = own_folder(kept.folder.path());
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();

        assert!(!is_taken(&kept));
        assert!(keep(kept.folder.path(), &kept.engine, "def", b"x").is_none());
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let kept = kept();
        let elsewhere = kept.folder.path().join("elsewhere");
        std::fs::rename(&kept.file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &kept.file).unwrap();

        assert!(!is_taken(&kept));
    }
}
