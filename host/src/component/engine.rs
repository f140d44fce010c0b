//! The engine: how it is set up, and how components are kept compiled.
//!
//! Here, in the parent, it is only asked what it could load; `sandbox` compiles and runs.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use wasmtime::{Config, Engine, OptLevel};

use crate::component::bindings::exports::tidegate::sync::job as raw;
use crate::component::cache::Cache;
use crate::component::child::{self, Given, Unanswered};
use crate::component::frames::{Call, Function, Said, Stopped};
use crate::component::shape;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::units::spoken;
use crate::words;

/// An engine with every proposal off that our components do not need: what is off cannot have a bug.
pub fn engine(limits: &Limits) -> Result<Engine, Failure> {
    let mut config = Config::new();
    // Nothing of wasmtime's stops a component that computes: its process is killed, and code without such checks is a quarter faster.
    config
        .max_wasm_stack(limits.stack_bytes)
        .async_stack_size(limits.stack_bytes * 2 + 1024 * 1024)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(None)
        // It would need files, of which the kernel limits the size.
        .memory_init_cow(false)
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
    /// Its compiled form, as `cache` or the compiling child gave it.
    pub compiled: Vec<u8>,
    /// sha256 of the file, in hex.
    pub sha256: String,
    /// Where what it says of itself may be kept, too; none where nothing can be kept, or must not.
    pub kept: Option<Kept>,
    /// What compiling it took; none where it was kept.
    pub compiling: Option<Compiling>,
}

/// What compiling a component took.
#[derive(Debug, Clone, Copy)]
pub struct Compiling {
    /// CPU time, all threads together.
    pub cpu: Duration,
    pub wall: Duration,
}

/// The cache, for one engine.
pub struct Kept {
    cache: Cache,
    engine: Engine,
}

impl Kept {
    /// What the component of this digest said of itself, if that was kept.
    pub fn description(&self, sha256: &str) -> Option<raw::Description> {
        let kept = self.cache.take(&self.engine, &described(sha256)).ok()??;
        serde_json::from_slice(&kept).ok()
    }

    /// Keeps what it said. Where that does not work, the next run asks it again.
    pub fn keep_description(&self, sha256: &str, said: &raw::Description) {
        if let Ok(said) = serde_json::to_vec(said) {
            let _ = self.cache.keep(&self.engine, &described(sha256), &said);
        }
    }
}

/// Under which name a description is kept: it is signed with it, and is never taken for code.
fn described(sha256: &str) -> String {
    format!("{sha256}-described")
}

/// Has `bytes` compiled, or takes the compiled form from `cache_dir`. What the parser alone can refuse is not compiled. A cache
/// that is not safe to use is a warning.
pub async fn load(
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
    let engine = engine(limits)?;
    let mut cache = opened(cache_dir, limits, unused);
    let taken = cache.as_ref().map(|cache| cache.take(&engine, &sha256));
    match taken.transpose().map(Option::flatten) {
        Ok(Some(compiled)) => {
            return Ok(Loaded {
                compiled,
                sha256,
                kept: cache.map(|cache| Kept { cache, engine }),
                compiling: None,
            });
        }
        Ok(None) => {}
        Err(why) => {
            unused(why);
            // Nothing is written through it, either.
            cache = None;
        }
    }
    let size = json!({"component_bytes": bytes.len(), "component_sha256": sha256});
    if cache.as_ref().is_some_and(Cache::may_keep) {
        log.info("compiling, once", size);
    } else {
        log.info("compiling, and not kept", size);
    }
    let (compiled, compiling) = compile(&bytes, limits).await?;
    let kept = cache.map(|cache| Kept { cache, engine });
    if let Some(kept) = &kept {
        // Without it the next run compiles again: slower, not wrong.
        (kept.cache.keep(&kept.engine, &sha256, &compiled)).unwrap_or_else(unused);
    }
    Ok(Loaded {
        compiled,
        sha256,
        kept,
        compiling: Some(compiling),
    })
}

