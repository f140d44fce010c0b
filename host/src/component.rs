//! Runs a component: instantiates it in its grants, calls `describe` or `run`, and tells the ways it can end apart.
//!
//! A report, a failure of its own, a trap, or a limit. What follows from each is decided in `run/call_component.rs`; the store is
//! dropped after every call, whatever came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::component::{
    Component, ComponentNamedList, Instance, Lift, Linker, ResourceTableError, TypedFunc,
};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use crate::component::grants::{Exceeded, FIXED, Granted, Grants};
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "connector",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:filesystem": wasmtime_wasi::p2::bindings::filesystem,
            "wasi:cli": wasmtime_wasi::p2::bindings::cli,
            "wasi:http": wasmtime_wasi_http::p2::bindings::http,
        },
    });
}

pub mod cache;
pub mod compile;
mod described;
pub mod engine;
pub mod grants;
mod said;
pub mod shape;
mod sighting;

pub use self::described::{Announced, Description, FETCH_LESS, Setting, Staging, is_settable};
pub use self::said::{Extent, JobFailure, Report, Request, Sighting, Suggestion, Window};

use bindings::exports::tidegate::sync::job::Failure as RawFailure;

/// How often a computing component is looked at: its CPU time, the deadline, a signal.
const TICK: Duration = Duration::from_millis(5);

/// What a component is called for: the limits of a run are settings, those of `describe` are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Run,
    Describe,
}

/// A component that can be called.
pub struct Connector {
    engine: Engine,
    component: Component,
    linker: Linker<Granted>,
    /// sha256 of the component file, in hex.
    pub sha256: String,
}

/// The interface of a component that can take a first look at its source.
const PROBE: &str = "tidegate:sync/probe@0.1.0";

/// What a run used, for the summary.
#[derive(Debug, Default, Clone, Copy)]
pub struct Used {
    /// CPU time of the component, its host calls included.
    pub cpu: Duration,
    /// The largest its memories and tables were, together.
    pub memory_peak_bytes: usize,
    /// Bytes it staged: the largest its files were, together.
    pub staged_bytes: u64,
}

/// Marks the error that ends a component which used up its CPU time.
#[derive(Debug, thiserror::Error)]
#[error("the component used up its CPU time")]
struct CpuUsedUp;

impl Connector {
    /// Checks what the component imports, and compiles it or takes it compiled from the cache.
    pub async fn load(
        bytes: Vec<u8>,
        cache_dir: Option<&std::path::Path>,
        limits: &Limits,
        log: &crate::log::Log,
    ) -> Result<Self, Failure> {
        let engine = engine::engine(limits)?;
        let loaded = engine::load(&engine, bytes, cache_dir, limits, log).await?;
        let linker =
            grants::link(&engine).map_err(|error| defect("link the component's world", &error))?;
        Ok(Self {
            engine,
            component: loaded.component,
            linker,
            sha256: loaded.sha256,
        })
    }

    /// Asks the component what it is, with no grant but the log and under tiny limits, of which one is wall time.
    pub async fn describe(
        &self,
        log: crate::log::Log,
        limits: &Limits,
    ) -> Result<Description, Failure> {
        let grants = Grants {
            outbound: None,
            staging: None,
            staged_bytes_left: 0,
            environment: Vec::new(),
            log,
            fetch_less: FETCH_LESS.to_owned(),
            cpu: limits.describe_cpu,
            memory_bytes: limits.describe_memory_bytes,
        };
        let described = self.call(grants, Call::Describe, limits, async |store, instance| {
            let connector = bindings::Connector::new(&mut *store, instance)?;
            connector.tidegate_sync_job().call_describe(store).await
        });
        let Ok((result, _)) = tokio::time::timeout(limits.describe_wall, described).await else {
            return Err(Failure::new(
                Outcome::ComponentFailed,
                format!(
                    "the component did not finish `describe` within {}{FIXED}",
                    crate::units::spoken(limits.describe_wall)
                ),
            ));
        };
        described::description(result?, limits)
    }

    /// Runs the job once. The inner `Err` is what the component said; the outer one is what happened to it.
    pub async fn run(
        &self,
        grants: Grants,
        limits: &Limits,
        request: &Request,
    ) -> (Result<Result<Report, JobFailure>, Failure>, Used) {
        let log = grants.log.clone();
        let ran = self.call(grants, Call::Run, limits, async |store, instance| {
            let connector = bindings::Connector::new(&mut *store, instance)?;
            connector.tidegate_sync_job().call_run(store, request).await
        });
        let (said, used) = ran.await;
        let heard = said.and_then(|said| match said {
            Ok(report) => said::report(report, limits).map(Ok),
            Err(failure) => Ok(Err(said::failure(failure, &log, limits))),
        });
        (heard, used)
    }

    /// Has a component that can take a first look take it; `None`: it cannot. Failures are distinguished as in [`Self::run`].
    pub async fn look(
        &self,
        grants: Grants,
        limits: &Limits,
    ) -> Result<Option<Result<Sighting, JobFailure>>, Failure> {
        let log = grants.log.clone();
        let looked = self.call(
            grants,
            Call::Run,
            limits,
            async |store, instance| match optional(store, instance, PROBE, "look")? {
                Some(look) => Ok(Some(called(store, look).await?)),
                None => Ok(None),
            },
        );
        let seen: Option<Result<sighting::Sighting, RawFailure>> = looked.await.0?;
        Ok(seen.map(|seen| match seen {
            Ok(sighting) => Ok(said::sighting(sighting, &log, limits)),
            Err(failure) => Err(said::failure(failure, &log, limits)),
        }))
    }

