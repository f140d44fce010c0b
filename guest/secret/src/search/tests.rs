//! Every escape, every cut, and texts that hold no secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const KEY: &str = "k3y/with+\"16\"=b&%\\";

fn search(secret: &str, bytes_min: usize) -> Search {
    Search::new([secret], bytes_min)
}

fn hidden(secret: &str, text: &str) -> (String, u64) {
    let mut shown = Vec::new();
    let hidden = search(secret, 16).hide(text.as_bytes(), true, &mut shown);
    assert_eq!(hidden.taken, text.len());
    (String::from_utf8(shown).unwrap(), hidden.count)
}

/// The same, from a text that comes in these pieces.
fn hidden_in_pieces(search: &Search, pieces: &[&[u8]]) -> (Vec<u8>, u64) {
    let (mut pending, mut shown, mut count) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        pending.extend_from_slice(piece);
        let hidden = search.hide(&pending, false, &mut shown);
        pending.drain(..hidden.taken);
        count += hidden.count;
    }
    let hidden = search.hide(&pending, true, &mut shown);
    (shown, count + hidden.count)
}

/// One character, escaped in the way of this number.
fn escaped(char: char, how: u8) -> String {
    let mut units = [0; 2];
    let units = char.encode_utf16(&mut units);
    let json = |backslash: &str, upper: bool| -> String {
        let unit = |unit: &u16| {
            if upper {
                format!("{backslash}u{unit:04X}")
            } else {
                format!("{backslash}u{unit:04x}")
            }
        };
        units.iter().map(unit).collect()
    };
    let percent = |percent: &str| -> String {
        let mut bytes = [0; 4];
        let bytes = char.encode_utf8(&mut bytes).bytes();
        let encoded = |byte| format!("{percent}{byte:02X}");
        bytes.map(encoded).collect()
    };
    let number = u32::from(char);
    match how {
        0 => char.to_string(),
        1 => percent("%"),
        2 => percent("%").to_lowercase(),
        3 => percent("%25"),
        4 => json("\\", false),
        5 => json("\\", true),
        6 => json("\\\\", false),
        7 => format!("&#{number};"),
        8 => format!("&#x{number:x};"),
        9 => format!("&#x{number:04X};"),
        10 => format!("&amp;#{number};"),
        11 => json("%5C", false),
        12 => format!("\\u{{{number:x}}}"),
        _ => match char {
            '&' => "&amp;".to_owned(),
            '"' => "&quot;".to_owned(),
            '<' => "&lt;".to_owned(),
            '+' => "&plus;".to_owned(),
            '/' => "\\/".to_owned(),
            '\\' => "\\\\".to_owned(),
            other => other.to_string(),
        },
    }
}

#[test]
fn a_secret_is_hidden_in_every_form() {
    let json = serde_json::to_string(KEY).unwrap();
    let json = &json[1..json.len() - 1];
    let base64 = STANDARD.encode(KEY);
    let hex_digits = |byte| format!("{byte:02x}");
    let hex: String = KEY.bytes().map(hex_digits).collect();
    for form in [
        KEY.to_owned(),
        json.to_owned(),
        json.replace('/', "\\/"),
        json.replace('\\', "\\\\").replace('"', "\\\""),
        KEY.replace('&', "&amp;").replace('"', "&quot;"),
        KEY.replace('=', "\\u003d").replace('&', "\\u0026"),
        KEY.replace('+', "&#43;"),
        KEY.replace('+', "&#x2B;").replace('=', "%3d"),
        base64.clone(),
        base64.replace('=', "%3D"),
        base64.replace('/', "\\/").replace('=', "\\u003D"),
        URL_SAFE_NO_PAD.encode(KEY),
        hex.to_uppercase(),
        hex,
    ] {
        let (shown, found) = hidden(KEY, &format!("<{form}>"));
        assert_eq!((&*shown, found), ("<REDACTED>", 1), "{form}");
    }
}

#[test]
fn a_secret_within_base64_of_something_else_is_hidden() {
    for before in ["", "a", "ab", "abc"] {
        let text = STANDARD.encode(format!("{before}{KEY}, and more"));

        let (shown, found) = hidden(KEY, &text);

        assert_eq!(found, 1, "{shown}");
    }
}

