//! The command line: what a person may type, and what `--help` says of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::limits::{FLEET_PARALLEL_MAX, FLEET_SHARDS_MAX};

const ABOUT: &str = "Data-sync jobs for cron: fetches changes from an HTTP API, and publishes data and cursor in one rename";

const EXAMPLES: &str = "\
Examples:
  tidegate demo                                   see it work on this machine
  tidegate describe --env-example > orders.env    start a job: fill in the file
  tidegate check --env-file orders.env            list all mistakes in it
  tidegate check --online --env-file orders.env   try one request
  tidegate preview --env-file orders.env          print the first records
  tidegate run --env-file orders.env              the line for cron
  tidegate health --env-file orders.env           fresh? 0 yes, 1 no, 2 unknown
  tidegate runs --env-file orders.env             how the last runs ended
  tidegate report jobs/ --html status.html        a page about all jobs
  tidegate diff --env-file orders.env             what the last set changed
  tidegate test mine.wasm                         prove a component of your own
  tidegate convert orders.env > orders.toml       the same job as TOML: `run orders.toml`
  tidegate run jobs/ --parallel 4                 every job of a folder
  tidegate new connector mine --lang python       a source of your own

Exit codes:
  0       published, or nothing new
  64, 78  wrong command line or settings
  65      a gate refused the data
  69      the source refused the request
  70      the component failed
  73, 74  the output cannot be used, or writing failed
  75      try again later
  76      the source's answer made no sense
  77      access denied
  130     stopped by SIGINT
  143     stopped by SIGTERM or SIGHUP

`tidegate help exit-codes` says what to do; see also `help settings`, `help cron`.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about = ABOUT, after_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 80)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `tidegate` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the job once: fetch, check, publish
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Check the settings; with `--online`, try one request. Writes no output
    Check(CheckArgs),
    /// Print the first records as they would be published. Publishes nothing
    Preview(PreviewArgs),
    /// List all settings: meaning, default, example
    Describe(DescribeArgs),
    /// Show what a component file is, imports, declares and stages. Grants it nothing
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Compile a component into the cache, so that no run has to
    #[command(after_help = COMPILE_EXAMPLES)]
    Compile(CompileArgs),
    /// Test a component against a scripted API on this machine: one line a check
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestArgs),
    /// Print the WIT that a component is built with, or write it into a folder
    #[command(after_help = WIT_EXAMPLES)]
    Wit(WitArgs),
    /// Print the job file (TOML) that says what env files say
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(ConvertArgs),
    /// Report whether the data is fresh: exit 0 fresh, 1 stale or failing, 2 unknown
    Health(HealthArgs),
    /// List the last runs, the newest first: when, exit code, what changed, why one failed
    #[command(after_help = RUNS_EXAMPLES)]
    Runs(RunsArgs),
    /// Report on a job, or on all of a folder: state, next run, trends, why one fails
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Show what changed between two published sets: exit 0 nothing, 1 something
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Publish an earlier set again; with `--hold`, no run changes it until `--release`
    #[command(after_help = ROLLBACK_EXAMPLES)]
    Rollback(RollbackArgs),
    /// Keep a published set until it is released; without one, list the sets that are kept
    #[command(after_help = PIN_EXAMPLES)]
    Pin(PinArgs),
    /// Show, export, import or change what the next run goes on from
    #[command(after_help = STATE_EXAMPLES)]
    State(StateArgs),
    /// Print Kubernetes manifests: a CronJob for each job of a folder
    #[command(after_help = KUBERNETES_EXAMPLES)]
    Kubernetes(KubernetesArgs),
    /// Start a connector of your own: source, build script, test and README
    New(NewArgs),
    /// Print the built-in component, for another WASI 0.2 runtime
    Component,
    /// Start a small API on this machine, and sync it three times
    Demo(DemoArgs),
    /// Print help for a command or a topic: `exit-codes`, `settings`, `cron`
    Help(HelpArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page of tidegate or of a command, in roff
    Man(ManArgs),
}

impl Command {
    /// The process that this one may not outlive.
    pub fn parent(&self) -> Option<i32> {
        match self {
            Self::Run(args) => args.fleet.fleet_parent,
            Self::Health(args) => args.fleet_parent,
            Self::Runs(args) => args.fleet_parent,
            Self::Report(args) => args.fleet_parent,
            _ => None,
        }
    }

