//! The gates without our host: nothing implausible is put over a good file, and what was rejected is kept.

use std::fs;
use std::path::Path;

use super::{files, only, run};
use crate::server::{Reply, Server};

/// Five records, of which so many have what [`SCHEMA`] asks for.
fn five(good: usize) -> String {
    let record = |id: usize| match id {
        id if id < good => format!(r#"{{"id":{id}}}"#),
        id => format!(r#"{{"no":{id}}}"#),
    };
    let records: Vec<String> = (0..5).map(record).collect();
    format!("[{}]", records.join(","))
}

const SCHEMA: (&str, &str) = ("SOURCE_SCHEMA", r#"{"required":["id"]}"#);
const LAST: &str = "{\"id\":7}\n{\"id\":8}\n{\"id\":9}";

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn alone_records_that_were_all_rejected_leave_the_good_file_and_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latest.ndjson"), LAST).unwrap();
    let server = Server::start(|_| Reply::new(200, five(0)));

    let ended = run(
        folder.path(),
        &[("SOURCE_API_URL", &server.origin()), SCHEMA],
    );

    ended.exits(65, "5 of 5 records rejected, and `MAX_REJECTED` is 0");
    assert_eq!(names(folder.path()), ["latest.ndjson", "refused.ndjson"]);
    let [(_, latest), (_, refused)] = &files(folder.path())[..] else {
        panic!("two files");
    };
    assert_eq!(latest, LAST);
    assert_eq!(refused.lines().count(), 5);
    assert!(
        refused.contains("\"reason\"") && refused.contains("\"no\":4"),
        "{refused}"
    );
}

#[test]
fn alone_a_few_rejected_records_are_kept_beside_the_file_until_none_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, five(4)));
    let url = server.origin();
    let environment = [("SOURCE_API_URL", &*url), SCHEMA, ("MAX_REJECTED", "20%")];
    fs::write(folder.path().join("refused.ndjson"), "{}\n").unwrap();

    run(folder.path(), &environment)
        .exits(0, "wrote 4 records to latest.ndjson (1 record rejected)");
    assert_eq!(names(folder.path()), ["latest.ndjson", "rejected.ndjson"]);

    server.answer_with(|_| Reply::new(200, five(5)));
    run(folder.path(), &environment).exits(0, "wrote 5 records");
    assert_eq!(names(folder.path()), ["latest.ndjson"]);
}

#[test]
fn alone_a_file_is_not_replaced_by_one_that_is_much_smaller() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latest.ndjson"), LAST).unwrap();
    let server = Server::start(|_| Reply::new(200, r#"[{"id":1}]"#));
    let url = server.origin();
    let environment = [("SOURCE_API_URL", &*url)];

    run(folder.path(), &environment).exits(
        65,
        "2 of 3 records would be gone, and `MAX_SHRINK_PERCENT` is 50",
    );
    assert_eq!(files(folder.path()), only("latest.ndjson", LAST));

    run(
        folder.path(),
        &[environment[0], ("MAX_SHRINK_PERCENT", "100")],
    )
    .exits(0, "wrote 1 record");
    assert_eq!(files(folder.path()), only("latest.ndjson", "{\"id\":1}\n"));
}

#[test]
fn alone_too_few_records_are_refused_also_where_nothing_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, "[]"));
    let url = server.origin();

    let refused = run(
        folder.path(),
        &[("SOURCE_API_URL", &url), ("MIN_RECORDS", "1")],
    );

    refused.exits(65, "there would be 0 records, and `MIN_RECORDS` is 1");
    assert_eq!(files(folder.path()), []);
    run(folder.path(), &[("SOURCE_API_URL", &url)]).exits(0, "wrote 0 records");
}

#[test]
fn alone_appended_records_are_held_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| {
        Reply::new(
            200,
            r#"[{"id":1,"at":"2026-01-01"},{"no":2,"at":"2026-01-02"}]"#,
        )
    });
    let url = server.origin();
    let environment = [
        ("SOURCE_API_URL", &*url),
        ("SOURCE_CURSOR", "/at"),
        ("WRITE_MODE", "append"),
        SCHEMA,
    ];

    run(folder.path(), &environment).exits(65, "1 of 2 records rejected");
    assert_eq!(names(folder.path()), ["refused.ndjson"]);

    let tolerant = [&environment[..], &[("MAX_REJECTED", "1")]].concat();
    run(folder.path(), &tolerant).exits(0, "wrote 1 record to segments/000001.ndjson");
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(text("segments/000001.ndjson").contains("\"id\":1"));
    assert!(text("rejected/000001.ndjson").contains("\"no\":2"));
    assert!(!folder.path().join("refused.ndjson").exists());
}

#[test]
fn alone_a_file_that_cannot_be_counted_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("latest.ndjson")).unwrap();
    let server = Server::start(|_| Reply::new(200, "[]"));

    let ended = run(folder.path(), &[("SOURCE_API_URL", &server.origin())]);

    ended.exits(73, "latest.ndjson");
    assert_eq!(server.seen().len(), 0);
}
