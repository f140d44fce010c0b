//! One request for a page: its URL, the body that makes it a POST, and where in them a value goes.

use url::Url;

use super::address::{shown, with_cursor, with_parameter};
use super::template;
use crate::ports::Request;
use tidegate_json::Pointer;

/// Where in a request a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The query parameter of this name.
    Query(String),
    /// The place in the body.
    Body(Pointer),
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
    /// Where to.
    pub url: Url,
    /// JSON text that is posted; `None`: a GET.
    pub body: Option<String>,
    /// Headers besides the ones that are always sent, or in place of them.
    pub headers: Vec<(String, String)>,
    /// Headers that allow the answer 304 in place of this one page.
    pub conditions: Vec<(String, String)>,
}

impl Ask {
    /// A GET of `url`.
    pub fn get(url: Url) -> Self {
        Self {
            url,
            body: None,
            headers: Vec::new(),
            conditions: Vec::new(),
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
        }
        Ok(ask)
    }

    /// The same request with `{cursor}`, in the URL's query and in strings of the body, replaced by `value`.
    #[must_use]
    pub fn with_cursor(&self, value: &str) -> Self {
        Self {
            url: with_cursor(&self.url, value),
            body: self
                .body
                .as_ref()
                .map(|text| template::with_cursor(text, value)),
            headers: self.headers.clone(),
            conditions: self.conditions.clone(),
        }
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
            body: self.body.clone(),
            headers: self.headers.clone(),
            conditions: Vec::new(),
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
            ("content-type", "application/json"),
        ];
        let always = always
            .into_iter()
            .filter(|(name, _)| *name != "content-type" || self.body.is_some())
            .filter(|(name, _)| self.headers.iter().all(|(own, _)| own != name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Request {
            url: url.as_str().to_owned(),
            headers: always
                .chain(self.headers.iter().cloned())
                .chain(self.conditions.iter().cloned())
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
            url: Url::parse("https://x.example/o?after=0&b=1").unwrap(),
            body: Some(r#"{"after":null}"#.to_owned()),
            headers: vec![("accept".to_owned(), "text/json".to_owned())],
            conditions: Vec::new(),
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
        let ask = Ask {
            url: Url::parse("https://x.example/{cursor}?q=a>'{cursor}'&b=%7bcursor%7D").unwrap(),
            body: Some(r#"{"q":"since {cursor}"}"#.to_owned()),
            headers: Vec::new(),
            conditions: Vec::new(),
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
