//! What a component wrote last in a call, for its failure to quote: the text of an exception or a panic before all that languages
//! write behind it, else the last line.
//!
//! Only texts are looked at: where none of these is written, the last line is quoted.

use crate::words;

/// A line of a component, and whether it was a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLine {
    pub is_warning: bool,
    pub text: String,
}

/// The lines of one call, as far as they matter.
#[derive(Debug, Default)]
pub struct LastWords {
    last: Option<LastLine>,
    /// What may have ended the call: a stack shows it for Go, and the panic of its runtime for Python.
    raised: Option<LastLine>,
    expects: Expects,
}

/// What the next line can be, besides any other one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expects {
    #[default]
    Nothing,
    /// Places in a program of Python, and then the exception.
    Exception,
    /// The message of a panic in Rust.
    Message,
    /// More of that message.
    MoreOfMessage,
    /// Places in a program.
    Stack,
}

/// How the runtime of Python panics after it has written an exception.
const OF_PYTHON: &str = "Python function threw an unexpected exception";

impl LastWords {
    /// Takes the next line, without the word that says its level. No more than `bytes_max` of what may be quoted is kept.
    pub fn take(&mut self, text: &str, is_warning: bool, bytes_max: usize) {
        // Exceptions in a group are behind a line of their own.
        let text = text.trim_start().strip_prefix("| ").unwrap_or(text);
        let (is_indented, trimmed) = (text.starts_with([' ', '\t']), text.trim());
        let line = LastLine {
            is_warning,
            text: words::line(text, bytes_max),
        };
        if trimmed.is_empty() {
            return;
        }
        // Advice for who wrote the program.
        if text.starts_with("note: ") || text == "stack backtrace:" {
            self.expects = Expects::Stack;
        } else if text.ends_with("Traceback (most recent call last):") {
            self.expects = Expects::Exception;
        } else if text.contains("panicked at ") && text.ends_with(':') {
            self.ends_with(line, Expects::Message);
        } else if trimmed.starts_with("panic: ") || text.starts_with("fatal error: ") {
            self.raised = Some(line.clone());
            self.ends_with(line, Expects::Nothing);
        } else if text.starts_with("goroutine ") && self.raised.is_some() {
            self.was_raised();
        } else {
            self.take_other(line, text, is_indented, bytes_max);
        }
    }

    fn take_other(&mut self, line: LastLine, text: &str, is_indented: bool, bytes_max: usize) {
        match self.expects {
            Expects::Exception if is_indented => {}
            Expects::Exception => {
                self.raised = Some(line.clone());
                self.ends_with(line, Expects::Nothing);
            }
            Expects::Stack if is_indented || is_frame(text) => {}
            Expects::Message if text == OF_PYTHON && self.raised.is_some() => self.was_raised(),
            Expects::Message => self.ends_with(line, Expects::MoreOfMessage),
            Expects::MoreOfMessage if !line.is_warning => {
                if let Some(last) = &mut self.last
                    && last.text.len() + line.text.len() < bytes_max
                {
                    last.text = format!("{} {}", last.text, line.text);
                }
            }
            _ => self.ends_with(line, Expects::Nothing),
        }
    }

    fn ends_with(&mut self, line: LastLine, expects: Expects) {
        (self.last, self.expects) = (Some(line), expects);
    }

    fn was_raised(&mut self) {
        (self.last, self.expects) = (self.raised.take(), Expects::Stack);
    }

    /// The line to quote; none where nothing was written.
    pub fn line(&self) -> Option<&LastLine> {
        self.last.as_ref()
    }
}

/// Whether a line that is not indented is of a stack as Go writes it.
fn is_frame(text: &str) -> bool {
    let begins = ["goroutine ", "created by ", "..."];
    text.ends_with(')') || begins.iter().any(|begin| text.starts_with(begin))
}

#[cfg(test)]
mod tests;
