//! The plan: every setting of the host understood, every limit fixed, before anything else is opened.
//!
//! Problems are collected, not thrown: `settings` adds the component's and reports them all at once.

use std::path::PathBuf;
use std::time::Duration;

use crate::egress::Origin;
use crate::limits::Limits;
use crate::log;
use crate::settings::catalogue::HOST;
use crate::settings::columns::Column;
use crate::settings::data_file::{Compression, Formulas, OutputFormat};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::env_file::names;
use crate::settings::inputs::{Problem, Values};
use crate::staging::folder::Writers;
use crate::units;

mod output;

/// What the host will do.
#[derive(Debug)]
pub struct Plan {
    /// `JOB_NAME`.
    pub job: String,
    /// `OUTPUT_DIR`; none where a database server keeps everything.
    pub output_dir: Option<PathBuf>,
    /// `OUTPUT_DATABASE_URL`, when it is set: where the data goes instead of files.
    pub database: Option<DatabaseUrl>,
    /// `OUTPUT_TABLE`.
    pub table: String,
    /// `OUTPUT_COLUMNS`, none when it is not set.
    pub columns: Vec<Column>,
    /// `OUTPUT_FORMAT`.
    pub format: OutputFormat,
    /// `OUTPUT_COMPRESSION`.
    pub compression: Compression,
    /// `OUTPUT_CSV_FORMULAS`.
    pub formulas: Formulas,
    /// `OUTPUT_MODE`.
    pub file_mode: Option<u32>,
    /// Who may write to `OUTPUT_DIR` (`ALLOW_SHARED_OUTPUT`).
    pub writers: Writers,
    /// `PRIMARY_KEY`: JSON Pointers, none when it is not set.
    pub keys: Vec<String>,
    /// `REPLACE_BY`: one JSON Pointer, when it is set.
    pub replace_by: Option<String>,
    /// `WRITE_MODE`, when it is set.
    pub mode: Option<WriteMode>,
    /// `KEEP_GENERATIONS`.
    pub keep_generations: usize,
    /// `MIN_RECORDS`.
    pub min_records: u64,
    /// `MAX_SHRINK_PERCENT`.
    pub max_shrink_percent: u64,
    /// `MAX_DELETE_PERCENT`.
    pub max_delete_percent: u64,
    /// `MAX_REJECTED`.
    pub max_rejected: MaxRejected,
    /// `MAX_AGE`.
    pub max_age: Duration,
    /// `MAX_CURSOR_AGE`, when it is set.
    pub max_cursor_age: Option<Duration>,
    /// `ALLOW_ENVIRONMENT`.
    pub allow_environment: Vec<String>,
    /// Whether the component is the one in the binary: it is granted what it declares.
    pub has_built_in: bool,
    /// `ALLOW_HOSTS`.
    pub allow_hosts: Vec<Origin>,
    /// `ALLOW_PRIVATE_NETWORKS`.
    pub allow_private_networks: bool,
    /// `CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// `CLIENT_CERT_FILE`.
    pub client_cert_file: Option<PathBuf>,
    /// `CLIENT_KEY_FILE`.
    pub client_key_file: Option<PathBuf>,
    /// `ON_OVERLAP=skip`.
    pub skip_on_overlap: bool,
    /// `LOG_FORMAT`.
    pub log_format: Option<log::Format>,
    /// Where a compiled component is kept: `$TIDEGATE_CACHE_DIR`, systemd's `$CACHE_DIRECTORY`, XDG's, `~/.cache`, none.
    pub cache_dir: Option<PathBuf>,
    /// Every limit of the run.
    pub limits: Limits,
    /// All that was given, for the component's settings.
    pub values: Values,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
}

/// How staged records become the published set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// They are the set.
    Replace,
    /// They are merged into the last set by key.
    Upsert,
    /// They are added to what is there.
    Append,
}

impl WriteMode {
    /// The word in settings, logs and manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Upsert => "upsert",
            Self::Append => "append",
        }
    }
}

/// How many records may be rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRejected {
    /// So many.
    Count(u64),
    /// This part of the fetched ones.
    Percent(u64),
}

impl Plan {
    /// Understands `values`. What cannot be understood is in `problems`, with the default in its place.
    pub fn new(values: Values, limits: Limits, problems: Vec<Problem>) -> Self {
        let given = values.clone();
        let mut read = Reader {
            values: &given,
            problems,
        };
        let output = output::read(&mut read);
        let mut limits = limits;
        limits.run_deadline = read.parsed("RUN_DEADLINE", units::duration);
        limits.cpu = read.parsed("CPU_LIMIT", units::duration);
        limits.compile_cpu = read.parsed("COMPILE_CPU_LIMIT", units::duration);
        limits.memory_bytes = read.parsed("MEMORY_LIMIT", units::bytes);
        Self {
            job: output.job,
            output_dir: output.dir,
            database: output.database,
            table: output.table,
            columns: output.columns,
            format: read.parsed("OUTPUT_FORMAT", OutputFormat::parse),
            compression: read.parsed("OUTPUT_COMPRESSION", Compression::parse),
            formulas: read.parsed("OUTPUT_CSV_FORMULAS", Formulas::parse),
            file_mode: read.optional("OUTPUT_MODE", file_mode),
            writers: read.parsed("ALLOW_SHARED_OUTPUT", writers),
            keys: read.optional("PRIMARY_KEY", pointers).unwrap_or_default(),
            replace_by: read.optional("REPLACE_BY", pointer),
            mode: read.optional("WRITE_MODE", write_mode),
            keep_generations: read.parsed("KEEP_GENERATIONS", keep_generations),
            min_records: read.parsed("MIN_RECORDS", count),
            max_shrink_percent: read.parsed("MAX_SHRINK_PERCENT", percent),
            max_delete_percent: read.parsed("MAX_DELETE_PERCENT", percent),
            max_rejected: read.parsed("MAX_REJECTED", max_rejected),
            max_age: read.parsed("MAX_AGE", units::duration),
            max_cursor_age: read.optional("MAX_CURSOR_AGE", units::duration),
            allow_environment: read
                .optional("ALLOW_ENVIRONMENT", names)
                .unwrap_or_default(),
            has_built_in: false,
            allow_hosts: read.optional("ALLOW_HOSTS", origins).unwrap_or_default(),
            allow_private_networks: read.parsed("ALLOW_PRIVATE_NETWORKS", yes_or_no),
            ca_file: read.optional("CA_FILE", |text| Ok(PathBuf::from(text))),
            client_cert_file: read.optional("CLIENT_CERT_FILE", |text| Ok(PathBuf::from(text))),
            client_key_file: read.optional("CLIENT_KEY_FILE", |text| Ok(PathBuf::from(text))),
            skip_on_overlap: read.parsed("ON_OVERLAP", on_overlap),
            log_format: read.optional("LOG_FORMAT", log_format),
            cache_dir: cache_dir(&given),
            problems: read.problems,
            limits,
            values,
        }
    }
}

