use clap::ValueEnum as _;

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
    for language in Language::value_variants() {
        let files = files(&templates::of(*language), "my-orders");

        let text = |file: &File| String::from_utf8_lossy(&file.bytes).into_owned();
        let is_left = |file: &&File| {
            let text = text(file);
            file.path != templates::ADAPTER && (text.contains(PLACEHOLDER) || text.contains("{{"))
        };
        let left: Vec<&str> = files
            .iter()
            .filter(is_left)
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(left, [""; 0], "{language:?}");
        let named = files.iter().filter(|file| text(file).contains("my-orders"));
        assert!(named.count() >= 3, "{language:?}");
    }
}

/// A file that a template has, and that is not listed, would be missing.
#[test]
fn every_file_of_a_template_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/connector");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();

    for (language, own) in [
        (Language::Rust, "rust"),
        (Language::Python, "python"),
        (Language::Js, "js"),
        (Language::Ts, "ts"),
        (Language::Go, "go"),
        (Language::C, "c"),
    ] {
        let written = files(&templates::of(language), PLACEHOLDER);

        let mut expected = Vec::new();
        below(&folder.join(own), Path::new(""), &mut expected);
        expected.retain(|path| path != "TOOLS.md");
        for path in expected {
            let file = written.iter().find(|file| file.path == path);
            let file = file.unwrap_or_else(|| panic!("{own}: {path}"));
            assert!(
                file.bytes == read(&format!("{own}/{path}")),
                "{own}: {path}"
            );
        }
    }
}

fn below(folder: &Path, inside: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = inside.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            below(&entry.path(), &path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}
