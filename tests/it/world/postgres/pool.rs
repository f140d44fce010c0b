//! PgBouncer in front of the server.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use super::{LOOKS_MAX, Server, as_nobody, free_port, is_root, ran, watched};

/// A pool of connections; gone when it is dropped.
pub struct Pool {
    pub port: u16,
    _watchdog: Child,
}

impl Server {
    /// A pool of at most so many connections to each database, each given away for a `session` or a `transaction`.
    pub fn pool(&self, mode: &str, size: u32) -> Pool {
        self.pool_with(mode, size, "")
    }

    /// The same, whose connections are given out in turn.
    pub fn pool_in_turn(&self, size: u32) -> Pool {
        self.pool_with("transaction", size, "server_round_robin = 1\n")
    }

    fn pool_with(&self, mode: &str, size: u32, last_line: &str) -> Pool {
        let folder = tempfile::Builder::new().prefix("tidegate-pool-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let program = folder.join("pgbouncer");
        std::fs::copy(binary(), &program).expect("copy pgbouncer");
        let port = free_port();
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {size}\n{last_line}",
            self.folder.display(),
            self.port,
            folder.join("users").display()
        );
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("write a file of the pool");
            path
        };
        write("users", "\"etl\" \"\"\n");
        let settings = write("pgbouncer.ini", &settings);
        if is_root() {
            ran(Command::new("chown").args(["-R", "nobody"]).arg(&folder));
        }
        let pooler = as_nobody(&program, &[&settings.display().to_string()]);
        let pool = Pool {
            port,
            _watchdog: watched(&folder, &pooler, "TERM"),
        };
        for _ in 0..LOOKS_MAX {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return pool;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(folder.join("log"));
        panic!("no pool: {}", log.unwrap_or_default());
    }
}

fn binary() -> PathBuf {
    let unpacked = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/pgbouncer/usr/sbin/pgbouncer"
    );
    let places = [unpacked, "/usr/sbin/pgbouncer"].map(Path::new);
    let found = places.into_iter().find(|path| path.exists());
    found.expect("pgbouncer: run tests/tools.sh").to_owned()
}
