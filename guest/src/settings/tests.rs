use super::*;
use crate::source::Style;

mod pages;
mod request;

const URL: (&str, &str) = ("SOURCE_API_URL", "https://api.example.com/orders?a=1#top");

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(pairs: &[(&str, &str)]) -> Settings {
    Settings::read(&env(&[&[URL], pairs].concat())).unwrap()
}

/// The problems with these settings beside a good URL, a line each.
fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    let problems = validate(&env(&[&[URL], pairs].concat()));
    problems
        .iter()
        .map(|problem| format!("{}: {}", problem.setting, problem.message))
        .collect()
}

#[test]
fn a_url_alone_is_enough() {
    let settings = read(&[]);

    assert_eq!(settings.url.as_str(), "https://api.example.com/orders?a=1");
    assert_eq!(settings.pagination, Style::None.into());
    assert_eq!(
        (settings.retries, settings.pages_max),
        (
            Retries {
                max: 3,
                pause_ms: 2000
            },
            10_000
        )
    );
    assert_eq!(settings.cursor, None);
    assert!(settings.made.key.is_empty());
}

#[test]
fn every_problem_is_reported_at_once_in_the_order_of_the_description() {
    let problems = validate(&env(&[
        ("MAX_PAGES", "0"),
        ("SOURCE_CURSOR_KIND", "fortnight"),
        ("SOURCE_CURSOR", "updated"),
        ("SOURCE_PAGINATION", "cursor"),
        ("SOURCE_DELETED", "/gone"),
        ("SOURCE_AUTH", "digest"),
    ]));

    let named: Vec<&str> = problems
        .iter()
        .map(|problem| problem.setting.as_str())
        .collect();
    let expected = [
        "SOURCE_API_URL",
        "SOURCE_AUTH",
        "SOURCE_PAGINATION",
        "SOURCE_CURSOR",
        "SOURCE_CURSOR_KIND",
        "MAX_PAGES",
        "PRIMARY_KEY",
    ];
    assert_eq!(named, expected);
}

#[test]
fn every_default_is_the_one_that_is_described() {
    let described = describe().settings;
    let defaults: Vec<(String, String)> = described
        .into_iter()
        .filter_map(|setting| Some((setting.name, setting.default?)))
        .collect();
    let spelled_out: Vec<(&str, &str)> = defaults
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();

    assert_eq!(
        format!("{:?}", read(&spelled_out)),
        format!("{:?}", read(&[]))
    );
}

#[test]
fn every_setting_is_described_with_a_sentence_and_an_example() {
    for setting in describe().settings {
        assert!(
            setting.doc.ends_with('.') && setting.doc.starts_with(char::is_uppercase),
            "{setting:?}"
        );
        assert!(setting.example.is_some(), "{setting:?}");
    }
}

#[test]
fn every_example_can_be_used_where_its_setting_has_a_meaning() {
    let given: Vec<(String, String)> = describe()
        .settings
        .into_iter()
        .filter_map(|setting| Some((setting.name, setting.example?)))
        .filter(|(name, _)| !["SOURCE_CURSOR_PAGE", "SOURCE_EACH"].contains(&name.as_str()))
        .filter(|(name, _)| !name.starts_with("SOURCE_EXPORT_"))
        .map(|(name, example)| match name.as_str() {
            // These examples show values that leave another setting without a meaning, or that the host replaces.
            "SOURCE_API_URL" => (name, format!("{example}&account={{each}}")),
            "SOURCE_FORMAT" => (name, "json".to_owned()),
            "SOURCE_CURSOR_FORMAT" | "SOURCE_CSV_HEADER" | "SOURCE_CSV_DELIMITER" => {
                (name, String::new())
            }
            "SOURCE_SCHEMA" => (name, "{}".to_owned()),
            "SOURCE_PAGINATION" | "SOURCE_EACH_PAGINATION" => (name, "token".to_owned()),
            "SOURCE_PAGE_FIRST"
            | "SOURCE_PAGE_SHORT"
            | "SOURCE_EACH_PAGE_FIRST"
            | "SOURCE_EACH_PAGE_SHORT" => (name, String::new()),
            "SOURCE_CURSOR_KIND" => (name, "rfc3339".to_owned()),
            _ => (name, example),
        })
        .collect();

    assert_eq!(validate(&given), []);
}

