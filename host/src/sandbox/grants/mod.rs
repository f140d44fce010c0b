//! Grants: everything a component may touch, in one value; what is not in it does not exist for the component.
//!
//! Six capabilities, one file each: requests ([`http`]), signatures of them ([`signer`]), the staging folder ([`files`]), settings
//! ([`mod@env`]), the log ([`log`]) and the clocks ([`clock`]). What toolchains import besides is there and grants nothing ([`satisfied`]). What the
//! child holds for a component is counted in [`meter`]. This side speaks WASI; `egress`, in the parent, does not.

mod clock;
mod env;
mod exceeded;
mod files;
mod held;
mod http;
mod log;
mod meter;
mod satisfied;
mod signer;

use std::fs::File;
use std::os::fd::OwnedFd;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

pub use self::exceeded::Exceeded;
use self::files::{StagingFolder, StagingView};
use self::http::CountedHttp;
use self::meter::{Growth, Meter};
pub use self::satisfied::Exited;
use self::satisfied::RandomNumbers;
use self::signer::StandIns;
use crate::limits::Limits;
use crate::sandbox::requests::Requests;

/// What one call of a component may touch.
pub struct Grants {
    /// Where its requests go; nowhere for `describe`.
    pub requests: Option<Requests>,
    /// The staging folder, empty and held open; none for `describe`.
    pub staging: Option<OwnedFd>,
    /// Bytes it may stage: what its earlier portions left of `limits.staged_bytes`.
    pub staged_bytes_left: u64,
    /// The settings it declared, never a secret.
    pub environment: Vec<(String, String)>,
    /// How stand-ins for signatures begin; none where nothing is signed.
    pub signing_mark: Option<String>,
    /// Where its stderr and its stdout go.
    pub stderr: File,
    /// Memory it may use: its own, and what is held for it.
    pub memory_bytes: u64,
}

/// What the engine holds for one component while it runs.
pub struct Granted {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: http::Hooks,
    staging: Option<StagingFolder>,
    table: ResourceTable,
    random: RandomNumbers,
    signer: StandIns,
    meter: Meter,
}

impl Granted {
    /// Makes the component's world of `grants`.
    pub fn new(grants: Grants, limits: &Limits) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_tcp(false).allow_udp(false);
        clock::grant(&mut wasi);
        env::grant(&mut wasi, &grants.environment);
        log::grant(&mut wasi, grants.stderr);
        let staging = grants.staging.map(|folder| {
            let (left, all) = (grants.staged_bytes_left, limits.staged_bytes);
            StagingFolder::new(folder, left, all, limits.staged_files)
        });
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.request_head_bytes.max(limits.response_head_bytes) * 2);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resource_handles);
        let meter = Meter::new(grants.memory_bytes, limits);
        let signer = StandIns::new(grants.signing_mark);
        Self {
            wasi: wasi.build(),
            http,
            hooks: http::Hooks::new(grants.requests, signer.has_key(), meter.pending_requests()),
            staging,
            table,
            random: RandomNumbers::new(limits),
            signer,
            meter,
        }
    }

    /// Bytes that were staged: the largest its files were, together.
    pub fn staged_bytes(&self) -> u64 {
        self.staging.as_ref().map_or(0, StagingFolder::peak_bytes)
    }

    /// Whether no staged file was written to but at its end.
    pub fn staged_only_grew(&self) -> bool {
        (self.staging.as_ref()).is_some_and(StagingFolder::only_grew)
    }

    /// The largest its memories and tables have been, together.
    pub fn memory_peak_bytes(&self) -> usize {
        self.meter.memory_peak_bytes
    }

    /// The most entries that one of its tables had.
    pub fn table_peak_elements(&self) -> usize {
        self.meter.table_peak_elements
    }

    /// Why a memory or a table was refused to grow: what the component made of it may be any trap.
    pub fn refused(&self) -> Option<&Exceeded> {
        self.meter.exceeded.as_ref()
    }

    fn counted_http(&mut self) -> CountedHttp<'_> {
        CountedHttp {
            http: WasiHttpCtxView {
                ctx: &mut self.http,
                table: &mut self.table,
                hooks: &mut self.hooks,
            },
            meter: &mut self.meter,
        }
    }

    fn staging(&mut self) -> StagingView<'_> {
        StagingView {
            staging: self.staging.as_mut(),
            table: &mut self.table,
        }
    }
}

/// Offers the interfaces of the worlds `signing-connector` and `satisfied`, and no other.
pub fn link(engine: &Engine) -> wasmtime::Result<Linker<Granted>> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
    use wasmtime_wasi::p2::bindings::{cli, clocks};

    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasmtime_wasi_io::add_to_linker_async(l)?;
    clocks::monotonic_clock::add_to_linker::<Granted, WasiClocks>(l, Granted::clocks)?;
    clocks::wall_clock::add_to_linker::<Granted, WasiClocks>(l, Granted::clocks)?;
    files::link(l, Granted::staging)?;
    cli::environment::add_to_linker::<Granted, WasiCli>(l, Granted::cli)?;
    cli::stderr::add_to_linker::<Granted, WasiCli>(l, Granted::cli)?;
    http::link(l, Granted::counted_http)?;
    signer::link(l, |granted| &mut granted.signer)?;
    satisfied::link(l)?;
    Ok(linker)
}

impl WasiView for Granted {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl wasmtime_wasi_io::IoView for Granted {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl ResourceLimiter for Granted {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = Growth::new(current, desired, maximum);
        Ok(self.meter.grow_memory(growth, &mut self.table))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = Growth::new(current, desired, maximum);
        Ok(self.meter.grow_table(growth, &mut self.table))
    }

    fn instances(&self) -> usize {
        self.meter.instances_max
    }

    fn memories(&self) -> usize {
        self.meter.instances_max
    }

    fn tables(&self) -> usize {
        self.meter.instances_max
    }
}
