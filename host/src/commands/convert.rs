//! Prints the job file that says what env files say. What a job file cannot hold is a comment in it: a secret, for which a
//! reference stands there, and what is no setting.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use super::describe::entries;
use super::stdout;
use crate::cli::{ConvertArgs, GivenArgs};
use crate::component::in_words_alone;
use crate::given_file::GivenFiles;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::watch::Watch;
use crate::run::setup::{self, Job};
use crate::secret::{Redactor, Secret};
use crate::settings::catalogue::{self, Group, SOURCE_API_URL};
use crate::settings::component_settings::{self, HEADERS};
use crate::settings::inputs::{Given, Problem};
use crate::settings::job_file::references;
use crate::settings::job_file::value::{Takes, quoted};
use crate::settings::layers::Layers;
use crate::words;

/// What the job file for some env files is.
struct Converted {
    text: String,
    /// What a person has to do before it is the same job.
    warnings: Vec<String>,
    /// What is no setting.
    unknown: Vec<Problem>,
}

/// Prints it. `Err` (78): an env file cannot be used, nothing is printed then; or has lines that are no settings.
pub fn convert(
    args: &ConvertArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let watch = Watch::begin();
    let given = GivenArgs::of_component(args.component.as_ref());
    let read = setup::read(&given, environment, &watch.stop);
    let env_files = GivenArgs {
        env_file: args.env_file.clone(),
        ..GivenArgs::default()
    };
    let mut problems = Vec::new();
    let files = GivenFiles::new(watch.stop.clone(), &Limits::default());
    let layers = Layers::read(&env_files, [], &files, &mut problems);
    let redactor = redactor(&layers);
    let converted = watch.block_on(async {
        let log = Log::silent();
        let job = in_words_alone(Job::new(&given, read, &watch.stop, &log).await, &log)?;
        refuse_values(&layers, &redactor, &mut problems);
        refuse_headers(&job, &layers, &mut problems).await;
        if !problems.is_empty() {
            return Err(setup::refusal(&problems));
        }
        let converted = converted(args, &job, &layers)?;
        stdout::print(&converted.text)?;
        for warning in converted.warnings {
            let warning = words::escaped(&format!("warning: {warning}"));
            // Nobody may be listening: the file has it, too.
            let _ = writeln!(std::io::stderr(), "{warning}");
        }
        if converted.unknown.is_empty() {
            return Ok(());
        }
        let listed = setup::refusal(&converted.unknown).message;
        Err(Failure::new(
            Outcome::Settings,
            format!("{listed}; all else was converted"),
        ))
    });
    Ended::hidden(converted, &redactor)
}

/// Hides the secrets of the env files.
fn redactor(layers: &Layers) -> Redactor {
    let given = layers.env_files().iter();
    let secrets = given.filter(|(name, given)| is_secret(name, given));
    Redactor::new(secrets.map(|(_, given)| Secret::from(given.value.as_str())))
}

/// Whether a line has a secret in it, which no job file may.
fn is_secret(name: &str, given: &Given) -> bool {
    catalogue::row(name).is_some_and(|row| row.is_secret_value(&given.value))
}

/// Adds the values that no run takes, and those that have a secret in them: some are refused for the password in them.
fn refuse_values(layers: &Layers, redactor: &Redactor, problems: &mut Vec<Problem>) {
    for (name, given) in layers.env_files() {
        let problem = |message: String| Problem::of(name, message, given.origin.clone());
        if is_secret(name, given) {
            continue;
        }
        if let Some(Err(message)) = catalogue::row(name).map(|row| (row.check)(&given.value)) {
            problems.push(problem(message));
        } else if redactor.hide(&given.value) != given.value.as_str() {
            problems.push(problem(
                "has a secret of this file in it, and a job file holds none: take it out"
                    .to_owned(),
            ));
        }
    }
}

