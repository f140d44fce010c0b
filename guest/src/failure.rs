//! The ways a run can fail, as `wit/job.wit` has them.
//!
//! Every failure says already which of them it is, and its message says what, where and how to fix it. Turning one into
//! an exit code is the host's job.

use std::fmt;

pub use tidegate_json::{quoted, said};

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub setting: String,
    /// What is wrong with it and how to fix it: lower case, no full stop.
    pub message: String,
}

impl Problem {
    /// A problem with `setting`.
    pub fn new(setting: &str, message: impl Into<String>) -> Self {
        Self {
            setting: setting.to_owned(),
            message: message.into(),
        }
    }
}

/// Why a run ended without a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// What happened and where: lower case, no full stop, no secret, no query string.
    pub message: String,
    /// The HTTP status that caused it, when one did.
    pub status: Option<u16>,
    /// How long the source asked to be left alone, when it did.
    pub retry_after_seconds: Option<u64>,
}

impl<T: Into<String>> From<T> for Detail {
    fn from(message: T) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

/// The ways a run can fail. Nothing that was staged is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Settings, or the state, that cannot be used: all of them at once.
    Settings(Vec<Problem>),
    /// Something was asked for that is not granted, or the source refused the credential.
    Denied(Detail),
    /// The source refused for good.
    Refused(Detail),
    /// The source is out of order or too busy; the next scheduled run may work.
    Unavailable(Detail),
    /// The source's answer is not what was agreed.
    Protocol(Detail),
    /// The data itself cannot be used.
    Data(Detail),
    /// The staging folder could not be written.
    Output(Detail),
}

impl Failure {
    /// One setting that cannot be used.
    pub fn setting(setting: &str, message: impl Into<String>) -> Self {
        Self::Settings(vec![Problem::new(setting, message)])
    }

    /// An answer that is not what was agreed.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol(Detail::from(message))
    }

    /// The same failure of one of several fetches: that for `value`, of the setting `name`.
    #[must_use]
    pub fn of(self, value: &str, name: &str) -> Self {
        self.map(|detail| Detail {
            message: format!("{value} ({name}): {}", detail.message),
            ..detail
        })
    }

    /// The same failure with another detail, unless it is one of the settings or of the staging folder.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Detail) -> Detail) -> Self {
        match self {
            Self::Settings(problems) => Self::Settings(problems),
            Self::Denied(detail) => Self::Denied(change(detail)),
            Self::Refused(detail) => Self::Refused(change(detail)),
            Self::Unavailable(detail) => Self::Unavailable(change(detail)),
            Self::Protocol(detail) => Self::Protocol(change(detail)),
            Self::Data(detail) => Self::Data(change(detail)),
            Self::Output(detail) => Self::Output(detail),
        }
    }

    /// Data that cannot be used.
    pub fn data(message: impl Into<String>) -> Self {
        Self::Data(Detail::from(message))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(problems) => {
                for (at, problem) in problems.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "; " };
                    write!(f, "{separator}{}: {}", problem.setting, problem.message)?;
                }
                Ok(())
            }
            Self::Denied(detail)
            | Self::Refused(detail)
            | Self::Unavailable(detail)
            | Self::Protocol(detail)
            | Self::Data(detail)
            | Self::Output(detail) => f.write_str(&detail.message),
        }
    }
}

impl std::error::Error for Failure {}

/// So many of a thing, as a person says it: `1 record`, `2 records`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_stand_in_one_line() {
        let failure = Failure::Settings(vec![
            Problem::new("SOURCE_API_URL", "is not set"),
            Problem::new("MAX_PAGES", "`x` is not a number"),
        ]);

        assert_eq!(
            failure.to_string(),
            "SOURCE_API_URL: is not set; MAX_PAGES: `x` is not a number"
        );
    }
}
