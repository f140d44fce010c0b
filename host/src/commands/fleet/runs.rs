//! `tidegate runs FOLDER`: the last runs of every job.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use super::ask::{Answered, ask};
use super::jobs::FleetJob;
use super::words_of;
use crate::cli::RunsArgs;
use crate::commands::{runs, stdout};
use crate::outcome::{Ended, Failure};
use crate::words;

/// Prints the last runs of every job of `folder`. Exits with the code of the first job of which they could not be read.
pub fn runs(args: &RunsArgs, folder: &Path) -> Ended {
    let resource = args.of.resource.as_deref();
    let answered = match ask(folder, resource, None, &[], |job| words(args, job)) {
        Ok(answered) => answered,
        Err(failure) => return Ended::of(Err::<(), Failure>(failure)),
    };
    let failed = answered.iter().find(|answered| answered.done.code != 0);
    let code = failed.map_or(0, |answered| answered.done.code);
    let printed = match args.output {
        None => stdout::print(&answered.iter().map(of_job).collect::<String>()),
        Some(output) => {
            for answered in &answered {
                if let Some(why) = &answered.error {
                    let line = format!("{}: {why}", answered.job.label());
                    let _ = writeln!(std::io::stderr(), "{}", words::escaped(&line));
                }
            }
            let all: Vec<_> = answered.into_iter().flat_map(|of| of.lines).collect();
            stdout::print(&runs::shown(&all, Some(output), ""))
        }
    };
    match printed {
        Ok(()) => Ended {
            exit_code: code,
            ..Ended::ok()
        },
        Err(failure) => Ended::of(Err::<(), Failure>(failure)),
    }
}

/// The runs of one job below its name.
fn of_job(answered: &Answered) -> String {
    let text = match &answered.error {
        Some(why) => format!("{}\n", words::escaped(why)),
        None => runs::shown(&answered.lines, None, "no run is recorded"),
    };
    format!("{}:\n{text}\n", words::escaped(&answered.job.label()))
}

/// What the process of one job is started with.
fn words(args: &RunsArgs, job: &FleetJob) -> Vec<OsString> {
    let mut words = words_of("runs", &job.given(&args.of.given(None)));
    words.push(format!("--last={}", args.last).into());
    words.push("--output=json".into());
    words.extend(args.failed.then(|| "--failed".into()));
    words
}
