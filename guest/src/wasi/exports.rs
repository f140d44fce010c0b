//! What the component exports: the job, a first look, and the whole job without our host.

use std::cell::Cell;

use crate::ports::{Clock, StagedFile};
use crate::settings::Staging;
use crate::{Extent, Failure, Report, Request};

pub mod bindings {
    wit_bindgen::generate!({ path: "../wit", world: "sync-job", generate_all });
}

use super::files::Files;
use super::http::Waki;
use super::{standalone, standalone_run};
use bindings::exports::tidegate::sync::{job, probe};
use bindings::exports::wasi::cli::run;
use bindings::wasi::cli::{environment, stderr};
use bindings::wasi::clocks::{monotonic_clock, wall_clock};

struct Component;
bindings::export!(Component with_types_in bindings);

impl job::Guest for Component {
    fn describe() -> job::Description {
        let ours = crate::describe();
        job::Description {
            name: ours.name,
            version: ours.version,
            summary: ours.summary,
            // Each setting says what it adds; whatever they are, records are staged.
            stages: job::Staging::empty(),
            settings: ours
                .settings
                .into_iter()
                .map(|setting| job::Setting {
                    name: setting.name,
                    doc: setting.doc,
                    required: setting.required,
                    secret: setting.secret,
                    shapes_records: setting.shapes_records,
                    stages: stages(setting.stages),
                    default: setting.default,
                    example: setting.example,
                })
                .collect(),
        }
    }

    fn run(request: job::Request) -> Result<job::Report, job::Failure> {
        report_panics("warn: ");
        let request = Request {
            state: request.state,
            window: request.window.map(|window| crate::Window {
                start: window.start,
                end: window.end,
            }),
            full_refresh: request.full_refresh,
            portions: true,
        };
        let mut staging = Files::in_first_folder(|file| match file {
            StagedFile::Records => "records.ndjson",
            StagedFile::Deleted => "deleted.ndjson",
            StagedFile::Rejected => "rejected.ndjson",
        });
        crate::run(
            &request,
            &environment::get_environment(),
            &mut Waki::default(),
            &mut staging,
            &mut WasiClock,
        )
        .map(report)
        .map_err(failure)
    }
}

impl probe::Guest for Component {
    fn look() -> Result<probe::Sighting, job::Failure> {
        report_panics("warn: ");
        let env = environment::get_environment();
        crate::probe::look(&env, &mut Waki::default(), &mut WasiClock)
            .map(sighting)
            .map_err(failure)
    }
}

impl run::Guest for Component {
    fn run() -> Result<(), ()> {
        report_panics("exit 70: ");
        standalone_run::run()
    }
}

/// WASI's clocks and stderr.
pub struct WasiClock;

impl Clock for WasiClock {
    fn monotonic_ns(&mut self) -> u64 {
        monotonic_clock::now()
    }

    fn unix_seconds(&mut self) -> i64 {
        i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX)
    }

    fn sleep_ms(&mut self, ms: u64) {
        monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)).block();
    }

    fn log(&mut self, line: &str) {
        let out = stderr::get_stderr();
        // The most one such call may carry; a log line is far shorter.
        for piece in format!("{line}\n").as_bytes().chunks(4096) {
            let _ = out.blocking_write_and_flush(piece);
        }
    }
}

/// A panic is an `unreachable` to the runtime, its message lost: say it first, on one line that begins like this.
fn report_panics(beginning: &'static str) {
    thread_local!(static SET: Cell<bool> = const { Cell::new(false) });
    if !SET.replace(true) {
        std::panic::set_hook(Box::new(move |panic| {
            let line = standalone::one_line(&panic.to_string());
            WasiClock.log(&format!("{beginning}{line}"));
        }));
    }
}

fn report(report: Report) -> job::Report {
    job::Report {
        extent: match report.extent {
            Extent::Everything => job::Extent::Everything,
            Extent::Changes => job::Extent::Changes,
            Extent::NothingNew => job::Extent::NothingNew,
        },
        state: report.state,
        cursor: report.cursor,
        pages: report.pages,
        fetched: report.fetched,
        staged: report.staged,
        deleted: report.deleted,
        rejected: report.rejected,
        more: report.more,
    }
}

fn stages(ours: Staging) -> job::Staging {
    [
        (ours.changes, job::Staging::CHANGES),
        (ours.deletions, job::Staging::DELETIONS),
        (ours.parents, job::Staging::PARENTS),
        (ours.portions, job::Staging::PORTIONS),
    ]
    .into_iter()
    .filter_map(|(stages, flag)| stages.then_some(flag))
    .fold(job::Staging::empty(), |all, flag| all | flag)
}

fn failure(failure: Failure) -> job::Failure {
    let detail = |detail: crate::Detail| job::Detail {
        message: detail.message,
        status: detail.status,
        retry_after_seconds: detail.retry_after_seconds,
    };
    match failure {
        Failure::Settings(problems) => job::Failure::Settings(
            problems
                .into_iter()
                .map(|problem| job::Problem {
                    setting: problem.setting,
                    message: problem.message,
                })
                .collect(),
        ),
        Failure::Denied(ours) => job::Failure::Denied(detail(ours)),
        Failure::Refused(ours) => job::Failure::Refused(detail(ours)),
        Failure::Unavailable(ours) => job::Failure::Unavailable(detail(ours)),
        Failure::Protocol(ours) => job::Failure::Protocol(detail(ours)),
        Failure::Data(ours) => job::Failure::Data(detail(ours)),
        Failure::Output(ours) => job::Failure::Output(detail(ours)),
    }
}

fn sighting(seen: crate::probe::Sighting) -> probe::Sighting {
    probe::Sighting {
        findings: seen
            .findings
            .into_iter()
            .map(|finding| probe::Finding {
                topic: finding.topic,
                found: finding.found,
            })
            .collect(),
        first_record: seen.first_record,
        next_request: seen.next_request,
        suggestions: seen
            .suggestions
            .into_iter()
            .map(|suggestion| probe::Suggestion {
                name: suggestion.name,
                value: suggestion.value,
                reason: suggestion.reason,
            })
            .collect(),
        would_fail: seen.would_fail.map(failure),
    }
}
