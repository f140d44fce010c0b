//! Behaviours that use up what a machine has: time, stack, memory, handles.

use crate::Ending;
use crate::bindings::wasi::cli::stderr;
use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::http::types::Fields;

const PIECE_BYTES: usize = 1024 * 1024;
const HUGE_BYTES: usize = 100 * 1024 * 1024;
const HOUR_NS: u64 = 3_600 * 1_000_000_000;

/// Does it, if it is one of these.
pub fn run(behaviour: &str) -> Option<Ending> {
    match behaviour {
        "loop" => spin(),
        "loop-in-host-calls" => loop {
            std::hint::black_box(monotonic_clock::now());
        },
        "recurse" => {
            std::hint::black_box(deeper(0));
        }
        "eat-memory" => eat_memory(),
        "trap" => trap(),
        "panic" => {
            std::panic::set_hook(Box::new(|panic| {
                let line = format!("warn: {}\n", panic.to_string().replace('\n', " "));
                let _ = stderr::get_stderr().blocking_write_and_flush(line.as_bytes());
            }));
            panic!("the misbehaving component panicked on purpose")
        }
        "sleep" => sleep(),
        "hoard-handles" => loop {
            std::mem::forget(Fields::new());
        },
        "pass-a-huge-list" => {
            let _ = stderr::get_stderr().write(&vec![b'x'; HUGE_BYTES]);
        }
        "send-a-header-flood" => {
            let fields = Fields::new();
            while fields.append("x-flood", &[b'x'; 1024]).is_ok() {}
            panic!("the host refused a header, as it must");
        }
        _ => return None,
    }
    Some(Ok(crate::everything(0)))
}

/// Never ends and never calls the host.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// Takes memory, and uses it, until there is no more.
pub fn eat_memory() -> ! {
    loop {
        std::mem::forget(std::hint::black_box(vec![1_u8; PIECE_BYTES]));
    }
}

/// Ends in a trap, without a word.
pub fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
}

/// Waits without using any time of the processor.
pub fn sleep() -> ! {
    loop {
        monotonic_clock::subscribe_duration(HOUR_NS).block();
    }
}

/// Keeps nothing in memory, so that the stack that ends is the machine's and not the component's own.
#[expect(unconditional_recursion, reason = "that is the misbehaviour")]
fn deeper(depth: u64) -> u64 {
    deeper(depth + 1) / 3 + depth
}
