//! Secrets: values that no log, error, file, argument or component ever sees.
//!
//! What holds one is wiped when it is dropped, as far as that is ours: settings, their files, forms that are looked for,
//! headers, and the bodies and keys that are sent or read. It is not in the environment of the process, which the system
//! keeps; in what hyper, rustls, tokio-postgres and the kernel copy to send it; and in an address with SOURCE_AUTH=query.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::limits::{COOKIES_LEARNED_MAX, KEYS_LEARNED_MAX, TOKENS_LEARNED_MAX};

pub(crate) use tidegate_secret::{Search, WORD_BYTES_MIN};

/// A secret value. Its memory is wiped when it is dropped; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
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
pub(crate) fn percent_encoded(raw: &str) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Zeroizing::new(String::with_capacity(3 * raw.len()));
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// `bytes` in base64, as `Authorization: Basic` has it.
pub(crate) fn base64(text: &str) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(text))
}

/// A text as it is between the quotes of JSON.
pub(crate) fn in_json(text: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(Vec::with_capacity(6 * text.len() + 2));
    let written = serde_json::to_writer(&mut *quoted, text);
    written.expect("a text is JSON");
    let inner = std::str::from_utf8(&quoted[1..quoted.len() - 1]).expect("JSON is UTF-8");
    joined(&[inner])
}

/// The first of these in a text, and where it begins.
pub(crate) fn first_of<'n>(text: &str, names: &[&'n str]) -> Option<(usize, &'n str)> {
    let found = names
        .iter()
        .filter_map(|name| Some((text.find(name)?, *name)));
    found.min_by_key(|(at, _)| *at)
}

/// One text of several. Its memory is wiped when it is dropped, and it was in no other on the way: a text that grows leaves
/// copies behind.
pub(crate) fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(
        parts.iter().map(|part| part.len()).sum(),
    ));
    for part in parts {
        text.push_str(part);
    }
    text
}

/// A text that can be sent: its memory is wiped once nobody holds it any more.
pub(crate) fn shared(mut text: Zeroizing<String>) -> Bytes {
    Bytes::from_owner(Zeroizing::new(std::mem::take(&mut *text).into_bytes()))
}

/// The secrets that were given, and those that came to be during the run.
#[derive(Default)]
pub(crate) struct Secrets {
    given: Vec<Secret>,
    keys: VecDeque<Secret>,
    tokens: VecDeque<Secret>,
    cookies: VecDeque<Secret>,
}

/// What came to be a secret during the run. Those of a kind replace one another, and none of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// A key that was read again from its file, or a part of it.
    Key,
    /// An access token.
    Token,
    /// The value of a cookie.
    Cookie,
}

impl Secrets {
    /// These, to begin with.
    pub(crate) fn new(given: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            given: given.into_iter().collect(),
            keys: VecDeque::new(),
            tokens: VecDeque::new(),
            cookies: VecDeque::new(),
        }
    }

    pub(crate) fn learn(&mut self, secret: &Secret, learned: Learned) {
        let (known, max) = match learned {
            Learned::Key => (&mut self.keys, KEYS_LEARNED_MAX),
            Learned::Token => (&mut self.tokens, TOKENS_LEARNED_MAX),
            Learned::Cookie => (&mut self.cookies, COOKIES_LEARNED_MAX),
        };
        if known.len() == max {
            known.pop_front();
        }
        known.push_back(secret.clone());
    }

    /// Looks for all of them, where they take at least so many bytes.
    pub(crate) fn search(&self, bytes_min: usize) -> Search {
        self.search_with([], bytes_min)
    }

    /// The same, and for these besides.
    pub(crate) fn search_with<'s>(
        &'s self,
        others: impl IntoIterator<Item = &'s Secret>,
        bytes_min: usize,
    ) -> Search {
        let learned = self.keys.iter().chain(&self.tokens).chain(&self.cookies);
        let all = self.given.iter().chain(learned).chain(others);
        Search::new(all.map(Secret::expose), bytes_min)
    }
}

