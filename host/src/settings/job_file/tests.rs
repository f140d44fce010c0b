//! What a job file says, and what is wrong with one.

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> (JobFile, Vec<String>) {
    let mut problems = Vec::new();
    let file = read(Path::new("orders.toml"), text, None, &mut problems);
    (file, problems.iter().map(Problem::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    parsed(text).1
}

/// The only problem.
fn problem(text: &str) -> String {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

fn values(text: &str) -> Vec<(String, String)> {
    let (file, problems) = parsed(text);
    assert_eq!(problems, [""; 0]);
    let values = file.values.iter();
    values
        .map(|(name, given)| (name.clone(), given.value.to_string()))
        .collect()
}

const SHOP: &str = "[source]\nsource_api_url = 'https://a.example'\nsource_api_key_file = 'shared'\n\
     [resources.orders]\nsource_api_url_x = '1'\nsource_api_key_env = 'KEY'\nmin_records = 1\n\
     [resources.people]\nsource_api_url = 'https://b.example'\nmin_record = 1\n";

fn resource(name: Option<&str>) -> (JobFile, Vec<String>) {
    let mut problems = Vec::new();
    let file = read(Path::new("shop.toml"), SHOP, name, &mut problems);
    (file, problems.iter().map(Problem::to_string).collect())
}

#[test]
fn a_file_is_read_for_one_resource_whose_keys_take_the_place_of_the_shared_ones() {
    let (orders, _) = resource(Some("orders"));
    let (people, _) = resource(Some("people"));
    let (none, problems) = resource(None);

    let url = |file: &JobFile| file.values["SOURCE_API_URL"].value.to_string();
    let urls = [&orders, &people, &none].map(url);
    assert_eq!(
        urls,
        [
            "https://a.example",
            "https://b.example",
            "https://a.example"
        ]
    );
    // In every form that it has.
    assert!(!orders.values.contains_key("SOURCE_API_KEY_FILE"));
    assert_eq!(orders.variables["SOURCE_API_KEY"].name, "KEY");
    assert!(people.values.contains_key("SOURCE_API_KEY_FILE"));
    assert_eq!(orders.values["MIN_RECORDS"].value.as_str(), "1");
    let unknown = |file: &JobFile| {
        file.keys
            .iter()
            .map(|key| key.key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(unknown(&orders), ["source_api_url_x"]);
    assert_eq!(unknown(&people), ["min_record"]);
    assert_eq!((unknown(&none), problems), (Vec::new(), Vec::new()));
    assert_eq!(none.resources, ["orders", "people"]);
    assert_eq!(resources::names(SHOP), ["orders", "people"]);
}

#[test]
fn resources_are_tables_with_names_and_keys() {
    assert!(problem("[resources]\n").contains("has no resource in `resources`"));
    assert!(problem("resources = 1\n").contains("has no resource in `resources`"));
    assert!(problem("[resources]\norders = 1\n").contains("write `[resources.orders]`"));
    assert!(problem("[resources.Orders]\n").contains("cannot be its name"));
    assert!(problem("[resource.orders]\n").contains("did you mean `[resources]`?"));
}

#[test]
fn values_keep_their_types_and_mean_the_setting_s_text() {
    let given = values(
        "[output]\noutput_dir = '/srv/o'\nprimary_key = ['/a', '/b']\noutput_csv_bom = true\n\
         output_columns = ['id bigint /id', 'x text /x']\nkeep_generations = 1_0\n\
         [gates]\nmax_rejected = '1%'\nmin_records = 0x10\n[limits]\nrun_deadline = '15m'\n",
    );

    let given: Vec<(&str, &str)> = given
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        given,
        [
            ("KEEP_GENERATIONS", "10"),
            ("MAX_REJECTED", "1%"),
            ("MIN_RECORDS", "16"),
            ("OUTPUT_COLUMNS", "id bigint /id\nx text /x"),
            ("OUTPUT_CSV_BOM", "yes"),
            ("OUTPUT_DIR", "/srv/o"),
            ("PRIMARY_KEY", "/a,/b"),
            ("RUN_DEADLINE", "15m"),
        ]
    );
}

#[test]
fn an_empty_value_is_none() {
    assert_eq!(values("[output]\njob_name = ''\nprimary_key = []\n"), []);
}

#[test]
fn a_wrong_type_is_named_with_its_line_and_what_to_write() {
    assert_eq!(
        problem("[limits]\n\nmax_retries = true\n"),
        "MAX_RETRIES takes a text in quotes or a whole number, and this is true or false; for example `max_retries = 5` (orders.toml:3)"
    );
    assert_eq!(
        problem("[output]\noutput_dir = 5\n"),
        "OUTPUT_DIR takes a text in quotes, and this is a whole number; for example `output_dir = \"/srv/sync/orders\"` (orders.toml:2)"
    );
    for (line, what) in [
        ("job_name = 2026-01-01", "a date"),
        ("primary_key = [1]", "a list with more than texts in it"),
        ("primary_key = {a = 1}", "a table"),
        ("output_mode = 0o640", "a whole number"),
        ("output_format = ['json']", "a list"),
        ("keep_generations = 2.5", "a number with a fraction"),
    ] {
        let told = problem(&format!("[output]\n{line}\n"));
        assert!(told.contains(&format!("and this is {what}")), "{told}");
        assert!(told.ends_with("(orders.toml:2)"), "{told}");
    }
}

#[test]
fn an_entry_of_a_list_is_one() {
    let told = problem("[network]\nallow_hosts = ['a.example,b.example']\n");

    assert!(told.contains("a comma in it: one entry each"), "{told}");
}

#[test]
fn a_key_in_the_wrong_table_or_in_none_is_told_where_it_belongs() {
    assert_eq!(
        problem("[output]\nmax_retries = 3\n"),
        "MAX_RETRIES belongs to the table `[limits]` of a job file: move it there (orders.toml:2)"
    );
    assert_eq!(
        problem("job_name = 'a'\n"),
        "JOB_NAME belongs to the table `[output]` of a job file: move it there (orders.toml:1)"
    );
}

#[test]
fn an_unknown_table_is_told_the_nearest() {
    assert_eq!(
        problem("\n[limit]\nmax_retries = 3\n"),
        "the job file has no table `[limit]`; did you mean `[limits]`? (orders.toml:2)"
    );
    assert!(problem("[colours]\n").contains("but `[alerts]`, `[auth]`"));
    assert!(problem("limits = 3\n").contains("write `[limits]`"));
    assert!(problem("[[limits]]\n").contains("write `[limits]`"));
}

#[test]
fn a_key_that_is_there_twice_is_told_both_lines() {
    assert_eq!(
        problem("[limits]\nmax_retries = 3\n# again\nmax_retries = 4\n"),
        "max_retries is set twice in this file (first on line 2) (orders.toml:4)"
    );
    assert_eq!(
        problem("[limits]\nmax_retries = 3\n[output]\n[limits]\n"),
        "limits is set twice in this file (first on line 1) (orders.toml:4)"
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let told = problem("[source]\nsource_records = /items\n");

    assert!(told.starts_with("the job file is not TOML: "), "{told}");
    assert!(told.ends_with("(orders.toml:2)"), "{told}");
    assert!(told.contains("in quotes"), "{told}");
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    for (table, line) in [
        ("source", "source_api_key = 'hunter2hunter2'"),
        ("auth", "source_client_secret = 'hunter2hunter2'"),
        ("output", "output_database_password = 'hunter2hunter2'"),
        (
            "output",
            "output_database_url = 'postgres://a:hunter2hunter2@db/x'",
        ),
        ("source", "source_api_key_env = 'hunter2-hunter2'"),
        ("source", "source_api_key = hunter2hunter2"),
    ] {
        let (file, told) = parsed(&format!("[{table}]\n{line}\n"));

        assert_eq!(told.len(), 1, "{told:?}");
        assert!(!told[0].contains("hunter2"), "{told:?}");
        assert!(told[0].ends_with("(orders.toml:2)"), "{told:?}");
        assert!(file.values.is_empty() && file.variables.is_empty());
    }
}

#[test]
fn a_database_without_a_password_may_be_named() {
    let given = values("[output]\noutput_database_url = 'postgres://etl@db.example.com/shop'\n");

    assert_eq!(given.len(), 1);
}

#[test]
fn the_component_has_a_path_and_a_digest() {
    let digest = "0".repeat(64);
    let (file, told) = parsed(&format!(
        "[component]\npath = 'a.wasm'\nsha256 = '{digest}'\n"
    ));
    let wrong = problems("[component]\npath = 1\nsha256 = 'abc'\npat = 'x'\n");

    assert_eq!(told, [""; 0]);
    assert_eq!(file.component.path, Some(PathBuf::from("a.wasm")));
    assert_eq!(file.component.sha256, Some(digest));
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(
        wrong[2].contains("did you mean `path`?") && wrong[2].ends_with(":4)"),
        "{wrong:?}"
    );
}

fn takes() -> impl Strategy<Value = Takes> {
    let separator = prop_oneof![
        Just(None),
        Just(Some(',')),
        Just(Some('\n')),
        Just(Some(' '))
    ];
    (any::<bool>(), any::<bool>(), any::<bool>(), separator).prop_map(
        |(integer, fraction, boolean, separator)| Takes {
            integer,
            fraction,
            boolean,
            separator,
        },
    )
}

proptest! {
    #[test]
    fn a_written_line_is_read_as_what_was_written(
        takes in takes(),
        text in prop_oneof!["[ #'\"=a,\u{a0}\t\n\r\\\\\u{1b}\u{7f}]{0,12}", "-?[0-9]{1,20}", "[0-9]{1,3}\\.[0-9]{1,3}", "yes|no|true|1e5|nan|inf|0x10"],
    ) {
        let written = format!("[t]\n{}\n", takes.line("A", &text));
        let document = Document::parse(written.as_str()).expect("it is TOML");
        let item = document["t"].get("a").expect("the key");

        prop_assert_eq!(takes.read("A", "", item), Ok(text));
    }
}
