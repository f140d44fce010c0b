use super::*;

/// A line of the history: how a run ended, and when (in minutes of an hour).
fn run(minute: u64, exit_code: u64, outcome: &str, committed: &str) -> Value {
    json!({
        "run_id": format!("r{minute}"),
        "finished": format!("2025-11-27T06:{minute:02}:00.000Z"),
        "duration_ms": 1_250,
        "exit_code": exit_code,
        "outcome": outcome,
        "committed": committed,
        "dry_run": false,
        "set": [],
        "generation": "000042-20261127T060000Z-0123456789abcdef",
        "records": 7,
        "fetched": 3,
        "new": null,
        "deleted": 0,
        "gone": 0,
    })
}

fn at(minute: u64) -> Option<f64> {
    time(&run(minute, 0, "", "")["finished"])
}

fn with(mut run: Value, member: &str, value: Value) -> Value {
    run[member] = value;
    run
}

#[test]
fn each_metric_is_once_with_its_help_and_all_jobs() {
    let mut one = Metrics::named("orders".to_owned());
    one.last_run(&run(5, 0, "published", "yes"));
    let mut other = Metrics::named("a\\b\"\n".to_owned());
    other.tenant = Some("acme".to_owned());
    other.last_run(&run(6, 69, "source_refused", "no"));

    let text = exposition(&[one.clone(), other, one]);

    for line in [
        "# TYPE tidegate_last_run_exit_code gauge\n\
         tidegate_last_run_exit_code{job_name=\"orders\"} 0\n\
         tidegate_last_run_exit_code{job_name=\"a\\\\b\\\"\\\\u000a\",tenant=\"acme\"} 69\n",
        "tidegate_last_run_info{job_name=\"orders\",outcome=\"published\"} 1\n",
        "tidegate_last_run_duration_seconds{job_name=\"orders\"} 1.25\n",
        "tidegate_last_run_timestamp_seconds{job_name=\"orders\"} 1764223500.0\n",
        "tidegate_published_generation{job_name=\"orders\"} 42\n",
        "tidegate_published_records{job_name=\"orders\"} 7\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    // What is not known, and what a run that changed nothing did not take away.
    assert!(!text.contains("new_records"), "{text}");
    assert_eq!(text.matches("\ntidegate_last_run_gone_records").count(), 1);
    let helps: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("# HELP"))
        .collect();
    let names: BTreeSet<&str> = helps
        .iter()
        .filter_map(|help| help.split(' ').nth(2))
        .collect();
    assert_eq!(helps.len(), names.len());
}

#[test]
fn a_failure_does_not_move_the_last_success() {
    let runs = [
        run(4, 75, "try_later", "no"),
        run(3, 69, "source_refused", "no"),
        run(2, 0, "nothing_new", "yes"),
        run(1, 0, "published", "yes"),
    ];

    let past = Past::of(&runs);

    assert_eq!((past.success, past.publish), (at(2), at(1)));
    assert_eq!(past.failures, 2);
    // Some portions of a run that failed: they are published, and it is no success.
    let portions = [
        run(9, 75, "try_later", "yes"),
        run(1, 0, "published", "yes"),
    ];
    let past = Past::of(&portions);
    assert_eq!((past.success, past.publish), (at(1), at(9)));
}

#[test]
fn a_trial_a_dry_run_and_a_rollback_are_no_runs_of_the_job() {
    let rollback = json!({"finished": "2025-11-27T06:30:00Z", "exit_code": 0, "outcome": "rolled_back", "committed": "yes", "duration_ms": 3});
    let runs = [
        rollback,
        with(
            run(8, 69, "source_refused", "no"),
            "set",
            json!(["MAX_PAGES"]),
        ),
        with(run(7, 0, "dry_run", "no"), "dry_run", json!(true)),
        run(6, 69, "source_refused", "no"),
        run(5, 0, "published", "yes"),
    ];

    let past = Past::of(&runs);

    assert_eq!((past.success, past.failures), (at(5), 1));
    assert_eq!(counting(&runs).next(), Some(&runs[3]));
}

#[test]
fn what_the_history_has_no_more_is_taken_from_the_last_file() {
    let mut before = Metrics::named("orders".to_owned());
    before.last_run(&run(1, 0, "published", "yes"));
    before.since(&Past::of(&[run(1, 0, "published", "yes")]), &Map::new());
    before.set(FAILURES, 4);
    let before = read(&exposition(&[before]));
    let mut early = run(2, 78, "settings", "no");
    early["generation"] = Value::Null;

    let mut metrics = Metrics::named("orders".to_owned());
    metrics.last_run(&early);
    metrics.since(&Past::of([&early]), &before);

    assert_eq!(metrics.values[LAST_SUCCESS], json!(at(1)));
    assert_eq!(metrics.values[LAST_PUBLISH], json!(at(1)));
    assert_eq!(metrics.values[FAILURES], 5);
    assert_eq!(metrics.values[RECORDS], 7);
    assert_eq!(metrics.values["tidegate_last_run_exit_code"], 78);
    // A success counts anew.
    metrics.since(&Past::of([&run(3, 0, "nothing_new", "yes")]), &before);
    assert_eq!(metrics.values[FAILURES], 0);
    assert_eq!(metrics.values[LAST_SUCCESS], json!(at(3)));
    assert_eq!(metrics.values[LAST_PUBLISH], json!(at(1)));
}
