//! What differs between two generations of a table, as a stream in the order of the keys. Takes no lock and changes nothing.
//!
//! With a history both versions of each record are known. Without one, `_generation` says which rows were written since, and no more.

use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::settings::plan::WriteMode;

use super::past::Kept;
use super::{Layout, StateRow, elsewhere, postgres, sqlite};

/// One record that differs.
pub struct Differing<'d> {
    /// The parts of its key as JSON has them, with commas between them.
    pub key: &'d str,
    /// What it was, as JSON.
    pub old: Option<&'d str>,
    /// What it is.
    pub new: Option<&'d str>,
}

/// Takes the next one.
pub type Take<'t> = &'t mut dyn FnMut(Differing<'_>) -> Result<(), Failure>;

/// A generation that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub number: u64,
    /// When it was committed and how many records it has; none where that was not kept.
    pub facts: Option<(String, u64)>,
}

/// The rows that are asked for, between two generations.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    pub low: u64,
    pub high: u64,
    /// Whether there is a history.
    pub is_exact: bool,
}

/// A row: whether it is of the later generation, its key and its record.
pub type TakeRow<'t> = &'t mut dyn FnMut(bool, &str, &str) -> Result<(), Failure>;

/// A database that is looked at, in one snapshot.
pub trait Looking {
    fn state(&mut self) -> Result<Option<StateRow>, Failure>;

    fn kept(&mut self) -> Result<Option<Kept>, Failure>;

    /// The newest kept generation whose number is at most this.
    fn kept_row(&mut self, at_most: u64) -> Result<Option<StateRow>, Failure>;

    /// The last generation that wrote a row which is there; 0 where there is none.
    fn last_written(&mut self) -> Result<u64, Failure>;

    /// Hands out the rows that are valid in one of the two generations, by key, those of the earlier one first.
    fn rows(&mut self, layout: &Layout, between: Between, take: TakeRow<'_>)
    -> Result<(), Failure>;
}

/// Hands out what differs between two generations: those of these numbers; the last one and the one before that is another.
/// Without a history, every row that was written since the first and until the second, as new.
pub fn differences(
    url: &DatabaseUrl,
    host: &HostPlan,
    numbers: &[u64],
    check: Check<'_>,
    take: Take<'_>,
) -> Result<(Point, Point), Failure> {
    let mut act = |looking: &mut dyn Looking| compare(looking, host, numbers, &mut *take);
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::looked_at(path, host, check, &mut act),
        DatabaseUrl::Postgres(address) => postgres::looked_at(address, host, check, &mut act),
    }
}

fn compare(
    looking: &mut dyn Looking,
    host: &HostPlan,
    numbers: &[u64],
    take: Take<'_>,
) -> Result<(Point, Point), Failure> {
    let row = looking
        .state()?
        .ok_or_else(|| refused("nothing was published yet"))?;
    let (_, manifest) = row.trusted()?;
    let table = &host.output.table;
    if manifest.table.as_ref() != Some(table) {
        return Err(elsewhere(table, Some(&manifest)));
    }
    if manifest.appends() {
        return Err(refused(
            "WRITE_MODE=append changes no row: those that generation 42 added have `_generation` 42",
        ));
    }
    let layout = Layout::of(&host.output, WriteMode::Upsert)?;
    if layout.keys == 0 {
        return Err(refused(
            "without PRIMARY_KEY each changed set replaces all rows, and a table holds the last one alone",
        ));
    }
    let is_exact = host.output.keeps_history;
    let (from, to) = if is_exact {
        kept_points(looking, &row, numbers)?
    } else {
        written_points(looking, &row, numbers)?
    };
    let between = Between {
        low: from.number.min(to.number),
        high: from.number.max(to.number),
        is_exact,
    };
    let mut pairs = Pairs {
        old: None,
        is_backwards: from.number > to.number,
        new: 0,
        gone: 0,
        take,
    };
    looking.rows(&layout, between, &mut |is_later, key, record| {
        pairs.take(is_later, key, record)
    })?;
    pairs.flush()?;
    let (new, gone) = (pairs.new, pairs.gone);
    if let (true, Some((_, before)), Some((_, after))) = (is_exact, &from.facts, &to.facts)
        && before + new != after + gone
    {
        return Err(Failure::new(
            Outcome::OutputUnusable,
            format!(
                "cannot compare: rows of the history are missing: of {before} records {new} new and {gone} gone ones do not make {after}"
            ),
        ));
    }
    Ok((from, to))
}

