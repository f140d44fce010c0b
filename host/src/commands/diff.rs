//! Diff: which records are new, changed or gone between two published sets, and which members changed.
//!
//! Both sets are sorted by key in bounded memory, whatever their order, and read beside each other. What is read is believed only
//! when it is what was published. Takes no lock and changes nothing in the output folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::{DiffArgs, OutputKind};
use crate::commands::look::{AtTheEnd, at_output};
use crate::commands::{named, stdout};
use crate::folder::{Folder, Temporary};
use crate::limits::Limits;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::stop::Check;
use crate::records::key::{KeyPart, Keys, parts};
use crate::records::sort::{Change, Sorted, Sorter};
use crate::settings::host::HostPlan;
use crate::sink::database::compare::Point;
use crate::sink::files::generation::{self, Generation};
use crate::sink::files::published_set::LastRecords;
use crate::units::{counted_in_thousands, thousands};
use crate::words;

mod database;

/// A value in the list of what changed, in bytes; two that are together no longer are on one line.
const VALUE_BYTES: usize = 70;
const BOTH_BYTES: usize = 50;
/// Members of one record in that list.
const MEMBERS_SHOWN: usize = 5;
/// A line of that list.
const LINE_BYTES: usize = 76;

/// Prints what differs between two sets. 0: nothing; 1: something; any other code: they could not be compared.
pub fn diff(args: &DiffArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let (job, generations) = match named::places(&args.what, 2) {
        Ok(places) => places,
        Err(why) => return Ended::failed(Outcome::Usage, why),
    };
    let asked = args.clone();
    at_output(
        &args.of.given(job.map(Path::new)),
        environment,
        AtTheEnd::IsWaitedFor,
        move |host, stop| compared(&asked, &generations, host, &|| stop.check()),
        |has_differences, _| Ended {
            exit_code: u8::from(has_differences),
            ..Ended::ok()
        },
    )
}

fn compared(
    args: &DiffArgs,
    numbers: &[u64],
    host: &HostPlan,
    check: Check<'_>,
) -> Result<bool, Failure> {
    if let Some(url) = &host.database {
        return database::compared(args, numbers, url, host, check);
    }
    let Some(output_dir) = &host.output_dir else {
        return Err(refused("needs OUTPUT_DIR"));
    };
    let (old, new) = sets(output_dir, numbers, &host.limits)?;
    let keys = Keys::new(&host.output.keys);
    let temporary = Temporary::new("diff", &host.temp_dir, &host.limits)?;
    let folder = |name: &str| temporary.folder().ensure_folder(name, 0o700);
    let limits = &host.limits;
    let mut differences = Differences::none(args, limits);
    if is_same(&old, &new) {
        old.verify(check)?;
        new.verify(check)?;
    } else {
        let mut old_records = sorted(&old, &keys, &folder("old")?, limits, check)?;
        let mut new_records = sorted(&new, &keys, &folder("new")?, limits, check)?;
        let (mut one, mut other) = (Change::default(), Change::default());
        let mut has_old = old_records.next(&mut one)?;
        let mut has_new = new_records.next(&mut other)?;
        let mut looked_at = 0_u64;
        while has_old || has_new {
            looked_at += 1;
            if looked_at.is_multiple_of(10_000) {
                check()?;
            }
            let order = match (has_old, has_new) {
                (true, false) => std::cmp::Ordering::Less,
                (false, _) => std::cmp::Ordering::Greater,
                // No record is the beginning of another.
                (true, true) if keys.is_empty() => one.record.cmp(&other.record),
                (true, true) => one.key.cmp(&other.key),
            };
            match order {
                std::cmp::Ordering::Less => {
                    differences.is_gone(shown(&one, &keys), &text(&one.record))?;
                }
                std::cmp::Ordering::Greater => {
                    differences.is_new(shown(&other, &keys), &text(&other.record))?;
                }
                std::cmp::Ordering::Equal if one.record != other.record => {
                    differences.is_changed(
                        key(&other.key),
                        &text(&one.record),
                        &text(&other.record),
                    )?;
                }
                std::cmp::Ordering::Equal => {}
            }
            if order.is_le() {
                has_old = old_records.next(&mut one)?;
            }
            if order.is_ge() {
                has_new = new_records.next(&mut other)?;
            }
        }
    }
    if args.output.is_none() {
        let points = [&old, &new].map(|generation| {
            let facts = (
                format!("{:.0}", generation.name.committed),
                generation.manifest.counts.records,
            );
            Point {
                number: generation.name.number,
                facts: Some(facts),
            }
        });
        let note = keys.is_empty().then_some(
            "Without PRIMARY_KEY, a record that changed is one that is gone and a new one.\n",
        );
        stdout::print(&differences.text(&points, note.filter(|_| differences.is_any())))?;
    }
    Ok(differences.is_any())
}

