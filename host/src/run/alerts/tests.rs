use jiff::{SignedDuration, Timestamp};

use super::*;

/// Runs at these minutes, each of which failed or did not; what was said of each, and sent.
fn said(runs: &[(i64, bool)], after: &str, repeat: Duration) -> Vec<Option<Event>> {
    let mut state = None;
    let mut said = Vec::new();
    for (minute, has_failed) in runs {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(*minute);
        let (started, finished) = (
            at.to_string(),
            (at + SignedDuration::from_secs(1)).to_string(),
        );
        let run = Counted {
            has_failed: *has_failed,
            started: &started,
            finished: &finished,
        };
        let after = After::parse(after).unwrap();
        let (next, event) = Failing::next(state.as_ref(), &run, after, repeat);
        state = next.filter(|_| event != Some(Event::Recovered));
        if let (Some(Event::Failing), Some(state)) = (event, &mut state) {
            state.alerted = Some(finished);
        }
        said.push(event);
    }
    said
}

const DAY: Duration = Duration::from_hours(24);
const F: Option<Event> = Some(Event::Failing);
const R: Option<Event> = Some(Event::Recovered);

#[test]
fn the_first_failure_is_said_once_and_so_is_the_recovery() {
    let runs = [(0, true), (5, true), (10, false), (15, false), (20, true)];

    assert_eq!(said(&runs, "1", DAY), [F, None, R, None, F]);
}

#[test]
fn fewer_failures_than_asked_for_are_never_heard_of() {
    let runs = [(0, true), (5, true), (10, false), (15, true), (20, true)];
    let third = [(25, true), (30, true), (35, false)];

    assert_eq!(said(&runs, "3", DAY), [None; 5]);
    let all = [&runs[..], &third].concat();
    assert_eq!(
        said(&all, "3", DAY),
        [None, None, None, None, None, F, None, R]
    );
}

#[test]
fn failures_can_be_measured_from_the_first_one() {
    let runs = [(0, true), (29, true), (30, true), (31, true)];

    assert_eq!(said(&runs, "30m", DAY), [None, None, F, None]);
}

#[test]
fn what_goes_on_is_said_again_after_a_time() {
    let runs = [(0, true), (50, true), (60, true), (61, true), (120, true)];

    let hourly = Duration::from_hours(1);
    assert_eq!(said(&runs, "1", hourly), [F, None, F, None, F]);
}

#[test]
fn a_clock_that_was_set_back_silences_nothing() {
    let runs = [(1_000, true), (0, true), (5, true)];

    assert_eq!(said(&runs, "1", DAY), [F, F, None]);
}

#[test]
fn a_recovery_that_nobody_took_is_said_again() {
    let failing = Failing {
        failures: 2,
        since: "1970-01-01T00:00:00Z".to_owned(),
        alerted: Some("1970-01-01T00:00:01Z".to_owned()),
        is_over: false,
    };
    let run = |has_failed| Counted {
        has_failed,
        started: "1970-01-01T01:00:00Z",
        finished: "1970-01-01T01:00:01Z",
    };
    let after = After::Failures(1);

    let (over, first) = Failing::next(Some(&failing), &run(false), after, DAY);
    let (_, again) = Failing::next(over.as_ref(), &run(false), after, DAY);
    let (anew, silent) = Failing::next(over.as_ref(), &run(true), after, DAY);

    assert_eq!((first, again, silent), (R, R, None));
    assert_eq!(over.unwrap().failures, 2);
    assert_eq!(anew.unwrap().failures, 1);
}
