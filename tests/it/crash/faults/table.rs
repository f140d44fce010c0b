//! What a run into a table says of an error is held to what readers see.

use serde_json::Value;

use super::super::scenario::{Content, Scenario};
use crate::world::Printed;

/// Whether it said that nobody knows.
pub fn ends_as_it_says(scenario: &Scenario, printed: &Printed, told: &str) -> bool {
    let is_new = sees_old_or_new(scenario, told);
    let events = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect(line));
    let committed = events
        .filter(|event| event["msg"] == "run finished")
        .map(|event| event["committed"].as_str().unwrap_or_default().to_owned())
        .next();
    match (printed.code, committed.as_deref()) {
        (Some(0), Some("yes") | None) => assert!(is_new, "{told}: told, and not committed"),
        (Some(73 | 74), Some("no")) => assert!(!is_new, "{told}: committed, and not told"),
        (Some(74), Some("unknown")) => return true,
        (Some(73 | 74), None) => {}
        other => panic!("{told}: {other:?}"),
    }
    false
}

/// Whether the new rows are seen.
fn sees_old_or_new(scenario: &Scenario, told: &str) -> bool {
    let view = scenario.view();
    if view == scenario.before {
        return false;
    }
    assert_eq!(
        Content::of(&view).as_ref(),
        Some(&scenario.after),
        "{told}: readers see something else"
    );
    true
}
