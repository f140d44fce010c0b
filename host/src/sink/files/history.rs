//! Any history of runs ends as its model does: a map that is edited in the same order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::plan::{OutputFormat, WriteMode};
use crate::sink::Extent::{Changes, Everything};
use crate::sink::world::{Left, World};

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

proptest! {
    #[test]
    fn every_history_ends_as_its_model_does(
        history in prop::collection::vec((prop::bool::weighted(0.2), edits()), 1..6),
        json in any::<bool>(),
        sort_buffer_bytes in 1_usize..2_000,
        sort_runs in 2_usize..5,
    ) {
        let (format, file) = if json { (OutputFormat::Json, "latest.json") } else { (OutputFormat::Ndjson, "latest.ndjson") };
        let mut world = World::new(WriteMode::Upsert, format, &["/id"]);
        world.limits.sort_buffer_bytes = sort_buffer_bytes;
        world.limits.sort_runs = sort_runs;
        let mut model = BTreeMap::new();

        for (everything, edits) in history {
            if everything {
                model.clear();
            }
            let left = apply(&edits, &mut model);
            let (_, totals) = world.run(if everything { Everything } else { Changes }, &left).unwrap();
            prop_assert_eq!(totals.records, model.len() as u64);
            let records: Vec<&str> = model.values().map(String::as_str).collect();
            let wanted = match (json, records.is_empty()) {
                (true, true) => "[\n]\n".to_owned(),
                (true, false) => format!("[\n{}\n]\n", records.join(",\n")),
                (false, true) => String::new(),
                (false, false) => format!("{}\n", records.join("\n")),
            };
            prop_assert_eq!(world.text(file), wanted);
        }
    }
}
