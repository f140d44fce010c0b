//! Secrets in the wrong place: in a setting that everybody may see and the component gets.
//!
//! They are told by their names: a header, a parameter or a member called `token` or `api_key`. What is found is warned of, and
//! hidden in what is printed. It is no error: a name can mean something else, and the request is what the user wants.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;
use url::form_urlencoded;

use crate::secret::Secret;
use crate::settings::catalogue::{SOURCE_API_URL, SOURCE_TOKEN_PARAMS};
use crate::settings::component_settings::{BODY, EXPORT_BODY, HEADERS};
use crate::settings::layers::Layers;

/// A secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistaken {
    /// The setting.
    pub setting: &'static str,
    /// The header, the parameter or the member.
    pub name: String,
    value: String,
}

impl Mistaken {
    /// Where it belongs.
    pub fn advice(&self) -> &'static str {
        match self.setting {
            HEADERS => {
                "give it in SOURCE_SECRET_HEADERS, or as SOURCE_API_KEY with SOURCE_AUTH=header"
            }
            BODY | EXPORT_BODY => "write `{secret}` in its place, and give it as SOURCE_SECRET",
            url if url == SOURCE_API_URL.row.name => {
                "give it as SOURCE_API_KEY with SOURCE_AUTH=query, or write `{secret}` and give it as SOURCE_SECRET"
            }
            _ => "this setting is not secret",
        }
    }
}

/// Words that a secret is called by, where they come last in a name.
const SECRET: [&str; 17] = [
    "apikey",
    "apitoken",
    "auth",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "jwt",
    "key",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "session",
    "signature",
    "token",
];
/// Words after which `key` and `token` are no secret.
const HARMLESS: [&str; 16] = [
    "continuation",
    "cursor",
    "foreign",
    "group",
    "idempotency",
    "next",
    "order",
    "page",
    "partition",
    "primary",
    "public",
    "sort",
    "start",
    "sync",
    "unique",
    "csrf",
];
/// A shorter value is none.
const VALUE_BYTES_MIN: usize = 4;
/// `key` alone has many meanings: its value is a secret only if it is at least so long, and has digits.
const KEY_BYTES_MIN: usize = 16;

/// All that are in what was given by value.
pub fn found(layers: &Layers) -> Vec<Mistaken> {
    let mut found = BTreeSet::new();
    let settings = [
        HEADERS,
        BODY,
        EXPORT_BODY,
        SOURCE_API_URL.row.name,
        SOURCE_TOKEN_PARAMS.row.name,
    ];
    for setting in settings {
        if let Some(given) = layers.get(setting) {
            let pairs = pairs(setting, &given.value).into_iter();
            let pairs = pairs.filter(|(name, value)| is_secret(name, value));
            found.extend(pairs.map(|(name, value)| Mistaken {
                setting,
                name,
                value,
            }));
        }
    }
    found.into_iter().collect()
}

/// Their values, to be hidden.
pub fn secrets(layers: &Layers) -> Vec<Secret> {
    let found = found(layers);
    found
        .iter()
        .map(|found| Secret::from(found.value.as_str()))
        .collect()
}

/// The names and values in the text of a setting.
fn pairs(setting: &str, text: &str) -> Vec<(String, String)> {
    let lines = |by: char| {
        let pairs = text.lines().filter_map(|line| line.split_once(by));
        let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        pairs.collect()
    };
    match setting {
        HEADERS => lines(':'),
        BODY | EXPORT_BODY => match serde_json::from_str(text) {
            Ok(body) => {
                let mut pairs = Vec::new();
                members(&body, &mut pairs);
                pairs
            }
            Err(_) => form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        },
        url if url == SOURCE_API_URL.row.name => {
            let url = Url::parse(text);
            url.map_or_else(
                |_| Vec::new(),
                |url| url.query_pairs().into_owned().collect(),
            )
        }
        _ => lines('='),
    }
}

fn members(value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) => pairs.push((name.clone(), text.clone())),
                    value => members(value, pairs),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, pairs)),
        _ => {}
    }
}

fn is_secret(name: &str, value: &str) -> bool {
    let words = words(name);
    let mut last_first = words.iter().rev().map(String::as_str);
    let is_named = last_first.next().is_some_and(|last| SECRET.contains(&last));
    let is_harmless = last_first
        .next()
        .is_some_and(|before| HARMLESS.contains(&before));
    let is_plain_key = ["key", "session", "auth"]
        .iter()
        .any(|word| words == [*word]);
    let has_digits = value.bytes().any(|byte| byte.is_ascii_digit()) && !value.contains(' ');
    let is_long = value.len()
        >= if is_plain_key {
            KEY_BYTES_MIN
        } else {
            VALUE_BYTES_MIN
        };
    // What stands for something else is no secret.
    let is_place = value.contains('{');
    is_named && !is_harmless && is_long && !is_place && (!is_plain_key || has_digits)
}

/// The words of a name, in lower case: `X-Api-Key`, `apiKey` and `API_KEY` have the same two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = c.is_uppercase() && was_lower;
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words
                .last_mut()
                .expect("there is one")
                .extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(setting: &str, text: &str) -> Vec<String> {
        let pairs = pairs(setting, text).into_iter();
        let found = pairs.filter(|(name, value)| is_secret(name, value));
        found.map(|(name, _)| name).collect()
    }

    #[test]
    fn a_secret_is_told_by_its_name() {
        let headers = "DD-APPLICATION-KEY: key-two-5678\nAccept: text/x\nX-Auth-Token: abcd\nIdempotency-Key: 12345";
        assert_eq!(
            names(HEADERS, headers),
            ["DD-APPLICATION-KEY", "X-Auth-Token"]
        );
        let body = r#"{"auth":{"apiKey":"k-123","user":"me"},"list":[{"password":"pass"}],"page_token":"p-1234"}"#;
        assert_eq!(names(BODY, body), ["apiKey", "password"]);
        assert_eq!(names(BODY, "user=me&secret=abcd"), ["secret"]);
        let url = "https://a.example/x?api_key=abcd&next_token=efgh&client_secret=%7Bsecret%7D";
        assert_eq!(names("SOURCE_API_URL", url), ["api_key"]);
        assert_eq!(
            names("SOURCE_TOKEN_PARAMS", "audience=x\nsubject_token=abcd"),
            ["subject_token"]
        );
    }

    #[test]
    fn a_key_of_another_kind_is_none() {
        let filter =
            r#"{"filter":{"key":"status","value":"open"},"sort_key":"created_at","keys":"abcd"}"#;
        assert_eq!(names(BODY, filter), [""; 0]);
        let long = r#"{"key":"AIzaSyA-1234567890"}"#;
        assert_eq!(names(BODY, long), ["key"]);
        assert_eq!(names(HEADERS, "X-Token: {cursor}\nX-Key: abc"), [""; 0]);
    }
}
