//! How a run ends: the one place where an ending becomes an exit code.
//!
//! Every module returns a [`Failure`] that already says which [`Outcome`] it is, so no error can reach `main` without an
//! exit code. Telling people about it is `summary`'s and `main`'s job.

use std::fmt::Display;

use crate::limits::Limits;
use crate::secret::Redactor;
use crate::words;

/// The ways a run ends. README's table of exit codes is checked against [`Outcome::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new generation was published.
    Published,
    /// The source had nothing new; state and freshness were committed.
    NothingNew,
    /// It would have published, or had nothing new: `--dry-run`.
    DryRun,
    /// Another run holds the lock, and `ON_OVERLAP=skip` says that this is fine.
    Skipped,
    /// The command line cannot be understood.
    Usage,
    /// Settings are missing, unknown, malformed or changed; the component file is missing or of another digest.
    Settings,
    /// A gate refused the data.
    GateRefused,
    /// The source refused for good.
    SourceRefused,
    /// The component trapped, ran into its CPU or memory limit, or broke the contract; or a defect of the host.
    ComponentFailed,
    /// The output folder cannot be used, or its manifest cannot be trusted.
    OutputUnusable,
    /// Reading or writing failed.
    IoFailed,
    /// The next scheduled run may work.
    TryLater,
    /// The source's answer is not what was agreed.
    ProtocolBroken,
    /// Something was asked for that is not granted, or the source refused the credential.
    Denied,
    /// Stopped by SIGINT, nothing published.
    Interrupted,
    /// Stopped by SIGTERM or SIGHUP, nothing published.
    Terminated,
}

impl Outcome {
    /// Every outcome, in the order of the table in README.
    pub const ALL: [Self; 16] = [
        Self::Published,
        Self::NothingNew,
        Self::DryRun,
        Self::Skipped,
        Self::Usage,
        Self::Settings,
        Self::GateRefused,
        Self::SourceRefused,
        Self::ComponentFailed,
        Self::OutputUnusable,
        Self::IoFailed,
        Self::TryLater,
        Self::ProtocolBroken,
        Self::Denied,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The exit code: a contract with cron, systemd and everything that calls us. Codes 64 to 78 are those of BSD's
    /// `sysexits(3)`, 130 and 143 are 128 plus the signal.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Published | Self::NothingNew | Self::DryRun | Self::Skipped => 0,
            Self::Usage => 64,
            Self::GateRefused => 65,
            Self::SourceRefused => 69,
            Self::ComponentFailed => 70,
            Self::OutputUnusable => 73,
            Self::IoFailed => 74,
            Self::TryLater => 75,
            Self::ProtocolBroken => 76,
            Self::Denied => 77,
            Self::Settings => 78,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The word for this outcome in logs and in `last-run.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::NothingNew => "nothing_new",
            Self::DryRun => "dry_run",
            Self::Skipped => "skipped",
            Self::Usage => "usage",
            Self::Settings => "settings",
            Self::GateRefused => "gate_refused",
            Self::SourceRefused => "source_refused",
            Self::ComponentFailed => "component_failed",
            Self::OutputUnusable => "output_unusable",
            Self::IoFailed => "io_failed",
            Self::TryLater => "try_later",
            Self::ProtocolBroken => "protocol_broken",
            Self::Denied => "denied",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

/// Whether a failed run changed what readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Committed {
    /// It did not: the previous generation is in place.
    #[default]
    No,
    /// The swap was made but could not be made durable; the next run reads whichever is there.
    Unknown,
}

/// Why a run ended without publishing: an [`Outcome`] and one line for a person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which exit code this is.
    pub outcome: Outcome,
    /// What, where and how to fix it: lower case, values in backticks, no full stop.
    pub message: String,
    /// Whether readers may already see the new generation.
    pub committed: Committed,
    /// Whether it is only that another run of this job is under way: what `ON_OVERLAP=skip` lets be.
    pub is_overlap: bool,
    /// Whether it is an outage that may be over in a moment, so that the same run can try again.
    pub may_pass: bool,
}

impl Failure {
    /// A failure after which the previous generation is still in place.
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
            committed: Committed::No,
            is_overlap: false,
            may_pass: false,
        }
    }

    /// The same, where the same run can try again.
    #[must_use]
    pub fn passing(self) -> Self {
        Self {
            may_pass: true,
            ..self
        }
    }

    /// What the component did against its contract.
    pub fn broken(what: impl Display) -> Self {
        Self::new(
            Outcome::ComponentFailed,
            format!("the component broke the contract: {what}"),
        )
    }

    /// The same with a message that may be shown and written down: one line, nothing in it that steers a terminal, and no more
    /// of it than `limits` say. `hide` takes the secrets out, before it is cut.
    #[must_use]
    pub fn shown(self, hide: impl Fn(&str) -> String, limits: &Limits) -> Self {
        let message = words::line(&hide(&self.message), limits.message_bytes);
        Self { message, ..self }
    }

    /// Another run of this job is under way.
    pub fn overlap(message: impl Into<String>) -> Self {
        Self {
            is_overlap: true,
            ..Self::new(Outcome::TryLater, message)
        }
    }
}

/// Gives an error its outcome and says what was being done.
pub trait OrFail<T> {
    /// `Err` becomes a [`Failure`] of `outcome` that reads "`doing`: the error and its causes".
    fn or_fail<D: Display>(self, outcome: Outcome, doing: impl FnOnce() -> D)
    -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail<D: Display>(
        self,
        outcome: Outcome,
        doing: impl FnOnce() -> D,
    ) -> Result<T, Failure> {
        self.map_err(|error| {
            let error: anyhow::Error = error.into();
            Failure::new(outcome, format!("{}: {error:#}", doing()))
        })
    }
}

/// How a command ended, for `main`.
#[derive(Debug)]
pub struct Ended {
    /// The process's exit code.
    pub exit_code: u8,
    /// What happened, for the line on stderr, when it failed.
    pub error: Option<String>,
    /// `JOB_NAME`, where a job was meant: of many that cron mails, the line says which.
    pub job: Option<String>,
}

impl Ended {
    /// It worked.
    pub fn ok() -> Self {
        Self {
            exit_code: 0,
            error: None,
            job: None,
        }
    }

    /// The line for stderr, `orders: exit 69: …`: one, with nothing in it that steers a terminal, and no longer than a line may
    /// be.
    pub fn error_line(&self) -> Option<String> {
        let bytes_max = Limits::default().error_line_bytes;
        let error = self.error.as_ref()?;
        let job = self.job.as_ref();
        let job = job.map_or_else(String::new, |job| format!("{job}: "));
        let line = format!("{job}exit {}: {error}", self.exit_code);
        Some(words::line(&line, bytes_max))
    }

    /// The same of this job, whose name hides every secret, too.
    pub(crate) fn of_job(self, job: &str, redactor: &Redactor) -> Self {
        Self {
            job: Some(redactor.hide(job)),
            ..self
        }
    }

    /// It did not.
    pub fn failed(outcome: Outcome, error: impl Into<String>) -> Self {
        Self {
            exit_code: outcome.exit_code(),
            error: Some(error.into()),
            job: None,
        }
    }

    /// What a result comes to.
    pub fn of(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::ok(),
            Err(failure) => Self::failed(failure.outcome, failure.message),
        }
    }

    /// The same, with an error that hides every secret.
    pub(crate) fn hidden(result: Result<(), Failure>, redactor: &Redactor) -> Self {
        let ended = Self::of(result);
        Self {
            error: ended.error.map(|error| redactor.hide(&error)),
            ..ended
        }
    }
}
