//! The built-in component's core without WebAssembly, for `tests/bench/run.sh`: what does the sandbox cost?
//!
//! `native WWW OUT` runs one job, whose settings are the environment's, over pages that are files in `WWW`, by the paths of their
//! URLs; stages into files in `OUT`; and prints `MS ms CPU, N staged`, the CPU time of its thread.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "it stands behind the ports, where a runtime stands otherwise"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use tidegate_guest::ports::{Answer, Clock, Http, Request, SendError, StagedFile, Staging};
use url::Url;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let www = arguments.next().context("say the folder of the pages")?;
    let out = arguments.next().context("say the folder to stage into")?;
    let env: Vec<(String, String)> = std::env::vars().collect();
    fs::create_dir_all(&out)?;
    let mut folder = Folder {
        out,
        open: BTreeMap::new(),
    };

    let before = cpu_time()?;
    let report = tidegate_guest::run(
        &tidegate_guest::Request::default(),
        &env,
        &mut Pages(&www),
        &mut folder,
        &mut Now(Instant::now()),
    )
    .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let used = cpu_time()?.saturating_sub(before);

    println!("{} ms CPU, {} staged", used.as_millis(), report.staged);
    Ok(())
}

/// CPU time of this thread, from the scheduler.
fn cpu_time() -> Result<Duration> {
    // The scheduler counts up to the last time that it looked, which this makes now.
    std::thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Pages in files.
struct Pages<'p>(&'p Path);

impl Http for Pages<'_> {
    fn send(&mut self, request: &Request, _: usize) -> Result<Answer, SendError> {
        let broken = |why: String| SendError::Broken(why);
        let url = Url::parse(&request.url).map_err(|error| broken(error.to_string()))?;
        let path = self.0.join(url.path().trim_start_matches('/'));
        Ok(Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
            body: fs::read(path).map_err(|error| broken(error.to_string()))?,
        })
    }
}

/// Staged files.
struct Folder {
    out: PathBuf,
    open: BTreeMap<&'static str, File>,
}

impl Staging for Folder {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        let name = match file {
            StagedFile::Records => "records.ndjson",
            StagedFile::Deleted => "deleted.ndjson",
            StagedFile::Rejected => "rejected.ndjson",
        };
        if !self.open.contains_key(name) {
            let made = File::create(self.out.join(name)).map_err(|error| error.to_string())?;
            self.open.insert(name, made);
        }
        let file = self.open.get_mut(name).ok_or("it was just opened")?;
        file.write_all(lines).map_err(|error| error.to_string())
    }
}

/// The clocks; the log goes nowhere.
struct Now(Instant);

impl Clock for Now {
    fn monotonic_ns(&mut self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
    fn unix_seconds(&mut self) -> i64 {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
    fn sleep_ms(&mut self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
    fn log(&mut self, line: &str) {
        if line.starts_with("warn: ") {
            eprintln!("{line}");
        }
    }
}
