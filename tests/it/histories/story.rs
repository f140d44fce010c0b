//! What a history is made of: the habits of a source, what happens there, and how its runs are disturbed; and how all of
//! it is drawn.

use std::time::Duration;

use proptest::prelude::*;

use super::record::{IDS, Kind};

/// Happenings before one request. With [`REQUESTS_DISTURBED_MAX`] it bounds how many rows change during one run.
const HAPPENINGS_MAX: usize = 5;
/// Requests of a run before which something happens.
const REQUESTS_DISTURBED_MAX: usize = 5;
/// The look-back of integers, where they have one.
const INTEGERS_BACK: i64 = 30;
/// How many integers late a row is that is committed while a run pages. By an integer nobody can tell when a run began, so
/// this, and all rows that change during one run, must fit into the look-back.
const INTEGERS_LATE_WHILE_PAGING: i64 = 10;

/// A whole history: one job from its first run to its last.
#[derive(Debug, Clone)]
pub struct Story {
    pub habits: Habits,
    /// Rows that are there at the beginning, and how many seconds ago each was changed.
    pub first: Vec<(usize, i64)>,
    pub runs: Vec<Tick>,
}

/// What kind of source it is, and what the job says of it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "habits are had or not")]
pub struct Habits {
    pub kind: Kind,
    pub order: Order,
    pub next: Next,
    /// Whether next URLs are absolute.
    pub is_absolute: bool,
    pub page_rows: usize,
    /// Whether a full page always names a next one, so that the last page can be empty.
    pub is_hasty: bool,
    pub has_date: bool,
    pub filter: Filter,
    /// Whether rows also go without a tombstone.
    pub loses_rows: bool,
    pub lookback: Lookback,
    pub retries: u8,
}

/// In which order rows come, and what a next page goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Rows behind the last one's id.
    ById,
    /// Rows behind the last one's change, the oldest first.
    ByChange,
    /// So many rows are skipped, the newest come first: a row that changes shifts others to a later page.
    NewestFirst,
    /// So many rows are skipped, the oldest come first: a row that changes shifts others to a page that was read.
    OldestFirst,
}

/// What the source makes of the cursor as a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// It is not sent.
    Unasked,
    /// Rows from it on.
    From,
    /// Rows behind it.
    Behind,
    /// It knows no such parameter, and answers with all rows.
    Ignored,
    /// It knows no such parameter, and answers with none.
    Unknown,
}

/// Where the next page's URL stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Link,
    Body,
    Header,
}

/// `SOURCE_LOOKBACK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookback {
    Unset,
    Set,
    Zero,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Tick {
    /// What happens before its first request, its second, and so on.
    pub happenings: Vec<Vec<Happening>>,
    /// The request to which a row is given twice.
    pub repeats_on: Option<usize>,
    pub disturbance: Option<Disturbance>,
    pub full_refresh: bool,
}

/// One thing that happens at the source. How late a change is committed is a part of what the look-back bears, in thousandths.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A row is made, changed or made again.
    Write { id: usize, late: i64 },
    /// A row is marked as deleted.
    Delete { id: usize, late: i64 },
    /// A row is gone without a trace, from a source that does so.
    Vanish { id: usize },
    /// Time goes by. Not at all is the way to ties.
    Pass { seconds: i64 },
}

/// What comes between a run and its end.
#[derive(Debug, Clone)]
pub enum Disturbance {
    /// The source breaks down on this request, and so many more.
    Breaks { on: usize, more: usize, how: Break },
    /// The run is killed so long after so many requests, if it takes that long.
    Killed { requests: usize, pause: Duration },
}

/// How a source breaks down.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    Status,
    Reset,
    CutOff,
}

impl Habits {
    /// Whether the cursor alone shows every change. Where it does not, `--full-refresh` is the documented cure.
    pub fn shows_every_change(&self) -> bool {
        let can_tell = match self.order {
            // A row that moves away lets another slip to a page that was read.
            Order::OldestFirst => false,
            // The rows of a page that was read change while later pages bring greater integers.
            Order::ById => self.kind.is_time(),
            Order::ByChange | Order::NewestFirst => true,
        };
        can_tell && !self.loses_rows && self.filter != Filter::Unknown
    }

    /// Whether a row that does not change while a run pages is served in it, if the run asks for it.
    pub fn pages_hold(&self) -> bool {
        match self.order {
            Order::OldestFirst => false,
            Order::NewestFirst => !self.loses_rows,
            Order::ById | Order::ByChange => true,
        }
    }

    /// How late a change may be, in seconds or integers.
    pub fn late_max(&self, is_paging: bool) -> i64 {
        match (self.kind, self.lookback) {
            (Kind::Text, _) | (_, Lookback::Zero) | (Kind::Integer, Lookback::Unset) => 0,
            (Kind::Integer, Lookback::Set) if is_paging => INTEGERS_LATE_WHILE_PAGING,
            (Kind::Integer, Lookback::Set) => INTEGERS_BACK,
            (_, Lookback::Unset) => 300 - self.edge(),
            (_, Lookback::Set) => 90 - self.edge(),
        }
    }

    /// What a filter that leaves out the cursor itself takes of the look-back.
    fn edge(&self) -> i64 {
        i64::from(self.filter == Filter::Behind)
    }

