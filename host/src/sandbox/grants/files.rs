//! The one folder a component may write to: the staging folder, as `/out`.
//!
//! WASI's own words for exactly that: plain files in one flat folder, which is empty at first. A name is used once, to make
//! a file; whatever is opened later is a file that was made here, so no path is ever followed. There are no folders, links,
//! renames, removals or times: those are refused as `not-permitted`. Bytes and files are counted before they are made, and
//! a limit that is reached ends the run ([`Exceeded`](super::Exceeded)).

mod file;
mod folder;
mod stream;

use std::sync::Arc;

use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use self::bindings::wasi::filesystem::preopens;
use self::bindings::wasi::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
pub use self::folder::StagingFolder;
use self::folder::{Descriptor, FileError, Listing, Resolved, place};
use self::stream::{Reading, Writing};
use crate::limits::STREAM_CALL_BYTES_MAX;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "wasi:filesystem/imports",
        imports: { default: trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:filesystem/types.descriptor": super::folder::Descriptor,
            "wasi:filesystem/types.directory-entry-stream": super::folder::Listing,
        },
        trappable_error_type: {
            "wasi:filesystem/types.error-code" => super::folder::FileError,
        },
    });
}

/// The staging folder with the table that its handles are in, for one call.
pub struct StagingView<'a> {
    /// None where nothing is staged, as for `describe`.
    pub staging: Option<&'a mut StagingFolder>,
    pub table: &'a mut ResourceTable,
}

/// Names [`StagingView`] to the linker.
pub struct HasStaging;

impl HasData for HasStaging {
    type Data<'a> = StagingView<'a>;
}

/// Offers `wasi:filesystem`.
pub fn link<T: Send + 'static>(
    linker: &mut wasmtime::component::Linker<T>,
    view: fn(&mut T) -> StagingView<'_>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<T, HasStaging>(linker, view)?;
    preopens::add_to_linker::<T, HasStaging>(linker, view)
}

impl StagingView<'_> {
    fn get(&self, descriptor: &Resource<Descriptor>) -> Result<&Descriptor, FileError> {
        Ok(self.table.get(descriptor)?)
    }

    /// What is at `path` in the folder `descriptor`.
    fn at(
        &mut self,
        descriptor: &Resource<Descriptor>,
        path: &str,
        flags: OpenFlags,
        access: DescriptorFlags,
    ) -> Result<Descriptor, FileError> {
        if !matches!(self.get(descriptor)?, Descriptor::Folder) {
            return Err(ErrorCode::NotDirectory.into());
        }
        let staging = self.staging.as_mut().ok_or(ErrorCode::NotPermitted)?;
        staging.at(path, flags, access)
    }
}

impl preopens::Host for StagingView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        if self.staging.is_none() {
            return Ok(Vec::new());
        }
        let folder = self.table.push(Descriptor::Folder)?;
        Ok(vec![(folder, "/out".to_owned())])
    }
}

impl types::Host for StagingView<'_> {
    fn convert_error_code(&mut self, error: FileError) -> wasmtime::Result<ErrorCode> {
        match error {
            FileError::Code(code) => Ok(code),
            FileError::Trap(error) => Err(error),
        }
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<ErrorCode>().copied())
    }
}

