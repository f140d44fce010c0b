//! Reads the values of settings. `Err` completes a sentence that begins with the setting's name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use crate::egress::{
    Algorithm, LoginBody, Origin, PASSWORD, SendAs, SentIn, TOKEN, TokenIn, USER,
    is_forbidden_header,
};
use crate::folder::Writers;
use crate::limits::{
    AWS_NAME_BYTES_MAX, INSTANCES_MAX, JOB_NAME_BYTES_MAX, RECORD_BYTES_MAX, TABLE_ELEMENTS_MAX,
    TABLE_NAME_BYTES_MAX,
};
use crate::log;
use crate::secret::Secret;
use crate::settings::plan::{MaxRejected, OnDrift, WriteMode};
use crate::units;

/// The names of the tables in which commits are kept.
const RESERVED: &str = "tidegate_";

/// The path of a file or folder.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every reader of a setting may fail"
)]
pub fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// `STATUS_PAGE`: by its ending it is no file of data, of settings or of keys.
pub fn status_page(text: &str) -> Result<PathBuf, String> {
    let file = Path::new(text);
    if file.extension().is_none_or(|ending| ending != "html") || text.contains("://") {
        return Err(
            "takes the path of a file that ends in `.html`, in a folder that is there".to_owned(),
        );
    }
    path(text)
}

/// `OUTPUT_DIR`: no URL, of which a folder named `s3:` would be made.
pub fn output_dir(text: &str) -> Result<PathBuf, String> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let Some(scheme) = scheme.filter(|scheme| is_scheme(scheme)) else {
        return path(text);
    };
    let way_on = match scheme.to_ascii_lowercase().as_str() {
        "sqlite" | "postgres" | "postgresql" => "set it as OUTPUT_DATABASE_URL",
        "file" => "give its path, such as `/srv/sync/orders`",
        _ => "publish into a local folder, and copy that after a run that exits 0",
    };
    Err(format!(
        "takes the path of a local folder, and not a URL (`{scheme}://…`): {way_on}"
    ))
}

/// `METRICS_FILE`: node_exporter reads no other files, and no other file is replaced.
pub fn metrics_file(text: &str) -> Result<PathBuf, String> {
    let file = text.rsplit('/').next().unwrap_or_default();
    let is_named = |file: &str| {
        file.strip_suffix(".prom")
            .is_some_and(|stem| !stem.is_empty())
    };
    if !file.is_empty() && !is_named(file) {
        return Err(
            "takes the path of a file that ends in `.prom`, or of a folder with `/` at its end"
                .to_owned(),
        );
    }
    path(text)
}

/// A secret that is on one line.
pub fn secret(text: &str) -> Result<Secret, String> {
    if text.chars().any(char::is_control) {
        return Err("has control characters in it, such as a line break".to_owned());
    }
    Ok(Secret::from(text))
}

/// `SOURCE_API_KEY`. The line breaks of a JSON text are no part of it.
pub fn api_key(text: &str) -> Result<Secret, String> {
    if !text.starts_with('{') {
        return secret(text);
    }
    let mut line = Zeroizing::new(String::with_capacity(text.len()));
    line.extend(text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')));
    secret(&line)
}

/// `SOURCE_AWS_REGION` and `SOURCE_AWS_SERVICE`.
pub fn aws_name(text: &str) -> Result<String, String> {
    let is_in_it = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if text.is_empty() || text.len() > AWS_NAME_BYTES_MAX || !text.bytes().all(is_in_it) {
        return Err("takes lower-case letters, digits and `-`".to_owned());
    }
    Ok(text.to_owned())
}

/// `SOURCE_SIGNING_ALGORITHM`.
pub fn signing_algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "hmac-sha1" => Ok(Algorithm::HmacSha1),
        "hmac-sha256" => Ok(Algorithm::HmacSha256),
        "hmac-sha384" => Ok(Algorithm::HmacSha384),
        "hmac-sha512" => Ok(Algorithm::HmacSha512),
        _ => Err("takes `hmac-sha1`, `hmac-sha256`, `hmac-sha384` or `hmac-sha512`".to_owned()),
    }
}

/// `SOURCE_API_URL`.
pub fn source_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| "takes an absolute URL, such as `https://api.example.com/v1/orders`")?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("takes an http or https URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user or password in it; give it as SOURCE_API_KEY with SOURCE_AUTH=basic"
                .to_owned(),
        );
    }
    Ok(url)
}

/// `SOURCE_AUTH_NAME`.
pub fn auth_name(text: &str) -> Result<String, String> {
    matching(
        text,
        |name| http::HeaderName::from_bytes(name.as_bytes()).is_ok(),
        "takes the name of a header or a query parameter",
    )
}

