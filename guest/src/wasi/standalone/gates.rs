//! The gates of a run without our host: is what would be published plausible? The source can answer 200 and be wrong.

use super::{REFUSED, Stop, get};
use crate::Report;
use crate::failure::{Problem, counted, quoted};

/// How much may be missing or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// `MIN_RECORDS`: what is published has at least as many, or under append this run.
    min_records: u64,
    /// `MAX_SHRINK_PERCENT`: against the file that is replaced.
    max_shrink_percent: u64,
    /// `MAX_REJECTED`: of this run.
    max_rejected: MaxRejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MaxRejected {
    Count(u64),
    Percent(u64),
}

impl Gates {
    /// The names of the settings that are read here.
    pub const NAMES: [&str; 3] = ["MIN_RECORDS", "MAX_SHRINK_PERCENT", "MAX_REJECTED"];

    /// Reads them, with the defaults that they have under our host. What cannot be understood is added to `problems`.
    pub fn read(env: &[(String, String)], problems: &mut Vec<Problem>) -> Self {
        let [min_records, max_shrink, max_rejected] = Self::NAMES;
        let mut read = |name: &str, default: u64, number: fn(&str) -> Option<u64>, takes: &str| {
            let Some(text) = get(env, name) else {
                return default;
            };
            number(text).unwrap_or_else(|| {
                problems.push(Problem::new(
                    name,
                    format!("{} is not {takes}", quoted(text)),
                ));
                default
            })
        };
        let percent_takes = "a percentage from 0 to 100";
        let of_rejected = get(env, max_rejected).filter(|text| text.ends_with('%'));
        Self {
            min_records: read(min_records, 0, |text| text.parse().ok(), "a whole number"),
            max_shrink_percent: read(max_shrink, 50, percent, percent_takes),
            max_rejected: match of_rejected {
                Some(_) => MaxRejected::Percent(read(max_rejected, 0, percent, percent_takes)),
                None => MaxRejected::Count(read(
                    max_rejected,
                    0,
                    |text| text.parse().ok(),
                    "a count, or a percentage such as `1%`",
                )),
            },
        }
    }

    /// `Err` names every gate that refused, and the setting that would let it pass. `last_records`: what the file has that
    /// would be replaced; none, where nothing is.
    pub fn check(&self, report: &Report, last_records: Option<u64>) -> Result<(), Stop> {
        let refused: Vec<String> = [
            self.too_many_rejected(report),
            self.too_few(report),
            self.shrunk(report, last_records),
        ]
        .into_iter()
        .flatten()
        .collect();
        if refused.is_empty() {
            return Ok(());
        }
        Err(Stop::refused(format!(
            "not published: {}",
            refused.join("; ")
        )))
    }

    fn too_many_rejected(&self, report: &Report) -> Option<String> {
        let rejected = report.rejected;
        let records = report.staged.saturating_add(report.deleted);
        let base = report.fetched.max(records.saturating_add(rejected));
        let (is_over, most) = match self.max_rejected {
            MaxRejected::Count(most) => (rejected > most, most.to_string()),
            MaxRejected::Percent(most) => (
                u128::from(rejected) * 100 > u128::from(base) * u128::from(most),
                format!("{most}%"),
            ),
        };
        is_over.then(|| {
            let base = counted(base, "record");
            format!(
                "{rejected} of {base} rejected, and `MAX_REJECTED` is {most}; they and the reasons are in `{REFUSED}`"
            )
        })
    }

    fn too_few(&self, report: &Report) -> Option<String> {
        (report.staged < self.min_records).then(|| {
            format!(
                "there would be {}, and `MIN_RECORDS` is {}",
                counted(report.staged, "record"),
                self.min_records
            )
        })
    }

    fn shrunk(&self, report: &Report, last_records: Option<u64>) -> Option<String> {
        let last = last_records?;
        let gone = last.saturating_sub(report.staged);
        let most = self.max_shrink_percent;
        let is_over = u128::from(gone) * 100 > u128::from(last) * u128::from(most);
        let if_right = if report.rejected > 0 {
            ""
        } else {
            "; if that is right, run once with `MAX_SHRINK_PERCENT=100`"
        };
        is_over.then(|| {
            format!(
                "{gone} of {} would be gone, and `MAX_SHRINK_PERCENT` is {most}{if_right}",
                counted(last, "record")
            )
        })
    }
}

/// From 0 to 100, with or without `%`.
fn percent(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    digits.parse().ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Extent;

    fn gates(env: &[(&str, &str)]) -> (Gates, Vec<Problem>) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let env: Vec<_> = env.iter().map(owned).collect();
        let mut problems = Vec::new();
        let gates = Gates::read(&env, &mut problems);
        (gates, problems)
    }

    fn report(staged: u64, rejected: u64) -> Report {
        Report {
            extent: Extent::Everything,
            state: String::new(),
            cursor: None,
            pages: 1,
            fetched: staged + rejected,
            staged,
            deleted: 0,
            rejected,
            more: false,
        }
    }

    #[track_caller]
    fn refuses(env: &[(&str, &str)], report: &Report, last: Option<u64>, text: &str) {
        let (gates, problems) = gates(env);
        assert_eq!(problems, []);
        match gates.check(report, last) {
            Ok(()) => assert_eq!(text, ""),
            Err(stop) => {
                let line = stop.line();
                assert!(line.starts_with("exit 65: not published: "), "{line}");
                assert!(!text.is_empty() && line.contains(text), "{line}");
            }
        }
    }

    #[test]
    fn no_record_may_be_rejected_unless_it_is_said() {
        let count = |most| [("MAX_REJECTED", most)];

        refuses(
            &[],
            &report(9, 1),
            None,
            "1 of 10 records rejected, and `MAX_REJECTED` is 0",
        );
        refuses(&count("1"), &report(9, 1), None, "");
        refuses(&count("1"), &report(9, 2), None, "`MAX_REJECTED` is 1;");
        refuses(&count("10%"), &report(9, 1), None, "");
        refuses(&count("10%"), &report(8, 2), None, "`MAX_REJECTED` is 10%");
    }

    #[test]
    fn too_few_records_are_refused_whatever_was_there() {
        let least = [("MIN_RECORDS", "3")];

        refuses(&least, &report(3, 0), None, "");
        refuses(
            &least,
            &report(2, 0),
            Some(2),
            "there would be 2 records, and `MIN_RECORDS` is 3",
        );
    }

    #[test]
    fn a_file_may_lose_the_percentage_and_no_more() {
        refuses(&[], &report(50, 0), Some(100), "");
        refuses(&[], &report(0, 0), Some(0), "");
        refuses(&[], &report(0, 0), None, "");
        refuses(
            &[],
            &report(49, 0),
            Some(100),
            "51 of 100 records would be gone, and `MAX_SHRINK_PERCENT` is 50; if that is right",
        );
        refuses(
            &[("MAX_SHRINK_PERCENT", "100%")],
            &report(0, 0),
            Some(9),
            "",
        );
        refuses(&[], &report(1, 0), Some(u64::MAX), "would be gone");
    }

    #[test]
    fn what_is_no_number_is_a_problem() {
        let (_, problems) = gates(&[
            ("MIN_RECORDS", "many"),
            ("MAX_SHRINK_PERCENT", "101"),
            ("MAX_REJECTED", "-1%"),
        ]);

        let names: Vec<&str> = problems.iter().map(|one| one.setting.as_str()).collect();
        assert_eq!(names, Gates::NAMES);
    }
}
