//! The file-system calls of a run, in their order, as `strace -y` wrote them down.
//!
//! Only calls that concern the output folder, the folders above it or what is printed are a run's own: its main thread makes
//! a few more, for timers and sockets, whose number nobody promises.

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Every call by which a process can see or change a file system. `?`: not every processor has it.
pub const TRACED: &str = "?open,openat,?openat2,?creat,?mkdir,mkdirat,?rmdir,?unlink,unlinkat,?rename,?renameat,\
    renameat2,?link,linkat,?symlink,symlinkat,?readlink,readlinkat,read,pread64,readv,write,pwrite64,writev,fsync,\
    fdatasync,sync_file_range,syncfs,flock,ftruncate,truncate,fallocate,fchmod,?chmod,fchmodat,fchown,fchownat,\
    utimensat,getdents64,?stat,?lstat,?fstat,?newfstatat,statx,lseek,copy_file_range,sendfile,close";

/// The folder that a path is seen from: `OUTPUT_DIR`.
pub const OUTPUT: &str = ".";
/// A folder that is opened again by its descriptor: the one that the component gets.
pub const HELD: &str = "held";
/// So much of a call's arguments is shown.
const ARGS_SHOWN: usize = 200;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which one.
    pub name: String,
    /// What it was about: relative to `OUTPUT_DIR` ([`OUTPUT`] is itself) or, outside it, from the root; `stdout`, `stderr`.
    pub paths: Vec<String>,
    /// Its arguments as they were printed.
    pub args: String,
    /// How it ended.
    pub ended: Ended,
    /// How many calls of this name the thread had made, with this one.
    pub when: usize,
    /// How many calls of this name about the same paths, with this one.
    pub nth: usize,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did what it was asked.
    Well,
    /// It gave an error of its own.
    Badly,
    /// It was told to give an error.
    Told,
    /// The process was killed in it.
    Killed,
}

impl Call {
    /// Whether the call did what it was asked, and is this one, about this path.
    pub fn is(&self, name: &str, path: &str) -> bool {
        self.ended == Ended::Well
            && self.name == name
            && self.paths.first().is_some_and(|own| own == path)
    }

    /// Whether it was disturbed.
    pub fn is_hit(&self) -> bool {
        matches!(self.ended, Ended::Told | Ended::Killed)
    }

    /// What tells the call from all others of its run, and is the same in every run of a kind.
    pub fn identity(&self) -> String {
        let paths: Vec<String> = self.paths.iter().map(|path| general(path)).collect();
        format!("{} {} {}", self.name, paths.join(" "), self.nth)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: String = self.args.chars().take(ARGS_SHOWN).collect();
        write!(f, "{}({args}) about {:?}", self.name, self.paths)
    }
}

/// Reads a log. `output` is `OUTPUT_DIR`.
///
/// The run's own calls are returned, from the first that concerns `OUTPUT_DIR`.
pub fn read(log: &str, output: &Path) -> Vec<Call> {
    let mut all: Vec<Call> = Vec::new();
    let (mut of_name, mut of_paths) = (HashMap::new(), HashMap::new());
    // Neither a signal, nor the end, nor what was not even begun when it came.
    let is_call =
        |line: &&str| !line.starts_with(['-', '+']) && !line.ends_with("<unfinished ...>");
    for line in log.lines().filter(is_call) {
        let mut call = call(line, output)
            .unwrap_or_else(|| panic!("strace wrote what nobody understands: {line}"));
        let paths: Vec<String> = call.paths.iter().map(|path| general(path)).collect();
        let count = of_name.entry(call.name.clone()).or_insert(0);
        *count += 1;
        call.when = *count;
        let count = of_paths.entry((call.name.clone(), paths)).or_insert(0);
        *count += 1;
        call.nth = *count;
        all.push(call);
    }
    let first = all.iter().position(|call| {
        call.paths
            .iter()
            .any(|path| !is_outside(path) && !is_printed(path))
    });
    let concerns = |path: &String| !is_outside(path) || output.starts_with(path);
    all.drain(..first.unwrap_or(all.len()));
    all.retain(|call| call.paths.iter().any(concerns));
    all
}

/// Whether a call's path is neither `OUTPUT_DIR` nor below it.
pub fn is_outside(path: &str) -> bool {
    path.starts_with('/') || path.starts_with('?')
}

fn is_printed(path: &str) -> bool {
    path == "stdout" || path == "stderr"
}