#[test]
fn what_is_nearly_a_secret_is_left_as_it_is() {
    for text in [
        "k3y/with+\"16\"=b&%",
        "k3y/with+\\u0022 16\\u0022=b&%\\",
        "k3y/with+&quot;16&quot;=b&amp;%5",
        "%%%%&&&&\\\\\\\\&#;&#x;%u\\u\\x",
        r#"{"a":"b\n\"c\"\u00e9","d":"x%20y&amp;z"}"#,
    ] {
        assert_eq!(hidden(KEY, text), (text.to_owned(), 0));
    }
}

#[test]
fn a_blank_may_be_a_plus_everywhere() {
    assert_eq!(
        hidden("open sesame, please", "x=open+sesame%2C+please").0,
        "x=REDACTED"
    );
}

#[test]
fn a_secret_of_escapes_is_itself_and_what_it_looks_like_is_not() {
    let secret = "%41%42%43&amp;\\u0041";

    assert_eq!(hidden(secret, secret), ("REDACTED".to_owned(), 1));
    assert_eq!(hidden(secret, "ABC&A").1, 0);
    assert_eq!(hidden(secret, &secret.replace('%', "%25")).1, 1);
}

#[test]
fn a_secret_that_repeats_itself_takes_no_forever() {
    let secret = "a".repeat(64);
    let text = "\\u0061".repeat(20_000);

    assert_eq!(hidden(&secret, &text).1, 20_000 / 64);
}

proptest! {
    #[test]
    fn a_secret_is_hidden_however_its_characters_are_escaped(
        secret in r"[!-~ é😀]{16,40}",
        how in prop::collection::vec(0_u8..14, 40),
        before in "[a-z ,:{}\\[\\]]{0,20}",
        after in "[a-z ,:{}\\[\\]]{0,20}",
        cuts in prop::collection::vec(1_usize..9, 0..200),
    ) {
        let echo: String = secret.chars().zip(how).map(|(char, how)| escaped(char, how)).collect();
        let text = format!("{before}{echo}{after}");
        let search = search(&secret, 16);

        let (shown, found) = hidden_in_pieces(&search, &[text.as_bytes()]);

        prop_assert_eq!(found, 1, "{}", text);
        prop_assert_eq!(String::from_utf8(shown.clone()).unwrap(), format!("{before}REDACTED{after}"), "{}", text);
        let (mut pieces, mut rest) = (Vec::new(), text.as_bytes());
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        prop_assert_eq!(hidden_in_pieces(&search, &pieces), (shown, found));
    }

    #[test]
    fn a_text_without_the_secret_is_not_changed(
        // No character of the secret is among these, however they are read.
        text in prop::collection::vec(("[a-m0-9/+=\" %&;#é]", 0_u8..14), 0..200),
        piece in 1_usize..40,
    ) {
        let text: String = text.iter().map(|(char, how)| escaped(char.chars().next().unwrap(), *how)).collect();
        let search = search("ZYX-WVUT-SRQP-ONZ", 16);

        let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece).collect();

        prop_assert_eq!(hidden_in_pieces(&search, &pieces), (text.clone().into_bytes(), 0));
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(prop::sample::select(&b"%25\\u003d&#x;ampX"[..]), 0..300)) {
        let mut shown = Vec::new();

        let hidden = search("%\\&amp;=3d25u0025", 8).hide(&bytes, false, &mut shown);

        prop_assert!(hidden.taken <= bytes.len() && !hidden.is_given_up);
    }
}

#[test]
fn a_text_that_could_hold_a_secret_in_too_many_ways_is_hidden_from_there_on() {
    let secret = format!("{}b", "a".repeat(8_000));
    let text = format!("[1] {}%61{}", "a".repeat(8_000), "a".repeat(8_000));
    let mut shown = Vec::new();

    let hidden = search(&secret, 16).hide(text.as_bytes(), true, &mut shown);

    assert!(hidden.is_given_up);
    assert_eq!((hidden.taken, hidden.count), (text.len(), 1));
    assert_eq!(shown, b"REDACTED");
}

#[test]
fn a_long_token_in_a_text_full_of_escapes_is_looked_for_to_the_end() {
    let token = STANDARD.encode(
        (0..1_500_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>(),
    );
    let text = format!("\\u0041\\/\\\"%41{}", "\\u0061\\/".repeat(8_000));
    let mut shown = Vec::new();

    let hidden = search(&token, 16).hide(text.as_bytes(), true, &mut shown);

    assert_eq!((hidden.count, hidden.is_given_up), (0, false));
    assert_eq!(shown, text.as_bytes());
}