/// A record in the list of examples: its key, or all of it where it has none.
fn shown(record: &Change, keys: &Keys) -> String {
    if keys.is_empty() {
        text(&record.record).into_owned()
    } else {
        key(&record.key)
    }
}

fn refused(why: &str) -> Failure {
    Failure::new(Outcome::Usage, format!("`tidegate diff` {why}"))
}

/// The two generations, the older one first where none is named.
fn sets(
    output_dir: &Path,
    numbers: &[u64],
    limits: &Limits,
) -> Result<(Generation, Generation), Failure> {
    let none = || {
        refused(&format!(
            "finds nothing in `{}`: nothing was published yet, or OUTPUT_DIR is another",
            output_dir.display()
        ))
    };
    let output = Folder::open(output_dir)?.ok_or_else(none)?;
    let current = generation::current(&output, limits)?.ok_or_else(none)?;
    let kept = generation::kept(&output)?;
    let named = |number: u64| -> Result<Generation, Failure> {
        let found = generation::numbered(&output, number, limits)?;
        found.ok_or_else(|| {
            let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
            refused(&format!(
                "cannot find generation {number}: {} are kept (KEEP_GENERATIONS, KEEP_FOR, `tidegate pin`)",
                kept.join(", ")
            ))
        })
    };
    match numbers {
        [old, new, ..] => Ok((named(*old)?, named(*new)?)),
        [old] => Ok((named(*old)?, current)),
        [] => {
            let before = generation::before(&output, limits)?.ok_or_else(|| {
                refused(&format!(
                    "has nothing to compare with: no earlier set is another than that of generation {}",
                    current.name.number
                ))
            })?;
            Ok((before, current))
        }
    }
}

/// Whether both are the same file, by their checksums.
fn is_same(old: &Generation, new: &Generation) -> bool {
    let sha256 = |generation: &Generation| {
        let name = generation.records_file()?;
        Some((name, generation.manifest.files[name].sha256.clone()))
    };
    sha256(old).is_some() && sha256(old) == sha256(new)
}

/// The records of a generation by key, or by themselves where there is no key: then as often as they are there.
fn sorted(
    generation: &Generation,
    keys: &Keys,
    folder: &Folder,
    limits: &Limits,
    check: Check<'_>,
) -> Result<Sorted, Failure> {
    let Some(name) = generation.records_file() else {
        return Err(refused(if generation.manifest.appends() {
            "compares sets, and WRITE_MODE=append adds segments: `segments/000042.ndjson` is what generation 42 added"
        } else {
            "compares records, and a csv file has only their cells: set OUTPUT_FORMAT=ndjson, or WRITE_MODE=upsert, which keeps the records beside it"
        }));
    };
    let file = generation.open(name)?;
    let mut records = LastRecords::new(generation, name, &file, limits)?;
    let mut sorter = Sorter::new(folder, limits);
    let (mut key, mut records_before) = (Vec::new(), 0_u64);
    while let Some(block) = records.next_block()? {
        check()?;
        for index in 0..block.len() {
            let record = block.record(index);
            if keys.is_empty() {
                records_before += 1;
                key.clear();
                key.extend_from_slice(record);
                key.extend_from_slice(&records_before.to_be_bytes());
                sorter.push(&key, Some(record))?;
            } else {
                let read = keys.read(&text(record), &mut key);
                read.map_err(|error| {
                    let shown = generation.shown(name);
                    refused(&format!(
                        "cannot read `{shown}`: a record {error}; was PRIMARY_KEY another then?"
                    ))
                })?;
                sorter.push(&key, Some(record))?;
            }
        }
    }
    let by_key = sorter.finish()?;
    if by_key.superseded().tally().records > 0 {
        let shown = generation.shown(name);
        return Err(refused(&format!(
            "cannot compare `{shown}`: several records in it have one key; was PRIMARY_KEY another then?"
        )));
    }
    Ok(by_key)
}

