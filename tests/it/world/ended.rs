//! What a run printed and left behind, and what must hold after every one of them.

use std::io::Read as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::outcome::Outcome;

use super::{Job, View, folder};
use crate::server::Request;

/// How often a running child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// What a process printed, how it ended, and how much memory it took at the most.
#[derive(Debug)]
pub struct Printed {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// The most memory that it, or the process of its component, held, as far as it was seen: `VmHWM`.
    pub memory_peak_bytes: u64,
}

impl Printed {
    /// It ended with this code.
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}stderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// stdout holds this.
    pub fn stdout_has(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text),
            "`{text}` is not in stdout:\n{}{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// stderr holds this.
    pub fn stderr_has(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "`{text}` is not in stderr:\n{}",
            self.stderr
        );
        self
    }

    /// Nothing in either stream steers a terminal.
    #[track_caller]
    pub fn steers_nothing(&self) {
        steers_nothing("stdout", &self.stdout);
        steers_nothing("stderr", &self.stderr);
    }

    /// Neither stream holds the credential.
    pub fn shows_nothing_of(&self, key: &str) {
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            assert_eq!(
                folder::form_of(key, text.as_bytes()),
                None,
                "{name} shows the credential:\n{text}"
            );
        }
    }
}

/// A run that has ended, and the world after it.
#[derive(Debug)]
pub struct Run {
    /// What it printed.
    pub printed: Printed,
    /// How long it took, as seen from here.
    pub took: Duration,
    /// What readers saw before it.
    pub before: View,
    /// What readers see after it.
    pub after: View,
    /// What it asked the source.
    pub requests: Vec<Request>,
    /// `last-run.json`.
    pub recorded: Option<String>,
}

impl Deref for Run {
    type Target = Printed;

    fn deref(&self) -> &Printed {
        &self.printed
    }
}

impl Run {
    /// It ended like this, and said so in its summary.
    pub fn exits(&self, outcome: Outcome) -> &Self {
        self.printed.exits(i32::from(outcome.exit_code()));
        assert_eq!(self.summary()["outcome"], outcome.word(), "{}", self.stdout);
        self
    }

    /// stderr holds this.
    #[track_caller]
    pub fn stderr_has(&self, text: &str) -> &Self {
        self.printed.stderr_has(text);
        self
    }

    /// It asked the source so many times.
    pub fn asked(&self, requests: usize) -> &Self {
        let targets: Vec<&String> = self
            .requests
            .iter()
            .map(|request| &request.target)
            .collect();
        assert_eq!(targets.len(), requests, "{targets:?}");
        self
    }

    /// Readers see exactly these records in `latest.json`.
    #[track_caller]
    pub fn publishes(&self, records: &Value) -> &Self {
        let latest = self.after.file("latest.json").unwrap_or("nothing");
        let seen: Value =
            serde_json::from_str(latest).unwrap_or_else(|error| panic!("{error}: {latest}"));
        assert_eq!(seen, *records);
        self
    }

    /// Readers see what they saw before, byte for byte, under the same generation.
    pub fn publishes_nothing(&self) -> &Self {
        assert_eq!(self.after, self.before);
        self
    }

