//! The commands: `check`, `describe`, `health` and `component` here, each other one in its own file; `run` is a folder.

use std::fmt::Write as _;
use std::io::Write as _;

use jiff::Timestamp;

use crate::cli::{CheckArgs, DescribeArgs, GivenArgs, HealthArgs, HealthOutput, RunArgs};
use crate::commands::health::Ages;
use crate::commands::look::{AtTheEnd, at_output};
use crate::component::in_words_alone;
use crate::log::Log;
use crate::outcome::{Ended, Failure, OrFail as _, Outcome};
use crate::process::watch::Watch;
use crate::run::interval::Interval;
use crate::run::setup::{self, Job};
use crate::run::{Part, run_watched};
use crate::sandbox::landlock;
use crate::secret::{Redactor, WORD_BYTES_MIN};
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Commands, Problem};
use crate::settings::policy::{POLICY, Verdict};
use crate::settings::{exposed, granted, mistaken, shown, suggest};
use crate::units;
use crate::words;

mod by_hand;
mod check_output;
pub mod compile;
pub mod convert;
pub mod demo;
pub mod describe;
pub mod diff;
pub mod fleet;
pub mod health;
pub mod help;
pub mod inspect;
pub mod kubernetes;
mod look;
mod named;
pub mod new;
pub mod pin;
pub mod preview;
pub mod report;
pub mod rollback;
pub mod runs;
pub mod state;
pub mod stdout;
pub mod test;
pub mod wit;

/// Runs the job once, and has its page written (STATUS_PAGE). Of a folder, that is for who runs all of it.
pub fn run(args: &RunArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let is_alone = args.fleet.fleet_parent.is_none();
    let part = Part {
        page: is_alone.then_some(report::after_run),
        ..Part::default()
    };
    run_watched(&Watch::begin(), args, part, environment).0
}

/// Says what every setting is and where it came from, and all that is wrong, of each resource by itself. Only `--online`
/// touches the network and the output, and leaves nothing there.
pub fn check(args: &CheckArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let file = args
        .given
        .job
        .as_deref()
        .filter(|_| args.given.resource.is_none());
    let resources = file.map(fleet::jobs::resources).unwrap_or_default();
    if resources.is_empty() {
        return check_one(args, environment);
    }
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let (mut failed, mut codes) = (Vec::new(), Vec::new());
    for (nth, resource) in resources.iter().enumerate() {
        let between = if nth == 0 { "" } else { "\n" };
        let name = words::escaped(resource);
        let _ = stdout::print(&format!("{between}[resources.{name}]\n"));
        let mut args = args.clone();
        args.given.resource = Some(resource.clone());
        let ended = check_one(&args, environment.iter().cloned());
        if let Some(error) = ended.error {
            let _ = stdout::print(&format!("{}\n", words::escaped(&error)));
            failed.push(format!("{name} {}", ended.exit_code));
            codes.push(ended.exit_code);
        }
    }
    if failed.is_empty() {
        return Ended::ok();
    }
    let (failed, of) = (failed.join(", "), resources.len());
    Ended {
        exit_code: fleet::worst(codes),
        error: Some(format!(
            "not all of the {of} resources can run: {failed}; see each above"
        )),
        job: None,
    }
}

fn check_one(args: &CheckArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let watch = Watch::begin();
    let all = Commands::Started;
    let given = setup::read_starting(&args.given, environment, all, &watch.stop);
    let redactor = setup::redactor(&given.0, &given.1);
    let job = given.1.job.clone();
    let checked = watch.block_on(async {
        let log = Log::silent();
        let (asked, component) = (given.1.clone(), setup::verdicts(&args.given, &given));
        let mut job = match Job::new(&args.given, given, &watch.stop, &log).await {
            Ok(job) => job,
            Err(failure) => {
                stdout::print(&redactor.hide(&under_policy(&asked, &component)))?;
                return in_words_alone(Err(failure), &log);
            }
        };
        let mut problems = job.problems(&watch.stop).await?;
        problems.extend(interval(&args.given, &mut job));
        stdout::print(&redactor.hide(&checked(&job, &problems, args.online)))?;
        if !problems.is_empty() {
            return Err(Failure::new(
                Outcome::Settings,
                format!(
                    "{} found, listed above",
                    units::counted(problems.len() as u64, "problem")
                ),
            ));
        }
        if args.online {
            check_output::try_output(&job, &watch.stop, &redactor)
                .and_then(|tried| stdout::print(&redactor.hide(&format!("{tried}\n"))))?;
            preview::online(&job, &watch.stop, &redactor).await?;
            stdout::print("\nno problem found\n")?;
        }
        Ok(())
    });
    Ended::hidden(checked, &redactor).of_job(&job, &redactor)
}

