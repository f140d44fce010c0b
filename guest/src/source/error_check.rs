//! SOURCE_ERROR: whether a body with a good status is an error all the same, as a jq program says. What comes of that is `get`'s business.

use tidegate_jq::{Jq, RunError, Value, read_valid, shown};

/// What SOURCE_ERROR says about a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyVerdict {
    /// No error.
    Fine,
    /// An error that may pass: try again as after a 503.
    Retry,
    /// An error, with what the program says about it.
    Failed(Option<String>),
}

/// SOURCE_ERROR: a program that tells whether a body with a good status is an error all the same.
#[derive(Debug)]
pub struct ErrorCheck(Jq);

impl ErrorCheck {
    /// Compiles a program. `Err` says where it is wrong and what with.
    pub fn compile(program: &str) -> Result<Self, String> {
        Jq::compile(program).map(Self)
    }

    /// Judges a body by the first output that is neither `null` nor `false`. A body that is no JSON is fine: reading the page
    /// says better what is wrong with it. One that cannot be judged is not: an error might hide in it.
    pub fn judge(&self, body: &[u8]) -> BodyVerdict {
        let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let Some(text) = std::str::from_utf8(text).ok().filter(|text| is_json(text)) else {
            return BodyVerdict::Fine;
        };
        let mut verdict = BodyVerdict::Fine;
        let ran = read_valid(text).map_err(RunError::Other).and_then(|value| {
            self.0.run(value, &mut |output| {
                verdict = match output {
                    Value::Null | Value::Bool(false) => return Ok(()),
                    Value::Bool(true) => BodyVerdict::Failed(None),
                    Value::Text(text) if &*text == "retry" => BodyVerdict::Retry,
                    Value::Text(text) => BodyVerdict::Failed(Some(text.to_string())),
                    other => BodyVerdict::Failed(Some(shown(&other))),
                };
                Err(String::new())
            })
        });
        match (ran, &verdict) {
            (Err(why), BodyVerdict::Fine) => {
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
