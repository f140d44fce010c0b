//! Calls one function of a component: instantiates it in its grants, and tells the ways it can end apart.
//!
//! An answer of its own, a trap, or a limit. The store is dropped with the process, whatever came of it.

use std::convert::Infallible;
use std::fs::File;
use std::sync::mpsc;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use wasmtime::component::{
    Component, ComponentNamedList, Instance, Lift, Linker, ResourceTableError, TypedFunc,
};
use wasmtime::{Engine, Store, Trap};

use super::compile::{self, process_cpu_time};
use super::grants::{self, Exceeded, Exited, Granted, Grants};
use super::requests::Requests;
use super::{Descriptors, Walls, wall};
use crate::component::bindings::Connector;
use crate::component::bindings::exports::tidegate::sync::job as raw;
use crate::component::child::{SCARCE, is_scarce};
use crate::component::frames::{Answer, Call, Function, Said, Stopped, Used};
use crate::component::{MAY_SHOW_WHY, engine, sighting};
use crate::limits::Limits;

/// The interface of a component that can take a first look at its source.
const PROBE: &str = "tidegate:sync/probe@0.1.0";

/// Does what `call` says. `Err`: the wall could not be put up.
pub fn call(
    call: Call,
    given: Descriptors,
    code: Vec<u8>,
    stderr: File,
    walls: Walls,
) -> Result<Answer, String> {
    let engine = match engine::engine(&call.limits) {
        Ok(engine) => engine,
        Err(failure) => return Ok(Answer::stopped(Stopped::Failed(failure.message))),
    };
    let (runtime, _ends) = match beside() {
        Ok(beside) => beside,
        Err(error) => return Ok(Answer::stopped(not_started(&error))),
    };
    runtime.block_on(async {
        let _ignored = wall::ignored_signals()?;
        if walls == Walls::Up {
            // Every thread there is has begun.
            wall::last()?;
        }
        let requests = match given.requests {
            Some(socket) => Some(Requests::through(socket).await?),
            None => None,
        };
        let grants = Grants {
            requests,
            staging: given.staging,
            staged_bytes_left: call.staged_bytes_left,
            environment: call.environment,
            signing_mark: call.signing_mark,
            stderr,
            memory_bytes: call.memory_bytes,
        };
        // SAFETY: `deserialize` runs the bytes as native code, so they must be what such an engine serialized. They are: the
        // parent took them from the compiling child or from its signed cache.
        #[expect(
            unsafe_code,
            reason = "the only way to load compiled code; see the comment above"
        )]
        let component = unsafe { Component::deserialize(&engine, &code) };
        drop(code);
        let component = match component {
            Ok(component) => component,
            Err(error) => {
                let why = compile::out_of_memory(&error).unwrap_or_else(|| {
                    Stopped::Failed(format!("cannot load the compiled component: {error:#}; remove the folder `compiled` of the cache"))
                });
                return Ok(Answer::stopped(why));
            }
        };
        let called = Called {
            engine,
            component,
            fetch_less: call.fetch_less,
            limits: call.limits,
        };
        Ok(called.answer(call.function, grants).await)
    })
}

/// A runtime on a thread of its own, until the sender is dropped. The component computes on this thread, and its requests are served on
/// that one: they make progress whatever it does.
fn beside() -> std::io::Result<(Handle, oneshot::Sender<Infallible>)> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    let (begins, has_begun) = mpsc::channel();
    let (ends, end) = oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        runtime.block_on(async {
            let _ = begins.send(());
            let _ = end.await;
        });
    })?;
    // What a thread does at its beginning, the wall forbids.
    let _ = has_begun.recv();
    Ok((handle, ends))
}

/// Why it could not begin.
fn not_started(error: &std::io::Error) -> Stopped {
    let why = format!("cannot start a thread of the component's process: {error}");
    if is_scarce(error) {
        return Stopped::Scarce(format!("{why}{SCARCE}"));
    }
    Stopped::Wall(why)
}

/// A component that is called once.
struct Called {
    engine: Engine,
    component: Component,
    fetch_less: String,
    limits: Limits,
}

