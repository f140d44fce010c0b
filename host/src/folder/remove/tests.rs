use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::PathBuf;

use super::*;

const FOLDERS_MAX: usize = 10_000;
const NOBODY: u32 = 65_534;

/// `top` in a folder that is the tree's own, and whatever else is made beside it.
struct Tree {
    temp: tempfile::TempDir,
}

impl Tree {
    /// With these folders (their names end in `/`) and files.
    fn new(names: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        for name in names {
            let path = temp.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, "").unwrap();
            }
        }
        Self { temp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Removes `top`, in which somebody does `meanwhile` whenever it is asked whether to stop.
    fn remove_while(&self, meanwhile: impl Fn() -> Result<(), Failure>) -> Result<(), NotRemoved> {
        let parent = fs::File::open(self.temp.path()).unwrap();
        let bounds = Bounds {
            folders_max: FOLDERS_MAX,
            check: &meanwhile,
        };
        all(parent.as_fd(), "top", bounds)
    }

    fn remove(&self) -> Result<(), NotRemoved> {
        self.remove_while(|| Ok(()))
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_tree_deeper_than_descriptors_and_paths_go_is_removed() {
    let tree = Tree::new(&["top/"]);
    let mut here = OwnedFd::from(fs::File::open(tree.path("top")).unwrap());
    for _ in 0..5_000 {
        rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
        here = open(here.as_fd(), c"d").unwrap();
    }

    tree.remove().unwrap();

    assert!(!tree.exists("top"));
}

#[test]
fn a_wide_tree_with_files_everywhere_is_removed() {
    let names: Vec<String> = (0..300)
        .map(|n| format!("top/{}/{n}/file", n % 7))
        .collect();
    let tree = Tree::new(&names.iter().map(String::as_str).collect::<Vec<_>>());

    tree.remove().unwrap();

    assert!(!tree.exists("top"));
}

/// The attack: `..` of a folder that was moved out leads to where it is now.
#[test]
fn a_folder_that_is_moved_out_does_not_take_the_removal_with_it() {
    let tree = Tree::new(&[
        "top/moved/inner/file",
        "top/precious/",
        "outside/pit/",
        "outside/precious/kept",
        "outside/inner/kept",
        "precious/kept",
    ]);
    let moved = Cell::new(false);
    // Once the innermost folder is empty, the removal is in it.
    let meanwhile = || {
        if !tree.exists("top/moved/inner/file") && !moved.replace(true) {
            fs::rename(tree.path("top/moved"), tree.path("outside/pit/moved")).unwrap();
        }
        Ok(())
    };

    let left = tree.remove_while(meanwhile);

    assert!(
        matches!(&left, Err(NotRemoved::Moved(path)) if path == "top/moved"),
        "{left:?}"
    );
    assert!(moved.get() && tree.exists("top") && tree.exists("outside/pit"));
    for kept in [
        "outside/precious/kept",
        "outside/inner/kept",
        "precious/kept",
    ] {
        assert!(tree.exists(kept), "{kept}");
    }
}

#[test]
fn a_folder_that_was_emptied_and_replaced_is_not_removed() {
    let tree = Tree::new(&["top/inner/file", "other/"]);
    let other = fs::metadata(tree.path("other")).unwrap();
    let swapped = Cell::new(false);
    let meanwhile = || {
        if !tree.exists("top/inner/file") && !swapped.replace(true) {
            fs::rename(tree.path("top/inner"), tree.path("top/was-inner")).unwrap();
            fs::rename(tree.path("other"), tree.path("top/inner")).unwrap();
        }
        Ok(())
    };

    let left = tree.remove_while(meanwhile);

    assert!(
        matches!(&left, Err(NotRemoved::Moved(path)) if path == "top/inner"),
        "{left:?}"
    );
    let there = fs::metadata(tree.path("top/inner")).unwrap();
    assert_eq!(there.ino(), other.ino());
}

#[test]
fn a_top_that_was_replaced_is_not_removed() {
    let tree = Tree::new(&["top/file", "other/"]);
    let swapped = Cell::new(false);
    let meanwhile = || {
        if !tree.exists("top/file") && !swapped.replace(true) {
            fs::rename(tree.path("top"), tree.path("was-top")).unwrap();
            fs::rename(tree.path("other"), tree.path("top")).unwrap();
        }
        Ok(())
    };

    let left = tree.remove_while(meanwhile);

    assert!(matches!(left, Err(NotRemoved::Moved(_))), "{left:?}");
    assert!(tree.exists("top"));
}

#[test]
fn what_belongs_to_another_user_stays_and_the_rest_goes() {
    if !is_root() {
        return;
    }
    let tree = Tree::new(&[
        "top/a/theirs",
        "top/a/ours",
        "top/b/ours",
        "top/c/d/ours",
        "top/c/e",
    ]);
    chown(tree.path("top/a/theirs"), Some(NOBODY), None).unwrap();
    // Theirs, with a file of ours in it: who owns the folder could have put it there.
    chown(tree.path("top/c/d"), Some(NOBODY), None).unwrap();

    let left = tree.remove();

    assert!(
        matches!(left, Err(NotRemoved::Foreign(_, NOBODY))),
        "{left:?}"
    );
    for (name, stays) in [
        ("top/a/theirs", true),
        ("top/c/d/ours", true),
        ("top/a/ours", false),
        ("top/b", false),
        ("top/c/e", false),
    ] {
        assert_eq!(tree.exists(name), stays, "{name}");
    }
}

#[test]
fn a_top_of_another_user_stays_whatever_it_is() {
    if !is_root() {
        return;
    }
    let (file, folder) = (Tree::new(&["top"]), Tree::new(&["top/ours"]));
    for tree in [&file, &folder] {
        chown(tree.path("top"), Some(NOBODY), None).unwrap();

        let left = tree.remove();

        assert!(
            matches!(left, Err(NotRemoved::Foreign(_, NOBODY))),
            "{left:?}"
        );
    }
    assert!(file.exists("top") && folder.exists("top/ours"));
}

#[test]
fn what_it_stops_at_is_left_for_the_next_time() {
    let names: Vec<String> = (0..1_000).map(|n| format!("top/{n}")).collect();
    let tree = Tree::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let asked = Cell::new(0);
    let twice = || {
        asked.set(asked.get() + 1);
        if asked.get() <= 2 {
            return Ok(());
        }
        Err(Failure::new(Outcome::Terminated, "stopped by SIGTERM"))
    };

    let left = tree.remove_while(twice);

    assert!(matches!(left, Err(NotRemoved::Stopped(_))), "{left:?}");
    let files = fs::read_dir(tree.path("top")).unwrap().count();
    assert!((1..1_000).contains(&files), "{files}");
    tree.remove().unwrap();
    assert!(!tree.exists("top"));
}

#[test]
fn a_time_limit_that_is_over_says_that_the_next_run_goes_on() {
    let in_time = within(Duration::ZERO);

    let failure = in_time().unwrap_err();

    assert!(
        failure.message.contains("the next run continues"),
        "{failure}"
    );
    assert!(within(Duration::from_hours(1))().is_ok());
}

#[test]
fn a_link_is_removed_and_what_it_names_stays() {
    let tree = Tree::new(&["top/", "outside/kept"]);
    symlink(tree.path("outside"), tree.path("top/link")).unwrap();

    tree.remove().unwrap();

    assert!(!tree.exists("top") && tree.exists("outside/kept"));
}

#[test]
fn a_tree_with_more_folders_than_allowed_is_left_to_a_person() {
    let tree = Tree::new(&["top/a/", "top/b/"]);
    let parent = fs::File::open(tree.temp.path()).unwrap();
    let bounds = Bounds {
        folders_max: 1,
        check: &|| Ok(()),
    };

    let left = all(parent.as_fd(), "top", bounds);

    assert!(matches!(left, Err(NotRemoved::TooMany)), "{left:?}");
    assert!(tree.exists("top"));
}

#[test]
fn a_plain_file_and_nothing_at_all_are_removed() {
    let (file, nothing) = (Tree::new(&["top"]), Tree::new(&[]));

    file.remove().unwrap();
    nothing.remove().unwrap();

    assert!(!file.exists("top"));
}
