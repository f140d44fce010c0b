//! `help`, `completions` and `man`: what the binary says about itself where nobody has the repository at hand.
//!
//! The topics are pages of `docs/`, printed as text for a terminal. They are written for it: 80 columns, few marks.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::describe::wrapped;
use super::stdout;
use crate::cli::{Cli, CompletedShell, CompletionsArgs, HelpArgs, ManArgs};
use crate::outcome::{Ended, Failure, OrFail as _, Outcome};

/// Topic, what it is about, and its page.
const TOPICS: [(&str, &str, &str); 3] = [
    (
        "exit-codes",
        "a run failed: what now?",
        include_str!("../../../docs/exit-codes.md"),
    ),
    (
        "settings",
        "all settings, and where they come from",
        include_str!("../../../docs/settings.md"),
    ),
    (
        "cron",
        "scheduling by cron, systemd or Kubernetes",
        include_str!("../../../docs/scheduling.md"),
    ),
];

/// Prints the help of a topic or of a command; without one, that of `tidegate` and the topics.
pub fn help(args: &HelpArgs) -> Ended {
    Ended::of(text(args.topic.as_deref()).and_then(|text| stdout::print(&text)))
}

fn text(wanted: Option<&str>) -> Result<String, Failure> {
    let mut root = Cli::command();
    // Hands the names and widths of the root down to the commands.
    root.build();
    let Some(wanted) = wanted else {
        return Ok(format!("{}\n{}", root.render_long_help(), topics()));
    };
    if let Some((_, _, page)) = TOPICS.iter().find(|(name, _, _)| *name == wanted) {
        return Ok(plain(page));
    }
    match root.find_subcommand_mut(wanted) {
        Some(command) => Ok(command.render_long_help().to_string()),
        None => Err(Failure::new(
            Outcome::Usage,
            format!("no help for `{wanted}`; `tidegate help` lists commands and topics"),
        )),
    }
}

fn topics() -> String {
    let mut out = String::from("Topics of `tidegate help TOPIC`:\n");
    for (name, about, _) in TOPICS {
        let _ = writeln!(out, "  {name:<12}{about}");
    }
    out
}

/// A page as text for a terminal: headings are underlined, code is indented, a row of a table is a paragraph below its
/// first cell, and of a link only its words are left.
fn plain(page: &str) -> String {
    let mut out = String::new();
    let mut is_code = false;
    for line in without_targets(page).lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            let indent = if line.is_empty() { "" } else { "    " };
            let _ = writeln!(out, "{indent}{line}");
        } else if line.starts_with('|') {
            out.push_str(&row(line));
        } else if let Some(title) = line.trim_start_matches('#').strip_prefix(' ')
            && line.starts_with('#')
        {
            let under = if line.starts_with("##") { "-" } else { "=" };
            let _ = writeln!(out, "{title}\n{}", under.repeat(title.chars().count()));
        } else if !line.starts_with("<!--") {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// A row `| name | meaning | default |`; nothing of the head of a table.
fn row(line: &str) -> String {
    // A `|` within a cell is escaped.
    let line = line.replace("\\|", "\0");
    let cells: Vec<String> = line
        .trim_matches('|')
        .split(" | ")
        .map(|cell| cell.trim().replace('\0', "|").replace('\\', ""))
        .collect();
    match &*cells {
        [name, meaning, default] if name.starts_with('`') => {
            let mut out = format!("{} (default: {default})\n", name.trim_matches('`'));
            if default == "required" {
                out = format!("{} (required)\n", name.trim_matches('`'));
            }
            for line in wrapped(meaning, 74) {
                let _ = writeln!(out, "    {line}");
            }
            out
        }
        _ => String::new(),
    }
}

/// The text with `words` in place of `[words](target)`.
fn without_targets(page: &str) -> String {
    let mut parts = page.split("](");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(at) = out.rfind('[') {
            out.remove(at);
        }
        out.push_str(part.split_once(')').map_or(part, |(_, after)| after));
    }
    out
}

/// Prints the completions for a shell.
pub fn completions(args: &CompletionsArgs) -> Ended {
    let mut script = Vec::new();
    let shell = match args.shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut script);
    Ended::of(stdout::print(&String::from_utf8_lossy(&script)))
}

/// Prints the manual page of tidegate, or of a command.
pub fn man(args: &ManArgs) -> Ended {
    Ended::of(manual(args.command.as_deref()).and_then(|page| stdout::print(&page)))
}

fn manual(wanted: Option<&str>) -> Result<String, Failure> {
    let mut root = Cli::command();
    root.build();
    let command = match wanted {
        None => root,
        Some(wanted) => root.find_subcommand(wanted).cloned().ok_or_else(|| {
            Failure::new(
                Outcome::Usage,
                format!("no manual page for `{wanted}`; `tidegate help` lists the commands"),
            )
        })?,
    };
    let mut out = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut out)
        .or_fail(Outcome::IoFailed, || "cannot write the manual page")?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_text_of_80_columns_without_marks() {
        for (name, _, page) in TOPICS {
            let text = plain(page);

            let marks: Vec<&str> = text
                .lines()
                .filter(|line| {
                    ["](", "```", "| ", "<!--", "**"]
                        .iter()
                        .any(|mark| line.starts_with(mark))
                })
                .collect();
            assert_eq!(marks, [""; 0], "{name}");
            // Code is as it is.
            let wide: Vec<&str> = text
                .lines()
                .filter(|line| line.chars().count() > 80 && !line.starts_with("    "))
                .collect();
            assert_eq!(wide, [""; 0], "{name}");
        }
    }

    #[test]
    fn a_page_is_read_as_text() {
        let page = "# A\n\nSee [the\npage](b.md#c).\n\n```sh\nrun\n```\n\n| x | y | z |\n|---|---|---|\n\
                    | `X` | one \\| two | `3` |\n| `Y` | three | required |\n";

        assert_eq!(
            plain(page),
            "A\n=\n\nSee the\npage.\n\n    run\n\nX (default: `3`)\n    one | two\nY (required)\n    three\n"
        );
    }
}
