//! Behaviours in the staging folder that are about its limits, and an honest one: files as other toolchains use them.

use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::staged::{create, folder, put};
use crate::{Ending, everything};

const RECORDS: &str = "records.ndjson";
/// A name that may be there, for files that are empty in the end.
const OTHER: &str = "rejected.ndjson";
const ONE: &[u8] = b"{\"id\":1}\n";
/// `staged_bytes` of the host.
const STAGED_BYTES_MAX: u64 = 8 << 30;
/// What is left of it before the last write.
const LEFT_BYTES: u64 = 1024;
const OVER: [u8; 2048] = [b' '; 2048];
const MILLISECOND: u64 = 1_000_000;

/// Does it, if it is one of these.
pub fn run(behaviour: &str) -> Option<Ending> {
    match behaviour {
        "use-files-as-others-do" => use_files(),
        "change-the-folder" => change_the_folder(&folder()),
        "fill-by-write" => drop(nearly_full().write(&OVER, STAGED_BYTES_MAX - LEFT_BYTES)),
        "fill-by-size" => drop(nearly_full().set_size(STAGED_BYTES_MAX + 1)),
        "fill-by-stream" => {
            let out = nearly_full().write_via_stream(STAGED_BYTES_MAX - LEFT_BYTES);
            let _ = out.map(|out| out.blocking_write_and_flush(&OVER));
        }
        "fill-by-append" => {
            let out = nearly_full().append_via_stream();
            let _ = out.map(|out| out.blocking_write_and_flush(&OVER));
        }
        "fill-by-zeroes" => {
            let out = nearly_full().append_via_stream();
            let _ = out.map(|out| out.write_zeroes(OVER.len() as u64));
        }
        "fill-by-splice" => {
            let file = nearly_full();
            let from = file.read_via_stream(0).expect("a file can be read");
            let out = file.append_via_stream().expect("a file can be written");
            let _ = out.splice(&from, OVER.len() as u64);
        }
        "fill-by-two-files" => {
            let _ = create(&folder(), "one").set_size(STAGED_BYTES_MAX / 2);
            let _ = create(&folder(), "two").set_size(STAGED_BYTES_MAX / 2 + 1);
        }
        "fill-far-away" => drop(create(&folder(), "far").write(b"x", u64::MAX - 1)),
        // Comes back to nothing each time: it is never too much.
        "fill-and-cut" => {
            let file = nearly_full();
            for _ in 0..100 {
                file.set_size(0).expect("a file can be cut");
                file.set_size(STAGED_BYTES_MAX - LEFT_BYTES)
                    .expect("what was cut is free again");
            }
            file.set_size(0).expect("a file can be cut");
        }
        "write-and-return" => return Some(Ok(everything(write_and_return()))),
        "read-the-clocks" => read_the_clocks(),
        _ => return None,
    }
    Some(Ok(everything(put(&folder(), RECORDS, ONE, 1))))
}

/// A file of `LEFT_BYTES` less than may be staged; a hole, so that no disk is filled.
fn nearly_full() -> Descriptor {
    let both = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = folder().open_at(PathFlags::empty(), OTHER, OpenFlags::CREATE, both);
    let file = file.expect("a file of its own");
    file.set_size(STAGED_BYTES_MAX - LEFT_BYTES)
        .expect("room for nearly all");
    file
}

/// Stages nearly half of what a run may, for a moment.
pub fn fill_some() {
    let file = create(&folder(), OTHER);
    file.set_size(STAGED_BYTES_MAX / 2 - LEFT_BYTES)
        .expect("room for half of it");
    file.set_size(0).expect("a file can be cut");
}

/// Writes through streams that are neither flushed nor let go before it returns.
fn write_and_return() -> u64 {
    let file = create(&folder(), RECORDS);
    file.write(ONE, 0).expect("a file can be written");
    for last in b"23456789" {
        let stream = file.write_via_stream(0).expect("a file can be written");
        stream.check_write().expect("a stream takes something");
        let line = [b"{\"id\":", &[*last][..], b"}\n"].concat();
        stream.write(&line).expect("a stream can be written");
        std::mem::forget(stream);
    }
    1
}

