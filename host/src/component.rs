//! A component, from the parent's side: it is loaded, and asked what it is, to run, or to take a first look.
//!
//! It is compiled and runs in a child process ([`child`]), one for each call, with what [`Grants`] has and nothing else. What
//! follows from its answer is decided in `run/call_component.rs`.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::egress::Egress;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::units::spoken;
use crate::words;

pub mod bindings {
    //! What `wit/` says, in Rust.

    wasmtime::component::bindgen!({
        path: "../wit",
        world: "connector",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [serde::Serialize, serde::Deserialize],
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:filesystem": wasmtime_wasi::p2::bindings::filesystem,
            "wasi:cli": wasmtime_wasi::p2::bindings::cli,
            "wasi:http": wasmtime_wasi_http::p2::bindings::http,
        },
    });
}

pub mod broken;
mod cache;
pub(crate) mod child;
mod described;
pub mod engine;
pub mod frames;
mod merged;
pub mod requests;
mod said;
pub mod shape;
pub mod sighting;
mod stderr;

pub use self::described::{Announced, Description, FETCH_LESS, Setting, Staging, is_settable};
pub use self::frames::Used;
pub use self::said::{Extent, JobFailure, Report, Request, Sighting, Suggestion, Window};

use self::bindings::exports::tidegate::sync::job as raw;
use self::child::{Given, Unanswered};
use self::engine::{Compiling, Kept, Loaded};
use self::frames::{Call, Function, Said, Stopped};

/// What to do about a limit that no setting moves.
pub const FIXED: &str = "; the limit is fixed: fix the component, or use another one";

/// Ends the message of a failure that only the component itself can explain.
pub const MAY_SHOW_WHY: &str = "; its last log lines may show why";

/// A failure of the component with what it wrote last, such as the text of a panic. After the end of its log.
pub fn in_its_words(mut failure: Failure, log: &Log) -> Failure {
    let unexplained = failure.message.strip_suffix(MAY_SHOW_WHY);
    if let Some((what, last)) = unexplained.zip(log.last_of_component()) {
        failure.message = format!("{what}; {last}");
    }
    failure
}

/// The same where nobody reads the log, which ends here.
pub fn in_words_alone<T>(result: Result<T, Failure>, log: &Log) -> Result<T, Failure> {
    log.component_ended();
    result.map_err(|failure| {
        let mut failure = in_its_words(failure, log);
        if let Some(what) = failure.message.strip_suffix(MAY_SHOW_WHY) {
            failure.message = what.to_owned();
        }
        failure
    })
}

/// What one call of a component may touch.
pub struct Grants {
    /// Where its requests go; nowhere for `describe`.
    pub outbound: Option<Egress>,
    /// The staging folder, empty and held open; none for `describe`.
    pub staging: Option<OwnedFd>,
    /// Bytes it may stage: what its earlier portions left of `limits.staged_bytes`.
    pub staged_bytes_left: u64,
    /// The settings it declared, never a secret.
    pub environment: Vec<(String, String)>,
    /// Where its lines of stderr go.
    pub log: Log,
    /// What to do where it takes too much, in words.
    pub fetch_less: String,
    /// CPU time it may use.
    pub cpu: Duration,
    /// Memory it may use: its own, and what is held for it.
    pub memory_bytes: u64,
}

/// A component that can be called.
pub struct Connector {
    compiled: Arc<Vec<u8>>,
    /// sha256 of the component file, in hex.
    pub sha256: String,
    kept: Option<Kept>,
    /// What compiling it took; none where it was kept.
    pub compiling: Option<Compiling>,
}

impl From<Loaded> for Connector {
    fn from(loaded: Loaded) -> Self {
        Self {
            compiled: Arc::new(loaded.compiled),
            sha256: loaded.sha256,
            kept: loaded.kept,
            compiling: loaded.compiling,
        }
    }
}

impl Connector {
    /// Checks what the component imports, and has it compiled or takes it compiled from the cache.
    pub async fn load(
        bytes: Vec<u8>,
        cache_dir: Option<&std::path::Path>,
        limits: &Limits,
        log: &Log,
    ) -> Result<Self, Failure> {
        let loaded = engine::load(bytes, cache_dir, limits, log).await?;
        Ok(Self::from(loaded))
    }

    /// As [`Self::load`], but what cannot be kept is a failure: see [`engine::warm`].
    pub async fn warm(
        bytes: Vec<u8>,
        cache_dir: &std::path::Path,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        engine::warm(bytes, cache_dir, limits).await.map(Self::from)
    }

