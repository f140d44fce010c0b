//! The component in other runtimes: it publishes the bytes that the host publishes, asks for the same, and refuses with
//! the same exit code.
//!
//! Each runtime runs as `docs/component-elsewhere.md` says; `tests/tools.sh` installs them.

mod runtimes;
mod scenarios;

use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::runtimes::{Kind, Runtime};
use self::scenarios::{REFUSALS, SCENARIOS, Scenario};
use crate::server::{Reply, Request, Server};
use crate::world::Job;

/// What is in the folder before a run that must refuse.
const OLD: &str = "{\"id\":0}\n";

/// What the host made of a scenario.
struct Hosted {
    data: String,
    asked: Vec<Asked>,
    key: String,
}

/// What a source can see of a request.
#[derive(Debug)]
#[expect(dead_code, reason = "compared as it is printed")]
struct Asked {
    line: String,
    credential: Vec<String>,
    body: String,
}

fn asked(requests: &[Request]) -> Vec<Asked> {
    let asked = requests.iter().map(|request| Asked {
        line: format!("{} {}", request.method, request.target),
        credential: ["authorization", "x-team-key"]
            .iter()
            .filter_map(|name| request.header(name))
            .map(str::to_owned)
            .collect(),
        body: String::from_utf8(request.body.clone()).unwrap(),
    });
    asked.collect()
}

impl Scenario {
    fn source(&self) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
        let answer = self.answer;
        let before = AtomicUsize::new(0);
        move |request| answer(request, before.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs it with the host.
    fn hosted(&self) -> Hosted {
        let mut job = Job::new().set("OUTPUT_FORMAT", "ndjson").api(self.source());
        for (name, value) in self.settings {
            // Of the environment the host ignores names that it does not know.
            job = job.args(["--set", &format!("{name}={value}")]);
        }
        let mut requests = Vec::new();
        for _ in 0..self.runs {
            let run = job.run();
            let code = i32::from(self.ends.exit_code());
            assert_eq!(run.code, Some(code), "{}: {}", self.name, run.stderr);
            let text = run.stderr.replace(&job.server.origin(), "{server}");
            assert!(text.contains(self.says), "{}: {text}", self.name);
            requests.extend(run.requests.iter().cloned());
        }
        let view = job.view();
        Hosted {
            data: view.latest().unwrap_or_default() + &view.appended(),
            asked: asked(&requests),
            key: job.key.clone(),
        }
    }

    /// Runs it with a runtime: in what it differs from the host.
    fn differs(&self, runtime: &Runtime, hosted: &Hosted) -> Vec<String> {
        let out = tempfile::tempdir().unwrap();
        let is_refused = self.ends.exit_code() != 0;
        if is_refused {
            std::fs::write(out.path().join("latest.ndjson"), OLD).unwrap();
        }
        let server = Server::start(self.source());
        let mut settings = vec![
            (
                "SOURCE_API_URL".to_owned(),
                format!("{}/items", server.origin()),
            ),
            ("SOURCE_API_KEY".to_owned(), hosted.key.clone()),
            ("OUTPUT_FORMAT".to_owned(), "ndjson".to_owned()),
            ("RETRY_PAUSE".to_owned(), "10ms".to_owned()),
        ];
        let own = self.settings.iter();
        settings.extend(own.map(|&(name, value)| (name.to_owned(), value.to_owned())));

        let mut differences = Vec::new();
        let mut hold = |what: &str, seen: &str, wanted: &str| {
            if seen != wanted {
                let name = self.name;
                differences.push(format!("{name}: {what}:\n{seen}\nthe host:\n{wanted}"));
            }
        };
        for _ in 0..self.runs {
            let mut run = runtime.run(out.path(), &settings);
            let run = run.stdin(Stdio::null()).output().unwrap();
            let log = String::from_utf8_lossy(&run.stderr).replace(&server.origin(), "{server}");
            let last = log.trim_end().lines().last().unwrap_or_default();
            let (code, text) = last.split_once(": ").unwrap_or_default();
            hold("code", code, &format!("exit {}", self.ends.exit_code()));
            let is_error = !run.status.success();
            hold(
                "is an error",
                &is_error.to_string(),
                &is_refused.to_string(),
            );
            if !text.contains(self.says) {
                hold("text", text, self.says);
            }
            assert!(!log.contains(&hosted.key), "{}: {log}", self.name);
        }
        let asked = asked(&server.seen());
        hold(
            "requests",
            &format!("{asked:#?}"),
            &format!("{:#?}", hosted.asked),
        );
        let wanted = if is_refused { OLD } else { &hosted.data };
        hold("data", &data(out.path()), wanted);
        differences
    }
}

/// What readers find in the folder of the component alone.
fn data(folder: &Path) -> String {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut segments: Vec<_> = std::fs::read_dir(folder.join("segments"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let segments: String = segments.iter().map(|path| read(path)).collect();
    read(&folder.join("latest.ndjson")) + &segments
}

/// What the host made of all of them, once for all runtimes.
fn hosted() -> &'static [Hosted] {
    static HOSTED: OnceLock<Vec<Hosted>> = OnceLock::new();
    HOSTED.get_or_init(|| all().map(Scenario::hosted).collect())
}

fn all() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain(REFUSALS)
}

#[track_caller]
fn agrees_with_the_host(kind: Kind) {
    let runtime = Runtime::new(kind);
    let differences: Vec<String> = all()
        .zip(hosted())
        .flat_map(|(scenario, hosted)| scenario.differs(&runtime, hosted))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn elsewhere_there_are_16_scenarios_and_7_refusals() {
    let hosted = hosted();

    let (published, refused) = hosted.split_at(16);
    assert_eq!(refused.len(), 7);
    let empty = published.iter().filter(|hosted| hosted.data.is_empty());
    assert_eq!(empty.count(), 1, "all but one publish records");
    assert!(refused.iter().all(|hosted| hosted.data.is_empty()));
}

#[test]
fn elsewhere_wasmtime_run_publishes_the_same_bytes_and_refuses_alike() {
    agrees_with_the_host(Kind::Wasmtime);
}

#[test]
fn elsewhere_python_with_cranelift_publishes_the_same_bytes_and_refuses_alike() {
    agrees_with_the_host(Kind::Cranelift);
}

#[test]
fn elsewhere_python_with_pulley_publishes_the_same_bytes_and_refuses_alike() {
    agrees_with_the_host(Kind::Pulley);
}

#[test]
fn elsewhere_node_publishes_the_same_bytes_and_refuses_alike() {
    agrees_with_the_host(Kind::Node);
}
