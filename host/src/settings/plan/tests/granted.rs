//! What a component given by path gets of the environment.

use super::*;
use crate::egress::Auth;
use crate::settings::granted::{Ungranted, ungranted};

/// What a component given by path is given.
fn by_path(environment: &[(&str, &str)], flags: &[&str]) -> Read {
    Read {
        has_built_in: false,
        ..read(flags, environment, &[])
    }
}

fn kept_back(read: &Read, description: &Description) -> Option<Ungranted> {
    ungranted(&read.inputs, &read.grant(description))
}

/// The test component, with one setting more.
fn declaring(name: &str, required: bool, secret: bool) -> Description {
    let mut description = description();
    description.settings.push(Setting {
        name: name.to_owned(),
        doc: "What it wants.".to_owned(),
        required,
        secret,
        ..description.settings[0].clone()
    });
    description
}

const SOURCE: (&str, &str) = ("SOURCE_API_URL", "https://api.example.com/v1");
const PASSWORD: (&str, &str) = ("SOURCE_DB_PASSWORD", "hunter2");

#[test]
fn of_the_environment_a_component_given_by_path_gets_the_source_and_what_is_granted() {
    let description = declaring(PASSWORD.0, false, false);
    let mut without = by_path(&[SOURCE, PASSWORD], &["WRITE_MODE=replace"]);
    let mut granted = by_path(
        &[
            SOURCE,
            PASSWORD,
            ("ALLOW_ENVIRONMENT", "A, SOURCE_DB_PASSWORD"),
        ],
        &["WRITE_MODE=replace"],
    );

    let names = |read: &mut Read| -> Vec<String> {
        let plan = read.plan(&description).unwrap();
        plan.environment.into_iter().map(|(name, _)| name).collect()
    };

    assert_eq!(names(&mut without), ["SOURCE_API_URL"]);
    assert_eq!(
        kept_back(&without, &description),
        Some(Ungranted {
            names: vec![PASSWORD.0.to_owned()],
            grant: "ALLOW_ENVIRONMENT=SOURCE_DB_PASSWORD".to_owned(),
        })
    );
    assert_eq!(names(&mut granted), ["SOURCE_API_URL", PASSWORD.0]);
    assert_eq!(kept_back(&granted, &description), None);
}

#[test]
fn what_is_required_and_kept_back_is_refused_with_the_line_that_grants_it() {
    let description = declaring(PASSWORD.0, true, false);
    let mut read = by_path(&[SOURCE, PASSWORD], &["WRITE_MODE=replace"]);

    let unusable = read.plan(&description).unwrap_err();

    let problems: Vec<String> = unusable.problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        problems,
        [
            "SOURCE_DB_PASSWORD is required (What it wants); SOURCE_DB_PASSWORD is in the environment, but not allowed for \
             this component: set `ALLOW_ENVIRONMENT=SOURCE_DB_PASSWORD`, or put it in an env file"
        ]
    );
}

#[test]
fn a_setting_that_is_kept_back_decides_nothing() {
    let environment = [
        SOURCE,
        ("SOURCE_CURSOR", "/updated"),
        ("SOURCE_PARENT", "/order"),
        ("SOURCE_BODY", "{}"),
    ];

    let settings = by_path(&environment, &[]).plan(&description()).unwrap();

    assert_eq!(settings.mode, WriteMode::Replace);
    let without = by_path(&[SOURCE], &[]).plan(&description()).unwrap();
    assert_eq!(settings.fingerprint, without.fingerprint);
    assert_eq!(settings.environment, without.environment);
}

#[test]
fn what_the_host_reads_itself_needs_no_grant() {
    let environment = [
        SOURCE,
        ("SOURCE_AUTH", "basic"),
        ("SOURCE_API_KEY", "me:passw0rd"),
    ];
    let mut read = by_path(&environment, &[]);

    read.plan(&description()).unwrap();

    assert!(matches!(read.host.auth, Auth::Basic(_)));
}

#[test]
fn a_component_that_declares_a_secret_of_its_own_is_refused() {
    let problems = |name: &str| {
        let mut read = by_path(&[SOURCE], &["WRITE_MODE=replace"]);
        match read.plan(&declaring(name, false, true)) {
            Ok(_) => String::new(),
            Err(unusable) => unusable.problems[0].to_string(),
        }
    };

    let refused = problems(PASSWORD.0);
    assert!(
        refused.starts_with(
            "SOURCE_DB_PASSWORD is declared as a secret by this component, and components get no secrets"
        ),
        "{refused}"
    );
    assert_eq!(problems("SOURCE_API_KEY"), "");
}

#[test]
fn a_file_that_the_environment_names_is_not_read_without_a_grant() {
    let (_folder, path) = file(".a");
    let environment = [SOURCE, ("TRANSFORM_FILE", path.as_str())];
    let granted = [
        environment[0],
        environment[1],
        ("ALLOW_ENVIRONMENT", "TRANSFORM"),
    ];

    let mut without = by_path(&environment, &[]);
    let settings = without.plan(&description()).unwrap();

    assert_eq!(handed_on(&settings, "TRANSFORM"), None);
    assert_eq!(
        kept_back(&without, &description()).unwrap().grant,
        "ALLOW_ENVIRONMENT=TRANSFORM_FILE"
    );
    let settings = by_path(&granted, &[]).plan(&description()).unwrap();
    assert_eq!(handed_on(&settings, "TRANSFORM"), Some(".a"));
}

#[test]
fn a_value_in_a_file_stands_where_the_environment_is_kept_back() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.env");
    std::fs::write(&job, "SOURCE_DB_PASSWORD=of-this-job\n").unwrap();
    let mut read = Read {
        has_built_in: false,
        ..read(&[], &[SOURCE, PASSWORD], &[job])
    };

    let settings = read.plan(&declaring(PASSWORD.0, true, false)).unwrap();

    assert_eq!(handed_on(&settings, PASSWORD.0), Some("of-this-job"));
}
