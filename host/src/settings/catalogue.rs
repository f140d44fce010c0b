//! The host's settings, a row each: the only place that names one, says what it means, and how its value is read.
//!
//! From these rows come `describe`, `check`, `.env.example`, the table in `docs/settings.md`, the schema for editors, the names that a
//! misspelled one is compared with, what `health` needs, and the refusal of settings that exclude or need one another. A
//! new setting is a row here and its one use.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::egress::{Algorithm, LoginBody, Origin, Proxy, SendAs, SentIn, TokenIn};
use crate::folder::Writers;
use crate::given_file::command;
use crate::log;
use crate::secret::Secret;
use crate::settings::alerts::{self, After, AlertFormat};
use crate::settings::auth::{GrantType, KeyFormat, Scheme};
use crate::settings::columns::{self, Column};
use crate::settings::data_file::{Compression, Delimiter, Formulas, OutputFormat};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::env_file;
use crate::settings::parse;
use crate::settings::plan::{MaxRejected, OnDrift, WriteMode};
use crate::settings::traces;
use crate::units;

/// One setting of the host, whose value is read as a `T`.
#[derive(Debug)]
pub struct Setting<T> {
    /// What is known of it, whatever its type.
    pub row: Row,
    /// Reads a value. `Err` completes a sentence that begins with the setting's name.
    pub parse: fn(&str) -> Result<T, String>,
}

/// What is known of a setting.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of the catalogue"
)]
#[derive(Debug)]
pub struct Row {
    /// The name, in the environment, in files and after `--set`.
    pub name: &'static str,
    /// Whether it takes a value. `Err` completes a sentence that begins with the name.
    pub check: fn(&str) -> Result<(), String>,
    /// Under which heading it is listed.
    pub group: Group,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// The value when nothing is given; empty when there is no default.
    pub default: &'static str,
    /// A value as a person would write it.
    pub example: &'static str,
    /// The form of the value, for `describe --schema`.
    pub form: Form,
    /// What separates the entries, where the value is a list.
    pub separator: Option<char>,
    /// Who may see the value.
    pub secrecy: Secrecy,
    /// Of `Secrecy::HoldsPassword`: whether there is one in a value, or could be.
    pub holds_password: fn(&str) -> bool,
    /// Whether `NAME_FILE` may name a file that holds the value. A secret always may.
    pub in_file: bool,
    /// Whether it decides what the published records are, so that a change of it needs a decision.
    pub shapes_records: bool,
    /// Whether `health` uses it.
    pub for_health: bool,
    /// Whether the component declares and describes it, as the host uses it on the component's behalf.
    pub described_by_component: bool,
    /// What it needs and what it excludes.
    pub rules: &'static [Rule],
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
    /// Who hears how runs end.
    Alerts,
    /// Where traces go.
    Traces,
    /// Who may be talked to.
    Network,
    /// How long and how much.
    Limits,
}

impl Group {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::Source,
        Self::Auth,
        Self::Output,
        Self::Gates,
        Self::Health,
        Self::Alerts,
        Self::Traces,
        Self::Network,
        Self::Limits,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Auth => "OAuth2, signatures and client certificates",
            Self::Output => "Output",
            Self::Gates => "Gates: when a run is refused instead of published",
            Self::Health => "Health",
            Self::Alerts => "Alerts and pings",
            Self::Traces => "Traces (OpenTelemetry)",
            Self::Network => "Network",
            Self::Limits => "Limits and scheduling",
        }
    }

    /// The table of a job file.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Auth => "auth",
            Self::Output => "output",
            Self::Gates => "gates",
            Self::Health => "health",
            Self::Alerts => "alerts",
            Self::Traces => "traces",
            Self::Network => "network",
            Self::Limits => "limits",
        }
    }
}

/// What a value looks like, where an editor can check it.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Any text.
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    /// What this regular expression matches: only what every dialect of them has.
    Pattern(&'static str),
}

/// Who may see a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Everybody.
    Public,
    /// Nobody: no argument, log, error or component.
    Secret,
    /// It may be an argument and is shown, but for the password that may be in it.
    HoldsPassword,
}

/// What a setting needs or excludes. What no row can say is in `conflicts`.
#[derive(Debug)]
pub enum Rule {
    /// It has no effect unless that setting has this value.
    OnlyWith(&'static Row, &'static str),
    /// It must be given when that setting has this value.
    RequiredWith(&'static Row, &'static str),
    /// It must be given when that setting is; the text says what it is then.
    RequiredIfGiven(&'static Row, &'static str),
    /// It has no effect without that setting. `what` completes a sentence that begins with its name.
    Needs {
        /// What it is good for.
        what: &'static str,
        /// What must be given.
        other: &'static Row,
        /// A value of that.
        example: &'static str,
    },
    /// It has no effect beside that setting.
    Excludes {
        /// What it is good for.
        what: &'static str,
        /// What must not be given.
        other: &'static Row,
    },
}

impl Row {
    /// A row of which only what is said differs from this.
    const PLAIN: Self = Self {
        name: "",
        check: |_| Ok(()),
        group: Group::Source,
        meaning: "",
        default: "",
        example: "",
        form: Form::Text,
        separator: None,
        secrecy: Secrecy::Public,
        holds_password: |_| true,
        in_file: false,
        shapes_records: false,
        for_health: false,
        described_by_component: false,
        rules: &[],
    };