    /// The settings of the job.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("SOURCE_CURSOR", "/changed"),
            ("SOURCE_DELETED", "/gone"),
            ("PRIMARY_KEY", "/id"),
            ("MAX_SHRINK_PERCENT", "100"),
            ("MAX_DELETE_PERCENT", "100"),
        ];
        settings.extend(match self.next {
            Next::Link => vec![("SOURCE_PAGINATION", "link")],
            Next::Body => vec![
                ("SOURCE_PAGINATION", "next-url"),
                ("SOURCE_RECORDS", "/items"),
            ],
            Next::Header => vec![
                ("SOURCE_PAGINATION", "next-url"),
                ("SOURCE_PAGE_FROM", "header:X-Next"),
            ],
        });
        if self.filter != Filter::Unasked {
            settings.push(("SOURCE_CURSOR_TO", "since"));
        }
        settings.extend(self.kind.setting().map(|kind| ("SOURCE_CURSOR_KIND", kind)));
        let mut settings: Vec<_> = settings
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        settings.push(("MAX_RETRIES", self.retries.to_string()));
        let back = match (self.kind, self.lookback) {
            (Kind::Text, _) | (_, Lookback::Unset) => None,
            (_, Lookback::Zero) => Some("0".to_owned()),
            (Kind::Integer, Lookback::Set) => Some(INTEGERS_BACK.to_string()),
            (_, Lookback::Set) => Some("90s".to_owned()),
        };
        settings.extend(back.map(|back| ("SOURCE_LOOKBACK", back)));
        settings
    }
}

/// Draws a history of a source whose changes the cursor shows, or of one that needs `--full-refresh`.
pub fn stories(shows_every_change: bool) -> impl Strategy<Value = Story> {
    let first = prop::collection::vec((0..IDS.len(), 0_i64..200_000), 0..10);
    let habits = habits(!shows_every_change);
    (habits, first, prop::collection::vec(ticks(), 1..6))
        .prop_map(|(habits, first, runs)| Story {
            habits,
            first,
            runs,
        })
        .prop_filter("another kind of source", move |story| {
            story.habits.shows_every_change() == shows_every_change
        })
}

fn habits(may_lose_rows: bool) -> impl Strategy<Value = Habits> {
    use prop::sample::select;
    let orders = if may_lose_rows {
        [
            Order::ById,
            Order::ByChange,
            Order::NewestFirst,
            Order::OldestFirst,
        ]
        .as_slice()
    } else {
        [Order::ById, Order::ByChange, Order::NewestFirst].as_slice()
    };
    let source = (select(&Kind::ALL[..]), select(orders), 1_usize..5);
    let next = select(&[Next::Link, Next::Body, Next::Header][..]);
    let lookback = select(&[Lookback::Unset, Lookback::Set, Lookback::Zero][..]);
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.8),
        filters(may_lose_rows),
        prop::bool::weighted(if may_lose_rows { 0.5 } else { 0.0 }),
    );
    let retries = prop::bool::weighted(0.1).prop_map(u8::from);
    (source, next, lookback, flags, retries).prop_map(
        |((kind, order, page_rows), next, lookback, flags, retries)| {
            let (is_absolute, is_hasty, has_date, filter, loses_rows) = flags;
            Habits {
                kind,
                order,
                next,
                is_absolute,
                page_rows,
                is_hasty,
                has_date,
                filter: fitting(filter, kind, lookback, loses_rows),
                loses_rows,
                lookback,
                retries,
            }
        },
    )
}

fn filters(may_be_unknown: bool) -> impl Strategy<Value = Filter> {
    prop_oneof![
        5 => Just(Filter::Unasked),
        5 => Just(Filter::From),
        2 => Just(Filter::Behind),
        1 => Just(Filter::Ignored),
        1 => Just(if may_be_unknown { Filter::Unknown } else { Filter::From }),
    ]
}

/// This filter, or one that inclusive questions are made for, where this one loses rows by contract.
fn fitting(filter: Filter, kind: Kind, lookback: Lookback, loses_rows: bool) -> Filter {
    let is_inclusive_by_lookback = match kind {
        // A row that ties with the cursor, or is of the same day, comes by an inclusive question only.
        Kind::Date | Kind::Integer | Kind::Text => false,
        Kind::Rfc3339 | Kind::Epoch | Kind::EpochMs => lookback != Lookback::Zero,
    };
    match filter {
        Filter::Behind if !is_inclusive_by_lookback => Filter::From,
        // All rows are older than the cursor once the newest are gone, as in a source that was set back.
        Filter::Ignored if loses_rows => Filter::From,
        filter => filter,
    }
}

fn ticks() -> impl Strategy<Value = Tick> {
    let happenings = prop::collection::vec(happening(), 0..=HAPPENINGS_MAX);
    let breaks = prop::sample::select(&[Break::Status, Break::Reset, Break::CutOff][..]);
    let disturbance = prop_oneof![
        (0_usize..4, 0_usize..2, breaks).prop_map(|(on, more, how)| Disturbance::Breaks {
            on,
            more,
            how
        }),
        (0_usize..5, 0_u64..12_000).prop_map(|(requests, micros)| Disturbance::Killed {
            requests,
            pause: Duration::from_micros(micros)
        }),
    ];
    (
        prop::collection::vec(happenings, 0..=REQUESTS_DISTURBED_MAX),
        prop::option::weighted(0.3, 0_usize..4),
        prop::option::weighted(0.35, disturbance),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(happenings, repeats_on, disturbance, full_refresh)| Tick {
            happenings,
            repeats_on,
            disturbance,
            full_refresh,
        })
}

fn happening() -> impl Strategy<Value = Happening> {
    let id = 0..IDS.len();
    let late = prop_oneof![3 => Just(0_i64), 1 => Just(1000), 2 => 1_i64..1000];
    prop_oneof![
        5 => (id.clone(), late.clone()).prop_map(|(id, late)| Happening::Write { id, late }),
        2 => (id.clone(), late).prop_map(|(id, late)| Happening::Delete { id, late }),
        1 => id.prop_map(|id| Happening::Vanish { id }),
        2 => prop_oneof![1_i64..10, 60_i64..1000, Just(100_000)]
            .prop_map(|seconds| Happening::Pass { seconds }),
    ]
}
