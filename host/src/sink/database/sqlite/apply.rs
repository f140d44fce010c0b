//! Rows into the table: each is compared with what is there, so that one that has not changed is left alone.

use rusqlite::Statement;

use crate::limits::{TWIN_PARTS_MAX, TWINS_MAX};
use crate::outcome::{Failure, Outcome};
use crate::records::changes::check_at;
use crate::records::key::parts;
use crate::records::parents::Parents;
use crate::records::sort::Change;
use crate::sink::builds_on::BuildsOn;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::past::{self, Back, FROM_GENERATION, TO_GENERATION};
use crate::sink::database::{
    Cell, Changes, ColumnSource, GENERATION, Layout, Rows, TableColumn, UPDATED_AT,
};
use crate::sink::rejected::Rejecting;
use crate::sink::twins;
use crate::sink::{Applied, Difference};

use super::Sqlite;
use super::error::number;
use super::table;
use super::value::{found, stored};

/// Where the keys of what was staged are kept until the end of the transaction.
const STAGED: &str = "temp.tidegate_staged";

/// What is being done.
struct Work<'w, 'r> {
    sqlite: &'w Sqlite<'r>,
    /// The name of the table.
    table: &'w str,
    layout: &'w Layout,
    generation: u64,
    at: &'w str,
    /// Triggers of the table, which may drop what is written without an error.
    triggers: Option<String>,
    /// Rows that were added or are others now.
    written: u64,
    /// Rows that were deleted.
    gone: u64,
    done: Applied,
}

/// Makes the table what the changes say.
pub fn apply(
    sqlite: &Sqlite<'_>,
    table: &str,
    layout: &Layout,
    changes: Changes<'_>,
) -> Result<Applied, Failure> {
    let Sqlite { link, place, .. } = sqlite;
    let is_there = place.done(table::exists(link, table), || "look for the table")?;
    if changes.base == BuildsOn::LastCommit && !is_there {
        return Err(place.unusable(format_args!(
            "the table `{table}` is missing, and the last set went into it; restore it from a backup, or run with `--full-refresh`"
        )));
    }
    table::ready(sqlite, table, layout, changes.owned)?;
    let mut work = Work {
        sqlite,
        table,
        layout,
        generation: changes.generation,
        at: changes.committed_at,
        triggers: place.done(table::triggers(link, table), || "look for triggers")?,
        written: 0,
        gone: 0,
        done: Applied {
            unchanged: true,
            ..Applied::default()
        },
    };
    let before = work.count()?;
    if sqlite.keeps_history {
        sqlite.begin_history(table, layout, changes.owned, before)?;
        sqlite.watch(table, layout, work.at, work.generation)?;
    }
    let is_by_key = !matches!(changes.rows, Rows::AsStaged(_));
    match changes.rows {
        Rows::New { .. } => work.insert(changes.rows, changes.rejected)?,
        Rows::AsStaged(_) if changes.base == BuildsOn::LastCommit => {}
        Rows::AsStaged(_) if changes.same_as_last == Some(before) => {}
        Rows::AsStaged(_) => {
            work.delete_all()?;
            work.insert(changes.rows, changes.rejected)?;
        }
        rows @ Rows::Keyed(_) if before == 0 => work.insert(rows, changes.rejected)?,
        rows @ Rows::Keyed(_) => {
            let replaces = changes.base == BuildsOn::Nothing;
            let keep_keys = replaces || !changes.parents.is_empty();
            let looks_for_twins = changes.looks_for_twins && !replaces;
            let lost = work.merge(rows, keep_keys, replaces, looks_for_twins, changes.rejected)?;
            work.refuse_twins(&lost)?;
            if replaces {
                work.delete_unstaged()?;
            }
            work.delete_parents(changes.parents)?;
        }
    }
    if let Some(digests) = changes.remembered {
        sqlite.remember(digests)?;
    }
    sqlite.keep_rejected(changes.rejected)?;
    if sqlite.keeps_history {
        sqlite.end_history(table, work.at, work.generation)?;
    }
    let records = work.count()?;
    work.done.records = records;
    work.done.difference = if is_by_key {
        let new = (records + work.gone).saturating_sub(before);
        Difference::of(new, work.written.saturating_sub(new), work.gone)
    } else {
        Difference::of_sizes(before, records)
    };
    Ok(work.done)
}

