//! Straight into a table without rows: the first load, and every one after an empty set.
//!
//! What type a key has that was not declared is told from its first value here, and widened where a later one does not fit.

use serde_json::json;

use crate::outcome::Failure;
use crate::records::changes::check_at;
use crate::records::sort::Change;
use crate::settings::columns::ColumnType;
use crate::sink::Applied;
use crate::sink::database::names::listed;
use crate::sink::database::{Cell, Changes};

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
    let declared = table::declared(load.layout);
    load.takes = declared
        .iter()
        .map(|kind| Takes::all(kind.unwrap_or(ColumnType::Text)))
        .collect();
    let loading = Loading::new(load, changes)?;
    if loading.is_one {
        let record = String::from_utf8_lossy(&loading.change.record).into_owned();
        let cells = loading.load.layout.cells(&record).unwrap_or_default();
        for (at, cell) in cells.iter().enumerate() {
            if declared[at].is_none() && *cell != Cell::Null {
                loading.load.takes[at] = Takes::all(told_from(cell));
            }
        }
    }
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
    Ok(Applied {
        records,
        removed: 0,
        unchanged: false,
    })
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
            match self.load.push(copying.line(), &self.change)? {
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