    /// Where the policy and the tenant of this command are named, if they count for it. A manifest carries none.
    pub fn under(&mut self) -> Option<&mut UnderArgs> {
        match self {
            Self::Run(args) => Some(&mut args.given.under),
            Self::Check(args) => Some(&mut args.given.under),
            Self::Preview(args) => Some(&mut args.given.under),
            Self::Health(args) => Some(&mut args.of.under),
            Self::Runs(args) => Some(&mut args.of.under),
            Self::Report(args) => Some(&mut args.of.under),
            Self::Diff(args) => Some(&mut args.of.under),
            Self::Rollback(args) => Some(&mut args.of.under),
            Self::Pin(args) => Some(&mut args.of.under),
            Self::State(StateArgs { what }) => Some(match what {
                StateWhat::Show(args) => &mut args.of.under,
                StateWhat::Export(args) => &mut args.of.under,
                StateWhat::Import(args) => &mut args.of.under,
                StateWhat::SetCursor(args) => &mut args.of.under,
            }),
            _ => None,
        }
    }
}

const RUN_EXAMPLES: &str = "\
Examples:
  tidegate run orders.toml
  tidegate run --env-file shared.env --env-file orders.env
  tidegate run --env-file orders.env --set MAX_PAGES=3 --dry-run
  tidegate run --env-file orders.env --full-refresh
  tidegate run --env-file orders.env --from 2026-11-01 --to 2026-11-08
  tidegate run jobs/ --env-file shared.env --parallel 4 --jitter 30s
  tidegate run shop.toml --resource orders        one of its resources

Of a folder, every file NAME.env or NAME.toml is a job, there or in a folder
named after its tenant. Each runs as a process of its own; the exit code is that
of the worst. So it is with the resources of a job file, but that they share one
process, and in it the token, the connections and the rate.

A weekly --full-refresh finds what was deleted at the source.
In crontab, with MAILTO set, so that failures are mailed:
  0 6 * * *  /usr/local/bin/tidegate run --env-file /etc/sync/orders.env >> LOG";

const INSPECT_EXAMPLES: &str = "\
Examples:
  tidegate inspect mine.wasm
  tidegate inspect mine.wasm --output json

Imports are read before anything is compiled. Exits as a run would: 0 if the
component can be used, 77 if an import is not available, 78 if the file is not
a component, 70 if it is too large or cannot describe itself.";

const COMPILE_EXAMPLES: &str = "\
Examples:
  tidegate compile mine.wasm
  TIDEGATE_CACHE_DIR=/var/cache/tidegate tidegate compile mine.wasm

For images, once when they are built. The cache is of use to the same tidegate,
run as the same user, with the same TIDEGATE_CACHE_DIR, on a processor with the
same features; any other run compiles anew. The folder must belong to that user
and may be read-only when it runs.
Exits 70, 77 or 78 as a run with the component would; 78 if no cache is named,
73 if it cannot be used, 74 if it cannot be written.";

const TEST_EXAMPLES: &str = "\
Examples:
  tidegate test mine.wasm
  tidegate test mine.wasm --set SOURCE_API_URL={api}/array --set TEAM=7
  tidegate test mine.wasm --only 'page loop' --only '429 with Retry-After'
  tidegate test                                      the built-in component

The component runs as under `tidegate run`: the same processes, limits and
commit. Its runs publish to a temporary folder, and may ask nobody but the API.

