//! What becomes of a description that is too long, steers a terminal, or speaks of what is the host's.

use proptest::prelude::*;

use super::*;
use crate::commands::describe;
use crate::settings::env_file::parse_line;

fn limits() -> Limits {
    Limits {
        words_bytes: 60,
        words_listed: 3,
        state_bytes: 8,
        description_bytes: 2_000,
        ..Limits::default()
    }
}

fn declared(name: &str) -> raw::Setting {
    raw::Setting {
        name: name.to_owned(),
        doc: "What it means".to_owned(),
        required: false,
        secret: false,
        shapes_records: false,
        stages: raw::Staging::empty(),
        default: None,
        example: None,
    }
}

fn described(settings: Vec<raw::Setting>) -> raw::Description {
    raw::Description {
        name: "shop".to_owned(),
        version: "1".to_owned(),
        summary: "Fetches a shop".to_owned(),
        settings,
        stages: raw::Staging::empty(),
    }
}

fn refused(description: raw::Description) -> String {
    let failure = super::description(description, &limits()).unwrap_err();
    assert_eq!(failure.outcome, Outcome::Settings);
    failure.message
}

#[test]
fn what_makes_a_run_smaller_is_named_as_the_component_declares_it() {
    let portions = raw::Setting {
        stages: raw::Staging::PORTIONS,
        ..declared("MONTHS")
    };

    let with = description(described(vec![declared("SHOP"), portions]), &limits()).unwrap();
    let without = description(described(vec![declared("SHOP")]), &limits()).unwrap();

    assert_eq!(with.fetch_less(), "fetch less in one run (MONTHS)");
    assert_eq!(without.fetch_less(), "fetch less in one run");
}

#[test]
fn a_description_says_one_line_each_and_nothing_that_steers() {
    let description = raw::Description {
        summary: "Fetches\nALLOW_PRIVATE_NETWORKS=yes \u{1b}[2J".to_owned(),
        ..described(vec![raw::Setting {
            doc: "One\nALLOW_HOSTS=evil.example\n\u{202e}two".to_owned(),
            ..declared("SOURCE_SHOP")
        }])
    };

    let taken = super::description(description, &limits()).unwrap();

    assert_eq!(
        taken.summary,
        "Fetches ALLOW_PRIVATE_NETWORKS=yes \\u001b[2J"
    );
    assert_eq!(
        taken.settings[0].doc,
        "One ALLOW_HOSTS=evil.example \\u202etwo"
    );
}

#[test]
fn a_description_that_cannot_be_used_is_refused_with_all_that_is_wrong() {
    let long = "x".repeat(61);
    let one = |change: &dyn Fn(&mut raw::Setting)| {
        let mut setting = declared("SOURCE_SHOP");
        change(&mut setting);
        refused(described(vec![setting]))
    };

    assert!(
        one(&|setting| setting.doc.clone_from(&long))
            .contains("`SOURCE_SHOP` with a meaning of 61 bytes, and 60")
    );
    assert!(
        one(&|setting| setting.default = Some("a\nB=1".to_owned()))
            .contains("with a default that has control")
    );
    assert!(
        one(&|setting| setting.example = Some("\u{202e}".to_owned()))
            .contains("with an example that has control")
    );
    assert!(
        one(&|setting| setting.example = Some(long.clone()))
            .contains("with an example of 61 bytes")
    );
    assert!(
        one(&|setting| setting.name = "A=1\nB".to_owned()).contains("unusable name `A=1\\u000aB`")
    );
    assert!(one(&|setting| setting.name = "1A".to_owned()).contains("unusable name"));
    assert!(
        refused(described(vec![declared("SOURCE_A"), declared("SOURCE_A")]))
            .contains("`SOURCE_A` twice")
    );
    assert!(refused(described(vec![declared("SOURCE_A"); 201])).contains("more than 200 settings"));
    assert!(
        refused(described(
            (0..100)
                .map(|number| declared(&format!("SOURCE_{number:04}")))
                .collect()
        ))
        .contains("describes itself in")
    );
    let names = raw::Description {
        name: long.clone(),
        version: long.clone(),
        summary: long,
        ..described(Vec::new())
    };
    assert_eq!(refused(names).matches("of 61 bytes").count(), 3);
}

#[test]
fn many_problems_with_a_description_are_told_of_shortly() {
    let many = (0..20).map(|number| declared(&format!("no name {number}")));

    let text = refused(described(many.collect()));

    assert_eq!(text.matches("unusable name").count(), 3);
    assert!(text.ends_with("and 17 more problems with it"), "{text}");
}

