//! Echoes: a credential that a server sends back is replaced before a component can see it.
//!
//! This guards against servers that repeat what they were sent (debug pages, error texts, links). A server that wants to
//! hand the credential over in disguise can: it has it. Whatever way characters are escaped, an echo is found. In headers
//! those from 8 bytes are replaced, in bodies from 16: shorter ones occur by chance.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use http::HeaderValue;
use tidegate_secret::{BODY_BYTES_MIN, HEADER_BYTES_MIN};

use crate::limits::ECHO_TEXT_CHARS_MAX;
use crate::secret::{Learned, Search, Secret, Secrets};

/// What to look for.
pub(super) struct Echoes(RwLock<LookedFor>);

struct LookedFor {
    secrets: Secrets,
    /// Those of requests that are under way, by a number of each request.
    signatures: BTreeMap<u64, Vec<Secret>>,
    header: Search,
    body: Search,
}

impl Echoes {
    /// Looks for these secrets.
    pub(super) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets = Secrets::new(secrets);
        Self(RwLock::new(LookedFor::new(secrets, BTreeMap::new())))
    }

    /// Looks for this one too, in every header and in what comes from now on of every body.
    pub(super) fn learn(&self, secret: &Secret, learned: Learned) {
        self.change(|secrets, _| secrets.learn(secret, learned));
    }

    /// Looks for the signatures of one request, as long as what is returned lives.
    pub(super) fn hide_signatures(self: &Arc<Self>, signatures: Vec<Secret>) -> Signed {
        let number = self.change(|_, signed| {
            let number = signed.last_key_value().map_or(0, |(last, _)| last + 1);
            signed.insert(number, signatures);
            number
        });
        Signed {
            echoes: self.clone(),
            number,
        }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Secrets, &mut BTreeMap<u64, Vec<Secret>>) -> T,
    ) -> T {
        let mut looked_for = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut secrets = std::mem::take(&mut looked_for.secrets);
        let mut signatures = std::mem::take(&mut looked_for.signatures);
        let changed = change(&mut secrets, &mut signatures);
        *looked_for = LookedFor::new(secrets, signatures);
        changed
    }

    fn looked_for(&self) -> RwLockReadGuard<'_, LookedFor> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value to show in place of `value`, and how many echoes were in it; `None` when there was none.
    pub(super) fn hide(&self, value: &HeaderValue) -> Option<(HeaderValue, u64)> {
        let mut shown = Vec::new();
        let looked_for = self.looked_for();
        let hidden = looked_for.header.hide(value.as_bytes(), true, &mut shown);
        (hidden.count > 0).then(|| {
            (
                HeaderValue::from_bytes(&shown).expect("it was one, and only ASCII was added"),
                hidden.count,
            )
        })
    }

    /// `text` of a server, without echoes and no longer than a word in an error should be.
    pub(super) fn hide_in_text(&self, text: &str) -> String {
        let mut shown = Vec::new();
        let looked_for = self.looked_for();
        looked_for.header.hide(text.as_bytes(), true, &mut shown);
        String::from_utf8_lossy(&shown)
            .chars()
            .take(ECHO_TEXT_CHARS_MAX)
            .collect()
    }

    /// Hides echoes in one body; `None` when there is nothing to look for.
    pub(super) fn scrubber(self: &Arc<Self>) -> Option<Scrubber> {
        let has_some = !self.looked_for().body.is_empty();
        has_some.then(|| Scrubber {
            echoes: self.clone(),
            pending: Vec::new(),
            found: 0,
            is_given_up: false,
        })
    }
}

impl LookedFor {
    fn new(secrets: Secrets, signatures: BTreeMap<u64, Vec<Secret>>) -> Self {
        let others = || signatures.values().flatten();
        Self {
            header: secrets.search_with(others(), HEADER_BYTES_MIN),
            body: secrets.search_with(others(), BODY_BYTES_MIN),
            secrets,
            signatures,
        }
    }
}

/// A signed request that is under way: until this is dropped, its signatures are looked for in all that comes.
pub(super) struct Signed {
    echoes: Arc<Echoes>,
    number: u64,
}

impl Drop for Signed {
    fn drop(&mut self) {
        self.echoes
            .change(|_, signed| drop(signed.remove(&self.number)));
    }
}

/// Hides echoes in a stream: what comes out is the same wherever the chunks were cut.
pub(super) struct Scrubber {
    echoes: Arc<Echoes>,
    /// The end of what has come, no longer than a secret with every character escaped: an echo may have begun in it.
    pending: Vec<u8>,
    /// Echoes hidden so far.
    pub(super) found: u64,
    /// The rest is hidden without being looked at.
    is_given_up: bool,
}

