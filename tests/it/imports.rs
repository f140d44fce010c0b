//! What the built component may ask for, read from the component itself: a claim about security, so a test.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::world::Job;
use wit_component::DecodedWasm;
use wit_parser::{Docs, Resolve, TypeDefKind, WorldId, WorldItem};

/// The component file is downloaded, reviewed and compiled: it stays small. The room is spent on speed and on Unicode.
const COMPONENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What `tidegate component` prints.
fn component() -> Vec<u8> {
    let printed = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("component")
        .output()
        .unwrap();
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    printed.stdout
}

/// The packages in `wit/`, and the world `sync-job`.
fn wit() -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(folder).unwrap();
    let world = resolve.select_world(&[package], Some("sync-job")).unwrap();
    (resolve, world)
}

/// The interfaces and functions a world imports and exports, by name and version.
fn asked_and_offered(resolve: &Resolve, world: WorldId) -> (BTreeSet<String>, BTreeSet<String>) {
    let world = &resolve.worlds[world];
    let names = |items: wit_parser::IndexMap<wit_parser::WorldKey, WorldItem>| {
        items
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect()
    };
    (names(world.imports.clone()), names(world.exports.clone()))
}

#[test]
fn the_component_imports_and_exports_what_the_world_says_and_nothing_else() {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component()).unwrap()
    else {
        panic!("it is no component");
    };
    let (asked, offered) = asked_and_offered(&resolve, world);
    let (wit, world) = wit();
    let (granted, wanted) = asked_and_offered(&wit, world);

    assert_eq!(asked, granted);
    assert_eq!(offered, wanted);
}

#[test]
fn the_world_is_eleven_interfaces_without_sockets_random_stdin_or_exit() {
    let (resolve, world) = wit();

    let (asked, offered) = asked_and_offered(&resolve, world);

    let expected = [
        "wasi:cli/environment@0.2.12",
        "wasi:cli/stderr@0.2.12",
        "wasi:clocks/monotonic-clock@0.2.12",
        "wasi:clocks/wall-clock@0.2.12",
        "wasi:filesystem/preopens@0.2.12",
        "wasi:filesystem/types@0.2.12",
        "wasi:http/outgoing-handler@0.2.12",
        "wasi:http/types@0.2.12",
        "wasi:io/error@0.2.12",
        "wasi:io/poll@0.2.12",
        "wasi:io/streams@0.2.12",
    ];
    assert_eq!(
        asked.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(
        offered.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "tidegate:sync/job@0.1.0",
            "tidegate:sync/probe@0.1.0",
            "wasi:cli/run@0.2.12"
        ]
    );
}

#[test]
fn the_wit_is_printed_as_one_file_that_is_whole() {
    let printed = Job::new().tidegate(["wit"]);

    let mut resolve = Resolve::default();
    let text = &printed.exits(0).stdout;
    let package = resolve.push_str("connector.wit", text).unwrap();
    for world in ["connector", "satisfied", "sync-job"] {
        let (ours, id) = (
            resolve.select_world(&[package], Some(world)).unwrap(),
            wit(),
        );
        let known =
            id.0.select_world(&[id.0.worlds[id.1].package.unwrap()], Some(world));
        assert_eq!(
            asked_and_offered(&resolve, ours),
            asked_and_offered(&id.0, known.unwrap())
        );
    }
}

#[test]
fn the_wit_is_written_as_a_folder_and_replaces_nothing() {
    let job = Job::new();
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");

    job.tidegate(["wit", "new/wit"])
        .exits(0)
        .stdout_has("wrote 12 files");
    job.tidegate(["wit", "new/wit"]).exits(0);

    for name in [
        "world.wit",
        "job.wit",
        "probe.wit",
        "signer.wit",
        "deps/io.wit",
        "deps/sockets.wit",
    ] {
        let (own, ours) = (job.beside("new/wit").join(name), known.join(name));
        assert!(
            std::fs::read(own).unwrap() == std::fs::read(ours).unwrap(),
            "{name}"
        );
    }
    let (mut resolve, folder) = (Resolve::default(), job.beside("new/wit"));
    resolve.push_dir(folder).unwrap();
    job.file("new/wit/job.wit", "mine");
    std::fs::remove_file(job.beside("new/wit/world.wit")).unwrap();
    job.tidegate(["wit", "new/wit"])
        .exits(73)
        .stderr_has("job.wit");
    assert!(!job.beside("new/wit/world.wit").exists());
}

