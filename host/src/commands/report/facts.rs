//! What a report says of one job, as plain facts: gathered where the job's output is, and handed on as one line of JSON.
//!
//! Every text in it is on one line, limited, and steers nothing; `gathered` has its secrets hidden before anybody parses it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cadence::Cadence;
use crate::commands::health::{Ages, health};
use crate::commands::runs::last_runs;
use crate::folder::{Folder, Writers};
use crate::limits::{
    REPORT_LINE_BYTES_MAX, REPORT_MESSAGE_BYTES_MAX, REPORT_RUNS_MAX, REPORT_WORDS_BYTES_MAX,
};
use crate::outcome::{Failure, Outcome};
use crate::run::hold::Hold;
use crate::settings::host::HostPlan;
use crate::words;

/// One job. A member that is missing in the JSON is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// `tenant/name` in a folder, else JOB_NAME.
    pub job: String,
    /// Of a job in the folder of a tenant.
    pub tenant: String,
    /// What `health` says: `fresh`, `stale` or `unknown`.
    pub status: String,
    /// Why.
    pub reasons: Vec<String>,
    /// What holds it, if something does.
    pub held: Option<String>,
    /// Whether the last success is older than MAX_AGE.
    pub is_old: bool,
    /// What is published.
    pub generation: Option<Published>,
    /// MAX_AGE.
    pub max_age_seconds: u64,
    /// How often its runs begin, where that is known.
    pub every_seconds: Option<u64>,
    /// When the next run begins, if it keeps to that.
    pub next_run: Option<String>,
    /// Whether no run has begun for longer than ever before.
    pub is_late: bool,
    /// The last ones, the newest first.
    pub runs: Vec<RunFacts>,
    /// STATUS_PAGE.
    pub status_page: Option<String>,
    /// ALLOW_SHARED_OUTPUT.
    pub is_shared: bool,
    /// The code and the line of an error, where nothing could be found out.
    pub error: Option<(u8, String)>,
}

/// The set that readers see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Published {
    pub name: String,
    /// RFC 3339 in UTC.
    pub committed: String,
    pub records: u64,
    pub cursor: Option<String>,
}

impl Published {
    fn age(&self, now: Timestamp) -> Option<Duration> {
        let committed: Timestamp = self.committed.parse().ok()?;
        Duration::try_from(now.duration_since(committed)).ok()
    }
}

/// How one run ended: members of `last-run.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFacts {
    pub started: String,
    pub finished: String,
    pub exit_code: u8,
    pub outcome: String,
    /// Records in the set after it, where it came so far as to look.
    pub records: Option<u64>,
    pub new: Option<u64>,
    pub changed: Option<u64>,
    pub deleted: Option<u64>,
    pub fetched: Option<u64>,
    pub rejected: Option<u64>,
    pub requests: Option<u64>,
    pub duration_ms: Option<u64>,
    /// Members of the records that changed, in words.
    pub drift: Option<String>,
    pub message: Option<String>,
    /// Whether a person did it: `--dry-run`, another `--set` than the runs around it, a rollback, or what fetches nothing.
    pub by_hand: bool,
}

impl RunFacts {
    pub fn has_failed(&self) -> bool {
        self.exit_code != 0
    }

    pub fn began(&self) -> Option<Timestamp> {
        self.started.parse().ok()
    }

    /// The runs of these lines, the newest first.
    fn all(lines: &[Value]) -> Vec<Self> {
        let set = |at: Option<usize>| at.and_then(|at| lines.get(at)).map(set_of);
        let runs = lines.iter().enumerate().map(|(at, line)| {
            let (own, before) = (set_of(line), set(Some(at + 1)));
            let is_set_once = !own.is_empty()
                && before.is_some_and(|before| before != own)
                && set(at.checked_sub(1)).map_or(has_failed(line), |after| after != own);
            Self::of(line, is_set_once)
        });
        runs.collect()
    }

    fn of(run: &Value, is_set_once: bool) -> Self {
        let text = |member: &str| line(run[member].as_str().unwrap_or_default());
        let number = |member: &str| run[member].as_u64();
        let is_known = !run["generation"].is_null();
        let has_changed = run["committed"].as_str() != Some("no");
        let message = run["message"].as_str();
        Self {
            started: text("started"),
            finished: text("finished"),
            exit_code: number("exit_code")
                .map_or(u8::MAX, |code| code.try_into().unwrap_or(u8::MAX)),
            outcome: text("outcome"),
            records: number("records").filter(|_| is_known),
            new: number("new"),
            changed: number("changed"),
            deleted: number("deleted").filter(|_| has_changed),
            fetched: number("fetched"),
            rejected: number("rejected"),
            requests: number("requests"),
            duration_ms: number("duration_ms"),
            drift: drift(&run["drift"]),
            message: message.map(|message| words::line(message, REPORT_MESSAGE_BYTES_MAX)),
            // `pin`, `rollback` and `state` fetch nothing.
            by_hand: run["dry_run"].as_bool() == Some(true)
                || run["fetched"].as_u64().is_none()
                || is_set_once,
        }
    }
}

