//! The runs that are disturbed: what the folder was before, what the source says, and what an undisturbed run comes to.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;

use crate::world::{Job, Place, Printed, View};

mod before;
mod trace;

use before::{
    answers, appends, copy, leave, names, published_thrice, published_thrice_by, with_mode,
};

/// Where adopted files are.
const ADOPTED: &str = "before-tidegate";
/// The killed run whose leftovers are found.
pub const LEFT_BY: &str = "20240101T000000Z-abcdef";

/// The names of the scenarios that all others vary.
const FIRST_RUN: &str = "a first run";
const UPSERT_RUN: &str = "an upsert run";

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
    /// The text of `latest.*`, or all that was appended.
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
            data: view.latest().unwrap_or_else(|| view.appended()),
            state: manifest["state"].clone(),
            cursor: manifest["cursor"].clone(),
            records: manifest["counts"]["records"].clone(),
        })
    }
}

impl Scenario {
    /// Nothing is there, not even the folder above the output folder.
    pub fn first_run(place: Place) -> Self {
        let job = with_mode(Job::upsert().at(place));
        Self::begin(FIRST_RUN, job.api(answers(OLD)))
    }

    /// New and changed records are merged, and two of the older generations go.
    pub fn upsert(place: Place) -> Self {
        let job = published_thrice(place).api(answers(CHANGED));
        Self::begin(UPSERT_RUN, job)
    }

    /// The same, and what is replaced is kept.
    pub fn upsert_with_history(place: Place) -> Self {
        let job = Job::upsert().at(place).set("OUTPUT_HISTORY", "yes");
        let job = published_thrice_by(job).api(answers(CHANGED));
        Self::begin("an upsert run with a history", job)
    }

    /// The source has nothing new.
    pub fn nothing_new(place: Place) -> Self {
        // Not even the record that bears the cursor: that is not looked into here.
        let job = published_thrice(place).set("SOURCE_CURSOR_CHECK", "no");
        let job = job.api(answers("[]"));
        Self::begin("a run with nothing new", job)
    }

    /// The source says again what it said last: inclusive cursors do that to it.
    pub fn again() -> Self {
        let job = published_thrice(Place::Json).api(answers(
            r#"[{"id":2,"updated":"2024-05-02T00:00:00Z","amount":103}]"#,
        ));
        Self::begin("a run with the same records again", job)
    }

