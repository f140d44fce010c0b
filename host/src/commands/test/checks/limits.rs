//! Time, memory and all that has a limit, with what is left of it.

use std::time::Duration;

use super::{Bench, Check, Needs, Proof, Wrong, failed, shared};
use crate::commands::test::api::{Fault, Script};
use crate::commands::test::rows;
use crate::commands::test::trial::{Ran, Trial, With};
use crate::settings::catalogue::{
    CPU_LIMIT, DESCRIBE_MEMORY_LIMIT, INSTANCE_LIMIT, MEMORY_LIMIT, RUN_DEADLINE, TABLE_LIMIT,
};
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
        name: "table entries",
        needs: Needs::FirstRun,
        prove: table_entries,
    },
    Check {
        name: "core instances",
        needs: Needs::Description,
        prove: core_instances,
    },
    Check {
        name: "memory of describe",
        needs: Needs::Description,
        prove: describe_memory,
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
                clock: None,
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
        MEMORY_LIMIT.row.name,
    )
}

fn table_entries(bench: &Bench<'_>) -> Proof {
    let used = bench.published_many()?.summary.component_table_peak;
    let most = bench.subject.limits.table_elements;
    counted_of(used, most, TABLE_LIMIT.row.name)
}

fn core_instances(bench: &Bench<'_>) -> Proof {
    let used = bench.subject.outline.core_instances;
    counted_of(
        used,
        bench.subject.limits.instances,
        INSTANCE_LIMIT.row.name,
    )
}

fn describe_memory(bench: &Bench<'_>) -> Proof {
    let used = bench.subject.described_with.memory_peak_bytes as u64;
    let most = bench.subject.limits.describe_memory_bytes;
    margin(used, most, DESCRIBE_MEMORY_LIMIT.row.name)
}

fn cpu(bench: &Bench<'_>) -> Proof {
    let ran = bench.published_many()?;
    let used = u64::try_from(ran.summary.component_cpu.as_millis()).unwrap_or(u64::MAX);
    let most = u64::try_from(bench.subject.limits.cpu.as_millis()).unwrap_or(u64::MAX);
    within(used, most, CPU_LIMIT.row.name)?;
    Ok(format!(
        "{:.1} of {} s, {} (100,000 records)",
        ran.summary.component_cpu.as_secs_f64(),
        most / 1_000,
        CPU_LIMIT.row.name
    ))
}

fn state_size(bench: &Bench<'_>) -> Proof {
    let state = bench.published_many()?.state.as_deref().unwrap_or_default();
    margin(
        state.len() as u64,
        bench.subject.limits.state_bytes as u64,
        "which is fixed",
    )
}

/// So many things of a limit. `Err`: there is little left.
fn counted_of(used: usize, most: usize, of: &str) -> Proof {
    let (used, most) = (used as u64, most as u64);
    within(used, most, of)?;
    Ok(format!("{} of {}, {of}", thousands(used), thousands(most)))
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
    Err(failed(format!(
        "{percent} % of the limit is used, {of}; use less"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_to_a_limit_is_too_near() {
        assert_eq!(margin(0, 0, "x").unwrap(), "0 of 0 bytes, x");
        assert_eq!(
            margin(1_000, 1_100, "x").unwrap(),
            "1,000 of 1,100 bytes, x"
        );
        let Err(Wrong::Failed { why, .. }) = counted_of(91, 100, "TABLE_LIMIT") else {
            panic!("it is near");
        };
        assert_eq!(why, "91 % of the limit is used, TABLE_LIMIT; use less");
    }
}