/// What was found.
struct Differences<'d> {
    args: &'d DiffArgs,
    limits: &'d Limits,
    /// Whether new records are known from changed ones; otherwise all count as new.
    are_known: bool,
    new: u64,
    changed: u64,
    gone: u64,
    /// In how many records each member changed.
    members: BTreeMap<String, u64>,
    /// Some of each, for people.
    examples: [Vec<String>; 3],
}

impl<'d> Differences<'d> {
    fn none(args: &'d DiffArgs, limits: &'d Limits) -> Self {
        Self {
            args,
            limits,
            are_known: true,
            new: 0,
            changed: 0,
            gone: 0,
            members: BTreeMap::new(),
            examples: Default::default(),
        }
    }

    fn is_any(&self) -> bool {
        self.new + self.changed + self.gone > 0
    }

    fn is_new(&mut self, shown: String, record: &str) -> Result<(), Failure> {
        self.new += 1;
        let word = if self.are_known { "new" } else { "written" };
        self.found(0, word, shown, record)
    }

    fn is_gone(&mut self, shown: String, record: &str) -> Result<(), Failure> {
        self.gone += 1;
        self.found(2, "gone", shown, record)
    }

    fn found(
        &mut self,
        kind: usize,
        word: &'static str,
        shown: String,
        record: &str,
    ) -> Result<(), Failure> {
        if self.args.output == Some(OutputKind::Json) {
            return line(&Found {
                change: word,
                record: raw(record)?,
            });
        }
        self.example(kind, &[shown]);
        Ok(())
    }

    fn is_changed(&mut self, shown: String, old_text: &str, new_text: &str) -> Result<(), Failure> {
        self.changed += 1;
        let members = changed_members(old_text, new_text);
        for (name, ..) in &members {
            if let Some(count) = self.members.get_mut(name) {
                *count += 1;
            } else if self.members.len() < self.limits.drift_members {
                self.members.insert(name.clone(), 1);
            }
        }
        if self.args.output == Some(OutputKind::Json) {
            return line(&Changed {
                change: "changed",
                members: members.iter().map(|(name, ..)| name.as_str()).collect(),
                old: raw(old_text)?,
                new: raw(new_text)?,
            });
        }
        let mut lines = vec![shown];
        for (name, old, new) in members.iter().take(MEMBERS_SHOWN) {
            let value = |text: &Option<String>| match text {
                Some(text) => words::shown(text, VALUE_BYTES),
                None => "-".to_owned(),
            };
            let (old, new) = (value(old), value(new));
            if old.len() + new.len() <= BOTH_BYTES {
                lines.push(format!("  {name}: {old} -> {new}"));
            } else {
                lines.extend([
                    format!("  {name}:"),
                    format!("    {old}"),
                    format!("    {new}"),
                ]);
            }
        }
        if members.len() > MEMBERS_SHOWN {
            lines.push(format!("  and {} more", members.len() - MEMBERS_SHOWN));
        }
        self.example(1, &lines);
        Ok(())
    }

