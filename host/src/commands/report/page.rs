//! A report as one HTML file: no script, nothing loaded from elsewhere, everything in words as well as in colours.
//!
//! What is put into it is a text, and is escaped: there is no other way to make a [`Markup`] of a `String` here, but for the one
//! style sheet.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::chart;
use super::facts::{Facts, RunFacts};
use super::sight::{Sight, minute, range, second, seconds, soon, span};
use super::state::{State, counted, meaning};
use crate::limits::{REPORT_DETAILED_MAX, REPORT_JOBS_MAX, REPORT_PAGE_BYTES_MAX};
use crate::units::{self, thousands};

/// How a page begins: what begins otherwise is not a page of tidegate.
pub const BEGINNING: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" content=\"tidegate ";

const STYLE: &str = include_str!("page/style.css");
/// A green disc with a tick, a red square with a cross: in the tab of a browser.
const WELL: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='8' fill='%231a7f37'/%3E%3Cpath d='M4 8l3 3 5-6' fill='none' stroke='white' stroke-width='2'/%3E%3C/svg%3E";
const UNWELL: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%23b42318'/%3E%3Cpath d='M4 4l8 8M12 4l-8 8' stroke='white' stroke-width='2'/%3E%3C/svg%3E";
/// Runs in the table of a job, and failures of other texts below its name.
const RUNS_SHOWN: usize = 20;
const FAILURES_SHOWN: usize = 4;
/// Runs in the overview.
const OUTCOMES_SHOWN: usize = 30;

/// The page. Jobs that it has no room for are counted.
pub fn page(sight: &Sight) -> String {
    let listed = &sight.jobs[..sight.jobs.len().min(REPORT_JOBS_MAX)];
    let ids = ids(listed);
    let mut details: Vec<Markup> = Vec::new();
    let mut left = REPORT_PAGE_BYTES_MAX;
    for (place, (state, facts)) in listed.iter().enumerate().take(REPORT_DETAILED_MAX) {
        let of_job = details_of(sight, *state, facts, &ids[place]);
        let length = of_job.0.len();
        if length > left {
            break;
        }
        left -= length;
        details.push(of_job);
    }
    let detailed = details.len();
    let headline = sight.headline();
    let is_bad = sight.states().iter().any(|state| state.is_bad());
    let as_of = sight.as_of.to_string();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content={ "tidegate " (env!("CARGO_PKG_VERSION")) };
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                title { (headline) " · tidegate" }
                link rel="icon" href=(if is_bad { UNWELL } else { WELL });
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#jobs" { "Skip to the jobs" }
                header {
                    h1 { (mark(if is_bad { State::Failing } else { State::Fresh })) " " bdi { (headline) } }
                    p {
                        "As of " time datetime=(as_of) { (second(&as_of)) " UTC" }
                        ". This page does not renew itself: load it again for a newer one. All times are UTC."
                    }
                    @if let Some(next) = sight.next_run() {
                        p.quiet {
                            "The next run is expected at " time datetime=(next) { (minute(next)) }
                            ". If that is long over, either no run has begun since or nobody has written this page again."
                        }
                    }
                }
                main {
                    (overview(sight, listed, &ids, detailed))
                    @for details in &details { (details) }
                    @if detailed < listed.len() {
                        p.quiet {
                            "There is room for the details of " (units::counted(detailed as u64, "job"))
                            ". Of one of the others: " code { "tidegate report JOB" } "."
                        }
                    }
                }
                footer {
                    p {
                        "tidegate " (env!("CARGO_PKG_VERSION")) ". What an exit code means and what to do: "
                        code { "tidegate help exit-codes" } "."
                    }
                }
            }
        }
    };
    page.into_string()
}

/// What a browser may do with the page: show it.
fn policy() -> String {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
}

/// An id for each job, of its name.
fn ids(jobs: &[(State, Facts)]) -> Vec<String> {
    let mut known = std::collections::BTreeSet::new();
    let id = |(place, (_, facts)): (usize, &(State, Facts))| {
        let name = facts.job.chars().take(80);
        let name: String = name
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let id = format!("job-{name}");
        if known.insert(id.clone()) {
            id
        } else {
            format!("{id}.{place}")
        }
    };
    jobs.iter().enumerate().map(id).collect()
}

