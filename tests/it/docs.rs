//! README and `docs/`: what they show at a prompt is what happens, their examples are accepted, and their links lead somewhere.

/// The page for the person who is paged.
mod exit_codes;
/// Form: links, lengths.
mod form;
/// The same pages in the binary.
mod help;
/// The settings for editors.
mod schema;
/// `docs/connectors.md`, from its first command to its last.
mod tutorial;

use std::path::Path;

use clap::Parser as _;
use tidegate::cli::Cli;
use tidegate::outcome::Outcome;

use crate::world::{Job, guests};

const RUN: &str = include_str!("../run.sh");

macro_rules! pages {
    ($($name:literal)*) => {
        /// Every page, by its path from the top.
        pub const PAGES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../", $name)))),*];
    };
}

pages! {
    "README.md"
    "docs/alerts.md"
    "docs/answers.md"
    "docs/architecture.md"
    "docs/component-elsewhere.md"
    "docs/connector-reference.md"
    "docs/connector-signed.md"
    "docs/connectors.md"
    "docs/credentials.md"
    "docs/databases.md"
    "docs/engines.md"
    "docs/exit-codes.md"
    "docs/exports.md"
    "docs/fan-out.md"
    "docs/fleet.md"
    "docs/job-files.md"
    "docs/metrics.md"
    "docs/on-call.md"
    "docs/output.md"
    "docs/packages.md"
    "docs/policy.md"
    "docs/recipes-by-pattern.md"
    "docs/recipes-by-shape.md"
    "docs/recipes.md"
    "docs/report.md"
    "docs/resources.md"
    "docs/scheduling.md"
    "docs/security.md"
    "docs/settings.md"
    "docs/sources.md"
    "docs/table-history.md"
}

/// The text of a page.
pub fn text_of(name: &str) -> &'static str {
    let page = PAGES.iter().find(|(found, _)| *found == name);
    page.unwrap_or_else(|| panic!("`{name}` is not in PAGES")).1
}

/// The first block of code after this text, in the only page that has it.
pub fn block_after(text: &str) -> &'static str {
    let mut parts = PAGES.iter().filter_map(|(_, page)| page.split_once(text));
    let (_, after) = parts
        .next()
        .unwrap_or_else(|| panic!("no page has `{text}`"));
    assert!(parts.next().is_none(), "two pages have `{text}`");
    let (_, block) = after.split_once("```").expect("a block follows");
    let (_, block) = block.split_once('\n').expect("it begins on its own line");
    block.split_once("```").expect("it ends").0
}

/// All blocks of code of a page: what is said of their language, and their text.
fn blocks(page: &'static str) -> Vec<(&'static str, &'static str)> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| block.split_once('\n').expect("a block has lines"))
        .collect()
}

#[test]
fn the_console_blocks_show_what_happens() {
    trycmd::TestCases::new()
        .register_bin("tidegate", Path::new(env!("CARGO_BIN_EXE_tidegate")))
        // A run that compiles the component says so.
        .env("TIDEGATE_CACHE_DIR", guests::cache().display().to_string())
        // Where the machine has these, every run would warn of them.
        .env("SSL_CERT_FILE", "")
        .env("SSL_CERT_DIR", "")
        .case("../README.md")
        .case("../docs/*.md");
}

#[test]
fn every_page_of_the_folder_is_held_to_these_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let files = std::fs::read_dir(folder).expect("the folder of pages");
    let mut there: Vec<String> = files
        .map(|file| format!("docs/{}", file.expect("a page").file_name().display()))
        .collect();
    there.sort();

    let mut listed: Vec<&str> = PAGES.iter().map(|(name, _)| *name).collect();
    // Beside the pages is what a program made, and `schema` holds.
    listed[0] = "docs/job.schema.json";
    listed.sort_unstable();

    assert_eq!(listed, there);
}

#[test]
fn the_steps_to_work_by_are_those_of_the_tests() {
    let (_, steps) = RUN.split_once("\n}\n").expect("run.sh defines `step`");
    // Whatever else stands there does not look like this: a new step has to be told here.
    let steps: Vec<&str> = steps
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("echo"))
        .map(|line| line.strip_prefix("step ").unwrap_or(line))
        .collect();

    let told: Vec<&str> = block_after("## Working on it").lines().collect();

    assert!(steps.len() > 5, "{steps:?}");
    assert_eq!(told, steps);
}

#[test]
fn the_whole_job_has_no_mistake() {
    let job = Job::new();
    let file = job.file("orders.env", block_after("A whole job:"));

    let printed = job.tidegate(["check", "--env-file", &file.display().to_string()]);

    printed.exits(0).stdout_has("no problem found");
}

