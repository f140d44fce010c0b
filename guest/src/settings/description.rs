//! What the component says about itself and about each of its settings.

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
    /// Whether it decides what the records are, so that a change of it needs a decision.
    pub shapes_records: bool,
    /// What is staged besides records when it is given.
    pub stages: Staging,
    /// The value that applies when none is given.
    pub default: Option<String>,
    /// A value as a person would write it.
    pub example: Option<String>,
}

/// What may be staged besides records. None of these: every run stages all records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as in WIT")]
pub struct Staging {
    /// Only new and changed records.
    pub changes: bool,
    /// Deletions of records.
    pub deletions: bool,
    /// The parents whose records were fetched again.
    pub parents: bool,
    /// A part of the records, and `more` is reported.
    pub portions: bool,
}

impl Staging {
    /// Records only.
    pub const NOTHING: Self = Self {
        changes: false,
        deletions: false,
        parents: false,
        portions: false,
    };
    /// Only new and changed records.
    pub const CHANGES: Self = Self {
        changes: true,
        ..Self::NOTHING
    };
    /// Deletions of records.
    pub const DELETIONS: Self = Self {
        deletions: true,
        ..Self::NOTHING
    };
    /// The parents whose records were fetched again.
    pub const PARENTS: Self = Self {
        parents: true,
        ..Self::NOTHING
    };
    /// A part of the records, and `more` is reported.
    pub const PORTIONS: Self = Self {
        portions: true,
        ..Self::NOTHING
    };
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
    /// All its settings. Each says what it has the component stage besides records; without one, that is nothing.
    pub settings: Vec<Setting>,
}

/// An optional one; empty texts mean none.
pub(super) fn optional(name: &str, doc: &str, default: &str, example: &str) -> Setting {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Setting {
        name: name.to_owned(),
        doc: doc.to_owned(),
        required: false,
        secret: false,
        shapes_records: false,
        stages: Staging::NOTHING,
        default: text(default),
        example: text(example),
    }
}
