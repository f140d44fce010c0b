//! A folder of jobs: every job of it once, each as a process of its own, under limits of time and number. A job file with
//! several resources is a small folder. Jobs that share settings run together, in one process.
//!
//! `run` does it for `tidegate run FOLDER`, `health` for `tidegate health FOLDER`, `runs` for `tidegate runs FOLDER`, `report` for
//! `tidegate report FOLDER` and the pages of a run. Which files are jobs is `jobs`' business, which one is next `queue`'s, a single process `child`'s, what is done in one that has
//! several jobs `together`'s.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::mpsc::unbounded_channel;

use self::child::{Heard, Lines, Running};
use self::jobs::FleetJob;
use self::queue::Queue;
use crate::cli::{FleetArgs, GivenArgs, UnderArgs};
use crate::folder::random_digits;
use crate::limits::{FLEET_JITTER_MAX, FLEET_JOB_DEADLINE_MAX, FLEET_PARALLEL_MAX};
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Stop;
use crate::units::{duration, spoken};

mod ask;
mod child;
pub mod health;
pub mod jobs;
mod queue;
pub mod report;
pub mod run;
pub mod runs;
pub mod together;

/// As long as a job may take where nothing else was said: longer than any RUN_DEADLINE that is usual.
const JOB_DEADLINE: Duration = Duration::from_hours(1);
/// As long as a job that was told to end is waited for.
const GRACE: Duration = Duration::from_secs(10);
/// A fleet has no deadline of its own: each of its jobs has one.
pub(super) const NO_DEADLINE: Duration = Duration::from_hours(24 * 365);

/// Codes other than 0, the worst first: what needs a person at once is before what the next run may mend.
const WORST_FIRST: [u8; 12] = [70, 73, 74, 78, 64, 77, 76, 69, 65, 143, 130, 75];

/// The folder of jobs, or the job file with several, where what was given in the place of a job is one and none was chosen.
pub fn several<'p>(given: Option<&'p Path>, chosen: Option<&str>) -> Option<&'p Path> {
    given.filter(|path| path.is_dir() || (chosen.is_none() && !jobs::resources(path).is_empty()))
}

/// What is for a folder was said of something else.
pub fn no_folder() -> Failure {
    Failure::new(
        Outcome::Usage,
        "`--parallel`, `--per-tenant`, `--jitter`, `--job-deadline`, `--grace` and `--shard` are for a folder of jobs; name one, or leave them out",
    )
}

/// How a fleet is run.
#[derive(Debug, Clone, Copy)]
struct Pace {
    parallel: usize,
    per_tenant: usize,
    jitter: Duration,
    job_deadline: Duration,
    grace: Duration,
}

/// Why a job was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// It took longer than one job may.
    Deadline,
    /// The fleet ends.
    Stopped,
}

/// One job that has ended.
struct Done {
    job: usize,
    code: u8,
    /// Why, where its own last line does not say it.
    why: Option<String>,
    took: Duration,
    /// Lines that were not handed on.
    dropped: u64,
}

/// A job that runs, or several together, and what was done about the end.
struct Live {
    running: Running,
    places: usize,
    cut: Option<Cut>,
    /// When it gets SIGTERM, or, if it has got that, SIGKILL.
    until: Instant,
}

