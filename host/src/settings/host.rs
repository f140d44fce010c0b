//! The host's settings understood, and every limit fixed, before anything else is opened.
//!
//! Problems are collected, not thrown: `plan` adds the component's and reports them all at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::egress::{Auth, Besides, ClientFiles, Origin, Proxy};
use crate::folder::Writers;
use crate::limits::{Limits, REQUESTS_TRACED_MAX, STAGED_LINE_EXTRA_BYTES};
use crate::log;
use crate::secret::{Secret, WORD_BYTES_MIN};
use crate::settings::alerts::{AlertPlan, PAGERDUTY_URL};
use crate::settings::auth;
use crate::settings::catalogue::{
    self, ALLOW_ENVIRONMENT, ALLOW_HOSTS, ALLOW_PRIVATE_NETWORKS, ALLOW_SHARED_OUTPUT, CA_FILE,
    COMPILE_CPU_LIMIT, CPU_LIMIT, DESCRIBE_MEMORY_LIMIT, INSTANCE_LIMIT, KEEP_FOR,
    KEEP_GENERATIONS, KEEP_RUNS, LOG_FORMAT, LOG_LEVEL, MAX_AGE, MAX_CURSOR_AGE,
    MAX_DELETE_PERCENT, MAX_RECORD_BYTES, MAX_REJECTED, MAX_RESPONSE_BYTES, MAX_RETRIES,
    MAX_SHRINK_PERCENT, MEMORY_LIMIT, METRICS_FILE, MIN_RECORDS, ON_OVERLAP,
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SERVICE_NAME, OUTBOUND_PROXY, OUTPUT_HISTORY_FOR, RETRY_PAUSE, RUN_DEADLINE, SCHEMA_DRIFT,
    SOURCE_COOKIES, SOURCE_SECRET, SOURCE_TIMEOUT, STATUS_PAGE, Secrecy, Setting, TABLE_LIMIT,
    WRITE_MODE,
};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::inputs::{self, Inputs, Problem};
use crate::settings::layers::Layers;
use crate::settings::mistaken;
use crate::settings::plan::{MaxRejected, OnDrift, WriteMode};
use crate::settings::policy::{Tenant, Verdict};
use crate::settings::traces::{self, TracesPlan};

mod alerts;
mod output;

pub use output::{HISTORY_COLUMNS, OutputPlan, history_of};

/// A part of a hook's URL that is shorter can be a word, such as the topic of ntfy, and is hidden in the URL alone.
const HOOK_BYTES_MIN: usize = 20;

/// What the host will do, whatever the component is.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting")]
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// `JOB_NAME`.
    pub job: String,
    /// `OUTPUT_DIR`; none where a database server keeps everything.
    pub output_dir: Option<PathBuf>,
    /// `OUTPUT_DATABASE_URL`, when it is set: where the data goes instead of files.
    pub database: Option<DatabaseUrl>,
    /// How what is published is made.
    pub output: OutputPlan,
    /// Who may write to `OUTPUT_DIR` (`ALLOW_SHARED_OUTPUT`).
    pub writers: Writers,
    /// `WRITE_MODE`, when it is set.
    pub mode: Option<WriteMode>,
    /// `KEEP_GENERATIONS`.
    pub keep_generations: usize,
    /// `KEEP_FOR`.
    pub keep_for: Duration,
    /// `MIN_RECORDS`.
    pub min_records: u64,
    /// `MAX_SHRINK_PERCENT`.
    pub max_shrink_percent: u64,
    /// `MAX_DELETE_PERCENT`.
    pub max_delete_percent: u64,
    /// `MAX_REJECTED`.
    pub max_rejected: MaxRejected,
    /// `SCHEMA_DRIFT`.
    pub on_drift: OnDrift,
    /// `MAX_AGE`.
    pub max_age: Duration,
    /// `MAX_CURSOR_AGE`, when it is set.
    pub max_cursor_age: Option<Duration>,
    /// `STATUS_PAGE`, when it is set.
    pub status_page: Option<PathBuf>,
    /// `METRICS_FILE`: the file itself.
    pub metrics_file: Option<PathBuf>,
    /// Who hears how runs end.
    pub alerts: AlertPlan,
    /// Where traces go, where the job names a collector.
    pub traces: Option<TracesPlan>,
    /// `ALLOW_ENVIRONMENT`.
    pub allow_environment: Vec<String>,
    /// `ALLOW_HOSTS`.
    pub allow_hosts: Vec<Origin>,
    /// `ALLOW_PRIVATE_NETWORKS`.
    pub allow_private_networks: bool,
    /// `CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// `OUTBOUND_PROXY`, when it is set.
    pub proxy: Option<Proxy>,
    /// `SOURCE_API_URL`, when it can be used.
    pub source: Option<Url>,
    /// How the credential is sent, if there is one.
    pub auth: Auth,
    /// What requests to the source have besides: a key that signs, secret headers.
    pub besides: Besides,
    /// `SOURCE_SECRET`, when it is set.
    pub secret: Option<Secret>,
    /// `SOURCE_COOKIES`.
    pub cookies: bool,
    /// `CLIENT_CERT_FILE` and `CLIENT_KEY_FILE`.
    pub client: Option<ClientFiles>,
    /// `ON_OVERLAP=skip`.
    pub skip_on_overlap: bool,
    /// `LOG_FORMAT`.
    pub log_format: Option<log::Format>,
    /// `LOG_LEVEL`.
    pub log_level: log::Level,
    /// Whether nobody asked for a terminal without colours (`NO_COLOR`, `TERM=dumb`).
    pub has_colours: bool,
    /// Where a compiled component is kept: `$TIDEGATE_CACHE_DIR`, systemd's `$CACHE_DIRECTORY`, XDG's, `~/.cache`, none.
    pub cache_dir: Option<PathBuf>,
    /// Where temporary folders are made: `$TMPDIR`, or `/tmp`.
    pub temp_dir: PathBuf,
    /// Every limit of the run.
    pub limits: Limits,
    /// What is wrong so far, with what was given included.
    pub problems: Vec<Problem>,
    /// What the operator allows at most, where a policy is in force.
    pub tenant: Option<Arc<Tenant>>,
    /// What of all that was asked for it allows.
    pub verdicts: Vec<Verdict>,
    /// The limits that it lowers below their defaults, for a component that reads them too.
    pub lowered: BTreeMap<&'static str, String>,
}

