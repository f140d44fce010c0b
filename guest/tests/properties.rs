//! Laws of staging: whatever a source sends, every record comes out as it came.

mod world;

use proptest::prelude::*;
use world::{Job, page, parameter, with_header};

/// JSON objects with everything that could suffer: long numbers, escapes, white space.
fn records() -> impl Strategy<Value = Vec<String>> {
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?";
    let text = prop_oneof![
        "\\PC{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u00e9\ud83d\ude00\"\\\/ \n  ""#.to_owned()),
    ];
    let leaf = prop_oneof![
        number,
        text,
        Just("null".to_owned()),
        Just("true".to_owned())
    ];
    let space = prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\n  "), 1 => Just("\r\n\t")];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let members = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| format!("\"m{at}\":\n{item}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    });
    let record = (prop::collection::vec(value, 0..4), space).prop_map(|(values, space)| {
        let members = values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{space}\"f{at}\" :{space}{value}"));
        format!("{{{}{space}}}", members.collect::<Vec<_>>().join(","))
    });
    prop::collection::vec(record, 0..8)
}

/// JSON text without the white space between its tokens.
fn tokens(json: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    json.chars()
        .filter(|c| {
            let inside = in_string;
            if !escaped && *c == '"' {
                in_string = !in_string;
            }
            escaped = inside && !escaped && *c == '\\';
            inside || !matches!(c, ' ' | '\n' | '\r' | '\t')
        })
        .collect()
}

fn pages_of(records: &[String], cuts: &[usize]) -> Vec<String> {
    let mut pages = vec![Vec::new()];
    for (at, record) in records.iter().enumerate() {
        if cuts.contains(&at) {
            pages.push(Vec::new());
        }
        if let Some(page) = pages.last_mut() {
            page.push(record.as_str());
        }
    }
    pages
        .iter()
        .map(|page| format!("[{}]", page.join(" ,\n")))
        .collect()
}

/// Stages pages that are linked to each other; each carries its number in white space, so that none equals another.
fn staged(pages: &[String]) -> Vec<String> {
    let run = Job::with(&[("SOURCE_PAGINATION", "link")]).run(|url| {
        let at: usize = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
        let body = format!("{}{}", " ".repeat(at), pages[at]);
        let more = at + 1 < pages.len();
        let said = page(&body);
        if more {
            with_header(said, "link", &format!("<?page={}>; rel=next", at + 1))
        } else {
            said
        }
    });
    assert_eq!(run.report().staged, run.report().fetched);
    run.folder.lines("records")
}

proptest! {
    #[test]
    fn every_record_is_staged_on_one_line_with_all_its_tokens(records in records()) {
        let lines = staged(&pages_of(&records, &[]));

        let expected: Vec<String> = records.iter().map(|record| tokens(record)).collect();
        let found: Vec<String> = lines.iter().map(|line| tokens(line)).collect();
        prop_assert_eq!(found, expected);
        for (line, record) in lines.iter().zip(&records) {
            prop_assert!(record.contains('\n') || line == record);
        }
    }

    #[test]
    fn however_records_are_cut_into_pages_the_same_is_staged(
        records in records(),
        cuts in prop::collection::vec(1_usize..8, 0..4),
    ) {
        prop_assert_eq!(staged(&pages_of(&records, &cuts)), staged(&pages_of(&records, &[])));
    }

    #[test]
    fn no_damaged_page_makes_the_job_panic(
        records in records(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let job = Job::with(&[("SOURCE_CURSOR", "/f0"), ("SOURCE_DELETED", "/f1"), ("PRIMARY_KEY", "/f2/m0")]);
        let mut body = pages_of(&records, &[]).remove(0).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;

        let run = job.run(|_| Ok(tidegate_guest::ports::Answer {
            status: 200,
            headers: Vec::new(),
            body: body.clone(),
        }));

        if run.outcome.is_ok() {
            let report = run.report();
            prop_assert_eq!(report.fetched, report.staged + report.deleted + report.rejected);
        }
    }
}
