//! The child process: the only place where a component is compiled and runs.
//!
//! It is this binary, started again by `component` with nothing but what one call needs: a socket for the call and its answer,
//! the compiled component, a socket for requests, the staging folder, and a pipe for stderr. It puts up the wall around
//! itself before it reads the component, does what the call says, answers, and ends. It holds no secret and decides nothing: the
//! parent takes what it says as it takes what a server says.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::component::frames::{self, Answer, Call, Function, Stopped};
use crate::process::memory;

mod call;
mod compile;
mod grants;
mod requests;
mod wall;

pub use self::wall::landlock;

#[cfg(test)]
pub use self::requests::broken;

/// Whether a process with this first argument was started as a child. It is asked before anything else is done.
pub fn is_entered(first_argument: Option<&OsStr>) -> bool {
    first_argument.is_some_and(|argument| argument == frames::ARGUMENT)
}

/// Lives as the child: takes the call from stdin, and answers there. Returns the exit code, which nobody reads but a person
/// who started this by hand.
pub fn enter() -> u8 {
    memory::close_to_others();
    // Before anything else is opened: who started the parent may have left it descriptors, and no wall judges what is open.
    if let Err(error) = wall::close_inherited() {
        return refused(&format!("it cannot close what it inherited: {error}"));
    }
    let Ok(control) = rustix::io::dup(std::io::stdin()) else {
        return refused("it has no stdin");
    };
    if let Err(why) = wall::die_with_the_parent(&control) {
        return refused(&why);
    }
    let Ok(stderr) = rustix::io::dup(std::io::stderr()) else {
        return refused("it has no stderr");
    };
    serve(UnixStream::from(control), File::from(stderr), Walls::Up)
}

/// Whether the wall is put up: not where the tests of this crate have the child as a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    Up,
    #[cfg(test)]
    Left,
}

/// Takes one call from `control`, does what it says, and answers. The component's stderr goes to `stderr`.
pub fn serve(mut control: UnixStream, stderr: File, walls: Walls) -> u8 {
    let (call, descriptors) = match frames::receive(&mut control) {
        Ok(received) => received,
        Err(why) => return refused(&format!("it was given no call: {why}")),
    };
    let (answer, compiled) = match begun(call, descriptors, &mut control, stderr, walls) {
        Ok(answer) => answer,
        Err(why) => (Answer::stopped(Stopped::Wall(why)), Vec::new()),
    };
    let told = frames::write_answer(&mut control, &answer);
    let told = told.and_then(|()| control.write_all(&compiled));
    u8::from(told.is_err())
}

/// The answer, and the compiled form where that was asked for. `Err`: the wall could not be put up, or the call is not whole.
fn begun(
    call: Call,
    descriptors: Vec<OwnedFd>,
    control: &mut UnixStream,
    stderr: File,
    walls: Walls,
) -> Result<(Answer, Vec<u8>), String> {
    let given = Descriptors::new(&call, descriptors)?;
    let processors = compile::processors();
    open_random_numbers()?;
    if walls == Walls::Up {
        wall::before_threads(&wall::Bounds::of(&call), given.staging.as_ref())?;
    }
    let mut code = || {
        frames::read_code(control, &call).map_err(|why| format!("it was given no component: {why}"))
    };
    if let Function::Compile = call.function {
        let threads = match compile::threads(processors) {
            Ok(threads) => threads,
            Err(why) => return Ok((Answer::stopped(why), Vec::new())),
        };
        if walls == Walls::Up {
            wall::last()?;
        }
        return Ok(compile::compile(&code()?, &threads, &call.limits));
    }
    let code = code()?;
    let answer = call::call(call, given, code, stderr, walls)?;
    Ok((answer, Vec::new()))
}

/// Where the binary is linked statically, `getrandom` finds no function of that name in libc, and opens `/dev/urandom` when it is
/// first used, which the wall refuses. Opened, it stays so.
fn open_random_numbers() -> Result<(), String> {
    getrandom::fill(&mut [0]).map_err(|error| format!("there are no random numbers: {error}"))
}

/// The descriptors of a call, each by what it is.
struct Descriptors {
    requests: Option<UnixStream>,
    staging: Option<OwnedFd>,
}

impl Descriptors {
    fn new(call: &Call, descriptors: Vec<OwnedFd>) -> Result<Self, String> {
        let mut next = descriptors.into_iter();
        let mut taken = |is_given: bool, what: &str| {
            let taken = is_given.then(|| next.next().ok_or(format!("it was given no {what}")));
            taken.transpose()
        };
        Ok(Self {
            requests: taken(call.has_requests, "socket for requests")?.map(UnixStream::from),
            staging: taken(call.has_staging, "staging folder")?,
        })
    }
}

fn refused(why: &str) -> u8 {
    let _ = writeln!(
        std::io::stderr(),
        "this is how tidegate starts a component, and no command for people: {why}"
    );
    crate::outcome::Outcome::Usage.exit_code()
}
