//! Behaviours in portions: one record each, and what is said of there being more.

use crate::bindings::exports::tidegate::sync::job::{Extent, Report, Request};
use crate::staged::{folder, put};
use crate::{Ending, everything};

/// Portions of a job that has an end.
const PORTIONS: u64 = 3;

/// Does it, if it is one of these.
pub fn run(behaviour: &str, request: &Request) -> Option<Ending> {
    let portion = request
        .state
        .as_ref()
        .and_then(|state| state.parse().ok())
        .map_or(1, |last: u64| last + 1);
    let (state, more) = match behaviour {
        "portions" => (portion, portion < PORTIONS),
        "portions-that-fail" if portion == PORTIONS => {
            return Some(Err(crate::said::failed("unavailable", "told to fail")?));
        }
        "portions-that-fail" | "portions-without-end" => (portion, true),
        "fill-in-portions" => {
            crate::filed::fill_some();
            (portion, portion < PORTIONS)
        }
        "portions-that-stand-still" => (1, true),
        _ => return None,
    };
    let record = format!("{{\"id\":{portion},\"full\":{}}}\n", request.full_refresh);
    put(&folder(), "records.ndjson", record.as_bytes(), 1);
    Some(Ok(Report {
        extent: if portion == 1 {
            Extent::Everything
        } else {
            Extent::Changes
        },
        state: state.to_string(),
        more,
        ..everything(1)
    }))
}
