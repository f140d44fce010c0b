//! The rows of two generations, for somebody who only looks: in one snapshot, by a cursor, so that memory has a bound.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::settings::database_url::Address;
use crate::settings::host::HostPlan;
use crate::sink::database::compare::{Between, Looking, TakeRow};
use crate::sink::database::names::quoted;
use crate::sink::database::past::{FROM_GENERATION, Kept, TO_GENERATION};
use crate::sink::database::{ColumnSource, GENERATION, Layout, StateRow};

use super::connect::{Session, Way};
use super::names::Names;
use super::wait::{Given, Trouble, wait};
use super::{ALL_ROWS, look, row_of, state_sql};

/// Rows that are fetched at once.
const ROWS: usize = 500;
const DOING: &str = "cannot compare the rows in";

/// What differs, in one snapshot of the database.
pub fn looked_at<T>(
    address: &Address,
    host: &HostPlan,
    check: Check<'_>,
    act: &mut dyn FnMut(&mut dyn Looking) -> Result<T, Failure>,
) -> Result<T, Failure> {
    look::with_session(address, host, |session, names, way| {
        let mut looking = LookedAt {
            session,
            names,
            way,
            check,
        };
        let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {ALL_ROWS}");
        looking.asked(async { session.client.batch_execute(&begin).await })?;
        act(&mut looking)
    })
}

/// A database whose rows are looked at.
struct LookedAt<'l> {
    session: &'l Session,
    names: &'l Names,
    way: &'l Way<'l>,
    check: Check<'l>,
}

impl LookedAt<'_> {
    fn asked<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let limit = self.way.limits.run_deadline;
        let answered = wait(Some(self.check), limit, asked);
        answered.map_err(|trouble: Trouble| trouble.failure(DOING, self.way.address))
    }
}

impl Looking for LookedAt<'_> {
    fn state(&mut self) -> Result<Option<StateRow>, Failure> {
        let (client, state) = (&self.session.client, &self.names.state);
        self.asked(async {
            let of: Given<'_> = &[(state, Type::TEXT)];
            let is_there = "SELECT to_regclass($1) IS NOT NULL";
            if !client
                .query_typed_one(is_there, of)
                .await?
                .try_get::<_, bool>(0)?
            {
                return Ok(None);
            }
            let of: Given<'_> = &[(&self.way.job, Type::TEXT)];
            let row = client.query_typed_opt(&state_sql(state), of).await?;
            row.map(|row| row_of(self.way.job, &row)).transpose()
        })
    }

    fn kept(&mut self) -> Result<Option<Kept>, Failure> {
        self.asked(look::kept(&self.session.client, self.names, self.way.job))
    }

    fn kept_row(&mut self, at_most: u64) -> Result<Option<StateRow>, Failure> {
        let (client, job) = (&self.session.client, self.way.job);
        self.asked(look::kept_row(client, self.names, job, at_most))?
            .transpose()
    }

    fn last_written(&mut self) -> Result<u64, Failure> {
        let sql = format!(
            "SELECT coalesce(max({GENERATION}), 0) FROM {}",
            self.names.table
        );
        self.asked(async {
            let row = self.session.client.query_typed_one(&sql, &[]).await?;
            Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
        })
    }

    fn rows(
        &mut self,
        layout: &Layout,
        between: Between,
        take: TakeRow<'_>,
    ) -> Result<(), Failure> {
        let client = &self.session.client;
        let declare = format!(
            "DECLARE tidegate_rows NO SCROLL CURSOR FOR {}",
            rows_sql(self.names, layout, between)
        );
        self.asked(async { client.batch_execute(&declare).await })?;
        let fetch = format!("FETCH {ROWS} FROM tidegate_rows");
        loop {
            let rows = self.asked(async { client.query_typed(&fetch, &[]).await })?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let (is_later, key, record) = read(row)
                    .map_err(|error| Trouble::Server(error).failure(DOING, self.way.address))?;
                take(is_later, key, record)?;
            }
        }
    }
}

fn read(row: &Row) -> Result<(bool, &str, &str), tokio_postgres::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

/// The rows between two generations, each with whether it is of the later one, its key and its record.
fn rows_sql(names: &Names, layout: &Layout, between: Between) -> String {
    let Between {
        low,
        high,
        is_exact,
    } = between;
    let columns: Vec<String> = layout
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let own = columns.join(", ");
    let keys: Vec<String> = layout.key_names().map(quoted).collect();
    let key: Vec<String> = keys
        .iter()
        .map(|key| format!("to_json(v.{key})::text"))
        .collect();
    let whole = layout
        .columns
        .iter()
        .find(|column| column.source == ColumnSource::Record);
    let record = match whole {
        Some(column) => format!("v.{}::text", quoted(&column.name)),
        None => format!(
            "(SELECT row_to_json(r)::text FROM (SELECT {}) r)",
            columns
                .iter()
                .map(|name| format!("v.{name}"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let (table, past) = (&names.table, &names.past);
    let mut parts = vec![format!(
        "SELECT true AS tidegate_is_later, {own} FROM {table} WHERE {GENERATION} > {low} AND {GENERATION} <= {high}"
    )];
    if is_exact {
        parts.push(format!(
            "SELECT true, {own} FROM {past} WHERE {FROM_GENERATION} > {low} AND {FROM_GENERATION} <= {high} AND {TO_GENERATION} > {high}"
        ));
        parts.push(format!(
            "SELECT false, {own} FROM {past} WHERE {FROM_GENERATION} <= {low} AND {TO_GENERATION} > {low} AND {TO_GENERATION} <= {high}"
        ));
    }
    let order: Vec<String> = keys.iter().map(|key| format!("v.{key}")).collect();
    format!(
        "SELECT v.tidegate_is_later, concat_ws(', ', {}), coalesce({record}, 'null') FROM ({}) v ORDER BY {}, v.tidegate_is_later",
        key.join(", "),
        parts.join(" UNION ALL "),
        order.join(", ")
    )
}
