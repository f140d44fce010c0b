//! What comes before a run: compiling the component, its start functions, `describe`. Nothing there waits for ever, or takes
//! more than it may, and every command ends when it is told to.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::Signal;
use tidegate::outcome::Outcome;

use crate::world::{Job, guests};

const ONE: &str = r#"[{"id":1}]"#;

/// Starts with an endless loop.
const LOOPS: &str = "(component (core module $m (func $f (loop (br 0))) (start $f)) (core instance (instantiate $m)))";
/// Starts with a function that calls itself.
const RECURSES: &str =
    "(component (core module $m (func $f (call $f)) (start $f)) (core instance (instantiate $m)))";
/// Starts with waiting for centuries.
const SLEEPS: &str = r#"(component
    (import "wasi:io/poll@0.2.12" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.12" (instance $clock
        (alias outer 1 $pollable (type $q))
        (export "pollable" (type $r (eq $q)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $r))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core module $m
        (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "wasi" "block" (func $block (param i32)))
        (func $f (call $block (call $subscribe (i64.const 9000000000000000000))))
        (start $f))
    (core instance (instantiate $m (with "wasi" (instance
        (export "subscribe" (func $subscribe))
        (export "block" (func $block)))))))"#;

/// A job whose component is this.
fn job(wat: &str) -> Job {
    let job = Job::new();
    let file = job.beside("own.wasm");
    std::fs::write(&file, wat::parse_str(wat).unwrap()).unwrap();
    job.component(&file)
}

/// A component that takes minutes to compile; imports what is said, too.
fn costly(imports: &str) -> String {
    let mut function = "(func (param i32) (result i32) (local ".to_owned();
    function.push_str(&"i64 ".repeat(200));
    function.push(')');
    for step in 0..200_000 {
        let local = |factor: usize| 1 + step * factor % 200;
        let (a, b, sum) = (local(1), local(7), local(13));
        let _ = write!(
            function,
            "local.get {a} local.get {b} i64.add local.set {sum} local.get 0 (if (then local.get {b} local.set {a}))"
        );
    }
    function.push_str("local.get 0)");
    format!("(component {imports} (core module {}))", function.repeat(4))
}

/// A file with one that imports nothing.
fn costly_file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("costly.wasm");
        std::fs::write(&file, wat::parse_str(costly("")).unwrap()).unwrap();
        file
    })
}

#[test]
fn a_describe_that_waits_is_ended_after_five_seconds() {
    let job = Job::new().component(&guests::describing("sleep"));

    let run = job.old(ONE).run();

    run.exits(Outcome::ComponentFailed)
        .asked(0)
        .publishes_nothing()
        .stderr_has("within 5s");
    assert_eq!(run.last_run()["exit_code"], 70);
}

#[test]
fn a_start_function_has_the_limits_of_describe() {
    // On a busy machine the seconds may be over before the CPU time is.
    for (wat, told) in [
        (LOOPS, "the component"),
        (RECURSES, "trapped"),
        (SLEEPS, "within 5s"),
    ] {
        let run = job(wat).run();

        run.exits(Outcome::ComponentFailed)
            .asked(0)
            .stderr_has(told);
    }
}

#[test]
fn a_signal_ends_every_command_whose_component_does_not_describe_itself() {
    let component = guests::describing("sleep").display().to_string();
    let job = Job::new().set("WRITE_MODE", "replace");
    let component = ["--component", &component];

    for (words, signal, code) in [
        (&["describe"][..], Signal::TERM, 143),
        (&["check"], Signal::INT, 130),
        (&["check", "--online"], Signal::TERM, 143),
        (&["preview"], Signal::HUP, 143),
    ] {
        let args: Vec<&str> = words.iter().copied().chain(component).collect();
        let ended = match args[..] {
            [a, b, c] => job.begin([a, b, c]),
            [a, b, c, d] => job.begin([a, b, c, d]),
            _ => unreachable!(),
        };

        let ended = ended.hears_signals().signalled(signal).ends();

        ended.exits(code).stderr_has("stopped by SIG");
    }
}

