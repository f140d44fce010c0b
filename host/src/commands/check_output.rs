//! Tries the output without changing it: can this user write to OUTPUT_DIR, is the database there, and may the role do what a
//! run does? In a file without a name, and in a transaction that is rolled back.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::RunArgs;
use crate::folder::{Folder, Temporary, lock, random_digits};
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Stop;
use crate::run::refuse_changes;
use crate::run::setup::Job;
use crate::secret::Redactor;
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::settings::plan::{Plan, WriteMode};
use crate::sink::database::{Ending, RunRow, written};
use crate::sink::files::{generation, leftovers};
use crate::sink::{self, Extent, LastCommit, SinkContext};
use crate::staging::read;

/// What there is to try, for a person.
pub fn in_words(host: &HostPlan) -> String {
    match (&host.database, &host.output_dir) {
        (Some(_), _) => "the database and the rights of its role".to_owned(),
        (None, folder) => {
            let folder = folder.as_deref().unwrap_or(Path::new(""));
            format!("whether this user can write to `{}`", folder.display())
        }
    }
}

/// Tries where a run of `job` would publish, and says what was tried. `Err`: a run would end like this. Nothing stays.
pub fn try_output(job: &Job, stop: &Stop, redactor: &Redactor) -> Result<String, Failure> {
    let plan = job
        .plan
        .as_ref()
        .map_err(|_| Failure::new(Outcome::Settings, "the settings cannot be used"))?;
    let host = &job.host;
    match (&host.database, &host.output_dir) {
        (Some(url), _) => database(url, host, plan, stop, redactor),
        (None, Some(path)) => folder(path, host, plan),
        (None, None) => Ok(String::new()),
    }
}

fn folder(path: &Path, host: &HostPlan, plan: &Plan) -> Result<String, Failure> {
    let Some(folder) = Folder::open_for(path, host.writers)? else {
        return missing(path);
    };
    try_to_write(&folder)?;
    let last = generation::current(&folder, &host.limits)?;
    leftovers::refuse_foreign(&folder)?;
    let last = last.as_ref().map(|last| LastCommit {
        name: &last.name,
        manifest: &last.manifest,
    });
    refuse_changes(&RunArgs::default(), plan, last)?;
    Ok(format!("\noutput: `{}` can be written", path.display()))
}

/// A run would make the folder: is there where?
fn missing(path: &Path) -> Result<String, Failure> {
    let here = Path::new(".");
    let above = path.ancestors().skip(1).find(|above| above.exists());
    let above = above
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(here);
    let may = Folder::open(above)?.map_or(Ok(()), |above| try_to_write(&above));
    may.map_err(|failure| {
        let (path, above) = (path.display(), above.display());
        Failure::new(
            Outcome::OutputUnusable,
            format!(
                "cannot create `{path}` in `{above}`: {}; make it, or set OUTPUT_DIR to a folder that this user may write to",
                failure.message
            ),
        )
    })?;
    Ok(format!("\noutput: `{}` can be created", path.display()))
}

/// By a file that is removed again at once: what a run makes first is its lock.
fn try_to_write(folder: &Folder) -> Result<(), Failure> {
    let name = probe_name();
    folder.create(&name, 0o600)?;
    folder.remove_file(&name)
}

fn probe_name() -> String {
    format!(".check-{:06x}", random_digits() & 0xff_ffff)
}

/// A transaction with nothing in it, rolled back.
fn database(
    url: &DatabaseUrl,
    host: &HostPlan,
    plan: &Plan,
    stop: &Stop,
    redactor: &Redactor,
) -> Result<String, Failure> {
    let log = Log::silent();
    // The lock of the job lies there, and perhaps the database itself.
    if let Some(path) = &host.output_dir {
        match Folder::open_for(path, host.writers)? {
            Some(folder) => try_to_write(&folder)?,
            None if matches!(url, DatabaseUrl::Sqlite(file) if file.starts_with(path)) => {
                return missing(path);
            }
            None => missing(path).map(drop)?,
        }
    }
    if let DatabaseUrl::Sqlite(path) = url {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = Folder::open(above.unwrap_or(Path::new(".")))?;
        above.as_ref().map_or(Ok(()), try_to_write)?;
    }
    let own = Temporary::new("check", &host.temp_dir, &host.limits)?;
    let run_id = format!("check-{:06x}", random_digits() & 0xff_ffff);
    let check = || stop.check();
    let context = SinkContext {
        lock: Arc::new(lock::acquire(own.folder(), &run_id)?),
        folder_stays: false,
        adopt: false,
        dry_run: true,
        accepts_twins: false,
        replaces_every_parent: false,
        limits: &host.limits,
        check: &check,
        log: &log,
    };
    let mut sink = match sink::open(context, host, plan.mode) {
        // It is there, and a run may work in it.
        Err(failure) if failure.is_overlap => {
            let by = redactor.hide(&failure.message);
            return Ok(format!("\noutput: not tried, as a run is under way: {by}"));
        }
        opened => opened?,
    };
    refuse_changes(&RunArgs::default(), plan, sink.last())?;
    let goes_on = sink
        .last()
        .is_some_and(|last| plan.mode == WriteMode::Append || !last.manifest.appends());
    let extent = if goes_on {
        Extent::NothingNew
    } else {
        Extent::Everything
    };
    let staging = sink.run_folder()?;
    let staged = read::open(staging.input(), read::Counts::default(), &host.limits)?;
    let taken = sink.take(&staged, &staging, extent, None)?;
    drop(taken);
    let now = written(Timestamp::now());
    let run = RunRow {
        run_id,
        started: now.clone(),
        ended: Some(Ending {
            finished: now,
            exit_code: 0,
            outcome: Outcome::Published.word().to_owned(),
            message: None,
            generation: None,
        }),
        summary: "{}".to_owned(),
    };
    // A run that is not recorded ends as it ends.
    let recorded = match sink.try_to_record(&run) {
        Ok(()) => String::new(),
        Err(failure) => {
            let shown = failure.shown(|text| redactor.hide(text), &host.limits);
            format!("\nwarning: {}", shown.message)
        }
    };
    Ok(format!(
        "\noutput: the database can be written (table `{}`; tried in a transaction that was rolled back){recorded}",
        host.output.table
    ))
}
