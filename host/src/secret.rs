//! Secrets: values that no log, error, file, argument or component ever sees.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

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

    /// Every form in which this secret could come back: as it is, percent-encoded as URLs and forms have it, in base64, and
    /// as JSON text writes it. Longest first, without repeats.
    pub fn forms(&self) -> Vec<String> {
        let raw = self.expose();
        let json = serde_json::to_string(raw).unwrap_or_default();
        let json = json.trim_matches('"').to_owned();
        let mut forms = vec![
            raw.to_owned(),
            json.replace('/', "\\/"),
            json,
            percent_encoded(raw),
            with_lower_hex(&percent_encoded(raw)),
            // Forms write a blank as `+`; a URL's query keeps most of what need not be encoded there.
            form_urlencoded::byte_serialize(raw.as_bytes()).collect(),
            query_of_a_url(raw),
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

/// `encoded` with the digits of `%2F` in lower case, and nothing else of it.
fn with_lower_hex(encoded: &str) -> String {
    let mut digits = 0;
    let lower = encoded.chars().map(|c| {
        if c == '%' {
            digits = 2;
            c
        } else if digits > 0 {
            digits -= 1;
            c.to_ascii_lowercase()
        } else {
            c
        }
    });
    lower.collect()
}

/// `raw` as a query after the URL standard's own encoding.
fn query_of_a_url(raw: &str) -> String {
    let mut url = Url::parse("https://localhost").expect("a valid URL");
    url.set_query(Some(raw));
    url.query().unwrap_or_default().to_owned()
}

/// Access tokens that are looked for besides the secrets that were given; the ones before these expired long ago.
const LEARNED_MAX: usize = 16;

/// The secrets that were given, and those that came to be during the run.
#[derive(Default)]
pub(crate) struct Secrets {
    given: Vec<Secret>,
    learned: VecDeque<Secret>,
}

impl Secrets {
    /// These, to begin with.
    pub(crate) fn new(given: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            given: given.into_iter().collect(),
            learned: VecDeque::new(),
        }
    }

    /// One more.
    pub(crate) fn learn(&mut self, secret: &Secret) {
        if self.learned.len() == LEARNED_MAX {
            self.learned.pop_front();
        }
        self.learned.push_back(secret.clone());
    }

    /// Every form of all of them, of at least so many bytes; the longest first: of two that begin at one place the longer
    /// is meant.
    pub(crate) fn forms(&self, bytes_min: usize) -> Vec<String> {
        let secrets = self.given.iter().chain(&self.learned);
        let mut forms: Vec<String> = secrets.flat_map(Secret::forms).collect();
        forms.retain(|form| form.len() >= bytes_min);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        forms
    }
}

/// Replaces every form of a set of secrets in texts that people will read. Clones share the set.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    secrets: Secrets,
    forms: Vec<String>,
}

impl Redactor {
    /// Hides these secrets, whatever their length.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets = Secrets::new(secrets);
        let forms = secrets.forms(1);
        Self {
            known: Arc::new(RwLock::new(Known { secrets, forms })),
        }
    }

    /// Hides this one too from now on, in every clone: an access token, say, that nobody had when the run began.
    pub fn learn(&self, secret: &Secret) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.secrets.learn(secret);
        known.forms = known.secrets.forms(1);
    }

    /// `text` without any of the secrets.
    pub fn hide(&self, text: &str) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for form in &known.forms {
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
            "a/b+c%22d=1",
            "YS9iK2MiZD0x",
            r#"a\/b+c\"d=1"#,
        ] {
            assert_eq!(redactor.hide(&format!("<{form}>")), "<REDACTED>");
        }
    }

    #[test]
    fn an_encoded_form_keeps_its_capitals_and_a_form_its_blanks() {
        let redactor = Redactor::new([Secret::from("Ab/C d")]);

        for form in ["Ab%2fC%20d", "Ab%2FC+d", "Ab/C%20d"] {
            assert_eq!(redactor.hide(form), "REDACTED", "{form}");
        }
    }

    #[test]
    fn what_is_learned_later_is_hidden_by_every_clone() {
        let redactor = Redactor::new([Secret::from("s3cret")]);
        let clone = redactor.clone();

        redactor.learn(&Secret::from("a-token-s3cret"));

        assert_eq!(clone.hide("s3cret, a-token-s3cret"), "REDACTED, REDACTED");
    }

    #[test]
    fn an_empty_secret_hides_nothing() {
        assert_eq!(Redactor::new([Secret::from("")]).hide("a text"), "a text");
    }
}
