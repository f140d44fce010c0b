//! `wit`: the WIT that this tidegate was built with, printed as one file or written as a folder.
//!
//! Either is whole: with the packages of WASI that it names, so that a toolchain needs nothing else.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::stdout;
use crate::cli::WitArgs;
use crate::outcome::{Ended, Failure, OrFail as _, Outcome};
use crate::words;

/// Our package, in the order in which a person should read it.
const OWN: [(&str, &str); 4] = [
    ("world.wit", include_str!("../../../wit/world.wit")),
    ("job.wit", include_str!("../../../wit/job.wit")),
    ("probe.wit", include_str!("../../../wit/probe.wit")),
    ("signer.wit", include_str!("../../../wit/signer.wit")),
];
/// What it names of WASI.
const DEPS: [(&str, &str); 7] = [
    ("cli.wit", include_str!("../../../wit/deps/cli.wit")),
    ("clocks.wit", include_str!("../../../wit/deps/clocks.wit")),
    (
        "filesystem.wit",
        include_str!("../../../wit/deps/filesystem.wit"),
    ),
    ("http.wit", include_str!("../../../wit/deps/http.wit")),
    ("io.wit", include_str!("../../../wit/deps/io.wit")),
    ("random.wit", include_str!("../../../wit/deps/random.wit")),
    ("sockets.wit", include_str!("../../../wit/deps/sockets.wit")),
];

/// Prints it, or writes it into a folder. `Err`: 73 where a file there says something else, of which none is replaced, or where
/// the folder cannot be made; 74 where a file cannot be written.
pub fn wit(args: &WitArgs) -> Ended {
    Ended::of(match &args.dir {
        // A comment of WASI has a character in it that is not shown.
        None => stdout::print(&words::escaped_lines(&printed())),
        Some(dir) => written(dir).and_then(|many| {
            stdout::print(&format!(
                "wrote {many} files to `{}`; worlds: `connector`, `signing-connector`, `sync-job`\n",
                dir.display()
            ))
        }),
    })
}

/// One file: our package, and every other one in it.
fn printed() -> String {
    let (head, _) = parted(OWN[0].1);
    let mut out = format!("package {head};\n");
    for (_, text) in OWN {
        let (_, body) = parted(text);
        let _ = write!(out, "\n{}\n", body.trim());
    }
    for (_, text) in DEPS {
        let (head, body) = parted(text);
        let _ = write!(out, "\npackage {head} {{\n{}\n}}\n", body.trim());
    }
    out
}

/// The name of the package and what is in it.
fn parted(text: &str) -> (&str, &str) {
    let rest = text
        .strip_prefix("package ")
        .and_then(|rest| rest.split_once(';'));
    rest.expect("each of our files begins with its package")
}

/// The files with their paths below `dir`; how many there are.
fn written(dir: &Path) -> Result<usize, Failure> {
    let own = OWN.map(|(name, text)| (dir.join(name), text));
    let deps = DEPS.map(|(name, text)| (dir.join("deps").join(name), text));
    let files: Vec<_> = own.into_iter().chain(deps).collect();
    let mut missing = Vec::new();
    for (path, text) in &files {
        let found = match std::fs::read(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                missing.push((path, *text));
                continue;
            }
            Err(error) => {
                return Err(Failure::new(
                    Outcome::OutputUnusable,
                    format!(
                        "cannot read `{}`: {error}; nothing was written",
                        path.display()
                    ),
                ));
            }
        };
        if found != text.as_bytes() {
            return Err(Failure::new(
                Outcome::OutputUnusable,
                format!(
                    "`{}` is there and says something else; nothing was written; move it away, or name another folder",
                    path.display()
                ),
            ));
        }
    }
    std::fs::create_dir_all(dir.join("deps")).or_fail(Outcome::OutputUnusable, || {
        format!("cannot make the folder `{}`", dir.join("deps").display())
    })?;
    for (path, text) in missing {
        write_new(path, text).or_fail(Outcome::IoFailed, || {
            format!("cannot write `{}`", path.display())
        })?;
    }
    Ok(files.len())
}

/// Writes a file that is not there. One that is not whole would be taken for one that says something else: it is removed.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes()).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}
