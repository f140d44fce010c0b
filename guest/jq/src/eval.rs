//! Running terms: every output is handed to whoever stands behind, so that nothing waits and nothing is kept.
//!
//! A value may carry the trail that leads to it, when a path is asked for. Steps and depth are counted here, in one place.

use std::cell::Cell;
use std::rc::Rc;

use jaq_core::ops::Cmp;

use super::builtins::Tools;
use super::json::LEVELS_MAX;
use super::term::{Def, Term};
use super::value::{Object, Value};
use super::{BUILT_MAX, DEPTH_MAX, STEPS_MAX, math, shown};
use crate::text::quoted;

/// Why a run does not go on.
pub(super) enum Stop {
    /// An error that `try` catches.
    Error(Value),
    /// A `break` to the label of this number.
    Break(usize),
    /// Too many steps: nothing catches it.
    Steps,
    /// Another limit, or the end of interest outside: nothing catches it.
    Limit(String),
    /// Whoever asked has enough.
    Enough,
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Error(Value::text(why))
    }
}

impl Stop {
    /// The reason, for an error that is told on.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Error(why) => super::strings::text_of(why).to_string(),
            Self::Limit(why) => why.clone(),
            Self::Break(_) => "breaks out of nothing".to_owned(),
            Self::Steps | Self::Enough => "ended".to_owned(),
        }
    }
}

pub(super) type Flow = Result<(), Stop>;
/// Takes one output.
pub(super) type Out<'o> = &'o mut dyn FnMut(Item) -> Flow;
/// The steps that led to a value, the last one first.
pub(super) type Trail = Option<Rc<(Value, TrailRest)>>;
pub(super) struct TrailRest(pub(super) Trail);

impl Drop for TrailRest {
    /// Step by step: a trail is as long as a program likes, and each step within the last one would take all of the stack.
    fn drop(&mut self) {
        let mut rest = self.0.take();
        while let Some(mut step) = rest {
            rest = Rc::get_mut(&mut step).and_then(|(_, rest)| rest.0.take());
        }
    }
}

/// What variables, filter arguments and labels stand for, the newest first.
pub(super) type Env<'p> = Option<Rc<Entry<'p>>>;

pub(super) struct Entry<'p> {
    bound: Bound<'p>,
    rest: Env<'p>,
}

#[derive(Clone)]
pub(super) enum Bound<'p> {
    Value(Value),
    Filter(&'p Term, Env<'p>),
    Label(usize),
}

/// A value, with its trail where paths are asked for.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) trail: Option<Trail>,
}

impl Item {
    pub(super) fn value(value: Value) -> Self {
        Self { value, trail: None }
    }

    pub(super) fn below(&self, step: &Value, value: Value) -> Self {
        let trail = self.trail.as_ref();
        let trail = trail.map(|trail| Some(Rc::new((step.clone(), TrailRest(trail.clone())))));
        Self { value, trail }
    }
}

pub(super) struct Machine<'p> {
    defs: &'p [Def],
    pub(super) tools: &'p Tools,
    steps: Cell<u64>,
    depth: Cell<usize>,
    labels: Cell<usize>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an environment is an option: the first has no entry"
)]
pub(super) fn push<'p>(env: &Env<'p>, bound: Bound<'p>) -> Env<'p> {
    let rest = env.clone();
    Some(Rc::new(Entry { bound, rest }))
}

impl<'p> Machine<'p> {
    pub(super) fn new(defs: &'p [Def], tools: &'p Tools) -> Self {
        Self {
            defs,
            tools,
            steps: Cell::new(0),
            depth: Cell::new(0),
            labels: Cell::new(0),
        }
    }

