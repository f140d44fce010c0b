//! What an answer says, for the person who reads of a failure: its first characters, the title of an HTML page, or what kind of
//! file it is by its first bytes.
//!
//! Credentials in it are the host's to hide: it knows them.

use tidegate_json::beginning;

use crate::failure::quoted;
use crate::ports::Answer;
use crate::source::retry::header;

/// How much of an answer stands in a message.
const EXCERPT_CHARS_MAX: usize = 200;
/// How much of an answer is looked at for it.
const LOOKED_AT_BYTES_MAX: usize = 64 * 1024;

/// `: ` and what the answer says; nothing where it says nothing.
pub fn says(answer: &Answer) -> String {
    match Kind::of(&answer.body) {
        Some(Kind::Html { title: Some(title) }) => format!(": an HTML page, titled `{title}`"),
        Some(kind) if kind.is_binary() => format!(": {}", kind.name()),
        _ => quoted_beginning(&answer.body)
            .map_or_else(String::new, |beginning| format!(": {beginning}")),
    }
}

/// What a body that is not JSON is instead, as far as it tells: `; it looks like HTML, titled `Log in` (Content-Type `text/html`):
/// check SOURCE_API_URL and the credential`.
pub fn instead(body: &[u8], content_type: Option<&str>) -> String {
    let kind = Kind::of(body);
    let is_json = |value: &str| value.to_ascii_lowercase().contains("json");
    let content_type = content_type.filter(|value| !is_json(value));
    let content_type = content_type.map_or_else(String::new, |value| {
        format!(" (Content-Type {})", quoted(value))
    });
    let is_shown =
        |kind: &Kind| !kind.is_binary() && !matches!(kind, Kind::Html { title: Some(_) });
    let begins = quoted_beginning(body)
        .filter(|_| kind.as_ref().is_none_or(is_shown))
        .map_or_else(String::new, |text| format!("; it begins with {text}"));
    let Some(kind) = kind else {
        return format!("{content_type}{begins}");
    };
    let title = match &kind {
        Kind::Html { title: Some(title) } => format!(", titled `{title}`"),
        _ => String::new(),
    };
    let (name, advice) = (kind.name(), kind.advice());
    format!("; it looks like {name}{title}{content_type}: {advice}{begins}")
}

/// Whether an answer has words of a limit on requests in it.
pub fn tells_of_a_limit(answer: &Answer) -> bool {
    const WORDS: [&str; 6] = [
        "rate limit",
        "rate_limit",
        "request limit",
        "too many",
        "throttl",
        "quota",
    ];
    let body = &answer.body[..answer.body.len().min(LOOKED_AT_BYTES_MAX)];
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// The `Content-Type` of an answer.
pub fn content_type(answer: &Answer) -> Option<String> {
    let value = header(answer, "content-type").next()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Whether a body is no table, whatever it begins with: it is markup, or JSON in braces.
pub fn markup_or_json(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    start.starts_with(b"<") || start.starts_with(b"{") || start.starts_with(b"[{")
}

/// The word of SOURCE_FORMAT that reads this body, which is not JSON; with what separates the values of csv.
pub fn format_of(body: &[u8]) -> Option<(&'static str, Option<&'static str>)> {
    match Kind::of(body)? {
        Kind::Lines => Some(("ndjson", None)),
        Kind::Xml => Some(("xml", None)),
        Kind::Csv => {
            let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let count = |delimiter: u8| memchr::memchr_iter(delimiter, first).count();
            let all = [
                (b',', "comma"),
                (b';', "semicolon"),
                (b'\t', "tab"),
                (b'|', "pipe"),
            ];
            let most = all
                .into_iter()
                .max_by_key(|(delimiter, _)| count(*delimiter));
            let word = most.map(|(_, word)| word).filter(|word| *word != "comma");
            Some(("csv", word))
        }
        _ => None,
    }
}

/// Whether a body looks like XML, and not like HTML.
pub fn is_xml(body: &[u8]) -> bool {
    Kind::of(body) == Some(Kind::Xml)
}

fn quoted_beginning(body: &[u8]) -> Option<String> {
    let body = &body[..body.len().min(LOOKED_AT_BYTES_MAX)];
    let text = String::from_utf8_lossy(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body));
    let shown = beginning(&text, EXCERPT_CHARS_MAX);
    (!shown.is_empty()).then(|| format!("`{shown}`"))
}

/// What a body is that is not JSON.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zip,
    Zstd,
    Pdf,
    Utf16,
    Html { title: Option<String> },
    Xml,
    Csv,
    Lines,
}

