//! The last published generation: what `current` names, believed only when its manifest is the one the name was made of.
//!
//! Missing, torn, edited or newer: refused with the way back, and never read as "first run". The data file, or of an append
//! job the newest segment, is checked by size here, by hash where it is merged from or under `health --verify`.

use std::fs::File;

use crate::folder::lock::Lock;
use crate::folder::{Doing as _, Entry, Folder, unless_unusable};
use crate::hash::sha256_of;
use crate::limits::{Limits, WAY_BACK_GENERATIONS_MAX};
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::data_file::DATA_FILES;
use crate::settings::data_file::{OutputFormat, RECORDS_FILE, format_of};
use crate::sink::files::retire::set_of;
use crate::sink::files::segment::{self, SEGMENTS};
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::{self, FileRecord, Manifest};

/// The link whose rename is the commit.
pub const CURRENT: &str = "current";
/// The folder of the generations.
pub const GENERATIONS: &str = "generations";

/// A published generation whose manifest can be trusted.
#[derive(Debug)]
pub struct Generation {
    pub name: GenerationName,
    pub manifest: Manifest,
    /// The name of its data file; none of an append job.
    data_file: Option<&'static str>,
    /// The newest segment of an append job; none before the first.
    pub segment: Option<segment::SegmentName>,
    folder: Folder,
    output: Folder,
}

/// The data file of a generation, or the newest segment of an append job.
pub type Contents = (Option<&'static str>, Option<segment::SegmentName>);

/// The set of a generation: its data file.
#[derive(Debug, Clone, Copy)]
pub struct Set<'g> {
    pub generation: &'g Generation,
    /// The name of its data file.
    pub file: &'static str,
    /// What the manifest says of that.
    pub record: &'g FileRecord,
}

impl Set<'_> {
    /// The data file, for messages.
    pub fn shown(&self) -> String {
        self.generation.shown(self.file)
    }
}

impl Generation {
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its set; an append job has none.
    pub fn set(&self) -> Option<Set<'_>> {
        let file = self.data_file?;
        Some(Set {
            generation: self,
            file,
            record: &self.manifest.files[file],
        })
    }

    /// The name of the file that holds the records exactly; none where only a table was published, or segments.
    pub fn records_file(&self) -> Option<&'static str> {
        if self.manifest.files.contains_key(RECORDS_FILE) {
            return Some(RECORDS_FILE);
        }
        self.data_file
            .filter(|name| format_of(name) != OutputFormat::Csv)
    }

    /// Opens a file that the manifest lists; its size is the manifest's.
    pub fn open(&self, name: &str) -> Result<File, Failure> {
        let (folder, file) = self.place(name)?;
        let found = folder.file(&file)?;
        let size = found.as_ref().map(|(_, stat)| stat.st_size);
        self.has_its_size(name, size)?;
        let missing = || untrusted(format!("`{}` is missing", self.shown(name)));
        found.map(|(file, _)| file).ok_or_else(missing)
    }

    /// `Err` (73): a file of it is not as it was published.
    pub fn verify(&self, check: Check<'_>) -> Result<(), Failure> {
        for (name, record) in &self.manifest.files {
            check()?;
            let file = self.open(name)?;
            let shown = self.shown(name);
            let sha256 = sha256_of(&file).doing(|| format!("cannot read `{shown}`"))?;
            if sha256 != record.sha256 {
                return Err(untrusted(format!(
                    "`{shown}` is damaged or was edited: its checksum is not the published one"
                )));
            }
        }
        Ok(())
    }

    /// A file that the manifest lists, for messages.
    pub fn shown(&self, name: &str) -> String {
        let of = if segment::SegmentName::listed(name).is_some() {
            &self.output
        } else {
            &self.folder
        };
        of.shown(name)
    }

    /// Looks at a file that the manifest lists without opening it: not everybody who may ask may read it.
    fn look_at(&self, name: &str) -> Result<(), Failure> {
        let (folder, file) = self.place(name)?;
        self.has_its_size(name, folder.size(&file)?)
    }

    /// The folder of a listed file, and its name there.
    fn place(&self, name: &str) -> Result<(Folder, String), Failure> {
        let Some(segment) = segment::SegmentName::listed(name) else {
            return Ok((self.folder.clone(), name.to_owned()));
        };
        let missing = || untrusted(format!("`{}` is missing", self.output.shown(SEGMENTS)));
        let segments = self.output.folder(SEGMENTS)?.ok_or_else(missing)?;
        Ok((segments, segment.file().to_owned()))
    }

    fn has_its_size(&self, name: &str, found: Option<i64>) -> Result<(), Failure> {
        let listed = self.manifest.files.get(name);
        let wanted = listed.map_or(0, |record| record.bytes);
        match found {
            Some(size) if u64::try_from(size) == Ok(wanted) => Ok(()),
            Some(size) => Err(untrusted(format!(
                "`{}` has {size} bytes, but {wanted} in its manifest",
                self.shown(name)
            ))),
            None => Err(untrusted(format!("`{}` is missing", self.shown(name)))),
        }
    }

    fn read(
        output: &Folder,
        generations: &Folder,
        name: GenerationName,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        let text = name.to_string();
        let folder = generations
            .folder(&text)?
            .ok_or_else(|| untrusted(format!("`{}` is missing", generations.shown(&text))))?;
        let shown = folder.shown(manifest::FILE);
        let bytes = folder
            .read(manifest::FILE, limits.manifest_bytes)?
            .ok_or_else(|| untrusted(format!("`{shown}` is missing")))?;
        let (manifest, (data_file, segment)) =
            read_manifest(&name, &bytes).map_err(|what| untrusted(format!("`{shown}` {what}")))?;
        let generation = Self {
            name,
            manifest,
            data_file,
            segment,
            folder,
            output: output.clone(),
        };
        for file in generation.manifest.files.keys() {
            generation.look_at(file)?;
        }
        Ok(generation)
    }
}

