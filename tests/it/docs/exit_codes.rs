//! `docs/exit-codes.md`: it has a section for every code, and the errors that it shows are those that a run prints.

use rustix::process::Signal;
use tidegate::outcome::Outcome;

use super::text_of;
use crate::server::Reply;
use crate::world::Job;

const TWO: &str = r#"[{"id":1},{"id":2}]"#;

/// The job of the examples.
fn orders() -> Job {
    Job::new().set("JOB_NAME", "orders")
}

/// The sections of the page: code, and all that is below its heading.
fn sections() -> Vec<(u8, &'static str)> {
    let parts = text_of("docs/exit-codes.md").split("\n## ").skip(1);
    let sections = parts.map(|part| {
        let (code, rest) = part.split_once(": ").expect("a heading is `CODE: meaning`");
        (code.parse().expect("a code"), rest)
    });
    sections.collect()
}

/// The example of this code, which may be wrapped, is what was printed: `…` is any text.
#[track_caller]
fn shows(code: u8, printed: &str) {
    let sections = sections();
    let (_, section) = sections
        .iter()
        .find(|(found, _)| *found == code)
        .expect("a section for the code");
    let (_, example) = section.split_once("```text\n").expect("an example");
    let (example, _) = example.split_once("\n```").expect("it ends");
    let example = example.replace('\n', " ");
    let mut rest = printed.trim_end();
    for (index, part) in example.split('…').enumerate() {
        let at = rest.find(part);
        let is_here = if index == 0 {
            at == Some(0)
        } else {
            at.is_some()
        };
        assert!(is_here, "`{part}` of the example is not in: {printed}");
        rest = &rest[at.unwrap_or_default() + part.len()..];
    }
    assert!(
        rest.is_empty() || example.ends_with('…'),
        "`{rest}` is not in the example"
    );
}

#[test]
fn every_code_has_a_section_and_no_other() {
    let listed: Vec<u8> = sections().into_iter().map(|(code, _)| code).collect();
    let mut all: Vec<u8> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.exit_code())
        .collect();
    all.sort_unstable();
    all.dedup();

    assert_eq!(listed, all);
}

#[test]
fn the_example_of_64_is_what_is_printed() {
    let printed = Job::new().tidegate(["run", "--no-such-flag"]);

    printed.exits(64);
    shows(64, &printed.stderr);
}

#[test]
fn the_example_of_65_is_what_is_printed() {
    let run = orders().old(TWO).page(200, "[]").run();

    run.exits(Outcome::GateRefused);
    shows(65, &run.stderr);
}

#[test]
fn the_example_of_69_is_what_is_printed() {
    let run = orders().reply(Reply::new(404, "gone")).run();

    run.exits(Outcome::SourceRefused);
    shows(69, &run.stderr);
}

#[test]
fn the_example_of_70_is_what_is_printed() {
    let mut job = Job::misbehaving("loop")
        .set("JOB_NAME", "orders")
        .set("CPU_LIMIT", "1s");

    let run = job.run();

    run.exits(Outcome::ComponentFailed);
    shows(70, &run.stderr);
}

#[test]
fn the_example_of_73_is_what_is_printed() {
    let mut job = orders();
    std::fs::create_dir_all(job.output()).expect("make the folder");
    std::fs::write(job.output().join("latest.json"), "[]").expect("write a file");

    let run = job.run();

    run.exits(Outcome::OutputUnusable);
    shows(73, &run.stderr);
}

#[test]
fn the_example_of_74_is_what_is_printed() {
    // Room for what is staged, in blocks of 512 bytes, and too little for what is published.
    let launcher = "trap '' XFSZ; ulimit -f 1800; exec \"$@\"";
    let records = format!("[{}{{}}]", "{},".repeat(250_000 - 1));

    let run = orders().page(200, &records).launched_by(launcher).run();

    run.exits(Outcome::IoFailed);
    shows(74, &run.stderr);
}

#[test]
fn the_example_of_75_is_what_is_printed() {
    let run = orders()
        .set("MAX_RETRIES", "0")
        .reply(Reply::new(503, ""))
        .run();

    run.exits(Outcome::TryLater);
    shows(75, &run.stderr);
}

#[test]
fn the_example_of_76_is_what_is_printed() {
    let run = orders()
        .reply(
            Reply::new(200, "<html><title>Maintenance</title></html>")
                .header("content-type", "text/html"),
        )
        .run();

    run.exits(Outcome::ProtocolBroken);
    shows(76, &run.stderr);
}

#[test]
fn the_example_of_77_is_what_is_printed() {
    let run = orders().reply(Reply::new(401, "")).run();

    run.exits(Outcome::Denied);
    shows(77, &run.stderr);
}

#[test]
fn the_example_of_78_is_what_is_printed() {
    let run = orders().unset("SOURCE_API_URL").run();

    run.exits(Outcome::Settings);
    shows(78, &run.stderr);
}

#[test]
fn the_examples_of_130_and_143_are_what_is_printed() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut job = orders().reply(Reply::silence());

        let run = job.start().has_asked(1).signalled(signal).ends();

        shows(code, &run.stderr);
    }
}
