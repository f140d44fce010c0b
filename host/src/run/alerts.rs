//! Alerts and pings: who hears how this run ended, and whether that is worth an alert.
//!
//! What counts is kept with the record of the last run, or apart where that cannot be written: see `kept`. A run is counted once,
//! written down, then the notice is sent, and that it was sent is written down as well: a run that is killed in between sends
//! it again. Nothing here changes how a run ends, and all of it together takes no longer than `NOTICES_MAX`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use crate::egress::NoticeWay;
use crate::folder::Folder;
use crate::limits::{Limits, NOTICES_MAX};
use crate::log::Log;
use crate::outcome::Outcome;
use crate::process::watch::Watch;
use crate::run::last_run::{self, LastRun};
use crate::run::summary::Summary;
use crate::run::{LockState, Run};
use crate::settings::alerts::{After, AlertPlan};
use crate::settings::host::HostPlan;
use crate::sink::Sink;

mod kept;
mod message;
mod ping;
mod send;

use kept::Kept;
pub use message::Event;
use message::Message;
use ping::Ping;

/// How much earlier than ALERT_REPEAT says the next alert may be, at the most: runs do not all take as long.
const SLACK: Duration = Duration::from_hours(1);
/// How long the end of a run waits for what was said at its beginning.
const START_AWAITED: Duration = Duration::from_secs(3);
/// What a notice that is given up may need to say so.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Failed runs in a row, and what was said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failing {
    /// How many.
    pub failures: u64,
    /// When the first of them began, RFC 3339 in UTC.
    pub since: String,
    /// When the last alert was sent.
    pub alerted: Option<String>,
    /// Whether the last run worked, and the notice of that has not been sent yet.
    pub is_over: bool,
}

impl Failing {
    /// What one more run makes of it, and what is to be said.
    fn next(
        before: Option<&Self>,
        run: &Counted<'_>,
        after: After,
        repeat: Duration,
    ) -> (Option<Self>, Option<Event>) {
        if !run.has_failed {
            let told = before.filter(|before| before.alerted.is_some());
            let over = told.map(|before| Self {
                is_over: true,
                ..before.clone()
            });
            let event = over.is_some().then_some(Event::Recovered);
            return (over, event);
        }
        let now = match before {
            Some(before) if !before.is_over => Self {
                failures: before.failures.saturating_add(1),
                ..before.clone()
            },
            before => Self {
                failures: 1,
                since: run.started.to_owned(),
                alerted: before.and_then(|before| before.alerted.clone()),
                is_over: false,
            },
        };
        let is_reached = match after {
            After::Failures(most) => now.failures >= most,
            After::Time(most) => elapsed(&now.since, run.finished).is_none_or(|took| took >= most),
        };
        // A clock that was set back is no reason to be silent.
        let is_due = match &now.alerted {
            None => true,
            // A daily job is no less late for having failed a little faster.
            Some(at) => elapsed(at, run.finished)
                .is_none_or(|since| since + (repeat / 10).min(SLACK) >= repeat),
        };
        (Some(now), (is_reached && is_due).then_some(Event::Failing))
    }
}

/// What the row of a run has of this.
#[derive(Debug, PartialEq, Eq)]
pub struct InRow(pub Option<Failing>);

/// What counts of a run.
struct Counted<'s> {
    has_failed: bool,
    started: &'s str,
    finished: &'s str,
}

/// From one time to another; none if that is not known, or is before it.
fn elapsed(from: &str, to: &str) -> Option<Duration> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    Duration::try_from(to.duration_since(from)).ok()
}

/// The notices of one run.
pub struct Alerts {
    plan: AlertPlan,
    way: NoticeWay,
    limits: Limits,
    /// Where the state is kept if it cannot be kept with the record of the last run.
    kept: Option<Kept>,
    /// What identifies the job at a service that counts incidents.
    job_id: String,
    /// How the run before this one ended, once that is known.
    before: Option<LastRun>,
    /// What a database has of this run's count, if it has a row of it.
    pub recorded: Option<InRow>,
    /// Whether the run was not begun, and says nothing of the job: it is held.
    is_put_off: bool,
    /// What was said when it began, and its answer.
    ping: Option<Ping>,
    start: Option<JoinHandle<()>>,
}

/// What became of a run, as far as alerts matter.
pub struct Told {
    /// Whether its line is written to stderr.
    pub is_said: bool,
    /// The line of a run that works again.
    pub recovered: Option<String>,
}

