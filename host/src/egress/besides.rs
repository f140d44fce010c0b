//! What requests to the source have besides the credential: secret headers, and one secret in the query and the body.
//!
//! A component writes `{secret}` where the user wrote it. As a request to the source goes out, the host puts the secret there:
//! into the parameters of the query that SOURCE_API_URL has it in, and into a body as often as SOURCE_BODY has it. So a
//! source cannot have the secret put anywhere by what it answers.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, request};
use url::Url;
use zeroize::Zeroizing;

use super::SigningKey;
use super::credential::{HALF_BYTES_MIN, sensitive, with_parameter};
use crate::secret::{Secret, first_of, in_json, joined, percent_encoded, shared};

/// What stands for the secret.
pub const PLACE: &str = "{secret}";
/// The same in a form.
const ENCODED: [&str; 2] = ["%7Bsecret%7D", "%7bsecret%7d"];

/// What goes out to the source besides the credential.
#[derive(Debug, Clone, Default)]
pub struct Besides {
    /// `SOURCE_SIGNING_KEY`, with how it signs.
    pub signing: Option<SigningKey>,
    /// `SOURCE_SECRET_HEADERS`.
    pub headers: Vec<(HeaderName, Secret)>,
    /// `SOURCE_SECRET`, and where it goes.
    pub places: Option<Places>,
}

/// A secret, and where it goes.
#[derive(Debug, Clone)]
pub struct Places {
    secret: Secret,
    /// Parameters of the query, and their values with places in them.
    query: Vec<(String, String)>,
    /// How often it is in a body.
    in_body: usize,
}

/// Why a request did not get its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// The query would be too long for a URL.
    TooLong,
    /// The body has more places than the setting.
    TooMany,
    /// Nobody knows how to write a text in a body of this kind.
    UnknownKind,
}

impl Besides {
    /// What must not be seen.
    pub fn secrets(&self) -> Vec<Secret> {
        let of_signing = self.signing.as_ref().map(SigningKey::secrets);
        // A scheme before a token is no part of it.
        let of_headers = self.headers.iter().flat_map(|(_, value)| {
            let last = value.expose().split_whitespace().next_back();
            let last = last.unwrap_or_default();
            [value.clone(), Secret::from(last)]
        });
        let of_headers = of_headers.filter(|value| value.expose().len() >= HALF_BYTES_MIN);
        let placed = self.places.iter().map(|places| places.secret.clone());
        let others = of_signing.into_iter().flatten();
        others.chain(of_headers).chain(placed).collect()
    }

    /// Whether requests have a secret of its own.
    pub(super) fn is_some(&self) -> bool {
        self.places.is_some() || !self.headers.is_empty()
    }

    /// Whether one of them is sent as this header.
    pub(super) fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|(own, _)| own == name)
    }

    /// Puts all of it into a request to the source, and gives its body.
    pub(super) fn put_into(
        &self,
        head: &mut request::Parts,
        body: &Bytes,
    ) -> Result<Bytes, Unplaced> {
        for (name, value) in &self.headers {
            let value = sensitive(joined(&[value.expose()])).expect("it was checked as a setting");
            head.headers.insert(name.clone(), value);
        }
        let Some(places) = &self.places else {
            return Ok(body.clone());
        };
        for (name, template) in &places.query {
            let value = places.filled(template, |text| joined(&[text]));
            head.uri = with_parameter(&head.uri, name, &value).ok_or(Unplaced::TooLong)?;
        }
        places.in_the_body(&head.headers, body)
    }
}

impl Places {
    /// The places in this URL and in this body; none where there is none.
    pub fn new(secret: &Secret, url: &Url, body: Option<&str>) -> Option<Self> {
        let query = url.query_pairs().into_owned();
        let query = query.filter(|(_, value)| value.contains(PLACE));
        let places = Self {
            secret: secret.clone(),
            query: query.collect(),
            in_body: body.map_or(0, count),
        };
        (!places.query.is_empty() || places.in_body > 0).then_some(places)
    }

    fn filled(
        &self,
        template: &str,
        written: impl Fn(&str) -> Zeroizing<String>,
    ) -> Zeroizing<String> {
        let secret = written(self.secret.expose());
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((at, name)) = first_of(rest, &[PLACE, ENCODED[0], ENCODED[1]]) {
            parts.extend([&rest[..at], &secret]);
            rest = &rest[at + name.len()..];
        }
        parts.push(rest);
        joined(&parts)
    }

