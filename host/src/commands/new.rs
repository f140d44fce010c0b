//! Starts a connector: a folder with its source, the WIT, a build script, a test and a README.

mod templates;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;

use self::templates::{File, Template};
use super::{stdout, wit};
use crate::cli::NewConnectorArgs;
use crate::outcome::{Ended, Failure, OrFail as _, Outcome};

/// What a template calls its connector.
const PLACEHOLDER: &str = "new-connector";
/// A name is a folder, a file and a part of log lines.
const NAME_BYTES: usize = 64;

/// Writes the folder `NAME`. `Err`: wrong name (64), it exists (73), or cannot be written (74); then nothing is left of it.
pub fn connector(args: &NewConnectorArgs) -> Ended {
    Ended::of(made(args).and_then(|said| stdout::print(&said)))
}

fn made(args: &NewConnectorArgs) -> Result<String, Failure> {
    let name = args.name.as_str();
    if let Some(why) = unusable(name) {
        return Err(Failure::new(
            Outcome::Usage,
            format!("`{name}` {why}; use lower case letters, digits and `-`, such as `my-orders`"),
        ));
    }
    let template = templates::of(args.lang);
    let folder = Path::new(name);
    // Whoever makes the folder owns it: nothing that exists is touched.
    if let Err(error) = fs::create_dir(folder) {
        let (why, what_to_do) = match error.kind() {
            ErrorKind::AlreadyExists => ("exists already".to_owned(), "use another name"),
            _ => (
                format!("cannot be made: {error}"),
                "go to a folder that you can write to",
            ),
        };
        return Err(Failure::new(
            Outcome::OutputUnusable,
            format!("`{name}` {why}; nothing was written; {what_to_do}, and run again"),
        ));
    }
    let files = files(&template, name);
    let all = files.iter().try_for_each(|file| write(folder, file));
    if let Err(failure) = all {
        let _ = fs::remove_dir_all(folder);
        return Err(failure);
    }
    Ok(format!(
        "made {name}/, a connector in {}; {name}/README.md has the steps\n\n  cd {name}\n  sh build.sh   builds {name}.wasm\n  sh test.sh    builds it, and tries it against a scripted API\n",
        template.language
    ))
}

/// Why this cannot be the name of a connector and its folder.
fn unusable(name: &str) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_plain) {
        Some("is not a name of a connector")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("begins or ends with `-`")
    } else if name.len() > NAME_BYTES {
        Some("is longer than 64 characters")
    } else {
        None
    }
}

/// All files of a connector with this name.
fn files(template: &Template, name: &str) -> Vec<File> {
    let named = |path: String, text: &str| File {
        path,
        bytes: text.replace(PLACEHOLDER, name).into_bytes(),
    };
    // Those of `js/` and `node/` are in one folder then.
    let own = template.files.iter().map(|&(path, text)| {
        let shared = path.strip_prefix("node/").or(path.strip_prefix("js/"));
        let path = shared.or(path.strip_prefix("ts/")).unwrap_or(path);
        named(path.to_owned(), text)
    });
    // Under its own name it would apply to the templates.
    let common = templates::COMMON.iter().map(|&(path, text)| {
        named(
            path.replace("gitignore", ".gitignore"),
            &template.filled(text),
        )
    });
    let wit = wit::files().map(|(path, text)| File {
        path: format!("wit/{path}"),
        bytes: text.as_bytes().to_vec(),
    });
    let adapter = template.needs_adapter.then(|| File {
        path: templates::ADAPTER.to_owned(),
        bytes: WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER.to_vec(),
    });
    own.chain(common).chain(wit).chain(adapter).collect()
}

fn write(folder: &Path, file: &File) -> Result<(), Failure> {
    let path = folder.join(&file.path);
    let mode = if has_ending(&file.path, "sh") {
        0o777
    } else {
        0o666
    };
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = parent.and_then(|()| {
        let mut options = fs::OpenOptions::new();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        std::io::Write::write_all(&mut out, &file.bytes)
    });
    written.or_fail(Outcome::IoFailed, || {
        format!("cannot write `{}`, nothing is left of it", path.display())
    })
}

fn has_ending(path: &str, wanted: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|ending| ending == wanted)
}

#[cfg(test)]
mod tests;
