//! `docs/connectors.md`: its commands, one after the other in one shell on a terminal, print what it shows, and its
//! excerpts are of the example.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;

use super::{blocks, text_of};
use crate::world::{guests, scripts};

const PAGE: &str = "docs/connectors.md";
/// Between what one block prints and the next one.
const MARK: &str = "@@@";
/// The port of the page, in place of which the test takes a free one.
const PORT: &str = "18000";
const SERVER: &str = "http.server";

/// A block of commands, and what the page shows that they print.
struct Step {
    commands: &'static str,
    shown: Option<&'static str>,
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (language, block) in blocks(text_of(PAGE)) {
        match language {
            "sh" => steps.push(Step {
                commands: block,
                shown: None,
            }),
            // What root does, and what cron does.
            "text" if !block.starts_with("sudo ") && !block.starts_with("MAILTO=") => {
                let last = steps.last_mut().expect("commands come first");
                assert!(last.shown.is_none(), "two outputs of `{}`", last.commands);
                last.shown = Some(block);
            }
            _ => {}
        }
    }
    steps
}

#[test]
fn its_excerpts_are_of_the_example() {
    let example = [
        include_str!("../../../guest/examples/csv/connector.py"),
        include_str!("../../../guest/examples/csv/rows.py"),
    ];
    let excerpts = blocks(text_of(PAGE)).into_iter();
    let excerpts: Vec<&str> = excerpts
        .filter_map(|(language, block)| (language == "python").then_some(block))
        .collect();

    assert!(excerpts.len() > 3, "{excerpts:?}");
    for excerpt in excerpts {
        let is_there = example.iter().any(|file| file.contains(excerpt.trim_end()));
        assert!(is_there, "not in the example:\n{excerpt}");
    }
}

#[test]
fn the_headers_of_the_signed_connector_are_those_of_its_example() {
    let example = include_str!("../../../guest/examples/hawk/src/lib.rs");
    let shown = blocks(text_of("docs/connector-signed.md"));
    let (_, shown) = (shown.into_iter())
        .find(|(_, block)| block.starts_with("fn headers("))
        .expect("the page shows them");

    assert!(
        example.contains(shown.trim_end()),
        "not in the example:\n{shown}"
    );
}

/// What the blocks print in one shell on a terminal, each with the code of its last command.
fn printed(steps: &[Step], folder: &Path, port: u16) -> Vec<(String, i32)> {
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        if step.commands.contains("job.env") && !script.contains(SERVER) {
            script += &in_a_second_terminal(port);
        }
        write!(
            script,
            "echo {MARK}\n{}\necho \"{MARK}$?\"\n",
            step.commands
        )
        .unwrap();
    }
    let path = std::env::var("PATH").expect("a PATH");
    let file = folder.join("page.sh");
    std::fs::write(&file, script.replace(PORT, &port.to_string())).expect("write the commands");
    let own = Path::new(env!("CARGO_BIN_EXE_tidegate"));
    let own = own.parent().expect("a folder").display();
    let ended = scripts::command(folder)
        .args(["-c", "exec script -qec 'sh page.sh' /dev/null"])
        .env("PATH", format!("{own}:{path}"))
        .env("HOME", folder)
        .env("NO_COLOR", "1")
        // Where the machine has no certificates of its own.
        .env("SSL_CERT_FILE", "")
        .env("SSL_CERT_DIR", "")
        .output()
        .expect("start sh");
    let all = String::from_utf8(ended.stdout).expect("UTF-8");
    let all = all.replace("\r\n", "\n");
    let mut parts = all.split(MARK).skip(1);
    let mut printed = Vec::new();
    while let (Some(text), Some(code)) = (parts.next(), parts.next()) {
        let code = code.trim().parse().expect("a code");
        printed.push((text.trim_start_matches('\n').to_owned(), code));
    }
    printed
}

/// Starts the server of the page, waits until it listens, and ends it with the shell.
fn in_a_second_terminal(port: u16) -> String {
    let (_, command) = text_of(PAGE)
        .split_once("In a second terminal, in the same folder: `")
        .expect("the page starts a server");
    let (command, _) = command.split_once('`').expect("a command");
    assert!(command.contains(SERVER), "{command}");
    let connects = format!("import socket; socket.create_connection(('127.0.0.1', {port}))");
    format!(
        "{command} >/dev/null 2>&1 &\nserver=$!\ntrap 'kill $server' EXIT\n\
         for _ in $(seq 100); do python3 -c \"{connects}\" 2>/dev/null && break; sleep 0.1; done\n"
    )
}

/// `[..]` is any text in a line, and `...` any lines.
fn is_shown(printed: &[&str], shown: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        ["...", rest @ ..] => {
            (0..=printed.len()).any(|skipped| is_shown(&printed[skipped..], rest))
        }
        [line, rest @ ..] => printed
            .split_first()
            .is_some_and(|(first, others)| is_line(first, line) && is_shown(others, rest)),
    }
}

fn is_line(printed: &str, shown: &str) -> bool {
    let Some((first, others)) = shown.split_once("[..]") else {
        return printed == shown;
    };
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = others.split("[..]").collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// The code that a block ends with: that of the last failure that it shows.
fn code_shown(shown: &str) -> i32 {
    let (_, after) = shown.rsplit_once(": exit ").unwrap_or(("", "0:"));
    let (code, _) = after.split_once(':').expect("`exit CODE:`");
    code.parse().expect("a code")
}

#[test]
fn its_commands_print_what_it_shows() {
    // Its tools are there after this.
    guests::csv();
    let python = scripts::python();
    let folder = tempfile::tempdir_in(scripts::tools()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::os::unix::fs::symlink(root, folder.path().join("tidegate")).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let steps = steps();

    let printed = printed(&steps, folder.path(), port);

    drop(python);
    assert!(steps.len() > 6, "only {} blocks of commands", steps.len());
    assert_eq!(printed.len(), steps.len(), "{printed:?}");
    for (step, (text, code)) in steps.iter().zip(&printed) {
        let text = text.replace(&port.to_string(), PORT);
        let shown = step.shown.unwrap_or("...");
        assert!(
            is_shown(&lines(&text), &lines(shown)),
            "{}prints:\n{text}and not:\n{shown}",
            step.commands
        );
        assert_eq!(*code, code_shown(shown), "{}{text}", step.commands);
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_line_is_shown_by_its_parts_and_lines_by_dots() {
    assert!(is_line("16:00 info run a=1 b=2", "[..] info [..] b=2"));
    assert!(!is_line("16:00 info run a=1 b=2 c", "[..] info [..] b=2"));
    assert!(is_line("fresh: of now", "fresh: [..]"));
    assert!(!is_line("refresh: of now", "fresh: [..]"));
    assert!(is_shown(&["a", "b", "c"], &["a", "...", "c"]));
    assert!(!is_shown(&["a", "b", "c", "d"], &["a", "...", "c"]));
    assert!(!is_shown(&["a", "b"], &["a"]));
}
