//! Exports: what starts a job, what is asked until it is ready, and where its results are.
//!
//! What starts it has the settings of any request, two of them under names of their own: it is read as the settings of a source.

use url::Url;

use super::description::{Setting, optional};
use super::request::{body, source_url};
use super::{Given, Settings, is_header_name};
use crate::failure::{Problem, quoted};
use crate::ports::Method;
use crate::source::{
    Ask, CONDITIONAL, CURSOR, EXPORT, Export, FORM, HEADER, Program, Style, holds_cursor, jq_path,
    of_export, string, url_holds,
};
use crate::units;
use tidegate_json::Pointer;

const URL: &str = "SOURCE_EXPORT_URL";
const BODY: &str = "SOURCE_EXPORT_BODY";
const ID: &str = "SOURCE_EXPORT_ID";
const POLL: &str = "SOURCE_EXPORT_POLL";
const POLL_BODY: &str = "SOURCE_EXPORT_POLL_BODY";
const STATUS: &str = "SOURCE_EXPORT_STATUS";
const RESULT: &str = "SOURCE_EXPORT_RESULT";
const EVERY: &str = "SOURCE_EXPORT_EVERY";
const WAIT: &str = "SOURCE_EXPORT_WAIT";
/// What an export has besides its URL.
const OTHERS: [&str; 8] = [BODY, ID, POLL, POLL_BODY, STATUS, RESULT, EVERY, WAIT];
/// `SOURCE_EXPORT_EVERY` when it is not set.
const EVERY_DEFAULT: &str = "30s";
/// The shortest and the longest pause.
const EVERY_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;
/// The part of RUN_DEADLINE for which an export is waited for, where nothing else is set.
const WAIT_PERCENT: u64 = 80;

/// The environment as the request that starts the export has it; `None`: there is none.
pub(super) fn of_start(given: &Given<'_>) -> Option<Vec<(String, String)>> {
    let url = given.get(URL)?;
    let is_own = |name: &str| {
        name.starts_with("SOURCE_EXPORT_") || ["SOURCE_API_URL", "SOURCE_BODY"].contains(&name)
    };
    let shared = given.env.iter().filter(|(name, _)| !is_own(name)).cloned();
    let body = given.get(BODY);
    let body = body.map(|body| ("SOURCE_BODY".to_owned(), body.to_owned()));
    let url = ("SOURCE_API_URL".to_owned(), url.to_owned());
    Some(shared.chain(body).chain([url]).collect())
}

/// A problem of the request that starts the export, with the names that its settings have.
pub(super) fn renamed(problem: &Problem) -> Problem {
    Problem::new(&of_export(&problem.setting), of_export(&problem.message))
}

