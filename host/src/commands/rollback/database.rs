//! The same of a table whose history is kept: its earlier rows become a new generation, in one transaction.

use std::sync::Arc;

use crate::cli::RollbackArgs;
use crate::commands::by_hand::{self, ByHand, Done};
use crate::folder::{Temporary, lock};
use crate::log::Log;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::run::hold::Hold;
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::sink::SinkContext;
use crate::sink::database::back::{self, Asked, WentBack};
use crate::units::{counted_in_thousands, thousands};
use crate::words;

/// Goes back, or releases the job. Returns what was done, in a line.
pub fn done(
    args: &RollbackArgs,
    number: Option<u64>,
    url: &DatabaseUrl,
    host: &HostPlan,
    check: Check<'_>,
) -> Result<String, Failure> {
    let refused = |why: &str| by_hand::refused("rollback", why);
    let limits = &host.limits;
    let by_hand = ByHand::begin();
    let since = by_hand.since();
    let mut own = None;
    let folder = if let Some(path) = &host.output_dir {
        by_hand::output(path, host, "rollback")?
    } else {
        let temporary = Temporary::new("run", &host.temp_dir, limits)?;
        own.insert(temporary).folder().clone()
    };
    let log = Log::silent();
    let context = SinkContext {
        lock: Arc::new(lock::acquire(&folder, &by_hand.run_id)?),
        folder_stays: host.output_dir.is_some(),
        adopt: false,
        dry_run: false,
        accepts_twins: true,
        replaces_every_parent: false,
        limits,
        check,
        log: &log,
    };
    if args.release {
        if number.is_some() {
            return Err(refused("takes no generation with `--release`"));
        }
        // The folder may be that of a job that published files before.
        let is_released = back::release(&context, url, host)? | Hold::end(&folder)?;
        return Ok(if is_released {
            "released: the next run publishes again".to_owned()
        } else {
            "not held: nothing to release".to_owned()
        });
    }
    let asked = Asked {
        number,
        hold: args.hold,
        started: &since,
    };
    let went = back::go_back(&context, url, host, &asked)?;
    if let Some(made) = &went.made {
        let done = Done {
            outcome: "rolled_back",
            generation: made.to_string(),
            records: went.applied.records,
            cursor: went.manifest.cursor.as_deref(),
            message: format!(
                "went back from generation {} to {}",
                went.from, went.to.number
            ),
        };
        let output = host.output_dir.is_some().then_some(&folder);
        by_hand.record(output, host, done);
    }
    Ok(said(&went, went.is_held))
}

/// What was done, in a line.
fn said(went: &WentBack, is_held: bool) -> String {
    let what = match &went.made {
        None => "is what readers see already".to_owned(),
        Some(made) => {
            let difference = went.applied.difference;
            let count = |count: Option<u64>| thousands(count.unwrap_or_default());
            format!(
                "is what readers see now, as generation {} ({} new, {} changed, {} gone)",
                made.number,
                count(difference.new),
                count(difference.changed),
                count(difference.gone)
            )
        }
    };
    let next = if is_held {
        "the job is held: its runs end with 75 until `tidegate rollback --release`".to_owned()
    } else {
        let cursor = went.manifest.cursor.as_deref().unwrap_or("the beginning");
        format!(
            "the next run goes on from cursor {}",
            words::line(cursor, 100)
        )
    };
    format!(
        "generation {} of {:.0} ({}) {what}; {next}",
        went.to.number,
        went.to.committed,
        counted_in_thousands(went.manifest.counts.records, "record")
    )
}
