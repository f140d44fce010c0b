//! The engine: how components are compiled, checked for what they import, and kept compiled.
//!
//! Running one is `component`'s business.

use std::path::Path;

use serde_json::json;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, OptLevel};

use crate::cache::Cache;
use crate::limits::Limits;
use crate::log::Log;
use crate::manifest;
use crate::outcome::{Failure, Outcome};

/// The interfaces of the world `connector`, without their versions: any WASI 0.2 release of them is served.
pub const GRANTED: [&str; 11] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:cli/environment",
    "wasi:cli/stderr",
    "wasi:http/types",
    "wasi:http/outgoing-handler",
];

/// An engine with every proposal off that our components do not need: what is off cannot have a bug.
pub fn engine(limits: &Limits) -> Result<Engine, Failure> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        .async_stack_size(limits.stack_bytes * 2 + 1024 * 1024)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(None)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false);
    Engine::new(&config).map_err(|error| {
        Failure::new(
            Outcome::ComponentFailed,
            format!("set up the WebAssembly engine: {error:#}"),
        )
    })
}

/// A component that may be run, and how it is named in manifests.
pub struct Loaded {
    /// The compiled component.
    pub component: Component,
    /// sha256 of the file, in hex.
    pub sha256: String,
}

/// Compiles `bytes`, or takes the compiled form from `cache_dir`, and refuses imports that are not granted. A cache that is not
/// safe to use is a warning.
pub fn load(
    engine: &Engine,
    bytes: &[u8],
    cache_dir: Option<&Path>,
    limits: &Limits,
    log: &Log,
) -> Result<Loaded, Failure> {
    let sha256 = manifest::sha256(bytes);
    let unused = |why: String| log.warn("compiled component not cached", json!({ "error": why }));
    let mut cache = opened(cache_dir, limits, unused);
    let taken = cache.as_ref().map(|cache| cache.take(engine, &sha256));
    let component = match taken.transpose() {
        Ok(taken) => taken.flatten(),
        Err(why) => {
            unused(why);
            // Nothing is written through it, either.
            cache = None;
            None
        }
    };
    let component = match component {
        Some(component) => component,
        None => compile(engine, bytes, &sha256, cache.as_ref(), unused)?,
    };
    refuse_imports(engine, &component)?;
    Ok(Loaded { component, sha256 })
}

fn opened(cache_dir: Option<&Path>, limits: &Limits, unused: impl Fn(String)) -> Option<Cache> {
    let opened = cache_dir.map(|named| Cache::open(named, limits));
    opened.transpose().unwrap_or_else(|why| {
        unused(why);
        None
    })?
}

fn compile(
    engine: &Engine,
    bytes: &[u8],
    sha256: &str,
    cache: Option<&Cache>,
    unused: impl Fn(String),
) -> Result<Component, Failure> {
    if !is_component(bytes) {
        return Err(Failure::new(
            Outcome::Settings,
            "the component file is not a WebAssembly component; build one for wasm32-wasip2, or with `wasm-tools component new`",
        ));
    }
    let component = Component::from_binary(engine, bytes).map_err(|error| {
        Failure::new(
            Outcome::Settings,
            format!("compile the component: {error:#}"),
        )
    })?;
    if let (Some(cache), Ok(compiled)) = (cache, component.serialize()) {
        // Without it the next run compiles again: slower, not wrong.
        cache.keep(engine, sha256, &compiled).unwrap_or_else(unused);
    }
    Ok(component)
}

/// A component's preamble: `\0asm`, version 13, layer 1 (the component model's binary format).
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm\x0d\0\x01\0")
}

fn refuse_imports(engine: &Engine, component: &Component) -> Result<(), Failure> {
    let of = component.component_type();
    let refused: Vec<String> = of
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .filter(|name| !is_granted(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Outcome::Denied,
        format!(
            "host refused the component before running it: it imports {}, which no setting grants; granted are the eleven interfaces of the world `connector`",
            refused.join(", ")
        ),
    ))
}

fn is_granted(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    GRANTED.contains(&interface) && version.starts_with("0.2.")
}
