//! A table whose history is kept: every generation of it can be gone back to, and any two can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::outcome::{Failure, Outcome};
use crate::sink::Extent::{self, Changes, Everything};
use crate::sink::Restated;
use crate::sink::database::back::{Asked, WentBack, go_back, release};
use crate::sink::database::compare::differences;
use crate::sink::tests::world::Left;

use super::world::World;

type Model = BTreeMap<u8, String>;

/// What differs, as `key: old -> new`.
type Told = Vec<(String, Option<String>, Option<String>)>;

fn keeping() -> World {
    let mut world = World::upsert();
    world.set("OUTPUT_HISTORY", "yes");
    world
}

/// Stages records by key and version; a version 0 is a deletion.
fn apply(edits: &[(u8, u8)], model: &mut Model) -> Left {
    let (mut left, mut staged) = (Left::default(), 0);
    for (key, version) in edits {
        if *version == 0 {
            writeln!(left.deleted, "{{\"key\":[{key}],\"at\":{staged}}}").unwrap();
            model.remove(key);
        } else {
            let record = format!("{{\"id\":{key},\"v\":{version}}}");
            writeln!(left.records, "{record}").unwrap();
            staged += 1;
            model.insert(*key, record);
        }
    }
    left
}

fn ran(world: &mut World, extent: Extent, edits: &[(u8, u8)], model: &mut Model) {
    if extent == Everything {
        model.clear();
    }
    let left = apply(edits, model);
    world.run(extent, &left).unwrap();
}

fn back(world: &mut World, number: Option<u64>, hold: bool) -> Result<WentBack, Failure> {
    world.grounded(|context, plan| {
        let asked = Asked {
            number,
            hold,
            started: "2026-11-28T03:00:00.000Z",
        };
        go_back(&context, plan.database.as_ref().unwrap(), plan, &asked)
    })
}

fn told(world: &World, numbers: &[u64]) -> Result<Told, Failure> {
    let plan = world.plan();
    let mut told = Vec::new();
    let url = plan.database.as_ref().unwrap();
    differences(url, &plan, numbers, &|| Ok(()), &mut |found| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        told.push((found.key.to_owned(), text(found.old), text(found.new)));
        Ok(())
    })?;
    told.sort();
    Ok(told)
}

fn wanted(old: &Model, new: &Model) -> Told {
    let keys: std::collections::BTreeSet<&u8> = old.keys().chain(new.keys()).collect();
    let both = keys.into_iter().map(|key| {
        (
            key.to_string(),
            old.get(key).cloned(),
            new.get(key).cloned(),
        )
    });
    let mut wanted: Told = both.filter(|(_, old, new)| old != new).collect();
    wanted.sort();
    wanted
}

fn rows(world: &World) -> Vec<String> {
    world.rows("SELECT data FROM orders ORDER BY id")
}

fn values(model: &Model) -> Vec<String> {
    model.values().cloned().collect()
}

