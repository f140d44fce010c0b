//! `tidegate report FOLDER`, and the pages that `tidegate run FOLDER` writes: each job is asked for what is known of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use jiff::Timestamp;

use super::ask::{Answered, ask};
use super::jobs::{FleetJob, at};
use super::words_of;
use crate::cli::{GivenArgs, ReportArgs, RunArgs};
use crate::commands::report::facts::Facts;
use crate::commands::report::{Shown, runs_of_each, warn, write};
use crate::folder::Writers;
use crate::given_file::{Holds, read_regular};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Ended, Failure};
use crate::run::run_id;
use crate::settings::catalogue::STATUS_PAGE;

/// Runs that a page looks at, of each job.
const RUNS_ON_A_PAGE: usize = 50;

/// Reports on every job of `folder`. Exits with the code of the first job of which nothing could be found out.
pub fn report(
    args: &ReportArgs,
    folder: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let now = Timestamp::now();
    let given = args.of.given(None);
    let reported = facts(
        folder,
        args.of.resource.as_deref(),
        &given,
        usize::from(args.last),
    )
    .and_then(|jobs| {
        let unknown = jobs.iter().find_map(|facts| facts.error.as_ref());
        let code = unknown.map_or(0, |(code, _)| *code);
        Shown::of(args, &environment).show(jobs, now)?;
        Ok(code)
    });
    match reported {
        Ok(exit_code) => Ended {
            exit_code,
            ..Ended::ok()
        },
        Err(failure) => Ended::of(Err(failure)),
    }
}

/// Writes the pages that the jobs of `folder` name, one for each file, about all jobs that name it. What goes wrong is a warning.
pub fn after_run(args: &RunArgs, folder: &Path, is_given_to_all: bool, log: &Log) {
    let resource = args.given.resource.as_deref();
    if !is_given_to_all && !is_named(folder, resource) {
        return;
    }
    let given = GivenArgs {
        job: None,
        resource: None,
        ..args.given.clone()
    };
    let jobs = match facts(folder, resource, &given, RUNS_ON_A_PAGE) {
        Ok(jobs) => jobs,
        Err(failure) => return warn(log, STATUS_PAGE.row.name, &failure),
    };
    let now = Timestamp::now();
    let mut pages: BTreeMap<String, Vec<Facts>> = BTreeMap::new();
    for facts in jobs {
        if let Some(page) = &facts.status_page {
            pages.entry(page.clone()).or_default().push(facts);
        }
    }
    for (page, jobs) in pages {
        let is_shared = jobs.iter().all(|facts| facts.is_shared);
        let writers = if is_shared {
            Writers::Group
        } else {
            Writers::Nobody
        };
        if let Err(failure) = write(Path::new(&page), writers, &run_id(now), jobs, now) {
            warn(log, &page, &failure);
        }
    }
}

/// Whether the files of one of the jobs have the name of the setting in them: asking all of them takes a process each.
fn is_named(folder: &Path, resource: Option<&str>) -> bool {
    let name = STATUS_PAGE.row.name.to_ascii_lowercase();
    let has_name = |file: &Path| {
        let read = read_regular(file, Limits::default().settings_file_bytes, Holds::Trusted);
        read.is_ok_and(|(bytes, _)| {
            let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            text.contains(&name)
        })
    };
    let jobs = at(folder, resource).unwrap_or_default();
    let jobs = jobs.iter().filter(|job| job.refused.is_none());
    jobs.flat_map(|job| [Some(&job.file), job.shared.as_ref()])
        .flatten()
        .any(|file| has_name(file))
}

/// What is known of each job.
fn facts(
    folder: &Path,
    resource: Option<&str>,
    given: &GivenArgs,
    last: usize,
) -> Result<Vec<Facts>, Failure> {
    let most = runs_of_each(last, at(folder, resource)?.len());
    let answered = ask(folder, resource, None, &[], |job| words(given, most, job))?;
    Ok(answered.into_iter().map(of_job).collect())
}

fn of_job(answered: Answered) -> Facts {
    let Answered {
        job,
        done,
        lines,
        error,
    } = answered;
    let read = lines.last().map(|line| Facts::parsed(&line.to_string()));
    match read {
        Some(Ok(facts)) if done.code == 0 => Facts {
            job: job.label(),
            tenant: job.tenant,
            ..facts
        },
        _ => {
            let why = done.why.or(error);
            let why = why.unwrap_or_else(|| "it said nothing".to_owned());
            // It says its own name and code before that.
            let said = why.split_once(&format!("exit {}: ", done.code));
            let why = said.map_or(&*why, |(_, why)| why);
            Facts::unknown(job.label(), job.tenant.clone(), done.code, why)
        }
    }
}

/// What the process of one job is started with.
fn words(given: &GivenArgs, most: usize, job: &FleetJob) -> Vec<OsString> {
    let mut words = words_of("report", &job.given(given));
    words.push(format!("--last={most}").into());
    words.push("--output=json".into());
    words
}
