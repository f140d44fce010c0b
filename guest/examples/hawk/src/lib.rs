//! A connector for a feed of activities (W3C ActivityStreams 2.0) whose API wants every request signed with Hawk.
//!
//! `hawk.rs` puts together what is signed. Requests, retries, redirects and files are the template's, as
//! `tidegate new connector --lang rust` writes them. The steps are in docs/connectors.md.
#![cfg(target_family = "wasm")]

mod hawk;
#[path = "../../../../host/templates/connector/rust/src/host.rs"]
mod host;
#[path = "../../../../host/templates/connector/rust/src/source.rs"]
#[expect(
    dead_code,
    reason = "this connector has no cursor that could be past the source's clock"
)]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::host::job::{
    Description, Extent, Failure, Guest, Problem, Report, Request, Setting, Staging,
};
use crate::host::{Records, detail};
use crate::source::{Source, place, resolve};

/// The version of the state that this connector writes. Raise it when the meaning of the state changes.
const STATE_VERSION: u64 = 1;

struct Connector;
host::export!(Connector with_types_in host::bindings);

impl Guest for Connector {
    fn describe() -> Description {
        host::report_panics();
        let settings = [
            ("SOURCE_API_URL", "URL of the feed's first page", true),
            ("SOURCE_HAWK_ID", "The `id` of the Hawk credentials", true),
            (
                "SOURCE_SIGNING_KEY",
                "The `key` of the Hawk credentials",
                true,
            ),
            ("MAX_RETRIES", "Retries of a request", false),
            ("RETRY_PAUSE", "Pause before the first retry", false),
        ];
        let settings = settings.map(|(name, doc, required)| Setting {
            name: name.to_owned(),
            doc: doc.to_owned(),
            required,
            secret: name == "SOURCE_SIGNING_KEY", // The host has it, and signs with it.
            shapes_records: name == "SOURCE_API_URL",
            stages: Staging::empty(),
            default: None,
            example: None,
        });
        Description {
            name: "hawk".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            settings: settings.into(),
            stages: Staging::CHANGES,
        }
    }

    fn run(request: Request) -> Result<Report, Failure> {
        host::report_panics();
        if request.window.is_some() {
            return Err(unusable(
                "window",
                "cannot be used: the feed has no dates to ask by",
            ));
        }
        let source = Source::from_settings()?;
        let first = host::setting("SOURCE_API_URL").unwrap_or_default();
        let start = match &request.state {
            Some(state) if !request.full_refresh => Some(last_page(state)?),
            _ => None,
        };
        let mut records = Records::create()?;

        let mut url = start.clone().unwrap_or(first);
        let mut asked = BTreeSet::new();
        loop {
            if !asked.insert(url.clone()) {
                let message = format!("{} names a page that was read already", place(&url));
                return Err(Failure::Protocol(detail(message)));
            }
            let body = source.get(&url)?;
            let page = Page::read(&body, &url)?;
            for activity in page.activities {
                records.add(activity.get());
            }
            records.write()?; // Page by page: memory holds one of them.
            match page.next {
                Some(link) => url = resolve(&url, &link),
                None => break,
            }
        }

        // New activities come at the end: the next run reads the last page again, and goes on from there.
        Ok(Report {
            extent: if start.is_some() {
                Extent::Changes
            } else {
                Extent::Everything
            },
            state: serde_json::json!({ "v": STATE_VERSION, "page": url }).to_string(),
            cursor: None,
            pages: asked.len() as u64,
            fetched: records.count,
            staged: records.count,
            deleted: 0,
            rejected: 0,
            more: false,
        })
    }
}

/// The headers of a request: `source.rs` asks for them before each attempt.
fn headers(url: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let id = host::setting("SOURCE_HAWK_ID").unwrap_or_default();
    let signed = hawk::authorization(&id, url)?;
    let headers = [
        ("accept", "application/activity+json".to_owned()),
        ("authorization", signed),
    ];
    Ok(headers
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .into())
}

/// A page of the feed. Each activity keeps the text of the source, so that no digit is lost.
struct Page<'a> {
    activities: Vec<&'a RawValue>,
    /// Where the next page is. None on the last one.
    next: Option<String>,
}

impl<'a> Page<'a> {
    fn read(body: &'a [u8], url: &str) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::Protocol(detail(format!(
                "{} is no page of activities: {why}",
                place(url)
            )))
        };
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|error| wrong(&error))?;
        let Some(items) = members.get("orderedItems") else {
            return Err(wrong(&"it has no `orderedItems`"));
        };
        let activities: Vec<&RawValue> =
            serde_json::from_str(items.get()).map_err(|error| wrong(&error))?;
        if activities
            .iter()
            .any(|activity| !activity.get().starts_with('{'))
        {
            return Err(wrong(&"one of its `orderedItems` is no object"));
        }
        let next = members.get("next").map_or("null", |next| next.get());
        let next = serde_json::from_str(next).map_err(|error| wrong(&error))?;
        Ok(Self { activities, next })
    }
}

/// The page that the last run ended with. A state of a newer version is refused: this connector would misread it.
fn last_page(state: &str) -> Result<String, Failure> {
    let state: serde_json::Value = serde_json::from_str(state).unwrap_or_default();
    match (state["v"].as_u64(), state["page"].as_str()) {
        (Some(STATE_VERSION), Some(page)) => Ok(page.to_owned()),
        (Some(v), _) if v > STATE_VERSION => {
            let text = format!("has version {v}, this connector reads up to {STATE_VERSION}");
            Err(unusable("state", &text))
        }
        _ => Err(unusable(
            "state",
            "cannot be read: run once with `--full-refresh`",
        )),
    }
}

fn unusable(setting: &str, message: &str) -> Failure {
    Failure::Settings(vec![Problem {
        setting: setting.to_owned(),
        message: message.to_owned(),
    }])
}
