//! What is wrong with a program, in words, with line and column.

use jaq_core::load::{lex, parse, span};

use super::super::builtins;
use crate::text::quoted;

/// Filters of jq that look at or touch something besides their input.
const NOT_PURE: &[&str] = &[
    "$ENV",
    "$__loc__",
    "$__prog_args",
    "debug",
    "env",
    "get_search_list",
    "halt",
    "halt_error",
    "input",
    "input_filename",
    "input_line_number",
    "inputs",
    "localtime",
    "now",
    "stderr",
    "strflocaltime",
];
/// What people know of jq that was left out, to keep it small.
const LEFT_OUT: &[&str] = &[
    "acos",
    "asin",
    "atan",
    "cbrt",
    "cos",
    "import",
    "include",
    "modulemeta",
    "sin",
    "tan",
];

/// The text of a program.
pub(super) struct Source<'t>(&'t str);

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self(text)
    }

    /// The place of a part of the text; without a part, its end.
    fn place(&self, part: Option<&str>) -> String {
        let at = part.map_or(self.0.len(), |part| span(self.0, part).start);
        let before = self.0.get(..at).unwrap_or(self.0);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        format!("line {line}, column {column}")
    }

    pub(super) fn unreadable(&self, errors: &[lex::Error<&'t str>]) -> String {
        let Some((expected, found)) = errors.first() else {
            return "cannot be read".to_owned();
        };
        let place = self.place(Some(found));
        match expected {
            lex::Expect::Delim(open) => format!("{place}: {} is never closed", quoted(open)),
            other => format!(
                "{place}: expected a {}{}",
                other.as_str(),
                seen(first_word(found))
            ),
        }
    }

    pub(super) fn unexpected(&self, errors: &[parse::TError<'_, &'t str>]) -> String {
        let Some((expected, found)) = errors.first() else {
            return "cannot be read".to_owned();
        };
        let found = found.map(|token| token.0);
        let place = self.place(found);
        let expected = match expected {
            parse::Expect::Nothing => "no more".to_owned(),
            parse::Expect::Just(word) => format!("`{word}`"),
            parse::Expect::Term => "a filter".to_owned(),
            other => other.as_str().to_owned(),
        };
        format!(
            "{place}: expected {expected}{}",
            seen(found.map_or("", first_word))
        )
    }

    /// `?//` where it is not understood.
    pub(super) fn no_alternatives(&self, part: &'t str) -> String {
        let place = self.place(Some(part));
        format!("{place}: `?//` is allowed after `as` only, not in `reduce` and `foreach`")
    }

    pub(super) fn no_pattern(&self, part: &'t str) -> String {
        let place = self.place(Some(part));
        format!("{place}: expected a pattern{}", seen(first_word(part)))
    }

    /// Where a part of the text begins.
    pub(super) fn offset(&self, part: &str) -> usize {
        span(self.0, part).start
    }

    pub(super) fn unknown(&self, what: &str, name: &'t str) -> String {
        let place = self.place(Some(name));
        if NOT_PURE.contains(&name) {
            return format!("{place}: {}", not_pure(name));
        }
        if LEFT_OUT.contains(&name) {
            return format!("{place}: {} is not supported", quoted(name));
        }
        format!("{place}: there is no {what} {}", quoted(name))
    }

    pub(super) fn unknown_filter(&self, name: &'t str, arity: usize) -> String {
        let arguments = builtins::arities(name);
        if arguments.is_empty() {
            return self.unknown("filter", name);
        }
        let place = self.place(Some(name));
        let plural = if arguments.ends_with(&["1".to_owned()]) {
            ""
        } else {
            "s"
        };
        let takes = arguments.join(" or ");
        format!(
            "{place}: {} takes {takes} argument{plural}, not {arity}",
            quoted(name)
        )
    }
}

fn not_pure(name: &str) -> String {
    format!(
        "{} is not supported: a program sees only its one input",
        quoted(name)
    )
}

fn first_word(text: &str) -> &str {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    &text[..end]
}

fn seen(found: &str) -> String {
    if found.is_empty() {
        ", and the text ends".to_owned()
    } else {
        format!(", found {}", quoted(found))
    }
}