The API, on 127.0.0.1, is {api} in the values of --set:
  GET {api}/items?since=CURSOR&until=CURSOR&page=N
      {\"items\":[ROW,…],\"next\":URL}, the next page also as Link; null: the last
  GET {api}/array    the same as a bare array, with the next page in Link alone
  GET {api}/all      every row in one bare array
since is included, until is not: RFC 3339 or seconds since 1970. A row:
  {\"id\":7,\"name\":TEXT,\"amount\":INTEGER,\"updated\":\"2025-01-01T01:00:00Z\",
   \"updated_epoch\":1735693200,\"deleted\":false}
Every answer has a Date; in `future row` it is that of the rows, not of today.
SOURCE_API_URL is {api}/items, MAX_RETRIES 3, RETRY_PAUSE 10ms, and for a
component that stages changes PRIMARY_KEY /id, unless --set says otherwise.
Each row is to be published as one record, with its name or else its id in it.

What a component does not declare (changes, deletions) or publish is skipped,
with the reason.

Exits 0 if all checks passed, 1 if one failed; 64 and 78 as a run would, for
settings that it would refuse and a file that is not a component.";

const WIT_EXAMPLES: &str = "\
Examples:
  tidegate wit wit/
  tidegate wit > connector.wit

With the WASI packages that it names, so that wit-bindgen, componentize-py and
jco need nothing else: --world connector. Files in the folder that say something
else are not replaced (73).";

const RUNS_EXAMPLES: &str = "\
Examples:
  tidegate runs --env-file orders.env
  tidegate runs orders.toml --failed --last 5
  tidegate runs orders.toml --last 1000 --output csv > runs.csv
  tidegate runs jobs/

KEEP_RUNS says how many are kept. json: one object a run, as in last-run.json.";

const REPORT_EXAMPLES: &str = "\
Examples:
  tidegate report orders.toml
  tidegate report jobs/
  tidegate report jobs/ --html /srv/www/status.html
  tidegate report jobs/ --html - > status.html

Jobs that need somebody are first. The page is one file without script, and
loads nothing. FILE is replaced by a rename; a file that is no page of
tidegate's is refused (73). STATUS_PAGE has each run write its page.";

const DIFF_EXAMPLES: &str = "\
Examples:
  tidegate diff --env-file orders.env
  tidegate diff orders.toml 41
  tidegate diff orders.toml 41 42 --output json

Without a generation, the last set and the one before it. With one, that set and
the last. KEEP_GENERATIONS says how many are kept. Of a table, OUTPUT_HISTORY=yes
keeps what it was before; without it, the rows that were written since are shown.";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  tidegate rollback --env-file orders.env --hold
  tidegate rollback orders.toml 41 --hold
  tidegate rollback orders.toml --release

Without a generation, the one before the last. The next run goes on from its
cursor, and would publish again what the source still has: --hold makes runs end
with 75 until --release. `tidegate diff` shows what a set changed. A table needs
OUTPUT_HISTORY=yes.";

const PIN_EXAMPLES: &str = "\
Examples:
  tidegate pin --env-file orders.env              the sets that are kept
  tidegate pin orders.toml 41
  tidegate pin orders.toml 41 --release

Without it, a set goes when there are KEEP_GENERATIONS newer ones, and KEEP_FOR
is over. `tidegate rollback 41` publishes a set again, pinned or not.";

const STATE_EXAMPLES: &str = "\
Examples:
  tidegate state show --env-file orders.env
  tidegate state export orders.toml --to before.json
  tidegate state set-cursor orders.toml 2026-11-01T00:00:00Z
  tidegate state set-cursor orders.toml --clear
  tidegate state import orders.toml before.json

A change is a commit of its own: readers see the same data, and the next run
goes on from the new state. Export the old one before. A cursor that is set
forward leaves records out.";

const KUBERNETES_EXAMPLES: &str = "\
Examples:
  tidegate kubernetes jobs/ --image registry.example.com/tidegate:0.1.0
  tidegate kubernetes jobs/ --schedule '*/15 * * * *' | kubectl apply -f -
  tidegate kubernetes jobs/ --indexed 8 --parallel 4
  tidegate kubernetes orders.toml --namespace sync

Secrets are not printed: comments name the Secret of each job, its keys, and
where their values are on this machine.";

const NEW_CONNECTOR_EXAMPLES: &str = "\
Examples:
  tidegate new connector my-orders --lang python
  cd my-orders && sh build.sh && sh test.sh

The source reads an API page by page: retries, redirects, a cursor in the state,
windows, full refresh. What is yours to decide is marked with \"Here:\". build.sh
installs pinned tools from the language's own registry. An existing folder is
refused (73).";

const CONVERT_EXAMPLES: &str = "\
Examples:
  tidegate convert orders.env > orders.toml
  tidegate convert shared.env orders.env > orders.toml

Secrets are not copied: the job file names an environment variable instead, and
a warning says so. `tidegate check orders.toml` shows the same values.";

/// Where settings come from.
#[derive(Debug, Args, Default, Clone)]
pub struct GivenArgs {
    /// Read settings from this job file (TOML). `run` and `kubernetes` also take a folder of jobs
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Read settings from this file, one NAME=VALUE a line. Repeatable: the last file wins
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub env_file: Vec<PathBuf>,
    /// Set one setting. It takes precedence over environment and files. Secrets are refused
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Settings")]
    pub set: Vec<String>,
    /// Of a job file with several resources, this one alone
    #[arg(long, value_name = "NAME", requires = "job", help_heading = "Settings")]
    pub resource: Option<String>,
    /// Use this component instead of the built-in one
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub component: Option<PathBuf>,
    /// Refuse the component unless its sha256 is this
    #[arg(long, value_name = "HEX", help_heading = "Settings")]
    pub component_sha256: Option<String>,
    /// Whose job it is, and what that tenant may ask for.
    #[command(flatten)]
    pub under: UnderArgs,
}

/// The operator's policy.
#[derive(Debug, Args, Default, Clone)]
pub struct UnderArgs {
    /// Refuse what this policy (TOML) does not allow the tenant. Default: $TIDEGATE_POLICY
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub policy: Option<PathBuf>,
    /// The tenant whose job it is: `[tenant.NAME]` of the policy. In a folder of jobs, each folder is a tenant. Default:
    /// $TIDEGATE_TENANT
    #[arg(long, value_name = "NAME", value_parser = tenant_name, help_heading = "Policy")]
    pub tenant: Option<String>,
}

/// The policy that this binary was built with (`TIDEGATE_POLICY_PATH`, when it was built): no command line names another.
pub const BUILT_IN_POLICY: Option<&str> = option_env!("TIDEGATE_POLICY_PATH");

impl UnderArgs {
    /// Takes the policy that is in force: `built_in`, else the one of the command line, else the environment's; and the tenant
    /// of the command line, else the environment's. `Err` (64): they contradict each other.
    pub fn complete(
        &mut self,
        built_in: Option<&str>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(), String> {
        let of_environment = |name| environment(name).filter(|value| !value.is_empty());
        let policy = self.policy.take();
        let policy = policy.or_else(|| of_environment("TIDEGATE_POLICY").map(PathBuf::from));
        self.policy = match (built_in.map(Path::new), policy) {
            (None, policy) => policy,
            (Some(built_in), _) if !built_in.is_absolute() => {
                return Err(format!(
                    "this tidegate was built with the policy `{}`, which is not an absolute path; build it anew",
                    built_in.display()
                ));
            }
            (Some(built_in), Some(other)) if other != built_in => {
                return Err(format!(
                    "this tidegate was built with the policy `{}`, and takes no other: leave out `--policy` and TIDEGATE_POLICY (`{}`)",
                    built_in.display(),
                    other.display()
                ));
            }
            (Some(built_in), _) => Some(built_in.to_owned()),
        };
        if let (None, Some(tenant)) = (&self.tenant, of_environment("TIDEGATE_TENANT")) {
            let tenant = tenant.to_string_lossy();
            let tenant = tenant_name(&tenant);
            self.tenant = Some(tenant.map_err(|takes| format!("TIDEGATE_TENANT {takes}"))?);
        }
        if self.tenant.is_some() && self.policy.is_none() {
            return Err("a tenant has a policy: name it with `--policy FILE` or TIDEGATE_POLICY, or leave out `--tenant` and TIDEGATE_TENANT".to_owned());
        }
        Ok(())
    }
}

/// The name of a tenant: 1 to 63 of a-z, 0-9, `_` and `-`.
pub fn tenant_name(text: &str) -> Result<String, String> {
    let is_of_it =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=63).contains(&text.len()) && text.bytes().all(is_of_it) {
        return Ok(text.to_owned());
    }
    Err("takes 1 to 63 of a-z, 0-9, `_` and `-`".to_owned())
}

impl GivenArgs {
    /// No settings, and this component or the built-in one: what is asked of a component alone.
    pub fn of_component(component: Option<&PathBuf>) -> Self {
        Self {
            component: component.cloned(),
            ..Self::default()
        }
    }
}

/// `tidegate check`.
#[derive(Debug, Args, Clone)]
pub struct CheckArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Make one request: show how its answer was read, and settings to paste
    #[arg(long)]
    pub online: bool,
}

/// `tidegate preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Number of records to print
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
}

