//! The lines of an env file: one NAME=VALUE each, whose value may go on over lines while it is quoted. Reading it is
//! `given_file`'s business.

/// The entries of an env file: the number of the line that each begins on, from 1, and its lines. A quoted value goes on to
/// the line with the quote that ends it; where none does, it is one line, and [`parse_line`] refuses it.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut rest, mut number) = (text, 1);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let line_end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let end = if ends_on_its_line(&rest[..line_end]) {
            line_end
        } else {
            end_of_quoted(rest).unwrap_or(line_end)
        };
        let (entry, after) = rest.split_at(end);
        let begins_on = number;
        number += entry.matches('\n').count();
        rest = after;
        Some((begins_on, entry))
    })
}

/// Whether no quoted value goes on behind this line.
fn ends_on_its_line(line: &str) -> bool {
    match quoted(line) {
        Some((quote, value)) => value.contains(quote),
        None => true,
    }
}

/// The quote that a line's value begins with, and what follows it.
fn quoted(line: &str) -> Option<(char, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (_, value) = line.split_once('=').filter(|(name, _)| is_name(name))?;
    let value = value.trim_start_matches([' ', '\t']);
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some((quote, &value[1..]))
}

/// Where the line ends on which the quoted value at the beginning of `text` does.
fn end_of_quoted(text: &str) -> Option<usize> {
    let (quote, value) = quoted(text)?;
    let value_at = text.len() - value.len();
    let end = value_at + value.find(quote)?;
    // A line that sets another setting was not meant to be in the value: a quote is missing.
    let sets_another = |line: &str| {
        let name = line.split_once('=').map(|(name, _)| name.trim_start());
        name.is_some_and(|name| is_name(name.strip_prefix("export ").unwrap_or(name)))
    };
    if text[value_at..end].lines().skip(1).any(sets_another) {
        return None;
    }
    Some(text[end..].find('\n').map_or(text.len(), |at| end + at + 1))
}

/// One entry of an env file: `NAME=VALUE`, perhaps after `export`, perhaps with quotes around the value. `#` begins a
/// comment at the start of a line, or after a blank where the value is not quoted. No variable is expanded.
pub fn parse_line(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, value) = line
        .split_once('=')
        .ok_or("has a line that is not NAME=VALUE, a comment or empty")?;
    if !is_name(name) {
        return Err(
            "a name is made of upper case letters, digits and `_`, with no blank before `=`",
        );
    }
    let value = value.trim();
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let rest = &value[1..];
            let end = rest
                .find(quote)
                .ok_or("a quoted value has no quote at its end, or goes on over a line that sets another setting")?;
            let after = rest[end + 1..].trim_start();
            if !after.is_empty() && !after.starts_with('#') {
                return Err("nothing but a comment may follow a quoted value");
            }
            &rest[..end]
        }
        _ => value.find(" #").map_or(value, |at| value[..at].trim_end()),
    };
    Ok(Some((name.to_owned(), value.to_owned())))
}

/// The line that [`parse_line`] reads as this name and value: quoted where it has to be. None where no line is.
pub fn line(name: &str, value: &str) -> Option<String> {
    let written = ["", "'", "\""].map(|quote| format!("{name}={quote}{value}{quote}"));
    let is_read = |line: &String| {
        let is_line = !line.contains(['\n', '\r']);
        is_line && parse_line(line) == Ok(Some((name.to_owned(), value.to_owned())))
    };
    written.into_iter().find(is_read)
}

/// Whether this can be the name of a setting: upper case letters, digits and `_`, a letter first.
pub fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_uppercase())
}

/// The names of settings in a comma-separated list. `Err` completes a sentence that begins with the setting's name.
pub fn names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().all(|name| is_name(name)) {
        return Ok(names);
    }
    // The text may be a value in the wrong place: it is not repeated.
    Err("takes names of settings, comma-separated: upper case letters, digits and `_`".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_quoted_where_it_would_be_read_as_another() {
        assert_eq!(line("A", "x y").as_deref(), Some("A=x y"));
        assert_eq!(line("A", "x #y").as_deref(), Some("A='x #y'"));
        assert_eq!(line("A", " x").as_deref(), Some("A=' x'"));
        assert_eq!(line("A", "'x' #").as_deref(), Some("A=\"'x' #\""));
        assert_eq!(line("A", "' \" #"), None);
        assert_eq!(line("A", "x\ny"), None);
    }

    #[test]
    fn a_quoted_value_goes_on_to_its_quote() {
        let text = "# A=\"1\nA=\"x: 1\r\ny: 2\n\" # z\n\nB='1\n2'\nC=3";
        let read: Vec<_> = entries(text)
            .filter_map(|(at, entry)| {
                let (name, value) = parse_line(entry).unwrap()?;
                Some((at, name, value))
            })
            .collect();

        let entry = |at, name: &str, value: &str| (at, name.to_owned(), value.to_owned());
        assert_eq!(
            read,
            [
                entry(2, "A", "x: 1\r\ny: 2\n"),
                entry(6, "B", "1\n2"),
                entry(8, "C", "3")
            ]
        );
    }

    #[test]
    fn a_quote_that_is_missing_takes_no_other_setting_in() {
        let text = "A=\"1\nB=\"2\"\nC='";
        let all: Vec<_> = entries(text)
            .map(|(at, entry)| (at, parse_line(entry)))
            .collect();

        assert!(matches!(all[0], (1, Err(why)) if why.contains("another setting")));
        assert_eq!(all[1], (2, Ok(Some(("B".to_owned(), "2".to_owned())))));
        assert!(matches!(all[2], (3, Err(_))));
    }

    proptest! {
        #[test]
        fn entries_are_the_whole_text(text in "[A='\"\n# x]{0,40}") {
            let all: Vec<_> = entries(&text).collect();

            let joined: String = all.iter().map(|(_, entry)| *entry).collect();
            prop_assert_eq!(&joined, &text);
            for (at, entry) in all {
                let before = entry.as_ptr().addr() - text.as_ptr().addr();
                prop_assert_eq!(at, 1 + text[..before].matches('\n').count());
            }
        }

        #[test]
        fn a_written_line_is_read_as_what_was_written(value in "[ #'\"=a\u{a0}\t\n\r\\\\]{0,12}") {
            if let Some(line) = line("A", &value) {
                prop_assert_eq!(line.lines().count(), 1);
                prop_assert_eq!(parse_line(&line), Ok(Some(("A".to_owned(), value))));
            }
        }
    }

    #[test]
    fn a_line_may_be_exported_quoted_or_commented() {
        let parse = |line| parse_line(line).unwrap().unwrap().1;

        assert_eq!(parse("export A=1"), "1");
        assert_eq!(parse("A='x # y' # z"), "x # y");
        assert_eq!(parse("A=\"x y\""), "x y");
        assert_eq!(parse("A=x#y # z"), "x#y");
        assert_eq!(parse("A=a=b"), "a=b");
        assert_eq!(parse_line("# A=1").unwrap(), None);
    }
}
