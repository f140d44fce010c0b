//! The schema that `describe --schema` prints: it lists what there is, and the examples of the docs fit it.

use serde_json::{Map, Value, json};
use tidegate::outcome::Outcome;

use crate::tidy::text;
use crate::world::Job;

fn schema() -> (String, Value) {
    let printed = Job::new()
        .tidegate(["describe", "--schema"])
        .exits(0)
        .stdout
        .clone();
    let parsed = serde_json::from_str(&printed).expect("JSON");
    (printed, parsed)
}

/// The settings in the blocks of a page, one object for each block.
fn examples(page: &str) -> Vec<Value> {
    let page = text(page);
    let blocks = page.split("```").skip(1).step_by(2);
    let objects = blocks.map(|block| {
        let lines = block.lines().filter_map(|line| line.split_once('='));
        let lines = lines.filter(|(name, _)| {
            let mut bytes = name.bytes();
            bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        });
        let unquoted = |value: &str| json!(value.trim_matches('\''));
        lines
            .map(|(name, value)| (name.to_owned(), unquoted(value)))
            .collect::<Map<_, _>>()
    });
    // A crontab has lines like these, too.
    let is_settings = |name: &String| name.starts_with("SOURCE_") || name.starts_with("OUTPUT_");
    objects
        .filter(|object| object.keys().any(is_settings))
        .map(Value::Object)
        .collect()
}

/// A job whose records are settings, held to their schema.
fn held_to_the_schema(records: &[Value]) -> Job {
    let job = Job::new();
    let file = job.file("settings.json", &schema().0).display().to_string();
    job.set("SOURCE_SCHEMA", &file)
        .page(200, &json!(records).to_string())
}

#[test]
fn the_schema_lists_exactly_what_describe_lists() {
    let described = Job::new().tidegate(["describe"]).exits(0).stdout.clone();
    let names = described.lines().filter_map(|line| {
        let head = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '))?;
        head.split_whitespace().next()
    });
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();

    let (_, schema) = schema();

    let listed: Vec<&String> = schema["properties"]
        .as_object()
        .expect("properties")
        .keys()
        .collect();
    assert!(listed.len() > 60, "{listed:?}");
    assert_eq!(listed, names);
}

#[test]
fn the_settings_of_the_docs_fit_the_schema() {
    let mut records = Vec::new();
    for page in ["recipes", "recipes-by-pattern", "databases", "output"] {
        let found = examples(&format!("docs/{page}.md"));
        assert!(!found.is_empty(), "docs/{page}.md has no settings");
        records.extend(found);
    }
    let filled = text(".env.example");
    let filled = filled
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    let filled = filled.filter(|(name, _)| !name.contains(' '));
    records.push(
        filled
            .map(|(name, value)| (name, value.trim_matches('\'')))
            .collect(),
    );

    let mut job = held_to_the_schema(&records);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!(records));
}

#[test]
fn what_no_setting_takes_does_not_fit_the_schema() {
    for record in [
        json!({"OUTPUT_FORMAT": "xml"}),
        json!({"SOURCE_RECORD": "/items"}),
        json!({"RUN_DEADLINE": "15"}),
        json!({"OUTPUT_DIR_FILE": "/etc/dir"}),
        json!({"MIN_RECORDS": 1}),
    ] {
        let fits = json!({"TRANSFORM_FILE": "orders.jq", "SOURCE_API_KEY_FILE": "key"});
        let mut job = held_to_the_schema(&[fits, record.clone()]);

        job.run().exits(Outcome::GateRefused).stderr_has("1 record");
        println!("{record}");
    }
}
