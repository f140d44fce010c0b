use std::io::Write as _;
use std::path::Path;
use std::thread;

use super::*;
use crate::limits::Limits;
use crate::staging::read::{self, Counts};

/// Lets a component write into the staging folder while it is followed; returns what both readers read.
fn followed(component: impl FnOnce(&Path)) -> (Vec<u8>, Vec<u8>, bool) {
    let temp = tempfile::tempdir().unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut first, mut second, running, followed) = follow(&input);
    let (mut by_first, mut by_second) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let (by_first, by_second) = (&mut by_first, &mut by_second);
        scope.spawn(move || {
            first.read_to_end(by_first).unwrap();
            drop(first);
        });
        scope.spawn(move || second.read_to_end(by_second).unwrap());
        component(temp.path());
        ends_well(running);
    });
    (by_first, by_second, is_all(&input, &followed))
}

fn is_all(input: &Folder, followed: &Followed) -> bool {
    let staged = read::open(input, Counts::default(), &Limits::default()).unwrap();
    followed.is_all_of(&staged)
}

fn ends_well(running: Running) {
    running.ended(Ok::<_, ()>(())).unwrap();
}

#[test]
fn both_readers_read_all_that_is_written_before_the_end() {
    let text = "some line of some length\n".repeat(10_000);

    let (first, second, is_all) = followed(|folder| {
        let mut file = File::create(folder.join(RECORDS)).unwrap();
        for piece in text.as_bytes().chunks(777) {
            file.write_all(piece).unwrap();
        }
    });

    assert!(first == text.as_bytes() && second == text.as_bytes());
    assert!(is_all);
}

#[test]
fn a_file_that_never_was_there_is_nothing() {
    let (first, second, is_all) = followed(|_| {});

    assert_eq!((first, second), (vec![], vec![]));
    assert!(is_all);
}

/// What a component may do with the file after it was read, and whether it is then still what was read.
type After = (fn(&Path), bool);

#[test]
fn what_was_read_is_the_file_that_is_there_in_the_end_or_nothing() {
    let afters: [After; 5] = [
        (|_| {}, true),
        (
            |file| {
                std::fs::rename(file, file.with_extension("old")).unwrap();
                std::fs::write(file, "{}\n{}\n").unwrap();
                std::fs::remove_file(file.with_extension("old")).unwrap();
            },
            false,
        ),
        (|file| std::fs::write(file, "{}\n").unwrap(), false),
        (|file| std::fs::write(file, "{}\n{}\n{}\n").unwrap(), false),
        (|file| std::fs::remove_file(file).unwrap(), false),
    ];
    for (after, is_still) in afters {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join(RECORDS);
        std::fs::write(&file, "{}\n{}\n").unwrap();
        let input = Folder::open(temp.path()).unwrap().unwrap();
        let (mut first, _second, running, followed) = follow(&input);
        ends_well(running);
        first.read_to_end(&mut Vec::new()).unwrap();

        after(&file);

        assert_eq!(is_all(&input, &followed), is_still);
    }
}

#[test]
fn a_second_reader_that_gives_up_stops_nobody() {
    let temp = tempfile::tempdir().unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut first, second, running, followed) = follow(&input);
    let text = vec![b'\n'; (FOLLOWED_PIECES_MAX + 8) * 1_000];
    std::fs::write(temp.path().join(RECORDS), &text).unwrap();
    drop(second);
    ends_well(running);

    let mut piece = [0; 1_000];
    while first.read(&mut piece).unwrap() > 0 {}

    assert!(is_all(&input, &followed));
}

#[test]
fn of_a_first_reader_that_gives_up_nothing_is_all() {
    let temp = tempfile::tempdir().unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut first, mut second, running, followed) = follow(&input);
    std::fs::write(temp.path().join(RECORDS), "{}\n{}\n").unwrap();
    ends_well(running);

    first.read_exact(&mut [0; 3]).unwrap();
    drop(first);

    assert!(second.read_to_end(&mut Vec::new()).is_err());
    assert!(!is_all(&input, &followed));
}

#[test]
fn more_is_waited_for_until_the_component_has_ended() {
    let temp = tempfile::tempdir().unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut first, mut second, running, _) = follow(&input);
    let reading = thread::spawn(move || first.read_to_end(&mut Vec::new()).unwrap());

    std::fs::write(temp.path().join(RECORDS), "{}\n").unwrap();
    second.read_exact(&mut [0; 3]).unwrap();
    assert!(!reading.is_finished());
    ends_well(running);

    assert_eq!(reading.join().unwrap(), 3);
}

#[test]
fn of_a_component_that_failed_nothing_more_is_read() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join(RECORDS), "{}\n").unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut first, _second, running, _) = follow(&input);

    running.ended(Err::<(), _>(())).unwrap_err();

    assert!(first.read(&mut [0; 10]).is_err());
}

#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", temp.path().join(RECORDS)).unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut first, _second, running, _) = follow(&input);
    ends_well(running);

    let error = first.read_to_end(&mut Vec::new()).unwrap_err();

    assert!(error.to_string().contains("not a regular file"), "{error}");
}
