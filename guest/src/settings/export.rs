//! Exports: what starts a job, what is asked until it is ready, and where its results are.
//!
//! What starts it has the settings of any request, two of them under names of their own: it is read as the settings of a source.

use url::{Position, Url};

use super::description::{Setting, optional};
use super::request::{body, source_url};
use super::{Given, Settings, is_header_name};
use crate::failure::{Problem, quoted};
use crate::source::{
    CONDITIONAL, CURSOR, EXPORT, Export, FORM, HEADER, Program, Style, holds_cursor, jq_path,
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

/// What a setting may not have in it, beside an export; nothing: it may not be set.
const REFUSED: [(&str, &str, &str); 9] = [
    (EXPORT, URL, "`{export}` is not replaced here"),
    (EXPORT, BODY, "`{export}` is not replaced here"),
    (EXPORT, "SOURCE_HEADERS", "`{export}` is not replaced here"),
    (CURSOR, POLL, "`{cursor}` is not replaced here"),
    (CURSOR, POLL_BODY, "`{cursor}` is not replaced here"),
    (
        "",
        "SOURCE_BODY",
        "has no effect with SOURCE_EXPORT_URL: what starts the export has SOURCE_EXPORT_BODY, and results are fetched with GET",
    ),
    (
        "",
        "SOURCE_EACH_URL",
        "does not work with SOURCE_EXPORT_URL: give the values in SOURCE_EACH",
    ),
    (
        "",
        "SOURCE_EMPTY_ON",
        "does not work with SOURCE_EXPORT_URL: let SOURCE_EXPORT_STATUS give `empty`",
    ),
    (
        "",
        "SOURCE_CURSOR_CHECK",
        "has no effect with SOURCE_EXPORT_URL: every question would start an export",
    ),
];
/// What an export has.
const REQUIRED: [(&str, &str); 3] = [
    (
        "SOURCE_API_URL",
        "is not set: give the URL of the API, or of the result",
    ),
    (
        ID,
        "is not set: say where the first answer names the job, such as `/id` or `header:Location`",
    ),
    (
        STATUS,
        "is not set: give a jq program that makes `wait`, `ready`, `empty` or `failed` of an answer",
    ),
];
const ELSEWHERE: &str = "is on another origin than SOURCE_API_URL, which alone gets the credential";
const IN_BODY: &str = "has no effect with SOURCE_EXPORT_URL: results are fetched with GET; name a query parameter or a header";

/// The environment as the request that starts the export has it; `None`: there is none.
pub(super) fn of_start(given: &Given<'_>) -> Option<Vec<(String, String)>> {
    given.get(URL)?;
    let mut env = Vec::new();
    for (name, value) in given.env {
        let name = match name.as_str() {
            URL => "SOURCE_API_URL",
            BODY => "SOURCE_BODY",
            "SOURCE_API_URL" | "SOURCE_BODY" => continue,
            name if name.starts_with("SOURCE_EXPORT_") => continue,
            name => name,
        };
        env.push((name.to_owned(), value.clone()));
    }
    Some(env)
}

/// Gives a problem of the request that starts the export the names that its settings have.
pub(super) fn rename(problem: &mut Problem) {
    problem.setting = of_export(&problem.setting);
    problem.message = of_export(&problem.message);
}

impl Given<'_> {
    /// Refuses what has no effect, as no export is started.
    pub(super) fn no_export(&mut self) {
        for name in OTHERS {
            if self.get(name).is_some() {
                self.wrong(name, "has no effect without SOURCE_EXPORT_URL");
            }
        }
        let url = self.get("SOURCE_API_URL");
        if url.is_some_and(|url| url.contains(EXPORT)) {
            let why = "`{export}` has no value: set SOURCE_EXPORT_URL";
            self.wrong("SOURCE_API_URL", why);
        }
    }

    /// How records are exported, where the rest of the settings is `start`. `None`: what is wrong is on record.
    pub(super) fn export(&mut self, start: Option<&Settings>) -> Option<Export> {
        let result = self.url_of("SOURCE_API_URL");
        let poll = self.url_of(POLL);
        let format = self.written_as();
        let poll_body = self.get(POLL_BODY);
        let poll_body = poll_body.and_then(|text| self.kept(POLL_BODY, body(text, format)));
        let id = self.answered(ID);
        let status = self.answered(STATUS);
        let results = self.answered(RESULT);
        let every = self.get(EVERY).unwrap_or(EVERY_DEFAULT);
        let every_ms = units::milliseconds(every).filter(|ms| EVERY_MS.contains(ms));
        let deadline_ms = start.map_or(u64::MAX, |start| {
            start.deadline_seconds.saturating_mul(1000)
        });
        let wait_ms = match self.get(WAIT) {
            None => Some(deadline_ms / 100 * WAIT_PERCENT),
            Some(text) => units::seconds(text)
                .map(|seconds| seconds.saturating_mul(1000))
                .filter(|ms| (1..deadline_ms).contains(ms)),
        };
        self.refuse_beside_exports(start, result.as_ref(), poll.as_ref());
        let checks = [
            (
                every_ms.is_none(),
                EVERY,
                "is not a time from `10ms` to `60m`, such as `30s`",
            ),
            (
                wait_ms.is_none(),
                WAIT,
                "is not a time from `1s` to less than RUN_DEADLINE, such as `10m`",
            ),
        ];
        self.refuse(&checks);
        Some(Export {
            id: id?,
            poll,
            poll_body,
            format,
            status: status?,
            results,
            result: result?,
            headers: start?.headers.clone(),
            every_ms: every_ms?,
            wait_ms: wait_ms?,
        })
    }

    fn refuse(&mut self, checks: &[(bool, &str, &str)]) {
        for (is_wrong, name, why) in checks {
            if *is_wrong {
                self.wrong(name, *why);
            }
        }
    }

    fn url_of(&mut self, name: &str) -> Option<Url> {
        let url = source_url(self.get(name)?);
        self.kept(name, url)
    }

    /// What the setting reads in an answer: a pointer, a header or a program.
    fn answered(&mut self, name: &str) -> Option<Program> {
        let text = self.get(name)?;
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
            // All that it gives, so that one that is null is noticed.
            None if name == RESULT => Program::compile(text).and_then(|_| {
                let first = "if length == 1 and (.[0] | type) == \"array\" then .[0] else . end";
                Program::compile(&format!("[{text}\n] | {first}"))
            }),
            None => Program::compile(text),
        };
        self.kept(name, program)
    }

    /// Refuses what is missing, what has no effect with exports, and what has no effect beside another setting.
    fn refuse_beside_exports(
        &mut self,
        start: Option<&Settings>,
        result: Option<&Url>,
        poll: Option<&Url>,
    ) {
        for (mark, name, why) in REFUSED {
            if self.get(name).is_some_and(|text| text.contains(mark)) {
                self.wrong(name, why);
            }
        }
        for (name, why) in REQUIRED {
            if self.get(name).is_none() {
                self.wrong(name, why);
            }
        }
        for name in ["SOURCE_PAGE_TO", "SOURCE_PAGE_SIZE_TO"] {
            let to = self.get(name).unwrap_or_default();
            if to.starts_with('/') || to.starts_with(FORM) {
                self.wrong(name, IN_BODY);
            }
        }
        let to = self.get("SOURCE_CURSOR_TO").unwrap_or_default();
        let header = to.to_ascii_lowercase();
        let header = header.strip_prefix(HEADER).unwrap_or_default();
        let (has_poll, has_results) = (self.get(POLL).is_some(), self.get(RESULT).is_some());
        let has_body = self.get(POLL_BODY).is_some();
        // None has a user name.
        let is_elsewhere = |url: Option<&Url>| {
            let origin = |url: &Url| url[..Position::BeforePath].to_owned();
            let both = result.map(origin).zip(url.map(origin));
            both.is_some_and(|(one, other)| one != other)
        };
        let is_by_id = result.is_some_and(|url| url_holds(url, EXPORT));
        let is_uncounted = |start: &Settings| {
            let style = &start.pagination.style;
            let is_counted = matches!(style, Style::Page { .. } | Style::Offset { .. });
            start.parallel > 1 && !(is_counted && start.pagination.total.is_some())
        };
        self.refuse(&[
            (
                result.is_some_and(holds_cursor),
                "SOURCE_API_URL",
                "`{cursor}` is replaced in SOURCE_EXPORT_URL and SOURCE_EXPORT_BODY",
            ),
            (is_elsewhere(start.map(|start| &start.url)), URL, ELSEWHERE),
            (is_elsewhere(poll), POLL, ELSEWHERE),
            (
                !has_poll && is_by_id,
                POLL,
                "is not set: give the URL that is asked for the status, with `{export}` in it",
            ),
            (
                !has_poll && has_body,
                POLL_BODY,
                "has no effect without SOURCE_EXPORT_POLL",
            ),
            (
                !has_results && result.is_some() && !is_by_id,
                RESULT,
                "is not set: say where the last answer names the URL of the result, or write `{export}` into SOURCE_API_URL",
            ),
            (
                has_results && is_by_id,
                RESULT,
                "has no effect with `{export}` in SOURCE_API_URL: remove one of them",
            ),
            (
                CONDITIONAL.contains(&header),
                "SOURCE_CURSOR_TO",
                "does not work with SOURCE_EXPORT_URL: what starts an export cannot be unchanged",
            ),
            (
                start.is_some_and(is_uncounted),
                "SOURCE_PARALLEL",
                "has no effect with SOURCE_EXPORT_URL: exports are started one after the other",
            ),
        ]);
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
