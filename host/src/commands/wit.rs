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

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../wit/", $path)))),*]
    };
}

/// Our package, in the order in which a person should read it.
const OWN: &[(&str, &str)] = files! { "world.wit", "job.wit", "probe.wit", "signer.wit" };
/// What it names of WASI.
const DEPS: &[(&str, &str)] = files! {
    "deps/cli.wit", "deps/clocks.wit", "deps/filesystem.wit", "deps/http.wit", "deps/io.wit", "deps/random.wit",
    "deps/sockets.wit",
};
/// Where that is from.
const ORIGIN: &[(&str, &str)] = files! { "deps/README.md" };

/// All files, by their paths in the folder.
pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    OWN.iter().chain(DEPS).chain(ORIGIN).copied()
}

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
    let files: Vec<_> = files().map(|(path, text)| (dir.join(path), text)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_wit_is_listed_and_as_it_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let below = |inside: &str| {
            let entries = std::fs::read_dir(folder.join(inside)).unwrap().flatten();
            let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
            let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
            let paths = names.map(|name| Path::new(inside).join(name).display().to_string());
            paths.collect::<Vec<String>>()
        };

        let mut found = [below(""), below("deps")].concat();
        let mut listed: Vec<String> = files().map(|(path, _)| path.to_owned()).collect();
        found.sort();
        listed.sort();

        assert_eq!(listed, found);
        for (path, text) in files() {
            assert_eq!(std::fs::read_to_string(folder.join(path)).unwrap(), text);
        }
    }
}