#[test]
fn every_block_of_settings_has_no_mistake() {
    let is_setting = |line: &str| {
        let name = line.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    // Recipes are followed as a whole: see `recipes`.
    let pages = PAGES.iter().filter(|(name, _)| !name.contains("recipes"));
    let examples: Vec<&str> = pages
        .flat_map(|(_, page)| blocks(page))
        .map(|(_, block)| block)
        .filter(|block| block.lines().all(is_setting))
        .collect();

    assert!(examples.len() > 4, "{examples:?}");
    for example in examples {
        let job = Job::new();
        let password = job.file("password", "a-password").display().to_string();
        let text = example.replace("/etc/tidegate/db-password", &password);
        // Any other secret: a pair is a header and an access key, too.
        let secret = job.file("secret", "user:a-secret-of-many-letters");
        let hook = job.file("hook", "https://hooks.example.com/a-secret-of-many-letters");
        let is_path = |line: &str| line.split_once("_FILE=/").is_some();
        let lines = text.lines().map(|line| match line.split_once("=/") {
            Some((name, path)) if is_path(line) && path.contains("tidegate/") => {
                let is_hook = ["ALERT_URL_FILE", "PING_URL_FILE"].contains(&name);
                let file = if is_hook { &hook } else { &secret };
                format!("{name}={}", file.display())
            }
            _ => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let file = job.file("example.env", &text).display().to_string();
        // What the example does not say comes from the environment of the job, but its folder.
        let mut job = job.unset("OUTPUT_DIR");
        if example.contains("SOURCE_API_URL=") {
            job = job.unset("SOURCE_API_URL");
        }
        if example.contains("SOURCE_AUTH=") || example.contains("SOURCE_API_KEY") {
            job = job.unset("SOURCE_API_KEY");
        }

        let printed = job.tidegate(["check", "--env-file", &file]);

        printed.exits(0).stdout_has("no problem found");
    }
}

#[test]
fn every_job_file_of_the_pages_has_no_mistake() {
    let pages = PAGES.iter().flat_map(|(_, page)| blocks(page));
    let files = pages.filter(|(language, text)| *language == "toml" && text.contains("[source]"));
    let files: Vec<&str> = files.map(|(_, text)| text).collect();

    assert!(!files.is_empty());
    for text in files {
        let job = Job::new();
        let key = job.file("key", "a-key").display().to_string();
        let file = job.file(
            "orders.toml",
            &text.replace("/etc/tidegate/orders-key", &key),
        );
        let job = job
            .unset("OUTPUT_DIR")
            .unset("SOURCE_API_URL")
            .unset("SOURCE_API_KEY");

        let printed = job.tidegate(["check", &file.display().to_string()]);

        printed.exits(0).stdout_has("no problem found");
    }
}

/// The words of the commands `tidegate …` in a line of a block, without what the shell does with them.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let starts = line.match_indices("tidegate ").filter(|(at, _)| {
        let before = line[..*at].chars().next_back();
        let is_command = before.is_none_or(|before| "/( ".contains(before));
        is_command && !line.starts_with("cargo ") && !line.contains("error: ")
    });
    let commands = starts.map(|(at, _)| {
        let command = &line[at..];
        let end = command.find([')', ';', '|', '>']).unwrap_or(command.len());
        let words = command[..end].split_whitespace();
        words
            .map(|word| word.trim_matches('"').to_owned())
            .collect()
    });
    commands.collect()
}

#[test]
fn every_command_of_an_example_is_one() {
    let lines = PAGES
        .iter()
        .flat_map(|(_, page)| blocks(page))
        .filter(|(language, _)| matches!(*language, "sh" | "text" | "ini"))
        // A line that goes on in the next one is one.
        .map(|(_, block)| block.replace("\\\n", " "));
    let lines: Vec<String> = lines.collect();
    let lines = lines.iter().flat_map(|block| block.lines());
    let commands: Vec<Vec<String>> = lines.flat_map(commands).collect();

    assert!(commands.len() > 12, "{commands:?}");
    for words in commands {
        let parsed = Cli::try_parse_from(&words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
    }
}

#[test]
fn the_csv_file_is_the_one_that_is_shown() {
    let page = text_of("docs/output.md");
    let (_, records) = page.split_once("the records `").expect("records are shown");
    let (first, after) = records.split_once("` and `").expect("two of them");
    let (second, after) = after.split_once('`').expect("it ends");
    let (_, shown) = after.split_once("```text\n").expect("a file follows");
    let (shown, _) = shown.split_once("```").expect("it ends");
    let mut job = Job::new()
        .set("OUTPUT_FORMAT", "csv")
        .set("OUTPUT_CSV_FORMULAS", "escape")
        .page(200, &format!("[{first},{second}]"));

    job.run().exits(Outcome::Published);

    let written = std::fs::read_to_string(job.output().join("latest.csv")).expect("a file");
    assert_eq!(written, shown.replace('\n', "\r\n"));
}

#[test]
fn the_timeout_of_systemd_stands_behind_the_deadline() {
    let minutes = |page: &str, text: &str, end: &str| -> u64 {
        let (_, after) = text_of(page)
            .split_once(text)
            .unwrap_or_else(|| panic!("{page} says `{text}`"));
        let (number, _) = after.split_once(end).expect("a number of minutes");
        number.parse().expect("a whole number")
    };

    let timeout = minutes("docs/scheduling.md", "TimeoutStartSec=", "min");
    let deadline = minutes("docs/settings.md", "| Maximum duration of a run | `", "m`");

    assert!(timeout > deadline, "{timeout} and {deadline} minutes");
}

#[test]
fn the_cron_job_is_one_to_kubernetes() {
    let job = Job::new();
    let manifest = job.file("cronjob.yaml", block_after("## Kubernetes"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let validator = root.join("target/kubernetes-validate/bin/kubernetes-validate");

    let ended = std::process::Command::new(&validator)
        .arg("--strict")
        .arg(&manifest)
        .output()
        .expect("kubernetes-validate: run tests/tools.sh");

    let said = String::from_utf8_lossy(&ended.stdout).into_owned()
        + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[test]
fn the_deadline_of_the_cron_job_stands_behind_the_runs_own() {
    let job = block_after("## Kubernetes");
    let number = |before: &str, end: &str| -> u64 {
        let (_, after) = job
            .split_once(before)
            .unwrap_or_else(|| panic!("it says `{before}`"));
        let (number, _) = after.split_once(end).expect("a number");
        number.parse().expect("a whole number")
    };

    assert!(number("activeDeadlineSeconds: ", "\n") > 60 * number("RUN_DEADLINE, value: ", "m}"));
}
