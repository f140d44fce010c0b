//! The filters that are not written in jq: found by name and number of arguments.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::number::{Decimal, Number};
use super::value::{Value, in_order};
use super::{json, paths, regexes, shown, strings, times};
use crate::text::quoted;

type Regexes = BTreeMap<(Rc<str>, Rc<str>), Rc<regexes::Regex>>;

/// What filters keep between calls.
#[derive(Default)]
pub(super) struct Tools {
    /// Expressions by their text and flags.
    pub(super) regexes: RefCell<Regexes>,
}

/// What a native filter does with its input and its arguments.
pub(super) type Run = fn(&Tools, &Value, &[Value]) -> Result<Value, String>;

/// A filter from values to one value.
pub(super) struct Native {
    pub(super) name: &'static str,
    arity: usize,
    pub(super) run: Run,
}

/// A filter that takes filters, or has any number of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Empty,
    Error,
    Select,
    Path,
    GetPath,
    Range,
    First,
    Last,
    Limit,
    Skip,
    IsEmpty,
    Any,
    All,
    Recurse,
    Repeat,
    While,
    Until,
    Walk,
}

pub(super) enum Builtin {
    Native(&'static Native),
    Special(Special),
}

const SPECIALS: &[(&str, usize, Special)] = &[
    ("empty", 0, Special::Empty),
    ("error", 0, Special::Error),
    ("select", 1, Special::Select),
    ("path", 1, Special::Path),
    ("getpath", 1, Special::GetPath),
    ("range", 3, Special::Range),
    ("first", 1, Special::First),
    ("last", 1, Special::Last),
    ("limit", 2, Special::Limit),
    ("skip", 2, Special::Skip),
    ("isempty", 1, Special::IsEmpty),
    ("any", 2, Special::Any),
    ("all", 2, Special::All),
    ("recurse", 1, Special::Recurse),
    ("repeat", 1, Special::Repeat),
    ("while", 2, Special::While),
    ("until", 2, Special::Until),
    ("walk", 1, Special::Walk),
];

const fn native(name: &'static str, arity: usize, run: Run) -> Native {
    Native { name, arity, run }
}

/// How a value becomes part of a string.
pub(super) const TO_STRING: &Native = &native("tostring", 0, |_, value, _| {
    Ok(Value::Text(strings::text_of(value)))
});

const NATIVES: &[&[Native]] = &[
    VALUES,
    NUMBERS,
    ARRAYS,
    strings::NATIVES,
    times::NATIVES,
    regexes::NATIVES,
];

const VALUES: &[Native] = &[
    native("tostring", 0, |_, value, _| {
        Ok(Value::Text(strings::text_of(value)))
    }),
    native("not", 0, |_, value, _| Ok(Value::Bool(!value.is_true()))),
    native("type", 0, |_, value, _| Ok(Value::text(value.kind()))),
    native("length", 0, |_, value, _| length(value)),
    native("keys", 0, |_, value, _| keys(value, true)),
    native("keys_unsorted", 0, |_, value, _| keys(value, false)),
    native("has", 1, |_, value, given| has(value, &given[0])),
    native("contains", 1, |_, value, given| {
        contains(value, &given[0]).map(Value::Bool)
    }),
    native("tojson", 0, |_, value, _| Ok(Value::text(shown(value)))),
    native("fromjson", 0, |_, value, _| {
        let text = strings::string(value)?;
        json::read(text).map_err(|why| format!("{} {why}", quoted(text)))
    }),
    native("toboolean", 0, |_, value, _| match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::Text(text) if &**text == "true" => Ok(Value::Bool(true)),
        Value::Text(text) if &**text == "false" => Ok(Value::Bool(false)),
        other => Err(format!("{} is not a boolean", quoted(&shown(other)))),
    }),
    native("setpath", 2, |_, value, given| {
        let Value::Array(path) = &given[0] else {
            return Err("a path is an array".to_owned());
        };
        let changed = paths::change(value.clone(), path, &mut |_| Ok(given[1].clone()));
        changed.map_err(|stop| stop.text())
    }),
    native("delpaths", 1, |_, value, given| {
        let Value::Array(found) = &given[0] else {
            return Err("paths are an array of arrays".to_owned());
        };
        let steps = found.iter().map(|path| match path {
            Value::Array(steps) => Ok(steps.to_vec()),
            _ => Err("a path is an array".to_owned()),
        });
        let left = paths::delete(value.clone(), steps.collect::<Result<_, _>>()?);
        left.map_err(|stop| stop.text())
    }),
];