/// `SOURCE_TOKEN_URL`.
pub fn token_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| {
        "takes an http or https URL without a user and without `#`, such as `https://login.example.com/oauth2/token`"
            .to_owned()
    })
}

/// `SOURCE_CLIENT_ID`.
pub fn client_id(text: &str) -> Result<String, String> {
    matching(
        text,
        |id| !id.chars().any(char::is_control),
        "has control characters in it",
    )
}

/// `SOURCE_SCOPE`: RFC 6749, 3.3.
pub fn scope(text: &str) -> Result<String, String> {
    matching(
        text,
        |scope| {
            let mut bytes = scope.bytes();
            bytes.all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
        },
        "takes words of printable ASCII without `\"` and `\\`, separated by blanks",
    )
}

/// `SOURCE_TOKEN_AUTH`.
pub fn sent_in(text: &str) -> Result<SentIn, String> {
    match text {
        "basic" => Ok(SentIn::Header),
        "body" => Ok(SentIn::Body),
        "private_key_jwt" => Ok(SentIn::Assertion),
        _ => Err("takes `basic`, `body` or `private_key_jwt`".to_owned()),
    }
}

/// A secret of many lines.
pub fn pem(text: &str) -> Result<Secret, String> {
    if !text.contains("-----BEGIN ") {
        return Err("takes PEM, which begins with `-----BEGIN`; name its file".to_owned());
    }
    Ok(Secret::from(text))
}

/// The parameters of a request for a token that are settings by themselves.
const TOKEN_PARAMETERS: [&str; 11] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "username",
    "password",
    "refresh_token",
    "code",
    "assertion",
];

/// `SOURCE_TOKEN_PARAMS`.
pub fn token_params(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut params: Vec<(String, String)> = Vec::new();
    let lines = text.lines().enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        // The line may be a secret in the wrong place: it is not repeated.
        let pair = line
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()));
        let pair = pair.filter(|(name, _)| !name.is_empty() && !name.chars().any(char::is_control));
        let Some((name, value)) = pair else {
            return Err(format!(
                "takes one `name=value` a line, and line {} is none",
                at + 1
            ));
        };
        if TOKEN_PARAMETERS.contains(&name) {
            return Err(format!(
                "has `{name}`, for which there is another setting: remove it"
            ));
        }
        if params.iter().any(|(known, _)| known == name) {
            return Err(format!("has `{name}` twice"));
        }
        params.push((name.to_owned(), value.to_owned()));
    }
    Ok(params)
}

/// `SOURCE_LOGIN_BODY`.
pub fn login_body(text: &str) -> Result<LoginBody, String> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if !is_json && text.trim_start().starts_with(['{', '[']) {
        return Err("begins like JSON, and is none".to_owned());
    }
    if !text.contains(PASSWORD) {
        return Err(format!(
            "has no `{PASSWORD}` in it, where the password of SOURCE_API_KEY goes; the user goes where `{USER}` is"
        ));
    }
    Ok(LoginBody {
        template: text.trim().to_owned(),
        is_json,
    })
}

/// `SOURCE_LOGIN_TOKEN`.
pub fn login_token(text: &str) -> Result<TokenIn, String> {
    let takes = "takes a JSON Pointer, such as `/token`, `header:NAME` or `cookie:NAME`";
    if let Some(name) = text.strip_prefix("header:") {
        let name = http::HeaderName::from_bytes(name.trim().as_bytes());
        return name.map(TokenIn::Header).map_err(|_| takes.to_owned());
    }
    if let Some(name) = text.strip_prefix("cookie:") {
        return cookie_name(name)
            .map(TokenIn::Cookie)
            .ok_or(takes.to_owned());
    }
    if text.starts_with('/') {
        return Ok(TokenIn::Body(text.to_owned()));
    }
    Err(takes.to_owned())
}

/// `SOURCE_LOGIN_SEND`.
pub fn login_send(text: &str) -> Result<SendAs, String> {
    let takes = || {
        format!(
            "takes `bearer`, `header:NAME`, `query:NAME`, `cookie:NAME`, or a whole header such as `Authorization: Token {TOKEN}`"
        )
    };
    let header = |name: &str| {
        let name = http::HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| takes())?;
        credential_header(name)
    };
    if text == "bearer" {
        return Ok(SendAs::Bearer);
    }
    if let Some((before, after)) = text.split_once(TOKEN) {
        let (name, before) = before.split_once(':').ok_or_else(takes)?;
        let before = before.trim_start().to_owned();
        let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
        if !before.bytes().chain(after.bytes()).all(is_visible) {
            return Err(takes());
        }
        return Ok(SendAs::Header(header(name)?, before, after.to_owned()));
    }
    match text.split_once(':') {
        Some(("header", name)) => Ok(SendAs::Header(header(name)?, String::new(), String::new())),
        Some(("query", name)) if !name.trim().is_empty() => {
            Ok(SendAs::Query(name.trim().to_owned()))
        }
        Some(("cookie", name)) => cookie_name(name).map(SendAs::Cookie).ok_or_else(takes),
        _ => Err(takes()),
    }
}

