//! What the component says it is: the truth and too much, or, once its file is patched, a trap.
//!
//! `describe` is given no settings, so how it misbehaves stands in the component file itself: a test replaces the word
//! after the colon in [`SWITCH`].

use crate::bindings::exports::tidegate::sync::job::{Description, Setting, Staging};
use crate::{spent, words};

/// Looked for by the tests in the component file; the word is padded to ten bytes.
static SWITCH: [u8; 28] = *b"tidegate-describe:honest    ";
const WORD_AT: usize = 18;

/// Settings that no component has a right to see, asked for all the same.
const COVETED: [&str; 7] = [
    "SOURCE_API_KEY",
    "SOURCE_API_KEY_FILE",
    "SOURCE_CLIENT_SECRET",
    "PATH",
    "HOME",
    "TIDEGATE_CACHE_DIR",
    "AWS_SECRET_ACCESS_KEY",
];

/// Settings of the behaviours that are told what to do.
const TOLD: [&str; 9] = [
    "SOURCE_CHANGES",
    "SOURCE_STAGE_RECORDS",
    "SOURCE_STAGE_DELETED",
    "SOURCE_STAGE_REJECTED",
    "SOURCE_STAGE_CURSOR",
    "SOURCE_PARENT",
    "SOURCE_BODY",
    "SOURCE_SCHEMA",
    "TRANSFORM",
];

/// The description, unless the file was patched.
pub fn describe() -> Description {
    // SAFETY: reads an initialized static. Volatile, so that the compiler cannot decide here what the file will say.
    #[expect(unsafe_code, reason = "a patched file must be seen; see above")]
    let switch = unsafe { std::ptr::read_volatile(&raw const SWITCH) };
    let word = String::from_utf8_lossy(&switch[WORD_AT..]);
    let mut names: Vec<String> = ["SOURCE_API_URL", "SOURCE_MISBEHAVIOUR", "SOURCE_ASK"]
        .map(str::to_owned)
        .to_vec();
    names.extend(COVETED.map(str::to_owned));
    names.extend(TOLD.map(str::to_owned));
    match word.trim() {
        "loop" => spent::spin(),
        "memory" => spent::eat_memory(),
        "trap" => spent::trap(),
        "sleep" => spent::sleep(),
        "crowd" => names.extend((0..1_000).map(|number| format!("SOURCE_{number}"))),
        "rename" => names.push("LD_PRELOAD=x\u{1b}[2J".to_owned()),
        _ => {}
    }
    let mut description = Description {
        name: "misbehaving".to_owned(),
        version: "0.1.0".to_owned(),
        summary: "Does what a component must not do".to_owned(),
        settings: names.into_iter().map(declared).collect(),
        stages: Staging::empty(),
    };
    words::describe(word.trim(), &mut description);
    description
}

/// Nothing is required and nothing is called secret, least of all the secrets. That what it covets decides what the records
/// are is a lie.
fn declared(name: String) -> Setting {
    Setting {
        shapes_records: COVETED.contains(&name.as_str()) || name == "TRANSFORM",
        stages: match name.as_str() {
            "SOURCE_CHANGES" => Staging::CHANGES,
            "SOURCE_STAGE_DELETED" => Staging::DELETIONS,
            "SOURCE_PARENT" => Staging::PARENTS,
            _ => Staging::empty(),
        },
        name,
        doc: "Wanted".to_owned(),
        required: false,
        secret: false,
        default: None,
        example: None,
    }
}
