//! The names of tidegate's own tables, and names as SQL has them.

/// One row a job: its last commit.
pub const STATE_TABLE: &str = "tidegate_state";
/// What the last commit of each job set aside.
pub const REJECTED_TABLE: &str = "tidegate_rejected";
/// What the last append run of each job staged.
pub const REMEMBERED_TABLE: &str = "tidegate_remembered";
/// The manifest of each generation that a job can go back to (OUTPUT_HISTORY).
pub const HISTORY_TABLE: &str = "tidegate_history";
/// The jobs that are held.
pub const HELD_TABLE: &str = "tidegate_held";
/// How the last runs of each job ended.
pub const RUNS_TABLE: &str = "tidegate_runs";

/// A name in quotes: whatever it is, it is a name.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in quotes, with commas between them.
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(quoted).collect();
    quoted.join(", ")
}
