//! Waiting for the server: the one place where it is done, with a limit on every wait and a look at the run's deadline and
//! signals now and then; and what an error of it comes to.

use std::error::Error as _;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{ToSql, Type};

use crate::limits::SERVER_TEXT_CHARS_MAX;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;

/// Between two looks at the deadline and at signals.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What tokio-postgres says of a value that is not of the type, or not there.
const MISREAD: [&str; 2] = ["error deserializing column", "invalid column"];

/// Values that are bound, with their types: statements then need no round trip of their own, and no name at the server.
pub type Given<'g> = &'g [(&'g (dyn ToSql + Sync), Type)];

/// Why a wait came to nothing.
#[derive(Debug)]
pub enum Trouble {
    /// The server, or the way to it.
    Server(Error),
    /// It took longer than this.
    TimedOut(Duration),
    /// The run must end.
    Stopped(Failure),
}

/// Waits for `work`, for as long as `limit`. Without a `check` nothing else ends it.
pub fn wait<T>(
    check: Option<Check<'_>>,
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    let watched = async {
        let begun = Instant::now();
        let mut work = pin!(work);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done.map_err(Trouble::Server),
                _ = looks.tick() => {
                    check.map_or(Ok(()), |check| check()).map_err(Trouble::Stopped)?;
                    if begun.elapsed() > limit {
                        return Err(Trouble::TimedOut(limit));
                    }
                }
            }
        }
    };
    // The run is a task of a runtime with more than one thread: another one takes over what this one held.
    tokio::task::block_in_place(|| Handle::current().block_on(watched))
}

impl Trouble {
    /// What the server itself said.
    pub fn answer(&self) -> Option<&DbError> {
        match self {
            Self::Server(error) => error.as_db_error(),
            Self::TimedOut(_) | Self::Stopped(_) => None,
        }
    }

    pub fn code(&self) -> &str {
        self.answer().map_or("", |answer| answer.code().code())
    }

    /// Whether it answered something else than it was asked for: its tables are not ours.
    fn is_misread(&self) -> bool {
        matches!(self, Self::Server(error) if MISREAD.iter().any(|what| error.to_string().starts_with(what)))
    }

    /// Whether the connection is of no use any more.
    pub fn is_lost(&self) -> bool {
        match (self, self.answer()) {
            _ if self.is_misread() => false,
            (Self::Stopped(_), _) => false,
            (_, None) => true,
            (_, Some(answer)) => !matches!(
                answer.parsed_severity(),
                Some(Severity::Error | Severity::Warning | Severity::Notice)
            ),
        }
    }

    /// Whether the server, or the way to it, may be back in a moment: it restarts, has no connection left, or gave this
    /// transaction up for another one. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn may_pass(&self) -> bool {
        let code = self.code();
        match self {
            Self::Stopped(_) => false,
            _ if self.is_misread() => false,
            _ if code.is_empty() => true,
            _ => {
                code.starts_with("08")
                    || matches!(
                        code,
                        "40001" | "40P01" | "53300" | "57P01" | "57P02" | "57P03"
                    )
            }
        }
    }

    /// It, while `doing` something at `place`.
    pub fn failure(self, doing: &str, place: impl std::fmt::Display) -> Failure {
        let may_pass = self.may_pass();
        let failure = self.told(doing, place);
        if may_pass { failure.passing() } else { failure }
    }

    fn told(self, doing: &str, place: impl std::fmt::Display) -> Failure {
        if self.is_misread() {
            let message = format!(
                "{doing} `{place}`: the tables `tidegate_…` there hold what tidegate never wrote; restore them from a backup"
            );
            return Failure::new(Outcome::OutputUnusable, message);
        }
        let what = match self {
            Self::Stopped(failure) => return failure,
            Self::TimedOut(limit) => {
                let message = format!(
                    "{doing} `{place}`: no answer within {} s; check what the server is busy with, and run again",
                    limit.as_secs_f32()
                );
                return Failure::new(Outcome::TryLater, message);
            }
            Self::Server(error) => error,
        };
        let Some(answer) = what.as_db_error() else {
            return Failure::new(
                Outcome::TryLater,
                format!("{doing} `{place}`: {}", in_words(&what)),
            );
        };
        Failure::new(
            outcome(answer.code().code()),
            format!(
                "{doing} `{place}`: {}{}",
                said(answer),
                mend(answer.code().code())
            ),
        )
    }
}

