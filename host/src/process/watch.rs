//! A command under way: its runtime, and what ends it from outside. Every command that can wait begins with one.
//!
//! What cannot be interrupted is done [`aside`], on a thread that nobody waits for once the command must end.

use std::sync::Arc;
use std::thread;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

use crate::limits::Limits;
use crate::outcome::{Failure, OrFail as _, Outcome};
use crate::process::defect;
use crate::process::stop::Stop;

/// Of a thread that works aside: as much as a main thread has.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Why a thread cannot be started, which may be over at the next run.
pub const NO_THREAD: &str =
    "cannot start a thread: the limit of processes is reached (`ulimit -u`, TasksMax)";

/// A command under way.
pub struct Watch {
    /// Taken by the drop; or why there is none.
    runtime: Result<Option<Arc<Runtime>>, (Outcome, String)>,
    pub stop: Stop,
}

impl Watch {
    /// Begins: signals are heard from now on, and the deadline counts from now. Where that cannot be, nothing can be
    /// [done](Self::block_on).
    pub fn begin() -> Self {
        Self::begin_for(1)
    }

    /// The same for one that does so many things at the same time, each [beside](Self::beside) it.
    pub fn begin_for(tasks: usize) -> Self {
        Self::with(runtime(tasks).map(Arc::new))
    }

    /// A part of this command, with a deadline of its own, which counts from now. Its network is the command's: it can be used
    /// by the other parts when this one has ended.
    #[must_use]
    pub fn beside(&self) -> Self {
        match &self.runtime {
            Ok(runtime) => {
                let runtime = runtime.clone().expect("it is there until the drop");
                let beside = Self::with(Ok(runtime.clone()));
                // A signal may have come before the part could hear it.
                runtime.spawn(self.stop.clone().ends_too(beside.stop.clone()));
                beside
            }
            Err((outcome, why)) => Self::with(Err(Failure::new(*outcome, why.clone()))),
        }
    }

    fn with(runtime: Result<Arc<Runtime>, Failure>) -> Self {
        let deadline = Limits::default().run_deadline;
        let watched = runtime.and_then(|runtime| {
            let entered = runtime.enter();
            let stop = Stop::watch(deadline)?;
            drop(entered);
            Ok((runtime, stop))
        });
        match watched {
            Ok((runtime, stop)) => Self {
                runtime: Ok(Some(runtime)),
                stop,
            },
            Err(failure) => Self {
                runtime: Err((failure.outcome, failure.message)),
                stop: Stop::unwatched(deadline),
            },
        }
    }

    /// Does `work` on this thread. A panic in it is a [`Failure`].
    pub fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match &self.runtime {
            Ok(runtime) => {
                let runtime = runtime.as_ref().expect("it is there until the drop");
                defect::caught(|| runtime.block_on(work))
            }
            Err((outcome, why)) => Err(Failure::new(*outcome, why.clone())),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Not waited for: a resolver that hangs would outlive the deadline.
        if let Ok(Some(runtime)) = self.runtime.as_mut().map(Option::take)
            && let Some(runtime) = Arc::into_inner(runtime)
        {
            runtime.shutdown_background();
        }
    }
}

/// What `work` gives, done on a thread of its own in the runtime in use. That thread is given up when this is dropped: it
/// goes on until it is done or the process ends. A panic in `work` is a [`Failure`].
pub async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    let working = move || {
        let entered = runtime.enter();
        // Nobody may be waiting any more.
        let _ = done.send(defect::caught(work));
        drop(entered);
    };
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(working)
        .or_fail(Outcome::IoFailed, || "cannot start a thread")?;
    result.await.expect("the thread sends before it ends")
}

/// A runtime whose callers' threads run the components, and whose own threads the network.
fn runtime(tasks: usize) -> Result<Runtime, Failure> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // It would panic where it gets no thread.
    let tried = thread::Builder::new().spawn(|| ());
    tried.or_fail(Outcome::TryLater, || NO_THREAD)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(tasks.clamp(1, cores))
        .max_blocking_threads(4 * tasks.max(1))
        .enable_all()
        .build()
        .or_fail(Outcome::ComponentFailed, || "cannot start the runtime")
}