/// `tidegate run`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[derive(Debug, Args, Default, Clone)]
pub struct RunArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenArgs,
    /// How the jobs of a folder are run.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Fetch everything, and replace the published set. Refused with WRITE_MODE=append
    #[arg(long, help_heading = "This run")]
    pub full_refresh: bool,
    /// Fetch a range of the cursor again, from this value on. The saved cursor stays
    #[arg(
        long,
        value_name = "VALUE",
        requires = "to",
        conflicts_with = "full_refresh",
        help_heading = "This run"
    )]
    pub from: Option<String>,
    /// End of that range. The value itself is excluded
    #[arg(
        long,
        value_name = "VALUE",
        requires = "from",
        help_heading = "This run"
    )]
    pub to: Option<String>,
    /// Do everything but publish
    #[arg(long, help_heading = "This run")]
    pub dry_run: bool,
    /// Publish even if MAX_SHRINK_PERCENT or MAX_DELETE_PERCENT is exceeded
    #[arg(long, help_heading = "This run")]
    pub allow_shrink: bool,
    /// Run although this setting changed since the last run. Repeatable
    #[arg(long, value_name = "NAME", help_heading = "This run")]
    pub accept_change: Vec<String>,
    /// Move a `latest.*` or `state.json` of another program to `before-tidegate/`, and run
    #[arg(long, help_heading = "This run")]
    pub adopt: bool,
    /// `json`: print only the summary to stdout
    #[arg(long, value_name = "FORMAT", help_heading = "This run")]
    pub output: Option<OutputKind>,
    /// Log nothing; for callers within the library.
    #[arg(skip)]
    pub quiet: bool,
}

