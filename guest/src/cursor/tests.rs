use proptest::prelude::*;

use super::*;

const RECORD: &str = "page 1 of `https://x.example/o`: record `/0`";

fn settings(kind: Option<Kind>) -> CursorSettings {
    CursorSettings {
        pointer: Some(Pointer::parse("/u").unwrap()),
        to: Asking::At(To::Query("since".to_owned())),
        end_to: None,
        kind,
        zone: None,
        send: None,
        start: None,
        lookback: Lookback::Default,
        missing: Missing::Fail,
        order: None,
        is_checked: true,
        window_seconds: None,
    }
}

fn state(kind: Kind, cursor: &str) -> Position {
    Position {
        kind: Some(kind),
        cursor: Some(cursor.to_owned()),
        ..Position::default()
    }
}

fn at(text: &str) -> Timestamp {
    crate::time::rfc3339(text, None).unwrap()
}

fn begin<'s>(settings: &'s CursorSettings, state: &Position) -> Result<Cursor<'s>, Failure> {
    Cursor::begin(settings, state, None, at("2026-11-23T12:00:00Z"))
}

/// What is sent as the cursor.
fn from(cursor: &Cursor<'_>) -> Option<String> {
    cursor.asked().unwrap().from
}

/// What a run that sees these values leaves, with a source whose clock says 2026-11-23T12:00:00Z.
fn ended(
    settings: &CursorSettings,
    state: &Position,
    values: &[&str],
) -> Result<Position, Failure> {
    let mut cursor = begin(settings, state)?;
    for raw in values {
        cursor.sees(Some(raw), &RECORD)?;
    }
    cursor.end(at("2026-11-23T12:00:00Z"))
}

fn cursor_after(kind: Option<Kind>, values: &[&str]) -> Option<String> {
    ended(&settings(kind), &Position::default(), values)
        .unwrap()
        .cursor
}

#[test]
fn the_greatest_value_is_kept_in_its_own_words() {
    let mixed = [
        r#""2026-11-23T06:00:00Z""#,
        r#""2026-11-23T07:30:00.50+01:00""#,
        r#""2026-11-23T06:10:00Z""#,
    ];

    assert_eq!(
        cursor_after(None, &mixed).as_deref(),
        Some("2026-11-23T07:30:00.50+01:00")
    );
    assert_eq!(
        cursor_after(None, &["9", "10", "9007199254740993"]).as_deref(),
        Some("9007199254740993")
    );
    assert_eq!(
        cursor_after(Some(Kind::Integer), &["9", "\"10\""]).as_deref(),
        Some("10")
    );
    assert_eq!(
        cursor_after(None, &["\"b\"", "\"a\""]).as_deref(),
        Some("b")
    );
}

