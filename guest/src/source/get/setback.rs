//! Why one try gave no page though the next one may, and what that is called when no try is left.

use url::Url;

use crate::failure::{Detail, Failure};
use crate::ports::{Answer, SendError};
use crate::source::retry::{RETRY_AFTER_SECONDS_MAX, Reason, asked_seconds};
use crate::source::{excerpt, shown};

/// Why one try gave no page.
#[derive(Debug)]
pub(super) struct Setback {
    url: String,
    cause: Cause,
    /// What the answer says, for a failure.
    says: String,
    /// How long the source asked to be left alone.
    pub asked_seconds: Option<u64>,
}

#[derive(Debug)]
enum Cause {
    Status(u16),
    /// A good status, with a body that is an error which may pass.
    Judged(u16),
    Unreachable(String),
    CutOff(String),
}

impl Setback {
    /// An answer that says that the source is busy.
    pub fn busy(url: &Url, answer: &Answer, our_unix_seconds: i64) -> Self {
        Self {
            url: shown(url),
            cause: Cause::Status(answer.status),
            says: excerpt::says(answer),
            asked_seconds: asked_seconds(answer, our_unix_seconds),
        }
    }

    /// The same, with what SOURCE_ERROR says of the answer.
    #[must_use]
    pub fn with(self, said: &str) -> Self {
        Self {
            says: format!("{}{said}", self.says),
            ..self
        }
    }

    /// An answer that SOURCE_ERROR takes for a busy source.
    pub fn judged(url: &Url, answer: &Answer, our_unix_seconds: i64) -> Self {
        Self {
            cause: Cause::Judged(answer.status),
            ..Self::busy(url, answer, our_unix_seconds)
        }
    }

    /// No whole answer. `Err`: trying again is useless.
    pub fn unanswered(error: SendError, url: &Url, page: u64) -> Result<Self, Failure> {
        let url = shown(url);
        let cause = match error {
            SendError::Unreachable(text) => Cause::Unreachable(text),
            SendError::CutOff(text) => Cause::CutOff(text),
            SendError::Denied(text) => {
                return Err(Failure::Denied(Detail::from(format!(
                    "cannot get page {page} of `{url}`: {text}"
                ))));
            }
            SendError::Broken(text) => {
                return Err(Failure::protocol(format!(
                    "cannot get page {page} of `{url}`: {text}"
                )));
            }
        };
        Ok(Self {
            url,
            cause,
            says: String::new(),
            asked_seconds: None,
        })
    }

    /// What a retry for this is counted as.
    pub fn reason(&self) -> Reason {
        match self.cause {
            Cause::Status(408 | 425) => Reason::Fault,
            Cause::Status(202 | 400..=499) | Cause::Judged(400..=499) => Reason::Throttle,
            Cause::Status(_) | Cause::Judged(_) | Cause::Unreachable(_) | Cause::CutOff(_) => {
                Reason::Fault
            }
        }
    }

    /// Whether the source asked for a longer time than a run waits.
    pub fn asks_for_too_long(&self) -> bool {
        self.asked_seconds
            .is_some_and(|seconds| seconds > RETRY_AFTER_SECONDS_MAX)
    }

    /// What happened on `page`; `extent` says how often, or nothing.
    pub fn what(&self, page: u64, extent: &str) -> String {
        let url = &self.url;
        match &self.cause {
            Cause::Status(status) => format!("`{url}` answered {status} on page {page}{extent}"),
            Cause::Judged(status) => format!(
                "`{url}` answered {status} on page {page} and SOURCE_ERROR says to try again{extent}"
            ),
            Cause::Unreachable(text) => {
                format!("cannot reach `{url}` for page {page}{extent}: {text}")
            }
            Cause::CutOff(text) => format!("cannot read page {page} of `{url}`{extent}: {text}"),
        }
    }

    /// The failure of a request whose last try this was.
    pub fn failure(self, page: u64, tries: u32) -> Failure {
        let extent = match self.asked_seconds {
            Some(seconds) if seconds > RETRY_AFTER_SECONDS_MAX => {
                format!(
                    " and asks to wait {seconds} s, longer than the {RETRY_AFTER_SECONDS_MAX} s that a run waits"
                )
            }
            _ => times(tries),
        };
        let what = self.what(page, &extent);
        let detail = self.detail(format!("{what}{}", self.says));
        match self.cause {
            Cause::Status(_) | Cause::Judged(_) | Cause::Unreachable(_) => {
                Failure::Unavailable(detail)
            }
            Cause::CutOff(_) => Failure::Protocol(detail),
        }
    }

    /// The failure of a run that has made so many retries that this one is not made.
    pub fn exhausted(self, page: u64, tries: u32, retries: u64) -> Failure {
        let (what, says) = (self.what(page, &times(tries)), &self.says);
        Failure::Unavailable(self.detail(format!(
            "{what}{says}; the run has used up its {retries} retries"
        )))
    }

    fn detail(&self, message: String) -> Detail {
        Detail {
            message,
            status: match self.cause {
                Cause::Status(status) | Cause::Judged(status) => Some(status),
                Cause::Unreachable(_) | Cause::CutOff(_) => None,
            },
            retry_after_seconds: self.asked_seconds,
        }
    }
}

/// `, four times`; nothing after a single try.
fn times(tries: u32) -> String {
    let word = match tries {
        0 | 1 => return String::new(),
        2 => "twice",
        3 => "three times",
        4 => "four times",
        5 => "five times",
        6 => "six times",
        more => return format!(", {more} times"),
    };
    format!(", {word}")
}
