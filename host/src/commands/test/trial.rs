//! One job of the component under test: the scripted API, an empty folder, and `tidegate run` in it.
//!
//! A run here is a run: the same two processes, wall, egress and commit. Only the settings are made up.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::api::{Api, Asked, Script};
use super::published::Published;
use super::subject::Subject;
use crate::cli::RunArgs;
use crate::outcome::{Failure, OrFail as _, Outcome};
use crate::process::watch::Watch;
use crate::run::Part;
use crate::run::summary::Summary;
use crate::settings::catalogue::{JOB_NAME, OUTPUT_DIR, OUTPUT_FORMAT};
use crate::sink::files::generation::{CURRENT, GENERATIONS};
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest;

/// A job of the component.
pub struct Trial<'s> {
    subject: &'s Subject,
    pub api: Api,
    folder: PathBuf,
}

/// What is different in one run.
#[derive(Debug, Default)]
pub struct With<'a> {
    pub full_refresh: bool,
    /// The range of the cursor to read again.
    pub range: Option<(String, String)>,
    /// Settings that take precedence over all others.
    pub set: &'a [(&'a str, &'a str)],
}

/// How a run ended, and what is published then.
pub struct Ran {
    pub exit: u8,
    /// The line of a failed run, without its code.
    pub error: String,
    pub took: Duration,
    pub summary: Summary,
    pub published: Published,
    pub state: Option<String>,
    pub asked: Vec<Asked>,
}

impl<'s> Trial<'s> {
    /// A job with nothing published. `name` is free among the trials of this subject.
    pub fn new(subject: &'s Subject, name: &str, script: Script) -> Result<Self, Failure> {
        let api = Api::start(&subject.runtime, script)?;
        let folder = subject.folder.join(name);
        std::fs::create_dir(&folder).or_fail(Outcome::IoFailed, || "cannot make a folder")?;
        Ok(Self {
            subject,
            api,
            folder,
        })
    }

    /// The same job with nothing published, in another folder.
    pub fn emptied(mut self) -> Result<Self, Failure> {
        self.folder.push("again");
        std::fs::create_dir(&self.folder).or_fail(Outcome::IoFailed, || "cannot make a folder")?;
        Ok(self)
    }

    /// Runs the job once. `Err`: a signal ended it.
    pub fn run(&self, with: &With<'_>) -> Result<Ran, Failure> {
        self.api.take_asked();
        let args = self.args(with);
        let (clock, watch) = (Instant::now(), Watch::begin());
        let environment = self.subject.environment.iter().cloned();
        let part = Part {
            known: self.subject.known(),
            ..Part::default()
        };
        let (ended, summary) = crate::run::run_watched(&watch, &args, part, environment);
        for outcome in [Outcome::Interrupted, Outcome::Terminated] {
            if ended.exit_code == outcome.exit_code() {
                return Err(Failure::new(outcome, ended.error.unwrap_or_default()));
            }
        }
        Ok(Ran {
            exit: ended.exit_code,
            error: summary.message.clone().unwrap_or_default(),
            took: clock.elapsed(),
            summary,
            published: Published::read(&self.output().join("latest.ndjson")),
            state: self.manifest().and_then(|manifest| {
                let state = manifest.get("state")?;
                state.as_str().map(str::to_owned)
            }),
            asked: self.api.take_asked(),
        })
    }

    /// Writes another state into what is published, as a newer version of the component would have left it.
    pub fn replace_state(&self, state: &str) -> Result<(), Failure> {
        self.republish(state)
            .or_fail(Outcome::IoFailed, || "cannot write a newer state")
    }

    /// A generation has its manifest's checksum in its name: another one takes its place.
    fn republish(&self, state: &str) -> anyhow::Result<()> {
        let link = self.output().join(CURRENT);
        let old = self.output().join(std::fs::read_link(&link)?);
        let above = old.parent().context("it is in a folder")?;
        let name = old.file_name().and_then(OsStr::to_str);
        let name = name
            .and_then(GenerationName::parse)
            .context("it has a name")?;
        let mut manifest = self.manifest().context("it has a manifest")?;
        manifest.insert("state".to_owned(), state.into());
        let text = serde_json::to_vec(&manifest)?;
        let name = GenerationName::new(name.number, name.committed, &text).to_string();
        let new = above.join(&name);
        std::fs::create_dir(&new)?;
        for entry in std::fs::read_dir(&old)? {
            let entry = entry?;
            std::fs::copy(entry.path(), new.join(entry.file_name()))?;
        }
        std::fs::write(new.join(manifest::FILE), text)?;
        std::fs::remove_dir_all(&old)?;
        std::fs::remove_file(&link)?;
        std::os::unix::fs::symlink(Path::new(GENERATIONS).join(name), &link)?;
        Ok(())
    }

    fn manifest(&self) -> Option<Map<String, Value>> {
        let text = std::fs::read(self.manifest_path()).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn manifest_path(&self) -> PathBuf {
        self.output().join(CURRENT).join(manifest::FILE)
    }

    fn output(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn args(&self, with: &With<'_>) -> RunArgs {
        let mut settings = self.subject.settings.clone();
        let output = self.output().display().to_string();
        let own = [
            (OUTPUT_DIR.row.name, output.as_str()),
            (OUTPUT_FORMAT.row.name, "ndjson"),
            (JOB_NAME.row.name, "test"),
        ];
        for &(name, value) in own.iter().chain(with.set) {
            settings.insert(name.to_owned(), value.to_owned());
        }
        RunArgs {
            given: self.subject.given(&settings, &self.api.origin()),
            full_refresh: with.full_refresh,
            from: with.range.as_ref().map(|(start, _)| start.clone()),
            to: with.range.as_ref().map(|(_, end)| end.clone()),
            quiet: true,
            ..RunArgs::default()
        }
    }
}
