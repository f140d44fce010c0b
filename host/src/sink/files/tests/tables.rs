//! csv and compressed files across runs: columns, changes of format and layout, damaged files.

use std::os::unix::fs::MetadataExt as _;

use crate::outcome::Outcome;
use crate::settings::columns;
use crate::settings::data_file::{Compression, Formulas, OutputFormat};
use crate::settings::plan::WriteMode;
use crate::sink::Extent::{Changes, Everything, NothingNew};
use crate::sink::tests::world::{Left, World};

fn upserting() -> World {
    World::new(WriteMode::Upsert, OutputFormat::Csv, &["/id"])
}

fn replacing() -> World {
    World::new(WriteMode::Replace, OutputFormat::Csv, &[])
}

#[test]
fn a_column_stays_in_its_place_and_a_new_one_comes_last_in_both_modes() {
    for mut world in [upserting(), replacing()] {
        let extent = if world.mode == WriteMode::Upsert {
            Changes
        } else {
            Everything
        };
        world
            .run(extent, &Left::records("{\"id\":1,\"b\":1}\n"))
            .unwrap();

        world
            .run(Everything, &Left::records("{\"a\":2,\"id\":2}\n"))
            .unwrap();

        assert_eq!(world.text("latest.csv"), "id,b,a\r\n2,,2\r\n");
        let csv = world.current().unwrap().unwrap().manifest.csv.unwrap();
        assert_eq!(csv.columns, ["id", "b", "a"]);
    }
}

#[test]
fn records_are_merged_exactly_and_kept_beside_the_table_under_upsert_alone() {
    let mut world = upserting();
    world
        .run(
            Changes,
            &Left::records("{\"id\":2,\"v\":\"1.10\"}\n{\"id\":1,\"v\":1.10}\n"),
        )
        .unwrap();
    world
        .run(Changes, &Left::records("{\"id\":3,\"v\":[1]}\n"))
        .unwrap();

    assert_eq!(
        world.text("latest.csv"),
        "id,v\r\n1,1.10\r\n2,1.10\r\n3,[1]\r\n"
    );
    assert_eq!(
        world.text("current/records.ndjson"),
        "{\"id\":1,\"v\":1.10}\n{\"id\":2,\"v\":\"1.10\"}\n{\"id\":3,\"v\":[1]}\n"
    );
    let files = world.current().unwrap().unwrap().manifest.files;
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["latest.csv", "records.ndjson"]
    );
    assert!(files.values().all(|file| file.records == 3));

    let mut replaced = replacing();
    replaced
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();
    assert!(!replaced.path("current/records.ndjson").exists());
}

#[test]
fn nothing_new_links_the_table_and_the_records() {
    let mut world = upserting();
    world.run(Changes, &Left::records("{\"id\":1}\n")).unwrap();
    let inodes = |world: &World| {
        ["latest.csv", "records.ndjson"].map(|name| {
            std::fs::metadata(world.path("current").join(name))
                .unwrap()
                .ino()
        })
    };
    let before = inodes(&world);

    for (extent, left) in [
        (NothingNew, ""),
        (Changes, "{\"id\":1}\n"),
        (Everything, "{\"id\":1}\n"),
    ] {
        let (_, totals) = world.run(extent, &Left::records(left)).unwrap();
        assert!(totals.unchanged);
        assert_eq!(inodes(&world), before);
    }
}

#[test]
fn a_record_that_changed_and_whose_row_did_not_is_kept_for_the_next_merge() {
    let mut world = upserting();
    world
        .run(Changes, &Left::records("{\"id\":1,\"v\":1}\n"))
        .unwrap();

    let (_, totals) = world
        .run(Changes, &Left::records("{\"id\":1,\"v\":\"1\"}\n"))
        .unwrap();

    assert!(totals.unchanged, "what readers open is the same");
    assert_eq!(
        world.text("current/records.ndjson"),
        "{\"id\":1,\"v\":\"1\"}\n"
    );
}