    /// The same component for another run of this process. It keeps nothing anew.
    pub fn again(&self) -> Self {
        Self {
            compiled: Arc::clone(&self.compiled),
            sha256: self.sha256.clone(),
            kept: None,
            compiling: None,
        }
    }

    /// How large its compiled form is, in bytes.
    pub fn compiled_bytes(&self) -> usize {
        self.compiled.len()
    }

    /// What the component is. It is asked once, with no grant but the log and under tiny limits, of which one is wall time; the
    /// answer is kept with its compiled form.
    pub async fn describe(&self, log: Log, limits: &Limits) -> Result<Description, Failure> {
        let kept = self.kept.as_ref();
        if let Some(raw) = kept.and_then(|kept| kept.description(&self.sha256)) {
            return described::description(raw, limits);
        }
        let (raw, _) = self.ask(log, limits).await?;
        let description = described::description(raw.clone(), limits)?;
        if let Some(kept) = kept {
            kept.keep_description(&self.sha256, &raw);
        }
        Ok(description)
    }

    /// What the component needs to say what it is.
    pub async fn describing(&self, log: Log, limits: &Limits) -> Result<Used, Failure> {
        let (_, used) = self.ask(log, limits).await?;
        Ok(used)
    }

    /// Has the component say what it is, with no grant but the log.
    async fn ask(&self, log: Log, limits: &Limits) -> Result<(raw::Description, Used), Failure> {
        let grants = Grants {
            outbound: None,
            staging: None,
            staged_bytes_left: 0,
            environment: Vec::new(),
            log,
            fetch_less: FETCH_LESS.to_owned(),
            cpu: limits.describe_cpu,
            memory_bytes: limits.describe_memory_bytes,
        };
        let described = self.call(Function::Describe, grants, limits);
        let Ok((said, used)) = tokio::time::timeout(limits.describe_wall_max, described).await
        else {
            return Err(did_not_finish(limits.describe_wall_max));
        };
        match said? {
            Said::Description(raw) => Ok((raw, used)),
            _ => Err(another_answer()),
        }
    }

    /// Runs the job once. The inner `Err` is what the component said; the outer one is what happened to it.
    pub async fn run(
        &self,
        grants: Grants,
        limits: &Limits,
        request: &Request,
    ) -> (Result<Result<Report, JobFailure>, Failure>, Used) {
        let log = grants.log.clone();
        let function = Function::Run(request.clone());
        let (said, used) = self.call(function, grants, limits).await;
        let heard = said.and_then(|said| match said {
            Said::Report(raw) => said::report(raw, limits).map(Ok),
            Said::Failure(raw) => Ok(Err(said::failure(raw, &log, limits))),
            _ => Err(another_answer()),
        });
        (heard, used)
    }

    /// Has a component that can take a first look take it; `None`: it cannot. Failures are distinguished as in [`Self::run`].
    pub async fn look(
        &self,
        grants: Grants,
        limits: &Limits,
    ) -> Result<Option<Result<Sighting, JobFailure>>, Failure> {
        let log = grants.log.clone();
        match self.call(Function::Look, grants, limits).await.0? {
            Said::NoLook => Ok(None),
            Said::Sighting(raw) => Ok(Some(Ok(said::sighting(raw, &log, limits)))),
            Said::Failure(raw) => Ok(Some(Err(said::failure(raw, &log, limits)))),
            _ => Err(another_answer()),
        }
    }