/// Makes the rows what they were in an earlier generation.
pub fn go_back(
    sqlite: &Sqlite<'_>,
    table: &str,
    layout: &Layout,
    back: Back<'_>,
) -> Result<Applied, Failure> {
    let Sqlite { link, place, .. } = sqlite;
    table::ready(sqlite, table, layout, true)?;
    table::history_ready(sqlite, table, layout, true)?;
    let mut work = Work {
        sqlite,
        table,
        layout,
        generation: back.generation,
        at: back.committed_at,
        triggers: place.done(table::triggers(link, table), || "look for triggers")?,
        written: 0,
        gone: 0,
        done: Applied::default(),
    };
    let before = work.count()?;
    sqlite.watch(table, layout, work.at, work.generation)?;
    let names = layout.columns.iter().map(|column| column.name.as_str());
    let own = listed(names.clone());
    let was_valid = format!(
        "FROM {} WHERE {FROM_GENERATION} <= {to} AND {TO_GENERATION} > {to}",
        quoted(&past::table_of(table)),
        to = back.to
    );
    work.make_staged()?;
    let keys = listed(layout.key_names());
    let doing = "cannot restore the rows of";
    work.execute(
        &format!("INSERT INTO {STAGED} SELECT {keys} {was_valid}"),
        doing,
    )?;
    let added_since = format!(
        "DELETE FROM {} AS t WHERE t.{GENERATION} > {} AND {}",
        quoted(table),
        back.to,
        work.is_unstaged()
    );
    work.gone = work.execute(&added_since, doing)? as u64;
    let restore = format!(
        "INSERT INTO {} ({}) SELECT {own}, '{}', {} {was_valid}{}",
        quoted(table),
        listed(names.chain([UPDATED_AT, GENERATION])),
        back.committed_at,
        back.generation,
        work.on_conflict()
    );
    work.written = work.execute(&restore, doing)? as u64;
    sqlite.end_history(table, work.at, work.generation)?;
    let records = work.count()?;
    let new = (records + work.gone).saturating_sub(before);
    Ok(Applied {
        records,
        removed: work.gone,
        difference: Difference::of(new, work.written.saturating_sub(new), work.gone),
        unchanged: work.written + work.gone == 0,
    })
}

