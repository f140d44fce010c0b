//! The runs after the first one: what changed, everything anew, a range, and states that are not its own.

use serde_json::Value;

use super::{Bench, Check, Needs, Proof, Wrong, failed, shared};
use crate::commands::test::api::{Fault, Script};
use crate::commands::test::rows::{self, FIRST, LATE, ROWS, Row, STEP};
use crate::commands::test::trial::{Ran, With};
use crate::outcome::{Failure, Outcome};

pub const CHECKS: &[Check] = &[
    Check {
        name: "state",
        needs: Needs::FirstRun,
        prove: state,
    },
    Check {
        name: "same state on a rerun",
        needs: Needs::FirstRun,
        prove: rerun,
    },
    Check {
        name: "second run",
        needs: Needs::FirstRun,
        prove: second_run,
    },
    Check {
        name: "ties",
        needs: Needs::FirstRun,
        prove: ties,
    },
    Check {
        name: "late rows",
        needs: Needs::FirstRun,
        prove: late_rows,
    },
    Check {
        name: "future row",
        needs: Needs::FirstRun,
        prove: future_row,
    },
    Check {
        name: "deletions",
        needs: Needs::FirstRun,
        prove: deletions,
    },
    Check {
        name: "full refresh",
        needs: Needs::FirstRun,
        prove: full_refresh,
    },
    Check {
        name: "window",
        needs: Needs::FirstRun,
        prove: window,
    },
    Check {
        name: "newer state",
        needs: Needs::FirstRun,
        prove: newer_state,
    },
];

/// When the newest of the first rows was changed.
#[expect(clippy::cast_possible_wrap, reason = "there are twelve")]
const NEWEST: i64 = FIRST + STEP * (ROWS as i64 - 1);
/// Members of a state that can be its version.
const VERSIONS: [&str; 2] = ["v", "version"];
/// Rows that appear after the first run.
const NEW: Row = Row::new(ROWS + 1, NEWEST + STEP);
const TIE: Row = Row::new(ROWS + 2, NEWEST);
const LATER: Row = Row::new(ROWS + 3, NEWEST - LATE);
/// One that somebody dated by hand: 2099-01-01T00:00:00Z.
const FUTURE: Row = Row::new(ROWS + 4, 4_070_908_800);

fn state(bench: &Bench<'_>) -> Proof {
    let text = bench.first()?.state.clone().unwrap_or_default();
    let (name, version) = version_of(&text)?;
    Ok(format!(
        "JSON with `{name}` {version}, {} bytes",
        text.len()
    ))
}

/// The version in a state.
fn version_of(state: &str) -> Result<(&'static str, u64), Wrong> {
    let state: Value = serde_json::from_str(state).unwrap_or_default();
    let found = VERSIONS
        .iter()
        .find_map(|name| Some((*name, state.get(name)?.as_u64()?)));
    found.ok_or_else(|| failed("it has no version; return JSON such as {\"v\":1,\"since\":…}"))
}

fn rerun(bench: &Bench<'_>) -> Proof {
    let trial = bench.trial("rerun", Fault::None)?;
    let instead = "the same source, the same records";
    let first = trial.run(&With::default())?;
    first.publishes(instead)?;
    let second = trial.run(&With::default())?;
    second.publishes(instead)?;
    let trial = trial.emptied()?;
    let anew = trial.run(&With::default())?;
    anew.publishes(instead)?;
    for (run, which) in [(&second, "a second run"), (&anew, "a new first run")] {
        if run.published != first.published {
            return Err(failed(format!(
                "{which} has other records of the same rows"
            )));
        }
        if run.state != first.state {
            return Err(failed(format!("{which} has another state; no clock in it")));
        }
    }
    Ok("the same records, too, and in another folder".to_owned())
}

impl Bench<'_> {
    /// The run after the first one, with rows that are new, changed, tied and late. The first one is before it.
    fn second(&self) -> Result<&(Ran, Ran), Wrong> {
        shared(&self.second, || {
            let trial = self.trial("second", Fault::None)?;
            let first = trial.run(&With::default())?;
            trial.api.change(|script| {
                change(script, 3, NEWEST + STEP);
                script.rows.extend([NEW, TIE, LATER]);
                script.rows.sort_by_key(|row| (row.updated, row.id));
            });
            let second = trial.run(&With::default())?;
            Ok::<_, Failure>((first, second))
        })
    }
}

/// Writes something else into a row.
fn change(script: &mut Script, id: u64, updated: i64) {
    for row in script.rows.iter_mut().filter(|row| row.id == id) {
        row.version += 1;
        row.updated = updated;
    }
}

fn second_run(bench: &Bench<'_>) -> Proof {
    let (_, second) = bench.second()?;
    let mut rows = rows::rows(ROWS);
    rows[2].version += 1;
    rows.push(NEW);
    second.publishes("a second run continues from the state")?;
    let held = second.published.has(&rows);
    held.map_err(|how| failed(format!("{how}; fetch what changed since")))?;
    if !bench.subject.stages().changes {
        return Ok("all rows are fetched again".to_owned());
    }
    let since = second.asked.first().and_then(|asked| asked.since.as_ref());
    let Some(since) = since else {
        return Err(failed(
            "it asked for everything; send the state's cursor as `since`",
        ));
    };
    Ok(format!(
        "asks since={since}, {} fetched",
        second.summary.fetched
    ))
}

fn ties(bench: &Bench<'_>) -> Proof {
    appeared(
        bench,
        &TIE,
        "a row as new as the newest one is lost; ask from it on, inclusive",
    )
}

fn late_rows(bench: &Bench<'_>) -> Proof {
    appeared(
        bench,
        &LATER,
        "a row 60 s older than the newest is lost; ask from 5 min before",
    )
}

