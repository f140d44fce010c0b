//! Into a table with rows: by way of a temporary one, and of what stands there only what differs is written.

use crate::outcome::{Failure, Outcome};
use crate::records::changes::check_at;
use crate::records::key::parts;
use crate::records::sort::Change;
use crate::sink::builds_on::BuildsOn;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::past::{CONTROLS, FROM_GENERATION, TO_GENERATION};
use crate::sink::database::{Cell, Changes, GENERATION, UPDATED_AT};
use crate::sink::twins;
use crate::sink::{Applied, Difference};

use super::copy::Copying;
use super::form::Form;
use super::load::Load;

use super::wait::wait;
use super::{Postgres, fit};

const STAGED: &str = "pg_temp.tidegate_staged";
const PARENTS: &str = "pg_temp.tidegate_parents";
/// Among the columns of the temporary table.
const DELETED: &str = "tidegate_deleted";
/// Among those of the rows that are written: whether there was none with that key.
const NEW: &str = "tidegate_is_new";
const DOING: &str = "cannot merge into the table in";

/// Merges rows with a key.
pub fn merge(
    postgres: &Postgres<'_>,
    load: &Load<'_>,
    changes: &mut Changes<'_>,
) -> Result<Applied, Failure> {
    let staged = stage(postgres, load, changes)?;
    let same_key = same_key(load);
    let looks_for_twins = changes.looks_for_twins && changes.base == BuildsOn::LastCommit;
    if looks_for_twins {
        stage_new(postgres, load, &same_key)?;
    }
    let staged_anew = format!("SELECT FROM {STAGED} s WHERE {same_key} AND NOT s.{DELETED}");
    let mut removed = 0;
    let mut dropped = 0;
    if changes.base == BuildsOn::Nothing {
        let which = format!("WHERE NOT EXISTS ({staged_anew})");
        dropped = delete(postgres, load, &which)?;
    } else {
        if staged.deleted > 0 {
            let which = format!("USING {STAGED} s WHERE {same_key} AND s.{DELETED}");
            removed += delete(postgres, load, &which)?;
            let left = format!("JOIN {STAGED} s ON {same_key} WHERE s.{DELETED}");
            refuse_left(postgres, load, &left)?;
        }
        if staged.twins > 0 {
            refuse_twins(postgres, load, &same_key)?;
        }
        if stage_parents(postgres, load, changes)? {
            let parent = &load.layout.columns[load.layout.parent.unwrap_or_default()].name;
            let which = format!(
                "USING {PARENTS} p WHERE t.{} = p.parent AND NOT EXISTS ({staged_anew})",
                quoted(parent)
            );
            removed += delete(postgres, load, &which)?;
            let left = format!(
                "JOIN {PARENTS} p ON t.{} = p.parent WHERE NOT EXISTS ({staged_anew})",
                quoted(parent)
            );
            refuse_left(postgres, load, &left)?;
        }
    }
    let (written, new) = match staged.records {
        0 => (0, 0),
        _ => write(postgres, load)?,
    };
    if looks_for_twins {
        refuse_new_twins(postgres, load)?;
    }
    let records = load.count(postgres)?;
    if changes.base == BuildsOn::Nothing && records != staged.records {
        return Err(not_deleted(
            postgres,
            load,
            records.saturating_sub(staged.records),
        ));
    }
    Ok(Applied {
        records,
        removed,
        difference: Difference::of(new, written - new, removed + dropped),
        unchanged: removed + dropped + written == 0,
    })
}

/// Makes the rows those that were valid in an earlier generation.
pub fn go_back(postgres: &Postgres<'_>, load: &Load<'_>, to: u64) -> Result<Applied, Failure> {
    let past = load.past.as_deref().unwrap_or_default();
    let own = load.own_columns();
    let sql = format!(
        "CREATE TEMPORARY TABLE tidegate_staged ON COMMIT DROP AS SELECT {own}, false AS {DELETED} FROM {past} \
         WHERE {FROM_GENERATION} <= {to} AND {TO_GENERATION} > {to}"
    );
    postgres.run(DOING, &sql)?;
    postgres.run(DOING, &format!("ANALYZE {STAGED}"))?;
    let which = format!(
        "WHERE t.{GENERATION} > {to} AND NOT EXISTS (SELECT FROM {STAGED} s WHERE {})",
        same_key(load)
    );
    let gone = delete(postgres, load, &which)?;
    let (written, new) = write(postgres, load)?;
    Ok(Applied {
        records: load.count(postgres)?,
        removed: gone,
        difference: Difference::of(new, written - new, gone),
        unchanged: gone + written == 0,
    })
}

fn same_key(load: &Load<'_>) -> String {
    let same = load
        .layout
        .key_names()
        .map(|key| format!("t.{0} = s.{0}", quoted(key)));
    same.collect::<Vec<_>>().join(" AND ")
}

