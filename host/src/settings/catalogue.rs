//! The host's own settings: one table, from which `describe`, `.env.example` and the table of `docs/settings.md` are made.
//!
//! The component declares the others; `settings` joins the two.

/// One setting of the host.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// The name, in the environment, in files and after `--set`.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub doc: &'static str,
    /// What stands when nothing is given; empty when there is no default.
    pub default: &'static str,
    /// A value as a person would write it.
    pub example: &'static str,
    /// Under which heading it is listed.
    pub group: Group,
}

/// The headings of `describe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What the component declares, and where it may take that from.
    Source,
    /// How we say who we are, besides `SOURCE_API_KEY`.
    Auth,
    /// Where the data goes.
    Output,
    /// When data is refused.
    Gates,
    /// When data is stale.
    Health,
    /// Who may be talked to.
    Network,
    /// How long and how much.
    Limits,
}

impl Group {
    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Auth => "OAuth2 and client certificates",
            Self::Output => "Output",
            Self::Gates => "Gates: when a run is refused instead of published",
            Self::Health => "Health",
            Self::Network => "Network",
            Self::Limits => "Limits and scheduling",
        }
    }
}

const fn setting(
    group: Group,
    name: &'static str,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Declared {
    Declared {
        name,
        doc,
        default,
        example,
        group,
    }
}

