//! The table: what is there, made where it is missing, and otherwise never altered. Whatever is not as the settings have it
//! is told with the statement that would mend it.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use crate::outcome::{Failure, Outcome};
use crate::settings::columns::ColumnType;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{ColumnSource, GENERATION, Layout, TableColumn, UPDATED_AT};

use super::kinds::{Takes, keeps_values, retype, sql};
use super::names::{Names, cut};
use super::wait::{Given, wait};
use super::{Postgres, lock_of};

/// The table as it is.
#[derive(Debug)]
pub struct Found {
    columns: Vec<FoundColumn>,
    /// The columns of its primary key.
    key: Vec<String>,
    /// Those of each index by which a row can be merged, the primary key's included.
    unique: Vec<Vec<String>>,
    /// Whether it has no rows.
    pub is_empty: bool,
}

#[derive(Debug)]
struct FoundColumn {
    name: String,
    /// Its type, as the server calls it; of a domain what it is of.
    kind: String,
    is_identity: bool,
    is_generated: bool,
    is_required: bool,
}

/// Columns; the primary key's; those of each unique index.
type Described = (
    String,
    bool,
    Vec<FoundColumn>,
    Vec<String>,
    Vec<Vec<String>>,
);

/// A domain that takes no null is its own type: a deletion has none but key values.
const COLUMNS: &str = "SELECT a.attname::text, CASE WHEN t.typtype = 'd' AND NOT t.typnotnull \
     THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END, \
     a.attidentity = 'a', a.attgenerated <> '', a.attnotnull \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
/// Those that ON CONFLICT can name.
const INDEXES: &str = "SELECT i.indisprimary, ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY k(number, at) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.at <= i.indnkeyatts ORDER BY k.at) \
     FROM pg_catalog.pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indimmediate AND i.indisvalid \
     AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY i.indisprimary DESC, i.indexrelid";

/// Looks at it; none where it is missing.
pub fn find(postgres: &Postgres<'_>) -> Result<Option<Found>, Failure> {
    let client = postgres.client()?;
    let table = &postgres.names.table;
    let limit = postgres.way.limits.database_answer;
    let asked = wait(Some(postgres.check), limit, describe(client, table));
    let found = asked.map_err(|trouble| postgres.failed("cannot inspect the table in", trouble))?;
    let Some((kind, has_hidden_rows, columns, key, unique)) = found else {
        return Ok(None);
    };
    if kind != "r" && kind != "p" {
        return Err(unusable(format!(
            "cannot write into {table} in `{}`: it is not a table; name another by OUTPUT_TABLE",
            postgres.way.address
        )));
    }
    if has_hidden_rows {
        let user = postgres.way.address.user();
        return Err(unusable(format!(
            "cannot write into {table} in `{}`: row-level security hides rows of it from the role `{user}`, which could then not be changed or deleted; exempt the role, by `ALTER ROLE {} BYPASSRLS`, or use the table's owner without FORCE ROW LEVEL SECURITY",
            postgres.way.address,
            quoted(user)
        )));
    }
    let rows = format!("SELECT EXISTS (SELECT FROM {table})");
    let has_rows = wait(Some(postgres.check), limit, async {
        client
            .query_typed_one(&rows, &[])
            .await?
            .try_get::<_, bool>(0)
    });
    let has_rows =
        has_rows.map_err(|trouble| postgres.failed("cannot inspect the table in", trouble))?;
    Ok(Some(Found {
        columns,
        key,
        unique,
        is_empty: !has_rows,
    }))
}

async fn describe(client: &Client, table: &String) -> Result<Option<Described>, Error> {
    let of: Given<'_> = &[(table, Type::TEXT)];
    let relation = "SELECT relkind::text, pg_catalog.row_security_active(oid) FROM pg_catalog.pg_class WHERE oid = to_regclass($1)";
    let Some(relation) = client.query_typed_opt(relation, of).await? else {
        return Ok(None);
    };
    let column = |row: &Row| {
        Ok(FoundColumn {
            name: row.try_get(0)?,
            kind: row.try_get(1)?,
            is_identity: row.try_get(2)?,
            is_generated: row.try_get(3)?,
            is_required: row.try_get(4)?,
        })
    };
    let columns = client.query_typed(COLUMNS, of).await?;
    let columns: Result<Vec<FoundColumn>, Error> = columns.iter().map(column).collect();
    let (mut key, mut unique) = (Vec::new(), Vec::new());
    for row in client.query_typed(INDEXES, of).await? {
        let columns: Vec<String> = row.try_get(1)?;
        if row.try_get(0)? {
            key.clone_from(&columns);
        }
        unique.push(columns);
    }
    let is_hidden = relation.try_get(1)?;
    Ok(Some((
        relation.try_get(0)?,
        is_hidden,
        columns?,
        key,
        unique,
    )))
}

