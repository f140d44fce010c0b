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
    let (mut following, mut fed, running, followed) = follow(&input);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let (first, second) = (&mut first, &mut second);
        scope.spawn(move || following.read_to_end(first).unwrap());
        scope.spawn(move || fed.read_to_end(second).unwrap());
        component(temp.path());
        ends_well(running);
    });
    let staged = read::open(&input, Counts::default(), &Limits::default()).unwrap();
    (first, second, staged.is(followed.read()))
}

fn ends_well(running: Running) {
    running.ended(Ok::<_, ()>(())).unwrap();
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

#[test]
fn both_readers_read_all_that_is_written_before_the_end() {
    let text = "some line of some length\n".repeat(10_000);

    let (first, second, is_whole) = followed(|folder| {
        let mut file = File::create(folder.join(RECORDS)).unwrap();
        for piece in text.as_bytes().chunks(777) {
            file.write_all(piece).unwrap();
        }
    });

    assert!(first == text.as_bytes() && second == text.as_bytes());
    assert!(is_whole);
}

#[test]
fn a_file_that_never_was_there_is_nothing() {
    let (first, second, is_whole) = followed(|_| {});

    assert_eq!((first, second), (vec![], vec![]));
    assert!(is_whole);
}

/// What a component may do after its records were read.
type After = fn(&Path);

#[test]
fn what_was_read_is_not_another_file_in_its_place_or_a_shorter_one() {
    let read_all = |folder: &Path| {
        std::fs::write(folder.join(RECORDS), "{}\n{}\n").unwrap();
        let input = Folder::open(folder).unwrap().unwrap();
        let (mut following, _, running, followed) = follow(&input);
        ends_well(running);
        following.read_to_end(&mut Vec::new()).unwrap();
        (input, followed)
    };
    let afters: [(After, bool); 4] = [
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
        (|file| std::fs::remove_file(file).unwrap(), false),
    ];
    for (after, is_whole) in afters {
        let temp = tempfile::tempdir().unwrap();
        let (input, followed) = read_all(temp.path());

        after(&temp.path().join(RECORDS));

        let staged = read::open(&input, Counts::default(), &Limits::default()).unwrap();
        assert_eq!(staged.is(followed.read()), is_whole);
    }
}

#[test]
fn a_second_reader_that_gives_up_stops_nobody() {
    let temp = tempfile::tempdir().unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut following, fed, running, followed) = follow(&input);
    let text = vec![b'\n'; (FOLLOWED_PIECES_MAX + 8) * 1_000];
    std::fs::write(temp.path().join(RECORDS), &text).unwrap();
    drop(fed);
    ends_well(running);

    let mut piece = [0; 1_000];
    while following.read(&mut piece).unwrap() > 0 {}

    assert_eq!(followed.read().unwrap().bytes, text.len() as u64);
}

#[test]
fn more_is_waited_for_until_the_component_has_ended() {
    let temp = tempfile::tempdir().unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut following, fed, running, followed) = follow(&input);
    let reading = thread::spawn(move || following.read_to_end(&mut Vec::new()).unwrap());

    std::fs::write(temp.path().join(RECORDS), "{}\n").unwrap();
    until(|| followed.read().is_some_and(|read| read.bytes == 3));
    assert!(!reading.is_finished());
    ends_well(running);

    assert_eq!(reading.join().unwrap(), 3);
    drop(fed);
}

#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", temp.path().join(RECORDS)).unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut following, _fed, running, _) = follow(&input);
    ends_well(running);

    let error = following.read_to_end(&mut Vec::new()).unwrap_err();

    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn of_a_component_that_failed_nothing_more_is_read() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join(RECORDS), "{}\n").unwrap();
    let input = Folder::open(temp.path()).unwrap().unwrap();
    let (mut following, fed, running, _) = follow(&input);

    running.ended(Err::<(), _>(())).unwrap_err();

    assert!(following.read(&mut [0; 10]).is_err());
    drop(fed);
}
