//! The rows agree with what reads their values.

use super::*;

#[test]
fn every_default_example_and_choice_is_one_that_the_setting_takes() {
    for row in ALL {
        let takes = |value: &str| (row.check)(value).is_ok();
        for value in [row.default, row.example] {
            assert!(value.is_empty() || takes(value), "{}={value}", row.name);
        }
        if let Form::Choice(words) = row.form {
            assert!(words.iter().all(|word| takes(word)), "{}", row.name);
            assert!(!takes("anything else"), "{}", row.name);
        }
    }
}

#[test]
fn every_name_is_written_once_and_no_file_name_is_another_setting() {
    let mut names: Vec<String> = ALL.iter().map(|row| row.name.to_owned()).collect();
    names.extend(ALL.iter().filter_map(|row| row.file_name()));
    let all = names.len();
    names.sort();
    names.dedup();

    assert_eq!(names.len(), all);
}

#[test]
fn the_secret_of_a_name_is_its_own_or_that_of_the_file() {
    let name = |name: &str| secret(name).map(|row| row.name);

    assert_eq!(name("SOURCE_API_KEY"), Some("SOURCE_API_KEY"));
    assert_eq!(name("SOURCE_API_KEY_FILE"), Some("SOURCE_API_KEY"));
    assert_eq!(name("CLIENT_KEY_FILE"), None);
    assert_eq!(name("OUTPUT_COLUMNS_FILE"), None);
}
