//! The gates: is what would be published plausible? The source can answer 200 and be wrong.

use crate::outcome::{Failure, Outcome};
use crate::records::superseded::Differing;
use crate::run::Run;
use crate::settings::catalogue::PRIMARY_KEY;
use crate::settings::host::HostPlan;
use crate::settings::plan::{MaxRejected, Plan, WriteMode};
use crate::sink::{LastCommit, Totals};
use crate::staging::rejection::Rejection;
use crate::units::counted;

/// How much may be missing or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// `MIN_RECORDS`: the published set has at least as many, or under append this run.
    pub min_records: u64,
    /// Under append, the records of this run, of all its portions: all segments together can only grow.
    pub run_records: Option<u64>,
    /// `MAX_SHRINK_PERCENT`: against the set that was published before this run.
    pub max_shrink_percent: u64,
    /// `MAX_DELETE_PERCENT`: of that set, by all deletions of this run.
    pub max_delete_percent: u64,
    /// `MAX_REJECTED`: of this run.
    pub max_rejected: MaxRejected,
    /// `--allow-shrink`: this once, the set may shrink, and records may be deleted.
    pub allow_shrink: bool,
    /// Whether most records must have a key of their own: on a first publish, without `--accept-change PRIMARY_KEY`.
    pub distinct_keys: bool,
}

/// `Err` (65) names every gate that refused, and the setting that would let it pass.
///
/// `fetched`, and of `totals` what was staged, removed and rejected, are of the run so far; `last_records` is the size of the set
/// that was published before it, if there is one to compare with;
/// `first_rejected` what is known of the first record that was set aside, `first_differing` of two records with one key; `drift`
/// why their members are refused.
pub fn check(
    gates: &Gates,
    totals: &Totals,
    fetched: u64,
    last_records: Option<u64>,
    first_rejected: Option<&Rejection>,
    first_differing: Option<&Differing>,
    drift: Option<String>,
) -> Result<(), Failure> {
    // What was rejected is the likely cause of the rest, and is named first.
    let refused: Vec<String> = [
        too_many_rejected(gates, totals, fetched, first_rejected),
        keys_shared(gates, totals, first_differing),
        too_few(gates, totals),
        shrunk(gates, totals, last_records),
        deleted_too_many(gates, totals, last_records),
        drift,
    ]
    .into_iter()
    .flatten()
    .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Outcome::GateRefused,
        format!("not published: {}", refused.join("; ")),
    ))
}

fn too_few(gates: &Gates, totals: &Totals) -> Option<String> {
    let (records, of) = match gates.run_records {
        Some(records) => (records, "this run has"),
        None => (totals.records, "there would be"),
    };
    (records < gates.min_records).then(|| {
        format!(
            "{of} {}, and `MIN_RECORDS` is {}",
            counted(records, "record"),
            gates.min_records
        )
    })
}

/// A key that most records share is no key. A later run may well bring many versions of a few records.
fn keys_shared(gates: &Gates, totals: &Totals, first: Option<&Differing>) -> Option<String> {
    let own = totals.staged.saturating_sub(totals.differing);
    let over = gates.distinct_keys && own < totals.differing;
    let first = first.map_or_else(String::new, |first| format!(", and {first}"));
    over.then(|| {
        format!(
            "only {own} of {} have a key of their own{first}; set PRIMARY_KEY to what tells records apart, or run once with `--accept-change PRIMARY_KEY` if the last record of each key is enough",
            counted(totals.staged, "record")
        )
    })
}

fn shrunk(gates: &Gates, totals: &Totals, last_records: Option<u64>) -> Option<String> {
    let last = last_records.filter(|last| !gates.allow_shrink && totals.records < *last)?;
    let gone = last - totals.records;
    let over = u128::from(gone) * 100 > u128::from(last) * u128::from(gates.max_shrink_percent);
    over.then(|| {
        format!(
            "{gone} of {} would be gone, and `MAX_SHRINK_PERCENT` is {}{}",
            counted(last, "record"),
            gates.max_shrink_percent,
            if_right(totals)
        )
    })
}

/// Unlike a set that shrank this is not hidden by as many new records.
fn deleted_too_many(gates: &Gates, totals: &Totals, last_records: Option<u64>) -> Option<String> {
    let last = last_records.filter(|_| !gates.allow_shrink)?;
    let most = gates.max_delete_percent;
    let over = u128::from(totals.removed) * 100 > u128::from(last) * u128::from(most);
    over.then(|| {
        format!(
            "{} of {} would be deleted, and `MAX_DELETE_PERCENT` is {most}{}",
            totals.removed,
            counted(last, "record"),
            if_right(totals)
        )
    })
}

