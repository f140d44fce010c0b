//! One set of changes, in the transaction that was begun: into an empty table at once, else by way of a temporary one.

use crate::limits::POSTGRES_KEY_BYTES_MAX;
use crate::outcome::{Failure, Outcome};
use crate::records::sort::Change;
use crate::settings::columns::ColumnType;
use crate::settings::host::OutputPlan;
use crate::sink::builds_on::BuildsOn;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{Cell, Changes, ColumnSource, GENERATION, Layout, Rows, UPDATED_AT};
use crate::sink::rejected::Rejecting;
use crate::sink::{Applied, Difference};

use super::fit;
use super::form::Form;
use super::kinds::{Only, Takes, retype, widened};
use super::table::{self, unusable};
use super::wait::wait;
use super::{Postgres, first_load, merge, past, side_tables};

/// What all ways of loading need.
pub struct Load<'l> {
    pub layout: &'l Layout,
    /// What each column takes.
    pub takes: Vec<Takes>,
    pub table: String,
    pub generation: u64,
    pub committed_at: String,
    /// How rows are sent.
    pub form: Form,
    /// Where rows go that are replaced or deleted.
    pub past: Option<String>,
}

/// A value that its column does not take.
pub struct Misfit {
    pub column: usize,
    /// The type that would take it.
    pub wider: ColumnType,
    why: Unfit,
}

enum Unfit {
    /// The column takes no such value.
    Value(String),
    /// The index of the key takes no key of so many bytes.
    LongKey(usize),
}

/// [`UPDATED_AT`] and [`GENERATION`].
const TAIL_FIELDS: usize = 2;

/// Shorter than what an index has room for, whatever else is in the key.
const LONG_TEXT_BYTES: usize = 2_000;

/// What a value takes in the index of a key, as it is stored without compression.
fn stored_bytes(cell: &Cell<'_>, kind: ColumnType) -> usize {
    const LENGTH: usize = 4;
    let bytes = match (cell, kind) {
        (Cell::Text(text), ColumnType::Text) => LENGTH + text.len(),
        (Cell::Text(text), ColumnType::Jsonb) => 3 * LENGTH + text.len(),
        (Cell::Number(digits), ColumnType::Numeric) => 2 * LENGTH + digits.len().div_ceil(2),
        (Cell::Number(digits), ColumnType::Jsonb) => 5 * LENGTH + digits.len().div_ceil(2),
        _ => 16,
    };
    bytes.next_multiple_of(LENGTH)
}

/// The type that takes a value which is not among those that the column takes.
fn wider(takes: Takes, cell: &Cell<'_>, is_key: bool) -> ColumnType {
    let all = Takes::all(takes.kind);
    if fit::fitting(cell, all, is_key).is_ok() {
        return takes.kind;
    }
    widened(takes.kind, cell)
}

/// A JSON Pointer as a path of jq.
fn as_jq(pointer: &str) -> String {
    let steps = pointer.split('/').skip(1);
    let steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
    let steps: Vec<String> = steps
        .map(|step| format!("[{}]", serde_json::json!(step)))
        .collect();
    format!(".{}", steps.concat())
}

/// Makes the table what `changes` say.
pub fn apply(
    postgres: &Postgres<'_>,
    plan: &OutputPlan,
    layout: &Layout,
    mut changes: Changes<'_>,
) -> Result<Applied, Failure> {
    let ahead = postgres.ahead.take();
    table::refuse_anothers(postgres, &plan.table)?;
    let found = table::find(postgres)?;
    let mut load = Load {
        layout,
        takes: Vec::new(),
        table: postgres.names.table.clone(),
        form: Form::Text,
        generation: changes.generation,
        committed_at: changes.committed_at.to_owned(),
        past: postgres.keeps_history.then(|| postgres.names.past.clone()),
    };
    let Some(found) = found else {
        if changes.base == BuildsOn::LastCommit {
            return Err(unusable(format!(
                "cannot write into {} in `{}`: it is gone, and `tidegate_state` speaks of a commit to it; restore it, or run with `--full-refresh`",
                load.table, postgres.way.address
            )));
        }
        let applied = match &ahead {
            Some(ahead) => first_load::take_over(postgres, &mut load, ahead)?,
            None => None,
        };
        let applied = match applied {
            Some(applied) => applied,
            None => first_load::into_new(postgres, &mut load, &mut changes)?,
        };
        past::begin(postgres, &load, changes.owned, 0)?;
        side_tables::keep(postgres, &mut changes)?;
        return Ok(applied);
    };
    if let Some(ahead) = ahead {
        // Somebody made the job's table meanwhile.
        first_load::drop_ahead(postgres, &ahead)?;
    }
    if !found.is_empty && !changes.owned {
        return Err(foreign(postgres, &load.table));
    }
    load.takes = found.fits(postgres, layout)?;
    if !found.is_empty && load.past.is_some() {
        let rows = load.count(postgres)?;
        past::begin(postgres, &load, changes.owned, rows)?;
    }
    let applied = match (found.is_empty, changes.base) {
        (true, _) => {
            let applied = first_load::into_empty(postgres, &mut load, &mut changes)?;
            // Its columns may have been widened.
            past::begin(postgres, &load, changes.owned, 0)?;
            applied
        }
        (false, _) if matches!(changes.rows, Rows::New { .. }) => {
            first_load::add(postgres, &mut load, &mut changes)?
        }
        // Nothing else is staged without a key but whole sets.
        (false, BuildsOn::LastCommit) if layout.keys == 0 => Applied {
            records: load.count(postgres)?,
            removed: 0,
            difference: Difference::of(0, 0, 0),
            unchanged: true,
        },
        (false, BuildsOn::Nothing) if layout.keys == 0 => {
            first_load::replace_all(postgres, &mut load, &mut changes)?
        }
        (false, _) => merge::merge(postgres, &load, &mut changes)?,
    };
    past::end(postgres, &load)?;
    side_tables::keep(postgres, &mut changes)?;
    Ok(applied)
}

