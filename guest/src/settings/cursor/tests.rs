use crate::settings::validate;

/// The problems with these settings beside a good URL and the cursor `/u`, a line each.
fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    let fixed = [
        ("SOURCE_API_URL", "https://api.example.com/orders"),
        ("SOURCE_CURSOR", "/u"),
    ];
    let mut env: Vec<(String, String)> = Vec::new();
    for (name, value) in fixed.iter().chain(pairs) {
        env.retain(|(found, _)| found != name);
        env.push(((*name).to_owned(), (*value).to_owned()));
    }
    validate(&env)
        .iter()
        .map(|problem| format!("{}: {}", problem.setting, problem.message))
        .collect()
}

/// The only problem with these settings.
fn problem(pairs: &[(&str, &str)]) -> String {
    let problems = problems(pairs);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.concat()
}

const RFC3339: (&str, &str) = ("SOURCE_CURSOR_KIND", "rfc3339");
const START: (&str, &str) = ("SOURCE_CURSOR_START", "2026-01-01");
const END_TO: (&str, &str) = ("SOURCE_CURSOR_END_TO", "until");

#[test]
fn only_times_are_sent_as_times() {
    let send = |kind, send| [("SOURCE_CURSOR_KIND", kind), ("SOURCE_CURSOR_SEND", send)];

    assert_eq!(problems(&send("epoch-ms", "date")), [""; 0]);
    assert!(problem(&send("rfc3339", "integer")).contains("is not one of `rfc3339`, `date`"));
    assert!(problem(&send("integer", "date")).contains("is sent unchanged"));
    assert!(problem(&[("SOURCE_CURSOR_SEND", "date")]).contains("needs SOURCE_CURSOR_KIND"));
}

#[test]
fn a_zone_is_one_of_rfc3339_times() {
    let zone = |zone| ("SOURCE_CURSOR_ZONE", zone);
    let naive = ("SOURCE_CURSOR_START", "2026-01-01T00:00:00");

    assert_eq!(problems(&[zone("UTC")]), [""; 0]);
    assert_eq!(problems(&[zone("-03:30"), RFC3339, naive]), [""; 0]);
    assert!(problem(&[RFC3339, naive]).contains("SOURCE_CURSOR_ZONE"));
    assert_eq!(problems(&[zone("Europe/Berlin"), RFC3339, naive]), [""; 0]);
    assert!(problem(&[zone("Europe/Berln")]).contains("did you mean `Europe/Berlin`?"));
    assert!(
        problem(&[zone("Z"), ("SOURCE_CURSOR_KIND", "epoch")])
            .contains("has no effect with SOURCE_CURSOR_KIND `epoch`")
    );
}

#[test]
fn policy_and_order_are_words() {
    assert!(problem(&[("SOURCE_CURSOR_MISSING", "skip")]).contains("`fail`, `keep`, `drop`"));
    assert!(problem(&[("SOURCE_CURSOR_ORDER", "up")]).contains("`asc`, `desc`"));
}

#[test]
fn a_window_needs_a_kind_a_start_and_a_place_for_its_end() {
    let missing = problems(&[("SOURCE_WINDOW", "30d")]);

    assert_eq!(
        missing,
        [
            "SOURCE_WINDOW: needs SOURCE_CURSOR_KIND, which is not set",
            "SOURCE_WINDOW: needs SOURCE_CURSOR_START, which is not set",
            "SOURCE_WINDOW: needs SOURCE_CURSOR_END_TO, which is not set"
        ]
    );
    assert_eq!(
        problems(&[("SOURCE_WINDOW", "30d"), RFC3339, START, END_TO]),
        [""; 0]
    );
}

#[test]
fn a_window_is_a_time_and_longer_than_the_look_back() {
    let window = |window, more: &[(&str, &str)]| {
        problem(&[&[("SOURCE_WINDOW", window), RFC3339, START, END_TO], more].concat())
    };

    assert!(window("5m", &[]).contains("at least 301s are needed (SOURCE_LOOKBACK is 300s)"));
    assert!(window("1d", &[("SOURCE_LOOKBACK", "1d")]).contains("not longer than"));
    assert!(window("1d", &[("SOURCE_CURSOR_SEND", "date")]).contains("at least 172800s"));
    assert!(window("30", &[]).contains("is not a duration"));
    assert!(
        window(
            "30d",
            &[
                ("SOURCE_CURSOR_KIND", "integer"),
                ("SOURCE_CURSOR_START", "1")
            ]
        )
        .contains("but SOURCE_CURSOR_KIND `integer` is not: remove it")
    );
}

#[test]
fn start_and_end_have_a_place_each() {
    let to = ("SOURCE_CURSOR_TO", "until");

    assert!(problem(&[to, END_TO]).contains("each needs its own place"));
}

