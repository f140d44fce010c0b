//! The staging folder and what is open in it: files by name, each made here once, and what WASI says of them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use wasmtime::component::ResourceTableError;

use super::bindings::wasi::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, MetadataHashValue, OpenFlags,
};
use super::file::{Room, StagedFile, WriteError};
use crate::limits::STAGED_NAME_BYTES_MAX;
use crate::sandbox::grants::exceeded::Exceeded;

/// The number of the folder itself among the files.
const FOLDER_NUMBER: u64 = 0;

/// The staging folder of one run of a component.
pub struct StagingFolder {
    folder: OwnedFd,
    files: BTreeMap<String, Arc<StagedFile>>,
    files_max: usize,
    room: Arc<Room>,
}

impl StagingFolder {
    /// The folder behind `folder`, which is empty, with room for `bytes_left` of the run's `bytes_max`.
    pub fn new(folder: OwnedFd, bytes_left: u64, bytes_max: u64, files_max: usize) -> Self {
        Self {
            folder,
            files: BTreeMap::new(),
            files_max,
            room: Arc::new(Room::new(bytes_left, bytes_max)),
        }
    }

    /// The largest all its files were, together.
    pub fn peak_bytes(&self) -> u64 {
        self.room.peak_bytes()
    }

    /// Whether no file was written to but at its end.
    pub fn only_grew(&self) -> bool {
        self.files.values().all(|file| file.only_grew())
    }

    /// What is at `path`, opened with `flags` for `access`.
    pub fn at(
        &mut self,
        path: &str,
        flags: OpenFlags,
        access: DescriptorFlags,
    ) -> Result<Descriptor, FileError> {
        match place(path)? {
            Resolved::Folder if flags.contains(OpenFlags::CREATE) => {
                Err(ErrorCode::IsDirectory.into())
            }
            Resolved::Folder => Ok(Descriptor::Folder),
            Resolved::Name(name) if flags.contains(OpenFlags::DIRECTORY) => {
                let known = self.files.contains_key(name);
                Err(if known {
                    ErrorCode::NotDirectory
                } else {
                    ErrorCode::NoEntry
                }
                .into())
            }
            Resolved::Name(name) => Ok(Descriptor::File(self.open(name, flags)?, access)),
        }
    }

    /// The name that comes after this one.
    pub fn name_after(&self, last: &str) -> Option<&str> {
        let behind = (Bound::Excluded(last), Bound::Unbounded);
        let next = self.files.range::<str, _>(behind).next();
        next.map(|(name, _)| name.as_str())
    }

    /// The file of this name, or a new one where `flags` say so.
    fn open(&mut self, name: &str, flags: OpenFlags) -> Result<Arc<StagedFile>, FileError> {
        if let Some(file) = self.files.get(name) {
            if flags.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE) {
                return Err(ErrorCode::Exist.into());
            }
            if flags.contains(OpenFlags::TRUNCATE) {
                file.set_size(0)?;
            }
            return Ok(Arc::clone(file));
        }
        if !flags.contains(OpenFlags::CREATE) {
            return Err(ErrorCode::NoEntry.into());
        }
        if self.files.len() >= self.files_max {
            return Err(Exceeded::StagedFiles(self.files_max).into());
        }
        let anew = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.folder, name, anew | OFlags::RDWR, mode)?;
        let number = self.files.len() as u64 + FOLDER_NUMBER + 1;
        let file = Arc::new(StagedFile::new(file, number, Arc::clone(&self.room)));
        self.files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

/// What a component has opened.
#[derive(Clone)]
pub enum Descriptor {
    Folder,
    /// A file in it.
    File(Arc<StagedFile>, DescriptorFlags),
}

impl Descriptor {
    /// The file; the folder is none.
    pub fn file(&self) -> Result<&Arc<StagedFile>, FileError> {
        match self {
            Self::Folder => Err(ErrorCode::IsDirectory.into()),
            Self::File(file, _) => Ok(file),
        }
    }