/// Reads host settings by their declaration, collecting problems.
struct Reader<'a> {
    values: &'a Values,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn parsed<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>) -> T {
        self.parsed_or(
            name,
            || parse(default_of(name)).expect("defaults are valid"),
            parse,
        )
    }

    fn parsed_or<T>(
        &mut self,
        name: &str,
        default: impl FnOnce() -> T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.optional(name, parse).unwrap_or_else(default)
    }

    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let given = self.values.get(name)?;
        match parse(&given.value) {
            Ok(value) => Some(value),
            Err(message) => {
                let setting = name.to_owned();
                self.problems.push(Problem {
                    setting,
                    message,
                    origin: Some(given.origin),
                });
                None
            }
        }
    }
}

fn default_of(name: &str) -> &'static str {
    HOST.iter()
        .find(|declared| declared.name == name)
        .map_or("", |declared| declared.default)
}

fn file_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| (0o400..=0o777).contains(mode));
    mode.filter(|mode| mode & 0o400 != 0)
        .ok_or_else(|| "takes an octal mode that the owner can read, such as `0640`".to_owned())
}

fn pointers(text: &str) -> Result<Vec<String>, String> {
    let pointers = listed(text)?;
    match pointers.iter().find(|pointer| !pointer.starts_with('/')) {
        None => Ok(pointers),
        Some(wrong) => Err(format!(
            "takes JSON Pointers, which begin with `/`: `/{wrong}` instead of `{wrong}`"
        )),
    }
}

fn pointer(text: &str) -> Result<String, String> {
    let one = text.starts_with('/') && !text.contains(",/");
    one.then(|| text.to_owned())
        .ok_or_else(|| "takes one JSON Pointer, such as `/order_id`".to_owned())
}

fn write_mode(text: &str) -> Result<WriteMode, String> {
    match text {
        "replace" => Ok(WriteMode::Replace),
        "upsert" => Ok(WriteMode::Upsert),
        "append" => Ok(WriteMode::Append),
        _ => Err("takes `replace`, `upsert` or `append`".to_owned()),
    }
}

fn keep_generations(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (2..=10_000).contains(number));
    number.ok_or_else(|| "takes a number from 2 to 10000".to_owned())
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "takes a whole number".to_owned())
}

fn percent(text: &str) -> Result<u64, String> {
    let number = text
        .trim_end_matches('%')
        .parse()
        .ok()
        .filter(|number| *number <= 100);
    number.ok_or_else(|| "takes a percentage from 0 to 100".to_owned())
}

fn max_rejected(text: &str) -> Result<MaxRejected, String> {
    if text.ends_with('%') {
        return percent(text).map(MaxRejected::Percent);
    }
    let number = text.parse().map(MaxRejected::Count);
    number.map_err(|_| "takes a count, or a percentage such as `1%`".to_owned())
}

fn listed(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
    if items.iter().any(String::is_empty) {
        return Err("has an empty entry between its commas".to_owned());
    }
    Ok(items)
}

fn origins(text: &str) -> Result<Vec<Origin>, String> {
    listed(text)?
        .iter()
        .map(|entry| Origin::parse_grant(entry))
        .collect()
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err("takes `yes` or `no`".to_owned()),
    }
}

fn writers(text: &str) -> Result<Writers, String> {
    let shared = yes_or_no(text)?;
    Ok(if shared {
        Writers::Group
    } else {
        Writers::Nobody
    })
}

fn on_overlap(text: &str) -> Result<bool, String> {
    match text {
        "fail" => Ok(false),
        "skip" => Ok(true),
        _ => Err("takes `fail` or `skip`".to_owned()),
    }
}

fn log_format(text: &str) -> Result<log::Format, String> {
    match text {
        "json" => Ok(log::Format::Json),
        "text" => Ok(log::Format::Text),
        _ => Err("takes `json` or `text`".to_owned()),
    }
}

fn cache_dir(values: &Values) -> Option<PathBuf> {
    let own = |name: &str| values.environment(name).map(PathBuf::from);
    own("TIDEGATE_CACHE_DIR")
        .or_else(|| own("CACHE_DIRECTORY"))
        // The XDG base directory specification: a relative path is invalid and ignored.
        .or_else(|| {
            own("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .map(|path| path.join("tidegate"))
        })
        .or_else(|| own("HOME").map(|path| path.join(".cache/tidegate")))
}

#[cfg(test)]
mod tests;
