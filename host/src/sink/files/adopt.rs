//! `--adopt`: what an earlier script left is kept in `before-tidegate/` and leaves our way when the first set is published.
//!
//! Not earlier: until the swap its readers go on reading it, and a run that fails leaves everything as it was.

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::folder::lock::Lock;
use crate::folder::{Doing as _, Folder};
use crate::limits::ADOPTED_NAMES_MAX;
use crate::outcome::{Failure, Outcome};
use crate::sink::files::generation::CURRENT;
use crate::sink::files::leftovers::{self, FOREIGN_KEPT_IN};

#[derive(Debug, Default)]
pub struct Kept {
    files: Vec<KeptFile>,
}

#[derive(Debug)]
struct KeptFile {
    name: &'static str,
    /// Its second name in `before-tidegate/`; none where it could not have one and has yet to be moved.
    linked: bool,
    free_name: String,
}

impl Kept {
    /// Whether `name` was an earlier script's.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Whether there was nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Gives the earlier script's files a second name in `before-tidegate/`. They stay where they are, too.
///
/// That folder's entries survive a power cut then; that it does itself is for the caller to see to, before [`replace`].
pub fn keep(lock: &Lock, file_mode: Option<u32>) -> Result<Kept, Failure> {
    let output = lock.folder();
    let mut kept = Kept::default();
    let foreign = leftovers::foreign(lock.folder())?;
    if foreign.is_empty() {
        return Ok(kept);
    }
    let folder = output.ensure_folder(FOREIGN_KEPT_IN, 0o777)?;
    folder.allow_readers(file_mode)?;
    for name in foreign {
        kept.files.push(link_free(output, &folder, name)?);
    }
    folder.sync()?;
    Ok(kept)
}

/// After the swap: takes the old names away, that of the data file by a rename over it, so that readers never miss it.
pub fn replace(lock: &Lock, data_file: Option<&str>, kept: &Kept) -> Result<(), Failure> {
    let output = lock.folder();
    for file in &kept.files {
        if !file.linked {
            let folder = output.ensure_folder(FOREIGN_KEPT_IN, 0o777)?;
            rustix::fs::renameat(output, file.name, &folder, &file.free_name).doing(|| {
                format!(
                    "cannot move `{}` to `{FOREIGN_KEPT_IN}/`",
                    output.shown(file.name)
                )
            })?;
            folder.sync()?;
        }
        if Some(file.name) == data_file {
            let temporary = format!(".latest-{}", lock.run_id());
            rustix::fs::symlinkat(format!("{CURRENT}/{}", file.name), output, &temporary)
                .and_then(|()| rustix::fs::renameat(output, &temporary, output, file.name))
                .doing(|| format!("cannot replace `{}` by a link", output.shown(file.name)))?;
        } else {
            output.remove_file(file.name)?;
        }
    }
    Ok(())
}

fn link_free(output: &Folder, folder: &Folder, name: &'static str) -> Result<KeptFile, Failure> {
    let source = rustix::fs::statat(output, name, AtFlags::SYMLINK_NOFOLLOW)
        .doing(|| format!("cannot inspect `{}`", output.shown(name)))?;
    for number in 0..ADOPTED_NAMES_MAX {
        let free_name = if number == 0 {
            name.to_owned()
        } else {
            format!("{name}.{number}")
        };
        let linked = match rustix::fs::linkat(output, name, folder, &free_name, AtFlags::empty()) {
            Ok(()) => true,
            Err(Errno::EXIST) => {
                match rustix::fs::statat(folder, &free_name, AtFlags::SYMLINK_NOFOLLOW) {
                    // An earlier try was stopped after it had kept this very file.
                    Ok(there) if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino) => {
                        true
                    }
                    _ => continue,
                }
            }
            // A folder, somebody else's file, or no links here: it is moved, once the new set is in place.
            Err(Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::ACCESS | Errno::ISDIR) => {
                false
            }
            Err(error) => {
                return Err(error).doing(|| format!("cannot keep `{}`", output.shown(name)));
            }
        };
        return Ok(KeptFile {
            name,
            linked,
            free_name,
        });
    }
    let message = format!(
        "cannot keep `{}`: `{FOREIGN_KEPT_IN}/` is full of files of that name",
        output.shown(name)
    );
    Err(Failure::new(Outcome::OutputUnusable, message))
}
