//! What is joined, refused and remembered.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::cli::GivenArgs;
use crate::limits::Limits;
use crate::process::stop::Stop;
use crate::secret::Redactor;
use crate::settings::shown::shown;
use crate::settings::suggest;

mod granted;

/// A component that declares the settings under test.
fn description() -> Description {
    let declared = [
        "SOURCE_API_URL",
        "SOURCE_CURSOR",
        "SOURCE_PARENT",
        "SOURCE_BODY",
        "SOURCE_SCHEMA",
        "TRANSFORM",
        "PRIMARY_KEY",
    ];
    let settings = declared.map(|name| Setting {
        name: name.to_owned(),
        doc: String::new(),
        required: false,
        secret: false,
        shapes_records: ["SOURCE_CURSOR", "TRANSFORM"].contains(&name),
        stages: Staging {
            changes: name == "SOURCE_CURSOR",
            deletions: false,
            parents: name == "SOURCE_PARENT",
            portions: false,
        },
        default: None,
        example: None,
    });
    Description {
        name: "test".to_owned(),
        version: "1".to_owned(),
        summary: String::new(),
        settings: settings.to_vec(),
        stages: Staging::default(),
    }
}

/// A component whose settings have names that the host never heard of.
fn foreign() -> Description {
    let own = |name: &str, stages| Setting {
        name: name.to_owned(),
        stages,
        shapes_records: true,
        example: Some("yes".to_owned()),
        doc: "What it says.".to_owned(),
        ..description().settings[0].clone()
    };
    Description {
        settings: vec![
            own("REGION", Staging::default()),
            own("SINCE", ALL.changes()),
            own("TOMBSTONES", ALL.deletions()),
            own("FAMILY", ALL.parents()),
        ],
        ..description()
    }
}

/// What a component may stage besides records.
const ALL: Staging = Staging {
    changes: true,
    deletions: true,
    parents: true,
    portions: true,
};

impl Staging {
    fn changes(self) -> Self {
        Self {
            deletions: false,
            parents: false,
            ..self
        }
    }

    fn deletions(self) -> Self {
        Self {
            changes: false,
            parents: false,
            ..self
        }
    }

    fn parents(self) -> Self {
        Self {
            changes: false,
            deletions: false,
            ..self
        }
    }
}

fn without(name: &str) -> Description {
    let mut description = description();
    description.settings.retain(|setting| setting.name != name);
    description
}

/// What was given to a job, and what the host makes of it.
struct Read {
    inputs: Inputs,
    host: HostPlan,
    has_built_in: bool,
}

/// What these flags, this environment and these files give to the built-in component.
fn read(flags: &[&str], environment: &[(&str, &str)], env_files: &[PathBuf]) -> Read {
    let limits = Limits {
        settings_file_bytes: 100,
        ..Limits::default()
    };
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let stop = Stop::unwatched(Duration::from_hours(1));
    let given = GivenArgs {
        set: flags,
        env_file: env_files.to_vec(),
        ..GivenArgs::default()
    };
    let inputs = Inputs::read(&given, environment, &limits, &stop);
    Read {
        host: HostPlan::new(&inputs, limits),
        inputs,
        has_built_in: true,
    }
}

/// The same with a source, from the environment alone.
fn given(environment: &[(&str, &str)]) -> Read {
    let source = [("SOURCE_API_URL", "https://api.example.com/v1?page=1")];
    read(&[], &[&source, environment].concat(), &[])
}

impl Read {
    fn grant<'a>(&'a self, description: &'a Description) -> Grant<'a> {
        Grant {
            description,
            has_built_in: self.has_built_in,
            allowed: &self.host.allow_environment,
        }
    }

    fn plan(&mut self, description: &Description) -> Result<Plan, Unusable> {
        let grant = Grant {
            description,
            has_built_in: self.has_built_in,
            allowed: &self.host.allow_environment,
        };
        Plan::new(&mut self.inputs, &self.host, &grant)
    }
}