impl Called {
    async fn answer(&self, function: Function, grants: Grants) -> Answer {
        match function {
            Function::Compile => {
                let why = "a compiled component is not compiled again".to_owned();
                Answer::stopped(Stopped::Failed(why))
            }
            Function::Describe => {
                self.said(grants, true, async |store, instance| {
                    let connector = Connector::new(&mut *store, instance)?;
                    let described = connector.tidegate_sync_job().call_describe(store).await?;
                    Ok(Said::Description(described))
                })
                .await
            }
            Function::Run(request) => {
                self.said(grants, false, async |store, instance| {
                    let connector = Connector::new(&mut *store, instance)?;
                    let ran = connector.tidegate_sync_job().call_run(store, &request);
                    Ok(match ran.await? {
                        Ok(report) => Said::Report(report),
                        Err(failure) => Said::Failure(failure),
                    })
                })
                .await
            }
            Function::Look => {
                self.said(grants, false, async |store, instance| {
                    let Some(look) = optional(store, instance, PROBE, "look")? else {
                        return Ok(Said::NoLook);
                    };
                    let seen: Result<sighting::Sighting, raw::Failure> =
                        called(store, look).await?;
                    Ok(match seen {
                        Ok(sighting) => Said::Sighting(sighting),
                        Err(failure) => Said::Failure(failure),
                    })
                })
                .await
            }
        }
    }

    /// Calls one function of a new instance.
    async fn said(
        &self,
        grants: Grants,
        is_describe: bool,
        function: impl AsyncFnOnce(&mut Store<Granted>, &Instance) -> wasmtime::Result<Said>,
    ) -> Answer {
        let limits = &self.limits;
        let mut store = Store::new(&self.engine, Granted::new(grants, limits));
        store.limiter(|granted| granted);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        let started = process_cpu_time();
        let linker: wasmtime::Result<Linker<Granted>> = grants::link(&self.engine);
        let instantiated = match linker {
            Ok(linker) => linker.instantiate_async(&mut store, &self.component).await,
            Err(error) => Err(error),
        };
        let came = match instantiated {
            Ok(instance) => function(&mut store, &instance).await,
            Err(error) => Err(error),
        };
        let used = Used {
            cpu: process_cpu_time().saturating_sub(started),
            memory_peak_bytes: store.data().memory_peak_bytes(),
            table_peak_elements: store.data().table_peak_elements(),
            staged_bytes: store.data().staged_bytes(),
            staged_only_grew: store.data().staged_only_grew(),
        };
        let refused = store.data().refused();
        let came =
            came.map_err(|error| ending(&error, refused, is_describe, &self.fetch_less, limits));
        Answer { came, used }
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

/// Why a component stopped without an answer. `refused`: what it was refused before, if anything was.
fn ending(
    error: &wasmtime::Error,
    refused: Option<&Exceeded>,
    is_describe: bool,
    fetch_less: &str,
    limits: &Limits,
) -> Stopped {
    let root = one_line(&error.root_cause().to_string());
    let message = if let Some(limit) = error.downcast_ref::<Exceeded>().or(refused) {
        match limit {
            Exceeded::Memory { bytes_max, held } if is_describe => {
                let mib = bytes_max / (1024 * 1024);
                format!(
                    "the component needed more memory in `describe` than `DESCRIBE_MEMORY_LIMIT` allows ({mib} MiB){held}; raise it, or use another component"
                )
            }
            Exceeded::StagedBytes(_) => format!("{limit}; {fetch_less}"),
            limit => limit.to_string(),
        }
    } else if let Some(exited) = error.downcast_ref::<Exited>() {
        format!("{exited}{MAY_SHOW_WHY}")
    } else if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        Exceeded::Handles(limits.resource_handles).to_string()
    } else if let Some(things) = too_many(&root) {
        Exceeded::Count(things, limits.instances).to_string()
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        format!("the component trapped: {trap}{MAY_SHOW_WHY}")
    } else {
        format!("the component broke the contract: {root}")
    };
    Stopped::Failed(message)
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_thread_that_the_machine_has_not_got_is_no_fault_of_the_component_s() {
        let came = |error: Errno| not_started(&error.into());

        for error in [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(
                matches!(came(error), Stopped::Scarce(why) if why.contains("limit of processes"))
            );
        }
        assert!(matches!(came(Errno::PERM), Stopped::Wall(_)));
    }
}
