//! The whole job without our host: everything into `latest.ndjson`, or what is new into a segment.

use super::exports::WasiClock;
use super::exports::bindings::wasi::cli::environment;
use super::exports::bindings::wasi::filesystem::preopens;
use super::exports::bindings::wasi::filesystem::types::Descriptor;
use super::files::{Files, text_of};
use super::http::Waki;
use super::standalone::{
    self, Appended, Authorized, Careful, Checked, Hidden, Plan, STATE, STATE_BYTES_MAX, Stop,
};
use crate::failure::counted;
use crate::ports::{Clock, StagedFile};
use crate::{Extent, Failure, Report};

/// The largest file that a setting may name.
const SETTING_BYTES_MAX: u64 = 1024 * 1024;
/// What the root of a system has in it, and no folder for data.
const OF_A_ROOT: &str = "etc";
/// What our host has in its folder.
const OF_THE_HOST: &str = "generations";

/// Runs it, and says how it ended on the last line. `Err`: what readers see is what they saw.
pub fn run() -> Result<(), ()> {
    let mut hidden = Hidden::new(&[]);
    let ended = job(&mut hidden);
    let line = match &ended {
        Ok(wrote) => standalone::last_line(0, wrote),
        Err(stop) => stop.line(),
    };
    WasiClock.log(&hidden.line(&line));
    ended.map(drop).map_err(drop)
}

fn job(hidden: &mut Hidden) -> Result<String, Stop> {
    let folders = preopens::get_directories();
    let names: Vec<&str> = folders.iter().map(|(_, name)| name.as_str()).collect();
    let plan = Plan::read(environment::get_environment(), &names, |path| {
        text_of(&folders, path, SETTING_BYTES_MAX)
    })?;
    *hidden = Hidden::new(&plan.credential.secrets());
    let mut files = output(plan.folder(&names), folders)?;
    let wrote = Run {
        plan: &plan,
        files: &mut files,
        hidden,
    };
    let wrote = match plan.appended.clone() {
        None => wrote.replaces(),
        Some(nothing) => wrote.appends(nothing),
    };
    files.remove_leftovers();
    wrote
}

/// The folder that takes the output, if it can be one.
fn output(number: usize, folders: Vec<(Descriptor, String)>) -> Result<Files, Stop> {
    let given = folders.into_iter().nth(number);
    let (folder, name) = given.ok_or_else(|| {
        Stop::unusable("no folder to write to was given: give one, such as `--dir ./out::/`")
    })?;
    let mut files = Files::in_folder(Some(folder), standalone::temporary_name);
    let has = |entry| files.has(entry).map_err(Stop::unusable);
    if name == "/" && has(OF_A_ROOT)? {
        return Err(Stop::unusable(
            "the folder that the runtime gave is the root of a system, with `etc` in it: give one for the data alone, such as `--dir ./out::/`",
        ));
    }
    if has(OF_THE_HOST)? {
        return Err(Stop::unusable(
            "the folder belongs to `tidegate run`, which has its `generations` in it: give another",
        ));
    }
    files.begin(StagedFile::Records).map_err(Stop::unusable)?;
    Ok(files)
}

struct Run<'r> {
    plan: &'r Plan,
    files: &'r mut Files,
    hidden: &'r Hidden,
}