#[test]
fn the_cursor_goes_to_one_place_and_is_never_unknown_there() {
    let url = ("SOURCE_API_URL", "https://x.example/?q={cursor}");

    assert!(problem(&[url]).starts_with("SOURCE_CURSOR_START: is not set"));
    assert_eq!(problems(&[url, ("SOURCE_CURSOR_START", "1")]), [""; 0]);
    assert!(
        problem(&[
            url,
            ("SOURCE_CURSOR_START", "1"),
            ("SOURCE_CURSOR_TO", "since")
        ])
        .contains("remove one of them")
    );
    assert!(problem(&[("SOURCE_BODY", r#"{"q":"{cursor}"}"#)]).contains("needs a value"));
}

fn token(more: &[(&str, &str)]) -> Vec<String> {
    let fixed = [
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_CURSOR_KIND", "token"),
        ("SOURCE_CURSOR_TO", "sync"),
        ("SOURCE_CURSOR_PAGE", "last"),
    ];
    problems(&[&fixed, more].concat())
}

#[test]
fn a_token_needs_a_page_and_a_place_and_takes_nothing_that_compares() {
    assert_eq!(token(&[]), [""; 0]);
    assert!(token(&[("SOURCE_CURSOR_PAGE", "")])[0].contains("give `first` or `last`"));
    assert!(token(&[("SOURCE_CURSOR_PAGE", "all")])[0].contains("is not one of"));
    assert!(
        token(&[("SOURCE_CURSOR_TO", "")])[0]
            .contains("name the query parameter that takes the token")
    );
    assert!(token(&[("SOURCE_RECORDS", "")])[0].starts_with("SOURCE_RECORDS: is not set"));
    assert!(token(&[("SOURCE_CURSOR", "/items")])[0].contains("where the records are"));
    assert!(token(&[("SOURCE_CURSOR", "header:a b")])[0].contains("is not a header's name"));
    for name in super::OF_VALUES {
        assert!(
            token(&[(name, "UTC")])[0].contains("has no effect with"),
            "{name}"
        );
    }
    assert!(
        problem(&[("SOURCE_CURSOR_PAGE", "last")])
            .contains("has no effect without SOURCE_CURSOR_KIND `token`")
    );
}

#[test]
fn a_form_of_its_own_says_which_instants_it_names() {
    let form = |form| ("SOURCE_CURSOR_FORMAT", form);
    let zone = ("SOURCE_CURSOR_ZONE", "Europe/Berlin");

    assert_eq!(problems(&[form("%d/%m/%Y")]), [""; 0]);
    assert_eq!(problems(&[form("%d/%m/%Y %H:%M"), zone]), [""; 0]);
    assert_eq!(problems(&[form("%FT%T%z")]), [""; 0]);
    assert!(problem(&[form("%d/%m/%Y %H:%M")]).starts_with("SOURCE_CURSOR_ZONE: is not set"));
    assert!(problem(&[form("%FT%T%z"), zone]).contains("has no effect with SOURCE_CURSOR_KIND"));
    assert!(problem(&[form("%H:%M")]).contains("names no day"));
    assert!(problem(&[form("%F"), RFC3339]).contains("remove one of them"));
    assert!(problem(&[form("%F"), ("SOURCE_CURSOR_START", "soon")]).contains("is not of the form"));
    assert_eq!(problems(&[form("%d/%m/%Y"), START]), [""; 0]);
}

#[test]
fn a_time_may_be_sent_in_a_form_of_its_own() {
    let send = |send| ("SOURCE_CURSOR_SEND", send);

    assert_eq!(problems(&[RFC3339, send("%Y-%m-%d %H:%M:%S")]), [""; 0]);
    assert_eq!(problems(&[RFC3339, send("rfc2822")]), [""; 0]);
    assert_eq!(
        problems(&[("SOURCE_CURSOR_FORMAT", "%d/%m/%Y"), send("epoch")]),
        [""; 0]
    );
    assert!(problem(&[RFC3339, send("%H:%M")]).contains("names no day"));
    assert!(problem(&[RFC3339, send("clock")]).contains("nor a pattern such as"));
    let days = [send("%d.%m.%Y"), RFC3339, START, END_TO];
    let window = [&days[..], &[("SOURCE_WINDOW", "1d")]].concat();
    assert!(problem(&window).contains("at least 172800s"));
}

#[test]
fn a_clock_is_asked_from_and_is_in_no_record() {
    let clock = |more: &[(&str, &str)]| {
        let fixed = [
            ("SOURCE_CURSOR", ""),
            ("SOURCE_CURSOR_KIND", "clock"),
            ("SOURCE_CURSOR_TO", "since"),
        ];
        problems(&[&fixed, more].concat())
    };

    assert_eq!(clock(&[]), [""; 0]);
    assert_eq!(clock(&[START, END_TO, ("SOURCE_WINDOW", "30d")]), [""; 0]);
    assert_eq!(clock(&[("SOURCE_CURSOR_SEND", "%F %T")]), [""; 0]);
    assert!(clock(&[("SOURCE_CURSOR", "/at")])[0].contains("remove one of them"));
    assert!(clock(&[("SOURCE_CURSOR_TO", "")])[0].contains("only the source can filter"));
    for name in [
        "SOURCE_CURSOR_FORMAT",
        "SOURCE_CURSOR_MISSING",
        "SOURCE_CURSOR_ORDER",
        "SOURCE_CURSOR_CHECK",
    ] {
        let value = ["asc", "no"][usize::from(name.ends_with("CHECK"))];
        let value = if name.ends_with("MISSING") {
            "keep"
        } else {
            value
        };
        assert!(
            clock(&[(name, value)])[0].contains("has no effect with"),
            "{name}"
        );
    }
}