fn planned(environment: &[(&str, &str)]) -> Plan {
    given(environment).plan(&description()).unwrap()
}

/// The problems, one a line.
fn refused(description: &Description, environment: &[(&str, &str)]) -> String {
    told(&given(environment).plan(description).unwrap_err())
}

fn told(unusable: &Unusable) -> String {
    let problems: Vec<String> = unusable.problems.iter().map(Problem::to_string).collect();
    problems.join("\n")
}

fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn handed_on<'s>(plan: &'s Plan, name: &str) -> Option<&'s str> {
    let mut given = plan.environment.iter();
    given
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn a_text_in_a_file_is_handed_on_and_remembered_as_the_text() {
    let (_folder, path) = file(".a\n| .b\n");

    for (name, file_name) in [
        ("TRANSFORM", "TRANSFORM_FILE"),
        ("SOURCE_BODY", "SOURCE_BODY_FILE"),
        ("SOURCE_SCHEMA", "SOURCE_SCHEMA"),
    ] {
        let settings = planned(&[(file_name, &path)]);

        assert_eq!(handed_on(&settings, name), Some(".a\n| .b"), "{name}");
    }
    let (by_file, by_value) = (
        planned(&[("TRANSFORM_FILE", &path)]),
        planned(&[("TRANSFORM", ".a\n| .b")]),
    );
    assert_eq!(by_file.fingerprint, by_value.fingerprint);
    assert_ne!(by_file.fingerprint, planned(&[]).fingerprint);
    assert_eq!(handed_on(&by_file, "TRANSFORM_FILE"), None);
}

#[test]
fn check_shows_the_file_of_a_text_and_its_beginning() {
    let (_folder, path) = file(".items[]\n  | select(.status != \"cancelled\" and .total > 0)\n");

    let mut read = given(&[("TRANSFORM_FILE", &path)]);
    read.plan(&description()).unwrap();
    let rows = shown(&description(), &read.inputs, &read.host);

    let row = rows.iter().find(|row| row.name == "TRANSFORM").unwrap();
    assert_eq!(row.value, ".items[] | select(.status != \"cancelled…");
    assert_eq!(row.origin.to_string(), format!("file {path}"));
}

