//! Which kind of pagination an answer looks like, by the names that APIs give to what leads on.

use super::{Suggestion, suggestion};
use crate::source::jq_path;
use crate::source::outline::Member;
use crate::source::signs::{DONE, Headers, counts_pages, next_link, total};
use crate::source::{BodyFormat, FORM};

/// Members that hold the URL of the next page.
const NEXT_URL: [&str; 8] = [
    "next",
    "nexturl",
    "nextpageurl",
    "nextlink",
    "@odata.nextlink",
    "odata.nextlink",
    "nextrecordsurl",
    "nextpage",
];
/// Members that hold a token, and the parameter that usually takes it.
const TOKENS: [(&str, &str); 13] = [
    ("nextcursor", "cursor"),
    ("nextpagetoken", "pageToken"),
    ("nexttoken", "next_token"),
    ("continuationtoken", "continuation_token"),
    ("continuation", "continuation"),
    ("endcursor", "after"),
    ("aftercursor", "cursor"),
    ("after", "after"),
    ("scrollid", "scroll_id"),
    ("cursor", "cursor"),
    ("next", "cursor"),
    ("nextpage", "page"),
    ("pagetoken", "page_token"),
];
const MORE: [&str; 5] = ["hasmore", "hasnextpage", "hasnext", "more", "moreresults"];
const PAGE_NUMBER: [&str; 4] = ["page", "currentpage", "pagenumber", "pageno"];
/// Query parameters that say that a source counts records, not pages.
const OFFSETS: [&str; 5] = ["offset", "skip", "start", "_start", "startat"];

/// What was recognised, in one line, and the settings that follow it.
pub struct Paging {
    /// For the finding.
    pub found: String,
    /// For the settings.
    pub suggestions: Vec<Suggestion>,
}

/// Tells the pagination of an answer; `None`: nothing in it leads on.
///
/// `headers` are what may lead on besides the body: a Link header with rel=next, or the name of a header with the next URL.
/// `body`: how the request's body is written, so that values go into it; `None`: it has none. `queries` are the names in the first URL's query.
pub fn told(
    members: &[Member<'_>],
    headers: &Headers,
    records: u64,
    body: Option<BodyFormat>,
    queries: &[String],
) -> Option<Paging> {
    let paging = if headers.has_next_link {
        Some(Paging {
            found: "a Link header names the next page".to_owned(),
            suggestions: vec![suggestion(
                "SOURCE_PAGINATION",
                "link",
                "the answer has a Link header with rel=next",
            )],
        })
    } else if let Some(name) = &headers.next_url {
        let from = format!("header:{name}");
        Some(Paging {
            found: format!("the header `{name}` names the next page's URL"),
            suggestions: vec![
                suggestion(
                    "SOURCE_PAGINATION",
                    "next-url",
                    "a header names the next page",
                ),
                suggestion("SOURCE_PAGE_FROM", &from, "this one"),
            ],
        })
    } else if let Some(name) = &headers.next_number {
        Some(Paging {
            found: format!("the header `{name}` has the next page's number"),
            suggestions: vec![
                suggestion(
                    "SOURCE_PAGINATION",
                    "token",
                    "a header has the next page's number",
                ),
                suggestion("SOURCE_PAGE_FROM", &format!("header:{name}"), "this one"),
                suggestion(
                    "SOURCE_PAGE_TO",
                    &place("page", body),
                    "a guess: the API's documentation says which parameter takes it",
                ),
            ],
        })
    } else {
        next_url(members)
            .or_else(|| by_relation(members))
            .or_else(|| token(members, body))
    };
    let counted = || by_number(members, headers, records, body, queries);
    let mut paging = paging
        .or_else(|| last_record(members))
        .or_else(|| by_pages(members, body))
        .or_else(counted)?;
    if let Some(more) = named(members, &MORE).find(|member| member.is_flag()) {
        paging.suggestions.push(suggestion(
            "SOURCE_PAGE_MORE",
            &more.pointer,
            "says whether there are more pages",
        ));
    } else if let Some(done) = named(members, &DONE).find(|member| member.is_flag()) {
        paging.suggestions.push(suggestion(
            "SOURCE_PAGE_MORE",
            &format!("{} | not", jq_path(&done.pointer)),
            "says whether this is the last page",
        ));
        goes_on_by_token(&mut paging, done);
    }
    let at = total(members, records).map(|total| total.pointer.clone());
    let in_header = headers.total.as_ref().map(|name| format!("header:{name}"));
    if let Some(at) = at.or(in_header) {
        paging.suggestions.push(suggestion(
            "SOURCE_TOTAL",
            &at,
            "is checked against the records received; leave it out if the API caps it",
        ));
    }
    Some(paging)
}

fn named<'m, 't>(
    members: &'m [Member<'t>],
    names: &'m [&str],
) -> impl Iterator<Item = &'m Member<'t>> {
    let known = move |member: &&Member<'_>| names.contains(&member.name.as_str());
    members.iter().filter(known)
}

