//! Fan-out: one fetch for each value of a list, or for each record of a request before it.
//!
//! That request has the settings of any other, some under names of their own: they are read as the settings of a source.

use url::Url;

use super::description::{Setting, optional};
use super::{Given, Settings, cursor};
use crate::failure::{Detail, Failure, counted, quoted};
use crate::records::{PARENTS_BYTES_MAX, PARENTS_MAX};
use crate::source::{Ask, CURSOR, EACH, Each, holds_cursor, url_holds};
use tidegate_json::Pointer;

/// What is wrong with values that no request has.
const UNUSED: &str = "has no effect without `{each}`: write it where the value goes, into SOURCE_API_URL (path or query), SOURCE_BODY or SOURCE_HEADERS";

/// Values of `SOURCE_EACH`.
const EACH_MAX: usize = 1000;

/// How many fetches a run makes.
#[derive(Debug, Default)]
pub enum FanOut {
    /// One.
    #[default]
    No,
    /// `SOURCE_EACH`: one for each of these.
    List(Vec<Each>),
    /// `SOURCE_EACH_URL`: one for each record of that request.
    Parents(Box<Parents>),
}

/// The request before the others, whose records are their parents.
#[derive(Debug)]
pub struct Parents {
    /// What is asked for and how, as if nothing else was. A record's value is its `SOURCE_PARENT`.
    pub settings: Settings,
    /// `SOURCE_PARENT`: where in a record the value is that REPLACE_BY has in what is published of its children.
    pub replaced: Option<Pointer>,
}

/// Names of settings of the request before the others, and what they are for a source.
const OF_PARENTS: [(&str, &str); 13] = [
    ("SOURCE_EACH_URL", "SOURCE_API_URL"),
    ("SOURCE_EACH_RECORDS", "SOURCE_RECORDS"),
    ("SOURCE_EACH_VALUE", "SOURCE_PARENT"),
    ("SOURCE_EACH_DELETED", "SOURCE_DELETED"),
    ("SOURCE_EACH_PAGINATION", "SOURCE_PAGINATION"),
    ("SOURCE_EACH_PAGE_FROM", "SOURCE_PAGE_FROM"),
    ("SOURCE_EACH_PAGE_TO", "SOURCE_PAGE_TO"),
    // Before the ones that they begin with.
    ("SOURCE_EACH_PAGE_SIZE_TO", "SOURCE_PAGE_SIZE_TO"),
    ("SOURCE_EACH_PAGE_SIZE", "SOURCE_PAGE_SIZE"),
    ("SOURCE_EACH_PAGE_SHORT", "SOURCE_PAGE_SHORT"),
    ("SOURCE_EACH_PAGE_FIRST", "SOURCE_PAGE_FIRST"),
    ("SOURCE_EACH_PAGE_MORE", "SOURCE_PAGE_MORE"),
    ("SOURCE_EACH_TOTAL", "SOURCE_TOTAL"),
];

/// Settings of the children, which the request before them has not.
const OF_CHILDREN: [&str; 11] = [
    "SOURCE_PARALLEL",
    "SOURCE_BODY",
    "SOURCE_BODY_FORMAT",
    "SOURCE_METHOD",
    "SOURCE_CSV_HEADER",
    "SOURCE_CSV_DELIMITER",
    "SOURCE_FORMAT",
    "SOURCE_RECORDS_MISSING",
    "SOURCE_SCHEMA",
    "TRANSFORM",
    "PRIMARY_KEY",
];

/// A text about the request before the others, with the names that its settings have.
pub fn of_parents(text: &str) -> String {
    let names = OF_PARENTS.iter();
    names.fold(text.to_owned(), |text, (name, of_source)| {
        text.replace(of_source, name)
    })
}

/// A failure of the request before the others, which had more records than fit if it `is_full`.
pub fn parents_failed(failure: Failure, is_full: bool) -> Failure {
    const NAME: &str = "SOURCE_EACH_URL";
    if is_full {
        return Failure::data(format!(
            "{NAME} has more than {PARENTS_MAX} records, or they have more than {} MiB: ask for fewer, or set SOURCE_WINDOW to fetch them in portions",
            PARENTS_BYTES_MAX / (1024 * 1024)
        ));
    }
    failure.map(|detail| Detail {
        message: format!("{NAME}: {}", of_parents(&detail.message)),
        ..detail
    })
}

