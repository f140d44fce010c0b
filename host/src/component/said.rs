//! What a component says of a run or of its source, on its way into the host: with `described`, the one place where its words
//! become texts of ours.
//!
//! No text that leaves here has a character that steers a terminal, each is at most `Limits::words_bytes` long (the state
//! `state_bytes`), lists are short, and counts are possible ones. What only people read is cut; what has a meaning is refused
//! where it is too long. The answers as they came do not leave `component`.

use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::words::{self, steers};

use super::bindings::exports::tidegate::sync::job as raw;
use super::sighting;

pub use raw::{Extent, Request, Window};

/// The end of a run that worked.
#[derive(Debug, Clone)]
pub struct Report {
    /// What the staged records are.
    pub extent: Extent,
    /// The state for the next run, as it came: JSON text.
    pub state: String,
    /// The cursor, for people.
    pub cursor: Option<String>,
    pub pages: u64,
    /// Records found in them.
    pub fetched: u64,
    pub staged: u64,
    pub deleted: u64,
    pub rejected: u64,
    /// Whether another run, given the new state, goes on where this one ended.
    pub more: bool,
}

/// Why a run ended without a report.
#[derive(Debug, Clone)]
pub enum JobFailure {
    /// Settings that cannot be used.
    Settings(Vec<Problem>),
    /// Something was asked for that is not granted, or the credential was refused.
    Denied(Detail),
    /// The source refused for good.
    Refused(Detail),
    /// The source is out of order or too busy.
    Unavailable(Detail),
    /// The answer is not what was agreed.
    Protocol(Detail),
    /// The data cannot be used.
    Data(Detail),
    /// The staging folder could not be written.
    Output(Detail),
}

/// One setting that cannot be used.
#[derive(Debug, Clone)]
pub struct Problem {
    pub setting: String,
    /// What is wrong with it.
    pub message: String,
}

/// What happened, for a person.
#[derive(Debug, Clone)]
pub struct Detail {
    pub message: String,
    /// The HTTP status that caused it, when one did.
    pub status: Option<u16>,
    /// How long the source asked to be left alone.
    pub retry_after_seconds: Option<u64>,
}

/// What one request showed.
#[derive(Debug, Clone)]
pub struct Sighting {
    pub findings: Vec<Finding>,
    /// The first record, cut where it is long.
    pub first_record: Option<String>,
    /// The request that would come next.
    pub next_request: Option<String>,
    /// Settings that would fit.
    pub suggestions: Vec<Suggestion>,
    /// Why a run would fail on this answer.
    pub would_fail: Option<JobFailure>,
    /// How many findings and suggestions were too many.
    pub left_out: usize,
}

/// One thing that was understood.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What it is about.
    pub topic: String,
    pub found: String,
}

/// A setting that would fit.
#[derive(Debug, Clone)]
pub struct Suggestion {
    pub name: String,
    /// The value; none: it is no line of a settings file.
    pub value: Option<String>,
    pub reason: String,
}

/// Takes a report. `Err` (70) says what in it cannot be kept, or cannot be true.
pub fn report(raw: raw::Report, limits: &Limits) -> Result<Report, Failure> {
    let cursor_bytes = raw.cursor.as_ref().map_or(0, String::len);
    for (what, bytes, most) in [
        ("state", raw.state.len(), limits.state_bytes),
        ("cursor", cursor_bytes, limits.words_bytes),
    ] {
        if bytes > most {
            return Err(Failure::broken(format!(
                "it returned a {what} of {bytes} bytes, and {most} are allowed"
            )));
        }
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&raw.state).is_err() {
        return Err(Failure::broken("it returned a state that is not JSON"));
    }
    // A page is an answer, and a record a byte of one at the least, or a byte of a staged file.
    for (what, count, most) in [
        ("pages", raw.pages, limits.requests),
        ("records fetched", raw.fetched, limits.run_decoded_bytes),
        ("records staged", raw.staged, limits.staged_bytes),
        ("deletions staged", raw.deleted, limits.staged_bytes),
        ("records rejected", raw.rejected, limits.staged_bytes),
    ] {
        if count > most {
            return Err(Failure::broken(format!(
                "it reported {count} {what}, and more than {most} are not possible"
            )));
        }
    }
    Ok(Report {
        extent: raw.extent,
        state: raw.state,
        cursor: raw
            .cursor
            .map(|cursor| words::shown(&cursor, limits.words_bytes)),
        pages: raw.pages,
        fetched: raw.fetched,
        staged: raw.staged,
        deleted: raw.deleted,
        rejected: raw.rejected,
        more: raw.more,
    })
}

