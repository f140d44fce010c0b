//! The host's own settings: one table, from which `describe`, `.env.example` and README's table are made.
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
        "Environment variables that a component given by path may read, comma-separated; SOURCE_API_URL is always allowed. \
         No effect with the built-in component, which may read its own settings",
    ),
    setting(
        Group::Auth,
        "SOURCE_TOKEN_URL",
        "",
        "https://login.example.com/oauth2/token",
        "With SOURCE_AUTH=oauth2: where an access token is fetched (client credentials); kept for the run, \
         fetched anew before it expires, and once after a 401",
    ),
    setting(
        Group::Auth,
        "SOURCE_CLIENT_ID",
        "",
        "tidegate",
        "With SOURCE_AUTH=oauth2: who asks for the token",
    ),
    setting(
        Group::Auth,
        "SOURCE_CLIENT_SECRET",
        "",
        "a-client-secret",
        "With SOURCE_AUTH=oauth2: what proves it; sent to SOURCE_TOKEN_URL alone",
    ),
    setting(
        Group::Auth,
        "SOURCE_SCOPE",
        "",
        "orders.read",
        "With SOURCE_AUTH=oauth2: what the token is asked for, words separated by blanks",
    ),
    setting(
        Group::Auth,
        "SOURCE_TOKEN_AUTH",
        "basic",
        "body",
        "With SOURCE_AUTH=oauth2: how id and secret are sent: `basic` (a header), or `body` (among the parameters)",
    ),
    setting(
        Group::Auth,
        "CLIENT_CERT_FILE",
        "",
        "/etc/tidegate/client.pem",
        "Certificate chain (PEM) shown to servers that ask who we are: to the origins of SOURCE_API_URL and \
         SOURCE_TOKEN_URL alone",
    ),
    setting(
        Group::Auth,
        "CLIENT_KEY_FILE",
        "",
        "/etc/tidegate/client.key",
        "The key of that certificate (PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase)",
    ),
    setting(
        Group::Output,
        "OUTPUT_DIR",
        "/data/sync",
        "/srv/sync/orders",
        "The folder that holds everything of this job; readers open `latest.*` in it, under append `segments/*`; \
         a database needs none, and keeps no data there",
    ),
    setting(
        Group::Output,
        "OUTPUT_DATABASE_URL",
        "",
        "postgres://etl@db.example.com/shop?sslmode=verify-full",
        "The database that the data goes to instead of files: `sqlite:///path/to/file.db`, or `postgres://user:password@host/database` \
         with `sslmode`, `sslrootcert` and `connect_timeout` as libpq has them",
    ),
    setting(
        Group::Output,
        "OUTPUT_DATABASE_PASSWORD",
        "",
        "a-password",
        "The password for OUTPUT_DATABASE_URL; it stands over one that is in there",
    ),
    setting(
        Group::Output,
        "OUTPUT_TABLE",
        "",
        "orders",
        "The table in OUTPUT_DATABASE_URL, made where it is missing and never altered; without it JOB_NAME",
    ),
    setting(
        Group::Output,
        "OUTPUT_COLUMNS",
        "",
        "total numeric /totals/gross",
        "The columns of a csv file or a table, one `name type /pointer` a line (types: text, bigint, numeric, double, boolean, \
         timestamptz, timestamp, date, uuid, json, jsonb; csv needs none); without it the members of the records, or in a table the key, and the whole record as `data`",
    ),
    setting(
        Group::Output,
        "OUTPUT_FORMAT",
        "json",
        "ndjson",
        "`json` (one array, one record a line), `ndjson`, or `csv` (RFC 4180; columns by OUTPUT_COLUMNS, or the members \
         of the records as they are first seen)",
    ),
    setting(
        Group::Output,
        "OUTPUT_COMPRESSION",
        "none",
        "zstd",
        "`none`, `gzip` (`latest.json.gz`; level 6) or `zstd` (`latest.json.zst`; level 3); may be changed between runs",
    ),
    setting(
        Group::Output,
        "OUTPUT_CSV_FORMULAS",
        "keep",
        "escape",
        "Text of a csv file that a spreadsheet takes for a formula: `keep` as it is, or `escape`: a `'` is put before \
         text that begins with = + - @, a tab or a carriage return (owasp.org, CSV Injection)",
    ),
    setting(
        Group::Output,
        "OUTPUT_MODE",
        "",
        "0640",
        "Octal mode of the published files; without it they follow the umask",
    ),
    setting(
        Group::Output,
        "ALLOW_SHARED_OUTPUT",
        "no",
        "yes",
        "`yes`: the group may write to OUTPUT_DIR, which needs the set-group-ID bit. Its members can then replace what is \
         published, and make a run delete files of its own user",
    ),
    setting(
        Group::Output,
        "PRIMARY_KEY",
        "",
        "/id",
        "JSON Pointers to the key of a published record, comma-separated; strings or integers; under append every record \
         must have it, and nothing is merged by it",
    ),
    setting(
        Group::Output,
        "REPLACE_BY",
        "",
        "/order_id",
        "JSON Pointer to the parent of a published record: when a source record is fetched again, all records of that \
         parent are replaced by the new ones; needs upsert, PRIMARY_KEY and SOURCE_PARENT",
    ),
    setting(
        Group::Output,
        "WRITE_MODE",
        "",
        "upsert",
        "`replace` (each run publishes all records), `upsert` (new and changed ones are merged by key) or `append` (what the \
         last run did not stage is added: a segment of its own in `segments/`, ndjson or csv, or rows); without SOURCE_CURSOR \
         replace, with it and PRIMARY_KEY upsert",
    ),
    setting(
        Group::Output,
        "JOB_NAME",
        "",
        "orders",
        "The label of this job in logs, and its name in a database; without it the last name of OUTPUT_DIR, or OUTPUT_TABLE",
    ),
    setting(
        Group::Output,
        "KEEP_GENERATIONS",
        "3",
        "10",
        "How many different published sets are kept, at least 2; segments are always kept",
    ),
    setting(
        Group::Gates,
        "MIN_RECORDS",
        "0",
        "100",
        "Refuse to publish fewer records than this; under append, a run that stages fewer, repeats included",
    ),
    setting(
        Group::Gates,
        "MAX_SHRINK_PERCENT",
        "50",
        "10",
        "Refuse to publish a set smaller than the last one by more than this; `--allow-shrink` lets one run through; not \
         under append",
    ),
    setting(
        Group::Gates,
        "MAX_DELETE_PERCENT",
        "50",
        "5",
        "Refuse to publish when this run deletes more than this of the last set, however many new records come; \
         `--allow-shrink` lets one run through; not under append",
    ),
    setting(
        Group::Gates,
        "MAX_REJECTED",
        "0",
        "1%",
        "Refuse to publish when more records than this were rejected; a count, or a percentage of those fetched",
    ),
    setting(
        Group::Health,
        "MAX_AGE",
        "25h",
        "2h",
        "`health`: the last success may be this old",
    ),
    setting(
        Group::Health,
        "MAX_CURSOR_AGE",
        "",
        "6h",
        "`health`: the newest record, which is the cursor read as a time, may be this old",
    ),
    setting(
        Group::Network,
        "ALLOW_HOSTS",
        "",
        "https://files.example.com",
        "Further origins that may be asked, comma-separated, `scheme://host[:port]`; a bare host means https. \
         They never get the credential",
    ),
    setting(
        Group::Network,
        "ALLOW_PRIVATE_NETWORKS",
        "no",
        "yes",
        "Whether granted names may resolve to private addresses",
    ),
    setting(
        Group::Network,
        "CA_FILE",
        "",
        "/etc/ssl/company.pem",
        "Certificates (PEM) trusted besides the system's",
    ),
    setting(
        Group::Limits,
        "RUN_DEADLINE",
        "15m",
        "1h",
        "The longest a run may take",
    ),
    setting(
        Group::Limits,
        "CPU_LIMIT",
        "5m",
        "1m",
        "The most CPU time the component may use in one run, all portions together; waiting does not count",
    ),
    setting(
        Group::Limits,
        "COMPILE_CPU_LIMIT",
        "60s",
        "3m",
        "The most CPU time that compiling the component may take; a compiled one is kept in the cache",
    ),
    setting(
        Group::Limits,
        "MEMORY_LIMIT",
        "256MiB",
        "64MiB",
        "The most memory the component may use, with what the host holds for it",
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
        "`json` or `text`; without it text on a terminal and json elsewhere",
    ),
];

/// A setting that a later version brings: whoever gives it is told so, and not that it is a typing error.
pub const LATER: &str = "OUTBOUND_PROXY";
