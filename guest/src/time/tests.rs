use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    rfc3339(text, None).unwrap()
}

#[test]
fn offsets_and_precisions_name_instants() {
    assert_eq!(at("2026-11-23T07:00:00+01:00"), at("2026-11-23T06:00:00Z"));
    assert_eq!(
        at("2026-11-23 06:00:00.000+0000"),
        at("2026-11-23t06:00:00z")
    );
    assert_eq!(
        at("2026-11-23 06:00:00+00"),
        at("2026-11-23T06:00:00-00:00")
    );
    assert!(at("2026-11-23T06:00:00.9+01:00") < at("2026-11-23T05:00:00.91Z"));
    assert!(at("2026-11-23T06:00:00.123456789Z") > at("2026-11-23T06:00:00.123456788Z"));
}

#[test]
fn a_time_without_offset_says_so() {
    let error = rfc3339("2026-11-23T06:00:00", None).unwrap_err();

    assert!(error.contains("has no offset (`Z` or `+00:00`)"), "{error}");
}

#[test]
fn a_time_without_offset_is_one_of_the_zone_that_is_set() {
    let zone = Zone::read("+02:00").ok();

    assert_eq!(
        rfc3339("2026-11-23T08:00:00.5", zone),
        Ok(at("2026-11-23T06:00:00.5Z"))
    );
    assert_eq!(
        rfc3339("2026-11-23T08:00:00-05:00", zone),
        Ok(at("2026-11-23T13:00:00Z")),
        "an offset that is written wins"
    );
    assert_eq!(
        date_at("2026-11-23", zone.unwrap()),
        Ok(at("2026-11-22T22:00:00Z"))
    );
    let written = write_rfc3339(at("2026-11-23T06:00:00Z"), "2020-01-01 00:00:00.0", zone);
    assert_eq!(written.as_deref(), Ok("2026-11-23 08:00:00.0"));
}

#[test]
fn a_time_without_seconds_is_its_minutes_first_instant_and_stays_without() {
    let instant = at("2026-11-23T06:07:08.9Z");

    assert_eq!(at("2026-11-23T06:00Z"), at("2026-11-23T06:00:00Z"));
    assert_eq!(at("2026-11-23T06:00+0530"), at("2026-11-23T00:30:00Z"));
    assert!(at("2026-11-23T06:00Z") < at("2026-11-23T06:00:00.000000001Z"));
    assert_eq!(
        write_rfc3339(instant, "2020-01-01T00:00+0100", None).as_deref(),
        Ok("2026-11-23T07:07+0100")
    );
}

#[test]
fn what_is_no_time_is_refused() {
    let refused = |text: &str| {
        rfc3339(text, None)
            .unwrap_err()
            .contains("is not an RFC 3339 time")
    };

    assert!(refused("2026-02-30T00:00:00Z"));
    assert!(refused("2026-11-23T25:00:00Z"));
    assert!(refused("2026-11-23T24:00:01Z"));
    assert!(refused("2026-11-23T06:00:61Z"));
    assert!(refused("2026-11-23T06Z"));
    assert!(refused("2026-11-23T06:00.5Z"));
    assert!(refused("2026-11-23T06:00:00.Z"));
    assert!(refused("2026-11-23T06:00:00+24:00"));
    assert!(refused("2026-11-23T06:00:00Zx"));
    assert!(refused("2026-11-23T06:00:00+01:0"));
    assert!(refused("yesterday"));
}

#[test]
fn a_leap_second_is_the_end_of_its_minute() {
    let leap = at("2016-12-31T23:59:60.5Z");

    assert!(leap > at("2016-12-31T23:59:59.99Z"));
    assert!(leap < at("2017-01-01T00:00:00Z"));
}

#[test]
fn a_time_like_a_leap_second_is_written_without_one() {
    let like = "2016-12-31T23:59:60+0000";

    assert_eq!(
        write_rfc3339(at(like), like, None).as_deref(),
        Ok("2016-12-31T23:59:59+0000")
    );
}

#[test]
fn the_hour_24_is_the_next_midnight() {
    assert_eq!(at("2026-12-31T24:00:00Z"), at("2027-01-01T00:00:00Z"));
}

#[test]
fn the_end_of_time_is_no_error() {
    assert_eq!(at("9999-12-31T23:59:59Z"), Timestamp::MAX);
    assert_eq!(date("9999-12-31"), Ok(Timestamp::MAX));
}

