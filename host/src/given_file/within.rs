//! Folders out of which no path leads: what a policy lets a job name.
//!
//! A path is followed to its end, and everything on the way has to be below one of the folders and out of the reach of
//! others, so that nothing can be put in its place before it is opened.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::folder::trust::Rights;

/// The folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Within {
    folders: Vec<PathBuf>,
}

impl Within {
    /// Paths below these folders, or these themselves.
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            folders: folders.into_iter().collect(),
        }
    }

    /// Where a path leads, links followed; its end need not exist. `Err` says why it is none of these folders'.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, String> {
        let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
        if absolute
            .components()
            .any(|part| part == Component::ParentDir)
        {
            return Err("it has `..` in it".to_owned());
        }
        let allowed = self.folders.iter();
        let allowed = allowed.filter_map(|folder| Some((folder, followed(folder).ok()?)));
        let mut why = "it is not below".to_owned();
        for (written, folder) in allowed {
            if !absolute.starts_with(written) && !absolute.starts_with(&folder) {
                continue;
            }
            let end = followed(&absolute)?;
            if !end.starts_with(&folder) {
                "it is a link that leads out of".clone_into(&mut why);
                continue;
            }
            let from = if absolute.starts_with(written) {
                written
            } else {
                &folder
            };
            refuse_reach(&absolute, from)?;
            refuse_reach(&end, &folder)?;
            return Ok(end);
        }
        let folders: Vec<String> = self
            .folders
            .iter()
            .map(|folder| format!("`{}`", folder.display()))
            .collect();
        Err(match folders.as_slice() {
            [] => "no folder is listed".to_owned(),
            folders => format!("{why} {}", folders.join(", ")),
        })
    }

    /// The one of them that is above or below `path`, or the same, links followed.
    pub fn meeting(&self, path: &Path) -> Option<&Path> {
        let forms = |path: &Path| {
            [Some(path.to_owned()), followed(path).ok()]
                .into_iter()
                .flatten()
        };
        let meets = |folder: &&PathBuf| {
            forms(folder).any(|folder| {
                forms(path).any(|path| path.starts_with(&folder) || folder.starts_with(&path))
            })
        };
        self.folders.iter().find(meets).map(PathBuf::as_path)
    }

    /// The folders, for a message.
    pub fn listed(&self) -> String {
        let folders = self.folders.iter();
        let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
        if folders.is_empty() {
            return "none".to_owned();
        }
        folders.join(", ")
    }
}

/// The path without links, of what exists of it.
fn followed(path: &Path) -> Result<PathBuf, String> {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        match fs::canonicalize(above) {
            Ok(end) => return Ok(missing.iter().rev().fold(end, |end, name| end.join(name))),
            // A link to nothing: who makes what it names?
            Err(_) if fs::symlink_metadata(above).is_ok_and(|found| found.is_symlink()) => {
                return Err("it is a link that leads nowhere".to_owned());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                missing.push(above.file_name().unwrap_or_default().to_owned());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("it does not exist".to_owned())
}

/// Refuses a path whose folders, from this one down, others can write to: they could put something else there.
fn refuse_reach(path: &Path, from: &Path) -> Result<(), String> {
    // What is not there yet is made in the first folder above it that is.
    let is_there = |above: &&Path| fs::symlink_metadata(above).is_ok();
    let from = from.ancestors().find(is_there).unwrap_or(from);
    let folders = path
        .ancestors()
        .skip(1)
        .take_while(|above| above.starts_with(from));
    for folder in folders {
        let Ok(found) = fs::metadata(folder) else {
            continue;
        };
        if let Some(stranger) = Rights::from(&found).stranger() {
            return Err(format!(
                "others can write to the folder `{}` on its way: {stranger}; use `{} {}`",
                folder.display(),
                stranger.cure(),
                folder.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct World {
        folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["acme", "acme/sub", "other"] {
                fs::create_dir(folder.path().join(name)).unwrap();
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(folder.path().join(name), mode).unwrap();
            }
            for name in ["acme/key", "acme/sub/key", "other/key"] {
                fs::write(folder.path().join(name), "k").unwrap();
            }
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.folder.path()).unwrap().join(name)
        }

        fn resolve(&self, name: &str) -> Result<PathBuf, String> {
            Within::new([self.path("acme")]).resolve(&self.path(name))
        }
    }

    #[test]
    fn a_path_below_is_followed_and_may_be_missing() {
        let world = World::new();
        symlink("sub/key", world.path("acme/link")).unwrap();

        assert_eq!(world.resolve("acme/link"), Ok(world.path("acme/sub/key")));
        assert_eq!(world.resolve("acme"), Ok(world.path("acme")));
        assert_eq!(
            world.resolve("acme/new/deep"),
            Ok(world.path("acme/new/deep"))
        );
    }

    #[test]
    fn no_path_leads_out() {
        let world = World::new();
        symlink(world.path("other/key"), world.path("acme/link")).unwrap();
        symlink(world.path("other"), world.path("acme/folder")).unwrap();
        symlink(world.path("other/nothing"), world.path("acme/dangling")).unwrap();

        for (name, why) in [
            ("other/key", "not below"),
            ("acme-2/key", "not below"),
            ("acme/../other/key", "`..`"),
            ("acme/link", "leads out"),
            ("acme/folder/key", "leads out"),
            ("acme/folder/new", "leads out"),
            ("acme/dangling", "leads nowhere"),
        ] {
            let refused = world.resolve(name).unwrap_err();
            assert!(refused.contains(why), "{name}: {refused}");
        }
        assert!(Within::default().resolve(&world.path("acme/key")).is_err());
    }

    #[test]
    fn a_folder_that_is_to_be_made_is_out_of_the_reach_of_others() {
        let world = World::new();
        let within = Within::new([world.path("acme/sub/new")]);
        let path = world.path("acme/sub/new/orders");
        assert_eq!(within.resolve(&path), Ok(path.clone()));
        let all = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(world.path("acme/sub"), all).unwrap();

        let refused = within.resolve(&path).unwrap_err();

        assert!(refused.contains("others can write"), "{refused}");
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_no_way() {
        let world = World::new();
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(world.path("acme/sub"), all).unwrap();

        let refused = world.resolve("acme/sub/key").unwrap_err();

        assert!(
            refused.contains("others can write to the folder"),
            "{refused}"
        );
        assert!(world.resolve("acme/key").is_ok());
        // Whether the last folder itself may be used, who opens it says.
        assert!(world.resolve("acme/sub").is_ok());
    }
}
