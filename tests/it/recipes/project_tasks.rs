//! Projects, and the tasks of each of them at an address of its own.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, target_with,
    unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Projects with their tasks",
    rows: 50,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Buried,
    answer,
    published,
    requests_max: [55, 8],
};

/// One to three: a change takes tasks away as often as it adds some.
fn tasks(row: &Row) -> Vec<Value> {
    let (id, version) = (row.id, row.version);
    let count = 1 + (id + u64::from(version)) % 3;
    let task =
        |task: u64| json!({"task": task, "title": format!("{id}.{task}"), "version": version});
    (1..=count).map(task).collect()
}

fn name(row: &Row) -> String {
    format!("project {}, {}", row.id, row.version)
}

fn published(row: &Row) -> Vec<Value> {
    let mut tasks = tasks(row);
    for task in &mut tasks {
        task["project"] = json!(row.id);
        task["project_name"] = json!(name(row));
    }
    tasks
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let not_found = || json!({"error": "not found"});
    let path = request.path();
    let below = path.strip_prefix("/v1/projects");
    let below = below.ok_or_else(|| Refusal(404, not_found()))?;
    if !below.is_empty() {
        let id = below
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix("/tasks"));
        let id = id.and_then(|id| id.parse().ok());
        let row = id.and_then(|id: u64| source.rows.get(&id));
        let row = row.filter(|row| !row.is_deleted);
        let row = row.ok_or_else(|| Refusal(404, not_found()))?;
        return Ok(page(&json!({"tasks": tasks(row)})));
    }
    let wrong = || json!({"error": "a parameter is not known, or not right"});
    let unknown = unknown_parameter(request, &["per_page", "page", "updated_since"]);
    must(unknown.is_none(), 400, wrong)?;
    let size = number(request, "per_page", 20, 1..=100);
    let at = number(request, "page", 1, 1..);
    let since = request
        .query("updated_since")
        .map_or(Some(i64::MIN), |text| instant(&text));
    let (Some(size), Some(at), Some(since)) = (size, at, since) else {
        return Err(Refusal(400, wrong()));
    };

    let is_asked_for = |row: &&Row| since > i64::MIN || !row.is_deleted;
    let rows: Vec<&Row> = source
        .changed_since(since)
        .into_iter()
        .filter(is_asked_for)
        .collect();
    let (found, has_more) = part(&rows, (at - 1) * size, size);
    let next = has_more.then(|| target_with(request, "/v1/projects", "page", at + 1));
    let project = |row: &&Row| json!({"id": row.id, "name": name(row), "updated_at": seconds(row.changed), "archived": row.is_deleted});
    let projects: Vec<Value> = found.iter().map(project).collect();
    Ok(page(
        &json!({"projects": projects, "links": {"next": next}}),
    ))
}
