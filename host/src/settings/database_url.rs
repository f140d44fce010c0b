//! OUTPUT_DATABASE_URL: which database, as whom, and how much of the connection is proven. Nothing is opened here.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host};

use crate::limits::URL_PARAMETER_BYTES_MAX;
use crate::secret::Secret;

/// Where PostgreSQL listens when nothing is said.
const PORT: u16 = 5432;
/// The parameters that `tokio_postgres` reads: <https://www.postgresql.org/docs/current/libpq-connect.html>.
///
/// Not `hostaddr`: TLS and every message go by `host`, and it would lead elsewhere.
const PASSED_ON: [&str; 7] = [
    "connect_timeout",
    "application_name",
    "target_session_attrs",
    "channel_binding",
    "options",
    "host",
    "port",
];
/// Waiting for a connection when nothing is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A database.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// The file of a SQLite database.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Address),
}

/// How a PostgreSQL server is reached, or several of which the first that will do is taken.
///
/// `tokio_postgres` reads the URL, as libpq does. What proves the server is ours: its `sslmode` knows no `verify-*`.
#[derive(Debug, Clone)]
pub struct Address {
    /// Without the password, and without TLS.
    config: Box<Config>,
    /// What proves who we are.
    pub password: Option<Secret>,
    /// `sslmode`.
    pub ssl: SslMode,
    /// `sslrootcert`: a file of certificates (PEM) trusted instead of the system's.
    pub root_cert: Option<PathBuf>,
}

/// `sslmode`, as libpq has it: <https://www.postgresql.org/docs/current/libpq-ssl.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted; whoever answers is believed, unless `sslrootcert` is given.
    Require,
    /// And its certificate is signed by somebody trusted.
    VerifyCa,
    /// And it is the host's.
    VerifyFull,
}

impl DatabaseUrl {
    /// Reads one. `Err` says what it takes, and repeats nothing that may be secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return sqlite_path(path).map(Self::Sqlite);
        }
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"));
        rest.map_or_else(
            || Err(format!("{}{}", takes(), other_form(text))),
            Address::read,
        )
        .map(Self::Postgres)
    }

    /// Whether there is a password in this text, or could be: it cannot be understood.
    pub fn may_hold_password(text: &str) -> bool {
        Self::parse(text).map_or(true, |url| url.password().is_some())
    }

    /// The password in it.
    pub fn password(&self) -> Option<&Secret> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(address) => address.password.as_ref(),
        }
    }
}

/// Without the password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "postgres://{}@{}/{}",
            self.user(),
            self.servers().join(","),
            self.config.get_dbname().unwrap_or_default()
        )
    }
}

fn shown(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

fn takes() -> String {
    "takes `sqlite:///path/to/file.db` or `postgres://user@host/database`".to_owned()
}

/// What a page of a provider's or another program takes, told by its beginning alone: the rest may be a password.
fn other_form(text: &str) -> &'static str {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme == "jdbc" {
        "; this is JDBC's form: leave out `jdbc:`, and write the user before the host"
    } else if scheme.starts_with("postgres") && scheme.contains('+') {
        "; this names a Python driver: leave out `+` and what follows it, up to the colon"
    } else if ["host=", "dbname=", "user=", "port="]
        .iter()
        .any(|keyword| text.contains(keyword))
    {
        "; these are libpq's keywords: write them as a URL"
    } else {
        ""
    }
}

/// What to do about a parameter that other programs know.
fn instead_of(parameter: &str) -> &'static str {
    match parameter {
        "sslcert" | "sslkey" | "sslpassword" => {
            "client certificates are not shown to databases: use a role with a password"
        }
        "schema" | "currentSchema" => "write OUTPUT_TABLE as `schema.table`, and leave this out",
        _ => "leave it out, if another program needs it",
    }
}

fn sqlite_path(path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(
            "takes an absolute path after `sqlite://`, so with three slashes: `sqlite:///srv/data.db`"
                .to_owned(),
        );
    }
    if path.contains(['?', '#', '%']) {
        return Err("takes the path of a file as it is, without parameters or escapes".to_owned());
    }
    Ok(PathBuf::from(path))
}

/// What the URL of a server is made of, nothing of it decoded.
struct Parts<'u> {
    user: &'u str,
    password: Option<&'u str>,
    hosts: &'u str,
    /// With its `/`, or empty.
    database: &'u str,
    parameters: &'u str,
}

