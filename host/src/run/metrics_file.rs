//! `METRICS_FILE`: how the last run ended, for the textfile collector of Prometheus' node_exporter. Never an input to a run but for
//! what the next one cannot know, and never a reason for one to end otherwise.
//!
//! The folder may be anybody's: nothing but the metrics of this job is replaced, by a rename, under a temporary name that does not end
//! in `.prom`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::folder::{Doing as _, Folder, refuse_foreign_file};
use crate::limits::{Limits, METRICS_BYTES_MAX};
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::run::history;
use crate::run::hold::Hold;
use crate::run::metrics::{self, Metrics, Past};
use crate::run::summary::Summary;
use crate::secret::Redactor;
use crate::settings::host::HostPlan;
use crate::sink::files::commit;
use crate::words;

/// What the first line of such a file begins with.
const MARK: &str = "# Metrics of the tidegate job ";

/// The file of one job.
pub struct MetricsFile {
    path: PathBuf,
    /// Its first line, by which it is known whose it is.
    mark: String,
    /// What is known before the run.
    metrics: Metrics,
}

impl MetricsFile {
    /// That of this job, if it has one.
    pub fn of(host: &HostPlan, redactor: &Redactor) -> Option<Self> {
        let path = host.metrics_file.clone()?;
        let mut metrics = Metrics::of(host, host.max_age, host.max_cursor_age);
        metrics.job = redactor.hide(&metrics.job);
        let table = &host.output.table;
        let database = host.database.as_ref();
        let database = database.map(|database| format!("{database}, table {table}"));
        let folder = || Some(shown(host.output_dir.as_ref()?));
        let tenant = metrics.tenant.as_ref();
        let tenant = tenant.map_or_else(String::new, |tenant| format!(" of {tenant}"));
        let place = redactor.hide(&database.or_else(folder).unwrap_or_default());
        let mark = format!(
            "{MARK}\"{}\"{tenant}, which publishes to \"{}\"",
            metrics::label(&metrics.job),
            metrics::label(&place)
        );
        Some(Self {
            path,
            mark,
            metrics,
        })
    }

    /// Writes how a run ended; `output` has its history, with its line, if there is one. A dry run and a trial by hand leave the
    /// file as it is.
    pub fn write(self, summary: &Summary, output: Option<&Folder>, limits: &Limits, log: &Log) {
        if summary.dry_run {
            return;
        }
        let path = self.path.clone();
        if let Err(failure) = self.replace(summary, output, limits) {
            log.warn(
                "metrics not written",
                json!({ "file": path, "error": failure.message }),
            );
        }
    }

    fn replace(
        mut self,
        summary: &Summary,
        output: Option<&Folder>,
        limits: &Limits,
    ) -> Result<(), Failure> {
        let runs = runs(summary, output, limits);
        let last = metrics::counting(&runs).next();
        let Some(last) = last.filter(|last| last["run_id"] == summary.run_id.as_str()) else {
            return Ok(());
        };
        let (folder, name) = opened(&self.path)?;
        let before = self.refuse_other(&folder, &name)?;
        let metrics = &mut self.metrics;
        metrics.last_run(last);
        metrics.cursor(summary.cursor.as_deref());
        metrics.since(&Past::of(&runs), &before);
        if let Some(at) = &summary.last_success {
            metrics.succeeded(at);
        }
        if let Some(output) = output {
            metrics.held(Hold::shown(output, limits)?.is_some());
        }
        let text = format!("{}\n{}", self.mark, metrics::exposition(&[self.metrics]));
        commit::replace_file(&folder, &name, &summary.run_id, text.as_bytes())
    }

    /// The metrics that are there. `Err` (73): what is in the place of the file is not this job's.
    fn refuse_other(&self, folder: &Folder, name: &str) -> Result<Map<String, Value>, Failure> {
        let Some((file, stat)) = folder.file(name)? else {
            return Ok(Map::new());
        };
        let shown = folder.shown(name);
        refuse_foreign_file(&stat, &shown)?;
        let mut bytes = Vec::new();
        let read = file.take(METRICS_BYTES_MAX).read_to_end(&mut bytes);
        read.doing(|| format!("cannot read `{shown}`"))?;
        let text = String::from_utf8_lossy(&bytes);
        let first = text.lines().next().unwrap_or_default();
        if first == self.mark {
            return Ok(metrics::read(&text));
        }
        let whose = match first.strip_prefix("# ").filter(|_| first.starts_with(MARK)) {
            Some(whose) => format!("has the {}", words::line(whose, 300).replacen('M', "m", 1)),
            None => "was not written by tidegate".to_owned(),
        };
        Err(Failure::new(
            Outcome::OutputUnusable,
            format!(
                "host refused `{shown}`: it {whose}; it is as it was; use a file of this job's own, or remove this one"
            ),
        ))
    }
}

/// A folder, however it is written.
fn shown(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let plain: PathBuf = absolute.components().collect();
    plain.display().to_string()
}

/// The folder of a path, and the name in it.
fn opened(path: &Path) -> Result<(Folder, String), Failure> {
    let refused = |why: &str| {
        let message = format!("cannot write `{}`: {why}", path.display());
        Failure::new(Outcome::OutputUnusable, message)
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| refused("its name is not UTF-8"))?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let folder = Folder::open(above.unwrap_or(Path::new(".")))?;
    let folder = folder.ok_or_else(|| refused("its folder does not exist; make it"))?;
    Ok((folder, name.to_owned()))
}

/// This run and those before it, the newest first.
fn runs(summary: &Summary, output: Option<&Folder>, limits: &Limits) -> Vec<Value> {
    let kept = usize::try_from(limits.runs_kept).unwrap_or(usize::MAX);
    let before = output.and_then(|output| history::read(output, kept, limits).ok());
    let before = before.unwrap_or_default();
    let parsed = before
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut runs = vec![serde_json::to_value(summary).unwrap_or_default()];
    for run in parsed {
        if run["run_id"] != runs[0]["run_id"] {
            runs.push(run);
        }
    }
    runs
}
