//! A whole connector: fetches the JSON array at one URL and stages each of its elements as a record.
#![cfg(target_family = "wasm")]

#[expect(clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "connector", generate_all });
}

use std::collections::HashMap;

use bindings::exports::tidegate::sync::job::{self, Extent, Failure, Report, Setting, Staging};
use bindings::wasi::cli::environment::get_environment;
use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use serde_json::value::RawValue;

struct Connector;
bindings::export!(Connector with_types_in bindings);

impl job::Guest for Connector {
    fn describe() -> job::Description {
        let (url, status) = ("URL of a JSON array", "Fetch records of this status only");
        let settings = [("SOURCE_API_URL", url), ("SOURCE_STATUS", status)];
        let settings = settings.map(|(name, doc)| Setting {
            name: name.to_owned(),
            doc: doc.to_owned(),
            required: name == "SOURCE_API_URL",
            secret: false,
            shapes_records: true, // Under upsert, a change of it is refused until somebody decides.
            stages: Staging::empty(),
            default: None,
            example: None,
        });
        job::Description {
            name: "minimal".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Fetches the JSON array at one URL".to_owned(),
            settings: settings.into(),
            stages: Staging::empty(), // Every run stages all records: no changes, no deletions.
        }
    }

    fn run(_: job::Request) -> Result<Report, Failure> {
        let (status, body) = fetch().map_err(|error| Failure::Unavailable(detail(error)))?;
        let answered = detail(format!("the source answered {status}"));
        match status {
            200 => {}
            401 | 403 => return Err(Failure::Denied(answered)),
            429 | 500.. => return Err(Failure::Unavailable(answered)),
            _ => return Err(Failure::Refused(answered)),
        }
        let records: Result<Vec<&RawValue>, _> = serde_json::from_slice(&body);
        let records = records.map_err(|error| Failure::Protocol(detail(error)))?;
        stage(&records).map_err(|error| Failure::Output(detail(error)))?;
        let count = records.len() as u64;
        Ok(Report {
            extent: Extent::Everything,
            state: r#"{"v":1}"#.to_owned(), // There is no cursor, so nothing to remember.
            cursor: None,
            pages: 1,
            fetched: count,
            staged: count,
            deleted: 0,
            rejected: 0,
            more: false,
        })
    }
}

/// The host decides whether the request may go out, and adds the credential.
fn fetch() -> anyhow::Result<(u16, Vec<u8>)> {
    let given: HashMap<String, String> = get_environment().into_iter().collect();
    let source = waki::Client::new().get(&given["SOURCE_API_URL"]);
    let status = given.get("SOURCE_STATUS").map(|status| ("status", status));
    let answer = source.query(status).send()?;
    Ok((answer.status_code(), answer.body()?))
}

/// Each record on one line of `/out/records.ndjson`, in the bytes of the source: numbers keep their digits.
fn stage(records: &[&RawValue]) -> anyhow::Result<()> {
    let (out, _) = &get_directories()[0];
    let (create, write) = (OpenFlags::CREATE, DescriptorFlags::WRITE);
    let file = out.open_at(PathFlags::empty(), "records.ndjson", create, write)?;
    let stream = file.write_via_stream(0)?;
    for record in records {
        let line = record.get().replace(['\r', '\n'], " ") + "\n";
        for part in line.as_bytes().chunks(4096) {
            stream.blocking_write_and_flush(part)?;
        }
    }
    Ok(())
}

fn detail(message: impl ToString) -> job::Detail {
    job::Detail {
        message: message.to_string(),
        status: None,
        retry_after_seconds: None,
    }
}