impl FanOut {
    /// The request before the others, where there is one.
    pub fn parents(&self) -> Option<&Parents> {
        match self {
            Self::Parents(parents) => Some(parents),
            Self::No | Self::List(_) => None,
        }
    }

    /// The setting that the values come from.
    pub fn name(&self) -> &'static str {
        match self {
            Self::No | Self::List(_) => "SOURCE_EACH",
            Self::Parents(_) => "SOURCE_EACH_URL",
        }
    }

    /// The value of a list that is looked at first.
    pub fn first(&self) -> Option<Each> {
        match self {
            Self::No | Self::Parents(_) => None,
            Self::List(values) => values.first().cloned(),
        }
    }

    /// Which value is looked at, for people.
    pub fn looked_at(&self) -> Option<String> {
        let Self::List(values) = self else {
            return None;
        };
        let first = values.first()?.shown();
        let number = counted(values.len() as u64, "value");
        Some(format!("{first}, the first of {number}"))
    }

    /// What it means that a request cannot have the value.
    pub fn unfit(&self, each: &Each, why: &str) -> Failure {
        match self {
            Self::Parents(_) => Failure::data(why),
            Self::No | Self::List(_) => {
                Failure::setting("SOURCE_EACH", format!("{} {why}", each.shown()))
            }
        }
    }
}

