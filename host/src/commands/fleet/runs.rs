//! `tidegate runs FOLDER`: the last runs of every job, each read by a process of its own.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::child::{Lines, Stream};
use super::jobs::{FleetJob, alone, at};
use super::{NO_DEADLINE, Pace, Start, each, words_of};
use crate::cli::{FleetArgs, RunsArgs};
use crate::commands::{runs, stdout};
use crate::limits::{FLEET_PARALLEL_MAX, Limits};
use crate::outcome::{Ended, Failure};
use crate::process::watch::Watch;
use crate::words;

/// Prints the last runs of every job of `folder`. Exits with the code of the first job of which they could not be read.
pub fn runs(args: &RunsArgs, folder: &Path) -> Ended {
    let watch = Watch::begin();
    watch.stop.set_deadline(NO_DEADLINE);
    let mut code = 0;
    let done = watch.block_on(async {
        let jobs = at(folder, args.resource.as_deref())?;
        let units = alone(&jobs);
        let fleet = FleetArgs {
            // Looking takes nothing from a neighbour.
            per_tenant: Some(FLEET_PARALLEL_MAX),
            ..FleetArgs::default()
        };
        let pace = Pace::new(&fleet, &jobs)?;
        let heard = Arc::new(Heard {
            jobs: jobs.iter().map(|_| Mutex::default()).collect(),
        });
        let lines: Arc<dyn Lines> = Arc::clone(&heard) as Arc<dyn Lines>;
        let start = Start {
            args: |jobs: &[&FleetJob], _| words(args, jobs[0]),
            log_format: "json",
            codes: &[],
        };
        let asked = each(
            (&jobs, &units),
            start,
            (&pace, &watch.stop),
            &lines,
            |done| {
                if code == 0 {
                    code = done.code;
                }
            },
        );
        asked.await?;
        let mut all = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            let of_job = heard.of(index);
            if args.output.is_some() {
                if let Some(why) = &of_job.error {
                    let line = format!("{}: {why}", job.label());
                    let _ = writeln!(std::io::stderr(), "{}", words::escaped(&line));
                }
                all.extend(of_job.runs);
                continue;
            }
            let none = "no run is recorded";
            let text = match &of_job.error {
                Some(why) => format!("{}\n", words::escaped(why)),
                None => runs::shown(&of_job.runs, None, none),
            };
            stdout::print(&format!("{}:\n{text}\n", words::escaped(&job.label())))?;
        }
        match args.output {
            Some(output) => stdout::print(&runs::shown(&all, Some(output), "")),
            None => Ok(()),
        }
    });
    match done {
        Ok(()) => Ended {
            exit_code: code,
            ..Ended::ok()
        },
        Err(failure) => Ended::of(Err::<(), Failure>(failure)),
    }
}

/// What the jobs' processes said.
struct Heard {
    jobs: Vec<Mutex<OfJob>>,
}

#[derive(Debug, Clone, Default)]
struct OfJob {
    runs: Vec<Value>,
    error: Option<String>,
}

impl Heard {
    fn of(&self, job: usize) -> OfJob {
        let heard = self.jobs[job].lock();
        heard.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lines for Heard {
    fn line(&self, job: usize, stream: Stream, text: &str, is_within: bool) {
        let mut heard = self.jobs[job]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match stream {
            Stream::Stdout if is_within => heard.runs.extend(serde_json::from_str(text).ok()),
            Stream::Stdout => {}
            Stream::Stderr => {
                let most = Limits::default().error_line_bytes;
                let text = text.strip_prefix("tidegate: ").unwrap_or(text);
                heard.error.get_or_insert_with(|| words::line(text, most));
            }
        }
    }
}

/// What the process of one job is started with.
fn words(args: &RunsArgs, job: &FleetJob) -> Vec<std::ffi::OsString> {
    let mut words = words_of("runs", &job.given(&runs::given(args)));
    words.push(format!("--last={}", args.last).into());
    words.push("--output=json".into());
    words.extend(args.failed.then(|| "--failed".into()));
    words
}