impl HostPlan {
    /// Understands what was given. What cannot be understood is in `problems`, with the default in its place.
    pub fn new(inputs: &Inputs, limits: Limits) -> Self {
        let mut read = Reader {
            inputs,
            problems: inputs.problems().to_vec(),
            verdicts: inputs.take_verdicts(),
            lowered: BTreeMap::new(),
        };
        let mut limits = limits;
        limits.run_deadline = read.limit(&RUN_DEADLINE);
        limits.cpu = read.limit(&CPU_LIMIT);
        limits.compile_cpu = read.limit(&COMPILE_CPU_LIMIT);
        limits.memory_bytes = read.limit(&MEMORY_LIMIT);
        limits.describe_memory_bytes = read.limit(&DESCRIBE_MEMORY_LIMIT);
        limits.table_elements = read.limit(&TABLE_LIMIT);
        limits.instances = read.limit(&INSTANCE_LIMIT);
        limits.first_byte_timeout = read.limit(&SOURCE_TIMEOUT);
        // However long the source makes up its mind, an answer that has begun has as long as any.
        limits.response_timeout += limits.first_byte_timeout;
        limits.response_wire_bytes = read.limit(&MAX_RESPONSE_BYTES);
        limits.response_decoded_bytes = limits.response_wire_bytes;
        limits.staged_line_bytes = read.limit(&MAX_RECORD_BYTES) + STAGED_LINE_EXTRA_BYTES;
        limits.retries = read.limit(&MAX_RETRIES);
        limits.runs_kept = read.limit(&KEEP_RUNS);
        limits.retry_pause = read.limit(&RETRY_PAUSE);
        if traces::are_asked_for(inputs.layers()) {
            limits.requests_traced = REQUESTS_TRACED_MAX;
        }
        if let Some(tenant) = inputs.tenant().filter(|tenant| tenant.is_usable()) {
            tenant.budgets.lower(&mut limits, &mut read.verdicts);
        }
        limits.history_kept = read.limit(&OUTPUT_HISTORY_FOR);
        let place = output::read(&mut read);
        let mut host = Self {
            job: place.job,
            output_dir: place.dir,
            database: place.database,
            output: place.output,
            writers: read.value(&ALLOW_SHARED_OUTPUT),
            mode: read.optional(&WRITE_MODE),
            keep_generations: read.limit(&KEEP_GENERATIONS),
            keep_for: read.limit(&KEEP_FOR),
            min_records: read.value(&MIN_RECORDS),
            max_shrink_percent: read.value(&MAX_SHRINK_PERCENT),
            max_delete_percent: read.value(&MAX_DELETE_PERCENT),
            max_rejected: read.value(&MAX_REJECTED),
            on_drift: read.value(&SCHEMA_DRIFT),
            max_age: read.value(&MAX_AGE),
            max_cursor_age: read.optional(&MAX_CURSOR_AGE),
            status_page: read.optional(&STATUS_PAGE),
            metrics_file: read.optional(&METRICS_FILE),
            alerts: alerts::read(&mut read),
            traces: traces_plan(&mut read),
            allow_environment: read.optional(&ALLOW_ENVIRONMENT).unwrap_or_default(),
            allow_hosts: read.optional(&ALLOW_HOSTS).unwrap_or_default(),
            allow_private_networks: read.value(&ALLOW_PRIVATE_NETWORKS),
            ca_file: read.optional(&CA_FILE),
            proxy: proxy(&mut read),
            source: read.optional(&catalogue::SOURCE_API_URL),
            auth: auth::auth(inputs, &mut read.problems),
            besides: Besides::default(),
            secret: read.optional(&SOURCE_SECRET),
            cookies: read.value(&SOURCE_COOKIES),
            client: None,
            skip_on_overlap: read.value(&ON_OVERLAP),
            log_format: read.optional(&LOG_FORMAT),
            log_level: read.value(&LOG_LEVEL),
            has_colours: has_colours(inputs.layers()),
            cache_dir: cache_dir(inputs.layers()),
            temp_dir: temp_dir(|name| inputs.layers().environment(name)),
            problems: Vec::new(),
            limits,
            tenant: inputs.tenant().cloned(),
            verdicts: Vec::new(),
            lowered: BTreeMap::new(),
        };
        host.besides = auth::besides(inputs, &host.auth, &mut read.problems);
        let (source, auth) = (host.source.as_ref(), &host.auth);
        host.client = auth::client_files(inputs, source, auth, &mut read.problems);
        host.problems = read.problems;
        host.verdicts = read.verdicts;
        host.lowered = read.lowered;
        host.metrics_file = output::metrics_file(&host);
        match host.tenant.clone() {
            Some(tenant) if tenant.is_usable() => tenant.apply(inputs, &mut host),
            // Nothing is allowed, and what is wrong with the policy is a problem.
            Some(_) => {
                (host.output_dir, host.database) = (None, None);
                (host.metrics_file, host.status_page) = (None, None);
                host.traces = None;
            }
            None => {}
        }
        host
    }

