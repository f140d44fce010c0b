//! Time, memory and all that has a limit, with what is left of it.

use std::time::Duration;

use super::{Bench, Check, Needs, Proof, Wrong, failed, shared};
use crate::commands::test::api::{Fault, Script};
use crate::commands::test::rows;
use crate::commands::test::trial::{Ran, Trial, With};
use crate::settings::catalogue::{CPU_LIMIT, RUN_DEADLINE};
use crate::units::thousands;

pub const CHECKS: &[Check] = &[
    Check {
        name: "hang",
        needs: Needs::FirstRun,
        prove: hang,
    },
    Check {
        name: "100,000 records",
        needs: Needs::FirstRun,
        prove: many_records,
    },
    Check {
        name: "memory",
        needs: Needs::FirstRun,
        prove: memory,
    },
    Check {
        name: "CPU time",
        needs: Needs::FirstRun,
        prove: cpu,
    },
    Check {
        name: "state size",
        needs: Needs::FirstRun,
        prove: state_size,
    },
];

/// The deadline of the run that hangs, and when it has to be over.
const DEADLINE: &str = "2s";
const OVER: Duration = Duration::from_secs(10);
const MANY: u64 = 100_000;
const MANY_PAGE_ROWS: usize = 1_000;
/// So that all of them are in the past.
const MANY_STEP: i64 = 60;
/// More than this many percent of a limit are too near to it.
const NEAR_PERCENT: u64 = 90;

fn hang(bench: &Bench<'_>) -> Proof {
    let trial = bench.trial("hang", Fault::Silence)?;
    let ran = trial.run(&With {
        set: &[(RUN_DEADLINE.row.name, DEADLINE)],
        ..With::default()
    })?;
    if ran.exit != 75 {
        return Err(ran.wrong(format!(
            "exit {}, not 75; a source that is silent is `unavailable`",
            ran.exit
        )));
    }
    if ran.took > OVER {
        return Err(ran.wrong(format!(
            "ended after {} s; RUN_DEADLINE was {DEADLINE}",
            ran.took.as_secs()
        )));
    }
    Ok(format!(
        "a silent source: exit 75 after {:.1} s of {DEADLINE}",
        ran.took.as_secs_f64()
    ))
}

impl Bench<'_> {
    /// The run over many records, which published.
    fn published_many(&self) -> Result<&Ran, Wrong> {
        let ran = self.many()?;
        match ran.exit {
            0 => Ok(ran),
            _ => Err(Wrong::Skipped(
                "100,000 records were not published".to_owned(),
            )),
        }
    }

    fn many(&self) -> Result<&Ran, Wrong> {
        shared(&self.many, || {
            let script = Script {
                rows: rows::rows_every(MANY, MANY_STEP),
                page_rows: MANY_PAGE_ROWS,
                fault: Fault::None,
            };
            let trial = Trial::new(self.subject, "many", script)?;
            let long = [(RUN_DEADLINE.row.name, "10m")];
            trial.run(&With {
                set: &long,
                ..With::default()
            })
        })
    }
}

fn many_records(bench: &Bench<'_>) -> Proof {
    let ran = bench.many()?;
    ran.publishes("stage a page before the next one")?;
    let records = ran.published.len() as u64;
    if records != MANY {
        return Err(failed(format!("{records} were published; stage each row")));
    }
    Ok(format!("published in {:.1} s", ran.took.as_secs_f64()))
}

fn memory(bench: &Bench<'_>) -> Proof {
    let ran = bench.published_many()?;
    let used = ran.summary.component_memory_peak_bytes;
    margin(
        used,
        bench.subject.limits.memory_bytes,
        "with 100,000 records",
    )
}

fn cpu(bench: &Bench<'_>) -> Proof {
    let ran = bench.published_many()?;
    let used = u64::try_from(ran.summary.component_cpu.as_millis()).unwrap_or(u64::MAX);
    let most = u64::try_from(bench.subject.limits.cpu.as_millis()).unwrap_or(u64::MAX);
    within(used, most, CPU_LIMIT.row.name)?;
    Ok(format!(
        "{:.1} of {} s with 100,000 records",
        ran.summary.component_cpu.as_secs_f64(),
        most / 1_000
    ))
}

fn state_size(bench: &Bench<'_>) -> Proof {
    let state = bench.published_many()?.state.as_deref().unwrap_or_default();
    margin(
        state.len() as u64,
        bench.subject.limits.state_bytes as u64,
        "with 100,000 records",
    )
}

/// So many bytes of a limit. `Err`: there is little left.
pub fn margin(used: u64, most: u64, of: &str) -> Proof {
    within(used, most, of)?;
    Ok(format!(
        "{} of {} bytes, {of}",
        thousands(used),
        thousands(most)
    ))
}

fn within(used: u64, most: u64, of: &str) -> Result<(), Wrong> {
    let percent = used.saturating_mul(100) / most.max(1);
    if percent <= NEAR_PERCENT {
        return Ok(());
    }
    Err(failed(format!("{percent} % of the limit, {of}; use less")))
}