    /// Has a new child do one call.
    async fn call(
        &self,
        function: Function,
        grants: Grants,
        limits: &Limits,
    ) -> (Result<Said, Failure>, Used) {
        let is_describe = matches!(function, Function::Describe);
        let call = Call {
            function,
            limits: limits.clone(),
            environment: grants.environment,
            signing_mark: (grants.outbound.as_ref())
                .and_then(|egress| egress.signing_mark())
                .map(str::to_owned),
            fetch_less: grants.fetch_less.clone(),
            cpu: grants.cpu,
            memory_bytes: grants.memory_bytes,
            staged_bytes_left: grants.staged_bytes_left,
            code_bytes: 0,
            has_requests: false,
            has_staging: false,
        };
        // Without anybody to ask there is nothing to wait for.
        let may_wait = grants.outbound.is_none().then_some(limits.describe_wall);
        let given = Given {
            may_wait,
            outbound: grants.outbound,
            staging: grants.staging,
        };
        let asked = child::ask(call, &self.compiled, given, Some(&grants.log)).await;
        let answer = match asked {
            Ok((Ok(answer), _)) => answer,
            Ok((Err(why), _)) => {
                let cpu = match why {
                    Unanswered::Cpu => grants.cpu,
                    _ => Duration::ZERO,
                };
                let used = Used {
                    cpu,
                    ..Used::default()
                };
                let failure = without_answer(why, is_describe, &grants.fetch_less, limits);
                let message = words::line(&grants.log.hide(&failure.message), limits.words_bytes);
                return (Err(Failure { message, ..failure }), used);
            }
            Err(failure) => return (Err(failure), Used::default()),
        };
        let said = answer.came.map_err(|why| match why {
            Stopped::Memory => failed(format!(
                "there is no memory to load the component: it may have {} MiB besides its own code, or what `ulimit -d` allows; use a smaller one, or raise `MEMORY_LIMIT`",
                grants.memory_bytes / (1024 * 1024)
            )),
            Stopped::Scarce(why) => Failure::new(Outcome::TryLater, why),
            Stopped::Failed(why) | Stopped::Invalid(why) | Stopped::Wall(why) => {
                failed(words::line(&grants.log.hide(&why), limits.words_bytes))
            }
        });
        (said, answer.used)
    }
}

/// The component used more CPU time than it may, in one call or in all of a run.
pub fn cpu_used_up(limit: Duration, fetch_less: &str) -> Failure {
    let limit = spoken(limit);
    failed(format!(
        "the component used more CPU time than `CPU_LIMIT` allows ({limit}); raise it, or {fetch_less}"
    ))
}

fn did_not_finish(within: Duration) -> Failure {
    failed(format!(
        "the component did not finish `describe` within {}{FIXED}",
        spoken(within)
    ))
}

fn without_answer(
    why: Unanswered,
    is_describe: bool,
    fetch_less: &str,
    limits: &Limits,
) -> Failure {
    failed(match why {
        Unanswered::Cpu if is_describe => format!(
            "the component used more than {} of CPU time in `describe`{FIXED}",
            spoken(limits.describe_cpu)
        ),
        Unanswered::Cpu => return cpu_used_up(limits.cpu, fetch_less),
        Unanswered::Waits => return did_not_finish(limits.describe_wall),
        Unanswered::Panicked(line) => format!(
            "the engine that runs the component failed: `{line}`; report it as a defect of tidegate, with the component"
        ),
        Unanswered::Overfull => {
            "the component's process put more into the staging folder than a component can: it was killed".to_owned()
        }
        Unanswered::Aborted => format!(
            "the component's process ended itself, as it does where it gets no memory{MAY_SHOW_WHY}"
        ),
        Unanswered::Otherwise(how) => {
            format!("the component's process ended without an answer: {how}{MAY_SHOW_WHY}")
        }
    })
}

fn another_answer() -> Failure {
    failed("the component's process answered another call than its own".to_owned())
}

fn failed(message: String) -> Failure {
    Failure::new(Outcome::ComponentFailed, message)
}

// Flags derive nothing.
impl serde::Serialize for raw::Staging {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::EACH
            .map(|flag| self.contains(flag))
            .serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for raw::Staging {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let set = <[bool; 4]>::deserialize(deserializer)?;
        let given = Self::EACH
            .into_iter()
            .zip(set)
            .filter(|(_, is_set)| *is_set);
        Ok(given.fold(Self::empty(), |all, (flag, _)| all | flag))
    }
}

impl raw::Staging {
    const EACH: [Self; 4] = [
        Self::CHANGES,
        Self::DELETIONS,
        Self::PARENTS,
        Self::PORTIONS,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::setup::BUILT_IN;

    #[tokio::test]
    async fn what_a_component_says_of_itself_is_asked_once_for_each_file() {
        let cache = tempfile::tempdir().unwrap();
        let (limits, log) = (Limits::default(), Log::silent());
        let load = || Connector::load(BUILT_IN.to_vec(), Some(cache.path()), &limits, &log);
        let described = load().await.unwrap().describe(log.clone(), &limits).await;
        let described = described.unwrap();

        let mut again = load().await.unwrap();
        // Nobody can be asked any more.
        again.compiled = Arc::default();
        let kept = again.describe(log.clone(), &limits).await.unwrap();
        again.sha256.push('0');
        let another = again.describe(log.clone(), &limits).await;

        assert_eq!(format!("{kept:?}"), format!("{described:?}"));
        assert_eq!(another.unwrap_err().outcome, Outcome::ComponentFailed);
    }
}
