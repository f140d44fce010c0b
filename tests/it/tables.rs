//! csv and compression, end to end: the bytes that readers find, and what a change of format or compression needs.

use std::process::Command;

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::Job;

const ROWS: &str = r#"{"id":2,"total":1.10,"note":"a \"b\", c","lines":[1, 2]}
{"id":1,"total":-5,"note":"","paid":true}
{"id":3,"total":null,"note":"=1+1\nx"}
"#;

fn staging(rows: &str) -> Job {
    Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_STAGE_RECORDS", rows)
}

fn csv(rows: &str) -> Job {
    staging(rows).set("OUTPUT_FORMAT", "csv")
}

fn bytes(job: &Job, name: &str) -> Vec<u8> {
    std::fs::read(job.output().join(name)).expect("a published file")
}

fn text(job: &Job, name: &str) -> String {
    String::from_utf8(bytes(job, name)).expect("UTF-8")
}

/// What a program makes of a published file.
fn made_by(program: &str, job: &Job, name: &str) -> String {
    let made = Command::new(program)
        .arg("-dc")
        // zstd passes over links that it is given by name.
        .stdin(std::fs::File::open(job.output().join(name)).expect("a published file"))
        .output()
        .expect("the program is installed");
    assert!(made.status.success(), "{program}: {made:?}");
    String::from_utf8(made.stdout).expect("UTF-8")
}

#[test]
fn a_csv_file_is_rfc_4180_to_the_byte() {
    let mut job = csv(ROWS);

    let run = job.run();

    run.exits(Outcome::Published);
    let text = text(&job, "latest.csv");
    assert_eq!(
        text,
        "id,total,note,lines,paid\r\n\
         1,-5,\"\",,true\r\n\
         2,1.10,\"a \"\"b\"\", c\",\"[1, 2]\",\r\n\
         3,,\"=1+1\nx\",,\r\n"
    );
}

#[test]
fn columns_and_formulas_are_changed_without_a_word_and_what_is_published_is_rendered_anew() {
    let mut job = csv(ROWS);
    job.run().exits(Outcome::Published);

    let mut job = job
        .set("OUTPUT_COLUMNS", "=note /note\nfirst bigint /lines/0")
        .set("OUTPUT_CSV_FORMULAS", "escape")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":4,\"note\":\"-\"}\n");
    job.run().exits(Outcome::Published);

    assert_eq!(
        text(&job, "latest.csv"),
        "'=note,first\r\n\"\",\r\n\"a \"\"b\"\", c\",1\r\n\"'=1+1\nx\",\r\n'-,\r\n"
    );
}

#[test]
fn the_format_is_changed_and_changed_back_when_the_change_is_accepted() {
    let rows = "{\"id\":1,\"v\":1.10}\n";
    let mut job = staging(rows);
    job.run().exits(Outcome::Published);
    let mut job = job.set("OUTPUT_FORMAT", "csv");

    let refused = job.run();
    refused
        .exits(Outcome::Settings)
        .publishes_nothing()
        .stderr_has("--accept-change OUTPUT_FORMAT");
    let mut job = job.args(["--accept-change", "OUTPUT_FORMAT"]);
    job.run().exits(Outcome::Published);
    let table = text(&job, "latest.csv");
    let mut job = job
        .set("OUTPUT_FORMAT", "json")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":2}\n");
    let back = job.run();

    assert_eq!(table, "id,v\r\n1,1.10\r\n");
    back.exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "v": 1.1}, {"id": 2}]));
    assert!(text(&job, "latest.json").contains("1.10"));
}

#[test]
fn compression_is_changed_between_runs_and_the_usual_programs_read_it() {
    let mut job = staging("{\"id\":1}\n").set("OUTPUT_COMPRESSION", "gzip");
    job.run().exits(Outcome::Published);
    let gzip = made_by("gzip", &job, "latest.json.gz");

    let mut job = job
        .set("OUTPUT_COMPRESSION", "zstd")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":2}\n");
    job.run().exits(Outcome::Published);
    let zstd = made_by("zstd", &job, "latest.json.zst");
    let mut job = job.unset("OUTPUT_COMPRESSION");
    let plain = job.run();

    // The links of the others led nowhere, and are gone.
    let links = ["latest.json", "latest.json.gz", "latest.json.zst"]
        .map(|name| job.output().join(name).is_symlink());
    assert_eq!(links, [true, false, false]);
    assert_eq!(gzip, "[\n{\"id\":1}\n]\n");
    assert_eq!(zstd, "[\n{\"id\":1},\n{\"id\":2}\n]\n");
    plain
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}, {"id": 2}]));
}

