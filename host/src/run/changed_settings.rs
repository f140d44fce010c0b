//! Settings that changed since the last commit: refused where old and new records would not fit together.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::RunArgs;
use crate::outcome::{Failure, Outcome};
use crate::run::Run;
use crate::settings::catalogue::WRITE_MODE;
use crate::settings::plan::{Plan, WriteMode};
use crate::sink::LastCommit;
use crate::sink::manifest::Manifest;

impl Run<'_> {
    /// Refuses settings that would make the last set and the new records two different things.
    pub(crate) fn refuse_changes(
        &self,
        plan: &Plan,
        last: Option<LastCommit<'_>>,
    ) -> Result<(), Failure> {
        self.refuse_flags(plan)?;
        refuse_changes(self.args, plan, last)
    }

    /// Refuses flags that say what cannot be done in this mode.
    fn refuse_flags(&self, plan: &Plan) -> Result<(), Failure> {
        let refused = if self.args.range().is_some() && plan.mode != WriteMode::Upsert {
            "`--from` and `--to` read a range again and merge it by key: set PRIMARY_KEY and WRITE_MODE=upsert, or leave them out"
        } else if self.args.full_refresh && plan.mode == WriteMode::Append {
            "`--full-refresh` publishes everything in place of the old set, and WRITE_MODE=append only adds: leave it out; to start over, append into another OUTPUT_DIR"
        } else {
            return Ok(());
        };
        Err(Failure::new(Outcome::Settings, refused))
    }
}

/// The same of a run with these arguments.
pub fn refuse_changes(
    args: &RunArgs,
    plan: &Plan,
    last: Option<LastCommit<'_>>,
) -> Result<(), Failure> {
    let Some(last) = last.filter(|_| !args.full_refresh) else {
        return Ok(());
    };
    let leaves = leaves_append(plan, last);
    if plan.mode == WriteMode::Replace && !leaves {
        return Ok(());
    }
    let changed: Vec<String> = changed_settings(last.manifest, &plan.fingerprint)
        .into_iter()
        .filter(|name| !args.accept_change.contains(name))
        // A whole new set is not mixed with anything; but the readers of the segments would wait for nothing.
        .filter(|name| plan.mode != WriteMode::Replace || name == WRITE_MODE.row.name)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let accepted: Vec<String> = changed
        .iter()
        .map(|name| format!("--accept-change {name}"))
        .collect();
    let accepted = accepted.join(" ");
    let ways_on = if plan.mode == WriteMode::Append {
        format!(
            "so old and new segments may not fit together; continue with `{accepted}`, or append into another OUTPUT_DIR"
        )
    } else if leaves {
        format!(
            "so the segments stay, and no further one is added; continue with `{accepted}`, which fetches everything again"
        )
    } else {
        format!(
            "so old and new records may not fit together; fetch everything again with `--full-refresh`, or continue with `{accepted}`"
        )
    };
    Err(Failure::new(
        Outcome::Settings,
        format!(
            "{} changed since generation {}, {ways_on}",
            changed.join(", "),
            last.name
        ),
    ))
}

/// Whether the last commit is of an append job and this run makes a set again.
pub fn leaves_append(plan: &Plan, last: LastCommit<'_>) -> bool {
    plan.mode != WriteMode::Append && last.manifest.appends()
}

/// The data-shaping settings that differ from those of `manifest`, in order; one that is missing on a side was not given.
fn changed_settings(manifest: &Manifest, now: &BTreeMap<String, String>) -> Vec<String> {
    let not_given = crate::hash::sha256(b"");
    let hash =
        |side: &BTreeMap<String, String>, name: &str| side.get(name).unwrap_or(&not_given).clone();
    let names: BTreeSet<&String> = manifest.settings.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter(|name| hash(&manifest.settings, name) != hash(now, name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_setting_is_named_and_one_that_was_never_given_is_not() {
        let mut manifest = crate::sink::manifest::tests::empty();
        let settings = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
            list.iter()
                .map(|(name, value)| ((*name).to_owned(), crate::hash::sha256(value.as_bytes())))
                .collect()
        };
        manifest.settings = settings(&[("A", "1"), ("B", "1"), ("C", "1"), ("D", "")]);

        let changed = changed_settings(
            &manifest,
            &settings(&[("A", "1"), ("B", "2"), ("E", ""), ("F", "1")]),
        );

        assert_eq!(changed, ["B", "C", "F"]);
    }
}
