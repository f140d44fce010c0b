//! WRITE_MODE=append without our host: segments, and a state that commits them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ended, files, run};
use crate::server::{Reply, Server};

/// A source of events, one a day; as many as are known so far.
struct Events {
    server: Server,
    known: Arc<AtomicU64>,
    folder: TempDir,
}

impl Events {
    fn known(known: u64) -> Self {
        let known = Arc::new(AtomicU64::new(known));
        let asked = Arc::clone(&known);
        let server = Server::start(move |request| {
            let since = request.query("since").unwrap_or_default();
            let events =
                (1..=asked.load(Ordering::SeqCst)).map(|id| json!({"id": id, "at": day(id)}));
            let events: Vec<Value> = events
                .filter(|event| event["at"].as_str() >= Some(&since))
                .collect();
            Reply::new(200, Value::from(events).to_string())
        });
        Self {
            server,
            known,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One run, once so many are known.
    fn run(&self, known: u64) -> Ended {
        self.known.store(known, Ordering::SeqCst);
        let url = format!("{}/events?limit=9", self.server.origin());
        let env = [
            ("SOURCE_API_URL", url.as_str()),
            ("SOURCE_CURSOR", "/at"),
            ("SOURCE_CURSOR_TO", "since"),
            ("SOURCE_LOOKBACK", "0"),
            ("WRITE_MODE", "append"),
        ];
        run(self.folder(), &env)
    }

    /// The ids in a segment.
    fn segment(&self, number: u64) -> Vec<u64> {
        let path = self.folder().join(format!("segments/{number:06}.ndjson"));
        let text = fs::read_to_string(path).unwrap();
        let id = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_u64()
                .unwrap()
        };
        text.lines().map(id).collect()
    }

    /// The number that `state.json` commits.
    fn committed(&self) -> u64 {
        let text = fs::read(self.folder().join("state.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["segment"]
            .as_u64()
            .unwrap()
    }
}

fn day(id: u64) -> String {
    format!("2026-01-{id:02}T00:00:00Z")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn alone_each_run_appends_what_is_new_and_goes_on_there() {
    let events = Events::known(2);

    assert!(events.run(2).ok);
    let second = events.run(4);

    assert!(second.ok, "{}", second.log);
    assert!(
        second
            .log
            .contains("wrote 3 records to segments/000002.ndjson"),
        "{}",
        second.log
    );
    assert_eq!(events.segment(1), [1, 2]);
    // The cursor is asked for again, itself included.
    assert_eq!(events.segment(2), [2, 3, 4]);
    assert_eq!(events.committed(), 2);
    assert_eq!(names(events.folder()), ["segments", "state.json"]);
    let seen = events.server.seen();
    assert_eq!(seen[0].query("since"), None);
    assert_eq!(seen[1].query("since").as_deref(), Some(&*day(2)));
}

#[test]
fn alone_a_run_that_fails_appends_nothing() {
    let events = Events::known(2);
    assert!(events.run(2).ok);
    let before = fs::read(events.folder().join("state.json")).unwrap();
    events.server.answer_with(|_| Reply::new(404, "{}"));

    let failed = events.run(4);

    assert!(!failed.ok && failed.log.contains("404"), "{}", failed.log);
    assert_eq!(
        fs::read(events.folder().join("state.json")).unwrap(),
        before
    );
    assert_eq!(names(&events.folder().join("segments")), ["000001.ndjson"]);
    assert_eq!(names(events.folder()), ["segments", "state.json"]);
}

#[test]
fn alone_a_segment_that_was_never_committed_is_made_anew() {
    let events = Events::known(2);
    assert!(events.run(2).ok);
    let before = fs::read(events.folder().join("state.json")).unwrap();
    assert!(events.run(4).ok);
    // As a power cut between the two renames leaves it.
    fs::write(events.folder().join("state.json"), before).unwrap();

    let again = events.run(5);

    assert!(again.ok, "{}", again.log);
    assert_eq!(events.segment(2), [2, 3, 4, 5]);
    assert_eq!(events.committed(), 2);
}

#[test]
fn alone_a_segment_that_gets_no_name_is_not_committed() {
    let events = Events::known(2);
    fs::write(events.folder().join("segments"), "a file").unwrap();

    let failed = events.run(2);

    assert!(!failed.ok, "{}", failed.log);
    assert!(
        failed
            .log
            .contains("exit 74: cannot rename `.latest.ndjson.part`"),
        "{}",
        failed.log
    );
    assert_eq!(files(events.folder()), super::only("segments", "a file"));
}

#[test]
fn alone_the_state_of_something_else_is_refused_and_stays() {
    let events = Events::known(2);
    let theirs = r#"{"last_sync": "2026-01-01T00:00:00Z"}"#;
    fs::write(events.folder().join("state.json"), theirs).unwrap();

    let refused = events.run(2);

    assert!(!refused.ok);
    assert!(
        refused
            .log
            .contains("exit 73: `state.json` was not written by this component: to fetch everything again, move it away"),
        "{}",
        refused.log
    );
    assert_eq!(files(events.folder()), super::only("state.json", theirs));
    assert_eq!(events.server.seen().len(), 0);
}

#[test]
fn alone_another_mode_fetches_everything_and_looks_at_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, super::TWO));
    // Not even that it is no file.
    fs::create_dir(folder.path().join("state.json")).unwrap();

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &*server.origin()),
            ("PRIMARY_KEY", "/id"),
            ("WRITE_MODE", "upsert"),
        ],
    );

    assert!(ended.ok, "{}", ended.log);
    let latest = fs::read_to_string(folder.path().join("latest.ndjson"));
    assert_eq!(latest.unwrap(), super::TWO_LINES);
}
