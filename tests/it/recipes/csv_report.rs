//! A report: csv in a gzip file, which no `Content-Encoding` names.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Source, must, seconds};
use crate::server::{Reply, Request};

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A report in csv",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Header("x-report-key"),
    deletes: Deletes::Missing,
    answer,
    published: |row| {
        vec![json!({
            "sku": format!("S;{}", row.id),
            "stock": row.version,
            "changed": seconds(row.changed),
        })]
    },
    requests_max: [1, 1],
};

fn answer(source: &mut Source, request: &Request) -> Answer {
    must(request.path() == "/reports/stock.csv.gz", 404, || json!({}))?;
    let mut table = "SKU;Stock;Changed\r\n".to_owned();
    for row in source.live() {
        let (id, stock, changed) = (row.id, row.version, seconds(row.changed));
        write!(table, "\"S;{id}\";{stock};{changed}\r\n").expect("into memory");
    }
    let mut file = GzEncoder::new(Vec::new(), Compression::default());
    file.write_all(table.as_bytes()).expect("into memory");
    let file = file.finish().expect("into memory");
    Ok(Reply::new(200, file).header("content-type", "application/gzip"))
}
