//! State: what the next run goes on from. It can be shown, exported, imported, and set to another cursor.
//!
//! A change is a commit of its own under the run lock: the last set again, with another state. What readers see of the data stays
//! as it is, and so does its age.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{
    GivenArgs, OutputKind, StateArgs, StateExportArgs, StateImportArgs, StateSetArgs,
    StateShowArgs, StateWhat,
};
use crate::commands::by_hand::{self, ByHand, Done};
use crate::commands::describe::wrapped;
use crate::commands::look::{self, AtTheEnd, at_output};
use crate::commands::stdout;
use crate::component::in_words_alone;
use crate::folder::{Folder, Temporary, lock};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Ended, Failure, OrFail as _, Outcome};
use crate::process::stop::{Check, Stop};
use crate::process::watch::{Watch, aside};
use crate::run::hold::Hold;
use crate::run::setup::{self, Job};
use crate::settings::host::HostPlan;
use crate::settings::inputs::Commands;
use crate::settings::plan::WriteMode;
use crate::sink::database::{self, StateRow};
use crate::sink::files::generation;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::Manifest;
use crate::sink::{self, Restated, SinkContext};
use crate::units::counted_in_thousands;
use crate::words;

use form::Exported;

mod cursor;
mod form;

/// Where the lines of what is shown begin, and how wide they are.
const INDENT: usize = 12;
const COLUMNS: usize = 80;
/// A cursor that is shown, in bytes.
const CURSOR_BYTES: usize = 200;

/// What is to become of the state.
enum Wanted {
    /// This cursor; of several values, that of one alone where it is named.
    Cursor {
        value: String,
        each: Option<String>,
    },
    /// The next run fetches everything.
    Everything,
    Import {
        file: PathBuf,
        of_other_job: bool,
    },
}

/// What is committed, and what there is to say of it.
struct Change {
    restated: Restated,
    outcome: &'static str,
    message: String,
    /// What may come of it, for a person.
    advice: String,
}

/// Shows, exports or changes the state of a job.
pub fn state(args: &StateArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    match &args.what {
        StateWhat::Show(args) => show(args, environment),
        StateWhat::Export(args) => export(args, environment),
        StateWhat::Import(args) => import(args, environment),
        StateWhat::SetCursor(args) => set_cursor(args, environment),
    }
}

fn show(args: &StateShowArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let output = args.output;
    at_output(
        &args.of.given(args.job.as_deref()),
        environment,
        AtTheEnd::IsLeft,
        move |host, _| {
            let (name, manifest) = last(host)?;
            Ok(match output {
                Some(OutputKind::Json) => {
                    words::escaped(&shown_json(host, &name, &manifest).to_string()) + "\n"
                }
                None => words::escaped_lines(&shown(host, &name, &manifest)),
            })
        },
        |text, redactor| Ended::of(stdout::print(&redactor.hide(&text))),
    )
}

fn export(
    args: &StateExportArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let to = args.to.clone();
    at_output(
        &args.of.given(args.job.as_deref()),
        environment,
        AtTheEnd::IsLeft,
        |host, _| {
            let (name, manifest) = last(host)?;
            let now = format!("{:.0}", Timestamp::now());
            let exported = Exported::of(&host.job, &name, &manifest, &now);
            let exported = exported.map_err(|why| Failure::new(Outcome::OutputUnusable, why))?;
            Ok(exported.text())
        },
        move |text, redactor| {
            let is_clean = redactor.hide(&text) == text;
            let exported = if is_clean {
                match &to {
                    None => stdout::print(&text),
                    Some(path) => written(path, &text).and_then(|()| {
                        stdout::print(&format!("exported to `{}`\n", path.display()))
                    }),
                }
            } else {
                Err(Failure::new(
                    Outcome::Denied,
                    "cannot export the state: a secret of the settings is in it; the component put it there: report it to whoever made it",
                ))
            };
            Ended::hidden(exported, redactor)
        },
    )
}

fn import(
    args: &StateImportArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let (job, file) = match &args.what[..] {
        [file] => (None, file),
        [job, file, ..] => (Some(job), file),
        [] => return Ended::failed(Outcome::Usage, "`tidegate state import` needs a file"),
    };
    let given = GivenArgs {
        component: args.component.clone(),
        ..args.of.given(job.map(Path::new))
    };
    let wanted = Wanted::Import {
        file: PathBuf::from(file),
        of_other_job: args.other_job,
    };
    change(&given, environment, wanted)
}

