//! Runs: how the last runs of a job ended, the newest first. Reads `runs.ndjson` and, of a database, `tidegate_runs`.
//!
//! Takes no lock that a run waits for and changes nothing, so it may be asked at any time.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::{RunsArgs, RunsOutput};
use crate::commands::describe::wrapped;
use crate::commands::look::{AtTheEnd, at_output};
use crate::commands::stdout;
use crate::folder::Folder;
use crate::outcome::{Ended, Failure};
use crate::run::history;
use crate::settings::host::HostPlan;
use crate::sink::database;
use crate::sink::files::pins::Pins;
use crate::units::{counted, thousands};
use crate::words;

/// The columns of `--output csv`, members of a run's summary.
const COLUMNS: [&str; 22] = [
    "job",
    "run_id",
    "started",
    "finished",
    "exit_code",
    "outcome",
    "records",
    "fetched",
    "new",
    "changed",
    "gone",
    "deleted",
    "rejected",
    "requests",
    "wire_bytes",
    "duration_ms",
    "component_cpu_ms",
    "component_memory_peak_bytes",
    "cursor",
    "generation",
    "dry_run",
    "message",
];
/// What the terminal shows of why a run failed, in bytes, and in characters on a line.
const WHY_BYTES: usize = 400;
const WHY_COLUMNS: usize = 76;

/// Prints how the last runs of one job ended.
pub fn runs(args: &RunsArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let (most, failed_alone, output) = (usize::from(args.last), args.failed, args.output);
    at_output(
        &args.of.given(args.job.as_deref()),
        environment,
        AtTheEnd::IsLeft,
        move |host, _| {
            let runs = last_runs(host, most, failed_alone)?;
            Ok((host.job.clone(), runs, pinned(host)))
        },
        |(job, runs, pinned), redactor| {
            let mut text = shown(&runs, output, &format!("no run of `{job}` is recorded"));
            if let (None, Some(pinned)) = (output, pinned) {
                let line = format!("pinned sets: {pinned} (`tidegate pin`)");
                for line in wrapped(&line, WHY_COLUMNS) {
                    let _ = writeln!(text, "{line}");
                }
            }
            Ended::of(stdout::print(&redactor.hide(&text)))
        },
    )
}

/// The numbers of the generations that are pinned, if there are any.
fn pinned(host: &HostPlan) -> Option<String> {
    let folder = Folder::open(host.output_dir.as_deref()?).ok()??;
    let pins = Pins::read(&folder, &host.limits).ok()?;
    Some(pins.numbers()).filter(|numbers| !numbers.is_empty())
}

/// The summaries of the last runs, the newest first.
pub fn last_runs(host: &HostPlan, most: usize, failed_alone: bool) -> Result<Vec<Value>, Failure> {
    let kept = usize::try_from(host.limits.runs_kept).unwrap_or(usize::MAX);
    let looked_at = if failed_alone { kept } else { most };
    let mut texts = match &host.database {
        Some(url) => database::history(url, host, looked_at)?,
        None => Vec::new(),
    };
    if let Some(path) = &host.output_dir
        && let Some(folder) = Folder::open(path)?
    {
        texts.extend(history::read(&folder, looked_at, &host.limits)?);
    }
    let parsed = texts
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok());
    let mut runs: Vec<Value> = parsed.collect();
    if host.database.is_some() {
        let key = |run: &Value| {
            (
                text(run, "started").to_owned(),
                text(run, "run_id").to_owned(),
            )
        };
        runs.sort_by_key(|run| std::cmp::Reverse(key(run)));
        runs.dedup_by_key(|run| key(run));
    }
    runs.retain(|run| !failed_alone || run["exit_code"].as_u64() != Some(0));
    runs.truncate(most);
    Ok(runs)
}

/// The runs as they are printed; `none` is the line on a terminal that stands for no runs.
pub fn shown(runs: &[Value], output: Option<RunsOutput>, none: &str) -> String {
    match output {
        Some(RunsOutput::Json) => {
            let lines = runs
                .iter()
                .map(|run| words::escaped(&run.to_string()) + "\n");
            lines.collect()
        }
        Some(RunsOutput::Csv) => csv(runs),
        None if runs.is_empty() => words::escaped(none) + "\n",
        None => table(runs),
    }
}

fn text<'v>(run: &'v Value, member: &str) -> &'v str {
    run[member].as_str().unwrap_or_default()
}

/// Lines of 80 columns; below a failed run, why.
fn table(runs: &[Value]) -> String {
    let mut out = line(
        "STARTED (UTC)",
        "EXIT",
        "OUTCOME",
        ["RECORDS", "NEW", "CHANGED", "GONE", "SECONDS"].map(str::to_owned),
    );
    for run in runs {
        let number = |member: &str| run[member].as_u64().map_or("-".to_owned(), thousands);
        let seconds = run["duration_ms"]
            .as_u64()
            .map_or("-".to_owned(), |millis| {
                format!("{}.{}", millis / 1000, millis % 1000 / 100)
            });
        // A run that did not come so far as to look says nothing of the set.
        let records = match run["generation"] {
            Value::Null => "-".to_owned(),
            _ => number("records"),
        };
        // Of older versions: a run that changed nothing took nothing away.
        let gone = match (run.get("gone"), text(run, "committed")) {
            (None, "no") => "-".to_owned(),
            (None, _) => number("deleted"),
            (Some(_), _) => number("gone"),
        };
        let exit = run["exit_code"].as_u64();
        let exit = exit.map_or("-".to_owned(), |code| code.to_string());
        let started = words::line(text(run, "started"), 40);
        let started = started.get(..19).unwrap_or(&started).replace('T', " ");
        out.push_str(&line(
            &started,
            &exit,
            &words::line(text(run, "outcome"), 16),
            [records, number("new"), number("changed"), gone, seconds],
        ));
        if let Some(message) = run["message"].as_str() {
            for line in wrapped(&words::line(message, WHY_BYTES), WHY_COLUMNS) {
                let letters: Vec<char> = line.chars().collect();
                for part in letters.chunks(WHY_COLUMNS) {
                    let _ = writeln!(out, "    {}", part.iter().collect::<String>());
                }
            }
        }
    }
    let failed = runs
        .iter()
        .filter(|run| run["exit_code"].as_u64() != Some(0));
    let failed = failed.count();
    let runs = counted(runs.len() as u64, "run");
    let _ = writeln!(out, "\n{runs}, {failed} failed");
    out
}

fn line(
    started: &str,
    exit: &str,
    outcome: &str,
    [records, new, changed, gone, seconds]: [String; 5],
) -> String {
    format!(
        "{started:<19} {exit:>4} {outcome:<16} {records:>9} {new:>6} {changed:>7} {gone:>5} {seconds:>7}\n"
    )
}

/// With a header; quoted as RFC 4180 has it.
fn csv(runs: &[Value]) -> String {
    let mut out = String::new();
    let header: Vec<String> = COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    row(&header, &mut out);
    for run in runs {
        let cells: Vec<String> = COLUMNS
            .iter()
            .map(|member| match &run[*member] {
                Value::Null => String::new(),
                Value::String(text) => plain(text),
                other => other.to_string(),
            })
            .collect();
        row(&cells, &mut out);
    }
    out
}

fn row(cells: &[String], out: &mut String) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            let _ = write!(out, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            out.push_str(cell);
        }
    }
    out.push('\n');
}

/// A text that a spreadsheet does not take for a formula: it may be the source's.
fn plain(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t']) {
        "'"
    } else {
        ""
    };
    format!("{mark}{}", words::escaped(text))
}