#[test]
fn wit_that_cannot_be_written_leaves_no_file_that_is_not_whole() {
    // In blocks of 512 bytes. An ignored SIGXFSZ makes the limit an error, as a full disk is.
    let job = Job::new();
    let job = job.launched_by("trap '' XFSZ; ulimit -f 20; exec \"$@\"");

    job.tidegate(["wit", "new/wit"]).exits(74);
    let job = job.launched_by("exec \"$@\"");
    job.tidegate(["wit", "new/wit"])
        .exits(0)
        .stdout_has("wrote 12 files");
}

#[test]
fn the_component_is_smaller_than_a_mebibyte() {
    let bytes = component().len();

    assert!(bytes < COMPONENT_BYTES_MAX, "{bytes} bytes");
}

#[test]
fn the_component_is_the_same_on_every_print() {
    assert!(component() == component());
}

#[test]
fn every_item_of_our_wit_is_documented() {
    let (resolve, world) = wit();
    let ours = resolve.worlds[world].package.unwrap();
    let package = &resolve.packages[ours];
    let mut missing = Vec::new();
    let mut items = 0;
    let mut look = |docs: &Docs, what: String| {
        items += 1;
        if docs
            .contents
            .as_deref()
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            missing.push(what);
        }
    };
    for (name, interface) in &package.interfaces {
        let interface = &resolve.interfaces[*interface];
        look(&interface.docs, name.clone());
        for (function, item) in &interface.functions {
            look(&item.docs, format!("{name}.{function}"));
        }
        for (kind, id) in &interface.types {
            let of = &resolve.types[*id];
            // Used from another interface, where it is documented.
            if matches!(of.kind, TypeDefKind::Type(_)) {
                continue;
            }
            look(&of.docs, format!("{name}.{kind}"));
            for (part, docs) in parts(&of.kind) {
                look(docs, format!("{name}.{kind}.{part}"));
            }
        }
    }
    for (name, world) in &package.worlds {
        look(&resolve.worlds[*world].docs, name.clone());
    }

    assert_eq!(missing, Vec::<String>::new());
    assert!(items > 40, "only {items} items were looked at");
}

/// Every import and export of our worlds carries a comment: wit-parser keeps none for those, so the text is read.
#[test]
fn every_line_of_our_worlds_is_documented() {
    let text = include_str!("../../wit/world.wit");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let undocumented: Vec<&str> = lines
        .windows(2)
        .filter(|pair| pair[1].starts_with("import ") && !pair[0].starts_with("///"))
        .map(|pair| pair[1])
        .collect();

    assert_eq!(undocumented, [""; 0]);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("import "))
            .count(),
        11 + 1 + 18
    );
}

fn parts(kind: &TypeDefKind) -> Vec<(&str, &Docs)> {
    match kind {
        TypeDefKind::Record(of) => of
            .fields
            .iter()
            .map(|part| (part.name.as_str(), &part.docs))
            .collect(),
        TypeDefKind::Variant(of) => of
            .cases
            .iter()
            .map(|part| (part.name.as_str(), &part.docs))
            .collect(),
        TypeDefKind::Enum(of) => of
            .cases
            .iter()
            .map(|part| (part.name.as_str(), &part.docs))
            .collect(),
        TypeDefKind::Flags(of) => of
            .flags
            .iter()
            .map(|part| (part.name.as_str(), &part.docs))
            .collect(),
        _ => Vec::new(),
    }
}
