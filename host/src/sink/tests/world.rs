//! For unit tests: an output folder, and runs that stage what they are told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::folder::lock;
use crate::folder::{Folder, Writers};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::settings::data_file::{Compression, CsvForm, Delimiter, Formulas, OutputFormat};
use crate::settings::host::OutputPlan;
use crate::settings::plan::WriteMode;
use crate::sink::Commit;
use crate::sink::builds_on::BuildsOn;
use crate::sink::files::generation::{self, Generation};
use crate::sink::files::retire::Keep;
use crate::sink::manifest::Component;
use crate::sink::{Begun, Difference, Draft, Extent, Files, Sink, SinkContext, Totals};
use crate::staging::read::{self, Counts, Staged};
use crate::staging::run_folder::RunFolder;

/// An output folder and the way it is published to.
pub struct World {
    temp: tempfile::TempDir,
    /// How the set is made.
    pub output: OutputPlan,
    /// `WRITE_MODE`.
    pub mode: WriteMode,
    /// `--adopt`.
    pub adopt: bool,
    /// Whether no record is staged but of a parent that is replaced.
    pub replaces_every_parent: bool,
    /// The limits of every run.
    pub limits: Limits,
    /// Called with the output folder while a run takes and commits.
    pub meanwhile: fn(&Path) -> Result<(), Failure>,
    /// Whether every run has a further portion to come.
    pub more: bool,
    /// The cursor that every run reports.
    pub cursor: Option<String>,
    runs: u32,
}

/// What a component leaves.
#[derive(Debug, Clone, Default)]
pub struct Left {
    /// `records.ndjson`.
    pub records: String,
    /// `deleted.ndjson`.
    pub deleted: String,
    /// `rejected.ndjson`.
    pub rejected: String,
    /// Whether the run has further portions to come.
    pub more: bool,
}

impl Left {
    /// These records and nothing else.
    pub fn records(records: &str) -> Self {
        Self {
            records: records.to_owned(),
            ..Self::default()
        }
    }

    /// What a component reports of it.
    pub fn counts(&self) -> Counts {
        let lines = |text: &str| text.matches('\n').count() as u64;
        Counts {
            staged: lines(&self.records),
            deleted: lines(&self.deleted),
            rejected: lines(&self.rejected),
        }
    }
}

impl World {
    pub fn new(mode: WriteMode, format: OutputFormat, keys: &[&str]) -> Self {
        Self {
            // In memory where there is some: a property test syncs thousands of times.
            temp: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
            output: OutputPlan {
                table: String::new(),
                columns: Vec::new(),
                format,
                compression: Compression::None,
                csv: CsvForm {
                    formulas: Formulas::Keep,
                    delimiter: Delimiter::Comma,
                    has_mark: false,
                },
                sqlite_strict: true,
                keeps_history: false,
                file_mode: None,
                keys: keys.iter().map(|key| (*key).to_owned()).collect(),
                replace_by: None,
            },
            mode,
            adopt: false,
            replaces_every_parent: false,
            limits: Limits::default(),
            meanwhile: |_| Ok(()),
            more: false,
            cursor: Some("c".into()),
            runs: 0,
        }
    }

    /// A path in the output folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The output folder, held.
    pub fn folder(&self) -> Folder {
        Folder::open(self.temp.path()).unwrap().unwrap()
    }

    /// The text of a file in the output folder.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The generation that readers see.
    pub fn current(&self) -> Result<Option<Generation>, Failure> {
        generation::current(&self.folder(), &self.limits)
    }

    /// The names in the output folder.
    pub fn names(&self) -> Vec<String> {
        self.folder().names(|_| true).unwrap()
    }

    /// One run, as `run` makes it.
    pub fn run(&mut self, extent: Extent, left: &Left) -> Result<(Commit, Totals), Failure> {
        self.run_reporting(extent, left, left.counts())
    }

