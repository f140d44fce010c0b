//! The log: one JSON object a line on stdout, or readable text on a terminal.
//!
//! Constant `msg`, values as fields. What is below LOG_LEVEL is left out. The one error line of a failed run goes to stderr and
//! is `main`'s. Every secret is replaced wherever it would appear, control characters never leave unescaped, and a log that
//! cannot be written never changes how a run ends.

mod last_words;

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use self::last_words::LastWords;

use crate::limits::{LAST_LINES_MAX, Limits, PROGRESS_CHARS_MAX};
use crate::secret::{Learned, Redactor, Secret};
use crate::words::{self, escaped, steers};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// `time level message name=value …`.
    Text,
    /// Text whose progress is one line at the bottom, written over by what comes next.
    Terminal,
    /// Nothing is written (`--output json` keeps stdout for the summary).
    Silent,
}

/// A handle to the log of one run; clones write to the same log.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    format: Format,
    least: Level,
    has_colours: bool,
    /// `run_id` and `job`, on every line.
    context: Map<String, Value>,
    redactor: Redactor,
    taken: Mutex<ComponentLines>,
    /// One more for each [`Reader`].
    readers: Arc<()>,
    out: Mutex<Out>,
}

/// What was taken from the component so far: in one run, however many portions it has.
#[derive(Default)]
struct ComponentLines {
    lines: u64,
    /// As they were written.
    bytes: u64,
    /// Lines after the limit.
    dropped: u64,
    /// What it wrote in the call at hand, for its failure to quote.
    last: LastWords,
    /// No more are taken.
    is_over: bool,
}

/// Somebody who reads a component's stderr.
pub struct Reader(#[expect(dead_code, reason = "it is counted")] Arc<()>);

/// How often is looked whether they are done.
const LAST_LINES_LOOK_EVERY: Duration = Duration::from_millis(1);

/// How much a line matters (`LOG_LEVEL`), the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// One line a page.
    Debug,
    #[default]
    Info,
    /// Look at it later.
    Warn,
    /// The run failed.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Its colour on a terminal that has colours (ECMA-48: SGR).
    fn colour(self) -> Option<&'static str> {
        match self {
            Self::Debug | Self::Info => None,
            Self::Warn => Some("\u{1b}[33m"),
            Self::Error => Some("\u{1b}[31m"),
        }
    }
}

/// What a line is, besides its level.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    /// What the run does now: on a terminal only the last such line is seen, down to `debug`.
    Progress,
}

struct Out {
    writer: Box<dyn Write + Send>,
    /// Before each line.
    mark: String,
    /// The last thing written was progress, and has no end of line yet.
    shows_progress: bool,
}

/// The end of a colour.
const PLAIN: &str = "\u{1b}[0m";
/// Back to the start of the line, and nothing left of it (ECMA-48: EL).
const CLEAR_LINE: &str = "\r\u{1b}[K";

impl Log {
    /// A log to stdout whose lines carry `context` and hide what `redactor` knows.
    pub fn new(format: Format, context: Map<String, Value>, redactor: Redactor) -> Self {
        Self::to(format, context, redactor, Box::new(std::io::stdout()))
    }

    /// A log that nobody reads.
    pub fn silent() -> Self {
        Self::to(
            Format::Silent,
            Map::new(),
            Redactor::default(),
            Box::new(std::io::sink()),
        )
    }

