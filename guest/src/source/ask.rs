//! One request for a page: its method, URL, headers and body, and where in them a value goes.

use url::Url;

use super::address::{shown, with_cursor, with_parameter};
use super::{form, template};
use crate::ports::{Method, Request};
use tidegate_json::Pointer;

/// Where in a request a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The query parameter of this name.
    Query(String),
    /// The place in the body.
    Body(Pointer),
    /// The field of this name in a body that is a form.
    Form(String),
    /// The header of this name, in lower case.
    Header(String),
}

impl To {
    /// As the settings write it.
    pub fn text(&self) -> String {
        match self {
            Self::Query(name) => name.clone(),
            Self::Body(pointer) => pointer.text().to_owned(),
            Self::Form(name) => format!("{FORM}{name}"),
            Self::Header(name) => format!("{HEADER}{name}"),
        }
    }
}

/// What the name of a form's field begins with in a setting.
pub const FORM: &str = "form:";
/// What the name of a header begins with in a setting.
pub const HEADER: &str = "header:";
/// The longest value that a header takes from a source.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// The headers by which a source answers 304.
pub const CONDITIONAL: [&str; 2] = ["if-modified-since", "if-none-match"];

/// Whether a header carries this value as it is.
pub fn fits_header(value: &str) -> bool {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_trimmed = value.trim_ascii().len() == value.len();
    (1..=HEADER_BYTES_MAX).contains(&value.len()) && is_plain && is_trimmed
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyFormat {
    /// JSON text.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl BodyFormat {
    /// What is announced.
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// What a value is in a body that does not say it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Json {
    /// A number.
    Number,
    /// A string.
    Text,
}

/// One request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// GET or POST.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// What is sent along; `None`: nothing.
    pub body: Option<String>,
    /// How the body is written.
    pub body_format: BodyFormat,
    /// Headers besides the ones that are always sent, or in place of them.
    pub headers: Vec<(String, String)>,
    /// Headers that allow the answer 304 in place of this one page.
    pub conditions: Vec<(String, String)>,
    /// Whether a cursor went into `If-Modified-Since` or `If-None-Match`, so that 304 is an answer, too.
    pub is_conditional: bool,
}

