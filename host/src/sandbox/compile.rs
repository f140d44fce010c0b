//! Compiles a component.
//!
//! A compiler has no promise for what a hostile file costs it. So the kernel ends this process at a limit of CPU time and at one
//! of memory, and the parent at the deadline.

use wasmtime::component::Component;

use crate::component::engine;
use crate::component::frames::{Answer, Said, Stopped, Used};
use crate::limits::Limits;

/// Compiles what was given.
pub fn compile(code: &[u8], limits: &Limits) -> (Answer, Vec<u8>) {
    match compiled(code, limits) {
        Ok(compiled) => {
            let answer = Answer {
                came: Ok(Said::Compiled(compiled.len() as u64)),
                used: Used::default(),
            };
            (answer, compiled)
        }
        Err(why) => (Answer::stopped(why), Vec::new()),
    }
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
