//! Programs and inputs that are drawn: the whole of the grammar, without what is decided to differ from jaq.
//!
//! The shapes of programs stand in text files, one a line, in which `F` and `G` are programs again and `P` is a path. What is said
//! there in a roundabout way (`first(F, 0)`, `arrays | …`, `[keys, …]`) keeps out of a difference that `decided.txt` lists.

use proptest::prelude::*;
use proptest::strategy::Union;

const LEAVES: &str = include_str!("leaves.txt");
const AROUND_ONE: &str = include_str!("around_one.txt");
const AROUND_TWO: &str = include_str!("around_two.txt");
/// What is changed is there already, as jaq asks for.
const UPDATES: &str = include_str!("updates.txt");
const PATHS: &str = include_str!("paths.txt");

fn one_of(lines: &'static str) -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(lines.lines().collect::<Vec<_>>())
}

pub(super) fn programs() -> impl Strategy<Value = String> {
    let leaf = one_of(LEAVES).prop_map(str::to_owned);
    let program = leaf.prop_recursive(4, 24, 3, |part| {
        let filled = |shapes| {
            let parts = (one_of(shapes), part.clone(), part.clone(), one_of(PATHS));
            parts.prop_map(|(shape, f, g, path)| {
                let filled = shape.chars().map(|char| match char {
                    'F' => format!("({f})"),
                    'G' => format!("({g})"),
                    'P' => path.to_owned(),
                    other => other.to_string(),
                });
                format!("({})", filled.collect::<String>())
            })
        };
        Union::new_weighted(vec![
            (3, filled(AROUND_ONE).boxed()),
            (4, filled(AROUND_TWO).boxed()),
            (2, filled(UPDATES).boxed()),
        ])
    });
    program.prop_map(|program| format!("(.a? // 1) as $x | [1] as $y | {program}"))
}

/// Texts of JSON values.
pub(super) fn inputs() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "null",
            "true",
            "false",
            "0",
            "1",
            "2",
            "-1",
            "3",
            "0.1",
            "2.25",
            "1.62",
            "7.30000000000000000001",
            "\"\"",
            "\"a\"",
            "\"b\"",
            "\"ab\"",
            "\"a,b\"",
            "\"ä b\"",
            "\"1\"",
            "[]",
            "{}",
        ][..],
    );
    leaf.prop_map(str::to_owned)
        .prop_recursive(3, 12, 4, |inner| {
            let array = prop::collection::vec(inner.clone(), 0..4);
            let array = array.prop_map(|values| format!("[{}]", values.join(",")));
            let members = prop::collection::btree_map(
                prop::sample::select(&["a", "b", "c", "key", "value"][..]),
                inner,
                0..4,
            );
            let object = members.prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            });
            prop_oneof![array, object]
        })
}