/// How the jobs of a folder are run.
#[derive(Debug, Args, Default, Clone)]
pub struct FleetArgs {
    /// Jobs that run at the same time. Default: one for each processor
    #[arg(long, value_name = "N", value_parser = parallel(), requires = "job", help_heading = "A folder of jobs")]
    pub parallel: Option<u16>,
    /// Of these, jobs of one tenant. Default: half of them, where there are several tenants
    #[arg(long, value_name = "N", value_parser = parallel(), requires = "job", help_heading = "A folder of jobs")]
    pub per_tenant: Option<u16>,
    /// Delay the start of each job by a random time up to this, such as 30s
    #[arg(
        long,
        value_name = "SPAN",
        requires = "job",
        help_heading = "A folder of jobs"
    )]
    pub jitter: Option<String>,
    /// End a job that takes longer than this. Default: 1h
    #[arg(
        long,
        value_name = "SPAN",
        requires = "job",
        help_heading = "A folder of jobs"
    )]
    pub job_deadline: Option<String>,
    /// Kill a job that has not ended this long after SIGTERM. Default: 10s
    #[arg(
        long,
        value_name = "SPAN",
        requires = "job",
        help_heading = "A folder of jobs"
    )]
    pub grace: Option<String>,
    /// Run part K of N of the jobs, counted from 0, as one of N machines
    #[arg(
        long,
        value_name = "K/N",
        requires = "job",
        help_heading = "A folder of jobs"
    )]
    pub shard: Option<String>,
    /// For the processes of a fleet: end when this process does.
    #[arg(long, value_name = "PID", hide = true)]
    pub fleet_parent: Option<i32>,
    /// For the processes of a fleet: run these jobs of JOB, which share settings, together.
    #[arg(long, value_name = "NAME", hide = true)]
    pub together: Vec<String>,
}

impl FleetArgs {
    /// Whether any of it was said that only a folder has a use for.
    pub fn is_given(&self) -> bool {
        let spans = [&self.jitter, &self.job_deadline, &self.grace, &self.shard];
        let has_number = self.parallel.is_some() || self.per_tenant.is_some();
        has_number || spans.iter().any(|span| span.is_some())
    }
}

fn parallel() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=i64::from(FLEET_PARALLEL_MAX))
}

impl RunArgs {
    /// `--from` and `--to`.
    pub fn range(&self) -> Option<(&str, &str)> {
        self.from.as_deref().zip(self.to.as_deref())
    }
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputKind {
    /// One JSON object.
    Json,
}

/// `tidegate describe`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Describe this component instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// Print an env file to fill in
    #[arg(long)]
    pub env_example: bool,
    /// Print a Markdown table
    #[arg(long, conflicts_with = "env_example")]
    pub markdown: bool,
    /// Print a JSON Schema of the settings, for editors
    #[arg(long, conflicts_with_all = ["env_example", "markdown"])]
    pub schema: bool,
    /// Print a JSON Schema of job files, for editors
    #[arg(long, conflicts_with_all = ["env_example", "markdown", "schema"])]
    pub job_schema: bool,
}

/// `tidegate convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Env files, one NAME=VALUE a line: the last file wins
    #[arg(value_name = "ENV_FILE", required = true)]
    pub env_file: Vec<PathBuf>,
    /// The component of the job, where it is not the built-in one
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
}

/// `tidegate inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The component file; without it, the built-in component
    #[arg(value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// `json`: print one JSON object
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
}

