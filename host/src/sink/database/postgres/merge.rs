//! Into a table with rows: by way of a temporary one, and of what stands there only what differs is written.

use crate::outcome::Failure;
use crate::records::changes::check_at;
use crate::records::key::parts;
use crate::records::sort::Change;
use crate::sink::Applied;
use crate::sink::builds_on::BuildsOn;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{Cell, Changes, GENERATION, UPDATED_AT};

use super::copy::Copying;
use super::load::Load;

use super::{Postgres, fit};

const STAGED: &str = "pg_temp.tidegate_staged";
const PARENTS: &str = "pg_temp.tidegate_parents";
/// Among the columns of the temporary table.
const DELETED: &str = "tidegate_deleted";
const DOING: &str = "cannot merge into the table in";

/// Merges rows with a key.
pub fn merge(
    postgres: &Postgres<'_>,
    load: &Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<Applied, Failure> {
    let staged = stage(postgres, load, changes)?;
    let table = &load.table;
    let keys: Vec<&str> = load.layout.key_names().collect();
    let same_key = keys
        .iter()
        .map(|key| format!("t.{0} = s.{0}", quoted(key)))
        .collect::<Vec<_>>()
        .join(" AND ");
    let staged_anew = format!("SELECT FROM {STAGED} s WHERE {same_key} AND NOT s.{DELETED}");
    let mut removed = 0;
    let mut dropped = 0;
    if changes.base == BuildsOn::Nothing {
        let sql = format!("DELETE FROM {table} t WHERE NOT EXISTS ({staged_anew})");
        dropped = postgres.run(DOING, &sql)?;
    } else {
        if staged.deleted > 0 {
            let sql =
                format!("DELETE FROM {table} t USING {STAGED} s WHERE {same_key} AND s.{DELETED}");
            removed += postgres.run(DOING, &sql)?;
        }
        if stage_parents(postgres, load, changes)? {
            let parent = &load.layout.columns[load.layout.parent.unwrap_or_default()].name;
            let sql = format!(
                "DELETE FROM {table} t USING {PARENTS} p WHERE t.{} = p.parent AND NOT EXISTS ({staged_anew})",
                quoted(parent)
            );
            removed += postgres.run(DOING, &sql)?;
        }
    }
    let written = match staged.records {
        0 => 0,
        _ => postgres.run(DOING, &upsert(load, &keys, &same_key))?,
    };
    Ok(Applied {
        records: load.count(postgres)?,
        removed,
        unchanged: removed + dropped + written == 0,
    })
}

/// What was staged into the temporary table.
struct InTemporary {
    records: u64,
    deleted: u64,
}

fn stage(
    postgres: &Postgres<'_>,
    load: &Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<InTemporary, Failure> {
    let own = load.own_columns();
    let sql = format!(
        "CREATE TEMPORARY TABLE tidegate_staged ON COMMIT DROP AS SELECT {own}, false AS {DELETED} FROM {} WITH NO DATA",
        load.table
    );
    postgres.run(DOING, &sql)?;
    let mut copying = Copying::into(postgres, STAGED, &format!("{own}, {DELETED}"))?;
    let (mut change, mut number) = (Change::default(), 0);
    let mut staged = InTemporary {
        records: 0,
        deleted: 0,
    };
    while changes.rows.next(&mut change)? {
        number += 1;
        if change.deleted {
            // A key that the column cannot hold is of no row.
            if load.push_deleted(copying.line(), &change).is_err() {
                continue;
            }
            copying.line().extend_from_slice(b"\tt");
            staged.deleted += 1;
        } else {
            let pushed = load.push(copying.line(), &change)?;
            pushed.map_err(|misfit| load.refuse(&misfit, &change, number))?;
            copying.line().extend_from_slice(b"\tf");
            staged.records += 1;
        }
        copying.line_ends()?;
        check_at(postgres.check, number, change.record.len())?;
    }
    copying.finish()?;
    // Without it the planner takes a million rows for a thousand, or the other way round.
    postgres.run(DOING, &format!("ANALYZE {STAGED}"))?;
    Ok(staged)
}

/// Whether there are any.
fn stage_parents(
    postgres: &Postgres<'_>,
    load: &Load<'_>,
    changes: &Changes<'_>,
) -> Result<bool, Failure> {
    let Some(column) = load.layout.parent.filter(|_| !changes.parents.is_empty()) else {
        return Ok(false);
    };
    let sql = format!(
        "CREATE TEMPORARY TABLE tidegate_parents ON COMMIT DROP AS SELECT {} AS parent FROM {} WITH NO DATA",
        quoted(&load.layout.columns[column].name),
        load.table
    );
    postgres.run(DOING, &sql)?;
    let mut copying = Copying::into(postgres, PARENTS, "parent")?;
    for parent in changes.parents.iter() {
        for part in parts(parent) {
            let begun = copying.line().len();
            // A parent that the column cannot hold has no rows there.
            match fit::push(copying.line(), &Cell::from(part), load.kinds[column], true) {
                Ok(()) => copying.line_ends()?,
                Err(_) => copying.line().truncate(begun),
            }
        }
    }
    copying.finish()?;
    postgres.run(DOING, &format!("ANALYZE {PARENTS}"))?;
    Ok(true)
}

/// New rows and those that differ: what is equal is not even locked, so it costs no WAL. Values are compared as they are
/// stored (`record_image_ne`): 1.1 and 1.10 are equal numbers, and not the same.
fn upsert(load: &Load<'_>, keys: &[&str], same_key: &str) -> String {
    let own = load.own_columns();
    let names = || {
        load.layout
            .columns
            .iter()
            .map(|column| column.name.as_str())
    };
    let others: Vec<&str> = names().skip(keys.len()).collect();
    let of = |side: &str| {
        let columns: Vec<String> = others
            .iter()
            .map(|name| format!("{side}.{}", quoted(name)))
            .collect();
        columns.join(", ")
    };
    let differs = match others.len() {
        0 => String::new(),
        _ => format!(
            " OR pg_catalog.record_image_ne(ROW({}), ROW({}))",
            of("t"),
            of("s")
        ),
    };
    let from_staged: Vec<String> = names().map(|name| format!("s.{}", quoted(name))).collect();
    let set: Vec<String> = others
        .iter()
        .copied()
        .chain([UPDATED_AT, GENERATION])
        .map(|name| format!("{0} = EXCLUDED.{0}", quoted(name)))
        .collect();
    format!(
        "INSERT INTO {table} ({own}, {UPDATED_AT}, {GENERATION}) SELECT {from}, '{at}'::timestamptz, {generation} FROM {STAGED} s \
         LEFT JOIN {table} t ON {same_key} WHERE NOT s.{DELETED} AND (t.{first} IS NULL{differs}) \
         ON CONFLICT ({keys}) DO UPDATE SET {set}",
        table = load.table,
        from = from_staged.join(", "),
        at = load.committed_at,
        generation = load.generation,
        first = quoted(keys[0]),
        keys = listed(keys.iter().copied()),
        set = set.join(", "),
    )
}