    fn example(&mut self, kind: usize, lines: &[String]) {
        if self.examples[kind].len() < usize::from(self.args.examples) {
            let lines = lines.iter().map(|line| {
                let indent = line.len() - line.trim_start().len();
                format!(
                    "{:indent$}{}",
                    "",
                    words::line(line.trim_start(), LINE_BYTES)
                )
            });
            let lines: Vec<String> = lines.collect();
            self.examples[kind].push(lines.join("\n  "));
        }
    }

    fn text(&self, points: &[Point; 2], note: Option<&str>) -> String {
        let mut out = String::new();
        for (word, point) in ["from", "to"].into_iter().zip(points) {
            let _ = write!(out, "{word:<5} generation {}", point.number);
            if let Some((committed, records)) = &point.facts {
                let _ = write!(
                    out,
                    " of {committed}, {}",
                    counted_in_thousands(*records, "record")
                );
            }
            out.push('\n');
        }
        let many = [self.new, self.changed, self.gone].map(thousands);
        if self.are_known {
            let _ = writeln!(
                out,
                "\n{} new, {} changed, {} gone",
                many[0], many[1], many[2]
            );
        } else {
            let _ = writeln!(out, "\n{} written", counted_in_thousands(self.new, "row"));
        }
        out.push_str(note.unwrap_or_default());
        if !self.members.is_empty() {
            let mut members: Vec<(&String, &u64)> = self.members.iter().collect();
            members.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let listed = members.iter().take(10);
            let listed = listed.map(|(name, count)| format!("{name} ({})", thousands(**count)));
            let listed: Vec<String> = listed.collect();
            let listed = words::line(&listed.join(", "), 3 * LINE_BYTES);
            let _ = writeln!(out, "members changed: {listed}");
        }
        let kinds = [
            (if self.are_known { "new" } else { "written" }, self.new),
            ("changed", self.changed),
            ("gone", self.gone),
        ];
        for ((word, count), examples) in kinds.into_iter().zip(&self.examples) {
            if examples.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{word}:");
            for example in examples {
                let _ = writeln!(out, "  {example}");
            }
            let more = count - examples.len() as u64;
            if more > 0 {
                let _ = writeln!(out, "  and {} more", thousands(more));
            }
        }
        out
    }
}

/// A record that one of the sets has, in JSON.
#[derive(Serialize)]
struct Found<'t> {
    change: &'static str,
    record: &'t RawValue,
}

/// A record that both have, in JSON.
#[derive(Serialize)]
struct Changed<'t> {
    change: &'static str,
    members: Vec<&'t str>,
    old: &'t RawValue,
    new: &'t RawValue,
}

/// The record, with every digit that it has.
fn raw(text: &str) -> Result<&RawValue, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("cannot read a published record: {error}");
        Failure::new(Outcome::OutputUnusable, message)
    })
}

fn line(found: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(found).unwrap_or_default();
    stdout::print(&(words::escaped(&text) + "\n"))
}

fn text(record: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(record)
}

/// A key, as JSON has its parts.
fn key(encoded: &[u8]) -> String {
    let texts = parts(encoded).into_iter().map(|part| match part {
        KeyPart::Integer(digits) => digits.into_owned(),
        KeyPart::Text(text) => Value::from(text.as_ref()).to_string(),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// The members that differ, each with its JSON in both records; none where one has no such member.
fn changed_members(old: &str, new: &str) -> Vec<(String, Option<String>, Option<String>)> {
    type Members<'t> = BTreeMap<String, &'t RawValue>;
    let old: Members<'_> = serde_json::from_str(old).unwrap_or_default();
    let new: Members<'_> = serde_json::from_str(new).unwrap_or_default();
    let json = |members: &Members<'_>, name: &String| {
        members.get(name).map(|value| value.get().to_owned())
    };
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let both = names
        .into_iter()
        .map(|name| (name.clone(), json(&old, name), json(&new, name)));
    both.filter(|(_, old, new)| old != new).collect()
}
