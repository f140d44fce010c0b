//! `{each}`: the value that one of several fetches of a run is for, put where the settings have it in a request.

use url::Url;

use super::address::{URL_BYTES_MAX, percent_encoded, plain};
use super::ask::{Ask, BodyFormat};
use super::template::{self, CURSOR};
use tidegate_json::quoted;

/// What stands for the value: in the path or the query of a URL, in a string of a body, in the value of a header.
pub const EACH: &str = "{each}";
/// The longest value.
pub const EACH_BYTES_MAX: usize = 1024;

/// What one of several fetches of a run is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Each {
    /// The value, as it goes into a request.
    pub text: String,
    /// The same as JSON: a string, or an integer.
    pub json: String,
    /// The record that has it, as JSON, where values come from records.
    pub parent: Option<String>,
}

impl Each {
    /// A value of a list.
    pub fn of_list(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            json: template::string(text),
            parent: None,
        }
    }

    /// The value of a record: a JSON string, or an integer.
    pub fn of_parent(json: String, record: Option<String>) -> Self {
        Self {
            text: serde_json::from_str(&json).unwrap_or_else(|_| json.clone()),
            json,
            parent: record,
        }
    }

    /// `ask` with the value where `{each}` stands. `Err` says why it cannot stand there.
    pub fn put_into(&self, ask: &Ask) -> Result<Ask, String> {
        let value = self.text.as_str();
        put_into(ask, EACH, value)
    }

    /// What log lines begin with: the value and a colon.
    pub fn label(&self) -> String {
        format!("{}: ", self.shown())
    }

    /// The value for messages.
    pub fn shown(&self) -> String {
        quoted(&self.text)
    }
}

/// `ask` with `value` where `mark`, such as `{each}`, stands. `Err` says why it cannot stand there.
pub fn put_into(ask: &Ask, mark: &str, value: &str) -> Result<Ask, String> {
    if value.is_empty() || value.len() > EACH_BYTES_MAX {
        return Err(format!(
            "has {} bytes, not 1 to {EACH_BYTES_MAX}",
            value.len()
        ));
    }
    if value.contains(CURSOR) {
        return Err(format!("has `{CURSOR}` in it"));
    }
    let in_headers = ask.headers.iter().any(|(_, header)| header.contains(mark));
    if in_headers && !value.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Err("cannot be in a header: it is not visible ASCII".to_owned());
    }
    let mut with = ask.clone();
    with.url = in_url(&ask.url, mark, value);
    let segments = |url: &Url| url.path_segments().map(Iterator::count);
    if segments(&with.url) != segments(&ask.url) {
        return Err("cannot be in the path of a URL: it leads to another folder".to_owned());
    }
    if with.url.as_str().len() > URL_BYTES_MAX {
        return Err(format!("makes a URL of more than {URL_BYTES_MAX} bytes"));
    }
    with.body = ask.body.as_deref().map(|body| {
        if ask.body_format == BodyFormat::Form {
            return plain(body, mark).replace(mark, &percent_encoded(value));
        }
        let json = template::string(value);
        body.replace(mark, &json[1..json.len() - 1])
    });
    for (_, header) in &mut with.headers {
        *header = header.replace(mark, value);
    }
    Ok(with)
}

/// Whether `mark` is in the path or the query of `url`.
pub fn url_holds(url: &Url, mark: &str) -> bool {
    let holds = |text: &str| plain(text, mark).contains(mark);
    holds(url.path()) || url.query().is_some_and(holds)
}

fn in_url(url: &Url, mark: &str, value: &str) -> Url {
    let encoded = percent_encoded(value);
    let mut with = url.clone();
    with.set_path(&plain(url.path(), mark).replace(mark, &encoded));
    if let Some(query) = url.query() {
        with.set_query(Some(&plain(query, mark).replace(mark, &encoded)));
    }
    with
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        Ask {
            body: Some(r#"{"q":"of {each}"}"#.to_owned()),
            headers: vec![("x-account".to_owned(), "a-{each}".to_owned())],
            ..Ask::get(Url::parse("https://x.example/a/{each}/b?c=%7beach%7D&d={cursor}").unwrap())
        }
    }

    fn put(value: &str) -> Result<Ask, String> {
        Each::of_list(value).put_into(&ask())
    }

    #[test]
    fn a_value_stands_encoded_for_its_place() {
        let mut plain = ask();
        plain.headers.clear();

        let with = Each::of_list("a/b?\"é").put_into(&plain).unwrap();
        let in_header = put("a/b").unwrap();

        let value = "a%2Fb%3F%22%C3%A9";
        assert_eq!(
            with.url.as_str(),
            format!("https://x.example/a/{value}/b?c={value}&d={{cursor}}")
        );
        assert_eq!(with.body.as_deref(), Some(r#"{"q":"of a/b?\"é"}"#));
        assert_eq!(in_header.headers[0].1, "a-a/b");
    }

    #[test]
    fn a_value_that_could_lead_elsewhere_is_refused() {
        for value in [".", "..", "", "a\r\nx: y", "a b", "é", "a{cursor}"] {
            assert!(put(value).is_err(), "{value:?}");
        }
        let long = "x".repeat(EACH_BYTES_MAX + 1);

        assert!(put(&long).unwrap_err().contains("1025 bytes"));
        assert!(put(&long[1..]).is_ok());
    }

    #[test]
    fn a_value_never_changes_the_origin() {
        for value in ["//evil.example", "\\evil", "@evil.example", "#x", "%2e%2e"] {
            let with = put(value).unwrap();

            assert_eq!(with.url.origin(), ask().url.origin(), "{value}");
            assert_eq!(with.url.path_segments().unwrap().count(), 3, "{value}");
        }
    }
}
