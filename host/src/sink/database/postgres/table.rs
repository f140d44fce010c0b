//! The table: what is there, made where it is missing, and otherwise never altered. Whatever is not as the settings have it
//! is told with the statement that would mend it.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use crate::outcome::{Failure, Outcome};
use crate::settings::columns::ColumnType;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{ColumnSource, GENERATION, Layout, TableColumn, UPDATED_AT};

use super::kinds::{named, retype, sql};

use super::wait::{Given, wait};
use super::{Postgres, lock_of};

/// The table as it is.
#[derive(Debug)]
pub struct Found {
    /// Name and type of each column.
    columns: Vec<(String, String)>,
    /// The columns of its primary key, and the constraint's name.
    key: Vec<String>,
    constraint: Option<String>,
    /// Whether it has no rows.
    pub is_empty: bool,
}

/// Looks at it; none where it is missing.
pub fn find(postgres: &Postgres<'_>) -> Result<Option<Found>, Failure> {
    let client = postgres.client()?;
    let table = &postgres.names.table;
    let asked = wait(
        Some(postgres.check),
        postgres.way.limits.database_answer,
        async {
            let of = [(
                table as &(dyn tokio_postgres::types::ToSql + Sync),
                Type::TEXT,
            )];
            let relation = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass($1)";
            let Some(relation) = client.query_typed_opt(relation, &of).await? else {
                return Ok(None);
            };
            let columns = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
            let columns = client.query_typed(columns, &of).await?;
            let key = "SELECT a.attname::text, c.conname::text FROM pg_constraint c, pg_catalog.unnest(c.conkey) WITH ORDINALITY k(number, at), \
             pg_attribute a WHERE c.conrelid = to_regclass($1) AND c.contype = 'p' AND a.attrelid = c.conrelid \
             AND a.attnum = k.number ORDER BY k.at";
            let key = client.query_typed(key, &of).await?;
            let pairs = |rows: Vec<Row>| {
                let pair = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
                rows.iter()
                    .map(pair)
                    .collect::<Result<Vec<(String, String)>, Error>>()
            };
            let kind: String = relation.try_get(0)?;
            Ok(Some((kind, pairs(columns)?, pairs(key)?)))
        },
    );
    let found = asked.map_err(|trouble| postgres.failed("cannot inspect the table in", trouble))?;
    let Some((kind, columns, key)) = found else {
        return Ok(None);
    };
    if kind != "r" && kind != "p" {
        return Err(unusable(format!(
            "cannot write into {table} in `{}`: it is not a table; name another by OUTPUT_TABLE",
            postgres.way.address
        )));
    }
    let rows = format!("SELECT EXISTS (SELECT FROM {table})");
    let (check, limit) = (Some(postgres.check), postgres.way.limits.database_answer);
    let has_rows = wait(check, limit, async {
        client
            .query_typed_one(&rows, &[])
            .await?
            .try_get::<_, bool>(0)
    });
    let has_rows =
        has_rows.map_err(|trouble| postgres.failed("cannot inspect the rows in", trouble))?;
    Ok(Some(Found {
        columns,
        constraint: key.first().map(|(_, constraint)| constraint.clone()),
        key: key.into_iter().map(|(column, _)| column).collect(),
        is_empty: !has_rows,
    }))
}

/// One table belongs to one job. Who makes one at the same time waits until this transaction has ended.
pub fn refuse_anothers(postgres: &Postgres<'_>, name: &str) -> Result<(), Failure> {
    let (client, job) = (postgres.client()?, &postgres.way.job);
    let lock = lock_of("table", name, postgres.names.schema.as_deref());
    let sql = format!(
        "SELECT job FROM {} WHERE job <> $1 AND manifest LIKE '{{%' AND manifest::json->>'table' = $2 LIMIT 1",
        postgres.names.state
    );
    let limit = postgres.way.limits.database_answer;
    let asked = wait(Some(postgres.check), limit, async {
        let of: Given<'_> = &[(&postgres.names.state, Type::TEXT)];
        let is_there = "SELECT to_regclass($1) IS NOT NULL";
        // A dry run before the first commit makes none.
        if !client.query_typed_one(is_there, of).await?.try_get(0)? {
            return Ok(None);
        }
        let of: Given<'_> = &[(&lock, Type::INT8)];
        client
            .query_typed("SELECT pg_advisory_xact_lock($1)", of)
            .await?;
        let of: Given<'_> = &[(job, Type::TEXT), (&name, Type::TEXT)];
        let row = client.query_typed_opt(&sql, of).await?;
        row.map(|row| row.try_get::<_, String>(0)).transpose()
    });
    match asked {
        Ok(None) => Ok(()),
        Err(trouble) => Err(postgres.failed("cannot read `tidegate_state` in", trouble)),
        Ok(Some(other)) => Err(Failure::new(
            Outcome::Settings,
            format!(
                "cannot use `{}`: the table `{name}` is the job `{}`'s; choose another OUTPUT_TABLE, or, if that is this job under another name, set JOB_NAME back",
                postgres.way.address,
                other.escape_debug()
            ),
        )),
    }
}

