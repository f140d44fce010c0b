//! What `health` answers, and with which exit code.

use jiff::SignedDuration;

use super::*;
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Extent::Everything;
use crate::sink::tests::world::{Left, World};

const DAY: Ages = Ages {
    success: Duration::from_hours(24),
    cursor: None,
};

fn published() -> World {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);
    world
        .run(Everything, &Left::records("{\"v\":1}\n"))
        .unwrap();
    world
}

fn asked(world: &World, minutes_later: i64, verify: bool) -> HealthReport {
    let now = Timestamp::now() + SignedDuration::from_mins(minutes_later);
    health_at(now, &world.path(""), DAY, verify, &world.limits)
}

fn last_run(world: &World, exit_code: u8, minutes_later: i64) {
    let run = LastRun {
        finished: format!(
            "{:.3}",
            Timestamp::now() + SignedDuration::from_mins(minutes_later)
        ),
        exit_code,
        outcome: "try_later".into(),
        message: Some("no \u{1b}[31mconnection".into()),
        ..LastRun::default()
    };
    last_run::write(&world.folder(), "r", &run).unwrap();
}

#[test]
fn data_of_today_is_fresh() {
    let world = published();
    last_run(&world, 0, 0);

    let report = asked(&world, 120, false);

    assert_eq!((report.status, report.exit_code()), (Status::Fresh, 0));
    assert!(
        report.text().starts_with("fresh: published: 1 record of "),
        "{}",
        report.text()
    );
    assert!(
        report.text().contains("(2h ago, generation 000001-"),
        "{}",
        report.text()
    );
    assert!(report.text().ends_with(", cursor c)"), "{}", report.text());
}

#[test]
fn data_older_than_max_age_is_stale_and_still_there() {
    let report = asked(&published(), 25 * 60, false);

    assert_eq!((report.status, report.exit_code()), (Status::Stale, 1));
    assert!(
        report.text().contains(
            "the last success is 25h old, and MAX_AGE is 1d; last published: 1 record of"
        ),
        "{}",
        report.text()
    );
}

/// The health, two hours after a success whose cursor was this.
fn asked_of_cursor(cursor: &str, most_hours: u64) -> HealthReport {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);
    world.cursor = Some(cursor.to_owned());
    world
        .run(Everything, &Left::records("{\"v\":1}\n"))
        .unwrap();
    let most = Ages {
        cursor: Some(Duration::from_hours(most_hours)),
        ..DAY
    };
    let now = Timestamp::now() + SignedDuration::from_hours(2);
    health_at(now, &world.path(""), most, false, &world.limits)
}

#[test]
fn a_newest_record_older_than_max_cursor_age_is_stale_although_the_run_went_well() {
    let cursor = (Timestamp::now() - SignedDuration::from_hours(1)).to_string();

    let (fresh, stale) = (asked_of_cursor(&cursor, 4), asked_of_cursor(&cursor, 2));

    assert_eq!((fresh.exit_code(), stale.exit_code()), (0, 1));
    assert!(
        stale
            .text()
            .contains("the newest record is 3h old, and MAX_CURSOR_AGE is 2h; last published"),
        "{}",
        stale.text()
    );
    let value: Value = serde_json::from_str(&fresh.json()).unwrap();
    let seconds = value["generation"]["cursor_age_seconds"].as_u64().unwrap();
    assert!((10_800..10_830).contains(&seconds), "{seconds}");
}

#[test]
fn a_cursor_that_is_no_time_or_of_the_future_is_unknown() {
    let (no_time, future) = (
        asked_of_cursor("page-7", 4),
        asked_of_cursor("2999-01-01", 4),
    );

    assert_eq!((no_time.exit_code(), future.exit_code()), (2, 2));
    assert!(
        no_time
            .text()
            .contains("the cursor `page-7` is not a time, so MAX_CURSOR_AGE cannot be judged"),
        "{}",
        no_time.text()
    );
    assert!(
        future.text().contains("is in the future"),
        "{}",
        future.text()
    );
}

#[test]
fn a_failed_last_run_is_stale_whatever_the_cursor_is() {
    let world = published();
    last_run(&world, 75, 1);
    let most = Ages {
        cursor: Some(Duration::from_hours(1)),
        ..DAY
    };

    let report = health_at(
        Timestamp::now() + SignedDuration::from_mins(2),
        &world.path(""),
        most,
        false,
        &world.limits,
    );

    assert_eq!(report.exit_code(), 1);
    assert!(report.text().contains("is not a time"), "{}", report.text());
}

#[test]
fn a_failed_last_run_is_stale_and_and_says_why_on_one_clean_line() {
    let world = published();
    last_run(&world, 75, 1);

    let report = asked(&world, 2, false);

    assert_eq!(report.exit_code(), 1);
    assert!(
        report.text().contains(
            "failed with exit code 75 (try_later): no \\u001b[31mconnection; last published"
        ),
        "{}",
        report.text()
    );
}

#[test]
fn a_failure_that_a_later_commit_overtook_is_over() {
    let world = published();
    last_run(&world, 75, -1);

    assert_eq!(asked(&world, 2, false).status, Status::Fresh);
}

#[test]
fn before_the_first_run_nothing_is_known() {
    let world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);

    let empty = asked(&world, 0, false);
    let missing = health_at(
        Timestamp::now(),
        &world.path("nowhere"),
        DAY,
        false,
        &world.limits,
    );

    assert_eq!((empty.exit_code(), missing.exit_code()), (2, 2));
    assert!(
        empty.text().contains("nothing was published yet"),
        "{}",
        empty.text()
    );
    assert!(
        missing.text().contains("does not exist"),
        "{}",
        missing.text()
    );
}

#[test]
fn a_first_run_that_failed_is_a_failure() {
    let world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);
    last_run(&world, 77, 0);

    assert_eq!(asked(&world, 0, false).exit_code(), 1);
}

#[test]
fn a_record_from_the_future_makes_it_unknown() {
    let world = published();

    assert_eq!(asked(&world, -4, false).exit_code(), 0);
    assert_eq!(asked(&world, -6, false).exit_code(), 2);
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let torn_manifest = published();
    std::fs::write(torn_manifest.path("current/manifest.json"), "{").unwrap();
    let torn_run = published();
    std::fs::write(torn_run.path("last-run.json"), "{").unwrap();

    assert_eq!(asked(&torn_manifest, 0, false).exit_code(), 2);
    assert_eq!(asked(&torn_run, 0, false).exit_code(), 2);
}

#[test]
fn verify_finds_a_changed_byte_and_nothing_less_does() {
    let world = published();
    let intact = asked(&world, 0, true);
    std::fs::write(world.path("latest.json"), "[\n{\"v\":7}\n]\n").unwrap();

    let verified = asked(&world, 0, true);

    assert_eq!(intact.exit_code(), 0);
    assert_eq!(asked(&world, 0, false).exit_code(), 0);
    assert_eq!(verified.exit_code(), 1);
    assert!(
        verified
            .text()
            .contains("its checksum is not the published one"),
        "{}",
        verified.text()
    );
}

#[test]
fn the_json_has_what_the_text_has() {
    let value: Value = serde_json::from_str(&asked(&published(), 1, false).json()).unwrap();

    assert_eq!(value["status"], "fresh");
    assert_eq!(value["exit_code"], 0);
    assert_eq!(value["generation"]["records"], 1);
    assert!((60..70).contains(&value["generation"]["age_seconds"].as_u64().unwrap()));
}
