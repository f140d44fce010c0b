//! One session at the server: opened, looked at, and the run lock taken in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::CertificateError;
use serde_json::json;
use tokio_postgres::config::SslMode as Encrypted;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::egress::{fault_in_words, find, may_be_named};
use crate::limits::{Limits, POSTGRES_NAME_BYTES_MAX};
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::database_url::{Address, SslMode};

use super::holder::{COLUMNS, Holder};
use super::wait::{Given, Trouble, in_words, wait};

/// PostgreSQL 12: the oldest that has all we use.
const VERSION_MIN: i32 = 120_000;
/// A peer that is gone without a word is noticed after two minutes, from both sides.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// The server's side of it, and a session that is its own.
const SESSION: &str =
    "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 15; SET tcp_keepalives_count = 4";

/// What a session is made with.
pub struct Way<'r> {
    pub address: &'r Address,
    pub tls: MakeRustlsConnect,
    pub job: &'r str,
    pub lock: i64,
    pub limits: &'r Limits,
    pub log: &'r Log,
}

pub struct Session {
    pub client: Arc<Client>,
    pub backend: Backend,
    /// How old the server's process is, and how long it took us to get it.
    pub age: Duration,
    pub took: Duration,
    /// Where it was said that transactions here only read: `pg_settings.source`.
    pub read_only_by: Option<String>,
}

/// The server's process of a session: no two have the same of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub pid: i32,
    pub started: String,
}

