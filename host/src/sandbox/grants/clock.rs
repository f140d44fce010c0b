//! Clocks that show milliseconds: enough for waiting and for dates, too coarse to time the machine's other work.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use crate::limits::CLOCK_ORIGIN_MAX_MS;

/// What a component's clocks advance by.
const STEP: Duration = Duration::from_millis(1);

pub fn grant(wasi: &mut WasiCtxBuilder) {
    wasi.monotonic_clock(Monotonic {
        started: Instant::now(),
        origin: Duration::from_millis(
            RandomState::new().build_hasher().finish() % CLOCK_ORIGIN_MAX_MS,
        ),
    });
    wasi.wall_clock(Wall);
}

/// Time since some moment before the component was started: another one in each run, as jitter is drawn from it.
struct Monotonic {
    started: Instant,
    origin: Duration,
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        nanoseconds(STEP)
    }

    fn now(&self) -> u64 {
        nanoseconds(coarse(self.origin + self.started.elapsed()))
    }
}

/// The time of day.
struct Wall;

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        coarse(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
    }
}

/// Whole steps of it.
fn coarse(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
