//! What a body is on its way, and its text as JSON: characters that are not UTF-8, marks at its beginning, and formats other
//! than JSON are read here, so that all that follows reads JSON.

use super::csv::Csv;
use super::excerpt;
use super::page::Place;
use super::xml;
use crate::failure::{Failure, quoted};
use crate::ports::Answer;
use crate::source::retry::header;

/// The format of a body, where it is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wire {
    /// It is JSON, or JSON values one a line.
    #[default]
    Json,
    /// It is CSV.
    Csv(Csv),
    /// It is XML.
    Xml,
}

/// What a server puts before JSON, so that no page of another site can read it as a script.
const GUARDS: [&[u8]; 2] = [b")]}',", b")]}'"];
/// A byte order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();
/// What windows-1252 has from 0x80 to 0x9F; where it has nothing, the control character that latin-1 has.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Wire {
    /// The body of an answer that is no page, as JSON, where it is of this format and that is not JSON.
    pub fn of_no_page(&self, answer: &Answer, bytes_max: usize) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(&answer.body).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if *self != Self::Xml {
            return None;
        }
        xml::to_json(text, bytes_max).ok()
    }

    /// Makes the body of `answer` JSON text, or NDJSON, of at most `bytes_max`. `Err`: it is not of this format.
    pub fn read(
        &self,
        answer: &mut Answer,
        place: &Place,
        bytes_max: usize,
    ) -> Result<(), Failure> {
        if std::str::from_utf8(&answer.body).is_err() && is_latin(place.content_type.as_deref()) {
            answer.body = of_latin(&answer.body);
        }
        let mark = usize::from(answer.body.starts_with(MARK)) * MARK.len();
        let guard = GUARDS
            .iter()
            .find(|guard| answer.body[mark..].starts_with(guard));
        if let Some(guard) = guard {
            answer.body.drain(..mark + guard.len());
        }
        let csv = match self {
            Self::Json => return Ok(()),
            Self::Xml => return read_xml(answer, place, bytes_max),
            Self::Csv(csv) => csv,
        };
        let wrong = |why: String, body: &[u8]| {
            let is_else = excerpt::markup_or_json(body);
            wrong(place, "csv", &why, body, is_else)
        };
        if header(answer, "tidegate-end").next() == Some(b"unknown") {
            let why = "and nothing shows where it ends: it may be cut off".to_owned();
            return Err(wrong(why, b""));
        }
        let text = super::page::text(&answer.body, place)?;
        if excerpt::markup_or_json(&answer.body) {
            return Err(wrong("is not csv".to_owned(), &answer.body));
        }
        let lines = csv.to_lines(text, bytes_max);
        let lines = lines.map_err(|why| wrong(why, &answer.body))?;
        answer.body = lines;
        Ok(())
    }
}

/// The failure of a page that is not of its format; with what it is instead if it `is_else`.
fn wrong(place: &Place, format: &str, why: &str, body: &[u8], is_else: bool) -> Failure {
    let instead = if is_else {
        excerpt::instead(body, place.content_type.as_deref())
    } else {
        String::new()
    };
    Failure::protocol(format!(
        "{place}, which is read as {format} (SOURCE_FORMAT), {why}{instead}"
    ))
}

/// Makes the body of `answer`, which is XML, one JSON object of at most `bytes_max`. `Err`: it is not XML that is read.
fn read_xml(answer: &mut Answer, place: &Place, bytes_max: usize) -> Result<(), Failure> {
    // The header wins over the declaration, and a mark over both (RFC 7303, 3).
    let declared = xml::declared(answer.body.strip_prefix(MARK).unwrap_or(&answer.body));
    if let Some(name) = declared {
        let lower = name.to_ascii_lowercase();
        let is_latin = LATIN.contains(&lower.as_str());
        if !is_latin && !UTF_8.contains(&lower.as_str()) {
            let name = quoted(&name);
            let why = format!("has the encoding {name}: UTF-8 and ISO-8859-1 are read");
            return Err(wrong(place, "xml", &why, b"", false));
        }
        let is_marked = answer.body.starts_with(MARK);
        if is_latin && !is_marked && std::str::from_utf8(&answer.body).is_err() {
            answer.body = of_latin(&answer.body);
        }
    }
    let text = super::page::text(&answer.body, place)?;
    if !text.trim_ascii_start().starts_with('<') {
        return Err(wrong(place, "xml", "is not xml", &answer.body, true));
    }
    let json = xml::to_json(text, bytes_max).map_err(|why| {
        let is_else = !excerpt::is_xml(&answer.body);
        wrong(place, "xml", &why, &answer.body, is_else)
    })?;
    answer.body = json;
    Ok(())
}

/// Names of latin-1 and windows-1252, which browsers take for the same.
const LATIN: [&str; 6] = [
    "iso-8859-1",
    "iso8859-1",
    "latin1",
    "latin-1",
    "windows-1252",
    "cp1252",
];
/// Names of UTF-8 and of a part of it.
const UTF_8: [&str; 4] = ["utf-8", "utf8", "us-ascii", "ascii"];

