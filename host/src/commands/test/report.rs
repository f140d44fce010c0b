//! The lines of the battery: one a check, then what the failed runs said, then the sum.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::checks::{Proof, Wrong};
use super::subject::Subject;
use crate::cli::OutputKind;
use crate::commands::describe::wrapped;
use crate::commands::stdout;
use crate::outcome::Failure;
use crate::units::counted;
use crate::words;

const COLUMNS: usize = 80;
/// What one failed run said, at most.
const RUN_BYTES: usize = 1_000;

/// What is known of the checks so far.
pub struct Report {
    is_json: bool,
    head: Map<String, Value>,
    checks: Vec<Value>,
    /// What the runs said, by the names of the checks.
    runs: Vec<(&'static str, String)>,
    held: u64,
    failed: u64,
    skipped: u64,
}

impl Report {
    /// Begins, with what is tested.
    pub fn new(subject: &Subject, output: Option<OutputKind>) -> Self {
        let known = subject.description.as_ref().ok();
        let head = [
            ("name", json!(known.map(|known| &known.name))),
            ("version", json!(known.map(|known| &known.version))),
            ("sha256", json!(subject.sha256)),
            ("bytes", json!(subject.bytes)),
        ];
        Self {
            is_json: output == Some(OutputKind::Json),
            head: head
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
            checks: Vec::new(),
            runs: Vec::new(),
            held: 0,
            failed: 0,
            skipped: 0,
        }
    }

    /// Adds a check that was made.
    pub fn add(&mut self, name: &'static str, proof: Proof) -> Result<(), Failure> {
        let (word, verdict, text, run) = match proof {
            Ok(text) => ("ok", "ok", text, None),
            Err(Wrong::Skipped(why)) => ("skip", "skipped", why, None),
            Err(Wrong::Failed { why, run }) => ("FAIL", "failed", why, run),
            Err(Wrong::Broken(failure)) => return Err(failure),
        };
        *match word {
            "ok" => &mut self.held,
            "skip" => &mut self.skipped,
            _ => &mut self.failed,
        } += 1;
        let run = run.map(|run| words::line(&run, RUN_BYTES));
        if self.is_json {
            self.checks.push(json!({
                "name": name, "verdict": verdict, "text": text, "run": run,
            }));
            return Ok(());
        }
        self.runs.extend(run.map(|run| (name, run)));
        stdout::print(&line(word, name, &text))
    }

    /// Prints the sum. Returns the exit code.
    pub fn end(mut self) -> Result<u8, Failure> {
        let exit_code = u8::from(self.failed > 0);
        if self.is_json {
            for (name, value) in [
                ("checks", json!(self.checks)),
                ("ok", json!(self.held)),
                ("failed", json!(self.failed)),
                ("skipped", json!(self.skipped)),
                ("exit_code", json!(exit_code)),
            ] {
                self.head.insert(name.to_owned(), value);
            }
            let text = Value::Object(self.head).to_string();
            stdout::print(&format!("{}\n", words::escaped(&text)))?;
            return Ok(exit_code);
        }
        let mut out = String::new();
        if !self.runs.is_empty() {
            out.push_str("\nWhat the runs of the failed checks said:\n");
        }
        for (name, run) in &self.runs {
            let lines = wrapped(&format!("{name}: {run}"), COLUMNS - 4);
            for (index, line) in lines.iter().flat_map(|line| pieces(line)).enumerate() {
                let indent = if index == 0 { "  " } else { "    " };
                let _ = writeln!(out, "{indent}{line}");
            }
        }
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        let all = counted(self.held + self.failed, "check");
        let sum = match self.failed {
            0 => format!("ok: {all} passed{skipped}"),
            failed => format!("FAIL: {failed} of {all} failed{skipped}"),
        };
        let _ = writeln!(out, "\n{sum}");
        stdout::print(&words::escaped_lines(&out))?;
        Ok(exit_code)
    }
}

/// A line with a word that is longer than a line, in several.
fn pieces(line: &str) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    let pieces = chars.chunks(COLUMNS - 4);
    pieces.map(|piece| piece.iter().collect()).collect()
}

/// One line of a terminal.
fn line(word: &str, name: &str, text: &str) -> String {
    let line = words::escaped(&format!("{word:<4}  {name}: {text}"));
    if line.chars().count() <= COLUMNS {
        return format!("{line}\n");
    }
    let shown: String = line.chars().take(COLUMNS - 1).collect();
    format!("{shown}…\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_of_80_columns() {
        assert_eq!(line("ok", "size", "7 of 9"), "ok    size: 7 of 9\n");
        let long = line("FAIL", "window", &"ä\n".repeat(100));
        assert_eq!(long.trim_end().chars().count(), COLUMNS);
        assert!(long.ends_with("…\n") && !long.trim_end().contains('\n'));
    }
}
