//! Arithmetic, as jq has it: on numbers, strings, arrays and objects.

use std::rc::Rc;

use jaq_core::ops::Math;

use super::number::Number;
use super::value::{Object, Value};
use super::{BUILT_MAX, shown};
use crate::text::quoted;

/// Calculates. `Err` says with what it is impossible.
pub(super) fn calculate(left: Value, op: Math, right: Value) -> Result<Value, String> {
    match op {
        Math::Add => add(left, right),
        Math::Sub => subtract(left, right),
        Math::Mul => multiply(left, right),
        Math::Div => divide(left, right),
        Math::Rem => remainder(&left, &right),
    }
}

fn impossible(left: &Value, sign: &str, right: &Value) -> String {
    let (left, right) = (quoted(&shown(left)), quoted(&shown(right)));
    format!("cannot calculate {left} {sign} {right}")
}

/// Integers while the result is one of 64 bits, doubles else.
fn numbers(
    left: &Number,
    right: &Number,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
) -> Value {
    if let (Number::Int(left), Number::Int(right)) = (left, right)
        && let Some(int) = ints(*left, *right)
    {
        return Value::int(int);
    }
    Value::float(floats(left.as_f64(), right.as_f64()))
}

fn fits(bytes: usize, more: usize) -> Result<(), String> {
    match bytes.checked_add(more) {
        Some(built) if built <= BUILT_MAX => Ok(()),
        _ => Err(format!(
            "builds more than {BUILT_MAX} bytes or elements in one value"
        )),
    }
}

/// `+`
pub(super) fn add(left: Value, right: Value) -> Result<Value, String> {
    Ok(match (left, right) {
        (Value::Null, other) | (other, Value::Null) => other,
        (Value::Number(left), Value::Number(right)) => {
            numbers(&left, &right, i64::checked_add, |left, right| left + right)
        }
        (Value::Text(left), Value::Text(right)) => {
            fits(left.len(), right.len())?;
            Value::text([&*left, &*right].concat())
        }
        (Value::Array(mut left), Value::Array(right)) => {
            fits(left.len(), right.len())?;
            Rc::make_mut(&mut left).extend(&right);
            Value::Array(left)
        }
        (Value::Object(mut left), Value::Object(right)) => {
            let object = Rc::make_mut(&mut left);
            for (name, value) in right.iter() {
                object.insert(name.clone(), value.clone());
            }
            Value::Object(left)
        }
        (left, right) => return Err(impossible(&left, "+", &right)),
    })
}

fn subtract(left: Value, right: Value) -> Result<Value, String> {
    Ok(match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            numbers(&left, &right, i64::checked_sub, |left, right| left - right)
        }
        (Value::Array(left), Value::Array(right)) => {
            let kept = left.iter().filter(|value| !right.contains(value));
            Value::array(kept.cloned().collect())
        }
        (left, right) => return Err(impossible(&left, "-", &right)),
    })
}

fn multiply(left: Value, right: Value) -> Result<Value, String> {
    Ok(match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            numbers(&left, &right, i64::checked_mul, |left, right| left * right)
        }
        (Value::Text(text), Value::Number(times)) | (Value::Number(times), Value::Text(text)) => {
            repeated(&text, times.as_f64())?
        }
        (Value::Object(left), Value::Object(right)) => {
            Value::Object(Rc::new(merged(&left, &right)))
        }
        (left, right) => return Err(impossible(&left, "*", &right)),
    })
}

fn repeated(text: &str, times: f64) -> Result<Value, String> {
    if times <= 0.0 || times.is_nan() {
        return Ok(Value::Null);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and what is too large is refused"
    )]
    let times = (times as usize).max(1);
    fits(text.len().saturating_mul(times), 0)?;
    Ok(Value::text(text.repeat(times)))
}

fn merged(left: &Object, right: &Object) -> Object {
    let mut object = left.clone();
    for (name, value) in right.iter() {
        let value = match (object.get(name), value) {
            (Some(Value::Object(left)), Value::Object(right)) => {
                Value::Object(Rc::new(merged(left, right)))
            }
            _ => value.clone(),
        };
        object.insert(name.clone(), value);
    }
    object
}

fn divide(left: Value, right: Value) -> Result<Value, String> {
    Ok(match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            if right.as_f64() == 0.0 {
                let (left, right) = (Value::Number(left), Value::Number(right));
                return Err(impossible(&left, "/", &right));
            }
            let whole = |left: i64, right: i64| {
                let rest = left.checked_rem(right)?;
                (rest == 0).then(|| left.checked_div(right)).flatten()
            };
            numbers(&left, &right, whole, |left, right| left / right)
        }
        (Value::Text(left), Value::Text(right)) => split(&left, &right),
        (left, right) => return Err(impossible(&left, "/", &right)),
    })
}

/// The pieces of a text between separators.
pub(super) fn split(text: &str, separator: &str) -> Value {
    if text.is_empty() {
        return Value::array(Vec::new());
    }
    if separator.is_empty() {
        let chars = text.chars().map(|char| Value::text(char.to_string()));
        return Value::array(chars.collect());
    }
    Value::array(text.split(separator).map(Value::text).collect())
}

fn remainder(left: &Value, right: &Value) -> Result<Value, String> {
    let (Value::Number(l), Value::Number(r)) = (left, right) else {
        return Err(impossible(left, "%", right));
    };
    let (Some(l), Some(r)) = (truncated(l), truncated(r)) else {
        return Ok(Value::float(f64::NAN));
    };
    if r == 0 {
        return Err(impossible(left, "%", right));
    }
    // jq takes the sign of the left side and the size of the right one.
    Ok(Value::int(l.checked_rem(r).unwrap_or(0)))
}

fn truncated(number: &Number) -> Option<i64> {
    let float = number.as_f64();
    #[expect(clippy::cast_possible_truncation, reason = "saturates, as in jq")]
    let cut = || float.trunc() as i64;
    (!float.is_nan()).then(|| number.as_int().unwrap_or_else(cut))
}

/// `-`
pub(super) fn negate(value: &Value) -> Result<Value, String> {
    match value {
        Value::Number(Number::Int(int)) if *int != 0 => Ok(int
            .checked_neg()
            .map_or_else(|| Value::float(-Number::Int(*int).as_f64()), Value::int)),
        Value::Number(Number::Exact(text)) => {
            let text = text
                .strip_prefix('-')
                .map_or_else(|| format!("-{text}"), str::to_owned);
            Ok(Value::Number(Number::parse(&text)))
        }
        Value::Number(number) => Ok(Value::float(-number.as_f64())),
        other => Err(format!("cannot negate {}", quoted(&shown(other)))),
    }
}
