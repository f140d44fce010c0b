//! Drift: members of the records that are new, missing, renamed or of another type since the last published set, in words;
//! and what SCHEMA_DRIFT makes of them.
//!
//! Which members changed is `records::shape`'s to say.

use serde::Serialize;
use serde_json::json;
use tidegate_json::escape;

use crate::component::{Extent, Report};
use crate::limits::{DRIFT_LISTED_MAX, DRIFT_NAME_BYTES_MAX, DRIFT_TOLD_MAX};
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::shape::{Change, Kinds, Look, Shape, Span, What};
use crate::run::Run;
use crate::settings::catalogue::SCHEMA_DRIFT;
use crate::settings::host::HostPlan;
use crate::settings::plan::OnDrift;
use crate::sink::{LastCommit, Totals};
use crate::staging::lines::Lines;
use crate::units::counted;
use crate::words;

/// What changed in a run, all portions together.
#[derive(Debug, Default)]
pub struct Drift {
    changes: Vec<Change>,
    /// Whether the run is refused for it.
    is_refused: bool,
}

/// The same for the summary: pointers, of each list the first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DriftSummary {
    /// No record before had these, or none for some time.
    pub new: Vec<String>,
    /// None of the records has these any more, or only null there.
    pub missing: Vec<String>,
    /// Both at once, of the same types.
    pub renamed: Vec<Renamed>,
    /// These have values of other types.
    pub retyped: Vec<Retyped>,
    /// How many more there are than are listed.
    pub unlisted: usize,
}

/// A member that is missing, and the new one that may be the same.
#[derive(Debug, Clone, Serialize)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

/// A member with values of other types, by their names in JSON Schema.
#[derive(Debug, Clone, Serialize)]
pub struct Retyped {
    pub member: String,
    pub was: Vec<&'static str>,
    pub is: Vec<&'static str>,
}

/// What a portion's records are made of, and what those before it were.
pub struct Looked {
    look: Look,
    last: Option<Shape>,
    /// Records in the last set, or in all segments.
    last_records: u64,
}

impl Looked {
    /// Looks at staged records. `Err`: the run must end.
    pub fn at(
        records: Lines<'_>,
        last: Option<LastCommit<'_>>,
        host: &HostPlan,
        check: Check<'_>,
    ) -> Result<Self, Failure> {
        let manifest = last.map(|last| last.manifest);
        let last = manifest.and_then(|manifest| manifest.shape.clone());
        let columns = host.output.columns.iter();
        let columns: Vec<String> = columns.map(|column| column.pointer.clone()).collect();
        let mut look = Look::new(last.as_ref(), &columns, &host.limits);
        look.see_all(records, check)?;
        Ok(Self {
            look,
            last,
            last_records: manifest.map_or(0, |manifest| manifest.counts.records),
        })
    }

    /// How many of the records were not in the last set as they are; of those that were there in another form, where that is known.
    fn fresh(&self, totals: &Totals) -> u64 {
        if totals.unchanged {
            return 0;
        }
        let there = self.last_records.saturating_sub(totals.removed);
        let new = totals.records.saturating_sub(there);
        new.saturating_add(totals.difference.changed.unwrap_or_default())
    }
}

impl Run<'_> {
    /// Holds what was seen against what the last commit remembers. Returns what this one remembers, and under
    /// SCHEMA_DRIFT=fail why it is refused.
    pub(crate) fn drift_of(
        &mut self,
        looked: Looked,
        report: &Report,
        totals: &Totals,
        host: &HostPlan,
    ) -> (Option<Shape>, Option<String>) {
        if looked.look.records() == 0 {
            return (looked.last, None);
        }
        let (last, fresh) = (looked.last.as_ref(), looked.fresh(totals));
        let (shape, changes) = Shape::after(last, &looked.look, self.span(report), fresh);
        if host.on_drift == OnDrift::Ignore {
            return (Some(shape), None);
        }
        if shape.is_full() && !last.is_some_and(Shape::is_full) {
            self.log.warn(
                "more members than are watched for SCHEMA_DRIFT",
                json!({ "watched": host.limits.drift_members }),
            );
        }
        let accepted = &self.args.accept_change;
        let fails = host.on_drift == OnDrift::Fail
            && !accepted.iter().any(|name| name == SCHEMA_DRIFT.row.name);
        let refusal = (fails && !changes.is_empty()).then(|| {
            let words = spoken(&changes, |text| self.log.hide(text));
            refusal(&words)
        });
        self.drift.is_refused |= refusal.is_some();
        self.drift.add(changes);
        (Some(shape), refusal)
    }

    /// What the records of this portion are among those of the job. Only the first of several can be the whole set.
    fn span(&self, report: &Report) -> Span {
        if self.args.range().is_some() {
            Span::Again
        } else if report.extent == Extent::Everything && !report.more && self.summary.portions == 0
        {
            Span::Whole
        } else {
            Span::Newest
        }
    }

    /// Says once what changed in the run, but where the line of its failure says so.
    pub(crate) fn tell_drift(&mut self) {
        let hide = |text: &str| self.log.hide(text);
        self.summary.drift = self.drift.summary(hide);
        if self.drift.is_refused || self.drift.changes.is_empty() {
            return;
        }
        self.log.warn(
            "members of the records changed",
            json!({ "changes": spoken(&self.drift.changes, hide) }),
        );
    }
}

