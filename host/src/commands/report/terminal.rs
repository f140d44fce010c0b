//! A report as a table of 80 columns with sparklines, and below it what there is to say of the jobs that need somebody.

use std::fmt::Write as _;
use std::time::Duration;

use super::facts::{Facts, RunFacts};
use super::page::changes;
use super::sight::{Sight, minute, range, seconds, soon, span};
use super::state::{State, meaning};
use crate::commands::describe::wrapped;
use crate::units::{self, thousands};
use crate::words;

/// Of a text below a job, in bytes, and in characters on a line.
const TEXT_BYTES: usize = 400;
const TEXT_COLUMNS: usize = 76;
/// Runs in the columns of the table, and in the lines of one job.
const RUNS_IN_A_ROW: usize = 10;
const RUNS_IN_A_LINE: usize = 40;

/// What a sparkline is drawn with, from low to high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    levels: [char; 8],
    cut: &'static str,
    nothing: &'static str,
}

impl Signs {
    /// Blocks of Unicode, or ASCII.
    pub const fn of(has_unicode: bool) -> Self {
        if has_unicode {
            Self {
                levels: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
                cut: "…",
                nothing: " ",
            }
        } else {
            Self {
                levels: ['_', '.', ':', '-', '=', '+', '*', '#'],
                cut: "~",
                nothing: " ",
            }
        }
    }

    /// A sign for each number, higher for a greater one; equal ones are all in the middle.
    fn line(&self, numbers: &[Option<u64>]) -> String {
        let known = || numbers.iter().flatten().copied();
        let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        let level = |number: u64| {
            let part = (u128::from(number - least) * 7).checked_div(u128::from(most - least));
            usize::try_from(part.unwrap_or(3)).unwrap_or(7)
        };
        let signs = numbers.iter().map(|number| match number {
            Some(number) => self.levels[level(*number)].to_string(),
            None => self.nothing.to_owned(),
        });
        signs.collect()
    }

    fn column(&self, text: &str, columns: usize) -> String {
        if text.chars().count() <= columns {
            return text.to_owned();
        }
        let kept = text.chars().take(columns - 1);
        kept.collect::<String>() + self.cut
    }
}

/// The table, and the lines of each job that is not fresh, or of the one that there is.
pub fn text(sight: &Sight, signs: Signs) -> String {
    let mut out = row(
        &signs,
        [
            "JOB", "STATE", "EXIT", "AGE", "NEXT", "RECORDS", "TREND", "RUNS",
        ],
    );
    for (state, facts) in &sight.jobs {
        out.push_str(&row_of(sight, *state, facts, &signs));
    }
    let is_one = sight.jobs.len() == 1;
    for (state, facts) in &sight.jobs {
        if is_one || *state != State::Fresh {
            let _ = write!(out, "\n{}: {}\n", words::escaped(&facts.job), state.word());
            out.push_str(&lines_of(*state, facts, &signs, is_one));
        }
    }
    let as_of = sight.as_of.to_string();
    let as_of = minute(&as_of);
    // Of one job, its name and state are above.
    let _ = if is_one {
        writeln!(out, "\nas of {as_of} UTC")
    } else {
        writeln!(out, "\n{}, as of {as_of} UTC", sight.headline())
    };
    out
}

fn row_of(sight: &Sight, state: State, facts: &Facts, signs: &Signs) -> String {
    let last = facts.runs.first().map(|run| run.exit_code);
    let code = last.or(facts.error.as_ref().map(|(code, _)| *code));
    let code = code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    let age = facts.age(sight.as_of);
    let age = age.map_or_else(|| "-".to_owned(), span);
    let next = match &facts.next_run {
        Some(_) if facts.is_late => "late".to_owned(),
        Some(next) => soon(next, sight.as_of),
        None => "-".to_owned(),
    };
    let records = facts.generation.as_ref().map(|set| thousands(set.records));
    let records = records.unwrap_or_else(|| "-".to_owned());
    let runs = oldest_first(facts, RUNS_IN_A_ROW);
    let trend = signs.line(&runs.iter().map(|run| run.records).collect::<Vec<_>>());
    let job = words::escaped(&facts.job);
    row(
        signs,
        [
            &job,
            state.word(),
            &code,
            &age,
            &next,
            &records,
            &trend,
            &ends(&runs),
        ],
    )
}

/// A row of 80 columns at the most.
fn row(signs: &Signs, [job, state, code, age, next, records, trend, runs]: [&str; 8]) -> String {
    let (job, records) = (signs.column(job, 20), signs.column(records, 10));
    let line = format!(
        "{job:<20} {state:<7} {code:>4} {age:>6} {next:>6} {records:>10} {trend:<10} {runs}"
    );
    format!("{}\n", line.trim_end())
}

/// A point for each run that ended well, and a cross for each other one.
fn ends(runs: &[&RunFacts]) -> String {
    let signs = runs
        .iter()
        .map(|run| if run.has_failed() { 'X' } else { '.' });
    signs.collect()
}

