//! Behaviours in the staging folder: what lies in it is not what was agreed.

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use crate::{Ending, everything};

const RECORDS: &str = "records.ndjson";
const TWO: &[u8] = b"{\"id\":1,\"name\":\"one\"}\n{\"id\":2,\"name\":\"two\"}\n";
/// As long, line by line.
const OTHER_TWO: &[u8] = b"{\"id\":1,\"name\":\"eno\"}\n{\"id\":2,\"name\":\"owt\"}\n";
/// So long a host has to read what was staged.
const READ_NS: u64 = 300_000_000;
/// More than a run may stage, were the file not sparse.
const SPARSE_BYTES: u64 = 64 << 30;
const FILES: u32 = 2_000;
/// Names that lead out of the folder, were they followed.
const OUTSIDE: [&str; 16] = [
    "..",
    "../",
    "../gen/latest.json",
    "a/../../gen/latest.json",
    "../../../other/current/manifest.json",
    "../../current/manifest.json",
    "../../.lock",
    "/etc/hostname",
    "//etc/hostname",
    "./../../last-run.json",
    "/proc/self/environ",
    "/proc/self/mem",
    "/dev/mem",
    "/sys/kernel/notes",
    "records.ndjson/../../gen",
    "..\0/gen",
];

/// Does it, if it is one of these.
pub fn run(behaviour: &str) -> Option<Ending> {
    let folder = folder();
    let staged = match behaviour {
        "none" => put(&folder, RECORDS, TWO, 2),
        "stage-nothing" => 0,
        "stage-one-file-more" => {
            put(&folder, "latest.json", b"[]", 0);
            put(&folder, RECORDS, TWO, 2)
        }
        "stage-many-files" => {
            (0..FILES).for_each(|number| drop(create(&folder, &format!("{number}.ndjson"))));
            put(&folder, RECORDS, TWO, 2)
        }
        "stage-a-sparse-file" => {
            let file = create(&folder, RECORDS);
            let _ = file.write(b"\n", SPARSE_BYTES);
            1
        }
        "stage-a-number" => put(&folder, RECORDS, b"1\n", 1),
        "stage-an-array" => put(&folder, RECORDS, b"[{\"id\":1}]\n", 1),
        "stage-two-on-a-line" => put(&folder, RECORDS, b"{\"id\":1} {\"id\":2}\n", 1),
        "stage-half-a-record" => put(&folder, RECORDS, b"{\"id\":1}\n{\"id\":", 2),
        "stage-no-utf-8" => put(&folder, RECORDS, b"{\"id\":\"\xff\xfe\"}\n", 1),
        "stage-an-empty-line" => put(&folder, RECORDS, b"{\"id\":1}\n\n{\"id\":2}\n", 3),
        "stage-anew" => {
            put(&folder, RECORDS, TWO, 2);
            be_read();
            put(&folder, RECORDS, OTHER_TWO, 2)
        }
        "stage-over" => {
            put(&folder, RECORDS, TWO, 2);
            be_read();
            let file = folder
                .open_at(
                    PathFlags::empty(),
                    RECORDS,
                    OpenFlags::empty(),
                    DescriptorFlags::WRITE,
                )
                .expect("open the file again");
            let written = file.write(OTHER_TWO, 0).expect("write over it");
            assert_eq!(written, OTHER_TWO.len() as u64);
            2
        }
        "reach-outside" => reach_outside(&folder),
        _ => return None,
    };
    Some(Ok(everything(staged)))
}

/// Lets the host read what was staged so far.
fn be_read() {
    monotonic_clock::subscribe_duration(READ_NS).block();
}

/// The staging folder.
pub fn folder() -> Descriptor {
    let (folder, _) = preopens::get_directories()
        .into_iter()
        .next()
        .expect("a staging folder");
    folder
}

/// Writes a file and returns `lines`.
pub fn put(folder: &Descriptor, name: &str, bytes: &[u8], lines: u64) -> u64 {
    let file = create(folder, name);
    let mut at = 0;
    while at < bytes.len() {
        let written = file
            .write(&bytes[at..], at as u64)
            .expect("write to the staging folder");
        at += usize::try_from(written).expect("what was written fits");
    }
    lines
}

/// Makes a file, or empties it.
pub fn create(folder: &Descriptor, name: &str) -> Descriptor {
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    folder
        .open_at(PathFlags::empty(), name, flags, DescriptorFlags::WRITE)
        .expect("create a file in the staging folder")
}

/// Stages one record for each name outside that could be opened, made or linked to.
fn reach_outside(folder: &Descriptor) -> u64 {
    let _ = folder.symlink_at("../..", "way-out");
    let mut reached: Vec<&str> = Vec::new();
    for name in OUTSIDE {
        let read = folder.open_at(
            PathFlags::SYMLINK_FOLLOW,
            name,
            OpenFlags::empty(),
            DescriptorFlags::READ,
        );
        let made = folder.open_at(
            PathFlags::SYMLINK_FOLLOW,
            name,
            OpenFlags::CREATE,
            DescriptorFlags::WRITE,
        );
        let linked = folder.link_at(PathFlags::empty(), name, folder, "taken.ndjson");
        let renamed = folder.rename_at(name, folder, "taken.ndjson");
        if read.is_ok() || made.is_ok() || linked.is_ok() || renamed.is_ok() {
            reached.push(name);
        }
    }
    let up = OpenFlags::CREATE | OpenFlags::DIRECTORY;
    if folder
        .open_at(
            PathFlags::SYMLINK_FOLLOW,
            "way-out",
            up,
            DescriptorFlags::READ,
        )
        .is_ok()
    {
        reached.push("through a link");
    }
    let _ = folder.unlink_file_at("way-out");
    let lines: String = reached
        .iter()
        .map(|name| ["{\"reached\":\"", name, "\"}\n"].concat())
        .collect();
    put(folder, RECORDS, lines.as_bytes(), reached.len() as u64)
}
