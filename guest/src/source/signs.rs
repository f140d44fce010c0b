//! Signs that an answer is only a part of what there is, for a source of which nobody said how it is paged.
//!
//! What is strong says by its meaning that there is more: a total above the number of records, a next link, a flag. What is weak
//! is only usual where there is more. What to do about a sign is the run's business, and how to go on that of `probe`.

use super::link;
use super::named::whole;
use super::next_page::ROUND_COUNTS;
use super::outline::{Member, elements, members, members_on_the_way_to};
use super::page::{Format, Place};
use crate::failure::Failure;
use crate::ports::Answer;
use crate::source::retry::header;

/// Headers with the number of all records.
const TOTAL_HEADERS: [&str; 9] = [
    "x-total-count",
    "x-total",
    "x-total-results",
    "x-total-records",
    "x-wp-total",
    "x-pagination-total",
    "x-pagination-total-count",
    "x-count",
    "total-count",
];
/// Headers with the number of all pages.
const PAGES_HEADERS: [&str; 5] = [
    "x-total-pages",
    "x-wp-totalpages",
    "x-pagination-page-count",
    "x-pages",
    "x-page-count",
];
/// Headers with a JSON object about the pages.
const JSON_HEADERS: [&str; 2] = ["x-pagination", "pagination"];
/// Words of a name that counts all records.
const COUNTS: [&str; 4] = ["total", "totals", "count", "counts"];
/// Such names in one word, or without such a word.
const COUNT_NAMES: [&str; 21] = [
    "totalcount",
    "totalresults",
    "totalrecords",
    "totalitems",
    "totalsize",
    "totalhits",
    "totalelements",
    "totalentries",
    "totalrows",
    "recordcount",
    "resultcount",
    "itemcount",
    "rowcount",
    "recordsfiltered",
    "numfound",
    "numresults",
    "numrecords",
    "numbermatched",
    "numberofresults",
    "numberofrecords",
    "nbhits",
];
/// Words of a name that counts something else.
const OTHER_COUNTS: [&str; 28] = [
    "page", "pages", "per", "limit", "size", "time", "ms", "millis", "seconds", "duration",
    "price", "amount", "cost", "sum", "bytes", "tokens", "score", "credits", "calls", "requests",
    "retry", "retries", "failed", "skipped", "unread", "views", "likes", "version",
];
/// Words of what stands beside the records and is not about them.
const OTHER_PLACES: [&str; 12] = [
    "shards",
    "facet",
    "facets",
    "aggregation",
    "aggregations",
    "aggs",
    "stats",
    "statistics",
    "usage",
    "rate",
    "quota",
    "errors",
];
/// Members with the number of records that a page has at most.
const SIZES: [&str; 8] = [
    "limit",
    "perpage",
    "pagesize",
    "pagelimit",
    "itemsperpage",
    "resultsperpage",
    "maxresults",
    "take",
];
/// Members that lead to the next page.
const NEXT: [&str; 27] = [
    "next",
    "nexturl",
    "nexturi",
    "nexthref",
    "nextlink",
    "nextpage",
    "nextpageurl",
    "nextpageuri",
    "nextpagelink",
    "nextpagenumber",
    "nextpageid",
    "nextpagetoken",
    "nextpagecursor",
    "nextrecordsurl",
    "nextcursor",
    "nexttoken",
    "nextoffset",
    "nextstart",
    "nextmarker",
    "nextkey",
    "nextid",
    "nextcontinuationtoken",
    "nextpartitionkey",
    "continuationtoken",
    "@odata.nextlink",
    "odata.nextlink",
    "@nextlink",
];
/// Members of a `next` that lead there.
const WITHIN_NEXT: [&str; 8] = [
    "href", "url", "link", "cursor", "after", "offset", "page", "token",
];
/// Members that may lead to the next page, or say where this one is.
const CURSORS: [&str; 9] = [
    "cursor",
    "after",
    "endcursor",
    "continuation",
    "scrollid",
    "pagetoken",
    "marker",
    "searchafter",
    "bookmark",
];
/// Flags that are true while there is more.
const MORE: [&str; 17] = [
    "hasmore",
    "hasmoreitems",
    "hasmoreresults",
    "hasmorerecords",
    "hasmorepages",
    "hasnext",
    "hasnextpage",
    "hasnextpages",
    "more",
    "moreresults",
    "moreitems",
    "morerecords",
    "morepages",
    "moreavailable",
    "istruncated",
    "truncated",
    "exceededtransferlimit",
];
/// Flags that are false while there is more.
pub const DONE: [&str; 9] = [
    "done",
    "isdone",
    "last",
    "islast",
    "lastpage",
    "islastpage",
    "endofstream",
    "exhausted",
    "iscomplete",
];

