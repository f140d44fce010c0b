//! A run as an ordinary user, where root runs the tests.

use std::os::unix::fs::{PermissionsExt as _, chown};

use super::Job;

/// A user that owns nothing.
pub const NOBODY: u32 = 65_534;
/// Becomes that user; as root alone.
pub const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// Whether root runs these tests, who may read everything and give files away.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Job {
    /// A job that an ordinary user runs.
    pub fn ordinary() -> Self {
        let job = Self::new();
        if !is_root() {
            return job;
        }
        let program = job.beside("tidegate");
        std::fs::copy(env!("CARGO_BIN_EXE_tidegate"), &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(job.beside("."), Some(NOBODY), Some(NOBODY)).unwrap();
        let script = format!(
            "shift; exec {} {} \"$@\"",
            AS_NOBODY.join(" "),
            program.display()
        );
        // The cache of these tests is root's.
        job.launched_by(&script).set("TIDEGATE_CACHE_DIR", "")
    }
}
