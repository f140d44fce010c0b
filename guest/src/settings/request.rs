//! How the source is asked: the first URL, the scheme of the credential, the body that makes a request a POST, headers, the
//! places that take a value, and how often and how fast.

use std::ops::RangeInclusive;

use serde::de::IgnoredAny;
use tidegate_json::Pointer;
use url::Url;

use super::description::{Setting, optional};
use super::{FanOut, Given, is_header_name, not_one_of};
use crate::failure::quoted;
use crate::ports::Method;
use crate::source::retry::{Meanings, Rate, Retries};
use crate::source::{
    BodyFormat, CONDITIONAL, CURSOR, ErrorCheck, FORM, HEADER, Pagination, Style, To,
    URL_BYTES_MAX, check_place, form_body, holds_cursor,
};
use crate::units;

/// The ways to send a credential. Which of them can be used is for whoever sends it to say: this component never does.
const AUTH: [&str; 7] = [
    "bearer",
    "header",
    "query",
    "basic",
    "oauth2",
    "login",
    "aws-sigv4",
];
/// The largest `SOURCE_BODY`.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Lines of `SOURCE_HEADERS`.
const HEADERS_MAX: usize = 20;
/// The longest value of a header.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// Where a request ends, how it is encoded, and what is for the next hop alone. The host refuses the same, and the two lists
/// below, in what any component sets.
const FRAMING: [&str; 16] = [
    "accept-encoding",
    "alt-used",
    "connection",
    "content-length",
    "early-data",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "set-cookie",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];
/// What a server behind a proxy believes, from which a framework takes another method or target, or for which a cloud's
/// metadata service hands out keys.
const BELIEVED: [&str; 17] = [
    "cdn-loop",
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "metadata",
    "metadata-flavor",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-google-metadata-request",
    "x-host",
    "x-http-destinationurl",
    "x-http-method",
    "x-method-override",
    "x-real-ip",
];
const BEGINNINGS: [&str; 8] = [
    "proxy-",
    "sec-",
    "x-aws-ec2-metadata-",
    "x-envoy-",
    "x-forwarded",
    "x-http-method-",
    "x-original-",
    "x-rewrite-",
];
/// The most requests at the same time.
const PARALLEL_MAX: u64 = 8;
/// `MAX_RETRIES` when it is not set.
const MAX_RETRIES_DEFAULT: u64 = 3;
/// `RETRY_PAUSE` when it is not set.
const RETRY_PAUSE_DEFAULT: &str = "2s";
/// What `RETRY_PAUSE` may be, in milliseconds.
const RETRY_PAUSE_MS: RangeInclusive<u64> = 10..=300_000;
/// `SOURCE_TIMEOUT` when it is not set.
pub const TIMEOUT_DEFAULT: &str = "60s";
/// `MAX_RESPONSE_BYTES` when it is not set.
const RESPONSE_BYTES_DEFAULT: &str = "64MiB";
/// `MAX_RECORD_BYTES` when it is not set.
const RECORD_BYTES_DEFAULT: &str = "32MiB";
const GIB: u64 = 1024 * 1024 * 1024;
/// `RUN_DEADLINE` when it is not set.
pub const DEADLINE_DEFAULT: &str = "15m";
/// `MAX_PAGES` when it is not set.
const MAX_PAGES_DEFAULT: u64 = 10_000;