    /// Counts one step. `Err`: there were too many.
    pub(super) fn step(&self) -> Flow {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            return Err(Stop::Steps);
        }
        Ok(())
    }

    /// Hands every output of `term` to `out`.
    pub(super) fn run(&self, term: &'p Term, env: &Env<'p>, item: Item, out: Out) -> Flow {
        self.step()?;
        let depth = self.depth.get() + 1;
        if depth > DEPTH_MAX {
            return Err(Stop::Limit(format!(
                "has more than {DEPTH_MAX} filters inside each other"
            )));
        }
        self.depth.set(depth);
        let flow = self.dispatch(term, env, item, out);
        self.depth.set(depth - 1);
        flow
    }

    /// The outputs of `term` as plain values.
    pub(super) fn values(
        &self,
        term: &'p Term,
        env: &Env<'p>,
        value: Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        self.run(term, env, Item::value(value), &mut |item| out(item.value))
    }

    #[inline]
    fn dispatch(&self, term: &'p Term, env: &Env<'p>, item: Item, out: Out) -> Flow {
        match term {
            Term::Identity => out(item),
            Term::Recurse => self.descend(item, out),
            Term::Pipe(left, right) => {
                self.run(left, env, item, &mut |item| self.run(right, env, item, out))
            }
            Term::Comma(left, right) => {
                self.run(left, env, item.clone(), out)?;
                self.run(right, env, item, out)
            }
            Term::Path(base, steps) => self.path(base, steps, env, item, out),
            Term::Bind(left, bound) => self.bind_each(left, bound, env, &item, out),
            Term::BindAny(left, nulls, patterns) => {
                self.bind_any(left, *nulls, patterns, env, &item, out)
            }
            Term::If(parts) => self.values(&parts.0, env, item.value.clone(), &mut |condition| {
                let then = if condition.is_true() {
                    &parts.1
                } else {
                    &parts.2
                };
                self.run(then, env, item.clone(), out)
            }),
            Term::Alternative(left, right) => self.alternative(left, right, env, item, out),
            Term::Try(inner, catch) => self.attempt(inner, catch.as_deref(), env, item, out),
            Term::Fold(fold) => self.fold(fold, env, item, out),
            Term::Argument(place) => match bound(env, *place) {
                Bound::Filter(term, env) => self.run(term, &env, item, out),
                Bound::Value(_) | Bound::Label(_) => Ok(()),
            },
            Term::Call(def, skip, arguments) => {
                let def = &self.defs[*def];
                self.call(def, arguments, (env, &skipped(env, *skip)), item, out)
            }
            Term::Label(inner) => self.label(inner, env, item, out),
            Term::Break(place) => match bound(env, *place) {
                Bound::Label(label) => Err(Stop::Break(label)),
                Bound::Value(_) | Bound::Filter(..) => Ok(()),
            },
            Term::Special(special, arguments) => self.special(*special, arguments, env, item, out),
            _ if item.trail.is_some() => Err(Stop::from(format!(
                "cannot find a path to what is calculated from {}",
                quoted(&shown(&item.value))
            ))),
            _ => self.calculate(term, env, item.value, &mut |value| {
                out(Item::value(not_too_deep(value, term.name())?))
            }),
        }
    }

    /// The terms whose outputs stand nowhere in their input.
    #[inline(never)]
    fn calculate(
        &self,
        term: &'p Term,
        env: &Env<'p>,
        value: Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        match term {
            Term::Value(constant) => out(constant.clone()),
            Term::Variable(place) => match bound(env, *place) {
                Bound::Value(value) => out(value),
                Bound::Filter(..) | Bound::Label(_) => Ok(()),
            },
            Term::Array(inner) => {
                let values = self.collect(inner, env, value)?;
                out(Value::array(values))
            }
            Term::Object(members) => self.object(members, env, &value, Object::default(), out),
            Term::Text(format, pieces) => {
                self.text(format, pieces, env, (&value, String::new()), out)
            }
            Term::Negate(inner) => {
                self.values(inner, env, value, &mut |value| out(math::negate(&value)?))
            }
            Term::Logic(left, stop, right) => self.values(left, env, value.clone(), &mut |left| {
                if left.is_true() == *stop {
                    return out(Value::Bool(*stop));
                }
                self.values(right, env, value.clone(), &mut |right| {
                    out(Value::Bool(right.is_true()))
                })
            }),
            Term::Math(left, op, right) => {
                self.pairs(left, right, env, &value, &mut |left, right| {
                    out(math::calculate(left, *op, right)?)
                })
            }
            Term::Compare(left, op, right) => {
                self.pairs(left, right, env, &value, &mut |left, right| {
                    out(Value::Bool(compared(&left, *op, &right)))
                })
            }
            Term::Assign(left, right) => {
                self.assign(left, right, env, &value, out, &|_, right| Ok(right))
            }
            Term::Update(left, right) => self.update(left, right, env, value, out),
            Term::UpdateMath(left, op, right) => {
                self.assign(left, right, env, &value, out, &|old, right| {
                    math::calculate(old, *op, right)
                })
            }
            Term::UpdateAlternative(left, right) => {
                self.assign(left, right, env, &value, out, &|old, right| {
                    Ok(if old.is_true() { old } else { right })
                })
            }
            Term::Native(native, arguments) => {
                self.native(native, arguments, env, &value, &mut Vec::new(), out)
            }
            _ => Ok(()),
        }
    }

    /// All outputs.
    pub(super) fn collect(
        &self,
        term: &'p Term,
        env: &Env<'p>,
        value: Value,
    ) -> Result<Vec<Value>, Stop> {
        let mut values = Vec::new();
        self.values(term, env, value, &mut |value| {
            if values.len() >= BUILT_MAX {
                return Err(Stop::Limit(format!(
                    "collects more than {BUILT_MAX} values"
                )));
            }
            values.push(value);
            Ok(())
        })?;
        Ok(values)
    }

    /// Every output of `right` with every output of `left`; as in jq, `right` is the outer loop.
    #[inline(never)]
    fn pairs(
        &self,
        left: &'p Term,
        right: &'p Term,
        env: &Env<'p>,
        value: &Value,
        out: &mut dyn FnMut(Value, Value) -> Flow,
    ) -> Flow {
        self.values(right, env, value.clone(), &mut |right| {
            self.values(left, env, value.clone(), &mut |left| {
                out(left, right.clone())
            })
        })
    }

    #[inline(never)]
    fn label(&self, inner: &'p Term, env: &Env<'p>, item: Item, out: Out) -> Flow {
        let label = self.labels.get();
        self.labels.set(label + 1);
        let env = push(env, Bound::Label(label));
        match self.run(inner, &env, item, out) {
            Err(Stop::Break(reached)) if reached == label => Ok(()),
            flow => flow,
        }
    }
}

pub(super) fn bound<'p>(env: &Env<'p>, place: usize) -> Bound<'p> {
    let mut at = env.as_ref();
    for _ in 0..place {
        at = at.and_then(|entry| entry.rest.as_ref());
    }
    at.expect("the compiler counted the environment")
        .bound
        .clone()
}

fn skipped<'p>(env: &Env<'p>, count: usize) -> Env<'p> {
    let mut at = env.clone();
    for _ in 0..count {
        at = at.and_then(|entry| entry.rest.clone());
    }
    at
}

/// A value that was built. `Err`: it has more levels than may be gone down on the stack, by what `builder` made of it.
pub(super) fn not_too_deep(value: Value, builder: &str) -> Result<Value, String> {
    if value.is_too_deep() {
        return Err(format!(
            "{} builds a value nested deeper than {LEVELS_MAX} levels",
            quoted(builder)
        ));
    }
    Ok(value)
}

fn compared(left: &Value, op: Cmp, right: &Value) -> bool {
    match op {
        Cmp::Eq => left == right,
        Cmp::Ne => left != right,
        Cmp::Lt => left < right,
        Cmp::Le => left <= right,
        Cmp::Gt => left > right,
        Cmp::Ge => left >= right,
    }
}
