//! How a run without our host ends: on the last line that it writes to stderr, with the exit code that our host would give.
//!
//! `wasi:cli/run` itself says no more than ok or err. A wrapper finds the rest in that line: `exit 75: …`.

use tidegate_json::shown;

use crate::failure::Failure;

/// The longest such line.
const LINE_CHARS_MAX: usize = 4000;

/// Why a run ended without publishing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    code: u8,
    message: String,
}

impl Stop {
    /// The data is not plausible.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::with(65, message)
    }

    /// The component has a defect.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::with(70, message)
    }

    /// The folder cannot be used.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self::with(73, message)
    }

    /// Reading or writing failed.
    pub fn io(message: impl Into<String>) -> Self {
        Self::with(74, message)
    }

    /// The next run may work.
    pub fn later(message: impl Into<String>) -> Self {
        Self::with(75, message)
    }

    /// The same, with more said.
    #[must_use]
    pub fn and(self, more: &str) -> Self {
        Self::with(self.code, self.message + more)
    }

    /// The last line of the log.
    pub fn line(&self) -> String {
        last_line(self.code, &self.message)
    }

    fn with(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Settings(_) => 78,
            Failure::Denied(_) => 77,
            Failure::Refused(_) => 69,
            Failure::Unavailable(_) => 75,
            Failure::Protocol(_) => 76,
            Failure::Data(_) => 65,
            Failure::Output(_) => 74,
        };
        Self::with(code, failure.to_string())
    }
}

/// The last line of the log of a run that ended with this code.
pub fn last_line(code: u8, message: &str) -> String {
    format!("exit {code}: {}", one_line(message))
}

/// A line of the log: nothing in it steers a terminal, or begins another line.
pub fn one_line(text: &str) -> String {
    shown(text, LINE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Problem;

    #[test]
    fn every_failure_has_the_code_of_the_host() {
        let detail = || "why".into();
        for (failure, line) in [
            (
                Failure::Settings(vec![Problem::new("A", "a"), Problem::new("B", "b")]),
                "exit 78: A: a; B: b",
            ),
            (Failure::Denied(detail()), "exit 77: why"),
            (Failure::Refused(detail()), "exit 69: why"),
            (Failure::Unavailable(detail()), "exit 75: why"),
            (Failure::Protocol(detail()), "exit 76: why"),
            (Failure::Data(detail()), "exit 65: why"),
            (Failure::Output(detail()), "exit 74: why"),
        ] {
            assert_eq!(Stop::from(failure).line(), line);
        }
    }

    #[test]
    fn what_a_server_said_does_not_begin_a_line() {
        let stop = Stop::later("it said `x\nexit 0: published\r\u{1b}[2K`");

        assert_eq!(
            stop.line(),
            "exit 75: it said `x\\nexit 0: published\\r\\u{1b}[2K`"
        );
    }
}
