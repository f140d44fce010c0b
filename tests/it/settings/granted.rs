//! What a component given by path gets of the environment: what it was granted, and never a secret.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::Job;

/// A component that publishes what SOURCE_STAGE_RECORDS says, which is in the environment, and is granted nothing.
fn ungranted() -> Job {
    Job::misbehaving("unused")
        .unset("SOURCE_MISBEHAVIOUR")
        .args(["--set", "SOURCE_MISBEHAVIOUR=stage-as-told"])
        .args(["--set", "SOURCE_CHANGES=yes"])
        .args(["--set", "WRITE_MODE=upsert", "--set", "PRIMARY_KEY=/id"])
        .set("ALLOW_ENVIRONMENT", "")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":\"environment\"}\n")
}

#[test]
fn a_component_given_by_path_gets_nothing_of_the_environment_and_that_is_told() {
    let run = ungranted().run();

    run.exits(Outcome::Published).publishes(&json!([]));
    let warnings = format!("{:?}", run.warnings());
    assert!(
        warnings.contains("environment variables not given to the component")
            && warnings.contains("ALLOW_ENVIRONMENT=TIDEGATE_CACHE_DIR,SOURCE_STAGE_RECORDS"),
        "{warnings}"
    );
}

#[test]
fn a_name_that_is_granted_a_flag_and_a_file_reach_the_component() {
    let granted = ungranted()
        .set("ALLOW_ENVIRONMENT", "SOURCE_BODY,SOURCE_STAGE_RECORDS")
        .run();
    granted
        .exits(Outcome::Published)
        .publishes(&json!([{"id": "environment"}]));

    let flag = ungranted()
        .args(["--set", "SOURCE_STAGE_RECORDS={\"id\":\"flag\"}\n"])
        .run();
    flag.exits(Outcome::Published)
        .publishes(&json!([{"id": "flag"}]));
    let warnings = format!("{:?}", flag.warnings());
    assert!(!warnings.contains("SOURCE_STAGE_RECORDS"), "{warnings}");
}

#[test]
fn check_names_the_line_that_grants_what_is_kept_back() {
    let job = ungranted().set("ALLOW_ENVIRONMENT", "SOURCE_BODY");
    let component = crate::world::guests::misbehaving().display().to_string();

    let checked = job.tidegate(["check", "--component", &component]);

    checked.stdout_has(
        "warning: environment variables not given to the component: TIDEGATE_CACHE_DIR, SOURCE_STAGE_RECORDS; to allow \
         them, set `ALLOW_ENVIRONMENT=SOURCE_BODY,TIDEGATE_CACHE_DIR,SOURCE_STAGE_RECORDS`",
    );
}

#[test]
fn no_grant_gives_a_secret() {
    let run = ungranted()
        .set("ALLOW_ENVIRONMENT", "SOURCE_API_KEY,SOURCE_API_KEY_FILE")
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("contains `SOURCE_API_KEY`")
        .stderr_has("contains `SOURCE_API_KEY_FILE`");
}