/// Headers that hold the URL of the next page, or its number.
const NEXT_HEADERS: [&str; 4] = ["next-page", "x-next-page", "x-next", "x-next-url"];

/// What the headers of an answer say of a next page.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// A Link header with rel=next.
    pub has_next_link: bool,
    /// The name of a header that holds the next page's URL.
    pub next_url: Option<String>,
    /// The name of a header that holds the next page's number.
    pub next_number: Option<String>,
    /// The name of a header with a number of records that is larger than what came.
    pub total: Option<String>,
}

impl Headers {
    /// Those of `answer`, which has so many records.
    pub fn of(answer: &Answer, records: u64) -> Self {
        let named = |fits: &dyn Fn(&str) -> bool| {
            let found = NEXT_HEADERS
                .into_iter()
                .find(|name| text(answer, name).is_some_and(fits));
            found.map(str::to_owned)
        };
        Self {
            has_next_link: matches!(link::next(header(answer, "link")), Ok(Some(_))),
            next_url: named(&|value| value.starts_with("http") || value.starts_with('/')),
            next_number: named(&|value| value.parse::<u64>().is_ok()),
            total: total_header(answer, records).map(|(name, _)| name.to_owned()),
        }
    }
}

/// What an answer says of records that are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// There are more.
    Strong(String),
    /// There may be more.
    Weak(String),
}

/// Looks for a sign around the records of an answer: in `envelope`, which is its body without them, and in its headers. Where a
/// program finds the records, they are nowhere in particular, and still in it: `records_at` is `None` then.
pub fn of(
    answer: &Answer,
    envelope: &str,
    records: u64,
    records_at: Option<&str>,
    format: Format,
) -> Option<Sign> {
    if format == Format::Object {
        return None;
    }
    let mut members = members_on_the_way_to(envelope, records_at.unwrap_or_default());
    if records_at.is_none() {
        leave_out_keyed(&mut members);
    }
    let strong = by_link(&Headers::of(answer, records), &members)
        .or_else(|| by_flag(&members))
        .or_else(|| by_total_in_headers(answer, records))
        .or_else(|| by_total(&members, records))
        .or_else(|| {
            (answer.status == 206)
                .then(|| "it was answered with 206, a part of what there is".to_owned())
        })
        .or_else(|| by_header_of_pages(answer, records));
    if let Some(found) = strong {
        return Some(Sign::Strong(found));
    }
    if says_no_more(&members) {
        return None;
    }
    let by_size = || {
        let is_size = |member: &&Member<'_>| {
            SIZES.contains(&member.name.as_str()) && member.count() == Some(records)
        };
        let size = members.iter().find(is_size)?;
        Some(format!(
            "it has as many records as `{}` allows, {records}",
            size.pointer
        ))
    };
    let by_round_count = || {
        let is_round = ROUND_COUNTS.contains(&records);
        is_round.then(|| format!("it has exactly {records} records, which is a usual page size"))
    };
    by_cursor(&members)
        .or_else(by_size)
        .or_else(by_round_count)
        .map(Sign::Weak)
}

/// Members that are about the answer or its pages, so that the object around them has no records by key.
const AROUND: [&str; 14] = [
    "meta",
    "metadata",
    "paging",
    "pagination",
    "pageinfo",
    "page",
    "pages",
    "pager",
    "cursor",
    "cursors",
    "link",
    "links",
    "responsemetadata",
    "info",
];

