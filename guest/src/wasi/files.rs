//! Files in the folder that a component is given, by WASI.

use super::exports::bindings::wasi::filesystem::preopens;
use super::exports::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode as FileError, OpenFlags, PathFlags,
};
use crate::ports::{StagedFile, Staging};

/// Written at once to a file: one host call can carry it.
const WRITE_BYTES: usize = 1024 * 1024;

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
        Self {
            folder: folder.map(|(descriptor, _)| descriptor),
            name_of,
            open: Vec::new(),
        }
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
        let opened = self.folder()?.open_at(
            PathFlags::empty(),
            name,
            OpenFlags::empty(),
            DescriptorFlags::READ,
        );
        let file = match opened {
            Err(FileError::NoEntry) => return Ok(None),
            opened => opened.map_err(|error| file_error("open", name, error))?,
        };
        let mut text = Vec::new();
        loop {
            let at = u64::try_from(text.len()).unwrap_or(u64::MAX);
            if at > bytes_max {
                return Err(format!("read `{name}`: it has more than {bytes_max} bytes"));
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

/// Writes all of it at `at`, and says where it ends.
fn written(file: &Descriptor, name: &str, text: &[u8], mut at: u64) -> Result<u64, String> {
    let mut rest = text;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(WRITE_BYTES)];
        let taken = file
            .write(piece, at)
            .map_err(|error| file_error("write", name, error))?;
        if taken == 0 {
            return Err(format!("write `{name}`: no bytes were written"));
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
    // WASI's own words for it go on to say how POSIX calls it.
    let why = error.message();
    let why = why.split_once(", similar to").map_or(why, |(why, _)| why);
    format!("{doing} `{name}`: {why}")
}
