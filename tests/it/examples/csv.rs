//! `guest/examples/csv`: the rows of a CSV file, exactly; an unchanged file costs one 304; a broken one is never published.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::faults::gzip;
use crate::server::Reply;
use crate::world::{Job, Run, guests, scripts};

const TWO: &str = "id,name\n1,one\n2,two\n";
/// More than a minute before any answer.
const LONG_AGO: &str = "Mon, 02 Nov 2026 06:00:00 GMT";

/// A job of the example; each of these files is one answer.
fn fetching<const N: usize>(files: [Reply; N]) -> Job {
    let job = Job::new()
        .component(guests::csv())
        .unset("WRITE_MODE")
        .unset("RETRY_PAUSE")
        .args(["--set", "RETRY_PAUSE=10ms"]);
    files.into_iter().fold(job, Job::reply)
}

/// The same job, whose source answers once more.
fn again(job: Job, reply: Reply) -> Job {
    job.then(|job| job.reply(reply))
}

fn file(body: impl Into<Vec<u8>>) -> Reply {
    Reply::new(200, body).header("content-type", "text/csv")
}

fn tagged(body: &str, etag: &str) -> Reply {
    file(body).header("etag", etag)
}

/// The conditions of each request.
fn conditions(run: &Run) -> Vec<Vec<(&str, &str)>> {
    let of_one = |headers: &'_ [(String, String)]| -> Vec<usize> {
        let named =
            |(at, (name, _)): (usize, &(String, String))| name.starts_with("if-").then_some(at);
        headers.iter().enumerate().filter_map(named).collect()
    };
    let requests = run.requests.iter();
    requests
        .map(|request| {
            let found = of_one(&request.headers).into_iter();
            found
                .map(|at| {
                    (
                        request.headers[at].0.as_str(),
                        request.headers[at].1.as_str(),
                    )
                })
                .collect()
        })
        .collect()
}

#[test]
fn rows_are_published_as_texts_with_every_character() {
    let body = "id,name,price\r\n007,\"Müller, \"\"Söhne\"\"\",1.10\r\n\r\n8,\"two\r\nlines\",\r\n9,☃\u{1f409},-0\r\n";

    let run = fetching([file(body)]).run();

    run.exits(Outcome::Published);
    assert_eq!(
        run.after.file("latest.json"),
        Some(concat!(
            "[\n{\"id\":\"007\",\"name\":\"Müller, \\\"Söhne\\\"\",\"price\":\"1.10\"},\n",
            "{\"id\":\"8\",\"name\":\"two\\r\\nlines\",\"price\":\"\"},\n",
            "{\"id\":\"9\",\"name\":\"☃\u{1f409}\",\"price\":\"-0\"}\n]\n",
        ))
    );
    assert_eq!(run.summary()["fetched"], 3);
}

#[test]
fn a_mark_at_the_beginning_is_part_of_no_name() {
    let run = fetching([file("\u{feff}id\n1")]).run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": "1"}]));
}

#[test]
fn a_mark_that_is_not_of_the_encoding_is_76() {
    let run = fetching([file("\u{feff}id\n1")])
        .set("SOURCE_CSV_ENCODING", "latin-1")
        .run();

    run.exits(Outcome::ProtocolBroken)
        .stderr_has("line 1: begins with the mark of UTF-8, and SOURCE_CSV_ENCODING is latin-1");
}

#[test]
fn old_encodings_are_read_where_the_settings_say_so() {
    let in_latin = fetching([file(*b"id,name\n1,M\xfcller\n")])
        .set("SOURCE_CSV_ENCODING", "latin-1")
        .run();
    let of_windows = fetching([file(*b"id;price\n1;\x80 2\n")])
        .set("SOURCE_CSV_ENCODING", "windows-1252")
        .set("SOURCE_CSV_DELIMITER", "semicolon")
        .run();

    in_latin
        .exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "name": "Müller"}]));
    of_windows
        .exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "price": "€ 2"}]));
}

