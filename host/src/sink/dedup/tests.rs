use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What came of a comparison: the records that are new, and the file of what is remembered.
struct Came {
    new: Vec<String>,
    temp: tempfile::TempDir,
    record: FileRecord,
}

impl Came {
    fn file(&self) -> File {
        File::open(self.temp.path().join("digests")).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.temp.path().join("digests")).unwrap()
    }
}

fn compared(
    records: &[&str],
    last: Option<&Came>,
    keep: bool,
    limits: &Limits,
) -> Result<Came, Failure> {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap().unwrap();
    let mut repeats = Repeats::new(&folder, limits);
    for record in records {
        repeats.take(record.as_bytes())?;
    }
    let file = last.map(Came::file);
    let remembered = match (last, &file) {
        (Some(last), Some(file)) => Remembered::read(file, &last.record, "digests".into()),
        _ => Remembered::nothing(),
    };
    let mut output = create(&folder, "digests")?;
    let mut compared = repeats.compare(remembered, keep, &mut output, &|| Ok(()))?;
    let mut new = Vec::new();
    for record in records {
        if !compared.next_is_repeat()? {
            new.push((*record).to_owned());
        }
    }
    assert_eq!(compared.new, new.len() as u64);
    let (_, record) = output.finish()?;
    Ok(Came { new, temp, record })
}

fn well(records: &[&str], last: Option<&Came>, keep: bool) -> Came {
    compared(records, last, keep, &Limits::default()).unwrap()
}

#[test]
fn what_the_last_run_staged_is_a_repeat_and_the_rest_keeps_its_order() {
    let first = well(&["b", "a"], None, false);

    let second = well(&["z", "a", "c", "b", "d"], Some(&first), false);

    assert_eq!(first.new, ["b", "a"]);
    assert_eq!(second.new, ["z", "c", "d"]);
}

#[test]
fn a_record_that_comes_twice_is_a_repeat_the_second_time() {
    assert_eq!(well(&["a", "b", "a", "a"], None, false).new, ["a", "b"]);
}

#[test]
fn what_is_remembered_is_what_was_taken_or_that_and_all_before() {
    let first = well(&["a", "b"], None, false);
    let forgets = well(&["b", "c"], Some(&first), false);
    let keeps = well(&["b", "c"], Some(&first), true);

    assert_eq!((forgets.record.records, keeps.record.records), (2, 3));
    assert_eq!(forgets.bytes(), well(&["c", "b"], None, false).bytes());
    assert_eq!(keeps.bytes(), well(&["a", "b", "c"], None, false).bytes());
}

#[test]
fn what_was_remembered_and_is_damaged_is_refused() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes[3] ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(20),
        |bytes: &mut Vec<u8>| bytes.truncate(16),
        |bytes: &mut Vec<u8>| bytes.rotate_left(16),
    ] {
        let first = well(&["a", "b", "c"], None, false);
        let mut bytes = first.bytes();
        damage(&mut bytes);
        std::fs::write(first.temp.path().join("digests"), bytes).unwrap();

        let refused = compared(&["b"], Some(&first), false, &Limits::default());

        let failure = refused.err().expect("it is refused");
        assert_eq!(failure.outcome, Outcome::OutputUnusable);
        assert!(failure.message.contains("older generation"), "{failure}");
    }
}

#[test]
fn nobody_else_may_ask_what_was_staged() {
    use std::os::unix::fs::PermissionsExt as _;
    let came = well(&["a"], None, false);

    let mode = came.file().metadata().unwrap().permissions().mode();

    assert_eq!(mode & 0o777, 0o600);
}

proptest! {
    #[test]
    fn repeats_are_those_of_a_set_however_little_memory_there_is(
        first in prop::collection::vec(0_u8..40, 0..60),
        second in prop::collection::vec(0_u8..40, 0..60),
        sort_buffer_bytes in 1_usize..2_000,
        sort_runs in 2_usize..4,
    ) {
        let limits = Limits { sort_buffer_bytes, sort_runs, ..Limits::default() };
        let texts = |numbers: &[u8]| numbers.iter().map(u8::to_string).collect::<Vec<_>>();
        let (first, second) = (texts(&first), texts(&second));
        let one: Vec<&str> = first.iter().map(String::as_str).collect();
        let two: Vec<&str> = second.iter().map(String::as_str).collect();

        let came = compared(&one, None, false, &limits).unwrap();
        let then = compared(&two, Some(&came), false, &limits).unwrap();

        let mut seen: BTreeSet<&str> = one.iter().copied().collect();
        let wanted: Vec<&str> = two.iter().copied().filter(|text| seen.insert(text)).collect();
        prop_assert_eq!(then.new, wanted);
    }
}
