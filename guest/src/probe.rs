//! A first look at a source: a request, what was understood of its answer, and the settings that would fit.
//!
//! Where a cursor is sent, a second request asks from a value of the first answer, to see whether the source filters.
//!
//! Everything suggested is a guess by names that many APIs use, and is read back as settings before it is shown: what is
//! shown can be pasted. Nothing is staged, and no state is looked at.

mod fields;
mod paging;
mod shapes;

use jiff::Timestamp;
use serde::de::IgnoredAny;

use crate::cursor::{Asking, Cursor, Position, Token};
use crate::failure::{Failure, counted, quoted};
use crate::freshness;
use crate::ports::{Clock, Http, StagedFile, Staging};
use crate::records::Gathered;
use crate::settings::{Settings, parents_failed};
use crate::source::outline::{Member, elements, members};
use crate::source::page::{self, Format, Shape};
use crate::source::signs::{self, Headers, Sign};
use crate::source::{
    Ask, BodyFormat, Each, Fetched, Getter, Page, Pages, RecordsFrom, Wire, format_of, shown,
};

/// The first record is cut here when it is shown.
const RECORD_CHARS_SHOWN: usize = 600;
/// Places of records that are named when there are several.
const PLACES_SHOWN: usize = 3;

/// One thing that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub topic: String,
    /// What was found, in one line.
    pub found: String,
}

/// A line for the settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The setting.
    pub name: String,
    /// The value that fits.
    pub value: String,
    /// Why, in a few words.
    pub reason: String,
}

/// What one request showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sighting {
    /// What was understood, in the order in which a person should read it.
    pub findings: Vec<Finding>,
    /// The first record as it came, cut where it is long.
    pub first_record: Option<String>,
    /// The request that would come next.
    pub next_request: Option<String>,
    /// Settings that would fit, those that are set already left out.
    pub suggestions: Vec<Suggestion>,
    /// Why a run with the settings as they are would fail on this answer.
    pub would_fail: Option<Failure>,
}

