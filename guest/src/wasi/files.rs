//! Files in the folder that a component is given, by WASI.

use super::exports::bindings::wasi::filesystem::preopens;
use super::exports::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode as FileError, OpenFlags, PathFlags,
};
use crate::ports::{StagedFile, Staging};

/// Written at once to a file: one host call can carry it.
const WRITE_BYTES: usize = 1024 * 1024;

/// Read of one at once.
const READ_BYTES: u64 = 1024 * 1024;

/// Files in the first folder we were given.
pub struct Files {
    folder: Option<Descriptor>,
    name_of: fn(StagedFile) -> &'static str,
    open: Vec<OpenFile>,
}

struct OpenFile {
    file: StagedFile,
    descriptor: Descriptor,
    length: u64,
}

impl Files {
    /// Nothing is opened before it is written to.
    pub fn in_first_folder(name_of: fn(StagedFile) -> &'static str) -> Self {
        let folder = preopens::get_directories().into_iter().next();
        Self::in_folder(folder.map(|(descriptor, _)| descriptor), name_of)
    }

    /// The same in another folder.
    pub fn in_folder(folder: Option<Descriptor>, name_of: fn(StagedFile) -> &'static str) -> Self {
        Self {
            folder,
            name_of,
            open: Vec::new(),
        }
    }

    /// Begins a file, which may stay empty.
    pub fn begin(&mut self, file: StagedFile) -> Result<(), String> {
        self.opened(file).map(drop)
    }

    fn opened(&mut self, file: StagedFile) -> Result<&mut OpenFile, String> {
        if let Some(at) = self.open.iter().position(|open| open.file == file) {
            return Ok(&mut self.open[at]);
        }
        let name = (self.name_of)(file);
        let folder = self.folder()?;
        let descriptor = created(folder, name)?;
        self.open.push(OpenFile {
            file,
            descriptor,
            length: 0,
        });
        let last = self.open.len() - 1;
        Ok(&mut self.open[last])
    }

    /// Syncs a file and gives it its final name.
    pub fn make_current(&mut self, file: StagedFile, name: &str) -> Result<(), String> {
        let temporary = (self.name_of)(file);
        let open = self.opened(file)?;
        synced(&open.descriptor, temporary)?;
        self.renamed(temporary, name)?;
        self.open.retain(|open| open.file != file);
        Ok(())
    }

    /// The whole text of a file; none where there is none. `Err` where it is longer than `bytes_max`.
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, String> {
        read(self.folder()?, PathFlags::empty(), name, bytes_max)
    }

    /// How many lines a file has; none where there is none.
    pub fn lines(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(file) = opened(self.folder()?, PathFlags::empty(), name)? else {
            return Ok(None);
        };
        let (mut at, mut lines, mut is_in_line) = (0, 0, false);
        loop {
            let (piece, is_end) = file
                .read(READ_BYTES, at)
                .map_err(|error| file_error("read", name, error))?;
            let ends = memchr::memchr_iter(b'\n', &piece).count();
            lines += u64::try_from(ends).unwrap_or(u64::MAX);
            at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            is_in_line = piece.last().map_or(is_in_line, |last| *last != b'\n');
            if is_end || piece.is_empty() {
                return Ok(Some(lines + u64::from(is_in_line)));
            }
        }
    }

    /// Whether there is anything of this name.
    pub fn has(&self, name: &str) -> Result<bool, String> {
        match self.folder()?.stat_at(PathFlags::empty(), name) {
            Ok(_) => Ok(true),
            Err(FileError::NoEntry) => Ok(false),
            Err(error) => Err(file_error("look at", name, error)),
        }
    }

    /// Writes a whole file through a temporary name.
    pub fn replace(&self, name: &str, text: &[u8]) -> Result<(), String> {
        let temporary = format!(".{name}.part");
        let descriptor = created(self.folder()?, &temporary)?;
        let written = written(&descriptor, &temporary, text, 0)
            .and_then(|_| synced(&descriptor, &temporary))
            .and_then(|()| self.renamed(&temporary, name));
        if written.is_err() {
            self.remove(&temporary);
        }
        written
    }

    /// Makes a folder, if there is none.
    pub fn make_folder(&self, name: &str) -> Result<(), String> {
        match self.folder()?.create_directory_at(name) {
            Ok(()) | Err(FileError::Exist) => Ok(()),
            Err(error) => Err(file_error("create", name, error)),
        }
    }

    /// Removes a file, if there is one.
    pub fn remove(&self, name: &str) {
        if let Some(folder) = &self.folder {
            let _ = folder.unlink_file_at(name);
        }
    }

    fn folder(&self) -> Result<&Descriptor, String> {
        let none = || "no folder to write to was given".to_owned();
        self.folder.as_ref().ok_or_else(none)
    }

