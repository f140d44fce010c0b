//! Append without our host: what the last run left in `state.json`.
//!
//! A segment is committed when `state.json` names its number or a greater one. It gets its name first; one that no
//! `state.json` names yet is a leftover, and the next run writes it anew.

use serde::{Deserialize, Serialize};
use url::{Position, Url};

use super::{REJECTED_FOLDER, SEGMENTS, get};
use crate::failure::{Problem, quoted};

/// The file with the state, beside the segments.
pub const STATE: &str = "state.json";
/// The largest one that is read: a state of 64 KiB, escaped.
pub const STATE_BYTES_MAX: u64 = 512 * 1024;
/// The version written, and the only one read.
const VERSION: u64 = 1;

/// What was appended so far, and where the next run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    v: u64,
    /// `SOURCE_API_URL` without its query.
    source: String,
    /// `SOURCE_CURSOR`, or what stands for it.
    cursor: String,
    /// The number of the last segment; 0 before the first.
    segment: u64,
    /// The state that the last run returned.
    state: Option<String>,
}

impl Appended {
    /// What there is before the first run of `env`. `None`: WRITE_MODE is not append, and no state is kept. `Err` says what does
    /// not go together.
    pub fn nothing(env: &[(String, String)]) -> Result<Option<Self>, Problem> {
        if get(env, "WRITE_MODE") != Some("append") {
            return Ok(None);
        }
        if get(env, "SOURCE_DELETED").is_some() {
            let message =
                "has no effect with WRITE_MODE `append`, where nothing can be deleted: remove it";
            return Err(Problem::new("SOURCE_DELETED", message));
        }
        let is_token = get(env, "SOURCE_CURSOR_KIND") == Some("token");
        let cursor = get(env, "SOURCE_CURSOR").or(is_token.then_some("token"));
        let cursor = cursor.ok_or_else(|| {
            let message = "is not set, but WRITE_MODE `append` needs it: without one every run would append everything again";
            Problem::new("SOURCE_CURSOR", message)
        })?;
        let wrong = |why: String| Problem::new("SOURCE_API_URL", why);
        let url = get(env, "SOURCE_API_URL").ok_or_else(|| wrong("is not set".to_owned()))?;
        let url = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(Self {
            v: VERSION,
            source: url[..Position::AfterPath].to_owned(),
            cursor: cursor.to_owned(),
            segment: 0,
            state: None,
        }))
    }

    /// What there is after the run that wrote this `state.json`. `Err`: it is none, or one of other settings, and what to do.
    pub fn read(self, text: &[u8]) -> Result<Self, String> {
        let known: Self = std::str::from_utf8(text)
            .ok()
            .and_then(|text| serde_json::from_str(text).ok())
            .filter(|known: &Self| known.v == VERSION)
            .ok_or_else(|| {
                format!("`{STATE}` was not written by this component: to fetch everything again, move it away, and `{SEGMENTS}` if it belongs to it")
            })?;
        for (name, was, is) in [
            ("SOURCE_API_URL", &known.source, &self.source),
            ("SOURCE_CURSOR", &known.cursor, &self.cursor),
        ] {
            if was != is {
                return Err(format!(
                    "{name} was {} when `{STATE}` was written: change it back, or move `{STATE}` and `{SEGMENTS}` away to start over",
                    quoted(was)
                ));
            }
        }
        Ok(known)
    }

    /// The state for the next run.
    pub fn state(&self) -> Option<String> {
        self.state.clone()
    }

    /// The name of the segment that would come next.
    pub fn next_segment(&self) -> String {
        format!("{SEGMENTS}/{:06}.ndjson", self.segment.saturating_add(1))
    }

    /// The name of the file for the records that are rejected with it.
    pub fn next_rejected(&self) -> String {
        format!(
            "{REJECTED_FOLDER}/{:06}.ndjson",
            self.segment.saturating_add(1)
        )
    }

    /// The text of `state.json` after a run that returned `state`; `has_segment`: it also appended one.
    pub fn then(mut self, has_segment: bool, state: String) -> String {
        self.segment = self.segment.saturating_add(u64::from(has_segment));
        self.state = Some(state);
        serde_json::to_string(&self).expect("plain members are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(changed: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = vec![
            ("SOURCE_API_URL", "https://api.example.com/events?limit=100"),
            ("SOURCE_CURSOR", "/at"),
            ("WRITE_MODE", "append"),
        ];
        env.retain(|(name, _)| changed.iter().all(|(other, _)| name != other));
        env.extend(changed);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        env.into_iter().map(owned).collect()
    }

    fn nothing(changed: &[(&str, &str)]) -> Result<Option<Appended>, Problem> {
        Appended::nothing(&env(changed))
    }

    fn read(changed: &[(&str, &str)], text: &str) -> Result<Appended, String> {
        nothing(changed).unwrap().unwrap().read(text.as_bytes())
    }

    fn first() -> Appended {
        nothing(&[]).unwrap().unwrap()
    }

    #[test]
    fn the_next_run_goes_on_where_the_last_one_ended() {
        assert_eq!(first().state(), None);
        assert_eq!(first().next_segment(), "segments/000001.ndjson");

        let text = first().then(true, "{\"v\":2}".to_owned());
        let next = read(
            &[("SOURCE_API_URL", "https://api.example.com/events?limit=9")],
            &text,
        );

        let next = next.unwrap();
        assert_eq!(next.state().as_deref(), Some("{\"v\":2}"));
        assert_eq!(next.next_segment(), "segments/000002.ndjson");
        let text = next.then(false, "later".to_owned());
        let next = read(&[], &text).unwrap();
        assert_eq!(next.next_segment(), "segments/000002.ndjson");
    }

    #[test]
    fn a_state_of_something_else_is_refused() {
        let newer = first()
            .then(true, "s".to_owned())
            .replace("\"v\":1", "\"v\":2");
        for theirs in ["", "{}", r#"{"last_sync":"2026-01-01T00:00:00Z"}"#, &newer] {
            let refused = read(&[], theirs).unwrap_err();
            assert!(refused.contains("move it away"), "{theirs}: {refused}");
        }
        let ours = first().then(true, "s".to_owned());
        for (name, value) in [
            ("SOURCE_API_URL", "https://api.example.com/orders"),
            ("SOURCE_CURSOR", "/id"),
        ] {
            let refused = read(&[(name, value)], &ours).unwrap_err();
            assert!(refused.starts_with(name), "{refused}");
        }
    }

    #[test]
    fn what_append_cannot_do_alone_is_refused_and_other_modes_keep_no_state() {
        for changed in [("SOURCE_DELETED", "/gone"), ("SOURCE_CURSOR", "")] {
            assert!(nothing(&[changed]).is_err(), "{changed:?}");
        }
        for mode in ["", "replace", "upsert"] {
            assert_eq!(nothing(&[("WRITE_MODE", mode)]), Ok(None), "{mode}");
        }
        let token = [("SOURCE_CURSOR", ""), ("SOURCE_CURSOR_KIND", "token")];
        assert!(nothing(&token).unwrap().is_some());
    }
}
