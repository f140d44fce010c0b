//! Fan-out over the records of a request (SOURCE_EACH_URL): first these, the parents, and then a fetch for each of them.
//!
//! The parents have the cursor. What is staged of a parent that changed takes the place of all that was published of it, so that
//! a record that left it goes, too. A parent that is gone when it is asked for its records has none.

use crate::fetch::{Fetch, Run};
use crate::ports::{Clock, Http, Staging};
use crate::records::{Gathered, Parent};
use crate::settings::{Parents, Settings, of_parents, parents_failed};
use crate::source::Getter;
use crate::state::{self, State};
use crate::{Detail, Failure, Report, Request, once};

/// What the first request is called.
const NAME: &str = "SOURCE_EACH_URL";

/// Fetches the parents and then their records. `Err` names the parent for which a fetch failed.
pub fn all<H: Http, C: Clock, S: Staging>(
    (settings, parents): (&Settings, &Parents),
    request: &Request,
    shaping: &str,
    getter: &mut Getter<'_, H, C>,
    staging: &mut S,
) -> Result<Report, Failure> {
    let mut gathered = Gathered::default();
    getter.label(format!("{NAME}: "));
    getter.names(of_parents);
    let state = state::for_parents(request.state.as_deref(), request.full_refresh)?;
    let asked = Request {
        state,
        ..request.clone()
    };
    let found = find(parents, &asked, shaping, getter, &mut gathered);
    getter.label(String::new());
    getter.names(str::to_owned);
    let found = found.map_err(|failure| parents_failed(failure, gathered.is_full))?;
    let values = gathered.parents();
    let mut run = Run::begin(settings, &CHILDREN, shaping.to_owned(), getter, staging)?;
    run.pages = found.pages;
    let there: Vec<&Parent> = values.iter().filter(|parent| !parent.is_deleted).collect();
    if parents.replaced.is_some() {
        for parent in values.iter().filter(|parent| parent.is_deleted) {
            // Its value is that of SOURCE_PARENT: the settings were checked for that.
            run.stager.replaces(&parent.each.json);
        }
    }
    let mut gone = Vec::new();
    for (at, parent) in there.iter().enumerate() {
        let coming = there[at + 1..].iter().take(settings.values_ahead());
        let coming = coming.map(|parent| (&parent.each, State::default()));
        run.coming = coming.collect();
        if let Some(failure) = children(&mut run, parents, parent, false)? {
            gone.push((*parent, failure));
        }
    }
    if gone.len() == there.len()
        && let Some((parent, failure)) = gone.pop()
    {
        return Err(none_is_there(failure, there.len()).of(&parent.each.shown(), NAME));
    }
    // It was there a moment ago: the answer may have been an error that passed.
    for (parent, _) in gone {
        children(&mut run, parents, parent, true)?;
    }
    run.stager.write()?;
    run.keys_are_apart(request.state.is_none(), NAME)?;
    let report = run.report(found.extent, String::new());
    Ok(Report {
        state: state::of_parents(&found.state),
        cursor: found.cursor,
        more: found.more,
        ..report
    })
}

/// Fetches the records of a parent, which take the place of those that were published. `Ok(Some)`: the source says that there
/// is no such parent; only where it `is_final` has it no records then.
fn children<'f, H: Http, C: Clock, S: Staging>(
    run: &mut Run<'f, '_, H, C, S>,
    parents: &Parents,
    parent: &'f Parent,
    is_final: bool,
) -> Result<Option<Failure>, Failure> {
    if let Some(replaced) = &parents.replaced {
        let value = parent.json_at(replaced).ok_or_else(|| {
            let what = format!("it has no string or integer at `{replaced}` (SOURCE_PARENT)");
            Failure::data(what).of(&parent.each.shown(), NAME)
        })?;
        run.stager.replaces(&value);
    }
    let read = run.read;
    let ended = run.fetch(Some(&parent.each), &State::default());
    match ended.and_then(Fetch::all) {
        Ok(_) => {
            run.getter.label(String::new());
            Ok(None)
        }
        Err(failure) if run.read == read && is_gone(&failure) => {
            if is_final {
                run.getter
                    .log("warn: the source has no such parent any more");
                run.pages += 1;
            } else if parents.replaced.is_some() {
                run.stager.takes_back();
            }
            run.getter.label(String::new());
            Ok(Some(failure))
        }
        Err(failure) => Err(failure.of(&parent.each.shown(), NAME)),
    }
}

/// Fetches the parents, of which `gathered` takes the records.
fn find<H: Http, C: Clock>(
    parents: &Parents,
    request: &Request,
    shaping: &str,
    getter: &mut Getter<'_, H, C>,
    mut gathered: &mut dyn Staging,
) -> Result<Report, Failure> {
    let settings = &parents.settings;
    let has_cursor = settings.cursor.is_some() || settings.token.is_some();
    let mut request = request.clone();
    // That no parent changed says nothing of their records then: there is no condition to ask with.
    request.full_refresh |= !has_cursor && request.window.is_none();
    let shaping = shaping.to_owned();
    let mut run = Run::begin(settings, &request, shaping, getter, &mut gathered)?;
    once(&mut run, &request)
}

/// What is asked for of the records of a parent: all.
static CHILDREN: Request = Request {
    state: None,
    window: None,
    full_refresh: true,
    portions: false,
};

/// Whether the source has no such thing.
fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(detail) if matches!(detail.status, Some(404 | 410)))
}

/// Every request for a parent's records was refused like this.
fn none_is_there(failure: Failure, parents: usize) -> Failure {
    match failure {
        Failure::Refused(detail) => Failure::Refused(Detail {
            message: format!(
                "{}; no parent that was asked for its records is there ({parents} in all): check SOURCE_API_URL",
                detail.message
            ),
            ..detail
        }),
        other => other,
    }
}
