//! What is believed of a folder, and what is not.

use jiff::Timestamp;

use super::*;
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Extent::Everything;
use crate::sink::tests::world::{Left, World};

/// Two published generations of one record each.
fn published() -> World {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);
    world
        .run(Everything, &Left::records("{\"v\":1}\n"))
        .unwrap();
    world
        .run(Everything, &Left::records("{\"v\":2}\n"))
        .unwrap();
    world
}

fn refused(world: &mut World) -> String {
    let failure = world
        .run(Everything, &Left::records("{\"v\":3}\n"))
        .unwrap_err();
    assert_eq!(failure.outcome, Outcome::OutputUnusable, "{failure}");
    failure.message
}

fn names_of(world: &World) -> Vec<GenerationName> {
    names(&world.folder().folder(GENERATIONS).unwrap().unwrap()).unwrap()
}

#[test]
fn a_name_is_read_as_it_was_written() {
    let name = GenerationName::new(42, "2026-11-23T06:00:00.7Z".parse().unwrap(), b"{}");

    assert_eq!(name.to_string(), "000042-20261123T060000Z-44136fa355b3678a");
    assert_eq!(GenerationName::parse(&name.to_string()).unwrap().number, 42);
    assert_eq!(
        GenerationName::parse(&name.to_string()).unwrap().committed,
        "2026-11-23T06:00:00Z".parse().unwrap()
    );
}

#[test]
fn a_number_of_more_digits_is_a_number() {
    let name = GenerationName::new(1_234_567, Timestamp::UNIX_EPOCH, b"");

    assert_eq!(GenerationName::parse(&name.to_string()), Some(name));
}

#[test]
fn what_only_looks_like_a_name_is_none() {
    for odd in [
        "",
        "42-20261123T060000Z-44136fa355b3678a",
        "000000-20261123T060000Z-44136fa355b3678a",
        "000042-20261123T060000Z-44136FA355B3678A",
        "000042-20261323T060000Z-44136fa355b3678a",
        "000042-20261123T060000Z-44136fa355b3678a-x",
        "000042-20261123T060000Z",
        "../042-20261123T060000Z-44136fa355b3678a",
    ] {
        assert_eq!(GenerationName::parse(odd), None, "{odd}");
    }
}

#[test]
fn before_the_first_run_there_is_no_generation() {
    let world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);

    assert!(world.current().unwrap().is_none());
}

#[test]
fn a_missing_manifest_is_refused_with_the_way_back() {
    let mut world = published();
    std::fs::remove_file(world.path("current/manifest.json")).unwrap();

    let text = refused(&mut world);

    assert!(text.contains("manifest.json` is missing"), "{text}");
    let older = names_of(&world)[0].to_string();
    assert!(
        text.contains(&format!("ln -s generations/{older} ")),
        "{text}"
    );
}

#[test]
fn going_the_way_back_works() {
    let mut world = published();
    std::fs::remove_file(world.path("current/manifest.json")).unwrap();
    let text = refused(&mut world);
    let command = text
        .split('`')
        .find(|part| part.starts_with("ln -s"))
        .unwrap();

    assert!(
        std::process::Command::new("sh")
            .args(["-c", command])
            .status()
            .unwrap()
            .success()
    );

    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
    world
        .run(Everything, &Left::records("{\"v\":3}\n"))
        .unwrap();
    assert_eq!(world.current().unwrap().unwrap().name.number, 2);
}

