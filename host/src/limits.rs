//! What an operator, a component, a server or a file can make wait or grow is limited here.
//!
//! These can be set: `RUN_DEADLINE`, `CPU_LIMIT`, `COMPILE_CPU_LIMIT`, `MEMORY_LIMIT`, `DESCRIBE_MEMORY_LIMIT`, `TABLE_LIMIT`,
//! `INSTANCE_LIMIT`, `SOURCE_TIMEOUT`, `MAX_RESPONSE_BYTES`, `MAX_RECORD_BYTES`, `MAX_RETRIES` and `RETRY_PAUSE`. The others are the same for every job.
//! Reaching a limit ends the run and names it, unless its comment says that the rest is cut, counted or left. Block sizes
//! and polling intervals are beside the code that uses them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The limits of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// The whole run, from the lock to the swap (`RUN_DEADLINE`).
    pub run_deadline: Duration,
    /// CPU time of the component in one run, all portions together; waiting does not count (`CPU_LIMIT`).
    pub cpu: Duration,
    /// Memory of the component: its own, and what the host holds for it (`MEMORY_LIMIT`).
    pub memory_bytes: u64,

    /// How often the run tries again what a database could not do for a moment (`MAX_RETRIES`, which a component may read too).
    pub retries: u32,
    /// The pause before the first retry (`RETRY_PAUSE`).
    pub retry_pause: Duration,

    // The component: its file, its memory, its calls.
    /// The component file.
    pub component_bytes: u64,
    /// Components inside one another.
    pub component_depth: usize,
    /// Core modules in the component file.
    pub component_modules: usize,
    /// Instances of components inside the component, each counted as often as it is made.
    pub component_instances: usize,
    /// Components that have an index in one component, those that an alias or an export names again included.
    pub component_indices: usize,
    /// CPU time of compiling the component (`COMPILE_CPU_LIMIT`).
    pub compile_cpu: Duration,
    /// How much memory the process may take while it compiles, besides what it had.
    pub compile_memory_bytes: u64,
    /// From the start of the component for `describe` to its answer, if it only waits; the same for asking it what is wrong with
    /// its settings.
    pub describe_wall: Duration,
    /// The same if it computes, for which a busy machine may give it little time.
    pub describe_wall_max: Duration,
    /// CPU time of `describe`.
    pub describe_cpu: Duration,
    /// Linear memory during `describe` (`DESCRIBE_MEMORY_LIMIT`).
    pub describe_memory_bytes: u64,
    /// The component's stack.
    pub stack_bytes: usize,
    /// Entries of each table of the component (`TABLE_LIMIT`).
    pub table_elements: usize,
    /// Core instances inside the component; as many memories and as many tables (`INSTANCE_LIMIT`).
    pub instances: usize,
    /// Things of the host that a component may hold at the same time: headers, requests, bodies, streams, pollables, files.
    pub resource_handles: usize,
    /// Bytes of strings and lists a component may pass in one host call.
    pub hostcall_bytes: usize,
    /// Bytes of random numbers a component may ask for in one call.
    pub random_call_bytes: u64,
    /// The same, all calls of one portion together.
    pub random_bytes: u64,

    // What a component returns and stages.
    /// The state a component may return.
    pub state_bytes: usize,
    /// Any other text that a component returns: its description, its cursor, its messages, what it found, and the reason and
    /// the pointer of a rejected record. What is longer is refused, or cut where only people read it.
    pub words_bytes: usize,
    /// Settings a component may declare.
    pub declared_settings: usize,
    /// The name of one of them.
    pub setting_name_bytes: usize,
    /// Their texts together, with the component's own.
    pub description_bytes: usize,
    /// Entries of any other list that a component returns: problems, findings, suggestions. The rest is counted.
    pub words_listed: usize,
    /// Portions that one run may come in, each committed by itself.
    pub portions: u64,
    /// Bytes a component may stage in one run, all files together, holes included.
    pub staged_bytes: u64,
    /// Bytes of one staged file that are looked through for the counts of a run that failed; a longer one is not counted.
    pub staged_counted_bytes: u64,
    /// Files a component may make in its staging folder. Each is held open.
    pub staged_files: usize,
    /// Bytes of staged records that `preview` looks at; it shows the whole lines among them.
    pub preview_bytes: u64,
    /// One line of a staged file: a record (`MAX_RECORD_BYTES`), and what is around a rejected one.
    pub staged_line_bytes: usize,
    /// One line of a published file, whatever `MAX_RECORD_BYTES` was when it was staged.
    pub published_line_bytes: usize,

    // The log and messages.
    /// Log lines taken from a component in one run, all portions together; the rest is counted and dropped.
    pub log_lines: u64,
    /// Bytes of one log line taken from a component, as it is written; the rest of the line is dropped.
    pub log_line_bytes: usize,
    /// Bytes of the component's last log line in the message of its failure; the rest is cut.
    pub last_line_bytes: usize,
    /// Bytes that these lines take in the log, as they are written; the rest is counted and dropped.
    pub log_bytes: u64,
    /// Any other text in a line of the log: a reason that a server or a database gave, say. A longer one is cut.
    pub log_field_bytes: usize,
    /// The message of a failure, in `last-run.json` and in the summary; a longer one is cut.
    pub message_bytes: usize,
    /// The line a failure writes to stderr: the message, what is intact and what to do.
    pub error_line_bytes: usize,

    // The network.
    /// Requests in one run, retries and redirects included.
    pub requests: u64,
    /// Between the beginnings of two requests, at least; nothing where no policy says so. A faster one waits.
    pub request_pause: Duration,
    /// Requests open at the same time.
    pub requests_open: usize,
    /// Requests whose answer has not come, those that wait for their turn included.
    pub requests_pending: usize,
    /// Method, URL and headers of one request.
    pub request_head_bytes: usize,
    /// The body of one request.
    pub request_body_bytes: u64,
    /// Status line and headers of one answer.
    pub response_head_bytes: usize,
    /// Header lines of one answer.
    pub response_headers: usize,
    /// The body of one answer as it comes over the wire (`MAX_RESPONSE_BYTES`).
    pub response_wire_bytes: u64,
    /// The body of one answer after decoding (`MAX_RESPONSE_BYTES`).
    pub response_decoded_bytes: u64,
    /// Decoded bytes of all answers of a run.
    pub run_decoded_bytes: u64,
    /// Decoded bytes for each byte on the wire, after the first MiB.
    pub decode_ratio: u64,
    /// Resolving a name and opening a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the request being sent to the first byte of the answer (`SOURCE_TIMEOUT`).
    pub first_byte_timeout: Duration,
    /// Between two bytes of an answer.
    pub idle_timeout: Duration,
    /// One whole answer, so that a dripping server cannot hold the run to its deadline. `SOURCE_TIMEOUT` is added.
    pub response_timeout: Duration,
    /// Addresses of one name that are tried, of each family (IPv4, IPv6); each gets its share of `connect_timeout`.
    pub addresses_tried: usize,
    /// The answer of `SOURCE_TOKEN_URL`.
    pub token_bytes: usize,
    /// Asking for one access token, from looking up the name to the end of the answer.
    pub token_timeout: Duration,

    // The output.
    /// Memory for sorting records by key; what does not fit is sorted in files.
    pub sort_buffer_bytes: usize,
    /// Sorted files merged at once.
    pub sort_runs: usize,
    /// Parents that one run may replace (`REPLACE_BY`): they are held in memory, in some 90 MiB at the most.
    pub parents: usize,
    /// The keys of all these parents together.
    pub parents_bytes: usize,

    // What the manifest remembers of the records (`SCHEMA_DRIFT`). The rest is not compared; the log says so once.
    /// Members of records that are remembered, those inside of objects included.
    pub drift_members: usize,
    /// Their names together, as JSON writes them.
    pub drift_names_bytes: usize,
    /// The name of one of them.
    pub drift_name_bytes: usize,
    /// Members of one object inside of records. One that has more is a map, whose names are data: none of them is remembered.
    pub drift_object_members: usize,

    // Databases.
    /// An answer of a database server to anything that is no load: its state, a lock, the beginning of a transaction.
    pub database_answer: Duration,
    /// Waiting for a lock of another transaction (`lock_timeout`): this, or half of RUN_DEADLINE if that is less. A statement may
    /// take as long as the run, and as long may the connection be idle in a transaction (`statement_timeout`, `idle_in_transaction_session_timeout`).
    pub database_lock: Duration,
    /// From `COMMIT` to its answer. It comes when the server's disks, and its standbys where it waits for them, have it.
    pub database_commit: Duration,
    /// Telling a server that a statement, or the session, is over.
    pub database_goodbye: Duration,
    /// Finding out what became of a commit whose answer was lost.
    pub database_resolve: Duration,

    /// Each step of writing or reading how a run ended in a database (`tidegate_runs`): connecting, and each statement; also
    /// finding out who holds a lock. What takes longer is left, with a warning.
    pub database_record: Duration,
    /// Runs of one job that are recorded there, or in `runs.ndjson`; the oldest go.
    pub runs_kept: u32,
    /// How long a row that was replaced or deleted stays in the history of its table (`OUTPUT_HISTORY_FOR`).
    pub history_kept: Duration,
    /// Generations that the history of a table goes back, whatever their age.
    pub history_generations: u64,
    /// The requests of a run that are in its trace; none without one.
    pub requests_traced: usize,
    /// A `runs.ndjson`; of a larger one, the end is kept.
    pub history_bytes: u64,
    /// How long another run that adds a line to it is waited for.
    pub history_lock: Duration,

    /// How long another writer of a database is waited for.
    pub database_busy: Duration,
    /// What an append run remembers of its records in a database, 16 bytes of each: it is one value there.
    pub remembered_bytes: u64,

    // csv.
    /// Columns of a csv file that no `OUTPUT_COLUMNS` names.
    pub csv_columns: usize,
    /// Their names together: the manifest holds them.
    pub csv_columns_bytes: usize,

    // Files and folders of the host.
    /// A manifest, a `last-run.json`.
    pub manifest_bytes: u64,
    /// Folders inside one leftover that are removed; a larger one is left to a person.
    pub leftover_folders: usize,
    /// Entries of the system's temporary folder, anybody's, among which leftovers are looked for.
    pub temporary_entries: usize,
    /// Removing what killed runs left in the way of nobody; the next run goes on with the rest.
    pub sweep_time: Duration,
    /// Removing a run's own working folder at its end, after the deadline and a signal too; the next run goes on with the rest.
    pub tidy_time: Duration,
    /// Files that are kept, of components two each: compiled, and what it says of itself. The oldest go.
    pub cache_files: usize,
    /// One of them, and all together.
    pub cache_bytes: u64,
    /// An unfinished file in the cache stays this long: somebody may be writing it.
    pub cache_unfinished_kept: Duration,
    /// A settings file: `--env-file`, `NAME_FILE`.
    pub settings_file_bytes: u64,
    /// From opening a settings file that is a pipe to the end of what comes from it.
    pub settings_pipe_wait: Duration,
    /// Different published sets that are kept because of KEEP_FOR; KEEP_GENERATIONS alone may be more.
    pub sets_kept: usize,
    /// Generations that a person may pin.
    pub pinned: usize,
    /// How long a superseded generation stays at the least, so that a reader that opened it by name can finish.
    pub superseded_kept: Duration,
}

