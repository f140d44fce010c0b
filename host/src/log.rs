//! The log: one JSON object a line on stdout, or readable text on a terminal.
//!
//! Constant `msg`, values as fields. Info and warnings only: the one error line of a failed run goes to stderr and is
//! `main`'s. Every secret is replaced wherever it would appear, control characters never leave unescaped, and a log that
//! cannot be written never changes how a run ends.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::secret::{Redactor, Secret};

/// How lines look.
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
    /// `run_id` and `job`, on every line.
    context: Map<String, Value>,
    redactor: Redactor,
    out: Mutex<Out>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// What the run does now: of no interest once it does something else.
    Progress,
    Info,
    Warn,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Progress | Self::Info => "info",
            Self::Warn => "warn",
        }
    }
}

struct Out {
    writer: Box<dyn Write + Send>,
    /// The last thing written was progress, and has no end of line yet.
    shows_progress: bool,
}

/// A progress line is cut here, so that it does not wrap: what has wrapped cannot be written over.
const PROGRESS_CHARS_MAX: usize = 79;
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
                context,
                redactor,
                out: Mutex::new(Out {
                    writer: out,
                    shows_progress: false,
                }),
            }),
        }
    }

    /// Something happened as it should. `fields` is a JSON object.
    pub fn info(&self, msg: &'static str, fields: Value) {
        self.write(Level::Info, msg, fields);
    }

    /// The run has come this far: like [`Log::info`], but on a terminal only the last such line is seen.
    pub fn progress(&self, msg: &'static str, fields: Value) {
        self.write(Level::Progress, msg, fields);
    }

    /// Look at this later. `fields` is a JSON object.
    pub fn warn(&self, msg: &'static str, fields: Value) {
        self.write(Level::Warn, msg, fields);
    }

    /// Whether a person reads it as it is written.
    pub fn is_for_a_person(&self) -> bool {
        matches!(self.shared.format, Format::Text | Format::Terminal)
    }

    /// Hides this secret too from now on, also in the line that `main` prints.
    pub fn learn(&self, secret: &Secret) {
        self.shared.redactor.learn(secret);
    }

    /// `text` without any secret.
    pub fn hide(&self, text: &str) -> String {
        self.shared.redactor.hide(text)
    }

    fn write(&self, level: Level, msg: &'static str, fields: Value) {
        let fields = match fields {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        let ts = jiff::Timestamp::now();
        let mut fields = fields;
        // What the context says already is not said twice.
        fields.retain(|name, _| !self.shared.context.contains_key(name));
        let line = match self.shared.format {
            Format::Silent => return,
            Format::Json => self.json_line(ts, level.word(), msg, &fields),
            Format::Text | Format::Terminal => text_line(ts, level.word(), msg, &fields),
        };
        let line = self.shared.redactor.hide(&line);
        if let Ok(mut out) = self.shared.out.lock() {
            // A closed or full stdout must not fail a run whose data is fine.
            let is_written_over =
                level == Level::Progress && self.shared.format == Format::Terminal;
            let _ = out.write(&line, is_written_over);
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
        format!("{}}}\n", escape_controls(&line))
    }
}

impl Out {
    fn write(&mut self, line: &str, is_written_over: bool) -> std::io::Result<()> {
        if self.shows_progress {
            self.writer.write_all(CLEAR_LINE.as_bytes())?;
        }
        self.shows_progress = is_written_over;
        if is_written_over {
            let shown: String = line.trim_end().chars().take(PROGRESS_CHARS_MAX).collect();
            self.writer.write_all(shown.as_bytes())?;
        } else {
            self.writer.write_all(line.as_bytes())?;
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
                let _ = write!(line, " {name}={}", escape_controls(&other.to_string()));
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
            .all(|c| !c.is_control() && !c.is_whitespace() && c != '"' && !is_bidi(c))
}

/// JSON text in which no character can steer a terminal: JSON itself only escapes the ones below U+0020.
pub fn escape_controls(json_text: &str) -> String {
    if !json_text.chars().any(|c| c.is_control() || is_bidi(c)) {
        return json_text.to_owned();
    }
    let mut out = String::with_capacity(json_text.len() + 16);
    for c in json_text.chars() {
        if c.is_control() || is_bidi(c) {
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that reorder the text around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