fn suggestion(name: &str, value: &str, reason: &str) -> Suggestion {
    Suggestion {
        name: name.to_owned(),
        value: value.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Makes the first request and says what came of it.
pub fn look(
    env: &[(String, String)],
    mut http: &mut dyn Http,
    mut clock: &mut dyn Clock,
) -> Result<Sighting, Failure> {
    let (http, clock) = (&mut http, &mut clock);
    let settings = Settings::read(env)?;
    let now = Timestamp::from_second(clock.unix_seconds()).unwrap_or(Timestamp::MIN);
    let mut getter = Getter::new(http, clock, settings.retries)
        .judged_by(settings.error_check.as_ref())
        .with_meanings(&settings.meanings)
        .reading_at_most(settings.answer_bytes_max)
        .of_format(&settings.wire);
    let (each, looked_at) = match settings.each.parents() {
        None => (settings.each.first(), settings.each.looked_at()),
        Some(parents) => first_parent(&parents.settings, now, &mut getter)?,
    };
    if each.is_none()
        && let Some(found) = looked_at
    {
        let topic = "each".to_owned();
        return Ok(Sighting {
            findings: vec![Finding { topic, found }],
            ..Sighting::default()
        });
    }
    let start = Start::of(&settings, each.as_ref(), now, None)?.first;
    let exported = settings.export.as_ref();
    let exported = exported.map(|export| export.run(&start, each.as_ref(), &mut getter));
    let exported = exported.transpose()?;
    let result = exported.as_ref();
    let result = result.and_then(|exported| exported.results.last().cloned());
    let first = Start::of(&settings, each.as_ref(), now, result.as_ref())?;
    let first = first.pages.ask().clone();
    let nothing = exported.and_then(|exported| exported.nothing);
    let mut fetched = match nothing {
        Some(fetched) => fetched,
        None => getter.get(&first, 1)?,
    };
    if fetched.answer.status == 304 {
        return Err(Failure::data(
            "the source answered 304, nothing changed since SOURCE_CURSOR_START: set an earlier one for this look",
        ));
    }

    let mut look = Look {
        env: env.to_vec(),
        each,
        result,
        now,
        is_paging_said: settings.pagination.is_said,
        sighting: Sighting::default(),
    };
    if let Some(found) = looked_at {
        look.found("each", found);
    }
    match &look.result {
        None => look.found("request", spoken(&first)),
        Some(result) => {
            let result = result.shown();
            look.found("request", spoken(&start));
            look.found(
                "export",
                format!("ready, first result at {}", quoted(&result)),
            );
        }
    }
    let (status, bytes) = (fetched.answer.status, fetched.answer.body.len());
    look.found("answer", format!("{status}, {bytes} bytes"));
    if fetched.is_empty {
        let none = "none: the answer means so, by SOURCE_EMPTY_ON or SOURCE_ERROR";
        look.found("records", none.to_owned());
        return Ok(look.sighting);
    }
    look.format(&settings, &mut fetched)?;
    let place = fetched.place(1);
    let text = page::text(&fetched.answer.body, &place)?;
    let settings = Settings::read(&look.env)?;
    let array = as_array(&settings, text);
    let text = array.as_deref().unwrap_or(text);
    let members = members(text);
    look.program(&settings, text, &members);
    let settings = Settings::read(&look.env)?;
    let opened = page::open(&fetched.answer, &settings.shape(), &fetched.place(1))?;
    let records = match opened.made_records() {
        Some(made) => look.made_records(made),
        None => look.records(&settings, text, &members),
    };
    look.paging(&settings, &fetched, &members, &records);
    look.fields(&settings, &records);
    look.filter(&fetched, &mut getter);
    look.next(&fetched);
    // Of another format, it is not the answer any more.
    if look.sighting.would_fail.is_none() {
        look.sighting.would_fail = match look.after(env, &fetched) {
            Err(failure) => Some(failure),
            Ok(After {
                sign: Some(Sign::Strong(what)),
                ..
            }) => Some(signs::not_all(&fetched.place(1), &what)),
            Ok(_) => None,
        };
    }
    Ok(look.sighting)
}

/// The first parent of SOURCE_EACH_URL, if there is one, and that in words.
fn first_parent<H: Http, C: Clock>(
    settings: &Settings,
    now: Timestamp,
    getter: &mut Getter<'_, H, C>,
) -> Result<(Option<Each>, Option<String>), Failure> {
    let mut gathered = Gathered::default();
    let mut first_page = |gathered: &mut Gathered| {
        let mut start = Start::of(settings, None, now, None)?;
        let fetched = getter.get(start.pages.ask(), 1)?;
        let place = fetched.place(1);
        let expected = (start.pages.expect(), start.pages.may_be_behind());
        let mut staging: &mut dyn Staging = gathered;
        let mut stager = settings.stager(&mut staging);
        stager.begins(None, start.cursor.take(), start.shape)?;
        let opened = stager.open(&fetched, &place)?;
        let read = stager.read(&opened, &place, expected)?;
        stager.stage(read, &place)?;
        drop(opened);
        Ok(fetched)
    };
    let fetched = first_page(&mut gathered);
    let fetched = fetched.map_err(|failure| parents_failed(failure, gathered.is_full))?;
    let url = quoted(&shown(&fetched.url));
    let parents = gathered.parents();
    let number = counted(parents.len() as u64, "value");
    let first = parents.into_iter().find(|parent| !parent.is_deleted);
    let first = first.map(|parent| parent.each);
    let found = match &first {
        Some(each) => format!(
            "{}, the first of {number} on the first page of {url} (SOURCE_EACH_URL)",
            each.shown()
        ),
        None => format!("no value is on the first page of {url} (SOURCE_EACH_URL)"),
    };
    Ok((first, Some(found)))
}

/// What is known so far, with the settings as they would be.
struct Look {
    env: Vec<(String, String)>,
    /// The value that is asked for, where there are several.
    each: Option<Each>,
    /// The request for the first result of an export, where there is one.
    result: Option<Ask>,
    /// Whether somebody said how the source is paged, and it is not a suggestion.
    is_paging_said: bool,
    now: Timestamp,
    sighting: Sighting,
}

/// How a run with these settings begins.
struct Start<'s> {
    /// The first request of all.
    first: Ask,
    cursor: Option<Cursor<'s>>,
    shape: Shape,
    pages: Pages<'s>,
}

impl<'s> Start<'s> {
    /// `result`: the request for a result of an export, which has the pages then.
    fn of(
        settings: &'s Settings,
        each: Option<&Each>,
        now: Timestamp,
        result: Option<&Ask>,
    ) -> Result<Self, Failure> {
        let mut shape = settings.shape();
        let position = Position::default();
        let cursor = settings.cursor.as_ref();
        let cursor = cursor.map(|set| Cursor::begin(set, &position, None, now));
        let cursor = cursor.transpose()?;
        let token = settings.token.as_ref();
        let token = token.map(|set| Token::begin(set, &position, &mut shape));
        let first = settings.first_ask(each, cursor.as_ref(), token.transpose()?.as_ref())?;
        let pages = settings.pages(result.unwrap_or(&first), &mut shape)?;
        Ok(Self {
            first,
            cursor,
            shape,
            pages,
        })
    }
}

/// What a page leads to.
struct After {
    /// The request that would come next.
    next: Option<Ask>,
    /// The sign that it is not all there is, where nobody said how the source is paged.
    sign: Option<Sign>,
    /// How many of its records a later one replaces, if any.
    superseded: Option<String>,
}

/// Where the records of one page are kept.
#[derive(Default)]
struct Kept(Vec<u8>);

impl Staging for Kept {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        if file == StagedFile::Records {
            self.0.extend_from_slice(lines);
        }
        Ok(())
    }
}

