//! Where the data goes, a folder or a database, and how what is published there is made.

use std::path::{Path, PathBuf};

use crate::settings::catalogue::{
    JOB_NAME, OUTPUT_COLUMNS, OUTPUT_COMPRESSION, OUTPUT_CSV_BOM, OUTPUT_CSV_DELIMITER,
    OUTPUT_CSV_FORMULAS, OUTPUT_DATABASE_PASSWORD, OUTPUT_DATABASE_URL, OUTPUT_DIR, OUTPUT_FORMAT,
    OUTPUT_HISTORY, OUTPUT_MODE, OUTPUT_SQLITE_STRICT, OUTPUT_TABLE, PRIMARY_KEY, REPLACE_BY,
};
use crate::settings::columns::Column;
use crate::settings::data_file::{Compression, CsvForm, OutputFormat};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::inputs::{Origin, Problem};
use crate::settings::plan::WriteMode;

use super::{HostPlan, Reader};

/// How what is published is made.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// `OUTPUT_TABLE`.
    pub table: String,
    /// `OUTPUT_COLUMNS`; none: the members of the records, or the whole record.
    pub columns: Vec<Column>,
    /// `OUTPUT_FORMAT`.
    pub format: OutputFormat,
    /// `OUTPUT_COMPRESSION`.
    pub compression: Compression,
    /// `OUTPUT_CSV_…`.
    pub csv: CsvForm,
    /// `OUTPUT_SQLITE_STRICT`.
    pub sqlite_strict: bool,
    /// `OUTPUT_HISTORY`.
    pub keeps_history: bool,
    /// `OUTPUT_MODE`; umask decides without it.
    pub file_mode: Option<u32>,
    /// `PRIMARY_KEY`: JSON Pointers, none when it is not set.
    pub keys: Vec<String>,
    /// `REPLACE_BY`: the JSON Pointer to a record's parent, when it is set.
    pub replace_by: Option<String>,
}

impl OutputPlan {
    /// Merge key. Empty for append, where a key may repeat.
    pub fn merged_by(&self, mode: WriteMode) -> &[String] {
        match mode {
            WriteMode::Append => &[],
            WriteMode::Replace | WriteMode::Upsert => &self.keys,
        }
    }
}

/// The columns of a history that are no record's: begin and end of a row, by time and by generation.
pub const HISTORY_COLUMNS: [&str; 4] = [
    "_valid_from",
    "_from_generation",
    "_valid_to",
    "_to_generation",
];

/// What the table of a table's history is called.
pub fn history_of(table: &str) -> String {
    format!("{table}_history")
}

/// Where the data goes, and how it is made.
pub(super) struct Place {
    pub job: String,
    pub dir: Option<PathBuf>,
    pub database: Option<DatabaseUrl>,
    pub output: OutputPlan,
}

/// Reads them. Without OUTPUT_DIR, a SQLite database has a folder beside it for the lock and the last run's record, one for
/// each job; a server needs none.
pub(super) fn read(read: &mut Reader<'_>) -> Place {
    let database = database(read);
    let given = read.optional(&OUTPUT_DIR);
    let table = read.optional(&OUTPUT_TABLE);
    let named = given.as_deref().and_then(last_name);
    let job = read
        .optional(&JOB_NAME)
        .or(named)
        .or_else(|| table.clone())
        .unwrap_or_else(|| default_job(default_dir()));
    let dir = match (&database, given) {
        (_, Some(given)) => Some(given),
        (None, None) => Some(default_dir().to_owned()),
        (Some(DatabaseUrl::Sqlite(path)), None) => {
            let mut beside = path.clone().into_os_string();
            beside.push(".tidegate");
            Some(PathBuf::from(beside).join(folder_name(&job)))
        }
        (Some(DatabaseUrl::Postgres(_)), None) => None,
    };
    Place {
        output: OutputPlan {
            table: table.unwrap_or_else(|| job.clone()),
            columns: read.optional(&OUTPUT_COLUMNS).unwrap_or_default(),
            format: read.value(&OUTPUT_FORMAT),
            compression: read.value(&OUTPUT_COMPRESSION),
            csv: CsvForm {
                formulas: read.value(&OUTPUT_CSV_FORMULAS),
                delimiter: read.value(&OUTPUT_CSV_DELIMITER),
                has_mark: read.value(&OUTPUT_CSV_BOM),
            },
            sqlite_strict: read.value(&OUTPUT_SQLITE_STRICT),
            keeps_history: read.value(&OUTPUT_HISTORY),
            file_mode: read.optional(&OUTPUT_MODE),
            keys: read.optional(&PRIMARY_KEY).unwrap_or_default(),
            replace_by: read.optional(&REPLACE_BY),
        },
        job,
        dir,
        database,
    }
}

/// The file of `METRICS_FILE`. None where it is not known which job it is: another's would be replaced.
pub(super) fn metrics_file(host: &HostPlan) -> Option<PathBuf> {
    let of_job = [
        &JOB_NAME.row,
        &OUTPUT_DIR.row,
        &OUTPUT_DATABASE_URL.row,
        &OUTPUT_TABLE.row,
    ];
    let mut problems = host.problems.iter();
    if problems.any(|problem| of_job.iter().any(|row| row.name == problem.setting)) {
        return None;
    }
    let path = host.metrics_file.as_ref()?;
    if !path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Some(path.clone());
    }
    let tenant = host.tenant.as_ref().map(|tenant| tenant.name());
    let tenant = tenant.map_or_else(String::new, |tenant| format!("{tenant}."));
    Some(path.join(format!("{tenant}{}.prom", folder_name(&host.job))))
}

fn database(read: &mut Reader<'_>) -> Option<DatabaseUrl> {
    let password = read.optional(&OUTPUT_DATABASE_PASSWORD);
    let mut url = read.optional(&OUTPUT_DATABASE_URL)?;
    let is_flag = read.inputs.origin(&OUTPUT_DATABASE_URL.row) == Some(Origin::Flag);
    if is_flag && url.password().is_some() {
        read.problems.push(Problem::of(
            OUTPUT_DATABASE_URL.row.name,
            "has a password in it, and every user of the machine can read an argument; use the environment, an env file or OUTPUT_DATABASE_PASSWORD_FILE",
            Origin::Flag,
        ));
        return None;
    }
    if let (Some(password), DatabaseUrl::Postgres(address)) = (password, &mut url) {
        address.password = Some(password);
    }
    Some(url)
}

fn default_dir() -> &'static Path {
    Path::new(OUTPUT_DIR.row.default)
}

fn default_job(output_dir: &Path) -> String {
    last_name(output_dir).unwrap_or_else(|| "sync".to_owned())
}

fn last_name(path: &Path) -> Option<String> {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
}

/// A job's name as that of one folder, whatever is in it.
fn folder_name(job: &str) -> String {
    let job = job.replace('%', "%25").replace('/', "%2F");
    match job.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => job,
    }
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
