//! The same of a table: exactly where its history is kept, otherwise the rows that were written since.

use crate::cli::DiffArgs;
use crate::commands::stdout;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::sink::database::compare;

use super::Differences;

/// What `_generation` alone cannot tell.
const UNKNOWN: &str = "\
Which of them are new, what they were before and which rows are gone is not
known: a table holds the last set alone. OUTPUT_HISTORY=yes keeps that, from
then on.
";

/// Prints what differs. Returns whether anything does.
pub fn compared(
    args: &DiffArgs,
    numbers: &[u64],
    url: &DatabaseUrl,
    host: &HostPlan,
    check: Check<'_>,
) -> Result<bool, Failure> {
    let is_exact = host.output.keeps_history;
    let mut differences = Differences::none(args, &host.limits);
    differences.are_known = is_exact;
    let (from, to) = compare::differences(url, host, numbers, check, &mut |found| {
        let key = found.key.to_owned();
        match (found.old, found.new) {
            (Some(old), Some(new)) => differences.is_changed(key, old, new),
            (None, Some(new)) => differences.is_new(key, new),
            (Some(old), None) => differences.is_gone(key, old),
            (None, None) => Ok(()),
        }
    })?;
    if args.output.is_none() {
        let note = (!is_exact).then_some(UNKNOWN);
        stdout::print(&differences.text(&[from, to], note))?;
    }
    Ok(differences.is_any())
}
