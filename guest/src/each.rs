//! Fan-out over a list (SOURCE_EACH): one fetch after the other, each with a cursor of its own, and one report for all.

use crate::fetch::{Fetch, Run};
use crate::ports::{Clock, Http, Staging};
use crate::source::Each;
use crate::state::EachState;
use crate::{Extent, Failure, Report, Request, extent};

/// Values that are named in a line of log.
const NAMED_MAX: usize = 5;

/// Fetches for all `values`, in their order. `Err` names the value for which a fetch failed.
pub fn all<'f, H: Http, C: Clock, S: Staging>(
    run: &mut Run<'f, '_, H, C, S>,
    request: &Request,
    values: &'f [Each],
) -> Result<Report, Failure> {
    let mut state = EachState::read(request.state.as_deref(), request.full_refresh)?;
    let settings = run.settings;
    let has_cursor = settings.cursor.is_some() || settings.token.is_some();
    let extent = extent(has_cursor && (state.is_kept || run.range.is_some()));
    let shown = state.shown_cursor();
    let gone = gone(&mut state, values);
    if extent == Extent::Everything && request.state.is_some() {
        if gone.is_empty() && all_unchanged(run, values, &state)? {
            return Ok(unchanged(run, shown));
        }
        // All that there is takes the place of what was published: unchanged records have to be fetched, too.
        state.of.clear();
    }
    if !gone.is_empty() {
        let stay = match extent {
            Extent::Changes => "; their records stay until a `--full-refresh`",
            _ => "",
        };
        run.getter.log(&format!(
            "warn: no longer in SOURCE_EACH: {}{stay}",
            named(&gone)
        ));
    }
    let at = state.at.take();
    let at = at.filter(|_| extent == Extent::Changes && run.range.is_none());
    let at = at.and_then(|at| values.iter().position(|each| each.text == at));
    let (before, from) = values.split_at(at.unwrap_or_default());
    let values: Vec<&Each> = from.iter().chain(before).collect();
    let (mut more, mut is_new) = (false, false);
    let state_of = |state: &EachState, each: &Each| {
        let of = state.of.get(&each.text);
        of.cloned().unwrap_or_default()
    };
    for (at, each) in values.iter().copied().enumerate() {
        let before = state_of(&state, each);
        let coming = values[at + 1..].iter().take(settings.values_ahead());
        let coming = coming.map(|each| (*each, state_of(&state, each)));
        run.coming = coming.collect();
        run.is_first = !state.of.contains_key(&each.text);
        let ended = run
            .fetch(Some(each), &before)
            .and_then(|fetch| fetch.in_portions(request, extent).all());
        run.getter.label(String::new());
        let Some(ended) = ended.map_err(|failure| failure.of(&each.shown(), "SOURCE_EACH"))? else {
            continue;
        };
        is_new = true;
        state.of.insert(each.text.clone(), ended.state);
        if ended.more {
            state.at = Some(each.text.clone());
            more = true;
            break;
        }
    }
    run.keys_are_apart(request.state.is_none(), "SOURCE_EACH")?;
    state.is_kept = extent == Extent::Changes;
    if !is_new {
        return Ok(unchanged(run, shown));
    }
    let cursor = if run.range.is_some() {
        shown
    } else {
        state.shown_cursor()
    };
    Ok(Report {
        cursor,
        more,
        ..run.report(extent, state.text()?)
    })
}

fn unchanged<H: Http, C: Clock, S: Staging>(
    run: &mut Run<'_, '_, H, C, S>,
    cursor: Option<String>,
) -> Report {
    let report = run.report(Extent::NothingNew, String::new());
    Report { cursor, ..report }
}

/// Takes out of the state what is no longer a value, and says which those are.
fn gone(state: &mut EachState, values: &[Each]) -> Vec<String> {
    let is_value = |text: &String| values.iter().any(|each| each.text == *text);
    let gone: Vec<String> = state
        .of
        .keys()
        .filter(|text| !is_value(text))
        .cloned()
        .collect();
    state.of.retain(|text, _| !gone.contains(text));
    gone
}

/// Whether the source says of each value that nothing changed. It is asked no further than to the first of which it does not.
fn all_unchanged<'f, H: Http, C: Clock, S: Staging>(
    run: &mut Run<'f, '_, H, C, S>,
    values: &'f [Each],
    state: &EachState,
) -> Result<bool, Failure> {
    let seen = |each: &Each| state.of.get(&each.text).is_some_and(|of| of.seen.is_some());
    if !values.iter().all(seen) {
        return Ok(false);
    }
    let pages = run.pages;
    for each in values {
        let fetch = run.fetch(Some(each), &state.of[&each.text]);
        let has_changes = fetch.and_then(Fetch::asks_for_changes);
        run.getter.label(String::new());
        if has_changes.map_err(|failure| failure.of(&each.shown(), "SOURCE_EACH"))? {
            run.pages = pages;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Some values for a line of log.
fn named(values: &[String]) -> String {
    let mut named: Vec<String> = values
        .iter()
        .take(NAMED_MAX)
        .map(|value| crate::failure::quoted(value))
        .collect();
    if let Some(more) = values.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}
