//! Staging: the run's own folder below `OUTPUT_DIR`, the lock that makes it the only one, and what was staged there, read.

pub mod lines;
pub mod read;
pub mod rejection;
pub mod run_folder;
