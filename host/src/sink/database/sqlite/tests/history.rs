//! Any history of runs ends as its model does: a map that is edited in the same order, with the run that last changed a row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::sink::Extent::{Changes, Everything};
use crate::sink::tests::world::{Left, difference};

use super::world::World;

/// Every kind of key: integers that fit, integers that do not, and strings that look like them.
fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        (-9_i64..9).prop_map(|n| n.to_string()),
        (0_i64..4).prop_map(|n| format!("922337203685477580{}", n + 6)),
        (0_i64..4).prop_map(|n| format!("\"{n}\"")),
        (0_i64..4).prop_map(|n| format!("\"922337203685477580{}\"", n + 6)),
    ]
}

#[derive(Debug, Clone)]
enum Edit {
    Put(String, u8, usize),
    Delete(String),
    Replace(u8),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (keys(), 0_u8..3, 0_usize..3).prop_map(|(key, parent, size)| Edit::Put(key, parent, size)),
        2 => keys().prop_map(Edit::Delete),
        1 => (0_u8..3).prop_map(Edit::Replace),
    ];
    prop::collection::vec(edit, 0..25)
}

/// A key's record, and its parent.
type Model = BTreeMap<String, (u8, String)>;

fn apply(edits: &[Edit], model: &mut Model) -> Left {
    let (mut left, mut staged) = (Left::default(), 0);
    for edit in edits {
        match edit {
            Edit::Put(key, parent, size) => {
                let x = "x".repeat(*size);
                let record = format!("{{\"id\":{key},\"of\":{parent},\"x\":\"{x}\"}}");
                writeln!(left.records, "{record}").unwrap();
                staged += 1;
                model.insert(key.clone(), (*parent, record));
            }
            Edit::Delete(key) => {
                writeln!(left.deleted, "{{\"key\":[{key}],\"at\":{staged}}}").unwrap();
                model.remove(key);
            }
            Edit::Replace(parent) => {
                writeln!(left.deleted, "{{\"parent\":{parent},\"at\":{staged}}}").unwrap();
                model.retain(|_, (of, _)| of != parent);
            }
        }
    }
    left
}

proptest! {
    #[test]
    fn every_history_ends_as_its_model_does(
        history in prop::collection::vec((prop::bool::weighted(0.2), edits()), 1..6),
        sort_buffer_bytes in 1_usize..2_000,
    ) {
        let mut world = World::upsert();
        world.set("REPLACE_BY", "/of");
        world.limits.sort_buffer_bytes = sort_buffer_bytes;
        let (mut model, mut written) = (Model::new(), BTreeMap::<String, (String, usize)>::new());

        for (run, (everything, edits)) in history.iter().enumerate() {
            let before = model.clone();
            if *everything {
                model.clear();
            }
            let left = apply(edits, &mut model);
            let extent = if *everything { Everything } else { Changes };
            let (_, totals) = world.run(extent, &left).unwrap();

            let unwritten = written.clone();
            written.retain(|key, _| model.contains_key(key));
            for (key, (_, record)) in &model {
                if written.get(key).is_none_or(|(known, _)| known != record) {
                    written.insert(key.clone(), (record.clone(), run + 1));
                }
            }
            let mut wanted: Vec<String> = written
                .values()
                .map(|(record, generation)| format!("{record}|{generation}"))
                .collect();
            wanted.sort();
            let mut found = world.rows("SELECT data, _generation FROM orders");
            found.sort();
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(totals.records, model.len() as u64);
            prop_assert_eq!(totals.unchanged, unwritten == written);
            let gone = before.keys().filter(|key| !model.contains_key(*key)).count() as u64;
            prop_assert_eq!(totals.removed, if *everything { 0 } else { gone });
            prop_assert_eq!(totals.difference, difference(&before, &model));
            let state = world.rows("SELECT generation, state FROM tidegate_state");
            prop_assert_eq!(state, [format!("{0}|{{\"v\":1,\"run\":{0}}}", run + 1)]);
        }
    }
}
