//! Pin: a published set stays until it is released, however many newer ones there are. Without a set, lists those that are kept.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::path::Path;

use crate::cli::PinArgs;
use crate::commands::by_hand::{self, ByHand, Done};
use crate::commands::look::{AtTheEnd, at_output};
use crate::commands::{named, stdout};
use crate::folder::{Folder, lock};
use crate::limits::Limits;
use crate::outcome::{Ended, Failure, Outcome};
use crate::settings::host::HostPlan;
use crate::sink::files::generation::{self, GENERATIONS};
use crate::sink::files::pins::{Pin, Pins};
use crate::units::{counted, thousands};
use crate::words;

/// Pins a set, releases one, or lists them all.
pub fn pin(args: &PinArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let (job, generations) = match named::places(&args.what, 1) {
        Ok(places) => places,
        Err(why) => return Ended::failed(Outcome::Usage, why),
    };
    let (release, generation) = (args.release, generations.first().copied());
    let at_the_end = match generation {
        Some(_) => AtTheEnd::IsWaitedFor,
        None => AtTheEnd::IsLeft,
    };
    at_output(
        &args.of.given(job.map(Path::new)),
        environment,
        at_the_end,
        move |host, _| done(host, generation, release),
        |said, redactor| {
            Ended::of(stdout::print(
                &redactor.hide(&words::escaped_lines(&format!("{said}\n"))),
            ))
        },
    )
}

fn done(host: &HostPlan, generation: Option<u64>, release: bool) -> Result<String, Failure> {
    let refused = |why: &str| by_hand::refused("pin", why);
    let path = match (&host.database, &host.output_dir) {
        (Some(_), _) => {
            return Err(refused(
                "pins sets of files, and OUTPUT_DATABASE_URL is set: a table holds the last set alone",
            ));
        }
        (None, None) => return Err(refused("needs OUTPUT_DIR")),
        (None, Some(path)) => path,
    };
    match generation {
        Some(number) if release => released(host, path, number),
        Some(number) => pinned(host, path, number),
        None if release => Err(refused("needs a generation with `--release`")),
        None => listed(path, &host.limits),
    }
}

fn pinned(host: &HostPlan, path: &Path, number: u64) -> Result<String, Failure> {
    let (limits, by_hand) = (&host.limits, ByHand::begin());
    let output = by_hand::output(path, host, "pin")?;
    let _lock = lock::acquire(&output, &by_hand.run_id)?;
    generation::refuse_strangers(&output)?;
    let found = generation::numbered(&output, number, limits)?;
    let found = found.ok_or_else(|| by_hand::missing(&output, "pin", number))?;
    let mut pins = Pins::read(&output, limits)?;
    if let Some(pin) = pins.of(&found.name) {
        let since = words::line(&pin.since, 40);
        return Ok(format!(
            "generation {number} is pinned already, since {since}"
        ));
    }
    if pins.iter().count() >= limits.pinned {
        let message = format!(
            "pins at most {}, and these are: {}; release one with `tidegate pin N --release`",
            counted(limits.pinned as u64, "generation"),
            pins.numbers()
        );
        return Err(by_hand::refused("pin", &message));
    }
    pins.add(&found.name, by_hand.since());
    pins.write(&output, &by_hand.run_id)?;
    let records = found.manifest.counts.records;
    let done = Done {
        outcome: "pinned",
        generation: found.name.to_string(),
        records,
        cursor: found.manifest.cursor.as_deref(),
        message: format!("pinned generation {number}"),
    };
    by_hand.record(Some(&output), host, done);
    Ok(format!(
        "generation {number} of {:.0} ({}) is pinned: no run removes it until `tidegate pin {number} --release`",
        found.name.committed,
        counted(records, "record")
    ))
}

fn released(host: &HostPlan, path: &Path, number: u64) -> Result<String, Failure> {
    let (limits, by_hand) = (&host.limits, ByHand::begin());
    let output = by_hand::output(path, host, "pin")?;
    let _lock = lock::acquire(&output, &by_hand.run_id)?;
    let mut pins = Pins::read(&output, limits)?;
    let name = pins.name_of(number).map(str::to_owned);
    let Some(name) = name.filter(|_| pins.remove(number)) else {
        let pinned = match pins.numbers() {
            none if none.is_empty() => "nothing is".to_owned(),
            numbers => format!("these are: {numbers}"),
        };
        let message = format!("cannot release generation {number}: it is not pinned; {pinned}");
        return Err(by_hand::refused("pin", &message));
    };
    pins.write(&output, &by_hand.run_id)?;
    let found = generation::numbered(&output, number, limits);
    let manifest = found.ok().flatten().map(|found| found.manifest);
    let done = Done {
        outcome: "unpinned",
        generation: name,
        records: manifest.as_ref().map_or(0, |of| of.counts.records),
        cursor: manifest.as_ref().and_then(|of| of.cursor.as_deref()),
        message: format!("released generation {number}"),
    };
    by_hand.record(Some(&output), host, done);
    Ok(format!(
        "generation {number} is released: a run removes it when KEEP_GENERATIONS and KEEP_FOR allow it"
    ))
}

/// The sets that are kept, the newest first, and those that are pinned.
fn listed(path: &Path, limits: &Limits) -> Result<String, Failure> {
    let nothing = || format!("nothing is published in `{}`", path.display());
    let Some(output) = Folder::open(path)? else {
        return Ok(nothing());
    };
    let current = generation::current_name(&output)?;
    let pins = Pins::read(&output, limits)?;
    let generations = output.folder(GENERATIONS)?;
    let names = generations.as_ref().map(generation::names).transpose()?;
    let names = names.unwrap_or_default();
    let mut out = line("GENERATION", "PUBLISHED (UTC)", "RECORDS", "");
    for name in names.iter().rev() {
        let manifest = generations
            .as_ref()
            .and_then(|folder| generation::manifest_of(folder, name, limits).ok().flatten());
        let records = manifest.map_or("-".to_owned(), |of| thousands(of.counts.records));
        let published = current.as_ref().map_or(0, |current| current.number);
        let place = match name.number.cmp(&published) {
            Ordering::Less => "",
            Ordering::Equal => "published",
            Ordering::Greater => "above the published one",
        };
        let pinned = pins.of(name).map(|pin| {
            let since = words::line(&pin.since, 40);
            format!("pinned since {}", since.get(..10).unwrap_or(&since))
        });
        let what: Vec<&str> = [place, pinned.as_deref().unwrap_or_default()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let committed = name.committed.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let number = name.number.to_string();
        out.push_str(&line(&number, &committed, &records, &what.join(", ")));
    }
    let is_there = |number| names.iter().any(|name| name.number == number);
    let mut missing = pins.iter().filter_map(Pin::number);
    if let Some(number) = missing.find(|number| !is_there(*number)) {
        let _ = writeln!(
            out,
            "\ngeneration {number} is pinned, and missing in `{}`",
            path.join(GENERATIONS).display()
        );
    }
    if names.is_empty() && pins.iter().count() == 0 {
        return Ok(nothing());
    }
    Ok(out.trim_end().to_owned())
}

fn line(number: &str, published: &str, records: &str, what: &str) -> String {
    let line = format!("{number:>10}  {published:<19}  {records:>13}  {what}");
    format!("{}\n", line.trim_end())
}
