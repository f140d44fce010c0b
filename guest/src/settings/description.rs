//! What the component says about itself: its settings in the order in which people read them.

use super::{access, cursor, pages, records, request, run};

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
    [
        access::described(),
        request::described(),
        pages::described(),
        cursor::described(),
        records::described(),
        run::described(),
    ]
    .concat()
}

/// One that nobody has to give; empty texts stand for none.
pub(super) fn optional(name: &str, doc: &str, default: &str, example: &str) -> Setting {
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