impl Pace {
    fn new(args: &FleetArgs, jobs: &[FleetJob]) -> Result<Self, Failure> {
        let span = |flag: &str, given: Option<&str>, default: Duration, most: Duration| {
            let Some(given) = given else {
                return Ok(default);
            };
            match duration(given) {
                Ok(span) if span <= most => Ok(span),
                Ok(_) => Err(format!("{flag} is at most {}", spoken(most))),
                Err(message) => Err(format!("{flag} {message}")),
            }
            .map_err(|message| Failure::new(Outcome::Usage, message))
        };
        let most = FLEET_JOB_DEADLINE_MAX;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let parallel = args.parallel.map_or(cores, usize::from);
        let parallel = parallel.min(usize::from(FLEET_PARALLEL_MAX));
        let mut tenants: Vec<&str> = jobs.iter().map(|job| job.tenant.as_str()).collect();
        tenants.dedup();
        let share = share(parallel, tenants.len());
        Ok(Self {
            parallel,
            per_tenant: args.per_tenant.map_or(share, usize::from),
            jitter: span(
                "--jitter",
                args.jitter.as_deref(),
                Duration::ZERO,
                FLEET_JITTER_MAX,
            )?,
            job_deadline: span(
                "--job-deadline",
                args.job_deadline.as_deref(),
                JOB_DEADLINE,
                most,
            )?,
            grace: span("--grace", args.grace.as_deref(), GRACE, most)?,
        })
    }

    /// A random part of the jitter.
    fn delay(&self) -> Duration {
        let part = random_digits() % 1_000_000;
        self.jitter
            .mul_f64(f64::from(u32::try_from(part).unwrap_or(0)) / 1e6)
    }
}

/// The jobs of one tenant that run at the same time, where nothing was said: half of the places are left to the others.
pub fn share(parallel: usize, tenants: usize) -> usize {
    if tenants > 1 {
        parallel.div_ceil(2)
    } else {
        parallel
    }
}

/// What is started for each job, or for several that run together.
struct Start<A> {
    /// The arguments for these jobs, of which so many run at the same time.
    args: A,
    log_format: &'static str,
    /// The codes that it ends with, besides those of every command.
    codes: &'static [u8],
}

