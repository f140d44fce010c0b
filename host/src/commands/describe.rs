//! Prints the settings: as a table for people, as a file to fill in, and as the table of `docs/settings.md`.

use std::fmt::Write as _;

use crate::component::{Description, is_settable};
use crate::settings::catalogue::{self, Group};
use crate::settings::env_file;

mod job_schema;
mod schema;

pub use job_schema::job_schema;
pub use schema::schema;

/// One setting, wherever it was declared.
pub(super) struct Entry {
    pub group: Group,
    pub name: String,
    doc: String,
    default: String,
    example: String,
    required: bool,
    secret: bool,
    /// Whether the example of an env file may have a line in force for it.
    settable: bool,
}

/// The table that `tidegate describe` prints.
pub fn table(description: &Description) -> String {
    let mut out = format!(
        "{} {}: {}\n",
        description.name, description.version, description.summary
    );
    each_group(description, |group, entries| {
        let _ = write!(out, "\n{}  [{}]\n", group.title(), group.table());
        for entry in entries {
            let _ = writeln!(out, "  {:<23} {}", entry.name, remarks(entry));
            for line in wrapped(&entry.doc, 74) {
                let _ = writeln!(out, "      {line}");
            }
        }
    });
    out.push_str(
        "\nGive a secret as NAME, as NAME_FILE, or by systemd as $CREDENTIALS_DIRECTORY/NAME.\n",
    );
    out
}

/// The file that `tidegate describe --env-example` prints.
pub fn env_example(description: &Description) -> String {
    let mut out = String::from(
        "# Settings of one tidegate job: copy, fill in, and run `tidegate run --env-file FILE`.\n\
         # Made by `tidegate describe --env-example`. What is commented out shows its default, or an example.\n",
    );
    each_group(description, |group, entries| {
        let _ = write!(out, "\n## {}\n", group.title());
        for entry in entries {
            out.push('\n');
            for line in wrapped(&entry.doc, 110) {
                let _ = writeln!(out, "# {line}");
            }
            let value = if entry.default.is_empty() {
                &entry.example
            } else {
                &entry.default
            };
            // What no line can say is left for a person to say.
            let line = env_file::line(&entry.name, value);
            let line = line.unwrap_or_else(|| format!("{}=", entry.name));
            let in_force = entry.required && entry.settable;
            let comment = if in_force { "" } else { "#" };
            let _ = writeln!(out, "{comment}{line}");
        }
    });
    out
}

/// The rows of the table in `docs/settings.md`.
pub fn markdown(description: &Description) -> String {
    let mut out = String::from("| setting | meaning | default |\n|---|---|---|\n");
    each_group(description, |_, entries| {
        for entry in entries {
            let default = match (&*entry.default, entry.required) {
                (_, true) => "required".to_owned(),
                ("", false) => "none".to_owned(),
                (default, false) => code(default),
            };
            let doc = prose(&entry.doc);
            let _ = writeln!(out, "| `{}` | {doc} | {default} |", entry.name);
        }
    });
    out
}

fn each_group(description: &Description, mut print: impl FnMut(Group, &[&Entry])) {
    let entries = entries(description);
    for group in Group::ALL {
        let of_group: Vec<&Entry> = entries
            .iter()
            .filter(|entry| entry.group == group)
            .collect();
        if !of_group.is_empty() {
            print(group, &of_group);
        }
    }
}

/// The component's settings, then the host's. One that both name, as PRIMARY_KEY, is listed once, as the host's.
pub(super) fn entries(description: &Description) -> Vec<Entry> {
    let declared = description
        .settings
        .iter()
        .filter(|setting| catalogue::own().all(|row| row.name != setting.name))
        .map(|setting| Entry {
            group: Group::Source,
            name: setting.name.clone(),
            doc: setting.doc.trim_end_matches('.').to_owned(),
            default: setting.default.clone().unwrap_or_default(),
            example: setting.example.clone().unwrap_or_default(),
            required: setting.required,
            secret: setting.secret,
            settable: is_settable(setting),
        });
    let host = catalogue::own().map(|row| Entry {
        group: row.group,
        name: row.name.to_owned(),
        doc: row.meaning.to_owned(),
        default: row.default.to_owned(),
        example: row.example.to_owned(),
        required: false,
        secret: row.is_secret(),
        settable: false,
    });
    declared.chain(host).collect()
}

fn remarks(entry: &Entry) -> String {
    let mut remarks = Vec::new();
    if entry.required {
        remarks.push("required".to_owned());
    }
    if entry.secret {
        remarks.push("secret".to_owned());
    }
    if !entry.default.is_empty() {
        remarks.push(format!("default {}", entry.default));
    } else if !entry.example.is_empty() {
        remarks.push(format!("e.g. {}", entry.example));
    }
    remarks.join(", ")
}

/// A text as a cell of a table: what stands between backticks stays code, and nothing else in it is markup.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let has_pairs = parts.len() % 2 == 1;
    if !has_pairs || parts.iter().skip(1).step_by(2).any(|part| !is_code(part)) {
        return plain(text);
    }
    let parts = parts.iter().enumerate();
    let cells = parts.map(|(index, part)| match index % 2 {
        0 => plain(part),
        _ => code(part),
    });
    cells.collect()
}

/// A value as code in a cell of a table.
fn code(value: &str) -> String {
    if !is_code(value) || value.contains('`') {
        return plain(value);
    }
    format!("`{}`", value.replace('|', "\\|"))
}

/// Whether it can be code in a cell: a `|` ends the cell there too, and an escape before one is read in two ways.
fn is_code(text: &str) -> bool {
    !text.is_empty() && !text.contains("\\|") && !text.ends_with('\\')
}

/// A text of which no character is markup.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '<' | '[' | ']' | '&' | '\\' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The words of a text, in lines of at most `width` bytes where no word is longer.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
