//! PostgreSQL as the place where the data goes: one real server for all tests of this binary, a database for each.

/// Rows that go there while the component still runs.
mod ahead;
/// The connection cut at every message of a run.
mod cut;
/// What is there and does not fit.
mod drift;
/// A table that somebody else made, and what its rules do to our rows.
mod given_table;
/// Who we are to the server, who it is to us, and that no password is seen anywhere.
mod identity;
/// Waits for locks of others, and who they are.
mod locked;
/// The connection lost at `COMMIT`, for good or not.
mod lost;
/// What others do while a run fetches.
mod meanwhile;
/// Others on the same server.
mod others;
/// Two machines, one job.
mod pairs;
/// What a server cannot do for a moment is tried again.
mod patience;
/// A pool of connections between runs and the server.
mod pool;
/// Between a run and the server: it counts messages, and cuts.
mod proxy;
/// How runs ended, in `tidegate_runs`, and what `health` makes of it.
mod runs;
/// That the password is nowhere.
mod secret;
/// A session of somebody else.
mod session;
/// What a table holds after a run.
mod table;
/// Records that do not fit, set aside or made to fit by what the text advises.
mod unfit;
/// A server that takes nothing: no connection, no writes, too old.
mod unwilling;

/// What a source says first, and after a change.
const FIRST: &str = r#"[{"id":1,"updated":1,"v":1},{"id":2,"updated":1,"v":1}]"#;
const SECOND: &str = r#"[{"id":2,"updated":2,"v":2},{"id":3,"updated":2,"v":2}]"#;
/// The rows that come of it: id, version and generation.
const OLD: &str = "1|1|1\n2|1|1";
const NEW: &str = "1|1|1\n2|2|2\n3|2|2";
