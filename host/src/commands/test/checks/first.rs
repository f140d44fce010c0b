//! The first run: three pages, and every record as it was.

use super::{Bench, Check, Needs, Proof, Wrong, failed};
use crate::commands::test::api::Fault;
use crate::commands::test::rows::{self, ROWS};
use crate::commands::test::trial::With;
use crate::settings::catalogue;

pub const CHECKS: &[Check] = &[
    Check {
        name: "three pages",
        needs: Needs::Description,
        prove: three_pages,
    },
    Check {
        name: "files in /out",
        needs: Needs::Description,
        prove: files,
    },
    Check {
        name: "counts",
        needs: Needs::FirstRun,
        prove: counts,
    },
    Check {
        name: "lines end in LF",
        needs: Needs::FirstRun,
        prove: lines,
    },
    Check {
        name: "UTF-8",
        needs: Needs::FirstRun,
        prove: utf8,
    },
    Check {
        name: "big numbers",
        needs: Needs::FirstRun,
        prove: big_numbers,
    },
    Check {
        name: "defaults",
        needs: Needs::FirstRun,
        prove: defaults,
    },
];

/// How the host says that something else was left in the staging folder.
const LEFT: &str = "in its staging folder";

fn three_pages(bench: &Bench<'_>) -> Proof {
    let ran = bench.first()?;
    if ran.error.contains(LEFT) {
        return Err(Wrong::Skipped("see `files in /out`".to_owned()));
    }
    let rows = rows::rows(ROWS);
    ran.has_exactly(&rows, "stage every row once")?;
    Ok(format!("{ROWS} records, in {} requests", ran.asked.len()))
}

fn files(bench: &Bench<'_>) -> Proof {
    let ran = bench.first()?;
    if ran.error.contains(LEFT) {
        let what = ran.error.split('`').nth(1).unwrap_or("another file");
        return Err(ran.wrong(format!(
            "it left `{what}` there; stage the three files only"
        )));
    }
    if ran.exit != 0 {
        return Err(Wrong::Skipped("the first run failed".to_owned()));
    }
    Ok("none but the three that a component may stage".to_owned())
}

fn counts(bench: &Bench<'_>) -> Proof {
    let ran = bench.first()?;
    let summary = &ran.summary;
    let mut pages: Vec<usize> = ran.asked.iter().map(|asked| asked.page).collect();
    pages.sort_unstable();
    pages.dedup();
    for (what, reported, real) in [
        ("pages", summary.reported_pages, pages.len() as u64),
        ("fetched", summary.fetched, ROWS),
        ("staged", summary.staged, ROWS),
        ("rejected", summary.rejected, 0),
    ] {
        if reported != real {
            return Err(failed(format!(
                "its report says {what}={reported}; count what there was: {real}"
            )));
        }
    }
    Ok(format!(
        "pages={}, fetched={ROWS}, staged={ROWS}, rejected=0",
        pages.len()
    ))
}

fn lines(bench: &Bench<'_>) -> Proof {
    let text = bench.first()?.published.text();
    if text.contains('\r') {
        return Err(failed(
            "a record has a CR; take CR and LF out, or write it anew",
        ));
    }
    Ok("one record a line, and no CR".to_owned())
}

fn utf8(bench: &Bench<'_>) -> Proof {
    let published = &bench.first()?.published;
    let records = published.records();
    if records.iter().all(|record| record.name().is_none()) {
        let why = "no published record has the `name` of its row";
        return Err(Wrong::Skipped(why.to_owned()));
    }
    for row in rows::rows(ROWS) {
        let begin = format!("row {}.", row.id);
        let mut names = records
            .iter()
            .filter_map(super::super::published::Record::name);
        let name = names.find(|name| name.starts_with(&begin));
        if name.is_some_and(|name| name != row.name()) {
            return Err(failed(format!(
                "`name` of row {} is changed; decode a whole body, then escapes",
                row.id
            )));
        }
    }
    Ok("names with 1 to 4 bytes a character and escapes are unchanged".to_owned())
}

fn big_numbers(bench: &Bench<'_>) -> Proof {
    let published = &bench.first()?.published;
    let records = published.records();
    let mut has_one = false;
    for row in rows::rows(ROWS) {
        let digits = row.amount();
        if records.iter().any(|record| record.line.contains(&digits)) {
            has_one = true;
        } else if records.iter().any(|record| record.has_number_like(&digits)) {
            return Err(failed(format!(
                "{digits} is rounded; keep its digits as text"
            )));
        }
    }
    if !has_one {
        let why = "no published record has the `amount` of its row";
        return Err(Wrong::Skipped(why.to_owned()));
    }
    Ok("integers above 2^53 and 2^64 keep their digits".to_owned())
}

/// A declared default is the value that counts without it.
fn defaults(bench: &Bench<'_>) -> Proof {
    let Ok(known) = &bench.subject.description else {
        return Err(Wrong::Skipped("it cannot say what it is".to_owned()));
    };
    let own = known.settings.iter().filter(|setting| {
        catalogue::row(&setting.name).is_none()
            && !bench.subject.settings.contains_key(&setting.name)
    });
    let given: Vec<(&str, &str)> = own
        .filter_map(|setting| Some((setting.name.as_str(), setting.default.as_deref()?)))
        .filter(|(_, default)| !default.is_empty())
        .collect();
    if given.is_empty() {
        let why = "it declares no default of its own that is not set here";
        return Err(Wrong::Skipped(why.to_owned()));
    }
    let trial = bench.trial("defaults", Fault::None)?;
    for (index, &(name, value)) in given.iter().enumerate() {
        let ran = trial.run(&With {
            full_refresh: index > 0,
            set: &[(name, value)],
            ..With::default()
        })?;
        let ran = ran.publishes(&format!("{name}={value}, its default, is to be valid"))?;
        if ran.published != bench.first()?.published {
            return Err(failed(format!(
                "{name}={value} changes the records; declare the real default"
            )));
        }
    }
    Ok(format!("{} given by hand change nothing", given.len()))
}
