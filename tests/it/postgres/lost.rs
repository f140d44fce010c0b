//! The connection lost at `COMMIT`. Where the server can be asked afterwards, its row says what became of it; where it cannot,
//! the run says that nobody knows, and the next one goes on from whichever is there.

use tidegate::outcome::Outcome;

use super::proxy::{Cut, Proxy};
use super::{FIRST, NEW, OLD, SECOND};
use crate::world::postgres::{Database, server};
use crate::world::{Job, Run};

fn rows(database: &Database) -> String {
    database.sql("SELECT id, data->>'v', _generation FROM orders ORDER BY id")
}

/// A second run, lost at its `COMMIT`; the job is as it would be without the proxy afterwards.
fn lost(cut: Cut) -> (Database, Job, Run) {
    let database = server().database();
    let mut job = Job::upsert().postgres(database.clone()).page(200, FIRST);
    job.run().exits(Outcome::Published);
    let proxy = Proxy::start(cut);
    let mut job = job
        .set("OUTPUT_DATABASE_URL", &database.url(proxy.port()))
        .page(200, SECOND);

    let run = job.run();

    assert!(proxy.is_cut(), "{:?}", proxy.kinds());
    database.is_left_alone();
    let job = job.set("OUTPUT_DATABASE_URL", &database.url(server().port));
    (database, job, run)
}

fn nobody_knows(arrives: bool) {
    let for_good = true;
    let (database, job, run) = lost(Cut::Commit { arrives, for_good });

    run.exits(Outcome::IoFailed)
        .stderr_has("commit in")
        .stderr_has("whether it was committed is not known")
        .stderr_has("connect to the database `postgres://etl@127.0.0.1:")
        .stderr_has(
            "; fix the cause and run again: the next run continues from whichever is there",
        );
    assert!(!run.stderr.contains("disk"), "{}", run.stderr);
    assert_eq!(run.summary()["committed"], "unknown");
    assert_eq!(run.last_run()["committed"], "unknown");
    let (now, next) = if arrives {
        (NEW, Outcome::NothingNew)
    } else {
        (OLD, Outcome::Published)
    };
    assert_eq!(rows(&database), now);
    let mut job = job.page(200, SECOND);
    job.run().exits(next);
    assert_eq!(rows(&database), NEW);
}

#[test]
fn a_commit_of_which_nobody_can_be_asked_is_unknown_and_the_next_run_goes_on_from_the_row() {
    // Both wait for as long as a server is asked.
    std::thread::scope(|scope| {
        scope.spawn(|| nobody_knows(true));
        nobody_knows(false);
    });
}

#[test]
fn a_commit_that_arrived_is_found_by_the_row() {
    let (arrives, for_good) = (true, false);
    let (database, job, run) = lost(Cut::Commit { arrives, for_good });

    run.exits(Outcome::Published);
    assert_eq!(
        run.warnings()[0]["msg"],
        "answer to COMMIT lost, reading the state"
    );
    assert_eq!(rows(&database), NEW);
    job.page(200, SECOND).run().exits(Outcome::NothingNew);
}

#[test]
fn a_commit_that_did_not_arrive_is_for_the_next_run() {
    let (arrives, for_good) = (false, false);
    let (database, job, run) = lost(Cut::Commit { arrives, for_good });

    run.exits(Outcome::TryLater)
        .stderr_has("the state there says that nothing was committed");
    assert_eq!(run.summary()["committed"], "no");
    assert_eq!(rows(&database), OLD);
    job.page(200, SECOND).run().exits(Outcome::Published);
    assert_eq!(rows(&database), NEW);
}