impl Given<'_> {
    pub(super) fn each(&mut self, url: Option<&Url>) -> FanOut {
        const NAME: &str = "SOURCE_EACH";
        let holding = ["SOURCE_API_URL", "SOURCE_BODY", "SOURCE_HEADERS"];
        let holds = |name: &&str| match *name {
            "SOURCE_API_URL" => url.is_some_and(|url| url_holds(url, EACH)),
            name => self.get(name).is_some_and(|text| text.contains(EACH)),
        };
        let holding = holding.into_iter().find(holds);
        let has_parents = self.has_parents();
        let is_elsewhere = |url: &Url| !url_holds(url, EACH);
        let text = self.get("SOURCE_API_URL").unwrap_or_default();
        if text.contains(EACH) && url.is_some_and(is_elsewhere) {
            self.wrong(
                "SOURCE_API_URL",
                format!("`{EACH}` is replaced in the path and the query only"),
            );
        }
        if !has_parents {
            for (name, _) in OF_PARENTS {
                if self.get(name).is_some() {
                    self.wrong(name, "has no effect without SOURCE_EACH_URL");
                }
            }
        }
        if let (Some(holding), false, None) = (holding, has_parents, self.get(NAME)) {
            self.wrong(
                holding,
                format!("`{EACH}` has no value: set {NAME} or SOURCE_EACH_URL"),
            );
        }
        if has_parents {
            return self.parents(url, holding.is_some());
        }
        let Some(text) = self.get(NAME) else {
            return FanOut::No;
        };
        let values = self.kept(NAME, values(text)).unwrap_or_default();
        if holding.is_none() && url.is_some() {
            self.wrong(NAME, UNUSED);
        }
        if self.get("SOURCE_PARENT").is_some() {
            self.wrong(
                "SOURCE_PARENT",
                format!("does not work with {NAME}: two values may have parents of the same id"),
            );
        }
        let is_told_apart = self
            .get("TRANSFORM")
            .is_some_and(|text| text.contains("$each"));
        if self.get("SOURCE_DELETED").is_some() && !is_told_apart {
            self.wrong(
                "SOURCE_DELETED",
                format!("needs `$each` in the key with {NAME}, as what is deleted for one value may be there for another: for example TRANSFORM=`. + {{account: $each}}` and PRIMARY_KEY=/account,/id"),
            );
        }
        if let Some(url) = url {
            self.check_values(url, &values);
        }
        FanOut::List(values)
    }

    /// The variables of TRANSFORM.
    pub(super) fn variables(&self) -> &'static [&'static str] {
        if self.has_parents() {
            &["$each", "$parent"]
        } else if self.get("SOURCE_EACH").is_some() {
            &["$each"]
        } else {
            &[]
        }
    }

    /// Whether a request is made before the others.
    pub(super) fn has_parents(&self) -> bool {
        self.get("SOURCE_EACH_URL").is_some()
    }

    fn parents(&mut self, url: Option<&Url>, is_used: bool) -> FanOut {
        const NAME: &str = "SOURCE_EACH_URL";
        if self.get("SOURCE_EACH").is_some() {
            self.wrong(
                "SOURCE_EACH",
                format!("is set, and so is {NAME}: unset one"),
            );
        }
        if !is_used && url.is_some() {
            self.wrong(NAME, UNUSED);
        }
        if self.get("SOURCE_EACH_VALUE").is_none() {
            self.wrong(
                "SOURCE_EACH_VALUE",
                format!(
                    "is not set, but {NAME} needs the value in each of its records, such as `/id`"
                ),
            );
        }
        let has_cursor = self.get("SOURCE_CURSOR").is_some() || self.is_clock();
        // What is wrong with it is said with the other settings of records.
        let replaced = self.get("SOURCE_PARENT").map(Pointer::parse);
        let replaced = replaced.and_then(Result::ok);
        if has_cursor && self.get("SOURCE_PARENT").is_none() {
            self.wrong(
                "SOURCE_PARENT",
                format!("is not set, but the children of a record that changed replace the old ones: give the value in a record of {NAME} that REPLACE_BY has in the published records, such as `/id`"),
            );
        }
        let is_same = self.get("SOURCE_PARENT") == self.get("SOURCE_EACH_VALUE");
        if self.get("SOURCE_EACH_DELETED").is_some()
            && self.get("SOURCE_PARENT").is_some()
            && !is_same
        {
            self.wrong(
                "SOURCE_EACH_DELETED",
                "needs SOURCE_PARENT to be the same as SOURCE_EACH_VALUE: a deleted parent is known by that value",
            );
        }
        if url.is_some_and(holds_cursor)
            || self
                .get("SOURCE_BODY")
                .is_some_and(|body| body.contains(CURSOR))
        {
            self.wrong(
                "SOURCE_API_URL",
                format!("`{CURSOR}` is replaced in {NAME}, whose records have the cursor"),
            );
        }
        match Settings::read(&self.env_of_parents()) {
            Ok(settings) => FanOut::Parents(Box::new(Parents { settings, replaced })),
            Err(Failure::Settings(problems)) => {
                let of_cursor = cursor::described();
                for problem in problems {
                    let given = OF_PARENTS.iter().find(|(_, of)| *of == problem.setting);
                    let is_of_cursor = of_cursor.iter().any(|row| row.name == problem.setting);
                    // What the others have too is found there.
                    if given.is_some() || is_of_cursor {
                        let name = given.map_or(problem.setting.as_str(), |(name, _)| name);
                        self.wrong(name, of_parents(&problem.message));
                    }
                }
                FanOut::No
            }
            Err(_) => FanOut::No,
        }
    }

    /// The environment as the request before the others has it.
    fn env_of_parents(&self) -> Vec<(String, String)> {
        let is_own = |name: &str| {
            !name.starts_with("SOURCE_EACH")
                && !OF_CHILDREN.contains(&name)
                && OF_PARENTS.iter().all(|(_, of)| *of != name)
        };
        let headers = |text: &str| {
            let is_kept = |line: &&str| {
                let line = line.to_ascii_lowercase();
                !line.contains(EACH) && !line.trim_start().starts_with("content-type")
            };
            text.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
        };
        // What an API answers in XML is all of it, the parents too.
        let is_xml = |pair: &(String, String)| pair.0 == "SOURCE_FORMAT" && pair.1 == "xml";
        let shared = self.env.iter();
        let shared = shared.filter(|pair| is_own(&pair.0) || is_xml(pair));
        let shared = shared.map(|(name, value)| match name.as_str() {
            "SOURCE_HEADERS" => (name.clone(), headers(value)),
            _ => (name.clone(), value.clone()),
        });
        // Where pages are counted, records that come again are told by it.
        let key = self.get("SOURCE_EACH_VALUE");
        let key = key.map(|value| ("PRIMARY_KEY".to_owned(), value.to_owned()));
        let own = OF_PARENTS.iter().filter_map(|(name, of)| {
            let value = self.get(name)?;
            Some(((*of).to_owned(), value.to_owned()))
        });
        let whole = [("SOURCE_INVALID".to_owned(), "fail".to_owned())];
        let is_invalid = |(name, _): &(String, String)| name == "SOURCE_INVALID";
        shared
            .filter(|pair| !is_invalid(pair))
            .chain(own)
            .chain(key)
            .chain(whole)
            .collect()
    }

    /// Refuses values that cannot be in a request.
    fn check_values(&mut self, url: &Url, values: &[Each]) {
        let ask = Ask {
            body: self.get("SOURCE_BODY").map(str::to_owned),
            headers: vec![(
                String::new(),
                self.get("SOURCE_HEADERS").unwrap_or_default().to_owned(),
            )],
            ..Ask::get(url.clone())
        };
        for each in values {
            if let Err(why) = each.put_into(&ask) {
                self.wrong("SOURCE_EACH", format!("{} {why}", each.shown()));
            }
        }
    }
}