impl<'u> Parts<'u> {
    /// `rest` follows `postgres://`.
    fn of(rest: &'u str) -> Result<Self, String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let Some((credentials, hosts)) = authority.rsplit_once('@') else {
            // The text may be a part of the password, and is not repeated.
            return Err(if rest.contains('@') {
                "has a `?` or `/` before an `@`: in the user or the password, write `?` as `%3F` and `/` as `%2F`"
                    .to_owned()
            } else {
                takes()
            });
        };
        let (database, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        // With one `@` before them and one behind, what is between may be a part of the password.
        if rest.contains('@') {
            return Err(
                "has an `@` behind the host: write `@` as `%40`, and in a password `/` as `%2F` and `?` as `%3F`"
                    .to_owned(),
            );
        }
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        if user.is_empty() {
            return Err(takes());
        }
        Ok(Self {
            user,
            password: password.filter(|password| !password.is_empty()),
            hosts,
            database,
            parameters,
        })
    }
}

impl Address {
    /// Whether this is a database that `allowed` names: each of its servers is one of those, database and user are the
    /// same, and the server is proven no less.
    pub fn is_within(&self, allowed: &Self) -> bool {
        let servers = allowed.servers();
        self.servers().iter().all(|server| servers.contains(server))
            && self.config.get_dbname() == allowed.config.get_dbname()
            && self.user() == allowed.user()
            && self.ssl >= allowed.ssl
    }

    /// Each host with its port.
    fn servers(&self) -> Vec<String> {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate();
        let servers = hosts.map(|(at, host)| {
            let port = ports.get(at).or_else(|| ports.first()).unwrap_or(&PORT);
            format!("{}:{port}", shown(host))
        });
        servers.collect()
    }