fn appeared(bench: &Bench<'_>, row: &Row, lost: &str) -> Proof {
    let (_, second) = bench.second()?;
    if second.exit != 0 {
        return Err(Wrong::Skipped("the second run failed".to_owned()));
    }
    let held = second.published.has(std::slice::from_ref(row));
    held.map_err(|_| failed(lost))?;
    if !bench.subject.stages().changes {
        return Err(Wrong::Skipped("every run fetches all rows".to_owned()));
    }
    Ok("a row that appears behind the cursor is fetched".to_owned())
}

/// The clock of the source is the one of its rows, years behind that of this machine: only who goes by it passes.
fn future_row(bench: &Bench<'_>) -> Proof {
    let trial = bench.trial("future", Fault::None)?;
    trial.api.change(|script| {
        script.rows.push(FUTURE);
        script.clock = Some(NEWEST + LATE);
    });
    let first = trial.run(&With::default())?;
    first.has_exactly(&trial.api.live(), "stage a row of 2099, too")?;
    // Changed between the two runs, by the clock of the source.
    trial.api.change(|script| {
        script.rows.insert(script.rows.len() - 1, NEW);
        script.clock = Some(NEWEST + 2 * STEP);
    });
    let ran = trial.run(&With::default())?;
    ran.publishes("a row of 2099 is no reason")?;
    let since = ran.asked.first().and_then(|asked| asked.since.as_ref());
    let asked = since.map_or("all".to_owned(), |since| format!("since={since}"));
    (ran.published.has(&trial.api.live()))
        .map_err(|_| failed(format!("asks {asked}; keep the cursor below `Date`")))?;
    if !bench.subject.stages().changes {
        return Err(Wrong::Skipped("every run fetches all rows".to_owned()));
    }
    Ok(format!("after a row of 2099, it asks {asked}"))
}

fn deletions(bench: &Bench<'_>) -> Proof {
    if !bench.subject.stages().deletions {
        return Err(Wrong::Skipped("it declares no `deletions`".to_owned()));
    }
    let trial = bench.trial("deletions", Fault::None)?;
    let instead = "stage its key as deleted";
    trial.run(&With::default())?.publishes(instead)?;
    trial.api.change(|script| {
        for row in script.rows.iter_mut().filter(|row| row.id == 5) {
            row.deleted = true;
            row.updated = NEWEST + STEP;
        }
        script.rows.sort_by_key(|row| (row.updated, row.id));
    });
    let ran = trial.run(&With::default())?;
    ran.has_exactly(&trial.api.live(), instead)?;
    Ok("a row that is marked as deleted is gone".to_owned())
}

fn full_refresh(bench: &Bench<'_>) -> Proof {
    let trial = bench.trial("full", Fault::None)?;
    let instead = "fetch all, as `everything`";
    trial.run(&With::default())?.publishes(instead)?;
    trial.api.change(|script| {
        script.rows.retain(|row| row.id != 2);
        change(script, 3, FIRST);
        script.rows.sort_by_key(|row| (row.updated, row.id));
    });
    let ran = trial.run(&With {
        full_refresh: true,
        ..With::default()
    })?;
    ran.has_exactly(&trial.api.live(), instead)?;
    Ok("a row that the source forgot is gone".to_owned())
}

fn window(bench: &Bench<'_>) -> Proof {
    if !bench.subject.stages().changes {
        return Err(Wrong::Skipped("it declares no `changes`".to_owned()));
    }
    let trial = bench.trial("window", Fault::None)?;
    let instead = "read that range, keep the state";
    let before = trial.run(&With::default())?;
    before.publishes(instead)?;
    let Some(cursor) = &before.summary.cursor else {
        return Err(Wrong::Skipped(
            "it reports no cursor, of which a range could be".to_owned(),
        ));
    };
    // Changed without a trace: only who reads its range again sees it.
    trial
        .api
        .change(|script| change(script, 4, FIRST + 3 * STEP));
    let kind = |time: i64| match cursor.parse::<i64>() {
        Ok(_) => time.to_string(),
        Err(_) => rows::rfc3339(time),
    };
    let ran = trial.run(&With {
        range: Some((kind(FIRST + 2 * STEP), kind(FIRST + 6 * STEP))),
        ..With::default()
    })?;
    ran.has_exactly(&trial.api.live(), instead)?;
    if ran.state != before.state {
        return Err(failed(format!("the state changed; {instead}")));
    }
    Ok("a range is read again, and the state is as it was".to_owned())
}

fn newer_state(bench: &Bench<'_>) -> Proof {
    let trial = bench.trial("newer", Fault::None)?;
    let instead = "refuse newer ones";
    let ran = trial.run(&With::default())?;
    ran.publishes(instead)?;
    let text = ran.state.unwrap_or_default();
    let Ok((name, version)) = version_of(&text) else {
        return Err(Wrong::Skipped("the state has no version".to_owned()));
    };
    let mut state: Value = serde_json::from_str(&text).unwrap_or_default();
    state[name] = (version + 1_000).into();
    trial.replace_state(&state.to_string())?;
    for (full_refresh, how) in [(false, "a run"), (true, "a full refresh")] {
        let ran = trial.run(&With {
            full_refresh,
            ..With::default()
        })?;
        let newer = version + 1_000;
        ran.refuses(&format!("{how} took state v{newer}"), instead)?;
        if ran.exit == Outcome::OutputUnusable.exit_code() {
            return Err(Failure::new(Outcome::OutputUnusable, ran.error).into());
        }
    }
    Ok(format!(
        "version {} is refused, not guessed at",
        version + 1_000
    ))
}
