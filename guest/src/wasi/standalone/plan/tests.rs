use super::*;

const URL: (&str, &str) = ("SOURCE_API_URL", "https://api.example.com/v1/orders?a=b");

fn read(env: &[(&str, &str)]) -> Result<Plan, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let folders = ["/out", "/secrets/"];
    Plan::read(
        env.iter().map(owned).collect(),
        &folders,
        |path| match path {
            "/secrets/key" => Ok("open-sesame\n".to_owned()),
            "program.jq" => Ok(".id".to_owned()),
            "schema.json" => Ok("{\"type\":\"object\"}".to_owned()),
            "empty" => Ok("\n".to_owned()),
            _ => Err("no entry".to_owned()),
        },
    )
    .map_err(|stop| stop.line())
}

fn value(plan: &Plan, name: &str) -> String {
    get(&plan.env, name).unwrap_or_default().to_owned()
}

#[test]
fn files_say_what_a_setting_is() {
    let plan = read(&[
        URL,
        ("SOURCE_API_KEY_FILE", "/secrets/key"),
        ("TRANSFORM_FILE", "program.jq"),
        ("SOURCE_SCHEMA", "schema.json"),
    ]);

    let plan = plan.unwrap();
    assert_eq!(plan.credential.secrets(), ["open-sesame"]);
    assert_eq!(value(&plan, "TRANSFORM"), ".id");
    assert_eq!(value(&plan, "SOURCE_SCHEMA"), "{\"type\":\"object\"}");
}

#[test]
fn a_file_that_cannot_be_used_is_a_problem_and_never_as_if_not_given() {
    for (name, path, why) in [
        (
            "SOURCE_API_KEY_FILE",
            "/etc/key",
            "SOURCE_API_KEY: names the file `/etc/key`: no entry",
        ),
        (
            "TRANSFORM_FILE",
            "empty",
            "TRANSFORM: names the file `empty`: it is empty",
        ),
        (
            "SOURCE_SCHEMA",
            "none",
            "SOURCE_SCHEMA: names the file `none`: no entry",
        ),
    ] {
        let refused = read(&[URL, (name, path)]).unwrap_err();

        assert_eq!(refused, format!("exit 78: {why}"));
    }
    let both = [URL, ("TRANSFORM", "."), ("TRANSFORM_FILE", "program.jq")];
    let refused = read(&both).unwrap_err();
    assert!(
        refused.contains("TRANSFORM: is given, and so is TRANSFORM_FILE"),
        "{refused}"
    );
}

#[test]
fn every_setting_that_would_do_nothing_is_named_at_once() {
    let refused = read(&[
        ("SOURCE_API_URL", "ftp://x"),
        ("MAX_PAGES", "none"),
        ("MIN_RECORDS", "many"),
        ("OUTPUT_DATABASE_URL", "sqlite:///data.db"),
        ("OUTPUT_FORMAT", "csv"),
        ("OUTPUT_DIR", "/data/sync"),
        ("SOURCE_TOKEN_URL", "https://login.example.com"),
        ("SOURCE_AUTH", "oauth2"),
        ("SOURCE_RECORD", "/items"),
        ("SOURCE_ANYTHING_FILE", "x"),
        ("CA_FILE", "/etc/ssl/ca.pem"),
        ("OUTBOUND_PROXY", "http://proxy:3128"),
        ("SOURCE_COOKIES", "yes"),
        ("WRITE_MODE", "merge"),
        ("RUN_DEADLINE", "soon"),
        ("ALLOW_HOSTS", "https://x/y"),
        ("SOURCE_PARENT", "/id"),
        ("PATH", "/bin"),
        ("SOURCE", "x"),
    ])
    .unwrap_err();

    assert!(refused.starts_with("exit 78: "), "{refused}");
    for problem in [
        "SOURCE_API_URL: is a `ftp` URL",
        "MAX_PAGES: ",
        "MIN_RECORDS: `many` is not a whole number",
        "OUTPUT_DATABASE_URL: is not a setting of the component alone",
        "OUTPUT_FORMAT: `csv` needs `tidegate run`",
        "OUTPUT_DIR: `/data/sync` is not a folder that the runtime gave (its first is `/out`)",
        "SOURCE_TOKEN_URL: is not a setting of the component alone",
        "SOURCE_AUTH: `oauth2` needs `tidegate run`",
        "SOURCE_RECORD: is not a setting; did you mean `SOURCE_RECORDS`?",
        "SOURCE_ANYTHING_FILE: is not a setting of the component alone",
        "CA_FILE: has no effect here",
        "OUTBOUND_PROXY: has no effect here",
        "SOURCE_COOKIES: is not a setting of the component alone",
        "WRITE_MODE: `merge` is not",
        "RUN_DEADLINE: `soon` is not a duration",
        "ALLOW_HOSTS: has an entry that is not",
        "SOURCE_PARENT: has no effect here",
    ] {
        assert!(refused.contains(problem), "{problem} in {refused}");
    }
    for name in ["PATH:", "SOURCE:"] {
        assert!(!refused.contains(name), "{name} in {refused}");
    }
}

#[test]
fn what_it_does_anyway_may_be_said() {
    let plan = read(&[
        URL,
        ("OUTPUT_FORMAT", "ndjson"),
        ("OUTPUT_DIR", "/secrets"),
        ("WRITE_MODE", "replace"),
        ("OUTPUT_DATABASE_URL", ""),
        ("ALLOW_HOSTS", "files.example.com, http://x.example:8080"),
        ("RUN_DEADLINE", "2m"),
    ]);

    let plan = plan.unwrap();
    assert_eq!(plan.folder(&["/out", "/secrets/"]), 1);
    assert_eq!(plan.deadline_seconds, 120);
    let allowed: Vec<String> = plan
        .allowed
        .iter()
        .map(Origin::ascii_serialization)
        .collect();
    assert_eq!(
        allowed,
        ["https://files.example.com", "http://x.example:8080"]
    );
    assert_eq!(plan.source.ascii_serialization(), "https://api.example.com");
}

#[test]
fn one_problem_of_a_setting_is_enough() {
    let refused = read(&[("WRITE_MODE", "append")]).unwrap_err();

    assert_eq!(refused.matches("SOURCE_API_URL").count(), 1, "{refused}");
    assert!(refused.contains("SOURCE_CURSOR: is not set"), "{refused}");
}