    /// Every secret that was given, and what of it is one by itself: what logs and errors hide.
    pub fn secrets(&self, inputs: &Inputs) -> Vec<Secret> {
        let secret = |row: &&'static catalogue::Row| {
            let given = inputs.get(row).filter(|_| row.is_secret())?;
            // A URL is one where it has a password in it, or cannot be understood: errors name the others.
            let is_secret = row.is_secret_value(&given.value);
            is_secret.then(|| Secret::from(given.value.as_str()))
        };
        let given: Vec<Secret> = catalogue::ALL.iter().filter_map(secret).collect();
        // As it stands in the URL: it may be encoded in another way than we would.
        let as_written = given.iter().filter_map(|secret| {
            let (_, rest) = secret.expose().split_once("://")?;
            let (user, _) = rest.rsplit_once('@')?;
            let (_, password) = user.split_once(':')?;
            (!password.is_empty()).then(|| Secret::from(password))
        });
        let as_written: Vec<Secret> = as_written.collect();
        let notices = [&self.alerts.url, &self.alerts.ping];
        let of_notices = notices.into_iter().flatten().flat_map(secret_parts);
        let of_the_url = self.database.as_ref().and_then(DatabaseUrl::password);
        given
            .into_iter()
            .chain(as_written)
            .chain(of_notices)
            .chain(of_the_url.cloned())
            .chain(self.proxy.iter().flat_map(Proxy::secrets))
            .chain(self.auth.secrets())
            .chain(self.besides.secrets())
            .chain(self.traces.iter().flat_map(TracesPlan::secrets))
            .chain(mistaken::secrets(inputs.layers()))
            .collect()
    }
}

impl HostPlan {
    /// The secrets that are so short that they cannot be hidden everywhere.
    pub fn short_secrets(&self, inputs: &Inputs) -> Vec<&'static str> {
        let is_short = |text: &str| text.len() < WORD_BYTES_MIN;
        let password = self.database.as_ref().and_then(DatabaseUrl::password);
        let of_proxy = self.proxy.as_ref().and_then(Proxy::password);
        let is_short_there = |row: &catalogue::Row| match row.secrecy {
            Secrecy::Public => false,
            Secrecy::HoldsPassword if row.name == OUTBOUND_PROXY.row.name => {
                of_proxy.is_some_and(is_short)
            }
            Secrecy::Secret => inputs.get(row).is_some_and(|given| is_short(&given.value)),
            Secrecy::HoldsPassword => {
                !inputs.is_given(&catalogue::OUTPUT_DATABASE_PASSWORD.row)
                    && password.is_some_and(|password| is_short(password.expose()))
            }
        };
        let rows = catalogue::ALL.iter().filter(|row| is_short_there(row));
        rows.map(|row| row.name).collect()
    }
}

