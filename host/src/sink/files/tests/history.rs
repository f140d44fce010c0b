//! Any history of runs ends as its model does: a map that is edited in the same order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use proptest::prelude::*;

use crate::settings::data_file;
use crate::settings::data_file::{Compression, OutputFormat};
use crate::settings::plan::WriteMode;
use crate::sink::Extent::{Changes, Everything};
use crate::sink::files::write::decoded;
use crate::sink::tests::world::{Left, World, difference};

/// A key as it is written, and how it sorts: integers first.
fn keys() -> impl Strategy<Value = (i64, String)> {
    prop_oneof![
        (-15_i64..15).prop_map(|n| (n, n.to_string())),
        (0_i64..8).prop_map(|n| (1_000 + n, format!("\"k{n}\""))),
    ]
}

#[derive(Debug, Clone)]
enum Edit {
    Put((i64, String), usize),
    Delete((i64, String)),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => (keys(), 0_usize..90).prop_map(|(key, size)| Edit::Put(key, size)),
        1 => keys().prop_map(Edit::Delete),
    ];
    prop::collection::vec(edit, 0..25)
}

fn apply(edits: &[Edit], model: &mut BTreeMap<i64, String>) -> Left {
    let (mut left, mut staged) = (Left::default(), 0);
    for edit in edits {
        match edit {
            Edit::Put((order, key), size) => {
                let record = format!("{{\"id\":{key},\"x\":\"{}\"}}", "x".repeat(*size));
                writeln!(left.records, "{record}").unwrap();
                staged += 1;
                model.insert(*order, record);
            }
            Edit::Delete((order, key)) => {
                writeln!(left.deleted, "{{\"key\":[{key}],\"at\":{staged}}}").unwrap();
                model.remove(order);
            }
        }
    }
    left
}

fn formats() -> impl Strategy<Value = (OutputFormat, Compression)> {
    let formats = [OutputFormat::Json, OutputFormat::Ndjson, OutputFormat::Csv];
    let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
    (
        prop::sample::select(formats.to_vec()),
        prop::sample::select(compressions.to_vec()),
    )
}

/// The text of a published file.
fn text(world: &World, name: &str) -> String {
    let file = File::open(world.path(name)).unwrap();
    let mut text = String::new();
    match decoded(&file, data_file::compression_of(name)).unwrap() {
        Some(mut reader) => reader.read_to_string(&mut text).unwrap(),
        None => (&file).read_to_string(&mut text).unwrap(),
    };
    text
}

fn wanted(format: OutputFormat, records: &[&str]) -> String {
    match (format, records.is_empty()) {
        (OutputFormat::Json, true) => "[\n]\n".to_owned(),
        (OutputFormat::Json, false) => format!("[\n{}\n]\n", records.join(",\n")),
        (_, true) => String::new(),
        (_, false) => format!("{}\n", records.join("\n")),
    }
}

/// The records of a csv file with a header, as they were before they became text.
fn of_table(text: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.records().map(Result::unwrap);
    rows.map(|row| {
        let key = if row[0].starts_with('k') {
            format!("\"{}\"", &row[0])
        } else {
            row[0].to_owned()
        };
        format!("{{\"id\":{key},\"x\":\"{}\"}}", &row[1])
    })
    .collect()
}

proptest! {
    #[test]
    fn every_history_ends_as_its_model_does(
        history in prop::collection::vec((prop::bool::weighted(0.2), prop::option::weighted(0.4, formats()), edits()), 1..6),
        first in formats(),
        sort_buffer_bytes in 1_usize..2_000,
        sort_runs in 2_usize..5,
    ) {
        let mut world = World::new(WriteMode::Upsert, first.0, &["/id"]);
        world.output.compression = first.1;
        world.limits.sort_buffer_bytes = sort_buffer_bytes;
        world.limits.sort_runs = sort_runs;
        let mut model = BTreeMap::new();

        for (everything, changed, edits) in history {
            if let Some((format, compression)) = changed {
                world.output.format = format;
                world.output.compression = compression;
            }
            let before = model.clone();
            if everything {
                model.clear();
            }
            let left = apply(&edits, &mut model);
            let extent = if everything { Everything } else { Changes };
            let (_, totals) = world.run(extent, &left).unwrap();

            let records: Vec<&str> = model.values().map(String::as_str).collect();
            let format = world.output.format;
            let file = data_file::name(format, world.output.compression);
            prop_assert_eq!(totals.records, model.len() as u64);
            prop_assert_eq!(totals.difference, difference(&before, &model));
            if format == OutputFormat::Csv {
                prop_assert_eq!(of_table(&text(&world, file)), records.clone());
                prop_assert_eq!(world.text("current/records.ndjson"), wanted(format, &records));
            } else {
                prop_assert_eq!(text(&world, file), wanted(format, &records));
                prop_assert!(!world.path("current/records.ndjson").exists());
            }
            let current = world.current().unwrap().unwrap();
            let sha256 = crate::hash::sha256(&std::fs::read(world.path(file)).unwrap());
            prop_assert_eq!(&current.set().unwrap().record.sha256, &sha256);

            let (commit, totals) = world.run(Changes, &left).unwrap();
            prop_assert!(commit.unchanged && totals.unchanged, "the same changes again are nothing new");
        }
    }
}