#[test]
fn a_file_without_a_header_has_the_columns_of_the_settings() {
    let run = fetching([file("1\tone, two\n2\t\n")])
        .set("SOURCE_CSV_DELIMITER", "tab")
        .set("SOURCE_CSV_COLUMNS", "id,\"a, b\"")
        .set("SOURCE_CSV_EMPTY", "null")
        .run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "a, b": "one, two"}, {"id": "2", "a, b": null}]));
}

#[test]
fn a_header_alone_is_no_row() {
    let run = fetching([file("id|name\n")])
        .set("SOURCE_CSV_DELIMITER", "pipe")
        .run();

    run.exits(Outcome::Published).publishes(&json!([]));
}

#[test]
fn an_unchanged_file_costs_one_304_and_a_changed_one_is_published() {
    let mut job = fetching([tagged(TWO, "W/\"1\"").header("last-modified", LONG_AGO)]);
    let first = job.run();

    let mut job = again(job, Reply::new(304, ""));
    let second = job.run();
    let mut job = again(job, tagged("id,name\n1,ONE\n", "\"2\""));
    let third = job.run();

    first.exits(Outcome::Published).asked(1);
    assert_eq!(conditions(&first), [[]]);
    assert_eq!(first.summary()["cursor"], "2026-11-02T06:00:00Z");
    second.exits(Outcome::NothingNew).asked(1);
    let asked = [[
        ("if-none-match", "W/\"1\""),
        ("if-modified-since", LONG_AGO),
    ]];
    assert_eq!(conditions(&second), asked);
    second.publishes(&json!([{"id": "1", "name": "one"}, {"id": "2", "name": "two"}]));
    assert_eq!(second.summary()["cursor"], "2026-11-02T06:00:00Z");
    third.exits(Outcome::Published);
    assert_eq!(
        conditions(&third),
        asked,
        "a 304 leaves the conditions as they are"
    );
    third.publishes(&json!([{"id": "1", "name": "ONE"}]));
}

#[test]
fn a_full_refresh_and_a_run_with_other_settings_read_the_file() {
    let mut job = fetching([tagged(TWO, "\"1\"")]);
    job.run().exits(Outcome::Published);

    let mut job = again(job, tagged(TWO, "\"1\"")).args(["--full-refresh"]);
    let refreshed = job.run();
    let mut job = again(job, tagged(TWO, "\"1\""))
        .without_arg("--full-refresh")
        .set("SOURCE_CSV_ENCODING", "latin-1");
    let other_encoding = job.run();
    let mut job = again(job, tagged(TWO, "\"1\"")).set("SOURCE_API_URL", "{server}/items?day=2");
    let other_url = job.run();

    for run in [refreshed, other_encoding, other_url] {
        run.exits(Outcome::NothingNew);
        assert_eq!(conditions(&run), [[]]);
        assert_eq!(run.summary()["fetched"], 2);
    }
}

#[test]
fn a_changed_connector_reads_an_unchanged_file() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("csv.wasm");
    std::fs::copy(guests::csv(), &component).unwrap();
    let mut job = Job::new().component(&component).unset("WRITE_MODE");
    job = job.reply(tagged(TWO, "\"1\""));
    job.run().exits(Outcome::Published);

    let python = scripts::python();
    scripts::changed_example("csv", folder.path(), |copy| {
        let rows = copy.join("rows.py");
        let code = std::fs::read_to_string(&rows).unwrap();
        let changed = code.replace(
            "yield line, row",
            "yield line, [*row[:1], *map(str.upper, row[1:])]",
        );
        std::fs::write(&rows, changed).unwrap();
    });
    drop(python);
    let mut job = again(job, tagged(TWO, "\"1\""));
    let changed = job.run();
    let again = again(job, Reply::new(304, "")).run();

    changed.exits(Outcome::Published);
    assert_eq!(conditions(&changed), [[]]);
    changed.publishes(&json!([{"id": "1", "name": "ONE"}, {"id": "2", "name": "TWO"}]));
    again.exits(Outcome::NothingNew);
    assert_eq!(conditions(&again), [[("if-none-match", "\"1\"")]]);
}

