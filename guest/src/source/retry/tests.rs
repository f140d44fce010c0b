use super::*;

pub(super) const NOON: &str = "Mon, 23 Nov 2026 12:00:00 GMT";
pub(super) const NOON_SECONDS: i64 = 1_795_435_200;

pub(super) fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Answer {
        status,
        headers: headers.collect(),
        body: Vec::new(),
    }
}

#[test]
fn only_what_may_pass_is_retried() {
    let busy: Vec<u16> = (100..600)
        .filter(|status| verdict(&answer(*status, &[])) == Verdict::Busy)
        .collect();

    assert_eq!(busy, [202, 408, 425, 429, 500, 502, 503, 504, 522, 524]);
}

#[test]
fn every_other_status_has_its_meaning() {
    let verdict_of = |status| verdict(&answer(status, &[]));

    assert_eq!(verdict_of(200), Verdict::Page);
    assert_eq!(verdict_of(204), Verdict::Unexpected);
    assert_eq!(verdict_of(304), Verdict::Unexpected);
    assert_eq!(verdict_of(308), Verdict::Redirect);
    assert_eq!(verdict_of(401), Verdict::Denied);
    assert_eq!(verdict_of(403), Verdict::Denied);
    assert_eq!(verdict_of(410), Verdict::Refused);
    assert_eq!(verdict_of(421), Verdict::Refused);
    assert_eq!(verdict_of(501), Verdict::OutOfOrder);
    assert_eq!(verdict_of(505), Verdict::OutOfOrder);
}

#[test]
fn a_403_that_limits_a_rate_is_retried() {
    let verdict_of = |name, value| verdict(&answer(403, &[(name, value)]));

    assert_eq!(verdict_of("retry-after", "5"), Verdict::Busy);
    assert_eq!(verdict_of("x-ratelimit-remaining", " 0"), Verdict::Busy);
    assert_eq!(verdict_of("ratelimit", "\"day\";r=0;t=9"), Verdict::Busy);
    assert_eq!(verdict_of("x-ratelimit-remaining", "10"), Verdict::Denied);
    assert_eq!(verdict_of("x-ratelimit-reset", "10"), Verdict::Denied);
}