impl Look {
    fn found(&mut self, topic: &str, found: String) {
        self.sighting.findings.push(Finding {
            topic: topic.to_owned(),
            found,
        });
    }

    fn suggest(&mut self, suggestions: Vec<Suggestion>) {
        for suggestion in suggestions {
            let is_set =
                |(name, value): &(String, String)| *name == suggestion.name && !value.is_empty();
            if !self.env.iter().any(is_set) {
                self.env
                    .push((suggestion.name.clone(), suggestion.value.clone()));
                self.sighting.suggestions.push(suggestion);
            }
        }
    }

    /// Proposes a program where the records are in no array of objects, and nobody said where they are.
    fn program(&mut self, settings: &Settings, text: &str, members: &[Member<'_>]) {
        let is_json = settings.format == Format::Json && settings.wire == Wire::Json;
        let is_open = settings.records.is_none() && is_json;
        let has_objects = |text: &str| {
            let elements = elements(text).unwrap_or_default();
            elements.iter().any(|element| element.starts_with('{'))
        };
        let is_plain =
            has_objects(text.trim_ascii()) || members.iter().any(|member| has_objects(member.text));
        if is_open
            && !is_plain
            && let Some((program, reason)) = shapes::program(text, members)
        {
            self.suggest(vec![suggestion("SOURCE_RECORDS", &program, reason)]);
        }
    }

    /// The records that a program makes of the page.
    fn made_records<'t>(&mut self, records: Vec<&'t str>) -> Vec<&'t str> {
        let place = format!(
            "{} by the program in SOURCE_RECORDS",
            self::records(&records)
        );
        self.found("records", place);
        self.sighting.first_record = records.first().map(|record| cut(record));
        records
    }

    /// The format of the answer, where none is set and it is not JSON. The answer is JSON, or lines of it, from then on.
    fn format(&mut self, settings: &Settings, fetched: &mut Fetched) -> Result<(), Failure> {
        // A host hands over the default too, and this is not JSON.
        let is_set = |(name, value): &(String, String)| {
            name == "SOURCE_FORMAT" && !matches!(value.as_str(), "" | "json")
        };
        let is_json = serde_json::from_slice::<IgnoredAny>(&fetched.answer.body).is_ok();
        if is_json || self.env.iter().any(is_set) {
            return Ok(());
        }
        let Some((format, delimiter)) = format_of(&fetched.answer.body) else {
            return Ok(());
        };
        self.sighting.would_fail = self.after(&self.env, fetched).err();
        self.env.retain(|(name, _)| name != "SOURCE_FORMAT");
        let mut suggestions = vec![suggestion(
            "SOURCE_FORMAT",
            format,
            "the answer looks like it",
        )];
        if let Some(word) = delimiter {
            suggestions.push(suggestion(
                "SOURCE_CSV_DELIMITER",
                word,
                "what its first line has most of",
            ));
        }
        self.suggest(suggestions);
        let bytes_max = settings.answer_bytes_max;
        let settings = Settings::read(&self.env)?;
        let place = fetched.place(1);
        settings.wire.read(&mut fetched.answer, &place, bytes_max)
    }

    /// The records of the page, where they are set to stand or seem to.
    fn records<'t>(
        &mut self,
        settings: &Settings,
        text: &'t str,
        members: &[Member<'t>],
    ) -> Vec<&'t str> {
        let (at, array) = if let Some(RecordsFrom::Body(pointer)) = &settings.records {
            let set = members
                .iter()
                .find(|member| member.pointer == pointer.text());
            (pointer.text().to_owned(), set.map(|member| member.text))
        } else if settings.format != Format::Json || text.trim_ascii_start().starts_with('[') {
            (String::new(), Some(text.trim_ascii()))
        } else {
            // The most first; of as many the one that stands higher up.
            let mut places: Vec<(usize, &Member<'t>)> = Vec::new();
            for member in members {
                if let Some(number) = member.objects() {
                    let at = places.partition_point(|(more, _)| *more >= number);
                    places.insert(at, (number, member));
                }
            }
            self.name_other_places(&places);
            match places.first() {
                Some((_, member)) => {
                    let reason = "the largest array of objects in the answer";
                    self.suggest(vec![suggestion("SOURCE_RECORDS", &member.pointer, reason)]);
                    (member.pointer.clone(), Some(member.text))
                }
                None => (String::new(), None),
            }
        };
        let records = array.and_then(elements).unwrap_or_default();
        let place = match (at.as_str(), array) {
            (_, None) if at.is_empty() => "the answer has no array of objects in it".to_owned(),
            (at, None) => format!(
                "nothing is at {} (SOURCE_RECORDS), or it is nested too deep to read",
                quoted(at)
            ),
            ("", _) => format!("{}: the body is the array", self::records(&records)),
            (at, _) => format!("{} at {}", self::records(&records), quoted(at)),
        };
        self.found("records", place);
        self.sighting.first_record = records.first().map(|record| cut(record));
        records
    }

    fn name_other_places(&mut self, places: &[(usize, &Member<'_>)]) {
        let named: Vec<String> = places
            .iter()
            .take(PLACES_SHOWN)
            .map(|(number, member)| format!("{} ({number})", quoted(&member.pointer)))
            .collect();
        if named.len() > 1 {
            self.found("arrays", named.join(", "));
        }
    }

    fn paging(
        &mut self,
        settings: &Settings,
        fetched: &Fetched,
        members: &[Member<'_>],
        records: &[&str],
    ) {
        if settings.pagination.is_said {
            self.found("paging", "as SOURCE_PAGINATION says".to_owned());
            return self.page_size(settings, records.len() as u64);
        }
        let queries: Vec<String> = settings
            .url
            .query_pairs()
            .map(|(name, _)| name.into_owned())
            .collect();
        let told = paging::told(
            members,
            &Headers::of(&fetched.answer, records.len() as u64),
            records.len() as u64,
            settings.body.as_ref().map(|_| settings.body_format),
            &queries,
        );
        match told {
            Some(told) => {
                self.found("paging", told.found);
                self.suggest(told.suggestions);
            }
            None => self.found(
                "paging",
                "nothing in the answer leads to a further page".to_owned(),
            ),
        }
    }

    /// Whether the source sends less than it was asked for.
    fn page_size(&mut self, settings: &Settings, records: u64) {
        let size = settings.pagination.size.filter(|size| records < *size);
        let Some(size) = size.filter(|_| records > 0) else {
            return;
        };
        self.found(
            "page size",
            format!(
                "{}, and SOURCE_PAGE_SIZE is {size}: if there are more, the source caps pages, and SOURCE_PAGE_SIZE={records} fits",
                counted(records, "record")
            ),
        );
    }

    fn fields(&mut self, settings: &Settings, records: &[&str]) {
        if settings.made.key.is_empty()
            && let Some(key) = fields::key(records)
        {
            self.found("key", key.found);
            self.suggest(key.suggestions);
        }
        if let Some(cursor) = &settings.cursor {
            let named = fields::named_cursor(records, cursor);
            self.found("cursor", named.found);
            self.suggest(named.suggestions);
        } else if settings.each.parents().is_some() {
            // Their parents have the cursor.
        } else if settings.token.is_some() || self.proposes_a_token() {
            self.found("cursor", "a token, by SOURCE_CURSOR".to_owned());
        } else if let Some(cursor) = fields::cursor(records) {
            self.found("cursor", cursor.found);
            self.suggest(cursor.suggestions);
        }
    }

    fn proposes_a_token(&self) -> bool {
        let proposed = &mut self.sighting.suggestions.iter();
        proposed.any(|line| line.name == "SOURCE_CURSOR_KIND" && line.value == "token")
    }

    /// Whether the source filters by the cursor, as the settings would be.
    fn filter<H: Http, C: Clock>(&mut self, first: &Fetched, getter: &mut Getter<'_, H, C>) {
        let Ok(settings) = Settings::read(&self.env) else {
            return;
        };
        let Some(set) = settings
            .cursor
            .as_ref()
            .filter(|set| set.to != Asking::Nowhere && self.result.is_none())
        else {
            return;
        };
        let cursor = Cursor::begin(set, &Position::default(), None, self.now);
        let found = cursor.and_then(|cursor| {
            freshness::look(&settings, self.each.as_ref(), &cursor, first, getter)
        });
        self.found(
            "filter",
            found.unwrap_or_else(|failure| failure.to_string()),
        );
    }

    /// The request that would come next with the settings as they would be.
    fn next(&mut self, fetched: &Fetched) {
        match self.after(&self.env, fetched) {
            Ok(after) => {
                // The URL of a result may be a credential.
                let spoken = |ask| match &self.result {
                    None => spoken(ask),
                    Some(_) => Ask::shown(ask),
                };
                self.sighting.next_request = after.next.as_ref().map(spoken);
                if let Some(found) = after.superseded {
                    self.found("superseded", found);
                }
                match after.sign {
                    Some(Sign::Strong(what)) => self.found(
                        "but",
                        format!("this is not all there is: {what}; `run` refuses it until SOURCE_PAGINATION is set"),
                    ),
                    Some(Sign::Weak(what)) => self.found(
                        "note",
                        format!("this may not be all there is: {what}; if it is, set SOURCE_PAGINATION=none"),
                    ),
                    None => {}
                }
            }
            Err(failure) => self.found("but", failure.to_string()),
        }
    }

    /// What comes next with these settings. `Err`: a run with them would fail.
    fn after(&self, env: &[(String, String)], fetched: &Fetched) -> Result<After, Failure> {
        let settings = Settings::read(env)?;
        let each = self.each.as_ref();
        let mut start = Start::of(&settings, each, self.now, self.result.as_ref())?;
        let mut kept = Kept::default();
        let mut stager = settings.stager(&mut kept);
        stager.begins(each, start.cursor, start.shape)?;
        let place = fetched.place(1);
        let expected = (start.pages.expect(), start.pages.may_be_behind());
        let opened = stager.open(fetched, &place)?;
        let read = stager.read(&opened, &place, expected)?;
        let sign = settings.sign_of_more(fetched, &read);
        let goes_on = start.pages.go_on(Page {
            fetched,
            contents: &read.contents,
            seen: &read.seen,
        });
        stager.stage(read, &place)?;
        if let Some(why) = stager.first_rejection() {
            return Err(Failure::data(format!("a record would be rejected: {why}")));
        }
        let next = goes_on?.then(|| start.pages.ask().clone());
        Ok(After {
            next,
            sign: sign.filter(|_| !self.is_paging_said),
            superseded: fields::superseded(&settings.made.key, &kept.0),
        })
    }
}

/// The records as one array, where they are lines; `None`: they are not, or one of them is no JSON.
fn as_array(settings: &Settings, text: &str) -> Option<String> {
    if settings.format != Format::Ndjson {
        return None;
    }
    let lines = text.lines().map(str::trim_ascii);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    Some(format!("[{}]", lines.join(",")))
}

/// A request as a person would type it.
fn spoken(ask: &Ask) -> String {
    let request = format!("{} {}", ask.method.word(), ask.url);
    match (&ask.body, ask.body_format) {
        (None, _) => request,
        (Some(body), BodyFormat::Json) => format!("{request} with {}", cut(body)),
        (Some(body), BodyFormat::Form) => match body.char_indices().nth(RECORD_CHARS_SHOWN) {
            Some((at, _)) => format!("{request} with {}…", &body[..at]),
            None => format!("{request} with {body}"),
        },
    }
}

fn records(records: &[&str]) -> String {
    counted(records.len() as u64, "record")
}

/// A record on one line, cut where it is long.
fn cut(record: &str) -> String {
    let mut line = Vec::new();
    tidegate_json::append_line(record, &mut line);
    let line = String::from_utf8_lossy(&line).into_owned();
    match line.char_indices().nth(RECORD_CHARS_SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