impl Default for Limits {
    #[expect(clippy::too_many_lines, reason = "a line for each limit")]
    fn default() -> Self {
        Self {
            run_deadline: Duration::from_mins(15),
            cpu: Duration::from_mins(5),
            memory_bytes: 256 * MIB,
            retries: 3,
            retry_pause: Duration::from_secs(2),

            component_bytes: 64 * MIB,
            component_depth: 8,
            component_modules: 200,
            component_instances: 200,
            component_indices: 1_000,
            compile_cpu: Duration::from_mins(2),
            compile_memory_bytes: GIB,
            describe_wall: Duration::from_secs(5),
            describe_wall_max: Duration::from_mins(1),
            describe_cpu: Duration::from_secs(1),
            describe_memory_bytes: 64 * MIB,
            stack_bytes: 512 * 1024,
            table_elements: 32_768,
            instances: 128,
            resource_handles: 10_000,
            hostcall_bytes: 8 * 1024 * 1024,
            random_call_bytes: MIB,
            random_bytes: 64 * MIB,
            state_bytes: 64 * 1024,
            words_bytes: 4 * 1024,
            declared_settings: 200,
            setting_name_bytes: 64,
            description_bytes: 256 * 1024,
            words_listed: 50,
            portions: 10_000,
            staged_bytes: 8 * GIB,
            staged_counted_bytes: 256 * MIB,
            staged_files: 40,
            preview_bytes: 8 * MIB,
            staged_line_bytes: 32 * 1024 * 1024 + STAGED_LINE_EXTRA_BYTES,
            published_line_bytes: RECORD_BYTES_MAX + STAGED_LINE_EXTRA_BYTES,
            log_lines: 10_000,
            log_line_bytes: 4 * 1024,
            last_line_bytes: 512,
            log_bytes: MIB,
            log_field_bytes: 8 * 1024,
            message_bytes: 3 * 1024,
            error_line_bytes: 4 * 1024,

            requests: 50_000,
            request_pause: Duration::ZERO,
            requests_open: 10,
            requests_pending: 16,
            request_head_bytes: 64 * 1024,
            request_body_bytes: MIB,
            response_head_bytes: 64 * 1024,
            response_headers: 100,
            response_wire_bytes: 64 * MIB,
            response_decoded_bytes: 64 * MIB,
            run_decoded_bytes: 8 * GIB,
            decode_ratio: 100,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_mins(5),
            addresses_tried: 4,
            token_bytes: 64 * 1024,
            token_timeout: Duration::from_mins(1),

            sort_buffer_bytes: 16 * 1024 * 1024,
            sort_runs: 64,
            parents: 1_000_000,
            parents_bytes: 32 * 1024 * 1024,
            drift_members: 500,
            drift_names_bytes: 64 * 1024,
            drift_name_bytes: 256,
            drift_object_members: 64,
            database_answer: Duration::from_secs(30),
            database_lock: Duration::from_secs(20),
            database_commit: Duration::from_mins(2),
            database_goodbye: Duration::from_secs(2),
            database_resolve: Duration::from_mins(1),
            database_record: Duration::from_secs(5),
            runs_kept: 1_000,
            history_kept: Duration::from_hours(90 * 24),
            history_generations: 10_000,
            requests_traced: 0,
            history_bytes: 64 * MIB,
            history_lock: Duration::from_secs(1),

            database_busy: Duration::from_secs(30),
            remembered_bytes: 64 * MIB,
            csv_columns: 1_000,
            csv_columns_bytes: 100 * 1024,
            manifest_bytes: MIB,
            leftover_folders: 100_000,
            temporary_entries: 10_000,
            sweep_time: Duration::from_mins(1),
            tidy_time: Duration::from_secs(5),
            cache_files: 32,
            cache_bytes: 512 * MIB,
            cache_unfinished_kept: Duration::from_hours(1),
            settings_file_bytes: MIB,
            settings_pipe_wait: Duration::from_secs(5),
            sets_kept: 1_000,
            pinned: 100,
            superseded_kept: Duration::from_mins(1),
        }
    }
}

