//! Writes JSON as YAML that a person reads. Every text is quoted as in JSON, which is YAML, too: none is a number, a date or
//! the start of something else.

use std::fmt::Write as _;

use serde_json::Value;

/// A document, with a line break at its end.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let _ = write!(out, "{:indent$}{}:", "", key(name));
                below(out, value, indent + 2);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                block(&mut inner, item, indent + 2);
                // The first line begins after the mark.
                let _ = write!(out, "{:indent$}- {}", "", inner.trim_start());
            }
        }
        scalar => {
            let _ = writeln!(out, "{:indent$}{scalar}", "");
        }
    }
}

/// What stands after a name.
fn below(out: &mut String, value: &Value, indent: usize) {
    let is_empty = match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if is_empty {
        let _ = writeln!(out, " {value}");
    } else {
        out.push('\n');
        block(out, value, indent);
    }
}

/// A name of letters, digits, `.`, `/` and `-` is written as it is; any other is quoted.
fn key(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./-".contains(&byte);
    if name.bytes().all(is_plain) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_lists_and_texts_are_yaml() {
        let value =
            json!({"a": {"b": 1}, "c": [{"d": "x: #y\n", "e": true}, "no"], "f": {}, "-g": []});

        assert_eq!(
            document(&value),
            "\"-g\": []\na:\n  b: 1\nc:\n  - d: \"x: #y\\n\"\n    e: true\n  - \"no\"\nf: {}\n"
        );
    }
}
