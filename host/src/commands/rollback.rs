//! Rollback: an earlier set is published again, by one rename under the run lock.
//!
//! The set is believed only when all its bytes are the ones that were published. The sets above it stay until the next run.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::RollbackArgs;
use crate::commands::look::{AtTheEnd, at_output};
use crate::commands::{named, stdout};
use crate::folder::{Folder, lock, random_digits};
use crate::outcome::{Committed, Ended, Failure, Outcome};
use crate::process::stop::Check;
use crate::run::history;
use crate::run::hold::{self, Hold};
use crate::settings::host::HostPlan;
use crate::sink::files::commit;
use crate::sink::files::generation::{self, Generation};
use crate::units::counted;
use crate::words;

/// Publishes an earlier set again, or releases a job that is held.
pub fn rollback(
    args: &RollbackArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let (job, generations) = match named::places(&args.what, 1) {
        Ok(places) => places,
        Err(why) => return Ended::failed(Outcome::Usage, why),
    };
    let (asked, generation) = (args.clone(), generations.first().copied());
    at_output(
        &args.of.given(job.map(Path::new)),
        environment,
        AtTheEnd::IsWaitedFor,
        move |host, stop| done(&asked, generation, host, &|| stop.check()),
        |said, redactor| Ended::of(stdout::print(&redactor.hide(&format!("{said}\n")))),
    )
}

fn done(
    args: &RollbackArgs,
    number: Option<u64>,
    host: &HostPlan,
    check: Check<'_>,
) -> Result<String, Failure> {
    let refused = |why: &str| Failure::new(Outcome::Usage, format!("`tidegate rollback` {why}"));
    let limits = &host.limits;
    let path = match (&host.database, &host.output_dir) {
        (Some(_), _) if !args.release => {
            return Err(refused(
                "goes back to sets of files, and OUTPUT_DATABASE_URL is set: a table holds the last set alone; restore it from a backup, together with its row of `tidegate_state`",
            ));
        }
        (_, Some(path)) => path,
        (_, None) => return Err(refused("needs OUTPUT_DIR")),
    };
    let output = Folder::open_for(path, host.writers)?.ok_or_else(|| {
        refused(&format!(
            "finds no `{}`: nothing was published yet",
            path.display()
        ))
    })?;
    let began = Timestamp::now();
    let run_id = format!(
        "{}-{:06x}",
        began.strftime("%Y%m%dT%H%M%SZ"),
        random_digits() & 0xff_ffff
    );
    let lock = lock::acquire(&output, &run_id)?;
    if args.release {
        if number.is_some() {
            return Err(refused("takes no generation with `--release`"));
        }
        return Ok(if Hold::end(&output)? {
            "released: the next run publishes again".to_owned()
        } else {
            "not held: nothing to release".to_owned()
        });
    }
    generation::refuse_strangers(&output)?;
    // Whatever has become of its files: it is the one to leave.
    let current = generation::current_name(&output)?
        .ok_or_else(|| refused("finds no published set: there is nothing to go back to"))?;
    let to = match number {
        Some(number) => generation::numbered(&output, number, limits)?.ok_or_else(|| {
            let kept = generation::kept(&output).unwrap_or_default();
            let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
            refused(&format!(
                "cannot find generation {number}: {} are kept (KEEP_GENERATIONS)",
                kept.join(", ")
            ))
        })?,
        None => generation::before(&output, limits)?.ok_or_else(|| {
            refused(&format!(
                "finds no earlier set that is another than that of generation {}",
                current.number
            ))
        })?,
    };
    to.verify(check)?;
    let is_there = to.name == current;
    check()?;
    let was_held = output.size(hold::FILE)?.is_some();
    if args.hold {
        let hold = Hold {
            since: format!("{began:.0}"),
            generation: to.name.number,
        };
        // First: a run that starts in between would undo it.
        hold.begin(&output, &run_id)?;
    }
    if !is_there {
        commit::go_back(&lock, &to).inspect_err(|failure| {
            if args.hold && !was_held && failure.committed == Committed::No {
                let _ = Hold::end(&output);
            }
        })?;
    }
    let message = format!("went back from generation {current}");
    let line = json!({
        "run_id": run_id,
        "job": host.job,
        "started": format!("{began:.3}"),
        "finished": format!("{:.3}", Timestamp::now()),
        "exit_code": 0,
        "outcome": "rolled_back",
        "committed": "yes",
        "generation": to.name.to_string(),
        "records": to.manifest.counts.records,
        "cursor": to.manifest.cursor,
        "message": message,
    });
    // As of any run: what is published does not hang on it.
    let _ = history::add(&output, &run_id, &line, limits);
    Ok(said(&to, is_there, args.hold))
}

/// What was done, in a line.
fn said(to: &Generation, is_there: bool, is_held: bool) -> String {
    let what = if is_there {
        "is what readers see already"
    } else {
        "is what readers see now"
    };
    let next = if is_held {
        "the job is held: its runs end with 75 until `tidegate rollback --release`".to_owned()
    } else {
        let cursor = to.manifest.cursor.as_deref().unwrap_or("the beginning");
        format!(
            "the next run goes on from cursor {}, and removes the sets above it",
            words::line(cursor, 100)
        )
    };
    format!(
        "generation {} of {:.0} ({}) {what}; {next}",
        to.name.number,
        to.name.committed,
        counted(to.manifest.counts.records, "record")
    )
}
