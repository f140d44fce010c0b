use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;
use crate::folder::lock;
use crate::limits::Limits;

/// A source on loopback that answers every request with one record.
fn source() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/items", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\nconnection: close\r\n\r\n[{\"id\":1}]";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// A first run in which tidegate panics at this point.
fn panicking(at: &'static str) -> (tempfile::TempDir, Ended, Summary) {
    defect::remember_panics_in_tests();
    defect::rehearse(at);
    let output = tempfile::tempdir().unwrap();
    let args = RunArgs {
        quiet: true,
        ..RunArgs::default()
    };
    let environment = [
        ("SOURCE_API_URL", source()),
        ("OUTPUT_DIR", output.path().display().to_string()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));

    let (ended, summary) = run_and_tell(&args, environment);

    (output, ended, summary)
}

fn folder(output: &tempfile::TempDir) -> Folder {
    Folder::open(output.path()).unwrap().unwrap()
}

#[test]
fn a_panic_is_70_is_written_down_and_leaves_nothing_behind() {
    let (output, ended, summary) = panicking("fetched");

    assert_eq!((ended.exit_code, summary.exit_code), (70, 70));
    let line = ended.error.unwrap();
    for told in [
        "a defect in tidegate, please report it with `tidegate --version`: rehearsed: fetched at ",
        "src/process/defect.rs:",
        "nothing was published",
    ] {
        assert!(line.contains(told), "{line}");
    }
    assert_eq!(summary.committed, "no");
    let folder = folder(&output);
    let recorded = last_run::read(&folder, &Limits::default()).unwrap();
    assert_eq!(recorded.map(|run| run.exit_code), Some(70));
    assert!(!output.path().join("latest.json").exists());
    let left = folder.names(|name| name.starts_with(".staging")).unwrap();
    assert_eq!(left, [""; 0]);
    drop(lock::acquire(&folder, "next").unwrap());
}

#[test]
fn after_a_panic_in_a_commit_nobody_claims_to_know_what_readers_see() {
    let (output, ended, summary) = panicking("swapped");

    assert_eq!(ended.exit_code, 70);
    assert_eq!(summary.committed, "unknown");
    let line = ended.error.unwrap();
    assert!(line.contains("the old set or the new one"), "{line}");
    assert!(output.path().join("latest.json").exists());
    drop(lock::acquire(&folder(&output), "next").unwrap());
}
