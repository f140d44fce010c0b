//! End-to-end tests: the real binary, a scripted source on loopback, a real folder.
//!
//! One test binary, so that everything is built once. Where a new test goes:

/// `tests/advisories.sh`.
mod advisories;
/// Alerts and pings.
mod alerts;
/// The component alone, in a plain runtime with stock WASI.
mod alone;
/// What an answer means: programs that find its records, pages without any, statuses.
mod answers;
/// `WRITE_MODE=append`.
mod append;
/// `docs/security.md`, and attacks that no other module performs.
mod attacks;
/// How we say who we are: tokens, client certificates, and what is sent in a query or as user and password.
mod auth;
/// What comes before a run: nothing there waits for ever, or takes more than it may.
mod before;
/// The credential is nowhere.
mod canary;
/// Components that are compiled once, and the limits of that.
mod compiled;
/// Signs of records that were not fetched, pages that end oddly, and keys that are none.
mod completeness;
/// What the summary of a run counts, and how much is logged.
mod counts;
/// A run killed, or refused, at every call: readers see the old set or the new one.
mod crash;
/// `tidegate diff`.
mod diff;
/// README and `docs/`: their examples, errors and links.
mod docs;
/// The component in other runtimes, held to the host.
mod elsewhere;
/// The examples of connectors in other languages, `guest/examples`: each built by its own script.
mod examples;
/// One test or more for each row of README's table of exit codes.
mod exit_codes;
/// Exports: a job that is started, waited for and fetched.
mod exports;
/// What the line of a failed run says.
mod failures;
/// What can go wrong between a source and a run, each at every place of a run.
mod faults;
/// A folder of jobs.
mod fleet;
/// Files that an operator names: pipes, devices, and what others can write.
mod given;
/// Random histories of a changing source, held to a model.
mod histories;
/// A source that speaks HTTP/2 alone.
mod http2;
/// What the built component imports and exports, and that its WIT is documented.
mod imports;
/// Windows, ranges, sources that did not change, many pages.
mod incremental;
/// `inspect`.
mod inspect;
/// `kubernetes`.
mod kubernetes;
/// Components that take what they are not given, or say what is not so.
mod limits;
/// METRICS_FILE and `health --output prometheus`.
mod metrics;
/// The example of a connector.
mod minimal;
/// What the packages are made of.
mod packages;
/// `tidegate pin`, and KEEP_FOR.
mod pin;
/// The operator's policy for a tenant.
mod policy;
/// A job that comes in portions.
mod portions;
/// PostgreSQL: a real server, in a temporary folder.
mod postgres;
/// What the process shows of its memory.
mod process;
/// `tidegate test`: what it finds in a component, and what it finds in none.
mod proven;
/// Through a proxy: tinyproxy.
mod proxied;
/// Two runs at once.
mod race;
/// Readers that never stop reading.
mod readers;
/// The recipes of `docs/`, each against a scripted copy of its API.
mod recipes;
/// Records that were set aside, in a run that is published and in one that is refused.
mod rejected;
/// Parents whose records are replaced together, deletions, and the gate before them.
mod replacing;
/// `tidegate report` and its pages.
mod report;
/// Methods, forms and headers, as a server sees them.
mod requests;
/// `tidegate rollback`.
mod rollback;
/// `tidegate runs`.
mod runs;
/// What toolchains import whether a component needs it or not.
mod satisfied;
/// Where settings come from, and how their problems are told.
mod settings;
/// Members of records that are other than before.
mod shapes;
/// Requests that the host signs, and the example of a connector for such an API.
mod signed;
/// A load from a source that sorts by the cursor.
mod sorted;
/// Data that goes to a SQLite database.
mod sqlite;
/// `tidegate state`.
mod state;
/// Folders that others can write to, files that are not ours.
mod strangers;
/// OUTPUT_HISTORY: `diff` and `rollback` of a table.
mod table_history;
/// csv and compression.
mod tables;
/// `new connector`, and the connectors that it starts.
mod templates;
/// Settings whose text stands in a file of its own.
mod texts;
/// Rules of this repository.
mod tidy;
/// Traces by OTLP.
mod traces;
/// A source whose keys change their JSON type.
mod twins;
/// `preview` and `check --online`.
mod unpublished;
/// `SOURCE_FORMAT=xml`: feeds, listings, SOAP, and what is no page.
mod xml;

/// The scripted source.
mod server;
/// A job, its runs, and what must hold after every one of them.
mod world;
