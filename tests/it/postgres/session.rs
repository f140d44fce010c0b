//! A session of somebody else, who is in the way.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::HELD_MAX;
use crate::world::postgres::{Database, server};

/// Somebody else's session that does this until it is dropped.
pub struct Session(Child);

impl Session {
    pub fn holding(database: &Database, statements: &str) -> Self {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-U", "postgres", "-d", &database.name, "-h"])
            .arg(server().folder())
            .args(["-p", &server().port.to_string(), "-c"])
            .arg(format!("BEGIN; {statements}; SELECT pg_sleep(600)"))
            .env("PGAPPNAME", "nightly report")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let session = Self(psql.spawn().expect("start psql"));
        let sleeps = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'nightly report' AND wait_event = 'PgSleep'";
        let asked = Instant::now();
        while database.sql(sleeps) != "1" && asked.elapsed() < HELD_MAX {
            std::thread::sleep(Duration::from_millis(5));
        }
        session
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its statement goes on without it, and ends with the server.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
