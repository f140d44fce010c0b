//! What is sent besides the URL: the body that makes a request a POST, headers, and the places that take a value.

use serde::de::IgnoredAny;

use super::description::{Setting, optional};
use super::{Given, is_header_name};
use crate::failure::quoted;
use crate::source::{CURSOR, To, check_place};
use tidegate_json::Pointer;

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

impl Given<'_> {
    pub(super) fn body(&mut self) -> Option<String> {
        const NAME: &str = "SOURCE_BODY";
        let text = self.get(NAME)?;
        self.kept(NAME, body(text))
    }

    /// What the setting `name` says takes a value: a query parameter, or a place in a body that has one.
    pub(super) fn to(&mut self, name: &str) -> Option<To> {
        let text = self.get(name)?;
        let to = to(text, self.get("SOURCE_BODY"));
        self.kept(name, to)
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
                "carries a credential, and this setting is no secret: give it as SOURCE_API_KEY, with SOURCE_AUTH",
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
            return Err("means nothing without SOURCE_BODY: remove it");
        }
        Ok(())
    }
}

fn body(text: &str) -> Result<String, String> {
    if text.len() > BODY_BYTES_MAX {
        return Err(format!("is longer than {BODY_BYTES_MAX} bytes"));
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| format!("is not one JSON value: {error}"))?;
    Ok(text.trim_ascii().to_owned())
}

fn to(text: &str, body_text: Option<&str>) -> Result<To, String> {
    if !text.starts_with('/') {
        return match text.strip_prefix("header:") {
            Some(_) => Err(format!(
                "{} is a header, and none takes a value here: name a query parameter, or a JSON Pointer into SOURCE_BODY",
                quoted(text)
            )),
            None => Ok(To::Query(text.to_owned())),
        };
    }
    let pointer = Pointer::parse(text)?;
    let body_text = body_text.ok_or_else(|| {
        format!("`{pointer}` is a place in SOURCE_BODY, which is not set: set it, or name a query parameter")
    })?;
    // A body that is none is its own problem.
    if body(body_text).is_ok() {
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

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    let body = format!(
        "JSON body. It makes every request a POST. `{CURSOR}` in its strings is replaced by the cursor if SOURCE_CURSOR is set and SOURCE_CURSOR_TO is not."
    );
    vec![
        optional("SOURCE_BODY", &body, "", r#"{"limit":100}"#),
        optional(
            "SOURCE_HEADERS",
            "Further headers, one `Name: value` a line. They are not secret: headers that carry a credential are refused.",
            "",
            "Notion-Version: 2022-06-28",
        ),
    ]
}