/// A sign for a state, which the word is beside.
fn mark(state: State) -> Markup {
    let sign = match state {
        State::Failing | State::Unreadable => "✕",
        State::Stale | State::Late => "!",
        State::Unknown => "?",
        State::Held => "‖",
        State::Fresh => "✓",
    };
    html! { span.mark.(class(state)) aria-hidden="true" { (sign) } }
}

const fn class(state: State) -> &'static str {
    match state {
        State::Failing | State::Unreadable => "is-bad",
        State::Stale | State::Late | State::Unknown => "is-doubtful",
        State::Held => "is-held",
        State::Fresh => "is-good",
    }
}

fn overview(sight: &Sight, listed: &[(State, Facts)], ids: &[String], detailed: usize) -> Markup {
    let all = counted(&sight.states(), |_| true);
    html! {
        section aria-labelledby="jobs" {
            h2 #jobs tabindex="-1" { "Jobs" }
            @if sight.jobs.len() > 1 { p.quiet { (all) "." } }
            table.jobs role="table" {
                caption.unseen { "All jobs, those that need somebody first" }
                thead role="rowgroup" {
                    tr role="row" {
                        @for name in ["State", "Job", "Last run", "Last success", "Next run", "Records", "Trend", "Results"] {
                            th scope="col" role="columnheader" { (name) }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for (place, (state, facts)) in listed.iter().enumerate() {
                        (row(sight, *state, facts, &ids[place], place < detailed))
                    }
                }
            }
            @if listed.len() < sight.jobs.len() {
                p.quiet { (units::counted((sight.jobs.len() - listed.len()) as u64, "more job")) ", not listed here." }
            }
        }
    }
}

fn row(sight: &Sight, state: State, facts: &Facts, id: &str, is_detailed: bool) -> Markup {
    let runs = oldest_first(facts, OUTCOMES_SHOWN);
    html! {
        tr role="row" {
            td role="cell" data-is="State" { (mark(state)) " " (state.word()) }
            th scope="row" role="rowheader" {
                @if is_detailed { a href={ "#" (id) } { bdi { (facts.job) } } } @else { bdi { (facts.job) } }
            }
            td role="cell" data-is="Last run" {
                @if let Some(run) = facts.runs.first() { (ending(run)) " " span.quiet.once { (ago(sight, &run.finished)) } }
                @else if let Some((code, _)) = &facts.error { (code) " " (meaning(*code, "")) }
                @else { "none" }
            }
            td role="cell" data-is="Last success" { (success(sight, facts)) }
            td role="cell" data-is="Next run" { (next(sight, facts)) }
            td.number role="cell" data-is="Records" {
                (facts.generation.as_ref().map_or_else(|| "–".to_owned(), |set| thousands(set.records)))
            }
            td.chart role="cell" data-is="Trend" {
                @if runs.is_empty() { "–" } @else { (chart::records(&runs, &format!("{id}.n"))) }
            }
            td.chart role="cell" data-is="Results" {
                @if runs.is_empty() { "–" } @else { (chart::outcomes(&runs, &format!("{id}.o"))) }
            }
        }
    }
}

fn ending(run: &RunFacts) -> Markup {
    html! {
        @if run.has_failed() { span.is-bad { "✕ " (run.exit_code) } } @else { (run.exit_code) }
        " " (meaning(run.exit_code, &run.outcome))
    }
}

/// How long before the page something was.
fn ago(sight: &Sight, time: &str) -> String {
    let at = time.parse::<jiff::Timestamp>().ok();
    let age = at.and_then(|at| std::time::Duration::try_from(sight.as_of.duration_since(at)).ok());
    age.map_or_else(String::new, |age| format!("{} ago", span(age)))
}

fn success(sight: &Sight, facts: &Facts) -> Markup {
    let Some(set) = &facts.generation else {
        return html! { "none" };
    };
    let most = std::time::Duration::from_secs(facts.max_age_seconds);
    let is_old = facts.age(sight.as_of).is_some_and(|age| age > most);
    html! {
        time datetime=(set.committed) title={ (second(&set.committed)) " UTC" } { (ago(sight, &set.committed)) }
        @if is_old { " " span.is-doubtful.once { "(at most " (span(most)) ")" } }
    }
}

fn next(sight: &Sight, facts: &Facts) -> Markup {
    let Some(next) = &facts.next_run else {
        return html! { "–" };
    };
    let every = facts.every_seconds.map(std::time::Duration::from_secs);
    html! {
        @if facts.is_late { span.is-doubtful.once { "! late, due " } }
        time datetime=(next) title={ (second(next)) " UTC" } { (soon(next, sight.as_of)) }
        @if let Some(every) = every { " " span.quiet.once { "every " (span(every)) } }
    }
}

/// All of one job.
fn details_of(sight: &Sight, state: State, facts: &Facts, id: &str) -> Markup {
    let runs = oldest_first(facts, usize::MAX);
    html! {
        section.job aria-labelledby=(id) {
            h2 id=(id) tabindex="-1" { (mark(state)) " " bdi { (facts.job) } " " span.state { (state.word()) } }
            @if state != State::Fresh { (reasons(sight, state, facts)) }
            dl {
                @if let Some(run) = facts.runs.first() {
                    div { dt { "Last run" } dd {
                        time datetime=(run.started) { (second(&run.started)) } " " (ending(run))
                        @if let Some(changes) = changes(run) { ", " (changes) }
                    } }
                }
                @if let Some(set) = &facts.generation {
                    div { dt { "Last success" } dd {
                        time datetime=(set.committed) { (second(&set.committed)) }
                        " " span.quiet.once { (ago(sight, &set.committed)) }
                    } }
                }
                @if facts.next_run.is_some() { div { dt { "Next run" } dd { (next(sight, facts)) } } }
                @if let Some(set) = &facts.generation {
                    div { dt { "Stale after" } dd { (span(std::time::Duration::from_secs(facts.max_age_seconds))) } }
                    div { dt { "Records" } dd { (thousands(set.records)) } }
                    div { dt { "Set" } dd { bdi { (set.name) } } }
                    @if let Some(cursor) = &set.cursor { div { dt { "Cursor" } dd { bdi { (cursor) } } } }
                }
            }
            @if !runs.is_empty() { (charts(&runs, id)) }
            (drift(facts))
            @if !facts.runs.is_empty() { (table(facts, id)) }
        }
    }
}

/// Why the job is not fresh.
fn reasons(sight: &Sight, state: State, facts: &Facts) -> Markup {
    // The runs of a held job fail on purpose.
    let is_failing = state == State::Failing;
    let failures = if is_failing {
        failures(facts)
    } else {
        Vec::new()
    };
    let is_said = !failures.is_empty() || state == State::Held;
    let said = |reason: &&String| !is_said || !reason.starts_with("the last run (");
    let since = facts.failing().last().filter(|_| is_failing);
    let since = since.map(|run| run.started.clone());
    html! {
        div.why.(class(state)) {
            @if let Some((code, why)) = &facts.error { p { strong { "exit " (code) } " " bdi { (why) } } }
            @if let Some(since) = since {
                p {
                    strong {
                        "Failing since " time datetime=(since) { (second(&since)) }
                        ", " (units::counted(facts.failing().count() as u64, "run"))
                    }
                }
            }
            @for failure in failures.iter().take(FAILURES_SHOWN) {
                p {
                    strong { "exit " (failure.run.exit_code) } " " (meaning(failure.run.exit_code, &failure.run.outcome)) ", "
                    @if failure.count > 1 { (failure.count) " times, last " }
                    time datetime=(failure.run.started) { (minute(&failure.run.started)) }
                    @if let Some(message) = &failure.run.message { br; bdi.message { (message) } }
                }
            }
            @if failures.len() > FAILURES_SHOWN {
                p { "And " (units::counted((failures.len() - FAILURES_SHOWN) as u64, "other text")) " before." }
            }
            @for reason in facts.reasons.iter().filter(said) { p { bdi { (reason) } } }
            @if facts.is_late {
                p {
                    "No run has begun since "
                    @if let Some(run) = facts.scheduled().next() { (minute(&run.started)) " (" (ago(sight, &run.started)) ")" }
                    ", longer than between any two runs before: look at the schedule"
                }
            }
        }
    }
}

/// Failures of one text.
struct Failures<'f> {
    /// The last of them.
    run: &'f RunFacts,
    count: usize,
}

/// The failures since the last success, those of the same text together, the newest first.
fn failures(facts: &Facts) -> Vec<Failures<'_>> {
    let mut all: Vec<Failures<'_>> = Vec::new();
    for run in facts.failing() {
        let same = |one: &&mut Failures<'_>| {
            (one.run.exit_code, &one.run.message) == (run.exit_code, &run.message)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => all.push(Failures { run, count: 1 }),
        }
    }
    all
}