impl Given<'_> {
    pub(super) fn url(&mut self) -> Option<Url> {
        const NAME: &str = "SOURCE_API_URL";
        let Some(text) = self.get(NAME) else {
            self.wrong(NAME, "is not set: give the URL of the first request");
            return None;
        };
        let url = self.kept(NAME, source_url(text))?;
        if holds_cursor(&url) && self.get("SOURCE_CURSOR").is_none() {
            self.wrong(
                NAME,
                format!("`{CURSOR}` has no effect without SOURCE_CURSOR"),
            );
        }
        Some(url)
    }

    /// Whether `{cursor}` is in the query of the URL.
    pub(super) fn url_holds_cursor(&self) -> bool {
        let url = self.get("SOURCE_API_URL").map(Url::parse);
        matches!(url, Some(Ok(url)) if holds_cursor(&url))
    }

    pub(super) fn auth(&mut self) {
        let auth = self.get("SOURCE_AUTH").unwrap_or("bearer");
        let is_known = AUTH.contains(&auth);
        if !is_known {
            self.wrong("SOURCE_AUTH", not_one_of(auth, &AUTH));
        }
        match self.get("SOURCE_AUTH_NAME") {
            Some(name) if auth == "header" && !is_header_name(name) => {
                self.wrong(
                    "SOURCE_AUTH_NAME",
                    format!("{} is not a header's name", quoted(name)),
                );
            }
            Some(_) if is_known && auth != "header" && auth != "query" => {
                self.wrong(
                    "SOURCE_AUTH_NAME",
                    format!("has no effect with SOURCE_AUTH `{auth}`: remove it"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn body(&mut self) -> Option<String> {
        const NAME: &str = "SOURCE_BODY";
        let text = self.get(NAME)?;
        self.kept(NAME, body(text, self.written_as()))
    }

    pub(super) fn body_format(&mut self) -> BodyFormat {
        const NAME: &str = "SOURCE_BODY_FORMAT";
        match self.get(NAME) {
            None => {}
            Some("json" | "form") if self.get("SOURCE_BODY").is_some() => {}
            Some("json" | "form") => self.wrong(NAME, "has no effect without SOURCE_BODY"),
            Some(other) => self.wrong(NAME, not_one_of(other, &["json", "form"])),
        }
        self.written_as()
    }

    pub(super) fn written_as(&self) -> BodyFormat {
        match self.get("SOURCE_BODY_FORMAT") {
            Some("form") => BodyFormat::Form,
            _ => BodyFormat::Json,
        }
    }

    pub(super) fn method(&mut self) -> Method {
        const NAME: &str = "SOURCE_METHOD";
        let by_body = match self.get("SOURCE_BODY") {
            Some(_) => Method::Post,
            None => Method::Get,
        };
        match self.get(NAME) {
            None => by_body,
            Some("GET") => Method::Get,
            Some("POST") => Method::Post,
            Some(other) => {
                self.wrong(NAME, not_one_of(other, &["GET", "POST"]));
                by_body
            }
        }
    }

    /// What the setting `name` says takes a value: a query parameter, a place in a body that has one, or a header.
    pub(super) fn to(&mut self, name: &str) -> Option<To> {
        let text = self.get(name)?;
        let to = self.read_to(text);
        self.kept(name, to)
    }

    /// The same, where it can be read.
    pub(super) fn place(&self, name: &str) -> Option<To> {
        self.read_to(self.get(name)?).ok()
    }

    fn read_to(&self, text: &str) -> Result<To, String> {
        let format = self.written_as();
        if let Some(header) = text.strip_prefix(HEADER) {
            let name = header.to_ascii_lowercase();
            if !is_header_name(&name) {
                return Err(format!("{} is not a header's name", quoted(header)));
            }
            self.may_set(&name)
                .map_err(|why| format!("`{name}` {why}"))?;
            return Ok(To::Header(name));
        }
        let body_text = self.get("SOURCE_BODY");
        match text.strip_prefix(FORM) {
            Some(_) if format != BodyFormat::Form || body_text.is_none() => Err(format!(
                "{} is a field of a form: set SOURCE_BODY_FORMAT=form and SOURCE_BODY, or name a query parameter",
                quoted(text)
            )),
            Some("") => Err("names no field: write it as `form:page`".to_owned()),
            Some(field) => Ok(To::Form(field.to_owned())),
            None if text.starts_with('/') && format == BodyFormat::Form => Err(format!(
                "{} is a place in JSON, but SOURCE_BODY_FORMAT is `form`: name the field as `form:{}`",
                quoted(text),
                text.trim_start_matches('/')
            )),
            None => to(text, body_text),
        }
    }

    pub(super) fn headers(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "SOURCE_HEADERS";
        let lines = self.get(NAME).unwrap_or_default().lines();
        let lines = lines
            .enumerate()
            .filter(|(_, line)| !line.trim_ascii().is_empty());
        let mut headers: Vec<(String, String)> = Vec::new();
        for (at, line) in lines {
            let Some((name, value)) = self.kept(NAME, header(at + 1, line)) else {
                continue;
            };
            if headers.iter().any(|(found, _)| *found == name) {
                self.wrong(NAME, format!("has `{name}` twice"));
            } else if CONDITIONAL.contains(&name.as_str()) {
                self.wrong(
                    NAME,
                    format!("`{name}` would let the answer 304 take the place of records: a cursor goes there by SOURCE_CURSOR_TO=header:{name}; remove it"),
                );
            } else if let Err(why) = self.may_set(&name) {
                self.wrong(NAME, format!("`{name}` {why}"));
            }
            headers.push((name, value));
        }
        if headers.len() > HEADERS_MAX {
            self.wrong(NAME, format!("has more than {HEADERS_MAX} headers"));
        }
        headers
    }

    /// `Err` says why a header of this name, in lower case, is not to be set here.
    fn may_set(&self, name: &str) -> Result<(), &'static str> {
        let by_header = self.get("SOURCE_AUTH") == Some("header");
        let credential = self.get("SOURCE_AUTH_NAME").unwrap_or("X-API-Key");
        // Many servers take `X_Forwarded_For` for the same header.
        let name = &*name.replace('_', "-");
        if matches!(name, "authorization" | "cookie" | "cookie2")
            || by_header && name.eq_ignore_ascii_case(&credential.replace('_', "-"))
        {
            return Err(
                "carries a credential, but this setting is not secret: give it as SOURCE_API_KEY, with SOURCE_AUTH",
            );
        }
        if FRAMING.contains(&name) {
            return Err("is for the connection, which the host makes: remove it");
        }
        if BELIEVED.contains(&name) || BEGINNINGS.iter().any(|start| name.starts_with(start)) {
            return Err(
                "is not allowed: it speaks for a proxy, overrides the method or the URL, or opens a cloud's metadata service; remove it",
            );
        }
        if name == "content-type" && self.get("SOURCE_BODY").is_none() {
            return Err("has no effect without SOURCE_BODY: remove it");
        }
        Ok(())
    }

    pub(super) fn retries(&mut self) -> Retries {
        const PAUSE: &str = "RETRY_PAUSE";
        let max = self.number("MAX_RETRIES", MAX_RETRIES_DEFAULT, 0..=20);
        let text = self.get(PAUSE).unwrap_or(RETRY_PAUSE_DEFAULT);
        let allowed = |ms: &u64| RETRY_PAUSE_MS.contains(ms);
        let pause_ms = units::milliseconds(text).filter(allowed).ok_or_else(|| {
            format!(
                "{} is not a time from `10ms` to `5m`, such as `2s`",
                quoted(text)
            )
        });
        Retries {
            max: u32::try_from(max).unwrap_or(u32::MAX),
            pause_ms: self.kept(PAUSE, pause_ms).unwrap_or_default(),
        }
    }

    /// `SOURCE_TIMEOUT`: who waits for answers reads it again.
    pub(super) fn source_timeout(&mut self) {
        const NAME: &str = "SOURCE_TIMEOUT";
        if let Some(text) = self.get(NAME) {
            self.kept(NAME, timeout_seconds(text));
        }
    }

    pub(super) fn answer_bytes_max(&mut self) -> usize {
        self.size("MAX_RESPONSE_BYTES", RESPONSE_BYTES_DEFAULT, GIB)
    }

    pub(super) fn record_bytes_max(&mut self) -> usize {
        self.size("MAX_RECORD_BYTES", RECORD_BYTES_DEFAULT, GIB / 4)
    }

    /// A size from 1 KiB to `most`.
    fn size(&mut self, name: &str, default: &'static str, most: u64) -> usize {
        let text = self.get(name).unwrap_or(default);
        let allowed = |bytes: &u64| (1024..=most).contains(bytes);
        let bytes = units::bytes(text).filter(allowed).ok_or_else(|| {
            format!(
                "{} is not a size from `1KiB` to `{}MiB`, such as `{default}`",
                quoted(text),
                most / (1024 * 1024)
            )
        });
        let bytes = self.kept(name, bytes).unwrap_or_default();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn error_check(&mut self) -> Option<ErrorCheck> {
        const NAME: &str = "SOURCE_ERROR";
        let program = self.get(NAME)?;
        self.kept(NAME, ErrorCheck::compile(program))
    }

    pub(super) fn meanings(&mut self) -> Meanings {
        let empty = self.statuses("SOURCE_EMPTY_ON", |status| match status {
            401 | 403 | 407 => Err("refuses the credential"),
            408 | 425 | 429 => Err("asks to come back later"),
            410 => Err("says that an address or a token is no longer valid"),
            204 | 205 | 400..=499 => Ok(()),
            _ => Err("does not say that there are no records"),
        });
        let retry = self.statuses("SOURCE_RETRY_ON", |status| match status {
            201..=299 | 400..=599 => Ok(()),
            _ => Err("is no refusal and no error"),
        });
        if let Some(both) = empty.iter().find(|status| retry.contains(status)) {
            self.wrong(
                "SOURCE_RETRY_ON",
                format!("has {both}, and SOURCE_EMPTY_ON has it too: remove one of them"),
            );
        }
        Meanings { empty, retry }
    }

    /// A list of statuses, each of which `may_be` in it. What is wrong with one is about the answer.
    fn statuses(&mut self, name: &str, may_be: fn(u16) -> Result<(), &'static str>) -> Vec<u16> {
        let text = self.get(name).unwrap_or_default();
        let mut statuses = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            let status = part
                .parse()
                .ok()
                .filter(|status| (100..600).contains(status));
            let Some(status) = status else {
                let what = "is not a list of HTTP statuses, such as `404,204`";
                self.wrong(name, format!("{} {what}", quoted(part)));
                continue;
            };
            if let Err(why) = may_be(status) {
                self.wrong(
                    name,
                    format!("{status} {why}: say by SOURCE_ERROR which of these answers are meant"),
                );
            }
            statuses.push(status);
        }
        statuses
    }

    pub(super) fn rate(&mut self) -> Option<Rate> {
        const NAME: &str = "SOURCE_RATE";
        let text = self.get(NAME)?;
        self.kept(NAME, Rate::parse(text))
    }

    pub(super) fn parallel(&mut self, pagination: &Pagination, each: &FanOut) -> usize {
        const NAME: &str = "SOURCE_PARALLEL";
        let parallel = self.number(NAME, 1, 1..=PARALLEL_MAX);
        let is_counted = matches!(pagination.style, Style::Page { .. } | Style::Offset { .. });
        let is_known = is_counted && pagination.total.is_some();
        let is_fan_out = !matches!(each, FanOut::No) || self.has_parents();
        if parallel > 1 && !is_known && !is_fan_out {
            self.wrong(
                NAME,
                "has an effect only with SOURCE_EACH, SOURCE_EACH_URL, or SOURCE_PAGINATION `page` or `offset` and SOURCE_TOTAL: remove it",
            );
        }
        usize::try_from(parallel).unwrap_or(1)
    }

    pub(super) fn pages_max(&mut self) -> u64 {
        self.number("MAX_PAGES", MAX_PAGES_DEFAULT, 1..=1_000_000)
    }

    pub(super) fn deadline_seconds(&mut self) -> u64 {
        const NAME: &str = "RUN_DEADLINE";
        let text = self.get(NAME).unwrap_or(DEADLINE_DEFAULT);
        self.kept(NAME, deadline_seconds(text)).unwrap_or_default()
    }
}

/// How long the run may take. `Err` says what is wrong with it.
pub fn deadline_seconds(text: &str) -> Result<u64, String> {
    let seconds = units::seconds(text).filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| {
        format!(
            "{} is not a duration, such as `{DEADLINE_DEFAULT}`",
            quoted(text)
        )
    })
}

/// How long to wait for the first byte of an answer. `Err` says what is wrong with it.
pub fn timeout_seconds(text: &str) -> Result<u64, String> {
    let seconds = units::seconds(text).filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| {
        format!(
            "{} is not a time from `1s` to `1h`, such as `{TIMEOUT_DEFAULT}`",
            quoted(text)
        )
    })
}

pub(super) fn source_url(text: &str) -> Result<Url, String> {
    // The text itself is not shown: its query may hold a credential.
    let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("is a `{}` URL, not http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user name in it: give the credential as SOURCE_API_KEY with SOURCE_AUTH `basic`"
                .to_owned(),
        );
    }
    if text.len() > URL_BYTES_MAX {
        return Err(format!("is longer than {URL_BYTES_MAX} bytes"));
    }
    url.set_fragment(None);
    if text.contains(CURSOR) && !holds_cursor(&url) {
        return Err(format!(
            "`{CURSOR}` is replaced in the query only, behind the `?`"
        ));
    }
    Ok(url)
}