// What is the same for every job and every test.

// Names and columns in settings.

/// Columns in OUTPUT_COLUMNS. More than this is a mistake; SQLite and PostgreSQL allow few more.
pub const COLUMNS_MAX: usize = 500;
/// PostgreSQL cuts a longer name.
pub const POSTGRES_NAME_BYTES_MAX: usize = 63;
/// OUTPUT_TABLE: PostgreSQL cuts a longer name.
pub const TABLE_NAME_BYTES_MAX: usize = 63;
/// As a table may be named after the job.
pub const JOB_NAME_BYTES_MAX: usize = 63;
/// The requests of a run that are in its trace.
pub const REQUESTS_TRACED_MAX: usize = 1_000;
/// Sending a trace, at the end of a run.
pub const TRACES_SENT_MAX: Duration = Duration::from_secs(10);
/// The same of a run that was stopped by a signal.
pub const TRACES_STOPPED_MAX: Duration = Duration::from_secs(2);
/// What a collector answers.
pub const TRACES_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A METRICS_FILE, which has some 10 KB.
pub const METRICS_BYTES_MAX: u64 = 64 * 1024;
/// No parameter of libpq has a longer name.
pub const URL_PARAMETER_BYTES_MAX: usize = 32;

// What a component's calls and names may be.

/// The most that `TABLE_LIMIT` can be.
pub const TABLE_ELEMENTS_MAX: usize = 1_000_000;
/// The most that `INSTANCE_LIMIT` can be.
pub const INSTANCES_MAX: usize = 1_000;
/// Imports that are named when they are refused.
pub const IMPORTS_NAMED_MAX: usize = 20;
/// Imports that `inspect` lists; the rest is counted.
pub const IMPORTS_LISTED_MAX: usize = 200;
/// How much of the name of each is shown.
pub const IMPORT_CHARS_MAX: usize = 100;
/// Where a component's monotonic clock begins, at the most.
pub const CLOCK_ORIGIN_MAX_MS: u64 = 3_600_000;
/// The name of a staged file: the longest that Linux takes.
pub const STAGED_NAME_BYTES_MAX: usize = 255;
/// What one call of a stream may carry.
pub const STREAM_CALL_BYTES_MAX: usize = 1024 * 1024;
/// What one write to the log may carry; more ends the run.
pub const LOG_WRITE_BYTES_MAX: usize = 64 * 1024;