#[test]
fn other_columns_and_formulas_are_rendered_anew_from_the_records() {
    let mut world = upserting();
    world
        .run(
            Changes,
            &Left::records("{\"id\":1,\"v\":{\"w\":\"=1\"},\"u\":0}\n"),
        )
        .unwrap();

    world.output.columns = columns::parse("w text /v/w\nid /id").unwrap();
    world.output.csv.formulas = Formulas::Escape;
    world.run(NothingNew, &Left::default()).unwrap();
    let chosen = world.text("latest.csv");
    world.output.columns = Vec::new();
    world.run(NothingNew, &Left::default()).unwrap();

    assert_eq!(chosen, "w,id\r\n'=1,1\r\n");
    assert_eq!(
        world.text("latest.csv"),
        "id,v,u\r\n1,\"{\"\"w\"\":\"\"=1\"\"}\",0\r\n"
    );
}

#[test]
fn a_table_without_its_records_is_not_made_into_anything_else() {
    let mut world = replacing();
    world
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();
    let (_, same) = world.run(NothingNew, &Left::default()).unwrap();
    world.output.format = OutputFormat::Json;

    let failure = world.run(NothingNew, &Left::default()).unwrap_err();
    world
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();

    assert!(same.unchanged);
    assert_eq!(failure.outcome, Outcome::Settings);
    assert!(failure.message.contains("`--full-refresh`"), "{failure}");
    assert_eq!(world.text("latest.json"), "[\n{\"id\":1}\n]\n");
}

#[test]
fn a_set_of_another_key_order_is_sorted_anew() {
    let mut world = upserting();
    world
        .run(
            Changes,
            &Left::records("{\"id\":1,\"n\":2}\n{\"id\":2,\"n\":1}\n"),
        )
        .unwrap();
    world.output.keys = vec!["/n".into()];

    world
        .run(Changes, &Left::records("{\"id\":3,\"n\":3}\n"))
        .unwrap();

    assert_eq!(world.text("latest.csv"), "id,n\r\n2,1\r\n1,2\r\n3,3\r\n");
}

#[test]
fn a_replaced_parent_takes_its_rows() {
    let mut world = upserting();
    world.output.replace_by = Some("/of".into());
    world
        .run(
            Changes,
            &Left::records("{\"id\":1,\"of\":1}\n{\"id\":2,\"of\":2}\n"),
        )
        .unwrap();

    let left = Left {
        records: "{\"id\":3,\"of\":1}\n".into(),
        deleted: "{\"parent\":1,\"at\":0}\n".into(),
        rejected: String::new(),
        more: false,
    };
    world.run(Changes, &left).unwrap();

    assert_eq!(world.text("latest.csv"), "id,of\r\n2,2\r\n3,1\r\n");
}

#[test]
fn a_compressed_file_that_is_damaged_is_73_and_not_read() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut world = World::new(WriteMode::Upsert, OutputFormat::Json, &["/id"]);
        world.output.compression = compression;
        world
            .run(Changes, &Left::records("{\"id\":1}\n{\"id\":2}\n"))
            .unwrap();
        let file = world.path(crate::settings::data_file::name(
            OutputFormat::Json,
            compression,
        ));
        let good = std::fs::read(&file).unwrap();

        for index in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[index] ^= 1;
            std::fs::write(&file, bad).unwrap();
            let failure = world
                .run(Changes, &Left::records("{\"id\":3}\n"))
                .unwrap_err();
            assert_eq!(failure.outcome, Outcome::OutputUnusable);
            assert!(
                failure.message.contains("not the ones that were published"),
                "{failure}"
            );
        }
        std::fs::write(&file, &good[..good.len() - 1]).unwrap();
        let torn = world
            .run(Changes, &Left::records("{\"id\":3}\n"))
            .unwrap_err();
        assert_eq!(torn.outcome, Outcome::OutputUnusable);
    }
}
