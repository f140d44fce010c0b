//! Straight into a table without rows: the first load, and every one after an empty set.
//!
//! What type a key has that was not declared is told from its first value here, and widened where a later one does not fit.

use serde_json::json;

use crate::outcome::{Failure, Outcome};
use crate::records::changes::check_at;
use crate::records::sort::Change;
use crate::settings::columns::ColumnType;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{Cell, Changes, Layout};
use crate::sink::{Applied, Difference};

use super::ahead::Loaded;
use super::copy::Copying;
use super::form::Form;
use super::kinds::{Takes, retype, told_from};
use super::load::{Load, Misfit};
use super::{Postgres, table};

/// 3,000 rows, and not 30,000: <https://www.postgresql.org/docs/current/sql-analyze.html>.
const SMALL_SAMPLE: &str = "SET LOCAL default_statistics_target = 10";

/// Makes the table and loads it.
pub fn into_new(
    postgres: &Postgres<'_>,
    load: &mut Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<Applied, Failure> {
    let loading = Loading::new(load, changes)?;
    let first = loading.is_one.then_some(&loading.change.record[..]);
    loading.load.takes = told(loading.load.layout, first);
    // These are its types, and nobody else's.
    loading.load.form = Form::of(&loading.load.takes);
    let create = table::create(
        &loading.load.table,
        loading.load.layout,
        &loading.load.takes,
    );
    let made = postgres.run("cannot make the table in", &create);
    made.map_err(|failure| match &postgres.names.schema {
        Some(schema) if failure.message.contains("3F000") => {
            super::names::no_schema(schema, postgres.way.address)
        }
        _ => failure,
    })?;
    let records = loading.run(postgres, true)?;
    add_key(postgres, load)?;
    Ok(Applied {
        records,
        removed: 0,
        difference: Difference::of(records, 0, 0),
        unchanged: false,
    })
}

/// What the columns of a new table take, told from a first record where it is not declared.
pub fn told(layout: &Layout, first: Option<&[u8]>) -> Vec<Takes> {
    let declared = table::declared(layout);
    let record = String::from_utf8_lossy(first.unwrap_or_default());
    let cells = layout.cells(&record).unwrap_or_default();
    let told = |(at, declared): (usize, &Option<ColumnType>)| {
        let told = cells.get(at).filter(|cell| **cell != Cell::Null);
        let kind = declared.or_else(|| told.map(told_from));
        Takes::all(kind.unwrap_or(ColumnType::Text))
    };
    declared.iter().enumerate().map(told).collect()
}

/// Gives the job's name to the table that was loaded ahead, and its key. `None`: it cannot be, and that table is gone; why is found
/// when its rows are loaded again.
pub fn take_over(
    postgres: &Postgres<'_>,
    load: &mut Load<'_>,
    ahead: &Loaded,
) -> Result<Option<Applied>, Failure> {
    const DOING: &str = "take over the table in";
    postgres.run(DOING, "SAVEPOINT ahead")?;
    let name = quoted(&postgres.names.name);
    let rename = format!("ALTER TABLE {} RENAME TO {name}", ahead.table);
    let renamed = postgres.run(DOING, &rename);
    load.takes.clone_from(&ahead.takes);
    match renamed.and_then(|_| add_key(postgres, load)) {
        Ok(()) => Ok(Some(Applied {
            records: ahead.records,
            removed: 0,
            difference: Difference::of(ahead.records, 0, 0),
            unchanged: false,
        })),
        Err(failure) if failure.outcome == Outcome::TryLater => Err(failure),
        Err(_) => {
            postgres.run(DOING, "ROLLBACK TO SAVEPOINT ahead")?;
            drop_ahead(postgres, ahead)?;
            Ok(None)
        }
    }
}

/// Drops the table that was loaded ahead.
pub fn drop_ahead(postgres: &Postgres<'_>, ahead: &Loaded) -> Result<(), Failure> {
    let drop = format!("DROP TABLE {}", ahead.table);
    postgres.run("drop a table in", &drop).map(|_| ())
}

/// Gives a new table its key, once it has its rows.
fn add_key(postgres: &Postgres<'_>, load: &Load<'_>) -> Result<(), Failure> {
    if let Some(add_key) = table::add_key(&load.table, load.layout) {
        postgres.run("add the key to the table in", &add_key)?;
    }
    if load.layout.keys > 0 {
        // The one thing that autovacuum would be late with: the next run joins this table by its key. A small sample shows that no key
        // repeats; all columns it looks over itself, and well, as this is no ANALYZE of all.
        postgres.run("look over the table in", SMALL_SAMPLE)?;
        let keys = listed(load.layout.key_names());
        let look = format!("ANALYZE {} ({keys})", load.table);
        postgres.run("look over the table in", &look)?;
    }
    Ok(())
}

/// Loads into a table that has no rows. The types of its undeclared keys may be widened where the table is ours.
pub fn into_empty(
    postgres: &Postgres<'_>,
    load: &mut Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<Applied, Failure> {
    let records = {
        let is_ours = changes.owned;
        Loading::new(load, changes)?.run(postgres, is_ours)?
    };
    Ok(Applied {
        records,
        removed: 0,
        difference: Difference::of(records, 0, 0),
        unchanged: records == 0,
    })
}

/// Adds rows to what is there.
pub fn add(
    postgres: &Postgres<'_>,
    load: &mut Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<Applied, Failure> {
    let there = load.count(postgres)?;
    let added = Loading::new(load, changes)?.run(postgres, false)?;
    Ok(Applied {
        records: there + added,
        removed: 0,
        difference: Difference::of(added, 0, 0),
        unchanged: added == 0,
    })
}

/// Replaces all rows, of which none has a key, unless they are made of what the last ones were.
pub fn replace_all(
    postgres: &Postgres<'_>,
    load: &mut Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<Applied, Failure> {
    let there = load.count(postgres)?;
    if changes.same_as_last == Some(there) {
        return Ok(Applied {
            records: there,
            removed: 0,
            difference: Difference::of(0, 0, 0),
            unchanged: true,
        });
    }
    // Not TRUNCATE: readers see the old rows until the commit.
    let deleted = postgres.run("empty the table in", &format!("DELETE FROM {}", load.table))?;
    if deleted < there {
        return Err(postgres.dropped(&load.table, deleted, there));
    }
    let records = Loading::new(load, changes)?.run(postgres, false)?;
    Ok(Applied {
        records,
        removed: 0,
        difference: Difference::of_sizes(there, records),
        unchanged: false,
    })
}

/// A load under way.
struct Loading<'a, 'l, 's> {
    load: &'a mut Load<'l>,
    changes: &'a mut Changes<'s>,
    /// The next row, where there is one.
    change: Change,
    is_one: bool,
    number: u64,
}

impl<'a, 'l, 's> Loading<'a, 'l, 's> {
    fn new(load: &'a mut Load<'l>, changes: &'a mut Changes<'s>) -> Result<Self, Failure> {
        let mut loading = Self {
            load,
            changes,
            change: Change::default(),
            is_one: true,
            number: 0,
        };
        loading.advance()?;
        Ok(loading)
    }

    /// To the next row that is not deleted.
    fn advance(&mut self) -> Result<(), Failure> {
        while self.is_one {
            self.number += 1;
            self.is_one = self.changes.rows.next(&mut self.change)?;
            if !self.change.deleted {
                break;
            }
        }
        Ok(())
    }

    fn run(mut self, postgres: &Postgres<'_>, may_widen: bool) -> Result<u64, Failure> {
        let mut records = 0;
        while self.is_one {
            let Load { table, form, .. } = &*self.load;
            let mut copying = Copying::into(postgres, table, &self.load.columns(), *form)?;
            let misfit = self.copy(postgres, &mut copying, may_widen)?;
            records += copying.finish()?;
            if let Some(misfit) = misfit {
                self.widen(postgres, &misfit)?;
            }
        }
        Ok(records)
    }

    /// Copies up to the first value for which a column is to be widened. What does not fit otherwise is set aside.
    fn copy(
        &mut self,
        postgres: &Postgres<'_>,
        copying: &mut Copying<'_, '_>,
        may_widen: bool,
    ) -> Result<Option<Misfit>, Failure> {
        let tail = self.load.tail();
        let mut lines = 0_u64;
        while self.is_one {
            let Change { key, record, .. } = &self.change;
            match self.load.push(copying.line(), key, record)? {
                Ok(()) => {
                    copying.line().extend_from_slice(&tail);
                    copying.line_ends()?;
                }
                Err(misfit) if self.can_be_widened(&misfit, may_widen) => return Ok(Some(misfit)),
                Err(misfit) => {
                    let (load, rejected) = (&self.load, &mut *self.changes.rejected);
                    load.set_aside(&misfit, &self.change, self.number, rejected)?;
                }
            }
            lines += 1;
            check_at(postgres.check, lines, self.change.record.len())?;
            self.advance()?;
        }
        Ok(None)
    }

    /// Whether it is a key's column whose type nobody chose.
    fn can_be_widened(&self, misfit: &Misfit, may_widen: bool) -> bool {
        let is_told = table::declared(self.load.layout)[misfit.column].is_none();
        let is_wider = misfit.wider != self.load.takes[misfit.column].kind;
        may_widen && is_told && is_wider
    }

    fn widen(&mut self, postgres: &Postgres<'_>, misfit: &Misfit) -> Result<(), Failure> {
        let column = &self.load.layout.columns[misfit.column].name;
        let wider = misfit.wider;
        postgres.run("widen a key in", &retype(&self.load.table, column, wider))?;
        postgres.way.log.info(
            "type of an undeclared key detected from its values",
            json!({ "column": column, "type": wider.word() }),
        );
        self.load.takes[misfit.column] = Takes::all(wider);
        if self.load.form == Form::Binary {
            self.load.form = Form::of(&self.load.takes);
        }
        Ok(())
    }
}
