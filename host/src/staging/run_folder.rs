//! The folder in which a run works before anything is published: what the component writes, what the host writes.

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::folder::{Bounds, Folder, within};
use crate::limits::Limits;
use crate::outcome::Failure;

use crate::folder::lock::Lock;

/// The beginning of every staging folder's name.
pub const PREFIX: &str = ".staging-";
const INPUT: &str = "in";
/// The generation that is being made.
pub const GENERATION: &str = "gen";

/// `.staging-<run id>/{in,gen}`, closed to everybody else; dropped, it is removed with all that is in it.
#[derive(Debug)]
#[must_use = "a staging folder is removed when this is dropped"]
pub struct RunFolder {
    output: Folder,
    name: String,
    root: Folder,
    input: Folder,
    generation: Folder,
    leftover_folders: usize,
    tidy_time: Duration,
}

impl RunFolder {
    /// Makes this run's staging folder. `Err` leaves nothing behind.
    pub fn new(lock: &Lock, file_mode: Option<u32>, limits: &Limits) -> Result<Self, Failure> {
        let output = lock.folder();
        let name = format!("{PREFIX}{}", lock.run_id());
        let root = output.ensure_folder(&name, 0o700)?;
        let made = || {
            let input = root.ensure_folder(INPUT, 0o700)?;
            // Open to readers from the beginning; until it is published its parent shuts them out.
            let generation = root.ensure_folder(GENERATION, 0o777)?;
            generation.allow_readers(file_mode)?;
            Ok((input, generation))
        };
        match made() {
            Ok((input, generation)) => Ok(Self {
                output: output.clone(),
                name,
                input,
                generation,
                root,
                leftover_folders: limits.leftover_folders,
                tidy_time: limits.tidy_time,
            }),
            Err(failure) => {
                // Two folders at the most, both empty.
                let _ = output.remove_all(
                    &name,
                    Bounds {
                        folders_max: limits.leftover_folders,
                        check: &within(limits.tidy_time),
                    },
                );
                Err(failure)
            }
        }
    }

    /// The component's folder, held: its `/out`.
    pub fn input(&self) -> &Folder {
        &self.input
    }

    /// A descriptor of the component's folder for the sandbox to keep.
    pub fn input_descriptor(&self) -> Result<OwnedFd, Failure> {
        self.input.descriptor()
    }

    /// The generation that is being made. The component cannot reach it.
    pub fn generation(&self) -> &Folder {
        &self.generation
    }

    /// Removes `name` in `folder`, as far as a run that ends has the time; the next run removes the rest.
    pub fn tidy(&self, folder: &Folder, name: &str) {
        let bounds = Bounds {
            folders_max: self.leftover_folders,
            check: &within(self.tidy_time),
        };
        let _ = folder.remove_all(name, bounds);
    }

    /// The folder of both, for the host's own temporary files.
    pub fn root(&self) -> &Folder {
        &self.root
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        self.tidy(&self.output, &self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::folder::lock::acquire;
    use crate::sink::files::generation::GENERATIONS;

    #[test]
    fn a_staging_folder_is_private_and_goes_when_it_is_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        let lock = acquire(&folder, "r1").unwrap();

        let staging = RunFolder::new(&lock, None, &Limits::default()).unwrap();

        let path = temp.path().join(".staging-r1");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o700
        );
        std::fs::write(staging.input().path().join("records.ndjson"), "{}\n").unwrap();
        drop(staging);
        assert!(!path.exists());
    }

    #[test]
    fn a_staging_folder_that_takes_too_long_to_remove_is_left_to_the_next_run() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        let lock = acquire(&folder, "r1").unwrap();
        let limits = Limits {
            tidy_time: Duration::ZERO,
            ..Limits::default()
        };

        drop(RunFolder::new(&lock, None, &limits).unwrap());

        assert!(temp.path().join(".staging-r1/in").exists());
        crate::staging::leftovers::sweep_work(
            &lock,
            &Limits::default(),
            &|| Ok(()),
            &crate::log::Log::silent(),
        )
        .unwrap();
        assert!(!temp.path().join(".staging-r1").exists());
    }

    #[test]
    fn output_mode_decides_who_may_enter_a_generation() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        let lock = acquire(&folder, "r1").unwrap();

        folder.prepare_published(GENERATIONS, Some(0o640)).unwrap();
        let staging = RunFolder::new(&lock, Some(0o640), &Limits::default()).unwrap();

        assert_eq!(staging.generation().stat().unwrap().st_mode & 0o777, 0o750);
        assert_eq!(
            folder
                .folder(GENERATIONS)
                .unwrap()
                .unwrap()
                .stat()
                .unwrap()
                .st_mode
                & 0o777,
            0o750
        );
    }
}
