//! A second server that follows the first one.

use std::path::Path;

use super::{Server, as_nobody, free_port, is_root, listening, ran, watched};

impl Server {
    /// A hot standby of this server, with a copy of all its databases; gone when it is dropped.
    pub fn standby(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("tidegate-pg-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        if is_root() {
            ran(std::process::Command::new("chown")
                .arg("nobody")
                .arg(&folder));
        }
        let text = |path: &Path| path.display().to_string();
        let (data, socket) = (text(&folder.join("data")), text(&self.folder));
        let port = self.port.to_string();
        ran(&mut as_nobody(
            &self.bin.join("pg_basebackup"),
            &[
                "-D", &data, "-h", &socket, "-p", &port, "-U", "postgres", "-c", "fast", "-N", "-R",
            ],
        ));
        let port = free_port();
        let started = Self {
            bin: self.bin.clone(),
            port,
            _watchdog: watched(&folder, &listening(&self.bin, &folder, port), "QUIT"),
            folder,
        };
        started.is_up();
        started
    }
}