    /// One run whose component reports these counts.
    pub fn run_reporting(
        &mut self,
        extent: Extent,
        left: &Left,
        counts: Counts,
    ) -> Result<(Commit, Totals), Failure> {
        self.runs += 1;
        let left = Left {
            more: self.more,
            ..left.clone()
        };
        self.try_opened(|files| {
            publish(files, extent, &left, counts, &self.limits, |draft| {
                draft.cursor.clone_from(&self.cursor);
                draft.state = format!("{{\"v\":1,\"run\":{}}}", self.runs);
            })
        })
    }

    /// What is done with the folder, opened for a run.
    pub fn opened<T>(&self, work: impl FnOnce(&mut Files<'_>) -> T) -> T {
        self.try_opened(|files| Ok(work(files))).unwrap()
    }

    fn try_opened<T>(
        &self,
        work: impl FnOnce(&mut Files<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let log = Log::silent();
        let folder = Folder::open_or_create(self.temp.path(), None, Writers::Nobody)?;
        let lock = lock::acquire(&folder, &format!("run-{}", self.runs))?;
        let check = || (self.meanwhile)(self.temp.path());
        let context = SinkContext {
            lock: Arc::new(lock),
            folder_stays: true,
            adopt: self.adopt,
            dry_run: false,
            accepts_twins: true,
            replaces_every_parent: self.replaces_every_parent,
            limits: &self.limits,
            check: &check,
            log: &log,
        };
        let keep = Keep {
            sets: 3,
            span: Duration::ZERO,
        };
        let mut files = Files::open(context, keep, &self.output, self.mode)?;
        work(&mut files)
    }
}

/// What the sink begins with the records alone, for either base or not at all: the length of the records decides.
fn begun(sink: &dyn Sink, staged: &Staged, staging: &RunFolder) -> Option<Begun> {
    let bytes = staged.records().next_block().ok()??.len();
    let bases = [None, Some(BuildsOn::Nothing), Some(BuildsOn::LastCommit)];
    let base = bases[bytes % bases.len()]?;
    sink.begin(staged.records(), staging, base).ok()?
}

/// Stages what a component left, takes it and commits it, as `run` does.
pub fn publish(
    sink: &mut dyn Sink,
    extent: Extent,
    left: &Left,
    counts: Counts,
    limits: &Limits,
    change: impl FnOnce(&mut Draft),
) -> Result<(Commit, Totals), Failure> {
    let staging = sink.run_folder()?;
    for (name, text) in [
        (read::RECORDS, &left.records),
        (read::DELETED, &left.deleted),
        (read::REJECTED, &left.rejected),
    ] {
        if !text.is_empty() {
            std::fs::write(staging.input().path().join(name), text).unwrap();
        }
    }
    let staged = read::open(staging.input(), counts, limits)?.with_more(left.more);
    let begun = begun(sink, &staged, &staging);
    let taken = sink.take(&staged, &staging, extent, begun)?;
    let totals = taken.totals();
    let mut draft = Draft {
        job: "orders".into(),
        component: Component {
            name: "rest".into(),
            sha256: "0".repeat(64),
        },
        started: format!("{:.3}", jiff::Timestamp::now()),
        fetched: counts.staged,
        pages: 1,
        window: None,
        cursor: None,
        state: "{\"v\":1}".into(),
        shape: None,
        settings: BTreeMap::new(),
    };
    change(&mut draft);
    let commit = taken.commit(draft)?;
    Ok((commit, totals))
}

/// What makes the second of two models of the first.
pub fn difference<K: Ord, V: PartialEq>(
    before: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
) -> Difference {
    let new = now.keys().filter(|key| !before.contains_key(key)).count();
    let gone = before.keys().filter(|key| !now.contains_key(key)).count();
    let both = now
        .iter()
        .filter_map(|(key, now)| Some((before.get(key)?, now)));
    let changed = both.filter(|(before, now)| before != now).count();
    Difference::of(new as u64, changed as u64, gone as u64)
}