impl Facts {
    /// Of a job of which nothing could be found out.
    pub fn unknown(job: String, tenant: String, code: u8, why: &str) -> Self {
        Self {
            job,
            tenant,
            status: "unknown".to_owned(),
            error: Some((code, words::line(why, REPORT_MESSAGE_BYTES_MAX))),
            ..Self::default()
        }
    }

    /// The job that `host` publishes, with its last runs, at most `most`.
    pub fn gathered(host: &HostPlan, most: usize, now: Timestamp) -> Result<Self, Failure> {
        let ages = Ages {
            success: host.max_age,
            cursor: host.max_cursor_age,
        };
        let runs = last_runs(host, most.min(REPORT_RUNS_MAX), false)?;
        let runs = RunFacts::all(&runs);
        let report: Value = serde_json::from_str(&health(host, ages, false).json())
            .map_err(|error| broken(&error))?;
        let text = |value: &Value| line(value.as_str().unwrap_or_default());
        let published = &report["generation"];
        let generation = (!published.is_null()).then(|| Published {
            name: text(&published["name"]),
            committed: text(&published["committed"]),
            records: published["records"].as_u64().unwrap_or_default(),
            cursor: published["cursor"].as_str().map(line),
        });
        let folder = host.output_dir.as_deref().map(Folder::open);
        let folder = folder.transpose().ok().flatten().flatten();
        let held = folder.and_then(|folder| Hold::shown(&folder, &host.limits).ok().flatten());
        let reasons = report["reasons"].as_array().into_iter().flatten();
        let cadence = Cadence::of(&runs);
        let page = host.status_page.as_ref();
        let age = generation
            .as_ref()
            .and_then(|published: &Published| published.age(now));
        Ok(Self {
            is_old: age.is_some_and(|age| age > host.max_age),
            job: words::line(&host.job, REPORT_WORDS_BYTES_MAX),
            tenant: String::new(),
            status: text(&report["status"]),
            reasons: reasons
                .map(|reason| {
                    words::line(
                        reason.as_str().unwrap_or_default(),
                        REPORT_MESSAGE_BYTES_MAX,
                    )
                })
                .collect(),
            held: held.map(|why| words::line(&why, REPORT_MESSAGE_BYTES_MAX)),
            generation,
            max_age_seconds: host.max_age.as_secs(),
            every_seconds: cadence.as_ref().map(|cadence| cadence.every.as_secs()),
            next_run: cadence.as_ref().and_then(Cadence::next).map(shown),
            is_late: cadence.is_some_and(|cadence| cadence.is_late(now)),
            runs,
            status_page: page.and_then(|page| Some(page.to_str()?.to_owned())),
            is_shared: host.writers == Writers::Group,
            error: None,
        })
    }

    /// The same as one line of JSON, none of it longer than a line may be: the oldest runs are left out.
    pub fn json(mut self) -> String {
        loop {
            let text = words::escaped(&serde_json::to_string(&self).unwrap_or_default());
            if text.len() <= REPORT_LINE_BYTES_MAX || self.runs.is_empty() {
                return text;
            }
            self.runs.truncate(self.runs.len() / 2);
        }
    }

    /// Reads that line.
    pub fn parsed(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|error| broken(&error))
    }

    /// How old the last success is.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.generation.as_ref()?.age(now)
    }

    /// The runs that count: those that a schedule started, the newest first.
    pub fn scheduled(&self) -> impl Iterator<Item = &RunFacts> + Clone {
        self.runs.iter().filter(|run| !run.by_hand)
    }

    /// The failures since the last success, the newest first.
    pub fn failing(&self) -> impl Iterator<Item = &RunFacts> {
        self.scheduled().take_while(|run| run.has_failed())
    }
}

fn broken(error: &serde_json::Error) -> Failure {
    let message = format!("cannot read what a job says of itself: {error}");
    Failure::new(Outcome::ComponentFailed, message)
}

fn line(text: &str) -> String {
    words::line(text, REPORT_WORDS_BYTES_MAX)
}