/// Deletes rows `t`, and keeps them where there is a history; returns how many.
fn delete(postgres: &Postgres<'_>, load: &Load<'_>, which: &str) -> Result<u64, Failure> {
    let delete = format!("DELETE FROM {} t {which}", load.table);
    let Some(past) = &load.past else {
        return postgres.run(DOING, &delete);
    };
    let sql = format!(
        "WITH gone AS ({delete} RETURNING {}), kept AS (INSERT INTO {past} ({}) SELECT *, '{}'::timestamptz, {} FROM gone RETURNING 1) \
             SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM kept)",
        listed_of("t", load.names().chain([UPDATED_AT, GENERATION])),
        listed(load.names().chain(CONTROLS)),
        load.committed_at,
        load.generation
    );
    let [gone, kept] = postgres.counts(DOING, &sql)?;
    if kept < gone {
        return Err(postgres.dropped(past, kept, gone));
    }
    Ok(gone)
}

/// Writes what was staged and differs; how many rows that are, and how many of them are new.
fn write(postgres: &Postgres<'_>, load: &Load<'_>) -> Result<(u64, u64), Failure> {
    let keys: Vec<&str> = load.layout.key_names().collect();
    let sql = upsert(load, &keys, &same_key(load));
    let [sent, written, new, kept] = postgres.counts(DOING, &sql)?;
    if written < sent {
        return Err(postgres.dropped(&load.table, written, sent));
    }
    if kept < sent - new {
        let past = load.past.as_deref().unwrap_or_default();
        return Err(postgres.dropped(past, kept, sent - new));
    }
    Ok((written, new))
}

/// `Err` (65): rows that were to be deleted are still there.
fn refuse_left(postgres: &Postgres<'_>, load: &Load<'_>, which: &str) -> Result<(), Failure> {
    let sql = format!("SELECT count(*) FROM {} t {which}", load.table);
    let [left] = postgres.counts(DOING, &sql)?;
    match left {
        0 => Ok(()),
        left => Err(not_deleted(postgres, load, left)),
    }
}

fn not_deleted(postgres: &Postgres<'_>, load: &Load<'_>, left: u64) -> Failure {
    Failure::new(
        Outcome::GateRefused,
        format!(
            "cannot delete from {} in `{}`: {} not deleted, and no error was reported; a trigger of the table kept what is gone at the source, or wrote something else; let the role `{}` delete, or name another table by OUTPUT_TABLE",
            load.table,
            postgres.way.address,
            match left {
                1 => "1 row was".to_owned(),
                left => format!("{left} rows were"),
            },
            postgres.way.address.user()
        ),
    )
}

/// Remembers which of the staged keys are of no row yet.
fn stage_new(postgres: &Postgres<'_>, load: &Load<'_>, same_key: &str) -> Result<(), Failure> {
    let sql = format!(
        "CREATE TEMPORARY TABLE tidegate_new ON COMMIT DROP AS SELECT {} FROM {STAGED} s \
         WHERE s.{DELETED} IS NOT NULL AND NOT EXISTS (SELECT FROM {} t WHERE {same_key})",
        listed_of("s", load.layout.key_names()),
        load.table
    );
    postgres.run(DOING, &sql)?;
    Ok(())
}

/// `Err` (65): a row has a key that is written like one of those, and is another one.
fn refuse_new_twins(postgres: &Postgres<'_>, load: &Load<'_>) -> Result<(), Failure> {
    let compared = |with: &str| {
        let keys = load.layout.key_names().map(quoted);
        let texts = keys.map(|key| with.replace("KEY", &key));
        texts.collect::<Vec<_>>().join(" AND ")
    };
    let written_alike = compared("to_jsonb(t.KEY) #>> '{}' = to_jsonb(n.KEY) #>> '{}'");
    let same = compared("t.KEY = n.KEY");
    let from = format!("tidegate_new n ON {written_alike} WHERE NOT ({same})");
    refuse_twin(postgres, load, &from)
}

/// `Err` (65): a deletion names the key of a row, but for its JSON type.
fn refuse_twins(postgres: &Postgres<'_>, load: &Load<'_>, same_key: &str) -> Result<(), Failure> {
    let from = format!("{STAGED} s ON {same_key} WHERE s.{DELETED} IS NULL");
    refuse_twin(postgres, load, &from)
}

/// `Err` (65): there is a row `t` that is joined with these.
fn refuse_twin(postgres: &Postgres<'_>, load: &Load<'_>, with: &str) -> Result<(), Failure> {
    let key = listed_of("t", load.layout.key_names());
    let sql = format!(
        "SELECT concat_ws(', ', {key}) FROM {} t JOIN {with} LIMIT 1",
        load.table
    );
    let client = postgres.client()?;
    let limit = postgres.way.limits.run_deadline;
    let asked = wait(Some(postgres.check), limit, async {
        let row = client.query_typed_opt(&sql, &[]).await?;
        row.map(|row| row.try_get::<_, String>(0)).transpose()
    });
    match asked.map_err(|trouble| postgres.failed(DOING, trouble))? {
        None => Ok(()),
        Some(key) => Err(twins::refused(&key)),
    }
}

fn listed_of<'n>(side: &str, names: impl Iterator<Item = &'n str>) -> String {
    let columns: Vec<String> = names
        .map(|name| format!("{side}.{}", quoted(name)))
        .collect();
    columns.join(", ")
}

