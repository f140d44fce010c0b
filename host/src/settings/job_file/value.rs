//! The value of a key: what TOML has for a setting's text, and the text for that. Each of both is read as the other.

use toml_edit::{Item, Value};

use crate::component;
use crate::settings::catalogue::Row;
use crate::settings::component_settings::HEADERS;

/// What a setting takes besides a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takes {
    /// A whole number.
    pub integer: bool,
    /// A number with a fraction.
    pub fraction: bool,
    /// `true` for `yes`, `false` for `no`.
    pub boolean: bool,
    /// A list of texts, which has this between them.
    pub separator: Option<char>,
}

/// What a value in the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Fraction,
    Boolean,
    /// A list of texts only.
    List,
    /// A list of something else.
    Mixed,
    Date,
    Table,
}

impl Kind {
    /// What this is.
    pub fn of(item: &Item) -> Self {
        match item.as_value() {
            Some(Value::String(_)) => Self::Text,
            Some(Value::Integer(_)) => Self::Integer,
            Some(Value::Float(_)) => Self::Fraction,
            Some(Value::Boolean(_)) => Self::Boolean,
            Some(Value::Datetime(_)) => Self::Date,
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => Self::List,
            Some(Value::Array(_)) => Self::Mixed,
            Some(Value::InlineTable(_)) | None => Self::Table,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Fraction => "a number with a fraction",
            Self::Boolean => "true or false",
            Self::List => "a list",
            Self::Mixed => "a list with more than texts in it",
            Self::Date => "a date",
            Self::Table => "a table",
        }
    }
}

impl Takes {
    /// What a setting of the host takes.
    pub fn of_row(row: &Row) -> Self {
        Self {
            integer: row.is_number(),
            fraction: false,
            boolean: row.is_switch(),
            separator: row.separator,
        }
    }

    /// What a setting of the component takes, as far as its default and its example show.
    pub fn of_declared(setting: &component::Setting) -> Self {
        let shown = [&setting.default, &setting.example];
        let any = |is: fn(&str) -> bool| shown.iter().filter_map(|text| text.as_deref()).any(is);
        let fraction = any(is_fraction);
        Self {
            integer: fraction || any(|text| text.bytes().all(|byte| byte.is_ascii_digit())),
            fraction,
            boolean: any(|text| matches!(text, "yes" | "no")),
            separator: Self::separator_of(&setting.name),
        }
    }

    /// What is between the entries of a setting of a component.
    pub fn separator_of(name: &str) -> Option<char> {
        (name == HEADERS).then_some('\n')
    }

    /// The setting's text. `Err` says what it takes, and how to write that.
    pub fn read(self, name: &str, example: &str, item: &Item) -> Result<String, String> {
        self.refuse(name, example, Kind::of(item))?;
        text(item, self.separator).ok_or_else(|| match self.separator {
            Some(separator) => format!(
                "has an entry in its list that is empty or has {} in it: one entry each",
                spoken(separator)
            ),
            None => "has a character in it that no setting can have (NUL)".to_owned(),
        })
    }

    /// Refuses what it does not take.
    pub fn refuse(self, name: &str, example: &str, kind: Kind) -> Result<(), String> {
        let fits = match kind {
            Kind::Text => true,
            Kind::Integer => self.integer,
            Kind::Fraction => self.fraction,
            Kind::Boolean => self.boolean,
            Kind::List => self.separator.is_some(),
            Kind::Mixed | Kind::Date | Kind::Table => false,
        };
        if fits {
            return Ok(());
        }
        let other = match self {
            Self { fraction: true, .. } => " or a number",
            Self { integer: true, .. } => " or a whole number",
            Self { boolean: true, .. } => ", true or false",
            Self {
                separator: Some(_), ..
            } => " or a list of texts",
            _ => "",
        };
        let example = match example {
            "" => String::new(),
            example => format!("; for example `{}`", self.line(name, example)),
        };
        Err(format!(
            "takes a text in quotes{other}, and this is {}{example}",
            kind.word()
        ))
    }

    /// The line of a job file that gives a setting this text.
    pub fn line(self, name: &str, text: &str) -> String {
        format!("{} = {}", super::key(name), self.written(text))
    }

    /// The value that is read as this text: what is natural where that is the same to the letter.
    pub fn written(self, text: &str) -> String {
        let is_integer = || {
            text.parse::<i64>()
                .is_ok_and(|number| number.to_string() == text)
        };
        if self.integer && is_integer() || self.fraction && is_fraction(text) {
            return text.to_owned();
        }
        if self.boolean && matches!(text, "yes" | "no") {
            return (text == "yes").to_string();
        }
        if let Some(separator) = self.separator {
            let entries: Vec<&str> = text.split(separator).collect();
            let is_plain = |entry: &&str| !entry.is_empty() && entry.trim() == *entry;
            if entries.iter().all(is_plain) {
                return list(&entries, separator == '\n' && entries.len() > 1);
            }
        }
        quoted(text)
    }
}

/// The text of a value, as a setting has it. None where TOML has no text for it, or an entry of a list is none by itself.
pub fn text(item: &Item, separator: Option<char>) -> Option<String> {
    let text = match item.as_value()? {
        Value::String(text) => text.value().clone(),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(is_so) => if *is_so.value() { "yes" } else { "no" }.to_owned(),
        Value::Array(entries) => {
            let separator = separator?;
            let mut texts = Vec::new();
            for entry in entries {
                let entry = entry.as_str()?;
                if entry.trim().is_empty() || entry.contains(separator) {
                    return None;
                }
                texts.push(entry);
            }
            texts.join(&separator.to_string())
        }
        Value::Datetime(_) | Value::InlineTable(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

/// A text between quotes, as TOML writes it.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn list(entries: &[&str], on_lines: bool) -> String {
    let entries: Vec<String> = entries.iter().map(|entry| quoted(entry)).collect();
    if on_lines {
        format!("[\n    {},\n]", entries.join(",\n    "))
    } else {
        format!("[{}]", entries.join(", "))
    }
}

fn is_fraction(text: &str) -> bool {
    let is_number = |number: f64| number.is_finite() && number.to_string() == text;
    text.contains('.') && text.parse().is_ok_and(is_number)
}

fn spoken(separator: char) -> &'static str {
    match separator {
        '\n' => "a line break",
        ' ' => "a blank",
        _ => "a comma",
    }
}