#[test]
fn a_file_that_changed_within_the_last_minute_is_not_asked_for_by_its_time() {
    let date = "Mon, 02 Nov 2026 06:00:59 GMT";
    let young = file(TWO)
        .header("last-modified", LONG_AGO)
        .header("date", date);
    let mut job = fetching([young]);
    job.run().exits(Outcome::Published);

    let run = again(job, file(TWO)).run();

    run.exits(Outcome::NothingNew);
    assert_eq!(conditions(&run), [[]]);
}

#[test]
fn a_link_that_leads_to_another_file_is_not_asked_with_the_condition_of_the_last() {
    let to = |file: &str| {
        Reply::new(302, "").header("location", format!("{{server}}/{file}?signature=1"))
    };
    let mut job = fetching([to("monday.csv"), tagged(TWO, "\"1\"")]);
    job.run().exits(Outcome::Published);

    let mut job = again(again(job, to("monday.csv")), Reply::new(304, ""));
    let same = job.run();
    let mut job = again(
        again(job, to("tuesday.csv")),
        tagged("id,name\n3,x\n4,y\n", "\"1\""),
    );
    let other = job.run();

    same.exits(Outcome::NothingNew);
    assert_eq!(
        conditions(&same),
        [vec![], vec![("if-none-match", "\"1\"")]]
    );
    other.exits(Outcome::Published);
    assert_eq!(conditions(&other), [[], []]);
}

#[test]
fn a_304_that_was_not_asked_for_is_76() {
    let run = fetching([Reply::new(304, "")]).run();

    run.exits(Outcome::ProtocolBroken)
        .stderr_has("/items answered 304");
}

/// A file that is no CSV is 76, says this, and leaves what readers have.
#[track_caller]
fn is_no_csv(reply: Reply, said: &str) {
    let mut job = fetching([file(TWO)]);
    job.run().exits(Outcome::Published);

    let run = again(job, reply).run();

    run.exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .stderr_has(said);
}

#[test]
fn what_is_no_csv_is_76_with_its_line() {
    let quote_at_the_end = "id,name\n1,one\n2,\"two\nthree\n";
    is_no_csv(
        file(quote_at_the_end),
        "line 3: a quote is opened and never closed",
    );
    let far_too_long = format!("id,name\n1,\"{}", "x\n".repeat(600_000));
    is_no_csv(
        file(far_too_long),
        "line 2: a cell has more than 1048576 characters",
    );
    let no_end_of_line = format!("id,name\n1,{}", "x,".repeat(600_000));
    is_no_csv(file(no_end_of_line), "line 2: is longer than 1048576 bytes");
    is_no_csv(
        file("id,name\n1,\"a\"b\n"),
        "line 2: ',' expected after '\"'",
    );
    is_no_csv(file("id,name\n1,o\0ne\n"), "line 2: has a NUL byte");
    is_no_csv(
        file(*b"\xff\xfei\0d\0\n\0"),
        "line 1: has a NUL byte: this is no text, or UTF-16",
    );
    is_no_csv(
        file(*b"id,name\n1,ok\n2,M\xfcller\n"),
        "line 3: has the byte 0xfc, which is not utf-8",
    );
    is_no_csv(file(""), "the file is empty: it has no header");
    is_no_csv(
        file("id,name\r1,one\r"),
        "line 1: has a carriage return that ends no line",
    );
    is_no_csv(
        file("id,name,id\n1,a,2\n"),
        "line 1: two columns have the name `id`",
    );
    is_no_csv(file("id,,name\n1,a,2\n"), "line 1: column 2 has no name");
    is_no_csv(
        file("id;name\n1;one\n"),
        "set SOURCE_CSV_DELIMITER=semicolon",
    );
    is_no_csv(
        file("\nid,name\n"),
        "line 1: is empty, and the header is expected there",
    );
}

