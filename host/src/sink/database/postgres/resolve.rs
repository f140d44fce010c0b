//! What became of a commit whose answer was lost: read from the job's row once the session that made it is gone, never guessed.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use crate::outcome::{Committed, Failure, Outcome};
use crate::sink::database::StateRow;

use super::Postgres;
use super::connect::{Backend, Session};
use super::wait::{Given, Trouble, wait};

const PAUSE: Duration = Duration::from_millis(250);

/// What became of a commit.
#[derive(Debug)]
pub enum Became {
    Committed,
    NotCommitted,
    /// Nobody could be asked; the last reason.
    Unknown(String),
}

/// Finds out what became of `row`. On `Committed` there is a session again that holds the run lock, or none.
pub fn resolve(postgres: &mut Postgres<'_>, row: &StateRow) -> Became {
    let begun = Instant::now();
    let former = postgres.session.take().map(|session| session.backend);
    let mut why = "no connection was made".to_owned();
    while begun.elapsed() < postgres.way.limits.database_resolve {
        match ask(postgres, former.as_ref(), row) {
            Ok(Some(became)) => return became,
            Ok(None) => "the former session is still there".clone_into(&mut why),
            Err(failure) => why = failure,
        }
        std::thread::sleep(PAUSE);
    }
    Became::Unknown(why)
}

/// One try. `None`: the session that made it is not gone yet.
fn ask(
    postgres: &mut Postgres<'_>,
    former: Option<&Backend>,
    row: &StateRow,
) -> Result<Option<Became>, String> {
    let session = postgres
        .way
        .connect(None)
        .map_err(|failure| failure.message)?;
    let told = |trouble: Trouble| {
        trouble
            .failure("cannot query", postgres.way.address)
            .message
    };
    let is_locked = postgres.way.try_lock(&session, None).map_err(told)?;
    // Where another run has the lock, ours has let go of it, and so is gone.
    if !is_locked && is_there(postgres, &session, former).map_err(told)? {
        return Ok(None);
    }
    postgres.session = Some(session);
    let now = postgres.read(None).map_err(told)?;
    if !is_locked {
        postgres.session = None;
    }
    Ok(Some(judged(now.as_ref(), row)))
}

/// Whether the former session is still there; if so, it is told to end: its client is gone.
fn is_there(
    postgres: &Postgres<'_>,
    session: &Session,
    former: Option<&Backend>,
) -> Result<bool, Trouble> {
    let Some(former) = former else {
        return Ok(false);
    };
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2";
    let of: Given<'_> = &[(&former.pid, Type::INT4), (&former.started, Type::TEXT)];
    let asked = session.client.query_typed_opt(sql, of);
    let found = wait(None, postgres.way.limits.database_answer, asked)?;
    Ok(found.is_some())
}

/// What the row there says of ours.
fn judged(now: Option<&StateRow>, ours: &StateRow) -> Became {
    let Some(now) = now else {
        return match ours.generation {
            1 => Became::NotCommitted,
            _ => Became::Unknown("the row of the job is gone".to_owned()),
        };
    };
    if (now.generation, &now.manifest) == (ours.generation, &ours.manifest) {
        return Became::Committed;
    }
    if now.generation + 1 == ours.generation {
        return Became::NotCommitted;
    }
    Became::Unknown(format!(
        "the state there is of generation {}, and {} was to be committed",
        now.generation, ours.generation
    ))
}

/// A commit of which nobody can say whether it happened.
pub fn unknown(lost: &Failure, why: &str) -> Failure {
    Failure {
        outcome: Outcome::IoFailed,
        message: format!(
            "{}; whether it was committed is not known ({why})",
            lost.message
        ),
        committed: Committed::Unknown,
        is_overlap: false,
        may_pass: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(generation: u64, manifest: &str) -> StateRow {
        StateRow {
            job: "orders".into(),
            generation,
            parent: None,
            state: String::new(),
            manifest: manifest.into(),
            committed_at: String::new(),
        }
    }

    #[test]
    fn only_our_own_row_is_our_commit() {
        let ours = row(7, "ours");

        assert!(matches!(
            judged(Some(&row(7, "ours")), &ours),
            Became::Committed
        ));
        assert!(matches!(
            judged(Some(&row(6, "parent")), &ours),
            Became::NotCommitted
        ));
        assert!(matches!(
            judged(Some(&row(7, "theirs")), &ours),
            Became::Unknown(_)
        ));
        assert!(matches!(
            judged(Some(&row(8, "later")), &ours),
            Became::Unknown(_)
        ));
        assert!(matches!(judged(None, &ours), Became::Unknown(_)));
        assert!(matches!(
            judged(None, &row(1, "ours")),
            Became::NotCommitted
        ));
    }
}
