//! What the component says about itself: its settings in the order in which people read them.

use super::{MAX_PAGES_DEFAULT, MAX_RETRIES_DEFAULT};

/// One setting, as `describe` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub name: String,
    /// What it means, in one sentence.
    pub doc: String,
    /// Whether a run without it is pointless.
    pub required: bool,
    /// Whether it is a secret, which our host keeps to itself.
    pub secret: bool,
    /// The value that stands when none is given.
    pub default: Option<String>,
    /// A value as a person would write it.
    pub example: Option<String>,
}

/// What the component is and which settings it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// A short name.
    pub name: String,
    /// The component's version.
    pub version: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// All its settings.
    pub settings: Vec<Setting>,
}

/// What this component is.
pub fn describe() -> Description {
    Description {
        name: "rest".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: "Fetches the records of a JSON API, page by page, and keeps a cursor.".to_owned(),
        settings: settings(),
    }
}

fn settings() -> Vec<Setting> {
    [access(), pages(), cursor(), run()].concat()
}

fn access() -> Vec<Setting> {
    let api_key = Setting {
        secret: true,
        ..optional(
            "SOURCE_API_KEY",
            "The credential for the source; without it, requests are made without one.",
            "",
            "a-secret-key",
        )
    };
    vec![
        Setting {
            required: true,
            ..optional(
                "SOURCE_API_URL",
                "The URL of the first request, query included.",
                "",
                "https://api.example.com/v1/orders?status=open",
            )
        },
        api_key,
        optional(
            "SOURCE_AUTH",
            "How the credential is sent: `bearer`, `header`, `query` or `basic` (`user:password`).",
            "bearer",
            "header",
        ),
        optional(
            "SOURCE_AUTH_NAME",
            "The header's name for `header` (default X-API-Key), the parameter's for `query` (default api_key).",
            "",
            "X-Auth-Token",
        ),
    ]
}

fn pages() -> Vec<Setting> {
    vec![
        optional(
            "SOURCE_RECORDS",
            "JSON Pointer to the array of records; not needed where the body is the array.",
            "",
            "/data/items",
        ),
        optional(
            "SOURCE_PAGINATION",
            "How pages follow each other: `none`, `link` (a Link header with rel=next) or `next-url`.",
            "none",
            "link",
        ),
        optional(
            "SOURCE_PAGE_FROM",
            "Where the next URL stands, for `next-url`: a JSON Pointer into the body (default /next) or `header:NAME`.",
            "",
            "/links/next",
        ),
    ]
}

fn cursor() -> Vec<Setting> {
    vec![
        optional(
            "SOURCE_CURSOR",
            "JSON Pointer in a record to its change time, sequence or id; without it, every run fetches everything.",
            "",
            "/updated_at",
        ),
        optional(
            "SOURCE_CURSOR_TO",
            "The query parameter that takes the cursor; without it, older records are fetched and left out.",
            "",
            "updated_since",
        ),
        optional(
            "SOURCE_CURSOR_KIND",
            "What the cursor is: `rfc3339`, `date`, `epoch`, `epoch-ms`, `integer` or `text`; told from the first value, epochs never.",
            "",
            "epoch-ms",
        ),
        optional(
            "SOURCE_CURSOR_START",
            "The cursor of a first run.",
            "",
            "2026-01-01T00:00:00Z",
        ),
        optional(
            "SOURCE_LOOKBACK",
            "How far back to ask again, for records that were committed late: `90s`, `5m`, `2h`, `7d`, or a number of integers; 5m for times.",
            "",
            "1h",
        ),
        optional(
            "SOURCE_DELETED",
            "JSON Pointer in a record to what marks it as deleted; a record is live where it is missing, null, false, 0 or empty.",
            "",
            "/deleted_at",
        ),
    ]
}

fn run() -> Vec<Setting> {
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
        optional(
            "PRIMARY_KEY",
            "JSON Pointers to the values that identify a record, separated by commas.",
            "",
            "/id",
        ),
    ]
}

fn optional(name: &str, doc: &str, default: &str, example: &str) -> Setting {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Setting {
        name: name.to_owned(),
        doc: doc.to_owned(),
        required: false,
        secret: false,
        default: text(default),
        example: text(example),
    }
}
