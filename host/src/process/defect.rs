//! Defects: a panic in tidegate becomes a failure (70) that names its place, and prints nothing by itself.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::limits::PANICS_KEPT_MAX;
use crate::outcome::{Failure, Outcome};

static UNCAUGHT: Mutex<Vec<Defect>> = Mutex::new(Vec::new());

thread_local! {
    /// How many of [`caught`] are under way on this thread.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
    /// The last panic on this thread while one was.
    static LAST: RefCell<Option<Defect>> = const { RefCell::new(None) };
}

#[derive(Debug, Clone, Default)]
struct Defect {
    message: String,
    /// Whether the message is a text of the program, without any value in it.
    is_literal: bool,
    place: String,
}

/// From now on a panic is remembered instead of printed, on every thread.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(remember));
}

/// What `work` gives. A panic in it is 70, with its message and its place; what it may have left half done is the caller's
/// to judge.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catching(work).unwrap_or_else(|defect| Err(defect.failure()))
}

/// The same where nothing is known that could hide secrets: the text has no value in it.
pub fn caught_without_values<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catching(work).map_err(|defect| defect.without_values().failure())
}

/// The panics that nothing has caught so far, in words: those of tasks and threads whose end nobody looks at. Where several jobs
/// are in this process, `are_of_several`, one may have a value of another's in it: they are without values then.
pub fn uncaught(are_of_several: bool) -> Vec<String> {
    let mut uncaught = UNCAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let uncaught = uncaught.drain(..).map(|defect| {
        if are_of_several {
            defect.without_values()
        } else {
            defect
        }
    });
    uncaught.map(|defect| defect.text()).collect()
}

fn catching<T>(work: impl FnOnce() -> T) -> Result<T, Defect> {
    CATCHING.set(CATCHING.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    // There is none where nobody asked for panics to be remembered: they were printed then.
    result.map_err(|_| LAST.take().unwrap_or_default())
}

fn remember(info: &PanicHookInfo<'_>) {
    let defect = Defect::of(info);
    if CATCHING.get() > 0 {
        LAST.set(Some(defect));
        return;
    }
    let mut uncaught = UNCAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    if uncaught.len() < PANICS_KEPT_MAX {
        uncaught.push(defect);
    }
}

impl Defect {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let literal = info.payload().downcast_ref::<&'static str>();
        let message = literal.map_or_else(
            || info.payload().downcast_ref::<String>().cloned(),
            |text| Some((*text).to_owned()),
        );
        Self {
            message: message.unwrap_or_else(|| "a panic".to_owned()),
            is_literal: literal.is_some(),
            place: info.location().map_or_else(String::new, place),
        }
    }

    fn without_values(mut self) -> Self {
        if !self.is_literal {
            "a panic".clone_into(&mut self.message);
        }
        self
    }

    /// As it is: whoever shows it hides secrets before it is cut or made one line.
    fn text(&self) -> String {
        match self.place.as_str() {
            "" => "a panic".to_owned(),
            place => format!("{} at {place}", self.message),
        }
    }

    fn failure(&self) -> Failure {
        Failure::new(
            Outcome::ComponentFailed,
            format!(
                "a defect in tidegate, please report it with `tidegate --version`: {}",
                self.text()
            ),
        )
    }
}

/// File and line, without what is only true of the machine that the program was built on.
fn place(location: &Location<'_>) -> String {
    let file = location.file();
    let file = file
        .split_once("/registry/src/")
        .and_then(|(_, inside)| inside.split_once('/'))
        .map_or(file, |(_, file)| file);
    format!("{file}:{}", location.line())
}

#[cfg(test)]
thread_local! {
    static REHEARSED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Makes this thread panic once at this point of a run.
#[cfg(test)]
pub fn rehearse(at: &'static str) {
    REHEARSED.set(Some(at));
}

/// This is that point.
#[cfg(test)]
pub fn rehearsed(at: &'static str) {
    if REHEARSED.get() == Some(at) {
        REHEARSED.set(None);
        panic!("rehearsed: {at}");
    }
}

/// Remembers panics and prints them as well: other tests of this process want to see theirs.
#[cfg(test)]
pub fn remember_panics_in_tests() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            remember(info);
            print(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_message_and_place() {
        remember_panics_in_tests();

        let failure = caught(|| -> Result<(), Failure> { panic!("no\nway, {}", 7) }).unwrap_err();

        assert_eq!(failure.outcome, Outcome::ComponentFailed);
        assert!(
            failure.message.contains("no\nway, 7 at ")
                && failure.message.contains("src/process/defect.rs:"),
            "{failure}"
        );
    }

    #[test]
    fn where_nothing_hides_secrets_only_a_literal_is_told() {
        remember_panics_in_tests();
        let key = String::from("s3cret");

        let formatted = caught_without_values(|| panic!("with {key}")).unwrap_err();
        let literal = caught_without_values(|| panic!("a broken invariant")).unwrap_err();

        assert!(!formatted.message.contains("s3cret"), "{formatted}");
        assert!(formatted.message.contains("defect.rs"), "{formatted}");
        assert!(literal.message.contains("a broken invariant"), "{literal}");
    }

    #[test]
    fn a_panic_that_nothing_caught_is_remembered() {
        remember_panics_in_tests();

        let _ = std::thread::spawn(|| panic!("nobody looks at this thread")).join();

        let told = uncaught(false).join("\n");
        assert!(told.contains("nobody looks at this thread"), "{told}");
    }
}