impl Scrubber {
    /// Takes the next bytes of the body and gives those that are decided; may be none.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Bytes {
        if self.is_given_up {
            return Bytes::new();
        }
        self.pending.extend_from_slice(chunk);
        self.release(false)
    }

    /// The body is complete: gives the rest.
    pub(super) fn finish(&mut self) -> Bytes {
        self.release(true)
    }

    fn release(&mut self, is_whole: bool) -> Bytes {
        let mut shown = Vec::with_capacity(self.pending.len());
        let looked_for = self.echoes.looked_for();
        let hidden = looked_for.body.hide(&self.pending, is_whole, &mut shown);
        self.found += hidden.count;
        self.is_given_up |= hidden.is_given_up;
        self.pending.drain(..hidden.taken);
        Bytes::from(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "k3y/with+sixteen=bytes";

    fn looking_for(secrets: &[&str]) -> Arc<Echoes> {
        Arc::new(Echoes::new(secrets.iter().map(|&secret| secret.into())))
    }

    fn scrubbed(chunks: &[&[u8]]) -> (Vec<u8>, u64) {
        let mut scrubber = looking_for(&[KEY]).scrubber().unwrap();
        let mut shown: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| scrubber.push(chunk))
            .collect();
        shown.extend(scrubber.finish());
        (shown, scrubber.found)
    }

    #[test]
    fn every_form_is_replaced_at_every_cut() {
        let json = KEY.replace('/', "\\/");
        let body = format!(
            "{KEY}{KEY},{json},k3y%2Fwith%2Bsixteen%3Dbytes,azN5L3dpdGgrc2l4dGVlbj1ieXRlcw==,k3y/with+sixteen=byte"
        );
        let body = body.as_bytes();
        let whole = b"REDACTEDREDACTED,REDACTED,REDACTED,REDACTED,k3y/with+sixteen=byte".to_vec();

        for cut in 0..=body.len() {
            assert_eq!(
                scrubbed(&[&body[..cut], &body[cut..]]),
                (whole.clone(), 5),
                "cut at {cut}"
            );
        }
        assert_eq!(scrubbed(&body.chunks(1).collect::<Vec<_>>()), (whole, 5));
    }

    #[test]
    fn a_body_without_an_echo_comes_out_as_it_went_in() {
        let body = b"[{\"id\":1,\"key\":\"k3y/with+sixteen\"}]".repeat(100);

        assert_eq!(scrubbed(&body.chunks(7).collect::<Vec<_>>()), (body, 0));
    }

    #[test]
    fn a_header_is_scrubbed_from_eight_bytes_and_a_body_from_sixteen() {
        let echoes = looking_for(&["eight8ch"]);
        let value = HeaderValue::from_static("<https://a.example/?key=eight8ch&p=2>; rel=next");

        let (shown, found) = echoes.hide(&value).unwrap();

        assert_eq!(shown, "<https://a.example/?key=REDACTED&p=2>; rel=next");
        assert_eq!(found, 1);
        let mut scrubber = echoes.scrubber().unwrap();
        let shown = [scrubber.push(b"[\"eight8ch\"]"), scrubber.finish()].concat();
        assert_eq!(shown, b"[\"eight8ch\"]");
    }

    #[test]
    fn an_echo_that_begins_inside_another_is_not_one() {
        let echoes = looking_for(&["a23456789012345b", "b23456789012345c"]);
        let value = HeaderValue::from_static("<a23456789012345b23456789012345c>");

        let (shown, found) = echoes.hide(&value).unwrap();

        assert_eq!(shown, "<REDACTED23456789012345c>");
        assert_eq!(found, 1);
    }

    #[test]
    fn a_short_secret_does_not_spoil_headers() {
        let echoes = looking_for(&["2026"]);

        assert!(
            echoes
                .hide(&HeaderValue::from_static("Mon, 23 Nov 2026 06:00:00 GMT"))
                .is_none()
        );
    }

    #[test]
    fn a_signature_is_looked_for_while_its_request_is_under_way_whatever_else_is_signed() {
        let echoes = looking_for(&[]);
        let first = echoes.hide_signatures(vec![KEY.into()]);
        let others: Vec<Signed> = (0..100)
            .map(|at| {
                echoes.hide_signatures(vec![format!("another-signature-{at}").as_str().into()])
            })
            .collect();
        let value = HeaderValue::from_str(KEY).unwrap();

        assert_eq!(echoes.hide(&value).unwrap().0, "REDACTED");
        drop(others);
        assert_eq!(echoes.hide(&value).unwrap().0, "REDACTED");
        drop(first);
        assert!(echoes.hide(&value).is_none());
    }

    #[test]
    fn what_is_learned_later_is_replaced_in_headers_and_in_bodies_that_are_still_open() {
        let echoes = looking_for(&[]);
        assert!(echoes.scrubber().is_none());
        echoes.learn(&"the-old-key-of-long-ago".into(), Learned::Key);
        let mut scrubber = echoes.scrubber().unwrap();
        let mut shown = scrubber.push(b"the-old-key-of-long-ago ").to_vec();

        echoes.learn(&KEY.into(), Learned::Key);

        let value = HeaderValue::from_str(KEY).unwrap();
        assert_eq!(echoes.hide(&value).unwrap().0, "REDACTED");
        shown.extend(scrubber.push(KEY.as_bytes()));
        shown.extend(scrubber.finish());
        assert_eq!(shown, b"REDACTED REDACTED");
    }
}