/// Reads settings, collecting problems.
struct Reader<'a> {
    inputs: &'a Inputs,
    problems: Vec<Problem>,
    verdicts: Vec<Verdict>,
    lowered: BTreeMap<&'static str, String>,
}

impl Reader<'_> {
    fn value<T>(&mut self, setting: &Setting<T>) -> T {
        self.inputs.parsed_or_default(setting, &mut self.problems)
    }

    /// A limit: as given, or its default; under a policy, no more than that allows.
    fn limit<T: Ord>(&mut self, setting: &Setting<T>) -> T {
        let value = self.value(setting);
        let usable = self.inputs.tenant().filter(|tenant| tenant.is_usable());
        let Some(tenant) = usable else {
            return value;
        };
        let given = self.inputs.get(&setting.row);
        // One that cannot be understood is a problem already.
        if given.is_some_and(|given| (setting.parse)(&given.value).is_err()) {
            return value;
        }
        let got = tenant.limit(setting, given, &mut self.problems, &mut self.verdicts);
        // Whatever was given: a component that was not granted it gets the default.
        if let Some(most) = tenant.lowered(setting) {
            self.lowered.insert(setting.row.name, most.to_owned());
        }
        (setting.parse)(&got).unwrap_or(value)
    }

    fn optional<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        self.inputs.parsed(setting, &mut self.problems)
    }
}

fn traces_plan(read: &mut Reader<'_>) -> Option<TracesPlan> {
    let layers = read.inputs.layers();
    if !traces::are_asked_for(layers) {
        read.problems.extend(traces::without_an_endpoint(layers));
        return None;
    }
    let base = read.optional(&OTEL_EXPORTER_OTLP_ENDPOINT);
    let whole = read.optional(&OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
    let headers = read.optional(&OTEL_EXPORTER_OTLP_HEADERS);
    read.value(&OTEL_EXPORTER_OTLP_PROTOCOL);
    let timeout = read.value(&OTEL_EXPORTER_OTLP_TIMEOUT);
    let service = read.optional(&OTEL_SERVICE_NAME);
    let attributes = read.optional(&OTEL_RESOURCE_ATTRIBUTES);
    let below = |mut base: Url| {
        let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
        base.set_path(&path);
        base
    };
    Some(TracesPlan {
        url: whole.or_else(|| base.map(below))?,
        headers: headers.unwrap_or_default(),
        timeout,
        service,
        attributes: attributes.unwrap_or_default(),
        private_networks: true,
    })
}

fn proxy(read: &mut Reader<'_>) -> Option<Proxy> {
    let proxy = read.optional(&OUTBOUND_PROXY)?;
    let is_flag = read.inputs.origin(&OUTBOUND_PROXY.row) == Some(inputs::Origin::Flag);
    if is_flag && proxy.has_credential() {
        read.problems.push(Problem::of(
            OUTBOUND_PROXY.row.name,
            "has a user or a password in it, and every user of the machine can read an argument; use the environment, an env file or OUTBOUND_PROXY_FILE",
            inputs::Origin::Flag,
        ));
        return None;
    }
    Some(proxy)
}

/// What of the URL of a hook is secret by itself: its path and the values in its query, unless they are too short to be.
fn secret_parts(url: &Secret) -> Vec<Secret> {
    let Ok(url) = Url::parse(url.expose()) else {
        return Vec::new();
    };
    if url.as_str() == PAGERDUTY_URL {
        return Vec::new();
    }
    let query = url.query().unwrap_or_default().split('&');
    let values = query.filter_map(|pair| Some(pair.split_once('=')?.1));
    let parts = std::iter::once(url.path().trim_matches('/')).chain(values);
    let parts = parts.filter(|part| part.len() >= HOOK_BYTES_MIN);
    parts.map(Secret::from).collect()
}

/// Where temporary folders are made.
pub fn temp_dir<'e>(environment: impl Fn(&str) -> Option<&'e str>) -> PathBuf {
    PathBuf::from(environment("TMPDIR").unwrap_or("/tmp"))
}

/// <https://no-color.org>: any value but an empty one.
fn has_colours(layers: &Layers) -> bool {
    let is_dumb = layers.environment("TERM").is_none_or(|term| term == "dumb");
    !is_dumb && layers.environment("NO_COLOR").is_none_or(str::is_empty)
}

fn cache_dir(layers: &Layers) -> Option<PathBuf> {
    let own = |name: &str| layers.environment(name).map(PathBuf::from);
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
