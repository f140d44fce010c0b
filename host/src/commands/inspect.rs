//! `inspect`: what a component file is and asks for, before anybody grants it anything.
//!
//! Its imports are read by the parser alone. Only a component that imports nothing but what is available is compiled and
//! asked to `describe` itself, with no grant. A refused one is shown as far as it was read; the exit code is a run's.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::describe::wrapped;
use super::stdout;
use crate::cli::{GivenArgs, InspectArgs, OutputKind};
use crate::component::shape::{self, GRANTED, List, Outline};
use crate::component::{Connector, Description, Setting, Staging, in_words_alone};
use crate::given_file::Holds;
use crate::log::Log;
use crate::outcome::{Ended, Failure};
use crate::process::watch::Watch;
use crate::run::setup;
use crate::settings::host::HostPlan;
use crate::units;
use crate::words;

const COLUMNS: usize = 80;
/// Where the values of the head begin.
const INDENT: usize = 10;

/// What is known of a component file.
struct Inspected {
    file: String,
    sha256: String,
    bytes: usize,
    outline: Outline,
    /// `Err`: it was refused, or failed to describe itself.
    description: Result<Description, Failure>,
}

/// Prints what a component is, imports, declares and stages. `Err` as a run with it would end: 77 for an import that is not
/// available, 78 for a file that is no component, 70 for one that is too large or cannot describe itself.
pub fn inspect(
    args: &InspectArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let watch = Watch::begin();
    let (inputs, host) = setup::read(&GivenArgs::default(), environment, &watch.stop);
    let redactor = setup::redactor(&inputs, &host);
    let done = watch.block_on(async {
        let inspected = inspected(args.component.as_deref(), &host);
        let inspected = watch.stop.unless(inspected).await?;
        let text = match args.output {
            Some(OutputKind::Json) => words::escaped(&inspected.json().to_string()) + "\n",
            None => words::escaped_lines(&inspected.text()),
        };
        stdout::print(&redactor.hide(&text))?;
        inspected.description.map(|_| ())
    });
    Ended::hidden(done, &redactor)
}

async fn inspected(file: Option<&Path>, host: &HostPlan) -> Result<Inspected, Failure> {
    let limits = &host.limits;
    let bytes = match file {
        None => setup::BUILT_IN.to_vec(),
        // Who else can write to it does not matter yet: what is shown is of these bytes, with their digest.
        Some(path) => setup::read_component(path, Holds::Other, limits)?,
    };
    let mut outline = shape::outline(&bytes, limits);
    let (sha256, size) = (crate::hash::sha256(&bytes), bytes.len());
    let verdict = std::mem::replace(&mut outline.verdict, Ok(()));
    let description = match verdict {
        Err(refused) => Err(refused),
        Ok(()) => described(bytes, host).await,
    };
    Ok(Inspected {
        file: file.map_or("built in".to_owned(), |path| path.display().to_string()),
        sha256,
        bytes: size,
        outline,
        description,
    })
}

async fn described(bytes: Vec<u8>, host: &HostPlan) -> Result<Description, Failure> {
    let (log, limits) = (Log::silent(), &host.limits);
    let connector = Connector::load(bytes, host.cache_dir.as_deref(), limits, &log).await?;
    in_words_alone(connector.describe(log.clone(), limits).await, &log)
}

impl Inspected {
    fn text(&self) -> String {
        let mut out = String::new();
        match &self.description {
            Ok(known) => {
                head(&mut out, "name", &known.name);
                head(&mut out, "version", &known.version);
                head(&mut out, "summary", &known.summary);
            }
            Err(failure) => {
                let code = failure.outcome.exit_code();
                head(&mut out, "name", "unknown");
                head(&mut out, "refused", &format!("a run would exit {code}"));
            }
        }
        head(&mut out, "file", &self.file);
        head(&mut out, "sha256", &self.sha256);
        let bytes = units::counted_in_thousands(self.bytes as u64, "byte");
        head(&mut out, "size", &bytes);
        if let Ok(known) = &self.description {
            head(&mut out, "stages", &stages(known));
        }
        // Of what is no component nothing was read.
        if self.description.is_ok() || !self.outline.imports.is_empty() {
            self.imports(&mut out);
        }
        if let Ok(known) = &self.description {
            let _ = writeln!(out, "\nSettings that it declares: {}", known.settings.len());
            for setting in &known.settings {
                let line = format!("  {:<28} {}", setting.name, remarks(setting).join("; "));
                let _ = writeln!(out, "{}", cut(&line));
            }
        }
        out
    }