#[test]
fn a_signal_ends_a_run_whose_component_does_not_describe_itself() {
    let mut job = Job::new().component(&guests::describing("sleep")).old(ONE);

    let run = job.start().hears_signals().signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated).publishes_nothing();
    assert_eq!(run.last_run()["exit_code"], 143);
}

#[test]
fn the_deadline_ends_a_run_whose_component_does_not_describe_itself() {
    let job = Job::new().old(ONE).then(|job| {
        job.component(&guests::describing("sleep"))
            .set("RUN_DEADLINE", "1s")
    });
    let mut job = job;

    let run = job.run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has("RUN_DEADLINE");
    assert_eq!(run.last_run()["exit_code"], 75);
}

#[test]
fn a_signal_ends_a_run_that_compiles() {
    let mut job = Job::new().component(costly_file());

    let run = job.start().hears_signals().signalled(Signal::INT).ends();

    run.exits(Outcome::Interrupted);
}

#[test]
fn the_deadline_ends_a_run_that_compiles() {
    let mut job = Job::new()
        .component(costly_file())
        .set("RUN_DEADLINE", "1s");

    job.run()
        .exits(Outcome::TryLater)
        .stderr_has("RUN_DEADLINE");
}

#[test]
fn compiling_ends_at_its_own_limit() {
    let mut job = Job::new()
        .component(costly_file())
        .set("COMPILE_CPU_LIMIT", "1s");

    let run = job.run();

    run.exits(Outcome::ComponentFailed)
        .asked(0)
        .stderr_has("COMPILE_CPU_LIMIT");
}

/// The kernel's limit is the one of the process, or what was left to it by who started the run, as here.
#[test]
fn compiling_takes_no_more_memory_than_it_may() {
    // The compiler asks for memory and ends itself without, or says that it got none.
    let costly = Job::new().component(costly_file());
    let built_in = Job::new().set("TIDEGATE_CACHE_DIR", "");
    for (job, kib) in [(costly, 150_000), (built_in, 60_000)] {
        let mut job = job.launched_by(&format!("ulimit -d {kib}; exec \"$@\""));

        job.run()
            .exits(Outcome::ComponentFailed)
            .asked(0)
            .stderr_has("MiB of memory");
    }
}

#[test]
fn what_is_imported_is_refused_before_anything_is_compiled() {
    let import = r#"(import "wasi:sockets/tcp@0.3.0" (instance))"#;
    let run = job(&costly(import)).set("COMPILE_CPU_LIMIT", "1s").run();

    run.exits(Outcome::Denied)
        .stderr_has("before compiling it")
        .stderr_has("wasi:sockets/tcp@0.3.0");
}

#[test]
fn a_component_that_would_make_too_much_is_70_and_never_compiled() {
    let twice = |inner: &str| {
        format!("(component $c {inner}) (instance (instantiate $c)) (instance (instantiate $c))")
    };
    let three = "(core instance (instantiate $m))".repeat(3);
    let core = format!("(core module $m) {three}");
    let laughs = (0..6).fold(core, |inner, _| twice(&inner));

    job(&format!("(component {laughs})"))
        .run()
        .exits(Outcome::ComponentFailed)
        .stderr_has("more than 128 core instances");
}

#[test]
fn health_ends_while_the_database_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let url = format!("postgres://user@{address}/data?sslmode=disable");
    let job = Job::new().set("OUTPUT_DATABASE_URL", &url);

    let stopped = job.begin(["health"]).hears_signals();
    let stopped = stopped.signalled(Signal::TERM).ends();
    let late = job.set("RUN_DEADLINE", "1s").begin(["health"]).ends();

    stopped.exits(143).stderr_has("SIGTERM");
    late.exits(75).stderr_has("RUN_DEADLINE");
}
