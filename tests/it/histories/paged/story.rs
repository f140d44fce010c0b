//! What a history of pages is made of, and how it is drawn.

use std::ops::Range;

use proptest::prelude::*;

/// Ids of rows that change or are new between two runs.
const IDS_MAX: u32 = 14;

/// What is odd about a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// It sends fewer records on a page than it is asked for.
    Capped,
    /// It hides rows of a page after it cut it.
    Hidden,
    /// The same, and whole pages may be hidden: its total, flag or next page tells that there are more.
    Blind,
    /// It ignores the cursor.
    Ignored,
    /// It answers no record where it is asked from a cursor.
    Unknown,
    /// It leaves out the cursor itself.
    Exclusive,
    /// It answers no record to anything, for some runs.
    Silent,
    /// It answers no record from some page on, and its total said that there are more.
    Midway,
    /// Its total is a text, or stands in a header.
    TextTotal,
    /// Its total is smaller than what it has.
    CappedTotal,
    /// Its total is the number of records on the page.
    PageTotal,
    /// Its total counts rows that it hides.
    WholeTotal,
}

/// How one page leads to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Page,
    Offset,
    LastRecord,
    Token,
    Link,
    NextUrl,
}

/// What is behind the last page of a source that does not name the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    Empty,
    Refused,
    LastPage,
}

/// What the source says of how much there is, and the job reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Silent,
    /// `/more`.
    More,
    /// `/total`, a number.
    Total,
    /// The same as a text.
    Text,
    /// `Content-Range: items 0-2/7`.
    Range,
    /// `/total`, at most so many.
    AtMost(usize),
    /// `/total`, of the page alone.
    OfPage,
    /// `/total`, hidden rows too.
    OfAll,
}

/// A whole history.
#[derive(Debug, Clone)]
pub struct Story {
    pub kind: Kind,
    pub style: Style,
    pub sign: Sign,
    pub past: Past,
    /// How many records the job asks for; `None`: it does not say.
    pub size: Option<usize>,
    /// How many rows a page has before some are hidden.
    pub cut: usize,
    /// Rows that are there at the beginning.
    pub rows: u32,
    /// Rows that are never shown.
    pub hidden: Vec<u32>,
    /// Whether rows come by their change, not by their id.
    pub by_change: bool,
    /// Whether the job has a cursor, and sends it.
    pub cursor: Option<bool>,
    /// Whether the job has a key.
    pub has_key: bool,
    pub has_lookback: bool,
    /// Runs to which the source answers nothing.
    pub silent: Range<usize>,
    /// The request of a run from which on the source answers nothing.
    pub midway: Option<usize>,
    pub runs: Vec<Tick>,
}

/// One run, and what changes before it.
#[derive(Debug, Clone)]
pub struct Tick {
    /// Rows that are new or changed.
    pub writes: Vec<u32>,
    /// Seconds that go by.
    pub pass: i64,
    pub full_refresh: bool,
}

impl Kind {
    /// Whether the source is sure to give a run of each history reason to fail.
    pub fn is_refused(self) -> bool {
        matches!(
            self,
            Self::Unknown | Self::Silent | Self::Midway | Self::WholeTotal
        )
    }
}

impl Style {
    /// Whether a run asks on although no answer names the next page.
    pub fn is_numbered(self) -> bool {
        matches!(self, Self::Page | Self::Offset | Self::LastRecord)
    }
}

impl Story {
    /// The settings of the job.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("SOURCE_RECORDS", "/items")];
        settings.extend(match self.style {
            Style::Page => vec![("SOURCE_PAGINATION", "page")],
            Style::Offset => vec![("SOURCE_PAGINATION", "offset")],
            Style::LastRecord => vec![
                ("SOURCE_PAGINATION", "last-record"),
                ("SOURCE_PAGE_FROM", "/id"),
                ("SOURCE_PAGE_TO", "after"),
            ],
            Style::Token => vec![
                ("SOURCE_PAGINATION", "token"),
                ("SOURCE_PAGE_FROM", "/next"),
                ("SOURCE_PAGE_TO", "token"),
            ],
            Style::Link => vec![("SOURCE_PAGINATION", "link")],
            Style::NextUrl => vec![("SOURCE_PAGINATION", "next-url")],
        });
        settings.extend(match self.sign {
            Sign::Silent => None,
            Sign::More => Some(("SOURCE_PAGE_MORE", "/more")),
            Sign::Range => Some(("SOURCE_TOTAL", "header:Content-Range")),
            _ => Some(("SOURCE_TOTAL", "/total")),
        });
        if self.has_key {
            settings.push(("PRIMARY_KEY", "/id"));
        }
        if let Some(is_sent) = self.cursor {
            settings.push(("SOURCE_CURSOR", "/changed"));
            settings.extend(is_sent.then_some(("SOURCE_CURSOR_TO", "since")));
            settings.extend((!self.has_lookback).then_some(("SOURCE_LOOKBACK", "0")));
        }
        let owned = |(name, value): (_, &str)| (name, value.to_owned());
        let mut settings: Vec<_> = settings.into_iter().map(owned).collect();
        if let Some(size) = self.size {
            settings.push(("SOURCE_PAGE_SIZE", size.to_string()));
            settings.push(("SOURCE_PAGE_SIZE_TO", "size".to_owned()));
        }
        settings
    }
}