    /// True if and only if every value is a whole number, perhaps with a unit that may be left out.
    pub fn is_number(&self) -> bool {
        matches!(
            self.form,
            Form::Pattern(NUMBER | PERCENT | NUMBER_OR_DURATION)
        )
    }

    /// True if and only if it is a switch.
    pub fn is_switch(&self) -> bool {
        matches!(self.form, Form::Choice(words) if words == YES_OR_NO)
    }

    /// True if and only if no component ever gets the value.
    pub fn is_secret(&self) -> bool {
        self.secrecy != Secrecy::Public
    }

    /// True if and only if nobody may see this value of it.
    pub fn is_secret_value(&self, text: &str) -> bool {
        match self.secrecy {
            Secrecy::Public => false,
            Secrecy::Secret => true,
            Secrecy::HoldsPassword => (self.holds_password)(text),
        }
    }

    /// `NAME_COMMAND`, if a program may print the value.
    pub fn command_name(&self) -> Option<String> {
        (self.secrecy == Secrecy::Secret).then(|| format!("{}_COMMAND", self.name))
    }

    /// `NAME_FILE`, if a file may hold the value.
    pub fn file_name(&self) -> Option<String> {
        (self.in_file || self.is_secret()).then(|| format!("{}_FILE", self.name))
    }
}

/// Declares one static for each setting, and the list of their rows.
macro_rules! catalogue {
    ($($name:ident: $type:ty = $parse:path { $($field:ident: $value:expr,)* })*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub static $name: Setting<$type> = Setting {
                row: Row {
                    name: stringify!($name),
                    check: |text| $parse(text).map(drop),
                    $($field: $value,)*
                    ..Row::PLAIN
                },
                parse: $parse,
            };
        )*

        /// Every setting that the host uses, in the order in which a person should read them.
        pub static ALL: &[&Row] = &[$(&$name.row),*];
    };
}

/// The settings that the component does not describe.
pub fn own() -> impl Iterator<Item = &'static Row> {
    ALL.iter()
        .copied()
        .filter(|row| !row.described_by_component)
}

/// The row of a name.
pub fn row(name: &str) -> Option<&'static Row> {
    ALL.iter().copied().find(|row| row.name == name)
}

/// The secret that a name stands for: its own, or that of the file that it names.
pub fn secret(name: &str) -> Option<&'static Row> {
    let of_file = name.strip_suffix("_FILE").unwrap_or(name);
    row(name)
        .or_else(|| row(of_file))
        .filter(|row| row.is_secret())
}

const YES_OR_NO: [&str; 6] = ["yes", "no", "true", "false", "1", "0"];
const DURATION: &str = "^[0-9]+[smhd]$";
const NUMBER_OR_DURATION: &str = "^[0-9]+[smhd]?$";
const BYTES: &str = "^[0-9]+(KiB|MiB|GiB)$";
const NUMBER: &str = "^[0-9]+$";
const PERCENT: &str = "^[0-9]+%?$";
const URL: &str = "^https?://";
const NAMES: &str = "^[A-Z][A-Z0-9_]*( *, *[A-Z][A-Z0-9_]*)*$";

/// The value of ALERT_FORMAT that needs a key.
pub const PAGERDUTY: &str = "pagerduty";
/// The value of SOURCE_AUTH that fetches a token.
pub const OAUTH2: &str = "oauth2";
/// The value of SOURCE_AUTH that logs in.
pub const LOGIN: &str = "login";
/// The value of SOURCE_AUTH that signs requests as AWS wants it.
pub const AWS: &str = "aws-sigv4";
const OF_AWS: &[Rule] = &[Rule::OnlyWith(&SOURCE_AUTH.row, AWS)];
const OF_LOGIN: &[Rule] = &[Rule::OnlyWith(&SOURCE_AUTH.row, LOGIN)];
const REQUIRED_BY_LOGIN: &[Rule] = &[
    Rule::OnlyWith(&SOURCE_AUTH.row, LOGIN),
    Rule::RequiredWith(&SOURCE_AUTH.row, LOGIN),
];
const OF_OAUTH2: &[Rule] = &[Rule::OnlyWith(&SOURCE_AUTH.row, OAUTH2)];
const REQUIRED_BY_OAUTH2: &[Rule] = &[
    Rule::OnlyWith(&SOURCE_AUTH.row, OAUTH2),
    Rule::RequiredWith(&SOURCE_AUTH.row, OAUTH2),
];

const OF_SIGNING: &[Rule] = &[Rule::Needs {
    what: "is about a key for signing",
    other: &SOURCE_SIGNING_KEY.row,
    example: "a-signing-key",
}];

/// A database keeps one set, in its own form and under its own rights.
const fn of_files(what: &'static str) -> Rule {
    Rule::Excludes {
        what,
        other: &OUTPUT_DATABASE_URL.row,
    }
}

const fn of_databases(what: &'static str) -> Rule {
    Rule::Needs {
        what,
        other: &OUTPUT_DATABASE_URL.row,
        example: "sqlite:///srv/data.db",
    }
}