/// The points of a job whose history is kept.
fn kept_points(
    looking: &mut dyn Looking,
    last: &StateRow,
    numbers: &[u64],
) -> Result<(Point, Point), Failure> {
    let kept = looking.kept()?.ok_or_else(|| {
        refused("no run kept the history yet: OUTPUT_HISTORY=yes begins with the next one")
    })?;
    let Kept { oldest, newest, .. } = kept;
    if newest != last.generation {
        return Err(refused(&format!(
            "the history ends with generation {newest}, and {} is published: runs between them did not keep it; `--set OUTPUT_HISTORY=no` lists the rows that were written",
            last.generation
        )));
    }
    let mut point = |number: u64| -> Result<Point, Failure> {
        let row = looking
            .kept_row(number)?
            .filter(|row| row.generation == number);
        let row = row.ok_or_else(|| {
            refused(&format!(
                "generation {number} is not kept: {oldest} to {newest} are (OUTPUT_HISTORY_FOR)"
            ))
        })?;
        Point::of(&row)
    };
    match numbers {
        [from, to, ..] => Ok((point(*from)?, point(*to)?)),
        [from] => Ok((point(*from)?, point(newest)?)),
        [] => {
            let to = point(newest)?;
            let before = looking.kept_row(kept.last_change.saturating_sub(1))?;
            let before = before.ok_or_else(|| {
                refused(&format!(
                    "there is nothing to compare with: generations {oldest} to {newest} are the same set"
                ))
            })?;
            Ok((Point::of(&before)?, to))
        }
    }
}

/// The points of a job of which only the rows that are there are known.
fn written_points(
    looking: &mut dyn Looking,
    last: &StateRow,
    numbers: &[u64],
) -> Result<(Point, Point), Failure> {
    let point = |number: u64| -> Result<Point, Failure> {
        if number > last.generation {
            return Err(refused(&format!(
                "there is no generation {number}: the last one is {}",
                last.generation
            )));
        }
        if number == last.generation {
            return Point::of(last);
        }
        Ok(Point {
            number,
            facts: None,
        })
    };
    match numbers {
        [from, to, ..] if from > to => Err(refused(
            "the later generation is named first, and without OUTPUT_HISTORY=yes it is not known what rows were before",
        )),
        // A row that was written again since then has the later number.
        [_, to, ..] if *to != last.generation => Err(refused(&format!(
            "generation {to} is not the last one ({}), and without OUTPUT_HISTORY=yes it is not known what rows were then",
            last.generation
        ))),
        [from, ..] => Ok((point(*from)?, point(last.generation)?)),
        [] => {
            let before = looking.last_written()?.saturating_sub(1);
            if before == 0 {
                return Err(refused(
                    "no earlier set was published: every row is of the first one",
                ));
            }
            Ok((point(before.min(last.generation))?, point(last.generation)?))
        }
    }
}

impl Point {
    fn of(row: &StateRow) -> Result<Self, Failure> {
        let (name, manifest) = row.trusted()?;
        Ok(Self {
            number: name.number,
            facts: Some((format!("{:.0}", name.committed), manifest.counts.records)),
        })
    }
}

/// Puts the two versions of a record together, which follow one another.
struct Pairs<'t> {
    /// The key and the record of an earlier version whose later one may follow.
    old: Option<(String, String)>,
    is_backwards: bool,
    new: u64,
    gone: u64,
    take: Take<'t>,
}

impl Pairs<'_> {
    fn take(&mut self, is_later: bool, key: &str, record: &str) -> Result<(), Failure> {
        if !is_later {
            self.flush()?;
            self.old = Some((key.to_owned(), record.to_owned()));
            return Ok(());
        }
        match self.old.take() {
            Some((of, old)) if of == key => {
                // It was another in between, and is the same again.
                if old == record {
                    return Ok(());
                }
                self.tell(key, Some(&old), Some(record))
            }
            old => {
                self.old = old;
                self.flush()?;
                self.tell(key, None, Some(record))
            }
        }
    }

    /// The earlier version has no later one.
    fn flush(&mut self) -> Result<(), Failure> {
        match self.old.take() {
            None => Ok(()),
            Some((key, old)) => self.tell(&key, Some(&old), None),
        }
    }

    fn tell(&mut self, key: &str, old: Option<&str>, new: Option<&str>) -> Result<(), Failure> {
        let (old, new) = if self.is_backwards {
            (new, old)
        } else {
            (old, new)
        };
        self.new += u64::from(old.is_none());
        self.gone += u64::from(new.is_none());
        (self.take)(Differing { key, old, new })
    }
}

fn refused(why: &str) -> Failure {
    Failure::new(Outcome::Usage, format!("cannot compare: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[(bool, &str, &str)], is_backwards: bool) -> Vec<String> {
        let mut told = Vec::new();
        let mut take = |differing: Differing<'_>| {
            let Differing { key, old, new } = differing;
            told.push(format!("{key}: {old:?} {new:?}"));
            Ok(())
        };
        let mut pairs = Pairs {
            old: None,
            is_backwards,
            new: 0,
            gone: 0,
            take: &mut take,
        };
        for (is_later, key, record) in rows {
            pairs.take(*is_later, key, record).unwrap();
        }
        pairs.flush().unwrap();
        told
    }

    #[test]
    fn the_versions_of_a_record_are_put_together_by_its_key() {
        let rows = [
            (false, "1", "a"),
            (false, "2", "b"),
            (true, "2", "B"),
            (false, "3", "c"),
            (true, "3", "c"),
            (true, "4", "d"),
            (false, "5", "e"),
        ];

        assert_eq!(
            told(&rows, false),
            [
                r#"1: Some("a") None"#,
                r#"2: Some("b") Some("B")"#,
                r#"4: None Some("d")"#,
                r#"5: Some("e") None"#
            ]
        );
        assert_eq!(
            told(&rows[..3], true),
            [r#"1: None Some("a")"#, r#"2: Some("B") Some("b")"#]
        );
    }
}
