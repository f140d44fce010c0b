//! Whole answers that are no page of records.

use tidegate::outcome::Outcome::{GateRefused, ProtocolBroken, Published};

use super::fault::Effect::{Harmless, Stays};
use super::fault::{Fault, answer};
use super::hold;
use super::page::Page;
use crate::server::Reply;
use crate::world::Job;

#[test]
fn text_that_is_not_utf_8_is_76_unless_its_header_names_what_is_read() {
    hold(texts());
}

#[test]
fn a_body_that_is_no_page_of_records_is_76_and_a_bad_record_65() {
    hold(bodies());
}

#[test]
fn a_lone_surrogate_is_handed_on_as_it_came() {
    let records = r#"[{"id":1,"name":"\ud83d"},{"id":2,"name":"\udcc8\ud83d"}]"#;

    let run = Job::new().page(200, records).run();

    run.exits(Published);
    let latest = run.after.file("latest.json").unwrap_or_default();
    assert!(latest.contains(r#""name":"\ud83d""#), "{latest}");
    assert!(latest.contains(r#""name":"\udcc8\ud83d""#), "{latest}");
}

fn texts() -> Vec<Fault> {
    vec![
        answer("UTF-16", Stays(ProtocolBroken), |page| {
            let units = page.body();
            let bytes: Vec<u8> = units.encode_utf16().flat_map(u16::to_le_bytes).collect();
            page.with(bytes)
                .header("content-type", "application/json; charset=utf-16le")
        })
        .says("not JSON"),
        answer(
            "Latin-1 that no charset names",
            Stays(ProtocolBroken),
            |page| {
                page.with(b"[{\"city\":\"K\xf6ln\"}]")
                    .header("content-type", "application/json")
            },
        )
        .says("UTF-8"),
        answer("a wrong charset and UTF-8 all the same", Harmless, |page| {
            page.reply()
                .header("content-type", "application/json; charset=iso-8859-1")
        }),
        answer(
            "another content type and JSON all the same",
            Harmless,
            |page| page.reply().header("content-type", "text/plain"),
        ),
        answer("UTF-8 that is not valid", Stays(ProtocolBroken), |page| {
            page.with(b"[{\"id\":\"\xc3\x28\"}]")
        })
        .says("UTF-8"),
        answer(
            "UTF-8 that is cut within a character",
            Stays(ProtocolBroken),
            |page| page.with(b"[{\"id\":\"\xe2\x82\"}]"),
        )
        .says("UTF-8"),
        answer("a byte order mark", Harmless, |page| {
            page.with(format!("\u{feff}{}", page.body()))
        }),
        answer("two byte order marks", Stays(ProtocolBroken), |page| {
            page.with(format!("\u{feff}\u{feff}{}", page.body()))
        })
        .says("not JSON"),
        answer("white space around", Harmless, |page| {
            page.with(format!("\r\n\t {} \n", page.body()))
        }),
    ]
}

fn bodies() -> Vec<Fault> {
    let body = |name: &str, body: &'static str| {
        answer(name, Stays(ProtocolBroken), move |page| page.with(body))
    };
    vec![
        answer("a record nested too deep", Stays(GateRefused), |page| {
            page.with(format!(
                "[{{\"id\":{}{}}}]",
                "[".repeat(200),
                "]".repeat(200)
            ))
        }),
        answer(
            "a record nested a million levels deep",
            Stays(GateRefused),
            |page| {
                let levels = 1_000_000;
                page.with(format!(
                    "[{{\"id\":{}{}}}]",
                    "[".repeat(levels),
                    "]".repeat(levels)
                ))
            },
        ),
        answer("a record that is a number", Stays(GateRefused), |page| {
            page.with("[1]")
        }),
        answer("the page before, again", Stays(ProtocolBroken), |page| {
            repeated(page)
        }),
        answer("JSON cut in the middle", Stays(ProtocolBroken), |page| {
            page.with(&page.body()[..20])
        })
        .says("not JSON"),
        answer("JSON cut after a record", Stays(ProtocolBroken), |page| {
            let body = page.body();
            let end = body.find('}').map_or(0, |at| at + 1);
            page.with(&body[..end])
        })
        .says("not JSON"),
        answer("NDJSON, cut or not", Stays(ProtocolBroken), |page| {
            let records = page.records();
            page.with(format!("{}\n{}\n", records[0], records[1]))
        }),
        answer(
            "NDJSON of which one line is left",
            Stays(ProtocolBroken),
            |page| page.with(format!("{}\n", page.records()[0])),
        ),
        answer(
            "two arrays one after the other",
            Stays(ProtocolBroken),
            |page| page.with(format!("{}\n{}", page.body(), page.body())),
        )
        .says("not JSON"),
        body("null", "null").says("null"),
        body("a string", "\"\"").says("a string"),
        body("a number cut short", "-").says("not JSON"),
        body("NaN", "[{\"id\":NaN}]").says("not JSON"),
        body("a comma too many", "[{\"id\":1},]").says("not JSON"),
        body("single quotes", "[{'id':1}]").says("not JSON"),
        body("a comment", "[{\"id\":1}] // all").says("not JSON"),
        body("half an escape", "[{\"id\":\"\\u12\"}]").says("not JSON"),
        body("a raw control character", "[{\"id\":\"\u{1}\"}]").says("not JSON"),
        body("nothing but white space", " \r\n ").says("empty"),
    ]
}

/// The page before this one; the first page names itself as the next one.
fn repeated(page: &Page) -> Reply {
    match page.number {
        1 => page.reply().next(&format!("{{server}}{}", Page::target(1))),
        number => {
            let before = Page {
                number: number - 1,
                ..*page
            };
            page.with(before.body())
        }
    }
}