/// Starts a process for every unit of jobs, and tells `ended` of each end. `Err`: stopped by a signal; all that were started
/// have ended then, too.
async fn each(
    (jobs, units): (&[FleetJob], &[Vec<usize>]),
    start: Start<impl Fn(&[&FleetJob], usize) -> Vec<OsString>>,
    (pace, stop): (&Pace, &Stop),
    lines: &Arc<dyn Lines>,
    mut ended: impl FnMut(Done),
) -> Result<(), Failure> {
    let begun = Instant::now();
    let (sender, mut ends) = unbounded_channel();
    let first = |unit: &Vec<usize>| &jobs[unit[0]];
    let delays = units
        .iter()
        .map(|unit| (first(unit).tenant.as_str(), pace.delay()));
    let mut queue = Queue::new(delays, pace.per_tenant);
    let mut live: BTreeMap<usize, Live> = BTreeMap::new();
    let mut stopped = None;
    loop {
        let free = |live: &BTreeMap<usize, Live>| {
            let taken: usize = live.values().map(|live| live.places).sum();
            pace.parallel.saturating_sub(taken)
        };
        while stopped.is_none() && free(&live) > 0 {
            let Some(unit) = queue.next(begun.elapsed()) else {
                break;
            };
            let of_unit = &units[unit];
            if let Some(why) = &first(of_unit).refused {
                queue.ended(unit);
                ended(Done {
                    job: of_unit[0],
                    code: Outcome::Settings.exit_code(),
                    why: Some(why.clone()),
                    took: Duration::ZERO,
                    dropped: 0,
                });
                continue;
            }
            let (lines, sender) = (Arc::clone(lines), sender.clone());
            let places = queue.widen(unit, of_unit.len().min(free(&live)));
            let members: Vec<&FleetJob> = of_unit.iter().map(|job| &jobs[*job]).collect();
            let args = (start.args)(&members, places);
            let which = (unit, of_unit.clone());
            let running = Running::start(which, args, start.log_format, lines, sender);
            // One after another, each has as long as any other job.
            let rounds = u32::try_from(of_unit.len().div_ceil(places)).unwrap_or(u32::MAX);
            let until = running.begun + pace.job_deadline.saturating_mul(rounds);
            live.insert(
                unit,
                Live {
                    running,
                    places,
                    cut: None,
                    until,
                },
            );
        }
        if live.is_empty() && (stopped.is_some() || queue.is_empty()) {
            return stopped.map_or(Ok(()), Err);
        }
        let next_start = queue.next_at().filter(|_| free(&live) > 0);
        let next_start = next_start
            .filter(|_| stopped.is_none())
            .map(|at| begun + at);
        let wake = live.values().map(|live| live.until).chain(next_start).min();
        let wake = wake.unwrap_or_else(|| Instant::now() + pace.grace);
        tokio::select! {
            biased;
            failure = stop.stopped(), if stopped.is_none() => {
                stopped = Some(failure);
                for live in live.values_mut() {
                    live.tell(Cut::Stopped, pace.grace);
                }
            }
            Some(end) = ends.recv() => {
                queue.ended(end.unit);
                if let Some(live) = live.remove(&end.unit) {
                    for (nth, job) in units[end.unit].iter().enumerate() {
                        let heard = end.heard.get(nth).copied().unwrap_or_default();
                        ended(done(*job, heard, &end.status, &live, pace, start.codes));
                    }
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {
                let now = Instant::now();
                for live in live.values_mut().filter(|live| live.until <= now) {
                    live.is_late(pace.grace);
                }
            }
        }
    }
}

impl Live {
    /// Tells it to end.
    fn tell(&mut self, why: Cut, grace: Duration) {
        self.cut = self.cut.or(Some(why));
        self.until = Instant::now() + grace;
        self.running.signal(Signal::TERM);
    }

    /// Tells it to end, or ends it if it was told before.
    fn is_late(&mut self, grace: Duration) {
        if self.cut.is_none() {
            self.tell(Cut::Deadline, grace);
        } else {
            self.until = Instant::now() + grace;
            self.running.signal(Signal::KILL);
        }
    }
}

/// What the end of a process comes to for one of its jobs.
fn done(
    job: usize,
    heard: Heard,
    status: &Result<ExitStatus, String>,
    live: &Live,
    pace: &Pace,
    codes: &[u8],
) -> Done {
    let begun = live.running.begun;
    if let Some((code, at)) = heard.exit {
        return Done {
            job,
            code,
            why: None,
            took: at.saturating_duration_since(begun),
            dropped: heard.dropped,
        };
    }
    let known = |code: &u8| {
        let mut all = Outcome::ALL.iter().map(|one| one.exit_code());
        codes.contains(code) || all.any(|one| one == *code)
    };
    let known = |code: i32| u8::try_from(code).ok().filter(known);
    let (code, why) = match (status, live.cut) {
        (Err(why), _) => (Outcome::TryLater.exit_code(), Some(why.clone())),
        (Ok(status), Some(_)) if status.success() => (0, None),
        (Ok(_), Some(Cut::Deadline)) => {
            let most = spoken(pace.job_deadline);
            let why = format!("it took longer than `--job-deadline` allows ({most})");
            (Outcome::TryLater.exit_code(), Some(why))
        }
        (Ok(status), Some(Cut::Stopped)) if child::signal_of(*status).is_some() => {
            let waited = spoken(pace.grace);
            let why = format!("it was killed: it did not end within {waited} of SIGTERM");
            (Outcome::Terminated.exit_code(), Some(why))
        }
        (Ok(status), _) => match (child::signal_of(*status), status.code().and_then(known)) {
            (None, Some(code)) => (code, None),
            (Some(signal), _) => {
                let why = format!("it was ended by signal {signal}");
                (Outcome::ComponentFailed.exit_code(), Some(why))
            }
            (None, None) => {
                let why = format!("it ended with {status}, which is no code of tidegate's");
                (Outcome::ComponentFailed.exit_code(), Some(why))
            }
        },
    };
    Done {
        job,
        code,
        why,
        took: begun.elapsed(),
        dropped: heard.dropped,
    }
}

/// The worst of some codes.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| {
        let place = WORST_FIRST.iter().position(|known| known == code);
        place.unwrap_or(if *code == 0 { WORST_FIRST.len() } else { 0 })
    };
    codes.into_iter().min_by_key(rank).unwrap_or(0)
}