/// How to let a smaller set through. Nobody is advised to while records are missing because they were rejected.
fn if_right(totals: &Totals) -> &'static str {
    if totals.rejected > 0 {
        ""
    } else {
        "; if that is right, run once with `--allow-shrink`"
    }
}

fn too_many_rejected(
    gates: &Gates,
    totals: &Totals,
    fetched: u64,
    first: Option<&Rejection>,
) -> Option<String> {
    let rejected = totals.rejected;
    let refused = match gates.max_rejected {
        MaxRejected::Count(most) => (rejected > most).then(|| {
            let rejected = counted(rejected, "record");
            format!("{rejected} rejected, and `MAX_REJECTED` is {most}")
        }),
        MaxRejected::Percent(most) => {
            let staged = totals.staged.saturating_add(totals.deleted);
            // What was staged is counted by the host, so a report cannot make the base smaller than that.
            let base = fetched.max(staged.saturating_add(rejected));
            let over = u128::from(rejected) * 100 > u128::from(base) * u128::from(most);
            over.then(|| {
                let base = counted(base, "record");
                format!("{rejected} of {base} rejected, and `MAX_REJECTED` is {most}%")
            })
        }
    };
    let first = first.map_or_else(String::new, |first| format!("; the first: {first}"));
    refused.map(|text| text + &first)
}

impl Run<'_> {
    /// How much may be missing or bad in this run so far. A set that is still being loaded may be small.
    pub(crate) fn gates(&self, plan: &Plan, host: &HostPlan, more: bool, is_first: bool) -> Gates {
        let appends = plan.mode == WriteMode::Append;
        let accepted = &self.args.accept_change;
        let key = PRIMARY_KEY.row.name;
        Gates {
            min_records: if more { 0 } else { host.min_records },
            run_records: appends.then_some(self.summary.staged),
            max_shrink_percent: host.max_shrink_percent,
            max_delete_percent: host.max_delete_percent,
            max_rejected: host.max_rejected,
            allow_shrink: self.args.allow_shrink,
            distinct_keys: is_first && !accepted.iter().any(|name| name == key),
        }
    }
}

