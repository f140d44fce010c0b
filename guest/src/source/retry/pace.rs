//! How fast requests may follow each other: `SOURCE_RATE`.
//!
//! There are no bursts: a request begins no earlier than its share of a second after the one before it began, whatever that
//! one was for. Time comes from the monotonic clock, so a clock that is set neither stalls a run nor lets it rush.

use crate::failure::quoted;
use crate::ports::Clock;

/// Decimals of a rate that are read.
const DECIMALS: usize = 6;
/// The same as a factor.
const MILLION: u64 = 1_000_000;

/// A number of requests a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval_ns: u64,
}

impl Rate {
    /// Reads a decimal number from 0.001 to 1000, with at most six decimals.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rate = millionths(text).filter(|rate| (MILLION / 1000..=1000 * MILLION).contains(rate));
        let rate = rate.ok_or_else(|| {
            format!(
                "{} is not a number of requests per second from 0.001 to 1000, such as `10` or `0.5`",
                quoted(text)
            )
        })?;
        Ok(Self {
            interval_ns: (1_000_000_000 * MILLION).div_ceil(rate),
        })
    }
}

/// A decimal number in millionths.
fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = format!("{whole}{fraction:0<DECIMALS$}");
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && fraction.len() <= DECIMALS)
        .then(|| digits.parse().ok())
        .flatten()
}

/// Spaces requests out.
#[derive(Debug)]
pub struct Pace {
    rate: Option<Rate>,
    /// When the last request began.
    began_ns: Option<u64>,
}

impl Pace {
    /// No faster than `rate`; `None`: as fast as they come.
    pub fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            began_ns: None,
        }
    }

    /// How long the next request has to wait, if it has to.
    pub fn wait_ms(&self, clock: &mut impl Clock) -> Option<u64> {
        let due_ns = self.began_ns?.saturating_add(self.rate?.interval_ns);
        Some(ms_until(due_ns, clock)).filter(|wait_ms| *wait_ms > 0)
    }

    /// Waits until the next request may begin, which it then does.
    pub fn begin(&mut self, clock: &mut impl Clock) {
        if let Some(wait_ms) = self.wait_ms(clock) {
            clock.sleep_ms(wait_ms);
        }
        self.began_ns = self.rate.map(|_| clock.monotonic_ns());
    }
}

/// Milliseconds, rounded up, until the monotonic clock says `due_ns`; none if that is past.
pub fn ms_until(due_ns: u64, clock: &mut impl Clock) -> u64 {
    due_ns
        .saturating_sub(clock.monotonic_ns())
        .div_ceil(MILLION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A clock that moves while requests are made and waits are waited.
    #[derive(Default)]
    struct Watch {
        now_ns: u64,
        waits: usize,
    }

    impl Clock for Watch {
        fn monotonic_ns(&mut self) -> u64 {
            self.now_ns
        }
        fn unix_seconds(&mut self) -> i64 {
            0
        }
        fn sleep_ms(&mut self, ms: u64) {
            self.now_ns += ms * 1_000_000;
            self.waits += 1;
        }
        fn log(&mut self, _: &str) {}
    }

    /// When requests began that took so long each.
    fn begins(rate: Option<&str>, took_ns: &[u64]) -> (Vec<u64>, Watch) {
        let mut clock = Watch::default();
        let mut pace = Pace::new(rate.map(|text| Rate::parse(text).unwrap()));
        let begins = took_ns.iter().map(|took_ns| {
            pace.begin(&mut clock);
            let began_ns = clock.now_ns;
            clock.now_ns += took_ns;
            began_ns
        });
        (begins.collect(), clock)
    }

    #[test]
    fn a_rate_is_a_decimal_number() {
        let interval = |text| Rate::parse(text).map(|rate| rate.interval_ns);

        assert_eq!(interval("10"), Ok(100_000_000));
        assert_eq!(interval("0.5"), Ok(2_000_000_000));
        assert_eq!(interval("0.001"), Ok(1_000_000_000_000));
        assert_eq!(interval("1000"), Ok(1_000_000));
        assert_eq!(interval("0.333333"), Ok(3_000_003_001));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        let refused = [
            "0",
            "0.0009",
            "1000.1",
            "-1",
            "+1",
            "1e2",
            "1.",
            ".5",
            "1,5",
            "ten",
            "",
            "1.0000001",
            "1.5.1",
            "99999999999999999999",
        ];

        assert_eq!(refused.map(|text| Rate::parse(text).is_ok()), [false; 14]);
        assert!(
            Rate::parse("ten")
                .unwrap_err()
                .starts_with("`ten` is not a number")
        );
    }

    #[test]
    fn a_slow_request_is_not_waited_for_twice() {
        let (begins, clock) = begins(Some("2"), &[100_000_000, 700_000_000, 0]);

        assert_eq!(begins, [0, 500_000_000, 1_200_000_000]);
        assert_eq!(clock.waits, 1);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (begins, clock) = begins(None, &[0, 1, 0]);

        assert_eq!(begins, [0, 0, 1]);
        assert_eq!(clock.waits, 0);
    }

    proptest! {
        #[test]
        fn requests_begin_no_closer_than_the_rate_allows(
            millis in 1_u32..1_000_000,
            took_ns in prop::collection::vec(0_u64..3_000_000_000, 2..20),
        ) {
            let rate = format!("{}.{:03}", millis / 1000, millis % 1000);

            let (begins, _) = begins(Some(&rate), &took_ns);

            for pair in begins.windows(2) {
                let apart_ns = u128::from(pair[1] - pair[0]);
                prop_assert!(apart_ns * u128::from(millis) >= 1_000_000_000_000, "{} at {}", apart_ns, rate);
            }
        }
    }
}
