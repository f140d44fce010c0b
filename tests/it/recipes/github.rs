//! GitHub: the issues of a repository, pull requests among them.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, target_with,
    unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "GitHub issues",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| {
        if is_pull_request(row) {
            Vec::new()
        } else {
            vec![issue(row)]
        }
    },
    requests_max: [3, 1],
};

const PARAMETERS: [&str; 6] = ["state", "sort", "direction", "since", "per_page", "page"];

fn is_pull_request(row: &Row) -> bool {
    row.id.is_multiple_of(5)
}

fn issue(row: &Row) -> Value {
    let mut issue = json!({
        "id": 2_000_000_000 + row.id,
        "number": row.id,
        "title": format!("issue {}, edited {} times", row.id, row.version - 1),
        "state": if row.version > 1 { "closed" } else { "open" },
        "created_at": seconds(row.created),
        "updated_at": seconds(row.changed),
    });
    if is_pull_request(row) {
        issue["pull_request"] = json!({"merged_at": null});
    }
    issue
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let message =
        |text: &str| json!({"message": text, "documentation_url": "https://docs.github.com/rest"});
    let is_there = matches!(
        request.path(),
        "/repos/OWNER/REPO/issues" | "/repositories/1300192/issues"
    );
    must(is_there && request.method == "GET", 404, || {
        message("Not Found")
    })?;
    must(request.header("user-agent").is_some(), 403, || {
        message(
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        )
    })?;
    let version = request.header("x-github-api-version");
    must(version == Some("2022-11-28"), 400, || {
        message("This version is not supported")
    })?;
    let invalid = || message("Validation Failed");
    must(
        unknown_parameter(request, &PARAMETERS).is_none(),
        422,
        invalid,
    )?;
    let size = number(request, "per_page", 30, 1..=100);
    let at = number(request, "page", 1, 1..);
    let since = request
        .query("since")
        .map_or(Some(i64::MIN), |text| instant(&text));
    let (Some(size), Some(at), Some(since)) = (size, at, since) else {
        return Err(Refusal(422, invalid()));
    };

    let is_open = |row: &&Row| request.query("state").as_deref() == Some("all") || row.version == 1;
    let mut rows: Vec<&Row> = source
        .changed_since(since)
        .into_iter()
        .filter(is_open)
        .collect();
    // By default the newest come first, and all is sorted by creation.
    must(
        request.query("sort").is_none_or(|sort| sort == "created"),
        422,
        invalid,
    )?;
    rows.sort_by_key(|row| row.created);
    if request.query("direction").as_deref() != Some("asc") {
        rows.reverse();
    }
    let (rows, has_more) = part(&rows, (at - 1) * size, size);
    let reply = page(&rows.iter().map(|row| issue(row)).collect());
    if !has_more {
        return Ok(reply);
    }
    let next = target_with(
        request,
        "{server}/repositories/1300192/issues",
        "page",
        at + 1,
    );
    let first = target_with(request, "{server}/repositories/1300192/issues", "page", 1);
    Ok(reply.header(
        "link",
        format!("<{next}>; rel=\"next\", <{first}>; rel=\"first\""),
    ))
}