impl Given<'_> {
    /// Refuses what has no effect, as no export is started.
    pub(super) fn no_export(&mut self) {
        for name in OTHERS {
            if self.get(name).is_some() {
                self.wrong(name, format!("has no effect without {URL}"));
            }
        }
        if self
            .get("SOURCE_API_URL")
            .is_some_and(|url| url.contains(EXPORT))
        {
            self.wrong(
                "SOURCE_API_URL",
                format!("`{EXPORT}` has no value: set {URL}"),
            );
        }
    }

    /// How records are exported, where the rest of the settings is `start`. `None`: what is wrong is on record.
    pub(super) fn export(&mut self, start: Option<&Settings>) -> Option<Export> {
        self.refuse_beside_exports(start);
        let url = self.result_url();
        let is_by_id = url.as_ref().is_some_and(|url| url_holds(url, EXPORT));
        let id = self.answered(
            ID,
            "say where the first answer names the job, such as `/id` or `header:Location`",
        );
        let status = self.answered(
            STATUS,
            "give a jq program that makes `wait`, `ready`, `empty` or `failed` of an answer",
        );
        let results = self.get(RESULT).and_then(|_| self.answered(RESULT, ""));
        match self.get(RESULT) {
            None if url.is_some() && !is_by_id => self.wrong(
                RESULT,
                format!("is not set: say where the last answer names the URL of the result, or write `{EXPORT}` into SOURCE_API_URL"),
            ),
            Some(_) if is_by_id => self.wrong(
                RESULT,
                format!("has no effect with `{EXPORT}` in SOURCE_API_URL: remove one of them"),
            ),
            _ => {}
        }
        let result = Ask {
            headers: start.map(|start| start.headers.clone()).unwrap_or_default(),
            ..Ask::get(url?)
        };
        let poll = self.poll(start, &result, is_by_id);
        let every = self.get(EVERY).unwrap_or(EVERY_DEFAULT);
        let every_ms = units::milliseconds(every).filter(|ms| EVERY_MS.contains(ms));
        let every_ms = every_ms.ok_or_else(|| {
            format!(
                "{} is not a time from `10ms` to `60m`, such as `{EVERY_DEFAULT}`",
                quoted(every)
            )
        });
        let every_ms = self.kept(EVERY, every_ms);
        let wait_ms = self.wait_ms(start?.deadline_seconds)?;
        Some(Export {
            id: id?,
            poll,
            status: status?,
            results,
            result,
            every_ms: every_ms?,
            wait_ms,
        })
    }

    fn result_url(&mut self) -> Option<Url> {
        const NAME: &str = "SOURCE_API_URL";
        let Some(text) = self.get(NAME) else {
            self.wrong(
                NAME,
                "is not set: give the URL of the API, or of the result",
            );
            return None;
        };
        let url = source_url(text);
        let url = self.kept(NAME, url)?;
        if holds_cursor(&url) {
            self.wrong(NAME, format!("`{CURSOR}` is replaced in {URL} and {BODY}"));
        }
        Some(url)
    }

    /// What asks how far the job is; `None`: the URL is what the first answer names.
    fn poll(&mut self, start: Option<&Settings>, result: &Ask, is_by_id: bool) -> Option<Ask> {
        let origin = result.url.origin();
        let elsewhere = "is on another origin than SOURCE_API_URL, which alone gets the credential";
        if start.is_some_and(|start| start.url.origin() != origin) {
            self.wrong(URL, elsewhere);
        }
        let format = self.written_as();
        let text = self.get(POLL_BODY);
        let text = text.and_then(|text| self.kept(POLL_BODY, body(text, format)));
        let Some(poll) = self.get(POLL) else {
            if is_by_id {
                self.wrong(POLL, format!("is not set: give the URL that is asked for the status, with `{EXPORT}` in it"));
            }
            if self.get(POLL_BODY).is_some() {
                self.wrong(POLL_BODY, format!("has no effect without {POLL}"));
            }
            return None;
        };
        let url = self.kept(POLL, source_url(poll))?;
        if url.origin() != origin {
            self.wrong(POLL, elsewhere);
        }
        Some(Ask {
            method: text.as_ref().map_or(Method::Get, |_| Method::Post),
            body: text,
            body_format: format,
            url,
            ..result.clone()
        })
    }

    fn wait_ms(&mut self, deadline_seconds: u64) -> Option<u64> {
        let deadline_ms = deadline_seconds.saturating_mul(1000);
        let Some(text) = self.get(WAIT) else {
            return Some(deadline_ms / 100 * WAIT_PERCENT);
        };
        let wait_ms = units::seconds(text).map(|seconds| seconds.saturating_mul(1000));
        let wait_ms = wait_ms
            .filter(|ms| (1..deadline_ms).contains(ms))
            .ok_or_else(|| {
                format!(
                    "{} is not a time from `1s` to less than RUN_DEADLINE, such as `10m`",
                    quoted(text)
                )
            });
        self.kept(WAIT, wait_ms)
    }

    /// What the setting reads in an answer: a pointer, a header or a program. `advice`: what to do where it is not set.
    fn answered(&mut self, name: &str, advice: &str) -> Option<Program> {
        let Some(text) = self.get(name) else {
            self.wrong(name, format!("is not set: {advice}"));
            return None;
        };
        let program = match text.strip_prefix(HEADER) {
            Some(header) if !is_header_name(header) => {
                Err(format!("{} is not a header's name", quoted(header)))
            }
            Some(header) => Program::compile(&format!(
                "$headers[{}]",
                string(&header.to_ascii_lowercase())
            )),
            None if text.starts_with('/') => {
                Pointer::parse(text).and_then(|pointer| Program::compile(&jq_path(pointer.text())))
            }
            None => Program::compile(text),
        };
        self.kept(name, program)
    }

    /// Refuses what has no effect with exports, or another one.
    fn refuse_beside_exports(&mut self, start: Option<&Settings>) {
        for name in [URL, BODY, "SOURCE_HEADERS", POLL, POLL_BODY] {
            let text = self.get(name).unwrap_or_default();
            let mark = if [POLL, POLL_BODY].contains(&name) {
                CURSOR
            } else {
                EXPORT
            };
            if text.contains(mark) {
                self.wrong(name, format!("`{mark}` is not replaced here"));
            }
        }
        let is_conditional = |to: &str| {
            let to = to.to_ascii_lowercase();
            let header = to.strip_prefix(HEADER);
            header.is_some_and(|header| CONDITIONAL.contains(&header))
        };
        let in_body = |to: &str| to.starts_with('/') || to.starts_with(FORM);
        let has_no_effect = format!("has no effect with {URL}");
        if self.get("SOURCE_BODY").is_some() {
            self.wrong("SOURCE_BODY", format!("{has_no_effect}: what starts the export has {BODY}, and results are fetched with GET"));
        }
        if self.get("SOURCE_EACH_URL").is_some() {
            self.wrong(
                "SOURCE_EACH_URL",
                format!("does not work with {URL}: give the values in SOURCE_EACH"),
            );
        }
        if self.get("SOURCE_CURSOR_CHECK").is_some() {
            self.wrong(
                "SOURCE_CURSOR_CHECK",
                format!("{has_no_effect}: every question would start an export"),
            );
        }
        if self.get("SOURCE_CURSOR_TO").is_some_and(is_conditional) {
            self.wrong(
                "SOURCE_CURSOR_TO",
                format!("does not work with {URL}: what starts an export cannot be unchanged"),
            );
        }
        for name in ["SOURCE_PAGE_TO", "SOURCE_PAGE_SIZE_TO"] {
            if self.get(name).is_some_and(in_body) {
                self.wrong(name, format!("{has_no_effect}: results are fetched with GET; name a query parameter or a header"));
            }
        }
        let is_counted = |start: &&Settings| {
            let style = &start.pagination.style;
            let is_counted = matches!(style, Style::Page { .. } | Style::Offset { .. });
            start.parallel > 1 && !(is_counted && start.pagination.total.is_some())
        };
        if start.filter(is_counted).is_some() {
            self.wrong(
                "SOURCE_PARALLEL",
                format!("{has_no_effect}: exports are started one after the other"),
            );
        }
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    let url = Setting {
        shapes_records: true,
        ..optional(
            URL,
            "URL of a request that starts an export. The records are then those of its result: SOURCE_API_URL is the URL of the result with `{export}` in it, or any URL of the API with SOURCE_EXPORT_RESULT. SOURCE_METHOD, SOURCE_BODY_FORMAT and the cursor apply to this request.",
            "",
            "https://api.example.com/v1/exports",
        )
    };
    vec![
        url,
        optional(
            BODY,
            "Body of the request that starts the export, as SOURCE_BODY is for others.",
            "",
            r#"{"type":"orders","since":"{cursor}"}"#,
        ),
        optional(
            ID,
            "Where the answer to it names the export: a JSON Pointer, `header:NAME`, or a jq program. `{export}` is replaced by that name. Without SOURCE_EXPORT_POLL it is the URL that is asked for the status.",
            "",
            "header:Location",
        ),
        optional(
            POLL,
            "URL that is asked for the status, with `{export}` in its path, its query, or SOURCE_EXPORT_POLL_BODY.",
            "",
            "https://api.example.com/v1/exports/{export}",
        ),
        optional(
            POLL_BODY,
            "Body of the request for the status, which is a POST then.",
            "",
            r#"{"id":"{export}"}"#,
        ),
        optional(
            STATUS,
            "What the status means: a jq program that gives `wait`, `ready`, `empty` (no records), or a text that begins with `failed`. With `$status` in it, it is also asked of redirects and refusals.",
            "",
            r#"{"done":"ready","error":"failed"}[.state // ""] // "wait""#,
        ),
        optional(
            RESULT,
            "Where the last answer names the URL of the result, or an array of several: a JSON Pointer, `header:NAME`, or a jq program. Other origins than that of SOURCE_API_URL must be in ALLOW_HOSTS, and get no credential.",
            "",
            "/url",
        ),
        optional(
            EVERY,
            "Longest pause between two requests for the status (default 30s). The first is 1s, and each is twice as long as the one before. A Retry-After of the source is obeyed.",
            "",
            "2m",
        ),
        optional(
            WAIT,
            "How long to wait for an export. Default: 80 percent of RUN_DEADLINE.",
            "",
            "10m",
        ),
    ]
}
