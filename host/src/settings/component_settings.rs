//! What the host knows of a component's own settings: all names of them that it knows are here.

use crate::component::{Description, Setting};
use crate::settings::catalogue::{self, MAX_RETRIES, PRIMARY_KEY};

/// It names a file, unless it is the schema itself.
pub const SCHEMA: &str = "SOURCE_SCHEMA";
/// It may hold a credential of the user's own.
pub const HEADERS: &str = "SOURCE_HEADERS";
/// How many requests it makes a second. Of runs that share a source the host holds all together to it.
pub const RATE: &str = "SOURCE_RATE";
/// The host puts a secret into it.
pub const BODY: &str = "SOURCE_BODY";
/// The same of a request that starts an export; then the other one is not set.
pub const EXPORT_BODY: &str = "SOURCE_EXPORT_BODY";
/// Settings whose values a component may propose, besides its own of the source.
pub const PROPOSED: [&str; 4] = [
    MAX_RETRIES.row.name,
    "MAX_PAGES",
    PRIMARY_KEY.row.name,
    "TRANSFORM",
];

/// Numbers of which a policy may say the most: a component holds itself to them.
pub const LIMITED: [&str; 1] = ["MAX_PAGES"];

/// A number as they take it, from 1.
pub fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_plain.then(|| text.parse().ok());
    number.flatten().filter(|number| *number > 0)
}

/// Whether the component declares a setting of this name.
pub fn declares(description: &Description, name: &str) -> bool {
    description
        .settings
        .iter()
        .any(|setting| setting.name == name)
}

/// Whether the component never gets the value.
pub fn is_secret(setting: &Setting) -> bool {
    setting.secret || catalogue::secret(&setting.name).is_some()
}

/// `NAME_FILE`, if a file may hold the value of this setting: any that is the component's own and no secret may be in
/// one, unless that name is taken.
pub fn file_name(description: &Description, name: &str) -> Option<String> {
    let mut settings = description.settings.iter();
    let setting = settings.find(|setting| setting.name == name)?;
    let file = format!("{name}_FILE");
    let is_taken = catalogue::row(&file).is_some() || declares(description, &file);
    let is_text = !is_secret(setting)
        && catalogue::row(name).is_none()
        && name != SCHEMA
        && !name.ends_with("_FILE");
    (is_text && !is_taken).then_some(file)
}