#[test]
fn a_torn_or_edited_manifest_is_refused() {
    let mut world = published();
    let text = world.text("current/manifest.json");
    for damaged in [
        &text[..text.len() / 2],
        "",
        &text.replace("\"pages\": 1", "\"pages\": 2"),
    ] {
        std::fs::write(world.path("current/manifest.json"), damaged).unwrap();

        assert!(refused(&mut world).contains("not the one that its folder is named after"));
    }
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_even_under_its_right_name() {
    let mut world = published();
    let text = world
        .text("current/manifest.json")
        .replace("\"format\": 1", "\"format\": 2");
    rename_current(&world, &text);

    assert!(refused(&mut world).contains("newer tidegate (format 2"));
}

#[test]
fn a_generation_that_was_renumbered_is_refused() {
    let mut world = published();
    let old = names_of(&world).pop().unwrap();
    let renumbered = link(&old).replace("/000002-", "/000009-");
    std::fs::rename(world.path(&link(&old)), world.path(&renumbered)).unwrap();
    std::fs::remove_file(world.path(CURRENT)).unwrap();
    std::os::unix::fs::symlink(renumbered, world.path(CURRENT)).unwrap();

    assert!(refused(&mut world).contains("is of generation 2"));
}

#[test]
fn a_manifest_that_names_a_file_elsewhere_is_refused() {
    let mut world = published();
    let text = world.text("current/manifest.json").replace(
        "\"files\": {",
        "\"files\": {\"../x\": {\"bytes\":0,\"sha256\":\"\",\"records\":0},",
    );
    rename_current(&world, &text);

    assert!(refused(&mut world).contains("names the file `../x`"));
}

#[test]
fn a_data_file_that_is_gone_or_of_another_size_is_refused() {
    let mut world = published();
    std::fs::write(world.path("latest.json"), "[]").unwrap();
    assert!(refused(&mut world).contains("has 2 bytes, but 12 in its manifest"));

    std::fs::remove_file(world.path("current/latest.json")).unwrap();
    assert!(refused(&mut world).contains("latest.json` is missing"));
}

#[test]
fn a_current_that_names_something_else_is_refused() {
    for target in [
        "generations/mine",
        "/etc",
        "../elsewhere/000001-20261123T060000Z-44136fa355b3678a",
    ] {
        let mut world = published();
        std::fs::remove_file(world.path(CURRENT)).unwrap();
        std::os::unix::fs::symlink(target, world.path(CURRENT)).unwrap();

        let message = refused(&mut world);
        assert!(message.contains("which is not a generation"), "{message}");
        assert!(message.contains("; to continue from 000002-"), "{message}");
    }
}

#[test]
fn a_current_that_is_a_folder_is_refused() {
    let mut world = published();
    std::fs::remove_file(world.path(CURRENT)).unwrap();
    std::fs::create_dir(world.path(CURRENT)).unwrap();

    let message = refused(&mut world);
    assert!(message.contains("it is not a link"), "{message}");
    assert!(message.contains("; to continue from 000002-"), "{message}");
}

#[test]
fn a_lost_current_is_no_first_run() {
    let mut world = published();
    std::fs::remove_file(world.path(CURRENT)).unwrap();

    let text = refused(&mut world);

    assert!(text.contains("it is missing"), "{text}");
    assert_eq!(names_of(&world).len(), 2);
}

#[test]
fn a_first_generation_that_was_never_published_is_a_leftover() {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);
    world
        .run(Everything, &Left::records("{\"v\":1}\n"))
        .unwrap();
    std::fs::remove_file(world.path(CURRENT)).unwrap();

    world
        .run(Everything, &Left::records("{\"v\":2}\n"))
        .unwrap();

    assert_eq!(world.text("latest.json"), "[\n{\"v\":2}\n]\n");
    assert_eq!(names_of(&world).len(), 1);
}

/// Puts `manifest` into the current generation and names the folder after it.
fn rename_current(world: &World, manifest: &str) {
    let old = names_of(world).pop().unwrap();
    let new = GenerationName::new(old.number, old.committed, manifest.as_bytes());
    std::fs::write(world.path("current/manifest.json"), manifest).unwrap();
    std::fs::rename(world.path(&link(&old)), world.path(&link(&new))).unwrap();
    std::fs::remove_file(world.path(CURRENT)).unwrap();
    std::os::unix::fs::symlink(link(&new), world.path(CURRENT)).unwrap();
}