/// `SOURCE_SECRET_HEADERS`. No line is repeated.
pub fn secret_headers(text: &str) -> Result<Vec<(http::HeaderName, Secret)>, String> {
    let mut headers: Vec<(http::HeaderName, Secret)> = Vec::new();
    let lines = text.lines().enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || {
            format!(
                "takes one `Name: value` a line, and line {} is none",
                at + 1
            )
        };
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = http::HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value = value.trim();
        let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
        if value.is_empty() || !value.bytes().all(is_visible) {
            return Err(format!(
                "has no value on line {}, or one with a character that no header can carry",
                at + 1
            ));
        }
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(format!("has `{name}` twice"));
        }
        headers.push((credential_header(name)?, Secret::from(value)));
    }
    Ok(headers)
}

fn cookie_name(text: &str) -> Option<String> {
    let name = text.trim();
    let is_name = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b';' | b',' | b'"');
    (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_owned())
}

/// `Err`: a secret cannot be sent as this header.
fn credential_header(name: http::HeaderName) -> Result<http::HeaderName, String> {
    use http::header::{AUTHORIZATION, COOKIE};
    if is_forbidden_header(&name) && name != AUTHORIZATION && name != COOKIE {
        return Err(format!(
            "names the header `{name}`, which belongs to HTTP itself or to a proxy: use the one of the API's documentation"
        ));
    }
    Ok(name)
}

/// The file mode of published files.
pub fn file_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| (0o400..=0o777).contains(mode));
    mode.filter(|mode| mode & 0o400 != 0)
        .ok_or_else(|| "takes an octal mode that the owner can read, such as `0640`".to_owned())
}

/// JSON Pointers, comma-separated.
pub fn pointers(text: &str) -> Result<Vec<String>, String> {
    let pointers = listed(text)?;
    match pointers.iter().find(|pointer| !pointer.starts_with('/')) {
        None => Ok(pointers),
        Some(wrong) => Err(format!(
            "takes JSON Pointers, which begin with `/`: `/{wrong}` instead of `{wrong}`"
        )),
    }
}

/// One JSON Pointer.
pub fn pointer(text: &str) -> Result<String, String> {
    matching(
        text,
        |text| text.starts_with('/') && !text.contains(",/"),
        "takes one JSON Pointer, such as `/order_id`",
    )
}

/// `WRITE_MODE`.
pub fn write_mode(text: &str) -> Result<WriteMode, String> {
    match text {
        "replace" => Ok(WriteMode::Replace),
        "upsert" => Ok(WriteMode::Upsert),
        "append" => Ok(WriteMode::Append),
        _ => Err("takes `replace`, `upsert` or `append`".to_owned()),
    }
}

/// `JOB_NAME`.
pub fn job_name(text: &str) -> Result<String, String> {
    matching(
        text,
        |name| name.len() <= JOB_NAME_BYTES_MAX && !name.chars().any(char::is_control),
        "takes at most 63 printable characters",
    )
}

/// `OUTPUT_TABLE`.
pub fn table_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= TABLE_NAME_BYTES_MAX && !text.chars().any(char::is_control);
    if !fits || text.starts_with(RESERVED) {
        return Err(format!(
            "takes the name of a table, of at most {TABLE_NAME_BYTES_MAX} bytes, that does not begin with `{RESERVED}`"
        ));
    }
    Ok(text.to_owned())
}

/// `KEEP_GENERATIONS`.
pub fn keep_generations(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (2..=10_000).contains(number));
    number.ok_or_else(|| "takes a number from 2 to 10000".to_owned())
}

/// `KEEP_FOR`.
pub fn keep_for(text: &str) -> Result<Duration, String> {
    let span = units::duration(text)?;
    let is_enough = span >= Duration::from_mins(1);
    is_enough
        .then_some(span)
        .ok_or_else(|| "takes a span of `1m` or more".to_owned())
}

/// `OUTPUT_HISTORY_FOR`.
pub fn history_for(text: &str) -> Result<Duration, String> {
    let span = units::duration(text)?;
    let is_enough = span >= Duration::from_hours(1);
    is_enough
        .then_some(span)
        .ok_or_else(|| "takes a span of `1h` or more".to_owned())
}

/// `KEEP_RUNS`.
pub fn keep_runs(text: &str) -> Result<u32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| "takes a number from 1 to 10000".to_owned())
}

/// A number of things.
pub fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "takes a whole number".to_owned())
}

/// A percentage, with or without `%`.
pub fn percent(text: &str) -> Result<u64, String> {
    let number = text
        .trim_end_matches('%')
        .parse()
        .ok()
        .filter(|number| *number <= 100);
    number.ok_or_else(|| "takes a percentage from 0 to 100".to_owned())
}

