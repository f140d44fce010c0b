//! Report: how a job is, how its last runs ended, when the next one is due. For a person, as a table or as a page of HTML.
//!
//! Takes no lock that a run waits for, and changes nothing but the page. What is known of a job is `facts`, which are gathered
//! where its output is; everything else here is how they are shown.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use self::facts::Facts;
use self::sight::Sight;
use self::terminal::Signs;
use crate::cli::{OutputKind, ReportArgs};
use crate::commands::look::{AtTheEnd, at_output};
use crate::commands::stdout;
use crate::folder::Writers;
use crate::limits::{REPORT_RUNS_MAX, STATUS_PAGE_TIME_MAX};
use crate::log::Log;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::watch::{Watch, aside};
use crate::run::run_id;
use crate::settings::host::HostPlan;
use crate::units::spoken;

mod cadence;
mod chart;
pub mod facts;
mod page;
mod sight;
mod state;
mod terminal;
mod written;

/// Runs that a page looks at which a run writes.
const RUNS_ON_A_PAGE: usize = 50;

/// Reports on one job.
pub fn report(args: &ReportArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let (shown, most) = (Shown::of(args, &environment), usize::from(args.last));
    let now = Timestamp::now();
    at_output(
        &args.of.given(args.job.as_deref()),
        environment,
        AtTheEnd::IsLeft,
        move |host, _| Ok(Facts::gathered(host, most, now)?.json()),
        |json, redactor| {
            let facts = Facts::parsed(&redactor.hide(&json));
            Ended::of(facts.and_then(|facts| shown.show(vec![facts], now)))
        },
    )
}

/// How a report is shown.
pub enum Shown {
    /// A page in this file; `-` is stdout.
    Page(PathBuf),
    /// A line of JSON for each job.
    Json,
    Table(Signs),
}

impl Shown {
    pub fn of(args: &ReportArgs, environment: &[(String, String)]) -> Self {
        match (&args.html, args.output) {
            (Some(file), _) => Self::Page(file.clone()),
            (None, Some(OutputKind::Json)) => Self::Json,
            (None, None) => {
                let is_seen = std::io::stdout().is_terminal();
                Self::Table(Signs::of(is_seen && takes_utf8(environment)))
            }
        }
    }

    pub fn show(&self, jobs: Vec<Facts>, now: Timestamp) -> Result<(), Failure> {
        match self {
            Self::Page(file) if file == Path::new("-") => {
                stdout::print(&(page::page(&Sight::new(jobs, now)) + "\n"))
            }
            // A person names it, perhaps in /tmp.
            Self::Page(file) => write(file, Writers::Anybody, &run_id(now), jobs, now),
            Self::Json => {
                let lines = jobs.into_iter().map(|facts| facts.json() + "\n");
                stdout::print(&lines.collect::<String>())
            }
            Self::Table(signs) => stdout::print(&terminal::text(&Sight::new(jobs, now), *signs)),
        }
    }
}

/// Writes a page about these jobs.
pub fn write(
    path: &Path,
    writers: Writers,
    run_id: &str,
    jobs: Vec<Facts>,
    now: Timestamp,
) -> Result<(), Failure> {
    written::write(path, writers, run_id, &page::page(&Sight::new(jobs, now)))
}

/// Writes the page of a job whose run has just ended. What goes wrong is a warning.
pub fn after_run(watch: &Watch, host: &HostPlan, log: &Log, run_id: &str) {
    let Some(path) = &host.status_page else {
        return;
    };
    let (host_of_page, log_of_page) = (host.clone(), log.clone());
    let (file, id) = (path.clone(), run_id.to_owned());
    let work = move || {
        let now = Timestamp::now();
        let facts = Facts::gathered(&host_of_page, RUNS_ON_A_PAGE, now)?.json();
        let facts = Facts::parsed(&log_of_page.hide(&facts))?;
        write(&file, host_of_page.writers, &id, vec![facts], now)
    };
    let written = watch.block_on(async {
        // A database or a disk may hang: the run has ended, and ends now.
        let written = tokio::time::timeout(STATUS_PAGE_TIME_MAX, aside("page", work)).await;
        written.unwrap_or_else(|_| Err(took_too_long(STATUS_PAGE_TIME_MAX)))
    });
    if let Err(failure) = written {
        warn(log, &path.display().to_string(), &failure);
    }
}

/// A page that could not be written changes nothing else.
pub fn warn(log: &Log, path: &str, failure: &Failure) {
    log.warn(
        "status page not written",
        json!({ "page": path, "error": failure.message, "what": "the last page is there still; the run is not affected" }),
    );
}

fn took_too_long(most: Duration) -> Failure {
    let message = format!("it took longer than {}", spoken(most));
    Failure::new(Outcome::TryLater, message)
}

/// How many runs are looked at of each of so many jobs.
pub fn runs_of_each(last: usize, jobs: usize) -> usize {
    let all = crate::limits::REPORT_ALL_RUNS_MAX / jobs.max(1);
    last.min(all.max(crate::limits::REPORT_RUNS_MIN))
        .min(REPORT_RUNS_MAX)
}

/// Whether the terminal shows what is not ASCII, as its locale says.
fn takes_utf8(environment: &[(String, String)]) -> bool {
    let value = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value);
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_locale_that_is_set_counts() {
        let takes = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let pairs: Vec<_> = pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            takes_utf8(&pairs)
        };

        assert!(takes(&[("LANG", "en_GB.UTF-8")]));
        assert!(takes(&[("LANG", "C"), ("LC_ALL", "C.utf8")]));
        assert!(!takes(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")]));
        assert!(!takes(&[]));
    }

    #[test]
    fn the_runs_of_many_jobs_are_limited_together() {
        assert_eq!(runs_of_each(50, 1), 50);
        assert_eq!(runs_of_each(200, 1_000), 20);
        assert_eq!(runs_of_each(200, 10_000), 10);
        assert_eq!(runs_of_each(5, 10_000), 5);
    }
}
