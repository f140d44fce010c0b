//! Fetch and merge against a model: whatever a source does between and during runs, once it is quiet one more run makes the
//! merged set equal to it. The host's merge by key is stood in for by a map.

mod world;

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use tidegate_guest::{Extent, Report};
use world::{Folder, Job, NOON, Said, page, parameter, status, with_header};

/// Rows are committed with a time that is up to this much in the past. Less than the look-back of five minutes.
const LATE_SECONDS_MAX: i64 = 240;

/// One thing that happens at the source.
#[derive(Debug, Clone)]
enum Happening {
    /// A row is made, changed or made again.
    Write { id: u8, late_seconds: i64 },
    /// A row is marked as deleted.
    Delete { id: u8, late_seconds: i64 },
    /// Time goes by. Not at all is the way to ties.
    Pass { seconds: i64 },
}

/// One run, and what happens before each of its pages.
#[derive(Debug, Clone)]
struct Tick {
    before_pages: Vec<Vec<Happening>>,
    /// The page on which the source breaks down, if it does: the run is lost, and so is what it staged.
    breaks_on: Option<usize>,
}

/// What kind of source it is.
#[derive(Debug, Clone, Copy)]
struct Habits {
    /// What the cursor is.
    kind: &'static str,
    /// Whether the source takes the cursor as a parameter.
    filters: bool,
    /// Whether pages go by the cursor, or by the row's id. By a sequence they always do: rows that pass from a page that was
    /// read to one that was not are told from others by a clock only.
    by_cursor: bool,
    has_date: bool,
    page_rows: usize,
}

#[derive(Debug, Clone)]
struct Row {
    seconds: i64,
    sequence: u64,
    version: u64,
    is_deleted: bool,
}

struct Source {
    habits: Habits,
    rows: BTreeMap<u8, Row>,
    now: i64,
    writes: u64,
}

impl Source {
    fn happens(&mut self, happening: &Happening) {
        let (id, late_seconds, is_deleted) = match *happening {
            Happening::Pass { seconds } => {
                self.now += seconds;
                return;
            }
            Happening::Write { id, late_seconds } => (id, late_seconds, false),
            Happening::Delete { id, late_seconds } => (id, late_seconds, true),
        };
        self.writes += 1;
        let row = Row {
            seconds: self.now - late_seconds,
            sequence: self.writes,
            version: self.writes,
            is_deleted,
        };
        self.rows.insert(id, row);
    }

    /// The cursor as this row writes it: the same source mixes offsets and precisions.
    fn cursor_of(&self, row: &Row) -> String {
        let at = Timestamp::from_second(row.seconds).unwrap();
        match self.habits.kind {
            "epoch" => row.seconds.to_string(),
            "epoch-ms" => format!("{}000", row.seconds),
            "integer" => row.sequence.to_string(),
            _ if row.version.is_multiple_of(3) => {
                let local = jiff::tz::offset(2).to_datetime(at);
                format!("\"{}\"", local.strftime("%Y-%m-%dT%H:%M:%S.000+02:00"))
            }
            _ => format!("\"{at}\""),
        }
    }

    fn position(&self, id: u8, row: &Row) -> (i64, u64, u8) {
        match (self.habits.by_cursor, self.habits.kind) {
            (false, _) => (0, 0, id),
            (true, "integer") => (0, row.sequence, id),
            (true, _) => (row.seconds, 0, id),
        }
    }

    fn is_since(&self, row: &Row, since: &str) -> bool {
        match self.habits.kind {
            "epoch" => row.seconds >= since.parse().unwrap(),
            "epoch-ms" => row.seconds * 1000 >= since.parse().unwrap(),
            "integer" => i128::from(row.sequence) >= since.parse().unwrap(),
            _ => row.seconds >= since.parse::<Timestamp>().unwrap().as_second(),
        }
    }

