//! What a page is, whatever the jobs say.

use super::super::facts::Published;
use super::*;

const NOW: &str = "2026-11-28T03:06:29Z";
const HOSTILE: &str = "</style><script>alert(1)</script><img src=x onerror=\"alert(2)\" '>&amp;";

fn run(minute: u32, exit_code: u8) -> RunFacts {
    RunFacts {
        started: format!("2026-11-28T02:{minute:02}:00.000Z"),
        finished: format!("2026-11-28T02:{minute:02}:01.200Z"),
        exit_code,
        outcome: if exit_code == 0 {
            "published"
        } else {
            "source_refused"
        }
        .to_owned(),
        records: (exit_code == 0).then_some(12_000 + u64::from(minute)),
        new: (exit_code == 0).then_some(3),
        changed: (exit_code == 0).then_some(1),
        deleted: (exit_code == 0).then_some(0),
        duration_ms: Some(1_200),
        message: (exit_code != 0).then(|| "answered 404".to_owned()),
        ..RunFacts::default()
    }
}

fn job(name: &str, code: u8) -> Facts {
    Facts {
        job: name.to_owned(),
        status: if code == 0 { "fresh" } else { "stale" }.to_owned(),
        generation: Some(Published {
            name: "000042".to_owned(),
            committed: "2026-11-28T02:00:01Z".to_owned(),
            records: 12_345,
            cursor: Some("2026-11-27".to_owned()),
        }),
        max_age_seconds: 3600,
        every_seconds: Some(900),
        next_run: Some("2026-11-28T03:15:00Z".to_owned()),
        runs: vec![run(45, code), run(30, code), run(0, 0)],
        ..Facts::default()
    }
}

fn page_of(jobs: Vec<Facts>) -> String {
    page(&Sight::new(jobs, NOW.parse().unwrap()))
}

#[test]
fn a_page_begins_as_it_is_known_by() {
    let page = page_of(vec![job("orders", 0)]);

    assert!(page.starts_with(BEGINNING), "{}", &page[..200]);
}

#[test]
fn the_same_jobs_at_the_same_time_are_the_same_page() {
    let jobs = || vec![job("b", 69), job("a", 0)];
    let mut turned = jobs();
    turned.reverse();

    assert_eq!(page_of(jobs()), page_of(turned));
}

#[test]
fn nothing_that_a_job_says_is_markup() {
    let mut hostile = job(HOSTILE, 69);
    hostile.reasons = vec![HOSTILE.to_owned()];
    hostile.held = Some(HOSTILE.to_owned());
    hostile.next_run = Some(HOSTILE.to_owned());
    hostile.generation = Some(Published {
        name: HOSTILE.to_owned(),
        committed: HOSTILE.to_owned(),
        records: 1,
        cursor: Some(HOSTILE.to_owned()),
    });
    for run in &mut hostile.runs {
        run.started = HOSTILE.to_owned();
        run.finished = HOSTILE.to_owned();
        run.outcome = HOSTILE.to_owned();
        run.drift = Some(HOSTILE.to_owned());
        run.message = Some(HOSTILE.to_owned());
    }
    let unreadable = Facts::unknown(HOSTILE.to_owned(), String::new(), 78, HOSTILE);

    let page = page_of(vec![hostile, unreadable]);

    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    assert_eq!(page.matches("</style>").count(), 1);
    // In an attribute, a quote would end it.
    assert!(!page.contains("onerror=\"alert"), "{page}");
    assert!(
        page.contains("&lt;/style&gt;&lt;script&gt;alert(1)"),
        "{page}"
    );
}

#[test]
fn what_fails_is_first_and_in_the_title() {
    let page = page_of(vec![job("aa", 0), job("zz", 69)]);

    let at = |text: &str| {
        page.find(text)
            .unwrap_or_else(|| panic!("no `{text}`: {page}"))
    };
    assert!(
        page.contains("<title>1 failing of 2 jobs · tidegate</title>"),
        "{page}"
    );
    assert!(at("id=\"job-zz\"") < at("id=\"job-aa\""));
    assert!(page.contains("2 times, last "), "{page}");
    assert!(page.contains("the source refused the request"), "{page}");
}

#[test]
fn the_policy_of_the_page_has_the_digest_of_its_style() {
    let page = page_of(vec![job("orders", 0)]);

    let (_, style) = page.split_once("<style>").unwrap();
    let (style, _) = style.split_once("</style>").unwrap();
    let digest = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy =
        format!("content=\"default-src 'none'; style-src 'sha256-{digest}'; img-src data:");
    assert!(page.contains(&policy), "{page}");
}

#[test]
fn ids_are_distinct_and_those_of_parts_are_no_jobs() {
    let jobs = ["a/b", "a-b", "a b", HOSTILE].map(|name| (State::Fresh, job(name, 0)));

    let ids = ids(&jobs);

    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 4, "{ids:?}");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    assert!(ids.iter().all(|id| id.chars().all(is_plain)), "{ids:?}");
}

#[test]
fn a_page_of_too_many_jobs_says_how_many_are_not_on_it() {
    let mut jobs: Vec<Facts> = (0..REPORT_JOBS_MAX + 5)
        .map(|number| job(&format!("j{number:04}"), 0))
        .collect();
    for facts in &mut jobs {
        facts.runs = vec![
            RunFacts {
                message: Some("m".repeat(1_000)),
                exit_code: 69,
                ..RunFacts::default()
            };
            20
        ];
    }

    let page = page_of(jobs);

    assert!(page.contains("5 more jobs, not listed here."), "no note");
    assert!(
        page.contains("There is room for the details of 200 jobs."),
        "no note"
    );
    assert!(
        page.len() < REPORT_PAGE_BYTES_MAX + 4 * 1024 * 1024,
        "{} bytes",
        page.len()
    );
}
