//! Staging: the run's own folder below `OUTPUT_DIR`, and what was staged there, read.

pub mod following;
pub mod leftovers;
pub mod lines;
pub mod read;
pub mod rejection;
pub mod run_folder;
