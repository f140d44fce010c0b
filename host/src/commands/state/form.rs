//! An exported state: one JSON object, with whose it is beside it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::Limits;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::{Component, Manifest};
use crate::words;

/// The version of this form.
const VERSION: u64 = 1;

/// An exported state.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exported {
    /// [`VERSION`].
    tidegate_state: u64,
    /// `JOB_NAME`.
    pub job: String,
    /// The component that returned it.
    pub component: Component,
    /// The generation that it was committed with.
    pub generation: String,
    /// When it was exported, RFC 3339 in UTC.
    #[serde(rename = "exported")]
    at: String,
    /// The cursor, for people.
    pub cursor: Option<String>,
    /// Whether the next run fetches everything, whatever the state says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fetch_everything: bool,
    /// The state as the component returned it.
    state: Box<RawValue>,
}

impl Exported {
    /// The state of a commit. `Err`: it is no JSON, which no component may return.
    pub fn of(
        job: &str,
        name: &GenerationName,
        manifest: &Manifest,
        now: &str,
    ) -> Result<Self, String> {
        // Between what it says: within a text JSON has neither.
        let state = manifest.state.replace(['\t', '\r'], " ");
        let state = RawValue::from_string(state);
        Ok(Self {
            tidegate_state: VERSION,
            job: job.to_owned(),
            component: manifest.component.clone(),
            generation: name.to_string(),
            at: now.to_owned(),
            cursor: manifest.cursor.clone(),
            fetch_everything: manifest.fetch_everything,
            state: state.map_err(|error| format!("the state is no JSON: {error}"))?,
        })
    }

    /// As it is written.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        words::escaped_lines(&text) + "\n"
    }

    /// Reads one. `Err` says what is wrong with it.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            tidegate_state: u64,
        }

        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| format!("is no exported state: {error}"))?;
        if head.tidegate_state != VERSION {
            return Err(format!(
                "is of version {}, and this tidegate reads {VERSION}",
                head.tidegate_state
            ));
        }
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("is no exported state: {error}"))?;
        let (most, has) = (limits.state_bytes, read.state().len());
        if has > most {
            return Err(format!(
                "has a state of {has} bytes, and {most} are allowed"
            ));
        }
        let cursor = read.cursor.as_ref().map_or(0, String::len);
        if cursor > limits.words_bytes {
            return Err(format!(
                "has a cursor of {cursor} bytes, and {} are allowed",
                limits.words_bytes
            ));
        }
        Ok(read)
    }

    pub fn state(&self) -> &str {
        self.state.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::manifest::tests::empty;

    fn exported() -> String {
        let name = GenerationName::parse("000041-20261123T060000Z-0123456789abcdef").unwrap();
        let manifest = Manifest {
            state: "{\"v\":2,  \"cursor\":\"a\"}".into(),
            ..empty()
        };
        let of = Exported::of("orders", &name, &manifest, "2026-11-23T06:00:00Z");
        of.unwrap().text()
    }

    #[test]
    fn a_state_comes_back_as_it_was_to_the_byte() {
        let read = Exported::read(exported().as_bytes(), &Limits::default()).unwrap();

        assert_eq!(read.state(), "{\"v\":2,  \"cursor\":\"a\"}");
        assert_eq!(read.job, "orders");
    }

    #[test]
    fn what_is_none_is_refused_with_what_is_wrong() {
        let limits = Limits {
            state_bytes: 20,
            ..Limits::default()
        };
        let why = |text: &str| Exported::read(text.as_bytes(), &limits).unwrap_err();

        assert!(why("{").contains("is no exported state"));
        assert!(why("{\"tidegate_state\":2}").contains("version 2"));
        assert!(why("{\"tidegate_state\":1}").contains("missing field"));
        assert!(why(&exported()).contains("a state of 22 bytes"));
    }
}
