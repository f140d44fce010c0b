//! The battery: every check with its name, in the order in which they are printed.

mod component;
mod faults;
mod first;
mod limits;
mod state;

use std::sync::OnceLock;

use super::api::{Fault, Script};
use super::rows::{self, PAGE_ROWS, ROWS, Row};
use super::subject::Subject;
use super::trial::{Ran, Trial, With};
use crate::outcome::Failure;
use crate::process::stop::Stop;

/// One thing that a connector is held to.
pub struct Check {
    pub name: &'static str,
    pub needs: Needs,
    pub prove: fn(&Bench<'_>) -> Proof,
}

/// What has to hold before a check means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A component file.
    File,
    /// A component that said what it is.
    Description,
    /// A component whose first run publishes.
    FirstRun,
}

/// What is found: a fact in a few words, or why it is not so.
pub type Proof = Result<String, Wrong>;

/// Why a check does not hold.
#[derive(Debug)]
pub enum Wrong {
    /// What the component did, and what it should do; and the line of the run that shows it.
    Failed { why: String, run: Option<String> },
    /// Why the component cannot be held to it.
    Skipped(String),
    /// The check could not be made.
    Broken(Failure),
}

/// The component, and what several checks look at.
pub struct Bench<'s> {
    pub subject: &'s Subject,
    first: OnceLock<Result<Ran, Failure>>,
    second: OnceLock<Result<(Ran, Ran), Failure>>,
    many: OnceLock<Result<Ran, Failure>>,
}

/// All checks.
pub const ALL: &[&[Check]] = &[
    component::CHECKS,
    first::CHECKS,
    state::CHECKS,
    faults::CHECKS,
    limits::CHECKS,
];

impl<'s> Bench<'s> {
    pub fn new(subject: &'s Subject) -> Self {
        Self {
            subject,
            first: OnceLock::new(),
            second: OnceLock::new(),
            many: OnceLock::new(),
        }
    }

    /// Makes a check, if what it needs is there.
    pub fn prove(&self, check: &Check, stop: &Stop) -> Proof {
        stop.check()?;
        if check.needs != Needs::File && self.subject.description.is_err() {
            return Err(Wrong::Skipped("it needs `describe`".to_owned()));
        }
        if check.needs == Needs::FirstRun && self.first()?.exit != 0 {
            return Err(Wrong::Skipped(
                "it needs a first run that publishes".to_owned(),
            ));
        }
        (check.prove)(self)
    }

    /// The first run of a job.
    pub fn first(&self) -> Result<&Ran, Wrong> {
        shared(&self.first, || {
            self.trial("first", Fault::None)?.run(&With::default())
        })
    }

    /// An empty folder, and the API with its first rows.
    fn trial(&self, name: &str, fault: Fault) -> Result<Trial<'s>, Failure> {
        let script = Script {
            rows: rows::rows(ROWS),
            page_rows: PAGE_ROWS,
            fault,
            clock: None,
        };
        Trial::new(self.subject, name, script)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

impl Ran {
    /// The run published. `Err` says what it did, and `instead`.
    fn publishes(&self, instead: &str) -> Result<&Self, Wrong> {
        if self.exit == 0 {
            return Ok(self);
        }
        Err(self.wrong(format!("{}; {instead}", self.ending())))
    }

    /// The run ended with a failure that the component returned. `Err`: it `did` something else, and what it should do `instead`.
    fn refuses(&self, did: &str, instead: &str) -> Result<&Self, Wrong> {
        match self.exit {
            0 => Err(self.wrong(format!("{did}; {instead}"))),
            70 => Err(self.wrong(format!("{}; {instead}", self.ending()))),
            _ => Ok(self),
        }
    }

    /// The run published exactly these rows.
    fn has_exactly(&self, rows: &[Row], instead: &str) -> Result<&Self, Wrong> {
        let held = self.publishes(instead)?.published.is_exactly(rows);
        held.map_err(|how| self.wrong(format!("{how}; {instead}")))?;
        Ok(self)
    }

    /// A check that this run does not hold.
    fn wrong(&self, why: String) -> Wrong {
        let run = (self.exit != 0).then(|| format!("exit {}: {}", self.exit, self.error));
        Wrong::Failed { why, run }
    }

    fn ending(&self) -> String {
        let how = match self.exit {
            70 if self.error.contains("broke the contract") => ", it broke the contract",
            70 => ", it failed",
            _ => "",
        };
        format!("exit {}{how}", self.exit)
    }

    /// How often a page was asked for.
    fn asked_for(&self, page: usize) -> usize {
        self.asked.iter().filter(|asked| asked.page == page).count()
    }
}

/// A check that does not hold, whatever a run did.
fn failed(why: impl Into<String>) -> Wrong {
    let why = why.into();
    Wrong::Failed { why, run: None }
}

/// What is there once, or is made now.
fn shared<T>(
    cell: &OnceLock<Result<T, Failure>>,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<&T, Wrong> {
    let there = cell.get_or_init(make).as_ref();
    there.map_err(|failure| Wrong::Broken(Failure::new(failure.outcome, failure.message.clone())))
}
