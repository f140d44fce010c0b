//! The runs that are disturbed: what the folder was before, what the source says, and what an undisturbed run comes to.

use std::fs;
use std::os::unix::fs::symlink;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

mod before;

use self::before::{answers, copy, names, published_thrice};
use super::calls::{self, Call};
use crate::world::{Job, Printed, View};

/// How often a call is aimed at before that is given up: timers of the run's main thread shift the count of its calls.
const TRIES: usize = 60;
/// Where a call that was missed without a trace is looked for in turn: so much later than it was recorded, less two.
const SPREAD: usize = 6;
/// How often the log of a run whose wake-ups may have been hit is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Writes down the process that is traced, and becomes what it is told to be.
const SIGNED: [&str; 3] = ["sh", "-c", "echo $$ > \"$0\"; exec \"$@\""];
/// What a folder holds after a good run, and nothing else.
const GOOD: [&str; 5] = [
    ".lock",
    "current",
    "generations",
    "last-run.json",
    "latest.json",
];

/// The killed run whose leftovers are found.
pub const LEFT_BY: &str = "20240101T000000Z-abcdef";

/// What the source says at first.
const OLD: &str = r#"[
    {"id":1,"updated":"2024-05-01T00:00:00Z","amount":1.10},
    {"id":2,"updated":"2024-05-02T00:00:00Z","amount":12345678901234567890}
]"#;
/// The same source after a change.
const CHANGED: &str = r#"[
    {"id":2,"updated":"2024-05-03T00:00:00Z","amount":2},
    {"id":3,"updated":"2024-05-04T00:00:00Z","amount":3}
]"#;

/// One run, to be repeated from the same beginning as often as there are ways to disturb it.
pub struct Scenario {
    /// What it is called when the tests tell what they did.
    pub name: &'static str,
    /// What readers see before it.
    pub before: View,
    /// What they see after it, when nobody disturbs it.
    pub after: Content,
    /// How many generations are kept then.
    pub kept: usize,
    job: Option<Job>,
}

/// What a generation holds that every run from the same beginning must make the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// `latest.json`.
    pub data: String,
    /// The component's state.
    pub state: Value,
    /// The cursor, for people.
    pub cursor: Value,
    /// How many records the manifest says there are.
    pub records: Value,
}

impl Content {
    /// What readers see, if there is a generation; it must be whole then.
    pub fn of(view: &View) -> Option<Self> {
        view.generation.as_ref()?;
        view.is_whole();
        let manifest: Value = serde_json::from_str(view.file("current/manifest.json")?)
            .expect("the manifest is JSON");
        Some(Self {
            data: view.file("latest.json")?.to_owned(),
            state: manifest["state"].clone(),
            cursor: manifest["cursor"].clone(),
            records: manifest["counts"]["records"].clone(),
        })
    }
}

impl Scenario {
    /// Nothing is there, not even the folder above the output folder.
    pub fn first_run() -> Self {
        let job = Job::upsert().set("OUTPUT_MODE", "640").api(answers(OLD));
        Self::begin("a first run", job)
    }

    /// New and changed records are merged, and two of the older generations go.
    pub fn upsert() -> Self {
        Self::begin("an upsert run", published_thrice().api(answers(CHANGED)))
    }

    /// The source has nothing new.
    pub fn nothing_new() -> Self {
        Self::begin(
            "a run with nothing new",
            published_thrice().api(answers("[]")),
        )
    }

    /// The source says again what it said last: inclusive cursors do that to it.
    pub fn again() -> Self {
        let job = published_thrice().api(answers(
            r#"[{"id":2,"updated":"2024-05-02T00:00:00Z","amount":103}]"#,
        ));
        Self::begin("a run with the same records again", job)
    }

    /// An upsert run that finds what a killed one left.
    pub fn after_a_killed_run() -> Self {
        let job = published_thrice().api(answers(CHANGED));
        let output = job.output();
        let staging = output.join(format!(".staging-{LEFT_BY}"));
        for folder in ["in/deep", "gen"] {
            fs::create_dir_all(staging.join(folder)).expect("make a staging folder");
        }
        let unpublished = output.join("generations/000004-20240101T000000Z-0123456789abcdef");
        fs::create_dir(&unpublished).expect("make a generation");
        for file in [
            staging.join("in/records.ndjson"),
            staging.join("gen/latest.json"),
            unpublished.join("latest.json"),
        ] {
            fs::write(file, "[\n{\"id\":1}").expect("write a torn file");
        }
        symlink(
            "generations/000004-20240101T000000Z-0123456789abcdef",
            output.join(format!(".current-{LEFT_BY}")),
        )
        .expect("make a link");
        fs::write(output.join(format!(".last-run-{LEFT_BY}")), "{").expect("write a torn file");
        Self::begin("a run after a killed one", job)
    }

    fn begin(name: &'static str, job: Job) -> Self {
        let before = job.view();
        let begun = job.output().parent().expect("a folder above").to_owned();
        if begun.exists() {
            copy(&begun, &job.beside("begun"));
        }
        let after = Content {
            data: String::new(),
            state: Value::Null,
            cursor: Value::Null,
            records: Value::Null,
        };
        let mut scenario = Self {
            name,
            before,
            after,
            kept: 0,
            job: Some(job),
        };
        scenario.after = scenario.run_well();
        scenario.kept = scenario.generations().len();
        assert_eq!(
            scenario.run_well(),
            scenario.after,
            "{name}: a second run changes nothing"
        );
        scenario
    }

    /// What an undisturbed run, recorded, does.
    pub fn recorded(&mut self) -> Vec<Call> {
        self.restore();
        let (printed, calls) = self.traced(None);
        printed.exits(0);
        calls
    }

