//! A listing of an object store: XML, whose last page has one record.

use std::fmt::Write as _;

use serde_json::json;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Source, must, part, seconds};
use crate::server::{Reply, Request};

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A listing in XML",
    rows: 201,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Missing,
    answer,
    published: |row| {
        vec![json!({
            "key": format!("a & b/{}.json", row.id),
            "bytes": row.version,
            "changed": seconds(row.changed),
        })]
    },
    requests_max: [3, 3],
};

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_listing =
        request.path() == "/my-bucket" && request.query("list-type").as_deref() == Some("2");
    must(is_listing, 404, || json!({}))?;
    let from = request.query("continuation-token");
    let from = from.map_or(0, |token| {
        token.trim_start_matches('#').parse().expect("our token")
    });
    let live = source.live();
    let (found, has_more) = part(&live, from, 100);
    let mut listing = "<?xml version='1.0' encoding='UTF-8'?>\n<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\n  <Name>my-bucket</Name>\n".to_owned();
    if has_more {
        let next = from + 100;
        writeln!(
            listing,
            "  <NextContinuationToken>#{next}</NextContinuationToken>"
        )
        .expect("into memory");
    }
    writeln!(listing, "  <IsTruncated>{has_more}</IsTruncated>").expect("into memory");
    for row in found {
        let (id, bytes, changed) = (row.id, row.version, seconds(row.changed));
        writeln!(listing, "  <Contents><Key>a &amp; b/{id}.json</Key><LastModified>{changed}</LastModified><Size>{bytes}</Size></Contents>")
            .expect("into memory");
    }
    listing.push_str("</ListBucketResult>\n");
    Ok(Reply::new(200, listing).header("content-type", "application/xml"))
}
