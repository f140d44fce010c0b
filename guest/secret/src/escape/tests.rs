//! What is an escape, of what, and what only looks like one.

use super::*;

/// Whether the whole of `text` can be read as this character.
fn reads(text: &str, char: char) -> bool {
    let readings = Text::new(text.as_bytes()).readings(0);
    let whole = Reading::char(char, text.len());
    readings.iter().any(|reading| *reading == whole)
}

#[test]
fn every_escape_of_one_character_is_read() {
    for text in [
        "=",
        "%3D",
        "%3d",
        "%253D",
        "%25253d",
        r"\u003d",
        r"\u003D",
        r"\\u003d",
        r"\\\\u003d",
        r"\x3d",
        r"\u{3d}",
        r"\=",
        "&#61;",
        "&#061;",
        "&#x3d;",
        "&#X3D;",
        "&#x003D;",
        "&equals;",
        "&amp;#61;",
        "&amp;equals;",
        "%26%2361%3B",
        r"\u0026#61;",
        r"\u0025\u0033\u0044",
        "%5Cu003d",
        "%5cu003d",
        "&#37;3D",
        "&percnt;3d",
        "&bsol;u003d",
    ] {
        assert!(reads(text, '='), "{text}");
    }
    for (text, char) in [
        (r"\u00e9", 'é'),
        (r"\xe9", 'é'),
        ("&#233;", 'é'),
        (r"\ud83d\ude00", '😀'),
        (r"\\ud83d\\ude00", '😀'),
        (r"\u{1f600}", '😀'),
        (r#"\""#, '"'),
        (r"%5C%22", '"'),
        (r"\\", '\\'),
        (r"\/", '/'),
        ("&quot;", '"'),
        ("&#x26;", '&'),
    ] {
        assert!(reads(text, char), "{text}");
    }
}

#[test]
fn what_is_no_escape_is_read_as_it_is_alone() {
    for text in [
        "%",
        "%3",
        "%zz",
        "&",
        "&;",
        "&#;",
        "&#x;",
        "&#61",
        "&nosuchname;",
        "&toolonganame;",
        r"\u12",
        r"\ud83d",
        r"\n",
        "&#99999999;",
        r"\u{110000}",
        r"\u{}",
    ] {
        let readings = Text::new(text.as_bytes()).readings(0);

        let lead = Reading::byte(text.as_bytes()[0], 1);
        assert_eq!(readings.iter().collect::<Vec<_>>(), [&lead], "{text}");
    }
}

#[test]
fn a_text_that_ends_within_an_escape_has_run_out() {
    for (text, has_run_out) in [
        ("%3", true),
        ("%3D", false),
        (r"\u00", true),
        ("&#6", true),
        ("&equal", true),
        ("&equal=", false),
        ("%zz", false),
        (r"\ud83d", true),
    ] {
        let text_read = Text::new(text.as_bytes());
        text_read.readings(0);

        assert_eq!(text_read.has_run_out(), has_run_out, "{text}");
    }
}
