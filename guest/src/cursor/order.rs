//! The order in which the source says that records come: checked over every page, never believed.

use super::kind::Point;
use super::mark::Mark;
use crate::failure::quoted;

/// `SOURCE_CURSOR_ORDER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl Order {
    /// Its word in the settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// Watches that the records of a run come in the order that was promised.
#[derive(Debug)]
pub struct InOrder {
    order: Option<Order>,
    previous: Option<Mark>,
    is_past: bool,
}

impl InOrder {
    /// Nothing has come yet.
    pub fn new(order: Option<Order>) -> Self {
        Self {
            order,
            previous: None,
            is_past: false,
        }
    }

    /// Sees the next value. `Err`: it may not stand behind the last one.
    pub fn sees(&mut self, text: &str, point: &Point<'_>) -> Result<(), String> {
        let Some(order) = self.order else {
            return Ok(());
        };
        if let Some(previous) = &self.previous {
            let is_wrong = match order {
                Order::Ascending => *point < previous.point,
                Order::Descending => *point > previous.point,
            };
            if is_wrong {
                let (word, text, previous) = (order.word(), quoted(text), quoted(&previous.text));
                return Err(format!(
                    "is {text}, after a record with {previous}, but SOURCE_CURSOR_ORDER is `{word}`: correct it, or remove it"
                ));
            }
        }
        Mark::set(&mut self.previous, text, point.clone());
        Ok(())
    }

    /// Whether the last value that came is this one.
    pub fn is_at(&self, point: &Point<'_>) -> bool {
        let previous = self.previous.as_ref();
        previous.is_some_and(|previous| previous.point == *point)
    }

    /// A record was older than what is wanted.
    pub fn passes_the_floor(&mut self) {
        self.is_past |= self.order == Some(Order::Descending);
    }

    /// A record was newer than what is wanted.
    pub fn passes_the_end(&mut self) {
        self.is_past |= self.order == Some(Order::Ascending);
    }

    /// Whether nothing that is wanted can follow.
    pub fn is_past(&self) -> bool {
        self.is_past
    }

    /// The next record follows none.
    pub fn begins_anew(&mut self) {
        self.previous = None;
        self.is_past = false;
    }
}
