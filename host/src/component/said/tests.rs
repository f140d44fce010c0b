//! What becomes of words that are too long, too many, or steer a terminal.

use super::*;
use crate::outcome::Outcome;

fn limits() -> Limits {
    Limits {
        words_bytes: 60,
        words_listed: 2,
        state_bytes: 8,
        description_bytes: 2_000,
        ..Limits::default()
    }
}

fn reported() -> raw::Report {
    raw::Report {
        extent: Extent::Everything,
        state: "{}".to_owned(),
        cursor: None,
        pages: 1,
        fetched: 1,
        staged: 1,
        deleted: 0,
        rejected: 0,
        more: false,
    }
}

fn not_kept(report: raw::Report) -> String {
    let failure = super::report(report, &limits()).unwrap_err();
    assert_eq!(failure.outcome, Outcome::ComponentFailed);
    failure.message
}

#[test]
fn what_is_too_long_to_be_kept_or_cannot_be_true_breaks_the_contract() {
    let cursor = Some("c".repeat(61));
    let state = "\"1234567\"".to_owned();

    assert!(
        not_kept(raw::Report {
            cursor,
            ..reported()
        })
        .contains("a cursor of 61 bytes, and 60 are allowed")
    );
    assert!(
        not_kept(raw::Report {
            state,
            ..reported()
        })
        .contains("a state of 9 bytes, and 8 are allowed")
    );
    assert!(
        not_kept(raw::Report {
            state: "x".to_owned(),
            ..reported()
        })
        .contains("not JSON")
    );
    for (what, report) in [
        (
            "pages",
            raw::Report {
                pages: u64::MAX,
                ..reported()
            },
        ),
        (
            "records fetched",
            raw::Report {
                fetched: u64::MAX,
                ..reported()
            },
        ),
        (
            "records staged",
            raw::Report {
                staged: u64::MAX,
                ..reported()
            },
        ),
        (
            "deletions staged",
            raw::Report {
                deleted: u64::MAX,
                ..reported()
            },
        ),
        (
            "records rejected",
            raw::Report {
                rejected: u64::MAX,
                ..reported()
            },
        ),
    ] {
        assert!(not_kept(report).contains(&format!("it reported 18446744073709551615 {what}")));
    }
}

#[test]
fn a_cursor_is_for_people_and_a_state_is_what_it_was() {
    let report = raw::Report {
        cursor: Some("a \u{1b}[2J".to_owned()),
        state: "\"\u{7f}\"".to_owned(),
        ..reported()
    };

    let taken = super::report(report, &limits()).unwrap();

    assert_eq!(taken.cursor.as_deref(), Some("a \\u001b[2J"));
    assert_eq!(taken.state, "\"\u{7f}\"");
}

#[test]
fn a_failure_is_one_line_and_not_longer_than_it_may_be() {
    let detail = raw::Detail {
        message: "\u{1b}\n".repeat(1_000_000),
        status: None,
        retry_after_seconds: None,
    };

    let taken = failure(raw::Failure::Refused(detail), &Log::silent(), &limits());

    let JobFailure::Refused(detail) = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(
        detail.message,
        "\\u001b \\u001b \\u001b… (cut, 2000000 bytes)"
    );
}

#[test]
fn problems_that_are_too_many_are_counted() {
    let problem = raw::Problem {
        setting: "SOURCE_A".to_owned(),
        message: "x".repeat(100),
    };

    let taken = failure(
        raw::Failure::Settings(vec![problem; 5]),
        &Log::silent(),
        &limits(),
    );

    let JobFailure::Settings(problems) = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(problems.len(), 3);
    assert!(problems[0].message.len() <= 60);
    assert_eq!(problems[2].message, "has 3 more problems with its settings");
}

#[test]
fn what_was_seen_is_short_and_a_value_is_whole_or_not_at_all() {
    let suggestion = |value: &str| sighting::Suggestion {
        name: "SOURCE_A".to_owned(),
        value: value.to_owned(),
        reason: "a\nb".to_owned(),
    };
    let finding = sighting::Finding {
        topic: "records".to_owned(),
        found: "\u{1b}".repeat(100),
    };
    let seen = sighting::Sighting {
        findings: vec![finding; 5],
        first_record: Some("x".repeat(100)),
        next_request: Some("GET \u{202e}".to_owned()),
        suggestions: vec![
            suggestion("x"),
            suggestion("x\nALLOW_HOSTS=y"),
            suggestion("z"),
        ],
        would_fail: Some(raw::Failure::Protocol(raw::Detail {
            message: "x\u{1b}\n".repeat(100),
            status: None,
            retry_after_seconds: None,
        })),
    };

    let taken = sighting(seen, &Log::silent(), &limits());

    assert_eq!(
        (
            taken.findings.len(),
            taken.suggestions.len(),
            taken.left_out
        ),
        (2, 2, 4)
    );
    assert!(taken.findings[0].found.len() <= 60);
    assert_eq!(taken.first_record.unwrap().len(), 40);
    assert_eq!(taken.next_request.as_deref(), Some("GET \\u202e"));
    assert_eq!(taken.suggestions[0].value.as_deref(), Some("x"));
    assert_eq!(taken.suggestions[0].reason, "a b");
    assert_eq!(taken.suggestions[1].value, None);
    let Some(JobFailure::Protocol(detail)) = taken.would_fail else {
        panic!("{:?}", taken.would_fail)
    };
    assert!(detail.message.len() <= 60 && !detail.message.contains('\u{1b}'));
}