fn foreign(postgres: &Postgres<'_>, table: &str) -> Failure {
    unusable(format!(
        "cannot write into {table} in `{}`: it has rows, and no run of the job `{}` wrote them; name another table by OUTPUT_TABLE, or move this one away by `{}`, and the next run creates it",
        postgres.way.address,
        postgres.way.job,
        table::renamed(table, &postgres.names.name)
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

    /// The names of those that come from a record, not quoted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.layout
            .columns
            .iter()
            .map(|column| column.name.as_str())
    }

    /// The same, quoted.
    pub fn own_columns(&self) -> String {
        listed(
            self.layout
                .columns
                .iter()
                .map(|column| column.name.as_str()),
        )
    }

    /// What follows the values of a record in every row.
    pub fn tail(&self) -> Vec<u8> {
        self.form.tail(&self.committed_at, self.generation)
    }

    /// Begins a row with the values of a record.
    pub fn push(
        &self,
        line: &mut Vec<u8>,
        key: &[u8],
        record: &[u8],
    ) -> Result<Result<(), Misfit>, Failure> {
        let record = std::str::from_utf8(record).unwrap_or_default();
        let cells = self.layout.cells_of(key, record);
        let cells = cells.map_err(|what| {
            Failure::new(
                Outcome::GateRefused,
                format!("cannot read a staged record: {what}"),
            )
        })?;
        let begun = line.len();
        self.form.begin_row(line, cells.len() + TAIL_FIELDS);
        let pushed = self.push_cells(line, &cells);
        let pushed = pushed.and_then(|()| self.is_indexed(key, &cells));
        if pushed.is_err() {
            line.truncate(begun);
        }
        Ok(pushed)
    }

    /// The same of a deleted row, of which only the key is known.
    pub fn push_deleted(&self, line: &mut Vec<u8>, change: &Change) -> Result<(), Misfit> {
        let mut cells = self.layout.key_cells(&change.key);
        cells.resize(self.layout.columns.len(), Cell::Null);
        self.push_cells(line, &cells)
    }

    /// The same of the key that is written like a deleted one and is of the other JSON type; `false`: the columns take none.
    pub fn push_twin(&self, line: &mut Vec<u8>, change: &Change) -> bool {
        let mut cells = self.layout.key_cells(&change.key);
        for (cell, takes) in cells.iter_mut().zip(&self.takes) {
            let other = match (&*cell, takes.kind) {
                (Cell::Text(text), ColumnType::Bigint | ColumnType::Numeric) => {
                    Some(Cell::Number(text.clone()))
                }
                (Cell::Number(digits), ColumnType::Text) => Some(Cell::Text(digits.clone())),
                _ => None,
            };
            if let Some(other) = other {
                *cell = other;
            }
        }
        // Digits only: COPY would read ` 7` and `0x7` too.
        let is_integer = |cell: &Cell<'_>| match cell {
            Cell::Number(text) => text
                .parse::<i128>()
                .is_ok_and(|number| number.to_string() == **text),
            _ => true,
        };
        if !cells.iter().all(is_integer) {
            return false;
        }
        cells.resize(self.layout.columns.len(), Cell::Null);
        self.push_cells(line, &cells).is_ok()
    }

    /// Whether the index of the key has room for one.
    fn is_indexed(&self, key: &[u8], cells: &[Cell<'_>]) -> Result<(), Misfit> {
        // Mostly it is short, whatever its parts are.
        if self.layout.keys == 0 || 2 * key.len() <= POSTGRES_KEY_BYTES_MAX {
            return Ok(());
        }
        let keys = cells.iter().zip(&self.takes).take(self.layout.keys);
        let sizes: Vec<usize> = keys
            .map(|(cell, takes)| stored_bytes(cell, takes.kind))
            .collect();
        let bytes = sizes.iter().sum();
        if bytes <= POSTGRES_KEY_BYTES_MAX {
            return Ok(());
        }
        let longest = (0..sizes.len())
            .max_by_key(|at| sizes[*at])
            .unwrap_or_default();
        Err(Misfit {
            column: longest,
            wider: self.takes[longest].kind,
            why: Unfit::LongKey(bytes),
        })
    }

    fn push_cells(&self, line: &mut Vec<u8>, cells: &[Cell<'_>]) -> Result<(), Misfit> {
        let begun = line.len();
        for (column, (cell, takes)) in cells.iter().zip(&self.takes).enumerate() {
            let is_key = column < self.layout.keys || self.layout.parent == Some(column);
            match fit::fitting(cell, *takes, is_key) {
                Ok(value) => self
                    .form
                    .push(line, value.as_deref(), takes.kind, column > 0),
                Err(what) => {
                    line.truncate(begun);
                    return Err(Misfit {
                        column,
                        wider: wider(*takes, cell, is_key),
                        why: Unfit::Value(what),
                    });
                }
            }
        }
        Ok(())
    }

    /// Sets a record aside that does not fit, with its key, and with what would make it fit.
    pub fn set_aside(
        &self,
        misfit: &Misfit,
        change: &Change,
        number: u64,
        rejected: &mut Rejecting,
    ) -> Result<(), Failure> {
        let column = &self.layout.columns[misfit.column];
        let pointer = match &column.source {
            ColumnSource::At(_, pointer) => pointer.as_str(),
            ColumnSource::Record => "",
        };
        let record = String::from_utf8_lossy(&change.record);
        rejected.set_aside(&self.reason(misfit, change, number), pointer, &record)
    }

    fn reason(&self, misfit: &Misfit, change: &Change, number: u64) -> String {
        let which = if change.key.is_empty() {
            format!("record {number}")
        } else {
            let cells = self.layout.key_cells(&change.key);
            let parts: Vec<String> = cells.iter().map(fit::spoken).collect();
            format!("the record whose key is {}", parts.join(", "))
        };
        let column = &self.layout.columns[misfit.column];
        let takes = self.takes[misfit.column];
        let cannot = format!("cannot load {which} into {}", self.table);
        let what = match &misfit.why {
            Unfit::LongKey(bytes) => {
                let pointer = match &column.source {
                    ColumnSource::At(_, pointer) => pointer.as_str(),
                    ColumnSource::Record => "",
                };
                return format!(
                    "{cannot}: its key takes {bytes} bytes, and an index of PostgreSQL takes {POSTGRES_KEY_BYTES_MAX}; set PRIMARY_KEY to something shorter, or drop such records by TRANSFORM, for example `select({} | utf8bytelength <= {LONG_TEXT_BYTES})`",
                    as_jq(pointer)
                );
            }
            Unfit::Value(what) => what,
        };
        let shown = takes.shown();
        let is = format!(
            "{cannot}: the column {} is {shown} and the record has {what} there",
            quoted(&column.name)
        );
        let is_key = misfit.column < self.layout.keys;
        if is_key && let Some(mend) = self.mend_of_key(misfit, what) {
            return format!("{is}; {mend}");
        }
        // A jsonb takes every value; what it refuses is in its strings, and was told.
        let is_told = takes.kind == ColumnType::Text && what.contains("TRANSFORM");
        match misfit.wider {
            _ if is_told => is,
            wider if wider == takes.kind && takes.only == Only::All => is,
            wider => format!(
                "{is}; fix the source or TRANSFORM, or widen the column by `{}`, and in OUTPUT_COLUMNS if it is there",
                retype(&self.table, &column.name, wider)
            ),
        }
    }

    /// What helps where a source changed the JSON type of its keys: to take both would double the rows.
    fn mend_of_key(&self, misfit: &Misfit, what: &str) -> Option<String> {
        let column = &self.layout.columns[misfit.column];
        let ColumnSource::At(_, pointer) = &column.source else {
            return None;
        };
        let text = what
            .strip_prefix("the string `")
            .and_then(|text| text.strip_suffix('`'));
        let is_integer = text.is_some_and(|text| {
            text.parse::<i128>()
                .is_ok_and(|number| number.to_string() == text)
        });
        let path = as_jq(pointer);
        let changed =
            "if the source changed the type of its keys, convert them in TRANSFORM, for example";
        match self.takes[misfit.column].kind {
            ColumnType::Bigint | ColumnType::Numeric if is_integer => Some(format!(
                "{changed} `{path} |= tonumber`, or the column by `{}`",
                retype(&self.table, &column.name, ColumnType::Text)
            )),
            ColumnType::Text if what.starts_with("the number") => {
                Some(format!("{changed} `{path} |= tostring`"))
            }
            _ => None,
        }
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
