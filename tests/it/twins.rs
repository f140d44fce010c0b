//! A source that changes the JSON type of its keys, 7 and later "7": no record is published twice, and no deletion is lost.

use tidegate::outcome::Outcome;

use crate::world::{Job, Place};

const FIRST: &str = r#"[{"id":7,"updated":1},{"id":8,"updated":1},{"id":9,"updated":1}]"#;

fn published(place: Place) -> Job {
    let mut job = Job::upsert()
        .at(place)
        .set("SOURCE_DELETED", "/gone")
        .set("MAX_DELETE_PERCENT", "100")
        .page(200, FIRST);
    job.start().ends_unchecked().exits(0);
    job
}

fn twice(place: Place) {
    let change = r#"[{"id":"7","updated":2}]"#;
    let mut job = published(place).page(200, change);
    let before = job.view();

    let refused = job.start().ends_unchecked();
    refused
        .exits(i32::from(Outcome::GateRefused.exit_code()))
        .stderr_has("the key `7` occurs as a number and as a string")
        .stderr_has("--full-refresh");
    assert_eq!(job.view().records(), before.records());

    // A deletion that would meet no record.
    let mut job = job.page(200, r#"[{"id":"8","updated":2,"gone":true}]"#);
    let refused = job.start().ends_unchecked();
    refused.exits(i32::from(Outcome::GateRefused.exit_code()));
    assert_eq!(job.view().records(), before.records());

    // Where the old one goes in the same run there is one afterwards.
    let moved = r#"[{"id":"7","updated":2},{"id":7,"updated":2,"gone":true}]"#;
    let mut job = job.page(200, moved);
    job.start().ends_unchecked().exits(0);
    assert_eq!(job.view().records().len(), 3);

    // Both are right, says somebody who knows.
    let mut job =
        { job.args(["--accept-change", "PRIMARY_KEY"]) }.page(200, r#"[{"id":7,"updated":3}]"#);
    job.start().ends_unchecked().exits(0);
    assert_eq!(job.view().records().len(), 4);
    let mut job = {
        job.without_arg("--accept-change")
            .without_arg("PRIMARY_KEY")
    }
    .page(200, r#"[{"id":7,"updated":4}]"#);
    job.start().ends_unchecked().exits(0);
    assert_eq!(job.view().records().len(), 4);

    // All of them anew is no merge.
    let mut job = { job.args(["--full-refresh"]) }.page(
        200,
        r#"[{"id":"7","updated":4},{"id":"8","updated":4},{"id":"9","updated":4}]"#,
    );
    job.start().ends_unchecked().exits(0);
    assert_eq!(job.view().records().len(), 3);
}

#[test]
fn a_key_whose_type_changes_is_not_published_twice_in_files() {
    twice(Place::Json);
}

#[test]
fn a_key_whose_type_changes_is_not_published_twice_in_a_table() {
    twice(Place::Sqlite);
}
