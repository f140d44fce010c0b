//! `test`: a connector against a scripted API on this machine, one line a check.
//!
//! It calls what `run` calls; only the API and the settings are made up. A check is a few runs of the component, and what
//! they published, asked for and said. Nothing is left behind.

mod api;
mod checks;
mod published;
mod report;
mod rows;
mod subject;
mod trial;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use self::checks::{Bench, Check, Proof, Wrong};
use self::report::Report;
use self::subject::Subject;
use crate::cli::TestArgs;
use crate::folder::{self, Temporary};
use crate::limits::Limits;
use crate::outcome::{Ended, Failure, OrFail as _, Outcome};
use crate::process::watch::{NO_THREAD, Watch};
use crate::settings::host::temp_dir;

/// Checks that are made at the same time: most of their time is waiting.
const AT_ONCE: usize = 4;

/// Runs the battery and prints it: exit 0 if all of it holds, 1 if not. `Err` as a run: wrong usage, a component that cannot be
/// read, settings that cannot be used.
pub fn test(args: &TestArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let environment: Vec<_> = environment.into_iter().collect();
    match tested(args, environment) {
        Ok(exit_code) => Ended {
            exit_code,
            ..Ended::ok()
        },
        Err(failure) => Ended::of(Err(failure)),
    }
}

fn tested(args: &TestArgs, environment: Vec<(String, String)>) -> Result<u8, Failure> {
    let watch = Watch::begin();
    let wanted = wanted(&args.only)?;
    let limits = Limits::default();
    let above = temp_dir(|name| {
        let mut known = environment.iter().filter(|(known, _)| known == name);
        known.next().map(|(_, value)| value.as_str())
    });
    let check = || watch.stop.check();
    let _ = folder::sweep("test", &above, &limits, &check);
    let folder = Temporary::new("test", &above, &limits)?;
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .or_fail(Outcome::TryLater, || "cannot start the scripted API")?;
    let subject = Subject::new(args, environment, &folder, serving.handle(), &watch)?;
    let mut report = Report::new(&subject, args.output);
    prove(&subject, &wanted, &watch, |check, proof| match proof {
        Err(Wrong::Broken(failure)) => Err(failure),
        proof => report.add(check.name, proof),
    })?;
    report.end()
}

/// The checks of these names; all of them where none is given.
fn wanted(names: &[String]) -> Result<Vec<&'static Check>, Failure> {
    let all = || checks::ALL.iter().copied().flatten();
    if let Some(unknown) = names
        .iter()
        .find(|name| all().all(|check| check.name != **name))
    {
        let known: Vec<&str> = all().map(|check| check.name).collect();
        return Err(Failure::new(
            Outcome::Usage,
            format!(
                "there is no check `{unknown}`; there are: {}",
                known.join("; ")
            ),
        ));
    }
    let is_wanted =
        |check: &&Check| names.is_empty() || names.iter().any(|name| name == check.name);
    Ok(all().filter(is_wanted).collect())
}

/// Makes the checks, some at the same time, and hands on what they find in their order, as soon as it is known.
fn prove(
    subject: &Subject,
    wanted: &[&'static Check],
    watch: &Watch,
    mut each: impl FnMut(&'static Check, Proof) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let bench = Bench::new(subject);
    let next = AtomicUsize::new(0);
    let (done, proofs) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (bench, next, done) = (&bench, &next, done.clone());
            let work = move || {
                while let Some(check) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let proof = bench.prove(check, &watch.stop);
                    // Who reads it may have seen enough.
                    let _ = done.send((check.name, proof));
                }
            };
            let started = thread::Builder::new().spawn_scoped(scope, work);
            started.or_fail(Outcome::TryLater, || NO_THREAD)?;
        }
        drop(done);
        let mut known: BTreeMap<&str, Proof> = BTreeMap::new();
        for check in wanted {
            while !known.contains_key(check.name) {
                let Ok((name, proof)) = proofs.recv() else {
                    // Whoever made it panicked, which the end of the scope passes on.
                    return Ok(());
                };
                known.insert(name, proof);
            }
            if let Some(proof) = known.remove(check.name)
                && let Err(failure) = each(check, proof)
            {
                next.store(wanted.len(), Ordering::Relaxed);
                return Err(failure);
            }
        }
        Ok(())
    })
}
