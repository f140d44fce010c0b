//! CSV as RFC 4180 has it: each row becomes a JSON object of texts, one a line. What follows reads those as NDJSON.
//!
//! The reader is strict and small: a quote in the wrong place, or a row with more or fewer values than there are columns, is
//! where a file was cut or misread, and no record of it is used.

use tidegate_jq::write_string;

use crate::failure::quoted;

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csv {
    /// What separates two values.
    pub delimiter: u8,
    /// The names of the columns, where no line has them.
    pub header: Option<Vec<String>>,
    /// Columns that the settings name: without them it is another file, or a text that is none.
    pub needed: Vec<String>,
}

/// Why a row cannot be read.
enum Broken {
    /// Its quotes.
    Quotes,
    /// The file ends within it.
    Cut,
}

impl Csv {
    /// The rows as NDJSON of at most `bytes_max`. `Err` says what is wrong, and on which line.
    pub fn to_lines(&self, text: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
        let mut rows = Rows {
            text: text.as_bytes(),
            at: 0,
            line: 1,
            delimiter: self.delimiter,
        };
        let mut row = Row::default();
        let names = if let Some(names) = &self.header {
            members(names.iter().map(String::as_str))
        } else {
            if !rows.next(&mut row)? {
                return Err("is empty, without the line that names the columns: if it has none, set SOURCE_CSV_HEADER".to_owned());
            }
            let names: Vec<&str> = row.values().map(str::trim_ascii).collect();
            check(&names)?;
            if let Some(missing) = self
                .needed
                .iter()
                .find(|name| !names.contains(&name.as_str()))
            {
                return Err(format!(
                    "has no column {}, which SOURCE_CURSOR or PRIMARY_KEY names: check them, and SOURCE_CSV_DELIMITER",
                    quoted(missing)
                ));
            }
            members(names.into_iter())
        };
        let mut lines = Vec::with_capacity(text.len());
        let mut begins_on = rows.line;
        while rows.next(&mut row)? {
            if row.ends.len() != names.len() {
                return Err(format!(
                    "has {} values in the row on line {begins_on}, and there are {} columns: check SOURCE_CSV_DELIMITER and SOURCE_CSV_HEADER",
                    row.ends.len(),
                    names.len()
                ));
            }
            for (name, value) in names.iter().zip(row.values()) {
                lines.extend_from_slice(name);
                write_string(value, &mut lines);
            }
            lines.extend_from_slice(b"}\n");
            if lines.len() > bytes_max {
                return Err(format!(
                    "has more than {bytes_max} bytes as JSON: raise MAX_RESPONSE_BYTES, or ask for smaller pages"
                ));
            }
            begins_on = rows.line;
        }
        Ok(lines)
    }
}

/// The names in a line of them. `Err` says why they cannot be the columns.
pub fn header(text: &str) -> Result<Vec<String>, String> {
    let mut rows = Rows {
        text: text.trim_ascii().as_bytes(),
        at: 0,
        line: 1,
        delimiter: b',',
    };
    let mut row = Row::default();
    if !rows.next(&mut row)? {
        return Err("has no name in it".to_owned());
    }
    let names: Vec<&str> = row.values().map(str::trim_ascii).collect();
    check(&names)?;
    let names = names.into_iter().map(str::to_owned).collect();
    if rows.next(&mut Row::default())? {
        return Err("has more than one line".to_owned());
    }
    Ok(names)
}

fn check(names: &[&str]) -> Result<(), String> {
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!(
                "has no name for column {}: name all columns in SOURCE_CSV_HEADER if no line does",
                at + 1
            ));
        }
        if names[..at].contains(name) {
            return Err(format!("has two columns {}", quoted(name)));
        }
    }
    Ok(())
}

/// What stands before each value: `{"a":`, `,"b":`.
fn members<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Vec<u8>> {
    let member = |(at, name): (usize, &str)| {
        let mut member = vec![if at == 0 { b'{' } else { b',' }];
        write_string(name, &mut member);
        member.push(b':');
        member
    };
    names.enumerate().map(member).collect()
}

/// One row: its values one behind the other, and where each ends.
#[derive(Default)]
struct Row {
    text: String,
    ends: Vec<usize>,
}

impl Row {
    fn values(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let value = &self.text[from..*end];
            from = *end;
            value
        })
    }
}

/// The rows of a text.
struct Rows<'t> {
    text: &'t [u8],
    at: usize,
    /// The line at hand, from 1.
    line: u64,
    delimiter: u8,
}