fn charts(runs: &[&RunFacts], id: &str) -> Markup {
    let failed = runs.iter().filter(|run| run.has_failed()).count();
    let of_records = range(runs.iter().filter_map(|run| run.records), thousands);
    let of_durations = range(runs.iter().filter_map(|run| run.duration_ms), seconds);
    html! {
        div.charts {
            figure { (chart::records(runs, &format!("{id}.r"))) figcaption { "Records " b { (of_records) } } }
            figure { (chart::durations(runs, &format!("{id}.d"))) figcaption { "Duration " b { (of_durations) } } }
            figure { (chart::outcomes(runs, &format!("{id}.f"))) figcaption { "Failed " b { (failed) " of " (units::counted(runs.len() as u64, "run")) } } }
        }
    }
}

/// The members of the records that changed in one of these runs.
fn drift(facts: &Facts) -> Markup {
    let drifted = facts
        .runs
        .iter()
        .filter_map(|run| Some((run, run.drift.as_ref()?)));
    let drifted: Vec<_> = drifted.take(3).collect();
    html! {
        @if !drifted.is_empty() {
            h3 { "Members of the records changed" }
            ul {
                @for (run, what) in drifted {
                    li { time datetime=(run.started) { (minute(&run.started)) } " " bdi.message { (what) } }
                }
            }
        }
    }
}

