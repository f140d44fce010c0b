//! Which value counts, and what of a secret cannot be used.

use std::time::Duration;

use super::*;
use crate::settings::catalogue::{OUTPUT_DATABASE_PASSWORD, SOURCE_API_KEY};

fn collect(flags: &[&str], environment: &[(&str, &str)], files: &[&str]) -> Inputs {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (index, text) in files.iter().enumerate() {
        let path = folder.path().join(format!("{index}.env"));
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let environment = environment
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let stop = Stop::unwatched(Duration::from_hours(1));
    let given = GivenArgs {
        set: flags,
        env_file: paths,
        ..GivenArgs::default()
    };
    Inputs::read(&given, environment, &Limits::default(), &stop)
}

fn texts(inputs: &Inputs) -> Vec<String> {
    inputs.problems().iter().map(Problem::to_string).collect()
}

/// The key and the password, as far as they can be used.
fn secrets(inputs: &Inputs) -> [Option<&str>; 2] {
    [&SOURCE_API_KEY.row, &OUTPUT_DATABASE_PASSWORD.row]
        .map(|row| inputs.get(row).map(|given| given.value.as_str()))
}

#[test]
fn a_flag_stands_over_the_environment_over_a_later_file_over_an_earlier_one() {
    let inputs = collect(
        &["A=flag"],
        &[("A", "env"), ("B", "env"), ("C", "")],
        &["B=1\nC=1\nD=1", "C=2"],
    );

    let get = |name| {
        inputs
            .layers()
            .get(name)
            .map(|given| given.value.to_string())
    };
    assert_eq!(get("A").as_deref(), Some("flag"));
    assert_eq!(get("B").as_deref(), Some("env"));
    assert_eq!(get("C").as_deref(), Some("2"));
    assert_eq!(get("D").as_deref(), Some("1"));
    assert_eq!(inputs.problems(), []);
}

#[test]
fn a_bad_line_is_named_by_file_and_line() {
    let inputs = collect(&[], &[], &["A=1\nwhat is this\nA=2\nB='open"]);

    let texts = texts(&inputs);
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].ends_with("0.env:2)"), "{texts:?}");
    assert!(
        texts[1].contains("first on line 1") && texts[1].ends_with("0.env:3)"),
        "{texts:?}"
    );
    assert!(texts[2].ends_with("0.env:4)"), "{texts:?}");
}

#[test]
fn a_secret_comes_from_its_file_without_the_newline() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "s3cret\n").unwrap();
    let inputs = collect(&[], &[("SOURCE_API_KEY_FILE", file.to_str().unwrap())], &[]);

    let given = inputs.get(&SOURCE_API_KEY.row).unwrap();
    assert_eq!(given.value.as_str(), "s3cret");
    assert_eq!(given.origin, Origin::File(file));
}

#[test]
fn a_secret_in_a_flag_is_refused_and_not_repeated() {
    let inputs = collect(&["SOURCE_API_KEY=s3cret"], &[], &[]);

    assert_eq!(secrets(&inputs), [None; 2]);
    assert_eq!(inputs.problems().len(), 1);
    assert!(!texts(&inputs)[0].contains("s3cret"));
}

#[test]
fn a_secret_with_nothing_in_it_is_a_problem_wherever_it_is_and_an_empty_variable_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let blank = folder.path().join("SOURCE_API_KEY");
    std::fs::write(&blank, " \n").unwrap();
    let folder = folder.path().to_str().unwrap();
    for (name, value, named) in [
        ("SOURCE_API_KEY_FILE", blank.to_str().unwrap(), "(file "),
        ("CREDENTIALS_DIRECTORY", folder, "(credential "),
        ("SOURCE_API_KEY", " \t", "(environment)"),
    ] {
        let inputs = collect(&[], &[(name, value)], &[]);

        assert_eq!(secrets(&inputs), [None; 2], "{name}");
        assert!(inputs.is_given(&SOURCE_API_KEY.row), "{name}");
        let texts = texts(&inputs);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].starts_with("SOURCE_API_KEY is empty") && texts[0].contains(named));
    }
    let by_line = collect(&[], &[], &["SOURCE_API_KEY=' '"]);
    assert!(texts(&by_line)[0].ends_with("0.env:1)"), "{by_line:?}");

    let unset = collect(&[], &[("SOURCE_API_KEY", "")], &["SOURCE_API_KEY="]);

    assert_eq!(unset.problems(), []);
    assert!(!unset.is_given(&SOURCE_API_KEY.row));
}

#[test]
fn a_secret_in_a_pipe_is_read_once_and_cannot_be_read_again() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"s3cret\n").unwrap();
    drop(writer);
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());

    let inputs = collect(&[], &[("SOURCE_API_KEY_FILE", &path)], &[]);

    assert_eq!(secrets(&inputs), [Some("s3cret"), None]);
    let again = inputs.secret_file(&SOURCE_API_KEY).unwrap().read();
    assert!(again.unwrap().is_none());
}

#[test]
fn a_credential_that_cannot_be_read_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("SOURCE_API_KEY");
    std::os::unix::fs::symlink("no-such-file", nowhere).unwrap();
    let given = [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())];
    let inputs = collect(&[], &given, &[]);

    assert_eq!(secrets(&inputs), [None; 2]);
    let problems = inputs.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].setting, "SOURCE_API_KEY");
}

#[test]
fn a_credentials_folder_that_cannot_be_searched_is_one_problem_and_not_one_for_each_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let given = [("CREDENTIALS_DIRECTORY", file.path().to_str().unwrap())];
    let inputs = collect(&[], &given, &[]);

    assert_eq!(secrets(&inputs), [None; 2]);
    let problems = inputs.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].setting, "CREDENTIALS_DIRECTORY");
}

#[test]
fn an_env_file_may_begin_with_a_byte_order_mark() {
    let inputs = collect(&[], &[], &["\u{feff}A=1\n"]);

    assert_eq!(inputs.problems(), []);
    assert_eq!(inputs.layers().get("A").unwrap().value.as_str(), "1");
}