/// `tidegate wit`.
#[derive(Debug, Args)]
pub struct WitArgs {
    /// Write the files into this folder, which is made where it is missing
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `tidegate compile`.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// The component file; without it, the built-in component
    #[arg(value_name = "COMPONENT")]
    pub component: Option<PathBuf>,
}

/// `tidegate test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The component file; without it, the built-in component
    #[arg(value_name = "COMPONENT")]
    pub component: Option<PathBuf>,
    /// Set one setting for all runs. {api} in VALUE is the origin of the API. Repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Make this check only. Repeatable
    #[arg(long, value_name = "CHECK")]
    pub only: Vec<String>,
    /// `json`: print one JSON object
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
}

/// Where settings come from, for commands that look at the output alone.
#[derive(Debug, Args, Default, Clone)]
pub struct OutputArgs {
    /// Read settings from this file. Only those for the output and its age are used
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Set one setting, such as OUTPUT_DIR
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Of a job file with several resources, this one alone
    #[arg(long, value_name = "NAME")]
    pub resource: Option<String>,
    /// Whose job it is, and what that tenant may ask for.
    #[command(flatten)]
    pub under: UnderArgs,
}

impl OutputArgs {
    /// The same with the job file, if there is one.
    pub fn given(&self, job: Option<&Path>) -> GivenArgs {
        GivenArgs {
            job: job.map(Path::to_owned),
            resource: self.resource.clone(),
            env_file: self.env_file.clone(),
            set: self.set.clone(),
            under: self.under.clone(),
            ..GivenArgs::default()
        }
    }
}

/// `tidegate runs`.
#[derive(Debug, Args, Clone)]
pub struct RunsArgs {
    /// Read settings from this job file (TOML), of which only those for the output are used. Of a folder, list the runs of
    /// every job
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Number of runs to list; of a folder, for each job
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub last: u16,
    /// List only runs that failed
    #[arg(long)]
    pub failed: bool,
    /// `json`: print one JSON object a run; `csv`: a header and one line a run
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<RunsOutput>,
    /// The process that looks at all jobs of a folder.
    #[arg(long, hide = true)]
    pub fleet_parent: Option<i32>,
}

/// `--output` of `runs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunsOutput {
    /// One JSON object a run.
    Json,
    /// A header, and one line a run.
    Csv,
}

/// `tidegate report`.
#[derive(Debug, Args, Clone)]
pub struct ReportArgs {
    /// Read settings from this job file (TOML), of which only those for the output are used. Of a folder, report on every job
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Write a page of HTML to this file; `-` prints it
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub html: Option<PathBuf>,
    /// Number of runs to look at, of each job
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub last: u16,
    /// `json`: print one JSON object a job
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
    /// The process that looks at all jobs of a folder.
    #[arg(long, hide = true)]
    pub fleet_parent: Option<i32>,
}

/// `tidegate diff`.
#[derive(Debug, Args, Clone)]
pub struct DiffArgs {
    /// The job file (TOML), if settings are in one, and one or two generations by their numbers
    #[arg(value_name = "JOB | GENERATION", num_args = 0..=3)]
    pub what: Vec<String>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Records to show of each kind: new, changed, gone
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub examples: u16,
    /// `json`: print every record that differs as one JSON object
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
}

/// `tidegate rollback`.
#[derive(Debug, Args, Clone)]
pub struct RollbackArgs {
    /// The job file (TOML), if settings are in one, and the generation by its number
    #[arg(value_name = "JOB | GENERATION", num_args = 0..=2)]
    pub what: Vec<String>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Hold the job: its runs end with 75 until `--release`
    #[arg(long, conflicts_with = "release")]
    pub hold: bool,
    /// Let runs publish again. Changes nothing else
    #[arg(long)]
    pub release: bool,
}

/// `tidegate pin`.
#[derive(Debug, Args, Clone)]
pub struct PinArgs {
    /// The job file (TOML), if settings are in one, and the generation by its number
    #[arg(value_name = "JOB | GENERATION", num_args = 0..=2)]
    pub what: Vec<String>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Unpin it: runs may remove it again
    #[arg(long)]
    pub release: bool,
}

/// `tidegate state`.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// What is done with it.
    #[command(subcommand)]
    pub what: StateWhat,
}

