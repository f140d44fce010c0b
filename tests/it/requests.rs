//! Methods, forms and headers, as a server sees them.

use std::io::Write as _;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::Job;

#[test]
fn a_get_has_its_body_and_a_post_without_one_says_so() {
    let mut got = Job::new()
        .set("SOURCE_METHOD", "GET")
        .set("SOURCE_BODY", "{\"a\":1}")
        .page(200, "[{\"id\":1}]");
    let mut posted = Job::new()
        .set("SOURCE_METHOD", "POST")
        .page(200, "[{\"id\":2}]");

    let got = got.run();
    let posted = posted.run();

    got.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
    assert_eq!(got.requests[0].method, "GET");
    assert_eq!(got.requests[0].body, b"{\"a\":1}");
    posted
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 2}]));
    assert_eq!(posted.requests[0].method, "POST");
    assert_eq!(posted.requests[0].header("content-length"), Some("0"));
}

#[test]
fn headers_of_several_lines_stand_in_an_env_file() {
    let job = Job::new().api(|request| {
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let all = [header("accept"), header("x-version")];
        Reply::new(200, json!([{"id": 1, "headers": all}]).to_string())
    });
    let file = job.file(
        "headers.env",
        "SOURCE_HEADERS=\"Accept: application/vnd.api+json\nX-Version: 2\" # both\nMAX_RETRIES=1\n",
    );

    let run = job.args(["--env-file", &file.display().to_string()]).run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "headers": ["application/vnd.api+json", "2"]}]));
}

#[test]
fn a_quote_that_is_missing_in_an_env_file_is_78_with_its_line() {
    let job = Job::new();
    let file = job.file(
        "broken.env",
        "# a\nSOURCE_HEADERS=\"X-A: 1\nMAX_RETRIES=1\nTRANSFORM=\".\"\n",
    );

    let run = job.args(["--env-file", &file.display().to_string()]).run();

    run.exits(Outcome::Settings)
        .stderr_has("a quoted value has no quote at its end, or goes on over a line that sets another setting")
        .stderr_has("broken.env:2");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut file = GzEncoder::new(Vec::new(), Compression::default());
    file.write_all(text).expect("into memory");
    file.finish().expect("into memory")
}

/// A file, which is not what `Content-Encoding` is for.
fn file(body: &[u8]) -> Reply {
    Reply::new(200, body).header("content-type", "application/a-gzip")
}

#[test]
fn a_gzip_file_is_unpacked_and_the_credential_in_it_is_replaced() {
    let lines = "{\"id\":1}\n{\"id\":2,\"key\":\"{key}\"}\n";
    let job = Job::new().set("SOURCE_FORMAT", "ndjson");
    let packed = gzip(lines.replace("{key}", &job.key).as_bytes());

    let run = job.reply(file(&packed)).run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1}, {"id": 2, "key": "REDACTED"}]));
    assert_eq!(run.requests[0].header("tidegate-unpack"), None);
}

#[test]
fn a_gzip_file_that_is_cut_or_too_large_is_refused() {
    let large = gzip(format!("[\"{}\"]", "a".repeat(2 * 1024 * 1024)).as_bytes());
    let cut = gzip(b"[{\"id\":1}]");
    let cut = &cut[..cut.len() - 3];
    let job = || Job::new().set("MAX_RETRIES", "0");

    let large = job()
        .set("MAX_RESPONSE_BYTES", "1MiB")
        .reply(file(&large))
        .run();
    let cut = job().reply(file(cut)).run();

    large.exits(Outcome::ProtocolBroken).publishes_nothing();
    cut.exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .stderr_has("gzip");
}

/// A zip file of these, deflated.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = Crc::new();
        crc.update(text);
        let mut data = DeflateEncoder::new(Vec::new(), Compression::best());
        data.write_all(text).expect("into memory");
        let data = data.finish().expect("into memory");
        let short = |number: usize| u16::try_from(number).expect("a small number").to_le_bytes();
        let long = |number: usize| u32::try_from(number).expect("a small number").to_le_bytes();
        let head = [
            &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
            &crc.sum().to_le_bytes(),
            &long(data.len()),
            &long(text.len()),
            &short(name.len()),
        ]
        .concat();
        directory.extend([b"PK\x01\x02\x14\0", &head[..], &[0; 12], &long(zip.len())].concat());
        directory.extend(name.as_bytes());
        zip.extend([b"PK\x03\x04", &head[..], &[0, 0], name.as_bytes(), &data].concat());
    }
    let [entries, bytes, at] = [files.len(), directory.len(), zip.len()]
        .map(|number| u32::try_from(number).expect("a small number").to_le_bytes());
    zip.extend(directory);
    let entries = &entries[..2];
    zip.extend(
        [
            b"PK\x05\x06\0\0\0\0",
            entries,
            entries,
            &bytes,
            &at,
            &[0, 0],
        ]
        .concat(),
    );
    zip
}

#[test]
fn the_one_file_in_a_zip_file_is_read_and_the_credential_in_it_is_replaced() {
    let mut job = Job::new().set("SOURCE_FORMAT", "csv");
    let table = format!("id,key\n1,{}\n2,b\n", job.key);
    let files: [(&str, &[u8]); 3] = [
        ("export/", b""),
        ("export/stock.csv", table.as_bytes()),
        ("__MACOSX/export/._stock.csv", b"of a mac"),
    ];
    job = job.reply(Reply::new(200, zip(&files)).header("content-type", "application/zip"));

    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "key": "REDACTED"}, {"id": "2", "key": "b"}]));
}

#[test]
fn a_zip_file_that_is_not_one_whole_file_of_a_fair_size_is_refused() {
    let page: &[u8] = b"[{\"id\":1}]";
    let of = |body: &[u8]| {
        Job::new()
            .set("MAX_RETRIES", "0")
            .reply(file(body))
            .run()
            .exits(Outcome::ProtocolBroken)
            .publishes_nothing()
            .stderr
            .clone()
    };
    let whole = zip(&[("a.json", page)]);

    let several = of(&zip(&[("a.json", page), ("b.json", page)]));
    let cut = of(&whole[..whole.len() - 3]);
    let none = of(&zip(&[]));
    let bomb = of(&zip(&[("a.json", &vec![b' '; 20_000_000])]));
    let hidden = of(&zip(&[
        ("__MACOSX/a", &vec![b' '; 20_000_000]),
        ("a.json", page),
    ]));

    assert!(
        several.contains("is a zip file that has several files in it, `a.json` and `b.json`"),
        "{several}"
    );
    assert!(
        cut.contains("its zip is damaged: it ends before its end"),
        "{cut}"
    );
    assert!(none.contains("has no file in it"), "{none}");
    assert!(bomb.contains("decode_ratio"), "{bomb}");
    assert!(hidden.contains("decode_ratio"), "{hidden}");
}

#[test]
fn a_table_is_published_as_records() {
    let table = "id,name\r\n1,\"a, b\"\r\n2,c\r\n";
    let mut job = Job::new()
        .set("SOURCE_FORMAT", "csv")
        .set("PRIMARY_KEY", "/id")
        .reply(Reply::new(200, table).header("content-type", "text/csv"));

    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "name": "a, b"}, {"id": "2", "name": "c"}]));
}