/// Adds when the next run may begin, where a policy says how much time is between two. It is a problem that this is not known.
fn interval(given: &GivenArgs, job: &mut Job) -> Option<Problem> {
    let interval = Interval::of(job, given)?;
    let (got, problem) = match interval.next(Timestamp::now()) {
        Ok(None) => (Some("now".to_owned()), None),
        Ok(Some(next)) => (Some(format!("from {next} on")), None),
        Err(failure) => (
            None,
            Some(Problem::new(
                POLICY,
                format!("cannot be applied: {}", failure.message),
            )),
        ),
    };
    let verdict = Verdict {
        setting: "min_interval".to_owned(),
        asked: "a run now".to_owned(),
        allowed: interval.in_words(),
        got,
    };
    job.host.verdicts.push(verdict);
    problem
}

/// The settings, the warnings, and the problems or that there is none.
fn checked(job: &Job, problems: &[Problem], online: bool) -> String {
    let mut out = String::new();
    for row in shown::shown(&job.description, &job.inputs, &job.host) {
        if !row.value.is_empty() {
            let value = words::escaped(&row.value);
            let mut origin = words::escaped(&row.origin.to_string());
            if row.is_hosts_alone {
                origin.push_str(", for the host alone");
            }
            let _ = writeln!(out, "{:<24} {value:<40} {origin}", row.name);
        }
    }
    out.push_str(&under_policy(&job.host, &job.inputs.take_verdicts()));
    for (name, meant) in suggest::near_misses(&job.description, &job.inputs) {
        let name = words::escaped(&name);
        let _ = writeln!(
            out,
            "warning: {name} in the environment is not a setting; did you mean {meant}?"
        );
    }
    for (name, setting) in granted::ignored(&job.inputs) {
        let _ = writeln!(
            out,
            "warning: {name} in the environment is ignored; the setting is {setting}"
        );
    }
    for path in exposed::files(&job.inputs) {
        let path = words::escaped(&path.display().to_string());
        let _ = writeln!(
            out,
            "warning: `{path}` has a secret in it, and every user may read it: `chmod o-r {path}`"
        );
    }
    for found in mistaken::found(job.inputs.layers()) {
        let _ = writeln!(
            out,
            "warning: {} has `{}`, which looks like a secret, and the component gets it: {}",
            found.setting,
            words::escaped(&found.name),
            found.advice()
        );
    }
    if let Some(kept_back) = granted::ungranted(&job.inputs, &job.grant()) {
        let _ = writeln!(
            out,
            "warning: environment variables not given to the component: {}; to allow them, set `{}`",
            kept_back.names.join(", "),
            kept_back.grant
        );
    }
    match landlock() {
        Some(version) => {
            let _ = writeln!(
                out,
                "component: in a process of its own (rlimits, seccomp, Landlock ABI {version})"
            );
        }
        None => {
            let _ = writeln!(
                out,
                "warning: component: in a process of its own (rlimits, seccomp), without Landlock, which this kernel lacks"
            );
        }
    }
    if let Some(proxy) = &job.host.proxy {
        let _ = writeln!(
            out,
            "warning: {} looks up the hosts of all requests: what they resolve to is not checked here",
            proxy.named()
        );
    }
    for name in job.host.short_secrets(&job.inputs) {
        let _ = writeln!(
            out,
            "warning: {name} has fewer than {WORD_BYTES_MIN} characters, and is hidden only where it is a word by itself"
        );
    }
    if problems.is_empty() {
        if !online {
            let output = check_output::in_words(&job.host);
            let _ = writeln!(
                out,
                "\nno problem found; not tried: the source, and {output} (`check --online` tries them)"
            );
        }
        return out;
    }
    let _ = writeln!(
        out,
        "\n{} found:",
        units::counted(problems.len() as u64, "problem")
    );
    for problem in problems {
        let _ = writeln!(out, "  {}", words::escaped(&problem.to_string()));
    }
    out
}