// The component's process, and what goes between it and its parent.

/// One call, as JSON: settings, a state and limits.
pub const CALL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One answer, as JSON: what a component may say in all, six times for how JSON escapes it, is far less.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The head of a request or an answer on the way between them. What may be in it is `request_head_bytes` and `response_head_bytes`.
pub const EXCHANGE_HEAD_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes of an answer that wait in the parent for the process to take them, for each request.
pub const EXCHANGE_SEND_BYTES_MAX: usize = 512 * 1024;
/// Bytes of an answer that wait in the process for the component to take them, for each request: one that is not read holds up no
/// other.
pub const EXCHANGE_READ_BYTES_MAX: u32 = 512 * 1024;
/// Requests that were given up before they were looked at; more end the connection.
pub const EXCHANGE_RESETS_MAX: usize = 20;
/// Memory of the component's process, besides what the component may have.
pub const CHILD_MEMORY_MAX: u64 = 128 * MIB;
/// The stack of its first thread, which does not count as such memory. Who started the run may have left it without a limit.
pub const CHILD_STACK_MAX: u64 = 8 * MIB;
/// Descriptors of the component's process, its staged files among them.
pub const CHILD_FILES_MAX: u64 = 64;
/// How much is kept of the end of what it writes to stderr, for the words of a panic.
pub const LAST_WORDS_BYTES_MAX: usize = 4 * 1024;
/// How much more disk than `staged_bytes` the staging folder may take before the process is ended: files take whole blocks.
pub const STAGED_SPARE_BYTES_MAX: u64 = 64 * MIB;
/// Threads that compile a component. Each takes memory of its own.
pub const COMPILE_THREADS_MAX: usize = 8;
/// CPU time of its own that it may have besides the component's: loading it, starting and ending.
pub const CHILD_CPU_MAX: Duration = Duration::from_millis(500);
/// How long the end of a run waits for the last lines of a component that was killed.
pub const LAST_LINES_MAX: Duration = Duration::from_millis(500);
/// How long that process may take to end once it has answered, and again once it was killed.
pub const CHILD_END_MAX: Duration = Duration::from_secs(2);