    /// One page: rows since the cursor, behind the position where the last page ended.
    fn answer(&self, url: &str) -> Said {
        let since = parameter(url, "since");
        let behind = parameter(url, "behind").map(|text| {
            let parts: Vec<i64> = text.split('.').map(|part| part.parse().unwrap()).collect();
            (
                parts[0],
                u64::try_from(parts[1]).unwrap(),
                u8::try_from(parts[2]).unwrap(),
            )
        });
        let mut rows: Vec<(&u8, &Row)> = self
            .rows
            .iter()
            .filter(|(_, row)| {
                since
                    .as_deref()
                    .is_none_or(|since| self.is_since(row, since))
            })
            .filter(|(id, row)| behind.is_none_or(|behind| self.position(**id, row) > behind))
            .collect();
        rows.sort_by_key(|(id, row)| self.position(**id, row));
        let has_more = rows.len() > self.habits.page_rows;
        rows.truncate(self.habits.page_rows);
        let records: Vec<String> = rows
            .iter()
            .map(|(id, row)| {
                let (cursor, version, gone) = (self.cursor_of(row), row.version, row.is_deleted);
                format!(r#"{{"id":{id},"u":{cursor},"version":{version},"gone":{gone}}}"#)
            })
            .collect();
        let mut said = page(&format!("[{}]", records.join(",")));
        if let (true, Some((id, row))) = (has_more, rows.last()) {
            let (a, b, c) = self.position(**id, row);
            let since = since.map_or_else(String::new, |since| {
                format!("since={since}&").replace('+', "%2B")
            });
            said = with_header(
                said,
                "link",
                &format!("<?{since}behind={a}.{b}.{c}>; rel=next"),
            );
        }
        if self.habits.has_date {
            let date = Timestamp::from_second(self.now).unwrap();
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            said = with_header(said, "date", &date);
        }
        said
    }

    /// What a reader should find.
    fn live(&self) -> BTreeMap<String, u64> {
        let live = self.rows.iter().filter(|(_, row)| !row.is_deleted);
        live.map(|(id, row)| (id.to_string(), row.version))
            .collect()
    }
}

/// What the host keeps: the published set and the state that belongs to it.
#[derive(Default)]
struct Published {
    set: BTreeMap<String, u64>,
    state: Option<String>,
}

impl Published {
    fn publish(&mut self, report: &Report, folder: &Folder) {
        if report.extent == Extent::Everything {
            self.set.clear();
        }
        let mut tombstones: Vec<(usize, String)> = folder
            .lines("deleted")
            .iter()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let at = usize::try_from(line["at"].as_u64().unwrap()).unwrap();
                (at, line["key"][0].to_string())
            })
            .collect();
        tombstones.reverse();
        let records = folder.lines("records");
        for at in 0..=records.len() {
            while tombstones.last().is_some_and(|(due, _)| *due == at) {
                self.set.remove(&tombstones.pop().unwrap().1);
            }
            if let Some(record) = records.get(at) {
                let record: serde_json::Value = serde_json::from_str(record).unwrap();
                self.set.insert(
                    record["id"].to_string(),
                    record["version"].as_u64().unwrap(),
                );
            }
        }
        self.state = Some(report.state.clone());
    }
}

fn settings(habits: Habits) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("SOURCE_PAGINATION", "link"),
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_DELETED", "/gone"),
        ("PRIMARY_KEY", "/id"),
        ("MAX_RETRIES", "0"),
    ];
    if habits.filters {
        settings.push(("SOURCE_CURSOR_TO", "since"));
    }
    if habits.kind.starts_with("epoch") {
        settings.push(("SOURCE_CURSOR_KIND", habits.kind));
    }
    settings
}

/// One run. Returns whether it was published.
fn run(source: &mut Source, published: &mut Published, tick: &Tick) -> bool {
    let mut job = Job::with(&settings(source.habits));
    job.request.state.clone_from(&published.state);
    job.unix_seconds = source.now;
    let mut asked = 0;
    let run = job.run(|url| {
        for happening in tick.before_pages.get(asked).into_iter().flatten() {
            source.happens(happening);
        }
        asked += 1;
        if tick.breaks_on == Some(asked) {
            status(500)
        } else {
            source.answer(url)
        }
    });
    if tick.breaks_on.is_some_and(|page| page <= asked) {
        assert!(run.outcome.is_err(), "a broken source fails the run");
        return false;
    }
    published.publish(run.report(), &run.folder);
    true
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        4 => (0_u8..10, 0..=LATE_SECONDS_MAX).prop_map(|(id, late_seconds)| Happening::Write { id, late_seconds }),
        1 => (0_u8..10, 0..=LATE_SECONDS_MAX).prop_map(|(id, late_seconds)| Happening::Delete { id, late_seconds }),
        2 => prop_oneof![Just(0), 1_i64..10, 100_i64..1000].prop_map(|seconds| Happening::Pass { seconds }),
    ];
    prop::collection::vec(happening, 0..6)
}

fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let tick = (
        prop::collection::vec(happenings(), 1..5),
        prop::option::weighted(0.2, 1_usize..4),
    );
    let tick = tick.prop_map(|(before_pages, breaks_on)| Tick {
        before_pages,
        breaks_on,
    });
    prop::collection::vec(tick, 1..8)
}

fn habits() -> impl Strategy<Value = Habits> {
    let kinds = prop::sample::select(vec!["rfc3339", "epoch", "epoch-ms", "integer"]);
    (
        kinds,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        1_usize..4,
    )
        .prop_map(|(kind, filters, by_cursor, has_date, page_rows)| Habits {
            kind,
            filters,
            by_cursor: by_cursor || kind == "integer",
            has_date,
            page_rows,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn once_the_source_is_quiet_one_run_makes_the_set_equal_to_it(habits in habits(), ticks in ticks()) {
        let mut source = Source { habits, rows: BTreeMap::new(), now: NOON, writes: 0 };
        let mut published = Published::default();
        for tick in &ticks {
            run(&mut source, &mut published, tick);
        }
        let quiet = Tick { before_pages: Vec::new(), breaks_on: None };

        prop_assert!(run(&mut source, &mut published, &quiet));

        prop_assert_eq!(&published.set, &source.live());
    }
}
