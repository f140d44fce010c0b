//! The last published generation: what `current` names, believed only when its manifest is the one the name was made of.
//!
//! Missing, torn, edited or newer: refused with the way back, and never read as "first run". The data file is checked by
//! size here, by hash where it is merged from or under `health --verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::data_file::{OutputFormat, RECORDS_FILE, format_of};
use crate::folder::{Entry, Folder};
use crate::limits::Limits;
use crate::lock::Lock;
use crate::manifest::{self, FileRecord, Manifest};
use crate::outcome::{Failure, Outcome};

pub use crate::data_file::DATA_FILES;

/// The link whose rename is the commit.
pub const CURRENT: &str = "current";
/// The folder of the generations.
pub const GENERATIONS: &str = "generations";

/// Hexadecimal digits of the manifest's sha256 in a generation's name.
const HEAD_DIGITS: usize = 16;
/// Older generations that are looked at for the way back.
const WAY_BACK_TRIES: usize = 20;

/// The name of a generation: its number, when it was committed, and the head of its manifest's sha256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    /// Its number.
    pub number: u64,
    /// When it was committed, in whole seconds.
    pub committed: Timestamp,
}

impl Name {
    /// The name of generation `number`, committed at `committed` with this manifest.
    pub fn new(number: u64, committed: Timestamp, manifest: &[u8]) -> Self {
        let head = &manifest::sha256(manifest)[..HEAD_DIGITS];
        let text = format!(
            "{number:06}-{}-{head}",
            committed.strftime("%Y%m%dT%H%M%SZ")
        );
        Self {
            text,
            number,
            committed,
        }
    }

    /// Reads a name; `None` when it is not a generation's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (number, time, head) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let fits = parts.next().is_none()
            && number.len() >= 6
            && digits(number)
            && time.len() == 16
            && head.len() == HEAD_DIGITS
            && hex(head);
        let committed = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
        Some(Self {
            number: number.parse().ok().filter(|number| fits && *number > 0)?,
            committed: TimeZone::UTC.to_timestamp(committed).ok()?,
            text: text.to_owned(),
        })
    }

    /// What `current` says when this generation is the one.
    pub fn link(&self) -> String {
        format!("{GENERATIONS}/{}", self.text)
    }

    fn is_of(&self, manifest: &[u8]) -> bool {
        self.text
            .ends_with(&manifest::sha256(manifest)[..HEAD_DIGITS])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A published generation whose manifest can be trusted.
#[derive(Debug)]
pub struct Generation {
    /// Its name.
    pub name: Name,
    /// What it holds.
    pub manifest: Manifest,
    /// The name of its data file.
    pub data_file: &'static str,
    folder: Folder,
}

impl Generation {
    /// Its folder, held.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What the manifest says of the data file.
    pub fn data(&self) -> &FileRecord {
        &self.manifest.files[self.data_file]
    }

    /// The name of the file that holds the records exactly; none where only a table was published.
    pub fn records_file(&self) -> Option<&'static str> {
        if self.manifest.files.contains_key(RECORDS_FILE) {
            return Some(RECORDS_FILE);
        }
        Some(self.data_file).filter(|name| format_of(name) != OutputFormat::Csv)
    }

    /// Opens a file of this generation; its size is the manifest's.
    pub fn open(&self, name: &str) -> Result<File, Failure> {
        let wanted = self
            .manifest
            .files
            .get(name)
            .map_or(0, |record| record.bytes);
        let found = self.folder.file(name)?;
        match found {
            Some((file, stat)) if u64::try_from(stat.st_size) == Ok(wanted) => Ok(file),
            Some((_, stat)) => Err(untrusted(format!(
                "`{}` has {} bytes, and its manifest says {wanted}",
                self.folder.shown(name),
                stat.st_size
            ))),
            None => Err(untrusted(format!(
                "`{}` is missing",
                self.folder.shown(name)
            ))),
        }
    }

    fn read(generations: &Folder, name: Name, limits: &Limits) -> Result<Self, Failure> {
        let text = name.to_string();
        let folder = generations
            .folder(&text)?
            .ok_or_else(|| untrusted(format!("`{}` is missing", generations.shown(&text))))?;
        let shown = folder.shown(manifest::FILE);
        let bytes = folder
            .read(manifest::FILE, limits.manifest_bytes)?
            .ok_or_else(|| untrusted(format!("`{shown}` is missing")))?;
        if !name.is_of(&bytes) {
            return Err(untrusted(format!(
                "`{shown}` is not the one that its folder is named after (damaged or edited)"
            )));
        }
        let manifest =
            Manifest::from_bytes(&bytes).map_err(|what| untrusted(format!("`{shown}` {what}")))?;
        if manifest.generation != name.number {
            return Err(untrusted(format!(
                "`{shown}` is of generation {}",
                manifest.generation
            )));
        }
        let mut data_files = DATA_FILES
            .iter()
            .filter(|file| manifest.files.contains_key(**file));
        let (Some(data_file), None) = (data_files.next(), data_files.next()) else {
            return Err(untrusted(format!("`{shown}` does not name one data file")));
        };
        if let Some(odd) = manifest
            .files
            .keys()
            .find(|file| file.contains('/') || file.starts_with('.'))
        {
            return Err(untrusted(format!(
                "`{shown}` names the file `{}`",
                odd.escape_debug()
            )));
        }
        let generation = Self {
            name,
            manifest,
            data_file,
            folder,
        };
        for file in generation.manifest.files.keys() {
            generation.open(file)?;
        }
        Ok(generation)
    }
}

