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
    for page in [
        "recipes",
        "recipes-by-pattern",
        "recipes-by-shape",
        "databases",
        "output",
    ] {
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

/// What TOML says, as JSON.
fn json_of(item: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    match item {
        Toml::String(text) => json!(text.value()),
        Toml::Integer(number) => json!(number.value()),
        Toml::Float(number) => json!(number.value()),
        Toml::Boolean(is_so) => json!(is_so.value()),
        Toml::Datetime(time) => json!({ "date": time.to_string() }),
        Toml::Array(items) => items.iter().map(json_of).collect(),
        Toml::InlineTable(table) => table
            .iter()
            .map(|(key, value)| (key, json_of(value)))
            .collect(),
    }
}

fn job_file(text: &str) -> Value {
    let document: toml_edit::DocumentMut = text.parse().expect("TOML");
    let table = document.as_table().clone().into_inline_table();
    json_of(&toml_edit::Value::InlineTable(table))
}

#[test]
fn the_schema_of_job_files_is_the_committed_one() {
    let printed = Job::new()
        .tidegate(["describe", "--job-schema"])
        .exits(0)
        .stdout
        .clone();

    let committed = text("docs/job.schema.json");

    // `tidegate describe --job-schema > docs/job.schema.json`
    assert!(
        printed == committed,
        "docs/job.schema.json is not what `describe --job-schema` prints"
    );
}

#[test]
fn job_files_fit_their_schema_and_what_is_refused_does_not() {
    let fits = [
        "",
        "[component]\npath = 'a.wasm'\nsha256 = '0000000000000000000000000000000000000000000000000000000000000000'\n",
        "[source]\nsource_rate = 0.5\nsource_page_size = 100\nsource_headers = ['A: b']\nsource_api_key_env = 'KEY'\ntransform_file = 'a.jq'\n\
         [output]\nprimary_key = ['/id']\noutput_csv_bom = true\noutput_mode = '0640'\n[limits]\nmax_retries = 3\nretry_pause = '2s'\n",
        "[source]\nsource_records = '/items'\n[resources.orders]\nsource_api_url = 'https://a.example/orders'\nprimary_key = ['/id']\n\
         [resources.a-b_1]\nsource_api_key_env = 'KEY'\ntransform_file = 'a.jq'\n",
    ];
    let does_not = [
        "[sources]\n",
        "[limits]\nmax_retries = true\n",
        "[limits]\nrun_deadline = '15'\n",
        "[source]\nsource_api_key = 'secret'\n",
        "[source]\nsource_record = '/items'\n",
        "[output]\nmax_retries = 3\n",
        "[output]\noutput_format = 'xml'\n",
        "job_name = 'orders'\n",
        "[resources]\n",
        "[resources.Orders]\n",
        "[resources.orders]\nsource_record = '/items'\n",
        "[resources.orders.source]\nsource_records = '/items'\n",
        "[resources.orders]\nmax_retries = true\n",
        "[resources.orders.component]\npath = 'a.wasm'\n",
    ];
    let records: Vec<Value> = fits
        .iter()
        .chain(&does_not)
        .map(|file| job_file(file))
        .collect();
    let schema = Job::new();
    let committed = schema
        .file("job.schema.json", &text("docs/job.schema.json"))
        .display()
        .to_string();
    let mut job = schema
        .set("SOURCE_SCHEMA", &committed)
        .set("MAX_REJECTED", &does_not.len().to_string())
        .page(200, &json!(records).to_string());

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(run.summary()["rejected"], does_not.len());
    assert_eq!(run.summary()["records"], fits.len());
}