/// What was staged into the temporary table.
struct InTemporary {
    records: u64,
    deleted: u64,
    /// Deletions of keys that the columns take under another JSON type alone.
    twins: u64,
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
    let columns = format!("{own}, {DELETED}");
    let mut copying = Copying::into(postgres, STAGED, &columns, Form::Text)?;
    let (mut change, mut number) = (Change::default(), 0);
    let mut staged = InTemporary {
        records: 0,
        deleted: 0,
        twins: 0,
    };
    while changes.rows.next(&mut change)? {
        number += 1;
        if change.deleted {
            // A key that the column cannot hold is of no row; but for one of the other type, perhaps.
            if load.push_deleted(copying.line(), &change).is_ok() {
                copying.line().extend_from_slice(b"\tt");
                staged.deleted += 1;
            } else if load.push_twin(copying.line(), &change) {
                copying.line().extend_from_slice(b"\t\\N");
                staged.twins += 1;
            } else {
                continue;
            }
        } else {
            match load.push(copying.line(), &change.key, &change.record)? {
                Ok(()) => copying.line().extend_from_slice(b"\tf"),
                Err(misfit) => {
                    load.set_aside(&misfit, &change, number, changes.rejected)?;
                    continue;
                }
            }
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
    let mut copying = Copying::into(postgres, PARENTS, "parent", Form::Text)?;
    for parent in changes.parents.iter() {
        for part in parts(parent) {
            let begun = copying.line().len();
            // A parent that the column cannot hold has no rows there.
            match fit::push(copying.line(), &Cell::from(part), load.takes[column], true) {
                Ok(()) => copying.line_ends()?,
                Err(_) => copying.line().truncate(begun),
            }
        }
    }
    copying.finish()?;
    postgres.run(DOING, &format!("ANALYZE {PARENTS}"))?;
    Ok(true)
}

/// How many rows are new or differ, how many of those were written, and how many are new: what is equal is not even locked, so it costs no WAL. Values are compared as they are
/// stored (`record_image_ne`): 1.1 and 1.10 are equal numbers, and not the same.
fn upsert(load: &Load<'_>, keys: &[&str], same_key: &str) -> String {
    let own = load.own_columns();
    let others: Vec<&str> = load.names().skip(keys.len()).collect();
    let of = |side: &str| listed_of(side, others.iter().copied());
    let differs = match others.len() {
        0 => String::new(),
        _ => format!(
            " OR pg_catalog.record_image_ne(ROW({}), ROW({}))",
            of("t"),
            of("s")
        ),
    };
    let from_staged: Vec<String> = load
        .names()
        .map(|name| format!("s.{}", quoted(name)))
        .collect();
    let set: Vec<String> = others
        .iter()
        .copied()
        .chain([UPDATED_AT, GENERATION])
        .map(|name| format!("{0} = EXCLUDED.{0}", quoted(name)))
        .collect();
    // What was there goes along, to be kept.
    let olds: Vec<String> = match load.past {
        None => Vec::new(),
        Some(_) => load
            .names()
            .chain([UPDATED_AT, GENERATION])
            .map(quoted)
            .collect(),
    };
    let of_old: Vec<String> = olds
        .iter()
        .enumerate()
        .map(|(at, name)| format!(", t.{name} AS tidegate_old_{at}"))
        .collect();
    let kept = load.past.as_ref().map_or_else(String::new, |past| {
        let old: Vec<String> = (0..olds.len())
            .map(|at| format!("tidegate_old_{at}"))
            .collect();
        format!(
            "kept AS (INSERT INTO {past} ({}) SELECT {}, '{}'::timestamptz, {} FROM changed WHERE NOT {NEW} RETURNING 1), ",
            listed(load.names().chain(CONTROLS)),
            old.join(", "),
            load.committed_at,
            load.generation
        )
    });
    format!(
        "WITH changed AS MATERIALIZED (SELECT {from}, t.{first} IS NULL AS {NEW}{old} FROM {STAGED} s \
         LEFT JOIN {table} t ON {same_key} WHERE NOT s.{DELETED} AND (t.{first} IS NULL{differs})), \
         {kept}written AS (INSERT INTO {table} ({own}, {UPDATED_AT}, {GENERATION}) \
         SELECT {own}, '{at}'::timestamptz, {generation} FROM changed \
         ON CONFLICT ({keys}) DO UPDATE SET {set} RETURNING 1) \
         SELECT count(*), (SELECT count(*) FROM written), count(*) FILTER (WHERE {NEW}), {kept_rows} FROM changed",
        table = load.table,
        from = from_staged.join(", "),
        old = of_old.concat(),
        kept_rows = match load.past {
            None => format!("count(*) FILTER (WHERE NOT {NEW})"),
            Some(_) => "(SELECT count(*) FROM kept)".to_owned(),
        },
        at = load.committed_at,
        generation = load.generation,
        first = quoted(keys[0]),
        keys = listed(keys.iter().copied()),
        set = set.join(", "),
    )
}
