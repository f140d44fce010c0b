//! Defaults, and every problem at once.

use super::*;

fn plan(environment: &[(&str, &str)]) -> Plan {
    let limits = Limits::default();
    let environment = environment
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let values = Values::collect(&[], environment, &[], &limits, &mut Vec::new());
    Plan::new(values, limits, Vec::new())
}

#[test]
fn an_empty_environment_gives_every_default() {
    let plan = plan(&[]);

    assert_eq!(plan.problems, []);
    assert_eq!(plan.job, "sync");
    assert_eq!(plan.output_dir, Some(PathBuf::from("/data/sync")));
    assert_eq!(plan.limits.run_deadline, Duration::from_mins(15));
    assert_eq!(plan.cache_dir, None);
}

#[test]
fn every_problem_is_reported() {
    let plan = plan(&[
        ("OUTPUT_FORMAT", "xml"),
        ("MIN_RECORDS", "-1"),
        ("RUN_DEADLINE", "5"),
        ("WRITE_MODE", "prepend"),
    ]);

    let names: Vec<&str> = plan
        .problems
        .iter()
        .map(|problem| problem.setting.as_str())
        .collect();
    assert_eq!(
        names,
        ["RUN_DEADLINE", "OUTPUT_FORMAT", "WRITE_MODE", "MIN_RECORDS"]
    );
}

#[test]
fn a_key_that_is_no_pointer_is_refused_with_the_pointer_meant() {
    let plan = plan(&[("PRIMARY_KEY", "id")]);

    assert!(
        plan.problems[0].message.contains("`/id` instead of `id`"),
        "{:?}",
        plan.problems
    );
}
