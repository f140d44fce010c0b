//! Grants: everything a component may touch, in one value; what is not in it does not exist for the component.
//!
//! Five capabilities, one file each: requests ([`http`]), the staging folder ([`files`]), settings ([`mod@env`]), the log
//! ([`log`]) and clocks (WASI's own). This side speaks WASI; `egress` behind it does not.

mod env;
mod files;
mod http;
mod log;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub use self::http::Outbound;
use crate::limits::Limits;
use crate::log::Log;

/// What one run of a component may touch.
pub struct Grants {
    /// Where its requests go; nowhere for `describe`.
    pub outbound: Option<Arc<dyn Outbound>>,
    /// The staging folder, held open; none for `describe`.
    pub staging: Option<OwnedFd>,
    /// The settings it declared, never a secret.
    pub environment: Vec<(String, String)>,
    /// Where its lines of stderr go.
    pub log: Log,
    /// CPU time it may use.
    pub cpu: Duration,
    /// Linear memory it may use.
    pub memory_bytes: u64,
}

/// What the engine holds for one component while it runs.
pub struct Granted {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: http::Hooks,
    table: ResourceTable,
    /// What it has used up.
    pub meter: Meter,
}

/// The component's use of memory, and which limit it ran into.
pub struct Meter {
    memory_bytes_max: usize,
    table_elements_max: usize,
    /// The largest its memories have been, together.
    pub memory_peak_bytes: usize,
    memory_bytes: usize,
    /// A memory or a table was refused to grow.
    pub memory_refused: bool,
}

impl Granted {
    /// Makes the component's world of `grants`.
    pub fn new(grants: Grants, limits: &Limits) -> anyhow::Result<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_tcp(false)
            .allow_udp(false)
            .max_random_size(64 * 1024);
        env::grant(&mut wasi, &grants.environment);
        log::grant(&mut wasi, grants.log, limits);
        if let Some(folder) = &grants.staging {
            files::grant(&mut wasi, folder)?;
        }
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.request_head_bytes.max(limits.response_head_bytes) * 2);
        let mut table = ResourceTable::new();
        // wasmtime-wasi-http 48 keeps the options of every request until the end.
        let kept = usize::try_from(limits.requests).unwrap_or(usize::MAX);
        table.set_max_capacity(limits.resource_handles.saturating_add(kept));
        Ok(Self {
            wasi: wasi.build(),
            http,
            hooks: http::Hooks::new(grants.outbound),
            table,
            meter: Meter {
                memory_bytes_max: usize::try_from(grants.memory_bytes).unwrap_or(usize::MAX),
                table_elements_max: limits.table_elements,
                memory_peak_bytes: 0,
                memory_bytes: 0,
                memory_refused: false,
            },
        })
    }
}

/// Offers the eleven interfaces of the world `connector`, and no other.
pub fn link(engine: &Engine) -> wasmtime::Result<Linker<Granted>> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
    use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem};
    use wasmtime_wasi_http::WasiHttp;
    use wasmtime_wasi_http::p2::bindings::http as wasi_http;

    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasmtime_wasi_io::add_to_linker_async(l)?;
    clocks::monotonic_clock::add_to_linker::<Granted, WasiClocks>(l, Granted::clocks)?;
    clocks::wall_clock::add_to_linker::<Granted, WasiClocks>(l, Granted::clocks)?;
    filesystem::types::add_to_linker::<Granted, WasiFilesystem>(l, Granted::filesystem)?;
    filesystem::preopens::add_to_linker::<Granted, WasiFilesystem>(l, Granted::filesystem)?;
    cli::environment::add_to_linker::<Granted, WasiCli>(l, Granted::cli)?;
    cli::stderr::add_to_linker::<Granted, WasiCli>(l, Granted::cli)?;
    let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
    wasi_http::types::add_to_linker::<Granted, WasiHttp>(l, &(&options).into(), Granted::http)?;
    wasi_http::outgoing_handler::add_to_linker::<Granted, WasiHttp>(l, Granted::http)?;
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

impl WasiHttpView for Granted {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .memory_bytes
            .saturating_add(desired.saturating_sub(current));
        let allowed = total <= self.memory_bytes_max;
        if allowed {
            self.memory_bytes = total;
            self.memory_peak_bytes = self.memory_peak_bytes.max(total);
        } else {
            self.memory_refused = true;
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_elements_max;
        self.memory_refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }
}

/// Core instances, memories and tables of one component: wit-component makes a handful.
const INSTANCES_MAX: usize = 32;
