//! How the source is asked from a cursor, and up to which.

use super::Kind;
use crate::failure::{Failure, quoted};
use crate::source::{Ask, CURSOR, Json, To};

/// What of a request takes the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    /// Nothing: older records are left out here.
    Nowhere,
    /// `SOURCE_CURSOR_TO`.
    At(To),
    /// `{cursor}` in the query, or in strings of the body.
    Template,
}

impl Asking {
    /// What takes it, for messages.
    pub fn shown(&self) -> String {
        match self {
            Self::At(to) => format!("{} (SOURCE_CURSOR_TO)", quoted(&to.text())),
            Self::Template | Self::Nowhere => format!("`{CURSOR}`"),
        }
    }
}

/// What is asked for at once, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'s> {
    /// Where `from` goes.
    pub to: &'s Asking,
    /// The cursor; `None`: there is none yet.
    pub from: Option<String>,
    /// Where `end` goes.
    pub end_to: Option<&'s To>,
    /// The end of the window; `None`: it has none.
    pub end: Option<String>,
    /// The kind that they are sent as, if it is known.
    pub kind: Option<Kind>,
}

impl Asked<'_> {
    /// The request `ask` for this.
    pub fn of(&self, ask: Ask) -> Result<Ask, Failure> {
        // What is not of a known kind is a number where it can be one.
        let json = match self.kind {
            Some(
                Kind::Rfc3339
                | Kind::Date
                | Kind::Rfc2822
                | Kind::MsJson
                | Kind::Pattern(_)
                | Kind::Clock
                | Kind::Text
                | Kind::Token,
            ) => Json::Text,
            Some(Kind::Epoch | Kind::EpochMs | Kind::Integer) | None => Json::Number,
        };
        let mut asked = ask;
        match (&self.from, self.to) {
            (Some(from), Asking::At(to)) => {
                let with = asked.with(to, from, json);
                asked = with.map_err(|why| Failure::setting("SOURCE_CURSOR_TO", why))?;
            }
            (Some(from), Asking::Template) => asked = asked.with_cursor(from),
            (None, _) | (_, Asking::Nowhere) => {}
        }
        if let (Some(end), Some(to)) = (&self.end, self.end_to) {
            let with = asked.with(to, end, json);
            asked = with.map_err(|why| Failure::setting("SOURCE_CURSOR_END_TO", why))?;
        }
        Ok(asked)
    }

    /// Whether the request says where to begin.
    pub fn is_from_somewhere(&self) -> bool {
        self.from.is_some() && *self.to != Asking::Nowhere
    }
}