fn next_url(members: &[Member<'_>]) -> Option<Paging> {
    let is_url = |text: &str| {
        ["http://", "https://", "/", "?"]
            .iter()
            .any(|start| text.starts_with(start))
    };
    let href = |member: &&Member<'_>| member.within == "next" && member.name == "href";
    let candidates = named(members, &NEXT_URL).chain(members.iter().filter(href));
    let next = candidates
        .into_iter()
        .find(|member| member.string().is_some_and(|text| is_url(&text)))?;
    let mut suggestions = vec![suggestion(
        "SOURCE_PAGINATION",
        "next-url",
        "the body names the next page's URL",
    )];
    if next.pointer != "/next" {
        suggestions.push(suggestion(
            "SOURCE_PAGE_FROM",
            &next.pointer,
            "found in the answer",
        ));
    }
    Some(Paging {
        found: format!("`{}` names the next page's URL", next.pointer),
        suggestions,
    })
}

/// A stream that says where it ends, and has a token all the same: the next run goes on by it.
fn goes_on_by_token(paging: &mut Paging, done: &Member<'_>) {
    let value = |name: &str| {
        let line = paging.suggestions.iter().find(|line| line.name == name)?;
        Some(line.value.clone())
    };
    let is_stream =
        done.name == "endofstream" && value("SOURCE_PAGINATION").as_deref() == Some("token");
    let (Some(from), Some(to)) = (value("SOURCE_PAGE_FROM"), value("SOURCE_PAGE_TO")) else {
        return;
    };
    if is_stream {
        let next = "a guess: the token of the last page is for the next run";
        paging.suggestions.extend([
            suggestion("SOURCE_CURSOR", &from, next),
            suggestion("SOURCE_CURSOR_KIND", "token", next),
            suggestion("SOURCE_CURSOR_PAGE", "last", next),
            suggestion("SOURCE_CURSOR_TO", &to, next),
        ]);
    }
}

fn by_relation(members: &[Member<'_>]) -> Option<Paging> {
    let (links, (relation, url)) = members
        .iter()
        .find_map(|member| Some((member, next_link(member)?)))?;
    let from = format!(
        "{}[] | select({} == \"next\"){}",
        jq_path(&links.pointer),
        jq_path(&format!("/{relation}")),
        jq_path(&format!("/{url}"))
    );
    Some(Paging {
        found: format!("`{}` has a link to the next page", links.pointer),
        suggestions: vec![
            suggestion(
                "SOURCE_PAGINATION",
                "next-url",
                "the body has a list of links",
            ),
            suggestion(
                "SOURCE_PAGE_FROM",
                &from,
                "the one with the relation `next`",
            ),
        ],
    })
}

/// The number of a page, and how many there are.
fn by_pages(members: &[Member<'_>], body: Option<BodyFormat>) -> Option<Paging> {
    let pages = members
        .iter()
        .find(|member| counts_pages(member, members))?;
    let place = |pointer: &str| pointer.rsplit_once('/').map(|(at, _)| at.to_owned());
    let page = named(members, &PAGE_NUMBER)
        .find(|page| page.number().is_some() && place(&page.pointer) == place(&pages.pointer))?;
    let (at, of) = (jq_path(&page.pointer), jq_path(&pages.pointer));
    let is_from_zero = page.number() == Some(0);
    let more = if is_from_zero {
        format!("({at} | tonumber) + 1 < ({of} | tonumber)")
    } else {
        format!("({at} | tonumber) < ({of} | tonumber)")
    };
    let mut suggestions = vec![
        suggestion("SOURCE_PAGINATION", "page", "pages are asked for by number"),
        suggestion(
            "SOURCE_PAGE_TO",
            &self::place("page", body),
            "a guess: the API's documentation says which parameter takes it",
        ),
        suggestion(
            "SOURCE_PAGE_MORE",
            &more,
            "the answer says how many pages there are",
        ),
    ];
    if is_from_zero {
        suggestions.push(suggestion("SOURCE_PAGE_FIRST", "0", "the first page is 0"));
    }
    Some(Paging {
        found: format!(
            "`{}` is {}, of {} pages",
            page.pointer, page.text, pages.text
        ),
        suggestions,
    })
}

/// Where a value of this name goes.
fn place(name: &str, body: Option<BodyFormat>) -> String {
    match body {
        None => name.to_owned(),
        Some(BodyFormat::Json) => format!("/{name}"),
        Some(BodyFormat::Form) => format!("{FORM}{name}"),
    }
}

fn token(members: &[Member<'_>], body: Option<BodyFormat>) -> Option<Paging> {
    let taken = |member: &Member<'_>| {
        let to = TOKENS.iter().find(|(name, _)| *name == member.name)?.1;
        let is_token = member.string().is_some() || member.number().is_some();
        // A number under `count` or `page` is no token; one under `next` is.
        is_token.then(|| (member.pointer.clone(), to))
    };
    let (from, to) = members.iter().find_map(taken)?;
    let to = place(to, body);
    Some(Paging {
        found: format!("`{from}` is a token that leads to the next page"),
        suggestions: vec![
            suggestion(
                "SOURCE_PAGINATION",
                "token",
                "the body has a token for the next page",
            ),
            suggestion("SOURCE_PAGE_FROM", &from, "found in the answer"),
            suggestion(
                "SOURCE_PAGE_TO",
                &to,
                "a guess: the API's documentation says which parameter takes it",
            ),
        ],
    })
}

/// A flag that says that there is more, and nothing that leads there: the last record's id does.
fn last_record(members: &[Member<'_>]) -> Option<Paging> {
    named(members, &MORE).find(|member| member.is_flag())?;
    Some(Paging {
        found: "a flag says whether there are more pages; the last record's id may lead on"
            .to_owned(),
        suggestions: vec![
            suggestion(
                "SOURCE_PAGINATION",
                "last-record",
                "nothing else in the answer leads on",
            ),
            suggestion(
                "SOURCE_PAGE_FROM",
                "/id",
                "the id of the last record of a page",
            ),
            suggestion(
                "SOURCE_PAGE_TO",
                "starting_after",
                "a guess: the API's documentation says which parameter takes it",
            ),
        ],
    })
}

fn by_number(
    members: &[Member<'_>],
    headers: &Headers,
    records: u64,
    body: Option<BodyFormat>,
    queries: &[String],
) -> Option<Paging> {
    let offset = queries.iter().find(|name| {
        let name = name.to_ascii_lowercase();
        OFFSETS.contains(&name.as_str())
    });
    let page = named(members, &PAGE_NUMBER).find(|member| member.number().is_some());
    let total = total(members, records);
    let counted = total.map(|total| format!("`{}` is {}", total.pointer, total.text));
    let in_header = headers.total.as_ref();
    let counted =
        counted.or_else(|| in_header.map(|name| format!("the header `{name}` counts more")));
    if offset.is_none() && page.is_none() && counted.is_none() {
        return None;
    }
    let (style, to, found) = match (offset, counted) {
        (Some(name), _) => ("offset", name.as_str(), "the URL counts records".to_owned()),
        (None, Some(counted)) => (
            "page",
            "page",
            format!("{counted}, and the answer has {records}"),
        ),
        (None, None) => ("page", "page", "the answer has a page number".to_owned()),
    };
    let to = place(to, body);
    Some(Paging {
        found,
        suggestions: vec![
            suggestion("SOURCE_PAGINATION", style, "pages are asked for by number"),
            suggestion(
                "SOURCE_PAGE_TO",
                &to,
                "a guess: the API's documentation says which parameter takes it",
            ),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::outline::members;

    /// `NAME=VALUE` of what is suggested for a body.
    fn lines(body: &str, posts: bool, queries: &[&str]) -> Vec<String> {
        let queries: Vec<String> = queries.iter().map(|name| (*name).to_owned()).collect();
        let format = posts.then_some(BodyFormat::Json);
        told(&members(body), &Headers::default(), 2, format, &queries)
            .map(|paging| paging.suggestions)
            .unwrap_or_default()
            .into_iter()
            .map(|line| format!("{}={}", line.name, line.value))
            .collect()
    }

    #[test]
    fn a_next_url_is_told_by_its_name_and_shape() {
        assert_eq!(
            lines(
                r#"{"value":[],"@odata.nextLink":"https://x.example/p?2"}"#,
                false,
                &[]
            ),
            [
                "SOURCE_PAGINATION=next-url",
                "SOURCE_PAGE_FROM=/@odata.nextLink"
            ]
        );
        assert_eq!(
            lines(r#"{"links":{"next":{"href":"/p?2"}}}"#, false, &[]),
            [
                "SOURCE_PAGINATION=next-url",
                "SOURCE_PAGE_FROM=/links/next/href"
            ]
        );
        assert_eq!(
            lines(r#"{"next":"/p?2"}"#, false, &[]),
            ["SOURCE_PAGINATION=next-url"]
        );
    }

    #[test]
    fn a_token_goes_into_the_query_or_the_body() {
        assert_eq!(
            lines(
                r#"{"results":[],"paging":{"next":{"after":"10"}}}"#,
                true,
                &[]
            ),
            [
                "SOURCE_PAGINATION=token",
                "SOURCE_PAGE_FROM=/paging/next/after",
                "SOURCE_PAGE_TO=/after"
            ]
        );
        assert_eq!(
            lines(r#"{"nextPageToken":"abc"}"#, false, &[]),
            [
                "SOURCE_PAGINATION=token",
                "SOURCE_PAGE_FROM=/nextPageToken",
                "SOURCE_PAGE_TO=pageToken"
            ]
        );
    }

    #[test]
    fn a_flag_alone_means_the_last_record() {
        assert_eq!(
            lines(r#"{"data":[],"has_more":true}"#, false, &[]),
            [
                "SOURCE_PAGINATION=last-record",
                "SOURCE_PAGE_FROM=/id",
                "SOURCE_PAGE_TO=starting_after",
                "SOURCE_PAGE_MORE=/has_more"
            ]
        );
    }

    #[test]
    fn a_total_means_pages_or_an_offset() {
        let body = r#"{"items":[],"total":7}"#;

        assert_eq!(
            lines(body, false, &[]),
            [
                "SOURCE_PAGINATION=page",
                "SOURCE_PAGE_TO=page",
                "SOURCE_TOTAL=/total"
            ]
        );
        assert_eq!(
            lines(body, false, &["limit", "offset"]),
            [
                "SOURCE_PAGINATION=offset",
                "SOURCE_PAGE_TO=offset",
                "SOURCE_TOTAL=/total"
            ]
        );
    }

    #[test]
    fn a_flag_that_is_true_at_the_end_is_negated() {
        assert_eq!(
            lines(
                r#"{"rows":[],"next_cursor":"x","meta":{"is_last":false}}"#,
                false,
                &[]
            ),
            [
                "SOURCE_PAGINATION=token",
                "SOURCE_PAGE_FROM=/next_cursor",
                "SOURCE_PAGE_TO=cursor",
                "SOURCE_PAGE_MORE=.meta.is_last | not"
            ]
        );
        assert_eq!(
            lines(
                r#"{"tickets":[],"after_cursor":"x","end_of_stream":true}"#,
                false,
                &[]
            ),
            [
                "SOURCE_PAGINATION=token",
                "SOURCE_PAGE_FROM=/after_cursor",
                "SOURCE_PAGE_TO=cursor",
                "SOURCE_PAGE_MORE=.end_of_stream | not",
                "SOURCE_CURSOR=/after_cursor",
                "SOURCE_CURSOR_KIND=token",
                "SOURCE_CURSOR_PAGE=last",
                "SOURCE_CURSOR_TO=cursor"
            ]
        );
    }

    #[test]
    fn a_number_of_pages_and_a_list_of_links_need_programs() {
        assert_eq!(
            lines(r#"{"page":1,"pages":3,"items":[]}"#, false, &[]),
            [
                "SOURCE_PAGINATION=page",
                "SOURCE_PAGE_TO=page",
                "SOURCE_PAGE_MORE=(.page | tonumber) < (.pages | tonumber)"
            ]
        );
        assert_eq!(
            lines(
                r#"{"link":[{"relation":"self","url":"/a"},{"relation":"next","url":"/b"}]}"#,
                false,
                &[]
            ),
            [
                "SOURCE_PAGINATION=next-url",
                r#"SOURCE_PAGE_FROM=.link[] | select(.relation == "next").url"#
            ]
        );
    }

    #[test]
    fn what_leads_nowhere_is_not_paged() {
        for body in [
            r#"{"items":[],"next":null,"total":2}"#,
            r#"{"items":[],"next":""}"#,
            "{}",
        ] {
            assert_eq!(lines(body, false, &[]), [""; 0], "{body}");
        }
    }
}
