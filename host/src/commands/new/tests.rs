use super::*;
use crate::cli::Language;

#[test]
fn a_name_has_lower_case_letters_digits_and_dashes() {
    for usable in ["orders", "my-orders", "7eleven", "a"] {
        assert_eq!(unusable(usable), None, "{usable}");
    }
    for refused in [
        "",
        "Orders",
        "my_orders",
        "a/b",
        "..",
        "../x",
        "ä",
        "a b",
        "-a",
        "a-",
        "a.b",
    ] {
        assert!(unusable(refused).is_some(), "{refused}");
    }
    assert!(unusable(&"a".repeat(65)).is_some());
}

#[test]
fn nothing_of_the_template_is_left_in_its_files() {
    for language in [Language::Rust, Language::Python] {
        let files = files(&templates::of(language), "my-orders");

        let left = |file: &&File| file.text.contains(PLACEHOLDER) || file.text.contains("{{");
        let left: Vec<&str> = files
            .iter()
            .filter(left)
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(left, [""; 0]);
        let named = files.iter().filter(|file| file.text.contains("my-orders"));
        assert!(named.count() >= 3);
    }
}
