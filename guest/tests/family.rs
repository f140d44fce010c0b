//! Histories with fan-out: parents come, change and go, their records move, and runs fail. What is published equals a model after
//! each run.
//!
//! 300 of them are drawn, the same each time. `TIDEGATE_HISTORIES=5000`, set while the test is built, draws that many.

mod world;

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_guest::Extent;
use world::{Job, Run, Said, page, status};

/// Histories that are drawn where nobody says how many.
const HISTORIES: u64 = 300;
/// Runs of one history.
const RUNS: u64 = 12;

/// Numbers that look drawn: a linear congruence.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A parent, and its records with the version of each.
#[derive(Debug, Clone, Default)]
struct Parent {
    seq: u64,
    is_deleted: bool,
    /// It is listed, and has no records when it is asked for them.
    is_missing: bool,
    children: BTreeMap<u64, u64>,
}

/// What the source has.
#[derive(Debug, Clone, Default)]
struct Source {
    seq: u64,
    parents: BTreeMap<u64, Parent>,
}

impl Source {
    fn touch(&mut self, id: u64) -> &mut Parent {
        self.seq += 1;
        let parent = self.parents.entry(id).or_default();
        parent.seq = self.seq;
        parent
    }

    /// Something happens.
    fn step(&mut self, drawn: &mut Drawn) {
        let (id, child, version) = (drawn.below(6), drawn.below(12), drawn.below(1000));
        let holder = self
            .parents
            .iter()
            .find(|(_, parent)| parent.children.contains_key(&child));
        let holder = holder.map(|(id, _)| *id);
        match drawn.below(6) {
            0 => {
                let parent = self.touch(id);
                parent.is_deleted = !parent.is_deleted;
                parent.children.clear();
            }
            1 => {
                let parent = self.touch(id);
                parent.is_missing = !parent.is_missing;
            }
            2 => {
                if let Some(holder) = holder {
                    self.touch(holder).children.remove(&child);
                }
            }
            _ => {
                // It comes, changes, or moves here.
                if let Some(holder) = holder {
                    self.touch(holder).children.remove(&child);
                }
                let parent = self.touch(id);
                parent.is_deleted = false;
                parent.children.insert(child, version);
            }
        }
    }

    fn answer(&self, url: &str, broken: Option<u64>) -> Said {
        let url = url::Url::parse(url).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let at = |name: &str| query.get(name).map_or(0, |text| text.parse().unwrap());
        if let Some(id) = url.path_segments().unwrap().nth(1) {
            let id: u64 = id.parse().unwrap();
            let parent = &self.parents[&id];
            if broken == Some(id) {
                return status(500);
            }
            if parent.is_missing {
                return status(404);
            }
            let children: Vec<_> = parent.children.iter().collect();
            let (number, size) = (at("page").max(1), 2);
            let begin = usize::try_from((number - 1) * size).unwrap();
            let items = children.iter().skip(begin).take(2);
            let items: Vec<String> = items
                .map(|(id, v)| format!("{{\"id\":{id},\"v\":{v}}}"))
                .collect();
            return page(&format!(
                "{{\"items\":[{}],\"total\":{}}}",
                items.join(","),
                children.len()
            ));
        }
        let parents = self
            .parents
            .iter()
            .filter(|(_, parent)| parent.seq >= at("since"));
        let parents = parents.map(|(id, parent)| {
            let (seq, gone) = (parent.seq, parent.is_deleted);
            format!("{{\"id\":{id},\"seq\":{seq},\"gone\":{gone}}}")
        });
        page(&format!("[{}]", parents.collect::<Vec<_>>().join(",")))
    }

    /// The records that are to be published: of each its parent and its version.
    fn records(&self) -> BTreeMap<u64, (u64, u64)> {
        let there = self
            .parents
            .iter()
            .filter(|(_, parent)| !parent.is_deleted && !parent.is_missing);
        let records = there.flat_map(|(id, parent)| {
            let children = parent.children.iter();
            children.map(|(child, version)| (*child, (*id, *version)))
        });
        records.collect()
    }
}

/// What is published after a run, as the host merges it: by key, where records of replaced parents went before.
fn publish(published: &mut BTreeMap<u64, (u64, u64)>, run: &Run) {
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap();
    let lines = |name| {
        run.folder
            .lines(name)
            .into_iter()
            .map(|line| serde_json::from_str::<Value>(&line).unwrap())
    };
    if run.report().extent == Extent::Everything {
        published.clear();
    }
    let mut replaced = BTreeMap::new();
    for line in lines("deleted") {
        replaced.insert(number(&line, "parent"), number(&line, "at"));
    }
    published.retain(|_, (parent, _)| !replaced.contains_key(parent));
    for (at, line) in (0_u64..).zip(lines("records")) {
        let parent = number(&line, "parent");
        if replaced.get(&parent).is_none_or(|before| at >= *before) {
            published.insert(number(&line, "id"), (parent, number(&line, "v")));
        }
    }
}

fn lives(seed: u64) {
    let mut drawn = Drawn(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let (mut source, mut published, mut state) = (Source::default(), BTreeMap::new(), None);
    for _ in 0..RUNS {
        for _ in 0..drawn.below(5) {
            source.step(&mut drawn);
        }
        let parallel = (1 + drawn.below(8)).to_string();
        let mut job = Job::with(&[
            ("SOURCE_API_URL", "https://x.example/p/{each}"),
            ("SOURCE_EACH_URL", "https://x.example/p"),
            ("SOURCE_EACH_VALUE", "/id"),
            ("SOURCE_EACH_DELETED", "/gone"),
            ("SOURCE_PARENT", "/id"),
            ("SOURCE_CURSOR", "/seq"),
            ("SOURCE_CURSOR_TO", "since"),
            ("SOURCE_CURSOR_KIND", "integer"),
            ("SOURCE_RECORDS", "/items"),
            ("SOURCE_PAGINATION", "page"),
            ("SOURCE_PAGE_SIZE", "2"),
            ("SOURCE_TOTAL", "/total"),
            ("SOURCE_PARALLEL", &parallel),
            ("TRANSFORM", ". + {parent: $each}"),
            ("PRIMARY_KEY", "/id"),
            ("MAX_RETRIES", "0"),
        ]);
        job.request.state.clone_from(&state);
        job.request.full_refresh = drawn.below(5) == 0;
        let broken = (drawn.below(4) == 0).then(|| drawn.below(6));
        let run = job.run(|url| source.answer(url, broken));
        let Ok(report) = &run.outcome else {
            // Nothing is published, and the next run begins where this one did.
            let why = run.failure().to_string();
            assert!(
                why.contains("500") || why.contains("no parent that was asked"),
                "{seed}: {why}"
            );
            continue;
        };
        state = Some(report.state.clone());
        publish(&mut published, &run);

        assert_eq!(
            published,
            source.records(),
            "history {seed}: {:?}",
            run.sent
        );
    }
}

#[test]
fn what_is_published_equals_the_source_after_every_run() {
    let drawn = option_env!("TIDEGATE_HISTORIES").and_then(|text| text.parse().ok());

    (0..drawn.unwrap_or(HISTORIES)).for_each(lives);
}