/// What the policy allows of what the job asks for; nothing where none is in force.
fn under_policy(host: &HostPlan, of_component: &[Verdict]) -> String {
    let Some(tenant) = host.tenant.as_ref().filter(|tenant| tenant.is_usable()) else {
        return String::new();
    };
    let mut rows = vec![["", "asked", "allowed", "got"].map(str::to_owned)];
    rows.extend(host.verdicts.iter().chain(of_component).map(|verdict| {
        let got = verdict.got.as_deref().unwrap_or("refused");
        [&verdict.setting, &verdict.asked, &verdict.allowed, got].map(words::escaped)
    }));
    // Each column as wide as its widest cell.
    let widths = [0, 1, 2].map(|at| {
        rows.iter()
            .map(|row: &[String; 4]| row[at].chars().count())
            .max()
    });
    let [setting, asked, allowed] = widths.map(Option::unwrap_or_default);
    let mut out = format!("\n{}:\n", words::escaped(&tenant.by()));
    for row in rows {
        let _ = writeln!(
            out,
            "{:<setting$} {:<asked$} {:<allowed$} {}",
            row[0], row[1], row[2], row[3]
        );
    }
    out.push('\n');
    out
}

/// Prints the settings, as a table or as a file to fill in.
pub fn describe(
    args: &DescribeArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let watch = Watch::begin();
    let given = GivenArgs::of_component(args.component.as_ref());
    let read = setup::read(&given, environment, &watch.stop);
    let redactor = setup::redactor(&read.0, &read.1);
    let described = watch.block_on(async {
        let log = Log::silent();
        let job = in_words_alone(Job::new(&given, read, &watch.stop, &log).await, &log)?;
        stdout::print(&if args.env_example {
            describe::env_example(&job.description)
        } else if args.job_schema {
            describe::job_schema(&job.description)
        } else if args.schema {
            describe::schema(&job.description)
        } else if args.markdown {
            describe::markdown(&job.description)
        } else {
            describe::table(&job.description)
        })
    });
    Ended::hidden(described, &redactor)
}

/// Says whether the published data is fresh. Needs OUTPUT_DIR alone, or OUTPUT_DATABASE_URL and the job's name.
pub fn health(args: &HealthArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let (success, cursor) = (args.max_age.clone(), args.max_cursor_age.clone());
    let (verify, output) = (args.verify, args.output);
    let span = |flag: &str, given: Option<String>| match given.as_deref().map(units::duration) {
        None => Ok(None),
        Some(Ok(span)) => Ok(Some(span)),
        Some(Err(message)) => Err(Failure::new(Outcome::Usage, format!("{flag} {message}"))),
    };
    let given = args.of.given(args.job.as_deref());
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let mut before_any_run = None;
    let told = |report: &health::HealthReport, redactor: &Redactor| {
        let text = match output {
            Some(HealthOutput::Json) => report.json() + "\n",
            Some(HealthOutput::Prometheus) => report.exposition(),
            None => report.text() + "\n",
        };
        // What monitors read is the exit code.
        let _ = stdout::print(&redactor.hide(&text));
        Ended {
            exit_code: report.exit_code(),
            error: None,
            job: None,
        }
    };
    let ended = at_output(
        &given,
        environment.clone(),
        AtTheEnd::IsLeft,
        move |host, _| {
            let success = span("--max-age", success)?;
            let cursor = span("--max-cursor-age", cursor)?;
            let most = Ages {
                success: success.unwrap_or(host.max_age),
                cursor: cursor.or(host.max_cursor_age),
            };
            Ok(health::health(host, most, verify))
        },
        |report, redactor| {
            if report.is_before_any_run() {
                before_any_run = Some(report);
                return Ended::ok();
            }
            told(&report, redactor)
        },
    );
    if output == Some(HealthOutput::Prometheus) && ended.error.is_some() {
        let exposition = health::of_unasked(ended.job.as_deref(), ended.exit_code);
        let _ = stdout::print(&exposition);
    }
    match before_any_run {
        None => ended,
        Some(report) => {
            let (wrong, redactor) = health::settings::wrong(&given, environment);
            told(&report.with_wrong_settings(wrong), &redactor)
        }
    }
}

/// Prints the built-in component.
pub fn component() -> Ended {
    Ended::of((|| {
        let mut out = std::io::stdout();
        if std::io::IsTerminal::is_terminal(&out) {
            return Err(Failure::new(
                Outcome::Usage,
                "stdout is a terminal, and the component is binary; use `tidegate component > rest.wasm`",
            ));
        }
        out.write_all(setup::BUILT_IN)
            .and_then(|()| out.flush())
            .or_fail(Outcome::IoFailed, || "cannot write the component to stdout")
    })())
}
