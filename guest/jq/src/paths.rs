//! Places in a value: reading them, changing them, taking them away.

use std::rc::Rc;

use super::eval::Stop;
use super::nesting::Change;
use super::number::Number;
use super::value::{Object, Value, in_order};
use super::{json::LEVELS_MAX, shown};
use crate::text::quoted;

/// Elements that an array may be made to have by setting one far out.
const FILLED_MAX: usize = 100_000;

/// The index that stands for a slice in a path.
pub(super) fn slice_index(from: Value, to: Value) -> Value {
    let members = [("start", from), ("end", to)];
    let members = members
        .into_iter()
        .map(|(name, value)| (Rc::from(name), value));
    Value::Object(Rc::new(members.collect()))
}

/// The value at an index; `null` where there is none. `Err`: such a value has no such index.
pub(super) fn index(value: &Value, index: &Value) -> Result<Value, String> {
    match (value, index) {
        (Value::Object(object), Value::Text(name)) => {
            Ok(object.get(name).cloned().unwrap_or_default())
        }
        (Value::Array(values), Value::Number(number)) => {
            let at = place(number, values.len());
            Ok(at
                .and_then(|at| values.get(at))
                .cloned()
                .unwrap_or_default())
        }
        (Value::Null, Value::Text(_) | Value::Number(_) | Value::Null | Value::Object(_)) => {
            Ok(Value::Null)
        }
        (Value::Array(values), Value::Object(slice)) => {
            let (from, to) = bounds(slice, values.len())?;
            Ok(Value::array(values[from..to].to_vec()))
        }
        (Value::Text(text), Value::Object(slice)) => {
            let (from, to) = bounds(slice, text.chars().count())?;
            let cut: String = text.chars().skip(from).take(to - from).collect();
            Ok(Value::text(cut))
        }
        (Value::Array(values), Value::Array(wanted)) => Ok(positions(values, wanted)),
        _ => Err(no_index(value, index)),
    }
}

fn no_index(value: &Value, index: &Value) -> String {
    format!(
        "cannot index a {} with {}",
        value.kind(),
        quoted(&shown(index))
    )
}

/// Where `wanted` begins in `values`.
pub(super) fn positions(values: &[Value], wanted: &[Value]) -> Value {
    if wanted.is_empty() {
        return Value::array(Vec::new());
    }
    let windows = values.windows(wanted.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == wanted);
    Value::array(found.map(|(at, _)| Value::count(at)).collect())
}

/// Where an index points in an array of `length`: negative ones count from its end.
fn place(number: &Number, length: usize) -> Option<usize> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, beyond any array"
    )]
    let at = number
        .as_int()
        .unwrap_or_else(|| number.as_f64().floor() as i64);
    match usize::try_from(at) {
        Ok(at) => Some(at),
        Err(_) => usize::try_from(at.unsigned_abs())
            .ok()
            .and_then(|back| length.checked_sub(back)),
    }
}

fn bounds(slice: &Object, length: usize) -> Result<(usize, usize), String> {
    let bound = |name: &str, none: usize, up: bool| match slice.get(name) {
        None | Some(Value::Null) => Ok(none),
        Some(Value::Number(number)) => {
            let float = number.as_f64();
            let float = if up { float.ceil() } else { float.floor() };
            let at = Number::Float(float);
            Ok(place(&at, length).unwrap_or(0).min(length))
        }
        Some(other) => Err(format!("cannot slice at {}", quoted(&shown(other)))),
    };
    let from = bound("start", 0, false)?;
    let to = bound("end", length, true)?;
    Ok((from, to.max(from)))
}

/// Changes the value at a path; places on the way that do not exist are made.
pub(super) fn change(value: Value, path: &[Value], with: Change) -> Result<Value, Stop> {
    if path.len() > LEVELS_MAX {
        return Err(Stop::from(format!(
            "goes down more than {LEVELS_MAX} levels"
        )));
    }
    change_below(value, path, with)
}

fn change_below(value: Value, path: &[Value], with: Change) -> Result<Value, Stop> {
    let Some((step, rest)) = path.split_first() else {
        return with(value);
    };
    match (value, step) {
        (Value::Null, Value::Text(_)) => change_below(Value::Object(Rc::default()), path, with),
        (Value::Null, Value::Number(_) | Value::Object(_)) => {
            change_below(Value::array(Vec::new()), path, with)
        }
        (Value::Object(mut object), Value::Text(name)) => {
            Rc::make_mut(&mut object).change(name, &mut |inner| change_below(inner, rest, with))?;
            Ok(Value::Object(object))
        }
        (Value::Array(mut values), Value::Number(number)) => {
            let at = place(number, values.len()).ok_or_else(|| {
                Stop::from(format!("cannot set element {}", quoted(&shown(step))))
            })?;
            if at >= values.len().max(FILLED_MAX) {
                return Err(Stop::from(format!(
                    "cannot set element {at}: it is too far out"
                )));
            }
            Rc::make_mut(&mut values).change(at, &mut |inner| change_below(inner, rest, with))?;
            Ok(Value::Array(values))
        }
        (Value::Array(values), Value::Object(slice)) => {
            let (from, to) = bounds(slice, values.len())?;
            let inner = Value::array(values[from..to].to_vec());
            match change_below(inner, rest, with) {
                Ok(Value::Array(new)) => Ok(Value::Array(Rc::new(values.spliced(from, to, &new)))),
                Ok(_) => Err(Stop::from(
                    "cannot assign to a slice what is not an array".to_owned(),
                )),
                // Left as it is: it will be taken away.
                Err(Stop::Enough) => Ok(Value::Array(values)),
                Err(other) => Err(other),
            }
        }
        (value, step) => Err(Stop::from(no_index(&value, step))),
    }
}

/// Takes the places away that the paths lead to; those that do not exist are gone already.
pub(super) fn delete(value: Value, paths: Vec<Vec<Value>>) -> Result<Value, Stop> {
    // From the last place to the first, so that none moves before its turn.
    let keyed = paths
        .into_iter()
        .map(|path| (Value::array(path), Value::Null));
    let mut value = value;
    let mut before = None;
    for (path, _) in in_order(keyed.collect()).into_iter().rev() {
        if let Value::Array(steps) = &path
            && before.as_ref() != Some(&path)
        {
            value = delete_one(value, steps)?;
        }
        before = Some(path);
    }
    Ok(value)
}

fn delete_one(value: Value, path: &[Value]) -> Result<Value, Stop> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(Value::Null);
    };
    match (value, step) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Object(mut object), Value::Text(name)) => {
            if object.get(name).is_some() {
                let members = Rc::make_mut(&mut object);
                if rest.is_empty() {
                    members.remove(name);
                } else {
                    members.change(name, &mut |inner| delete_one(inner, rest))?;
                }
            }
            Ok(Value::Object(object))
        }
        (Value::Array(mut values), Value::Number(number)) => {
            if let Some(at) = place(number, values.len()).filter(|at| *at < values.len()) {
                let values = Rc::make_mut(&mut values);
                if rest.is_empty() {
                    values.remove(at);
                } else {
                    values.change(at, &mut |inner| delete_one(inner, rest))?;
                }
            }
            Ok(Value::Array(values))
        }
        (Value::Array(values), Value::Object(slice)) if rest.is_empty() => {
            let (from, to) = bounds(slice, values.len())?;
            Ok(Value::Array(Rc::new(values.spliced(from, to, &[]))))
        }
        (value, step) => Err(Stop::from(
            no_index(&value, step).replace("index", "delete from"),
        )),
    }
}
