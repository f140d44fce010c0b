//! The lines of an env file: one NAME=VALUE each. Reading it is `given_file`'s business.

/// One line of an env file: `NAME=VALUE`, perhaps after `export`, perhaps with quotes around the value. `#` begins a
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
                .ok_or("a quoted value ends on the line it begins on")?;
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

    proptest! {
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
