//! Secrets: values that no log, error, file, argument or component ever sees.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret would.
pub const REDACTED: &str = "REDACTED";

/// A secret value. Its memory is wiped when it is dropped; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Every form in which this secret could come back: as it is, percent-encoded, in base64, and as JSON text writes it.
    /// Longest first, without repeats.
    pub fn forms(&self) -> Vec<String> {
        let raw = self.expose();
        let json = serde_json::to_string(raw).unwrap_or_default();
        let json = json.trim_matches('"').to_owned();
        let mut forms = vec![
            raw.to_owned(),
            json.replace('/', "\\/"),
            json,
            percent_encoded(raw),
            percent_encoded(raw).to_ascii_lowercase(),
            STANDARD.encode(raw),
            URL_SAFE.encode(raw).trim_end_matches('=').to_owned(),
        ];
        forms.retain(|form| !form.is_empty());
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        forms
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(SecretString::from(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `raw` with every byte encoded that RFC 3986 does not call unreserved.
pub(crate) fn percent_encoded(raw: &str) -> String {
    raw.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Replaces every form of a set of secrets in texts that people will read.
#[derive(Clone, Default)]
pub struct Redactor {
    forms: Vec<String>,
}

impl Redactor {
    /// Hides these secrets, whatever their length.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut forms: Vec<String> = secrets.into_iter().flat_map(|s| s.forms()).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms }
    }

    /// `text` without any of the secrets.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), REDACTED);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from("s3cret")), "Secret");
    }

    #[test]
    fn every_form_is_hidden() {
        let redactor = Redactor::new([Secret::from("a/b+c\"d=1")]);

        for form in [
            "a/b+c\"d=1",
            "a%2Fb%2Bc%22d%3D1",
            "a%2fb%2bc%22d%3d1",
            "YS9iK2MiZD0x",
            r#"a\/b+c\"d=1"#,
        ] {
            assert_eq!(redactor.hide(&format!("<{form}>")), "<REDACTED>");
        }
    }
}
