//! The corpus of JSON texts in `json/`: what must be read is, what must not be is not, and the rest is as its table says.
#![expect(clippy::disallowed_methods, reason = "the corpus lies in files")]

mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tidegate_guest::Failure;
use tidegate_guest::ports::Answer;
use world::Job;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/json")
}

fn corpus() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder()).expect("the corpus").flatten();
    let cases = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let name = name.strip_suffix(".json")?.to_owned();
        Some((name, std::fs::read(file.path()).expect("a readable case")))
    });
    cases.collect()
}

/// The rows of the table: for each case what becomes of it as a body, handed on, and understood.
fn decided() -> BTreeMap<String, [String; 3]> {
    let text = std::fs::read_to_string(folder().join("README.md")).expect("the table");
    let rows = text.lines().filter(|line| line.starts_with("| i_"));
    let cells = rows.map(|row| {
        row.split('|')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    });
    cells
        .map(|cells| {
            (
                cells[1].clone(),
                [cells[2].clone(), cells[3].clone(), cells[4].clone()],
            )
        })
        .collect()
}

/// What becomes of a body, `read` or `refused`, and the records that are staged of it; whether its records are rejected counts
/// where it was made of one.
fn outcome(settings: &[(&str, &str)], body: &[u8], as_record: bool) -> (&'static str, Vec<u8>) {
    let mut run = Job::with(settings).run(|_| {
        Ok(Answer {
            status: 200,
            headers: Vec::new(),
            body: body.to_vec(),
        })
    });
    let is_read = match &run.outcome {
        Ok(report) => !as_record || report.rejected == 0,
        // A JSON text that is no array of records is read all the same.
        Err(Failure::Protocol(detail)) => {
            detail.message.contains("has a") || detail.message.contains("has null")
        }
        Err(_) => false,
    };
    let records = run.folder.files.remove("records").unwrap_or_default();
    (if is_read { "read" } else { "refused" }, records)
}

fn in_record(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let record = [b"{\"v\":", text, b"}"].concat();
    ([b"[", &*record, b"]"].concat(), record)
}

/// What becomes of a text in each of the three ways.
fn outcomes(text: &[u8]) -> [&'static str; 3] {
    let (page, _) = in_record(text);
    [
        outcome(&[], text, false).0,
        outcome(&[], &page, true).0,
        outcome(&[("TRANSFORM", "(.)")], &page, true).0,
    ]
}

/// Each case that is not as wanted, in words.
fn differences(wanted: impl Fn(&str) -> Option<[String; 3]>) -> Vec<String> {
    let cases = corpus().into_iter();
    let different = cases.filter_map(|(name, text)| {
        let wanted = wanted(&name)?;
        let found = outcomes(&text);
        (found.as_slice() != wanted.as_slice())
            .then(|| format!("{name}: {found:?}, not {wanted:?}"))
    });
    different.collect()
}

fn all(word: &str) -> [String; 3] {
    [word, word, word].map(str::to_owned)
}

#[test]
fn what_must_be_read_is() {
    assert_eq!(
        differences(|name| name.starts_with("y_").then(|| all("read"))),
        [""; 0]
    );
}

#[test]
fn what_must_not_be_read_is_refused() {
    assert_eq!(
        differences(|name| name.starts_with("n_").then(|| all("refused"))),
        [""; 0]
    );
}

#[test]
fn what_json_leaves_open_is_as_the_table_says() {
    let table = decided();
    let cases = corpus();
    let open: Vec<&String> = cases.keys().filter(|name| name.starts_with("i_")).collect();

    assert_eq!(open, table.keys().collect::<Vec<_>>());
    assert_eq!(differences(|name| table.get(name).cloned()), [""; 0]);
}

#[test]
fn the_corpus_is_there() {
    assert!(corpus().len() >= 200, "{}", corpus().len());
}

#[test]
fn what_is_read_on_one_line_keeps_its_bytes() {
    let changed: Vec<String> = corpus()
        .into_iter()
        .filter(|(name, text)| !name.starts_with("n_") && !text.contains(&b'\n'))
        .filter_map(|(name, text)| {
            let (page, record) = in_record(&text);
            let (word, staged) = outcome(&[], &page, true);
            (word == "read" && staged != [&*record, b"\n"].concat()).then_some(name)
        })
        .collect();

    assert_eq!(changed, [""; 0]);
}
