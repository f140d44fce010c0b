//! A cursor value that is remembered: its text, and the point that it is compared by.

use jiff::Timestamp;

use super::form::Form;
use super::kind::Point;
use crate::failure::Failure;

/// A value in the source's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// As the source wrote it.
    pub text: String,
    /// What it is compared by.
    pub point: Point<'static>,
}

impl Mark {
    /// Reads a text. `Err` says what is wrong with it.
    pub fn of(form: Form, text: &str) -> Result<Self, String> {
        Ok(Self {
            point: form.point(text)?.into_owned(),
            text: text.to_owned(),
        })
    }

    /// Makes `mark` this value.
    pub fn set(mark: &mut Option<Self>, text: &str, point: Point<'_>) {
        let point = point.into_owned();
        if let Some(mark) = mark {
            mark.text.clear();
            mark.text.push_str(text);
            mark.point = point;
        } else {
            let text = text.to_owned();
            *mark = Some(Self { text, point });
        }
    }

    /// Makes `mark` this value if it is greater.
    pub fn raise(mark: &mut Option<Self>, text: &str, point: Point<'_>) {
        if mark.as_ref().is_none_or(|mark| mark.point < point) {
            Self::set(mark, text, point);
        }
    }

    /// The greater of two, the first where they are equal.
    pub fn later(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) if second.point > first.point => Some(second),
            (None, second) => second,
            (first, _) => first,
        }
    }

    /// This mark, or the point `limit` written the same way if that comes earlier.
    pub fn at_most(self, limit: Timestamp, form: Form) -> Result<Self, Failure> {
        if self.point <= Point::At(limit) {
            return Ok(self);
        }
        let text = form.write(limit, &self.text).map_err(Failure::data)?;
        Self::of(form, &text).map_err(Failure::data)
    }
}
