//! Compiles a component.
//!
//! A compiler has no promise for what a hostile file costs it. So the kernel ends this process at a limit of CPU time and at one
//! of memory, and the parent at the deadline.

use std::num::NonZero;
use std::thread::{JoinHandle, available_parallelism};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::component::Component;

use crate::component::child::SCARCE;
use crate::component::engine;
use crate::component::frames::{Answer, Said, Stopped, Used};
use crate::limits::{COMPILE_THREADS_MAX, Limits};

/// How many threads the machine has for a compiler. Asked before the wall is up, behind which part of the answer is not readable.
pub fn processors() -> usize {
    let processors = available_parallelism().map_or(1, NonZero::get);
    processors.min(COMPILE_THREADS_MAX)
}

/// So many threads, this one among them; it alone, where there are no more. Behind the wall none can be started.
pub fn threads(many: usize) -> Result<ThreadPool, Stopped> {
    // A pool that cannot be made cannot be tried again with fewer.
    let one_more = std::thread::Builder::new().spawn(|| ());
    // It has ended before the wall forbids what a thread does at its end.
    let one_more = one_more.map(JoinHandle::join);
    let many = if one_more.is_ok() { many } else { 1 };
    let threads = ThreadPoolBuilder::new().num_threads(many);
    let threads = threads.use_current_thread().build();
    let threads = threads.map_err(|error| {
        Stopped::Scarce(format!(
            "cannot start the threads of the compiler: {error}{SCARCE}"
        ))
    })?;
    // What a thread does at its beginning, the wall forbids: each has begun when all have answered.
    threads.broadcast(|_| ());
    Ok(threads)
}

/// Compiles what was given, in these threads.
pub fn compile(code: &[u8], threads: &ThreadPool, limits: &Limits) -> (Answer, Vec<u8>) {
    match threads.install(|| compiled(code, limits)) {
        Ok(compiled) => {
            let answer = Answer {
                came: Ok(Said::Compiled(compiled.len() as u64)),
                used: Used {
                    cpu: process_cpu_time(),
                    ..Used::default()
                },
            };
            (answer, compiled)
        }
        Err(why) => (Answer::stopped(why), Vec::new()),
    }
}

/// CPU time of this process, all its threads together.
pub fn process_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

fn compiled(code: &[u8], limits: &Limits) -> Result<Vec<u8>, Stopped> {
    let engine = engine::engine(limits).map_err(|failure| Stopped::Failed(failure.message))?;
    let component = Component::from_binary(&engine, code).map_err(|error| {
        out_of_memory(&error)
            .unwrap_or_else(|| Stopped::Invalid(format!("cannot compile the component: {error:#}")))
    })?;
    let compiled = component.serialize();
    compiled
        .map_err(|error| Stopped::Failed(format!("cannot keep the compiled component: {error:#}")))
}

/// Whether the kernel had no memory to give. wasmtime has no type for it.
pub fn out_of_memory(error: &wasmtime::Error) -> Option<Stopped> {
    let number = rustix::io::Errno::NOMEM.raw_os_error();
    let told = format!("(os error {number})");
    format!("{error:#}")
        .contains(&told)
        .then_some(Stopped::Memory)
}
