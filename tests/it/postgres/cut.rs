//! The connection cut at every message of the conversation of a small run, before, within and after it, and the run killed there:
//! nothing lost, nothing doubled, state and rows always of the same commit. A share of the messages is drawn as in `crash::`.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::proxy::{Cut, Proxy};
use super::{FIRST, NEW, OLD, SECOND};
use crate::crash::sweep::Drawn;
use crate::server::Reply;
use crate::world::Job;
use crate::world::postgres::{Database, server};

/// From so many messages before `COMMIT` to so many after it, more of them are [drawn](Drawn).
const AROUND_COMMIT: usize = 8;
/// Messages after it that may not come.
const AFTER_COMMIT: usize = 8;
/// Cuts that are tried at the same time.
const WORKERS: usize = 4;

fn job(database: &Database) -> Job {
    serving(database.takes(Job::upsert()), FIRST)
}

fn serving(job: Job, page: &'static str) -> Job {
    job.api(move |_| Reply::new(200, page))
}

/// By way of this port from now on.
fn by(job: Job, database: &Database, port: u16) -> Job {
    job.set("OUTPUT_DATABASE_URL", &database.url(port))
}

/// Rows as `id version`, and the generation of the state.
fn seen(database: &Database) -> (String, String) {
    let generation = database.generation();
    if database.sql("SELECT to_regclass('orders') IS NULL") == "t" {
        return (String::new(), generation);
    }
    (
        database.sql("SELECT id, data->>'v', _generation FROM orders ORDER BY id"),
        generation,
    )
}

/// A job in a database of its own, as it stands before the run that is cut.
fn before(is_second: bool) -> (Database, Job) {
    let database = server().database();
    let mut job = job(&database);
    if is_second {
        job.start().ends_unchecked().exits(0);
        job = serving(job, SECOND);
    }
    (database, job)
}

/// One run, cut like this; and the next one. Whether it was cut at all.
fn cut_at(cut: Cut, is_second: bool) -> bool {
    let (database, job) = before(is_second);
    let before = seen(&database);
    let proxy = Proxy::start(cut);
    let done = if is_second {
        (NEW.to_owned(), "2".to_owned())
    } else {
        (OLD.to_owned(), "1".to_owned())
    };

    let mut job = by(job, &database, proxy.port());
    let running = job.start();
    let printed = match cut {
        Cut::Hold(_) => running.killed_once(|| proxy.is_cut()),
        _ => running.ends_unchecked(),
    };

    database.is_left_alone();
    let after = seen(&database);
    let context = format!(
        "{cut:?}: {after:?}\n{}{}\n{:?}",
        printed.stdout,
        printed.stderr,
        proxy.kinds().last()
    );
    match printed.code {
        Some(0) => assert_eq!(after, done, "{context}"),
        Some(75) => assert_eq!(after, before, "{context}"),
        None if matches!(cut, Cut::Hold(_)) => {
            assert!(after == before || after == done, "{context}");
        }
        _ => panic!("an exit code that is not of the table: {context}"),
    }
    let summary = printed
        .stdout
        .lines()
        .last()
        .and_then(|line| serde_json::from_str::<Value>(line).ok());
    let committed = summary.map(|summary| summary["committed"].clone());
    assert_ne!(committed, Some("unknown".into()), "{context}");

    let mut job = by(job, &database, server().port);
    job.start().ends_unchecked().exits(0);
    let rows = seen(&database).0;
    assert_eq!(
        rows.replace("|2|3", "|2|2"),
        done.0,
        "the next run: {context}"
    );
    proxy.is_cut()
}

fn conversation(is_second: bool) -> Vec<String> {
    let (database, job) = before(is_second);
    let proxy = Proxy::start(Cut::Count);
    let mut job = by(job, &database, proxy.port());
    job.start().ends_unchecked().exits(0);
    proxy.kinds()
}

fn cut_everywhere(is_second: bool) {
    let kinds = conversation(is_second);
    let commit = kinds.iter().position(|kind| kind.starts_with(">QCOMMIT"));
    let commit = commit.expect("a run commits");
    let near = commit.saturating_sub(AROUND_COMMIT)..=commit + AROUND_COMMIT;
    let drawn = Drawn::of_this_process();
    // After one message is before the next one, but for who notices first.
    let ways = |at| {
        [
            Cut::Before(at),
            Cut::Within(at),
            Cut::After(at),
            Cut::Hold(at),
        ]
    };
    let is_tried = |at: usize, way: usize| {
        // A multiple that shares no factor with a share of twelve: each way is drawn at one message in twelve.
        let number = 5 * at + way;
        let tells_most_apart =
            drawn == Drawn::All || matches!(ways(at)[way], Cut::Before(_) | Cut::Hold(_));
        at == commit
            || near.contains(&at) && drawn.has_at_commit(number)
            || tells_most_apart && drawn.has(number)
    };
    let all = (0..kinds.len()).flat_map(|at| (0..ways(at).len()).map(move |way| (at, way)));
    let tried = all.filter(|&(at, way)| is_tried(at, way));
    let cuts: Vec<Cut> = tried.map(|(at, way)| ways(at)[way]).collect();
    let next = AtomicUsize::new(0);
    let made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    made.fetch_add(usize::from(cut_at(*cut, is_second)), Ordering::Relaxed);
                }
            });
        }
    });
    let made = made.into_inner();
    // What comes after the commit, such as the farewell, differs from run to run.
    let may_miss = (ways(0).len() * AFTER_COMMIT).min(cuts.len() / 5);
    assert!(
        made + may_miss >= cuts.len(),
        "{made} of {} cuts",
        cuts.len()
    );
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{made} cuts and kills of {} in {} messages; {drawn}",
        ways(0).len() * kinds.len(),
        kinds.len()
    );
}

#[test]
fn a_first_run_cut_or_killed_at_any_message_is_done_or_never_happened() {
    cut_everywhere(false);
}

#[test]
fn a_merge_cut_or_killed_at_any_message_is_done_or_never_happened() {
    cut_everywhere(true);
}