    fn read(rest: &str) -> Result<Self, String> {
        let parts = Parts::of(rest)?;
        let password = parts.password.map(|text| decoded(text, "password"));
        let mut address = Self {
            config: Box::new(Config::new()),
            password: password
                .transpose()?
                .map(|text| Secret::from(text.as_str())),
            ssl: SslMode::Prefer,
            root_cert: None,
        };
        let mut passed_on = Vec::new();
        for pair in parts.parameters.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !address.take(name, &decoded(value, "parameter")?)? {
                refuse_unusable(name, pair)?;
                passed_on.push((name, pair));
            }
        }
        let is_named = |parameter: &str| passed_on.iter().any(|(name, _)| *name == parameter);
        // As libpq has it: hosts among the parameters replace those after the `@`.
        let (hosts, port) = match (is_named("host"), parts.hosts.rsplit_once(':')) {
            (false, _) => (parts.hosts, None),
            (true, Some((_, port))) if !is_named("port") => ("", Some(format!("port={port}"))),
            (true, _) => ("", None),
        };
        let parameters = passed_on
            .iter()
            .map(|(_, pair)| *pair)
            .chain(port.as_deref());
        let parameters: Vec<&str> = parameters.collect();
        let url = format!(
            "postgres://user@{hosts}{}?{}",
            parts.database,
            parameters.join("&")
        );
        address.config = Box::new(url.parse().map_err(|_| takes())?);
        address.finish(&decoded(parts.user, "user")?)
    }

    /// Fills in what is not said, and refuses what does not go together.
    fn finish(mut self, user: &str) -> Result<Self, String> {
        self.config.user(user);
        if self.config.get_hosts().is_empty()
            || self.config.get_hosts().contains(&Host::Tcp(String::new()))
        {
            return Err(takes());
        }
        let (hosts, ports) = (self.config.get_hosts().len(), self.config.get_ports().len());
        if ports > 1 && ports != hosts {
            return Err(format!(
                "has {hosts} hosts and {ports} ports: name one port, or one for each host"
            ));
        }
        if self.config.get_dbname().is_none() {
            self.config.dbname(user);
        }
        if self.config.get_connect_timeout().is_none() {
            self.config.connect_timeout(CONNECT_TIMEOUT);
        }
        if self.root_cert.is_some() && self.ssl < SslMode::Require {
            return Err(
                "has `sslrootcert`, which has no effect with this sslmode: add `sslmode=verify-full`"
                    .to_owned(),
            );
        }
        if self.config.get_channel_binding() == ChannelBinding::Require
            && self.ssl < SslMode::Require
        {
            return Err(
                "has `channel_binding=require`, which needs TLS: add `sslmode=verify-full`"
                    .to_owned(),
            );
        }
        Ok(self)
    }

    /// One parameter, if it is ours to read; `false`: it is `tokio_postgres`' to read.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "sslmode" => self.ssl = SslMode::parse(value)?,
            "sslrootcert" => self.root_cert = Some(PathBuf::from(value)),
            "connect_timeout"
                if !value
                    .parse()
                    .is_ok_and(|seconds: u64| (1..=600).contains(&seconds)) =>
            {
                return Err("has a `connect_timeout` that is not from 1 to 600 seconds".to_owned());
            }
            "target_session_attrs" if value == "read-only" => {
                return Err(
                    "takes the `target_session_attrs` any or read-write, because a run writes"
                        .to_owned(),
                );
            }
            "password" => {
                return Err(
                    "takes the password before the `@`, or as OUTPUT_DATABASE_PASSWORD".to_owned(),
                );
            }
            _ if PASSED_ON.contains(&name) => return Ok(false),
            _ => {
                let known = format!("known are sslmode, sslrootcert, {}", PASSED_ON.join(", "));
                let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                // Anything else may be a part of the password.
                return Err(
                    if name.len() <= URL_PARAMETER_BYTES_MAX && name.bytes().all(is_name) {
                        format!(
                            "has the unknown parameter `{name}`: {}; {known}",
                            instead_of(name)
                        )
                    } else {
                        format!("has an unknown parameter; {known}")
                    },
                );
            }
        }
        Ok(true)
    }

    /// How `tokio_postgres` is to connect: everything but the password and TLS.
    pub fn config(&self) -> Config {
        Config::clone(&self.config)
    }

    /// As whom.
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// Whether every host is a socket in a folder of this machine.
    pub fn is_socket(&self) -> bool {
        let mut hosts = self.config.get_hosts().iter();
        hosts.all(|host| matches!(host, Host::Unix(_)))
    }

    /// The hosts that are not this machine, as they are written.
    pub fn remote_hosts(&self) -> Vec<String> {
        let is_here = |host: &&Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse()
                        .is_ok_and(|address: IpAddr| address.is_loopback())
            }
        };
        let hosts = self.config.get_hosts().iter();
        hosts.filter(|host| !is_here(host)).map(shown).collect()
    }

    /// How long connecting may take: `connect_timeout` for each host.
    pub fn connect_timeout(&self) -> Duration {
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(1);
        self.config
            .get_connect_timeout()
            .copied()
            .unwrap_or(CONNECT_TIMEOUT)
            * hosts
    }

    /// The password, to be handed to the server.
    pub fn exposed_password(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::expose)
    }
}

/// `Err`: `tokio_postgres` cannot read this parameter.
fn refuse_unusable(name: &str, pair: &str) -> Result<(), String> {
    match format!("postgres://user@host/?{pair}").parse::<Config>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "has a `{name}` that is none of the values that PostgreSQL's manual names"
        )),
    }
}

fn decoded(text: &str, what: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("has a {what} that is not UTF-8 text"))
}