/// Takes a failure, without the secrets that `log` hides.
pub fn failure(raw: raw::Failure, log: &Log, limits: &Limits) -> JobFailure {
    let detail = |raw: raw::Detail| Detail {
        message: line(&raw.message, log, limits),
        status: raw.status,
        retry_after_seconds: raw.retry_after_seconds,
    };
    match raw {
        raw::Failure::Settings(raw) => JobFailure::Settings(problems(&raw, log, limits)),
        raw::Failure::Denied(raw) => JobFailure::Denied(detail(raw)),
        raw::Failure::Refused(raw) => JobFailure::Refused(detail(raw)),
        raw::Failure::Unavailable(raw) => JobFailure::Unavailable(detail(raw)),
        raw::Failure::Protocol(raw) => JobFailure::Protocol(detail(raw)),
        raw::Failure::Data(raw) => JobFailure::Data(detail(raw)),
        raw::Failure::Output(raw) => JobFailure::Output(detail(raw)),
    }
}

fn problems(raw: &[raw::Problem], log: &Log, limits: &Limits) -> Vec<Problem> {
    let told = raw.iter().take(limits.words_listed);
    let mut problems: Vec<Problem> = told
        .map(|problem| Problem {
            setting: line(&problem.setting, log, limits),
            message: line(&problem.message, log, limits),
        })
        .collect();
    let more = raw.len() - problems.len();
    if more > 0 {
        problems.push(Problem {
            setting: "component".to_owned(),
            message: format!("has {more} more problems with its settings"),
        });
    }
    problems
}

/// Takes what was seen at the source, without the secrets that `log` hides.
pub fn sighting(raw: sighting::Sighting, log: &Log, limits: &Limits) -> Sighting {
    let line = |text: &str| line(text, log, limits);
    // What is JSON, or a request, is shown as it is, blanks and all.
    let shown = |text: String| words::shown(&log.hide(&text), limits.words_bytes);
    let most = limits.words_listed;
    let left_out = [raw.findings.len(), raw.suggestions.len()]
        .iter()
        .map(|many| many.saturating_sub(most))
        .sum();
    let value = |value: String| {
        (value.len() <= limits.words_bytes && !value.contains(steers)).then_some(value)
    };
    Sighting {
        findings: raw
            .findings
            .into_iter()
            .take(most)
            .map(|finding| Finding {
                topic: line(&finding.topic),
                found: line(&finding.found),
            })
            .collect(),
        first_record: raw.first_record.map(shown),
        next_request: raw.next_request.map(shown),
        suggestions: raw
            .suggestions
            .into_iter()
            .take(most)
            .map(|suggestion| Suggestion {
                name: line(&suggestion.name),
                value: value(suggestion.value),
                reason: line(&suggestion.reason),
            })
            .collect(),
        would_fail: raw.would_fail.map(|raw| failure(raw, log, limits)),
        left_out,
    }
}

/// One line of what people read. Secrets are hidden before it is cut: the beginning of one would be found by nobody.
fn line(text: &str, log: &Log, limits: &Limits) -> String {
    words::line(&log.hide(text), limits.words_bytes)
}

#[cfg(test)]
mod tests;
