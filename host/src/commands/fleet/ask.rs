//! Asks every job of a folder something, each by a process of its own that prints JSON: what hangs is one answer.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::child::{Lines, Stream};
use super::jobs::{FleetJob, alone, at};
use super::{Done, NO_DEADLINE, Pace, Start, each};
use crate::cli::FleetArgs;
use crate::limits::{FLEET_PARALLEL_MAX, Limits};
use crate::outcome::Failure;
use crate::process::watch::Watch;
use crate::words;

/// A job, how its process ended, and what that printed.
pub struct Answered {
    pub job: FleetJob,
    pub done: Done,
    /// The lines of its stdout.
    pub lines: Vec<Value>,
    /// The first line of its stderr.
    pub error: Option<String>,
}

/// Asks the jobs of `folder`, or the one `resource` of a job file, by what `words` makes of each. `codes` besides 0 are answers, too.
pub fn ask(
    folder: &Path,
    resource: Option<&str>,
    parallel: Option<u16>,
    codes: &'static [u8],
    words: impl Fn(&FleetJob) -> Vec<OsString>,
) -> Result<Vec<Answered>, Failure> {
    let watch = Watch::begin();
    watch.stop.set_deadline(NO_DEADLINE);
    watch.block_on(async {
        let jobs = at(folder, resource)?;
        let units = alone(&jobs);
        let fleet = FleetArgs {
            parallel,
            // Looking takes nothing from a neighbour.
            per_tenant: parallel.or(Some(FLEET_PARALLEL_MAX)),
            ..FleetArgs::default()
        };
        let pace = Pace::new(&fleet, &jobs)?;
        let heard = Arc::new(Heard(jobs.iter().map(|_| Mutex::default()).collect()));
        let lines: Arc<dyn Lines> = Arc::clone(&heard) as Arc<dyn Lines>;
        let mut ended: Vec<Option<Done>> = jobs.iter().map(|_| None).collect();
        let start = Start {
            args: |jobs: &[&FleetJob], _| words(jobs[0]),
            log_format: "json",
            codes,
        };
        let keep = |done: Done| {
            let job = done.job;
            ended[job] = Some(done);
        };
        each((&jobs, &units), start, (&pace, &watch.stop), &lines, keep).await?;
        let jobs = jobs.into_iter().zip(ended).enumerate();
        let answered = jobs.filter_map(|(index, (job, done))| {
            let (lines, error) = heard.of(index);
            let done = done?;
            Some(Answered {
                job,
                done,
                lines,
                error,
            })
        });
        Ok(answered.collect())
    })
}

/// What each process prints.
struct Heard(Vec<Mutex<(Vec<Value>, Option<String>)>>);

impl Heard {
    fn of(&self, job: usize) -> (Vec<Value>, Option<String>) {
        let heard = self.0[job].lock();
        heard.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lines for Heard {
    fn line(&self, job: usize, stream: Stream, text: &str, is_within: bool) {
        let mut heard = self.0[job].lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, error) = &mut *heard;
        match stream {
            Stream::Stdout if is_within => lines.extend(serde_json::from_str::<Value>(text).ok()),
            Stream::Stdout => {}
            Stream::Stderr => {
                let most = Limits::default().error_line_bytes;
                let text = text.strip_prefix("tidegate: ").unwrap_or(text);
                error.get_or_insert_with(|| words::line(text, most));
            }
        }
    }
}
