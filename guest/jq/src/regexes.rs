//! Filters on regular expressions; each expression is compiled once. Their syntax is that of the
//! `regex` crate, whose classes are those of Unicode, as in jq; it has no look-around and no back-references, and so no expression takes
//! longer than the text is long.

use std::rc::Rc;

pub(super) use regex::Regex;

use super::builtins::{Native, Tools, entry};
use super::strings::string;
use super::value::{Object, Value};
use crate::text::quoted;

/// Compiled expressions that are kept.
const KEPT_MAX: usize = 100;
/// What matching with one expression may keep for the next time.
const DFA_BYTES_MAX: usize = 256 * 1024;

pub(super) const NATIVES: &[Native] = &[
    entry("_match", 2, |tools, value, given| {
        let pieces = pieces(tools, string(value)?, &given[0], &given[1])?;
        let matches = pieces
            .into_iter()
            .filter(|piece| matches!(piece, Value::Object(_)));
        Ok(Value::array(matches.collect()))
    }),
    entry("_pieces", 2, |tools, value, given| {
        pieces(tools, string(value)?, &given[0], &given[1]).map(Value::array)
    }),
];

/// The text cut at its matches: what is between them as strings, each match as the object that `match` gives.
fn pieces(tools: &Tools, text: &str, regex: &Value, flags: &Value) -> Result<Vec<Value>, String> {
    let flags = match flags {
        Value::Null => "",
        flags => string(flags)?,
    };
    let regex = compiled(tools, string(regex)?, flags)?;
    let (global, no_empty) = (flags.contains('g'), flags.contains('n'));
    let (mut pieces, mut behind, mut offset, mut counted) = (Vec::new(), 0, 0, 0);
    for captures in regex.captures_iter(text) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        if no_empty && whole.is_empty() {
            continue;
        }
        // Counted on from the last match: offsets are in characters.
        let mut chars = |to: usize| {
            offset += text[counted..to].chars().count();
            counted = to;
            offset
        };
        pieces.push(Value::text(&text[behind..whole.start()]));
        behind = whole.end();
        let start = chars(whole.start());
        let names = regex.capture_names().skip(1);
        let groups = names.enumerate().map(|(at, name)| {
            let group = captures.get(at + 1);
            let place =
                group.map(|group| start + text[whole.start()..group.start()].chars().count());
            let mut object = described(group.map(|group| group.as_str()), place);
            let name = name.map_or(Value::Null, Value::text);
            object.insert("name".into(), name);
            Value::Object(Rc::new(object))
        });
        let groups = Value::array(groups.collect());
        let mut object = described(Some(whole.as_str()), Some(start));
        object.insert("captures".into(), groups);
        pieces.push(Value::Object(Rc::new(object)));
        if !global {
            break;
        }
    }
    pieces.push(Value::text(&text[behind..]));
    Ok(pieces)
}

fn described(text: Option<&str>, offset: Option<usize>) -> Object {
    let length = text.map_or(0, |text| text.chars().count());
    let members = [
        ("offset", offset.map_or(Value::int(-1), Value::count)),
        ("length", Value::count(length)),
        ("string", text.map_or(Value::Null, Value::text)),
    ];
    members
        .into_iter()
        .map(|(name, value)| (Rc::from(name), value))
        .collect()
}

fn compiled(tools: &Tools, text: &str, flags: &str) -> Result<Rc<Regex>, String> {
    let key = (Rc::from(text), Rc::from(flags));
    let mut kept = tools.regexes.borrow_mut();
    if let Some(regex) = kept.get(&key) {
        return Ok(regex.clone());
    }
    let mut builder = regex::RegexBuilder::new(text);
    builder.dfa_size_limit(DFA_BYTES_MAX);
    for flag in flags.chars() {
        match flag {
            'g' | 'n' => {}
            'i' => drop(builder.case_insensitive(true)),
            'x' => drop(builder.ignore_whitespace(true)),
            's' => drop(builder.dot_matches_new_line(true)),
            other => {
                return Err(format!(
                    "{} is not a flag of a regular expression: `g`, `i`, `n`, `s`, `x`",
                    quoted(&other.to_string())
                ));
            }
        }
    }
    let regex = builder.build();
    let regex = regex.map_err(|error| {
        // The last line says what is wrong, those before it show where.
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default();
        let why = why.trim_start_matches("error: ");
        format!("{} is not a regular expression: {why}", quoted(text))
    })?;
    let regex = Rc::new(regex);
    if kept.len() >= KEPT_MAX {
        kept.clear();
    }
    kept.insert(key, regex.clone());
    Ok(regex)
}