/// Leaves out what is in objects that have nothing but objects in them, as records by key: their members say nothing of pages.
/// The body itself is around records, rather.
fn leave_out_keyed(members: &mut Vec<Member<'_>>) {
    let parent = |pointer: &str| pointer.rsplit_once('/').map(|(at, _)| at.to_owned());
    let objects = members.iter().filter(|member| member.text.starts_with('{'));
    let is_around = |name: &str| {
        let name: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        AROUND.contains(&name.as_str())
    };
    let objects = objects.filter(|member| !is_around(&member.name));
    let all = objects.map(|member| member.pointer.as_str());
    let leads =
        |member: &Member<'_>| NEXT.contains(&member.name.as_str()) || is_around(&member.name);
    let keyed = all.filter(|at| {
        let of = |member: &&Member<'_>| parent(&member.pointer).as_deref() == Some(at);
        let mut own = members.iter().filter(of).peekable();
        own.peek().is_some() && own.all(|member| member.text.starts_with('{') && !leads(member))
    });
    let keyed: Vec<String> = keyed.map(|at| format!("{at}/")).collect();
    members.retain(|member| {
        !keyed
            .iter()
            .any(|at| member.pointer.starts_with(at.as_str()))
    });
}

/// The failure of a first run whose answer is not all there is, by this sign.
pub fn not_all(place: &Place, what: &str) -> Failure {
    Failure::protocol(format!(
        "{place} is not all there is: {what}; set SOURCE_PAGINATION (`tidegate check --online` proposes how), or SOURCE_PAGINATION=none if it is everything"
    ))
}

/// The member that counts all records, where there are more of them than came.
pub fn total<'m, 't>(members: &'m [Member<'t>], records: u64) -> Option<&'m Member<'t>> {
    let is_more = |member: &&Member<'_>| member.count().is_some_and(|total| total > records);
    members
        .iter()
        .filter(is_more)
        .find(|member| counts_all(member))
}

/// The header that counts all records, where there are more of them than came, and its number.
fn total_header(answer: &Answer, records: u64) -> Option<(&'static str, u64)> {
    let number = |name: &'static str| Some((name, whole(text(answer, name)?)?));
    let range = || {
        let range = text(answer, "content-range").filter(|range| !range.starts_with("bytes"))?;
        Some(("content-range", whole(range.rsplit_once('/')?.1)?))
    };
    let mut found = TOTAL_HEADERS.into_iter().filter_map(number).chain(range());
    found.find(|(_, total)| *total > records)
}

fn text<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let named = |(found, _): &&(String, Vec<u8>)| found == name;
    let (_, value) = answer.headers.iter().find(named)?;
    std::str::from_utf8(value).ok().map(str::trim)
}

fn by_link(headers: &Headers, members: &[Member<'_>]) -> Option<String> {
    if headers.has_next_link {
        return Some("a Link header names a next page".to_owned());
    }
    if let Some(name) = headers.next_url.as_ref().or(headers.next_number.as_ref()) {
        return Some(format!("the header `{name}` names a next page"));
    }
    let leads = |member: &&Member<'_>| {
        let is_next = NEXT.contains(&member.name.as_str())
            || member.within == "next" && WITHIN_NEXT.contains(&member.name.as_str());
        is_next && member.leads_on() || next_link(member).is_some()
    };
    let next = members.iter().find(leads)?;
    if says_no_more(members) && next.string().is_none_or(|text| !text.contains('/')) {
        return None;
    }
    Some(format!("`{}` leads to a next page", next.pointer))
}

/// The names of the relation and of the URL in `"links":[{"rel":"next","href":…}]`; they may be `relation` and `url`, or
/// attributes of XML.
pub fn next_link(member: &Member<'_>) -> Option<(&'static str, &'static str)> {
    if !matches!(member.name.as_str(), "link" | "links") {
        return None;
    }
    let names = |link: &str| {
        let parts = members(link);
        let text = |name: &str| {
            let named = |part: &&Member<'_>| part.pointer[1..] == *name && part.leads_on();
            parts.iter().find(named).and_then(Member::string)
        };
        let is_next = |name: &&str| text(name).is_some_and(|text| text == "next");
        let relation = ["rel", "relation", "@rel"].into_iter().find(is_next)?;
        let url = ["href", "url", "@href"]
            .into_iter()
            .find(|name| text(name).is_some())?;
        Some((relation, url))
    };
    elements(member.text)?.into_iter().find_map(names)
}

fn flag(members: &[Member<'_>], names: &[&str], value: &str) -> Option<String> {
    let is_set = |member: &&Member<'_>| {
        names.contains(&member.name.as_str()) && member.text.trim_matches('"') == value
    };
    members
        .iter()
        .find(is_set)
        .map(|member| format!("`{}` is {value}", member.pointer))
}