/// What can be done with a state.
#[derive(Debug, Subcommand)]
pub enum StateWhat {
    /// Show where the next run begins
    Show(StateShowArgs),
    /// Print the state as JSON, or write it to a file. It may hold a token of the source
    Export(StateExportArgs),
    /// Make an exported state that of the job
    Import(StateImportArgs),
    /// Let the next run go on from another cursor, or fetch everything
    SetCursor(StateSetArgs),
}

/// `tidegate state show`.
#[derive(Debug, Args, Clone)]
pub struct StateShowArgs {
    /// The job file (TOML), if settings are in one
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// `json`: print one JSON object
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
}

/// `tidegate state export`.
#[derive(Debug, Args, Clone)]
pub struct StateExportArgs {
    /// The job file (TOML), if settings are in one
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Write it to this new file, which only its owner can read
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// `tidegate state import`.
#[derive(Debug, Args, Clone)]
pub struct StateImportArgs {
    /// The job file (TOML), if settings are in one, and the exported state; `-` reads it from stdin
    #[arg(value_name = "JOB | FILE", num_args = 1..=2, required = true)]
    pub what: Vec<String>,
    /// Where the settings come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// The component of the job, where it is not the built-in one
    #[arg(long, value_name = "COMPONENT")]
    pub component: Option<PathBuf>,
    /// Also import the state of another job or component
    #[arg(long)]
    pub other_job: bool,
}

/// `tidegate state set-cursor`.
#[derive(Debug, Args, Clone)]
pub struct StateSetArgs {
    /// The job file (TOML), if settings are in one, and the cursor as the source writes it
    #[arg(value_name = "JOB | CURSOR", num_args = 0..=2, allow_negative_numbers = true)]
    pub what: Vec<String>,
    /// Where the settings come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// The component of the job, where it is not the built-in one
    #[arg(long, value_name = "COMPONENT")]
    pub component: Option<PathBuf>,
    /// Of a job that fetches for several values, each with its own cursor: that of this value alone
    #[arg(long, value_name = "VALUE", conflicts_with = "clear")]
    pub each: Option<String>,
    /// Let the next run fetch everything, as with `run --full-refresh`
    #[arg(long)]
    pub clear: bool,
}

/// `--output` of `health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HealthOutput {
    /// One JSON object.
    Json,
    /// Metrics in the text format of Prometheus.
    Prometheus,
}

/// `tidegate health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Read settings from this job file (TOML), of which only those for the output, MAX_AGE and MAX_CURSOR_AGE are used.
    /// Of a folder, report every job as one table: exit 1 if any is stale, else 2 if any is unknown
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Where the settings of the output come from.
    #[command(flatten)]
    pub of: OutputArgs,
    /// Maximum age of the last success, such as 2h. Overrides MAX_AGE
    #[arg(long, value_name = "SPAN")]
    pub max_age: Option<String>,
    /// Maximum age of the newest record, such as 6h. Overrides MAX_CURSOR_AGE
    #[arg(long, value_name = "SPAN")]
    pub max_cursor_age: Option<String>,
    /// Compare the checksums of the published files, or count the rows of the table
    #[arg(long)]
    pub verify: bool,
    /// `json`: print one JSON object; of a folder, one a job. `prometheus`: print metrics
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<HealthOutput>,
    /// Jobs of a folder that are looked at at the same time. Default: one for each processor
    #[arg(long, value_name = "N", value_parser = parallel(), requires = "job")]
    pub parallel: Option<u16>,
    /// For the processes of a fleet: end when this process does.
    #[arg(long, value_name = "PID", hide = true)]
    pub fleet_parent: Option<i32>,
}

/// `tidegate kubernetes`.
#[derive(Debug, Args)]
pub struct KubernetesArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Image with tidegate as its entry point
    #[arg(long, value_name = "IMAGE", default_value = concat!("tidegate:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Folder of the image that `tidegate compile` filled as user 65532. Default: each pod compiles what it runs
    #[arg(long, value_name = "DIR")]
    pub cache: Option<String>,
    /// When the jobs run, as in cron. Default: hourly, each at a minute of its own
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// Namespace of all objects. Default: none, so that of kubectl
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Size of the volume of a job that keeps files, and of its /tmp
    #[arg(long, value_name = "SIZE", default_value = "10Gi")]
    pub storage: String,
    /// Print one CronJob for all jobs, whose pods (this many) each run a part of them
    #[arg(long, value_name = "PODS", value_parser = clap::value_parser!(u32).range(1..=i64::from(FLEET_SHARDS_MAX)))]
    pub indexed: Option<u32>,
    /// Jobs that run at the same time in each of these pods
    #[arg(long, value_name = "N", value_parser = parallel(), default_value = "2", requires = "indexed")]
    pub parallel: u16,
    /// `json`: print one object, a List
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
}