impl Alerts {
    /// Of this job; `is_quiet`: of a caller within the library, and nobody hears of it.
    pub fn new(host: &HostPlan, is_quiet: bool) -> Self {
        let mut plan = host.alerts.clone();
        if is_quiet {
            (plan.is_asked, plan.ping) = (false, None);
        }
        let output = match (&host.output_dir, &host.database) {
            (Some(path), _) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                path.display().to_string()
            }
            (None, Some(url)) => url.to_string(),
            (None, None) => String::new(),
        };
        let tenant = host.tenant.as_ref().map_or("", |tenant| tenant.name());
        let job_id = crate::hash::sha256(format!("{tenant}\n{}\n{output}", host.job).as_bytes());
        let way = NoticeWay {
            proxy: host.proxy.clone(),
            ca: host.ca_file.clone(),
            private_networks: plan.private_networks,
        };
        let ping = plan.ping.as_ref();
        let ping = ping.and_then(|url| Url::parse(url.expose()).ok());
        Self {
            kept: plan
                .is_asked
                .then(|| Kept::new(host.cache_dir.as_ref(), &job_id))
                .flatten(),
            job_id,
            way,
            limits: host.limits.clone(),
            before: None,
            recorded: None,
            is_put_off: false,
            ping: ping.map(Ping::new),
            start: None,
            plan,
        }
    }

    fn is_wanted(&self) -> bool {
        self.plan.is_asked || self.ping.is_some()
    }

    /// The run was not begun, as the job is held.
    pub fn put_off(&mut self) {
        self.is_put_off = true;
    }

    /// How the run before this one ended, by the record in `folder` if nobody has looked yet.
    fn look_back(&mut self, folder: Option<&Folder>) -> Option<LastRun> {
        // Each time: a run that failed before it had the lock may have written it meanwhile.
        if let Some(folder) = folder {
            let read = last_run::read(folder, &Limits::default());
            self.before = read.ok().flatten();
        }
        let recorded = self.before.clone();
        let apart = self.kept.as_ref().and_then(Kept::read);
        // Whichever was written last.
        match (recorded, apart) {
            (Some(recorded), Some(apart)) if apart.finished > recorded.finished => Some(apart),
            (None, apart) => apart,
            (recorded, _) => recorded,
        }
    }

    /// Counts a run that has ended, and says in its summary what comes of it. What is due then is returned.
    fn count(&mut self, summary: &mut Summary, folder: Option<&Folder>) -> Option<Event> {
        let before = self.look_back(folder);
        let known = before.as_ref().and_then(|before| before.alert.clone());
        if !self.plan.is_asked {
            return None;
        }
        if !is_counted(summary, before.as_ref()) || self.is_put_off {
            summary.alert = known;
            return None;
        }
        let run = Counted {
            has_failed: summary.exit_code != 0,
            started: &summary.started,
            finished: &summary.finished,
        };
        let (plan, known) = (&self.plan, known.as_ref());
        let (alert, event) = Failing::next(known, &run, plan.after, plan.repeat);
        summary.alert = alert;
        event
    }

    /// What a database has of the run before this one, for a run that has not asked it.
    pub fn know(&mut self, recorded: Option<&str>) {
        if let (None, Some(text)) = (&self.before, recorded) {
            self.before = serde_json::from_str(text).ok();
        }
    }

    /// The same for a record that is written before the notices are sent.
    pub fn count_for_record(&mut self, summary: &mut Summary) {
        let _ = self.count(summary, None);
    }

    /// Tells whoever wants to hear it how a run ended. `write` writes its summary down: true if and only if the next run can read
    /// it. `error` is the line of a run that failed.
    pub fn tell(
        mut self,
        (watch, log): (&Watch, &Log),
        (lock, folder): (&LockState, Option<&Folder>),
        summary: &mut Summary,
        error: Option<&str>,
        mut write: impl FnMut(&Summary) -> bool,
    ) -> Told {
        let as_ever = Told {
            is_said: true,
            recovered: None,
        };
        if !self.is_wanted() {
            write(summary);
            return as_ever;
        }
        self.is_put_off |= matches!(lock, LockState::Lost);
        if self.is_put_off {
            let _ = self.count(summary, folder);
            write(summary);
            // Nothing else would tell of a lock that is never released.
            return as_ever;
        }
        let is_trial = last_run::is_a_trial(summary, self.look_back(folder).as_ref());
        let mut due = self.count(summary, folder);
        let is_written = self.write(summary, &mut write);
        if is_trial || summary.dry_run {
            return as_ever;
        }
        let has_failed = summary.exit_code != 0 && is_failure(summary);
        if has_failed && self.plan.is_asked && !is_written {
            // Nobody can count what nobody remembers.
            due = Some(Event::Failing);
        }
        let message = due.map(|event| Message::new(event, summary, error, &self.job_id, log));
        let ended = error.map_or_else(|| summary.sentence(), str::to_owned);
        let is_sent = self.send(watch, log, message.as_ref(), (summary.exit_code, ended));
        let is_asked = self.plan.is_asked;
        let usable =
            usize::from(self.plan.url.is_some()) + usize::from(self.plan.command.is_some());
        let is_unheard = usable < self.plan.channels;
        let is_done = (is_sent || self.plan.channels == 0) && !is_unheard;
        if let Some(event) = due.filter(|_| is_done) {
            summary.alert = summary.alert.take().filter(|_| event == Event::Failing);
            if let Some(alert) = &mut summary.alert {
                alert.alerted = Some(summary.finished.clone());
            }
            self.write(summary, &mut write);
        }
        Told {
            is_said: !is_asked || is_unheard || due == Some(Event::Failing) || !is_failure(summary),
            recovered: message
                .filter(|_| due == Some(Event::Recovered) && is_done)
                .map(|message| message.text),
        }
    }

    /// Whether the next run can read it.
    fn write(&self, summary: &Summary, write: &mut impl FnMut(&Summary) -> bool) -> bool {
        let is_written = write(summary);
        match &self.kept {
            Some(kept) if self.plan.is_asked => {
                if is_written {
                    kept.forget();
                    return true;
                }
                kept.write(summary)
            }
            _ => is_written,
        }
    }

    /// Sends what is to be sent, at the same time. True if and only if an alert was taken by somebody.
    fn send(
        &mut self,
        watch: &Watch,
        log: &Log,
        message: Option<&Message>,
        (exit_code, ended): (u8, String),
    ) -> bool {
        let until = Instant::now() + NOTICES_MAX;
        let (plan, way, limits) = (&self.plan, &self.way, &self.limits);
        let (start, ping) = (self.start.take(), self.ping.as_ref());
        let sent = watch.block_on(async {
            let pinged = async {
                let Some(ping) = ping else { return };
                if let Some(mut start) = start
                    // They are to come in their order; but the end is what matters.
                    && timeout(START_AWAITED, &mut start).await.is_err()
                {
                    start.abort();
                }
                ping.end(exit_code, ended, (way, until), limits, log).await;
            };
            let alerted = async {
                match message {
                    Some(message) => send::alert(message, plan, (way, until), limits, log).await,
                    None => false,
                }
            };
            let both = async { tokio::join!(pinged, alerted).1 };
            Ok(Box::pin(timeout(NOTICES_MAX + LAST_WORDS, both))
                .await
                .unwrap_or(false))
        });
        sent.unwrap_or(false)
    }
}