    /// The same as [`Log::new`], to any writer.
    pub fn to(
        format: Format,
        context: Map<String, Value>,
        redactor: Redactor,
        out: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                format,
                least: Level::default(),
                has_colours: false,
                context,
                redactor,
                taken: Mutex::default(),
                readers: Arc::default(),
                out: Mutex::new(Out {
                    writer: out,
                    mark: String::new(),
                    shows_progress: false,
                }),
            }),
        }
    }

    /// The same with `mark` before each line. Before it is cloned.
    #[must_use]
    pub fn marked(self, mark: String) -> Self {
        if let (false, Ok(mut out)) = (mark.is_empty(), self.shared.out.lock()) {
            out.mark = mark;
        }
        self
    }

    /// The same with nothing below `least`, and on a terminal in colours if it `has_colours`. Before it is cloned.
    #[must_use]
    pub fn showing(mut self, least: Level, has_colours: bool) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            (shared.least, shared.has_colours) = (least, has_colours);
        }
        self
    }

    /// Something happened as it should. `fields` is a JSON object.
    pub fn info(&self, msg: &'static str, fields: Value) {
        self.write(Level::Info, Kind::Event, msg, fields);
    }

    /// The run failed.
    pub fn error(&self, msg: &'static str, fields: Value) {
        self.write(Level::Error, Kind::Event, msg, fields);
    }

    /// One sentence for the person at the terminal, and nothing else on its line.
    pub fn say(&self, sentence: &str) {
        let line = escaped(&self.hide(sentence)) + "\n";
        self.print(Kind::Event, &line);
    }

    /// Leaves no progress behind on a terminal.
    pub fn end_progress(&self) {
        if let Ok(mut out) = self.shared.out.lock() {
            let _ = out.clear();
        }
    }

    /// The run has come this far: like [`Log::info`], but on a terminal only the last such line is seen.
    pub fn progress(&self, msg: &'static str, fields: Value) {
        self.write(Level::Info, Kind::Progress, msg, fields);
    }

    /// Look at this later. `fields` is a JSON object.
    pub fn warn(&self, msg: &'static str, fields: Value) {
        self.write(Level::Warn, Kind::Event, msg, fields);
    }

    /// A line of the component's stderr; of a longer one, `text` is the beginning, and it had `cut_from` bytes. One that begins
    /// with `warn: ` is a warning, with `debug: ` one of many; any but a warning is progress. After the limits of a run it is
    /// counted and dropped.
    pub fn component(&self, text: &str, cut_from: Option<u64>, limits: &Limits) {
        let Ok(mut taken) = self.shared.taken.lock() else {
            return;
        };
        if taken.is_over {
            return;
        }
        if taken.dropped > 0 || taken.lines >= limits.log_lines {
            taken.dropped = taken.dropped.saturating_add(1);
            return;
        }
        // Hidden before it is cut: the beginning of a secret would be found by nobody.
        let hidden = self.hide(text);
        let (level, kind, text) = if let Some(text) = hidden.strip_prefix("warn: ") {
            (Level::Warn, Kind::Event, text)
        } else if let Some(text) = hidden.strip_prefix("debug: ") {
            (Level::Debug, Kind::Progress, text)
        } else {
            (Level::Info, Kind::Progress, &*hidden)
        };
        let is_warning = level == Level::Warn;
        taken.last.take(text, is_warning, limits.last_line_bytes);
        let text = match cut_from {
            None => words::shown(text, limits.log_line_bytes),
            Some(whole_bytes) => words::shown_of(text, whole_bytes, limits.log_line_bytes),
        };
        let line = if self.is_at_the_bottom(kind) && self.shared.least == Level::Info {
            // What it says is all that there is room for.
            let now = jiff::Timestamp::now().strftime("%H:%M:%S");
            Some(format!("{now} {}\n", escaped(&text)))
        } else {
            self.line(level, kind, "component", json!({ "text": text }))
        };
        let Some(line) = line else {
            return;
        };
        let bytes = taken.bytes.saturating_add(line.len() as u64);
        // Once cut it stays so: a short line after a dropped one would make no sense.
        if bytes > limits.log_bytes {
            taken.dropped = taken.dropped.saturating_add(1);
            return;
        }
        taken.lines += 1;
        taken.bytes = bytes;
        self.print(kind, &line);
    }

    /// Whether the component's lines are dropped from here on: then these are counted.
    pub fn drops_component(&self, lines: u64) -> bool {
        let Ok(mut taken) = self.shared.taken.lock() else {
            return false;
        };
        let is_cut = taken.dropped > 0;
        if is_cut {
            taken.dropped = taken.dropped.saturating_add(lines);
        }
        is_cut
    }

    /// Held by who reads the component's stderr in one call: the end of the run waits for it. What was written in the calls
    /// before explains nothing of this one.
    pub fn reader(&self) -> Reader {
        if let Ok(mut taken) = self.shared.taken.lock() {
            taken.last = LastWords::default();
        }
        Reader(Arc::clone(&self.shared.readers))
    }

    /// Takes no line of the component from now on, and says how many were dropped, if any were. Once, at the end of the run: what
    /// a component that was killed has written is read first.
    pub fn component_ended(&self) {
        let begun = Instant::now();
        while Arc::strong_count(&self.shared.readers) > 1 && begun.elapsed() < LAST_LINES_MAX {
            std::thread::sleep(LAST_LINES_LOOK_EVERY);
        }
        let dropped = self.shared.taken.lock().map_or(0, |mut taken| {
            taken.is_over = true;
            taken.dropped
        });
        if dropped > 0 {
            self.warn("component log cut", json!({ "dropped_lines": dropped }));
        }
    }

    /// What the component wrote last in its last call: the text of an exception or a panic, if it ended with one. None where
    /// lines were dropped.
    pub fn last_of_component(&self) -> Option<String> {
        let taken = self.shared.taken.lock().ok()?;
        let last = taken.last.line().filter(|_| taken.dropped == 0)?;
        let what = if last.is_warning {
            "warning"
        } else {
            "log line"
        };
        Some(format!("its last {what}: `{}`", last.text))
    }

    /// Whether a person reads it as it is written.
    pub fn is_on_a_terminal(&self) -> bool {
        self.shared.format == Format::Terminal
    }

    /// Whether it is text, for people.
    pub fn is_text(&self) -> bool {
        self.shared.format == Format::Text
    }

    /// Hides this secret too from now on, also in the line that `main` prints.
    pub fn learn(&self, secret: &Secret, learned: Learned) {
        self.shared.redactor.learn(secret, learned);
    }

    /// `text` without any secret.
    pub fn hide(&self, text: &str) -> String {
        self.shared.redactor.hide(text)
    }

    fn write(&self, level: Level, kind: Kind, msg: &'static str, fields: Value) {
        if let Some(line) = self.line(level, kind, msg, fields) {
            self.print(kind, &line);
        }
    }

    /// The line as it is written; none where nothing is.
    fn line(&self, level: Level, kind: Kind, msg: &'static str, fields: Value) -> Option<String> {
        let is_shown = self.is_at_the_bottom(kind) && self.shared.least <= Level::Info;
        if level < self.shared.least && !is_shown {
            return None;
        }
        let fields = match fields {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        let ts = jiff::Timestamp::now();
        let mut fields = fields;
        // What the context says already is not said twice.
        fields.retain(|name, _| !self.shared.context.contains_key(name));
        let most = Limits::default().log_field_bytes;
        for field in fields.values_mut() {
            if let Value::String(text) = field
                && text.len() > most
            {
                *text = words::shown(&self.hide(text), most);
            }
        }
        let line = match self.shared.format {
            Format::Silent => return None,
            Format::Json => self.json_line(ts, level.word(), msg, &fields),
            Format::Text | Format::Terminal => text_line(ts, level.word(), msg, &fields),
        };
        // The end of the line is ours.
        let line = line.trim_end_matches('\n');
        let line = self.shared.redactor.hide(line) + "\n";
        let colour = level
            .colour()
            .filter(|_| self.shared.has_colours && self.shared.format == Format::Terminal);
        Some(match colour {
            Some(colour) => {
                let word = level.word();
                line.replacen(word, &format!("{colour}{word}{PLAIN}"), 1)
            }
            None => line,
        })
    }

    fn is_at_the_bottom(&self, kind: Kind) -> bool {
        kind == Kind::Progress && self.shared.format == Format::Terminal
    }

    fn print(&self, kind: Kind, line: &str) {
        if let Ok(mut out) = self.shared.out.lock() {
            // A closed or full stdout must not fail a run whose data is fine.
            let is_written_over = self.is_at_the_bottom(kind) && self.shared.least > Level::Debug;
            let _ = out.write(line, is_written_over);
        }
    }

    fn json_line(
        &self,
        ts: jiff::Timestamp,
        level: &str,
        msg: &str,
        fields: &Map<String, Value>,
    ) -> String {
        // By hand, so that a person who reads the raw log finds these three first.
        let mut line = format!(
            "{{\"ts\":\"{ts:.3}\",\"level\":\"{level}\",\"msg\":{}",
            json!(msg)
        );
        for (name, value) in fields.iter().chain(&self.shared.context) {
            let _ = write!(line, ",{}:{value}", json!(name));
        }
        format!("{}}}\n", escaped(&line))
    }
}