const NUMBERS: &[Native] = &[
    native("infinite", 0, |_, _, _| Ok(Value::float(f64::INFINITY))),
    native("nan", 0, |_, _, _| Ok(Value::float(f64::NAN))),
    native("isinfinite", 0, |_, value, _| {
        Ok(Value::Bool(number(value)?.as_f64().is_infinite()))
    }),
    native("isnan", 0, |_, value, _| {
        Ok(Value::Bool(number(value)?.as_f64().is_nan()))
    }),
    native("floor", 0, |_, value, _| rounded(value, f64::floor)),
    native("ceil", 0, |_, value, _| rounded(value, f64::ceil)),
    native("round", 0, |_, value, _| rounded(value, f64::round)),
    native("trunc", 0, |_, value, _| rounded(value, f64::trunc)),
    native("exp2", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().exp2()))
    }),
    native("exp10", 0, |_, value, _| {
        Ok(Value::float(10_f64.powf(number(value)?.as_f64())))
    }),
    native("sqrt", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().sqrt()))
    }),
    native("fabs", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().abs()))
    }),
    native("abs", 0, |_, value, _| match number(value)? {
        negative if *negative < Number::Int(0) => super::math::negate(value),
        _ => Ok(value.clone()),
    }),
    native("pow", 2, |_, _, given| {
        let (base, exponent) = (number(&given[0])?, number(&given[1])?);
        Ok(Value::float(base.as_f64().powf(exponent.as_f64())))
    }),
    native("log", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().ln()))
    }),
    native("log2", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().log2()))
    }),
    native("log10", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().log10()))
    }),
    native("exp", 0, |_, value, _| {
        Ok(Value::float(number(value)?.as_f64().exp()))
    }),
    native("tonumber", 0, |_, value, _| match value {
        Value::Number(_) => Ok(value.clone()),
        Value::Text(text) => match json::read(text) {
            Ok(number @ Value::Number(_)) => Ok(number),
            _ => Err(format!("{} is not a number", quoted(text))),
        },
        other => Err(format!("{} is not a number", quoted(&shown(other)))),
    }),
];

const ARRAYS: &[Native] = &[
    native("sort", 0, |_, value, _| {
        let sorted = keyed(value, value)?.into_iter();
        Ok(Value::array(sorted.map(|(_, value)| value).collect()))
    }),
    native("reverse", 0, |_, value, _| match value {
        Value::Text(text) => Ok(Value::text(text.chars().rev().collect::<String>())),
        Value::Null => Ok(Value::array(Vec::new())),
        other => Ok(Value::array(array(other)?.iter().rev().cloned().collect())),
    }),
    native("flatten", 1, |_, value, given| {
        let levels = number(&given[0])?.as_int().unwrap_or(0);
        if levels < 0 {
            return Err("cannot flatten to a negative depth".to_owned());
        }
        let mut flat = Vec::new();
        match value {
            Value::Object(object) => {
                for (_, value) in object.iter() {
                    flatten(std::slice::from_ref(value), levels, &mut flat);
                }
            }
            other => flatten(array(other)?, levels, &mut flat),
        }
        Ok(Value::array(flat))
    }),
    native("_sort_by", 1, |_, value, given| {
        let sorted = keyed(value, &given[0])?.into_iter();
        Ok(Value::array(sorted.map(|(_, value)| value).collect()))
    }),
    native("_group_by", 1, |_, value, given| {
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for (key, value) in keyed(value, &given[0])? {
            match groups.last_mut() {
                Some((known, group)) if *known == key => group.push(value),
                _ => groups.push((key, vec![value])),
            }
        }
        let groups = groups.into_iter().map(|(_, group)| Value::array(group));
        Ok(Value::array(groups.collect()))
    }),
    native("_min_by", 1, |_, value, given| {
        let first = keyed(value, &given[0])?.into_iter().next();
        Ok(first.map(|(_, value)| value).unwrap_or_default())
    }),
    native("_max_by", 1, |_, value, given| {
        let last = keyed(value, &given[0])?.pop();
        Ok(last.map(|(_, value)| value).unwrap_or_default())
    }),
    native("bsearch", 1, |_, value, given| {
        let found = array(value)?.binary_search(&given[0]);
        found.map_or_else(
            |at| super::math::negate(&Value::count(at + 1)),
            |at| Ok(Value::count(at)),
        )
    }),
    native("indices", 1, |_, value, given| match (value, &given[0]) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Text(text), Value::Text(wanted)) => Ok(strings::positions(text, wanted)),
        (Value::Array(values), Value::Array(wanted)) => Ok(paths::positions(values, wanted)),
        (Value::Array(values), wanted) => {
            Ok(paths::positions(values, std::slice::from_ref(wanted)))
        }
        (other, _) => Err(format!("cannot search in {}", quoted(&shown(other)))),
    }),
];