// What a source or a token endpoint may send.

/// What DNS can carry; it also keeps error texts short.
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// What a server may send of one answer before it is read, with HTTP/2.
pub const HTTP2_STREAM_BYTES_MAX: u32 = 1024 * 1024;
/// The same of all answers of one connection.
pub const HTTP2_CONNECTION_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Streams that a server has us reset, or that we gave up, which a connection remembers; more end it.
pub const HTTP2_RESETS_MAX: usize = 20;
/// Cookies that are kept of a source; the oldest go first.
pub const COOKIES_MAX: usize = 50;
/// One line of Set-Cookie; a longer one is passed over.
pub const COOKIE_BYTES_MAX: usize = 4096;
/// No cookie is kept for longer than a run; it also keeps the arithmetic of clocks within its bounds.
pub const COOKIE_AGE_MAX: Duration = Duration::from_hours(24 * 365);
/// The head of a proxy's answer to CONNECT. Only its status is used.
pub const PROXY_HEAD_BYTES_MAX: usize = 16 * 1024;
/// No token is kept for longer; it also keeps the arithmetic of clocks within its bounds.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_hours(24 * 365);
/// An error code of a token endpoint; a longer one is not shown.
pub const TOKEN_ERROR_BYTES_MAX: usize = 64;
/// How much of an answer is looked at for AWS's code of a refused signature, which comes first.
pub const REFUSAL_BYTES_MAX: usize = 8 * 1024;
/// How much the clock by which requests are signed is corrected: by the offset of a time zone, and not to a day of the source's
/// choice.
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_hours(24);
/// The name of a region or a service of AWS.
pub const AWS_NAME_BYTES_MAX: usize = 63;
/// Signatures in one request. One that two places have counts once.
pub const SIGNATURES_MAX: usize = 4;
/// What one signature signs. Its stand-in has to fit into `request_head_bytes`. `wit/signer.wit` names it.
pub const SIGNED_MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// An access token: as much as most servers take in a header.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// How much of a text that held an echoed credential is shown.
pub const ECHO_TEXT_CHARS_MAX: usize = 64;

