//! A pooler between us and the server that gives each transaction another connection (PgBouncer's `pool_mode=transaction`).
//!
//! A session lock then stays with some connection. Poolers are detected before the lock is requested; behind one
//! the row of the last commit alone keeps runs apart.

use std::time::Duration;

use serde_json::json;

use crate::process::stop::Check;

use super::connect::{Session, Way};
use super::wait::{Trouble, wait};

/// A connection that is older than ours was made for somebody else; clocks of one server run alike.
const SLACK: Duration = Duration::from_secs(1);
/// One of a pool that is used up is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where connections are given out in turn, one of so many queries meets another one.
const QUERIES: u32 = 8;
const WHICH: &str = "SELECT pg_backend_pid()";

impl Way<'_> {
    /// Whether each transaction of `session` may have another connection. Where nobody can say, it has one.
    pub fn shares_connections(&self, session: &Session, check: Option<Check<'_>>) -> bool {
        let is_shared = session.age > session.took + SLACK && self.is_moved(session, check);
        if is_shared {
            self.log.warn(
                "pooler gives each transaction another connection, run lock not used",
                json!({
                    "database": self.address.to_string(),
                    "what": "the row in `tidegate_state` alone keeps runs apart; connect directly, or with `pool_mode=session`",
                }),
            );
        }
        is_shared
    }

    /// Whether a second session meets the connection of the first, or the first another one while the second is in a transaction.
    fn is_moved(&self, session: &Session, check: Option<Check<'_>>) -> bool {
        let Ok(other) = self.connect(check) else {
            return false;
        };
        // A connection that both have is nobody's own. Where a pool is busy, it may be the only one that is free.
        let is_ours = |pid| pid == session.backend.pid;
        if meets(&other, is_ours, check) == Some(true) {
            return true;
        }
        let begun = wait(check, PATIENCE, other.client.batch_execute("BEGIN"));
        let is_moved = begun.is_ok()
            && (pid(&other, check).is_ok_and(is_ours)
                // It has answered before: now it waits for a connection of a pool that is used up.
                || meets(session, |pid| !is_ours(pid), check).unwrap_or(true));
        // Then whoever waited goes on.
        let _ = wait(None, PATIENCE, other.client.batch_execute("ROLLBACK"));
        is_moved
    }
}

/// Whether one of a few queries of this session is answered by such a connection; `None`: one was not answered.
fn meets(
    session: &Session,
    is_such: impl Fn(i32) -> bool,
    check: Option<Check<'_>>,
) -> Option<bool> {
    for _ in 0..QUERIES {
        if is_such(pid(session, check).ok()?) {
            return Some(true);
        }
    }
    Some(false)
}

fn pid(session: &Session, check: Option<Check<'_>>) -> Result<i32, Trouble> {
    wait(check, PATIENCE, async {
        let row = session.client.query_typed_one(WHICH, &[]).await?;
        row.try_get(0)
    })
}
