//! A connector for the API of `tidegate test`: an honest one, but for the flaw that the setting `SOURCE_FLAW` names.
//!
//! Each flaw is one that connectors have, and one check of `tidegate test` finds it: `tests/it/proven.rs` says which.
#![cfg(target_family = "wasm")]

mod fetch;
mod stage;

mod bindings {
    #![expect(
        clippy::pedantic,
        reason = "generated; the documentation stands in wit/"
    )]
    wit_bindgen::generate!({ path: "../../../wit", world: "connector", generate_all });
}

use std::collections::BTreeSet;

use bindings::exports::tidegate::sync::job::{
    Description, Detail, Extent, Failure, Guest, Report, Request, Setting, Staging,
};
use bindings::wasi::cli::environment;
use bindings::wasi::clocks::wall_clock;
use serde::{Deserialize, Serialize};

use self::fetch::Source;
use self::stage::Staged;

struct Flawed;
bindings::export!(Flawed with_types_in bindings);

/// How far before the newest row every run asks, in seconds.
const LOOKBACK: i64 = 300;
const VERSION: u64 = 1;
/// Pages after which even a connector that remembers none gives up.
const PAGES_MAX: u64 = 150;
/// A run with so many rows is a large one.
const MANY: u64 = 50_000;

/// What is kept between two runs.
#[derive(Serialize, Deserialize, Default)]
struct State {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<u64>,
    /// `updated_epoch` of the newest row.
    since: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    padding: String,
}

/// What can be wrong with the connector.
struct Flaw(String);

impl Flaw {
    fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl Guest for Flawed {
    fn describe() -> Description {
        let setting = |name: &str, default: Option<&str>| Setting {
            name: name.to_owned(),
            doc: "Needed".to_owned(),
            required: name == "SOURCE_API_URL",
            secret: false,
            shapes_records: false,
            stages: Staging::empty(),
            default: default.map(str::to_owned),
            example: None,
        };
        Description {
            name: "flawed".to_owned(),
            // A test replaces it in the file.
            version: "0.1.0-flawed".to_owned(),
            summary: "Reads the API of `tidegate test`, in a flawed way".to_owned(),
            settings: vec![
                setting("SOURCE_API_URL", None),
                setting("MAX_RETRIES", Some("3")),
                setting("SOURCE_FLAW", None),
                setting("SOURCE_GREETING", Some("hello")),
            ],
            stages: Staging::CHANGES | Staging::DELETIONS,
        }
    }

    fn run(request: Request) -> Result<Report, Failure> {
        let flaw = Flaw(setting("SOURCE_FLAW"));
        let state: State = match &request.state {
            Some(text) => serde_json::from_str(text)
                .map_err(|_| Failure::Data(detail("the state is no state")))?,
            None => State::default(),
        };
        if state.v.is_some_and(|v| v > VERSION) && !flaw.is("take-any-state") {
            return Err(Failure::Data(detail("the state is of a newer version")));
        }
        let is_refresh = request.full_refresh && !flaw.is("ignore-a-refresh");
        let known = state.since.filter(|_| !is_refresh);
        let mut range = known.map(|since| (since - LOOKBACK).to_string());
        let mut until = None;
        if flaw.is("ask-without-lookback") {
            range = known.map(|since| since.to_string());
        }
        if flaw.is("ask-for-everything") {
            range = None;
        }
        if let Some(window) = request
            .window
            .as_ref()
            .filter(|_| !flaw.is("ignore-a-window"))
        {
            range = Some(window.start.clone());
            until = Some(window.end.clone());
        }

        let mut url = first_url(range.as_deref(), until.as_deref());
        let source = Source::new(&flaw, setting("MAX_RETRIES").parse().unwrap_or(3));
        let mut staged = Staged::new();
        let (mut seen, mut pages, mut fetched, mut newest) = (BTreeSet::new(), 0, 0, state.since);
        loop {
            if !flaw.is("go-round") && !seen.insert(url.clone()) {
                return Err(Failure::Protocol(detail("the pages lead in a circle")));
            }
            if pages >= PAGES_MAX {
                return Err(Failure::Protocol(detail("there are too many pages")));
            }
            let page = source.page(&url)?;
            pages += 1;
            if flaw.is("lose-a-page") && pages == 3 {
                break;
            }
            for row in page.rows()? {
                fetched += 1;
                if flaw.is("lose-ties") && known == Some(row.updated_epoch) {
                    continue;
                }
                newest = newest.max(Some(row.updated_epoch));
                staged.add(&row, &flaw)?;
            }
            match page.next {
                Some(next) => url = next,
                None => break,
            }
        }
        if flaw.is("leave-a-file") {
            stage::leave("debug.txt");
        }
        if flaw.is("hoard") && fetched > MANY {
            std::hint::black_box(vec![1_u8; 300 << 20]);
        }
        if flaw.is("trap") {
            panic!("asked to");
        }
        let reached = newest.map(|newest| newest.min(limit(&source, &flaw)));
        let mut next = State {
            v: Some(VERSION),
            since: reached,
            padding: String::new(),
        };
        if flaw.is("keep-no-version") {
            next.v = None;
        }
        if flaw.is("keep-the-clock") {
            next.padding = format!("{:?}", wall_clock::now());
        }
        if flaw.is("keep-too-much") && fetched > MANY {
            next.padding = "x".repeat(60 << 10);
        }
        let state = match (&request.window, &request.state) {
            (Some(_), Some(state)) if !flaw.is("ignore-a-window") => state.clone(),
            _ => serde_json::to_string(&next).expect("a state can be written"),
        };
        let is_everything = known.is_none() && request.window.is_none();
        Ok(Report {
            extent: if is_everything {
                Extent::Everything
            } else {
                Extent::Changes
            },
            state,
            cursor: reached.map(|reached| reached.to_string()),
            pages: pages + u64::from(flaw.is("miscount")),
            fetched,
            staged: staged.records,
            deleted: staged.deleted,
            rejected: 0,
            more: false,
        })
    }
}

/// What the cursor does not pass, in seconds since 1970: rows that change from there on are asked for again.
fn limit(source: &Source<'_>, flaw: &Flaw) -> i64 {
    let own = i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX);
    match source.clock() {
        _ if flaw.is("trust-the-rows") => i64::MAX,
        Some(clock) if !flaw.is("trust-its-own-clock") => clock,
        _ => own,
    }
}

fn first_url(since: Option<&str>, until: Option<&str>) -> String {
    let mut url = setting("SOURCE_API_URL");
    for (name, value) in [("since", since), ("until", until)] {
        if let Some(value) = value {
            let mark = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{mark}{name}={value}");
        }
    }
    url
}

/// The value of a setting; empty when the component was not given it.
fn setting(name: &str) -> String {
    let mut all = environment::get_environment().into_iter();
    all.find(|(known, _)| known == name)
        .map(|(_, value)| value)
        .unwrap_or_default()
}

fn detail(message: &str) -> Detail {
    Detail {
        message: message.to_owned(),
        status: None,
        retry_after_seconds: None,
    }
}