/// The last published generation, `None` before the first. `Err` is 73, or 74 when it could not be read.
pub fn last(lock: &Lock, limits: &Limits) -> Result<Option<Generation>, Failure> {
    current(lock.folder(), limits)
}

/// The same for somebody without the lock, who only looks.
pub fn current(output: &Folder, limits: &Limits) -> Result<Option<Generation>, Failure> {
    let named = current_name(output).map_err(|failure| no_trust(failure, output, None, limits))?;
    let Some(name) = named else {
        refuse_a_lost_current(output, limits)?;
        return Ok(None);
    };
    let read = || {
        let generations = output
            .folder(GENERATIONS)?
            .ok_or_else(|| untrusted(format!("`{}` is missing", output.shown(GENERATIONS))))?;
        Generation::read(&generations, name.clone(), limits)
    };
    read()
        .map(Some)
        .map_err(|failure| no_trust(failure, output, Some(&name), limits))
}

/// A failure to read the generation that `current` names, with the way back where it cannot be trusted.
fn no_trust(failure: Failure, output: &Folder, name: Option<&Name>, limits: &Limits) -> Failure {
    if failure.outcome != Outcome::OutputUnusable {
        return failure;
    }
    untrusted(format!(
        "trust the generation that `{}` names: {}; {}",
        output.shown(CURRENT),
        failure.message,
        way_back(output, name, limits)
    ))
}

/// What `current` names, without looking there.
pub fn current_name(output: &Folder) -> Result<Option<Name>, Failure> {
    let refused =
        |what: String| untrusted(format!("read the link `{}`: {what}", output.shown(CURRENT)));
    match output.entry(CURRENT)? {
        Entry::Absent => Ok(None),
        Entry::Other => Err(refused("it is no link; move it away".to_owned())),
        Entry::Link(target) => target
            .strip_prefix("generations/")
            .and_then(Name::parse)
            .map(Some)
            .ok_or_else(|| {
                refused(format!(
                    "it names `{}`, which is no generation",
                    target.escape_debug()
                ))
            }),
    }
}

/// The generations there are, oldest first; published, left over by a crash, or half removed.
pub fn names(generations: &Folder) -> Result<Vec<Name>, Failure> {
    let listed = generations.names(|name| Name::parse(name).is_some())?;
    let mut names: Vec<Name> = listed.iter().filter_map(|name| Name::parse(name)).collect();
    names.sort_by_key(|name| name.number);
    Ok(names)
}

/// Reads the manifest of any generation; `None` when it has none, as one half removed has.
pub fn manifest_of(
    generations: &Folder,
    name: &Name,
    limits: &Limits,
) -> Result<Option<Manifest>, Failure> {
    let Some(folder) = generations.folder(&name.to_string())? else {
        return Ok(None);
    };
    let bytes = folder.read(manifest::FILE, limits.manifest_bytes)?;
    Ok(bytes.and_then(|bytes| Manifest::from_bytes(&bytes).ok()))
}

/// The data-shaping settings that differ from those of `manifest`, in order; one that is missing on a side was not given.
pub fn changed_settings(manifest: &Manifest, now: &BTreeMap<String, String>) -> Vec<String> {
    let not_given = manifest::sha256(b"");
    let hash =
        |side: &BTreeMap<String, String>, name: &str| side.get(name).unwrap_or(&not_given).clone();
    let names: BTreeSet<&String> = manifest.settings.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter(|name| hash(&manifest.settings, name) != hash(now, name))
        .cloned()
        .collect()
}

/// A crash of the first run leaves a first generation and no `current`. Anything later was published, and `current` is
/// what got lost: going on would begin from nothing.
fn refuse_a_lost_current(output: &Folder, limits: &Limits) -> Result<(), Failure> {
    let Some(generations) = output.folder(GENERATIONS)? else {
        return Ok(());
    };
    match names(&generations)?.last() {
        Some(name) if name.number > 1 => Err(untrusted(format!(
            "read the link `{}`: it is missing, and generation {} was published; {}",
            output.shown(CURRENT),
            name.number - 1,
            way_back(output, None, limits)
        ))),
        _ => Ok(()),
    }
}

/// What a person can do: the newest other generation that can be trusted, and the line that goes back to it.
fn way_back(output: &Folder, from: Option<&Name>, limits: &Limits) -> String {
    let dir = output.path().display();
    let trusted = || {
        let generations = output.folder(GENERATIONS).ok()??;
        let names = names(&generations).ok()?;
        let older = names
            .into_iter()
            .rev()
            .filter(|name| from.is_none_or(|from| name.number < from.number));
        older
            .take(WAY_BACK_TRIES)
            .find(|name| Generation::read(&generations, name.clone(), limits).is_ok())
    };
    match trusted() {
        Some(name) => format!(
            "to go on from {name}: `ln -s {} {dir}/.new && mv -T {dir}/.new {dir}/{CURRENT}`",
            name.link()
        ),
        None => format!("restore `{dir}` from a backup, or move it away to fetch everything anew"),
    }
}

fn untrusted(message: String) -> Failure {
    Failure::new(Outcome::OutputUnusable, message)
}

#[cfg(test)]
mod tests;
