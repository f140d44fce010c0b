//! Job files: one more layer of settings, with the component and without secrets.

use tidegate::outcome::Outcome;

use super::ONE;
use crate::world::{Job, guests};

/// A job whose settings are in the file alone, and that file.
fn job_of(text: &str) -> (Job, String) {
    let job = Job::new()
        .unset("SOURCE_API_URL")
        .unset("OUTPUT_DIR")
        .unset("SOURCE_API_KEY");
    let text = text.replace("{out}", &job.output().display().to_string());
    let file = job.file("orders.toml", &text).display().to_string();
    (job, file)
}

const WHOLE: &str = "\
[source]
source_api_url = \"{server}/items\"
source_api_key_env = \"ORDERS_KEY\"
source_records = \"/items\"

[output]
output_dir = \"{out}\"
primary_key = [\"/id\"]
job_name = \"orders\"

[limits]
max_retries = 0
";

#[test]
fn a_job_file_runs_checks_previews_and_has_health() {
    let (job, file) = job_of(WHOLE);
    let key = job.key.clone();
    let job = job.set("ORDERS_KEY", &key);

    let checked = job.tidegate(["check", &file]);
    checked.exits(0).stdout_has("no problem found");
    let line = checked
        .stdout
        .lines()
        .find(|line| line.starts_with("MAX_RETRIES"));
    assert!(
        line.is_some_and(|line| line.ends_with("orders.toml:12")),
        "{line:?}"
    );
    checked.stdout_has("environment ORDERS_KEY, ");

    let job = job.page(200, r#"{"items":[{"id":1}]}"#);
    job.tidegate(["preview", &file])
        .exits(0)
        .stdout_has("{\"id\":1}");
    let mut job = job.args([&file]).page(200, r#"{"items":[{"id":1}]}"#);
    let run = job.run();
    run.exits(Outcome::Published);
    assert_eq!(run.summary()["job"], "orders");
    assert_eq!(
        run.requests[0].header("authorization"),
        Some(format!("Bearer {key}").as_str())
    );
    job.tidegate(["health", &file]).exits(0);
}

#[test]
fn flags_environment_and_env_files_take_precedence_over_a_job_file() {
    let (job, file) = job_of(
        "[limits]\nmax_retries = 1\n[gates]\nmin_records = 1\n[source]\nmax_pages = 1\n[output]\njob_name = 'file'\n",
    );
    let env = job
        .file("job.env", "MIN_RECORDS=2\nMAX_RETRIES=2\nMAX_PAGES=2\n")
        .display()
        .to_string();
    let job = job.set("MAX_PAGES", "3").set("MAX_RETRIES", "3");

    let checked = job.tidegate(["check", &file, "--env-file", &env, "--set", "MAX_RETRIES=4"]);

    let row = |name: &str| {
        let mut lines = checked.stdout.lines();
        let line = lines
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row("MAX_RETRIES"), "4 --set");
    assert_eq!(row("MAX_PAGES"), "3 environment");
    assert!(row("MIN_RECORDS").starts_with("2 ") && row("MIN_RECORDS").ends_with("job.env:1"));
    assert!(row("JOB_NAME").starts_with("file ") && row("JOB_NAME").ends_with("orders.toml:8"));
}

#[test]
fn every_problem_of_a_job_file_is_told_at_once_with_its_line() {
    let (job, file) = job_of(
        "[source]\nsource_record = '/items'\nSource_Cursor = '/id'\nsource_page_size = 'x'\n\
         source_total = true\nmax_retries = 1\nnothing_like_it = 1\noutput_dir_env = 'X'\nsource_api_key_evn = 'X'\n\
         [limits]\nsource_records = '/items'\nmax_retries = 'many'\n",
    );
    let mut job = job.args([&file]);

    let run = job.run();

    run.exits(Outcome::Settings).asked(0);
    for told in [
        "source_record is not a key; did you mean `source_records` in `[source]`?",
        "orders.toml:2)",
        "Source_Cursor is not a key; did you mean `source_cursor` in `[source]`?",
        "orders.toml:3)",
        "SOURCE_PAGE_SIZE",
        "orders.toml:4)",
        "source_total takes a text in quotes, and this is true or false; for example `source_total = \"/total\"`",
        "MAX_RETRIES belongs to the table `[limits]`",
        "nothing_like_it is not a key; `tidegate describe` lists",
        "output_dir_env is not a key: only secrets",
        "did you mean `source_api_key_env` in `[source]`?",
        "source_records belongs to the table `[source]`",
        "orders.toml:11)",
        "MAX_RETRIES takes a number from 0 to 20",
    ] {
        let checked = job.tidegate(["check", &file]);
        checked.exits(78).stdout_has(told);
    }
}

#[test]
fn a_job_file_that_is_missing_or_writable_by_others_is_78() {
    use std::os::unix::fs::PermissionsExt as _;
    let (job, file) = job_of(WHOLE);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();

    job.tidegate(["run", "no-such.toml"])
        .exits(78)
        .stderr_has("the job file `no-such.toml` was not used: No such file");
    job.tidegate(["health", "no-such.toml"])
        .exits(78)
        .stderr_has("no-such.toml");
    job.tidegate(["run", &file])
        .exits(78)
        .stderr_has("mode 0666");
    let env = job.file("job.env", "MAX_RETRIES=3\n").display().to_string();
    job.tidegate(["run", &env])
        .exits(78)
        .stderr_has("is an env file by its name: give it with `--env-file ");
}

#[test]
fn a_secret_is_named_and_never_in_the_file() {
    let (job, file) = job_of(WHOLE);
    let key = job.key.clone();

    job.tidegate(["check", &file]).exits(78).stdout_has(
        "SOURCE_API_KEY is to be in the environment variable `ORDERS_KEY`, which is not set",
    );
    let text = WHOLE.replace(
        "source_api_key_env = \"ORDERS_KEY\"",
        &format!("source_api_key = \"{key}\""),
    );
    let inline = job.file("inline.toml", &text).display().to_string();
    // What the commands print is searched for the key.
    job.tidegate(["check", &inline])
        .exits(78)
        .stdout_has("a job file holds none");
    let named = job.file("key", &key).display().to_string();
    let text = WHOLE.replace(
        "source_api_key_env = \"ORDERS_KEY\"",
        &format!("source_api_key_file = \"{named}\""),
    );
    let text = text.replace("{out}", &job.output().display().to_string());
    let by_file = job.file("by-file.toml", &text).display().to_string();
    let mut job = job.args([&by_file]).page(200, r#"{"items":[]}"#);
    let run = job.run();
    run.exits(Outcome::Published);
    assert_eq!(
        run.requests[0].header("authorization"),
        Some(format!("Bearer {key}").as_str())
    );
}

#[test]
fn a_file_of_a_higher_place_takes_precedence_over_a_variable_and_both_in_one_place_are_one_too_many()
 {
    let (job, file) = job_of("[source]\nsource_api_key_env = 'ORDERS_KEY'\n");
    let key = job.file("key", &job.key).display().to_string();
    let both =
        format!("[source]\nsource_api_key_env = 'ORDERS_KEY'\nsource_api_key_file = '{key}'\n");
    let both = job.file("both.toml", &both).display().to_string();

    job.tidegate(["check", &both])
        .exits(78)
        .stdout_has("remove one of the two");
    let job = job.set("SOURCE_API_KEY_FILE", &key);
    let checked = job.tidegate(["check", &file]);
    checked
        .stdout_has("(secret)")
        .stdout_has(&format!("file {key}"));
}

#[test]
fn a_job_file_names_its_component_and_a_flag_another() {
    let component = guests::misbehaving();
    let setting = "[source]\nsource_misbehaviour = 'trap'\n";
    let text = format!("{setting}[component]\npath = '{}'\n", component.display());
    let (job, file) = job_of(&text);
    let wrong = format!("{text}sha256 = '{}'\n", "0".repeat(64));
    let wrong = job.file("wrong.toml", &wrong).display().to_string();

    let checked = job.tidegate(["check", &file]);
    assert!(
        checked.stdout.contains("SOURCE_MISBEHAVIOUR"),
        "{}",
        checked.stdout
    );
    job.tidegate(["check", &wrong])
        .exits(78)
        .stderr_has("or the job file asks for");
    let other = guests::minimal().display().to_string();
    let checked = job.tidegate(["check", &wrong, "--component", &other]);
    checked
        .exits(78)
        .stdout_has("source_misbehaviour is not a key");
}

#[test]
fn check_online_prints_lines_for_the_job_file() {
    let (job, file) =
        job_of("[source]\nsource_api_url = '{server}/x'\n[output]\noutput_dir = '{out}'\n");
    let job = job.page(200, &format!("{{\"items\":{ONE}}}"));

    let checked = job.tidegate(["check", "--online", &file]);

    checked.stdout_has("source_records = \"/items\"  # in [source]");
}