/// A path without what differs from run to run: run ids, and times and sums in the names of generations.
fn general(path: &str) -> String {
    let part = |part: &str| {
        for ours in [".staging-", ".current-", ".latest-", ".last-run-"] {
            if part.starts_with(ours) {
                return format!("{ours}*");
            }
        }
        let is_generation =
            part.len() >= 40 && part.bytes().take(6).all(|byte| byte.is_ascii_digit());
        if is_generation {
            format!("{}*", &part[..6])
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn call(line: &str, output: &Path) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    let args = args.trim_end().strip_suffix(')').unwrap_or(args.trim_end());
    let ended = if result.starts_with('?') {
        Ended::Killed
    } else if result.contains("(INJECTED)") {
        Ended::Told
    } else if result.starts_with('-') {
        Ended::Badly
    } else {
        Ended::Well
    };
    let words = words(args);
    let paths = paths(name, &words)
        .into_iter()
        .map(|path| seen_from(output, &path))
        .collect();
    Some(Call {
        name: name.to_owned(),
        paths,
        args: args.to_owned(),
        ended,
        when: 0,
        nth: 0,
    })
}

/// The arguments, one by one. A comma within quotes, braces or a descriptor's path parts nothing.
fn words(args: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for c in args.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' | '<' => depth += 1,
            '}' | ']' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        words.last_mut().expect("there is one").push(c);
    }
    words
        .into_iter()
        .map(|word| word.trim().to_owned())
        .collect()
}

/// The paths that a call is about, from the root or, of a descriptor that is no file, anything else.
fn paths(name: &str, words: &[String]) -> Vec<PathBuf> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let below = |folder: usize| {
        let folder_path = held(word(folder));
        match named(word(folder + 1)) {
            Some(name) if !name.is_empty() => folder_path.join(name),
            _ => folder_path,
        }
    };
    let plain = |at: usize| PathBuf::from(named(word(at)).unwrap_or_default());
    match name {
        "openat" | "openat2" | "mkdirat" | "unlinkat" | "newfstatat" | "statx" | "readlinkat"
        | "utimensat" | "fchmodat" | "fchownat" => vec![below(0)],
        "renameat" | "renameat2" | "linkat" => vec![below(0), below(2)],
        "symlinkat" => vec![below(1)],
        "open" | "creat" | "mkdir" | "rmdir" | "unlink" | "readlink" | "stat" | "lstat"
        | "chmod" | "truncate" => vec![plain(0)],
        "rename" | "link" => vec![plain(0), plain(1)],
        "symlink" => vec![plain(1)],
        _ => vec![held(word(0))],
    }
}

/// The path of `7</path>`. What the process was given to print on has a name, for it may be anything.
fn held(word: &str) -> PathBuf {
    let Some((number, path)) = word.split_once('<') else {
        return PathBuf::from("?");
    };
    match number {
        "1" => PathBuf::from("stdout"),
        "2" => PathBuf::from("stderr"),
        _ => PathBuf::from(path.split_once('>').map_or(path, |(path, _)| path)),
    }
}

/// The text of `"text"`.
fn named(word: &str) -> Option<&str> {
    word.strip_prefix('"')?.strip_suffix('"')
}

fn seen_from(output: &Path, path: &Path) -> String {
    if path.is_relative() {
        let text = path.display().to_string();
        return if is_printed(&text) {
            text
        } else {
            format!("?{text}")
        };
    }
    if path.starts_with("/proc/self/fd") {
        return HELD.to_owned();
    }
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            part => whole.push(part),
        }
    }
    match whole.strip_prefix(output) {
        Ok(below) if below.as_os_str().is_empty() => OUTPUT.to_owned(),
        Ok(below) => below.display().to_string(),
        Err(_) => whole.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Call {
        call(line, Path::new("/out")).unwrap()
    }

    #[test]
    fn a_path_is_seen_from_the_output_folder() {
        let open = one(r#"openat(9</out/generations>, "..", O_RDONLY|O_DIRECTORY) = 10</out>"#);
        let rename =
            one(r#"renameat(9</out/.staging-1>, "gen", 4</out/generations>, "000001") = 0"#);
        let link = one(r#"symlinkat("generations/000001", 4</out>, ".current-1") = 0"#);

        assert_eq!(open.paths, [OUTPUT]);
        assert_eq!(rename.paths, [".staging-1/gen", "generations/000001"]);
        assert_eq!(link.paths, [".current-1"]);
    }

    #[test]
    fn a_comma_or_a_bracket_in_what_was_written_parts_nothing() {
        let write = one(r#"write(11</out/f>, "[\n{\"a\":\"x = 1)\"},"..., 30) = 30"#);

        assert_eq!(
            (write.paths, write.ended),
            (vec!["f".to_owned()], Ended::Well)
        );
    }

    #[test]
    fn how_a_call_ended_is_told_apart() {
        assert_eq!(one("fsync(3</out>) = ?").ended, Ended::Killed);
        assert_eq!(
            one("fsync(3</out>) = -1 EIO (Input/output error) (INJECTED)").ended,
            Ended::Told
        );
        assert_eq!(
            one(r#"unlinkat(3</out>, "x", 0) = -1 ENOENT (No such file)"#).ended,
            Ended::Badly
        );
    }

    #[test]
    fn two_runs_make_the_same_calls() {
        let run = |id: &str| {
            one(&format!(
                r"fsync(3</out/.staging-20261123T060000Z-{id}/gen>) = 0"
            ))
            .identity()
        };

        assert_eq!(run("abcdef"), run("012345"));
    }
}