#[test]
fn equal_data_is_nothing_new_however_it_is_written() {
    for (format, compression) in [
        ("json", "gzip"),
        ("ndjson", "zstd"),
        ("csv", "none"),
        ("csv", "gzip"),
        ("csv", "zstd"),
    ] {
        let mut job = staging(ROWS)
            .set("OUTPUT_FORMAT", format)
            .set("OUTPUT_COMPRESSION", compression);
        job.run().exits(Outcome::Published);

        job.run().exits(Outcome::NothingNew);
    }
}

#[test]
fn damaged_records_beside_a_csv_file_are_73_and_named() {
    let mut job = csv(ROWS);
    job.run().exits(Outcome::Published);
    let file = job.output().join("current/records.ndjson");
    let mut damaged = std::fs::read(&file).expect("a published file");
    damaged[3] = b'x';
    std::fs::write(&file, damaged).expect("a published file");
    let mut job = job.set("SOURCE_STAGE_RECORDS", "{\"id\":9}\n");

    let ended = job.start().ends_unchecked();

    ended
        .exits(73)
        .stderr_has("records.ndjson`: its bytes are not the ones that were published")
        .stderr_has("this run changed nothing; the last published set was 000001-");
}

#[test]
fn a_torn_compressed_file_is_73() {
    let mut job = staging(ROWS).set("OUTPUT_COMPRESSION", "gzip");
    job.run().exits(Outcome::Published);
    let file = job.output().join("latest.json.gz");
    let whole = std::fs::read(&file).expect("a published file");
    // As long as it was, with a hole at its end: what a power cut can leave.
    let mut torn = whole.clone();
    let end = torn.len() - 8;
    torn[end..].fill(0);
    std::fs::write(&file, torn).expect("a published file");
    let mut job = job.set("SOURCE_STAGE_RECORDS", "{\"id\":9}\n");

    let verified = job.tidegate([
        "health",
        "--verify",
        "--set",
        &format!("OUTPUT_DIR={}", job.output().display()),
    ]);
    let ended = job.start().ends_unchecked();

    verified.exits(1).stdout_has("is damaged or was edited");
    ended
        .exits(73)
        .stderr_has("latest.json.gz`: its bytes are not the ones that were published");
    std::fs::write(&file, whole).expect("a published file");
    job.run().exits(Outcome::Published);
}

#[test]
fn more_columns_than_a_file_may_have_are_65_and_columns_of_nothing_are_78() {
    let members: Vec<String> = (0..1001).map(|n| format!("\"m{n}\":0")).collect();
    let mut many = csv(&format!("{{\"id\":1,{}}}\n", members.join(",")));
    let mut none = staging(ROWS).set("OUTPUT_COLUMNS", "id /id");

    many.run()
        .exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has(
            "more than 1000 columns, and `m999` is one too many; name the columns in OUTPUT_COLUMNS",
        );
    none.run()
        .exits(Outcome::Settings)
        .stderr_has("OUTPUT_COLUMNS names the columns of a table, and OUTPUT_FORMAT=json has none");
}

#[test]
fn the_table_of_an_earlier_script_is_adopted() {
    let mut job = csv("{\"id\":1}\n");
    std::fs::create_dir_all(job.output()).expect("a folder");
    std::fs::write(job.output().join("latest.csv"), "old\n").expect("a file");

    let refused = job.start().ends_unchecked();
    let mut job = job.args(["--adopt"]);
    job.run().exits(Outcome::Published);

    refused
        .exits(73)
        .stderr_has("`latest.csv` of an earlier script");
    assert_eq!(text(&job, "latest.csv"), "id\r\n1\r\n");
    assert_eq!(text(&job, "before-tidegate/latest.csv"), "old\n");
}

#[test]
fn a_full_refresh_replaces_the_table_and_its_records() {
    let page = |id: u32| format!("[{{\"id\":{id},\"updated\":\"2026-01-0{id}T00:00:00Z\"}}]");
    let mut job = Job::upsert()
        .set("OUTPUT_FORMAT", "csv")
        .set("OUTPUT_COMPRESSION", "zstd")
        .page(200, &page(1));
    job.run().exits(Outcome::Published);
    let mut job = job.args(["--full-refresh"]).page(200, &page(2));

    job.run().exits(Outcome::Published);

    let table = made_by("zstd", &job, "latest.csv.zst");
    assert_eq!(table, "id,updated\r\n2,2026-01-02T00:00:00Z\r\n");
    assert_eq!(
        text(&job, "current/records.ndjson"),
        "{\"id\":2,\"updated\":\"2026-01-02T00:00:00Z\"}\n"
    );
}