#[test]
fn a_page_for_people_in_place_of_the_file_is_76() {
    let page = "<!doctype html>\n<title>Maintenance</title>";
    is_no_csv(file(page), "line 1: begins with `<`: this is HTML or XML");
    is_no_csv(file(format!("\u{feff}\n{page}")), "line 1: is empty");
    let html = |body: &str| file(body).header("content-type", "Text/HTML; charset=utf-8");
    is_no_csv(html("Maintenance"), "/items is text/html, not CSV");
    is_no_csv(
        Reply::new(200, "{\"error\":1}"),
        "/items is application/json, not CSV",
    );
}

#[test]
fn a_file_that_was_cut_is_fetched_again_and_never_published() {
    let mut rows = "id,name\n".to_owned();
    for id in 0..5_000 {
        writeln!(rows, "{id},a row of an ordinary length").unwrap();
    }
    let whole = || file(rows.clone());
    // In the middle of a row, and at the end of one.
    let at_an_end = rows.rfind("4990,").unwrap();
    assert_eq!(rows.as_bytes()[at_an_end - 1], b'\n');

    let passed = fetching([
        whole().cut_after(100_000),
        whole().chunked(1_000).cut_after(9_000),
        whole(),
    ])
    .run();
    let mut job = fetching([whole()]);
    job.run().exits(Outcome::Published);
    let mut job = job.args(["--set", "MAX_RETRIES=1"]);
    for cut in [whole().cut_after(at_an_end), whole().reset_after(100_000)] {
        job = again(again(job, cut.clone()), cut);
        let run = job.run();
        run.exits(Outcome::ProtocolBroken)
            .publishes_nothing()
            .asked(2)
            .stderr_has("cut off");
    }

    passed.exits(Outcome::Published).asked(3);
    assert_eq!(passed.summary()["records"], 5_000);
    let latest = passed.after.file("latest.json").unwrap();
    let published: Value = serde_json::from_str(latest).unwrap();
    assert_eq!(published[4_999]["id"], "4999");
}

#[test]
fn a_file_whose_end_nothing_shows_is_76() {
    let packed = file(gzip(TWO.as_bytes())).header("content-encoding", "gzip");
    is_no_csv(
        file(TWO).header("tidegate-end", "known").unframed(),
        "/items does not say where it ends",
    );

    let shown_by_gzip = fetching([packed.unframed()]).run();
    let by_length = fetching([file(TWO).header("tidegate-end", "unknown")]).run();

    shown_by_gzip.exits(Outcome::Published);
    by_length.exits(Outcome::Published);
}

#[test]
fn a_file_in_gzip_is_whole_or_fetched_again() {
    let packed = || file(gzip(TWO.as_bytes())).header("content-encoding", "gzip");
    let short = gzip(TWO.as_bytes());
    let short = file(&short[..short.len() - 4]).header("content-encoding", "gzip");

    let run = fetching([short, packed()]).run();

    run.exits(Outcome::Published)
        .asked(2)
        .publishes(&json!([{"id": "1", "name": "one"}, {"id": "2", "name": "two"}]));
}

const UNEVEN: &str = "id,name\n1,one\n2\n\"3\n\",three,drei\n4,four\n";

#[test]
fn a_row_with_another_number_of_cells_is_65_and_kept_for_its_owner() {
    let mut job = fetching([tagged(UNEVEN, "\"1\"")]);

    let run = job.run();

    run.exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has(
            "2 records rejected, and `MAX_REJECTED` is 0; the first: line 3: cells: 1, columns: 2",
        );
    assert_eq!(
        std::fs::read_to_string(job.output().join("refused.ndjson")).unwrap(),
        concat!(
            "{\"reason\":\"line 3: cells: 1, columns: 2\",\"pointer\":\"\",\"record\":[\"2\"]}\n",
            "{\"reason\":\"line 4: cells: 3, columns: 2\",\"pointer\":\"\",\"record\":[\"3\\n\",\"three\",\"drei\"]}\n",
        )
    );
}

