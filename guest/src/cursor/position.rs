//! Where a cursor stands, as one run leaves it for the next.

use super::{Kind, Zone};

/// Where a cursor stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The kind of cursor, once it is known.
    pub kind: Option<Kind>,
    /// The cursor as the source wrote it. Never without a kind.
    pub cursor: Option<String>,
    /// The zone of a time that names no offset.
    pub zone: Option<Zone>,
    /// The newest record that the source has, where those from the cursor on were deleted.
    pub known: Option<String>,
    /// The value before the cursor, where a portion ended between two pages: the next one goes on at the cursor itself.
    pub before: Option<String>,
    /// Whether there is a cursor although no record ever came: windows without any were read.
    pub is_empty: bool,
}

impl Position {
    /// The cursor for people: a token tells them nothing, and may be a secret of the source's.
    pub fn shown_cursor(&self) -> Option<String> {
        let is_token = self.kind == Some(Kind::Token);
        self.cursor.clone().filter(|_| !is_token)
    }
}