/// Adds headers that the component refuses, as one that carries a credential.
async fn refuse_headers(job: &Job, layers: &Layers, problems: &mut Vec<Problem>) {
    let Some(given) = layers.env_files().get(HEADERS) else {
        return;
    };
    let source = SOURCE_API_URL.row.name;
    let environment = [(source, "https://example.com"), (HEADERS, &given.value)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found = job.component_problems(environment.into()).await;
    let found = found.into_iter().filter(|found| found.setting == HEADERS);
    problems.extend(found.map(|found| Problem::of(HEADERS, found.message, given.origin.clone())));
}

fn converted(args: &ConvertArgs, job: &Job, layers: &Layers) -> Result<Converted, Failure> {
    let mut out = Converted {
        text: header(args),
        warnings: Vec::new(),
        unknown: Vec::new(),
    };
    component(args, job, &mut out)?;
    let description = &job.description;
    let entries = entries(description);
    let mut left: BTreeSet<&str> = layers.env_files().keys().map(String::as_str).collect();
    for group in Group::ALL {
        let mut lines = String::new();
        for entry in entries.iter().filter(|entry| entry.group == group) {
            let name = entry.name.as_str();
            let row = catalogue::row(name);
            let mut declared = description.settings.iter();
            let declared = declared.find(|setting| setting.name == name);
            let takes = match (row, declared) {
                (Some(row), _) => Takes::of_row(row),
                (None, Some(declared)) => Takes::of_declared(declared),
                (None, None) => Takes::default(),
            };
            let of_host = row.and_then(catalogue::Row::file_name);
            let file = of_host.or_else(|| component_settings::file_name(description, name));
            let inline = layers.env_files().get(name);
            let secret = inline.filter(|given| is_secret(name, given));
            if let Some(given) = secret {
                left.remove(name);
                reference(name, given, &mut lines, &mut out.warnings);
            } else if let Some(given) = inline {
                left.remove(name);
                let _ = writeln!(lines, "{}", takes.line(name, &given.value));
            }
            if let Some(file) = file.filter(|file| left.remove(file.as_str())) {
                let given = &layers.env_files()[&file];
                let line = Takes::default().line(&file, &given.value);
                // A secret that is given counts, and its file does not.
                let mark = if secret.is_some() { "# " } else { "" };
                let _ = writeln!(lines, "{mark}{line}");
            }
            let command = row.and_then(catalogue::Row::command_name);
            if let Some(command) = command.filter(|command| left.remove(command.as_str())) {
                let given = &layers.env_files()[&command];
                let line = Takes::default().line(&command, &given.value);
                let _ = writeln!(lines, "{line}");
            }
        }
        if !lines.is_empty() {
            let _ = write!(out.text, "\n[{}]\n{lines}", group.table());
        }
    }
    for name in left {
        let origin = layers.env_files()[name].origin.clone();
        let _ = write!(
            out.text,
            "\n# {name} ({}) is not a setting of this component: left out\n",
            words::escaped(&origin.to_string())
        );
        let message = "is not a setting, and was left out; `tidegate describe` lists them";
        out.unknown.push(Problem::of(name, message, origin));
    }
    Ok(out)
}

fn header(args: &ConvertArgs) -> String {
    let files: Vec<String> = args
        .env_file
        .iter()
        .map(|file| words::escaped(&file.display().to_string()))
        .collect();
    format!(
        "# Made by `tidegate convert` of {}. To be run with `tidegate run FILE.toml`.\n",
        files.join(", ")
    )
}

/// `[component]`, where it is not the built-in one.
fn component(args: &ConvertArgs, job: &Job, out: &mut Converted) -> Result<(), Failure> {
    let Some(path) = &args.component else {
        return Ok(());
    };
    let path = path.to_str().ok_or_else(|| {
        Failure::new(
            Outcome::Settings,
            "the path of the component is not UTF-8, and a job file is: rename it",
        )
    })?;
    let _ = write!(
        out.text,
        "\n[component]\npath = {}\nsha256 = {}\n",
        quoted(path),
        quoted(&job.connector.sha256)
    );
    Ok(())
}

/// What stands in place of a secret.
fn reference(name: &str, given: &Given, lines: &mut String, warnings: &mut Vec<String>) {
    let (file, variable) = references(name);
    let origin = words::escaped(&given.origin.to_string());
    let _ = write!(
        lines,
        "# {origin} has the secret itself, which a job file does not hold. Set {name} in the environment of the run,\n\
         # or write it into a file of its own and name that file instead: {file} = \"/path\"\n\
         {variable} = \"{name}\"\n"
    );
    warnings.push(format!(
        "{name} ({origin}) is a secret, and was not copied: the job file takes it from the environment variable {name}; set that, or name a file in `{file}`"
    ));
}
