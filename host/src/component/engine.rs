//! The engine: how components are read, compiled, and kept compiled.
//!
//! Running one is `component`'s business.

use std::path::Path;

use serde_json::json;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, OptLevel};

use crate::component::cache::Cache;
use crate::component::compile;
use crate::component::shape;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};

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
        .wasm_exceptions(false)
        .wasm_function_references(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false);
    Engine::new(&config).map_err(|error| {
        Failure::new(
            Outcome::ComponentFailed,
            format!("cannot set up the WebAssembly engine: {error:#}"),
        )
    })
}

/// A component that may be run, and how it is named in manifests.
pub struct Loaded {
    pub component: Component,
    /// sha256 of the file, in hex.
    pub sha256: String,
}

/// Compiles `bytes`, or takes the compiled form from `cache_dir`. What the parser alone can refuse is not compiled. A cache that
/// is not safe to use is a warning.
pub async fn load(
    engine: &Engine,
    bytes: Vec<u8>,
    cache_dir: Option<&Path>,
    limits: &Limits,
    log: &Log,
) -> Result<Loaded, Failure> {
    shape::check(&bytes, limits)?;
    let sha256 = crate::hash::sha256(&bytes);
    let unused = |why: String| {
        log.warn(
            "cache not used, component compiled",
            json!({ "error": why }),
        );
    };
    let mut cache = opened(cache_dir, limits, unused);
    let taken = cache.as_ref().map(|cache| cache.take(engine, &sha256));
    match taken.transpose().map(Option::flatten) {
        Ok(Some(component)) => return Ok(Loaded { component, sha256 }),
        Ok(None) => {}
        Err(why) => {
            unused(why);
            // Nothing is written through it, either.
            cache = None;
        }
    }
    let component = compile::compile(engine, bytes, limits).await?;
    if let (Some(cache), Ok(compiled)) = (cache, component.serialize()) {
        // Without it the next run compiles again: slower, not wrong.
        cache
            .keep(engine, &sha256, &compiled)
            .unwrap_or_else(unused);
    }
    Ok(Loaded { component, sha256 })
}

fn opened(cache_dir: Option<&Path>, limits: &Limits, unused: impl Fn(String)) -> Option<Cache> {
    let opened = cache_dir.map(|named| Cache::open(named, limits));
    opened.transpose().unwrap_or_else(|why| {
        unused(why);
        None
    })?
}
