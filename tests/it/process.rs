//! The process itself: nobody else of the same user reads its memory, and a crash writes none of it.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::{AS_NOBODY, Job, is_root};

/// Whether another process of that user can read this.
fn can_read(path: &Path) -> bool {
    let words = if is_root() { &AS_NOBODY[..] } else { &["env"] };
    let read = Command::new(words[0])
        .args(&words[1..])
        .args(["dd", "bs=1", "count=1", "of=/dev/null"])
        .arg(format!("if={}", path.display()))
        .output()
        .unwrap();
    read.status.success()
}

#[test]
fn nobody_else_reads_the_memory_of_a_run_and_a_crash_writes_none_of_it() {
    let mut job = Job::ordinary().reply(Reply::silence());

    let running = job.start().has_asked(1);
    let process = Path::new("/proc").join(running.pid().to_string());
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let readable = ["status", "environ", "mem"].map(|name| can_read(&process.join(name)));
    let run = running.signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated);
    assert_eq!(readable, [true, false, false], "status, environ, mem");
    let core = limits.lines().find(|line| line.contains("core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    assert_eq!(run.warnings(), [""; 0]);
}
