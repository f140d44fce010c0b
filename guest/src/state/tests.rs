use super::*;

fn refused(text: &str, full_refresh: bool) -> String {
    State::read(Some(text), full_refresh)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let state = State {
        position: Position {
            kind: Some(Kind::EpochMs),
            cursor: Some("1795413600000".to_owned()),
            ..Position::default()
        },
        seen: None,
    };

    assert_eq!(
        state.text(),
        r#"{"v":2,"kind":"epoch-ms","cursor":"1795413600000"}"#
    );
    assert_eq!(State::read(Some(&state.text()), false), Ok(state));
}

#[test]
fn a_state_without_cursor_is_one() {
    let state = State::default();

    assert_eq!(state.text(), r#"{"v":2,"kind":null,"cursor":null}"#);
    assert_eq!(State::read(Some(&state.text()), false), Ok(state));
}

#[test]
fn a_newer_state_is_refused_even_by_a_full_refresh() {
    let newer = r#"{"v":4,"marks":[]}"#;

    assert!(refused(newer, false).contains("state: has version 4, written by a newer component"));
    assert!(refused(newer, true).contains("newer component"));
}

#[test]
fn garbage_is_refused_with_the_way_out() {
    for text in [
        "",
        "null",
        r#"{"v":1}x"#,
        r#"{"v":0,"kind":null,"cursor":null}"#,
        r#"{"v":1,"kind":null,"cursor":null,"zone":"UTC"}"#,
        r#"{"v":2,"kind":null,"cursor":null,"zone":"Europe/Berlinn"}"#,
        r#"{"v":2,"kind":null,"cursor":null,"seen":{"etag":"1"}}"#,
        r#"{"v":1,"kind":null,"cursor":"1"}"#,
        r#"{"v":1,"kind":"integer","cursor":"x"}"#,
        r#"{"v":1,"kind":"fortnight","cursor":null}"#,
        r#"{"v":1,"kind":null,"cursor":null,"more":1}"#,
    ] {
        assert!(
            refused(text, false).contains("run once with `--full-refresh`"),
            "{text}"
        );
    }
}

#[test]
fn a_full_refresh_needs_no_state() {
    assert_eq!(State::read(Some("garbage"), true), Ok(State::default()));
}

#[test]
fn a_state_of_the_version_before_is_read() {
    let state = State::read(Some(r#"{"v":1,"kind":"integer","cursor":"7"}"#), false).unwrap();

    assert_eq!(
        (state.position.kind, state.position.cursor.as_deref()),
        (Some(Kind::Integer), Some("7"))
    );
}

#[test]
fn a_state_keeps_zone_and_validators() {
    let text = r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-23T06:00:00","zone":"+02:00","seen":{"etag":"\"1\"","request":"0123456789abcdef","settings":"0123456789abcdef"}}"#;

    let state = State::read(Some(text), false).unwrap();

    assert_eq!(state.text(), text);
}

#[test]
fn a_token_is_not_shown() {
    let state = State {
        position: Position {
            kind: Some(Kind::Token),
            cursor: Some("s3cret".to_owned()),
            ..Position::default()
        },
        seen: None,
    };

    assert_eq!(state.position.shown_cursor(), None);
    assert_eq!(State::read(Some(&state.text()), false), Ok(state));
}