#[test]
fn a_time_never_passes_the_clock_of_the_source_and_keeps_its_form() {
    let after = |kind, value| cursor_after(Some(kind), &[value]).unwrap();

    assert_eq!(
        after(Kind::Rfc3339, r#""9999-12-31T23:59:59.000+01:00""#),
        "2026-11-23T13:00:00.000+01:00"
    );
    assert_eq!(after(Kind::Date, r#""2026-11-24""#), "2026-11-23");
    assert_eq!(after(Kind::Date, r#""2026-11-23""#), "2026-11-23");
    assert_eq!(
        after(Kind::Epoch, "4102444800"),
        at("2026-11-23T12:00:00Z").as_second().to_string()
    );
    assert_eq!(
        after(Kind::EpochMs, "4102444800000"),
        format!("{}000", at("2026-11-23T12:00:00Z").as_second())
    );
}

#[test]
fn the_clock_of_the_source_means_nothing_to_integers_and_text() {
    assert_eq!(
        cursor_after(None, &["99999999999999999999"]).as_deref(),
        Some("99999999999999999999")
    );
    assert_eq!(cursor_after(None, &["\"zzz\""]).as_deref(), Some("zzz"));
}

/// What a run leaves that sees these pages of integers.
fn cursor_after_pages(pages: &[&[&str]]) -> Option<String> {
    let settings = settings(None);
    let mut cursor = begin(&settings, &Position::default()).unwrap();
    for page in pages {
        for raw in *page {
            cursor.sees(Some(raw), &RECORD).unwrap();
        }
        cursor.page_ends();
    }
    cursor.end(Timestamp::MAX).unwrap().cursor
}

#[test]
fn pages_in_the_order_of_the_cursor_end_at_the_greatest() {
    assert_eq!(
        cursor_after_pages(&[&["1", "2"], &["2", "7"]]).as_deref(),
        Some("7")
    );
    assert_eq!(
        cursor_after_pages(&[&["9", "8"], &["7", "6"]]).as_deref(),
        Some("9")
    );
}

#[test]
fn pages_in_another_order_end_at_the_first_pages_greatest() {
    // While page 2 was read, the record with 3 may have become 6: only asking from 3 finds it.
    assert_eq!(
        cursor_after_pages(&[&["1", "3"], &["2", "7"]]).as_deref(),
        Some("3")
    );
    assert_eq!(cursor_after_pages(&[&[], &["7", "2"]]), None);
}

#[test]
fn records_that_are_left_out_tell_of_the_order_too() {
    let ours = CursorSettings {
        to: Asking::Nowhere,
        ..settings(None)
    };
    let mut cursor = begin(&ours, &state(Kind::Integer, "5")).unwrap();
    for page in [["6", "2"], ["3", "9"]] {
        for raw in page {
            cursor.sees(Some(raw), &RECORD).unwrap();
        }
        cursor.page_ends();
    }

    assert_eq!(
        cursor.end(Timestamp::MAX).unwrap().cursor.as_deref(),
        Some("6")
    );
}

#[test]
fn pages_that_come_again_are_read_to_where_they_were_before_a_portion_ends() {
    let settings = CursorSettings {
        order: Some(Order::Ascending),
        ..settings(Some(Kind::Integer))
    };
    let mut cursor = begin(&settings, &Position::default()).unwrap();
    let can_pause_behind = |cursor: &mut Cursor<'_>, raw| {
        cursor.sees(Some(raw), &RECORD).unwrap();
        cursor.can_pause(at("2026-11-23T12:00:00Z"))
    };

    assert!(!can_pause_behind(&mut cursor, "1"), "no value before it");
    assert!(can_pause_behind(&mut cursor, "5"));
    cursor.page_comes_again();
    assert!(!can_pause_behind(&mut cursor, "3"));
    assert!(can_pause_behind(&mut cursor, "5"));
}

#[test]
fn the_cursor_never_goes_back() {
    let last = state(Kind::Rfc3339, "2026-11-23T11:00:00Z");
    let ahead_of_the_source = state(Kind::Rfc3339, "2026-11-23T13:00:00Z");

    let older = ended(&settings(None), &last, &[r#""2026-11-23T10:58:00Z""#]);
    let capped = ended(
        &settings(None),
        &ahead_of_the_source,
        &[r#""2026-11-23T14:00:00Z""#],
    );

    assert_eq!(older, Ok(last));
    assert_eq!(capped, Ok(ahead_of_the_source));
}

#[test]
fn nothing_seen_keeps_the_cursor() {
    let last = state(Kind::Integer, "7");

    assert_eq!(ended(&settings(None), &last, &[]), Ok(last));
    assert_eq!(
        ended(&settings(None), &Position::default(), &[]),
        Ok(Position::default())
    );
}

#[test]
fn a_run_asks_again_from_a_look_back_before_its_cursor() {
    let asked = |lookback, state: &Position| {
        let settings = CursorSettings {
            lookback,
            ..settings(None)
        };
        let cursor = begin(&settings, state).unwrap();
        from(&cursor)
    };

    let time = state(Kind::Rfc3339, "2026-11-23T06:00:00.5+01:00");
    assert_eq!(
        asked(Lookback::Default, &time).as_deref(),
        Some("2026-11-23T05:55:00.5+01:00")
    );
    assert_eq!(
        asked(Lookback::Nothing, &time).as_deref(),
        Some("2026-11-23T06:00:00.5+01:00")
    );
    assert_eq!(
        asked(Lookback::Count(10), &state(Kind::Integer, "7")).as_deref(),
        Some("-3")
    );
    assert_eq!(asked(Lookback::Default, &Position::default()), None);
}

#[test]
fn a_first_run_asks_from_the_start_as_it_is() {
    let settings = CursorSettings {
        start: Some("2026-01-01".to_owned()),
        kind: Some(Kind::Rfc3339),
        ..settings(None)
    };

    let first = begin(&settings, &Position::default()).unwrap();
    let later = begin(&settings, &state(Kind::Rfc3339, "2026-11-23T06:00:00Z")).unwrap();

    assert_eq!(from(&first).as_deref(), Some("2026-01-01"));
    assert!(!first.continues());
    assert_eq!(from(&later).as_deref(), Some("2026-11-23T05:55:00Z"));
    assert!(later.continues());
}

#[test]
fn where_the_source_cannot_filter_we_do() {
    let ours = CursorSettings {
        to: Asking::Nowhere,
        start: Some("2026-01-01".to_owned()),
        ..settings(None)
    };
    let mut first = begin(&ours, &Position::default()).unwrap();
    let last = state(Kind::Rfc3339, "2026-11-23T06:00:00Z");
    let mut later = begin(&ours, &last).unwrap();

    assert_eq!(
        first.sees(Some(r#""2025-12-31T23:59:59Z""#), &RECORD),
        Ok(false)
    );
    assert_eq!(
        first.sees(Some(r#""2026-01-01T00:00:00Z""#), &RECORD),
        Ok(true)
    );
    assert_eq!(
        later.sees(Some(r#""2026-11-23T05:54:59.9Z""#), &RECORD),
        Ok(false)
    );
    assert_eq!(
        later.sees(Some(r#""2026-11-23T05:55:00Z""#), &RECORD),
        Ok(true)
    );
    assert_eq!(*first.asked().unwrap().to, Asking::Nowhere);
}

#[test]
fn a_first_run_without_a_new_record_leaves_no_cursor() {
    let ours = CursorSettings {
        to: Asking::Nowhere,
        start: Some("100".to_owned()),
        ..settings(None)
    };

    assert_eq!(
        ended(&ours, &Position::default(), &["99"]).unwrap().cursor,
        None
    );
}

#[test]
fn a_kind_that_is_told_is_kept() {
    let after_first = ended(&settings(None), &Position::default(), &["7"]).unwrap();

    let mixed = ended(&settings(None), &after_first, &["\"b\""]);

    assert_eq!(after_first.kind, Some(Kind::Integer));
    assert_eq!(
        mixed,
        Err(Failure::data(format!(
            "{RECORD}: `/u` (SOURCE_CURSOR) cannot be used: `b` is not an integer"
        )))
    );
}

#[test]
fn a_kind_that_is_not_the_published_one_is_refused() {
    let last = state(Kind::Integer, "7");

    let failure = ended(&settings(Some(Kind::Epoch)), &last, &[]).unwrap_err();

    assert!(
        failure
            .to_string()
            .starts_with("SOURCE_CURSOR_KIND: is `epoch`, but the published state has `integer`")
    );
    let empty = Position {
        cursor: None,
        ..last
    };
    assert!(ended(&settings(Some(Kind::Epoch)), &empty, &[]).is_ok());
}

#[test]
fn a_record_without_cursor_is_named() {
    let settings = settings(None);
    let mut cursor = begin(&settings, &Position::default()).unwrap();

    let missing = cursor.sees(None, &RECORD).unwrap_err();
    let null = cursor.sees(Some("null"), &RECORD).unwrap_err();
    let naive = cursor
        .sees(Some(r#""2026-11-23T06:00:00""#), &RECORD)
        .unwrap_err();

    assert_eq!(
        missing,
        Failure::data(format!("{RECORD}: `/u` (SOURCE_CURSOR) is missing"))
    );
    assert_eq!(
        null,
        Failure::data(format!("{RECORD}: `/u` (SOURCE_CURSOR) is null"))
    );
    assert!(
        matches!(&naive, Failure::Data(d) if d.message.contains("has no offset")),
        "{naive}"
    );
}

#[test]
fn a_look_back_that_does_not_fit_the_told_kind_is_a_setting() {
    let settings = CursorSettings {
        lookback: Lookback::Seconds(300),
        ..settings(None)
    };

    let failure = ended(&settings, &Position::default(), &["7"]).unwrap_err();

    assert!(
        matches!(&failure, Failure::Settings(p) if p[0].setting == "SOURCE_LOOKBACK"),
        "{failure}"
    );
}

proptest! {
    #[test]
    fn over_any_runs_the_cursor_never_goes_back(
        runs in prop::collection::vec((prop::collection::vec(0_i64..4_000_000_000, 0..5), 0_i64..4_000_000_000), 1..8),
    ) {
        let settings = settings(Some(Kind::Epoch));
        let mut state = Position::default();
        for (values, clock) in runs {
            let mut cursor = begin(&settings, &state).unwrap();
            for value in &values {
                cursor.sees(Some(&value.to_string()), &RECORD).unwrap();
            }
            let Ok(next) = cursor.end(Timestamp::from_second(clock).unwrap()) else {
                continue;
            };

            let number = |state: &Position| state.cursor.as_ref().map(|text| text.parse::<i64>().unwrap());
            prop_assert!(number(&next) >= number(&state));
            if let (Some(new), true) = (number(&next), next != state) {
                prop_assert!(new <= clock);
            }
            state = next;
        }
    }

    #[test]
    fn the_order_of_records_does_not_matter(mut values in prop::collection::vec(any::<i64>(), 1..8)) {
        let texts: Vec<String> = values.iter().map(i64::to_string).collect();
        let seen: Vec<&str> = texts.iter().map(String::as_str).collect();

        let cursor = cursor_after(None, &seen);

        values.sort_unstable();
        prop_assert_eq!(cursor, values.last().map(i64::to_string));
    }
}
