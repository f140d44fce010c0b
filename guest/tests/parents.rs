//! A request for parents, and then one fetch for each of them (SOURCE_EACH_URL).

mod world;

use tidegate_guest::{Extent, Failure, validate};
use world::{Job, Run, Said, page, parameter, status, with_header};

const SETTINGS: [(&str, &str); 4] = [
    ("SOURCE_API_URL", "https://x.example/projects/{each}/tasks"),
    ("SOURCE_EACH_URL", "https://x.example/projects"),
    ("SOURCE_EACH_VALUE", "/id"),
    ("TRANSFORM", "{project: $parent.name, of: $each, id}"),
];
const CURSOR: [(&str, &str); 5] = [
    ("SOURCE_CURSOR", "/seq"),
    ("SOURCE_CURSOR_TO", "since"),
    ("SOURCE_CURSOR_KIND", "integer"),
    ("SOURCE_PARENT", "/id"),
    ("PRIMARY_KEY", "/id"),
];

fn job(settings: &[(&str, &str)]) -> Job {
    Job::with(&[&SETTINGS, settings].concat())
}

fn with_cursor(settings: &[(&str, &str)]) -> Job {
    job(&[&CURSOR, settings].concat())
}

/// Projects, and for each of them one task with ten times its number.
fn tasks(projects: &str) -> impl FnMut(&str) -> Said {
    move |url| match url.split('/').nth(4) {
        None => page(projects),
        Some(id) => page(&format!(r#"[{{"id":"t{id}"}}]"#)),
    }
}

fn run(job: &Job, projects: &str) -> Run {
    job.run(tasks(projects))
}

#[test]
fn the_records_of_every_parent_are_fetched_in_order() {
    let run = run(
        &job(&[]),
        r#"[{"id":2,"name":"b"},{"id":"a/1","name":"a"}]"#,
    );

    assert_eq!(
        run.asked,
        [
            "https://x.example/projects",
            "https://x.example/projects/2/tasks",
            "https://x.example/projects/a%2F1/tasks",
        ]
    );
    assert_eq!(
        run.folder.lines("records")[0],
        r#"{"project":"b","of":2,"id":"t2"}"#
    );
    assert_eq!(run.folder.lines("deleted").len(), 0);
    let report = run.report();
    assert_eq!((report.extent, report.pages), (Extent::Everything, 3));
    assert_eq!((report.fetched, report.staged), (2, 2));
}

#[test]
fn the_records_of_parents_that_changed_replace_the_old_ones() {
    let first = run(
        &with_cursor(&[]),
        r#"[{"id":1,"name":"a","seq":5},{"id":2,"name":"b","seq":7}]"#,
    );
    let state = &first.report().state;

    let second = run(
        &with_cursor(&[]).after(state),
        r#"[{"id":2,"name":"b","seq":7},{"id":3,"name":"c","seq":8}]"#,
    );

    assert_eq!(
        *state,
        r#"{"v":3,"parents":{"v":2,"kind":"integer","cursor":"7"}}"#
    );
    assert_eq!(
        first.folder.lines("deleted"),
        [r#"{"parent":1,"at":0}"#, r#"{"parent":2,"at":1}"#]
    );
    assert_eq!(
        second.asked,
        [
            "https://x.example/projects?since=7",
            "https://x.example/projects/2/tasks",
            "https://x.example/projects/3/tasks",
        ]
    );
    assert_eq!(
        second.folder.lines("deleted"),
        [r#"{"parent":2,"at":0}"#, r#"{"parent":3,"at":1}"#]
    );
    assert_eq!(second.report().extent, Extent::Changes);
    assert_eq!(second.report().cursor.as_deref(), Some("8"));
}

#[test]
fn a_parent_that_is_gone_has_no_records() {
    let projects = r#"[{"id":1,"seq":5},{"id":2,"seq":7}]"#;
    let gone = |all: bool| {
        with_cursor(&[]).run(move |url| {
            if url.ends_with("/2/tasks") || all && url.ends_with("/tasks") {
                return status(404);
            }
            tasks(projects)(url)
        })
    };

    let one = gone(false);
    let all = gone(true);

    assert_eq!(one.folder.lines("records").len(), 1);
    assert_eq!(
        one.folder.lines("deleted"),
        [r#"{"parent":1,"at":0}"#, r#"{"parent":2,"at":1}"#]
    );
    let warning = "warn: `2`: the source has no such parent any more";
    assert!(one.log.iter().any(|line| line == warning), "{:?}", one.log);
    assert_eq!(one.report().pages, 3);
    let Failure::Refused(detail) = all.failure() else {
        panic!("{:?}", all.failure());
    };
    assert!(
        detail
            .message
            .contains("no parent that was asked for its records is there (2 in all)"),
        "{}",
        detail.message
    );
}

#[test]
fn a_parent_that_is_gone_for_a_moment_has_its_records() {
    let mut asked = 0;

    let run = with_cursor(&[]).run(|url| {
        asked += usize::from(url.ends_with("/1/tasks"));
        if url.ends_with("/1/tasks") && asked == 1 {
            return status(404);
        }
        tasks(r#"[{"id":1,"seq":5},{"id":2,"seq":7}]"#)(url)
    });

    assert_eq!(run.folder.lines("records").len(), 2);
    assert_eq!(
        run.folder.lines("deleted"),
        [r#"{"parent":2,"at":0}"#, r#"{"parent":1,"at":1}"#]
    );
}

#[test]
fn the_records_of_parents_that_are_all_gone_stay() {
    let state = r#"{"v":3,"parents":{"v":2,"kind":"integer","cursor":"7"}}"#;

    let run = with_cursor(&[("SOURCE_EACH_DELETED", "/gone")])
        .after(state)
        .run(|url| match url.split('/').nth(4) {
            None => page(r#"[{"id":1,"seq":8},{"id":2,"seq":9,"gone":true}]"#),
            Some(_) => status(404),
        });

    assert!(
        run.failure().to_string().contains("(1 in all)"),
        "{}",
        run.failure()
    );
}

#[test]
fn a_page_behind_the_first_that_is_not_there_fails_the_run() {
    let paged = [("SOURCE_PAGINATION", "link")];

    let run = with_cursor(&paged).run(|url| {
        if url.ends_with("page=2") {
            return status(404);
        }
        let said = tasks(r#"[{"id":1,"seq":5}]"#)(url);
        if url.ends_with("/tasks") {
            return with_header(said, "link", "<?page=2>; rel=next");
        }
        said
    });

    assert!(
        run.failure()
            .to_string()
            .starts_with("`1` (SOURCE_EACH_URL): "),
        "{}",
        run.failure()
    );
}

#[test]
fn a_deleted_parent_takes_its_records_along() {
    let deleted = [("SOURCE_EACH_DELETED", "/gone")];

    let run = run(
        &with_cursor(&deleted),
        r#"[{"id":1,"seq":5},{"id":2,"seq":6,"gone":true},{"id":1,"seq":7,"gone":1},{"id":3,"seq":8}]"#,
    );

    assert_eq!(
        run.asked[1..],
        ["https://x.example/projects/3/tasks"],
        "the last version of each counts"
    );
    assert_eq!(
        run.folder.lines("deleted"),
        [
            r#"{"parent":1,"at":0}"#,
            r#"{"parent":2,"at":0}"#,
            r#"{"parent":3,"at":0}"#
        ]
    );
}

#[test]
fn parents_have_pages_of_their_own_and_come_once() {
    let settings = [
        ("SOURCE_EACH_RECORDS", "/items"),
        ("SOURCE_EACH_PAGINATION", "token"),
        ("SOURCE_EACH_PAGE_FROM", "/next"),
        ("SOURCE_EACH_PAGE_TO", "after"),
    ];

    let run = job(&settings).run(|url| {
        if !url.contains("/projects?") && !url.ends_with("/projects") {
            return page("[]");
        }
        if parameter(url, "after").is_none() {
            return page(r#"{"items":[{"id":1,"name":"old"}],"next":"x"}"#);
        }
        page(r#"{"items":[{"id":2},{"id":1,"name":"new"}]}"#)
    });

    assert_eq!(run.parameters("after"), ["", "x", "", ""]);
    assert_eq!(run.asked[2..].len(), 2);
    assert!(
        run.asked[2].ends_with("/projects/1/tasks"),
        "{:?}",
        run.asked
    );
}

#[test]
fn what_is_wrong_with_parents_is_said_with_the_names_of_their_settings() {
    let no_value = run(&job(&[]), r#"[{"name":"a"}]"#).failure().to_string();
    let no_array = run(&job(&[]), r#"{"list":[{"id":1}]}"#)
        .failure()
        .to_string();
    let more = job(&[]).run(|url| {
        let said = tasks(r#"[{"id":1}]"#)(url);
        with_header(said, "link", "<?page=2>; rel=next")
    });
    let more = more.failure().to_string();

    assert!(
        no_value.starts_with("SOURCE_EACH_URL: page 1 of"),
        "{no_value}"
    );
    assert!(
        no_value.contains("`/id` (SOURCE_EACH_VALUE) is missing"),
        "{no_value}"
    );
    assert!(no_array.contains("SOURCE_EACH_RECORDS"), "{no_array}");
    assert!(more.contains("set SOURCE_EACH_PAGINATION"), "{more}");
}

#[test]
fn unchanged_parents_say_nothing_of_their_records() {
    let say = |url: &str| with_header(tasks(r#"[{"id":1}]"#)(url), "etag", "\"1\"");
    let first = job(&[]).run(say);

    let second = job(&[]).after(&first.report().state).run_with(|request| {
        let mut headers = request.headers.iter();
        assert!(headers.all(|(name, _)| name != "if-none-match"));
        say(&request.url)
    });

    assert_eq!(second.report().extent, Extent::Everything);
}

#[test]
fn a_value_that_no_request_can_have_ends_the_run() {
    let failure = run(&job(&[]), r#"[{"id":".."}]"#).failure().to_string();

    assert!(
        failure.starts_with("`..` (SOURCE_EACH_URL): cannot be in the path of a URL"),
        "{failure}"
    );
}

#[test]
fn parents_are_limited() {
    let many: Vec<String> = (0..=50_000).map(|id| format!("{{\"id\":{id}}}")).collect();

    let failure = run(&job(&[]), &format!("[{}]", many.join(",")));

    let failure = failure.failure().to_string();
    assert!(
        failure
            .contains("SOURCE_EACH_URL has more than 50000 records, or they have more than 32 MiB"),
        "{failure}"
    );
}

#[test]
fn settings_that_do_not_fit_each_other_are_refused() {
    let problems = |settings: &[(&str, &str)]| {
        let problems = validate(&job(settings).settings);
        let problems = problems.into_iter();
        problems
            .map(|problem| format!("{}: {}", problem.setting, problem.message))
            .collect::<Vec<_>>()
            .join("; ")
    };

    let both = problems(&[("SOURCE_EACH", "a")]);
    let no_parent = problems(&[("SOURCE_CURSOR", "/seq"), ("SOURCE_CURSOR_TO", "since")]);
    let no_token = problems(&[("SOURCE_EACH_PAGINATION", "token")]);
    let other_value = problems(&[
        ("SOURCE_EACH_DELETED", "/gone"),
        ("SOURCE_PARENT", "/key"),
        ("PRIMARY_KEY", "/id"),
    ]);
    let lone = validate(&Job::with(&[("SOURCE_EACH_PAGE_SIZE", "5")]).settings);

    assert_eq!(problems(&[]), "");
    assert_eq!(problems(&CURSOR), "");
    assert_eq!(
        both,
        "SOURCE_EACH: is set, and so is SOURCE_EACH_URL: unset one"
    );
    assert!(
        no_parent.starts_with("SOURCE_PARENT: is not set, but the children"),
        "{no_parent}"
    );
    assert!(
        no_token.starts_with("SOURCE_EACH_PAGE_FROM: is not set"),
        "{no_token}"
    );
    assert!(
        no_token.contains("SOURCE_EACH_PAGE_TO: is not set"),
        "{no_token}"
    );
    assert!(
        other_value.starts_with("SOURCE_EACH_DELETED: needs SOURCE_PARENT"),
        "{other_value}"
    );
    assert_eq!(lone[0].message, "has no effect without SOURCE_EACH_URL");
}
