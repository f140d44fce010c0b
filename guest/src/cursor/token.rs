//! The token: a cursor that the source hands out with its pages, to be sent back with the next run's first request.
//!
//! It is never compared, looked into or made up. A run that ends without one would leave nothing to go on from, so that is a
//! broken source, not an empty state.

use super::asking::{Asked, Asking};
use super::kind::Kind;
use super::position::Position;
use crate::failure::{Detail, Failure};
use crate::ports::Answer;
use crate::source::page::{Contents, Place, Shape, leading_text};
use crate::source::retry::header;
use crate::source::{EMPTY_ADVICE, PageFrom, To, fits_header};

/// The longest token: it is part of a URL or a body.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The settings of a cursor that is a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// `SOURCE_CURSOR`: where it stands in an answer.
    pub from: PageFrom,
    /// `SOURCE_CURSOR_PAGE`: which page's is the next run's.
    pub page: TokenPage,
    /// `SOURCE_CURSOR_TO`, or `{cursor}`.
    pub to: Asking,
    /// `SOURCE_CURSOR_START`: what a first run sends.
    pub start: Option<String>,
}

/// `SOURCE_CURSOR_PAGE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPage {
    /// The first page says where the next run goes on.
    First,
    /// The last one does.
    Last,
}

/// The token of one run.
#[derive(Debug)]
pub struct Token<'s> {
    settings: &'s TokenSettings,
    /// Its slot, where it does not stand in a header.
    slot: usize,
    last: Option<String>,
    found: Option<String>,
}

impl<'s> Token<'s> {
    /// Begins with the token of `state`. What is to be read of each page is added to `shape`. `Err`: the state has another
    /// kind of cursor.
    pub fn begin(
        settings: &'s TokenSettings,
        state: &Position,
        shape: &mut Shape,
    ) -> Result<Self, Failure> {
        match state.kind.filter(|_| state.cursor.is_some()) {
            None | Some(Kind::Token) => {}
            Some(was) => {
                let was = was.word();
                return Err(Failure::setting(
                    "SOURCE_CURSOR_KIND",
                    format!(
                        "is `token`, but the published state has `{was}`: change it back, or run once with `--full-refresh`"
                    ),
                ));
            }
        }
        Ok(Self {
            settings,
            slot: match &settings.from {
                PageFrom::Body(pointer) => shape.also(pointer),
                PageFrom::Header(_) => 0,
                PageFrom::Jq(program) => shape.also_by(program, "SOURCE_CURSOR"),
            },
            last: state.cursor.clone(),
            found: None,
        })
    }

    /// Whether the last run left a token, so that this one fetches changes.
    pub fn continues(&self) -> bool {
        self.last.is_some()
    }

