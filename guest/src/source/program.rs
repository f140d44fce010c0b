//! A jq program in place of a JSON Pointer: it is compiled once a run, and asked of every answer.
//!
//! Its input is the body. `$status` is the answer's status, and `$headers` are its headers, by their names in lower case.

use std::rc::Rc;

use tidegate_jq::{Array, Jq, Names, Object, RunError, STEPS_MAX, Value, write};

use super::template::string;
use crate::failure::quoted;
use crate::ports::Answer;

/// Steps of a program on one page: on a record it has a fiftieth of them.
const PAGE_STEPS_MAX: u64 = 50 * STEPS_MAX;
/// Bytes of the body of one page, and of the records that a program makes of it: both are in memory as values, too.
const RECORDS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a program knows besides its input.
pub(super) const VARIABLES: [&str; 2] = ["$status", "$headers"];

/// A compiled program, with its text.
#[derive(Debug, Clone)]
pub struct Program {
    text: String,
    jq: Rc<Jq>,
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Program {}

/// What programs know of an answer besides its body: the values of their variables.
pub struct Facts([Value; 2]);

impl Facts {
    /// Of an answer. A header that came several times is one text, with commas.
    pub fn of(answer: &Answer) -> Self {
        let mut headers = Object::default();
        for (name, value) in &answer.headers {
            let name = name.to_ascii_lowercase();
            let value = String::from_utf8_lossy(value);
            let value = match headers.get(&name) {
                Some(Value::Text(before)) => format!("{before}, {}", value.trim()),
                _ => value.trim().to_owned(),
            };
            headers.insert(name.into(), Value::text(value));
        }
        let status = Value::int(i64::from(answer.status));
        Self([status, Value::Object(Rc::new(headers))])
    }
}

impl Facts {
    /// The values, in the order of [`VARIABLES`].
    pub(super) fn values(&self) -> &[Value] {
        &self.0
    }
}

/// Whether a program may look at more of an answer than its body.
pub(super) fn sees_facts(program: &str) -> bool {
    VARIABLES.iter().any(|name| program.contains(name))
}

/// Records that a program made of a page: the JSON of each.
#[derive(Debug, Default)]
pub struct Made {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Program {
    /// Compiles a program. `Err` says where it is wrong and what with, and which JSON Pointer may be meant.
    pub fn compile(text: &str) -> Result<Self, String> {
        let meant = pointer_of(text);
        let is_word = text.starts_with(|first: char| !matches!(first, '.' | '$'));
        if let Some(meant) = meant.as_ref().filter(|_| is_word) {
            return Err(format!(
                "{} is not a JSON Pointer, which begins with `/`: write {}",
                quoted(text),
                quoted(meant)
            ));
        }
        let jq = Jq::compile_with(text, &VARIABLES).map_err(|why| {
            let or = meant.map_or_else(String::new, |meant| {
                format!(", or write {}", quoted(&meant))
            });
            format!(
                "{} is not a jq program: {why}; correct it{or}",
                quoted(text)
            )
        })?;
        Ok(Self {
            text: text.to_owned(),
            jq: Rc::new(jq),
        })
    }

    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it may look at more of an answer than its body.
    pub fn sees_facts(&self) -> bool {
        sees_facts(&self.text)
    }

    /// Reads the body that all these programs are asked of, which is JSON. `Err` says why it has no single meaning.
    pub fn read(programs: &[&Self], body: &str) -> Result<Value, String> {
        if body.len() > RECORDS_BYTES_MAX {
            return Err(format!(
                "has {} bytes, but jq programs read pages of at most {RECORDS_BYTES_MAX}: ask for smaller pages (SOURCE_PAGE_SIZE), or use JSON Pointers",
                body.len()
            ));
        }
        let all: Vec<&Jq> = programs.iter().map(|program| &*program.jq).collect();
        Jq::read_for_all(&all, body, &mut Names::default())
    }

