use super::*;
use crate::sink::Extent::{Changes, Everything};
use crate::sink::Sink as _;
use crate::sink::tests::world::{Left, World};

/// What is begun of these records in a new run of `world`, and what is then in the folder in which it is made.
fn begun(world: &World, records: &str, base: BuildsOn) -> (Option<Begun>, Vec<String>) {
    let read = world.path("staged");
    std::fs::write(&read, records).unwrap();
    let file = std::fs::File::open(&read).unwrap();
    world.opened(|files| {
        let staging = files.run_folder().unwrap();
        let begun = files
            .begin(Lines::new(Some(&file), 1_000), &staging, base)
            .unwrap();
        let folder = staging.root().folder(FOLDER).unwrap();
        let made = folder.map(|folder| folder.names(|_| true).unwrap());
        (begun, made.unwrap_or_default())
    })
}

#[test]
fn records_in_the_order_of_their_keys_are_the_file_already() {
    let world = World::new(WriteMode::Replace, OutputFormat::Ndjson, &["/id"]);

    let (set, made) = begun(&world, "{\"id\":1}\n{\"id\":2}\n", BuildsOn::Nothing);

    let Some(Begun::Set(files, read, _)) = set else {
        panic!("no set was begun");
    };
    assert_eq!((files[0].record.records, read.staged), (2, 2));
    assert_eq!(made, ["latest.ndjson"]);
}

#[test]
fn records_in_another_order_leave_nothing_behind() {
    let world = World::new(WriteMode::Replace, OutputFormat::Ndjson, &["/id"]);

    for records in [
        "{\"id\":2}\n{\"id\":1}\n",
        "{\"id\":2}\n{\"id\":2}\n",
        "{\"id\":2}\n{\"id\":3}\n{\"id\":1}\n",
    ] {
        let (set, made) = begun(&world, records, BuildsOn::Nothing);

        assert!(set.is_none());
        assert_eq!(made, [""; 0]);
    }
}

#[test]
fn of_no_records_nothing_is_begun() {
    let world = World::new(WriteMode::Replace, OutputFormat::Ndjson, &["/id"]);

    let (set, made) = begun(&world, "", BuildsOn::Nothing);

    assert!(set.is_none());
    assert_eq!(made, [""; 0]);
}

#[test]
fn a_line_that_is_wrong_leaves_nothing_behind() {
    let world = World::new(WriteMode::Replace, OutputFormat::Ndjson, &["/id"]);
    let file = world.path("staged");
    std::fs::write(&file, "{\"id\":1}\n{}\n").unwrap();
    let file = std::fs::File::open(&file).unwrap();

    world.opened(|files| {
        let staging = files.run_folder().unwrap();
        let lines = Lines::new(Some(&file), 1_000);
        assert!(files.begin(lines, &staging, BuildsOn::Nothing).is_err());
        assert!(staging.root().folder(FOLDER).unwrap().is_none());
    });
}

#[test]
fn changes_are_sorted_where_there_is_a_set_to_change() {
    let mut world = World::new(WriteMode::Upsert, OutputFormat::Ndjson, &["/id"]);
    let changes = "{\"id\":2}\n{\"id\":1}\n";

    let (first, _) = begun(&world, changes, BuildsOn::LastCommit);
    world
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();
    let (second, _) = begun(&world, changes, BuildsOn::LastCommit);

    assert!(first.is_none());
    assert!(matches!(second, Some(Begun::Sorted(_, read)) if read.staged == 2));
}

#[test]
fn what_was_begun_for_another_base_changes_nothing() {
    let deleted = "{\"key\":[1],\"at\":2}\n";
    for (records, deleted) in [
        ("{\"id\":1}\n{\"id\":5}\n", ""),
        ("{\"id\":5}\n{\"id\":1}\n", ""),
        ("{\"id\":1}\n{\"id\":5}\n", deleted),
    ] {
        for extent in [Everything, Changes] {
            // So many spaces: the length decides what was begun.
            let sets = [0, 1, 2].map(|spaces| {
                let mut world = World::new(WriteMode::Upsert, OutputFormat::Ndjson, &["/id"]);
                world
                    .run(Everything, &Left::records("{\"id\":3}\n"))
                    .unwrap();
                let left = Left {
                    records: records.replace("5}", &format!("5{}}}", " ".repeat(spaces))),
                    deleted: deleted.to_owned(),
                    ..Left::default()
                };
                world.run(extent, &left).unwrap();
                world.text("latest.ndjson").replace(' ', "")
            });

            assert_eq!(sets[0], sets[1]);
            assert_eq!(sets[0], sets[2]);
        }
    }
}