/// Every row that was ever valid is kept once, and none is valid twice at a time.
fn is_consistent(world: &World) {
    let all = "SELECT id, _generation AS a, 1000000 AS b FROM orders UNION ALL SELECT id, _from_generation, _to_generation FROM orders_history";
    let overlapping = world.rows(&format!(
        "WITH v AS ({all}) SELECT * FROM v x JOIN v y ON x.id = y.id AND x.a < y.b AND y.a < x.b AND (x.a, x.b) <> (y.a, y.b)"
    ));
    assert_eq!(overlapping, [""; 0]);
    let counts = world.rows(&format!(
        "WITH v AS ({all}) SELECT h.generation, json_extract(h.manifest, '$.counts.records'), \
         (SELECT count(*) FROM v WHERE v.a <= h.generation AND v.b > h.generation) FROM tidegate_history h"
    ));
    for count in counts {
        let parts: Vec<&str> = count.split('|').collect();
        assert_eq!(parts[1], parts[2], "rows of generation {}", parts[0]);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Run(bool, Vec<(u8, u8)>),
    Back(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let edits = || prop::collection::vec((0..5_u8, 0..4_u8), 0..6);
    let step = prop_oneof![
        4 => (prop::bool::weighted(0.3), edits()).prop_map(|(all, edits)| Step::Run(all, edits)),
        1 => any::<prop::sample::Index>().prop_map(Step::Back),
    ];
    prop::collection::vec(step, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_generation_can_be_gone_back_to_and_any_two_compared(steps in steps()) {
        let mut world = keeping();
        let (mut model, mut models) = (Model::new(), Vec::<Model>::new());

        for step in steps {
            match step {
                Step::Run(everything, edits) => {
                    let extent = if everything { Everything } else { Changes };
                    ran(&mut world, extent, &edits, &mut model);
                    models.push(model.clone());
                }
                Step::Back(index) if !models.is_empty() => {
                    let at = index.index(models.len());
                    let went = back(&mut world, Some(at as u64 + 1), false).unwrap();
                    model = models[at].clone();
                    if went.made.is_some() {
                        models.push(model.clone());
                    }
                }
                Step::Back(_) => {}
            }
            if !models.is_empty() {
                prop_assert_eq!(rows(&world), values(&model));
                is_consistent(&world);
            }
        }
        for (a, old) in models.iter().enumerate() {
            for (b, new) in models.iter().enumerate() {
                let numbers = [a as u64 + 1, b as u64 + 1];
                prop_assert_eq!(told(&world, &numbers).unwrap(), wanted(old, new), "{:?}", numbers);
            }
        }
        for (at, wanted) in models.iter().enumerate() {
            back(&mut world, Some(at as u64 + 1), false).unwrap();
            prop_assert_eq!(rows(&world), values(wanted));
            is_consistent(&world);
        }
    }
}

#[test]
fn the_state_goes_back_with_the_rows_and_generations_go_on() {
    let (mut world, mut model) = (keeping(), Model::new());
    ran(&mut world, Changes, &[(1, 1), (2, 1)], &mut model);
    ran(&mut world, Changes, &[(1, 2), (3, 1)], &mut model);
    ran(&mut world, Changes, &[], &mut model);

    let went = back(&mut world, None, true).unwrap();

    assert_eq!(went.to.number, 1, "2 and 3 are one set");
    assert_eq!(
        went.applied.difference,
        crate::sink::Difference::of(0, 1, 1)
    );
    let rows = world.rows("SELECT id, _generation FROM orders ORDER BY id");
    assert_eq!(rows, ["1|4", "2|1"]);
    let state = "SELECT generation, state FROM tidegate_state";
    assert_eq!(world.rows(state), ["4|{\"v\":1,\"run\":1}"]);
    let kept = world
        .rows("SELECT id, _from_generation, _to_generation FROM orders_history ORDER BY id, 2");
    assert_eq!(kept, ["1|1|2", "1|2|4", "3|2|4"]);
    let held = world.with_sink(|sink| sink.held()).unwrap().unwrap();
    assert_eq!(held.generation, 4);
    let released = |world: &mut World| {
        world.grounded(|context, plan| release(&context, plan.database.as_ref().unwrap(), plan))
    };
    assert!(released(&mut world).unwrap());
    assert!(!released(&mut world).unwrap());
}

#[test]
fn no_more_is_kept_than_is_to_be() {
    let (mut world, mut model) = (keeping(), Model::new());
    world.limits.history_generations = 3;
    for version in 1..=6 {
        ran(&mut world, Changes, &[(1, version)], &mut model);
    }

    let generations = "SELECT generation FROM tidegate_history ORDER BY 1";
    assert_eq!(world.rows(generations), ["4", "5", "6"]);
    let kept = "SELECT _to_generation FROM orders_history ORDER BY 1";
    // Rows go by time alone.
    assert_eq!(world.rows(kept), ["2", "3", "4", "5", "6"]);
    let refused = back(&mut world, Some(3), false).err().unwrap();
    assert_eq!(refused.outcome, Outcome::Usage);
    assert!(
        refused.message.contains("4 to 6 are"),
        "{}",
        refused.message
    );
    back(&mut world, Some(4), false).unwrap();

    world.set("OUTPUT_HISTORY_FOR", "1h");
    world.execute("UPDATE tidegate_history SET committed_at = '2020-01-01T00:00:00.000Z'; UPDATE orders_history SET _valid_to = '2020-01-01T00:00:00.000Z'");
    ran(&mut world, Changes, &[(1, 7)], &mut model);
    assert_eq!(world.rows(generations), ["7", "8"]);
    assert_eq!(world.rows(kept), ["8"]);
}

#[test]
fn a_history_with_a_gap_begins_anew() {
    let (mut world, mut model) = (keeping(), Model::new());
    ran(&mut world, Changes, &[(1, 1)], &mut model);
    ran(&mut world, Changes, &[(1, 2)], &mut model);
    world.set("OUTPUT_HISTORY", "no");
    ran(&mut world, Changes, &[(1, 3)], &mut model);

    world.set("OUTPUT_HISTORY", "yes");
    // A commit of the state alone, by hand, does not hide it.
    let restated = Restated {
        state: "{}".to_owned(),
        cursor: None,
        fetch_everything: false,
        at: "2026-11-28T03:00:00.000Z".to_owned(),
    };
    world.with_sink(|sink| sink.restate(&restated)).unwrap();
    let gap = back(&mut world, Some(1), false).err().unwrap();
    assert!(
        gap.message.contains("ends with generation 2"),
        "{}",
        gap.message
    );
    assert!(told(&world, &[1, 3]).is_err());
    ran(&mut world, Changes, &[(1, 4)], &mut model);

    let generations = "SELECT generation FROM tidegate_history ORDER BY 1";
    assert_eq!(world.rows(generations), ["4", "5"]);
    back(&mut world, Some(4), false).unwrap();
    assert_eq!(rows(&world), ["{\"id\":1,\"v\":3}"]);
}

#[test]
fn rows_that_somebody_else_deletes_are_not_restored_by_half() {
    let (mut world, mut model) = (keeping(), Model::new());
    ran(&mut world, Changes, &[(1, 1), (2, 1)], &mut model);
    ran(&mut world, Changes, &[(1, 2)], &mut model);
    world.execute("DELETE FROM orders WHERE id = 2");

    let refused = back(&mut world, Some(1), false).err().unwrap();

    assert_eq!(refused.outcome, Outcome::OutputUnusable);
    assert_eq!(rows(&world), ["{\"id\":1,\"v\":2}"]);
    assert_eq!(world.rows("SELECT generation FROM tidegate_state"), ["2"]);
    // What was before is not known any more.
    ran(&mut world, Everything, &[(1, 3), (2, 3)], &mut model);
    let generations = "SELECT generation FROM tidegate_history ORDER BY 1";
    assert_eq!(world.rows(generations), ["3"]);
}

#[test]
fn a_database_that_was_restored_has_no_row_twice() {
    let (mut world, mut model) = (keeping(), Model::new());
    ran(&mut world, Changes, &[(1, 1)], &mut model);
    world.execute("CREATE TABLE kept AS SELECT * FROM orders; CREATE TABLE state AS SELECT * FROM tidegate_state");
    ran(&mut world, Changes, &[(1, 2)], &mut model);
    ran(&mut world, Changes, &[(1, 3)], &mut model);
    world.execute(
        "DELETE FROM orders; INSERT INTO orders SELECT * FROM kept; \
         DELETE FROM tidegate_state; INSERT INTO tidegate_state SELECT * FROM state",
    );

    ran(&mut world, Changes, &[(2, 1)], &mut model);

    is_consistent(&world);
    back(&mut world, Some(1), false).unwrap();
    assert_eq!(rows(&world), ["{\"id\":1,\"v\":1}"]);
}

#[test]
fn a_history_begins_with_what_is_there() {
    let (mut world, mut model) = (World::upsert(), Model::new());
    ran(&mut world, Changes, &[(1, 1)], &mut model);
    ran(&mut world, Changes, &[(1, 2)], &mut model);
    world.set("OUTPUT_HISTORY", "yes");
    ran(&mut world, Changes, &[(1, 3)], &mut model);

    let early = back(&mut world, Some(1), false).err().unwrap();

    assert!(early.message.contains("2 to 3 are"), "{}", early.message);
    back(&mut world, Some(2), false).unwrap();
    assert_eq!(rows(&world), ["{\"id\":1,\"v\":2}"]);
}

#[test]
fn a_table_of_that_name_that_is_no_history_is_refused() {
    for theirs in [
        "CREATE TABLE orders_history (id ANY)",
        "CREATE TABLE orders_history (id ANY, data TEXT, _valid_from TEXT, _from_generation INTEGER, _valid_to TEXT, \
         _to_generation INTEGER); INSERT INTO orders_history (id) VALUES (1)",
    ] {
        let (mut world, mut model) = (World::upsert(), Model::new());
        ran(&mut world, Changes, &[(1, 1)], &mut model);
        world.execute(theirs);
        world.set("OUTPUT_HISTORY", "yes");

        let left = apply(&[(1, 2)], &mut model);
        let refused = world.run(Changes, &left).err().unwrap();

        assert_eq!(refused.outcome, Outcome::OutputUnusable);
        assert!(refused.message.contains("RENAME TO"), "{}", refused.message);
        assert_eq!(rows(&world), ["{\"id\":1,\"v\":1}"]);
    }
}

#[test]
fn a_column_that_the_table_gets_the_history_gets_too() {
    let (mut world, mut model) = (keeping(), Model::new());
    world.set("OUTPUT_COLUMNS", "id bigint /id\nv bigint /v");
    ran(&mut world, Changes, &[(1, 1)], &mut model);
    world.set("OUTPUT_COLUMNS", "id bigint /id\nv bigint /v\nw text /w");
    world.execute("ALTER TABLE orders ADD COLUMN w TEXT");
    ran(&mut world, Changes, &[(1, 2)], &mut model);

    let kept = world.rows("SELECT id, v, w FROM orders_history");
    assert_eq!(kept, ["1|1|"]);
    let told = told(&world, &[1, 2]).unwrap();
    let old = r#"{"id":1,"v":1,"w":null}"#.to_owned();
    let new = r#"{"id":1,"v":2,"w":null}"#.to_owned();
    assert_eq!(told, [("1".to_owned(), Some(old), Some(new))]);
}

#[test]
fn without_a_history_the_rows_that_were_written_since_are_told() {
    let (mut world, mut model) = (World::upsert(), Model::new());
    ran(&mut world, Changes, &[(1, 1), (2, 1)], &mut model);
    ran(&mut world, Changes, &[(1, 2)], &mut model);
    ran(&mut world, Changes, &[(3, 1)], &mut model);

    let keys = |told: Told| told.into_iter().map(|(key, ..)| key).collect::<Vec<_>>();
    assert_eq!(keys(told(&world, &[]).unwrap()), ["3"]);
    assert_eq!(keys(told(&world, &[1]).unwrap()), ["1", "3"]);
    assert!(
        told(&world, &[1, 2]).is_err(),
        "what was written again since is not known"
    );
    assert!(told(&world, &[4]).is_err());
    let refused = back(&mut world, None, false).err().unwrap();
    assert!(refused.message.contains("OUTPUT_HISTORY=yes"));
}