/// The columns of a table with their types, as the server calls them; none where it is missing.
pub fn columns(postgres: &Postgres<'_>, table: &String) -> Result<Vec<(String, String)>, Failure> {
    let client = postgres.client()?;
    let limit = postgres.way.limits.database_answer;
    let asked = wait(Some(postgres.check), limit, async {
        let of: Given<'_> = &[(table, Type::TEXT)];
        let rows = client.query_typed(COLUMNS, of).await?;
        let column = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(column).collect()
    });
    asked.map_err(|trouble| postgres.failed("cannot inspect the table in", trouble))
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
    /// What the columns take. `Err` is 73: the table is not as the settings have it.
    pub fn fits(&self, postgres: &Postgres<'_>, layout: &Layout) -> Result<Vec<Takes>, Failure> {
        let names = &postgres.names;
        let mut takes = Vec::new();
        let mut drift = Drift::default();
        let declared = layout
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .zip(declared(layout));
        let ours = [
            (UPDATED_AT, Some(ColumnType::Timestamptz)),
            (GENERATION, Some(ColumnType::Bigint)),
        ];
        for (at, (name, declared)) in declared.chain(ours).enumerate() {
            let found = self.columns.iter().find(|column| column.name == name);
            if let Some(column) = found.filter(|column| column.is_ours_to_write()) {
                let known = Takes::named(&column.kind);
                if let Some(known) = known.and_then(|known| known.declared_as(declared)) {
                    takes.push(known);
                    continue;
                }
            }
            drift.add(names, name, declared, found, at < layout.keys);
        }
        let key: Vec<&str> = layout.key_names().collect();
        if !self.merges_by(&key) {
            drift.add_key(names, &self.key, &key);
        }
        if drift.what.is_empty() {
            takes.truncate(layout.columns.len());
            return Ok(takes);
        }
        Err(unusable(format!(
            "cannot write into {} in `{}`: {}; nothing was altered; {}",
            names.table,
            postgres.way.address,
            drift.what.join(", "),
            drift.mend()
        )))
    }

    /// Whether a row is found by these columns, in whatever order an index has them. Without a key there is none to find it by.
    fn merges_by(&self, key: &[&str]) -> bool {
        if key.is_empty() {
            return self.key.is_empty();
        }
        let is_it = |columns: &Vec<String>| {
            columns.len() == key.len() && columns.iter().all(|name| key.contains(&name.as_str()))
        };
        self.unique.iter().any(is_it)
    }
}

impl FoundColumn {
    /// Whether it takes a value that it is given.
    fn is_ours_to_write(&self) -> bool {
        !self.is_identity && !self.is_generated
    }
}

/// How a table differs from what it must be, and the statements that fix it: they keep every value there is.
#[derive(Default)]
struct Drift {
    what: Vec<String>,
    statements: Vec<String>,
    /// What no statement does.
    advice: Vec<String>,
    /// Whether a column is new, and its values are still to be fetched.
    needs_values: bool,
}