// How long a secret is looked for.

/// Access tokens that are looked for besides the secrets that were given; the ones before these expired long ago.
pub const TOKENS_LEARNED_MAX: usize = 16;
/// Values of cookies.
pub const COOKIES_LEARNED_MAX: usize = 64;
/// Keys that were read again from their file, and parts of them; an older one was replaced that often since.
pub const KEYS_LEARNED_MAX: usize = 256;
/// How long all notices of a run's end may take: alerts, pings and ALERT_COMMAND, which are sent at the same time.
pub const NOTICES_MAX: Duration = Duration::from_secs(10);
/// How much of the answer to one is read, and for how long. The rest is left.
pub const NOTICE_ANSWER_BYTES_MAX: usize = 4 * 1024;
pub const NOTICE_ANSWER_MAX: Duration = Duration::from_secs(1);
/// The text of a notice, in bytes: the least that a service takes is ntfy's 4,096. A longer one is cut.
pub const NOTICE_TEXT_BYTES_MAX: usize = 3_000;
/// Its title.
pub const NOTICE_TITLE_BYTES_MAX: usize = 150;
/// PagerDuty's `summary`: 1,024 characters.
pub const PAGERDUTY_SUMMARY_BYTES_MAX: usize = 1_000;
/// How long a program that prints a secret may take.
pub const COMMAND_MAX: Duration = Duration::from_secs(10);
/// How much it may print.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Reading the file of a key again after a 401. One that does not answer is not read again in this run.
pub const KEY_REREAD_MAX: Duration = Duration::from_secs(10);

// What is kept, tried or shown of output.