fn set_cursor(
    args: &StateSetArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let usage = |why: &str| {
        let why = format!("`tidegate state set-cursor` {why}");
        Ended::failed(Outcome::Usage, why)
    };
    let (job, value) = match (args.clear, &args.what[..]) {
        (true, []) => (None, None),
        (true, [job]) => (Some(job), None),
        (true, _) => return usage("takes no cursor with `--clear`"),
        (false, []) => return usage("needs a cursor, or `--clear`"),
        (false, [value]) => (None, Some(value)),
        (false, [job, value, ..]) => (Some(job), Some(value)),
    };
    // A script whose variable is not set.
    if value.is_some_and(String::is_empty) {
        return usage("has an empty cursor: `--clear` lets the next run fetch everything");
    }
    let given = GivenArgs {
        component: args.component.clone(),
        ..args.of.given(job.map(Path::new))
    };
    let wanted = match value {
        None => Wanted::Everything,
        Some(value) => Wanted::Cursor {
            value: value.clone(),
            each: args.each.clone(),
        },
    };
    change(&given, environment, wanted)
}

/// The last commit. `Err` (64): there is none.
fn last(host: &HostPlan) -> Result<(GenerationName, Manifest), Failure> {
    let nothing = || {
        let why = "finds nothing that was published: the state of a job comes with its first set";
        by_hand::refused("state", why)
    };
    let found = match (&host.database, &host.output_dir) {
        (Some(url), _) => {
            let seen = database::look(url, host, false)?;
            seen.state.as_ref().map(StateRow::trusted).transpose()?
        }
        (None, Some(path)) => {
            let output = Folder::open(path)?.ok_or_else(nothing)?;
            let current = generation::current(&output, &host.limits)?;
            current.map(|current| (current.name, current.manifest))
        }
        (None, None) => None,
    };
    found.ok_or_else(nothing)
}

/// What a person should know of a state. Nothing of the state itself: a token in it may be a secret of the source's.
fn shown(host: &HostPlan, name: &GenerationName, manifest: &Manifest) -> String {
    let mut out = String::new();
    let mut row = |label: &str, text: &str| {
        for (nth, line) in wrapped(text, COLUMNS - INDENT).iter().enumerate() {
            let label = if nth == 0 { label } else { "" };
            let _ = writeln!(out, "{label:<INDENT$}{line}");
        }
    };
    let committed = in_seconds(&manifest.finished);
    let records = counted_in_thousands(manifest.counts.records, "record");
    row("job", &host.job);
    row(
        "generation",
        &format!("{} of {committed}, {records}", name.number),
    );
    row("next run", &next_run(manifest));
    if let Some(restated) = &manifest.restated {
        row("changed", &format!("{} by hand", in_seconds(restated)));
    }
    row(
        "component",
        &format!(
            "{}, sha256 {}…",
            manifest.component.name,
            manifest.component.sha256.get(..16).unwrap_or_default()
        ),
    );
    let bytes = counted_in_thousands(manifest.state.len() as u64, "byte");
    row("state", &format!("{bytes} (`tidegate state export`)"));
    out
}

fn in_seconds(time: &str) -> String {
    let parsed = time.parse::<Timestamp>();
    parsed.map_or_else(|_| words::line(time, 40), |time| format!("{time:.0}"))
}

/// Where the next run begins.
fn next_run(manifest: &Manifest) -> String {
    goes_on(manifest.cursor.as_deref(), manifest.fetch_everything)
}

fn goes_on(cursor: Option<&str>, fetch_everything: bool) -> String {
    match cursor {
        _ if fetch_everything => "fetches everything".to_owned(),
        Some(cursor) => format!("goes on from cursor {}", words::line(cursor, CURSOR_BYTES)),
        None => "goes on from the state, which names no cursor for people".to_owned(),
    }
}

fn shown_json(host: &HostPlan, name: &GenerationName, manifest: &Manifest) -> serde_json::Value {
    json!({
        "job": host.job,
        "generation": name.to_string(),
        "published": manifest.finished,
        "records": manifest.counts.records,
        "cursor": manifest.cursor,
        "fetch_everything": manifest.fetch_everything,
        "changed_by_hand": manifest.restated,
        "component": manifest.component,
        "state_bytes": manifest.state.len(),
    })
}

/// Writes an export where nothing is.
fn written(path: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let path = path.display();
            return Err(Failure::new(
                Outcome::OutputUnusable,
                format!("`{path}` is there already: move it away, or name another file"),
            ));
        }
        opened => opened.or_fail(Outcome::OutputUnusable, || {
            format!("cannot create `{}`", path.display())
        })?,
    };
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written
        .inspect_err(|_| {
            let _ = std::fs::remove_file(path);
        })
        .or_fail(Outcome::IoFailed, || {
            format!("cannot write `{}`", path.display())
        })
}

