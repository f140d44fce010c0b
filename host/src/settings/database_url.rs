//! OUTPUT_DATABASE_URL: which database, as whom, and how much of the connection is proven. Nothing is opened here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::secret::Secret;

/// Where PostgreSQL listens when nothing is said.
/// No parameter of libpq has a longer name.
const PARAMETER_BYTES_MAX: usize = 32;
const PORT: u16 = 5432;
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

/// How a PostgreSQL server is reached.
#[derive(Debug, Clone)]
pub struct Address {
    /// A name, an address, or the folder of a socket where it begins with `/`.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom.
    pub user: String,
    /// What proves it.
    pub password: Option<Secret>,
    /// Which database.
    pub database: String,
    /// `sslmode`.
    pub ssl: SslMode,
    /// `sslrootcert`: a file of certificates (PEM) trusted instead of the system's.
    pub root_cert: Option<PathBuf>,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
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
        let url = Url::parse(text).map_err(|_| takes())?;
        match url.scheme() {
            "postgres" | "postgresql" => Address::read(&url).map(Self::Postgres),
            _ => Err(takes()),
        }
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
            "postgres://{}@{}:{}/{}",
            self.user, self.host, self.port, self.database
        )
    }
}

fn takes() -> String {
    "takes `sqlite:///path/to/file.db` or `postgres://user@host/database`".to_owned()
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

impl Address {
    fn read(url: &Url) -> Result<Self, String> {
        let decoded = |text: &str, what: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(std::borrow::Cow::into_owned)
                .map_err(|_| format!("has a {what} that is no UTF-8 text"))
        };
        let host = url.host_str().unwrap_or_default();
        let mut address = Self {
            host: decoded(host.trim_matches(['[', ']']), "host")?,
            port: url.port().unwrap_or(PORT),
            user: decoded(url.username(), "user")?,
            password: match url.password() {
                None | Some("") => None,
                Some(password) => Some(Secret::from(decoded(password, "password")?.as_str())),
            },
            database: decoded(url.path().trim_start_matches('/'), "database")?,
            ssl: SslMode::Prefer,
            root_cert: None,
            connect_timeout: CONNECT_TIMEOUT,
        };
        // A `?` in the password begins the parameters: what follows is a part of it, and is not repeated.
        if url
            .query()
            .is_some_and(|parameters| parameters.contains('@'))
        {
            return Err(
                "has a `?` before an `@`: write a `?` of the user or the password as `%3F`"
                    .to_owned(),
            );
        }
        if url.username().is_empty() {
            return Err(takes());
        }
        for (name, value) in url.query_pairs() {
            address.take(&name, &value)?;
        }
        if address.host.is_empty() {
            return Err(takes());
        }
        if address.database.is_empty() {
            address.database.clone_from(&address.user);
        }
        if address.root_cert.is_some() && address.ssl < SslMode::Require {
            return Err(
                "has `sslrootcert`, and it would not be used: add `sslmode=verify-full`".to_owned(),
            );
        }
        Ok(address)
    }

    /// One parameter.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "host" if value.starts_with('/') => value.clone_into(&mut self.host),
            "sslmode" => self.ssl = SslMode::parse(value)?,
            "sslrootcert" => self.root_cert = Some(PathBuf::from(value)),
            "connect_timeout" => {
                let seconds = value
                    .parse()
                    .ok()
                    .filter(|seconds| (1..=600).contains(seconds));
                let seconds =
                    seconds.ok_or("has a `connect_timeout` that is not from 1 to 600 seconds")?;
                self.connect_timeout = Duration::from_secs(seconds);
            }
            "password" => {
                return Err(
                    "takes the password before the `@`, or as OUTPUT_DATABASE_PASSWORD".to_owned(),
                );
            }
            _ => {
                let known = "known are sslmode, sslrootcert, connect_timeout and host (the folder of a socket)";
                let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                // Anything else may be a part of the password.
                return Err(
                    if name.len() <= PARAMETER_BYTES_MAX && name.bytes().all(is_name) {
                        format!("has the unknown parameter `{name}`; {known}")
                    } else {
                        format!("has an unknown parameter; {known}")
                    },
                );
            }
        }
        Ok(())
    }

    /// The password, to be handed to the server.
    pub fn exposed_password(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::expose)
    }
}

impl SslMode {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                return Err(
                    "takes the `sslmode` disable, prefer, require, verify-ca or verify-full"
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
        assert_eq!((address.port, address.ssl), (6432, SslMode::VerifyFull));
        assert_eq!(
            address.to_string(),
            "postgres://etl@db.example.com:6432/shop"
        );
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn a_socket_is_named_by_its_folder() {
        let address = address("postgresql://etl@localhost/shop?host=/run/postgresql");

        assert_eq!(address.host, "/run/postgresql");
    }

    #[test]
    fn the_database_is_the_users_own_when_none_is_named() {
        assert_eq!(address("postgres://etl@db").database, "etl");
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
    fn what_is_not_known_is_refused_without_repeating_a_secret() {
        for text in [
            "mysql://u:s3cret@h/d",
            "postgres://u:s3cret@h/d?sslmode=maybe",
            "postgres://u:s3cret@h/d?options=x",
            "postgres://u:s3cret@h/d?sslrootcert=/ca.pem",
            "postgres://h/d",
            "s3cret",
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