/// What an error is made of.
pub fn in_words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.chars().take(SERVER_TEXT_CHARS_MAX).collect()
}

/// What the server said, with everything that helps, on one line.
fn said(answer: &DbError) -> String {
    let mut text = answer.message().to_owned();
    // Of data the detail is a whole row, and the context a line that was copied: neither is for a log. A key is shown.
    let code = answer.code().code();
    let is_of_data = ["22", "23", "44"]
        .iter()
        .any(|class| code.starts_with(class));
    let is_of_a_key = ["23503", "23505", "23P01"].contains(&code);
    let place = |text: &'_ str| text.split(':').next().unwrap_or_default().to_owned();
    let context = answer.where_();
    let context = context.map(|context| {
        if is_of_data {
            place(context)
        } else {
            context.to_owned()
        }
    });
    for (what, more) in [
        ("", answer.detail().filter(|_| !is_of_data || is_of_a_key)),
        ("hint: ", answer.hint()),
        ("at ", context.as_deref()),
    ] {
        if let Some(more) = more {
            text = format!("{text}; {what}{more}");
        }
    }
    let text: String = text.chars().take(SERVER_TEXT_CHARS_MAX).collect();
    let text = text.replace(['\n', '\r'], " ");
    format!("{text} (SQLSTATE {})", answer.code().code())
}

/// What a person can do about it, where the server does not say it.
fn mend(code: &str) -> &'static str {
    match code {
        "28000" | "28P01" => {
            "; check the user in OUTPUT_DATABASE_URL, OUTPUT_DATABASE_PASSWORD and the server's pg_hba.conf"
        }
        "3D000" => "; make the database, or name another one in OUTPUT_DATABASE_URL",
        "3F000" => {
            "; grant the role USAGE and CREATE on a schema of its search_path, or name another before a dot in OUTPUT_TABLE"
        }
        "25006" => {
            "; it takes no writes: name the primary in OUTPUT_DATABASE_URL, or have default_transaction_read_only turned off there"
        }
        "53300" => {
            "; others hold them: run again, or raise the limit there (max_connections, or CONNECTION LIMIT of the role or the database)"
        }
        "42501" => "; grant it to the role (`docs/databases.md` lists what it needs)",
        _ => "",
    }
}

/// How a run ends of which the server said this: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn outcome(code: &str) -> Outcome {
    match code {
        "53100" => Outcome::IoFailed,
        // A standby; a limit that somebody configured; a database that was dropped; a table with too many columns.
        "25006" | "53400" | "57P04" | "54011" => Outcome::OutputUnusable,
        // What is in use now, and a lock; the rest of the class stays so until somebody changes it.
        "55006" | "55P03" => Outcome::TryLater,
        // A constraint at the end of a transaction; and a trigger that refuses what it sees.
        "40002" | "P0001" => Outcome::GateRefused,
        _ => match code.get(..2).unwrap_or_default() {
            // A value or a constraint; what is too large.
            "21" | "22" | "23" | "44" | "54" => Outcome::GateRefused,
            "58" | "XX" => Outcome::IoFailed,
            // The connection, a transaction, resources, an operator.
            "08" | "25" | "40" | "53" | "57" | "72" => Outcome::TryLater,
            _ => Outcome::OutputUnusable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_how_the_run_ends() {
        for (code, expected) in [
            ("28P01", Outcome::OutputUnusable),
            ("3D000", Outcome::OutputUnusable),
            ("42501", Outcome::OutputUnusable),
            ("25006", Outcome::OutputUnusable),
            ("53300", Outcome::TryLater),
            ("57P03", Outcome::TryLater),
            ("40P01", Outcome::TryLater),
            ("55P03", Outcome::TryLater),
            ("55006", Outcome::TryLater),
            ("55000", Outcome::OutputUnusable),
            ("55P02", Outcome::OutputUnusable),
            ("53400", Outcome::OutputUnusable),
            ("57P01", Outcome::TryLater),
            ("57P04", Outcome::OutputUnusable),
            ("54000", Outcome::GateRefused),
            ("P0001", Outcome::GateRefused),
            ("53100", Outcome::IoFailed),
            ("XX001", Outcome::IoFailed),
            ("22P02", Outcome::GateRefused),
            ("23514", Outcome::GateRefused),
        ] {
            assert_eq!(outcome(code), expected, "{code}");
        }
    }
}
