//! The command line: what a person may type, and what `--help` says of it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const ABOUT: &str = "Data-sync jobs for cron: fetches what changed from an HTTP API, and publishes data and cursor in one rename";

const EXAMPLES: &str = "\
Examples:
  tidegate demo                                      see it work, on your machine, in a second
  tidegate describe --env-example > orders.env       start a job: fill in the file
  tidegate check --env-file orders.env               is anything wrong with it? all of it at once
  tidegate check --online --env-file orders.env      what does the API answer, and which settings fit it?
  tidegate preview --env-file orders.env             the first records as they would be published
  tidegate run --env-file orders.env                 the line for cron
  tidegate health --env-file orders.env              is the data fresh? 0 yes, 1 no, 2 unknown

Exit codes: 0 published or nothing new, 64/78 your command or settings, 65 a gate refused the data,
69 the source refused, 70 the component failed, 73/74 the output folder, 75 try again later,
76 the answer made no sense, 77 not allowed, 130/143 stopped. `README.md` has the whole table.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about = ABOUT, after_help = EXAMPLES, disable_help_subcommand = true)]
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
    /// Say whether the settings make sense; with `--online`, what one request shows. Touches no output folder
    Check(CheckArgs),
    /// Fetch, and print the first records as they would be published; publishes nothing
    Preview(PreviewArgs),
    /// List every setting: what it means, its default, an example
    Describe(DescribeArgs),
    /// Say whether the published data is fresh: exit 0 fresh, 1 stale or the last run failed, 2 unknown
    Health(HealthArgs),
    /// Print the built-in component, to run it in another WASI 0.2 runtime
    Component,
    /// Start a small API on this machine, sync it three times, and show what happened
    Demo(DemoArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  tidegate run --env-file shared.env --env-file orders.env
  tidegate run --env-file orders.env --set MAX_PAGES=3 --dry-run
  tidegate run --env-file orders.env --full-refresh       weekly, say: finds what was deleted at the source
  tidegate run --env-file orders.env --from 2026-11-01 --to 2026-11-08
  0 6 * * *  tidegate run --env-file /etc/sync/orders.env >> /var/log/orders.log     in crontab, with MAILTO";

/// Where settings come from.
#[derive(Debug, Args, Default, Clone)]
pub struct GivenArgs {
    /// Read settings from this file, one NAME=VALUE a line; may be repeated, later files win
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub env_file: Vec<PathBuf>,
    /// Set one setting, over the environment and the files; no secrets
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Settings")]
    pub set: Vec<String>,
    /// Use this component instead of the built-in one
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub component: Option<PathBuf>,
    /// Refuse a component whose sha256 is another one
    #[arg(long, value_name = "HEX", help_heading = "Settings")]
    pub component_sha256: Option<String>,
}

/// `tidegate check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Make one request as well: show what was understood of its answer, and lines to paste into the settings
    #[arg(long)]
    pub online: bool,
}

/// `tidegate preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenArgs,
    /// How many records to print
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
    /// Fetch everything and publish it in place of the old set
    #[arg(long, help_heading = "This run")]
    pub full_refresh: bool,
    /// Read a range of the cursor again, from this value on, and leave the cursor where it is
    #[arg(
        long,
        value_name = "VALUE",
        requires = "to",
        conflicts_with = "full_refresh",
        help_heading = "This run"
    )]
    pub from: Option<String>,
    /// Where that range ends; this value is not part of it
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
    /// Let a set through that shrank by more than MAX_SHRINK_PERCENT, or lost more than MAX_DELETE_PERCENT to deletions
    #[arg(long, help_heading = "This run")]
    pub allow_shrink: bool,
    /// Go on although this setting differs from the last run's; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "This run")]
    pub accept_change: Vec<String>,
    /// Move a `latest.*` or `state.json` that is not ours to `before-tidegate/`, and go on
    #[arg(long, help_heading = "This run")]
    pub adopt: bool,
    /// `json`: print the summary and nothing else to stdout
    #[arg(long, value_name = "FORMAT", help_heading = "This run")]
    pub output: Option<OutputKind>,
    /// Log nothing; for callers within the library.
    #[arg(skip)]
    pub quiet: bool,
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
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Describe this component instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// Print a file to fill in
    #[arg(long)]
    pub env_example: bool,
    /// Print a Markdown table, as README has it
    #[arg(long, conflicts_with = "env_example")]
    pub markdown: bool,
}

/// `tidegate health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Read settings from this file; only those that say where the data is, MAX_AGE and MAX_CURSOR_AGE matter here
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Set one setting, say OUTPUT_DIR
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The last success may be this old, say 2h; instead of MAX_AGE
    #[arg(long, value_name = "SPAN")]
    pub max_age: Option<String>,
    /// The newest record may be this old, say 6h; instead of MAX_CURSOR_AGE
    #[arg(long, value_name = "SPAN")]
    pub max_cursor_age: Option<String>,
    /// Read the published files and compare their checksums; of a database, count the rows
    #[arg(long)]
    pub verify: bool,
    /// `json`: print one JSON object
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputKind>,
}

/// `tidegate demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to put the result; without it a new temporary folder
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}