/// As [`load`], for whoever wants nothing but the cache filled: a cache that cannot be used is a failure (73), and so is a
/// compiled form that cannot be written (74).
pub async fn warm(bytes: Vec<u8>, cache_dir: &Path, limits: &Limits) -> Result<Loaded, Failure> {
    shape::check(&bytes, limits)?;
    let unusable = |why: String| Failure::new(Outcome::OutputUnusable, why);
    let sha256 = crate::hash::sha256(&bytes);
    let engine = engine(limits)?;
    let cache = Cache::open(cache_dir, limits).map_err(unusable)?;
    let cache = cache.ok_or_else(|| {
        unusable(format!(
            "cannot make the cache in `{}`; give this user a folder that it can write to",
            cache_dir.display()
        ))
    })?;
    let taken = cache.take(&engine, &sha256).map_err(unusable)?;
    let kept = Kept { cache, engine };
    let (compiled, compiling) = if let Some(compiled) = taken {
        (compiled, None)
    } else {
        let (compiled, compiling) = compile(&bytes, limits).await?;
        (kept.cache.keep(&kept.engine, &sha256, &compiled))
            .map_err(|why| Failure::new(Outcome::IoFailed, why))?;
        (compiled, Some(compiling))
    };
    Ok(Loaded {
        compiled,
        sha256,
        kept: Some(kept),
        compiling,
    })
}

/// Has a child compile. `Err`: 78 when it is no valid component, 70 when that took more than it may.
async fn compile(bytes: &[u8], limits: &Limits) -> Result<(Vec<u8>, Compiling), Failure> {
    let started = Instant::now();
    let call = Call {
        function: Function::Compile,
        limits: limits.clone(),
        environment: Vec::new(),
        signing_mark: None,
        fetch_less: String::new(),
        cpu: limits.compile_cpu,
        memory_bytes: limits.compile_memory_bytes,
        staged_bytes_left: 0,
        code_bytes: 0,
        has_requests: false,
        has_staging: false,
    };
    let (answer, compiled) = child::ask(call, bytes, Given::default(), None).await?;
    let cpu = answer
        .as_ref()
        .map_or(Duration::ZERO, |answer| answer.used.cpu);
    let message = match answer.map(|answer| answer.came) {
        Ok(Ok(Said::Compiled(_))) => {
            let wall = started.elapsed();
            return Ok((compiled, Compiling { cpu, wall }));
        }
        Ok(Err(Stopped::Invalid(why))) => {
            let why = words::line(&why, limits.words_bytes);
            return Err(Failure::new(Outcome::Settings, why));
        }
        Ok(Err(Stopped::Scarce(why))) => {
            let why = words::line(&why, limits.words_bytes);
            return Err(Failure::new(Outcome::TryLater, why));
        }
        Ok(Err(Stopped::Failed(why) | Stopped::Wall(why))) => words::line(&why, limits.words_bytes),
        Err(Unanswered::Panicked(line)) => {
            let line = words::line(&line, limits.words_bytes);
            format!(
                "the compiler failed on this component: `{line}`; build the component with other options or another toolchain, and report it as a defect of tidegate, with the component"
            )
        }
        Err(Unanswered::Cpu) => format!(
            "compiling the component took more CPU time than `COMPILE_CPU_LIMIT` allows ({}); raise it, or use a smaller component",
            spoken(limits.compile_cpu)
        ),
        Ok(Err(Stopped::Memory)) | Err(Unanswered::Aborted) => format!(
            "compiling the component took more than {} MiB of memory, or than `ulimit -d` allows; make it smaller, or split its largest functions",
            limits.compile_memory_bytes / (1024 * 1024)
        ),
        Err(Unanswered::Otherwise(how)) => {
            format!("the process that compiles the component ended without an answer: {how}")
        }
        Ok(Ok(_)) | Err(Unanswered::Overfull | Unanswered::Waits) => {
            "the process that compiles the component gave another answer".to_owned()
        }
    };
    Err(Failure::new(Outcome::ComponentFailed, message))
}

fn opened(cache_dir: Option<&Path>, limits: &Limits, unused: impl Fn(String)) -> Option<Cache> {
    let opened = cache_dir.map(|named| Cache::open(named, limits));
    opened.transpose().unwrap_or_else(|why| {
        unused(why);
        None
    })?
}