    /// The JSON of the output that is not null. `Err`: there are several, which differ.
    pub fn json(&self, body: &Value, facts: &Facts) -> Result<Option<String>, String> {
        let mut found = None;
        let ran = self.run(body, facts, &mut |output| match &found {
            _ if output == Value::Null => Ok(()),
            Some(before) if *before != output => Err(
                "has several outputs, which differ: make them one value, such as by `any(…)`, `first(…)` or `add`"
                    .to_owned(),
            ),
            _ => {
                found = Some(output);
                Ok(())
            }
        });
        ran.map_err(|why| why.to_string())?;
        let Some(output) = found else {
            return Ok(None);
        };
        let mut json = Vec::new();
        write(&output, &mut json).map_err(|why| format!("an output {why}"))?;
        Ok(String::from_utf8(json).ok())
    }

    /// The records in its outputs: an array has them as its elements, an object is one, and null none if `null_is_none`. `Err`
    /// says what another output is.
    pub fn records(&self, body: &Value, facts: &Facts, null_is_none: bool) -> Result<Made, String> {
        let mut made = Made::default();
        let mut number = 0_u64;
        let ran = self.run(body, facts, &mut |output| {
            number += 1;
            match &output {
                Value::Null if null_is_none => Ok(()),
                Value::Null => Err(format!(
                    "output {number} is null, not an array of records or one record; if that means no records, set SOURCE_RECORDS_MISSING=empty"
                )),
                Value::Array(elements) => made.add_all(elements),
                Value::Object(_) => made.add(&output),
                other => Err(format!(
                    "output {number} is a {}, not an array of records or one record",
                    other.kind()
                )),
            }
        });
        ran.map(|()| made).map_err(|why| why.to_string())
    }

    fn run(
        &self,
        body: &Value,
        facts: &Facts,
        take: &mut dyn FnMut(Value) -> Result<(), String>,
    ) -> Result<(), RunError> {
        self.jq
            .run_within(body.clone(), &facts.0, PAGE_STEPS_MAX, take)
    }
}

impl Made {
    fn add_all(&mut self, elements: &Array) -> Result<(), String> {
        elements.iter().try_for_each(|element| self.add(element))
    }

    fn add(&mut self, record: &Value) -> Result<(), String> {
        write(record, &mut self.text).map_err(|why| format!("a record {why}"))?;
        if self.text.len() > RECORDS_BYTES_MAX {
            return Err(format!(
                "makes more than {RECORDS_BYTES_MAX} bytes of records of one page: ask for smaller pages (SOURCE_PAGE_SIZE), or use a JSON Pointer"
            ));
        }
        self.ends.push(self.text.len());
        Ok(())
    }

    /// The JSON of each record, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends);
        spans.map(|(start, end)| std::str::from_utf8(&self.text[start..*end]).unwrap_or_default())
    }
}

/// The JSON Pointer that `data/items`, `data.items`, `.data.items` or `$.data.items` may stand for.
fn pointer_of(text: &str) -> Option<String> {
    let path = text.strip_prefix('$').unwrap_or(text);
    let path = path.strip_prefix('.').unwrap_or(path);
    let is_word = |part: &str| {
        let plain = |c: char| c.is_alphanumeric() || "_-@:".contains(c);
        !part.is_empty() && part.chars().all(plain)
    };
    let parts: Vec<&str> = path.split(['/', '.']).collect();
    parts
        .iter()
        .all(|part| is_word(part))
        .then(|| format!("/{}", parts.join("/")))
}

/// The jq program that gives the value at a JSON Pointer: `.data.items`.
pub fn jq_path(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name {
            path.push('.');
            path.push_str(&name);
            continue;
        }
        if path.is_empty() {
            path.push('.');
        }
        let quoted = match name.parse::<u32>() {
            Ok(at) => at.to_string(),
            Err(_) => string(&name),
        };
        path.extend(["[", &quoted, "]"]);
    }
    if path.is_empty() {
        ".".to_owned()
    } else {
        path
    }
}

#[cfg(test)]
mod tests;
