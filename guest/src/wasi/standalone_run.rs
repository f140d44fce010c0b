//! The whole job without our host: everything into `latest.ndjson`, or what is new into a segment.

use super::exports::WasiClock;
use super::exports::bindings::wasi::cli::environment;
use super::files::Files;
use super::http::Waki;
use super::standalone::{self, Appended, Authorized, STATE, STATE_BYTES_MAX};
use crate::failure::counted;
use crate::ports::{Clock, StagedFile};
use crate::{Extent, Failure, Report, Request};

/// Runs it. `Err`: what readers see is what they saw.
pub fn run() -> Result<(), String> {
    let env = environment::get_environment();
    let mut files = Files::in_first_folder(standalone::temporary_name);
    let wrote = match Appended::nothing(&env)? {
        None => replaces(&env, &mut files),
        Some(nothing) => appends(&env, &mut files, nothing),
    };
    files.remove_leftovers();
    WasiClock.log(&wrote?);
    Ok(())
}

/// A full fetch in place of the last one.
fn replaces(env: &[(String, String)], files: &mut Files) -> Result<String, String> {
    let report = staged(env, files, None)?;
    files.make_current(StagedFile::Records, standalone::OUTPUT)?;
    Ok(wrote(&report, standalone::OUTPUT))
}

/// What is new since the last run, in a segment of its own. The rename over `state.json` commits it.
fn appends(
    env: &[(String, String)],
    files: &mut Files,
    nothing: Appended,
) -> Result<String, String> {
    let appended = match files.read(STATE, STATE_BYTES_MAX)? {
        None => nothing,
        Some(text) => nothing.read(&text)?,
    };
    let segment = appended.next_segment();
    // Of a run that ended before it was committed.
    files.remove(&segment);
    let report = staged(env, files, appended.state())?;
    if report.extent == Extent::NothingNew {
        return Ok("nothing new".to_owned());
    }
    let has_segment = report.staged > 0;
    if has_segment {
        files.make_folder(standalone::SEGMENTS)?;
        files.make_current(StagedFile::Records, &segment)?;
    }
    let wrote = wrote(&report, &segment);
    let state = appended.then(has_segment, report.state);
    files.replace(STATE, state.as_bytes())?;
    Ok(if has_segment {
        wrote
    } else {
        "nothing new".to_owned()
    })
}

fn staged(
    env: &[(String, String)],
    files: &mut Files,
    state: Option<String>,
) -> Result<Report, String> {
    let request = Request {
        full_refresh: state.is_none(),
        state,
        window: None,
        portions: false,
    };
    let mut http = Authorized::new(Waki::default(), env)?;
    let ran = crate::run(&request, env, &mut http, files, &mut WasiClock);
    ran.map_err(|failure| match &failure {
        Failure::Denied(detail) if matches!(detail.status, Some(401 | 403)) => {
            format!("{failure}; {}", http.advice())
        }
        _ => failure.to_string(),
    })
}

fn wrote(report: &Report, name: &str) -> String {
    format!("wrote {} to {name}", counted(report.staged, "record"))
}
