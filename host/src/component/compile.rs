//! Compiles a component, on a thread that can be given up, within limits of CPU time and memory.
//!
//! A compiler has no promise for what a hostile file costs it. So the time that the process spends and the memory that it
//! holds are watched from outside; the deadline and signals end it by dropping the future. A thread that was given up
//! goes on until the process exits, which it does next.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::process::watch::aside;
use crate::units::spoken;

/// How often the time and the memory that it takes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Memory of this process in pages, the second number: `proc_pid_statm(5)`.
const STATM: &str = "/proc/self/statm";

/// Compiles `bytes`. `Err`: 78 when it is no valid component, 70 when that took more than it may.
pub async fn compile(
    engine: &Engine,
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<Component, Failure> {
    let engine = engine.clone();
    let compiled = aside("compile", move || {
        Component::from_binary(&engine, &bytes).map_err(|error| {
            Failure::new(
                Outcome::Settings,
                format!("cannot compile the component: {error:#}"),
            )
        })
    });
    tokio::select! {
        biased;
        compiled = compiled => compiled,
        failure = excess(limits) => Err(failure),
    }
}

/// Ends when the process has spent more on this than it may.
async fn excess(limits: &Limits) -> Failure {
    let (cpu, before) = (cpu_time(), resident_bytes());
    loop {
        let (Some(before), Some(now)) = (before, resident_bytes()) else {
            let message = format!(
                "cannot compile the component: the memory that it takes is in `{STATM}`, which cannot be read; mount /proc"
            );
            return Failure::new(Outcome::ComponentFailed, message);
        };
        let message = if cpu_time().saturating_sub(cpu) > limits.compile_cpu {
            format!(
                "compiling the component took more CPU time than `COMPILE_CPU_LIMIT` allows ({}); raise it, or use a smaller component",
                spoken(limits.compile_cpu)
            )
        } else if now.saturating_sub(before) > limits.compile_memory_bytes {
            format!(
                "compiling the component took more than {} MiB of memory; make it smaller, or split its largest functions",
                limits.compile_memory_bytes / (1024 * 1024)
            )
        } else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        return Failure::new(Outcome::ComponentFailed, message);
    }
}

/// CPU time of the process. While it compiles, it does nothing else.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Memory that the process holds; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string(STATM).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::component::engine::engine;

    /// A component of one function with so many steps that the compiler looks at every one of them with all others in mind.
    fn costly(steps: usize) -> Vec<u8> {
        let mut wat = "(component (core module (func (param i32) (result i32) (local ".to_owned();
        wat.push_str(&"i64 ".repeat(200));
        wat.push(')');
        for step in 0..steps {
            let local = |factor: usize| 1 + step * factor % 200;
            let (a, b, sum) = (local(1), local(7), local(13));
            let _ = write!(
                wat,
                "local.get {a} local.get {b} i64.add local.set {sum} local.get 0 (if (then local.get {b} local.set {a}))"
            );
        }
        wat.push_str("local.get 0)))");
        wat::parse_str(wat).unwrap()
    }

    fn compiled(bytes: Vec<u8>, limits: &Limits) -> Result<Component, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(compile(&engine(limits).unwrap(), bytes, limits))
    }

    #[test]
    fn a_component_that_compiles_too_long_is_70_and_names_the_setting() {
        let limits = Limits {
            compile_cpu: Duration::from_millis(50),
            ..Limits::default()
        };

        let failure = compiled(costly(20_000), &limits).err().unwrap();

        assert_eq!(failure.outcome, Outcome::ComponentFailed);
        assert!(failure.message.contains("COMPILE_CPU_LIMIT"), "{failure}");
    }

    #[test]
    fn a_component_that_takes_too_much_memory_to_compile_is_70() {
        let limits = Limits {
            compile_memory_bytes: 1024 * 1024,
            ..Limits::default()
        };

        let failure = compiled(costly(20_000), &limits).err().unwrap();

        assert_eq!(failure.outcome, Outcome::ComponentFailed);
        assert!(failure.message.contains("1 MiB of memory"), "{failure}");
    }

    #[test]
    fn what_is_not_valid_is_78() {
        let with_a_section_that_there_is_not = b"\0asm\x0d\0\x01\0\x7f\0".to_vec();

        let failure = compiled(with_a_section_that_there_is_not, &Limits::default());

        assert!(failure.is_err_and(|failure| failure.outcome == Outcome::Settings));
    }
}
