//! What is wrong with the settings of a job that never ran: without that, all that `health` knows is that there was no run.

use crate::cli::GivenArgs;
use crate::log::Log;
use crate::outcome::Outcome;
use crate::process::watch::Watch;
use crate::run::setup::{self, Job};
use crate::secret::Redactor;
use crate::settings::catalogue::SOURCE_API_URL;
use crate::settings::inputs::Commands;

/// Every problem of the settings, as a run would find them, and the files that they are in; none where a run could begin, or
/// where that cannot be told, as only the output is named. No program that prints a secret is started but those of the output.
pub fn wrong(
    given: &GivenArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Option<String>, Redactor) {
    let watch = Watch::begin();
    let read = setup::read_starting(given, environment, Commands::OfHealth, &watch.stop);
    let redactor = setup::redactor(&read.0, &read.1);
    // Whoever names the output alone, as a monitor does, has left out the rest on purpose.
    let has_job =
        given.job.is_some() || !given.env_file.is_empty() || read.0.is_given(&SOURCE_API_URL.row);
    let found = watch.block_on(async {
        if !has_job {
            return Ok(read.1.problems);
        }
        let log = Log::silent();
        let job = Job::new(given, read, &watch.stop, &log).await?;
        job.problems(&watch.stop).await
    });
    let wrong = match found {
        Ok(problems) if problems.is_empty() => None,
        Ok(problems) => Some(setup::refusal(&problems).message),
        Err(failure) if matches!(failure.outcome, Outcome::Settings | Outcome::Denied) => {
            Some(failure.message)
        }
        Err(_) => None,
    };
    (wrong.map(|wrong| with_files(wrong, given)), redactor)
}

/// The same with the files of the settings, where it names none: what is missing is in no file.
fn with_files(wrong: String, given: &GivenArgs) -> String {
    let files = given.job.iter().chain(&given.env_file);
    let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
    if files.is_empty() || files.iter().any(|file| wrong.contains(file)) {
        return wrong;
    }
    let files = files.join("` and `");
    format!("{wrong}; the settings are those of `{files}`")
}