catalogue! {
    SOURCE_API_URL: Url = parse::source_url {
        described_by_component: true,
        form: Form::Pattern(URL),
        shapes_records: true,
    }
    SOURCE_API_KEY: Secret = parse::api_key {
        described_by_component: true,
        secrecy: Secrecy::Secret,
    }
    SOURCE_AUTH: Scheme = Scheme::parse {
        described_by_component: true,
        default: "bearer",
        form: Form::Choice(&["bearer", "header", "query", "basic", OAUTH2, LOGIN, AWS]),
    }
    SOURCE_AUTH_NAME: String = parse::auth_name {
        described_by_component: true,
    }
    ALLOW_ENVIRONMENT: Vec<String> = env_file::names {
        group: Group::Source,
        example: "REGION",
        meaning: "Environment variables that a component given by path may read, comma-separated. SOURCE_API_URL is always \
                  allowed. No effect with the built-in component, which may read all its settings",
        form: Form::Pattern(NAMES),
        separator: Some(','),
    }
    SOURCE_TOKEN_URL: Url = parse::token_url {
        group: Group::Auth,
        example: "https://login.example.com/oauth2/token",
        meaning: "OAuth2 token endpoint, for SOURCE_AUTH=oauth2. A token is kept for the run, and renewed before it expires \
                  and once after a 401",
        form: Form::Pattern(URL),
        rules: REQUIRED_BY_OAUTH2,
    }
    SOURCE_CLIENT_ID: String = parse::client_id {
        group: Group::Auth,
        example: "tidegate",
        meaning: "OAuth2 client id, for SOURCE_AUTH=oauth2",
        rules: REQUIRED_BY_OAUTH2,
    }
    SOURCE_TOKEN_GRANT: GrantType = GrantType::parse {
        group: Group::Auth,
        example: "password",
        meaning: "OAuth2 grant: `client_credentials`, `refresh_token` (SOURCE_REFRESH_TOKEN) or `password` (SOURCE_API_KEY is \
                  `user:password`). Default: `refresh_token` with SOURCE_REFRESH_TOKEN, otherwise `client_credentials`",
        form: Form::Choice(&["client_credentials", "refresh_token", "password"]),
        rules: OF_OAUTH2,
    }
    SOURCE_CLIENT_SECRET: Secret = parse::secret {
        group: Group::Auth,
        example: "a-client-secret",
        meaning: "OAuth2 client secret, for SOURCE_AUTH=oauth2. It is sent to SOURCE_TOKEN_URL only",
        secrecy: Secrecy::Secret,
        rules: OF_OAUTH2,
    }
    SOURCE_REFRESH_TOKEN: Secret = parse::secret {
        group: Group::Auth,
        example: "a-refresh-token",
        meaning: "OAuth2 refresh token. With SOURCE_REFRESH_TOKEN_FILE, a new refresh token that the server sends replaces the \
                  one in the file. Without a file, such a server ends the run (77)",
        secrecy: Secrecy::Secret,
        rules: OF_OAUTH2,
    }
    SOURCE_SCOPE: String = parse::scope {
        group: Group::Auth,
        example: "orders.read",
        meaning: "OAuth2 scopes to request, separated by spaces, for SOURCE_AUTH=oauth2",
        separator: Some(' '),
        rules: OF_OAUTH2,
    }
    SOURCE_TOKEN_AUTH: SentIn = parse::sent_in {
        group: Group::Auth,
        default: "basic",
        example: "body",
        meaning: "How the client is known to SOURCE_TOKEN_URL: `basic` (id and secret in a header), `body` (form parameters) or \
                  `private_key_jwt` (signed with SOURCE_TOKEN_KEY). Without a client secret, the id alone is sent",
        form: Form::Choice(&["basic", "body", "private_key_jwt"]),
        rules: OF_OAUTH2,
    }
    SOURCE_TOKEN_PARAMS: Vec<(String, String)> = parse::token_params {
        group: Group::Auth,
        example: "audience=https://api.example.com",
        meaning: "Further parameters of the request for a token, one `name=value` a line. They are not secret",
        separator: Some('\n'),
        in_file: true,
        rules: OF_OAUTH2,
    }
    SOURCE_TOKEN_KEY: Secret = parse::pem {
        group: Group::Auth,
        example: "-----BEGIN PRIVATE KEY-----",
        meaning: "Private key (PEM; RSA or P-256) that signs for the client with SOURCE_TOKEN_AUTH=private_key_jwt: RS256 or \
                  ES256. With a certificate in the same PEM, its SHA-256 is sent as `x5t#S256`",
        secrecy: Secrecy::Secret,
        rules: &[
            Rule::OnlyWith(&SOURCE_TOKEN_AUTH.row, "private_key_jwt"),
            Rule::RequiredWith(&SOURCE_TOKEN_AUTH.row, "private_key_jwt"),
        ],
    }
    SOURCE_TOKEN_KEY_ID: String = parse::client_id {
        group: Group::Auth,
        example: "key-2026",
        meaning: "The `kid` that the server knows SOURCE_TOKEN_KEY by",
        rules: &[Rule::OnlyWith(&SOURCE_TOKEN_AUTH.row, "private_key_jwt")],
    }
    SOURCE_LOGIN_URL: Url = parse::token_url {
        group: Group::Auth,
        example: "https://api.example.com/login",
        meaning: "URL of the login, for SOURCE_AUTH=login. It is asked by POST once a run, and again after a 401",
        form: Form::Pattern(URL),
        rules: REQUIRED_BY_LOGIN,
    }
    SOURCE_LOGIN_BODY: LoginBody = parse::login_body {
        group: Group::Auth,
        example: r#"{"username":"{user}","password":"{password}"}"#,
        meaning: "Body of the login. `{user}` and `{password}` are replaced by those of SOURCE_API_KEY (`user:password`). \
                  JSON if it is JSON, otherwise a form: `user={user}&password={password}`",
        rules: REQUIRED_BY_LOGIN,
    }
    SOURCE_LOGIN_TOKEN: TokenIn = parse::login_token {
        group: Group::Auth,
        example: "/data/access_token",
        meaning: "Where the login's answer has the session token: a JSON Pointer, `header:NAME` or `cookie:NAME`",
        form: Form::Pattern("^(/|header:|cookie:)"),
        rules: REQUIRED_BY_LOGIN,
    }
    SOURCE_LOGIN_SEND: SendAs = parse::login_send {
        group: Group::Auth,
        example: "header:X-Session",
        meaning: "How the session token is sent: `bearer`, `header:NAME`, `query:NAME`, `cookie:NAME`, or a whole header with \
                  `{token}` in it, such as `Authorization: Token {token}`. Default: as the cookie of SOURCE_LOGIN_TOKEN, \
                  otherwise `bearer`",
        rules: OF_LOGIN,
    }
    SOURCE_AWS_REGION: String = parse::aws_name {
        group: Group::Auth,
        example: "eu-west-1",
        meaning: "AWS region of the signatures, for SOURCE_AUTH=aws-sigv4. Default: from a host such as \
                  `execute-api.eu-west-1.amazonaws.com`",
        rules: OF_AWS,
    }
    SOURCE_AWS_SERVICE: String = parse::aws_name {
        group: Group::Auth,
        example: "execute-api",
        meaning: "AWS service of the signatures, by its signing name, for SOURCE_AUTH=aws-sigv4. Default: from a host such as \
                  `execute-api.eu-west-1.amazonaws.com`",
        rules: OF_AWS,
    }
    SOURCE_SECRET_HEADERS: Vec<(HeaderName, Secret)> = parse::secret_headers {
        group: Group::Auth,
        example: "DD-APPLICATION-KEY: an-application-key",
        meaning: "Further headers with secrets, one `Name: value` a line (in a file, if there are several). Only the origin of \
                  SOURCE_API_URL receives them",
        secrecy: Secrecy::Secret,
    }
    SOURCE_SECRET: Secret = parse::secret {
        group: Group::Auth,
        example: "a-second-secret",
        meaning: "Replaces `{secret}` in the query of SOURCE_API_URL and in SOURCE_BODY, or SOURCE_EXPORT_BODY, as a request goes \
                  out to the origin of SOURCE_API_URL",
        secrecy: Secrecy::Secret,
    }
    COMMAND_ENVIRONMENT: Vec<String> = env_file::names {
        group: Group::Auth,
        example: "VAULT_ADDR,VAULT_TOKEN",
        meaning: "Environment variables for the programs in NAME_COMMAND and ALERT_COMMAND, besides PATH and HOME, \
                  comma-separated",
        form: Form::Pattern(NAMES),
        separator: Some(','),
    }
    SOURCE_SIGNING_KEY: Secret = parse::secret {
        group: Group::Auth,
        example: "a-signing-key",
        meaning: "Key with which the host signs requests (HMAC), for a component that imports `tidegate:sync/signer`. The key \
                  is never sent; only the origin of SOURCE_API_URL receives signatures",
        secrecy: Secrecy::Secret,
    }
    SOURCE_SIGNING_KEY_FORMAT: KeyFormat = KeyFormat::parse {
        group: Group::Auth,
        default: "text",
        example: "base64",
        meaning: "How SOURCE_SIGNING_KEY is written: `text` (its bytes are the key), `base64` or `hex`",
        form: Form::Choice(&["text", "base64", "hex"]),
        rules: OF_SIGNING,
    }
    SOURCE_SIGNING_ALGORITHM: Algorithm = parse::signing_algorithm {
        group: Group::Auth,
        default: "hmac-sha256",
        example: "hmac-sha512",
        meaning: "How requests are signed with SOURCE_SIGNING_KEY: `hmac-sha1`, `hmac-sha256`, `hmac-sha384` or `hmac-sha512`",
        form: Form::Choice(&["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"]),
        rules: OF_SIGNING,
    }
    SOURCE_COOKIES: bool = parse::yes_or_no {
        group: Group::Auth,
        default: "no",
        example: "yes",
        meaning: "`yes`: cookies that the source sets are sent back to it until the run ends. Only the origin of \
                  SOURCE_API_URL receives them",
        form: Form::Choice(&YES_OR_NO),
    }
    CLIENT_CERT_FILE: PathBuf = parse::path {
        group: Group::Auth,
        rules: &[Rule::RequiredIfGiven(&CLIENT_KEY_FILE.row, "the certificate of that key")],
        example: "/etc/tidegate/client.pem",
        meaning: "Client certificate chain (PEM). Only the origins of SOURCE_API_URL and SOURCE_TOKEN_URL receive it",
    }
    CLIENT_KEY_FILE: PathBuf = parse::path {
        group: Group::Auth,
        rules: &[Rule::RequiredIfGiven(&CLIENT_CERT_FILE.row, "the certificate's key")],
        example: "/etc/tidegate/client.key",
        meaning: "Private key of CLIENT_CERT_FILE (PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase)",
    }
    OUTPUT_DIR: PathBuf = parse::output_dir {
        group: Group::Output,
        default: "/data/sync",
        example: "/srv/sync/orders",
        meaning: "Folder of this job. Readers open `latest.*` in it or, with append, `segments/*`. Optional with \
                  OUTPUT_DATABASE_URL; no data is kept there then",
        for_health: true,
    }
    OUTPUT_DATABASE_URL: DatabaseUrl = DatabaseUrl::parse {
        group: Group::Output,
        example: "postgres://etl@db.example.com/shop?sslmode=verify-full",
        meaning: "Write to a database instead of files: `sqlite:///path/to/file.db` or \
                  `postgres://user:password@host/database`. The parameters `sslmode`, `sslrootcert` and `connect_timeout` \
                  work as in libpq",
        secrecy: Secrecy::HoldsPassword,
        holds_password: DatabaseUrl::may_hold_password,
        form: Form::Pattern("^(sqlite:///.|postgres(ql)?://.)"),
        for_health: true,
    }
    OUTPUT_DATABASE_PASSWORD: Secret = parse::secret {
        group: Group::Output,
        example: "a-password",
        meaning: "Password for OUTPUT_DATABASE_URL. It takes precedence over a password in the URL",
        secrecy: Secrecy::Secret,
        for_health: true,
        rules: &[of_databases("is for a database")],
    }
    OUTPUT_TABLE: String = parse::table_name {
        group: Group::Output,
        example: "orders",
        meaning: "Table in OUTPUT_DATABASE_URL. It is created if missing, and never altered. Default: JOB_NAME",
        for_health: true,
        shapes_records: true,
        rules: &[of_databases("names a table")],
    }
    OUTPUT_SQLITE_STRICT: bool = parse::yes_or_no {
        group: Group::Output,
        default: "yes",
        example: "no",
        meaning: "`no`: create SQLite tables that are not STRICT, for readers with SQLite before 3.37. Values are checked in \
                  either case",
        form: Form::Choice(&YES_OR_NO),
        rules: &[of_databases("is about tables of SQLite")],
    }
    OUTPUT_HISTORY: bool = parse::yes_or_no {
        group: Group::Output,
        default: "no",
        example: "yes",
        meaning: "`yes`: keep replaced and deleted rows of the table in `TABLE_history`, with the generations in which they \
                  were valid. `tidegate rollback` and `tidegate diff` read them. Needs PRIMARY_KEY",
        form: Form::Choice(&YES_OR_NO),
        rules: &[
            of_databases("keeps rows of a table; KEEP_GENERATIONS keeps sets of files"),
            Rule::Needs {
                what: "keeps what a row was before, and a row is found by its key",
                other: &PRIMARY_KEY.row,
                example: "/id",
            },
        ],
    }
    OUTPUT_HISTORY_FOR: Duration = parse::history_for {
        group: Group::Output,
        default: "90d",
        example: "3650d",
        meaning: "How long a row stays in `TABLE_history` after it was replaced or deleted, and how far `tidegate rollback` \
                  can go back. At least `1h`, and at most the last 10,000 generations",
        form: Form::Pattern(DURATION),
        rules: &[Rule::OnlyWith(&OUTPUT_HISTORY.row, "yes")],
    }
    OUTPUT_COLUMNS: Vec<Column> = columns::parse {
        group: Group::Output,
        example: "total numeric /totals/gross",
        meaning: "Columns of a csv file or a table, one `name type /pointer` a line. Types: text, bigint, numeric, double, \
                  boolean, timestamptz, timestamp, date, uuid, json, jsonb; csv needs none. Default for csv: the members \
                  of the records. Default for a table: the key, and the whole record as `data`",
        separator: Some('\n'),
        in_file: true,
        shapes_records: true,
    }
    OUTPUT_FORMAT: OutputFormat = OutputFormat::parse {
        group: Group::Output,
        default: "json",
        example: "ndjson",
        meaning: "`json` (one array, one record a line), `ndjson` or `csv` (RFC 4180). Columns of csv: OUTPUT_COLUMNS, or \
                  the members of the records in order of first appearance",
        form: Form::Choice(&["json", "ndjson", "csv"]),
        shapes_records: true,
        rules: &[of_files("says how a file is written")],
    }
    OUTPUT_COMPRESSION: Compression = Compression::parse {
        group: Group::Output,
        default: "none",
        example: "zstd",
        meaning: "`none`, `gzip` (`latest.json.gz`, level 6) or `zstd` (`latest.json.zst`, level 3). It may change between \
                  runs",
        form: Form::Choice(&["none", "gzip", "zstd"]),
        rules: &[of_files("says how a file is written")],
    }
    OUTPUT_CSV_FORMULAS: Formulas = Formulas::parse {
        group: Group::Output,
        default: "keep",
        example: "escape",
        meaning: "csv text that a spreadsheet would run as a formula: `keep` leaves it as it is. `escape` puts a `'` \
                  before text that begins with = + - @, a tab or a carriage return and is not a number (OWASP: CSV \
                  Injection)",
        form: Form::Choice(&["keep", "escape"]),
        rules: &[of_files("is about cells of a csv file")],
    }
    OUTPUT_CSV_DELIMITER: Delimiter = Delimiter::parse {
        group: Group::Output,
        default: "comma",
        example: "semicolon",
        meaning: "What separates the cells of csv: `comma`, `semicolon` (which Excel expects where numbers have a decimal \
                  comma) or `tab`",
        form: Form::Choice(&["comma", "semicolon", "tab"]),
        rules: &[of_files("is about cells of a csv file")],
    }
    OUTPUT_CSV_BOM: bool = parse::yes_or_no {
        group: Group::Output,
        default: "no",
        example: "yes",
        meaning: "`yes`: csv begins with a byte order mark, by which Excel reads it as UTF-8",
        form: Form::Choice(&YES_OR_NO),
        rules: &[of_files("is about a csv file")],
    }
    OUTPUT_MODE: u32 = parse::file_mode {
        group: Group::Output,
        example: "0640",
        meaning: "Octal file mode of the published files. Default: by the umask",
        form: Form::Pattern("^0*[4-7][0-7]{2}$"),
        rules: &[of_files("is the mode of files")],
    }
    ALLOW_SHARED_OUTPUT: Writers = parse::writers {
        group: Group::Output,
        default: "no",
        example: "yes",
        meaning: "`yes`: the group may write to OUTPUT_DIR, which needs the set-group-ID bit. Group members can then \
                  replace published data, and make a run delete files of the job's user",
        form: Form::Choice(&YES_OR_NO),
    }
    PRIMARY_KEY: Vec<String> = parse::pointers {
        group: Group::Output,
        example: "/id",
        meaning: "Key of a published record: JSON Pointers to strings or integers, comma-separated. With append every \
                  record must have the key, but nothing is merged",
        form: Form::Pattern("^/"),
        separator: Some(','),
        shapes_records: true,
    }
    REPLACE_BY: String = parse::pointer {
        group: Group::Output,
        example: "/order_id",
        meaning: "JSON Pointer to the parent id in a published record. When a source record is fetched again, all records \
                  of its parent are replaced. Needs upsert, PRIMARY_KEY and a component that stages which parents it fetched",
        form: Form::Pattern("^/"),
        shapes_records: true,
    }
    WRITE_MODE: WriteMode = parse::write_mode {
        group: Group::Output,
        example: "upsert",
        meaning: "`replace` publishes all records of a run. `upsert` merges new and changed records by PRIMARY_KEY. \
                  `append` adds the records that the previous run did not stage: as a segment (ndjson or csv) in \
                  `segments/`, or as rows. Default: `upsert` with PRIMARY_KEY where only changes are fetched, otherwise \
                  `replace`",
        form: Form::Choice(&["replace", "upsert", "append"]),
        shapes_records: true,
    }
    JOB_NAME: String = parse::job_name {
        group: Group::Output,
        example: "orders",
        meaning: "Name of this job in logs and in a database. Default: the last part of OUTPUT_DIR, or OUTPUT_TABLE",
        for_health: true,
    }
    KEEP_GENERATIONS: usize = parse::keep_generations {
        group: Group::Output,
        default: "3",
        example: "10",
        meaning: "How many different published sets to keep, at least 2. Segments are always kept",
        form: Form::Pattern(NUMBER),
        rules: &[of_files("keeps sets of files, and a table holds the last one")],
    }
    KEEP_FOR: Duration = parse::keep_for {
        group: Group::Output,
        default: "1m",
        example: "7d",
        meaning: "How long to keep a published set after another one replaced it, also beyond KEEP_GENERATIONS. At least \
                  `1m`, and at most 1,000 sets",
        form: Form::Pattern(DURATION),
        rules: &[of_files("keeps sets of files, and a table holds the last one")],
    }
    KEEP_RUNS: u32 = parse::keep_runs {
        group: Group::Output,
        default: "1000",
        example: "10000",
        meaning: "How many runs `tidegate runs` can list: lines of `runs.ndjson`, or rows of `tidegate_runs` in a database",
        form: Form::Pattern(NUMBER),
        for_health: true,
    }
    MIN_RECORDS: u64 = parse::count {
        group: Group::Gates,
        default: "0",
        example: "100",
        meaning: "Refuse to publish fewer records than this. With append, the records that the run stages count, repeats \
                  included",
        form: Form::Pattern(NUMBER),
    }
    MAX_SHRINK_PERCENT: u64 = parse::percent {
        group: Group::Gates,
        default: "50",
        example: "10",
        meaning: "Refuse to publish a set that is smaller than the last one by more than this percentage. `--allow-shrink` \
                  allows it for one run. No effect with append",
        form: Form::Pattern(PERCENT),
    }
    MAX_DELETE_PERCENT: u64 = parse::percent {
        group: Group::Gates,
        default: "50",
        example: "5",
        meaning: "Refuse to publish when the run deletes more than this percentage of the last set, however many new \
                  records it has. `--allow-shrink` allows it for one run. No effect with append",
        form: Form::Pattern(PERCENT),
    }
    MAX_REJECTED: MaxRejected = parse::max_rejected {
        group: Group::Gates,
        default: "0",
        example: "1%",
        meaning: "Refuse to publish when more records than this are rejected: a count, or a percentage of the fetched \
                  records",
        form: Form::Pattern(PERCENT),
    }
    SCHEMA_DRIFT: OnDrift = parse::on_drift {
        group: Group::Gates,
        default: "warn",
        example: "fail",
        meaning: "When the records have other members than before (new, missing in all, renamed, or of another type): \
                  `warn`, `fail` (exit 65), or `ignore`. `--accept-change SCHEMA_DRIFT` publishes them once",
        form: Form::Choice(&["warn", "fail", "ignore"]),
    }
    MAX_AGE: Duration = units::duration {
        group: Group::Health,
        default: "25h",
        example: "2h",
        meaning: "`health`: maximum age of the last success",
        form: Form::Pattern(DURATION),
        for_health: true,
    }
    MAX_CURSOR_AGE: Duration = units::duration {
        group: Group::Health,
        example: "6h",
        meaning: "`health`: maximum age of the newest record, which is the cursor read as a time",
        form: Form::Pattern(DURATION),
        for_health: true,
    }
    STATUS_PAGE: PathBuf = parse::status_page {
        group: Group::Health,
        example: "/srv/www/status.html",
        meaning: "Write a page about the job to this file (`.html`) after each run, whatever its end. `run FOLDER` writes one \
                  page about all jobs that name the same file",
        form: Form::Pattern("[.]html$"),
        for_health: true,
    }
    METRICS_FILE: PathBuf = parse::metrics_file {
        group: Group::Health,
        example: "/var/lib/prometheus/node-exporter/",
        meaning: "Write metrics after every run, for the textfile collector of node_exporter (Prometheus): a file that ends in \
                  `.prom`, or a folder that ends in `/`, in which the file is named after JOB_NAME",
        form: Form::Pattern("([.]prom|/)$"),
    }
    ALERT_URL: Secret = alerts::notice_url {
        group: Group::Alerts,
        example: "https://hooks.slack.com/services/T000/B000/XXXX",
        meaning: "Where a notice is sent (POST) when runs fail, and one when they work again. https, or http to this machine or \
                  to a private address. Default with ALERT_FORMAT=pagerduty: its Events API",
        secrecy: Secrecy::Secret,
    }
    ALERT_FORMAT: AlertFormat = AlertFormat::parse {
        group: Group::Alerts,
        default: "json",
        example: "slack",
        meaning: "What is sent to ALERT_URL: `json` (the summary of the run), `slack` (incoming webhook), `teams` (workflow), \
                  `ntfy` (the URL of a topic) or `pagerduty` (Events API v2)",
        form: Form::Choice(&["json", "slack", "teams", "ntfy", PAGERDUTY]),
    }
    ALERT_KEY: Secret = parse::secret {
        group: Group::Alerts,
        example: "a-routing-key",
        meaning: "Routing key of PagerDuty; for `json` and `ntfy` a token that is sent as `Authorization: Bearer`",
        secrecy: Secrecy::Secret,
        rules: &[Rule::RequiredWith(&ALERT_FORMAT.row, PAGERDUTY)],
    }
    ALERT_COMMAND: Vec<String> = command::words {
        group: Group::Alerts,
        example: "/usr/local/bin/notify-team --job orders",
        meaning: "Program that is started with each notice, without a shell: the summary of the run is on its stdin, as JSON. It \
                  has 10 seconds",
    }
    ALERT_AFTER: After = After::parse {
        group: Group::Alerts,
        default: "1",
        example: "3",
        meaning: "When failures are worth an alert: so many failed runs in a row (`3`), or failures for so long (`30m`)",
        form: Form::Pattern(NUMBER_OR_DURATION),
    }
    ALERT_REPEAT: Duration = units::duration {
        group: Group::Alerts,
        default: "24h",
        example: "4h",
        meaning: "How long after an alert the next one is sent if runs still fail",
        form: Form::Pattern(DURATION),
    }
    PING_URL: Secret = alerts::notice_url {
        group: Group::Alerts,
        example: "https://hc-ping.com/5f0e1f5c-0000-4000-8000-000000000000",
        meaning: "URL of a check of Healthchecks, which hears when a run starts (`/start`), works, or fails (`/CODE`), and notices \
                  when none starts",
        secrecy: Secrecy::Secret,
    }
    ALERT_PRIVATE_NETWORKS: bool = parse::yes_or_no {
        group: Group::Alerts,
        default: "no",
        example: "yes",
        meaning: "Whether the hosts in ALERT_URL and PING_URL may resolve to private addresses",
        form: Form::Choice(&YES_OR_NO),
    }
    OTEL_EXPORTER_OTLP_ENDPOINT: Url = traces::endpoint {
        group: Group::Traces,
        example: "http://localhost:4318",
        meaning: "Base URL of an OpenTelemetry collector (OTLP over HTTP): after a run, its trace is posted to `/v1/traces` there. \
                  The job itself has to name it, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: by the environment alone, nothing is sent",
        form: Form::Pattern(URL),
    }
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Url = traces::endpoint {
        group: Group::Traces,
        example: "https://otel.example.com/v1/traces",
        meaning: "The whole URL for traces. It takes precedence over OTEL_EXPORTER_OTLP_ENDPOINT",
        form: Form::Pattern(URL),
    }
    OTEL_EXPORTER_OTLP_HEADERS: Vec<(HeaderName, Secret)> = traces::headers {
        group: Group::Traces,
        example: "api-key=a-key",
        meaning: "Headers for the collector: `name=value`, with `,` between several and values percent-encoded",
        secrecy: Secrecy::Secret,
    }
    OTEL_EXPORTER_OTLP_PROTOCOL: () = traces::protocol {
        group: Group::Traces,
        default: "http/protobuf",
        example: "http/protobuf",
        meaning: "Form of the traces: `http/protobuf`",
        form: Form::Choice(&["http/protobuf"]),
    }
    OTEL_EXPORTER_OTLP_TIMEOUT: Duration = traces::timeout {
        group: Group::Traces,
        default: "2000",
        example: "5000",
        meaning: "Maximum time to send a trace, in milliseconds. More than 10000 counts as 10000",
        form: Form::Pattern(NUMBER),
    }
    OTEL_SERVICE_NAME: String = traces::service {
        group: Group::Traces,
        default: "tidegate",
        example: "orders-sync",
        meaning: "Name of the service in traces",
    }
    OTEL_RESOURCE_ATTRIBUTES: Vec<(String, String)> = traces::attributes {
        group: Group::Traces,
        example: "deployment.environment.name=prod",
        meaning: "Further attributes of the resource in traces: `name=value`, with `,` between several and values \
                  percent-encoded",
    }
    ALLOW_HOSTS: Vec<Origin> = parse::origins {
        group: Group::Network,
        example: "https://files.example.com",
        meaning: "Further origins that may be requested, comma-separated: `scheme://host[:port]`. A bare host means https. \
                  They never receive the credential",
        separator: Some(','),
    }
    ALLOW_PRIVATE_NETWORKS: bool = parse::yes_or_no {
        group: Group::Network,
        default: "no",
        example: "yes",
        meaning: "Whether granted host names may resolve to private addresses",
        form: Form::Choice(&YES_OR_NO),
    }
    CA_FILE: PathBuf = parse::path {
        group: Group::Network,
        example: "/etc/ssl/company.pem",
        meaning: "CA certificates (PEM) to trust in addition to the system's",
    }
    OUTBOUND_PROXY: Proxy = Proxy::parse {
        group: Group::Network,
        example: "http://proxy.example.com:3128",
        meaning: "HTTP proxy for every request, `http://[user:password@]host:port`. The proxy looks up the hosts of the \
                  requests, so private addresses are not checked for them here. Not used for OUTPUT_DATABASE_URL",
        secrecy: Secrecy::HoldsPassword,
        holds_password: Proxy::may_hold_password,
        form: Form::Pattern("^http://."),
    }
    RUN_DEADLINE: Duration = units::duration {
        group: Group::Limits,
        default: "15m",
        example: "1h",
        meaning: "Maximum duration of a run",
        form: Form::Pattern(DURATION),
    }
    CPU_LIMIT: Duration = units::duration {
        group: Group::Limits,
        default: "5m",
        example: "1m",
        meaning: "Maximum CPU time of the component per run, all portions together. Waiting does not count",
        form: Form::Pattern(DURATION),
    }
    COMPILE_CPU_LIMIT: Duration = units::duration {
        group: Group::Limits,
        default: "2m",
        example: "5m",
        meaning: "Maximum CPU time to compile the component. A compiled component is cached",
        form: Form::Pattern(DURATION),
    }
    MEMORY_LIMIT: u64 = units::bytes {
        group: Group::Limits,
        default: "256MiB",
        example: "64MiB",
        meaning: "Maximum memory of the component, including what the host holds for it",
        form: Form::Pattern(BYTES),
    }
    DESCRIBE_MEMORY_LIMIT: u64 = units::bytes {
        group: Group::Limits,
        default: "64MiB",
        example: "128MiB",
        meaning: "Maximum memory of the component while it describes itself",
        form: Form::Pattern(BYTES),
    }
    TABLE_LIMIT: usize = parse::table_elements {
        group: Group::Limits,
        default: "32768",
        example: "65536",
        meaning: "Maximum number of entries in each table of the component, up to 1000000",
        form: Form::Pattern(NUMBER),
    }
    INSTANCE_LIMIT: usize = parse::instances {
        group: Group::Limits,
        default: "128",
        example: "200",
        meaning: "Maximum number of core instances in the component, and of memories and tables, up to 1000",
        form: Form::Pattern(NUMBER),
    }
    SOURCE_TIMEOUT: Duration = parse::source_timeout {
        group: Group::Limits,
        default: "60s",
        example: "5m",
        meaning: "How long to wait for the first byte of an answer, from 1s to 1h",
        form: Form::Pattern("^[0-9]+[smh]$"),
    }
    MAX_RESPONSE_BYTES: u64 = parse::response_bytes {
        group: Group::Limits,
        default: "64MiB",
        example: "16MiB",
        meaning: "Maximum size of one answer, compressed and decoded, up to 1GiB. A page must fit MEMORY_LIMIT",
        form: Form::Pattern(BYTES),
    }
    MAX_RECORD_BYTES: usize = parse::record_bytes {
        group: Group::Limits,
        default: "32MiB",
        example: "1MiB",
        meaning: "Maximum size of one record, as fetched and as staged, up to 256MiB. A larger one fails the run",
        form: Form::Pattern(BYTES),
    }
    MAX_RETRIES: u32 = parse::retries {
        group: Group::Limits,
        default: "3",
        example: "5",
        meaning: "Retries of a request, and of what a PostgreSQL server could not do for a moment: 3 means four attempts",
        form: Form::Pattern(NUMBER),
    }
    RETRY_PAUSE: Duration = parse::retry_pause {
        group: Group::Limits,
        default: "2s",
        example: "5s",
        meaning: "Pause before the first retry, from 10ms to 5m. It grows fivefold with each retry, up to 20 times: 2s means \
                  about 2, 10 and 40 seconds. RUN_DEADLINE bounds them all",
        form: Form::Pattern("^[0-9]+(ms|s|m)$"),
    }
    ON_OVERLAP: bool = parse::on_overlap {
        group: Group::Limits,
        default: "fail",
        example: "skip",
        meaning: "When another run holds the lock: `fail` (exit 75) or `skip` (exit 0, with a log line)",
        form: Form::Choice(&["fail", "skip"]),
    }
    LOG_FORMAT: log::Format = parse::log_format {
        group: Group::Limits,
        example: "json",
        meaning: "`json` or `text`. Default: text on a terminal, json elsewhere",
        form: Form::Choice(&["json", "text"]),
    }
    LOG_LEVEL: log::Level = parse::log_level {
        group: Group::Limits,
        default: "info",
        example: "debug",
        meaning: "Least level that is logged: `debug` (a line a page), `info`, `warn` or `error`",
        form: Form::Choice(&["debug", "info", "warn", "error"]),
    }
}

#[cfg(test)]
mod tests;