impl Kind {
    fn of(body: &[u8]) -> Option<Self> {
        let body = &body[..body.len().min(LOOKED_AT_BYTES_MAX)];
        let magic: [(&[u8], Self); 6] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"PK\x03\x04", Self::Zip),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"%PDF-", Self::Pdf),
            (b"\xff\xfe", Self::Utf16),
            (b"\xfe\xff", Self::Utf16),
        ];
        if let Some((_, kind)) = magic.into_iter().find(|(magic, _)| body.starts_with(magic)) {
            return Some(kind);
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim_ascii_start();
        if text.starts_with('<') {
            return Some(markup(text));
        }
        let mut lines = text.lines().filter(|line| !line.trim_ascii().is_empty());
        let (first, second) = (lines.next()?, lines.next()?);
        let is_object = |line: &str| {
            line.trim_ascii().starts_with('{')
                && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok()
        };
        if is_object(first) && is_object(second) {
            return Some(Self::Lines);
        }
        let is_table = |delimiter: char| {
            let columns = |line: &str| line.matches(delimiter).count();
            columns(first) > 0 && columns(second) >= columns(first)
        };
        let could_be_json =
            first.trim_ascii().starts_with(['{', '[', '"']) && !first.contains("\",\"");
        (!could_be_json && [',', ';', '\t', '|'].into_iter().any(is_table)).then_some(Self::Csv)
    }

    fn is_binary(&self) -> bool {
        match self {
            Self::Gzip | Self::Zip | Self::Zstd | Self::Pdf | Self::Utf16 => true,
            Self::Html { .. } | Self::Xml | Self::Csv | Self::Lines => false,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gzip => "a gzip file",
            Self::Zip => "a zip file",
            Self::Zstd => "a zstd file",
            Self::Pdf => "a PDF file",
            Self::Utf16 => "UTF-16",
            Self::Html { .. } => "HTML",
            Self::Xml => "XML",
            Self::Csv => "csv",
            Self::Lines => "NDJSON, one record a line",
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Gzip | Self::Zip | Self::Zstd | Self::Pdf => {
                "files are not read; ask the API for plain JSON"
            }
            Self::Utf16 => "only UTF-8 is read",
            Self::Html { .. } => "check SOURCE_API_URL and the credential",
            Self::Xml => "set SOURCE_FORMAT=xml",
            Self::Csv => "set SOURCE_FORMAT=csv",
            Self::Lines => "set SOURCE_FORMAT=ndjson",
        }
    }
}

