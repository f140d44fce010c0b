//! Prints the settings as a JSON Schema (draft 2020-12): an editor that knows it completes and checks a file of settings.
//!
//! A file is one object of texts to it. What is not in the file may come from elsewhere, so nothing is required.

use serde_json::{Map, Value, json};

use crate::component::Description;
use crate::settings::catalogue::{self, Form};
use crate::settings::component_settings::file_name;

use super::{Entry, entries};

/// The schema, for a person to read too.
pub fn schema(description: &Description) -> String {
    let entries = entries(description);
    let properties: Map<String, Value> = entries
        .iter()
        .map(|entry| (entry.name.clone(), property(entry)))
        .collect();
    let own_files = entries.iter().filter_map(|entry| {
        let of_host = catalogue::row(&entry.name).and_then(catalogue::Row::file_name);
        of_host.or_else(|| file_name(description, &entry.name))
    });
    let files: Vec<String> = own_files
        .filter(|file| !properties.contains_key(file))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a tidegate job",
        "description": "One member for each line NAME=VALUE. A setting that is left out may come from elsewhere, or has its default.",
        "type": "object",
        "properties": properties,
        "patternProperties": {
            format!("^({})$", files.join("|")): {
                "description": "The path of a file that holds the value",
                "type": "string",
                "minLength": 1,
            },
        },
        "additionalProperties": false,
    });
    serde_json::to_string_pretty(&schema).expect("text has no key but text") + "\n"
}

pub(super) fn property(entry: &Entry) -> Value {
    let mut property = Map::from_iter([
        ("type".to_owned(), json!("string")),
        ("description".to_owned(), json!(entry.doc)),
    ]);
    let mut add = |name: &str, value: Value| property.insert(name.to_owned(), value);
    if !entry.default.is_empty() {
        add("default", json!(entry.default));
    }
    if !entry.example.is_empty() {
        add("examples", json!([entry.example]));
    }
    if entry.secret {
        add("writeOnly", json!(true));
    }
    match catalogue::row(&entry.name).map(|row| row.form) {
        None | Some(Form::Text) => {}
        Some(Form::Choice(words)) => {
            add("enum", json!(words));
        }
        Some(Form::Pattern(pattern)) => {
            add("pattern", json!(pattern));
        }
    }
    Value::Object(property)
}