    fn imports(&self, out: &mut String) {
        let Outline {
            imports,
            imports_more,
            ..
        } = &self.outline;
        let _ = writeln!(out, "\nImports: {}", imports.len() + imports_more);
        for import in imports {
            let word = match import.list {
                Some(List::Granted | List::Signing) => "available",
                Some(List::Satisfied) => "grants nothing",
                None => "NOT AVAILABLE",
            };
            let _ = writeln!(out, "{}", cut(&format!("  {word:<14} {}", import.name)));
        }
        if *imports_more > 0 {
            let _ = writeln!(out, "  and {imports_more} more");
        }
        let unused: Vec<&str> = self.unused().collect();
        if !unused.is_empty() {
            let text = format!("Available, and not imported: {}", unused.join(", "));
            for line in wrapped(&text, COLUMNS) {
                let _ = writeln!(out, "{line}");
            }
        }
    }

    /// The interfaces that are available, and that it does not import.
    fn unused(&self) -> impl Iterator<Item = &'static str> {
        let imported = |known: &str| {
            let mut imports = self.outline.imports.iter();
            imports.any(|import| import.name.split('@').next() == Some(known))
        };
        GRANTED.into_iter().filter(move |known| !imported(known))
    }

    fn json(&self) -> Value {
        let imports = self.outline.imports.iter();
        let imports: Vec<Value> = imports
            .map(|import| {
                let list = import.list.map(|list| match list {
                    List::Granted => "connector",
                    List::Signing => "signing-connector",
                    List::Satisfied => "satisfied",
                });
                json!({"name": import.name, "available": list.is_some(), "list": list})
            })
            .collect();
        let known = self.description.as_ref().ok();
        let failure = self.description.as_ref().err();
        json!({
            "name": known.map(|known| &known.name),
            "version": known.map(|known| &known.version),
            "summary": known.map(|known| &known.summary),
            "file": self.file,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "imports": imports,
            "imports_more": self.outline.imports_more,
            "available_not_imported": self.unused().collect::<Vec<_>>(),
            "stages": known.map(|known| names(known.stages)),
            "settings": known.map(|known| known.settings.iter().map(setting_json).collect::<Vec<_>>()),
            "exit_code": failure.map_or(0, |failure| failure.outcome.exit_code()),
            "error": failure.map(|failure| &failure.message),
        })
    }
}

fn setting_json(setting: &Setting) -> Value {
    json!({
        "name": setting.name,
        "doc": setting.doc,
        "required": setting.required,
        "secret": setting.secret,
        "shapes_records": setting.shapes_records,
        "stages": names(setting.stages),
        "default": setting.default,
        "example": setting.example,
    })
}

/// A line of the head, wrapped.
fn head(out: &mut String, name: &str, value: &str) {
    for (index, line) in wrapped(value, COLUMNS - INDENT).iter().enumerate() {
        let label = if index == 0 { name } else { "" };
        let line = format!("{label:<INDENT$}{line}");
        // A path is of use only as a whole.
        let line = if name == "file" { line } else { cut(&line) };
        let _ = writeln!(out, "{line}");
    }
}

fn stages(known: &Description) -> String {
    let always = names(known.stages);
    let mut parts = Vec::new();
    if !always.is_empty() {
        parts.push(format!("always {}", always.join(", ")));
    }
    for what in ["changes", "deletions", "parents", "portions"] {
        let by = known.settings.iter();
        let by: Vec<&str> = by
            .filter(|setting| names(setting.stages).contains(&what))
            .map(|setting| setting.name.as_str())
            .collect();
        if !by.is_empty() {
            parts.push(format!("{what} with {}", by.join(", ")));
        }
    }
    if always.contains(&"changes") {
        return parts.join("; ");
    }
    let otherwise = if parts.is_empty() { "" } else { "; " };
    format!("all records{otherwise}{}", parts.join("; "))
}

fn names(stages: Staging) -> Vec<&'static str> {
    let all = [
        (stages.changes, "changes"),
        (stages.deletions, "deletions"),
        (stages.parents, "parents"),
        (stages.portions, "portions"),
    ];
    let set = all.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).collect()
}

fn remarks(setting: &Setting) -> Vec<String> {
    let mut remarks = Vec::new();
    for (holds, remark) in [
        (setting.required, "required"),
        (setting.secret, "secret, kept by the host"),
        (setting.shapes_records, "shapes the records"),
    ] {
        if holds {
            remarks.push(remark.to_owned());
        }
    }
    if let Some(default) = setting.default.as_deref().filter(|text| !text.is_empty()) {
        remarks.push(format!("default {default}"));
    }
    remarks
}

/// As much of a line as a terminal of 80 columns shows.
fn cut(line: &str) -> String {
    let line = line.trim_end();
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    line.chars().take(COLUMNS - 1).chain(['…']).collect()
}
