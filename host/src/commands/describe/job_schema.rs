//! Prints the JSON Schema (draft 2020-12) of job files: an editor that knows it completes and checks one.
//!
//! What is not in the file may come from elsewhere, so nothing is required.

use serde_json::{Map, Value, json};

use crate::component::Description;
use crate::settings::catalogue::{self, ALERT_COMMAND, Group, Secrecy};
use crate::settings::component_settings::file_name;
use crate::settings::job_file::resources::RESOURCES;
use crate::settings::job_file::value::Takes;
use crate::settings::job_file::{key, references};

use super::schema::property;
use super::{Entry, entries};

/// The schema, for a person to read too.
pub fn job_schema(description: &Description) -> String {
    let entries = entries(description);
    let mut tables = Map::from_iter([("component".to_owned(), component())]);
    for group in Group::ALL {
        let of_group = entries.iter().filter(|entry| entry.group == group);
        let keys: Map<String, Value> = of_group
            .flat_map(|entry| keys(entry, description))
            .collect();
        let table = closed(group.title(), &keys);
        tables.insert(group.table().to_owned(), table);
    }
    tables.insert(RESOURCES.to_owned(), resources(&tables));
    let mut schema = closed(
        "A setting that is left out may come from elsewhere, or has its default. Each key is a setting's name in lower case.",
        &tables,
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("A job file of tidegate");
    serde_json::to_string_pretty(&schema).expect("text has no key but text") + "\n"
}

/// A table with these keys and no others.
fn closed(description: &str, keys: &Map<String, Value>) -> Value {
    json!({
        "description": description,
        "type": "object",
        "properties": keys,
        "additionalProperties": false,
    })
}

fn component() -> Value {
    let keys = json!({
        "path": {
            "description": "The component file; without it, the built-in component runs",
            "type": "string",
            "minLength": 1,
        },
        "sha256": {
            "description": "Refuse the component unless its sha256 is this",
            "type": "string",
            "pattern": "^[0-9A-Fa-f]{64}$",
        },
    });
    let keys = keys.as_object().cloned().unwrap_or_default();
    closed("The component that runs", &keys)
}

/// The resources, each of which may have the keys of all tables but the component's.
fn resources(tables: &Map<String, Value>) -> Value {
    let of_groups = Group::ALL.map(Group::table).into_iter();
    let keys = of_groups.flat_map(|table| {
        let keys = tables[table]["properties"].as_object();
        keys.into_iter().flat_map(Map::keys).map(move |key| {
            let at = json!({ "$ref": format!("#/properties/{table}/properties/{key}") });
            (key.clone(), at)
        })
    });
    json!({
        "description": "Several resources in one file. What is in no resource counts for all of them",
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": "^[a-z0-9_-]{1,63}$" },
        "additionalProperties": closed(
            "What differs in this resource. Its name is at the end of OUTPUT_DIR, JOB_NAME and OUTPUT_TABLE where they are shared",
            &keys.collect(),
        ),
    })
}

/// The key of a setting, and those by which its value is taken from elsewhere.
fn keys(entry: &Entry, description: &Description) -> Vec<(String, Value)> {
    let name = entry.name.as_str();
    let row = catalogue::row(name);
    let mut keys = Vec::new();
    if row.is_none_or(|row| row.secrecy != Secrecy::Secret) {
        keys.push((key(name), value(entry, description)));
    }
    let of_host = row.and_then(catalogue::Row::file_name);
    if let Some(file) = of_host.or_else(|| file_name(description, name)) {
        let doc = format!("The path of a file that holds the value. {}", entry.doc);
        keys.push((key(&file), text(&doc)));
    }
    if let Some(command) = row.and_then(catalogue::Row::command_name) {
        let list = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        let kinds = json!([{ "type": "string", "minLength": 1 }, list]);
        let doc = format!(
            "The program that prints it, with its arguments. {}",
            entry.doc
        );
        keys.push((key(&command), json!({ "description": doc, "anyOf": kinds })));
    }
    if row.is_some_and(catalogue::Row::is_secret) {
        let doc = format!("The environment variable that has it. {}", entry.doc);
        keys.push((references(name).1, text(&doc)));
    }
    keys
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string", "minLength": 1 })
}

/// What a text of the setting has to be, or what TOML has for it.
fn value(entry: &Entry, description: &Description) -> Value {
    let mut property = property(entry);
    let mut declared = description.settings.iter();
    let takes = match catalogue::row(&entry.name) {
        Some(row) => Takes::of_row(row),
        None => declared
            .find(|declared| declared.name == entry.name)
            .map_or_else(Takes::default, Takes::of_declared),
    };
    let mut kinds = Vec::new();
    if takes.fraction {
        kinds.push(json!({ "type": "number" }));
    } else if takes.integer {
        kinds.push(json!({ "type": "integer" }));
    }
    if takes.boolean {
        kinds.push(json!({ "type": "boolean" }));
    }
    if takes.separator.is_some() || entry.name == ALERT_COMMAND.row.name {
        kinds.push(json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }));
    }
    if kinds.is_empty() {
        return property;
    }
    let fields = property.as_object_mut().expect("a property is an object");
    let of_text = ["type", "enum", "pattern"];
    let of_text = of_text.iter().filter_map(|name| fields.remove_entry(*name));
    kinds.insert(0, Value::Object(of_text.collect()));
    fields.insert("anyOf".to_owned(), Value::Array(kinds));
    property
}