/// Every setting of the host, in the order in which a person should read them.
pub const HOST: &[Declared] = &[
    setting(
        Group::Source,
        "ALLOW_ENVIRONMENT",
        "",
        "SOURCE_REGION",
        "Environment variables that a component given by path may read, comma-separated. SOURCE_API_URL is always \
         allowed. No effect with the built-in component, which may read all its settings",
    ),
    setting(
        Group::Auth,
        "SOURCE_TOKEN_URL",
        "",
        "https://login.example.com/oauth2/token",
        "OAuth2 token endpoint (client credentials), for SOURCE_AUTH=oauth2. A token is kept for the run, and renewed \
         before it expires and once after a 401",
    ),
    setting(
        Group::Auth,
        "SOURCE_CLIENT_ID",
        "",
        "tidegate",
        "OAuth2 client id, for SOURCE_AUTH=oauth2",
    ),
    setting(
        Group::Auth,
        "SOURCE_CLIENT_SECRET",
        "",
        "a-client-secret",
        "OAuth2 client secret, for SOURCE_AUTH=oauth2. It is sent to SOURCE_TOKEN_URL only",
    ),
    setting(
        Group::Auth,
        "SOURCE_SCOPE",
        "",
        "orders.read",
        "OAuth2 scopes to request, separated by spaces, for SOURCE_AUTH=oauth2",
    ),
    setting(
        Group::Auth,
        "SOURCE_TOKEN_AUTH",
        "basic",
        "body",
        "How client id and secret are sent to SOURCE_TOKEN_URL: `basic` (a header) or `body` (form parameters)",
    ),
    setting(
        Group::Auth,
        "CLIENT_CERT_FILE",
        "",
        "/etc/tidegate/client.pem",
        "Client certificate chain (PEM). Only the origins of SOURCE_API_URL and SOURCE_TOKEN_URL receive it",
    ),
    setting(
        Group::Auth,
        "CLIENT_KEY_FILE",
        "",
        "/etc/tidegate/client.key",
        "Private key of CLIENT_CERT_FILE (PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase)",
    ),
    setting(
        Group::Output,
        "OUTPUT_DIR",
        "/data/sync",
        "/srv/sync/orders",
        "Folder of this job. Readers open `latest.*` in it or, with append, `segments/*`. Optional with \
         OUTPUT_DATABASE_URL; no data is kept there then",
    ),
    setting(
        Group::Output,
        "OUTPUT_DATABASE_URL",
        "",
        "postgres://etl@db.example.com/shop?sslmode=verify-full",
        "Write to a database instead of files: `sqlite:///path/to/file.db` or \
         `postgres://user:password@host/database`. The parameters `sslmode`, `sslrootcert` and `connect_timeout` work \
         as in libpq",
    ),
    setting(
        Group::Output,
        "OUTPUT_DATABASE_PASSWORD",
        "",
        "a-password",
        "Password for OUTPUT_DATABASE_URL. It takes precedence over a password in the URL",
    ),
    setting(
        Group::Output,
        "OUTPUT_TABLE",
        "",
        "orders",
        "Table in OUTPUT_DATABASE_URL. It is created if missing, and never altered. Default: JOB_NAME",
    ),
    setting(
        Group::Output,
        "OUTPUT_COLUMNS",
        "",
        "total numeric /totals/gross",
        "Columns of a csv file or a table, one `name type /pointer` a line. Types: text, bigint, numeric, double, \
         boolean, timestamptz, timestamp, date, uuid, json, jsonb; csv needs none. Default for csv: the members of \
         the records. Default for a table: the key, and the whole record as `data`",
    ),
    setting(
        Group::Output,
        "OUTPUT_FORMAT",
        "json",
        "ndjson",
        "`json` (one array, one record a line), `ndjson` or `csv` (RFC 4180). Columns of csv: OUTPUT_COLUMNS, or the \
         members of the records in order of first appearance",
    ),
    setting(
        Group::Output,
        "OUTPUT_COMPRESSION",
        "none",
        "zstd",
        "`none`, `gzip` (`latest.json.gz`, level 6) or `zstd` (`latest.json.zst`, level 3). It may change between \
         runs",
    ),
    setting(
        Group::Output,
        "OUTPUT_CSV_FORMULAS",
        "keep",
        "escape",
        "csv text that a spreadsheet would run as a formula: `keep` leaves it as it is. `escape` puts a `'` before \
         text that begins with = + - @, a tab or a carriage return (OWASP: CSV Injection)",
    ),
    setting(
        Group::Output,
        "OUTPUT_MODE",
        "",
        "0640",
        "Octal file mode of the published files. Default: by the umask",
    ),
    setting(
        Group::Output,
        "ALLOW_SHARED_OUTPUT",
        "no",
        "yes",
        "`yes`: the group may write to OUTPUT_DIR, which needs the set-group-ID bit. Group members can then replace \
         published data, and make a run delete files of the job's user",
    ),
    setting(
        Group::Output,
        "PRIMARY_KEY",
        "",
        "/id",
        "Key of a published record: JSON Pointers to strings or integers, comma-separated. With append every record \
         must have the key, but nothing is merged",
    ),
    setting(
        Group::Output,
        "REPLACE_BY",
        "",
        "/order_id",
        "JSON Pointer to the parent id in a published record. When a source record is fetched again, all records of \
         its parent are replaced. Needs upsert, PRIMARY_KEY and SOURCE_PARENT",
    ),
    setting(
        Group::Output,
        "WRITE_MODE",
        "",
        "upsert",
        "`replace` publishes all records of a run. `upsert` merges new and changed records by PRIMARY_KEY. `append` \
         adds the records that the previous run did not stage: as a segment (ndjson or csv) in `segments/`, or as \
         rows. Default: `replace` without SOURCE_CURSOR, `upsert` with SOURCE_CURSOR and PRIMARY_KEY",
    ),
    setting(
        Group::Output,
        "JOB_NAME",
        "",
        "orders",
        "Name of this job in logs and in a database. Default: the last part of OUTPUT_DIR, or OUTPUT_TABLE",
    ),
    setting(
        Group::Output,
        "KEEP_GENERATIONS",
        "3",
        "10",
        "How many different published sets to keep, at least 2. Segments are always kept",
    ),
    setting(
        Group::Gates,
        "MIN_RECORDS",
        "0",
        "100",
        "Refuse to publish fewer records than this. With append, the records that the run stages count, repeats \
         included",
    ),
    setting(
        Group::Gates,
        "MAX_SHRINK_PERCENT",
        "50",
        "10",
        "Refuse to publish a set that is smaller than the last one by more than this percentage. `--allow-shrink` \
         allows it for one run. No effect with append",
    ),
    setting(
        Group::Gates,
        "MAX_DELETE_PERCENT",
        "50",
        "5",
        "Refuse to publish when the run deletes more than this percentage of the last set, however many new records \
         it has. `--allow-shrink` allows it for one run. No effect with append",
    ),
    setting(
        Group::Gates,
        "MAX_REJECTED",
        "0",
        "1%",
        "Refuse to publish when more records than this are rejected: a count, or a percentage of the fetched records",
    ),
    setting(
        Group::Health,
        "MAX_AGE",
        "25h",
        "2h",
        "`health`: maximum age of the last success",
    ),
    setting(
        Group::Health,
        "MAX_CURSOR_AGE",
        "",
        "6h",
        "`health`: maximum age of the newest record, which is the cursor read as a time",
    ),
    setting(
        Group::Network,
        "ALLOW_HOSTS",
        "",
        "https://files.example.com",
        "Further origins that may be requested, comma-separated: `scheme://host[:port]`. A bare host means https. \
         They never receive the credential",
    ),
    setting(
        Group::Network,
        "ALLOW_PRIVATE_NETWORKS",
        "no",
        "yes",
        "Whether granted host names may resolve to private addresses",
    ),
    setting(
        Group::Network,
        "CA_FILE",
        "",
        "/etc/ssl/company.pem",
        "CA certificates (PEM) to trust in addition to the system's",
    ),
    setting(
        Group::Limits,
        "RUN_DEADLINE",
        "15m",
        "1h",
        "Maximum duration of a run",
    ),
    setting(
        Group::Limits,
        "CPU_LIMIT",
        "5m",
        "1m",
        "Maximum CPU time of the component per run, all portions together. Waiting does not count",
    ),
    setting(
        Group::Limits,
        "COMPILE_CPU_LIMIT",
        "60s",
        "3m",
        "Maximum CPU time to compile the component. A compiled component is cached",
    ),
    setting(
        Group::Limits,
        "MEMORY_LIMIT",
        "256MiB",
        "64MiB",
        "Maximum memory of the component, including what the host holds for it",
    ),
    setting(
        Group::Limits,
        "ON_OVERLAP",
        "fail",
        "skip",
        "When another run holds the lock: `fail` (exit 75) or `skip` (exit 0, with a log line)",
    ),
    setting(
        Group::Limits,
        "LOG_FORMAT",
        "",
        "json",
        "`json` or `text`. Default: text on a terminal, json elsewhere",
    ),
];

/// A setting that a later version brings: whoever gives it is told so, and not that it is a typing error.
pub const LATER: &str = "OUTBOUND_PROXY";
