//! What requests to the source have besides the credential: secret headers, and one secret in the query and the body.
//!
//! A component writes `{secret}` where the user wrote it. As a request to the source goes out, the host puts the secret there:
//! into the parameters of the query that SOURCE_API_URL has it in, and into a body exactly where SOURCE_BODY has it. So
//! neither a source, by what it answers, nor a component can have the secret put anywhere else.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, request};
use serde_json::Value;
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
    /// `SOURCE_BODY`, if it has places.
    body: Option<String>,
}

/// Why a request did not get its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// The query would be too long for a URL.
    TooLong,
    /// The body has more places than the setting.
    TooMany,
    /// The body has a place that the setting has not.
    Moved,
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
            body: body.filter(|body| count(body) > 0).map(str::to_owned),
        };
        (!places.query.is_empty() || places.body.is_some()).then_some(places)
    }

    /// The texts of the body, JSON or a form, that have a place.
    pub fn texts_of_the_body(&self) -> Vec<String> {
        let body = self.body.as_deref().unwrap_or_default();
        let texts = texts_of_json(body).unwrap_or_else(|| texts_of_form(body));
        let texts = texts.into_iter().map(|(_, text)| text);
        texts.filter(|text| count(text) > 0).collect()
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
        let Some(template) = &self.body else {
            return Ok(body.clone());
        };
        let Ok(text) = std::str::from_utf8(body) else {
            return Ok(body.clone());
        };
        match count(text) {
            0 => return Ok(body.clone()),
            found if found > count(template) => return Err(Unplaced::TooMany),
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
        let (is_in_place, filled) = if is("json") || is("graphql") || begins(['{', '[']) {
            let is_in_place = are_among(text, template, texts_of_json);
            (is_in_place, self.filled(text, in_json))
        } else if is("x-www-form-urlencoded") {
            let is_in_place = are_among(text, template, |text| Some(texts_of_form(text)));
            (is_in_place, self.filled(text, percent_encoded))
        } else if is("xml") || begins(['<', '<']) {
            // Up to behind its last place, it is what the setting has.
            let end = text.rfind(PLACE).map_or(0, |at| at + PLACE.len());
            (
                template.starts_with(&text[..end]),
                self.filled(text, in_xml),
            )
        } else {
            return Err(Unplaced::UnknownKind);
        };
        if is_in_place {
            Ok(shared(filled))
        } else {
            Err(Unplaced::Moved)
        }
    }
}

/// Whether each place of a body is in a text that the template has there, by its pointer or the name of its field.
fn are_among(
    body: &str,
    template: &str,
    texts: impl Fn(&str) -> Option<Vec<(String, String)>>,
) -> bool {
    let (Some(mut own), Some(allowed)) = (texts(body), texts(template)) else {
        return false;
    };
    own.retain(|(_, text)| count(text) > 0);
    // What was not found among the texts is in a name, or in a member that is repeated.
    let found: usize = own.iter().map(|(_, text)| count(text)).sum();
    found == count(body) && own.iter().all(|text| allowed.contains(text))
}

/// The strings of a JSON text, each with its pointer; none: it is no JSON.
fn texts_of_json(text: &str) -> Option<Vec<(String, String)>> {
    let mut texts = Vec::new();
    let mut open = vec![(String::new(), serde_json::from_str::<Value>(text).ok()?)];
    while let Some((at, value)) = open.pop() {
        match value {
            Value::String(text) => texts.push((at, text)),
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                open.extend(items.map(|(index, item)| (format!("{at}/{index}"), item)));
            }
            Value::Object(members) => open.extend(members.into_iter().map(|(name, member)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                (format!("{at}/{name}"), member)
            })),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Some(texts)
}

/// The fields of a form, each with its name.
fn texts_of_form(text: &str) -> Vec<(String, String)> {
    let fields = url::form_urlencoded::parse(text.as_bytes());
    fields.into_owned().collect()
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
        let in_body = |kind, body: &str| {
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

        let moved = Err(Unplaced::Moved);
        for body in [
            r#"{"other":"{secret}"}"#,
            r#"{"{secret}":"key"}"#,
            r#"{"key":"x{secret}"}"#,
            r#"{"key":["{secret}"]}"#,
            r#"{"key":"{secret}","key":""}"#,
            r#"{"query":"\"key\":\"{secret}\""}"#,
            r#"{"key":"{secret}""#,
        ] {
            assert_eq!(sent(&one, URL, json, body), moved, "{body}");
        }
        let more = r#"{"after":"7","key":"{secret}","list":[1]}"#;
        assert!(sent(&one, URL, json, more).is_ok());

        let form = "application/x-www-form-urlencoded";
        let one = besides(Some("key={secret}&after="));
        assert_eq!(sent(&one, URL, form, "after=%7Bsecret%7D"), moved);
        assert_eq!(sent(&one, URL, form, "%7Bsecret%7D=key"), moved);
        assert!(sent(&one, URL, form, "after=7&key=%7Bsecret%7D").is_ok());

        let one = besides(Some("<a><k>{secret}</k><q/></a>"));
        let xml = "text/xml";
        assert_eq!(sent(&one, URL, xml, "<a><q>{secret}</q></a>"), moved);
        assert!(sent(&one, URL, xml, "<a><k>{secret}</k><q>7</q></a>").is_ok());

        // Where no body was given, none is looked into.
        assert_eq!(sent(&besides(None), URL, json, two).unwrap().1, two);
        let url = "https://a.example/x".parse().unwrap();
        assert!(Places::new(&Secret::from("s"), &url, Some("{}")).is_none());
    }
}