fn markup(text: &str) -> Kind {
    let lower = text.to_ascii_lowercase();
    let has = |tag: &str| lower.contains(tag);
    let begins = |tag: &str| lower.starts_with(tag);
    // Feeds have titles and pages of HTML in them.
    let is_html = if begins("<?xml") || begins("<rss") || begins("<feed") {
        let first = lower.find("<!doctype html").or_else(|| lower.find("<html"));
        first.is_some_and(|at| !lower[..at].contains("<![cdata["))
    } else {
        ["<!doctype html", "<html", "<head", "<body", "<title"]
            .into_iter()
            .any(has)
    };
    if !is_html {
        return Kind::Xml;
    }
    // ASCII letters keep their places in lower case.
    let title = || {
        let tag = lower.find("<title")?;
        let from = tag + lower[tag..].find('>')? + 1;
        let to = from + lower[from..].find("</title")?;
        let title = beginning(&text[from..to], EXCERPT_CHARS_MAX);
        (!title.is_empty()).then_some(title)
    };
    Kind::Html { title: title() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &[u8]) -> Answer {
        Answer {
            status: 404,
            headers: Vec::new(),
            body: body.to_vec(),
        }
    }

    #[test]
    fn an_answer_says_its_first_characters_on_one_line() {
        let says = |body: &str| says(&answer(body.as_bytes()));

        assert_eq!(
            says("{\"error\":\n  \"no\u{1b}[2J such view\"}"),
            ": `{\"error\": \"no\\u{1b}[2J such view\"}`"
        );
        assert_eq!(says(&"ä".repeat(201)), format!(": `{}…`", "ä".repeat(200)));
        assert_eq!(says(" \n"), "");
        assert_eq!(says(""), "");
    }

    #[test]
    fn of_an_html_page_the_title_is_said() {
        let html = "<!DOCTYPE html>\n<HTML><head><Title lang=en> 502\n Bad Gateway </TITLE></head>";

        assert_eq!(
            says(&answer(html.as_bytes())),
            ": an HTML page, titled `502 Bad Gateway`"
        );
        assert_eq!(says(&answer(b"<html><p>no</p>")), ": `<html><p>no</p>`");
    }

    #[test]
    fn what_is_not_json_is_named_by_its_first_bytes() {
        let named = |body: &[u8]| instead(body, None);

        assert!(
            named(b"\x1f\x8b\x08\0").starts_with("; it looks like a gzip file: files are not read")
        );
        assert!(named(b"PK\x03\x04rest").starts_with("; it looks like a zip file: "));
        assert!(named(b"%PDF-1.7").starts_with("; it looks like a PDF file: "));
        assert!(named(b"\xff\xfe[\0]\0").starts_with("; it looks like UTF-16: only UTF-8 is read"));
        assert_eq!(
            named(b"id,name\r\n1,a\r\n"),
            "; it looks like csv: set SOURCE_FORMAT=csv; it begins with `id,name 1,a`"
        );
        assert!(named(b"\"id\",\"name\"\n\"1\",\"a\"\n").starts_with("; it looks like csv: "));
        for xml in [
            "<?xml version=\"1.0\"?><rss/>",
            "<rss><channel><title>a</title>",
            "<feed><content><![CDATA[<html><title>a</title></html>]]>",
        ] {
            assert!(
                named(xml.as_bytes()).starts_with("; it looks like XML: set SOURCE_FORMAT=xml")
            );
        }
        assert!(
            named(b"<?xml version=\"1.0\"?><!DOCTYPE html><html>")
                .starts_with("; it looks like HTML")
        );
        assert!(
            named(b"{\"id\":1}\n{\"id\":2}\n")
                .starts_with("; it looks like NDJSON, one record a line: set SOURCE_FORMAT=ndjson")
        );
    }

    #[test]
    fn a_content_type_is_named_that_is_not_json() {
        let html = b"<html><title>Log in</title>";

        assert_eq!(
            instead(html, Some("text/html; charset=utf-8")),
            "; it looks like HTML, titled `Log in` (Content-Type `text/html; charset=utf-8`): check SOURCE_API_URL and the credential"
        );
        assert_eq!(
            instead(b"no", Some("text/plain")),
            " (Content-Type `text/plain`); it begins with `no`"
        );
        assert_eq!(
            instead(b"[{", Some("Application/JSON")),
            "; it begins with `[{`"
        );
    }

    #[test]
    fn what_is_cut_in_the_middle_of_json_is_no_table() {
        assert_eq!(
            instead(b"[\n{\"a\":1,\n\"b\":2,", None),
            "; it begins with `[ {\"a\":1, \"b\":2,`"
        );
        assert_eq!(
            instead(b"[{\"a\":1},\n{\"b\":2},", None),
            "; it begins with `[{\"a\":1}, {\"b\":2},`"
        );
    }
}
