//! Numbers: one that is only handed on keeps the digits it came with, and comparing never rounds.
//!
//! Calculating is done in integers while they fit 64 bits, else in doubles, as jq does.

use std::cmp::Ordering;
use std::rc::Rc;

/// Doubles up to here are written without an exponent or a fraction of zero: `3`, not `3.0`.
const WHOLE_MAX: f64 = 1e17;

/// A JSON number, or one of the doubles that JSON has no text for.
#[derive(Debug, Clone)]
pub enum Number {
    /// An integer of 64 bits.
    Int(i64),
    /// Any other number, as its JSON text.
    Exact(Rc<str>),
    /// What a calculation gave.
    Float(f64),
}

impl Number {
    /// Takes the text of a JSON number.
    pub fn parse(text: &str) -> Self {
        // `-0` is an integer that an `i64` would forget the sign of.
        match text.parse() {
            Ok(int) if text != "-0" => Self::Int(int),
            _ => Self::Exact(text.into()),
        }
    }

    /// The nearest double.
    pub fn as_f64(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "jq's numbers are doubles")]
            Self::Int(int) => *int as f64,
            Self::Exact(text) => text.parse().unwrap_or(f64::NAN),
            Self::Float(float) => *float,
        }
    }

    /// The integer it is, when it is one of 64 bits; `2.0` is.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Exact(_) | Self::Float(_) => whole(self.as_f64()),
        }
    }

    /// Its JSON text; `None` for NaN and the infinities.
    pub fn text(&self) -> Option<Rc<str>> {
        match self {
            Self::Int(int) => Some(int.to_string().into()),
            Self::Exact(text) => Some(text.clone()),
            Self::Float(float) if !float.is_finite() => None,
            Self::Float(float) if float.fract() == 0.0 && float.abs() < WHOLE_MAX => {
                Some(format!("{float:.0}").into())
            }
            Self::Float(float) => Some(format!("{float:?}").into()),
        }
    }
}

/// The integer that a double is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and small"
)]
pub fn whole(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() < WHOLE_MAX).then_some(float as i64)
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Self::Int(left), Self::Int(right)) = (self, other) {
            return left.cmp(right);
        }
        match (self.text(), other.text()) {
            (Some(left), Some(right)) => compare(&left, &right),
            // NaN is less than every number, itself included, as in jq.
            _ => self.as_f64().partial_cmp(&other.as_f64()).unwrap_or(
                match (self.as_f64().is_nan(), other.as_f64().is_nan()) {
                    (false, true) => Ordering::Greater,
                    _ => Ordering::Less,
                },
            ),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// A decimal as sign, digits without zeros at either end, and where the point is before the first of them.
pub struct Decimal {
    /// Whether it is below zero.
    pub negative: bool,
    /// Its digits in ASCII; none for zero.
    pub digits: Vec<u8>,
    /// How many of them come before the point.
    pub point: i64,
}

impl Decimal {
    /// Reads the text of a JSON number.
    pub fn parse(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let far = if exponent.starts_with('-') {
            i64::MIN / 4
        } else {
            i64::MAX / 4
        };
        let exponent: i64 = exponent.parse().unwrap_or(far);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let places = i64::try_from(whole.len()).unwrap_or(far) - i64::try_from(zeros).unwrap_or(0);
        Self {
            negative: negative && !digits.is_empty(),
            point: exponent.clamp(i64::MIN / 4, i64::MAX / 4) + places,
            digits,
        }
    }

    /// Whether it has no fraction.
    pub fn is_whole(&self) -> bool {
        i64::try_from(self.digits.len())
            .is_ok_and(|length| self.digits.is_empty() || length <= self.point)
    }
}

impl Decimal {
    /// Whether it is a whole number of times `divisor`, which has at most 18 digits and is not zero.
    pub fn is_multiple_of(&self, divisor: &Self) -> bool {
        let exponent =
            |number: &Self| number.point - i64::try_from(number.digits.len()).unwrap_or(0);
        let tens = exponent(self) - exponent(divisor);
        // Its last digit is not zero, so that nothing smaller than that divides it by ten.
        let Ok(tens) = u64::try_from(tens) else {
            return self.digits.is_empty();
        };
        let value = |digits: &[u8], modulus: u128| {
            let add = |value, digit: &u8| (value * 10 + u128::from(digit - b'0')) % modulus;
            digits.iter().fold(0, add)
        };
        let modulus = value(&divisor.digits, u128::MAX / 16).max(1);
        let (mut left, mut power, mut tens) = (value(&self.digits, modulus), 10 % modulus, tens);
        while tens > 0 {
            if tens % 2 == 1 {
                left = left * power % modulus;
            }
            power = power * power % modulus;
            tens /= 2;
        }
        left == 0
    }
}

/// Compares the texts of two JSON numbers, digit by digit.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Decimal::parse(left), Decimal::parse(right));
    let size = |number: &Decimal| (!number.digits.is_empty()).then_some(number.point);
    let by_size = || {
        size(&left)
            .cmp(&size(&right))
            .then_with(|| left.digits.cmp(&right.digits))
    };
    match (left.negative, right.negative) {
        (false, false) => by_size(),
        (true, true) => by_size().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_all_their_digits() {
        use Ordering::{Equal, Greater, Less};
        for (left, right, order) in [
            ("1", "1.0", Equal),
            ("-0", "0", Equal),
            ("1e400", "1e401", Less),
            ("1e400", "10e399", Equal),
            ("0.1", "0.10000000000000000001", Less),
            ("9007199254740993", "9007199254740992", Greater),
            ("-2", "-10", Greater),
            ("0.001", "1e-3", Equal),
            ("100", "20", Greater),
            ("-1", "1", Less),
            ("1e999999999999999999999", "1e999", Greater),
        ] {
            assert_eq!(
                Number::parse(left).cmp(&Number::parse(right)),
                order,
                "{left} {right}"
            );
        }
    }

    #[test]
    fn a_calculated_whole_number_has_no_fraction() {
        let text = |float| Number::Float(float).text().map(|text| text.to_string());

        assert_eq!(text(3.0).as_deref(), Some("3"));
        assert_eq!(text(0.1).as_deref(), Some("0.1"));
        assert_eq!(text(1e300).as_deref(), Some("1e300"));
        assert_eq!(text(f64::NAN), None);
    }
}