impl Ask {
    /// A GET of `url`.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            body: None,
            body_format: BodyFormat::Json,
            headers: Vec::new(),
            conditions: Vec::new(),
            is_conditional: false,
        }
    }

    /// The same request with `value` where `to` says. `Err` says why it cannot stand there, which settings were checked for.
    pub fn with(&self, to: &To, value: &str, json: Json) -> Result<Self, String> {
        let mut ask = self.clone();
        match to {
            To::Query(name) => ask.url = with_parameter(&self.url, name, value),
            To::Body(pointer) => {
                let text = self.body.as_deref().ok_or("there is no SOURCE_BODY")?;
                ask.body = Some(template::with(text, pointer, value, json)?);
            }
            To::Form(name) => {
                let text = self.body.as_deref().ok_or("there is no SOURCE_BODY")?;
                ask.body = Some(form::with(text, name, value));
            }
            To::Header(name) => {
                ask.set_header(name, value)?;
                ask.is_conditional |= CONDITIONAL.contains(&name.as_str());
            }
        }
        Ok(ask)
    }

    /// Sets the header, in place of one of that name. `Err`: a header cannot carry such a value.
    fn set_header(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !fits_header(value) {
            return Err(format!(
                "the header `{name}` cannot carry a value of {} bytes that is not 1 to {HEADER_BYTES_MAX} of visible ASCII without blanks at its ends",
                value.len()
            ));
        }
        let value = value.to_owned();
        match self.headers.iter_mut().find(|(own, _)| own == name) {
            Some(header) => header.1 = value,
            None => self.headers.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// The same request with `{cursor}`, in the URL's query and in the body, replaced by `value`: in a string of JSON, or in a
    /// value of a form.
    #[must_use]
    pub fn with_cursor(&self, value: &str) -> Self {
        let body = self.body.as_ref().map(|text| match self.body_format {
            BodyFormat::Json => template::with_cursor(text, value),
            BodyFormat::Form => form::with_cursor(text, value),
        });
        Self {
            url: with_cursor(&self.url, value),
            body,
            ..self.clone()
        }
    }

    /// Whether 304 is an answer.
    pub fn may_be_unchanged(&self) -> bool {
        self.is_conditional || !self.conditions.is_empty()
    }

    /// The same request with the query parameter `name` set to `value`.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: &str) -> Self {
        self.at(with_parameter(&self.url, name, value))
    }

    /// The same request to another URL, without conditions.
    #[must_use]
    pub fn at(&self, url: Url) -> Self {
        Self {
            url,
            conditions: Vec::new(),
            is_conditional: false,
            ..self.clone()
        }
    }

    /// What is sent to `url`: its own, or the one that a redirect led to.
    pub fn request(&self, url: &Url) -> Request {
        let always = [
            ("accept", "application/json"),
            (
                "user-agent",
                concat!("tidegate/", env!("CARGO_PKG_VERSION")),
            ),
            ("content-type", self.body_format.content_type()),
            // A cache knows an answer by its URL alone.
            ("cache-control", "no-cache"),
        ];
        let is_got_with_body = self.method == Method::Get && self.body.is_some();
        let always = always
            .into_iter()
            .filter(|(name, _)| *name != "content-type" || self.body.is_some())
            .filter(|(name, _)| *name != "cache-control" || is_got_with_body)
            .filter(|(name, _)| self.headers.iter().all(|(own, _)| own != name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let is_sent = |(name, _): &&(String, String)| name != "content-type" || self.body.is_some();
        let own = self.headers.iter().filter(is_sent);
        let conditions = self.conditions.iter();
        let conditions =
            conditions.filter(|(name, _)| self.headers.iter().all(|(own, _)| own != name));
        Request {
            method: self.method,
            url: url.as_str().to_owned(),
            headers: always
                .chain(own.cloned())
                .chain(conditions.cloned())
                .collect(),
            body: self.body.clone(),
        }
    }

    /// `scheme://host/path`: what messages show.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Ask {
        Ask {
            method: Method::Post,
            body: Some(r#"{"after":null}"#.to_owned()),
            headers: vec![("accept".to_owned(), "text/json".to_owned())],
            ..Ask::get(Url::parse("https://x.example/o?after=0&b=1").unwrap())
        }
    }

    #[test]
    fn a_value_goes_into_the_query_or_the_body() {
        let pointer = Pointer::parse("/after").unwrap();

        let query = post().with(&To::Query("after".to_owned()), "5", Json::Number);
        let body = post().with(&To::Body(pointer.clone()), "5", Json::Number);
        let none = Ask::get(post().url).with(&To::Body(pointer), "5", Json::Number);

        let query = query.unwrap();
        assert_eq!(query.url.query(), Some("after=5&b=1"));
        assert_eq!(query.body, post().body);
        let body = body.unwrap();
        assert_eq!(body.url, post().url);
        assert_eq!(body.body.as_deref(), Some(r#"{"after":5}"#));
        assert!(none.is_err());
    }

    #[test]
    fn the_cursor_is_replaced_in_query_and_body() {
        let url = Url::parse("https://x.example/{cursor}?q=a>'{cursor}'&b=%7bcursor%7D").unwrap();
        let ask = Ask {
            body: Some(r#"{"q":"since {cursor}"}"#.to_owned()),
            ..Ask::get(url)
        };

        let with = ask.with_cursor("2026-11-23T06:00:00+01:00\"");

        assert_eq!(
            with.url.as_str(),
            "https://x.example/%7Bcursor%7D?q=a%3E%272026-11-23T06%3A00%3A00%2B01%3A00%22%27&b=2026-11-23T06%3A00%3A00%2B01%3A00%22"
        );
        assert_eq!(
            with.body.as_deref(),
            Some(r#"{"q":"since 2026-11-23T06:00:00+01:00\""}"#)
        );
    }

    #[test]
    fn a_value_goes_into_a_form_or_a_header() {
        let ask = Ask {
            body: Some("status=open&page=1".to_owned()),
            body_format: BodyFormat::Form,
            ..post()
        };

        let form = ask.with(&To::Form("page".to_owned()), "a b", Json::Number);
        let header = ask.with(&To::Header("accept".to_owned()), "2", Json::Text);
        let broken = ask.with(&To::Header("x-next".to_owned()), "a\r\nb: c", Json::Text);

        let form = form.unwrap();
        assert_eq!(form.body.as_deref(), Some("status=open&page=a%20b"));
        let sent = form.request(&form.url);
        assert_eq!(
            (sent.method, &sent.headers[1].1[..]),
            (Method::Post, "application/x-www-form-urlencoded")
        );
        assert_eq!(
            header.unwrap().headers,
            [("accept".to_owned(), "2".to_owned())]
        );
        assert!(broken.unwrap_err().contains("cannot carry a value"));
    }

    #[test]
    fn a_condition_of_the_settings_is_sent_once() {
        let own = ("if-modified-since".to_owned(), "a".to_owned());
        let ask = Ask {
            is_conditional: true,
            headers: vec![own.clone()],
            conditions: vec![("if-modified-since".to_owned(), "b".to_owned())],
            ..post()
        };

        let sent = ask.request(&ask.url).headers;

        assert!(ask.may_be_unchanged() && !post().may_be_unchanged());
        assert_eq!(sent.last(), Some(&own));
        assert_eq!(sent.iter().filter(|(name, _)| *name == own.0).count(), 1);
    }

    #[test]
    fn own_headers_stand_in_place_of_those_always_sent() {
        let names = |ask: &Ask| {
            let request = ask.request(&ask.url);
            let headers = request.headers.into_iter();
            headers
                .map(|(n, v)| format!("{n}: {v}"))
                .collect::<Vec<_>>()
        };

        let agent = concat!("user-agent: tidegate/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            names(&post()),
            [agent, "content-type: application/json", "accept: text/json"]
        );
        assert_eq!(
            names(&Ask::get(post().url)),
            ["accept: application/json", agent]
        );
    }
}
