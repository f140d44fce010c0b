//! One set of changes, in the transaction that was begun: into an empty table at once, else by way of a temporary one.

use crate::outcome::{Failure, Outcome};
use crate::records::sort::Change;
use crate::settings::columns::ColumnType;
use crate::settings::host::OutputPlan;
use crate::sink::Applied;
use crate::sink::builds_on::BuildsOn;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{Cell, Changes, GENERATION, Layout, Rows, UPDATED_AT};

use super::fit;
use super::kinds::{retype, sql, widened};

use super::table::{self, unusable};
use super::wait::wait;
use super::{Postgres, first_load, merge, side_tables};

/// What all ways of loading need.
pub struct Load<'l> {
    pub layout: &'l Layout,
    pub kinds: Vec<ColumnType>,
    pub table: String,
    pub generation: u64,
    pub committed_at: String,
    /// What stands at the end of every row that is written, for COPY.
    pub tail: String,
    /// Whether a row's columns are its key and the record: then no record is parsed once more.
    is_plain: bool,
}

/// A value that its column does not take.
pub struct Misfit {
    pub column: usize,
    /// The type that would take it.
    pub wider: ColumnType,
    what: String,
}

/// Makes the table what `changes` say.
pub fn apply(
    postgres: &Postgres<'_>,
    plan: &OutputPlan,
    layout: &Layout,
    mut changes: Changes<'_>,
) -> Result<Applied, Failure> {
    table::refuse_anothers(postgres, &plan.table)?;
    let found = table::find(postgres)?;
    let mut load = Load {
        layout,
        kinds: Vec::new(),
        table: postgres.names.table.clone(),
        tail: format!("\t{}\t{}", changes.committed_at, changes.generation),
        generation: changes.generation,
        committed_at: changes.committed_at.to_owned(),
        is_plain: layout.keys > 0
            && plan.columns.is_empty()
            && layout.columns.len() == layout.keys + 1,
    };
    let Some(found) = found else {
        if changes.base == BuildsOn::LastCommit {
            return Err(unusable(format!(
                "cannot write into {} in `{}`: it is gone, and `tidegate_state` speaks of a commit to it; restore it, or run with `--full-refresh`",
                load.table, postgres.way.address
            )));
        }
        let applied = first_load::into_new(postgres, &mut load, &mut changes)?;
        side_tables::keep(postgres, &mut changes)?;
        return Ok(applied);
    };
    load.kinds = found.fits(postgres, layout)?;
    let applied = match (found.is_empty, changes.base) {
        (false, _) if !changes.owned => return Err(foreign(postgres, &load.table)),
        (true, _) => first_load::into_empty(postgres, &mut load, &mut changes)?,
        (false, _) if matches!(changes.rows, Rows::New { .. }) => {
            first_load::add(postgres, &mut load, &mut changes)?
        }
        // Nothing else is staged without a key but whole sets.
        (false, BuildsOn::LastCommit) if layout.keys == 0 => Applied {
            records: load.count(postgres)?,
            removed: 0,
            unchanged: true,
        },
        (false, BuildsOn::Nothing) if layout.keys == 0 => {
            first_load::replace_all(postgres, &mut load, &mut changes)?
        }
        (false, _) => merge::merge(postgres, &load, &mut changes)?,
    };
    side_tables::keep(postgres, &mut changes)?;
    Ok(applied)
}

fn foreign(postgres: &Postgres<'_>, table: &str) -> Failure {
    unusable(format!(
        "cannot write into {table} in `{}`: it has rows, and no run of the job `{}` wrote them; name another table by OUTPUT_TABLE, or empty this one by `DELETE FROM {table}`",
        postgres.way.address, postgres.way.job
    ))
}

impl Load<'_> {
    /// The names of all columns, quoted.
    pub fn columns(&self) -> String {
        let names = self
            .layout
            .columns
            .iter()
            .map(|column| column.name.as_str());
        listed(names.chain([UPDATED_AT, GENERATION]))
    }

    /// The names of those that come from a record.
    pub fn own_columns(&self) -> String {
        listed(
            self.layout
                .columns
                .iter()
                .map(|column| column.name.as_str()),
        )
    }

    /// Appends the values of a row, with tabs between.
    pub fn push(&self, line: &mut Vec<u8>, change: &Change) -> Result<Result<(), Misfit>, Failure> {
        let record = std::str::from_utf8(&change.record).unwrap_or_default();
        let cells = if self.is_plain {
            let mut cells = self.layout.key_cells(&change.key);
            cells.push(Cell::Json(record));
            cells
        } else {
            let cells = self.layout.cells(record);
            cells.map_err(|what| {
                Failure::new(
                    Outcome::GateRefused,
                    format!("cannot read a staged record: {what}"),
                )
            })?
        };
        Ok(self.push_cells(line, &cells))
    }

    /// The same of a deleted row, of which only the key is known.
    pub fn push_deleted(&self, line: &mut Vec<u8>, change: &Change) -> Result<(), Misfit> {
        let mut cells = self.layout.key_cells(&change.key);
        cells.resize(self.layout.columns.len(), Cell::Null);
        self.push_cells(line, &cells)
    }

    fn push_cells(&self, line: &mut Vec<u8>, cells: &[Cell<'_>]) -> Result<(), Misfit> {
        let begun = line.len();
        for (column, (cell, kind)) in cells.iter().zip(&self.kinds).enumerate() {
            if column > 0 {
                line.push(b'\t');
            }
            let is_key = column < self.layout.keys || self.layout.parent == Some(column);
            if let Err(what) = fit::push(line, cell, *kind, is_key) {
                line.truncate(begun);
                return Err(Misfit {
                    column,
                    wider: widened(*kind, cell),
                    what,
                });
            }
        }
        Ok(())
    }

    /// 65: a value that does not fit, and what would mend it.
    pub fn refuse(&self, misfit: &Misfit, change: &Change, number: u64) -> Failure {
        let which = if change.key.is_empty() {
            format!("record {number}")
        } else {
            let cells = self.layout.key_cells(&change.key);
            let parts: Vec<String> = cells.iter().map(fit::spoken).collect();
            format!("the record whose key is {}", parts.join(", "))
        };
        let column = &self.layout.columns[misfit.column].name;
        let kind = self.kinds[misfit.column];
        let message = format!(
            "cannot load {which} into {}: the column {} is {} and the record has {} there",
            self.table,
            quoted(column),
            sql(kind),
            misfit.what
        );
        // A jsonb takes every value; what it refuses is in its strings, and was told.
        let mend = match misfit.wider {
            wider
                if wider == kind || kind == ColumnType::Text && misfit.what.contains("\\u0000") =>
            {
                String::new()
            }
            wider => format!(
                "; fix the source or TRANSFORM, or widen the column by `{}`, and in OUTPUT_COLUMNS if it is there",
                retype(&self.table, column, wider)
            ),
        };
        Failure::new(Outcome::GateRefused, format!("{message}{mend}"))
    }

    /// How many rows there are.
    pub fn count(&self, postgres: &Postgres<'_>) -> Result<u64, Failure> {
        let sql = format!("SELECT count(*) FROM {}", self.table);
        let client = postgres.client()?;
        let (check, limit) = (Some(postgres.check), postgres.way.limits.run_deadline);
        let counted = wait(check, limit, async {
            client
                .query_typed_one(&sql, &[])
                .await?
                .try_get::<_, i64>(0)
        });
        let counted =
            counted.map_err(|trouble| postgres.failed("cannot count the rows in", trouble))?;
        Ok(u64::try_from(counted).unwrap_or_default())
    }
}
