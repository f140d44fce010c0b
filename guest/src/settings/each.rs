//! Fan-out: one fetch for each value of a list.

use url::Url;

use super::Given;
use super::description::{Setting, optional};
use crate::failure::{Failure, counted, quoted};
use crate::source::{Ask, EACH, Each, url_holds_each};

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
}

impl FanOut {
    /// The variables of TRANSFORM.
    pub fn variables(&self) -> &'static [&'static str] {
        match self {
            Self::No => &[],
            Self::List(_) => &["$each"],
        }
    }

    /// The value that is looked at first.
    pub fn first(&self) -> Option<Each> {
        match self {
            Self::No => None,
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
        Failure::setting("SOURCE_EACH", format!("{} {why}", each.shown()))
    }
}

impl Given<'_> {
    pub(super) fn each(&mut self, url: Option<&Url>) -> FanOut {
        const NAME: &str = "SOURCE_EACH";
        let holding = ["SOURCE_API_URL", "SOURCE_BODY", "SOURCE_HEADERS"];
        let holds = |name: &&str| match *name {
            "SOURCE_API_URL" => url.is_some_and(url_holds_each),
            name => self.get(name).is_some_and(|text| text.contains(EACH)),
        };
        let holding = holding.into_iter().find(holds);
        let Some(text) = self.get(NAME) else {
            if let Some(holding) = holding {
                self.wrong(holding, format!("`{EACH}` has no value: set {NAME}"));
            }
            return FanOut::No;
        };
        let values = self.kept(NAME, values(text)).unwrap_or_default();
        if holding.is_none() && url.is_some() {
            self.wrong(
                NAME,
                format!("has no effect without `{EACH}`: write it where the value goes, into SOURCE_API_URL (path or query), SOURCE_BODY or SOURCE_HEADERS"),
            );
        }
        if let Some(url) = url {
            self.check_values(url, &values);
        }
        FanOut::List(values)
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
    let text = text.trim_ascii();
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
    vec![optional(
        "SOURCE_EACH",
        "Values, such as accounts: one a line, or comma-separated. The source is fetched once for each, in one run: `{each}` in SOURCE_API_URL, SOURCE_BODY or SOURCE_HEADERS is replaced by the value. In TRANSFORM it is `$each`. Each value has its own cursor.",
        "",
        "de,fr,us",
    )]
}
