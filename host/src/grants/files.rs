//! The one folder a component may write to: the staging folder, as `/out`.
//!
//! WASI's own path rules are the first wall; that the folder is private, empty and never published from directly is the
//! second, and is `lock`'s and `sink`'s business.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::anyhow;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::filesystem::FsPerms;

/// Grants the folder behind `folder`, whatever its name has become since it was opened.
pub fn grant(wasi: &mut WasiCtxBuilder, folder: &OwnedFd) -> anyhow::Result<()> {
    let held = format!("/proc/self/fd/{}", folder.as_raw_fd());
    wasi.preopened_dir(&held, "/out", FsPerms::ReadWrite)
        .map_err(|error| anyhow!("open the staging folder: {error:#}"))?;
    Ok(())
}
