//! Keeps compiled components, so that a run under cron starts in milliseconds.
//!
//! A compiled component is native code: loading a forged one would run it outside every wall. So it is kept in a folder of our
//! own (`compiled/`, 0700), opened once and held, whatever its name is made to mean meanwhile; and each file carries an
//! HMAC-SHA256 under a key that only this user can read. The key is made at first use and is in that folder. What is signed:
//! the compiler with its settings, the component's digest, and the code.
//!
//! A cache of which anything is not as it must be is not used and not written to: the caller warns, and compiles.

use std::fs::{DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::{Errno, retry_on_intr};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;
use wasmtime::Engine;

use crate::folder::random_digits;
use crate::folder::trust::{Rights, refuse_strangers};
use crate::limits::Limits;

/// The folder of our own inside the one that was named.
const FOLDER: &str = "compiled";
const KEY: &str = "key";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// What is signed begins with it, so that no other use of the key signs the same.
const SIGNED_AS: &[u8] = b"tidegate compiled component 1\0";
/// How the names of kept components end. Versions that signed nothing wrote `.cwasm`, which is only ever removed.
const KEPT: &str = ".native";
const OUTDATED: &str = ".cwasm";
/// How the names of unfinished files end.
const PART: &str = ".part";

/// The cache, held. Its errors are sentences: what is wrong with it, and how to repair that.
pub struct Cache {
    folder: OwnedFd,
    key: SecretBox<[u8; KEY_BYTES]>,
    path: PathBuf,
    files_max: usize,
    bytes_max: u64,
    unfinished_kept: Duration,
}

impl Cache {
    /// Opens the cache in `named`, and makes it where it is missing. `None` when it can be neither opened nor made: then there is
    /// none. `Err` when it is not safe to use.
    pub fn open(named: &Path, limits: &Limits) -> Result<Option<Self>, String> {
        let path = named.join(FOLDER);
        let Some(folder) = open_folder(named, &path)? else {
            return Ok(None);
        };
        let Some(key) = key(&folder, &path)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            folder,
            key,
            path,
            files_max: limits.cache_files,
            bytes_max: limits.cache_bytes,
            unfinished_kept: limits.cache_unfinished_kept,
        }))
    }

    /// The compiled form of the component with this digest, as this engine serialized it: these very bytes are signed under a key
    /// that only this user and root can read, together with the engine's compatibility hash. `None` when it was not kept. `Err`:
    /// there is one, and it is not ours.
    pub fn take(&self, engine: &Engine, sha256: &str) -> Result<Option<Vec<u8>>, String> {
        let name = name(engine, sha256);
        let shown = self.path.join(&name).display().to_string();
        let Some((mut file, stat)) = open_file(&self.folder, &name, &shown)? else {
            return Ok(None);
        };
        let not_read = |error: std::io::Error| format!("cannot read `{shown}`: {error}");
        let bytes = u64::try_from(stat.st_size).unwrap_or_default();
        if bytes > self.bytes_max {
            return Err(format!(
                "`{shown}` is larger than {} bytes; remove it",
                self.bytes_max
            ));
        }
        let mut tag = [0; TAG_BYTES];
        let mut compiled = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        if bytes > TAG_BYTES as u64 {
            file.read_exact(&mut tag).map_err(not_read)?;
            file.take(self.bytes_max)
                .read_to_end(&mut compiled)
                .map_err(not_read)?;
        }
        let signed = self.signature(engine, sha256, &compiled);
        if signed.verify_slice(&tag).is_err() {
            return Err(format!(
                "`{shown}` has no valid signature: it is damaged, or another user wrote it; it was not loaded; remove it, and check who can write there"
            ));
        }
        Ok(Some(compiled))
    }

    /// Whether [`Self::keep`] may write here, as far as that can be known before.
    pub fn may_keep(&self) -> bool {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.folder, ".", access, AtFlags::EACCESS).is_ok()
    }

    /// Keeps `compiled` for the next run, and removes the oldest beyond the limits. `Err`: it was not kept.
    pub fn keep(&self, engine: &Engine, sha256: &str, compiled: &[u8]) -> Result<(), String> {
        if compiled.len() as u64 + TAG_BYTES as u64 > self.bytes_max {
            return Ok(());
        }
        let name = name(engine, sha256);
        let tag = self
            .signature(engine, sha256, compiled)
            .finalize()
            .into_bytes();
        let temporary = temporary(&name);
        write_new(&self.folder, &temporary, &[&tag, compiled])
            .and_then(|()| {
                Ok(rustix::fs::renameat(
                    &self.folder,
                    &temporary,
                    &self.folder,
                    &name,
                )?)
            })
            .map_err(|error| {
                let _ = rustix::fs::unlinkat(&self.folder, &temporary, AtFlags::empty());
                format!(
                    "cannot write `{}`: {error}",
                    self.path.join(&name).display()
                )
            })?;
        // What is not removed now is by the next one that is kept.
        let _ = self.remove_oldest();
        Ok(())
    }

    fn signature(&self, engine: &Engine, sha256: &str, compiled: &[u8]) -> Hmac<Sha256> {
        let mut signed = Signed(
            Hmac::new_from_slice(self.key.expose_secret()).expect("a key may have any length"),
        );
        signed.0.update(SIGNED_AS);
        engine.precompile_compatibility_hash().hash(&mut signed);
        sha256.hash(&mut signed);
        signed.0.update(compiled);
        signed.0
    }

    /// Removes the oldest kept files while there are too many, outdated ones, and what killed runs left.
    fn remove_oldest(&self) -> Result<(), Errno> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let mut kept = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let ends = |end: &str| name.to_bytes().ends_with(end.as_bytes());
            if !ends(KEPT) && !ends(OUTDATED) && !ends(PART) {
                continue;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let Ok(stat) = rustix::fs::statat(&self.folder, name, flags) else {
                continue;
            };
            let age = now.saturating_sub(stat.st_mtime);
            let is_left = ends(PART) && age > self.unfinished_kept.as_secs().cast_signed();
            if ends(KEPT) {
                kept.push((stat.st_mtime, stat.st_size, name.to_owned()));
            } else if ends(OUTDATED) || is_left {
                rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?;
            }
        }
        kept.sort_by(|one, other| other.cmp(one));
        let (mut files, mut bytes) = (0, 0);
        for (_, size, name) in kept {
            files += 1;
            bytes += u64::try_from(size).unwrap_or_default();
            if files > self.files_max || bytes > self.bytes_max {
                rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

/// Takes in what is hashed, whole: what an engine's compatibility depends on can be asked for in no other way.
struct Signed(Hmac<Sha256>);

impl Hasher for Signed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("nobody asks for 64 bits of it")
    }
}