impl SslMode {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Self::Disable,
            // Libpq would try without TLS first.
            "prefer" | "allow" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                return Err(
                    "takes the `sslmode` disable, allow, prefer, require, verify-ca or verify-full"
                        .to_owned(),
                );
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        match DatabaseUrl::parse(text).unwrap() {
            DatabaseUrl::Postgres(address) => address,
            DatabaseUrl::Sqlite(path) => panic!("read as the file {}", path.display()),
        }
    }

    #[test]
    fn a_postgres_url_names_everything_and_shows_no_password() {
        let text =
            "postgres://etl:p%40ss@db.example.com:6432/shop?sslmode=verify-full&connect_timeout=3";

        let address = address(text);

        assert_eq!(address.exposed_password(), Some("p@ss"));
        assert_eq!(address.ssl, SslMode::VerifyFull);
        assert_eq!(address.connect_timeout(), Duration::from_secs(3));
        assert_eq!(
            address.to_string(),
            "postgres://etl@db.example.com:6432/shop"
        );
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn a_socket_is_named_by_its_folder() {
        let address = address("postgresql://etl@localhost/shop?host=/run/postgresql");

        assert!(address.is_socket());
        assert_eq!(
            address.to_string(),
            "postgres://etl@/run/postgresql:5432/shop"
        );
    }

    #[test]
    fn several_hosts_are_tried_each_for_as_long_as_it_may_take() {
        let address = address(
            "postgres://etl@a.example:6432,b.example/shop?target_session_attrs=read-write&connect_timeout=3",
        );

        assert_eq!(
            address.to_string(),
            "postgres://etl@a.example:6432,b.example:5432/shop"
        );
        assert_eq!(address.connect_timeout(), Duration::from_secs(6));
        assert_eq!(address.remote_hosts(), ["a.example", "b.example"]);
    }

    #[test]
    fn what_libpq_takes_is_handed_on() {
        let config = address(
            "postgres://etl@localhost:6432/shop?host=/run/postgresql&application_name=orders&channel_binding=disable\
             &options=-c%20search_path%3Dshop",
        )
        .config();

        assert_eq!(config.get_application_name(), Some("orders"));
        assert_eq!(config.get_options(), Some("-c search_path=shop"));
        assert_eq!(config.get_channel_binding(), ChannelBinding::Disable);
        assert_eq!(config.get_ports(), [6432]);
    }

    #[test]
    fn an_at_sign_in_a_password_is_its_own() {
        assert_eq!(
            address("postgres://etl:p@ss@db/shop").exposed_password(),
            Some("p@ss")
        );
    }

    #[test]
    fn the_database_is_the_users_own_when_none_is_named() {
        assert_eq!(
            address("postgres://etl@db").to_string(),
            "postgres://etl@db:5432/etl"
        );
    }

    #[test]
    fn a_sqlite_url_is_the_absolute_path_of_a_file() {
        let url = DatabaseUrl::parse("sqlite:///srv/data.db").unwrap();

        assert_eq!(url.to_string(), "sqlite:///srv/data.db");
        assert!(DatabaseUrl::parse("sqlite://data.db").is_err());
        assert!(DatabaseUrl::parse("sqlite:///srv/").is_err());
        assert!(DatabaseUrl::parse("sqlite:///srv/a.db?mode=ro").is_err());
    }

    #[test]
    fn what_another_program_takes_is_told_with_what_to_do() {
        for (text, told) in [
            (
                "jdbc:postgresql://h/d?user=u&password=s3cret",
                "leave out `jdbc:`",
            ),
            ("postgresql+psycopg2://u:s3cret@h/d", "leave out `+`"),
            (
                "host=h dbname=d user=u password=s3cret",
                "write them as a URL",
            ),
            (
                "postgres://u:s3cret@h/d?sslcert=/c.pem",
                "client certificates",
            ),
            ("postgres://u:s3cret@h/d?schema=shop", "OUTPUT_TABLE"),
            ("postgres://u:s3cret@h/d?pgbouncer=true", "leave it out"),
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();

            assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
        }
        assert_eq!(
            address("postgres://u@h/d?sslmode=allow").ssl,
            SslMode::Prefer
        );
    }

    #[test]
    fn what_is_not_known_is_refused_without_repeating_a_secret() {
        for text in [
            "mysql://u:s3cret@h/d",
            "postgres://u:s3cret@h/d?sslmode=maybe",
            "postgres://u:s3cret@h/d?optiones=x",
            "postgres://u:s3cret@h/d?target_session_attrs=s3cret",
            "postgres://u:s3cret@h/d?target_session_attrs=read-only",
            "postgres://u:s3cret@h/d?channel_binding=require",
            "postgres://u:s3cret@h:port/d",
            "postgres://u:s3cret@h1:1,h2:2/d?port=3",
            "postgres://u:pa@ss/s3cret@h/d",
            "postgres://u:pa@ss?s3cret@h/d",
            "postgres://u:pa@h:34/s3cret@h/d",
            "postgres://u:s3cret@h/d?host=/run/postgresql&hostaddr=127.0.0.1",
            "postgres://u:s3cret?x@h/d",
            "postgres://u:s3cret/x@h/d",
            "postgres://u:s3cret@/d",
            "postgres://u:s3cret@h/d?sslrootcert=/ca.pem",
            "postgres://h/d",
            "s3cret",
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