/// Draws a history of a source of this kind.
pub fn stories(kind: Kind) -> impl Strategy<Value = Story> {
    use prop::sample::select;
    let source = (
        select(styles(kind)),
        select(signs(kind)),
        select(&[Past::Empty, Past::Empty, Past::Refused, Past::LastPage][..]),
        select(&[Some(250), None, Some(0)][..]),
        2_usize..6,
    );
    let rows = (
        0_u32..=IDS_MAX,
        prop::collection::vec(1..=IDS_MAX, 0..8),
        any::<bool>(),
    );
    let job = (
        select(&[None, Some(true), Some(true), Some(false)][..]),
        any::<bool>(),
        any::<bool>(),
    );
    let spoilt = (1_usize..3, 1_usize..3, 1_usize..4, 1_usize..8);
    (
        source,
        rows,
        job,
        spoilt,
        prop::collection::vec(ticks(), 2..4),
    )
        .prop_map(
            move |(source, (rows, hidden, by_change), job, spoilt, runs)| {
                let (style, sign, past, size, cut) = source;
                let (cursor, has_key, has_lookback) = job;
                let (silent_from, silent_runs, midway, at_most) = spoilt;
                let story = Story {
                    kind,
                    style,
                    sign,
                    past,
                    size,
                    cut,
                    rows,
                    hidden,
                    by_change: by_change && style != Style::LastRecord,
                    cursor,
                    has_key: has_key || cursor.is_some(),
                    has_lookback,
                    silent: 0..0,
                    midway: None,
                    runs,
                };
                fitting(
                    story,
                    silent_from..silent_from + silent_runs,
                    midway,
                    at_most,
                )
            },
        )
}

/// Makes the story one of its kind.
fn fitting(mut story: Story, silent: Range<usize>, midway: usize, at_most: usize) -> Story {
    // The job asks for what a page has, unless the source caps it.
    if story.size == Some(0) {
        story.size = Some(story.cut);
    }
    match story.kind {
        Kind::Hidden => {
            // Without a sign, nobody can tell a page that is hidden whole from the last one.
            story.cut = story.cut.max(3);
            story.size = story.size.map(|_| story.cut);
            story.hidden.sort_unstable();
            story.hidden.dedup();
            story.hidden.truncate(story.cut - 2);
        }
        Kind::Blind => story.hidden.push(1),
        Kind::WholeTotal => {
            story.hidden.push(1);
            story.rows = story.rows.max(1);
        }
        _ => story.hidden.clear(),
    }
    match story.kind {
        Kind::Plain => story.size = story.size.map(|_| story.cut),
        Kind::Capped => story.size = Some(250),
        Kind::PageTotal => {
            // As many as APIs like to send at most; others a run believes.
            story.size = Some(250);
            story.cut = 20;
            story.rows += 15;
        }
        // A total that a page reaches which is short against what was asked for, is believed.
        Kind::CappedTotal => {
            story.size = story.size.map(|_| story.cut);
            story.sign = Sign::AtMost(at_most);
        }
        Kind::Blind => story.size = Some(story.cut),
        _ => {}
    }
    match story.kind {
        Kind::Unknown | Kind::Ignored | Kind::Exclusive => {
            (story.cursor, story.has_key) = (Some(true), true);
        }
        _ => {}
    }
    match story.kind {
        Kind::Unknown => {
            story.rows = story.rows.max(1);
            story.runs[1].full_refresh = false;
        }
        Kind::Silent => {
            (story.rows, story.silent) = (story.rows.max(1), silent);
        }
        Kind::Midway => {
            story.midway = Some(midway.min(2));
            story.rows = story.rows.max(u32::try_from(story.cut * 3).unwrap());
        }
        _ => {}
    }
    story
}

fn styles(kind: Kind) -> &'static [Style] {
    match kind {
        // Where the source names no next page, its end is what it says.
        Kind::PageTotal | Kind::CappedTotal => &[Style::Page, Style::Offset, Style::LastRecord],
        _ => &[
            Style::Page,
            Style::Page,
            Style::Offset,
            Style::Offset,
            Style::LastRecord,
            Style::Token,
            Style::Link,
            Style::NextUrl,
        ],
    }
}

fn signs(kind: Kind) -> &'static [Sign] {
    match kind {
        Kind::Blind => &[Sign::More, Sign::Total, Sign::Text, Sign::Range],
        Kind::Midway => &[Sign::Total, Sign::Text, Sign::Range],
        Kind::TextTotal => &[Sign::Text, Sign::Range],
        Kind::CappedTotal => &[Sign::AtMost(0)],
        Kind::PageTotal => &[Sign::OfPage],
        Kind::WholeTotal => &[Sign::OfAll],
        _ => &[
            Sign::Silent,
            Sign::Silent,
            Sign::More,
            Sign::Total,
            Sign::Text,
        ],
    }
}

fn ticks() -> impl Strategy<Value = Tick> {
    let pass = prop_oneof![1_i64..20, 200_i64..500, Just(100_000)];
    (
        prop::collection::vec(1..=IDS_MAX + 4, 0..6),
        pass,
        prop::bool::weighted(0.15),
    )
        .prop_map(|(writes, pass, full_refresh)| Tick {
            writes,
            pass,
            full_refresh,
        })
}