    /// What the source is asked for.
    pub fn asked(&self) -> Asked<'s> {
        Asked {
            to: &self.settings.to,
            from: self.last.as_ref().or(self.settings.start.as_ref()).cloned(),
            end_to: None,
            end: None,
            kind: Some(Kind::Token),
        }
    }

    /// A page has been read to its end. `Err`: what stands where the token should is none.
    pub fn page_ends(
        &mut self,
        answer: &Answer,
        contents: &Contents,
        place: &Place,
    ) -> Result<(), Failure> {
        let is_first = place.page == 1;
        if is_first || self.settings.page == TokenPage::Last {
            let found = self.read(answer, contents);
            self.found = found.map_err(|what| self.broken(place, &what))?;
            // Kept, it would fail every later run.
            let in_header = matches!(self.settings.to, Asking::At(To::Header(_)));
            if in_header && self.found.as_ref().is_some_and(|token| !fits_header(token)) {
                return Err(
                    self.broken(place, "a token that no header can carry (SOURCE_CURSOR_TO)")
                );
            }
        }
        if is_first && self.settings.page == TokenPage::First && self.found.is_none() {
            return Err(self.broken(place, "no token"));
        }
        Ok(())
    }

    /// An answer that means that there are no records has no token: the next run goes on where this one did. `Err`: a source
    /// may refuse the token so, and then there would be nothing new for ever.
    pub fn stays(&mut self, status: u16, place: &Place) -> Result<(), Failure> {
        if self.continues() && place.page == 1 && status >= 400 {
            let detail = Detail {
                message: format!(
                    "`{}` answered {status} on page 1, to the token of the last run; it does not count as an answer without records there",
                    place.url
                ),
                status: Some(status),
                retry_after_seconds: None,
            };
            return Err(self.explained(Failure::Refused(detail)));
        }
        if self.found.is_none() {
            self.found.clone_from(&self.last);
        }
        Ok(())
    }

    /// The state for the next run. `place` is the last page's. `Err`: it has no token.
    pub fn end(self, place: &Place) -> Result<Position, Failure> {
        let Some(found) = self.found else {
            return Err(self.broken(place, "no token"));
        };
        Ok(Position {
            kind: Some(Kind::Token),
            cursor: Some(found),
            ..Position::default()
        })
    }

    /// A failure of a run that sent a token: a source forgets tokens that are too old.
    pub fn explained(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(detail)
                if self.continues() && matches!(detail.status, Some(400 | 404 | 410)) =>
            {
                let message = detail.message.replace(EMPTY_ADVICE, "");
                let message = format!(
                    "{message}; the token of the last run may have expired: to start over, run once with `--full-refresh`"
                );
                Failure::Refused(Detail { message, ..detail })
            }
            other => other,
        }
    }

    fn read(&self, answer: &Answer, contents: &Contents) -> Result<Option<String>, String> {
        let found = match &self.settings.from {
            PageFrom::Body(_) => in_json(contents.value(self.slot))?,
            PageFrom::Jq(_) => in_json(contents.made(self.slot))?,
            PageFrom::Header(name) => {
                let value = header(answer, name).map(<[u8]>::trim_ascii);
                let value = value.map(std::str::from_utf8).next().transpose();
                let value = value.map_err(|_| "bytes that are not UTF-8")?;
                value.filter(|text| !text.is_empty()).map(str::to_owned)
            }
        };
        match found {
            Some(token) if token.len() > TOKEN_BYTES_MAX => {
                Err(format!("a token of more than {TOKEN_BYTES_MAX} bytes"))
            }
            found => Ok(found),
        }
    }

    fn broken(&self, place: &Place, what: &str) -> Failure {
        let at = &self.settings.from;
        Failure::protocol(format!(
            "{place} has {what} as {at} (SOURCE_CURSOR); without one the next run cannot continue from here: check SOURCE_CURSOR and SOURCE_CURSOR_PAGE"
        ))
    }
}

/// A token from its JSON: a text or a number.
fn in_json(json: Option<&str>) -> Result<Option<String>, &'static str> {
    match json {
        Some(number) if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            Ok(Some(number.to_owned()))
        }
        json => leading_text(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_refusal_of_the_token_is_never_an_answer_without_records() {
        let env = [
            ("SOURCE_API_URL", "https://x.example/"),
            ("SOURCE_RECORDS", "/rows"),
            ("SOURCE_CURSOR", "/token"),
            ("SOURCE_CURSOR_KIND", "token"),
            ("SOURCE_CURSOR_PAGE", "last"),
            ("SOURCE_CURSOR_TO", "since"),
            ("PRIMARY_KEY", "/id"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::read(&env).unwrap();
        let place = Place {
            page: 1,
            url: "https://x.example/".to_owned(),
            content_type: None,
        };
        let stays = |cursor: Option<&str>, status| {
            let state = Position {
                kind: Some(Kind::Token),
                cursor: cursor.map(str::to_owned),
                ..Position::default()
            };
            let token = settings.token.as_ref().unwrap();
            let mut token = Token::begin(token, &state, &mut Shape::new(None)).unwrap();
            token.stays(status, &place)
        };

        for status in [400, 404] {
            let why = stays(Some("t"), status).unwrap_err();
            assert!(matches!(why, Failure::Refused(_)), "{why}");
            assert!(why.to_string().contains("`--full-refresh`"), "{why}");
        }
        assert!(stays(Some("t"), 204).is_ok());
        assert!(stays(None, 404).is_ok());
    }
}
