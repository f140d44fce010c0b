//! How much one run may ask of the source.

use super::Given;
use super::described::{Setting, optional};

/// `MAX_RETRIES` when it is not set.
const MAX_RETRIES_DEFAULT: u64 = 3;
/// `MAX_PAGES` when it is not set.
const MAX_PAGES_DEFAULT: u64 = 10_000;

impl Given<'_> {
    pub(super) fn retries_max(&mut self) -> u32 {
        let retries = self.number("MAX_RETRIES", MAX_RETRIES_DEFAULT, 0..=20);
        u32::try_from(retries).unwrap_or(u32::MAX)
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
            "MAX_RETRIES",
            "How often a request is tried again: 3 means four attempts.",
            &retries,
            "5",
        ),
        optional("MAX_PAGES", "The most pages of one run.", &pages, "500"),
    ]
}