/// The most that `MAX_RECORD_BYTES` can be.
pub const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Read at once of the records that a component stages, while it runs.
pub const FOLLOWED_PIECE_BYTES_MAX: usize = 256 * 1024;
/// So many such pieces are kept for the sink, which may be slower than who looks for drift.
pub const FOLLOWED_PIECES_MAX: usize = 16;
/// What is around a record in a line of `rejected.ndjson`: its reason and its pointer.
pub const STAGED_LINE_EXTRA_BYTES: usize = 64 * 1024;
/// How much of the reason of a rejected record is shown.
pub const REJECTION_REASON_CHARS_MAX: usize = 200;
/// How much of its pointer is shown.
pub const REJECTION_POINTER_CHARS_MAX: usize = 100;
/// How much is shown of the reason for which a database cannot take a record: its statement may name a table and a column.
pub const SINK_REJECTION_CHARS_MAX: usize = 1_000;
/// What such a reason adds to the line of the record.
pub const SINK_REJECTION_BYTES_MAX: usize = 64 * 1024;
/// Names that are tried for a temporary folder: one that is taken is met once in a lifetime.
pub const TEMPORARY_NAMES_MAX: usize = 10;
/// How often a folder is removed that is found filled again: a component that is being killed may still write.
pub const REMOVAL_TRIES_MAX: usize = 3;
/// Names that are tried for one file: `state.json`, `state.json.1`, …
pub const ADOPTED_NAMES_MAX: u32 = 100;
/// Older generations that are looked at for the way back.
pub const WAY_BACK_GENERATIONS_MAX: usize = 20;
/// How often a lock is tried: in PostgreSQL a session that ended a moment ago may still hold it, in a folder somebody may look at it.
pub const LOCK_TRIES_MAX: u32 = 5;
/// A transaction that loads rows while the component runs waits no longer for these than so long, in all.
pub const AHEAD_WAIT_MAX: Duration = Duration::from_secs(1);
/// Pieces of such rows that wait to be sent.
pub const AHEAD_PIECES_MAX: usize = 4;
/// More digits than a `numeric` has room for before its point.
pub const NUMERIC_BYTES_MAX: usize = 131_072;
/// More keys of one run than this that a table has under another JSON type are a type that changed.
pub const TWINS_MAX: usize = 1_000;
/// Parts of a key of which each is looked for under another JSON type.
pub const TWIN_PARTS_MAX: usize = 6;
/// What a B-tree of PostgreSQL takes of a row's key: a third of a page of 8 KiB, without what it adds itself.
pub const POSTGRES_KEY_BYTES_MAX: usize = 2_696;
/// Sessions of others that are named when they are in the way of a run.
pub const HOLDERS_NAMED_MAX: usize = 3;
/// Members that changed which one message names (`SCHEMA_DRIFT`).
pub const DRIFT_TOLD_MAX: usize = 10;
/// Members that changed in one way which the summary lists.
pub const DRIFT_LISTED_MAX: usize = 20;
/// How much of the name of a member that changed is shown.
pub const DRIFT_NAME_BYTES_MAX: usize = 120;
/// How much of a database server's message is shown.
pub const SERVER_TEXT_CHARS_MAX: usize = 1_000;

// The least time between two runs (`min_interval` of a policy).

/// The times at which the jobs of a tenant last began, those within the interval: some 30,000 jobs.
pub const INTERVAL_BYTES_MAX: u64 = 4 * MIB;
/// How often the lock on them is tried, each time for `LOCK_TRIES_MAX` pauses; other runs hold it for a moment.
pub const INTERVAL_LOCK_TRIES_MAX: u32 = 100;

// A folder of jobs.