/// Reads the manifest of the generation `name`. `Err` says what is wrong with it.
pub fn read_manifest(name: &GenerationName, bytes: &[u8]) -> Result<(Manifest, Contents), String> {
    if !name.is_of(bytes) {
        return Err("is not the one that its folder is named after (damaged or edited)".to_owned());
    }
    let manifest = Manifest::from_bytes(bytes)?;
    if manifest.generation != name.number {
        return Err(format!("is of generation {}", manifest.generation));
    }
    let contents = contents(&manifest)?;
    Ok((manifest, contents))
}

/// The data file of a manifest, or of an append job's the newest segment, if there is one. `Err` says what is wrong with it.
fn contents(manifest: &Manifest) -> Result<Contents, String> {
    let listed = |file: &&'static str| manifest.files.contains_key(*file);
    let data_files: Vec<&'static str> = DATA_FILES.into_iter().filter(listed).collect();
    let segments: Vec<segment::SegmentName> = manifest
        .files
        .keys()
        .filter_map(|file| segment::SegmentName::listed(file))
        .collect();
    let is_segment = |file: &str| segment::SegmentName::listed(file).is_some();
    let is_odd = |file: &str| (file.contains('/') && !is_segment(file)) || file.starts_with('.');
    if let Some(odd) = manifest.files.keys().find(|file| is_odd(file)) {
        return Err(format!("names the file `{}`", odd.escape_debug()));
    }
    match (manifest.appends(), &data_files[..], &segments[..]) {
        (false, [data_file], []) => Ok((Some(data_file), None)),
        (true, [], []) => Ok((None, None)),
        (true, [], [newest]) => Ok((None, Some(newest.clone()))),
        (false, ..) => Err("does not name one data file".to_owned()),
        (true, ..) => Err("does not name one segment at the most, and no data file".to_owned()),
    }
}

/// The last published generation, `None` before the first. `Err` is 73, or 74 when it could not be read.
pub fn last(lock: &Lock, limits: &Limits) -> Result<Option<Generation>, Failure> {
    refuse_strangers(lock.folder())?;
    current(lock.folder(), limits)
}

/// `Err` (73) when others could change what is read here. Told before anything is read, in its own words: an older generation
/// is no way on from that.
pub fn refuse_strangers(output: &Folder) -> Result<(), Failure> {
    output.refuse_strangers_in(GENERATIONS)?;
    output.refuse_strangers_in(SEGMENTS)?;
    let name = unless_unusable(current_name(output))?.flatten();
    let generations = unless_unusable(output.folder(GENERATIONS))?.flatten();
    match (name, generations) {
        (Some(name), Some(generations)) => generations.refuse_strangers_in(&name.to_string()),
        _ => Ok(()),
    }
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
        Generation::read(output, &generations, name.clone(), limits)
    };
    read()
        .map(Some)
        .map_err(|failure| no_trust(failure, output, Some(&name), limits))
}

/// A failure to read the generation that `current` names, with the way back where it cannot be trusted.
fn no_trust(
    failure: Failure,
    output: &Folder,
    name: Option<&GenerationName>,
    limits: &Limits,
) -> Failure {
    if failure.outcome != Outcome::OutputUnusable {
        return failure;
    }
    untrusted(format!(
        "cannot trust the generation that `{}` names: {}; {}",
        output.shown(CURRENT),
        failure.message,
        way_back(output, name, limits)
    ))
}

/// What `current` says when the generation `name` is the one.
pub fn link(name: &GenerationName) -> String {
    format!("{GENERATIONS}/{name}")
}

/// What `current` names, without looking there.
pub fn current_name(output: &Folder) -> Result<Option<GenerationName>, Failure> {
    let refused = |what: String| {
        untrusted(format!(
            "cannot read the link `{}`: {what}",
            output.shown(CURRENT)
        ))
    };
    match output.entry(CURRENT)? {
        Entry::Absent => Ok(None),
        Entry::Other => Err(refused("it is not a link; move it away".to_owned())),
        Entry::Link(target) => target
            .strip_prefix("generations/")
            .and_then(GenerationName::parse)
            .map(Some)
            .ok_or_else(|| {
                refused(format!(
                    "it names `{}`, which is not a generation",
                    target.escape_debug()
                ))
            }),
    }
}

