//! A run's folders are nobody else's to write to, and so are the files that it writes to.

use rustix::fs::{FileType, Stat};

use crate::outcome::{Failure, Outcome};

use super::trust::{Rights, Stranger};
use super::{Doing as _, Folder};

/// Who may write to a folder, besides root and the user that this process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Anybody: it is only looked at, or is somebody else's to check.
    Anybody,
    Nobody,
    /// The members of its group, where it is a set-group-ID folder: `ALLOW_SHARED_OUTPUT=yes`.
    Group,
}

impl Writers {
    /// The mode of a new folder at the most.
    pub(super) const fn folder_mode(self) -> u32 {
        match self {
            Self::Anybody | Self::Nobody => 0o755,
            Self::Group => 0o775,
        }
    }
}

impl Folder {
    /// `Err` (73) when there is a folder of this name that others can write to, or 74 when the disk is at fault. What else
    /// stands there is for who opens it.
    pub fn refuse_strangers_in(&self, name: &str) -> Result<(), Failure> {
        let folder = unless_unusable(self.unchecked(name))?.flatten();
        folder.map_or(Ok(()), |folder| folder.refuse_strangers())
    }

    /// `Err` (73) when others can write to this folder than may.
    pub(super) fn refuse_strangers(&self) -> Result<(), Failure> {
        if self.writers == Writers::Anybody {
            return Ok(());
        }
        let rights = Rights::from(&self.stat()?);
        match rights.stranger() {
            None => Ok(()),
            Some(_) if self.writers == Writers::Group && rights.is_group_folder() => Ok(()),
            Some(stranger) => Err(self.refused_for(stranger, rights)),
        }
    }

    /// Who makes the next run of this folder's owner refuse it; for whoever only looks.
    pub fn stranger_to_its_owner(&self, writers: Writers) -> Option<Stranger> {
        let rights = Rights::from(&self.stat().ok()?);
        let stranger = rights.stranger_to(rights.owner)?;
        let is_allowed = writers == Writers::Group && rights.is_group_folder();
        (!is_allowed).then_some(stranger)
    }

    fn refused_for(&self, stranger: Stranger, rights: Rights) -> Failure {
        let path = self.path.display();
        let cure = stranger.cure();
        let way_on = match stranger {
            Stranger::Everybody(_) if rights.is_sticky() => {
                format!("use a folder of this job's own in it, such as `{path}/orders`")
            }
            Stranger::Owner(_) => {
                format!("run as that user, or give the folder to this one: `{cure} {path}`")
            }
            Stranger::Group(_) if self.writers == Writers::Group => format!(
                "ALLOW_SHARED_OUTPUT=yes needs the set-group-ID bit: `chmod g+s {path}`; or close it to the group: `{cure} {path}`"
            ),
            Stranger::Group(_) => format!(
                "`{cure} {path}`; or trust the group as this user: `chmod g+s {path}` and ALLOW_SHARED_OUTPUT=yes"
            ),
            Stranger::Everybody(_) => format!(
                "check what is in it, then `{cure} {path}`; or use a folder of this job's own in it"
            ),
        };
        let message = format!(
            "host refused the folder `{path}`: {stranger}; nothing in it was changed; {way_on}"
        );
        Failure::new(Outcome::OutputUnusable, message)
    }

    /// The nearest folder above this one in which others can put another folder in its place, or in that of one on the way; for
    /// a warning. Goes by the path, links resolved, as far as this user can see. `Err` (74) when the disk is at fault.
    pub fn exposed_by(&self) -> Result<Option<String>, Failure> {
        Ok(unless_unusable(self.look_above())?.flatten())
    }

    fn look_above(&self) -> Result<Option<String>, Failure> {
        let doing = || format!("look above `{}`", self.path.display());
        let path = std::fs::canonicalize(&self.path).doing(doing)?;
        for above in path.ancestors().skip(1) {
            let rights = Rights::from(&std::fs::symlink_metadata(above).doing(doing)?);
            match rights.stranger() {
                None => {}
                // There, others can neither rename nor remove what is not theirs.
                Some(Stranger::Everybody(_) | Stranger::Group(_)) if rights.is_sticky() => {}
                Some(stranger) => return Ok(Some(format!("`{}`: {stranger}", above.display()))),
            }
        }
        Ok(None)
    }
}

/// `None` where what is looked at is not as it must be: who uses it meets that again.
pub fn unless_unusable<T>(looked: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match looked {
        Ok(seen) => Ok(Some(seen)),
        Err(failure) if failure.outcome == Outcome::OutputUnusable => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// `Err` (73) unless what was opened for writing is a regular file of this user with this one name: what is written to any
/// other may be somebody else's. To be asked before anything is. One that another run replaced since has no name, and is fine.
pub fn refuse_foreign_file(stat: &Stat, shown: &str) -> Result<(), Failure> {
    let rights = Rights::from(stat);
    let why = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        "it is not a regular file".to_owned()
    } else if stat.st_nlink > 1 {
        format!("it has {} names (hard links)", stat.st_nlink)
    } else if rights.is_ours() {
        return Ok(());
    } else {
        format!("it belongs to user {}, not to this one", rights.owner)
    };
    let message = format!(
        "host refused `{shown}`: {why}; nothing was written to it; keep one regular file of this user under that name"
    );
    Err(Failure::new(Outcome::OutputUnusable, message))
}