#[test]
fn the_examples_of_an_export_make_one() {
    let rows = describe().settings.into_iter();
    let rows = rows.filter(|row| row.name.starts_with("SOURCE_EXPORT_"));
    let examples = rows.filter_map(|row| Some((row.name, row.example?)));
    let source = env(&[
        URL,
        ("SOURCE_CURSOR", "/updated_at"),
        ("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z"),
    ]);

    let settings = Settings::read(&examples.chain(source).collect::<Vec<_>>()).unwrap();

    let export = settings.export.unwrap();
    assert_eq!(settings.url.as_str(), "https://api.example.com/v1/exports");
    assert_eq!((export.every_ms, export.wait_ms), (120_000, 600_000));
    assert_eq!(export.result.as_str(), "https://api.example.com/orders?a=1");
}

#[test]
fn an_empty_value_is_unset() {
    assert_eq!(
        problems(&[("MAX_RETRIES", ""), ("SOURCE_CURSOR_TO", "")]),
        [""; 0]
    );
    assert_eq!(validate(&env(&[("SOURCE_API_URL", "")])).len(), 1);
}

#[test]
fn a_url_must_be_one_that_can_be_asked_for() {
    let problem = |url: &str| validate(&env(&[("SOURCE_API_URL", url)])).remove(0).message;

    assert!(problem("/orders").contains("is not a URL"));
    assert!(problem("ftp://x.example/").contains("`ftp` URL"));
    assert!(problem("https://u:s3cret@x.example/").contains("SOURCE_API_KEY"));
    assert!(problem("https://x.example/?since={cursor}").contains("without SOURCE_CURSOR"));
    assert!(problem("https://x.example/{cursor}?a=1").contains("in the query only"));
    assert!(problem(&format!("https://x.example/{}", "a".repeat(9000))).contains("longer than"));
    assert!(!problem("https://u:s3cret@x.example/").contains("s3cret"));
}