/// Entries of a folder of jobs, and of the folder of each tenant.
pub const FLEET_ENTRIES_MAX: usize = 10_000;
/// The name of a tenant, and of a job.
pub const FLEET_NAME_BYTES_MAX: usize = 63;
/// Resources of a job file.
pub const RESOURCES_MAX: usize = 1_000;
/// Jobs of a folder that run at the same time (`--parallel`).
pub const FLEET_PARALLEL_MAX: u16 = 256;
/// Parts that a folder of jobs is divided into (`--shard`).
pub const FLEET_SHARDS_MAX: u32 = 10_000;
/// The longest delay before a job of a folder starts (`--jitter`).
pub const FLEET_JITTER_MAX: Duration = Duration::from_hours(1);
/// The longest that one job of a folder may be given (`--job-deadline`), and may be waited for once it was told to end (`--grace`).
pub const FLEET_JOB_DEADLINE_MAX: Duration = Duration::from_hours(7 * 24);
/// Bytes that are passed on of what one job of a folder logs, besides its last line; the rest is counted and dropped.
pub const FLEET_LOG_BYTES_MAX: u64 = 4 * MIB;
/// The same of its stderr, which has one line when it failed.
pub const FLEET_STDERR_BYTES_MAX: u64 = 16 * KIB;
/// One line of either; the rest of a longer one is dropped.
pub const FLEET_LINE_BYTES_MAX: usize = 256 * 1024;
/// How long the last lines of a job are waited for once it has ended.
pub const FLEET_DRAIN_MAX: Duration = Duration::from_secs(2);
/// Failed jobs that the last line names; the rest is counted.
pub const FLEET_NAMED_MAX: usize = 10;

// Reports.

/// Runs that a report looks at, of one job (`--last`).
pub const REPORT_RUNS_MAX: usize = 200;
/// The same of all jobs of a folder together; each has at least `REPORT_RUNS_MIN`.
pub const REPORT_ALL_RUNS_MAX: usize = 20_000;
/// Runs of a job, however many jobs there are.
pub const REPORT_RUNS_MIN: usize = 10;
/// Why a run failed, and why a job is not fresh; the rest is cut.
pub const REPORT_MESSAGE_BYTES_MAX: usize = 1_000;
/// Any other text of a report; the rest is cut.
pub const REPORT_WORDS_BYTES_MAX: usize = 400;
/// What is known of one job, as a line that its process hands on; the oldest runs are left out.
pub const REPORT_LINE_BYTES_MAX: usize = 200 * 1024;
/// Jobs that a page lists, and those of which it has the details; the rest is counted.
pub const REPORT_JOBS_MAX: usize = 1_000;
pub const REPORT_DETAILED_MAX: usize = 200;
/// The details on one page; those of further jobs are left out.
pub const REPORT_PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a run waits for its page (`STATUS_PAGE`); then it ends without.
pub const STATUS_PAGE_TIME_MAX: Duration = Duration::from_secs(10);

// Manifests for Kubernetes.

/// The name of a CronJob: Kubernetes adds to it for the names of its jobs.
pub const KUBERNETES_NAME_BYTES_MAX: usize = 52;
/// The same of an Indexed Job: the name of its pods, with their number, is a label, too.
pub const KUBERNETES_INDEXED_NAME_BYTES_MAX: usize = 40;
/// The text of a ConfigMap: Kubernetes takes 1 MiB of all its parts.
pub const KUBERNETES_CONFIG_BYTES_MAX: usize = 900 * 1024;
/// A label of DNS.
pub const KUBERNETES_LABEL_BYTES_MAX: usize = 63;

// What runs have in common.

/// What a source may ask one run to wait, and all that share it wait: as long as the built-in component waits itself.
pub const RATE_HELD_MAX: Duration = Duration::from_mins(5);

// What is kept or shown of the process.

/// How much longer than RUN_DEADLINE a run may take to end, before `health` takes what it left for a killed run's.
pub const RUN_LATE_MAX: Duration = Duration::from_mins(1);

/// Panics of threads that nobody looks at, which are remembered until somebody asks for them.
pub const PANICS_KEPT_MAX: usize = 16;
/// A progress line is cut here, so that it does not wrap: what has wrapped cannot be written over.
pub const PROGRESS_CHARS_MAX: usize = 79;
