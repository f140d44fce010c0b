//! Where the data goes: a folder or a database, and under which names.

use std::path::{Path, PathBuf};

use crate::settings::columns::{self, Column};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::inputs::{Origin, Problem};

use super::Reader;

/// PostgreSQL cuts a longer name.
const TABLE_BYTES_MAX: usize = 63;
/// The names of the tables in which commits are kept.
const RESERVED: &str = "tidegate_";

/// The settings that depend on one another.
pub(super) struct Output {
    pub job: String,
    pub dir: Option<PathBuf>,
    pub database: Option<DatabaseUrl>,
    pub table: String,
    pub columns: Vec<Column>,
}

/// Reads them. Without OUTPUT_DIR, a SQLite database has a folder beside it for the lock and the last run's record, one for
/// each job; a server needs none.
pub(super) fn read(read: &mut Reader<'_>) -> Output {
    let database = database(read);
    let given = read.optional("OUTPUT_DIR", |text| Ok(PathBuf::from(text)));
    let table = read.optional("OUTPUT_TABLE", table_name);
    let named = given.as_deref().and_then(last_name);
    let job = read.parsed_or(
        "JOB_NAME",
        || {
            named
                .or_else(|| table.clone())
                .unwrap_or_else(|| default_job(read_default_dir()))
        },
        job_name,
    );
    let dir = match (&database, given) {
        (_, Some(given)) => Some(given),
        (None, None) => Some(read_default_dir().to_owned()),
        (Some(DatabaseUrl::Sqlite(path)), None) => {
            let mut beside = path.clone().into_os_string();
            beside.push(".tidegate");
            Some(PathBuf::from(beside).join(folder_name(&job)))
        }
        (Some(DatabaseUrl::Postgres(_)), None) => None,
    };
    Output {
        table: table.unwrap_or_else(|| job.clone()),
        columns: columns(read),
        job,
        dir,
        database,
    }
}

fn database(read: &mut Reader<'_>) -> Option<DatabaseUrl> {
    const NAME: &str = "OUTPUT_DATABASE_URL";
    let given = read
        .values
        .get(NAME)
        .filter(|given| given.origin == Origin::Flag);
    let (text, origin) = if let Some(given) = given {
        (given.value, given.origin)
    } else {
        let (secret, origin) = read.values.secret(NAME, &mut read.problems)?;
        (secret.expose().to_owned(), origin)
    };
    let parsed = DatabaseUrl::parse(&text).and_then(|url| match origin {
        Origin::Flag if url.password().is_some() => Err("has a password in it, and every user of the machine can read an argument; use the environment, an env file or OUTPUT_DATABASE_PASSWORD_FILE".to_owned()),
        _ => Ok(url),
    });
    let mut url = match parsed {
        Ok(url) => url,
        Err(message) => {
            read.problems.push(Problem {
                setting: NAME.to_owned(),
                message,
                origin: Some(origin),
            });
            return None;
        }
    };
    let password = read
        .values
        .secret("OUTPUT_DATABASE_PASSWORD", &mut read.problems);
    if let (Some((password, _)), DatabaseUrl::Postgres(address)) = (password, &mut url) {
        address.password = Some(password);
    }
    Some(url)
}

fn columns(read: &mut Reader<'_>) -> Vec<Column> {
    let text = read.values.text("OUTPUT_COLUMNS", &mut read.problems);
    let Some((text, origin)) = text else {
        return Vec::new();
    };
    match columns::parse(&text) {
        Ok(columns) => columns,
        Err(message) => {
            read.problems.push(Problem {
                setting: "OUTPUT_COLUMNS".to_owned(),
                message,
                origin: Some(origin),
            });
            Vec::new()
        }
    }
}

fn read_default_dir() -> &'static Path {
    Path::new(super::default_of("OUTPUT_DIR"))
}

fn default_job(output_dir: &Path) -> String {
    last_name(output_dir).unwrap_or_else(|| "sync".to_owned())
}

fn last_name(path: &Path) -> Option<String> {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
}

fn job_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 63 && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "takes at most 63 printable characters".to_owned())
}

/// A job's name as that of one folder, whatever is in it.
fn folder_name(job: &str) -> String {
    let job = job.replace('%', "%25").replace('/', "%2F");
    match job.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => job,
    }
}

fn table_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= TABLE_BYTES_MAX && !text.chars().any(char::is_control);
    if !fits || text.starts_with(RESERVED) {
        return Err(format!(
            "takes the name of a table, of at most {TABLE_BYTES_MAX} bytes, that does not begin with `{RESERVED}`"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_job_leads_out_of_the_folder_beside_the_database() {
        for (job, folder) in [
            ("orders", "orders"),
            ("a/b", "a%2Fb"),
            ("/etc", "%2Fetc"),
            ("..", "%2E."),
            ("50%", "50%25"),
        ] {
            assert_eq!(folder_name(job), folder);
        }
    }
}