impl Way<'_> {
    /// Opens a session. `Err`: 75, or 73 when it will not do next time either.
    pub fn connect(&self, check: Option<Check<'_>>) -> Result<Session, Failure> {
        let limit = self.address.connect_timeout();
        self.connect_within(limit, self.limits.database_answer, check)
    }

    /// The same, with so much time for the connection, and so much for its first answer.
    pub fn connect_within(
        &self,
        limit: Duration,
        answer: Duration,
        check: Option<Check<'_>>,
    ) -> Result<Session, Failure> {
        let config = self.config();
        let begun = Instant::now();
        let opened = wait(check, limit, config.connect(self.tls.clone()));
        let (client, connection) = opened.map_err(|trouble| self.refused(trouble))?;
        // It ends with the client, or tells it of its own end.
        drop(tokio::spawn(connection));
        let asked = wait(check, answer, async {
            client.batch_execute(SESSION).await?;
            let sql = "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), pg_backend_pid(), \
                 (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
                 (SELECT extract(epoch FROM clock_timestamp() - backend_start)::float8 FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
                 (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on')";
            let row = client.query_typed_one(sql, &[]).await?;
            let backend = Backend {
                pid: row.try_get(2)?,
                started: row.try_get::<_, Option<String>>(3)?.unwrap_or_default(),
            };
            let age = row.try_get::<_, Option<f64>>(4)?.unwrap_or_default();
            let session = Session {
                read_only_by: row.try_get(5)?,
                client: Arc::new(client),
                backend,
                age: Duration::try_from_secs_f64(age).unwrap_or_default(),
                took: begun.elapsed(),
            };
            Ok((row.try_get(0)?, row.try_get(1)?, session))
        });
        let asked: Result<(i32, bool, Session), Trouble> = asked;
        let (version, is_standby, session) = asked
            .map_err(|trouble| trouble.failure("cannot inspect the database", self.address))?;
        let unusable = |what: String| Err(Failure::new(Outcome::OutputUnusable, what));
        if version < VERSION_MIN {
            return unusable(format!(
                "cannot use the database `{}`: it is PostgreSQL {}, and 12 or later is needed",
                self.address,
                version / 10_000
            ));
        }
        if is_standby {
            return unusable(format!(
                "cannot use the database `{}`: it is a standby and takes no writes; name the primary in OUTPUT_DATABASE_URL, or all servers with `target_session_attrs=read-write`",
                self.address
            ));
        }
        Ok(session)
    }

    /// Whoever set it to read only did not mean us to set that aside, though a transaction could.
    pub fn takes_writes(&self, session: &Session) -> Result<(), Failure> {
        let Some(by) = &session.read_only_by else {
            return Ok(());
        };
        let user = self.address.user();
        let whom = match by.as_str() {
            "user" => format!("for the role `{user}`"),
            "database user" => format!("for the role `{user}` in this database"),
            "database" => "for the database".to_owned(),
            _ => "there".to_owned(),
        };
        Err(Failure::new(
            Outcome::OutputUnusable,
            format!(
                "cannot use the database `{}`: it takes no writes, default_transaction_read_only is on {whom}; turn that off, or name another server or role in OUTPUT_DATABASE_URL",
                self.address
            ),
        ))
    }

    /// Whoever stands between may say that there is no TLS, and ask for the password as it is.
    pub fn warn_of_a_bare_password(&self) {
        let hosts = self.address.remote_hosts();
        if self.address.password.is_some()
            && self.address.ssl < SslMode::Require
            && !hosts.is_empty()
        {
            let told = json!({
                "host": hosts.join(","),
                "setting": "`sslmode=verify-full` in OUTPUT_DATABASE_URL",
            });
            self.log
                .warn("database password may travel without TLS", told);
        }
    }

    fn config(&self) -> Config {
        let address = self.address;
        let mut config = address.config();
        if config.get_application_name().is_none() {
            config.application_name(self.application_name());
        }
        config
            .tcp_user_timeout(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_PROBES)
            .ssl_mode(match address.ssl {
                // Nothing leaves the machine, and there is no TLS over it.
                _ if address.is_socket() => Encrypted::Disable,
                SslMode::Disable => Encrypted::Disable,
                SslMode::Prefer => Encrypted::Prefer,
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Encrypted::Require,
            });
        if let Some(password) = address.exposed_password() {
            config.password(password);
        }
        config
    }

    fn application_name(&self) -> String {
        let mut name = format!("tidegate:{}", self.job);
        let mut end = POSTGRES_NAME_BYTES_MAX.min(name.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        name
    }

    /// Takes the run lock if nobody has it.
    pub fn try_lock(&self, session: &Session, check: Option<Check<'_>>) -> Result<bool, Trouble> {
        let sql = "SELECT pg_try_advisory_lock($1)";
        let of: Given<'_> = &[(&self.lock, Type::INT8)];
        wait(check, self.limits.database_answer, async {
            session.client.query_typed_one(sql, of).await?.try_get(0)
        })
    }

    /// Who has the run lock, as far as the server lets us see it.
    pub fn held(&self, session: &Session, check: Option<Check<'_>>) -> Failure {
        let sql = format!(
            "SELECT {COLUMNS} FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1"
        );
        let of: Given<'_> = &[(&self.lock, Type::INT8)];
        let asked = wait(check, self.limits.database_answer, async {
            let row = session.client.query_typed_opt(&sql, of).await?;
            row.map(|row| Holder::read(&row)).transpose()
        });
        let told = |holder: &str| {
            Failure::overlap(format!(
                "cannot lock the job `{}` in `{}`: {holder}",
                self.job, self.address
            ))
        };
        let Some(holder) = asked.ok().flatten() else {
            return told("another run holds it");
        };
        let config = self.config();
        let name = &holder.application_name;
        let may_be_ours = holder.is_hidden
            || name.starts_with("tidegate:")
            || config.get_application_name() == Some(name);
        if may_be_ours {
            return told(&format!("{holder} holds it"));
        }
        told(&format!(
            "{holder} holds it; if that is no run of this job, a pooler that gives each transaction another connection (PgBouncer with `pool_mode=transaction`) kept a run's lock: connect directly or with `pool_mode=session`, and close that connection once by `SELECT pg_terminate_backend({})`",
            holder.pid
        ))
    }

    /// Why no session came about.
    fn refused(&self, trouble: Trouble) -> Failure {
        const DOING: &str = "cannot connect to the database";
        let Trouble::Server(error) = &trouble else {
            return trouble.failure(DOING, self.address);
        };
        let address = self.address;
        let unusable = |what: String| {
            Failure::new(
                Outcome::OutputUnusable,
                format!("{DOING} `{address}`: {what}"),
            )
        };
        let words = in_words(error);
        if let Some(tls) = find::<rustls::Error>(error) {
            return match tls {
                rustls::Error::InvalidCertificate(why) => unusable(certificate(why)),
                rustls::Error::AlertReceived(_) | rustls::Error::General(_) => {
                    trouble.failure(DOING, address)
                }
                other => unusable(format!("TLS: {other}; check `sslmode` and the port")),
            };
        }
        if words.contains("server does not support TLS") {
            return unusable(
                "the server takes no TLS, and `sslmode` asks for it; turn on `ssl` there, or take `sslmode=prefer`"
                    .to_owned(),
            );
        }
        if words.contains("password missing") {
            return unusable(format!(
                "the server wants a password of `{}`: set OUTPUT_DATABASE_PASSWORD_FILE or OUTPUT_DATABASE_PASSWORD",
                address.user()
            ));
        }
        if error.as_db_error().is_none() {
            self.log
                .info("database not reached", json!({ "error": words }));
        }
        trouble.failure(DOING, address)
    }
}

fn certificate(fault: &CertificateError) -> String {
    let what = format!(
        "the server's certificate is not trusted: {}",
        fault_in_words(fault)
    );
    match fault {
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => what,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "{what}; use the name that is in it, or `sslmode=verify-ca`, which looks only at who signed it"
            )
        }
        fault if may_be_named(fault) => format!(
            "{what}; name the authority's certificate by `sslrootcert=/path/ca.pem`, or take `sslmode=require`, which encrypts and accepts whoever answers"
        ),
        _ => what,
    }
}
