//! Who besides this user could change a file or a folder: what its owner and its mode say.
//!
//! Root can change anything, and is no stranger. A POSIX access list needs no look of its own: no entry of it grants more than
//! the group's bits of the mode. A folder's sticky bit keeps others from renaming and removing what is not theirs; they can
//! still create names, so a folder that must hold nothing of theirs is not saved by it.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::Stat;

const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;
const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// The owner, the group and the mode of a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// User id of the owner.
    pub owner: u32,
    pub group: u32,
    /// The mode; the bits of the file type may be in it.
    pub mode: u32,
}

impl From<&Stat> for Rights {
    fn from(stat: &Stat) -> Self {
        Self {
            owner: stat.st_uid,
            group: stat.st_gid,
            mode: stat.st_mode,
        }
    }
}

impl From<&Metadata> for Rights {
    fn from(metadata: &Metadata) -> Self {
        Self {
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode(),
        }
    }
}

/// Somebody who could change it and should not be able to. Displayed, it is a sentence about the file or the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Its owner, who is neither this user nor root.
    Owner(Rights),
    /// Every user of this machine.
    Everybody(Rights),
    /// The members of its group.
    Group(Rights),
}

impl Rights {
    /// Who besides `user` and root could change it; `None` when nobody could.
    pub fn stranger_to(self, user: u32) -> Option<Stranger> {
        if self.owner != user && self.owner != 0 {
            Some(Stranger::Owner(self))
        } else if self.mode & ALL_WRITE != 0 {
            Some(Stranger::Everybody(self))
        } else if self.mode & GROUP_WRITES != 0 {
            Some(Stranger::Group(self))
        } else {
            None
        }
    }

    /// The same for the user that this process runs as.
    pub fn stranger(self) -> Option<Stranger> {
        self.stranger_to(us())
    }

    /// Whether it belongs to the user that this process runs as.
    pub fn is_ours(self) -> bool {
        self.owner == us()
    }

    /// Whether this is a folder that a group was given on purpose: its members may write, nobody else may, and what is made
    /// in it belongs to the group.
    pub fn is_group_folder(self) -> bool {
        self.mode & (SET_GROUP_ID | GROUP_WRITES | ALL_WRITE) == SET_GROUP_ID | GROUP_WRITES
    }

    /// Whether others may create names in this folder, and not touch those that are not theirs: the sticky bit, as on /tmp.
    pub fn is_sticky(self) -> bool {
        self.mode & STICKY != 0
    }
}

impl Stranger {
    /// The options of `chmod` and `chown` that take the right away, to be followed by the path.
    pub fn cure(self) -> String {
        match self {
            Self::Owner(_) => format!("chown {}", us()),
            Self::Everybody(rights) if rights.mode & GROUP_WRITES == 0 => "chmod o-w".to_owned(),
            Self::Everybody(_) => "chmod go-w".to_owned(),
            Self::Group(_) => "chmod g-w".to_owned(),
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(rights) => write!(
                f,
                "it belongs to user {} (mode {:04o}), and this user is {}",
                rights.owner,
                rights.mode & 0o7777,
                us()
            ),
            Self::Everybody(rights) => write!(
                f,
                "every user can write to it (owner {}, mode {:04o})",
                rights.owner,
                rights.mode & 0o7777
            ),
            Self::Group(rights) => write!(
                f,
                "group {} can write to it (owner {}, mode {:04o})",
                rights.group,
                rights.owner,
                rights.mode & 0o7777
            ),
        }
    }
}

/// `Err` says who besides this user and root could change the file or folder, and the command that ends that.
pub fn refuse_strangers(rights: Rights, path: &str) -> Result<(), String> {
    match rights.stranger() {
        None => Ok(()),
        Some(stranger) => Err(format!("{stranger}; `{} {path}`", stranger.cure())),
    }
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u32 = 1000;

    fn rights(owner: u32, mode: u32) -> Rights {
        Rights {
            owner,
            group: 100,
            mode,
        }
    }

    #[test]
    fn what_only_we_and_root_can_write_has_no_stranger() {
        for rights in [
            rights(US, 0o755),
            rights(US, 0o700),
            rights(0, 0o444),
            rights(US, 0o100_644),
        ] {
            assert_eq!(rights.stranger_to(US), None, "{rights:?}");
        }
    }

    #[test]
    fn another_owner_a_group_and_everybody_are_strangers() {
        let foreign = rights(1001, 0o700);
        let group = rights(US, 0o2775);
        let all = rights(0, 0o1777);

        assert_eq!(foreign.stranger_to(US), Some(Stranger::Owner(foreign)));
        assert_eq!(foreign.stranger_to(0), Some(Stranger::Owner(foreign)));
        assert_eq!(group.stranger_to(US), Some(Stranger::Group(group)));
        assert_eq!(all.stranger_to(US), Some(Stranger::Everybody(all)));
    }

    #[test]
    fn a_group_folder_has_the_set_group_id_bit_and_shuts_others_out() {
        assert!(rights(US, 0o042_775).is_group_folder());
        assert!(!rights(US, 0o040_775).is_group_folder());
        assert!(!rights(US, 0o042_777).is_group_folder());
        assert!(!rights(US, 0o042_755).is_group_folder());
    }

    #[test]
    fn the_text_names_owner_mode_and_the_cure() {
        let owner = us();
        let own = |mode| refuse_strangers(rights(owner, mode), "/srv/out");

        assert_eq!(own(0o755), Ok(()));
        assert_eq!(
            own(0o775),
            Err(format!(
                "group 100 can write to it (owner {owner}, mode 0775); `chmod g-w /srv/out`"
            ))
        );
        assert!(own(0o777).unwrap_err().ends_with("`chmod go-w /srv/out`"));
        assert!(own(0o606).unwrap_err().ends_with("`chmod o-w /srv/out`"));
    }
}
