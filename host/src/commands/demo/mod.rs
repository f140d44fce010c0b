//! The demo: a real job against a real API on this machine, three times, with an eye on what changes.
//!
//! It calls the same code as `tidegate run`; only the API and the settings are made up here.

mod source;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use self::source::Source;
use crate::cli::{DemoArgs, GivenArgs, RunArgs};
use crate::outcome::{Ended, Outcome};
use crate::process::watch::Watch;
use crate::run::Part;
use crate::run::summary::Summary;
use crate::settings::catalogue::SOURCE_API_KEY;
use crate::settings::host::temp_dir;
use crate::units::counted;

/// The job: settings of the built-in component.
const JOB: &str = include_str!("job.env");

/// Runs the demo and says on stdout what it does and sees.
pub fn demo(args: &DemoArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let environment: Vec<_> = environment.into_iter().collect();
    match story(args, &environment) {
        Ok(ended) => ended,
        Err(error) => Ended::failed(Outcome::IoFailed, format!("{error:#}")),
    }
}

fn story(args: &DemoArgs, environment: &[(String, String)]) -> anyhow::Result<Ended> {
    let watch = Watch::begin();
    let source = Source::start(random_key())?;
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => temp_dir(|name| value(environment, name))
            .join(format!("tidegate-demo-{}", std::process::id())),
    };
    let job = folder.join("earthquakes.env");
    std::fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    std::fs::write(&job, settings(&source, &folder))
        .with_context(|| format!("write `{}`", job.display()))?;

    say("A job is a file of settings; this one was just written:");
    say(&format!("  {}", job.display()));
    for line in settings(&source, &folder)
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        say(&format!("    {line}"));
    }
    say(&format!(
        "\nThe API at http://{} has {} earthquakes and wants a key.",
        source.address,
        source.len()
    ));

    let steps = [
        ("1. The first run fetches all of them, page by page:", false),
        (
            "2. One earthquake is new and one was corrected. The next run asks for what changed:",
            true,
        ),
        ("3. Nothing happened since:", false),
    ];
    for (title, change) in steps {
        if change {
            source.change();
        }
        say(&format!(
            "\n{title}\n  $ tidegate run --env-file {}",
            job.display()
        ));
        let (ended, summary) = run(&watch, &job, &source.key, environment);
        if ended.exit_code != 0 {
            return Ok(ended);
        }
        say(&format!("  {}", told(&summary)));
    }
    say(&format!(
        "\nWhat readers see, at every instant the last complete set:\n  {}",
        folder.join("data/latest.json").display()
    ));
    say(&format!(
        "What was published when, with counts, checksums and cursor:\n  {}",
        folder.join("data/current/manifest.json").display()
    ));
    say(
        "\nNext: `tidegate describe --env-example > my.env`, fill it in, `tidegate check --env-file my.env`.",
    );
    Ok(Ended::ok())
}

fn value<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn run(watch: &Watch, job: &Path, key: &str, environment: &[(String, String)]) -> (Ended, Summary) {
    let args = RunArgs {
        given: GivenArgs {
            env_file: vec![job.to_owned()],
            ..GivenArgs::default()
        },
        quiet: true,
        ..RunArgs::default()
    };
    // Of the machine's environment only what decides where compiled components are kept.
    let kept = ["TIDEGATE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"];
    let environment = environment
        .iter()
        .filter(|(name, _)| kept.contains(&name.as_str()))
        .cloned();
    let key = (SOURCE_API_KEY.row.name.to_owned(), key.to_owned());
    crate::run::run_watched(watch, &args, Part::default(), environment.chain([key]))
}

fn settings(source: &Source, folder: &Path) -> String {
    JOB.replace("{address}", &source.address.to_string())
        .replace("{folder}", &folder.join("data").display().to_string())
}

fn told(summary: &Summary) -> String {
    format!(
        "exit {}: {} and {} fetched, {} published in generation {}, in {} ms",
        summary.exit_code,
        counted(summary.pages, "page"),
        counted(summary.fetched, "record"),
        summary.records,
        summary.generation.as_deref().unwrap_or("none"),
        summary.duration_ms
    )
}

/// 32 hex digits that nobody can guess: the standard library seeds its hash maps from the system's random numbers.
fn random_key() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

/// One more line of the story; nobody listening is no error.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