    /// An upsert run that finds what a killed one left.
    pub fn after_a_killed_run() -> Self {
        let job = published_thrice(Place::Json).api(answers(CHANGED));
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

    /// Nothing is there, and records are appended.
    pub fn first_append(place: Place) -> Self {
        let job = appends(with_mode(Job::upsert().at(place)));
        Self::begin("a first append run", job.api(answers(OLD)))
    }

    /// New records are appended, some come again, and an older generation goes.
    pub fn append(place: Place) -> Self {
        let job = published_thrice_by(appends(Job::upsert().at(place)));
        let answer = OLD.replace(']', ",").replace("12345678901234567890", "103")
            + &CHANGED.replacen('[', "", 1);
        Self::begin("an append run", job.api(answers(&answer)))
    }

    /// A set was published, and from now on records are appended.
    pub fn append_to_a_set() -> Self {
        let accept = ["--accept-change", "WRITE_MODE", "--accept-change"];
        let job = appends(published_thrice(Place::Json).at(Place::Ndjson))
            .args(accept)
            .args(["OUTPUT_FORMAT", "--accept-change", "PRIMARY_KEY"]);
        Self::begin("a first append run after a set", job.api(answers(CHANGED)))
    }

    /// The folder is an earlier script's, with these files in it.
    pub fn adopt(theirs: &[(&str, &str)]) -> Self {
        let job = Job::upsert().args(["--adopt"]).api(answers(OLD));
        leave(&job, theirs);
        Self::begin("a run that adopts", job)
    }

    /// An earlier script went on after our first runs, and put these files in our way.
    pub fn adopt_again(theirs: &[(&str, &str)]) -> Self {
        let job = published_thrice(Place::Json)
            .args(["--adopt"])
            .api(answers(CHANGED));
        fs::remove_file(job.output().join("latest.json")).expect("remove our link");
        leave(&job, theirs);
        Self::begin("a run that adopts later", job)
    }

    fn begin(name: &'static str, job: Job) -> Self {
        let before = job.view();
        let begun = job.output().parent().expect("a folder above").to_owned();
        if begun.exists() {
            copy(&begun, &job.beside("begun"));
        }
        if let Some(database) = job.server_database() {
            database.is_kept();
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

    /// Where its data goes.
    pub fn place(&self) -> Place {
        self.job().place()
    }

    /// What readers open, in a folder where that is a set; where it is segments, what they opened before.
    pub fn latest_before(&self) -> &'static str {
        if self.before.file("latest.json").is_some() {
            return "latest.json";
        }
        self.place().latest().unwrap_or_default()
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
        if self.place().is_table() {
            return Vec::new();
        }
        names(&self.output().join("generations"))
    }

    /// `last-run.json`, as it is now.
    pub fn last_run(&self) -> Value {
        let text = fs::read_to_string(self.output().join("last-run.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Whoever had opened the old generation before the run can go on reading it.
    pub fn old_generation_is_readable(&self) -> bool {
        let Some(name) = self
            .before
            .generation
            .as_ref()
            .filter(|_| !self.place().is_table())
        else {
            return true;
        };
        let folder = self.output().join("generations").join(name);
        names(&folder).iter().all(|file| {
            fs::read(folder.join(file)).ok().as_deref()
                == self.before.bytes(&format!("current/{file}"))
        }) && folder.join("manifest.json").exists()
    }

    /// The next run, undisturbed, ends as if nothing had been, and leaves nothing that is not good.
    pub fn next_run_mends_all(&mut self, told: &str) {
        let content = self.run_well();
        assert_eq!(
            content, self.after,
            "{told}: the next run comes to something else"
        );
        let mut left = names(&self.output());
        // SQLite's empty log and its index, unless whoever looked at the database closed it last.
        left.retain(|name| name != ADOPTED && name != "data.db-wal" && name != "data.db-shm");
        let mut good = self.place().left();
        if left.iter().any(|name| name == "segments") {
            good.push("segments");
        } else {
            good.extend(self.place().latest());
        }
        good.sort_unstable();
        assert_eq!(
            left, good,
            "{told}: what is in the folder after the next run"
        );
        let now = self.view().generation.expect("a generation is published");
        let segments = self.output().join("segments");
        let segments = if segments.is_dir() {
            names(&segments)
        } else {
            Vec::new()
        };
        for name in segments {
            assert!(
                name[..6] <= now[..6],
                "{told}: {name} was never committed, and {now} is"
            );
        }
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

    /// The next run, undisturbed, by somebody who leaves `arg` out.
    pub fn next_run_without(&mut self, arg: &str) -> Printed {
        self.launched(&[]);
        let job = self.job.take().map(|job| job.without_arg(arg));
        self.job = job;
        let printed = self.job_mut().run().printed;
        self.job = self.job.take().map(|job| job.args([arg]));
        printed
    }

    /// Tells what was done in this scenario.
    pub fn tell(&self, done: &str) {
        // Past the test harness, which shows what is printed by failed tests only.
        let _ = writeln!(
            std::io::stderr(),
            "{} into {:?}: {done}",
            self.name,
            self.place()
        );
    }

    fn run_well(&mut self) -> Content {
        self.launched(&[]);
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
        if let Some(database) = job.server_database() {
            database.begins_again();
        }
    }

    fn launched(&mut self, words: &[&str]) {
        self.job = self.job.take().map(|job| job.launcher(words));
    }

    fn job(&self) -> &Job {
        self.job.as_ref().expect("there is a job")
    }

    fn job_mut(&mut self) -> &mut Job {
        self.job.as_mut().expect("there is a job")
    }
}