/// What there is to say of one job.
fn lines_of(state: State, facts: &Facts, signs: &Signs, with_trends: bool) -> String {
    let mut out = String::new();
    if let Some((code, why)) = &facts.error {
        say(&mut out, &format!("exit {code}: {why}"));
    }
    // The runs of a held job fail on purpose.
    let is_failing = state == State::Failing;
    let failing = facts.failing().filter(|_| is_failing).count();
    if let (Some(first), Some(last), true) =
        (facts.failing().last(), facts.failing().next(), is_failing)
    {
        let since = minute(&first.started);
        let runs = units::counted(failing as u64, "run");
        let meaning = meaning(last.exit_code, &last.outcome);
        say(
            &mut out,
            &format!(
                "failing since {since} UTC, {runs}; the last one: exit {}, {meaning}",
                last.exit_code
            ),
        );
        if let Some(message) = &last.message {
            say(&mut out, message);
        }
    }
    for reason in &facts.reasons {
        if !is_failing && state != State::Held || !reason.starts_with("the last run (") {
            say(&mut out, reason);
        }
    }
    if facts.is_late {
        let last = facts.scheduled().next().map(|run| minute(&run.started));
        let last = last.unwrap_or_default();
        say(
            &mut out,
            &format!(
                "no run has begun since {last} UTC, longer than between any two before: look at the schedule"
            ),
        );
    }
    if !with_trends {
        return out;
    }
    let runs = oldest_first(facts, RUNS_IN_A_LINE);
    let of = |number: fn(&RunFacts) -> Option<u64>, shown: fn(u64) -> String| {
        let numbers: Vec<Option<u64>> = runs.iter().map(|run| number(run)).collect();
        let range = range(numbers.iter().flatten().copied(), shown);
        (signs.line(&numbers), range)
    };
    if let Some(run) = facts.runs.first() {
        let (line, range) = of(|run| run.records, thousands);
        let _ = writeln!(out, "    records   {line} {range}");
        let (line, range) = of(|run| run.duration_ms, seconds);
        let _ = writeln!(out, "    duration  {line} {range}");
        let failed = runs.iter().filter(|run| run.has_failed()).count();
        let failures = format!(
            "{failed} of {} failed",
            units::counted(runs.len() as u64, "run")
        );
        let _ = writeln!(out, "    runs      {} {failures}", ends(&runs));
        let meaning = meaning(run.exit_code, &run.outcome);
        let changed = changes(run).map_or_else(String::new, |changes| format!(": {changes}"));
        let last = format!("last run  {} UTC, {meaning}{changed}", minute(&run.started));
        let next = facts.next_run.as_ref().map(|next| {
            let every = span(Duration::from_secs(facts.every_seconds.unwrap_or(0)));
            format!("next run  {} UTC, every {every}", minute(next))
        });
        for text in [Some(last), next].into_iter().flatten() {
            say(&mut out, &text);
        }
    }
    if let Some((run, drift)) = facts
        .runs
        .iter()
        .find_map(|run| Some((run, run.drift.as_ref()?)))
    {
        say(
            &mut out,
            &format!("members changed {} UTC: {drift}", minute(&run.started)),
        );
    }
    out
}

/// Lines of a text below the name of its job.
fn say(out: &mut String, text: &str) {
    for line in wrapped(&words::line(text, TEXT_BYTES), TEXT_COLUMNS) {
        let letters: Vec<char> = line.chars().collect();
        for part in letters.chunks(TEXT_COLUMNS) {
            let _ = writeln!(out, "    {}", part.iter().collect::<String>());
        }
    }
}

fn oldest_first(facts: &Facts, most: usize) -> Vec<&RunFacts> {
    let mut runs: Vec<&RunFacts> = facts.runs.iter().take(most).collect();
    runs.reverse();
    runs
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_sparkline_goes_from_the_least_to_the_greatest() {
        let numbers = [Some(10), None, Some(17), Some(13)];

        assert_eq!(Signs::of(true).line(&numbers), "▁ █▄");
        assert_eq!(Signs::of(false).line(&numbers), "_ #-");
        assert_eq!(Signs::of(true).line(&[Some(5), Some(5)]), "▄▄");
        assert_eq!(Signs::of(true).line(&[Some(0), Some(u64::MAX)]), "▁█");
        assert_eq!(Signs::of(true).line(&[]), "");
    }

    #[test]
    fn no_line_is_longer_than_80_columns() {
        let run = RunFacts {
            started: "2026-11-28T04:15:00Z".to_owned(),
            exit_code: 76,
            new: Some(12_345_678),
            changed: Some(12_345_678),
            deleted: Some(12_345_678),
            message: Some("m".repeat(900)),
            drift: Some("d".repeat(300)),
            ..RunFacts::default()
        };
        let facts = Facts {
            job: "j".repeat(60),
            status: "stale".to_owned(),
            next_run: Some("2026-11-28T04:30:00Z".to_owned()),
            is_late: true,
            reasons: vec!["r".repeat(900)],
            runs: vec![run; 50],
            ..Facts::default()
        };

        let text = text(
            &Sight::new(vec![facts], Timestamp::UNIX_EPOCH),
            Signs::of(true),
        );

        for word in ["last run", "next run", "ddd", "mmm"] {
            assert!(text.contains(word), "no `{word}`: {text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_row_has_80_columns_at_the_most() {
        for signs in [Signs::of(true), Signs::of(false)] {
            let wide = [
                "j".repeat(90),
                "unknown".into(),
                "143".into(),
                "115.5d".into(),
            ];
            let more = [
                "28 Nov".into(),
                "12,345,678,901".into(),
                "▁".repeat(10),
                ".".repeat(10),
            ];
            let all: Vec<&str> = wide.iter().chain(&more).map(String::as_str).collect();

            let row = row(&signs, all.try_into().unwrap());

            assert!(row.trim_end().chars().count() <= 80, "{row}");
        }
    }
}