    /// Calls one function of a new instance.
    async fn call<T>(
        &self,
        grants: Grants,
        call: Call,
        limits: &Limits,
        function: impl AsyncFnOnce(&mut Store<Granted>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, Failure>, Used) {
        let (cpu_left, fetch_less) = (grants.cpu, grants.fetch_less.clone());
        let mut store = Store::new(&self.engine, Granted::new(grants, limits));
        store.limiter(|granted| granted);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        let started = thread_cpu_time();
        store.epoch_deadline_callback(move |_| {
            if thread_cpu_time().saturating_sub(started) > cpu_left {
                return Err(CpuUsedUp.into());
            }
            // Yielding lets the deadline and signals in, which wait beside us on the same thread.
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        let ticker = Ticker::start(self.engine.clone());
        let instantiated = self.linker.instantiate_async(&mut store, &self.component);
        let result = match instantiated.await {
            Ok(instance) => function(&mut store, &instance).await,
            Err(error) => Err(error),
        };
        drop(ticker);
        let used = Used {
            cpu: thread_cpu_time().saturating_sub(started),
            memory_peak_bytes: store.data().memory_peak_bytes(),
            staged_bytes: store.data().staged_bytes(),
        };
        let refused = store.data().refused();
        let result = result.map_err(|error| ending(&error, refused, call, &fetch_less, limits));
        (result, used)
    }
}

/// A function of an interface that a component may leave out.
fn optional<T: ComponentNamedList + Lift>(
    store: &mut Store<Granted>,
    instance: &Instance,
    interface: &str,
    name: &str,
) -> wasmtime::Result<Option<TypedFunc<(), T>>> {
    let Some(index) = instance.get_export_index(&mut *store, None, interface) else {
        return Ok(None);
    };
    let function = instance.get_export_index(&mut *store, Some(&index), name);
    let function =
        function.ok_or_else(|| wasmtime::format_err!("`{interface}` has no function `{name}`"))?;
    instance.get_typed_func(store, function).map(Some)
}

/// Calls a function without arguments and with one result.
async fn called<T: Lift + 'static>(
    store: &mut Store<Granted>,
    function: TypedFunc<(), (T,)>,
) -> wasmtime::Result<T>
where
    (T,): ComponentNamedList + Lift,
{
    Ok(function.call_async(store, ()).await?.0)
}

/// Says in one line why a component stopped without an answer. `refused`: what it was refused before, if anything was.
fn ending(
    error: &wasmtime::Error,
    refused: Option<&Exceeded>,
    call: Call,
    fetch_less: &str,
    limits: &Limits,
) -> Failure {
    let is_out_of_cpu = error.downcast_ref::<CpuUsedUp>().is_some();
    if is_out_of_cpu && call == Call::Run {
        return cpu_used_up(limits.cpu, fetch_less);
    }
    let root = one_line(&error.root_cause().to_string());
    let message = if is_out_of_cpu {
        let limit = crate::units::spoken(limits.describe_cpu);
        format!("the component used more than {limit} of CPU time in `describe`{FIXED}")
    } else if let Some(limit) = error.downcast_ref::<Exceeded>().or(refused) {
        match limit {
            Exceeded::Memory { bytes_max, held } if call == Call::Describe => {
                let mib = bytes_max / (1024 * 1024);
                format!(
                    "the component needed more than {mib} MiB of memory in `describe`{held}{FIXED}"
                )
            }
            Exceeded::StagedBytes(_) => format!("{limit}; {fetch_less}"),
            limit => limit.to_string(),
        }
    } else if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        Exceeded::Handles(limits.resource_handles).to_string()
    } else if let Some(things) = too_many(&root) {
        Exceeded::Count(things, limits.instances).to_string()
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        format!("the component trapped: {trap}; its last log lines may show why")
    } else {
        format!("the component broke the contract: {root}")
    };
    Failure::new(Outcome::ComponentFailed, message)
}

/// The component used more CPU time than it may, in one call or in all of a run.
pub fn cpu_used_up(limit: Duration, fetch_less: &str) -> Failure {
    let limit = crate::units::spoken(limit);
    Failure::new(
        Outcome::ComponentFailed,
        format!(
            "the component used more CPU time than `CPU_LIMIT` allows ({limit}); raise it, or {fetch_less}"
        ),
    )
}

/// What there are too many of, where that is what wasmtime says. It has no type for it.
fn too_many(root_cause: &str) -> Option<&'static str> {
    let what = root_cause.strip_prefix("resource limit exceeded: ")?;
    let things = [
        ("instance ", "core instances"),
        ("memory ", "memories"),
        ("table ", "tables"),
    ];
    let named = things.into_iter().find(|(word, _)| what.starts_with(word));
    named.map(|(_, things)| things)
}

fn defect(doing: &str, error: &wasmtime::Error) -> Failure {
    Failure::new(
        Outcome::ComponentFailed,
        format!("{doing}: {}", one_line(&error.to_string())),
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// CPU time of this thread: the component runs on it, and waiting does not count.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Advances the engine's epoch until it is dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        });
        Self { stop }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
