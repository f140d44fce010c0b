//! One run, from the command line to its summary. `Run::flow` is its table of contents.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, json};

use crate::cli::{OutputKind, RunArgs};
use crate::component::in_its_words;
use crate::egress::{Commons, Exchanges, wait_for_tokens};
use crate::folder::lock::Lock;
use crate::folder::{Folder, Temporary, Writers, random_digits};
use crate::limits::Limits;
use crate::log::{self, Log};
use crate::outcome::{Committed, Ended};
use crate::process::defect;
use crate::process::memory;
use crate::process::watch::Watch;
use crate::run::alerts::Alerts;
use crate::run::interval::Begun;
use crate::run::metrics_file::MetricsFile;
use crate::run::open_sink::Outputs;
use crate::run::record::{Apart, Recording};
use crate::run::setup::Known;
use crate::run::summary::Summary;
use crate::run::traces::Traces;
use crate::secret::Redactor;
use crate::settings::host::HostPlan;
use crate::settings::inputs::Commands;
use crate::words;

pub mod alerts;
pub mod call_component;
mod changed_settings;
mod credential;
pub mod cursor_time;
pub mod drift;
mod follow;
pub mod gates;
pub mod history;
pub mod hold;
pub mod interval;
pub mod last_run;
pub mod metrics;
mod metrics_file;
pub mod open_sink;
pub mod portion;
mod record;
pub mod setup;
mod sharing;
pub mod summary;
mod traces;

pub use changed_settings::refuse_changes;

/// What a line on stderr begins with.
const OUR_NAME: &str = "tidegate: ";

/// What a run has of the command that it is a part of.
#[derive(Clone, Default)]
pub struct Part<'k> {
    /// The component, where this process has it from an earlier run.
    pub known: Option<Known<'k>>,
    /// What the runs of this process share on the network.
    pub commons: Option<Commons>,
    /// The jobs that this process has begun.
    pub begun: Option<Begun>,
    /// The folders that jobs of this process publish into.
    pub outputs: Option<Outputs>,
    /// What each line of its log begins with.
    pub mark: String,
    /// Writes the page of the job (`STATUS_PAGE`), if that is for this run to do.
    pub page: Option<WritePage>,
}

/// Writes the page of a job whose run has just ended. What goes wrong is a warning.
pub type WritePage = fn(&Watch, &HostPlan, &Log, &str);

/// One run under way.
pub struct Run<'a> {
    pub(crate) args: &'a RunArgs,
    /// The component, where this process has it from an earlier run.
    pub(crate) known: Option<Known<'a>>,
    /// What the runs of this process share on the network.
    pub(crate) commons: Option<Commons>,
    /// The jobs that this process has begun, where it has several.
    pub(crate) begun: Option<Begun>,
    /// The folders that jobs of this process publish into, where it has several.
    pub(crate) outputs: Option<Outputs>,
    pub(crate) log: &'a Log,
    /// What is known of it so far.
    pub(crate) summary: Summary,
    pub(crate) lock: LockState,
    /// The folder in which it works, where it has no OUTPUT_DIR.
    pub(crate) temporary: Option<Temporary>,
    /// Whether a commit was begun and nothing came of it yet.
    pub(crate) is_committing: bool,
    /// What is to be done about its row in a database.
    pub(crate) recording: Recording,
    /// Since it began.
    pub(crate) clock: Instant,
    /// Members of the records that are other than before.
    pub(crate) drift: drift::Drift,
    /// Its requests, where they are traced.
    pub(crate) exchanges: Exchanges,
    /// Who hears how it ended.
    pub(crate) alerts: Alerts,
}

/// Where the run is with the lock, which decides who may write `last-run.json`.
pub enum LockState {
    /// It has not come that far.
    NotYet,
    /// It holds it.
    Yes(Arc<Lock>),
    /// Another run holds it.
    Lost,
}

/// Runs the job once: `tidegate run`.
pub fn run(args: &RunArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    run_and_tell(args, environment).0
}

/// Runs the job once and also returns its summary.
pub fn run_and_tell(
    args: &RunArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Ended, Summary) {
    run_watched(&Watch::begin(), args, Part::default(), environment)
}

