//! Behaviours in the words a component says: too long, too many, false, or made to steer a terminal.

use crate::bindings::exports::tidegate::sync::job::{
    Description, Extent, Failure, Problem, Report, Request, Setting, Staging,
};
use crate::bindings::exports::tidegate::sync::probe::{Finding, Sighting, Suggestion};
use crate::said::say;
use crate::staged::{folder, put};
use crate::{Ending, detail, everything, setting};

const ONE: &[u8] = b"{\"id\":1}\n";
const HUGE: usize = 2_000_000;
const LINES: u32 = 10_000;
const LINE_BYTES: usize = 4_095;
const PROBLEMS: usize = 2_000;
/// Portions of a job that uses up what is for the whole run.
const PORTIONS: u64 = 12;
/// The same of one that spends time of the processor: so many turns of a loop in each, some 50 ms.
const TURNS: u64 = 50_000_000;
const SPENDING_PORTIONS: u64 = 200;
/// One of each class of what is not to be seen: control characters, directions, separators, no width, tags.
const STEERING: &str = "\u{1b}[2J\u{7}\r\n\u{7f}\u{9b}31m\u{ad}\u{61c}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}\u{feff}\u{e0041}";
/// A setting that widens a grant, on a line of its own.
const INJECTED: &str = "\nALLOW_PRIVATE_NETWORKS=yes\n";

/// Does it, if it is one of these.
pub fn run(behaviour: &str, request: &Request) -> Option<Ending> {
    let portion = request
        .state
        .as_ref()
        .and_then(|state| state.parse().ok())
        .map_or(1, |last: u64| last + 1);
    let one = everything(1);
    let report = match behaviour {
        "huge-cursor" => Report {
            cursor: Some("c".repeat(HUGE)),
            ..one
        },
        "steering-state" => Report {
            cursor: Some(STEERING.repeat(50)),
            state: format!("\"{}\"", "\u{7f}\u{feff}\u{e0041}".repeat(7_000)),
            ..one
        },
        "huge-counts" => Report {
            pages: u64::MAX,
            fetched: u64::MAX,
            ..one
        },
        "large-counts" => in_portions(
            portion,
            2,
            Report {
                fetched: 8_000_000_000,
                pages: 50_000,
                ..one
            },
        ),
        "huge-error" => return Some(Err(Failure::Refused(detail(&STEERING.repeat(HUGE / 40))))),
        "huge-problems" => return Some(Err(Failure::Settings(problems()))),
        "huge-reason" => {
            let reason = "r".repeat(HUGE);
            let line = format!("{{\"reason\":\"{reason}\",\"pointer\":\"/0\",\"record\":{{}}}}\n");
            put(&folder(), "rejected.ndjson", line.as_bytes(), 1);
            Report { rejected: 1, ..one }
        }
        "log-escapes" => {
            let line = "\u{1b}".repeat(LINE_BYTES) + "\n";
            (0..LINES).for_each(|_| say(&line));
            one
        }
        "log-in-portions" => {
            (0..LINES / 2).for_each(|number| say(&format!("{portion} {number}\n")));
            in_portions(portion, PORTIONS, one)
        }
        "spend-in-portions" => {
            (0..TURNS).for_each(|turn| drop(std::hint::black_box(turn)));
            in_portions(portion, SPENDING_PORTIONS, one)
        }
        "stage-steering" => {
            put(
                &folder(),
                "records.ndjson",
                format!(
                    "{{\"id\":1,\"name\":\"{}\"}}\n",
                    STEERING.replace(char::is_control, "")
                )
                .as_bytes(),
                1,
            );
            return Some(Ok(one));
        }
        _ => return None,
    };
    put(&folder(), "records.ndjson", ONE, 1);
    Some(Ok(report))
}

fn in_portions(portion: u64, portions: u64, report: Report) -> Report {
    Report {
        extent: if portion == 1 {
            Extent::Everything
        } else {
            Extent::Changes
        },
        state: portion.to_string(),
        more: portion < portions,
        ..report
    }
}

fn problems() -> Vec<Problem> {
    let problem = |number| Problem {
        setting: format!("SOURCE_{number}{STEERING}"),
        message: "x".repeat(1_000),
    };
    (0..PROBLEMS).map(problem).collect()
}

/// Changes what the component says it is, if the word is one of these.
pub fn describe(word: &str, description: &mut Description) {
    let own = |name: &str| Setting {
        name: name.to_owned(),
        doc: format!("One{INJECTED}two{STEERING}|<b>`"),
        required: true,
        secret: false,
        shapes_records: false,
        stages: Staging::empty(),
        default: None,
        example: Some("a #b".to_owned()),
    };
    match word {
        "escapes" => {
            description.name = format!("mis{STEERING}");
            description.version = STEERING.to_owned();
            description.summary = format!("one{INJECTED}two{STEERING}");
            description
                .settings
                .extend(["SOURCE_TRAP", "OWN_TRAP", "ALLOW_HOSTS"].map(own));
        }
        "newline" => description.settings.push(Setting {
            example: Some(format!("x{INJECTED}")),
            ..own("SOURCE_TRAP")
        }),
        "huge" => description.summary = "s".repeat(HUGE),
        _ => {}
    }
}

/// What the component claims to have seen.
pub fn look() -> Sighting {
    let suggestion = |name: &str, value: &str| Suggestion {
        name: name.to_owned(),
        value: value.to_owned(),
        reason: format!("why{INJECTED}not{STEERING}"),
    };
    let finding = |number| Finding {
        topic: format!("topic {number}{STEERING}"),
        found: format!("found{INJECTED}{STEERING}"),
    };
    Sighting {
        findings: (0..PROBLEMS).map(finding).collect(),
        first_record: Some(STEERING.repeat(HUGE / 40)),
        next_request: Some(format!("GET {STEERING}")),
        suggestions: vec![
            suggestion("ALLOW_PRIVATE_NETWORKS", "yes"),
            suggestion("SOURCE_API_URL", "http://127.0.0.1/"),
            suggestion("SOURCE_API_KEY", "k"),
            suggestion("SOURCE_PARENT", &format!("/x{INJECTED}")),
            suggestion(&format!("SOURCE_ASK=x{INJECTED}"), "y"),
            suggestion(&setting("SOURCE_STAGE_CURSOR"), "/updated #1"),
        ],
        would_fail: None,
    }
}
