//! A whole connector: fetches the JSON array at one URL and stages each of its elements as a record.
#![cfg(target_family = "wasm")]

#[expect(clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "connector", generate_all });
}

use anyhow::Context as _;
use bindings::exports::tidegate::sync::job::{
    Description, Detail, Extent, Failure, Guest, Report, Request, Setting, Staging,
};
use bindings::wasi::cli::environment::get_environment;
use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use serde_json::value::RawValue;

struct Connector;
bindings::export!(Connector with_types_in bindings);

impl Guest for Connector {
    fn describe() -> Description {
        Description {
            name: "minimal".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Fetches the JSON array at one URL".to_owned(),
            settings: vec![
                setting("SOURCE_API_URL", "URL of a JSON array", true),
                setting("SOURCE_STATUS", "Fetch records of this status only", false),
            ],
            stages: Staging::empty(), // Every run stages all records: no changes, no deletions.
        }
    }

    fn run(_: Request) -> Result<Report, Failure> {
        let (status, body) = fetch().map_err(|error| Failure::Unavailable(detail(error)))?;
        let answered = detail(format!("the source answered {status}"));
        match status {
            200 => {}
            401 | 403 => return Err(Failure::Denied(answered)),
            429 | 500.. => return Err(Failure::Unavailable(answered)),
            _ => return Err(Failure::Refused(answered)),
        }
        let records: Vec<&RawValue> =
            serde_json::from_slice(&body).map_err(|error| Failure::Protocol(detail(error)))?;
        // The bytes of the source, each record on one line: numbers keep their digits.
        let lines = records
            .iter()
            .map(|record| record.get().replace(['\r', '\n'], " ") + "\n");
        let lines: String = lines.collect();
        stage("records.ndjson", lines.as_bytes())
            .map_err(|error| Failure::Output(detail(error)))?;
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

/// A setting that decides which records there are: under upsert, a change of it is refused until somebody decides.
fn setting(name: &str, doc: &str, required: bool) -> Setting {
    Setting {
        name: name.to_owned(),
        doc: doc.to_owned(),
        required,
        secret: false,
        shapes_records: true,
        stages: Staging::empty(),
        default: None,
        example: None,
    }
}

fn value(name: &str) -> Option<String> {
    let mut all = get_environment().into_iter();
    all.find_map(|(known, value)| (known == name).then_some(value))
}

/// The host decides whether the request may go out, and adds the credential.
fn fetch() -> anyhow::Result<(u16, Vec<u8>)> {
    let source = waki::Client::new().get(&value("SOURCE_API_URL").unwrap_or_default());
    let status = value("SOURCE_STATUS").map(|status| ("status", status));
    let answer = source.query(status).send()?;
    Ok((answer.status_code(), answer.body()?))
}

fn stage(file: &str, mut bytes: &[u8]) -> anyhow::Result<()> {
    let (folder, _) = get_directories().pop().context("no folder is given")?;
    let (create, write) = (OpenFlags::CREATE, DescriptorFlags::WRITE);
    let file = folder.open_at(PathFlags::empty(), file, create, write)?;
    let mut at = 0;
    while !bytes.is_empty() {
        let written = file.write(bytes, at)?;
        at += written;
        bytes = &bytes[usize::try_from(written)?..];
    }
    Ok(())
}

fn detail(message: impl ToString) -> Detail {
    Detail {
        message: message.to_string(),
        status: None,
        retry_after_seconds: None,
    }
}