/// One value a line, or, in a single line, separated by commas.
fn values(text: &str) -> Result<Vec<Each>, String> {
    let text = text.trim_start_matches('\u{feff}').trim_ascii();
    let separator = if text.contains('\n') { '\n' } else { ',' };
    let values = text.split(separator).map(str::trim);
    let mut all: Vec<Each> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for value in values {
        if value.is_empty() {
            if separator == '\n' {
                continue;
            }
            return Err("has an empty value".to_owned());
        }
        if !seen.insert(value) {
            return Err(format!("has {} twice", quoted(value)));
        }
        all.push(Each::of_list(value));
    }
    if all.len() > EACH_MAX {
        return Err(format!("has {} values, more than {EACH_MAX}", all.len()));
    }
    Ok(all)
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    let shaping = |name: &str, doc: &str, example: &str| Setting {
        shapes_records: true,
        ..optional(name, doc, "", example)
    };
    let each = optional(
        "SOURCE_EACH",
        "Values, such as accounts: one a line, or comma-separated. The source is fetched once for each, in one run: `{each}` in SOURCE_API_URL, SOURCE_BODY or SOURCE_HEADERS is replaced by the value. In TRANSFORM it is `$each`. Each value has its own cursor.",
        "",
        "de,fr,us",
    );
    let of_parents = |name: &str, of: &str, example: &str| {
        optional(name, &format!("{of} for SOURCE_EACH_URL."), "", example)
    };
    vec![
        each,
        shaping(
            "SOURCE_EACH_URL",
            "URL of a request whose records (parents) give the values of `{each}`, such as a list of projects. SOURCE_CURSOR is then the cursor of the parents: the records of each parent that changed are fetched anew. In TRANSFORM, `$parent` is the parent.",
            "https://api.example.com/v1/projects",
        ),
        shaping(
            "SOURCE_EACH_RECORDS",
            "SOURCE_RECORDS for SOURCE_EACH_URL: a JSON Pointer to the array of parents.",
            "/projects",
        ),
        shaping(
            "SOURCE_EACH_VALUE",
            "JSON Pointer in a parent to the value that replaces `{each}`.",
            "/id",
        ),
        shaping(
            "SOURCE_EACH_DELETED",
            "SOURCE_DELETED for parents: with a deleted parent, its records are deleted. They are not requested.",
            "/archived",
        ),
        of_parents("SOURCE_EACH_PAGINATION", "SOURCE_PAGINATION", "link"),
        of_parents("SOURCE_EACH_PAGE_FROM", "SOURCE_PAGE_FROM", "/next"),
        of_parents("SOURCE_EACH_PAGE_TO", "SOURCE_PAGE_TO", "page"),
        of_parents("SOURCE_EACH_PAGE_SIZE_TO", "SOURCE_PAGE_SIZE_TO", "limit"),
        of_parents("SOURCE_EACH_PAGE_SIZE", "SOURCE_PAGE_SIZE", "100"),
        of_parents("SOURCE_EACH_PAGE_SHORT", "SOURCE_PAGE_SHORT", "last"),
        of_parents("SOURCE_EACH_PAGE_FIRST", "SOURCE_PAGE_FIRST", "0"),
        of_parents("SOURCE_EACH_PAGE_MORE", "SOURCE_PAGE_MORE", "/has_more"),
        of_parents("SOURCE_EACH_TOTAL", "SOURCE_TOTAL", "/total"),
    ]
}
