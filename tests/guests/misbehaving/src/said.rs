//! Behaviours in what the component says: reports that are not true, failures, and the log.

use crate::bindings::exports::tidegate::sync::job::{Extent, Failure, Problem, Report};
use crate::bindings::wasi::cli::stderr;
use crate::staged::{folder, put};
use crate::{Ending, detail, everything};

const ONE: &[u8] = b"{\"id\":1}\n";
const WRITE_BYTES: usize = 4096;
const LINES: u32 = 200_000;
const LONG_LINE_BYTES: usize = 64 * 1024 * 1024;
/// What a person at a terminal, or a program that reads lines, could be misled by.
const FORGED: &str = "\u{1b}[2J\u{1b}[31mall is well\u{7}\r\n{\"level\":\"info\",\"msg\":\"run finished\",\"exit_code\":0}\n\u{202e}gnorw\u{9b}31m";

/// Does it, if it is one of these.
pub fn run(behaviour: &str) -> Option<Ending> {
    if let Some(failure) = behaviour.strip_prefix("fail-") {
        return Some(Err(failed(failure, "told to fail")?));
    }
    let one = Report {
        staged: 1,
        fetched: 1,
        ..everything(1)
    };
    let report = match behaviour {
        "count-too-many" => Report { staged: 2, ..one },
        "count-too-few" => Report { staged: 0, ..one },
        "count-deleted" => Report { deleted: 1, ..one },
        "count-rejected" => Report { rejected: 1, ..one },
        "return-a-huge-state" => Report {
            state: format!("\"{}\"", "x".repeat(64 * 1024)),
            ..one
        },
        "return-a-state-that-is-no-json" => Report {
            state: "cursor=7".to_owned(),
            ..one
        },
        "return-an-empty-state" => Report {
            state: String::new(),
            ..one
        },
        "call-everything-changes" => Report {
            extent: Extent::Changes,
            ..one
        },
        "stage-under-nothing-new" => Report {
            extent: Extent::NothingNew,
            ..one
        },
        "delete-unannounced" => {
            put(&folder(), "deleted.ndjson", b"{\"key\":[1],\"at\":0}\n", 1);
            Report { deleted: 1, ..one }
        }
        "reject-one" => {
            put(
                &folder(),
                "rejected.ndjson",
                b"{\"reason\":\"no id\",\"pointer\":\"/id\",\"record\":{}}\n",
                1,
            );
            Report {
                rejected: 1,
                fetched: 2,
                ..one
            }
        }
        "flood-the-log" => {
            (0..LINES).for_each(|number| say(&format!("line {number}\n")));
            one
        }
        "log-a-long-line" => {
            let piece = "x".repeat(WRITE_BYTES);
            (0..LONG_LINE_BYTES / WRITE_BYTES).for_each(|_| say(&piece));
            one
        }
        "forge-log-lines" => {
            say(&format!("{FORGED}\n"));
            one
        }
        "forge-the-cursor" => Report {
            cursor: Some(FORGED.to_owned()),
            ..one
        },
        "forge-an-error" => return Some(Err(Failure::Refused(detail(FORGED)))),
        _ => return None,
    };
    put(&folder(), "records.ndjson", ONE, 1);
    Some(Ok(report))
}

/// The failure of this name.
pub fn failed(name: &str, message: &str) -> Option<Failure> {
    let detail = detail(message);
    Some(match name {
        "settings" => Failure::Settings(vec![Problem {
            setting: "SOURCE_ASK".to_owned(),
            message: message.to_owned(),
        }]),
        "denied" => Failure::Denied(detail),
        "refused" => Failure::Refused(detail),
        "unavailable" => Failure::Unavailable(detail),
        "protocol" => Failure::Protocol(detail),
        "data" => Failure::Data(detail),
        "output" => Failure::Output(detail),
        _ => return None,
    })
}

/// Writes to the log.
pub fn say(text: &str) {
    let out = stderr::get_stderr();
    for piece in text.as_bytes().chunks(WRITE_BYTES) {
        let _ = out.blocking_write_and_flush(piece);
    }
}