impl Run<'_> {
    /// Looks how the run before this one ended, and says that this one has begun, in the background. At the beginning, once
    /// nobody else can run.
    pub(crate) fn ping_start(&mut self, sink: &mut dyn Sink) {
        if !self.alerts.is_wanted() {
            return;
        }
        if self.alerts.before.is_none() {
            let folder = match &self.lock {
                LockState::Yes(lock) if self.temporary.is_none() => Some(lock.folder().clone()),
                _ => None,
            };
            if folder.is_some() {
                self.alerts.look_back(folder.as_ref());
            } else if let Ok(recorded) = sink.recorded() {
                let parsed = recorded.and_then(|text| serde_json::from_str(&text).ok());
                self.alerts.before = parsed;
            }
        }
        let before = self.alerts.before.as_ref();
        let is_by_hand =
            before.is_some_and(|before| last_run::is_set_otherwise(&self.summary.set, before));
        if self.args.dry_run || is_by_hand {
            return;
        }
        if let Some(ping) = self.alerts.ping.clone() {
            let (way, limits, log) = (
                self.alerts.way.clone(),
                self.alerts.limits.clone(),
                self.log.clone(),
            );
            let started = async move { ping.start(&way, &limits, &log).await };
            self.alerts.start = Some(tokio::spawn(started));
        }
    }
}

/// Whether a run says how the job is.
fn is_counted(summary: &Summary, before: Option<&LastRun>) -> bool {
    !summary.dry_run && is_failure(summary) && !last_run::is_a_trial(summary, before)
}

/// Whether a run that failed failed by itself: a person has ended it with Ctrl-C.
fn is_failure(summary: &Summary) -> bool {
    summary.exit_code != Outcome::Interrupted.exit_code()
}

#[cfg(test)]
mod tests;