/// `MAX_REJECTED`.
pub fn max_rejected(text: &str) -> Result<MaxRejected, String> {
    if text.ends_with('%') {
        return percent(text).map(MaxRejected::Percent);
    }
    let number = text.parse().map(MaxRejected::Count);
    number.map_err(|_| "takes a count, or a percentage such as `1%`".to_owned())
}

/// `SCHEMA_DRIFT`.
pub fn on_drift(text: &str) -> Result<OnDrift, String> {
    match text {
        "warn" => Ok(OnDrift::Warn),
        "fail" => Ok(OnDrift::Fail),
        "ignore" => Ok(OnDrift::Ignore),
        _ => Err("takes `warn`, `fail` or `ignore`".to_owned()),
    }
}

/// `ALLOW_HOSTS`.
pub fn origins(text: &str) -> Result<Vec<Origin>, String> {
    listed(text)?
        .iter()
        .map(|entry| Origin::parse_grant(entry))
        .collect()
}

/// A switch.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err("takes `yes` or `no`".to_owned()),
    }
}

/// `ALLOW_SHARED_OUTPUT`.
pub fn writers(text: &str) -> Result<Writers, String> {
    let shared = yes_or_no(text)?;
    Ok(if shared {
        Writers::Group
    } else {
        Writers::Nobody
    })
}

/// `MAX_RETRIES`.
pub fn retries(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number <= 20);
    number.ok_or_else(|| "takes a number from 0 to 20".to_owned())
}

/// `TABLE_LIMIT`.
pub fn table_elements(text: &str) -> Result<usize, String> {
    up_to(text, TABLE_ELEMENTS_MAX)
}

/// `INSTANCE_LIMIT`.
pub fn instances(text: &str) -> Result<usize, String> {
    up_to(text, INSTANCES_MAX)
}

fn up_to(text: &str, most: usize) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("takes a number from 1 to {most}"))
}

/// `SOURCE_TIMEOUT`.
pub fn source_timeout(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_hours(1);
    let timeout = units::duration(text)
        .ok()
        .filter(|timeout| allowed.contains(timeout));
    timeout.ok_or_else(|| "takes a time from `1s` to `1h`, such as `60s`".to_owned())
}

/// `MAX_RESPONSE_BYTES`.
pub fn response_bytes(text: &str) -> Result<u64, String> {
    size(text, 1 << 30, "from `1KiB` to `1GiB`, such as `64MiB`")
}

/// `MAX_RECORD_BYTES`.
pub fn record_bytes(text: &str) -> Result<usize, String> {
    let most = u64::try_from(RECORD_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = size(text, most, "from `1KiB` to `256MiB`, such as `32MiB`")?;
    Ok(usize::try_from(bytes).unwrap_or(RECORD_BYTES_MAX))
}

fn size(text: &str, most: u64, allowed: &str) -> Result<u64, String> {
    let bytes = units::bytes(text)
        .ok()
        .filter(|bytes| (1024..=most).contains(bytes));
    bytes.ok_or_else(|| format!("takes a size {allowed}"))
}

/// `RETRY_PAUSE`.
pub fn retry_pause(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(10)..=Duration::from_mins(5);
    let pause = units::pause(text).filter(|pause| allowed.contains(pause));
    pause.ok_or_else(|| "takes a time from `10ms` to `5m`, such as `2s`".to_owned())
}

/// `ON_OVERLAP`: whether to skip.
pub fn on_overlap(text: &str) -> Result<bool, String> {
    match text {
        "fail" => Ok(false),
        "skip" => Ok(true),
        _ => Err("takes `fail` or `skip`".to_owned()),
    }
}

/// `LOG_FORMAT`.
pub fn log_format(text: &str) -> Result<log::Format, String> {
    match text {
        "json" => Ok(log::Format::Json),
        "text" => Ok(log::Format::Text),
        _ => Err("takes `json` or `text`".to_owned()),
    }
}

/// `LOG_LEVEL`.
pub fn log_level(text: &str) -> Result<log::Level, String> {
    match text {
        "debug" => Ok(log::Level::Debug),
        "info" => Ok(log::Level::Info),
        "warn" => Ok(log::Level::Warn),
        "error" => Ok(log::Level::Error),
        _ => Err("takes `debug`, `info`, `warn` or `error`".to_owned()),
    }
}

fn matching(text: &str, fits: impl Fn(&str) -> bool, takes: &str) -> Result<String, String> {
    fits(text)
        .then(|| text.to_owned())
        .ok_or_else(|| takes.to_owned())
}

fn listed(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
    if items.iter().any(String::is_empty) {
        return Err("has an empty entry between its commas".to_owned());
    }
    Ok(items)
}
