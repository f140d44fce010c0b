//! How much one run may ask of the source.

use super::Given;
use super::description::{Setting, optional};
use crate::source::ErrorCheck;
use crate::source::retry::Rate;

/// `MAX_RETRIES` when it is not set.
const MAX_RETRIES_DEFAULT: u64 = 3;
/// `MAX_PAGES` when it is not set.
const MAX_PAGES_DEFAULT: u64 = 10_000;

impl Given<'_> {
    pub(super) fn retries_max(&mut self) -> u32 {
        let retries = self.number("MAX_RETRIES", MAX_RETRIES_DEFAULT, 0..=20);
        u32::try_from(retries).unwrap_or(u32::MAX)
    }

    pub(super) fn error_check(&mut self) -> Option<ErrorCheck> {
        const NAME: &str = "SOURCE_ERROR";
        let program = self.get(NAME)?;
        self.kept(NAME, ErrorCheck::compile(program))
    }

    pub(super) fn rate(&mut self) -> Option<Rate> {
        const NAME: &str = "SOURCE_RATE";
        let text = self.get(NAME)?;
        self.kept(NAME, Rate::parse(text))
    }

    pub(super) fn pages_max(&mut self) -> u64 {
        self.number("MAX_PAGES", MAX_PAGES_DEFAULT, 1..=1_000_000)
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    let retries = MAX_RETRIES_DEFAULT.to_string();
    let pages = MAX_PAGES_DEFAULT.to_string();
    vec![
        optional(
            "SOURCE_ERROR",
            "jq program that looks for an error in the body of a 200 answer. Null, false or no result: no error. The text `retry`: retry as after a 503. Any other result fails the run. Every page is parsed twice then.",
            "",
            ".errors[0].message",
        ),
        optional(
            "SOURCE_RATE",
            "Maximum requests per second, retries and redirects included: 0.001 to 1000. Without it, only the source's own limits slow a run down.",
            "",
            "0.5",
        ),
        optional(
            "MAX_RETRIES",
            "Retries per request: 3 means four attempts.",
            &retries,
            "5",
        ),
        optional("MAX_PAGES", "Maximum pages per run.", &pages, "500"),
    ]
}