/// The filter of this name with so many arguments.
pub(super) fn find(name: &str, arity: usize) -> Option<Builtin> {
    let mut specials = SPECIALS.iter();
    if let Some((.., special)) =
        specials.find(|(known, takes, _)| *known == name && *takes == arity)
    {
        return Some(Builtin::Special(*special));
    }
    let mut natives = NATIVES.iter().copied().flatten();
    let native = natives.find(|native| native.name == name && native.arity == arity);
    native.map(Builtin::Native)
}

/// How many arguments filters of this name take.
pub(super) fn arities(name: &str) -> Vec<String> {
    let specials = SPECIALS.iter().filter(|(known, ..)| *known == name);
    let natives = NATIVES.iter().copied().flatten();
    let natives = natives.filter(|native| native.name == name);
    let specials = specials.map(|(_, arity, _)| arity.to_string());
    specials
        .chain(natives.map(|native| native.arity.to_string()))
        .collect()
}

pub(super) fn number(value: &Value) -> Result<&Number, String> {
    match value {
        Value::Number(number) => Ok(number),
        other => Err(format!("cannot use {} as a number", quoted(&shown(other)))),
    }
}

pub(super) fn array(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(format!("cannot use {} as an array", quoted(&shown(other)))),
    }
}

/// A number that is whole already keeps its digits.
fn rounded(value: &Value, round: fn(f64) -> f64) -> Result<Value, String> {
    let number = number(value)?;
    match number.text() {
        Some(text) if Decimal::parse(&text).is_whole() => Ok(value.clone()),
        _ => Ok(Value::float(round(number.as_f64()))),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::Null => Value::int(0),
        Value::Bool(_) => return Err("a boolean has no length".to_owned()),
        Value::Number(number) if *number < Number::Int(0) => super::math::negate(value)?,
        Value::Number(_) => value.clone(),
        Value::Text(text) => Value::count(text.chars().count()),
        Value::Array(values) => Value::count(values.len()),
        Value::Object(object) => Value::count(object.len()),
    })
}

fn keys(value: &Value, sorted: bool) -> Result<Value, String> {
    match value {
        Value::Object(object) if sorted => {
            let names = object.sorted().into_iter().map(|(name, _)| name);
            Ok(Value::array(names.collect()))
        }
        Value::Object(object) => {
            let names = object.iter().map(|(name, _)| Value::Text(name.clone()));
            Ok(Value::array(names.collect()))
        }
        Value::Array(values) => Ok(Value::array((0..values.len()).map(Value::count).collect())),
        other => Err(format!("{} has no keys", quoted(&shown(other)))),
    }
}

fn has(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Object(object), Value::Text(name)) => Ok(Value::Bool(object.get(name).is_some())),
        (Value::Array(values), Value::Number(at)) => {
            let at = at.as_int().and_then(|at| usize::try_from(at).ok());
            Ok(Value::Bool(at.is_some_and(|at| at < values.len())))
        }
        _ => Err(format!(
            "cannot tell whether a {} has {}",
            value.kind(),
            quoted(&shown(key))
        )),
    }
}

fn contains(value: &Value, part: &Value) -> Result<bool, String> {
    match (value, part) {
        (Value::Object(object), Value::Object(part)) => {
            for (name, part) in part.iter() {
                let Some(value) = object.get(name) else {
                    return Ok(false);
                };
                if !contains(value, part)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Array(values), Value::Array(parts)) => {
            for part in parts.iter() {
                let mut found = false;
                for value in values.iter().filter(|value| value.kind() == part.kind()) {
                    found = found || contains(value, part)?;
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Text(text), Value::Text(part)) => Ok(text.contains(&**part)),
        _ if value.kind() == part.kind() => Ok(value == part),
        _ => Err(format!(
            "a {} cannot contain a {}",
            value.kind(),
            part.kind()
        )),
    }
}

fn flatten(values: &[Value], levels: i64, flat: &mut Vec<Value>) {
    for value in values {
        match value {
            Value::Array(inner) if levels > 0 => flatten(inner, levels - 1, flat),
            other => flat.push(other.clone()),
        }
    }
}

/// The elements with their keys, sorted by them.
fn keyed(value: &Value, keys: &Value) -> Result<Vec<(Value, Value)>, String> {
    let keys = array(keys)?.iter().cloned();
    let keyed = keys.zip(array(value)?.iter().cloned());
    Ok(in_order(keyed.collect()))
}

/// For the tables of the other modules.
pub(super) const fn entry(name: &'static str, arity: usize, run: Run) -> Native {
    native(name, arity, run)
}
