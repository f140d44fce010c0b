//! Fan-out over the records of a request (SOURCE_EACH_URL): first these, the parents, and then a fetch for each of them.
//!
//! The parents have the cursor. What is staged of a parent that changed takes the place of all that was published of it, so that
//! a record that left it goes, too. A parent that is gone when it is asked for its records has none.

use std::collections::BTreeMap;

use crate::fetch::{Fetch, Run};
use crate::ports::{Clock, Http, StagedFile, Staging};
use crate::settings::{Parents, Settings, of_parents};
use crate::source::{Each, Getter};
use crate::state::State;
use crate::{Detail, Extent, Failure, Report, Request, once};
use tidegate_json::{Paths, Pointer};

/// Parents of one run.
const PARENTS_MAX: usize = 50_000;
/// Bytes of them: they are held in memory.
const PARENTS_BYTES_MAX: usize = 32 * 1024 * 1024;
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
    let found = find(parents, request, shaping, getter, &mut gathered);
    getter.label(String::new());
    getter.names(str::to_owned);
    let found = found.map_err(|failure| gathered.explained(failure))?;
    let values = gathered.parents();
    let mut run = Run::begin(settings, &CHILDREN, shaping.to_owned(), getter, staging)?;
    run.pages = found.pages;
    run.is_first = request.state.is_none();
    let (mut asked, mut gone) = (0_u64, 0_u64);
    for parent in &values {
        if let Some(replaced) = &parents.replaced {
            let value = match parent.json_at(replaced) {
                Some(value) => value,
                // A deleted record may have no more than its value.
                None if parent.is_deleted => parent.each.json.clone(),
                None => {
                    let what = format!(
                        "its record has no string or integer at `{replaced}` (SOURCE_PARENT)"
                    );
                    return Err(Failure::data(what).of(&parent.each.shown(), NAME));
                }
            };
            run.stager.replaces(&value);
        }
        if parent.is_deleted {
            continue;
        }
        asked += 1;
        let read = run.read;
        let ended = run.fetch(Some(&parent.each), &State::default());
        let ended = ended.and_then(Fetch::all);
        match ended {
            Ok(_) => {}
            Err(failure) if run.read == read && is_gone(&failure) => {
                run.getter
                    .log("warn: the source has no such parent any more");
                run.pages += 1;
                gone += 1;
                if gone == asked
                    && asked == values.len() as u64
                    && found.extent == Extent::Everything
                {
                    return Err(none_is_there(failure, gone));
                }
            }
            Err(failure) => return Err(failure.of(&parent.each.shown(), NAME)),
        }
        run.getter.label(String::new());
    }
    run.stager.write()?;
    let report = run.report(found.extent, found.state);
    Ok(Report {
        cursor: found.cursor,
        more: found.more,
        ..report
    })
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
fn none_is_there(failure: Failure, parents: u64) -> Failure {
    match failure {
        Failure::Refused(detail) => Failure::Refused(Detail {
            message: format!(
                "{}; so did the requests for all other parents ({parents} in all)",
                detail.message
            ),
            ..detail
        }),
        other => other,
    }
}

/// One parent, as it came last.
#[derive(Debug)]
pub struct Parent {
    /// Its value and its record.
    pub each: Each,
    /// Whether it was deleted: then there is no record.
    pub is_deleted: bool,
}

impl Parent {
    /// The string or integer at `pointer` in its record, as JSON.
    fn json_at(&self, pointer: &Pointer) -> Option<String> {
        let mut paths = Paths::default();
        let slot = paths.add(pointer);
        let mut found = vec![None; paths.slots()];
        let record = self.each.parent.as_deref()?;
        paths.read(record, &mut found).ok()?;
        let json = found[slot]?;
        let is_key = json.starts_with('"') || tidegate_json::Number::parse(json).is_some();
        is_key.then(|| json.to_owned())
    }
}

/// Where parents are kept while they come.
#[derive(Debug, Default)]
pub struct Gathered {
    records: Vec<String>,
    /// The values of parents, those that were deleted included, each with the number of records before it.
    values: Vec<(usize, String)>,
    bytes: usize,
    is_full: bool,
}

impl Staging for Gathered {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        for line in String::from_utf8_lossy(lines).lines() {
            self.bytes += line.len();
            match file {
                StagedFile::Records => self.records.push(line.to_owned()),
                StagedFile::Deleted => self.values.extend(value_of(line)),
                StagedFile::Rejected => {}
            }
        }
        self.is_full = self.values.len() > PARENTS_MAX || self.bytes > PARENTS_BYTES_MAX;
        if self.is_full {
            return Err(String::new());
        }
        Ok(())
    }
}

/// The value and the number of records in `{"parent":VALUE,"at":N}`.
fn value_of(line: &str) -> Option<(usize, String)> {
    let (value, at) = line.strip_prefix("{\"parent\":")?.rsplit_once(",\"at\":")?;
    let at = at.strip_suffix('}')?.parse().ok()?;
    Some((at, value.to_owned()))
}

impl Gathered {
    /// Each parent once, as it came last, in the order in which they came first.
    pub fn parents(self) -> Vec<Parent> {
        let mut parents: Vec<Parent> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut values = self.values.into_iter().peekable();
        while let Some((at, value)) = values.next() {
            // A record comes right behind its own line.
            let is_last_there = values.peek().is_none_or(|(next, _)| *next > at);
            let record = self.records.get(at).filter(|_| is_last_there);
            let mut each = Each::of_parent(&value, record.map_or("null", String::as_str));
            if record.is_none() {
                each.parent = None;
            }
            let parent = Parent {
                is_deleted: record.is_none(),
                each,
            };
            if let Some(place) = known.get(&value) {
                parents[*place] = parent;
            } else {
                known.insert(value, parents.len());
                parents.push(parent);
            }
        }
        parents
    }

    /// A failure of the request for parents.
    pub fn explained(&self, failure: Failure) -> Failure {
        if self.is_full {
            return Failure::data(format!(
                "{NAME} has more than {PARENTS_MAX} records, or they have more than {} MiB: ask for fewer, or set SOURCE_WINDOW to fetch them in portions",
                PARENTS_BYTES_MAX / (1024 * 1024)
            ));
        }
        let with = |detail: Detail| Detail {
            message: format!("{NAME}: {}", of_parents(&detail.message)),
            ..detail
        };
        failure.map(with)
    }
}