#[test]
fn a_time_is_written_as_its_like() {
    let instant = at("2026-11-23T06:00:00.987654321Z");
    let like = |text: &str| write_rfc3339(instant, text, None).unwrap();

    assert_eq!(like("2020-01-01T00:00:00Z"), "2026-11-23T06:00:00Z");
    assert_eq!(like("2020-01-01 00:00:00.000z"), "2026-11-23 06:00:00.987z");
    assert_eq!(
        like("2020-01-01T00:00:00.0+05:30"),
        "2026-11-23T11:30:00.9+05:30"
    );
    assert_eq!(like("2020-01-01T00:00:00-0330"), "2026-11-23T02:30:00-0330");
    assert_eq!(like("2020-01-01T00:00:00+00"), "2026-11-23T06:00:00+00");
    assert_eq!(
        like("2020-01-01T00:00:00-00:00"),
        "2026-11-23T06:00:00-00:00"
    );
    assert_eq!(
        like("2020-01-01T00:00:00.000000000000Z"),
        "2026-11-23T06:00:00.987654321000Z"
    );
}

#[test]
fn a_date_is_its_first_instant_in_utc() {
    assert_eq!(date("2026-11-23"), Ok(at("2026-11-23T00:00:00Z")));
    assert_eq!(write_date(at("2026-11-23T00:30:00+01:00")), "2026-11-22");
    assert!(date("2026-11-23T00:00:00Z").is_err());
    assert!(date("2026-11-31").is_err());
}

#[test]
fn epochs_are_seconds_or_milliseconds() {
    let instant = at("2026-11-23T06:00:00.5Z");
    let seconds = instant.as_second();

    assert_eq!(epoch(&format!("{seconds}.5"), 9), Ok(instant));
    assert_eq!(epoch(&format!("{seconds}500"), 6), Ok(instant));
    assert_eq!(epoch("-1.5", 9), Ok(at("1969-12-31T23:59:58.5Z")));
    assert_eq!(epoch("-0.5", 9), Ok(at("1969-12-31T23:59:59.5Z")));
}

#[test]
fn milliseconds_taken_for_seconds_are_noticed() {
    assert!(
        epoch("1795413600000", 9)
            .unwrap_err()
            .contains("`epoch-ms`")
    );
    assert!(epoch(&"9".repeat(60), 6).is_err());
}

#[test]
fn an_exponent_is_refused() {
    assert!(epoch("1.7e9", 9).is_err());
    assert!(epoch("", 9).is_err());
    assert!(epoch("-", 9).is_err());
    assert!(epoch("1.", 9).is_err());
}

#[test]
fn an_epoch_is_written_as_its_like() {
    let instant = at("2026-11-23T06:00:00.987654321Z");
    let seconds = instant.as_second();
    let like = |text: &str, unit| write_epoch(instant, unit, text).unwrap();

    assert_eq!(like("1", 9), format!("{seconds}"));
    assert_eq!(like("1.000", 9), format!("{seconds}.987"));
    assert_eq!(like("1", 6), format!("{seconds}987"));
    assert_eq!(like("1.00", 6), format!("{seconds}987.65"));
    assert_eq!(like("1.000000000000", 9), format!("{seconds}.987654321000"));
    assert_eq!(
        write_epoch(at("1969-12-31T23:59:58.5Z"), 9, "0.0").unwrap(),
        "-1.5"
    );
    assert_eq!(
        write_epoch(at("1969-12-31T23:59:58.5Z"), 9, "0").unwrap(),
        "-2"
    );
}

proptest! {
    #[test]
    fn a_time_written_as_itself_is_itself(
        seconds in -62_000_000_000_i64..253_000_000_000,
        nanos in 0_i32..1_000_000_000,
        digits in 0_usize..10,
        offset_minutes in -1439_i32..1440,
    ) {
        let fraction = if digits == 0 { String::new() } else { format!(".{}", "0".repeat(digits)) };
        let sign = if offset_minutes < 0 { '-' } else { '+' };
        let like = format!(
            "2020-01-01T00:00:00{fraction}{sign}{:02}:{:02}",
            offset_minutes.abs() / 60,
            offset_minutes.abs() % 60
        );
        let instant = Timestamp::new(seconds, nanos).unwrap();

        let written = write_rfc3339(instant, &like, None).unwrap();
        let read = rfc3339(&written, None).unwrap();

        prop_assert_eq!(write_rfc3339(read, &written, None).unwrap(), written);
        prop_assert!(read <= instant);
        prop_assert!(instant.as_nanosecond() - read.as_nanosecond() < 1_000_000_000);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "[-0-9T:. +Zz]{0,32}") {
        let _ = (rfc3339(&text, None), rfc3339(&text, Some(Zone::UTC)), Zone::read(&text));
        let _ = (date(&text), epoch(&text, 9), epoch(&text, 6));
    }
}
