//! jq: programs over JSON values that are pure, that end, and that keep the digits of numbers.
//!
#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! The grammar is jaq's, read by its parser. The evaluator is our own: jaq's keeps `-0` and integers beyond 32 bits only by
//! detours, and cannot be stopped. A program is compiled once and run on one value at a time; what is done with the outputs is
//! the caller's job.

mod array;
mod builtins;
mod compile;
mod eval;
mod iterate;
mod json;
mod math;
mod members;
mod nesting;
mod number;
mod paths;
mod regexes;
mod strings;
mod term;
mod text;
mod times;
mod value;

pub use self::array::Array;
pub use self::json::{Names, read, read_valid, shown, write, write_string};
pub use self::number::{Decimal, Number, compare};
pub use self::text::quoted;
pub use self::value::{Object, Value, in_order};

use std::rc::Rc;

use self::builtins::Tools;
use self::eval::{Item, Machine, Stop};
use self::term::Program;

/// Steps of one run: well below a second of work.
pub const STEPS_MAX: u64 = 5_000_000;
/// Filters that are inside each other at one time: what a component's stack takes.
pub const DEPTH_MAX: usize = 400;
/// Bytes of a string, or elements of an array, that a program may build.
pub(crate) const BUILT_MAX: usize = 16 * 1024 * 1024;

/// Why a run gave no more outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunError {
    /// It took more than so many steps.
    Steps(u64),
    /// The program raised an error or went beyond another limit, or whoever took its outputs refused one.
    Other(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Steps(most) => write!(f, "takes more than {most} steps"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// A compiled program.
pub struct Jq {
    program: Program,
    /// The members of its input that the program looks at, where it does not look at all of it.
    members: Option<Vec<Rc<str>>>,
    tools: Tools,
}

impl std::fmt::Debug for Jq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jq").finish_non_exhaustive()
    }
}

impl Jq {
    /// Compiles a program. `Err` says at which line and column what is wrong.
    pub fn compile(text: &str) -> Result<Self, String> {
        Self::compile_with(text, &[])
    }

    /// Compiles a program that may use these variables, named with their `$`. A run needs a value for each.
    pub fn compile_with(text: &str, variables: &[&str]) -> Result<Self, String> {
        let program = compile::compile(text, variables)?;
        Ok(Self {
            members: members::looked_at(&program),
            program,
            tools: Tools::default(),
        })
    }

    /// Reads an input that was parsed before, as far as the program looks at it: a member that it does not look at is not
    /// there. `Err` says why what it looks at has no single meaning, or that it is too deep.
    pub fn read(&self, text: &str, names: &mut Names) -> Result<Value, String> {
        match &self.members {
            None => names.read_valid(text),
            Some(members) => names.read_members(text, members),
        }
    }

    /// Reads the one input of all these programs, as [`Self::read`] does for one.
    pub fn read_for_all(
        programs: &[&Self],
        text: &str,
        names: &mut Names,
    ) -> Result<Value, String> {
        let members = programs.iter().map(|program| program.members.as_deref());
        match members.collect::<Option<Vec<_>>>() {
            None => names.read_valid(text),
            Some(members) => names.read_members(text, &members.concat()),
        }
    }

    /// Runs the program and hands on each output, until `take` does not want more and says why. `Err`: that, or what went wrong
    /// in the program; outputs that were handed on before mean nothing then.
    pub fn run(
        &self,
        input: Value,
        take: &mut dyn FnMut(Value) -> Result<(), String>,
    ) -> Result<(), RunError> {
        self.run_with(input, &[], take)
    }

    /// The same, where the variables that the program was compiled with have these values, in their order.
    pub fn run_with(
        &self,
        input: Value,
        values: &[Value],
        take: &mut dyn FnMut(Value) -> Result<(), String>,
    ) -> Result<(), RunError> {
        self.run_within(input, values, STEPS_MAX, take)
    }

    /// The same with at most so many steps.
    pub fn run_within(
        &self,
        input: Value,
        values: &[Value],
        steps_max: u64,
        take: &mut dyn FnMut(Value) -> Result<(), String>,
    ) -> Result<(), RunError> {
        let machine = Machine::new(&self.program.defs, &self.tools, steps_max);
        let env = values.iter().fold(None, |env, value| {
            eval::push(&env, eval::Bound::Value(value.clone()))
        });
        let mut out = |item: Item| take(item.value).map_err(Stop::Limit);
        match machine.run(&self.program.main, &env, Item::value(input), &mut out) {
            Ok(()) | Err(Stop::Enough) => Ok(()),
            Err(Stop::Steps) => Err(RunError::Steps(steps_max)),
            Err(stop) => Err(RunError::Other(match stop {
                Stop::Error(Value::Text(why)) => why.to_string(),
                Stop::Error(why) => shown(&why),
                other => other.text(),
            })),
        }
    }
}

#[cfg(test)]
mod tests;