impl Rows<'_> {
    /// Reads the next row that is not empty; false at the end.
    fn next(&mut self, row: &mut Row) -> Result<bool, String> {
        while let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) {
            let blank = usize::from(rest.starts_with(b"\r\n")) + 1;
            if !rest.starts_with(b"\n") && !rest.starts_with(b"\r\n") {
                break;
            }
            self.at += blank;
            self.line += 1;
        }
        row.text.clear();
        row.ends.clear();
        if self.at >= self.text.len() {
            return Ok(false);
        }
        let line = self.line;
        let mut bytes = std::mem::take(&mut row.text).into_bytes();
        loop {
            let is_last = self.value(&mut bytes).map_err(|broken| match broken {
                Broken::Quotes => format!("has a quote in the wrong place on line {}: a value with quotes in it is quoted, and they are doubled", self.line),
                Broken::Cut => format!("ends within the quoted value that begins on line {line} or behind it"),
            })?;
            row.ends.push(bytes.len());
            if is_last {
                break;
            }
        }
        // Whole values of UTF-8, cut at ASCII.
        row.text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        Ok(true)
    }

    /// Appends the next value; true where the row ends behind it.
    fn value(&mut self, out: &mut Vec<u8>) -> Result<bool, Broken> {
        if self.text.get(self.at) == Some(&b'"') {
            self.at += 1;
            loop {
                let rest = &self.text[self.at..];
                let end = memchr::memchr(b'"', rest).ok_or(Broken::Cut)?;
                let lines = memchr::memchr_iter(b'\n', &rest[..end]).count();
                self.line += lines as u64;
                out.extend_from_slice(&rest[..end]);
                self.at += end + 1;
                if self.text.get(self.at) != Some(&b'"') {
                    break;
                }
                out.push(b'"');
                self.at += 1;
            }
        } else {
            let rest = &self.text[self.at..];
            let end = memchr::memchr3(self.delimiter, b'\n', b'"', rest).unwrap_or(rest.len());
            if rest.get(end) == Some(&b'"') {
                return Err(Broken::Quotes);
            }
            let is_line = rest.get(end).is_none_or(|byte| *byte == b'\n');
            let value = &rest[..end];
            let shown = value.strip_suffix(b"\r").filter(|_| is_line);
            let shown = shown.unwrap_or(value);
            out.extend_from_slice(shown);
            self.at += shown.len();
        }
        let rest = &self.text[self.at..];
        let (length, is_last) = match rest {
            [] => (0, true),
            [b'\n', ..] | [b'\r'] => (1, true),
            [b'\r', b'\n', ..] => (2, true),
            [byte, ..] if *byte == self.delimiter => (1, false),
            _ => return Err(Broken::Quotes),
        };
        self.at += length;
        self.line += u64::from(is_last);
        Ok(is_last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Csv = Csv {
        delimiter: b',',
        header: None,
        needed: Vec::new(),
    };

    fn lines(csv: &Csv, text: &str) -> Result<String, String> {
        let lines = csv.to_lines(text, 1000)?;
        Ok(String::from_utf8(lines).unwrap())
    }

    #[test]
    fn rows_become_objects_of_texts() {
        let text = "id, name\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n\r\n2,\n";

        assert_eq!(
            lines(&PLAIN, text).unwrap(),
            "{\"id\":\"1\",\"name\":\"a, \\\"b\\\"\\r\\nc\"}\n{\"id\":\"2\",\"name\":\"\"}\n"
        );
        assert_eq!(lines(&PLAIN, "id\n1").unwrap(), "{\"id\":\"1\"}\n");
        assert_eq!(lines(&PLAIN, "id\n").unwrap(), "");
    }

    #[test]
    fn the_columns_may_be_named_by_the_settings() {
        let csv = Csv {
            delimiter: b';',
            header: Some(header("id,\"a;b\"").unwrap()),
            needed: Vec::new(),
        };

        assert_eq!(
            lines(&csv, "1;2,5\n").unwrap(),
            "{\"id\":\"1\",\"a;b\":\"2,5\"}\n"
        );
        assert_eq!(lines(&csv, "").unwrap(), "");
    }

    #[test]
    fn what_is_not_a_table_is_refused_with_its_line() {
        let why = |text: &str| lines(&PLAIN, text).unwrap_err();

        assert!(why("").contains("without the line that names the columns"));
        assert!(why("a,a\n").contains("has two columns `a`"));
        assert!(why("a,\n").contains("has no name for column 2"));
        assert!(
            why("a,b\n1,\"2\n3\"\n4\n")
                .contains("has 1 values in the row on line 4, and there are 2 columns")
        );
        assert!(why("a,b\n1,2\"3\n").contains("quote in the wrong place on line 2"));
        assert!(why("a,b\n1,\"2\"3\n").contains("quote in the wrong place on line 2"));
        assert!(why("a,b\n1,\"2").contains("ends within the quoted value"));
        assert!(why(&format!("a\n{}", "x\n".repeat(200))).contains("more than 1000 bytes"));
        assert!(header("a\nb").unwrap_err().contains("more than one line"));
        assert!(header(" ").unwrap_err().contains("no name"));
    }

    #[test]
    fn a_text_without_the_columns_that_are_named_is_another() {
        let csv = Csv {
            needed: vec!["id".to_owned()],
            ..PLAIN
        };

        assert!(
            lines(&csv, "Maintenance\n")
                .unwrap_err()
                .contains("has no column `id`")
        );
        assert!(lines(&csv, "id,name\n").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_written_as_csv_is_read_back(rows in prop::collection::vec(prop::array::uniform2("[a\",;\r\né ]{0,5}"), 0..6)) {
            let quote = |value: &String| format!("\"{}\"", value.replace('"', "\"\""));
            let mut text = "a,b\r\n".to_owned();
            for [a, b] in &rows {
                text += &[quote(a), quote(b)].join(",");
                text += "\r\n";
            }

            let lines = PLAIN.to_lines(&text, usize::MAX).unwrap();

            let read: Vec<serde_json::Value> = serde_json::Deserializer::from_slice(&lines)
                .into_iter()
                .map(Result::unwrap)
                .collect();
            let expected: Vec<_> = rows.iter().map(|[a, b]| serde_json::json!({"a": a, "b": b})).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ab\",\r\n]{0,20}") {
            let _ = PLAIN.to_lines(&text, 1000);
        }
    }
}