impl<'w> Work<'w, '_> {
    /// An empty table for keys.
    fn make_staged(&self) -> Result<(), Failure> {
        let keys = listed(self.layout.key_names());
        self.execute(&format!("DROP TABLE IF EXISTS {STAGED}"), "cannot change")?;
        self.execute(
            &format!("CREATE TABLE {STAGED} ({keys}, PRIMARY KEY ({keys})) WITHOUT ROWID"),
            "cannot change",
        )?;
        Ok(())
    }

    fn count(&self) -> Result<u64, Failure> {
        let count = table::count(&self.sqlite.link, self.table);
        self.sqlite
            .place
            .done(count, || self.doing("cannot count the rows of"))
    }

    fn doing(&self, verb: &str) -> String {
        format!("{verb} the table `{}`", self.table)
    }

    fn execute(&self, statement: &str, doing: &str) -> Result<usize, Failure> {
        let executed = self.sqlite.link.execute(statement, []);
        self.sqlite.place.done(executed, || self.doing(doing))
    }

    fn prepared(&self, statement: &str, doing: &str) -> Result<Statement<'w>, Failure> {
        let prepared = self.sqlite.link.prepare(statement);
        self.sqlite.place.done(prepared, || self.doing(doing))
    }

    fn delete_all(&mut self) -> Result<(), Failure> {
        let deleted = self.execute(&format!("DELETE FROM {}", quoted(self.table)), "empty")?;
        self.done.unchanged &= deleted == 0;
        let left = if self.triggers.is_some() {
            self.count()?
        } else {
            0
        };
        if left > 0 {
            Err(self.dropped("delete a row from"))
        } else {
            Ok(())
        }
    }

    /// Rows into a table that has none.
    fn insert(&mut self, mut rows: Rows<'_>, rejected: &mut Rejecting) -> Result<(), Failure> {
        let mut insert = self.prepared(&self.insert_statement(), "cannot insert into")?;
        let mut change = Change::default();
        let (mut seen, mut written) = (0, 0);
        while self.next(&mut rows, &mut change, &mut seen)? {
            if !change.deleted {
                match self.put(&mut insert, &change, rejected)? {
                    Put::SetAside => {}
                    Put::Written => written += 1,
                    Put::Left => return Err(self.dropped("write a row into")),
                }
            }
        }
        drop(insert);
        self.written += written;
        self.done.unchanged &= written == 0;
        Ok(())
    }

    /// Rows into a table that has some. `replaces`: what a deletion names is not staged, and goes with all else.
    fn merge(
        &mut self,
        mut rows: Rows<'_>,
        keep_keys: bool,
        replaces: bool,
        looks_for_twins: bool,
        rejected: &mut Rejecting,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut lost = Vec::new();
        let keys = listed(self.layout.key_names());
        if keep_keys {
            self.make_staged()?;
        }
        let places = vec!["?"; self.layout.keys].join(", ");
        let mut put = self.prepared(&self.upsert_statement(), "cannot change")?;
        let mut delete = self.prepared(
            &format!(
                "DELETE FROM {} WHERE ({keys}) = ({places})",
                quoted(self.table)
            ),
            "cannot delete from",
        )?;
        let mut keep = keep_keys
            .then(|| {
                self.prepared(
                    &format!("INSERT INTO {STAGED} VALUES ({places})"),
                    "cannot change",
                )
            })
            .transpose()?;
        let mut looks = self.looks()?;
        let mut by_key = self.prepared(&self.by_key(), "cannot inspect")?;
        let mut change = Change::default();
        let (mut seen, mut written, mut removed) = (0, 0, 0);
        while self.next(&mut rows, &mut change, &mut seen)? {
            if looks_for_twins
                && !self.finds_key(&mut by_key, &change.key)?
                && self.has_twin(&mut by_key, &change.key)?
            {
                if lost.len() == TWINS_MAX {
                    return Err(twins::refused(&twins::shown(&change.key)));
                }
                lost.push(change.key.clone());
            }
            if change.deleted {
                if !replaces {
                    removed += self.with_key(&mut delete, &change.key)?;
                    if let Some(looks) = &mut looks
                        && self.finds_key(&mut looks.by_key, &change.key)?
                    {
                        return Err(self.dropped("delete a row from"));
                    }
                }
                continue;
            }
            match self.put(&mut put, &change, rejected)? {
                Put::SetAside => continue,
                Put::Written => written += 1,
                Put::Left => self.is_there(looks.as_mut(), &change)?,
            }
            if let Some(keep) = &mut keep {
                self.with_key(keep, &change.key)?;
            }
        }
        drop((put, delete, keep, looks, by_key));
        self.written += written;
        self.gone += removed;
        self.done.removed += removed;
        self.done.unchanged &= written + removed == 0;
        Ok(lost)
    }

    fn by_key(&self) -> String {
        let keys = listed(self.layout.key_names());
        let places = vec!["?"; self.layout.keys].join(", ");
        format!(
            "SELECT 1 FROM {} WHERE ({keys}) = ({places})",
            quoted(self.table)
        )
    }

    /// `Err` (65): one of these keys, which were not there before, still has a twin.
    fn refuse_twins(&self, lost: &[Vec<u8>]) -> Result<(), Failure> {
        let mut by_key = self.prepared(&self.by_key(), "cannot inspect")?;
        for key in lost {
            if self.has_twin(&mut by_key, key)? {
                return Err(twins::refused(&twins::shown(key)));
            }
        }
        Ok(())
    }

    /// Whether there is a row whose key is written like this one.
    fn has_twin(&self, by_key: &mut Statement<'_>, key: &[u8]) -> Result<bool, Failure> {
        let cells = self.layout.key_cells(key);
        for flips in 1_u32..1 << cells.len().min(TWIN_PARTS_MAX) {
            let flipped = cells
                .iter()
                .enumerate()
                .map(|(at, cell)| match flips >> at & 1 {
                    1 => twin_of(cell),
                    _ => Some(cell.clone()),
                });
            let Some(flipped) = flipped.collect::<Option<Vec<Cell<'_>>>>() else {
                continue;
            };
            let mut is_bound = true;
            for (at, (column, cell)) in self.layout.columns.iter().zip(&flipped).enumerate() {
                match stored(column.kind, true, cell) {
                    Ok(value) => self.bind(by_key, at + 1, value)?,
                    Err(_) => is_bound = false,
                }
            }
            if is_bound && self.finds(by_key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next(
        &self,
        rows: &mut Rows<'_>,
        change: &mut Change,
        seen: &mut u64,
    ) -> Result<bool, Failure> {
        check_at(self.sqlite.context.check, *seen, change.record.len())?;
        *seen += 1;
        rows.next(change)
    }

    /// Those that were not staged, of the whole table.
    fn delete_unstaged(&mut self) -> Result<(), Failure> {
        let statement = format!(
            "DELETE FROM {} AS t WHERE {}",
            quoted(self.table),
            self.is_unstaged()
        );
        let deleted = self.execute(&statement, "cannot delete from")?;
        self.gone += deleted as u64;
        self.done.unchanged &= deleted == 0;
        Ok(())
    }

    /// Those of replaced parents.
    fn delete_parents(&mut self, parents: &Parents) -> Result<(), Failure> {
        let Some(at) = self.layout.parent.filter(|_| !parents.is_empty()) else {
            return Ok(());
        };
        let column = &self.layout.columns[at];
        let mut delete = self.prepared(
            &format!(
                "DELETE FROM {} AS t WHERE t.{} = ? AND {}",
                quoted(self.table),
                quoted(&column.name),
                self.is_unstaged()
            ),
            "cannot delete from",
        )?;
        let mut removed = 0;
        for parent in parents.iter() {
            (self.sqlite.context.check)()?;
            let cells: Vec<Cell<'_>> = parts(parent).into_iter().map(Cell::from).collect();
            let value = stored(column.kind, true, &cells[0])
                .map_err(|found| self.refused(column, "a replaced parent", &found))?;
            let deleted = delete.execute([value]);
            let deleted = self
                .sqlite
                .place
                .done(deleted, || self.doing("cannot delete from"))?;
            removed += deleted as u64;
        }
        drop(delete);
        self.gone += removed;
        self.done.removed += removed;
        self.done.unchanged &= removed == 0;
        Ok(())
    }

    fn is_unstaged(&self) -> String {
        let same: Vec<String> = self
            .layout
            .key_names()
            .map(|name| format!("s.{0} = t.{0}", quoted(name)))
            .collect();
        format!(
            "NOT EXISTS (SELECT 1 FROM {STAGED} AS s WHERE {})",
            same.join(" AND ")
        )
    }

    fn insert_statement(&self) -> String {
        let names = self
            .layout
            .columns
            .iter()
            .map(|column| column.name.as_str());
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(self.table),
            listed(names.chain([UPDATED_AT, GENERATION])),
            vec!["?"; self.layout.columns.len() + 2].join(", ")
        )
    }

    fn upsert_statement(&self) -> String {
        self.insert_statement() + &self.on_conflict()
    }

    /// What follows an INSERT: a row that is there and differs is replaced.
    fn on_conflict(&self) -> String {
        let rest: Vec<String> = self.layout.columns[self.layout.keys..]
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        let keys = listed(self.layout.key_names());
        if rest.is_empty() {
            return format!(" ON CONFLICT ({keys}) DO NOTHING");
        }
        let set: Vec<String> = rest
            .iter()
            .cloned()
            .chain([UPDATED_AT, GENERATION].map(quoted))
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let differs: Vec<String> = rest
            .iter()
            .map(|name| format!("{}.{name} IS NOT excluded.{name}", quoted(self.table)))
            .collect();
        format!(
            " ON CONFLICT ({keys}) DO UPDATE SET {} WHERE {}",
            set.join(", "),
            differs.join(" OR ")
        )
    }

    /// Binds a record and executes. What does not fit its column is set aside.
    fn put(
        &self,
        statement: &mut Statement<'_>,
        change: &Change,
        rejected: &mut Rejecting,
    ) -> Result<Put, Failure> {
        let record = text_of(&change.record)?;
        let cells = self.layout.cells_of(&change.key, record);
        let cells = cells.map_err(Failure::broken)?;
        match self.bind_cells(statement, &cells)? {
            Ok(()) => {}
            Err((column, found)) => {
                let reason = self.reason(column, &self.named(&cells), &found);
                rejected.set_aside(&reason, pointer_of(column), record)?;
                return Ok(Put::SetAside);
            }
        }
        let bound = cells.len();
        self.bind(statement, bound + 1, self.at)?;
        self.bind(statement, bound + 2, number(self.generation))?;
        let executed = statement.raw_execute();
        let executed = self.sqlite.place.done(executed, || {
            format!(
                "cannot write {} into the table `{}`",
                self.named(&cells),
                self.table
            )
        })?;
        Ok(if executed > 0 {
            Put::Written
        } else {
            Put::Left
        })
    }

    /// Binds the values of a record. `Ok(Err)`: the first column that does not take its value, and what that is.
    fn bind_cells(
        &self,
        statement: &mut Statement<'_>,
        cells: &[Cell<'_>],
    ) -> Result<Result<(), (&TableColumn, String)>, Failure> {
        for (at, (column, cell)) in self.layout.columns.iter().zip(cells).enumerate() {
            let exactly = at < self.layout.keys || self.layout.parent == Some(at);
            match stored(column.kind, exactly, cell) {
                Ok(value) => self.bind(statement, at + 1, value)?,
                Err(found) => return Ok(Err((column, found))),
            }
        }
        Ok(Ok(()))
    }

    /// What looks after triggers: none where there is no trigger.
    fn looks(&self) -> Result<Option<Looks<'w>>, Failure> {
        if self.triggers.is_none() {
            return Ok(None);
        }
        let table = quoted(self.table);
        let same: Vec<String> = self
            .layout
            .columns
            .iter()
            .map(|column| format!("{} IS ?", quoted(&column.name)))
            .collect();
        let whole = format!("SELECT 1 FROM {table} WHERE {}", same.join(" AND "));
        Ok(Some(Looks {
            by_key: self.prepared(&self.by_key(), "cannot inspect")?,
            whole: self.prepared(&whole, "cannot inspect")?,
        }))
    }

    /// `Err` (65): a row that was to be written is not there as it should be, and a trigger is at fault.
    fn is_there(&self, looks: Option<&mut Looks<'_>>, change: &Change) -> Result<(), Failure> {
        let Some(looks) = looks else { return Ok(()) };
        let record = text_of(&change.record)?;
        let cells = self.layout.cells_of(&change.key, record);
        let cells = cells.map_err(Failure::broken)?;
        if self.bind_cells(&mut looks.whole, &cells)?.is_ok() && self.finds(&mut looks.whole)? {
            return Ok(());
        }
        Err(self.dropped("write a row into"))
    }

    fn finds(&self, statement: &mut Statement<'_>) -> Result<bool, Failure> {
        let mut rows = statement.raw_query();
        let found = rows.next().map(|row| row.is_some());
        self.sqlite
            .place
            .done(found, || self.doing("cannot inspect"))
    }

    /// 65: it was to be done and was not, without an error.
    fn dropped(&self, what: &str) -> Failure {
        Failure::new(
            Outcome::GateRefused,
            format!(
                "cannot {what} the table `{}`: no error was reported; a trigger of the table ignored it (`{}`); let it pass what this job writes, or choose another OUTPUT_TABLE",
                self.table,
                self.triggers.as_deref().unwrap_or("none is known")
            ),
        )
    }

    /// Binds a key and executes; returns how many rows changed.
    fn with_key(&self, statement: &mut Statement<'_>, key: &[u8]) -> Result<u64, Failure> {
        self.bind_key(statement, key)?;
        let executed = statement.raw_execute();
        let executed = self
            .sqlite
            .place
            .done(executed, || self.doing("cannot change"))?;
        Ok(executed as u64)
    }

    fn finds_key(&self, statement: &mut Statement<'_>, key: &[u8]) -> Result<bool, Failure> {
        self.bind_key(statement, key)?;
        self.finds(statement)
    }

    fn bind_key(&self, statement: &mut Statement<'_>, key: &[u8]) -> Result<(), Failure> {
        let cells = self.layout.key_cells(key);
        for (at, (column, cell)) in self.layout.columns.iter().zip(&cells).enumerate() {
            let value = stored(column.kind, true, cell)
                .map_err(|found| self.refused(column, "a deleted key", &found))?;
            self.bind(statement, at + 1, value)?;
        }
        Ok(())
    }

    fn bind(
        &self,
        statement: &mut Statement<'_>,
        at: usize,
        value: impl rusqlite::ToSql,
    ) -> Result<(), Failure> {
        let bound = statement.raw_bind_parameter(at, value);
        self.sqlite
            .place
            .done(bound, || self.doing("cannot change"))
    }

    /// The record, by its key.
    fn named(&self, cells: &[Cell<'_>]) -> String {
        if self.layout.keys == 0 {
            return "a record".to_owned();
        }
        let key: Vec<String> = cells[..self.layout.keys].iter().map(found).collect();
        format!("the record with the key {}", key.join(", "))
    }

    fn refused(&self, column: &TableColumn, what: &str, found: &str) -> Failure {
        Failure::new(Outcome::GateRefused, self.reason(column, what, found))
    }

    fn reason(&self, column: &TableColumn, what: &str, found: &str) -> String {
        let pointer = pointer_of(column);
        let kind = column.kind.map_or("any", |kind| kind.word());
        format!(
            "cannot write {what} into the table `{}`: the column `{}` is {kind}, and there is {found} at `{pointer}`; give it another type in OUTPUT_COLUMNS, or change or drop such records with TRANSFORM",
            self.table, column.name
        )
    }
}

/// The value that is written like this one and is of the other type.
fn twin_of<'c>(cell: &Cell<'c>) -> Option<Cell<'c>> {
    match cell {
        Cell::Number(digits) => Some(Cell::Text(digits.clone())),
        Cell::Text(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_integer = !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'))
                && **text != *"-0";
            is_integer.then(|| Cell::Number(text.clone()))
        }
        _ => None,
    }
}

/// What became of a record.
enum Put {
    Written,
    /// Nothing was changed: it is there already, or a trigger ignored it.
    Left,
    /// It does not fit.
    SetAside,
}

/// Queries for what is there after a trigger ran.
struct Looks<'w> {
    by_key: Statement<'w>,
    whole: Statement<'w>,
}

fn text_of(record: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(record)
        .map_err(|error| Failure::broken(format!("a record is not UTF-8: {error}")))
}

fn pointer_of(column: &TableColumn) -> &str {
    match &column.source {
        ColumnSource::At(_, pointer) => pointer,
        ColumnSource::Record => "",
    }
}