#[test]
fn a_setting_that_would_mean_nothing_is_refused() {
    for pair in [
        ("SOURCE_LOOKBACK", "5m"),
        ("SOURCE_CURSOR_START", "1"),
        ("SOURCE_CURSOR_KIND", "date"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_PAGE_FROM", "/next"),
        ("SOURCE_AUTH_NAME", "X-Key"),
    ] {
        let problems = problems(&[pair]);
        assert!(
            problems.len() == 1 && problems[0].contains("has no effect with"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_token_that_the_host_fetches_is_a_way_to_authorize() {
    assert_eq!(problems(&[("SOURCE_AUTH", "oauth2")]), [""; 0]);
    assert_eq!(problems(&[("SOURCE_AUTH", "aws-sigv4")]), [""; 0]);

    let named = problems(&[("SOURCE_AUTH", "oauth2"), ("SOURCE_AUTH_NAME", "X-Key")]);

    assert!(
        named.len() == 1 && named[0].contains("has no effect with SOURCE_AUTH `oauth2`"),
        "{named:?}"
    );
}

#[test]
fn start_and_look_back_must_fit_the_kind() {
    let with = |kind, name, value| {
        problems(&[
            ("SOURCE_CURSOR", "/u"),
            ("SOURCE_CURSOR_KIND", kind),
            (name, value),
        ])
    };

    assert_eq!(
        with("rfc3339", "SOURCE_CURSOR_START", "2026-01-01"),
        [""; 0]
    );
    assert!(with("rfc3339", "SOURCE_CURSOR_START", "yesterday")[0].contains("RFC 3339"));
    assert!(with("integer", "SOURCE_CURSOR_START", "1.5")[0].contains("not an integer"));
    assert!(with("integer", "SOURCE_LOOKBACK", "5m")[0].contains("plain number"));
    assert!(with("text", "SOURCE_LOOKBACK", "5m")[0].contains("takes no look-back"));
    assert!(with("epoch", "SOURCE_LOOKBACK", "300")[0].contains("such as `300s`"));
}

#[test]
fn a_key_is_a_list_of_pointers() {
    assert_eq!(read(&[("PRIMARY_KEY", "/shop/id, /id")]).made.key.len(), 2);
    assert!(problems(&[("PRIMARY_KEY", "id")])[0].contains("such as `/id`"));
    assert!(problems(&[("PRIMARY_KEY", "/id,")])[0].contains("empty part"));
    assert!(problems(&[("PRIMARY_KEY", "/id,/id")])[0].contains("twice"));
}

#[test]
fn numbers_have_limits() {
    assert!(problems(&[("MAX_RETRIES", "21")])[0].contains("from 0 to 20"));
    assert_eq!(
        problems(&[("RETRY_PAUSE", "500ms"), ("SOURCE_TIMEOUT", "1h")]),
        [""; 0]
    );
    assert!(problems(&[("RETRY_PAUSE", "5")])[0].contains("from `10ms` to `5m`"));
    assert!(problems(&[("RETRY_PAUSE", "6m")])[0].contains("from `10ms` to `5m`"));
    assert!(problems(&[("SOURCE_TIMEOUT", "2h")])[0].contains("from `1s` to `1h`"));
    assert!(problems(&[("MAX_RESPONSE_BYTES", "2GiB")])[0].contains("from `1KiB` to `1024MiB`"));
    assert!(problems(&[("MAX_RECORD_BYTES", "1")])[0].contains("from `1KiB` to `256MiB`"));
    assert!(problems(&[("MAX_RETRIES", "-1")])[0].contains("from 0 to 20"));
    assert!(problems(&[("SOURCE_RATE", "0")])[0].starts_with("SOURCE_RATE: `0` is not a number"));
    assert!(problems(&[("SOURCE_ERROR", ".error |")])[0].starts_with("SOURCE_ERROR: "));
    assert!(problems(&[("MAX_PAGES", "ten")])[0].contains("from 1 to 1000000"));
}

#[test]
fn what_counts_records_is_refused_where_a_program_makes_them() {
    let with = |pairs: &[(&str, &str)]| {
        problems(&[&[("SOURCE_RECORDS", ".orders[].lines[]")], pairs].concat())
    };
    let page = ("SOURCE_PAGINATION", "page");
    let more = ("SOURCE_PAGE_MORE", "/more");

    assert!(with(&[("SOURCE_PAGINATION", "offset")])[0].contains("`offset` counts records"));
    assert!(with(&[page])[0].starts_with("SOURCE_PAGE_MORE: is not set, but SOURCE_RECORDS is"));
    assert_eq!(with(&[page, more]), [""; 0]);
    let short = [
        page,
        more,
        ("SOURCE_PAGE_SIZE", "9"),
        ("SOURCE_PAGE_SHORT", "last"),
    ];
    assert!(with(&short)[0].contains("`last` counts records"));
    assert_eq!(problems(&[page]), [""; 0]);
    assert_eq!(with(&[("SOURCE_RECORDS_MISSING", "empty")]), [""; 0]);
}

#[test]
fn a_program_that_sees_headers_may_be_told_by_them_alone() {
    let is_told = |name: &str, program: &str| {
        let url = ("SOURCE_API_URL", "https://x.example/");
        Settings::read(&env(&[url, (name, program)]))
            .unwrap()
            .is_told_by_header()
    };

    for name in [
        "SOURCE_RECORDS",
        "SOURCE_ERROR",
        "SOURCE_PAGE_MORE",
        "SOURCE_TOTAL",
    ] {
        assert!(is_told(name, "$headers.x"), "{name}");
        assert!(!is_told(name, ".x"), "{name}");
    }
}