/// Whatever is not granted is refused as not permitted, and nothing of it happens.
fn change_the_folder(folder: &Descriptor) {
    put(folder, OTHER, b"", 0);
    let none = PathFlags::empty();
    let now = NewTimestamp::Now;
    let tried = [
        folder.create_directory_at("d"),
        folder.remove_directory_at("d"),
        folder.symlink_at(OTHER, "link"),
        folder.link_at(none, OTHER, folder, "link"),
        folder.rename_at(OTHER, folder, "other"),
        folder.unlink_file_at(OTHER),
        folder.set_times(now, now),
        folder.set_times_at(none, OTHER, now, now),
        folder
            .open_at(none, "d/x", OpenFlags::CREATE, DescriptorFlags::WRITE)
            .map(drop),
        folder
            .open_at(none, "..", OpenFlags::DIRECTORY, DescriptorFlags::READ)
            .map(drop),
    ];
    for (number, tried) in tried.into_iter().enumerate() {
        assert_eq!(tried, Err(ErrorCode::NotPermitted), "number {number}");
    }
    assert_eq!(names(folder), [OTHER]);
}

/// What wasi-libc, the adapter of preview 1 and Rust's std do with a file.
fn use_files() {
    let folder = folder();
    let (follow, none) = (PathFlags::SYMLINK_FOLLOW, PathFlags::empty());
    let missing = folder.open_at(follow, OTHER, OpenFlags::empty(), DescriptorFlags::READ);
    assert_eq!(missing.map(drop), Err(ErrorCode::NoEntry));
    assert_eq!(
        folder.stat_at(follow, OTHER).map(drop),
        Err(ErrorCode::NoEntry)
    );
    assert_eq!(folder.get_type(), Ok(DescriptorType::Directory));
    let itself = folder.open_at(follow, ".", OpenFlags::DIRECTORY, DescriptorFlags::READ);
    assert!(itself.expect("the folder itself").is_same_object(&folder));

    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let file = folder
        .open_at(follow, "./rejected.ndjson", flags, DescriptorFlags::WRITE)
        .expect("a file can be made");
    assert_eq!(file.get_type(), Ok(DescriptorType::RegularFile));
    assert_eq!(file.get_flags(), Ok(DescriptorFlags::WRITE));
    assert_eq!(file.read(1, 0), Err(ErrorCode::NotPermitted));
    let out = file.write_via_stream(0).expect("a stream of it");
    out.blocking_write_and_flush(b"one two").expect("a write");
    drop(out);
    let out = file.append_via_stream().expect("a stream of it");
    out.blocking_write_and_flush(b" three").expect("a write");
    out.blocking_flush().expect("a flush");
    drop(out);
    file.write(b"ONE", 0).expect("a write");
    file.sync().and(file.sync_data()).expect("a sync");
    assert_eq!(file.stat().expect("a file").size, 13);
    assert_eq!(folder.stat_at(none, OTHER).expect("a file").size, 13);

    let exclusive = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let again = folder.open_at(none, OTHER, exclusive, DescriptorFlags::WRITE);
    assert_eq!(again.map(drop), Err(ErrorCode::Exist));
    let reader = folder
        .open_at(none, OTHER, OpenFlags::empty(), DescriptorFlags::READ)
        .expect("the file");
    assert!(reader.is_same_object(&file));
    assert_eq!(reader.write(b"x", 0), Err(ErrorCode::NotPermitted));
    assert_eq!(reader.read(100, 4), Ok((b"two three".to_vec(), false)));
    assert_eq!(reader.read(100, 13), Ok((Vec::new(), true)));
    let from = reader.read_via_stream(0).expect("a stream of it");
    assert_eq!(from.blocking_read(7).expect("a read"), b"ONE two");
    assert_eq!(from.blocking_read(100).expect("a read"), b" three");
    assert!(matches!(from.blocking_read(1), Err(StreamError::Closed)));
    assert_ne!(
        file.metadata_hash().expect("a hash").lower,
        folder.metadata_hash().expect("a hash").lower
    );
    assert_eq!(names(&folder), [OTHER]);
    file.set_size(0).expect("a cut");
}

fn names(folder: &Descriptor) -> Vec<String> {
    let listing = folder.read_directory().expect("the folder can be listed");
    std::iter::from_fn(|| listing.read_directory_entry().expect("an entry"))
        .map(|entry| entry.name)
        .collect()
}

/// Neither clock says more than milliseconds.
fn read_the_clocks() {
    assert_eq!(monotonic_clock::resolution(), MILLISECOND);
    assert_eq!(u64::from(wall_clock::resolution().nanoseconds), MILLISECOND);
    for _ in 0..1_000 {
        assert_eq!(monotonic_clock::now() % MILLISECOND, 0);
        assert_eq!(u64::from(wall_clock::now().nanoseconds) % MILLISECOND, 0);
    }
    let (before, wait) = (monotonic_clock::now(), 20 * MILLISECOND);
    monotonic_clock::subscribe_duration(wait).block();
    assert!(monotonic_clock::now() >= before + wait - MILLISECOND);
    let until = monotonic_clock::now() + wait;
    monotonic_clock::subscribe_instant(until).block();
    assert!(monotonic_clock::now() >= until);
}