#[test]
fn a_file_whose_rows_were_not_all_used_is_read_again() {
    let mut job = fetching([tagged(UNEVEN, "\"1\"")]).set("MAX_REJECTED", "2");
    let first = job.run();

    let second = again(job, tagged(UNEVEN, "\"1\"")).run();

    first
        .exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "name": "one"}, {"id": "4", "name": "four"}]));
    second.exits(Outcome::NothingNew);
    assert_eq!(conditions(&second), [[]]);
}

#[test]
fn each_status_has_its_failure() {
    let ended = |status: u16| {
        let job = fetching([Reply::new(status, "")]);
        job.args(["--set", "MAX_RETRIES=0"]).run()
    };

    ended(503).exits(Outcome::TryLater);
    ended(404).exits(Outcome::SourceRefused);
    ended(401).exits(Outcome::Denied);
}

#[test]
fn settings_that_cannot_be_used_are_named_together() {
    let run = fetching([])
        .set("SOURCE_CSV_DELIMITER", "colon")
        .set("SOURCE_CSV_ENCODING", "ebcdic")
        .set("SOURCE_CSV_EMPTY", "none")
        .set("SOURCE_CSV_COLUMNS", "id,id")
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("SOURCE_CSV_DELIMITER is not `comma` or `semicolon` or `tab` or `pipe`")
        .stderr_has("SOURCE_CSV_ENCODING is not `utf-8`")
        .stderr_has("SOURCE_CSV_EMPTY is not `text` or `null`")
        .stderr_has("SOURCE_CSV_COLUMNS has a name that is empty, or two that are equal");
}

#[test]
fn names_of_columns_that_are_no_line_of_csv_are_78() {
    let run = fetching([]).set("SOURCE_CSV_COLUMNS", "id,\"name").run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("SOURCE_CSV_COLUMNS is not one line of CSV");
}

#[test]
fn a_range_is_refused() {
    let run = fetching([])
        .set("WRITE_MODE", "upsert")
        .set("PRIMARY_KEY", "/id")
        .args(["--from", "2026-11-01", "--to", "2026-11-02"])
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("--from cannot be used: a CSV file is always read whole");
}

#[test]
fn a_state_of_a_newer_version_is_refused_also_by_a_full_refresh() {
    // The state of the built-in component has version 2.
    let mut job = Job::new()
        .set("MAX_SHRINK_PERCENT", "100")
        .page(200, "[{\"id\":1}]");
    job.run().exits(Outcome::Published);
    let mut job = job
        .component(guests::csv())
        .unset("WRITE_MODE")
        .unset("RETRY_PAUSE");

    let newer = job.run();
    let refreshed = job.args(["--full-refresh"]).run();

    for run in [newer, refreshed] {
        run.exits(Outcome::Settings)
            .publishes_nothing()
            .asked(0)
            .stderr_has("state has version 2, this connector reads up to 1");
    }
}

#[test]
fn a_hundred_thousand_rows_take_no_more_memory_than_a_few() {
    let mut rows = "id,name,address,remark\n".to_owned();
    for id in 0..100_000 {
        let remark = "what people write about an address; and more of it ".repeat(3);
        writeln!(rows, "{id},\"Name {id}\",\"Street {id}, Town\",{remark}").unwrap();
    }
    assert!(rows.len() > 18_000_000);

    let run = fetching([file(rows.replace('\n', "\r\n"))])
        .set("MEMORY_LIMIT", "24MiB")
        .run();

    run.exits(Outcome::Published);
    assert_eq!(run.summary()["records"], 100_000);
    let latest = run.after.file("latest.json").unwrap();
    let last = latest.lines().nth_back(1).unwrap();
    assert!(last.starts_with(
        "{\"id\":\"99999\",\"name\":\"Name 99999\",\"address\":\"Street 99999, Town\","
    ));
}
