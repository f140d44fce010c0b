//! Rollback: an earlier set is published again, by one rename under the run lock.
//!
//! The set is believed only when all its bytes are the ones that were published. The sets above it stay until the next run.

use std::path::Path;

use crate::cli::RollbackArgs;
use crate::commands::by_hand::{self, ByHand, Done};
use crate::commands::look::{AtTheEnd, at_output};
use crate::commands::{named, stdout};
use crate::folder::lock;
use crate::outcome::{Committed, Ended, Failure, Outcome};
use crate::process::stop::Check;
use crate::run::hold::{self, Hold};
use crate::settings::host::HostPlan;
use crate::sink::files::commit;
use crate::sink::files::generation::{self, Generation};
use crate::sink::files::leftovers;
use crate::sink::files::pins::Pins;
use crate::units::counted;
use crate::words;

mod database;

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
    let refused = |why: &str| by_hand::refused("rollback", why);
    let limits = &host.limits;
    if let Some(url) = &host.database {
        return database::done(args, number, url, host, check);
    }
    let Some(path) = &host.output_dir else {
        return Err(refused("needs OUTPUT_DIR"));
    };
    let output = by_hand::output(path, host, "rollback")?;
    let by_hand = ByHand::begin();
    let lock = lock::acquire(&output, &by_hand.run_id)?;
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
        Some(number) => generation::numbered(&output, number, limits)?
            .ok_or_else(|| by_hand::missing(&output, "rollback", number))?,
        None => generation::before(&output, limits)?.ok_or_else(|| {
            refused(&format!(
                "finds no earlier set that is another than that of generation {}",
                current.number
            ))
        })?,
    };
    to.verify(check)?;
    let pinned = Pins::read(&output, limits)?.newest();
    if let Some(pinned) = pinned.filter(|pinned| *pinned > to.name.number) {
        let appends = to.manifest.appends();
        leftovers::refuse_pinned_segments(&output, Some(&to), pinned, appends)?;
    }
    let is_there = to.name == current;
    check()?;
    let was_held = output.size(hold::FILE)?.is_some();
    if args.hold {
        let hold = Hold {
            since: by_hand.since(),
            generation: to.name.number,
        };
        // First: a run that starts in between would undo it.
        hold.begin(&output, &by_hand.run_id)?;
    }
    if !is_there {
        commit::go_back(&lock, &to).inspect_err(|failure| {
            if args.hold && !was_held && failure.committed == Committed::No {
                let _ = Hold::end(&output);
            }
        })?;
    }
    let done = Done {
        outcome: "rolled_back",
        generation: to.name.to_string(),
        records: to.manifest.counts.records,
        cursor: to.manifest.cursor.as_deref(),
        message: format!("went back from generation {current}"),
    };
    by_hand.record(Some(&output), host, done);
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
        let does = if to.manifest.fetch_everything {
            "fetches everything".to_owned()
        } else {
            format!("goes on from cursor {}", words::line(cursor, 100))
        };
        format!("the next run {does}, and removes the sets above it")
    };
    format!(
        "generation {} of {:.0} ({}) {what}; {next}",
        to.name.number,
        to.name.committed,
        counted(to.manifest.counts.records, "record")
    )
}
