//! How much one run asks of a source: retries in all, waits, and the pace of requests.

use proptest::prelude::*;

use super::*;

/// Gets so many pages, or as many as come before one fails, with three retries for each.
fn pages(
    rate: Option<&str>,
    count: u64,
    answers: impl IntoIterator<Item = Result<Answer, SendError>>,
) -> (Option<Failure>, Script, Patience) {
    let (mut http, mut clock) = Script::new(answers);
    let rate = rate.map(|text| Rate::parse(text).unwrap());
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES).at_rate(rate);
    let failure = (1..=count).find_map(|page| getter.get(&ask(), page).err());
    (failure, http, clock)
}

/// An answer that uses up a limit which resets in so many seconds.
fn last_of_a_limit(reset: &str) -> Result<Answer, SendError> {
    answer(
        200,
        &[("ratelimit-remaining", "0"), ("ratelimit-reset", reset)],
    )
}

#[test]
fn a_source_that_answers_each_page_after_some_tries_is_out_of_order() {
    let each = || [cut_off(), unreachable(), answer(500, &[]), answer(200, &[])];

    let (failure, http, _) = pages(None, 1000, (0..17).flat_map(|_| each()));

    let expected = Detail {
        message:
            "`https://x.example/o` answered 500 on page 17, three times; the run has used up its 50 retries"
                .to_owned(),
        status: Some(500),
        retry_after_seconds: None,
    };
    assert_eq!(failure, Some(Failure::Unavailable(expected)));
    assert_eq!(http.asked.len(), 50 + 17);
}

#[test]
fn a_run_that_ends_on_a_cut_off_page_for_want_of_retries_is_unavailable_too() {
    let (failure, _, _) = pages(
        None,
        1000,
        (0..26).flat_map(|_| [cut_off(), cut_off(), answer(200, &[])]),
    );

    assert!(
        matches!(failure, Some(Failure::Unavailable(_))),
        "{failure:?}"
    );
}

#[test]
fn throttles_are_half_as_dear_as_faults() {
    let each = || [answer(429, &[]), answer(200, &[])];

    let (failure, http, _) = pages(None, 1000, (0..101).flat_map(|_| each()));

    assert!(
        matches!(&failure, Some(Failure::Unavailable(d)) if d.message.contains("100 retries")),
        "{failure:?}"
    );
    assert_eq!(http.asked.len(), 201);
}

#[test]
fn pages_that_come_at_once_earn_retries() {
    let nine_good = || (0..9).map(|_| answer(200, &[]));
    let each = || nine_good().chain([answer(503, &[]), answer(200, &[])]);

    let (failure, http, _) = pages(None, 1000, (0..100).flat_map(|_| each()));

    assert_eq!((failure, http.asked.len()), (None, 1100));
}

#[test]
fn a_refusal_without_a_time_is_waited_for_until_its_reset() {
    let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")];

    let (failure, _, clock) = pages(None, 1, [answer(403, &reset), answer(200, &[])]);

    assert_eq!(failure, None);
    assert!(
        (20_000..=21_000).contains(&clock.slept_ms[0]),
        "{:?}",
        clock.slept_ms
    );
}

#[test]
fn a_reset_beyond_a_run_ends_it_at_once_and_is_told() {
    let reset = [
        ("date", "Mon, 23 Nov 2026 12:00:00 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1795438200"),
    ];

    let (failure, _, clock) = pages(None, 1, [answer(403, &reset)]);

    let Some(Failure::Unavailable(detail)) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(detail.retry_after_seconds, Some(3000));
    assert_eq!(
        detail.message,
        "`https://x.example/o` answered 403 on page 1 and asks to wait 3000 s, longer than the 300 s that a run waits"
    );
    assert!(clock.slept_ms.is_empty());
}

#[test]
fn an_absurd_time_ends_the_run_at_once_and_is_told() {
    let (failure, _, clock) = pages(None, 1, [answer(503, &[("retry-after", "1000000000000")])]);

    assert!(
        matches!(&failure, Some(Failure::Unavailable(d)) if d.retry_after_seconds == Some(1_000_000_000_000)),
        "{failure:?}"
    );
    assert!(clock.slept_ms.is_empty());
}