    /// Gives a file its final name, and syncs the folder that has it.
    fn renamed(&self, temporary: &str, name: &str) -> Result<(), String> {
        let folder = self.folder()?;
        folder
            .rename_at(temporary, folder, name)
            .map_err(|error| file_error("rename", temporary, error))?;
        // Some runtimes cannot sync a folder; the file itself is safe either way.
        if let Some((below, _)) = name.rsplit_once('/') {
            let opened = folder.open_at(
                PathFlags::empty(),
                below,
                OpenFlags::DIRECTORY,
                DescriptorFlags::READ,
            );
            let _ = opened.map(|below| below.sync());
        }
        let _ = folder.sync();
        Ok(())
    }

    /// Removes what was begun and has no final name.
    pub fn remove_leftovers(&mut self) {
        for open in std::mem::take(&mut self.open) {
            self.remove((self.name_of)(open.file));
        }
    }
}

impl Staging for Files {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        let name = (self.name_of)(file);
        let open = self.opened(file)?;
        open.length = written(&open.descriptor, name, lines, open.length)?;
        Ok(())
    }
}

/// The text of a file below one of the folders that the runtime gave. `Err` says what is wrong with it.
pub fn text_of(
    folders: &[(Descriptor, String)],
    path: &str,
    bytes_max: u64,
) -> Result<String, String> {
    let below = |name: &str| {
        let name = name.trim_end_matches('/');
        let rest = path.strip_prefix(name)?;
        // A folder `/`, or one that this one is in.
        (name.is_empty() || rest.starts_with('/'))
            .then(|| (name.len(), rest.trim_start_matches('/')))
    };
    let found = folders.iter().filter(|_| path.starts_with('/'));
    let found =
        found.filter_map(|(folder, name)| below(name).map(|(length, rest)| (length, folder, rest)));
    let first = folders.first().filter(|_| !path.starts_with('/'));
    let (_, folder, rest) = found
        .max_by_key(|(length, ..)| *length)
        .or(first.map(|(folder, _)| (0, folder, path)))
        .ok_or("it is not below a folder that the runtime gave")?;
    let is_file = folder
        .stat_at(PathFlags::SYMLINK_FOLLOW, rest)
        .map_err(why)?
        .type_
        == DescriptorType::RegularFile;
    if !is_file {
        return Err("it is not a regular file".to_owned());
    }
    let text = read(folder, PathFlags::SYMLINK_FOLLOW, rest, bytes_max)?;
    let text = text.ok_or("it does not exist")?;
    String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())
}

/// A file; none where there is none.
fn opened(folder: &Descriptor, links: PathFlags, name: &str) -> Result<Option<Descriptor>, String> {
    let opened = folder.open_at(links, name, OpenFlags::empty(), DescriptorFlags::READ);
    match opened {
        Err(FileError::NoEntry) => Ok(None),
        opened => opened
            .map(Some)
            .map_err(|error| file_error("open", name, error)),
    }
}

fn read(
    folder: &Descriptor,
    links: PathFlags,
    name: &str,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = opened(folder, links, name)? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    loop {
        let at = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if at > bytes_max {
            return Err(format!(
                "cannot read `{name}`: it has more than {bytes_max} bytes"
            ));
        }
        let (piece, is_end) = file
            .read(bytes_max + 1 - at, at)
            .map_err(|error| file_error("read", name, error))?;
        text.extend_from_slice(&piece);
        if is_end || piece.is_empty() {
            return Ok(Some(text));
        }
    }
}

/// Writes all of it at `at`, and says where it ends.
fn written(file: &Descriptor, name: &str, text: &[u8], mut at: u64) -> Result<u64, String> {
    let mut rest = text;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(WRITE_BYTES)];
        let taken = file
            .write(piece, at)
            .map_err(|error| file_error("write", name, error))?;
        if taken == 0 {
            return Err(format!("cannot write `{name}`: no bytes were written"));
        }
        at += taken;
        rest = &rest[usize::try_from(taken).unwrap_or(rest.len()).min(rest.len())..];
    }
    Ok(at)
}

fn synced(file: &Descriptor, name: &str) -> Result<(), String> {
    file.sync().map_err(|error| file_error("sync", name, error))
}

fn created(folder: &Descriptor, name: &str) -> Result<Descriptor, String> {
    let created = folder.open_at(
        PathFlags::empty(),
        name,
        OpenFlags::CREATE | OpenFlags::TRUNCATE,
        DescriptorFlags::WRITE,
    );
    created.map_err(|error| file_error("create", name, error))
}

fn file_error(doing: &str, name: &str, error: FileError) -> String {
    format!("cannot {doing} `{name}`: {}", why(error))
}

fn why(error: FileError) -> String {
    if error == FileError::Quota {
        return "the disk quota of this user is used up".to_owned();
    }
    // WASI's own words for it go on to say how POSIX calls it.
    let why = error.message();
    why.split_once(", similar to")
        .map_or(why, |(why, _)| why)
        .to_owned()
}