#[test]
fn a_name_of_the_hosts_means_what_it_means_to_the_host() {
    let hostile = |name: &str| raw::Setting {
        doc: "Say yes".to_owned(),
        required: true,
        secret: true,
        default: Some("yes".to_owned()),
        example: Some("yes".to_owned()),
        ..declared(name)
    };
    let names = [
        "ALLOW_PRIVATE_NETWORKS",
        "PRIMARY_KEY",
        "OUTPUT_DATABASE_URL_FILE",
    ];

    let taken = description(described(names.map(hostile).to_vec()), &limits()).unwrap();

    let [networks, key, file] = &taken.settings[..] else {
        panic!("{taken:?}")
    };
    assert!(
        networks.doc.starts_with("Whether granted host names"),
        "{}",
        networks.doc
    );
    assert_eq!(networks.default.as_deref(), Some("no"));
    assert!(!networks.required && !networks.secret);
    assert!(key.required && !key.secret);
    assert_eq!(key.example.as_deref(), Some("/id"));
    assert_eq!(
        (file.required, &file.default, &file.example),
        (false, &None, &None)
    );
    assert!(!is_settable(networks) && is_settable(key) && !is_settable(file));
}

/// A text with what is read otherwise in an env file, in a table, or by a terminal.
fn texts() -> impl Strategy<Value = String> {
    "[a #'\"=`|<>\\[\\]\\\\\u{a0}\n\u{1b}\u{202e}\u{feff}]{0,12}"
}

fn settings() -> impl Strategy<Value = raw::Setting> {
    let names = prop::sample::select(vec![
        "SOURCE_A",
        "SOURCE_B",
        "SOURCE_API_KEY",
        "SOURCE_API_KEY_FILE",
        "OWN_NAME",
        "LD_PRELOAD",
        "ALLOW_PRIVATE_NETWORKS",
        "OUTPUT_DIR",
        "PRIMARY_KEY",
        "TRANSFORM",
    ]);
    (
        names,
        texts(),
        any::<(bool, bool)>(),
        prop::option::of(texts()),
        prop::option::of(texts()),
    )
        .prop_map(
            |(name, doc, (required, secret), default, example)| raw::Setting {
                doc,
                required,
                secret,
                default,
                example,
                ..declared(name)
            },
        )
}

proptest! {
    /// Whatever a component declares: the example has one line for each setting, in force only for those that are required and
    /// the component's own, and each reads back as the value that was declared.
    #[test]
    fn an_env_example_reads_back_as_what_was_declared(settings in prop::collection::vec(settings(), 0..6)) {
        let Ok(description) = description(described(settings), &Limits::default()) else {
            return Ok(());
        };

        let text = describe::env_example(&description);

        let mut names = Vec::new();
        for line in text.lines() {
            let in_force = !line.starts_with('#');
            let line = line.strip_prefix('#').unwrap_or(line);
            if line.is_empty() || line.starts_with([' ', '#']) {
                continue;
            }
            let (name, value) = parse_line(line).map_err(TestCaseError::fail)?.unwrap();
            let known = description.settings.iter().find(|known| known.name == name);
            let own = known.filter(|known| hosts(&known.name).is_none());
            if let Some(own) = own {
                let declared = own.default.as_ref().filter(|text| !text.is_empty());
                let declared = declared.or(own.example.as_ref()).cloned().unwrap_or_default();
                prop_assert!(value == declared || (value.is_empty() && env_file::line(&name, &declared).is_none()));
            }
            prop_assert_eq!(in_force, own.is_some_and(|own| own.required && is_settable(own)), "{}", name);
            names.push(name);
        }
        let own = description.settings.iter().filter(|known| hosts(&known.name).is_none());
        let mut all: Vec<String> = own.map(|known| known.name.clone()).collect();
        all.extend(catalogue::own().map(|row| row.name.to_owned()));
        prop_assert_eq!(names, all);
    }

    /// Nothing that steers a terminal and no further line, column or markup comes out of a description.
    #[test]
    fn what_is_printed_of_a_description_is_text(settings in prop::collection::vec(settings(), 0..6)) {
        let Ok(description) = description(described(settings), &Limits::default()) else {
            return Ok(());
        };

        let markdown = describe::markdown(&description);
        for text in [describe::table(&description), describe::env_example(&description), markdown.clone()] {
            prop_assert!(!text.contains(|c| steers(c) && c != '\n'), "{:?}", text);
        }
        for row in markdown.lines() {
            let bare = row.replace("\\\\", "").replace("\\|", "");
            prop_assert_eq!(bare.matches('|').count(), 4, "{}", row);
        }
    }
}
