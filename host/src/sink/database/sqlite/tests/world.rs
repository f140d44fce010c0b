//! For unit tests: a database file, and runs of a job that stage what they are told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection as Link;

use crate::cli::GivenArgs;
use crate::folder::lock;
use crate::folder::{Folder, Writers};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::process::stop::Stop;
use crate::settings::host::HostPlan;
use crate::settings::inputs::Inputs;
use crate::settings::plan::WriteMode;
use crate::sink::Commit;
use crate::sink::tests::world::{Left, publish};
use crate::sink::{self, Extent, Sink, SinkContext, Totals};

use crate::sink::database::sqlite::Sqlite;

/// A database, and the job that writes to it.
pub struct World {
    temp: tempfile::TempDir,
    settings: Vec<(String, String)>,
    pub limits: Limits,
    pub mode: WriteMode,
    pub dry_run: bool,
    /// Called while a run waits or works.
    pub meanwhile: fn() -> Result<(), Failure>,
    runs: u32,
}

impl World {
    /// No file yet. The job is `orders`, and so is its table.
    pub fn new(mode: WriteMode, settings: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let mut world = Self {
            temp: temp.unwrap(),
            settings: Vec::new(),
            limits: Limits::default(),
            mode,
            dry_run: false,
            meanwhile: || Ok(()),
            runs: 0,
        };
        let url = format!("sqlite://{}", world.path().display());
        world.set("OUTPUT_DATABASE_URL", &url);
        world.set("JOB_NAME", "orders");
        for (name, value) in settings {
            world.set(name, value);
        }
        world
    }

    /// Merged by `/id`.
    pub fn upsert() -> Self {
        Self::new(WriteMode::Upsert, &[("PRIMARY_KEY", "/id")])
    }

    /// From now on with this setting.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub fn path(&self) -> PathBuf {
        self.temp.path().join("data.db")
    }

    /// A connection of a reader, or of somebody else.
    pub fn link(&self) -> Link {
        Link::open(self.path()).unwrap()
    }

    /// What a query gives, the values of a row with `|` between them as the sqlite3 program shows them.
    pub fn rows(&self, query: &str) -> Vec<String> {
        let link = self.link();
        let mut statement = link.prepare(query).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let shown = (0..columns).map(|at| {
                Ok(match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Null => String::new(),
                    rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                    rusqlite::types::ValueRef::Real(value) => format!("{value:?}"),
                    rusqlite::types::ValueRef::Text(text)
                    | rusqlite::types::ValueRef::Blob(text) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                })
            });
            Ok(shown.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Executes statements of somebody else's.
    pub fn execute(&self, statements: &str) {
        self.link().execute_batch(statements).unwrap();
    }

    pub fn run(&mut self, extent: Extent, left: &Left) -> Result<(Commit, Totals), Failure> {
        let (run, limits) = (self.runs + 1, self.limits.clone());
        self.with_sink(|sink| {
            publish(sink, extent, left, left.counts(), &limits, |draft| {
                draft.state = format!("{{\"v\":1,\"run\":{run}}}");
            })
        })
    }

    /// The plan of every run.
    pub fn plan(&self) -> HostPlan {
        let (settings, limits) = (self.settings.iter().cloned(), self.limits.clone());
        let stop = Stop::unwatched(Duration::from_hours(1));
        let inputs = Inputs::read(&GivenArgs::default(), settings, &limits, &stop);
        let plan = HostPlan::new(&inputs, limits);
        assert_eq!(plan.problems, []);
        plan
    }

    /// What is done with the sink, once it is open.
    pub fn with_sink<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Sink) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mode = self.mode;
        self.grounded(|context, plan| {
            let mut sink = sink::open(context, plan, mode)?;
            act(sink.as_mut())
        })
    }

    /// What is done with the connection below the sink.
    pub fn with_connection<T>(
        &mut self,
        act: impl FnOnce(&mut Sqlite<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let path = self.path();
        self.grounded(|context, plan| {
            act(&mut Sqlite::open(
                context,
                &path,
                &plan.job,
                plan.writers,
                &plan.output,
            )?)
        })
    }

    /// What is done under the lock, with the plan of a run.
    pub fn grounded<T>(
        &mut self,
        act: impl FnOnce(SinkContext<'_>, &HostPlan) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.runs += 1;
        let (log, plan) = (Log::silent(), self.plan());
        let folder =
            Folder::open_or_create(plan.output_dir.as_ref().unwrap(), None, Writers::Nobody)?;
        let lock = lock::acquire(&folder, &format!("run-{}", self.runs))?;
        let context = SinkContext {
            lock: Arc::new(lock),
            folder_stays: true,
            adopt: false,
            dry_run: self.dry_run,
            accepts_twins: true,
            replaces_every_parent: false,
            limits: &plan.limits,
            check: &self.meanwhile,
            log: &log,
        };
        act(context, &plan)
    }
}