pub(super) fn body(text: &str, format: BodyFormat) -> Result<String, String> {
    if text.len() > BODY_BYTES_MAX {
        return Err(format!("is longer than {BODY_BYTES_MAX} bytes"));
    }
    if format == BodyFormat::Form {
        return form_body(text);
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        let hint = if text.contains('=') && !text.starts_with(['{', '[', '"']) {
            "; for a form, set SOURCE_BODY_FORMAT=form"
        } else {
            ""
        };
        format!("is not one JSON value: {error}{hint}")
    })?;
    Ok(text.trim_ascii().to_owned())
}

fn to(text: &str, body_text: Option<&str>) -> Result<To, String> {
    if !text.starts_with('/') {
        return Ok(To::Query(text.to_owned()));
    }
    let pointer = Pointer::parse(text)?;
    let body_text = body_text.ok_or_else(|| {
        format!("`{pointer}` is a place in SOURCE_BODY, which is not set: set SOURCE_BODY, or name a query parameter")
    })?;
    // A body that is none is its own problem.
    if body(body_text, BodyFormat::Json).is_ok() {
        check_place(body_text, &pointer)?;
    }
    Ok(To::Body(pointer))
}

/// The name, in lower case, and the value of one line. What cannot be read is not shown: it may be a credential.
fn header(number: usize, line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("line {number} is not `Name: value`"))?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    if !is_header_name(name) {
        return Err(format!("line {number} does not begin with a header's name"));
    }
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(format!(
            "`{name}` has a value that is not visible ASCII and blanks"
        ));
    }
    if value.is_empty() || value.len() > HEADER_BYTES_MAX {
        return Err(format!(
            "`{name}` has a value of {} bytes, not of 1 to {HEADER_BYTES_MAX}",
            value.len()
        ));
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// The settings of this module, as `describe` tells them, but for the limits.
pub(super) fn described() -> Vec<Setting> {
    let api_key = Setting {
        secret: true,
        ..optional(
            "SOURCE_API_KEY",
            "Credential for the source. Without it, requests carry none.",
            "",
            "a-secret-key",
        )
    };
    let body = format!(
        "Body of every request, JSON unless SOURCE_BODY_FORMAT says otherwise. It makes them POSTs unless SOURCE_METHOD is `GET`. `{CURSOR}` in it is replaced by the cursor if SOURCE_CURSOR is set and SOURCE_CURSOR_TO is not."
    );
    vec![
        Setting {
            required: true,
            ..optional(
                "SOURCE_API_URL",
                "URL of the first request, query included.",
                "",
                "https://api.example.com/v1/orders?status=open",
            )
        },
        api_key,
        optional(
            "SOURCE_AUTH",
            "How the credential is sent: `bearer`, `header`, `query`, `basic` (`user:password`), `oauth2` (an access token is fetched), `login` (SOURCE_LOGIN_URL) or `aws-sigv4` (each request is signed).",
            "bearer",
            "header",
        ),
        optional(
            "SOURCE_AUTH_NAME",
            "Name of the header for `header` (default X-API-Key), or of the query parameter for `query` (default api_key).",
            "",
            "X-Auth-Token",
        ),
        optional("SOURCE_BODY", &body, "", r#"{"limit":100}"#),
        optional(
            "SOURCE_BODY_FORMAT",
            "How SOURCE_BODY is written: `json` (the default) or `form` (`a=1&b=2`, sent as application/x-www-form-urlencoded).",
            "",
            "json",
        ),
        optional(
            "SOURCE_METHOD",
            "Method of every request: `GET` or `POST`. Default: POST with SOURCE_BODY, otherwise GET.",
            "",
            "GET",
        ),
        optional(
            "SOURCE_HEADERS",
            "Further headers, one `Name: value` a line. They are not secret: headers that carry a credential are refused.",
            "",
            "Notion-Version: 2022-06-28",
        ),
    ]
}

/// How much one run may ask of the source, as `describe` tells it.
pub(super) fn described_limits() -> Vec<Setting> {
    let retries = MAX_RETRIES_DEFAULT.to_string();
    let pages = MAX_PAGES_DEFAULT.to_string();
    vec![
        optional(
            "SOURCE_ERROR",
            "A jq program that says what an answer means. Its input is the body, `$status` and `$headers` are known. Null, false or no result: what the status says. The text `retry`: try again, as after a 503. The text `empty`: no records, and no more pages. Any other result is an error: after a 200 it fails the run. Every page is parsed twice then.",
            "",
            ".errors[0].message",
        ),
        optional(
            "SOURCE_EMPTY_ON",
            "Statuses that mean that there are no records, comma-separated: 204, and those from 400 on that say nothing of a credential, a limit or an expired token.",
            "",
            "404,204",
        ),
        optional(
            "SOURCE_RETRY_ON",
            "Statuses after which a request is tried again, comma-separated, besides 202, 408, 425, 429, 500, 502, 503, 504, 522 and 524. Use it where a rate limit is sent as 400 or 403.",
            "",
            "400,403",
        ),
        optional(
            "SOURCE_RATE",
            "Maximum requests per second, retries and redirects included: 0.001 to 1000. Without it, only the source's own limits slow a run down.",
            "",
            "0.5",
        ),
        optional(
            "SOURCE_PARALLEL",
            "Maximum requests at the same time, 1 to 8: for the values of SOURCE_EACH or SOURCE_EACH_URL, and for `page` and `offset` with SOURCE_TOTAL. Records keep their order. SOURCE_RATE and the source's limits apply to all requests together.",
            "1",
            "4",
        ),
        optional(
            "SOURCE_TIMEOUT",
            "How long to wait for the first byte of an answer, from 1s to 1h.",
            TIMEOUT_DEFAULT,
            "5m",
        ),
        optional(
            "MAX_RESPONSE_BYTES",
            "Maximum size of one answer, up to 1GiB. A page must fit the component's memory.",
            RESPONSE_BYTES_DEFAULT,
            "16MiB",
        ),
        optional(
            "MAX_RECORD_BYTES",
            "Maximum size of one record as fetched, up to 256MiB. A larger one fails the run.",
            RECORD_BYTES_DEFAULT,
            "1MiB",
        ),
        optional(
            "MAX_RETRIES",
            "Retries per request: 3 means four attempts.",
            &retries,
            "5",
        ),
        optional(
            "RETRY_PAUSE",
            "Pause before the first retry, from 10ms to 5m. It grows fivefold with each retry, up to 20 times: 2s means about 2, 10 and 40 seconds.",
            RETRY_PAUSE_DEFAULT,
            "5s",
        ),
        optional(
            "MAX_PAGES",
            "Maximum pages per run, or per portion of one.",
            &pages,
            "500",
        ),
        optional(
            "RUN_DEADLINE",
            "Maximum duration of the run.",
            DEADLINE_DEFAULT,
            "1h",
        ),
    ]
}