/// As much of a text as a column of a table has room for.
fn column(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns - 1).chain(['…']).collect()
}

/// The arguments by which a process is given what counts for its job, and dies with this one.
fn words_of(command: &str, given: &GivenArgs) -> Vec<OsString> {
    let GivenArgs {
        job,
        env_file,
        set,
        resource,
        component,
        component_sha256,
        under: UnderArgs { policy, tenant },
    } = given;
    let parent = rustix::process::getpid().as_raw_nonzero().to_string();
    let mut words: Vec<OsString> = [command, "--fleet-parent", &parent].map(Into::into).into();
    // In one word: a value may begin with `-`.
    let mut push = |flag: &str, value: &OsStr| {
        let mut word = OsString::from(flag);
        word.push(value);
        words.push(word);
    };
    for file in env_file {
        push("--env-file=", file.as_os_str());
    }
    for set in set {
        push("--set=", set.as_ref());
    }
    if let Some(resource) = resource {
        push("--resource=", resource.as_ref());
    }
    if let Some(component) = component {
        push("--component=", component.as_os_str());
    }
    if let Some(sha256) = component_sha256 {
        push("--component-sha256=", sha256.as_ref());
    }
    if let Some(policy) = policy {
        push("--policy=", policy.as_os_str());
    }
    if let Some(tenant) = tenant {
        push("--tenant=", tenant.as_ref());
    }
    if let Some(job) = job {
        push(if job.is_absolute() { "" } else { "./" }, job.as_os_str());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_place_in_the_order() {
        let mut all: Vec<u8> = Outcome::ALL.iter().map(|one| one.exit_code()).collect();
        all.sort_unstable();
        all.dedup();
        let mut ordered = WORST_FIRST.to_vec();
        ordered.push(0);
        ordered.sort_unstable();

        assert_eq!(ordered, all);
    }

    fn jobs(tenants: &[&str]) -> Vec<FleetJob> {
        let job = |tenant: &&str| FleetJob {
            tenant: (*tenant).to_owned(),
            name: "orders".to_owned(),
            file: "orders.env".into(),
            resource: None,
            shared: None,
            refused: None,
        };
        tenants.iter().map(job).collect()
    }

    fn pace(args: &FleetArgs, tenants: &[&str]) -> Result<Pace, Failure> {
        Pace::new(args, &jobs(tenants))
    }

    #[test]
    fn half_of_the_places_are_left_to_other_tenants_if_there_are_any() {
        let args = || FleetArgs {
            parallel: Some(5),
            ..FleetArgs::default()
        };
        let own = FleetArgs {
            per_tenant: Some(1),
            ..args()
        };

        assert_eq!(pace(&args(), &["a", "a", "b"]).unwrap().per_tenant, 3);
        assert_eq!(pace(&args(), &["a", "a"]).unwrap().per_tenant, 5);
        assert_eq!(pace(&own, &["a", "b"]).unwrap().per_tenant, 1);
    }

    #[test]
    fn a_delay_is_a_part_of_the_jitter_which_is_limited() {
        let args = |jitter: &str| FleetArgs {
            jitter: Some(jitter.to_owned()),
            ..FleetArgs::default()
        };

        let pace_of_a_minute = pace(&args("1m"), &["a"]).unwrap();
        let delays: Vec<Duration> = (0..100).map(|_| pace_of_a_minute.delay()).collect();

        assert!(delays.iter().all(|delay| *delay < Duration::from_mins(1)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
        for wrong in ["2h", "soon"] {
            let failure = pace(&args(wrong), &["a"]).unwrap_err();
            assert_eq!(failure.outcome, Outcome::Usage);
        }
    }

    #[test]
    fn the_worst_is_what_needs_a_person_first() {
        assert_eq!(worst([]), 0);
        assert_eq!(worst([0, 75, 0]), 75);
        assert_eq!(worst([75, 65, 0]), 65);
        assert_eq!(worst([78, 70, 77]), 70);
    }
}
