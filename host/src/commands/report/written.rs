//! Writing a page where somebody wants it: the old page or the new one is there, whole, and nothing else is ever replaced.
//!
//! Of two that write the same page, the last one is seen.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::page::BEGINNING;
use crate::folder::{Doing as _, Folder, Writers, refuse_foreign_file};
use crate::outcome::{Failure, Outcome};
use crate::sink::files::commit;

/// A temporary file that is older was left by a process that was killed.
const LEFT_AFTER: Duration = Duration::from_mins(10);

/// Puts this page at `path`, whose folder is there, and which others than `writers` cannot write to.
///
/// `Err`: what was there is there still. A link, a file of another user, and one that is no page of tidegate's, is refused.
pub fn write(path: &Path, writers: Writers, run_id: &str, page: &str) -> Result<(), Failure> {
    let (Some(name), Some(folder)) = (
        path.file_name().and_then(|name| name.to_str()),
        path.parent(),
    ) else {
        return Err(refused(path, "it has no name of a file at its end"));
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let opened = Folder::open_for(folder, writers)?;
    let folder = opened.ok_or_else(|| refused(path, "its folder does not exist: make it first"))?;
    if let Some((file, stat)) = folder.file(name)? {
        refuse_foreign_file(&stat, &folder.shown(name))?;
        let mut beginning = Vec::new();
        file.take(BEGINNING.len() as u64)
            .read_to_end(&mut beginning)
            .doing(|| format!("cannot read `{}`", folder.shown(name)))?;
        if beginning != BEGINNING.as_bytes() {
            return Err(refused(
                path,
                "a file is there that is no page of tidegate's: move it away, or name another file",
            ));
        }
    }
    sweep(&folder, name);
    commit::replace_file(&folder, name, run_id, page.as_bytes())
}

fn refused(path: &Path, why: &str) -> Failure {
    let message = format!("cannot write `{}`: {why}", path.display());
    Failure::new(Outcome::OutputUnusable, message)
}

/// Removes what processes of this user left that were killed as they wrote this page. What cannot be removed stays.
fn sweep(folder: &Folder, name: &str) {
    let stem = name.split('.').next().unwrap_or(name);
    let prefix = format!(".{stem}-");
    // As a run's number is: 20261128T030629Z-0a1b2c.
    let is_left = |name: &str| {
        let id = name.strip_prefix(&prefix);
        id.is_some_and(|id| {
            id.len() == 23 && id.as_bytes()[15] == b'Z' && id.as_bytes()[16] == b'-'
        })
    };
    for name in folder.names(is_left).unwrap_or_default() {
        let Ok(Some((file, stat))) = folder.file(&name) else {
            continue;
        };
        let changed = file
            .metadata()
            .ok()
            .and_then(|found| u64::try_from(found.mtime()).ok());
        let changed = changed.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let age = changed.and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > LEFT_AFTER) && refuse_foreign_file(&stat, &name).is_ok() {
            let _ = folder.remove_file(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const ID: &str = "20261128T030629Z-0a1b2c";

    fn page(text: &str) -> String {
        format!("{BEGINNING}{text}")
    }

    fn temp() -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        temp
    }

    #[test]
    fn a_page_replaces_a_page_and_nothing_else() {
        let temp = temp();
        let path = temp.path().join("status.html");
        write(&path, Writers::Nobody, ID, &page("1")).unwrap();
        write(&path, Writers::Nobody, ID, &page("2")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), page("2"));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);

        fs::write(&path, "<!DOCTYPE html>mine").unwrap();
        let failure = write(&path, Writers::Nobody, ID, &page("3")).unwrap_err();

        assert!(
            failure.message.contains("no page of tidegate's"),
            "{failure}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "<!DOCTYPE html>mine");
    }

    #[test]
    fn a_link_a_folder_and_a_file_with_two_names_stay() {
        let temp = temp();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("theirs"), page("theirs")).unwrap();
        symlink("theirs", at("link.html")).unwrap();
        fs::create_dir(at("folder.html")).unwrap();
        fs::write(at("first"), page("first")).unwrap();
        fs::hard_link(at("first"), at("second.html")).unwrap();

        for name in ["link.html", "folder.html", "second.html"] {
            write(&at(name), Writers::Nobody, ID, &page("new")).unwrap_err();
        }

        assert_eq!(fs::read_to_string(at("theirs")).unwrap(), page("theirs"));
        assert_eq!(fs::read_to_string(at("first")).unwrap(), page("first"));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused_unless_anybody_may() {
        let temp = temp();
        let path = temp.path().join("status.html");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o1777)).unwrap();

        write(&path, Writers::Nobody, ID, &page("1")).unwrap_err();
        assert!(!path.exists());

        write(&path, Writers::Anybody, ID, &page("1")).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_later() {
        let temp = temp();
        let old = temp.path().join(format!(".status-{ID}"));
        let new = temp.path().join(".status-20261128T030629Z-ffffff");
        let other = temp.path().join(".status-of-mine");
        for path in [&old, &new, &other] {
            fs::write(path, "").unwrap();
        }
        let an_hour_ago = SystemTime::now() - Duration::from_hours(1);
        for path in [&old, &other] {
            fs::File::open(path)
                .unwrap()
                .set_modified(an_hour_ago)
                .unwrap();
        }

        write(
            &temp.path().join("status.html"),
            Writers::Nobody,
            "r",
            &page("1"),
        )
        .unwrap();

        assert!(!old.exists() && new.exists() && other.exists());
    }
}