/// Reads an export, `-` from stdin. `Err` (64): it is none.
fn read(path: &Path, limits: &Limits) -> Result<Exported, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let most = limits.manifest_bytes;
    let read = if path == Path::new("-") {
        std::io::stdin().take(most + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.or_fail(Outcome::Usage, || format!("cannot read `{shown}`"))?;
    if bytes.len() as u64 > most {
        let why = format!("`{shown}` has more than {most} bytes: it is no exported state");
        return Err(Failure::new(Outcome::Usage, why));
    }
    Exported::read(&bytes, limits)
        .map_err(|why| Failure::new(Outcome::Usage, format!("`{shown}` {why}")))
}

/// Makes the change, if the component of the job takes the state that comes of it.
fn change(
    given: &GivenArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    wanted: Wanted,
) -> Ended {
    let watch = Watch::begin();
    let read = setup::read_starting(given, environment, Commands::OfHealth, &watch.stop);
    let (redactor, host) = (setup::redactor(&read.0, &read.1), read.1.clone());
    let job = host.job.clone();
    let changed = watch.block_on(async {
        watch.stop.check()?;
        look::problem_of_output(&host)?;
        let looked_at = host.clone();
        let looking = aside("look", move || last(&looked_at));
        let (name, manifest) = watch.stop.unless(looking).await?;
        let (asked, of) = (host.clone(), manifest.clone());
        let making = aside("state", move || wanted.made(&asked, &of));
        let change = watch.stop.unless(making).await?;
        if change.restated.state == manifest.state
            && change.restated.fetch_everything == manifest.fetch_everything
        {
            return Ok(format!("nothing to change: {}", next_run(&manifest)));
        }
        let of = &change.restated;
        if !of.fetch_everything || of.state != manifest.state {
            let log = Log::silent();
            let job = in_words_alone(Job::new(given, read, &watch.stop, &log).await, &log)?;
            takes(&job, of, &watch.stop).await?;
        }
        let stop = watch.stop.clone();
        // Waited for: it asks whether to go on.
        aside("state", move || {
            committed(&host, &name, &change, &|| stop.check())
        })
        .await
    });
    let printed = changed.and_then(|said| {
        let said = words::escaped_lines(&said);
        stdout::print(&redactor.hide(&format!("{said}\n")))
    });
    Ended::hidden(printed, &redactor).of_job(&job, &redactor)
}

/// `Err` (78): the component does not take this state. It is granted nothing, so it can do no more than read it.
async fn takes(job: &Job, of: &Restated, stop: &Stop) -> Result<(), Failure> {
    let asked = async {
        Ok(job
            .problems_with_state(&of.state, of.fetch_everything)
            .await)
    };
    let problems = stop.unless(asked).await?;
    if problems.is_empty() {
        return Ok(());
    }
    let mut failure = setup::refusal(&problems);
    failure.message = format!(
        "the component does not take this state with these settings, and nothing was changed: {}",
        failure.message
    );
    Err(failure)
}

impl Wanted {
    /// What is to be committed on top of `manifest`. `Err` (64): it cannot be.
    fn made(&self, host: &HostPlan, manifest: &Manifest) -> Result<Change, Failure> {
        let at = format!("{:.3}", Timestamp::now());
        let before = next_run(manifest);
        match self {
            Self::Everything => {
                if manifest.appends() {
                    return Err(by_hand::refused(
                        "state set-cursor --clear",
                        "fetches everything in place of the old set, and WRITE_MODE=append only adds; to start over, append into another OUTPUT_DIR",
                    ));
                }
                Ok(Change {
                    restated: Restated {
                        state: manifest.state.clone(),
                        cursor: manifest.cursor.clone(),
                        fetch_everything: true,
                        at,
                    },
                    outcome: "cursor_cleared",
                    message: format!("cleared the cursor; before, the next run {before}"),
                    advice: "Until it is published, readers see the set that is there.".to_owned(),
                })
            }
            Self::Cursor { value, each } => {
                let changed = cursor::set(&manifest.state, value, each.as_deref())
                    .map_err(|why| by_hand::refused("state set-cursor", &why))?;
                let cursor = match each {
                    _ if changed.is_token => None,
                    Some(_) => manifest.cursor.clone(),
                    None => Some(value.clone()),
                };
                let restated = Restated {
                    state: changed.state,
                    cursor,
                    fetch_everything: false,
                    at,
                };
                let to = if changed.is_token {
                    String::new()
                } else {
                    format!(" to {}", words::line(value, CURSOR_BYTES))
                };
                let whose = each
                    .as_ref()
                    .map_or_else(String::new, |each| format!(" of `{each}`"));
                Ok(Change {
                    // That of one value is not compared with the greatest of all.
                    advice: match each {
                        Some(_) => advice(manifest, None),
                        None => advice(manifest, restated.cursor.as_deref()),
                    },
                    restated,
                    outcome: "cursor_set",
                    message: format!("set the cursor{whose}{to}; before, the next run {before}"),
                })
            }
            Self::Import { file, of_other_job } => {
                let exported = read(file, &host.limits)?;
                if !of_other_job {
                    is_of(&exported, host, manifest)?;
                }
                let restated = Restated {
                    state: exported.state().to_owned(),
                    // What stands beside the state may be that of before it was edited.
                    cursor: cursor::of(exported.state()).unwrap_or(exported.cursor.clone()),
                    fetch_everything: exported.fetch_everything && !manifest.appends(),
                    at,
                };
                Ok(Change {
                    advice: advice(manifest, restated.cursor.as_deref()),
                    restated,
                    outcome: "state_imported",
                    message: format!(
                        "imported the state of generation {}; before, the next run {before}",
                        words::line(&exported.generation, 60)
                    ),
                })
            }
        }
    }
}

/// `Err` (64): the state is that of another job, or of another component.
fn is_of(exported: &Exported, host: &HostPlan, manifest: &Manifest) -> Result<(), Failure> {
    let (theirs, ours) = (&exported.component.name, &manifest.component.name);
    let what = if exported.job != host.job {
        format!("job `{}`, and this one is `{}`", exported.job, host.job)
    } else if theirs != ours {
        format!("component `{theirs}`, and this job has `{ours}`")
    } else {
        return Ok(());
    };
    let why = format!("refuses a state of the {what}: `--other-job` imports it all the same");
    Err(by_hand::refused("state import", &why))
}

/// What may come of another cursor.
fn advice(manifest: &Manifest, cursor: Option<&str>) -> String {
    let order = manifest.cursor.as_deref().zip(cursor);
    let order = order.and_then(|(before, now)| cursor::compared(before, now));
    let again = if manifest.appends() {
        "What comes after it is fetched again, and appended again unless the last run staged it."
    } else {
        "What comes after it is fetched again, and merged by PRIMARY_KEY."
    };
    let finds = if manifest.appends() {
        ""
    } else {
        "; `tidegate run --full-refresh` finds it"
    };
    match order {
        Some(Ordering::Less) => again.to_owned(),
        Some(Ordering::Equal) => String::new(),
        Some(Ordering::Greater) => format!(
            "It was set forward: what lies between the two and was not fetched yet is left out{finds}."
        ),
        None => format!(
            "If it was set forward, what lies between the two and was not fetched yet is left out{finds}. If it was set back: {again}"
        ),
    }
}

/// Commits the change on top of the generation `expected`. Returns what was done.
fn committed(
    host: &HostPlan,
    expected: &GenerationName,
    change: &Change,
    check: Check<'_>,
) -> Result<String, Failure> {
    let (by_hand, limits, log) = (ByHand::begin(), &host.limits, Log::silent());
    let own;
    let folder = if let Some(path) = &host.output_dir {
        Folder::open_or_create(path, host.output.file_mode, host.writers)?
    } else {
        own = Temporary::new("run", &host.temp_dir, limits)?;
        own.folder().clone()
    };
    // To the end: a person may release a hold meanwhile.
    let lock = Arc::new(lock::acquire(&folder, &by_hand.run_id)?);
    let context = SinkContext {
        lock: Arc::clone(&lock),
        folder_stays: host.output_dir.is_some(),
        adopt: false,
        dry_run: false,
        accepts_twins: false,
        replaces_every_parent: false,
        limits,
        check,
        log: &log,
    };
    let mode = host.mode.unwrap_or(WriteMode::Replace);
    let mut sink = sink::open(context, host, mode)?;
    let last = sink.last().filter(|last| last.name == expected);
    let records = last.map(|last| last.manifest.counts.records);
    let records = records.ok_or_else(|| {
        let message = "another run committed meanwhile, and nothing was changed: try again";
        Failure::new(Outcome::TryLater, message)
    })?;
    let commit = sink.restate(&change.restated)?;
    drop(sink);
    let number = GenerationName::parse(&commit.generation).map_or(0, |name| name.number);
    let is_held =
        host.output_dir.is_some() && Hold::moved(&folder, &by_hand.run_id, number, limits);
    let done = Done {
        outcome: change.outcome,
        generation: commit.generation,
        records,
        cursor: change.restated.cursor.as_deref(),
        message: change.message.clone(),
    };
    let output = host.output_dir.as_ref().map(|_| &folder);
    by_hand.record(output, host, done);
    drop(lock);
    let of = &change.restated;
    let next = goes_on(of.cursor.as_deref(), of.fetch_everything);
    let mut out = format!("generation {number}: the next run {next}");
    if is_held {
        out.push_str("; the job is held until `tidegate rollback --release`");
    }
    for line in wrapped(&change.advice, COLUMNS) {
        if !line.is_empty() {
            let _ = write!(out, "\n{line}");
        }
    }
    Ok(out)
}
