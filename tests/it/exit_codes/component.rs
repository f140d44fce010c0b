//! The codes that come from the component: 70, and 77 for one that imports more than there is to grant.

use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::{Job, guests, hex};

const ONE: &str = r#"[{"id":1}]"#;

/// A run of the misbehaving component that must fail like this and leave what was published.
fn fails(behaviour: &str, outcome: Outcome, told: &str) {
    let run = Job::misbehaving(behaviour).old(ONE).run();

    run.exits(outcome).publishes_nothing().stderr_has(told);
}

#[test]
fn the_component_of_these_tests_can_behave() {
    let run = Job::misbehaving("none").run();

    run.exits(Outcome::Published)
        .publishes(&serde_json::json!([{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]));
}

#[test]
fn a_component_that_traps_is_70() {
    fails("trap", Outcome::ComponentFailed, "trapped");
}

#[test]
fn a_component_that_panics_is_70() {
    // With the text of the panic, which the component wrote to stderr.
    let run = Job::misbehaving("panic").old(ONE).run();

    run.exits(Outcome::ComponentFailed)
        .stderr_has(
            "trapped: wasm trap: wasm `unreachable` instruction executed; its last warning: ",
        )
        .stderr_has("the misbehaving component panicked on purpose`; ");
}

#[test]
fn a_component_that_uses_up_its_cpu_time_is_70() {
    // In its own code, or in calls of the host.
    for way in ["loop", "loop-in-host-calls"] {
        let run = Job::misbehaving(way).old(ONE).set("CPU_LIMIT", "1s").run();

        run.exits(Outcome::ComponentFailed)
            .publishes_nothing()
            .stderr_has("CPU_LIMIT");
    }
}

#[test]
fn a_component_that_needs_more_memory_is_70() {
    let run = Job::misbehaving("eat-memory")
        .old(ONE)
        .set("MEMORY_LIMIT", "16MiB")
        .run();

    run.exits(Outcome::ComponentFailed)
        .publishes_nothing()
        .stderr_has("MEMORY_LIMIT");
}

#[test]
fn a_component_that_breaks_the_contract_is_70() {
    fails("count-too-many", Outcome::ComponentFailed, "contract");
}

#[test]
fn a_component_that_says_why_it_failed_is_believed() {
    fails("fail-settings", Outcome::Settings, "SOURCE_ASK");
    fails("fail-denied", Outcome::Denied, "told to fail");
    fails("fail-refused", Outcome::SourceRefused, "told to fail");
    fails("fail-unavailable", Outcome::TryLater, "told to fail");
    fails("fail-protocol", Outcome::ProtocolBroken, "told to fail");
    fails("fail-data", Outcome::GateRefused, "told to fail");
    fails("fail-output", Outcome::IoFailed, "told to fail");
}

#[test]
fn a_component_that_is_replaced_while_it_runs_changes_nothing() {
    let job = Job::new();
    let file = job.beside("own.wasm");
    std::fs::copy(guests::misbehaving(), &file).unwrap();
    let sha256 = hex(&std::fs::read(&file).unwrap());
    let mut job = job
        .component(&file)
        .set("SOURCE_MISBEHAVIOUR", "ask-and-tell")
        .set("SOURCE_ASK", "{server}/")
        .api(move |_| {
            std::fs::write(&file, "something else").unwrap();
            Reply::new(200, "[]")
        });

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(run.manifest()["component"]["sha256"], sha256);
}

#[test]
fn a_component_that_imports_more_than_is_granted_is_77_and_never_runs() {
    let job = Job::new();
    let wat = r#"(component
        (import "wasi:sockets/tcp@0.3.0" (instance))
        (import "wasi:keyvalue/store@0.2.0" (instance))
        (import "wasi:io/poll@0.2.12" (instance)))"#;
    let file = job.beside("greedy.wasm");
    std::fs::write(&file, wat::parse_str(wat).unwrap()).unwrap();

    let run = job.old(ONE).component(&file).run();

    run.exits(Outcome::Denied)
        .asked(0)
        .publishes_nothing()
        .stderr_has("wasi:sockets/tcp@0.3.0");
    run.stderr_has("wasi:keyvalue/store@0.2.0");
    assert!(!run.stderr.contains("wasi:io/poll"), "{}", run.stderr);
}
