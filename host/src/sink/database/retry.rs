//! Does again what a database could not do for a moment: it restarts, has no connection left, or chose us in a deadlock.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::units::spoken;

/// How much longer each pause is than the one before, as between the requests of a component.
const GROWTH: u32 = 5;
/// The longest pause, in first ones: after 1 and 5.
const LONGEST_PAUSE: u32 = 20;
/// Between two looks at the deadline and at signals.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the first `attempt` gives that does not fail, or fails in a way that will not pass. At most `MAX_RETRIES` follow the
/// first one, after pauses that grow from `RETRY_PAUSE`. `Err` of `check` ends a pause.
pub fn patiently<T>(
    (limits, log, check): (&Limits, &Log, Check<'_>),
    mut attempt: impl FnMut(u32) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut retries = 0;
    loop {
        let failure = match attempt(retries) {
            Err(failure) if failure.may_pass && retries < limits.retries => failure,
            done => return done,
        };
        let grown = GROWTH.saturating_pow(retries).min(LONGEST_PAUSE);
        let pause = limits.retry_pause * grown;
        retries += 1;
        log.warn(
            "database not ready, trying again",
            json!({
                "error": failure.message,
                "after": spoken(pause),
                "attempt": retries + 1,
                "of": limits.retries + 1,
            }),
        );
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            check()?;
            std::thread::sleep(left.min(LOOK_EVERY));
        }
        check()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    /// How many attempts were made of what fails like this so often, and the last failure.
    fn attempts(failures: u32, may_pass: bool, retries: u32) -> (u32, Option<String>) {
        let limits = Limits {
            retries,
            retry_pause: Duration::from_millis(1),
            ..Limits::default()
        };
        let mut made = 0;
        let log = Log::silent();
        let ended = patiently((&limits, &log, &|| Ok(())), |retries| {
            assert_eq!(retries, made);
            made += 1;
            if made <= failures {
                let failure = Failure::new(Outcome::TryLater, format!("attempt {made}"));
                return Err(if may_pass { failure.passing() } else { failure });
            }
            Ok(())
        });
        (made, ended.err().map(|failure| failure.message))
    }

    #[test]
    fn what_may_pass_is_tried_again_so_often_and_nothing_else_is() {
        assert_eq!(attempts(0, true, 3), (1, None));
        assert_eq!(attempts(3, true, 3), (4, None));
        assert_eq!(attempts(9, true, 3), (4, Some("attempt 4".to_owned())));
        assert_eq!(attempts(9, true, 0), (1, Some("attempt 1".to_owned())));
        assert_eq!(attempts(9, false, 3), (1, Some("attempt 1".to_owned())));
    }

    #[test]
    fn a_signal_ends_a_pause() {
        let limits = Limits {
            retry_pause: Duration::from_hours(1),
            ..Limits::default()
        };
        let stopped = || Err(Failure::new(Outcome::Terminated, "stopped"));

        let ended = patiently((&limits, &Log::silent(), &stopped), |_| {
            Err::<(), _>(Failure::new(Outcome::TryLater, "starting up").passing())
        });

        assert_eq!(ended.unwrap_err().message, "stopped");
    }
}