impl Drift {
    fn add(
        &mut self,
        names: &Names,
        name: &str,
        declared: Option<ColumnType>,
        found: Option<&FoundColumn>,
        is_key: bool,
    ) {
        let (table, column) = (&names.table, quoted(name));
        let kind = declared.unwrap_or(ColumnType::Text);
        let add = format!("ALTER TABLE {table} ADD COLUMN {column} {}", sql(kind));
        let Some(found) = found else {
            self.what.push(format!("the column {column} is missing"));
            self.statements.push(add);
            self.needs_values |= name != UPDATED_AT && name != GENERATION;
            return;
        };
        if found.is_identity {
            let what = format!("the column {column} is GENERATED ALWAYS AS IDENTITY");
            self.what.push(format!("{what}, and takes no value"));
            self.statements.push(format!(
                "ALTER TABLE {table} ALTER COLUMN {column} SET GENERATED BY DEFAULT"
            ));
            return;
        }
        if found.is_generated {
            let what = format!("the column {column} is GENERATED ALWAYS, and takes no value");
            self.what.push(what);
            let advice = format!("give {column} another name in OUTPUT_COLUMNS");
            self.advice.push(advice);
            return;
        }
        let what = format!(
            "the column {column} is {} and not {}",
            found.kind,
            sql(kind)
        );
        self.what.push(what);
        if keeps_values(kind) {
            self.statements.push(retype(table, name, kind));
        } else if is_key {
            self.advice.push(moved_away(names));
        } else {
            let before = before(name);
            if found.is_required {
                self.statements.push(format!(
                    "ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
                ));
            }
            self.statements.push(format!(
                "ALTER TABLE {table} RENAME COLUMN {column} TO {}",
                quoted(&before)
            ));
            self.statements.push(add);
            self.needs_values |= name != UPDATED_AT && name != GENERATION;
        }
    }

    fn add_key(&mut self, names: &Names, has: &[String], wanted: &[&str]) {
        if has.is_empty() {
            self.what.push("it has no primary key".to_owned());
            self.statements.push(format!(
                "ALTER TABLE {} ADD PRIMARY KEY ({})",
                names.table,
                listed(wanted.iter().copied())
            ));
            return;
        }
        self.what
            .push(format!("its primary key is ({})", has.join(", ")));
        let setting = "set PRIMARY_KEY to what that is, or name another table by OUTPUT_TABLE";
        self.advice.push(setting.to_owned());
        self.advice.push(moved_away(names));
    }

    fn mend(&self) -> String {
        let mut text = self.advice.join(", or ");
        if !self.statements.is_empty() {
            let also = if text.is_empty() { "" } else { "; " };
            let statements = self.statements.join("; ");
            text = format!("{text}{also}to make it fit: `{statements}`");
        }
        if self.needs_values {
            text.push_str("; then run once with `--full-refresh`, which fills it in all rows");
        }
        text
    }
}

/// A whole table under another name keeps its rows, and whoever needs them finds them.
fn moved_away(names: &Names) -> String {
    format!(
        "move this one away by `{}` and run with `--full-refresh`, which creates it",
        renamed(&names.table, &names.name)
    )
}

/// The statement that gives a table another name.
pub fn renamed(table: &str, name: &str) -> String {
    format!("ALTER TABLE {table} RENAME TO {}", quoted(&before(name)))
}

/// Another name for what was there before.
fn before(name: &str) -> String {
    cut(name, "_before")
}

/// The statement that makes the table, without its key.
pub fn create(table: &str, layout: &Layout, takes: &[Takes]) -> String {
    let column = |(at, (column, takes)): (usize, (&TableColumn, &Takes))| {
        // Keys are then in the order in which they come, and their index is the fastest there is.
        let collate = match takes.kind {
            ColumnType::Text if at < layout.keys => " COLLATE \"C\"",
            _ => "",
        };
        format!("{} {}{collate}", quoted(&column.name), sql(takes.kind))
    };
    let mut parts: Vec<String> = layout
        .columns
        .iter()
        .zip(takes)
        .enumerate()
        .map(column)
        .collect();
    parts.push(format!("{} timestamptz NOT NULL", quoted(UPDATED_AT)));
    parts.push(format!("{} bigint NOT NULL", quoted(GENERATION)));
    format!("CREATE TABLE {table} ({})", parts.join(", "))
}

/// The statement that gives it its key, once it has its rows: an index that is built at once takes a quarter of the time that
/// one takes which grows by each row.
pub fn add_key(table: &str, layout: &Layout) -> Option<String> {
    let names = listed(layout.key_names());
    (layout.keys > 0).then(|| format!("ALTER TABLE {table} ADD PRIMARY KEY ({names})"))
}

/// 73.
pub fn unusable(message: String) -> Failure {
    Failure::new(Outcome::OutputUnusable, message)
}