#[test]
fn after_the_last_of_a_limit_the_next_page_waits_for_its_reset() {
    let (failure, http, clock) = pages(None, 2, [last_of_a_limit("20"), answer(200, &[])]);

    let waited_ms = http.asked_ms[1] - http.asked_ms[0];
    let expected = format!(
        "page 2: the source's rate limit is used up, waiting {}.{} s for its reset",
        waited_ms / 1000,
        waited_ms % 1000 / 100
    );
    assert_eq!(failure, None);
    assert!((20_000..=21_000).contains(&waited_ms), "{waited_ms}");
    assert_eq!(clock.lines, [expected]);
}

#[test]
fn the_last_page_waits_for_no_reset() {
    let (_, _, clock) = pages(None, 1, [last_of_a_limit("20")]);

    assert!(clock.slept_ms.is_empty());
}

#[test]
fn a_reset_that_is_too_far_off_is_left_to_the_source() {
    let (failure, _, clock) = pages(None, 2, [last_of_a_limit("301"), answer(200, &[])]);

    assert_eq!(failure, None);
    assert!(clock.slept_ms.is_empty());
    assert!(clock.lines.is_empty(), "{:?}", clock.lines);
}

#[test]
fn time_that_passed_since_the_page_came_counts_for_its_reset() {
    let (mut http, mut clock) = Script::new([last_of_a_limit("20"), answer(200, &[])]);
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES);

    getter.get(&ask(), 1).unwrap();
    getter.clock().sleep_ms(30_000);
    getter.get(&ask(), 2).unwrap();

    assert_eq!(clock.slept_ms, [30_000]);
}

#[test]
fn pages_retries_and_redirects_all_keep_the_rate() {
    let answers = [
        answer(302, &[("location", "/a")]),
        answer(503, &[]),
        unreachable(),
        answer(200, &[]),
        answer(200, &[]),
    ];

    let (failure, http, _) = pages(Some("0.02"), 2, answers);

    assert_eq!(failure, None);
    assert_eq!(http.asked_ms, [0, 50_000, 100_000, 150_000, 200_000]);
}

/// Answers with what sources say of time: sometimes sense, sometimes not.
fn answers() -> impl Strategy<Value = Result<Answer, SendError>> {
    let name = prop::sample::select(vec![
        "retry-after",
        "ratelimit-remaining",
        "ratelimit-reset",
        "x-ratelimit-reset",
        "ratelimit",
    ]);
    let value = prop_oneof![
        Just("0".to_owned()),
        "[0-9]{1,3}",
        "-?[0-9]{1,24}",
        r#""d";r=0;t=[0-9]{1,4}"#,
        "\\PC{0,8}",
    ];
    let status = prop::sample::select(vec![200, 200, 403, 429, 500, 503]);
    let said =
        (status, prop::collection::vec((name, value), 0..4)).prop_map(|(status, headers)| {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            answer(status, &headers)
        });
    prop_oneof![8 => said, 1 => Just(unreachable()), 1 => Just(cut_off())]
}

proptest! {
    #[test]
    fn whatever_a_source_says_a_run_is_bounded(
        retries_max in 0_u32..20,
        said in prop::collection::vec(answers(), 1..400),
    ) {
        let count = said.len();
        let (mut http, mut clock) = Script::new(said);
        let mut getter = Getter::new(&mut http, &mut clock, Retries { max: retries_max, ..RETRIES });
        let mut retries = 0;
        for page in 1.. {
            let before = getter.http.asked.len();
            // One page could use up what is left of the script.
            if before + 20 > count {
                break;
            }
            let got = getter.get(&ask(), page);
            let tries = getter.http.asked.len() - before;
            prop_assert!(tries <= 1 + retries_max as usize, "{} tries", tries);
            retries += tries - 1;
            if got.is_err() {
                break;
            }
        }

        prop_assert!(retries * 5 <= 500 + count, "{} retries in {} requests", retries, count);
        prop_assert!(clock.slept_ms.iter().all(|ms| *ms <= 301_000), "{:?}", clock.slept_ms);
    }
}
