//! The processes themselves: nobody else of the same user reads their memory, a crash writes none of it, and the component's
//! has no more than it needs.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
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

/// The one process that this one started.
fn child_of(pid: u32) -> PathBuf {
    let has_parent = |process: &PathBuf| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        parent.is_some_and(|parent| parent.trim() == pid.to_string())
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut children = processes
        .map(|entry| entry.unwrap().path())
        .filter(has_parent);
    let child = children.next().expect("a child");
    assert_eq!(children.next(), None);
    child
}

/// How often this is in what the process can write to. Only root may look.
fn found_in_memory(process: &Path, text: &str) -> usize {
    let maps = std::fs::read_to_string(process.join("maps")).unwrap();
    let memory = File::open(process.join("mem")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found += memchr::memmem::find_iter(&bytes, text.as_bytes()).count();
        }
    }
    found
}

#[test]
fn the_components_process_has_no_secret_and_nothing_but_what_it_needs() {
    // A lock of the launcher's, say: what it left open is not for the component.
    let mut job = Job::new()
        .set("SOURCE_API_KEY", "canary-in-a-coal-mine")
        .reply(Reply::silence())
        .launched_by("exec 9</etc/hostname; exec \"$@\"");

    let running = job.start().has_asked(1);
    let parent = Path::new("/proc").join(running.pid().to_string());
    let child = child_of(running.pid());
    let status = std::fs::read_to_string(child.join("status")).unwrap();
    let limits = std::fs::read_to_string(child.join("limits")).unwrap();
    let seen = is_root().then(|| {
        [&parent, &child].map(|process| found_in_memory(process, "canary-in-a-coal-mine") > 0)
    });
    let environment = std::fs::read(child.join("environ")).unwrap_or_default();
    let arguments = std::fs::read_to_string(child.join("cmdline")).unwrap();
    let open: BTreeSet<String> = std::fs::read_dir(child.join("fd"))
        .map(|entries| {
            entries
                .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap())
                .map(|link| link.display().to_string())
                .collect()
        })
        .unwrap_or_default();
    let run = running.signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated);
    if let Some(seen) = seen {
        assert_eq!(seen, [true, false], "in the parent, in the child");
    }
    assert_eq!(environment, [0; 0]);
    assert_eq!(arguments, "tidegate\0component-process\0");
    for held in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
        assert!(status.contains(held), "{held}: {status}");
    }
    for (name, most) in [
        ("Max open files", "64"),
        ("Max stack size", "8388608"),
        ("Max core file size", "0"),
        ("Max processes", "0"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let hard = line[name.len()..].split_whitespace().nth(1);
        assert_eq!(hard, Some(most), "{line}");
    }
    let is_expected = |link: &&String| {
        let known = [
            "socket:[",
            "pipe:[",
            "anon_inode:[eventpoll]",
            "anon_inode:[eventfd]",
        ];
        known.iter().any(|known| link.starts_with(known))
            || *link == "/dev/null"
            || link.contains("/.staging-") && link.ends_with("/in")
    };
    let others: Vec<_> = open.iter().filter(|link| !is_expected(link)).collect();
    assert_eq!(others, [""; 0], "{open:?}");
}

#[test]
fn a_kernel_without_landlock_is_a_warning() {
    let inject = "inject=landlock_create_ruleset:error=ENOSYS";
    let job = Job::new().launcher(&[
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=landlock_create_ruleset",
        "-e",
        inject,
    ]);

    let run = job.page(200, "[]").run();

    run.exits(Outcome::Published);
    let warnings = run.warnings();
    assert!(
        warnings.iter().any(|warning| warning["msg"]
            .as_str()
            .is_some_and(|text| text.contains("no Landlock"))),
        "{warnings:?}"
    );
}

#[test]
fn the_components_process_ends_with_the_run_that_is_killed() {
    let mut job = Job::new().reply(Reply::silence());

    let running = job.start().has_asked(1);
    let child = child_of(running.pid());
    running.signalled(Signal::KILL).ends_unchecked();

    let begun = Instant::now();
    while child.exists() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!child.exists(), "{}", child.display());
}

#[test]
fn a_components_process_that_was_stopped_goes_on() {
    let mut job = Job::new()
        .set("SOURCE_TIMEOUT", "3s")
        .set("MAX_RETRIES", "1")
        .reply(Reply::silence())
        .page(200, r#"[{"id":1}]"#);

    let running = job.start().has_asked(1);
    let child = child_of(running.pid());
    let number: i32 = child
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let child = Pid::from_raw(number).unwrap();
    for signal in [Signal::STOP, Signal::CONT] {
        kill_process(child, signal).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = running.ends();

    run.exits(Outcome::Published);
    assert!(!run.stdout.contains("panicked"), "{run:?}");
}

#[test]
fn where_the_end_of_a_child_is_not_to_be_told_a_run_is_as_any() {
    let mut job = Job::new()
        .page(200, r#"[{"id":1}]"#)
        .launcher(&["python3", "-c", "import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"]);

    job.run().exits(Outcome::Published);
}

#[test]
fn wherever_threads_are_short_it_is_75_and_no_fault_of_the_component_s() {
    for threads in 2..=6 {
        let mut job = short_of_threads(Job::ordinary().page(200, r#"[{"id":1}]"#), threads);

        let run = job.start().ends_unchecked();

        assert!(matches!(run.code, Some(0 | 75)), "{threads}: {run:?}");
    }
}

/// A job whose user has so many threads. Root has no such limit.
fn short_of_threads(job: Job, threads: u32) -> Job {
    let script = if is_root() {
        let (program, nobody) = (job.beside("tidegate"), AS_NOBODY.join(" "));
        let program = program.display();
        format!("shift; exec {nobody} prlimit --nproc={threads} {program} \"$@\"")
    } else {
        format!("exec prlimit --nproc={threads} \"$@\"")
    };
    job.launched_by(&script)
}

#[test]
fn where_no_thread_can_be_started_it_is_75() {
    let mut job = short_of_threads(Job::ordinary(), 1);

    let run = job.start().ends_unchecked();

    assert_eq!(run.code, Some(75), "{run:?}");
    assert!(run.stderr.contains("limit of processes"), "{run:?}");
}