/// `tidegate demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the result. Default: a new temporary folder
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// `tidegate help`.
#[derive(Debug, Args)]
pub struct HelpArgs {
    /// A command, or one of the topics `exit-codes`, `settings`, `cron`
    #[arg(value_name = "TOPIC")]
    pub topic: Option<String>,
}

/// `tidegate completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: CompletedShell,
}

/// `tidegate man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command; without it, tidegate itself
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

/// `tidegate new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What to start.
    #[command(subcommand)]
    pub what: New,
}

/// What `tidegate new` can start.
#[derive(Debug, Subcommand)]
pub enum New {
    /// Make the folder NAME with a connector that builds, runs and is tested
    #[command(after_help = NEW_CONNECTOR_EXAMPLES)]
    Connector(NewConnectorArgs),
}

/// `tidegate new connector`.
#[derive(Debug, Args)]
pub struct NewConnectorArgs {
    /// Its name and its folder: lower case letters, digits and `-`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The language
    #[arg(long, value_name = "LANG")]
    pub lang: Language,
}

/// The languages that there are templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust
    Rust,
    /// Python
    #[value(alias = "py")]
    Python,
    /// JavaScript
    #[value(alias = "javascript")]
    Js,
    /// TypeScript
    #[value(alias = "typescript")]
    Ts,
    /// Go
    #[value(alias = "golang")]
    Go,
    /// C
    C,
}

/// The shells that completions are for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CompletedShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(
        (policy, tenant): (Option<&str>, Option<&str>),
        built_in: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<(Option<String>, Option<String>), String> {
        let mut under = UnderArgs {
            policy: policy.map(PathBuf::from),
            tenant: tenant.map(str::to_owned),
        };
        under.complete(built_in, |name| {
            let mut known = environment.iter();
            known
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        })?;
        let policy = under.policy.map(|path| path.display().to_string());
        Ok((policy, under.tenant))
    }

    fn pair(policy: &str, tenant: &str) -> (Option<String>, Option<String>) {
        (Some(policy.to_owned()), Some(tenant.to_owned()))
    }

    const BOTH: [(&str, &str); 2] = [("TIDEGATE_POLICY", "/env"), ("TIDEGATE_TENANT", "zoo")];

    #[test]
    fn the_command_line_comes_before_the_environment() {
        assert_eq!(
            completed((None, None), None, &BOTH),
            Ok(pair("/env", "zoo"))
        );
        assert_eq!(
            completed((Some("/flag"), Some("acme")), None, &BOTH),
            Ok(pair("/flag", "acme"))
        );
        let empty = [("TIDEGATE_POLICY", ""), ("TIDEGATE_TENANT", "")];
        assert_eq!(completed((None, None), None, &empty), Ok((None, None)));
    }

    #[test]
    fn a_policy_that_was_built_in_is_in_force_and_no_other() {
        let built_in = Some("/etc/policy.toml");

        assert_eq!(
            completed((None, Some("acme")), built_in, &[]),
            Ok(pair("/etc/policy.toml", "acme"))
        );
        assert_eq!(
            completed((Some("/etc/policy.toml"), Some("acme")), built_in, &[]),
            Ok(pair("/etc/policy.toml", "acme"))
        );
        // Whose job it is may be missing; that is refused where the policy is read.
        assert_eq!(
            completed((None, None), built_in, &[]),
            Ok((Some("/etc/policy.toml".to_owned()), None))
        );
        for (flags, environment) in [
            ((Some("/mine"), None), &[][..]),
            ((Some("../etc/policy.toml"), None), &[]),
            ((None, None), &BOTH),
        ] {
            let refused = completed(flags, built_in, environment).unwrap_err();
            assert!(refused.contains("takes no other"), "{refused}");
        }
        assert!(completed((None, None), Some("policy.toml"), &[]).is_err());
    }

    #[test]
    fn a_tenant_has_a_name_and_a_policy() {
        assert!(completed((None, Some("acme")), None, &[]).is_err());
        assert!(completed((None, None), None, &BOTH[1..]).is_err());
        let wrong = [BOTH[0], ("TIDEGATE_TENANT", "../x")];
        assert!(completed((None, None), None, &wrong).is_err());
    }
}