/// The same as part of a command that is under way, and may have loaded the component.
pub fn run_watched(
    watch: &Watch,
    args: &RunArgs,
    part: Part<'_>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Ended, Summary) {
    let (clock, started) = (Instant::now(), Timestamp::now());
    let all = Commands::Started;
    let (inputs, host) = setup::read_starting(&args.given, environment, all, &watch.stop);
    let redactor = setup::redactor(&inputs, &host);
    let output_dir = host.output_dir.clone().map(|path| (path, host.writers));
    let limits = host.limits.clone();
    let metrics = MetricsFile::of(&host, &redactor);
    let traces = Traces::begin(&host);
    let summary = begun(args, &host.job, started, &redactor);
    let own_name = own_name(&part.mark);
    let log = log_of(args, &host, &summary, redactor.clone()).marked(part.mark);

    let mut run = Run {
        args,
        known: part.known,
        commons: part.commons,
        begun: part.begun,
        outputs: part.outputs,
        log: &log,
        summary,
        lock: LockState::NotYet,
        temporary: None,
        is_committing: false,
        recording: Recording::at_first(&host, args.dry_run),
        clock,
        drift: drift::Drift::default(),
        exchanges: Exchanges::default(),
        alerts: Alerts::new(&host, args.quiet),
    };
    let write_page = part
        .page
        .filter(|_| host.status_page.is_some() && !args.dry_run);
    let write_page = write_page.map(|write| (write, host.clone()));
    let where_recorded = (run.recording == Recording::Due).then(|| host.clone());
    let mut result = watch.block_on(run.flow((inputs, host), &watch.stop));
    wait_for_tokens(limits.token_timeout);
    if let (Err(failure), true) = (&mut result, run.is_committing) {
        failure.committed = Committed::Unknown;
    }
    warn_of_the_process(&log, run.commons.is_some());
    let Run {
        mut summary,
        lock,
        temporary,
        recording,
        mut alerts,
        exchanges,
        ..
    } = run;
    log.component_ended();
    let result = result.map_err(|failure| in_its_words(failure, &log));
    let result = result.map_err(|failure| failure.shown(|text| redactor.hide(text), &limits));
    summary.end(&result, Timestamp::now(), clock.elapsed());
    // Of the source's choosing, and written to `last-run.json`.
    summary.cursor = summary.cursor.map(|cursor| redactor.hide(&cursor));
    let error = result
        .err()
        .map(|failure| redactor.hide(&summary.error_line(&failure, &limits)));
    // One of the run's own is gone with it.
    let folder = folder_of(&lock, output_dir).filter(|_| temporary.is_none());
    let recorded = alerts.recorded.take();
    let mut records = Records {
        folder: folder.clone(),
        database: where_recorded.map(|host| Apart::new(watch, host, recording, recorded)),
        log: &log,
    };
    alerts.know(records.begin(&summary, &limits).as_deref());
    let told = alerts.tell(
        (watch, &log),
        (&lock, folder.as_ref()),
        &mut summary,
        error.as_deref(),
        |summary| records.write(summary),
    );
    if recording == Recording::Due {
        records.end(&summary);
    }
    let counts = !matches!(lock, LockState::Lost);
    if let Some(metrics) = metrics.filter(|_| counts) {
        metrics.write(&summary, folder.as_ref(), &limits, &log);
    }
    if let Some((write, host)) = write_page {
        write(watch, &host, &log, &summary.run_id);
    }
    // A collector that does not answer keeps no other run from beginning.
    drop(lock);
    drop(temporary);
    if let Some(traces) = traces {
        traces.send(watch, &summary, &exchanges.taken(), &log);
    }
    let is_said = told.is_said || log.is_on_a_terminal() || std::io::stderr().is_terminal();
    tell(args, &log, &summary, is_said);
    if let Some(recovered) = told.recovered {
        let job = redactor.hide(&summary.job);
        say_on_stderr(&format!("{own_name}{job}: {recovered}\n"));
    }
    let ended = Ended {
        exit_code: summary.exit_code,
        error: error.filter(|_| is_said),
        job: None,
    };
    (ended.of_job(&summary.job, &redactor), summary)
}

/// What is known of a run when it begins.
fn begun(args: &RunArgs, job: &str, started: Timestamp, redactor: &Redactor) -> Summary {
    let mut summary = Summary::begin(run_id(started), job.to_owned(), started);
    summary.dry_run = args.dry_run;
    let given = args.given.set.iter();
    summary.set = given
        .filter_map(|flag| flag.split_once('='))
        .map(|(name, _)| redactor.hide(name))
        .collect();
    summary.set.sort();
    summary
}

fn log_of(args: &RunArgs, host: &HostPlan, summary: &Summary, redactor: Redactor) -> Log {
    let context = Map::from_iter([
        ("run_id".to_owned(), json!(summary.run_id)),
        ("job".to_owned(), json!(summary.job)),
    ]);
    Log::new(log_format(args, host), context, redactor).showing(host.log_level, host.has_colours)
}

/// What a line on stderr begins with.
fn own_name(mark: &str) -> String {
    if mark.is_empty() {
        OUR_NAME.to_owned()
    } else {
        mark.to_owned()
    }
}

/// As a failure's line, so that whoever has heard of that hears of its end.
fn say_on_stderr(line: &str) {
    // Nobody may be listening: that changes nothing.
    let _ = std::io::stderr().write_all(words::escaped_lines(line).as_bytes());
}

fn warn_of_the_process(log: &Log, is_one_of_several: bool) {
    for what in memory::still_open() {
        log.warn(
            "the memory of this process is not protected",
            json!({ "what": what }),
        );
    }
    for defect in defect::uncaught(is_one_of_several) {
        log.warn(
            "a defect in tidegate, please report it",
            json!({ "defect": defect }),
        );
    }
}

/// Where it is written down how a run ended.
struct Records<'r> {
    folder: Option<Folder>,
    database: Option<Apart<'r>>,
    log: &'r Log,
}