    /// Runs from the beginning and disturbs it at this one of its calls: `how` is the rest of an `inject` of strace.
    pub fn hit(&mut self, target: &Call, recorded: &[Call], how: &str) -> Printed {
        let wanted = target.identity();
        let mut when = target.when;
        for tried in 1..=TRIES {
            self.restore();
            let (printed, calls) =
                self.traced(Some(format!("inject={}:{how}:when={when}", target.name)));
            let hit = calls.iter().find(|call| call.is_hit());
            if hit.is_some_and(|hit| hit.identity() == wanted) {
                return printed;
            }
            if let Some(missed) = calls.iter().find(|call| call.identity() == wanted) {
                when = missed.when;
            } else if let Some(hit) = hit
                && let Some(meant) = recorded
                    .iter()
                    .find(|call| call.identity() == hit.identity())
            {
                when = target.when + hit.when - meant.when;
            } else {
                when = (target.when + tried % SPREAD).saturating_sub(2).max(1);
            }
        }
        panic!(
            "{}: {wanted} was aimed at {TRIES} times and never hit",
            self.name
        );
    }

    /// Runs from the beginning, all threads traced, and disturbs the first of them that makes `call` for the `when`th time.
    pub fn hit_any_thread(&mut self, call: &str, how: &str) -> Printed {
        self.restore();
        let inject = format!("inject={call}:{how}");
        self.launched([
            "strace",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
            "-e",
            &inject,
        ]);
        self.job_mut().start().ends_unchecked()
    }

    /// What readers see.
    pub fn view(&self) -> View {
        self.job().view()
    }

    /// `OUTPUT_DIR`.
    pub fn output(&self) -> PathBuf {
        self.job().output()
    }

    /// The names of the generations that are there, published or not.
    pub fn generations(&self) -> Vec<String> {
        names(&self.output().join("generations"))
    }

    /// `last-run.json`, as it is now.
    pub fn last_run(&self) -> Value {
        let text = fs::read_to_string(self.output().join("last-run.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Whoever had opened the old generation before the run can go on reading it.
    pub fn old_generation_is_readable(&self) -> bool {
        let Some(name) = &self.before.generation else {
            return true;
        };
        let folder = self.output().join("generations").join(name);
        names(&folder).iter().all(|file| {
            fs::read_to_string(folder.join(file)).ok().as_deref()
                == self.before.file(&format!("current/{file}"))
        }) && folder.join("manifest.json").exists()
    }

    /// The next run, undisturbed, ends as if nothing had been, and leaves nothing that is not good.
    pub fn next_run_mends_all(&mut self, told: &str) {
        let content = self.run_well();
        assert_eq!(
            content, self.after,
            "{told}: the next run comes to something else"
        );
        assert_eq!(
            names(&self.output()),
            GOOD,
            "{told}: what is in the folder after the next run"
        );
        let now = self.view().generation.expect("a generation is published");
        for name in self.generations() {
            assert!(
                name[..6] <= now[..6],
                "{told}: {name} was never published, and {now} is"
            );
            assert!(
                self.output()
                    .join("generations")
                    .join(&name)
                    .join("manifest.json")
                    .exists(),
                "{told}: {name} is half there"
            );
        }
    }

    fn run_well(&mut self) -> Content {
        self.launched([]);
        let run = self.job_mut().run();
        run.printed.exits(0);
        Content::of(&run.after).expect("a generation is published")
    }

    fn restore(&self) {
        let job = self.job();
        let folder = job.output().parent().expect("a folder above").to_owned();
        let begun = job.beside("begun");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("remove what a run left");
        }
        if begun.exists() {
            copy(&begun, &folder);
        }
    }

    /// Runs with the main thread traced: it is the one that publishes.
    fn traced(&mut self, inject: Option<String>) -> (Printed, Vec<Call>) {
        let (log, pid) = (
            self.job().beside("calls.log"),
            self.job().beside("traced.pid"),
        );
        let (log_name, pid_name) = (log.display().to_string(), pid.display().to_string());
        // Those of the run before would be taken for this one's.
        let _ = (fs::remove_file(&log), fs::remove_file(&pid));
        let trace = format!("trace={}", calls::TRACED);
        // The second says nothing new where nothing is injected.
        let inject = inject.unwrap_or_else(|| trace.clone());
        let [sh, script, signed] = SIGNED;
        self.launched([
            "strace", "-y", "-s", "2000", "-o", &log_name, "-e", &trace, "-e", &inject, sh, script,
            signed, &pid_name,
        ]);
        let over = AtomicBool::new(false);
        let printed = std::thread::scope(|scope| {
            if inject.starts_with("inject=write:error") {
                scope.spawn(|| kill_when_deaf(&log, &pid, &over));
            }
            let running = self.job.as_mut().expect("there is a job").start();
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| running.ends_unchecked()));
            over.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let log = fs::read_to_string(&log).expect("strace wrote a log");
        (printed, calls::read(&log, &self.output()))
    }

    fn launched<const N: usize>(&mut self, words: [&str; N]) {
        self.job = self.job.take().map(|job| job.launcher(words));
    }

    fn job(&self) -> &Job {
        self.job.as_ref().expect("there is a job")
    }

    fn job_mut(&mut self) -> &mut Job {
        self.job.as_mut().expect("there is a job")
    }
}

/// Ends a run in which a wake-up between threads was hit in place of a write to a file: it would wait for ever.
fn kill_when_deaf(log: &Path, pid: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        let text = fs::read_to_string(log).unwrap_or_default();
        if text
            .lines()
            .any(|line| line.contains("eventfd") && line.contains("(INJECTED)"))
        {
            let pid = fs::read_to_string(pid)
                .ok()
                .and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
            // It may have ended after all.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            return;
        }
    }
}