/// `12 new, 3 changed, 1 gone`, as far as that is known.
pub fn changes(run: &RunFacts) -> Option<String> {
    let parts = [
        (run.new, "new"),
        (run.changed, "changed"),
        (run.deleted, "gone"),
    ];
    // What a run without PRIMARY_KEY took away says nothing by itself.
    run.new?;
    let parts = parts
        .into_iter()
        .filter_map(|(count, what)| Some(format!("{} {what}", thousands(count?))));
    Some(parts.collect::<Vec<_>>().join(", "))
}

fn table(facts: &Facts, id: &str) -> Markup {
    let shown = &facts.runs[..facts.runs.len().min(RUNS_SHOWN)];
    let number = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), thousands);
    // The same text again says nothing more.
    let is_other = |place: usize| {
        let above = place.checked_sub(1).map(|above| &shown[above].message);
        above != Some(&shown[place].message)
    };
    html! {
        details {
            summary { "The last " (units::counted(shown.len() as u64, "run")) }
            div.wide role="region" aria-labelledby={ (id) ".c" } tabindex="0" {
                table {
                    caption.unseen id={ (id) ".c" } { "The last runs of " (facts.job) ", the newest first" }
                    thead {
                        tr {
                            @for name in ["Started", "Result"] { th scope="col" { (name) } }
                            @for name in ["Records", "New", "Changed", "Gone", "Rejected", "Requests", "Time"] {
                                th.number scope="col" { (name) }
                            }
                        }
                    }
                    tbody {
                        @for (place, run) in shown.iter().enumerate() {
                            tr {
                                th scope="row" { time datetime=(run.started) { (second(&run.started)) } }
                                td { (ending(run)) @if run.by_hand { " " span.quiet { "(by hand)" } } }
                                @for count in [run.records, run.new, run.changed, run.deleted, run.rejected, run.requests] {
                                    td.number { (number(count)) }
                                }
                                td.number { (run.duration_ms.map_or_else(|| "–".to_owned(), seconds)) }
                            }
                            @if let Some(message) = run.message.as_ref().filter(|_| is_other(place)) {
                                tr.said { td colspan="9" { bdi.message { (message) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The last runs, at most so many.
fn oldest_first(facts: &Facts, most: usize) -> Vec<&RunFacts> {
    let mut runs: Vec<&RunFacts> = facts.runs.iter().take(most).collect();
    runs.reverse();
    runs
}

#[cfg(test)]
mod tests;