/// To the second.
fn shown(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// The names that a run was given by `--set`.
fn set_of(run: &Value) -> Vec<&str> {
    let set = run["set"].as_array().into_iter().flatten();
    set.filter_map(Value::as_str).collect()
}

fn has_failed(run: &Value) -> bool {
    run["exit_code"].as_u64() != Some(0)
}

/// The members that changed, in words; none if none did.
fn drift(drift: &Value) -> Option<String> {
    let texts = |member: &str, each: &dyn Fn(&Value) -> Option<String>| {
        let all = drift[member].as_array().into_iter().flatten();
        all.filter_map(each).collect::<Vec<_>>().join(", ")
    };
    let name = |value: &Value| value.as_str().map(str::to_owned);
    let kinds = |value: &Value| {
        let kinds = value.as_array()?.iter().filter_map(Value::as_str);
        Some(kinds.collect::<Vec<_>>().join(" or "))
    };
    let renamed = |value: &Value| {
        let (from, to) = (value["from"].as_str()?, value["to"].as_str()?);
        Some(format!("{from} to {to}"))
    };
    let retyped = |value: &Value| {
        let member = value["member"].as_str()?;
        let (was, is) = (kinds(&value["was"])?, kinds(&value["is"])?);
        Some(format!("{member} from {was} to {is}"))
    };
    let parts = [
        ("new", texts("new", &name)),
        ("missing", texts("missing", &name)),
        ("renamed", texts("renamed", &renamed)),
        ("other type", texts("retyped", &retyped)),
    ];
    let mut parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, what)| !what.is_empty())
        .map(|(how, what)| format!("{how}: {what}"))
        .collect();
    if let Some(more @ 1..) = drift["unlisted"].as_u64() {
        parts.push(format!("and {more} more"));
    }
    (!parts.is_empty()).then(|| words::line(&parts.join("; "), REPORT_WORDS_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_what_its_line_says() {
        let run = RunFacts::of(
            &json!({
                "started": "2026-11-28T03:00:00.000Z", "exit_code": 69, "outcome": "source_refused",
                "generation": null, "committed": "no", "records": 0, "deleted": 0,
                "message": "says\n\u{202e}no", "drift": {
                    "new": ["/a"], "missing": [], "renamed": [{"from": "/b", "to": "/c"}],
                    "retyped": [{"member": "/d", "was": ["string"], "is": ["string", "null"]}], "unlisted": 2,
                },
            }),
            false,
        );

        assert_eq!((run.records, run.deleted), (None, None));
        assert_eq!(run.message.as_deref(), Some("says \\u202eno"));
        assert_eq!(
            run.drift.as_deref(),
            Some(
                "new: /a; renamed: /b to /c; other type: /d from string to string or null; and 2 more"
            )
        );
        assert!(RunFacts::of(&json!({}), false).has_failed());
    }

    #[test]
    fn what_a_schedule_sets_is_not_by_hand() {
        let by_hand = |lines: &[Value]| {
            let runs = RunFacts::all(lines).into_iter().map(|run| run.by_hand);
            runs.collect::<Vec<_>>()
        };
        let run =
            |set: &[&str], exit_code| json!({"set": set, "exit_code": exit_code, "fetched": 0});
        let (plain, other) = (run(&[], 0), run(&["A"], 0));

        for (lines, expected) in [
            (
                vec![plain.clone(), other.clone(), plain.clone()],
                vec![false, true, false],
            ),
            // A line of a crontab that was changed.
            (
                vec![other.clone(), other.clone(), plain.clone()],
                vec![false, false, false],
            ),
            (vec![other.clone(), plain.clone()], vec![false, false]),
            (vec![run(&["A"], 69), plain.clone()], vec![true, false]),
            (
                vec![run(&["A"], 69), run(&["A"], 69), plain],
                vec![false, false, false],
            ),
            (vec![json!({"dry_run": true, "fetched": 0})], vec![true]),
            (
                vec![json!({"outcome": "pinned", "exit_code": 0})],
                vec![true],
            ),
        ] {
            assert_eq!(by_hand(&lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_line_is_no_longer_than_a_line_may_be() {
        let run = RunFacts {
            message: Some("m".repeat(REPORT_MESSAGE_BYTES_MAX)),
            ..RunFacts::default()
        };
        let facts = Facts {
            job: "orders".to_owned(),
            runs: vec![run; 2_000],
            ..Facts::default()
        };

        let text = facts.json();

        assert!(text.len() <= REPORT_LINE_BYTES_MAX);
        let read = Facts::parsed(&text).unwrap();
        assert!(read.runs.len() > 50, "{}", read.runs.len());
        assert_eq!(read.job, "orders");
    }
}
