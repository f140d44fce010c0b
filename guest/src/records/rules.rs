//! What the settings say about records: what they are held to, what is made of them, and what identifies one.

use tidegate_json::Pointer;
use tidegate_schema::Schema;

use super::Transform;

/// What becomes of a record that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Invalid {
    /// It is put aside, and counted.
    #[default]
    Reject,
    /// The run ends.
    Fail,
}

/// What is made of records.
#[derive(Debug)]
pub struct RecordSettings {
    /// `MAX_RECORD_BYTES`.
    pub record_bytes_max: usize,
    /// `SOURCE_SCHEMA`.
    pub schema: Option<Schema>,
    /// `SOURCE_INVALID`.
    pub invalid: Invalid,
    /// `TRANSFORM`, when it does something.
    pub transform: Option<Transform>,
    /// `SOURCE_DELETED`.
    pub deleted: Option<Pointer>,
    /// `SOURCE_PARENT`.
    pub parent: Option<Pointer>,
    /// `PRIMARY_KEY`.
    pub key: Vec<Pointer>,
}
