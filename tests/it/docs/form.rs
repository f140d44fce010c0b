//! The form of the pages: links that lead somewhere, pages that are short, lines that can be read.

use std::path::{Component, Path, PathBuf};

use super::{PAGES, text_of};
use crate::tidy::text;

const README_LINES_MAX: usize = 200;
const PAGE_LINES_MAX: usize = 250;
const COLUMNS_MAX: usize = 120;
/// Pages that `tidegate help` prints.
const COLUMNS_MAX_IN_A_TERMINAL: usize = 80;
const IN_A_TERMINAL: [&str; 3] = [
    "docs/exit-codes.md",
    "docs/scheduling.md",
    "docs/settings.md",
];

/// The lines of prose: no code, no row of a table, no comment.
fn prose(page: &str) -> Vec<&str> {
    let mut is_code = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        let is_prose = !line.starts_with(['|', '<']) && !line.starts_with("    ");
        is_prose && !is_code && !is_fence
    });
    lines.collect()
}

/// Where the links of a page lead.
fn links(page: &str) -> Vec<String> {
    let text = prose(page).join("\n") + &rows(page);
    let mut links = Vec::new();
    for after in text.split("](").skip(1) {
        let (target, _) = after.split_once(')').expect("a link ends");
        links.push(target.to_owned());
    }
    links
}

fn rows(page: &str) -> String {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.collect()
}

/// The name that a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        'a'..='z' | '0'..='9' | '-' | '_' => Some(c),
        'A'..='Z' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// A path without `..`.
fn resolved(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => _ = path.pop(),
            part => path.push(part),
        }
        path
    })
}

/// What is wrong with the link of this page.
fn broken(name: &str, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return None;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let target = match file {
        "" => PathBuf::from(name),
        file => resolved(&folder.join(file)),
    };
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let has_heading = || {
        let page = text_of(&target.display().to_string());
        prose(page).iter().any(|line| {
            let title = line.trim_start_matches('#');
            title.len() < line.len() && anchor(title.trim()) == heading
        })
    };
    let holds = top.join(&target).is_file() && (heading.is_empty() || has_heading());
    (!holds).then(|| format!("{name}: {link}"))
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    let mut all = 0;
    let mut wrong = Vec::new();
    for (name, page) in PAGES {
        let links = links(page);
        all += links.len();
        wrong.extend(links.iter().filter_map(|link| broken(name, link)));
    }

    assert!(all > 25, "only {all} links were found");
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_page_is_linked_from_readme() {
    let readme = links(text_of("README.md"));

    let missing: Vec<&str> = PAGES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "README.md" && !readme.iter().any(|link| link == name))
        .collect();

    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_page_is_short() {
    for (name, page) in PAGES {
        let most = match *name {
            "README.md" => README_LINES_MAX,
            _ => PAGE_LINES_MAX,
        };
        // The table of settings is made by a command, and has a row for each.
        let is_row = |line: &&str| line.starts_with("| `");
        let rows = page.lines().filter(is_row).count();
        let generated = if *name == "docs/settings.md" { rows } else { 0 };
        let lines = page.lines().count() - generated;
        assert!(lines <= most, "{name} has {lines} lines");
    }
}

#[test]
fn prose_is_at_most_120_columns_wide() {
    let others = ["SECURITY.md", "CHANGELOG.md"].map(|name| (name, text(name)));
    let pages = PAGES.iter().map(|(name, page)| (*name, (*page).to_owned()));

    let mut wide = Vec::new();
    for (name, page) in pages.chain(others) {
        let most = match name {
            name if IN_A_TERMINAL.contains(&name) => COLUMNS_MAX_IN_A_TERMINAL,
            _ => COLUMNS_MAX,
        };
        let lines = prose(&page);
        let lines = lines.iter().filter(|line| line.chars().count() > most);
        wide.extend(lines.map(|line| format!("{name}: {line}")));
    }

    assert_eq!(wide, [""; 0]);
}

#[test]
fn every_file_that_architecture_names_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = text_of("docs/architecture.md");
    let names: Vec<&str> = page
        .split('`')
        .filter(|name| {
            let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
            name.contains('/')
                && Path::new(name)
                    .extension()
                    .is_some_and(|ending| ending == "rs")
                && name.bytes().all(is_path)
        })
        .collect();

    let is_there = |name: &str| {
        let folders = ["", "host/src", "guest/src"];
        folders
            .iter()
            .any(|folder| top.join(folder).join(name).is_file())
    };
    let missing: Vec<&&str> = names.iter().filter(|name| !is_there(name)).collect();

    assert!(names.len() > 15, "{names:?}");
    assert_eq!(missing, [&""; 0]);
}