/// The size of the last set, if the new one can be held against it: what was appended is no set, and cannot shrink.
pub fn comparable(plan: &Plan, last: LastCommit<'_>) -> Option<u64> {
    let is_set = plan.mode != WriteMode::Append && !last.manifest.appends();
    is_set.then_some(last.manifest.counts.records)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATES: Gates = Gates {
        min_records: 0,
        run_records: None,
        max_shrink_percent: 50,
        max_delete_percent: 50,
        max_rejected: MaxRejected::Count(0),
        allow_shrink: false,
        distinct_keys: true,
    };

    fn of(records: u64, rejected: u64) -> Totals {
        Totals {
            records,
            rejected,
            ..Totals::default()
        }
    }

    fn refusal(gates: &Gates, totals: Totals, fetched: u64, last: Option<u64>) -> Option<String> {
        let first = Rejection::new("no id", "/items/3");
        check(gates, &totals, fetched, last, Some(&first), None, None)
            .err()
            .map(|failure| {
                assert_eq!(failure.outcome, Outcome::GateRefused);
                failure.message
            })
    }

    #[test]
    fn a_set_may_shrink_by_the_percentage_and_no_more() {
        assert_eq!(refusal(&GATES, of(50, 0), 0, Some(100)), None);
        assert!(
            refusal(&GATES, of(49, 0), 0, Some(100))
                .unwrap()
                .contains("51 of 100")
        );
        assert!(refusal(&GATES, of(0, 0), 0, Some(1)).is_some());
    }

    #[test]
    fn where_records_were_rejected_that_comes_first_and_no_flag_is_advised() {
        let text = refusal(&GATES, of(0, 100), 100, Some(100)).unwrap();

        assert!(
            text.starts_with("not published: 100 records rejected"),
            "{text}"
        );
        assert!(text.contains("100 of 100 records would be gone"), "{text}");
        assert!(!text.contains("--allow-shrink"), "{text}");
    }

    #[test]
    fn shrinking_is_allowed_once_by_flag_for_good_by_100_percent_and_before_a_last_set() {
        let flag = Gates {
            allow_shrink: true,
            ..GATES
        };
        let setting = Gates {
            max_shrink_percent: 100,
            ..GATES
        };

        assert_eq!(refusal(&flag, of(0, 0), 0, Some(100)), None);
        assert_eq!(refusal(&setting, of(0, 0), 0, Some(100)), None);
        assert_eq!(refusal(&GATES, of(0, 0), 0, None), None);
    }

    #[test]
    fn too_few_records_are_refused_whatever_was_there_before() {
        let gates = Gates {
            min_records: 10,
            allow_shrink: true,
            ..GATES
        };

        assert_eq!(refusal(&gates, of(10, 0), 0, None), None);
        assert!(
            refusal(&gates, of(9, 0), 0, None)
                .unwrap()
                .contains("`MIN_RECORDS` is 10")
        );
    }

    #[test]
    fn rejected_records_are_counted() {
        let two = Gates {
            max_rejected: MaxRejected::Count(2),
            ..GATES
        };

        assert!(refusal(&GATES, of(5, 1), 5, None).is_some());
        assert_eq!(refusal(&two, of(5, 2), 5, None), None);
        assert!(refusal(&two, of(5, 3), 5, None).is_some());
    }

    #[test]
    fn a_percentage_is_of_what_was_fetched_or_at_least_staged() {
        let percent = Gates {
            max_rejected: MaxRejected::Percent(1),
            ..GATES
        };

        assert_eq!(refusal(&percent, of(5, 1), 100, None), None);
        assert!(refusal(&percent, of(5, 2), 100, None).is_some());
        let staged = Totals {
            staged: 296,
            ..of(5, 3)
        };
        assert!(
            refusal(&percent, staged, 0, None)
                .unwrap()
                .contains("3 of 299")
        );
    }

    #[test]
    fn deletions_are_counted_although_as_many_records_are_new() {
        let many = |removed| Totals {
            removed,
            ..of(100, 0)
        };
        let flag = Gates {
            allow_shrink: true,
            ..GATES
        };

        assert_eq!(refusal(&GATES, many(50), 0, Some(100)), None);
        let text = refusal(&GATES, many(51), 0, Some(100)).unwrap();
        assert!(
            text.contains("51 of 100 records would be deleted, and `MAX_DELETE_PERCENT` is 50"),
            "{text}"
        );
        assert!(text.contains("`--allow-shrink`"), "{text}");
        assert!(!text.contains("MAX_SHRINK_PERCENT"), "{text}");
        assert_eq!(refusal(&flag, many(100), 0, Some(100)), None);
        assert_eq!(refusal(&GATES, many(0), 0, None), None);
    }

    #[test]
    fn the_first_rejected_record_is_told_of_where_that_gate_refused() {
        let text = refusal(&GATES, of(5, 1), 5, None).unwrap();

        assert!(
            text.ends_with("`MAX_REJECTED` is 0; the first: no id at `/items/3`"),
            "{text}"
        );
        let too_few = Gates {
            min_records: 10,
            ..GATES
        };
        assert!(
            !refusal(&too_few, of(5, 0), 5, None)
                .unwrap()
                .contains("first")
        );
    }

    #[test]
    fn most_records_of_a_first_set_must_have_a_key_of_their_own() {
        let of = |differing| Totals {
            staged: 100,
            superseded: 100,
            differing,
            ..of(50, 0)
        };
        let later = Gates {
            distinct_keys: false,
            ..GATES
        };

        assert_eq!(refusal(&GATES, of(50), 100, None), None);
        assert_eq!(refusal(&later, of(99), 100, Some(50)), None);
        let text = refusal(&GATES, of(51), 100, None).unwrap();
        assert!(
            text.contains("only 49 of 100 records have a key of their own"),
            "{text}"
        );
        assert!(text.contains("--accept-change PRIMARY_KEY"), "{text}");
    }

    #[test]
    fn every_gate_that_refused_is_named() {
        let gates = Gates {
            min_records: 10,
            ..GATES
        };

        let totals = Totals {
            removed: 99,
            ..of(1, 1)
        };
        let text = refusal(&gates, totals, 2, Some(100)).unwrap();

        for setting in [
            "MIN_RECORDS",
            "MAX_SHRINK_PERCENT",
            "MAX_DELETE_PERCENT",
            "MAX_REJECTED",
        ] {
            assert!(text.contains(setting), "{text}");
        }
    }

    #[test]
    fn numbers_of_any_size_do_not_overflow() {
        assert!(refusal(&GATES, of(1, 0), 0, Some(u64::MAX)).is_some());
        let deleted = Totals {
            removed: u64::MAX,
            ..of(u64::MAX, 0)
        };
        assert!(refusal(&GATES, deleted, 0, Some(u64::MAX)).is_some());
        let percent = Gates {
            max_rejected: MaxRejected::Percent(1),
            ..GATES
        };
        let all = Totals {
            staged: u64::MAX,
            deleted: u64::MAX,
            ..of(u64::MAX, u64::MAX)
        };
        assert!(refusal(&percent, all, u64::MAX, None).is_some());
    }
}