#[test]
fn a_value_and_a_file_of_the_same_text_are_refused() {
    let (_folder, path) = file(".");

    let text = refused(
        &description(),
        &[("SOURCE_BODY", "{}"), ("SOURCE_BODY_FILE", &path)],
    );

    assert_eq!(
        text,
        "SOURCE_BODY is given (environment), and so is SOURCE_BODY_FILE: unset one of the two (environment)"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let (_a, long) = file("x".repeat(101));
    let (_b, no_text) = file(b"\xff\xfe");
    let (_c, empty) = file(" \n");
    let (_d, nul) = file("a\0b");
    let mut required = description();
    required
        .settings
        .iter_mut()
        .for_each(|setting| setting.required = setting.name == "TRANSFORM");

    for (path, what) in [
        ("no/such/file", "cannot read it: No such file"),
        ("/", "it is a folder"),
        (&long, "larger than 100 bytes"),
        (&no_text, "UTF-8"),
        (&empty, "it is empty"),
        (&nul, "NUL"),
    ] {
        let text = refused(&required, &[("TRANSFORM_FILE", path)]);
        let named = format!("TRANSFORM names the file `{path}` (TRANSFORM_FILE): ");
        assert!(text.starts_with(&named) && text.contains(what), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let schema = refused(&description(), &[("SOURCE_SCHEMA", path)]);
        assert!(
            schema.starts_with("SOURCE_SCHEMA names the file") && schema.contains(what),
            "{schema}"
        );
    }
}

#[test]
fn a_schema_may_be_the_value_itself() {
    let settings = planned(&[("SOURCE_SCHEMA", r#"{"type":"object"}"#)]);

    assert_eq!(
        handed_on(&settings, "SOURCE_SCHEMA"),
        Some(r#"{"type":"object"}"#)
    );
}

#[test]
fn a_text_that_is_not_declared_is_neither_read_nor_handed_on() {
    let mut read = given(&[("TRANSFORM_FILE", "no/such/file"), ("TRANSFORM", ".")]);

    let settings = read.plan(&without("TRANSFORM")).unwrap();

    assert_eq!(handed_on(&settings, "TRANSFORM"), None);
}

#[test]
fn the_file_of_a_text_is_a_known_name_where_the_text_is_declared() {
    let known = suggest::known_names(&description());

    assert!(known.contains("TRANSFORM_FILE") && known.contains("SOURCE_BODY_FILE"));
    assert!(!known.contains("SOURCE_SCHEMA_FILE"));
    assert!(!suggest::known_names(&without("TRANSFORM")).contains("TRANSFORM_FILE"));
}

const REPLACING: [(&str, &str); 4] = [
    ("SOURCE_CURSOR", "/updated"),
    ("PRIMARY_KEY", "/id"),
    ("REPLACE_BY", "/order"),
    ("SOURCE_PARENT", "/id"),
];

fn replacing_without(name: &str) -> Vec<(&'static str, &'static str)> {
    let all = REPLACING.into_iter();
    all.filter(|(known, _)| *known != name).collect()
}

#[test]
fn replace_by_shapes_the_data_and_needs_upsert_a_key_and_source_parent() {
    let with = planned(&REPLACING);
    let neither = replacing_without("REPLACE_BY");
    let without_both = planned(&neither[..2]);

    assert_eq!(with.mode, WriteMode::Upsert);
    assert_ne!(
        with.fingerprint["REPLACE_BY"],
        without_both.fingerprint["REPLACE_BY"]
    );
    let by = |environment: &[(&str, &str)]| refused(&description(), environment);
    let no_cursor = by(&replacing_without("SOURCE_CURSOR"));
    assert!(
        no_cursor.starts_with("REPLACE_BY replaces some"),
        "{no_cursor}"
    );
    let no_key = by(&replacing_without("PRIMARY_KEY"));
    assert!(no_key.contains("set PRIMARY_KEY"), "{no_key}");
    let no_parent = by(&replacing_without("SOURCE_PARENT"));
    assert!(
        no_parent.starts_with("REPLACE_BY needs SOURCE_PARENT"),
        "{no_parent}"
    );
    assert!(
        by(&neither).starts_with("SOURCE_PARENT says which"),
        "{}",
        by(&neither)
    );
    let undeclared = refused(&without("SOURCE_PARENT"), &REPLACING);
    assert!(
        undeclared.starts_with("REPLACE_BY needs a component that stages which parents"),
        "{undeclared}"
    );
}

#[test]
fn the_write_mode_follows_from_what_the_component_stages_whatever_its_settings_are_called() {
    let mode = |environment: &[(&str, &str)]| given(environment).plan(&foreign()).unwrap().mode;
    let refused = |environment: &[(&str, &str)]| refused(&foreign(), environment);
    let (since, key) = (("SINCE", "2026"), ("PRIMARY_KEY", "/id"));

    assert_eq!(mode(&[]), WriteMode::Replace);
    assert_eq!(mode(&[key]), WriteMode::Replace);
    assert_eq!(mode(&[since, key]), WriteMode::Upsert);
    let no_key = refused(&[since]);
    assert!(
        no_key.starts_with("WRITE_MODE has no default here: with SINCE,"),
        "{no_key}"
    );
    let replace = refused(&[since, ("WRITE_MODE", "replace")]);
    assert!(replace.contains("SINCE fetches only changes"), "{replace}");
}

#[test]
fn what_a_component_always_stages_is_no_setting_to_unset() {
    let always = |stages| Description {
        stages,
        ..description()
    };
    let append = [("WRITE_MODE", "append"), ("OUTPUT_FORMAT", "ndjson")];

    let no_key = refused(&always(ALL.changes()), &[]);
    assert!(no_key.contains("with this component"), "{no_key}");
    let replace = refused(&always(ALL.changes()), &[("WRITE_MODE", "replace")]);
    assert!(
        replace.contains("this component fetches only changes"),
        "{replace}"
    );
    let append = refused(&always(ALL.deletions()), &append);
    assert!(
        append.starts_with("WRITE_MODE `append` only adds"),
        "{append}"
    );
    let parents = refused(&always(ALL.parents()), &[]);
    assert!(parents.starts_with("REPLACE_BY is required"), "{parents}");
}

#[test]
fn deletions_and_parents_are_refused_by_the_name_of_the_setting_that_has_them_staged() {
    let refused = |environment: &[(&str, &str)]| refused(&foreign(), environment);

    let append = refused(&[
        ("TOMBSTONES", "yes"),
        ("WRITE_MODE", "append"),
        ("OUTPUT_FORMAT", "ndjson"),
    ]);
    assert!(
        append.starts_with("TOMBSTONES says which records to take away"),
        "{append}"
    );
    let parents = refused(&[("FAMILY", "yes")]);
    assert!(
        parents.starts_with("FAMILY says which records were fetched anew"),
        "{parents}"
    );
    let no_parent = refused(&[
        ("SINCE", "2026"),
        ("PRIMARY_KEY", "/id"),
        ("REPLACE_BY", "/order"),
    ]);
    assert_eq!(
        no_parent,
        "REPLACE_BY needs FAMILY (What it says), for example `FAMILY=yes` (environment)"
    );
}

#[test]
fn what_a_component_says_decides_what_the_records_are_is_remembered_but_no_secret() {
    let mut foreign = foreign();
    foreign.settings.push(Setting {
        name: "SOURCE_API_KEY".to_owned(),
        ..foreign.settings[0].clone()
    });
    let fingerprint = |region: &str| {
        let mut read = given(&[("SOURCE_API_KEY", "sk-1"), ("REGION", region)]);
        read.plan(&foreign).unwrap().fingerprint
    };

    let (with, changed) = (fingerprint("north"), fingerprint("south"));

    assert_ne!(with["REGION"], changed["REGION"]);
    assert_eq!(with["SINCE"], crate::hash::sha256(b""));
    assert!(!with.contains_key("SOURCE_API_KEY"));
    assert!(!with.contains_key("TRANSFORM"));
}

#[test]
fn replace_by_is_one_pointer() {
    for wrong in ["order", "/order,/id", ","] {
        let mut given = REPLACING;
        given[2].1 = wrong;
        let text = refused(&description(), &given);
        assert!(
            text.starts_with("REPLACE_BY takes one JSON Pointer"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn a_component_that_declares_the_database_is_given_nothing_of_it() {
    let mut description = description();
    for name in ["OUTPUT_DATABASE_URL", "OUTPUT_DATABASE_PASSWORD"] {
        description.settings.push(Setting {
            name: name.to_owned(),
            ..description.settings[1].clone()
        });
    }
    let source = [("SOURCE_API_URL", "https://api.example.com/v1")];
    let mut read = read(&["OUTPUT_DATABASE_URL=sqlite:///srv/data.db"], &source, &[]);

    let settings = read.plan(&description).unwrap();

    let names: Vec<&str> = settings
        .environment
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["SOURCE_API_URL"]);
}

#[test]
fn a_password_is_hidden_however_it_is_written_and_a_path_is_not() {
    let hidden = |url: &str, text: &str| {
        let read = given(&[("OUTPUT_DATABASE_URL", url)]);
        Redactor::new(read.host.secrets(&read.inputs)).hide(text)
    };
    let url = "postgres://etl:p%40ss%2fword@db/shop";

    for form in [url, "p%40ss%2fword", "p%40ss%2Fword", "p@ss/word"] {
        assert_eq!(hidden(url, &format!("<{form}>")), "<REDACTED>", "{form}");
    }
    assert_eq!(hidden("mysql://u:p4ssw0rd@h", "p4ssw0rd"), "REDACTED");
    let path = "open `sqlite:///srv/data.db`";
    assert_eq!(hidden("sqlite:///srv/data.db", path), path);
}
