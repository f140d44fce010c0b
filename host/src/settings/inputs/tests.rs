use super::*;

fn collect(flags: &[&str], environment: &[(&str, &str)], files: &[&str]) -> (Values, Vec<Problem>) {
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
    let mut problems = Vec::new();
    let values = Values::collect(
        &flags,
        environment,
        &paths,
        &Limits::default(),
        &mut problems,
    );
    (values, problems)
}

#[test]
fn a_flag_stands_over_the_environment_over_a_later_file_over_an_earlier_one() {
    let (values, problems) = collect(
        &["A=flag"],
        &[("A", "env"), ("B", "env"), ("C", "")],
        &["B=1\nC=1\nD=1", "C=2"],
    );

    let get = |name| values.get(name).map(|given| given.value);
    assert_eq!(get("A").as_deref(), Some("flag"));
    assert_eq!(get("B").as_deref(), Some("env"));
    assert_eq!(get("C").as_deref(), Some("2"));
    assert_eq!(get("D").as_deref(), Some("1"));
    assert_eq!(problems, []);
}

#[test]
fn a_bad_line_is_named_by_file_and_line() {
    let (_, problems) = collect(&[], &[], &["A=1\nwhat is this\nA=2\nB='open"]);

    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
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
    let (values, _) = collect(&[], &[("KEY_FILE", file.to_str().unwrap())], &[]);

    let (secret, origin) = values.secret("KEY", &mut Vec::new()).unwrap();

    assert_eq!(secret.expose(), "s3cret");
    assert_eq!(origin, Origin::File(file));
}

#[test]
fn a_secret_in_a_flag_is_refused_and_not_repeated() {
    let (values, mut problems) = collect(&["KEY=s3cret"], &[], &[]);

    assert!(values.secret("KEY", &mut problems).is_none());
    assert_eq!(problems.len(), 1);
    assert!(!problems[0].to_string().contains("s3cret"));
}

#[test]
fn a_secret_file_with_nothing_in_it_is_a_problem_and_an_empty_variable_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, " \n").unwrap();
    let given = [("KEY_FILE", file.to_str().unwrap()), ("OTHER", "")];
    let (values, mut problems) = collect(&[], &given, &[]);

    let secret = values.secret("KEY", &mut problems);
    let other = values.secret("OTHER", &mut problems);

    assert!(secret.is_none() && other.is_none());
    assert_eq!(problems.len(), 1);
    let told = problems[0].to_string();
    assert!(told.contains("empty") && told.contains("/key"), "{told}");
}

#[test]
fn a_credential_that_cannot_be_read_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("KEY");
    std::os::unix::fs::symlink("no-such-file", nowhere).unwrap();
    let given = [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())];
    let (values, mut problems) = collect(&[], &given, &[]);

    assert!(values.secret("KEY", &mut problems).is_none());
    assert!(values.secret("NONE", &mut problems).is_none());

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].setting, "KEY");
}

#[test]
fn a_credentials_folder_that_cannot_be_searched_is_one_problem_and_not_one_for_each_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let given = [("CREDENTIALS_DIRECTORY", file.path().to_str().unwrap())];
    let (values, mut problems) = collect(&[], &given, &[]);

    assert!(values.secret("KEY", &mut problems).is_none());
    assert!(values.secret("PASSWORD", &mut problems).is_none());

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].setting, "CREDENTIALS_DIRECTORY");
}

#[test]
fn an_env_file_may_begin_with_a_byte_order_mark() {
    let (values, problems) = collect(&[], &[], &["\u{feff}A=1\n"]);

    assert_eq!(problems, []);
    assert_eq!(values.get("A").unwrap().value, "1");
}