impl types::HostDescriptor for StagingView<'_> {
    fn read_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        at: u64,
    ) -> Result<Resource<DynInputStream>, FileError> {
        let file = Arc::clone(self.get(&file)?.readable()?);
        let stream: DynInputStream = Box::new(Reading { file, at });
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        at: u64,
    ) -> Result<Resource<DynOutputStream>, FileError> {
        let file = Arc::clone(self.get(&file)?.writable()?);
        let stream: DynOutputStream = Box::new(Writing { file, at: Some(at) });
        Ok(self.table.push(stream)?)
    }

    fn append_via_stream(
        &mut self,
        file: Resource<Descriptor>,
    ) -> Result<Resource<DynOutputStream>, FileError> {
        let file = Arc::clone(self.get(&file)?.writable()?);
        let stream: DynOutputStream = Box::new(Writing { file, at: None });
        Ok(self.table.push(stream)?)
    }

    fn advise(
        &mut self,
        file: Resource<Descriptor>,
        _offset: u64,
        _bytes: u64,
        _advice: Advice,
    ) -> Result<(), FileError> {
        self.get(&file)?.file().map(drop)
    }

    // No staged file is ever published: the host syncs what it publishes.
    fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> Result<(), FileError> {
        self.get(&descriptor).map(drop)
    }

    fn sync(&mut self, descriptor: Resource<Descriptor>) -> Result<(), FileError> {
        self.get(&descriptor).map(drop)
    }

    fn get_flags(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> Result<DescriptorFlags, FileError> {
        Ok(match self.get(&descriptor)? {
            Descriptor::Folder => DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY,
            Descriptor::File(_, flags) => *flags,
        })
    }

    fn get_type(&mut self, descriptor: Resource<Descriptor>) -> Result<DescriptorType, FileError> {
        Ok(self.get(&descriptor)?.stat().type_)
    }

    fn set_size(&mut self, file: Resource<Descriptor>, size: u64) -> Result<(), FileError> {
        Ok(self.get(&file)?.writable()?.set_size(size)?)
    }

    fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        _accessed: NewTimestamp,
        _modified: NewTimestamp,
    ) -> Result<(), FileError> {
        self.refuse(&descriptor)
    }

    fn read(
        &mut self,
        file: Resource<Descriptor>,
        bytes: u64,
        offset: u64,
    ) -> Result<(Vec<u8>, bool), FileError> {
        let file = self.get(&file)?.readable()?;
        let bytes_max = usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .min(STREAM_CALL_BYTES_MAX);
        let read = file.read(bytes_max, offset)?;
        let is_end = read.is_empty();
        Ok((read, is_end))
    }

    fn write(
        &mut self,
        file: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: u64,
    ) -> Result<u64, FileError> {
        self.get(&file)?.writable()?.write(&bytes, offset)?;
        Ok(bytes.len() as u64)
    }

    fn read_directory(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> Result<Resource<Listing>, FileError> {
        if !matches!(self.get(&descriptor)?, Descriptor::Folder) {
            return Err(ErrorCode::NotDirectory.into());
        }
        Ok(self.table.push(Listing::default())?)
    }

    fn create_directory_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path: String,
    ) -> Result<(), FileError> {
        match place(&path) {
            Ok(Resolved::Folder) => Err(ErrorCode::Exist.into()),
            _ => self.refuse(&descriptor),
        }
    }

    fn stat(&mut self, descriptor: Resource<Descriptor>) -> Result<DescriptorStat, FileError> {
        Ok(self.get(&descriptor)?.stat())
    }

    fn stat_at(
        &mut self,
        folder: Resource<Descriptor>,
        _follow: PathFlags,
        path: String,
    ) -> Result<DescriptorStat, FileError> {
        let found = self.at(&folder, &path, OpenFlags::empty(), DescriptorFlags::empty())?;
        Ok(found.stat())
    }

    fn set_times_at(
        &mut self,
        folder: Resource<Descriptor>,
        _follow: PathFlags,
        _path: String,
        _accessed: NewTimestamp,
        _modified: NewTimestamp,
    ) -> Result<(), FileError> {
        self.refuse(&folder)
    }

    fn link_at(
        &mut self,
        folder: Resource<Descriptor>,
        _follow: PathFlags,
        _path: String,
        _new_folder: Resource<Descriptor>,
        _new_path: String,
    ) -> Result<(), FileError> {
        self.refuse(&folder)
    }

    fn open_at(
        &mut self,
        folder: Resource<Descriptor>,
        _follow: PathFlags,
        path: String,
        open: OpenFlags,
        access: DescriptorFlags,
    ) -> Result<Resource<Descriptor>, FileError> {
        // As POSIX has it: a file that is cut must be open for writing, and no access asked for is reading.
        if open.contains(OpenFlags::TRUNCATE) && !access.contains(DescriptorFlags::WRITE) {
            return Err(ErrorCode::Invalid.into());
        }
        let wanted = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let access = match access & wanted {
            none if none == DescriptorFlags::empty() => DescriptorFlags::READ,
            access => access,
        };
        let opened = self.at(&folder, &path, open, access)?;
        Ok(self.table.push(opened)?)
    }

    fn readlink_at(
        &mut self,
        folder: Resource<Descriptor>,
        path: String,
    ) -> Result<String, FileError> {
        self.at(&folder, &path, OpenFlags::empty(), DescriptorFlags::empty())?;
        // There is something, and it is no link.
        Err(ErrorCode::Invalid.into())
    }

    fn remove_directory_at(
        &mut self,
        folder: Resource<Descriptor>,
        _path: String,
    ) -> Result<(), FileError> {
        self.refuse(&folder)
    }

    fn rename_at(
        &mut self,
        folder: Resource<Descriptor>,
        _path: String,
        _new_folder: Resource<Descriptor>,
        _new_path: String,
    ) -> Result<(), FileError> {
        self.refuse(&folder)
    }

    fn symlink_at(
        &mut self,
        folder: Resource<Descriptor>,
        _target: String,
        _path: String,
    ) -> Result<(), FileError> {
        self.refuse(&folder)
    }

    fn unlink_file_at(
        &mut self,
        folder: Resource<Descriptor>,
        _path: String,
    ) -> Result<(), FileError> {
        self.refuse(&folder)
    }

    fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&one)?.hash().lower == self.table.get(&other)?.hash().lower)
    }

    fn metadata_hash(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> Result<MetadataHashValue, FileError> {
        Ok(self.get(&descriptor)?.hash())
    }

    fn metadata_hash_at(
        &mut self,
        folder: Resource<Descriptor>,
        _follow: PathFlags,
        path: String,
    ) -> Result<MetadataHashValue, FileError> {
        let found = self.at(&folder, &path, OpenFlags::empty(), DescriptorFlags::empty())?;
        Ok(found.hash())
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(descriptor)?;
        Ok(())
    }
}

impl StagingView<'_> {
    /// What this grant has not, however it is asked for.
    fn refuse(&self, descriptor: &Resource<Descriptor>) -> Result<(), FileError> {
        self.get(descriptor)?;
        Err(ErrorCode::NotPermitted.into())
    }
}

impl types::HostDirectoryEntryStream for StagingView<'_> {
    fn read_directory_entry(
        &mut self,
        listing: Resource<Listing>,
    ) -> Result<Option<DirectoryEntry>, FileError> {
        let Listing(last) = self.table.get_mut(&listing)?;
        let staging = self.staging.as_ref().ok_or(ErrorCode::NotPermitted)?;
        let Some(name) = staging.name_after(last).map(str::to_owned) else {
            return Ok(None);
        };
        last.clone_from(&name);
        Ok(Some(DirectoryEntry {
            type_: DescriptorType::RegularFile,
            name,
        }))
    }

    fn drop(&mut self, listing: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        Ok(())
    }
}
