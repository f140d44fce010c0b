//! Removes a whole tree that somebody hostile may have built: of any depth, with links that lead elsewhere.
//!
//! Two descriptors at most and no recursion, so that depth costs neither; no link is followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

/// A component that is being killed may still write; its folder is then found filled again.
const TRIES: usize = 3;

/// Removes `name` in `parent` and all below it. Nothing there is fine. `Err` leaves a part of it.
pub fn all(parent: BorrowedFd<'_>, name: &str, folders_max: usize) -> io::Result<()> {
    let name = CString::new(name)?;
    let mut tries = 1;
    loop {
        match once(parent, &name, folders_max) {
            Err(error)
                if Errno::from_io_error(&error) == Some(Errno::NOTEMPTY) && tries < TRIES =>
            {
                tries += 1;
            }
            result => return result,
        }
    }
}

fn once(parent: BorrowedFd<'_>, name: &CStr, folders_max: usize) -> io::Result<()> {
    let mut here = match open(parent, name) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?);
        }
        Err(error) => return Err(error.into()),
    };
    let mut left = folders_max;
    // One list of folders still to be removed for each level; `names` leads from the top to `here`.
    let mut levels = vec![remove_files(&here, &mut left)?];
    let mut names: Vec<CString> = Vec::new();
    while let Some(folders) = levels.last_mut() {
        if let Some(below) = folders.pop() {
            here = open(here.as_fd(), &below)?;
            levels.push(remove_files(&here, &mut left)?);
            names.push(below);
        } else {
            levels.pop();
            if let Some(emptied) = names.pop() {
                here = open(here.as_fd(), c"..")?;
                rustix::fs::unlinkat(&here, emptied, AtFlags::REMOVEDIR)?;
            }
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Removes everything in `folder` that is no folder, and returns those.
fn remove_files(folder: &OwnedFd, left: &mut usize) -> io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Linux says the first for a folder, POSIX the second.
            Err(Errno::ISDIR | Errno::PERM) => {
                *left = left.checked_sub(1).ok_or_else(|| {
                    io::Error::other("it holds too many folders; remove it by hand")
                })?;
                folders.push(name.to_owned());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(build: impl FnOnce(&std::path::Path), folders_max: usize) -> (io::Result<()>, bool) {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().join("top");
        build(&top);
        let parent = std::fs::File::open(temp.path()).unwrap();
        let result = all(parent.as_fd(), "top", folders_max);
        (result, top.symlink_metadata().is_ok())
    }

    #[test]
    fn a_tree_deeper_than_descriptors_and_paths_go_is_removed() {
        let (result, still_there) = removed(
            |top| {
                std::fs::create_dir(top).unwrap();
                let mut here = OwnedFd::from(std::fs::File::open(top).unwrap());
                for _ in 0..5_000 {
                    rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
                    here = open(here.as_fd(), c"d").unwrap();
                }
            },
            10_000,
        );

        result.unwrap();
        assert!(!still_there);
    }

    #[test]
    fn a_link_is_removed_and_what_it_names_stays() {
        let outside = tempfile::tempdir().unwrap();
        let kept = outside.path().join("kept");
        std::fs::write(&kept, "").unwrap();

        let (result, still_there) = removed(
            |top| {
                std::fs::create_dir(top).unwrap();
                std::os::unix::fs::symlink(outside.path(), top.join("link")).unwrap();
            },
            10,
        );

        result.unwrap();
        assert!(!still_there);
        assert!(kept.exists());
    }

    #[test]
    fn a_tree_with_more_folders_than_allowed_is_left_to_a_person() {
        let (result, still_there) = removed(
            |top| {
                std::fs::create_dir(top).unwrap();
                std::fs::create_dir(top.join("a")).unwrap();
                std::fs::create_dir(top.join("b")).unwrap();
            },
            1,
        );

        assert!(result.unwrap_err().to_string().contains("too many folders"));
        assert!(still_there);
    }

    #[test]
    fn a_plain_file_and_nothing_at_all_are_removed() {
        let (file, file_there) = removed(|top| std::fs::write(top, "x").unwrap(), 1);
        let (nothing, nothing_there) = removed(|_| {}, 1);

        file.unwrap();
        nothing.unwrap();
        assert!(!file_there && !nothing_there);
    }
}