/// Replaces a set of secrets, in every form, in texts that people will read. Clones share the set.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    secrets: Secrets,
    search: Search,
}

impl Redactor {
    /// Hides these secrets; one of fewer than [`WORD_BYTES_MIN`] bytes only where it is a word by itself.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets = Secrets::new(secrets);
        let search = secrets.search(1);
        Self {
            known: Arc::new(RwLock::new(Known { secrets, search })),
        }
    }

    /// Hides this one too from now on, in every clone: an access token, say, that nobody had when the run began.
    pub fn learn(&self, secret: &Secret, learned: Learned) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.secrets.learn(secret, learned);
        known.search = known.secrets.search(1);
    }

    /// `text` without any of the secrets.
    pub fn hide(&self, text: &str) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut shown = Vec::with_capacity(text.len());
        known.search.hide(text.as_bytes(), true, &mut shown);
        known.search.hide_cut(&mut shown);
        // Whole characters were replaced.
        String::from_utf8(shown)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
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

        redactor.learn(&Secret::from("a-token-s3cret"), Learned::Token);

        assert_eq!(clone.hide("s3cret, a-token-s3cret"), "REDACTED, REDACTED");
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_is_a_word_by_itself() {
        let redactor = Redactor::new([Secret::from("p"), Secret::from("a1b2c")]);

        for (text, shown) in [
            ("a problem with p", "a problem with REDACTED"),
            ("p", "REDACTED"),
            ("key=p&q=a1b2c.", "key=REDACTED&q=REDACTED."),
            ("pp ppp p_p xa1b2c a1b2cé", "pp ppp p_p xa1b2c a1b2cé"),
            (
                "%20p%20, \"\\np\\u0022p\"",
                "%20REDACTED%20, \"\\nREDACTED\\u0022REDACTED\"",
            ),
            ("%70 (\\u0070)", "REDACTED (REDACTED)"),
            ("Basic cA== or cAt", "Basic REDACTED or cAt"),
        ] {
            assert_eq!(redactor.hide(text), shown, "{text}");
        }
    }

    #[test]
    fn a_secret_of_six_characters_is_hidden_everywhere() {
        let redactor = Redactor::new([Secret::from("a1b2c3")]);

        assert_eq!(redactor.hide("xa1b2c3x"), "xREDACTEDx");
    }

    #[test]
    fn without_a_secret_every_text_stays_as_it_is() {
        let text = r#"a text, 100%, %7Bid%7D, \u0041, "a\nb", &amp;"#;

        for redactor in [
            Redactor::default(),
            Redactor::new([]),
            Redactor::new([Secret::from("")]),
        ] {
            assert_eq!(redactor.hide(text), text);
        }
    }

    #[test]
    fn a_secret_that_was_cut_is_hidden_too() {
        let redactor = Redactor::new([Secret::from("k3y-of-the-source")]);

        for (text, shown) in [
            ("says `you sent k3y-of-th…`", "says `you sent REDACTED…`"),
            (
                "k3y-… and k3y-of-the-sourc… (cut, 9 bytes)",
                "REDACTED… and REDACTED… (cut, 9 bytes)",
            ),
            (
                "k3y… is no more than a word, and k3y-of is not cut",
                "k3y… is no more than a word, and k3y-of is not cut",
            ),
            ("k3y-of-the-source…", "REDACTED…"),
        ] {
            assert_eq!(redactor.hide(text), shown, "{text}");
        }
    }

    #[test]
    fn tokens_without_end_push_no_key_out() {
        let mut secrets = Secrets::default();
        secrets.learn(&Secret::from("a-key-that-was-rotated"), Learned::Key);

        for number in 0..10 * TOKENS_LEARNED_MAX {
            secrets.learn(
                &Secret::from(format!("token-{number:05}").as_str()),
                Learned::Token,
            );
        }

        let mut shown = Vec::new();
        let hidden = secrets.search(1);
        hidden.hide(
            b"a-key-that-was-rotated token-00159 token-00001",
            true,
            &mut shown,
        );
        assert_eq!(shown, b"REDACTED REDACTED token-00001");
    }
}