    fn in_the_body(&self, headers: &HeaderMap, body: &Bytes) -> Result<Bytes, Unplaced> {
        if self.in_body == 0 {
            return Ok(body.clone());
        }
        let Ok(text) = std::str::from_utf8(body) else {
            return Ok(body.clone());
        };
        match count(text) {
            0 => return Ok(body.clone()),
            found if found > self.in_body => return Err(Unplaced::TooMany),
            _ => {}
        }
        let kind = headers
            .get(CONTENT_TYPE)
            .map(|kind| kind.as_bytes().to_ascii_lowercase());
        let is = |word: &str| {
            kind.as_ref()
                .is_some_and(|kind| memchr::memmem::find(kind, word.as_bytes()).is_some())
        };
        let begins = |with: [char; 2]| kind.is_none() && text.trim_start().starts_with(with);
        let filled = if is("json") || is("graphql") || begins(['{', '[']) {
            self.filled(text, in_json)
        } else if is("x-www-form-urlencoded") {
            self.filled(text, percent_encoded)
        } else if is("xml") || begins(['<', '<']) {
            self.filled(text, in_xml)
        } else {
            return Err(Unplaced::UnknownKind);
        };
        Ok(shared(filled))
    }
}

/// How often a text has a place.
fn count(text: &str) -> usize {
    let forms = [PLACE, ENCODED[0], ENCODED[1]];
    forms.iter().map(|form| text.matches(form).count()).sum()
}

/// A text as it is in an element or an attribute.
fn in_xml(text: &str) -> Zeroizing<String> {
    let mut written = Zeroizing::new(String::with_capacity(6 * text.len()));
    for c in text.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&apos;"),
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    const URL: &str = "https://a.example/x?since=1&key=k-{secret}";

    fn besides(body: Option<&str>) -> Besides {
        let url = URL.parse().unwrap();
        Besides {
            places: Places::new(&Secret::from("a\"b&<é"), &url, body),
            ..Besides::default()
        }
    }

    fn sent(
        besides: &Besides,
        url: &str,
        kind: &str,
        body: &str,
    ) -> Result<(String, String), Unplaced> {
        let mut head = Request::post(url).body(()).unwrap().into_parts().0;
        if !kind.is_empty() {
            head.headers
                .insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        }
        let body = besides.put_into(&mut head, &Bytes::from(body.to_owned()))?;
        Ok((
            head.uri.to_string(),
            String::from_utf8(body.to_vec()).unwrap(),
        ))
    }

    #[test]
    fn a_parameter_has_the_secret_in_every_request_whatever_was_there() {
        let besides = besides(None);
        let encoded = "key=k-a%22b%26%3C%C3%A9";

        for (given, wanted) in [
            (
                "https://a.example/x?since=%7Bsecret%7D&key=k-{secret}",
                "since=%7Bsecret%7D&",
            ),
            ("https://a.example/x?key=k-REDACTED&page=2", "page=2&"),
            ("https://a.example/other", ""),
        ] {
            let (url, _) = sent(&besides, given, "", "").unwrap();
            assert!(url.ends_with(&format!("?{wanted}{encoded}")), "{url}");
        }
    }

    #[test]
    fn a_body_has_the_secret_as_its_kind_writes_it() {
        let body = r#"{"key":"{secret}"}"#;
        let in_body = |kind, body| {
            sent(&besides(Some(body)), "https://a.example/", kind, body)
                .unwrap()
                .1
        };

        assert_eq!(in_body("application/json", body), r#"{"key":"a\"b&<é"}"#);
        assert_eq!(in_body("", body), r#"{"key":"a\"b&<é"}"#);
        let form = "application/x-www-form-urlencoded";
        assert_eq!(in_body(form, "k=%7Bsecret%7D"), "k=a%22b%26%3C%C3%A9");
        assert_eq!(
            in_body("text/xml", "<k>{secret}</k>"),
            "<k>a&quot;b&amp;&lt;é</k>"
        );
    }

    #[test]
    fn a_place_that_the_setting_has_not_gets_no_secret() {
        let json = "application/json";
        let one = besides(Some(r#"{"key":"{secret}"}"#));
        let two = r#"{"key":"{secret}","cursor":"{secret}"}"#;
        assert_eq!(sent(&one, URL, json, two), Err(Unplaced::TooMany));
        let text = Err(Unplaced::UnknownKind);
        assert_eq!(sent(&one, URL, "text/csv", "{secret}"), text);

        // Where no body was given, none is looked into.
        assert_eq!(sent(&besides(None), URL, json, two).unwrap().1, two);
        let url = "https://a.example/x".parse().unwrap();
        assert!(Places::new(&Secret::from("s"), &url, Some("{}")).is_none());
    }
}