impl Out {
    /// Takes away the progress that was shown last.
    fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.shows_progress) {
            self.writer.write_all(CLEAR_LINE.as_bytes())?;
            self.writer.flush()?;
        }
        Ok(())
    }

    fn write(&mut self, line: &str, is_written_over: bool) -> std::io::Result<()> {
        self.clear()?;
        self.shows_progress = is_written_over;
        if is_written_over {
            let shown: String = line.trim_end().chars().take(PROGRESS_CHARS_MAX).collect();
            self.writer.write_all(shown.as_bytes())?;
        } else if self.mark.is_empty() {
            self.writer.write_all(line.as_bytes())?;
        } else {
            // At once: others write to the same place.
            self.writer
                .write_all(format!("{}{line}", self.mark).as_bytes())?;
        }
        self.writer.flush()
    }
}

fn text_line(ts: jiff::Timestamp, level: &str, msg: &str, fields: &Map<String, Value>) -> String {
    let mut line = format!("{} {level:4} {msg}", ts.strftime("%H:%M:%S"));
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) if is_plain(text) => {
                let _ = write!(line, " {name}={text}");
            }
            other => {
                let _ = write!(line, " {name}={}", escaped(&other.to_string()));
            }
        }
    }
    line.push('\n');
    line
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| !steers(c) && !c.is_whitespace() && c != '"')
}

#[cfg(test)]
pub mod tests;