/// The generations there are, oldest first; published, left over by a crash, or half removed.
pub fn names(generations: &Folder) -> Result<Vec<GenerationName>, Failure> {
    let listed = generations.names(|name| GenerationName::parse(name).is_some())?;
    let mut names: Vec<GenerationName> = listed
        .iter()
        .filter_map(|name| GenerationName::parse(name))
        .collect();
    names.sort_by_key(|name| name.number);
    Ok(names)
}

/// The newest generation on the way to the one that `current` names whose set is another; `None`: there is none. What cannot be trusted is
/// passed over.
pub fn before(output: &Folder, limits: &Limits) -> Result<Option<Generation>, Failure> {
    let Some(current) = current_name(output)? else {
        return Ok(None);
    };
    let Some(generations) = output.folder(GENERATIONS)? else {
        return Ok(None);
    };
    // Whatever has become of it: it is the one to leave.
    let manifest = manifest_of(&generations, &current, limits).ok().flatten();
    let set = manifest.as_ref().and_then(set_of);
    // What is between a generation and its parent was gone back from.
    let mut most = parent_number(manifest.as_ref()).unwrap_or(current.number - 1);
    for name in names(&generations)?.into_iter().rev() {
        if name.number > most {
            continue;
        }
        let Ok(generation) = Generation::read(output, &generations, name, limits) else {
            continue;
        };
        let other = set_of(&generation.manifest);
        if set.is_none() || other.is_none() || other != set {
            return Ok(Some(generation));
        }
        most = parent_number(Some(&generation.manifest)).unwrap_or(most);
    }
    Ok(None)
}

pub fn parent_number(manifest: Option<&Manifest>) -> Option<u64> {
    let parent = GenerationName::parse(manifest?.parent.as_deref()?)?;
    Some(parent.number)
}

/// The numbers of the generations there are, the smallest first.
pub fn kept(output: &Folder) -> Result<Vec<u64>, Failure> {
    let generations = output.folder(GENERATIONS)?;
    let names = generations.as_ref().map(names).transpose()?;
    let numbers = names.into_iter().flatten().map(|name| name.number);
    Ok(numbers.collect())
}

/// The generation of this number, if it is there. `Err` (73): it cannot be trusted.
pub fn numbered(
    output: &Folder,
    number: u64,
    limits: &Limits,
) -> Result<Option<Generation>, Failure> {
    let Some(generations) = output.folder(GENERATIONS)? else {
        return Ok(None);
    };
    let named = names(&generations)?;
    let named = named.into_iter().find(|name| name.number == number);
    named
        .map(|name| Generation::read(output, &generations, name, limits))
        .transpose()
}

/// Reads the manifest of any generation; `None` when it has none, as one half removed has. `Err`: it cannot be read.
pub fn manifest_of(
    generations: &Folder,
    name: &GenerationName,
    limits: &Limits,
) -> Result<Option<Manifest>, Failure> {
    let Some(folder) = generations.folder(&name.to_string())? else {
        return Ok(None);
    };
    let bytes = folder.read(manifest::FILE, limits.manifest_bytes)?;
    let shown = || folder.shown(manifest::FILE);
    bytes
        .map(|bytes| Manifest::from_bytes(&bytes))
        .transpose()
        .map_err(|what| untrusted(format!("`{}` {what}", shown())))
}

/// A crash of the first run leaves a first generation and no `current`, and perhaps a first segment. Anything later was
/// published, and `current` is what got lost: going on would begin from nothing, and remove what is above that.
fn refuse_a_lost_current(output: &Folder, limits: &Limits) -> Result<(), Failure> {
    let generations = output.folder(GENERATIONS)?;
    let newest = generations.as_ref().map(names).transpose()?;
    let newest = newest.and_then(|names| names.last().map(|name| name.number));
    let segment = segment::names(output)?.last().map(|name| name.number);
    match newest.max(segment) {
        Some(number) if number > 1 => Err(untrusted(format!(
            "cannot read the link `{}`: it is missing, and generation {} was published; {}",
            output.shown(CURRENT),
            number - 1,
            way_back(output, None, limits)
        ))),
        _ => Ok(()),
    }
}

/// What a person can do: the newest other generation that can be trusted, and the line that goes back to it.
fn way_back(output: &Folder, from: Option<&GenerationName>, limits: &Limits) -> String {
    let dir = output.path().display();
    let trusted = || {
        let generations = output.folder(GENERATIONS).ok()??;
        let names = names(&generations).ok()?;
        let older = names
            .into_iter()
            .rev()
            .filter(|name| from.is_none_or(|from| name.number < from.number));
        older
            .take(WAY_BACK_GENERATIONS_MAX)
            .find(|name| Generation::read(output, &generations, name.clone(), limits).is_ok())
    };
    match trusted() {
        Some(name) => format!(
            "to continue from {name}: `ln -s {} {dir}/.new && mv -T {dir}/.new {dir}/{CURRENT}`",
            link(&name)
        ),
        None => format!("restore `{dir}` from a backup, or move it away to fetch everything again"),
    }
}

fn untrusted(message: String) -> Failure {
    Failure::new(Outcome::OutputUnusable, message)
}

#[cfg(test)]
mod tests;