/// The folder of our own, made where it is missing. `None`: it can be neither opened nor made.
fn open_folder(named: &Path, path: &Path) -> Result<Option<OwnedFd>, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = |error: Errno| match error {
        Errno::NOTDIR | Errno::LOOP => Err(format!(
            "`{}` is not a folder; move it away",
            path.display()
        )),
        _ => Ok(None),
    };
    if DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(named)
        .is_err()
    {
        return Ok(None);
    }
    let parent = match rustix::fs::open(named, flags, Mode::empty()) {
        Ok(parent) => parent,
        Err(error) => return opened(error),
    };
    let stat =
        rustix::fs::fstat(&parent).map_err(|error| format!("`{}`: {error}", named.display()))?;
    refuse_strangers(Rights::from(&stat), &named.display().to_string())
        .map_err(|why| format!("`{}`: {why}, or name a folder in it", named.display()))?;
    match rustix::fs::mkdirat(&parent, FOLDER, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(_) => return Ok(None),
    }
    let folder = match rustix::fs::openat(&parent, FOLDER, flags | OFlags::NOFOLLOW, Mode::empty())
    {
        Ok(folder) => folder,
        Err(error) => return opened(error),
    };
    let stat =
        rustix::fs::fstat(&folder).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let rights = Rights::from(&stat);
    if rights.is_ours() && rights.mode & 0o077 == 0 {
        return Ok(Some(folder));
    }
    Err(format!(
        "`{}` is not this user's alone (owner {}, mode {:04o}); it was not used; remove it: the next run makes it again",
        path.display(),
        rights.owner,
        rights.mode & 0o7777
    ))
}