impl Run<'_> {
    /// A full fetch in place of the last one.
    fn replaces(mut self) -> Result<String, Stop> {
        let last = self
            .files
            .lines(standalone::OUTPUT)
            .map_err(Stop::unusable)?;
        let report = self.staged(None)?;
        self.check(&report, last)?;
        if report.rejected > 0 {
            self.named(StagedFile::Rejected, standalone::REJECTED)?;
        }
        self.named(StagedFile::Records, standalone::OUTPUT)?;
        if report.rejected == 0 {
            self.files.remove(standalone::REJECTED);
        }
        self.files.remove(standalone::REFUSED);
        Ok(wrote(&report, standalone::OUTPUT))
    }

    /// What is new since the last run, in a segment of its own. The rename over `state.json` commits it.
    fn appends(mut self, nothing: Appended) -> Result<String, Stop> {
        let last = self
            .files
            .read(STATE, STATE_BYTES_MAX)
            .map_err(Stop::unusable)?;
        let appended = match last {
            None => nothing,
            Some(text) => nothing.read(&text).map_err(Stop::unusable)?,
        };
        let (segment, rejected) = (appended.next_segment(), appended.next_rejected());
        // Of a run that ended before it was committed.
        self.files.remove(&segment);
        self.files.remove(&rejected);
        let report = self.staged(appended.state())?;
        self.check(&report, None)?;
        self.files.remove(standalone::REFUSED);
        if report.extent == Extent::NothingNew {
            return Ok("nothing new".to_owned());
        }
        // Where all are rejected it is empty: its number is theirs, too.
        let has_segment = report.staged > 0 || report.rejected > 0;
        if report.rejected > 0 {
            self.folder(standalone::REJECTED_FOLDER)?;
            self.named(StagedFile::Rejected, &rejected)?;
        }
        if has_segment {
            self.folder(standalone::SEGMENTS)?;
            self.named(StagedFile::Records, &segment)?;
        }
        let wrote = wrote(&report, &segment);
        let state = appended.then(has_segment, report.state);
        self.files
            .replace(STATE, state.as_bytes())
            .map_err(Stop::io)?;
        Ok(if has_segment {
            wrote
        } else {
            "nothing new".to_owned()
        })
    }

    fn staged(&mut self, state: Option<String>) -> Result<Report, Stop> {
        let plan = self.plan;
        let request = plan.request(state);
        let mut clock = Careful::new(WasiClock, self.hidden, plan.level, plan.deadline_seconds);
        let http = Waki::until(clock.ends_ns(), plan.first_byte_seconds);
        let (source, allowed) = (plan.source.clone(), plan.allowed.clone());
        let http = Authorized::new(http, plan.credential.clone(), source, allowed);
        let mut http = Checked::new(http, self.hidden);
        let ran = crate::run(&request, &plan.env, &mut http, self.files, &mut clock);
        if http.found > 0 {
            let times = counted(http.found, "time");
            clock.log(&format!(
                "warn: the source sent the credential back, {times}: `REDACTED` stands in its place"
            ));
        }
        ran.map_err(|failure| match failure {
            Failure::Protocol(detail) if clock.is_over() => Stop::later(detail.message),
            Failure::Denied(detail) if matches!(detail.status, Some(401 | 403)) => {
                Stop::from(Failure::Denied(detail))
                    .and("; ")
                    .and(plan.credential.advice())
            }
            other => other.into(),
        })
    }

    /// Whether what was staged is plausible. What was rejected is kept where that is why it is not.
    fn check(&mut self, report: &Report, last_records: Option<u64>) -> Result<(), Stop> {
        let refused = self.plan.gates.check(report, last_records);
        refused.map_err(|stop| {
            if report.rejected == 0 {
                return stop;
            }
            match self.named(StagedFile::Rejected, standalone::REFUSED) {
                Ok(()) => stop,
                Err(_) => stop.and(", which could not be written"),
            }
        })
    }

    fn named(&mut self, file: StagedFile, name: &str) -> Result<(), Stop> {
        self.files.make_current(file, name).map_err(Stop::io)
    }

    fn folder(&mut self, name: &str) -> Result<(), Stop> {
        self.files.make_folder(name).map_err(Stop::io)
    }
}

fn wrote(report: &Report, name: &str) -> String {
    let rejected = match report.rejected {
        0 => String::new(),
        rejected => format!(" ({} rejected)", counted(rejected, "record")),
    };
    format!(
        "wrote {} to {name}{rejected}",
        counted(report.staged, "record")
    )
}
