//! SOURCE_ERROR: what an answer means, as a jq program says. What comes of that is `get`'s business.

use tidegate_jq::{Jq, RunError, Value, read_valid, shown};

use super::program::{Facts, VARIABLES, sees_facts};
use crate::ports::Answer;

/// What SOURCE_ERROR says about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyVerdict {
    /// Nothing: the status says what it means.
    Fine,
    /// The same, and that it is no error.
    NoError,
    /// An error that may pass: try again as after a 503.
    Retry,
    /// No records, and no more pages.
    Empty,
    /// An error, with what the program says about it.
    Failed(Option<String>),
}

/// SOURCE_ERROR: a program that says what an answer means, whatever its status.
#[derive(Debug)]
pub struct ErrorCheck {
    jq: Jq,
    sees_facts: bool,
}

impl ErrorCheck {
    /// Compiles a program. `Err` says where it is wrong and what with.
    pub fn compile(program: &str) -> Result<Self, String> {
        Ok(Self {
            jq: Jq::compile_with(program, &VARIABLES)?,
            sees_facts: sees_facts(program),
        })
    }

    /// Whether it may look at more of an answer than its body.
    pub fn sees_facts(&self) -> bool {
        self.sees_facts
    }

    /// Judges an answer by the first output that is neither `null` nor `false`. An empty body is null to a program that looks at
    /// the status or a header. Another one that is no JSON is not judged: it may come from a server in between, and reading the
    /// page says better what is wrong with it. One that cannot be judged is not fine: an error might hide in it.
    pub fn judge(&self, answer: &Answer) -> BodyVerdict {
        let body = &answer.body;
        let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let text = match std::str::from_utf8(text) {
            Ok(text) if is_json(text) => text,
            Ok(text) if text.trim_ascii().is_empty() && self.sees_facts => "null",
            _ => return BodyVerdict::Fine,
        };
        let mut verdict = BodyVerdict::Fine;
        let facts = Facts::of(answer);
        let value = read_valid(text).map_err(RunError::Other);
        let ran = value.and_then(|value| {
            let variables = facts.values();
            self.jq.run_with(value, variables, &mut |output| {
                verdict = match output {
                    Value::Null => return Ok(()),
                    Value::Bool(false) => {
                        verdict = BodyVerdict::NoError;
                        return Ok(());
                    }
                    Value::Bool(true) => BodyVerdict::Failed(None),
                    Value::Text(text) if &*text == "retry" => BodyVerdict::Retry,
                    Value::Text(text) if &*text == "empty" => BodyVerdict::Empty,
                    Value::Text(text) => BodyVerdict::Failed(Some(text.to_string())),
                    other => BodyVerdict::Failed(Some(shown(&other))),
                };
                Err(String::new())
            })
        });
        match (ran, &verdict) {
            (Err(why), BodyVerdict::Fine | BodyVerdict::NoError) => {
                BodyVerdict::Failed(Some(format!("SOURCE_ERROR cannot judge it: {why}")))
            }
            _ => verdict,
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