/// The key, made where it is missing. `None`: it cannot be made.
fn key(folder: &OwnedFd, path: &Path) -> Result<Option<SecretBox<[u8; KEY_BYTES]>>, String> {
    let shown = path.join(KEY).display().to_string();
    let found = match open_file(folder, KEY, &shown)? {
        None if make_key(folder).is_err() => return Ok(None),
        None => open_file(folder, KEY, &shown)?,
        found => found,
    };
    let (mut file, stat) = found.ok_or_else(|| format!("`{shown}` vanished as it was made"))?;
    if stat.st_mode & 0o077 != 0 || u64::try_from(stat.st_size) != Ok(KEY_BYTES as u64) {
        return Err(format!(
            "`{shown}` is not a key that only this user can read (mode {:04o}, {} bytes); it was not used; remove `{}`: the next run makes it again",
            stat.st_mode & 0o7777,
            stat.st_size,
            path.display()
        ));
    }
    let mut read = Ok(());
    let key = SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| read = file.read_exact(key));
    read.map(|()| Some(key))
        .map_err(|error| format!("cannot read `{shown}`: {error}"))
}

/// Makes the key under another name first: nobody reads one that is not whole. Another run's, made meanwhile, stays.
fn make_key(folder: &OwnedFd) -> std::io::Result<()> {
    let random = rustls::crypto::ring::default_provider().secure_random;
    let mut made = Ok(());
    let key = SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| made = random.fill(key));
    made.map_err(|_| std::io::Error::other("no random numbers"))?;
    let temporary = temporary(KEY);
    let renamed = write_new(folder, &temporary, &[key.expose_secret()]).and_then(|()| {
        let flags = RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(
            folder, &temporary, folder, KEY, flags,
        )?)
    });
    match renamed {
        Ok(()) => Ok(rustix::fs::fsync(folder)?),
        Err(error) => {
            let _ = rustix::fs::unlinkat(folder, &temporary, AtFlags::empty());
            // Another run made one meanwhile.
            let is_there = error.kind() == std::io::ErrorKind::AlreadyExists;
            is_there.then_some(()).ok_or(error)
        }
    }
}

/// The file `name`, open for reading; `None` when there is nothing. `Err` unless it is a regular file with no other name that
/// only this user can write.
fn open_file(folder: &OwnedFd, name: &str, shown: &str) -> Result<Option<(File, Stat)>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::openat(folder, name, flags, Mode::empty()));
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(format!("`{shown}` is a link; remove it")),
        Err(error) => return Err(format!("cannot open `{shown}`: {error}")),
    };
    let stat =
        rustix::fs::fstat(&file).map_err(|error| format!("cannot inspect `{shown}`: {error}"))?;
    let rights = Rights::from(&stat);
    let why = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        "is not a regular file".to_owned()
    } else if stat.st_nlink > 1 {
        format!("has {} names (hard links)", stat.st_nlink)
    } else if !rights.is_ours() {
        format!("belongs to user {}", rights.owner)
    } else if let Some(stranger) = rights.stranger() {
        format!("can be changed by others: {stranger}")
    } else {
        return Ok(Some((File::from(file), stat)));
    };
    Err(format!("`{shown}` {why}; remove it"))
}

/// A new file with these bytes, that survives a power cut. `Err` may leave a part of it.
fn write_new(folder: &OwnedFd, name: &str, parts: &[&[u8]]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, mode)?);
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

fn temporary(name: &str) -> String {
    format!("{name}-{:016x}{PART}", random_digits())
}

/// Named after what was compiled and how: another component, compiler, processor or setting is another file.
fn name(engine: &Engine, sha256: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{sha256}-{:016x}{KEPT}", hasher.finish())
}

#[cfg(test)]
mod tests;
