//! Integers of any size, as decimal digits: no machine type comes between two ids and their order.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// An integer. Its digits have no leading zeros, and zero is not negative, so equal numbers are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number<'a> {
    negative: bool,
    digits: Cow<'a, str>,
}

impl<'a> Number<'a> {
    /// Reads `-?[0-9]+`; anything else is `None`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::new(negative, Cow::Borrowed(digits)))
    }

    fn new(negative: bool, digits: Cow<'a, str>) -> Self {
        let zeros = digits.bytes().take_while(|byte| *byte == b'0').count();
        let digits = match (zeros, digits) {
            (0, digits) => digits,
            (all, digits) if all == digits.len() => Cow::Borrowed("0"),
            (_, Cow::Borrowed(digits)) => Cow::Borrowed(&digits[zeros..]),
            (_, Cow::Owned(digits)) => Cow::Owned(digits[zeros..].to_owned()),
        };
        Self {
            negative: negative && digits != "0",
            digits,
        }
    }

    /// The same number, borrowing nothing.
    pub fn into_owned(self) -> Number<'static> {
        Number {
            negative: self.negative,
            digits: Cow::Owned(self.digits.into_owned()),
        }
    }

    /// This number less `count`.
    pub fn minus(&self, count: u64) -> Number<'static> {
        let count = count.to_string();
        if self.negative {
            return Number::new(true, Cow::Owned(sum(&self.digits, &count)));
        }
        match compare_digits(&self.digits, &count) {
            Ordering::Less => Number::new(true, Cow::Owned(difference(&count, &self.digits))),
            _ => Number::new(false, Cow::Owned(difference(&self.digits, &count))),
        }
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => compare_digits(&self.digits, &other.digits),
            (true, true) => compare_digits(&other.digits, &self.digits),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negative { "-" } else { "" }, self.digits)
    }
}

fn compare_digits(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Digits from the last to the first, without end.
fn backwards(digits: &str) -> impl Iterator<Item = u8> {
    let digits = digits.bytes().rev().map(|digit| digit - b'0');
    digits.chain(std::iter::repeat(0))
}

fn sum(a: &str, b: &str) -> String {
    let mut carry = 0;
    let pairs = backwards(a)
        .zip(backwards(b))
        .take(a.len().max(b.len()) + 1);
    let digits: Vec<u8> = pairs
        .map(|(a, b)| {
            let sum = a + b + carry;
            carry = sum / 10;
            sum % 10
        })
        .collect();
    text(&digits)
}

/// `a - b`, of which `a` is not the lesser.
fn difference(a: &str, b: &str) -> String {
    let mut borrow = 0;
    let digits: Vec<u8> = backwards(a)
        .zip(backwards(b))
        .take(a.len())
        .map(|(a, b)| {
            let take = b + borrow;
            borrow = u8::from(a < take);
            a + 10 * borrow - take
        })
        .collect();
    text(&digits)
}

fn text(backwards: &[u8]) -> String {
    backwards
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse(text).unwrap()
    }

    #[test]
    fn numbers_beyond_every_machine_type_have_an_order() {
        let long = "1234567890123456789012345678901234567890";

        assert!(number(long) > number(&long[1..]));
        assert!(number("9007199254740993") > number("9007199254740992"));
        assert!(number("-10") < number("-9"));
        assert_eq!(number("-0"), number("000"));
    }

    #[test]
    fn what_is_no_integer_is_refused() {
        assert_eq!(Number::parse("1.0"), None);
        assert_eq!(Number::parse("1e3"), None);
        assert_eq!(Number::parse("+1"), None);
        assert_eq!(Number::parse("-"), None);
        assert_eq!(Number::parse(""), None);
    }

    #[test]
    fn a_borrow_goes_through_all_digits() {
        let one_and_zeros = format!("1{}", "0".repeat(60));

        assert_eq!(number(&one_and_zeros).minus(1).to_string(), "9".repeat(60));
    }

    proptest! {
        #[test]
        fn arithmetic_and_order_are_those_of_i128(a in any::<i64>(), b in any::<i64>(), count in any::<u64>()) {
            let (text_a, text_b) = (a.to_string(), b.to_string());

            let less = number(&text_a).minus(count);

            prop_assert_eq!(less.to_string(), (i128::from(a) - i128::from(count)).to_string());
            prop_assert_eq!(number(&text_a).cmp(&number(&text_b)), a.cmp(&b));
        }
    }
}