    /// The file, if it was opened for reading.
    pub fn readable(&self) -> Result<&Arc<StagedFile>, FileError> {
        match self {
            Self::File(_, flags) if !flags.contains(DescriptorFlags::READ) => {
                Err(ErrorCode::NotPermitted.into())
            }
            _ => self.file(),
        }
    }

    /// The file, if it was opened for writing.
    pub fn writable(&self) -> Result<&Arc<StagedFile>, FileError> {
        match self {
            Self::File(_, flags) if !flags.contains(DescriptorFlags::WRITE) => {
                Err(ErrorCode::NotPermitted.into())
            }
            _ => self.file(),
        }
    }

    /// What WASI says of it.
    pub fn stat(&self) -> DescriptorStat {
        let (type_, size) = match self {
            Self::Folder => (DescriptorType::Directory, 0),
            Self::File(file, _) => (DescriptorType::RegularFile, file.size()),
        };
        // A file's times would be a finer clock than the one that is granted.
        DescriptorStat {
            type_,
            link_count: 1,
            size,
            data_access_timestamp: None,
            data_modification_timestamp: None,
            status_change_timestamp: None,
        }
    }

    /// Tells it from everything else that is open.
    pub fn hash(&self) -> MetadataHashValue {
        let lower = match self {
            Self::Folder => FOLDER_NUMBER,
            Self::File(file, _) => file.number,
        };
        MetadataHashValue { lower, upper: 0 }
    }
}

/// The names in the folder, in order: those behind this one were not given out yet.
#[derive(Default)]
pub struct Listing(pub String);

/// A file call that did not work: the component's to deal with, or the end of it.
#[derive(Debug)]
pub enum FileError {
    /// WASI's word for what the system said.
    Code(ErrorCode),
    /// The end of the run.
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for FileError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<Errno> for FileError {
    fn from(error: Errno) -> Self {
        Self::Code(error_code(error))
    }
}

impl From<WriteError> for FileError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Os(error) => error.into(),
            WriteError::Exceeded(limit) => limit.into(),
        }
    }
}

impl From<Exceeded> for FileError {
    fn from(limit: Exceeded) -> Self {
        Self::Trap(limit.into())
    }
}

impl From<ResourceTableError> for FileError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

/// WASI's word for it.
pub fn error_code(error: Errno) -> ErrorCode {
    match error {
        Errno::NOSPC => ErrorCode::InsufficientSpace,
        Errno::DQUOT => ErrorCode::Quota,
        Errno::FBIG => ErrorCode::FileTooLarge,
        Errno::EXIST => ErrorCode::Exist,
        Errno::ACCESS => ErrorCode::Access,
        Errno::PERM => ErrorCode::NotPermitted,
        Errno::ROFS => ErrorCode::ReadOnly,
        Errno::INVAL => ErrorCode::Invalid,
        Errno::NOENT => ErrorCode::NoEntry,
        Errno::NOMEM => ErrorCode::InsufficientMemory,
        _ => ErrorCode::Io,
    }
}

/// Where a path of a component leads.
pub enum Resolved<'p> {
    /// To the folder itself.
    Folder,
    /// To a file in it, which may be there.
    Name(&'p str),
}

/// `Err` is what WASI says of a path that leads nowhere, or out of the folder.
pub fn place(path: &str) -> Result<Resolved<'_>, ErrorCode> {
    let path = path.strip_prefix("./").unwrap_or(path);
    match path {
        "." | "" => Ok(Resolved::Folder),
        ".." => Err(ErrorCode::NotPermitted),
        _ if path.contains('\0') => Err(ErrorCode::Invalid),
        _ if path.contains('/') => Err(ErrorCode::NotPermitted),
        _ if path.len() > STAGED_NAME_BYTES_MAX => Err(ErrorCode::NameTooLong),
        name => Ok(Resolved::Name(name)),
    }
}