impl Records<'_> {
    /// Adds a line to `runs.ndjson`, or without a folder what a database lacks of this run; then the summary of the run before it is
    /// returned, if it is known.
    fn begin(&mut self, summary: &Summary, limits: &Limits) -> Option<String> {
        match (&self.folder, &mut self.database) {
            (Some(folder), _) => {
                add_to_history(folder, summary, limits, self.log);
                None
            }
            // What the run itself has written has the count already.
            (None, Some(database)) if !database.has_row() => {
                database.write(summary, self.log).before
            }
            (None, _) => None,
        }
    }

    /// Writes what the next run reads. True if and only if it can read it.
    fn write(&mut self, summary: &Summary) -> bool {
        match (&self.folder, &mut self.database) {
            (Some(folder), _) => remember(folder, summary, self.log),
            (None, Some(database)) => database.write(summary, self.log).is_there,
            (None, None) => false,
        }
    }

    /// Writes what a database lacks beside a folder.
    fn end(&mut self, summary: &Summary) {
        if let (Some(_), Some(database)) = (&self.folder, &mut self.database) {
            database.write(summary, self.log);
        }
    }
}

/// Tells cron's log, or whoever asked for JSON, or a person at a terminal, how it went. `is_said`: its line on stderr says why it failed.
fn tell(args: &RunArgs, log: &Log, summary: &Summary, is_said: bool) {
    if args.output == Some(OutputKind::Json) {
        let text = serde_json::to_string(summary).unwrap_or_default();
        // Nobody may be listening: that changes nothing.
        let _ = writeln!(std::io::stdout(), "{}", words::escaped(&log.hide(&text)));
        return;
    }
    if log.is_on_a_terminal() {
        // Of a failure the line on stderr is the sentence.
        return if summary.exit_code == 0 {
            log.say(&summary.sentence());
        } else {
            log.end_progress();
        };
    }
    let fields = if log.is_text() {
        let mut spoken = summary.spoken();
        if !is_said {
            spoken["message"] = json!(summary.message);
        }
        spoken
    } else {
        serde_json::to_value(summary).unwrap_or_default()
    };
    if summary.exit_code == 0 {
        log.info("run finished", fields);
    } else {
        log.error("run finished", fields);
    }
}

/// The folder that has the records of runs: the holder of the lock writes there, and a run that failed before it, where the folder
/// exists and nobody can write to it who may not.
fn folder_of(lock: &LockState, output_dir: Option<(PathBuf, Writers)>) -> Option<Folder> {
    match (lock, output_dir) {
        (LockState::Lost, _) => None,
        (LockState::Yes(lock), _) => Some(lock.folder().clone()),
        (LockState::NotYet, output_dir) => {
            let (path, writers) = output_dir?;
            Folder::open_for(&path, writers).ok().flatten()
        }
    }
}

/// Adds a line to `runs.ndjson`.
fn add_to_history(folder: &Folder, summary: &Summary, limits: &Limits, log: &Log) {
    if let Err(failure) = history::add(folder, &summary.run_id, summary, limits) {
        log.warn(
            "runs.ndjson not written",
            json!({ "error": failure.message, "what": "`tidegate runs` does not list this run" }),
        );
    }
}

/// Writes `last-run.json`. True if and only if the next run can read what matters of it.
fn remember(folder: &Folder, summary: &Summary, log: &Log) -> bool {
    // Only a failed run can have been a trial: any other has nothing to ask of the record before it.
    let has_failed = summary.exit_code != 0;
    let before = has_failed.then(|| last_run::read(folder, &Limits::default()));
    let before = before.and_then(Result::ok).flatten();
    if last_run::is_a_trial(summary, before.as_ref()) {
        log.info(
            "last-run.json left as it is, this run was a trial",
            json!({ "set": summary.set, "dry_run": summary.dry_run }),
        );
        return true;
    }
    let Err(failure) = last_run::write(folder, &summary.run_id, summary) else {
        return true;
    };
    log.warn(
        "last-run.json not written",
        json!({ "error": failure.message }),
    );
    // There may be a shorter one.
    let now = last_run::read(folder, &Limits::default()).ok().flatten();
    now.is_some_and(|now| now.run_id == summary.run_id && now.alert == summary.alert)
}

fn log_format(args: &RunArgs, host: &HostPlan) -> log::Format {
    if args.quiet || args.output == Some(OutputKind::Json) {
        return log::Format::Silent;
    }
    match (host.log_format, std::io::stdout().is_terminal()) {
        (None | Some(log::Format::Text), true) => log::Format::Terminal,
        (None, false) => log::Format::Json,
        (Some(format), _) => format,
    }
}

/// When it began, to the second, and six digits that tell it from others of that second.
pub fn run_id(started: Timestamp) -> String {
    format!(
        "{}-{:06x}",
        started.strftime("%Y%m%dT%H%M%SZ"),
        random_digits() & 0xff_ffff
    )
}

#[cfg(test)]
mod tests;