/// The types that the settings give to the columns; none where the first records tell.
pub fn declared(layout: &Layout) -> Vec<Option<ColumnType>> {
    let is_told = |at: usize| at < layout.keys || layout.parent == Some(at);
    let kind = |(at, column): (usize, &TableColumn)| match &column.source {
        ColumnSource::Record => Some(ColumnType::Jsonb),
        ColumnSource::At(..) if is_told(at) => column.kind,
        ColumnSource::At(..) => Some(column.kind.unwrap_or(ColumnType::Jsonb)),
    };
    layout.columns.iter().enumerate().map(kind).collect()
}

impl Found {
    /// The types of the columns. `Err` is 73: the table is not as the settings have it.
    pub fn fits(
        &self,
        postgres: &Postgres<'_>,
        layout: &Layout,
    ) -> Result<Vec<ColumnType>, Failure> {
        let table = &postgres.names.table;
        let mut kinds = Vec::new();
        let mut drift: Vec<(String, String)> = Vec::new();
        for (column, declared) in layout.columns.iter().zip(declared(layout)) {
            match self.kind(&column.name, declared) {
                Ok(kind) => kinds.push(kind),
                Err(found) => drift.push(mended(table, &column.name, declared, found)),
            }
        }
        for (name, kind) in [
            (UPDATED_AT, ColumnType::Timestamptz),
            (GENERATION, ColumnType::Bigint),
        ] {
            if let Err(found) = self.kind(name, Some(kind)) {
                drift.push(mended(table, name, Some(kind), found));
            }
        }
        let key: Vec<&str> = layout.key_names().collect();
        if self.key != key {
            let drop = self
                .constraint
                .as_ref()
                .map(|name| format!("ALTER TABLE {table} DROP CONSTRAINT {}; ", quoted(name)));
            let add = if key.is_empty() {
                String::new()
            } else {
                let columns = listed(key.iter().copied());
                format!("ALTER TABLE {table} ADD PRIMARY KEY ({columns})")
            };
            let what = if self.key.is_empty() {
                "it has no primary key".to_owned()
            } else {
                format!("its primary key is ({})", self.key.join(", "))
            };
            drift.push((what, format!("{}{add}", drop.unwrap_or_default())));
        }
        if drift.is_empty() {
            return Ok(kinds);
        }
        let (what, mend): (Vec<String>, Vec<String>) = drift.into_iter().unzip();
        Err(unusable(format!(
            "cannot write into {table} in `{}`: {}; nothing was altered; to make it fit: {}",
            postgres.way.address,
            what.join(", "),
            mend.join("; ")
        )))
    }

    /// The type of a column, if it is as declared. `Err` has the type that it is of, none where it is missing.
    fn kind(&self, name: &str, declared: Option<ColumnType>) -> Result<ColumnType, Option<&str>> {
        let found = self.columns.iter().find(|(known, _)| known == name);
        let found = found.map(|(_, kind)| kind.as_str()).ok_or(None)?;
        let known = named(found).filter(|kind| match declared {
            Some(declared) => declared == *kind,
            None => *kind != ColumnType::Json,
        });
        known.ok_or(Some(found))
    }
}

/// What is wrong with a column, and what mends it.
fn mended(
    table: &str,
    name: &str,
    declared: Option<ColumnType>,
    found: Option<&str>,
) -> (String, String) {
    let kind = declared.unwrap_or(ColumnType::Text);
    match found {
        None => (
            format!("the column {} is missing", quoted(name)),
            format!(
                "ALTER TABLE {table} ADD COLUMN {} {}",
                quoted(name),
                sql(kind)
            ),
        ),
        Some(found) => (
            format!(
                "the column {} is {found} and not {}",
                quoted(name),
                sql(kind)
            ),
            retype(table, name, kind),
        ),
    }
}

/// The statement that makes the table.
pub fn create(table: &str, layout: &Layout, kinds: &[ColumnType]) -> String {
    let column = |(at, (column, kind)): (usize, (&TableColumn, &ColumnType))| {
        // Keys are then in the order in which they come, and their index is the fastest there is.
        let collate = match kind {
            ColumnType::Text if at < layout.keys => " COLLATE \"C\"",
            _ => "",
        };
        format!("{} {}{collate}", quoted(&column.name), sql(*kind))
    };
    let mut parts: Vec<String> = layout
        .columns
        .iter()
        .zip(kinds)
        .enumerate()
        .map(column)
        .collect();
    parts.push(format!("{} timestamptz NOT NULL", quoted(UPDATED_AT)));
    parts.push(format!("{} bigint NOT NULL", quoted(GENERATION)));
    if layout.keys > 0 {
        parts.push(format!("PRIMARY KEY ({})", listed(layout.key_names())));
    }
    format!("CREATE TABLE {table} ({})", parts.join(", "))
}

/// 73.
pub fn unusable(message: String) -> Failure {
    Failure::new(Outcome::OutputUnusable, message)
}