fn by_flag(members: &[Member<'_>]) -> Option<String> {
    flag(members, &MORE, "true").or_else(|| flag(members, &DONE, "false"))
}

fn says_no_more(members: &[Member<'_>]) -> bool {
    flag(members, &MORE, "false")
        .or_else(|| flag(members, &DONE, "true"))
        .is_some()
}

fn by_total_in_headers(answer: &Answer, records: u64) -> Option<String> {
    if let Some((name, total)) = total_header(answer, records) {
        return Some(format!(
            "the header `{name}` says {total}, and it has {records} records"
        ));
    }
    for name in PAGES_HEADERS {
        let pages = text(answer, name)
            .and_then(whole)
            .filter(|pages| *pages > 1);
        if let Some(pages) = pages {
            return Some(format!(
                "the header `{name}` says that there are {pages} pages"
            ));
        }
    }
    None
}

fn by_total(members: &[Member<'_>], records: u64) -> Option<String> {
    if let Some(total) = total(members, records) {
        let said = total.text;
        return Some(format!(
            "`{}` is {said}, and it has {records} records",
            total.pointer
        ));
    }
    let pages = members
        .iter()
        .find(|member| counts_pages(member, members))?;
    Some(format!(
        "`{}` says that there are {} pages",
        pages.pointer, pages.text
    ))
}

fn by_header_of_pages(answer: &Answer, records: u64) -> Option<String> {
    for name in JSON_HEADERS {
        let Some(text) = text(answer, name).filter(|text| text.starts_with('{')) else {
            continue;
        };
        let members = members(text);
        let found = by_flag(&members).or_else(|| by_total(&members, records));
        if let Some(found) = found {
            return Some(format!("the header `{name}` says that {found}"));
        }
    }
    None
}

fn by_cursor(members: &[Member<'_>]) -> Option<String> {
    let is_cursor =
        |member: &&Member<'_>| CURSORS.contains(&member.name.as_str()) && member.leads_on();
    let cursor = members.iter().find(is_cursor)?;
    Some(format!("`{}` may lead to a next page", cursor.pointer))
}

/// Whether a member's name says that it counts all records.
fn counts_all(member: &Member<'_>) -> bool {
    let mut steps: Vec<&str> = member.pointer.split('/').skip(1).collect();
    let mut plain = &member.name;
    if plain == "value" {
        // `"total":{"value":10000,"relation":"gte"}`
        steps.pop();
        plain = &member.within;
    }
    let name = words(steps.pop().unwrap_or_default());
    let outer = words(&steps.join("/"));
    let has =
        |words: &[String], list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let is_count = has(&name, &COUNTS) && !has(&name, &OTHER_COUNTS);
    (is_count || COUNT_NAMES.contains(&plain.as_str())) && !has(&outer, &OTHER_PLACES)
}

/// Whether a member says that there are several pages, and this is not the last of them.
pub fn counts_pages(member: &Member<'_>, members: &[Member<'_>]) -> bool {
    const NAMES: [&str; 7] = [
        "totalpages",
        "pagecount",
        "pagescount",
        "numpages",
        "lastpage",
        "pagetotal",
        "pages",
    ];
    const BESIDE: [&str; 7] = [
        "page",
        "currentpage",
        "pagenumber",
        "perpage",
        "pagesize",
        "total",
        "limit",
    ];
    if !NAMES.contains(&member.name.as_str()) {
        return false;
    }
    let beside = |other: &&Member<'_>| {
        let parent = |pointer: &str| {
            pointer
                .rsplit_once('/')
                .map(|(parent, _)| parent.to_owned())
        };
        parent(&other.pointer) == parent(&member.pointer) && BESIDE.contains(&other.name.as_str())
    };
    let at = members.iter().filter(beside);
    let is_at_last = |other: &Member<'_>| {
        matches!(other.name.as_str(), "page" | "currentpage" | "pagenumber")
            && other.count() == member.count()
    };
    let mut at = at.peekable();
    let is_told = member.name != "pages" || at.peek().is_some();
    member.count().is_some_and(|pages| pages > 1) && is_told && !at.any(is_at_last)
}

/// The words of a name, or of a pointer: `filter_count` and `filterCount` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins = !letter.is_alphanumeric() || letter.is_uppercase() && before.is_lowercase();
        if begins {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            let word = words.last_mut().expect("there is one");
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests;
