//! Trends as inline SVG: only shapes, numbers, and a title and a description for readers who cannot see it.
//!
//! All charts of a job have one place for each run, the oldest on the left, so that they can be read above one another.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::facts::RunFacts;
use super::sight::seconds;
use crate::units::{counted, thousands};

/// The units of a chart: it is stretched to its room.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 40.0;
/// Room above and below a line.
const MARGIN: f64 = 4.0;

/// Records of the set after each run, with a gap where that is not known.
pub fn records(runs: &[&RunFacts], id: &str) -> Markup {
    let known = || runs.iter().filter_map(|run| run.records);
    let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let range = as_f64(most - least);
    let y = |records: u64| {
        let part = if range > 0.0 {
            as_f64(records - least) / range
        } else {
            0.5
        };
        HEIGHT - MARGIN - part * (HEIGHT - 2.0 * MARGIN)
    };
    let mut line = String::new();
    let mut is_drawn = false;
    for (place, run) in runs.iter().enumerate() {
        let Some(records) = run.records else {
            is_drawn = false;
            continue;
        };
        let command = if is_drawn { 'L' } else { 'M' };
        // A point by itself is a line of no length, with round ends.
        let _ = write!(
            line,
            "{command}{:.1} {:.1}h0",
            x(place, runs.len()),
            y(records)
        );
        is_drawn = true;
    }
    let words = match known().next() {
        None => "not known of any of these runs".to_owned(),
        Some(_) if least == most => format!("{} after every run", thousands(most)),
        Some(_) => format!(
            "between {} and {}, last {}",
            thousands(least),
            thousands(most),
            known().next_back().map_or_else(String::new, thousands)
        ),
    };
    drawing(
        id,
        &of_runs("Records", runs),
        &words,
        &html! {
            path.line d=(line) vector-effect="non-scaling-stroke" {}
        },
    )
}

/// How long each run took.
pub fn durations(runs: &[&RunFacts], id: &str) -> Markup {
    let known = || runs.iter().filter_map(|run| run.duration_ms);
    let most = known().max().unwrap_or(0);
    let words = match known().next_back() {
        None => "not known of any of these runs".to_owned(),
        Some(last) => format!(
            "between {} and {}, last {}",
            seconds(known().min().unwrap_or(0)),
            seconds(most),
            seconds(last)
        ),
    };
    let heights = runs.iter().map(|run| {
        let millis = run.duration_ms.unwrap_or(0);
        let part = if most > 0 {
            as_f64(millis) / as_f64(most)
        } else {
            0.0
        };
        ("bar", part.max(0.03))
    });
    drawing(id, &of_runs("Duration", runs), &words, &bars(heights))
}

/// How each run ended: a low bar is a success, a high one a failure.
pub fn outcomes(runs: &[&RunFacts], id: &str) -> Markup {
    let failed = runs.iter().filter(|run| run.has_failed()).count();
    let words = format!("{failed} of {} failed; a high bar is a failure", runs.len());
    let heights = runs.iter().map(|run| {
        if run.has_failed() {
            ("bad", 1.0)
        } else {
            ("good", 0.3)
        }
    });
    drawing(id, &of_runs("Results", runs), &words, &bars(heights))
}

fn of_runs(what: &str, runs: &[&RunFacts]) -> String {
    format!("{what} of the last {}", counted(runs.len() as u64, "run"))
}

/// One path for each class: as many bars as there are runs.
fn bars(heights: impl ExactSizeIterator<Item = (&'static str, f64)>) -> Markup {
    let step = WIDTH / as_f64(heights.len().max(1) as u64);
    let mut paths: Vec<(&str, String)> = Vec::new();
    for (place, (class, part)) in heights.enumerate() {
        let at = paths.iter().position(|(known, _)| *known == class);
        let at = at.unwrap_or_else(|| {
            paths.push((class, String::new()));
            paths.len() - 1
        });
        let (left, top) = (as_f64(place as u64) * step, HEIGHT * (1.0 - part));
        let _ = write!(
            paths[at].1,
            "M{left:.1} {top:.1}h{:.1}V{HEIGHT}H{left:.1}z",
            step * 0.75
        );
    }
    html! {
        @for (class, path) in &paths { path class=(class) d=(path) {} }
    }
}

fn drawing(id: &str, title: &str, words: &str, shapes: &Markup) -> Markup {
    html! {
        svg role="img" aria-labelledby={ (id) "-t " (id) "-d" } viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
            preserveAspectRatio="none" {
            title id={ (id) "-t" } { (title) }
            desc id={ (id) "-d" } { (words) }
            (shapes)
        }
    }
}

/// The middle of a place of so many.
fn x(place: usize, places: usize) -> f64 {
    let step = WIDTH / as_f64(places.max(1) as u64);
    (as_f64(place as u64) + 0.375) * step
}

#[expect(clippy::cast_precision_loss, reason = "a pixel is coarser")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_gap_where_a_run_knows_no_records() {
        let run = |records| RunFacts {
            records,
            ..RunFacts::default()
        };
        let runs = [run(Some(1)), run(Some(3)), run(None), run(Some(2))];
        let runs: Vec<&RunFacts> = runs.iter().collect();

        let drawn = records(&runs, "a").into_string();

        assert!(
            drawn.contains(r#"d="M28.1 36.0h0L103.1 4.0h0M253.1 20.0h0""#),
            "{drawn}"
        );
        assert!(drawn.contains("between 1 and 3, last 2"), "{drawn}");
        assert!(drawn.contains("Records of the last 4 runs"), "{drawn}");
    }

    #[test]
    fn a_failure_is_a_high_bar() {
        let run = |exit_code| RunFacts {
            exit_code,
            ..RunFacts::default()
        };
        let runs = [run(0), run(69)];
        let runs: Vec<&RunFacts> = runs.iter().collect();

        let drawn = outcomes(&runs, "a").into_string();

        assert!(drawn.contains("1 of 2 failed"), "{drawn}");
        assert!(
            drawn.contains(r#"<path class="good" d="M0.0 28.0h112.5V40H0.0z">"#),
            "{drawn}"
        );
        assert!(
            drawn.contains(r#"<path class="bad" d="M150.0 0.0h112.5V40H150.0z">"#),
            "{drawn}"
        );
    }

    #[test]
    fn no_runs_are_no_shapes() {
        for drawn in [records(&[], "a"), durations(&[], "a"), outcomes(&[], "a")] {
            let drawn = drawn.into_string();
            assert!(
                !drawn.contains("NaN") && !drawn.contains("class=\"bar"),
                "{drawn}"
            );
        }
    }
}