fn refusal(words: &str) -> String {
    let name = SCHEMA_DRIFT.row.name;
    format!(
        "the members of the records changed, and `{name}` is fail: {words}; if that is right, run once with `--accept-change {name}`, or set `{name}=warn`"
    )
}

impl Drift {
    /// Adds those of one more portion. A member that was missing in one and is back in the next was never missing.
    fn add(&mut self, changes: Vec<Change>) {
        for change in changes {
            let is_gone = |known: &Change| {
                known.path == change.path && matches!(known.what, What::Missing(_) | What::Null(_))
            };
            let gone = self.changes.iter().position(is_gone);
            match (change.what, gone) {
                (What::Back, Some(at)) => drop(self.changes.remove(at)),
                _ => self.changes.push(change),
            }
        }
    }

    fn summary(&self, hide: impl Fn(&str) -> String) -> Option<DriftSummary> {
        if self.changes.is_empty() {
            return None;
        }
        let mut summary = DriftSummary::default();
        let (renamed, others) = paired(&self.changes);
        let name = |change: &Change| shown(change, &hide);
        for (from, to) in renamed {
            let (from, to) = (name(from), name(to));
            let renamed = Renamed { from, to };
            listed(&mut summary.renamed, renamed, &mut summary.unlisted);
        }
        for change in others {
            let list = match change.what {
                What::New | What::Back => &mut summary.new,
                What::Missing(_) | What::Null(_) => &mut summary.missing,
                What::Retyped(was) => {
                    let retyped = Retyped {
                        member: name(change),
                        was: was.words(),
                        is: change.kinds.words(),
                    };
                    listed(&mut summary.retyped, retyped, &mut summary.unlisted);
                    continue;
                }
            };
            listed(list, name(change), &mut summary.unlisted);
        }
        Some(summary)
    }
}

fn listed<T>(list: &mut Vec<T>, one: T, unlisted: &mut usize) {
    if list.len() < DRIFT_LISTED_MAX {
        list.push(one);
    } else {
        *unlisted += 1;
    }
}

/// A pointer to it that people may see: names are the source's.
fn shown(change: &Change, hide: impl Fn(&str) -> String) -> String {
    // Each name before the pointer escapes it, and all of them together.
    let names = change
        .path
        .iter()
        .map(|name| format!("/{}", escape(&hide(name))));
    words::line(&hide(&names.collect::<String>()), DRIFT_NAME_BYTES_MAX)
}

/// All of it in one sentence, as far as there is room.
fn spoken(changes: &[Change], hide: impl Fn(&str) -> String) -> String {
    let (renamed, others) = paired(changes);
    let name = |change: &Change| format!("`{}`", shown(change, &hide));
    let renamed = renamed.iter().map(|(from, to)| {
        let (from, to) = (name(from), name(to));
        format!("{from} is gone and {to} is new (renamed?)")
    });
    let others = others.iter().map(|change| {
        let (name, kinds) = (name(change), alternatives(change.kinds));
        let all = |records| match records {
            1 => "the last record".to_owned(),
            _ => format!("the last {}", counted(records, "record")),
        };
        match change.what {
            What::New => format!("{name} is new ({kinds})"),
            What::Back => format!("{name} is back ({kinds})"),
            What::Missing(records) => format!("{name} is missing in {}", all(records)),
            What::Null(records) => format!("{name} is null in {}", all(records)),
            What::Retyped(was) => format!("{name} was {} and is {kinds}", alternatives(was)),
        }
    });
    let all: Vec<String> = renamed.chain(others).collect();
    let (told, rest) = all.split_at(all.len().min(DRIFT_TOLD_MAX));
    let rest = match rest.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    told.join("; ") + &rest
}

fn alternatives(kinds: Kinds) -> String {
    match kinds.words()[..] {
        [] => "null".to_owned(),
        ref words => words.join(" or "),
    }
}

/// Of each pair the member that is gone, and the new one.
type Pairs<'c> = Vec<(&'c Change, &'c Change)>;