/// Whether a `Content-Type` says that the text is latin-1 or windows-1252.
fn is_latin(content_type: Option<&str>) -> bool {
    let lower = content_type.unwrap_or_default().to_ascii_lowercase();
    let mut parameters = lower
        .split(';')
        .skip(1)
        .filter_map(|part| part.split_once('='));
    let charset = parameters.find(|(name, _)| name.trim_ascii() == "charset");
    charset.is_some_and(|(_, value)| LATIN.contains(&value.trim_matches([' ', '"', '\t'])))
}

/// The text of latin-1 or windows-1252 as UTF-8.
fn of_latin(body: &[u8]) -> Vec<u8> {
    let char_of = |byte: &u8| match byte {
        0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    };
    body.iter().map(char_of).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &Wire, content_type: &str, body: &[u8]) -> Result<String, String> {
        let mut answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: body.to_vec(),
        };
        let place = Place {
            page: 2,
            url: "https://x.example/o".to_owned(),
            content_type: Some(content_type.to_owned()),
        };
        wire.read(&mut answer, &place, 1000)
            .map_err(|failure| failure.to_string())?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    #[test]
    fn marks_and_guards_before_json_are_skipped() {
        let json = |body: &str| read(&Wire::Json, "application/json", body.as_bytes()).unwrap();

        assert_eq!(json(")]}'\n[]"), "\n[]");
        assert_eq!(json("\u{feff})]}',\n[]"), "\n[]");
        assert_eq!(json("[]"), "[]");
    }

    #[test]
    fn latin_1_is_read_where_the_header_says_so() {
        let body = b"[\"caf\xe9 \x80\"]";
        let by = |content_type: &str| read(&Wire::Json, content_type, body).unwrap();

        assert_eq!(by("application/json; charset=ISO-8859-1"), "[\"café €\"]");
        assert_eq!(
            by("text/csv; header=present; charset=\"windows-1252\""),
            "[\"café €\"]"
        );
        assert!(by("application/json; charset=utf-8").contains('\u{fffd}'));
        assert!(by("application/json").contains('\u{fffd}'));
        let honest = read(&Wire::Json, "text/plain; charset=latin1", "é".as_bytes());
        assert_eq!(honest.unwrap(), "é");
    }

    #[test]
    fn a_page_that_is_not_csv_says_what_it_is() {
        let csv = Wire::Csv(Csv {
            delimiter: b',',
            header: None,
            needed: Vec::new(),
        });
        let why = |body: &[u8]| read(&csv, "text/html", body).unwrap_err();

        assert!(why(b"a,b\n1\n").starts_with(
            "page 2 of `https://x.example/o`, which is read as csv (SOURCE_FORMAT), has 1 values"
        ));
        assert!(
            why(b"<html><title>Log in</title>")
                .contains("is not csv; it looks like HTML, titled `Log in`")
        );
        assert!(why(b"{\"error\":1}").contains("is not csv"));
        assert!(why(b"a\n\xff\n").contains("is not UTF-8"));
    }

    #[test]
    fn xml_is_read_in_the_encoding_that_the_header_the_mark_or_the_declaration_names() {
        let xml = |content_type: &str, body: &[u8]| read(&Wire::Xml, content_type, body);
        let caf = b"<?xml version='1.0' encoding='Windows-1252'?><a>caf\xe9 \x80</a>";
        let cafe = "{\"a\":\"caf\u{e9} \u{20ac}\"}";

        assert_eq!(xml("text/xml", caf).unwrap(), cafe);
        assert_eq!(
            xml("text/xml; charset=latin1", b"<a>caf\xe9 \x80</a>").unwrap(),
            cafe
        );
        for text in [
            "\u{feff}<?xml version='1.0'?><a>caf\u{e9} \u{20ac}</a>",
            "\u{feff}<?xml version='1.0' encoding='latin1'?><a>caf\u{e9} \u{20ac}</a>",
            "<?xml version='1.0' encoding='utf8'?><a>caf\u{e9} \u{20ac}</a>",
        ] {
            assert_eq!(xml("text/xml", text.as_bytes()).unwrap(), cafe);
        }
        assert!(
            xml("text/xml", b"<a>caf\xe9</a>")
                .unwrap_err()
                .contains("is not UTF-8 at byte 6")
        );
        for name in ["UTF-16", "Shift_JIS", "windows-1251", "ISO-8859-15", ""] {
            let text = format!("<?xml version='1.0' encoding='{name}'?><a/>");
            let why = xml("text/xml", text.as_bytes()).unwrap_err();
            assert!(
                why.contains(&format!(
                    "has the encoding `{name}`: UTF-8 and ISO-8859-1 are read"
                )),
                "{why}"
            );
        }
    }
}