    /// The events with this message.
    pub fn events(&self, msg: &str) -> Vec<Value> {
        let events = self
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect(line));
        events.filter(|event| event["msg"] == msg).collect()
    }

    /// The warnings.
    pub fn warnings(&self) -> Vec<Value> {
        let events = self
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect(line));
        events.filter(|event| event["level"] == "warn").collect()
    }

    /// The event `run finished`.
    pub fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: the last line of stdout is `{last}`"))
    }

    /// The name of the generation that readers see.
    pub fn generation(&self) -> &str {
        self.after
            .generation
            .as_deref()
            .expect("a generation is published")
    }

    /// The manifest that belongs to what readers see.
    pub fn manifest(&self) -> Value {
        let manifest = self
            .after
            .file("current/manifest.json")
            .expect("a manifest is published");
        serde_json::from_str(manifest).expect("the manifest is JSON")
    }

    /// `last-run.json`.
    pub fn last_run(&self) -> Value {
        let text = self.recorded.as_deref().expect("last-run.json is there");
        serde_json::from_str(text).expect("last-run.json is JSON")
    }

    /// What must hold after every run.
    pub(super) fn check(&self, job: &Job, unasked: usize) {
        let context = format!(
            "stdout:\n{}stderr:\n{}",
            shortened(&self.stdout),
            shortened(&self.stderr)
        );
        let code = self
            .code
            .unwrap_or_else(|| panic!("a signal ended the run\n{context}"));
        self.shows_nothing_of(&job.key);
        folder::holds_nothing_of(&job.key, &job.output());
        assert_eq!(
            unasked, 0,
            "the source was not asked for all that the test promised\n{context}"
        );
        if code == i32::from(Outcome::Usage.exit_code()) {
            assert_eq!(
                self.after, self.before,
                "wrong usage changed something\n{context}"
            );
            return;
        }
        self.check_printed(code, job.has_arg("json"), &context);
        if code != 0 && self.summary()["committed"] == "no" {
            assert_eq!(
                self.after, self.before,
                "a failed run changed what readers see\n{context}"
            );
        }
        if self.after.generation.is_some() && code == 0 {
            self.after.is_whole();
        }
        let staging: Vec<String> = folder::names(&job.output())
            .into_iter()
            .filter(|name| name.starts_with(".staging-"))
            .collect();
        let held = code == i32::from(Outcome::TryLater.exit_code()) && self.stderr.contains("lock");
        assert!(
            held || staging.is_empty(),
            "{staging:?} is left over\n{context}"
        );
    }

    fn check_printed(&self, code: i32, json_alone: bool, context: &str) {
        let summary = self.summary();
        assert_eq!(
            summary["exit_code"], code,
            "the code in the summary\n{context}"
        );
        self.check_streams(code, context);
        if json_alone {
            assert_eq!(
                self.stdout.lines().count(),
                1,
                "nothing but the summary\n{context}"
            );
            return;
        }
        assert_eq!(
            summary["msg"], "run finished",
            "the last line of stdout\n{context}"
        );
        for line in self.stdout.lines() {
            assert!(
                serde_json::from_str::<Value>(line).is_ok_and(|event| event["msg"].is_string()),
                "`{line}`"
            );
        }
        assert_eq!(
            self.events("run finished").len(),
            1,
            "`run finished` comes once\n{context}"
        );
    }

    /// stderr holds one line of a failure and none of a success; nothing printed can steer a terminal.
    fn check_streams(&self, code: i32, context: &str) {
        let lines: Vec<&str> = self.stderr.lines().collect();
        if code == 0 {
            assert_eq!(lines, [""; 0], "a good run says nothing on stderr");
        } else {
            assert_eq!(
                lines.len(),
                1,
                "a failed run says one line on stderr\n{context}"
            );
            let job = self.summary()["job"].as_str().map(str::to_owned);
            let begins = format!("tidegate: {}: exit {code}: ", job.unwrap_or_default());
            assert!(lines[0].starts_with(&begins), "not `{begins}`\n{context}");
        }
        for text in [&self.stdout, &self.stderr] {
            steers_nothing("what was printed", text);
        }
        if let Some(recorded) = &self.recorded {
            steers_nothing("last-run.json", recorded);
        }
        if let Some(manifest) = self.after.file("current/manifest.json") {
            steers_nothing("the manifest", manifest);
        }
    }
}

/// A text has no character that does something else than to be seen: control characters, directions, separators, what has no
/// width, tags.
#[track_caller]
fn steers_nothing(name: &str, text: &str) {
    let steers = |c: char| {
        let is_odd = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
        c != '\n' && (c.is_control() || is_odd)
    };
    assert!(
        !text.contains(steers),
        "a character that steers a terminal is in {name}\n{:?}",
        shortened(text)
    );
}

/// Waits for the child, at most so long, and takes what it prints.
pub fn wait(mut child: Child, timeout: Duration) -> Printed {
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    let mut stderr = child.stderr.take().expect("stderr is a pipe");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let reading_too = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let deadline = Instant::now() + timeout;
    let mut memory_peak_bytes = 0;
    let status = loop {
        // The component has a process of its own.
        let of_all = children(&process)
            .into_iter()
            .map(|child| memory_peak(&child))
            .fold(memory_peak(&process), u64::max);
        memory_peak_bytes = memory_peak_bytes.max(of_all);
        if let Some(status) = child.try_wait().expect("wait for the child") {
            break Some(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let text = |bytes: std::io::Result<Vec<u8>>| {
        String::from_utf8(bytes.expect("a readable pipe")).expect("UTF-8")
    };
    let stdout = text(reading.join().expect("the reader ended"));
    let stderr = text(reading_too.join().expect("the reader ended"));
    let Some(status) = status else {
        panic!("killed after {timeout:?}\nstdout:\n{stdout}stderr:\n{stderr}");
    };
    Printed {
        code: status.code(),
        stdout,
        stderr,
        memory_peak_bytes,
    }
}

/// The processes that the main thread of this one started.
fn children(process: &Path) -> Vec<PathBuf> {
    let main = process.file_name().expect("a number").to_owned();
    let children = process.join("task").join(main).join("children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    let numbers = children.split_whitespace();
    numbers
        .map(|number| Path::new("/proc").join(number))
        .collect()
}

fn memory_peak(process: &Path) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(40);
    let shown = lines[skipped..].iter();
    shown
        .flat_map(|line| line.chars().take(2_000).chain(['\n']))
        .collect()
}
