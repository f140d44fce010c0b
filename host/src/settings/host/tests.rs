//! Defaults, and every problem at once.

use super::*;
use crate::cli::GivenArgs;
use crate::process::stop::Stop;

fn host(environment: &[(&str, &str)]) -> HostPlan {
    let limits = Limits::default();
    let environment = environment
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let stop = Stop::unwatched(Duration::from_hours(1));
    let inputs = Inputs::read(&GivenArgs::default(), environment, &limits, &stop);
    HostPlan::new(&inputs, limits)
}

#[test]
fn an_empty_environment_gives_every_default() {
    let host = host(&[]);

    assert_eq!(host.problems, []);
    assert_eq!(host.job, "sync");
    assert_eq!(host.output_dir, Some(PathBuf::from("/data/sync")));
    assert_eq!(host.limits.run_deadline, Duration::from_mins(15));
    assert_eq!(host.cache_dir, None);
}

#[test]
fn every_problem_is_reported() {
    let host = host(&[
        ("OUTPUT_FORMAT", "xml"),
        ("MIN_RECORDS", "-1"),
        ("RUN_DEADLINE", "5"),
        ("WRITE_MODE", "prepend"),
    ]);

    let names: Vec<&str> = host
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
    let host = host(&[("PRIMARY_KEY", "id")]);

    assert!(
        host.problems[0].message.contains("`/id` instead of `id`"),
        "{:?}",
        host.problems
    );
}