/// Members that are gone and new ones, where just one is gone beside just one new one of the same types; and the others.
fn paired(changes: &[Change]) -> (Pairs<'_>, Vec<&Change>) {
    let is_gone = |change: &&Change| matches!(change.what, What::Missing(_));
    let is_new = |change: &&Change| change.what == What::New;
    let are_alike = |one: &Change, other: &Change| {
        let around = |change: &Change| change.path.split_last().map(|(_, around)| around.to_vec());
        !one.kinds.is_empty() && one.kinds == other.kinds && around(one) == around(other)
    };
    let only = |of: &Change, are: &dyn Fn(&&Change) -> bool| {
        let mut alike = changes.iter().filter(are).filter(|one| are_alike(one, of));
        alike.next().filter(|_| alike.next().is_none())
    };
    let gone = changes.iter().filter(is_gone);
    let pairs = gone.filter_map(|gone| {
        let new = only(gone, &is_new)?;
        only(new, &is_gone).map(|gone| (gone, new))
    });
    let pairs: Pairs<'_> = pairs.collect();
    let is_paired = |change: &&Change| {
        let is_it = |one: &Change| std::ptr::eq(one, *change);
        pairs.iter().any(|(gone, new)| is_it(gone) || is_it(new))
    };
    let others = changes.iter().filter(|change| !is_paired(change));
    let others = others.collect();
    (pairs, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    use tidegate_json::Kind;

    fn change(path: &[&str], what: What, kinds: &[Kind]) -> Change {
        let mut all = Kinds::default();
        for kind in kinds {
            all.add(*kind);
        }
        Change {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            what,
            kinds: all,
        }
    }

    fn told(changes: &[Change]) -> String {
        spoken(changes, str::to_owned)
    }

    const TEXT: &[Kind] = &[Kind::String];

    #[test]
    fn one_that_is_gone_beside_a_new_one_of_its_type_may_be_renamed() {
        let gone = change(&["name"], What::Missing(3), TEXT);
        let new = change(&["title"], What::New, TEXT);

        assert_eq!(
            told(&[gone.clone(), new.clone()]),
            "`/name` is gone and `/title` is new (renamed?)"
        );
        // Of two that are alike nobody knows which.
        let other = change(&["label"], What::New, TEXT);
        assert!(!told(&[gone.clone(), new.clone(), other]).contains("renamed"));
        let other = change(&["note"], What::Missing(3), TEXT);
        assert!(!told(&[gone.clone(), other, new.clone()]).contains("renamed"));
        let number = change(&["title"], What::New, &[Kind::Number]);
        assert!(!told(&[gone.clone(), number]).contains("renamed"));
        let inside = change(&["a", "title"], What::New, TEXT);
        assert!(!told(&[gone, inside]).contains("renamed"));
        let null = change(&["name"], What::Null(3), TEXT);
        assert!(!told(&[null, new]).contains("renamed"));
    }

    #[test]
    fn each_change_is_named_by_its_pointer() {
        let changes = [
            change(&["a/b", "~c"], What::New, &[Kind::Number, Kind::String]),
            change(&["d"], What::Back, &[]),
            change(&["e"], What::Missing(1), TEXT),
            change(&["f"], What::Null(20), TEXT),
            change(
                &["g"],
                What::Retyped(change(&[], What::New, TEXT).kinds),
                &[Kind::Number],
            ),
        ];

        assert_eq!(
            told(&changes),
            "`/a~1b/~0c` is new (number or string); `/d` is back (null); `/e` is missing in the last record; \
             `/f` is null in the last 20 records; `/g` was string and is number"
        );
    }

    #[test]
    fn names_are_cut_steer_nothing_and_hide_secrets_and_a_message_names_so_many() {
        let long = "x".repeat(1_000_000);
        let odd = change(&["\u{1b}[2J\n\u{202e}s3cret"], What::New, TEXT);
        let mut changes = vec![odd, change(&[&long], What::New, TEXT)];
        changes.extend((0..100).map(|n| change(&[&format!("n{n}")], What::New, TEXT)));
        let hide = |text: &str| text.replace("s3cret", "REDACTED");

        let told = spoken(&changes, hide);

        assert!(told.len() < 2_000, "{}", told.len());
        assert!(
            !told.contains(words::steers) && !told.contains("s3cret"),
            "{told}"
        );
        assert!(told.ends_with("; and 92 more"), "{told}");
        let drift = Drift {
            changes,
            is_refused: false,
        };
        let summary = drift.summary(hide).unwrap();
        assert_eq!((summary.new.len(), summary.unlisted), (20, 82));
        assert!(serde_json::to_string(&summary).unwrap().len() < 5_000);
    }

    #[test]
    fn a_secret_is_hidden_before_a_pointer_escapes_it() {
        let hide = |text: &str| text.replace("pa/ss~w0rd9", "REDACTED");
        let changes = [change(&["in", "pa/ss~w0rd9"], What::New, TEXT)];

        assert_eq!(spoken(&changes, hide), "`/in/REDACTED` is new (string)");
    }

    #[test]
    fn what_is_missing_in_a_portion_and_back_in_the_next_is_not_told() {
        let mut drift = Drift::default();

        drift.add(vec![change(&["a"], What::Missing(3), TEXT)]);
        drift.add(vec![change(&["a"], What::Back, TEXT)]);

        assert!(drift.summary(str::to_owned).is_none());
        drift.add(vec![change(&["a"], What::Back, TEXT)]);
        assert_eq!(drift.summary(str::to_owned).unwrap().new, ["/a"]);
    }
}
