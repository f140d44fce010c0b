//! Running terms: every output is handed to the next term, so that nothing waits and nothing is kept. The filters that loop
//! are in `iterate`.
//!
//! A value may carry the trail that leads to it, when a path is asked for. Steps and depth are counted here, in one place.

use std::cell::Cell;
use std::rc::Rc;

use jaq_core::ops::Cmp;

use super::builtins::{Native, Tools};
use super::json::LEVELS_MAX;
use super::term::{Def, Fold, Pattern, Piece, Step, Term};
use super::value::{Object, Value};
use super::{BUILT_MAX, DEPTH_MAX, math, paths, shown};
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
    /// The reason, for an error that is passed on.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Error(why) => super::strings::text_of(why).to_string(),
            Self::Limit(why) => why.clone(),
            Self::Break(_) => "has a `break` outside of its label".to_owned(),
            Self::Steps | Self::Enough => "ended".to_owned(),
        }
    }
}

/// A bound of a slice that is not given.
const NONE: &Term = &Term::Value(Value::Null);

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
    steps_max: u64,
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
    pub(super) fn new(defs: &'p [Def], tools: &'p Tools, steps_max: u64) -> Self {
        Self {
            defs,
            tools,
            steps: Cell::new(0),
            steps_max,
            depth: Cell::new(0),
            labels: Cell::new(0),
        }
    }

    /// Counts one step. `Err`: there were too many.
    pub(super) fn step(&self) -> Flow {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > self.steps_max {
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
                "cannot find the path of a value calculated from {}",
                quoted(&shown(&item.value))
            ))),
            _ => self.calculate(term, env, item.value, &mut |value| {
                out(Item::value(not_too_deep(value, term.name())?))
            }),
        }
    }

    /// The terms whose outputs are nowhere in their input.
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

    #[inline(never)]
    pub(super) fn path(
        &self,
        base: &'p Term,
        steps: &'p [(Step, bool)],
        env: &Env<'p>,
        item: Item,
        out: Out,
    ) -> Flow {
        if matches!(base, Term::Identity) {
            let input = item.value.clone();
            return self.steps(steps, env, &input, item, out);
        }
        let input = item.value.clone();
        self.run(base, env, item, &mut |item| {
            self.steps(steps, env, &input, item, out)
        })
    }

    fn steps(
        &self,
        steps: &'p [(Step, bool)],
        env: &Env<'p>,
        input: &Value,
        item: Item,
        out: Out,
    ) -> Flow {
        let Some(((step, optional), rest)) = steps.split_first() else {
            return out(item);
        };
        match step {
            Step::Index(Term::Value(index)) => step_in(&item, index, *optional, &mut |item| {
                self.steps(rest, env, input, item, out)
            }),
            Step::Index(index) => self.values(index, env, input.clone(), &mut |index| {
                step_in(&item, &index, *optional, &mut |item| {
                    self.steps(rest, env, input, item, out)
                })
            }),
            Step::Each => self.each(&item, *optional, &mut |item| {
                self.steps(rest, env, input, item, out)
            }),
            Step::Slice(from, to) => {
                let (from, to) = (from.as_ref(), to.as_ref());
                self.values(from.unwrap_or(NONE), env, input.clone(), &mut |from| {
                    self.values(to.unwrap_or(NONE), env, input.clone(), &mut |to| {
                        let index = paths::slice_index(from.clone(), to);
                        step_in(&item, &index, *optional, &mut |item| {
                            self.steps(rest, env, input, item, out)
                        })
                    })
                })
            }
        }
    }

    /// Every element or member.
    pub(super) fn each(&self, item: &Item, optional: bool, out: Out) -> Flow {
        match &item.value {
            Value::Array(values) => {
                for (at, value) in values.iter().enumerate() {
                    self.step()?;
                    out(item.below(&Value::count(at), value.clone()))?;
                }
                Ok(())
            }
            Value::Object(object) => {
                for (name, value) in object.iter() {
                    self.step()?;
                    out(item.below(&Value::Text(name.clone()), value.clone()))?;
                }
                Ok(())
            }
            _ if optional => Ok(()),
            other => Err(Stop::from(format!(
                "cannot iterate over a {}: {}",
                other.kind(),
                quoted(&shown(other))
            ))),
        }
    }

    #[inline(never)]
    pub(super) fn bind_each(
        &self,
        left: &'p Term,
        bound: &'p (Pattern, Term),
        env: &Env<'p>,
        item: &Item,
        out: Out,
    ) -> Flow {
        self.values(left, env, item.value.clone(), &mut |value| {
            self.bind(&bound.0, env, (env, value), &mut |env| {
                self.run(&bound.1, env, item.clone(), out)
            })
        })
    }

    /// `as P ?// Q`: an error, in a pattern or in what comes then, leads to the next pattern; that of the last one is an error.
    #[inline(never)]
    pub(super) fn bind_any(
        &self,
        left: &'p Term,
        nulls: usize,
        patterns: &'p [(Pattern, Term)],
        env: &Env<'p>,
        item: &Item,
        out: Out,
    ) -> Flow {
        let mut unbound = env.clone();
        for _ in 0..nulls {
            unbound = push(&unbound, Bound::Value(Value::Null));
        }
        self.values(left, env, item.value.clone(), &mut |value| {
            for (at, (pattern, then)) in patterns.iter().enumerate() {
                let mut outside = false;
                let flow = self.bind(pattern, env, (&unbound, value.clone()), &mut |env| {
                    self.run(then, env, item.clone(), &mut |item| {
                        out(item).inspect_err(|_| outside = true)
                    })
                });
                match flow {
                    Err(Stop::Error(_)) if !outside && at + 1 < patterns.len() => {}
                    flow => return flow,
                }
            }
            Ok(())
        })
    }

    /// Takes a value apart, and goes on with what its parts are called; keys are run in the `outer` environment.
    pub(super) fn bind(
        &self,
        pattern: &'p Pattern,
        outer: &Env<'p>,
        (env, value): (&Env<'p>, Value),
        then: &mut dyn FnMut(&Env<'p>) -> Flow,
    ) -> Flow {
        match pattern {
            Pattern::Variable => then(&push(env, Bound::Value(value))),
            Pattern::Within(patterns) => self.bind_within(patterns, outer, (env, &value), then),
        }
    }

    fn bind_within(
        &self,
        patterns: &'p [(Term, Pattern)],
        outer: &Env<'p>,
        (env, value): (&Env<'p>, &Value),
        then: &mut dyn FnMut(&Env<'p>) -> Flow,
    ) -> Flow {
        let Some(((key, pattern), rest)) = patterns.split_first() else {
            return then(env);
        };
        self.values(key, outer, value.clone(), &mut |key| {
            let inner = paths::index(value, &key)?;
            self.bind(pattern, outer, (env, inner), &mut |env| {
                self.bind_within(rest, outer, (env, value), then)
            })
        })
    }

    #[inline(never)]
    pub(super) fn object(
        &self,
        members: &'p [(Term, Term)],
        env: &Env<'p>,
        value: &Value,
        object: Object,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let Some(((name, member), rest)) = members.split_first() else {
            return out(Value::Object(Rc::new(object)));
        };
        self.values(name, env, value.clone(), &mut |name| {
            let Value::Text(name) = name else {
                let what = name.kind();
                return Err(Stop::from(format!(
                    "cannot name a member by a {what}: {}",
                    quoted(&shown(&name))
                )));
            };
            self.values(member, env, value.clone(), &mut |member| {
                let mut object = object.clone();
                object.insert(name.clone(), member);
                self.object(rest, env, value, object, out)
            })
        })
    }

    #[inline(never)]
    pub(super) fn text(
        &self,
        format: &'p Native,
        pieces: &'p [Piece],
        env: &Env<'p>,
        (value, built): (&Value, String),
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        // As in jq, where the pieces are added up, the last one is the outer loop.
        match pieces.split_last() {
            None => out(Value::text(built)),
            Some((Piece::Plain(plain), rest)) => {
                self.text(format, rest, env, (value, format!("{plain}{built}")), out)
            }
            Some((Piece::Term(term), rest)) => {
                self.values(term, env, value.clone(), &mut |piece| {
                    let piece = (format.run)(self.tools, &piece, &[])?;
                    let Value::Text(piece) = piece else {
                        return Ok(());
                    };
                    self.text(format, rest, env, (value, format!("{piece}{built}")), out)
                })
            }
        }
    }

    /// Runs a native filter with every combination of its arguments.
    pub(super) fn native(
        &self,
        native: &'p Native,
        arguments: &'p [Term],
        env: &Env<'p>,
        value: &Value,
        given: &mut Vec<Value>,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let Some((argument, rest)) = arguments.split_first() else {
            return out((native.run)(self.tools, value, given)?);
        };
        self.values(argument, env, value.clone(), &mut |argument| {
            given.push(argument);
            let flow = self.native(native, rest, env, value, given, out);
            given.pop();
            flow
        })
    }

    /// Calls a definition: `envs` are where the arguments are run and what the body sees.
    #[inline(never)]
    pub(super) fn call(
        &self,
        def: &'p Def,
        arguments: &'p [Term],
        envs: (&Env<'p>, &Env<'p>),
        item: Item,
        out: Out,
    ) -> Flow {
        let given = def.variables.len() - arguments.len();
        let Some((argument, rest)) = arguments.split_first() else {
            return self.run(&def.body, envs.1, item, out);
        };
        if def.variables[given] {
            return self.values(argument, envs.0, item.value.clone(), &mut |value| {
                let inner = push(envs.1, Bound::Value(value));
                self.call(def, rest, (envs.0, &inner), item.clone(), out)
            });
        }
        // A filter that is itself only an argument stands for what that one stands for.
        let filter = match argument {
            Term::Argument(place) => bound(envs.0, *place),
            other => Bound::Filter(other, envs.0.clone()),
        };
        self.call(def, rest, (envs.0, &push(envs.1, filter)), item, out)
    }

    #[inline(never)]
    pub(super) fn fold(&self, fold: &'p Fold, env: &Env<'p>, item: Item, out: Out) -> Flow {
        let input = item.value.clone();
        self.run(&fold.init, env, item, &mut |init| {
            let mut state = Some(init);
            self.values(&fold.over, env, input.clone(), &mut |value| {
                self.bind(&fold.pattern, env, (env, value), &mut |env| {
                    // Taken out, so that what is built here is changed in place.
                    let null = || Item::value(Value::Null);
                    let before = state.take().unwrap_or_else(null);
                    self.run(&fold.update, env, before, &mut |item| {
                        if fold.emits {
                            match &fold.extract {
                                Some(extract) => self.run(extract, env, item.clone(), out)?,
                                None => out(item.clone())?,
                            }
                        }
                        state = Some(item);
                        Ok(())
                    })
                })
            })?;
            match state {
                _ if fold.emits => Ok(()),
                Some(state) => out(state),
                None => out(Item::value(Value::Null)),
            }
        })
    }

    /// `try`: an error of whoever takes the outputs is not caught.
    #[inline(never)]
    pub(super) fn attempt(
        &self,
        inner: &'p Term,
        catch: Option<&'p Term>,
        env: &Env<'p>,
        item: Item,
        out: Out,
    ) -> Flow {
        let mut outside = false;
        let flow = self.run(inner, env, item, &mut |item| {
            out(item).inspect_err(|_| outside = true)
        });
        match (flow, catch) {
            (Err(Stop::Error(_)), None) if !outside => Ok(()),
            (Err(Stop::Error(why)), Some(catch)) if !outside => {
                self.run(catch, env, Item::value(why), out)
            }
            (flow, _) => flow,
        }
    }

    /// `//`: the outputs that are true, or else those of `right`; an error is one.
    #[inline(never)]
    pub(super) fn alternative(
        &self,
        left: &'p Term,
        right: &'p Term,
        env: &Env<'p>,
        item: Item,
        out: Out,
    ) -> Flow {
        let mut any = false;
        self.run(left, env, item.clone(), &mut |item| {
            if !item.value.is_true() {
                return Ok(());
            }
            any = true;
            out(item)
        })?;
        if any {
            return Ok(());
        }
        self.run(right, env, item, out)
    }

    /// `left = right` and what is like it, for every output of `right`: each place becomes what `made` makes of it and that.
    pub(super) fn assign(
        &self,
        left: &'p Term,
        right: &'p Term,
        env: &Env<'p>,
        value: &Value,
        out: &mut dyn FnMut(Value) -> Flow,
        made: &dyn Fn(Value, Value) -> Result<Value, String>,
    ) -> Flow {
        self.values(right, env, value.clone(), &mut |right| {
            let changed = self.modify(left, env, value.clone(), &mut |old| {
                Ok(Some(made(old, right.clone())?))
            });
            out(changed?)
        })
    }

    /// `left |= right`: the first output of `right`; where there is none, the place goes.
    pub(super) fn update(
        &self,
        left: &'p Term,
        right: &'p Term,
        env: &Env<'p>,
        value: Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let changed = self.modify(left, env, value, &mut |old| self.first(right, env, old));
        out(changed?)
    }

    /// The first output as a plain value.
    pub(super) fn first(
        &self,
        term: &'p Term,
        env: &Env<'p>,
        value: Value,
    ) -> Result<Option<Value>, Stop> {
        first_of(|out| self.values(term, env, value, out))
    }

    /// Changes the value at every path that `left` leads to.
    pub(super) fn modify(
        &self,
        left: &'p Term,
        env: &Env<'p>,
        value: Value,
        change: &mut dyn FnMut(Value) -> Result<Option<Value>, Stop>,
    ) -> Result<Value, Stop> {
        let mut gone = Vec::new();
        let mut value = value;
        for path in self.paths_of(left, env, &value)? {
            self.step()?;
            let mut removed = false;
            value = paths::change(value, &path, &mut |old| {
                let new = change(old)?;
                removed = new.is_none();
                match (new, path.last()) {
                    // A slice has no place of its own that could be empty meanwhile.
                    (None, Some(Value::Object(_))) => Err(Stop::Enough),
                    (new, _) => Ok(new.unwrap_or_default()),
                }
            })?;
            if removed {
                gone.push(path);
            }
        }
        paths::delete(value, gone)
    }

    /// The paths of all outputs of `term`.
    pub(super) fn paths_of(
        &self,
        term: &'p Term,
        env: &Env<'p>,
        value: &Value,
    ) -> Result<Vec<Vec<Value>>, Stop> {
        let mut found = Vec::new();
        let item = Item {
            value: value.clone(),
            trail: Some(None),
        };
        self.run(term, env, item, &mut |item| {
            found.push(steps_of(item.trail.as_ref()));
            Ok(())
        })?;
        Ok(found)
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

fn step_in(item: &Item, index: &Value, optional: bool, out: Out) -> Flow {
    match paths::index(&item.value, index) {
        Ok(value) => out(item.below(index, value)),
        Err(_) if optional => Ok(()),
        Err(why) => Err(Stop::from(why)),
    }
}

/// The first of the values that `run` hands on; it is stopped there.
pub(super) fn first_of(
    run: impl FnOnce(&mut dyn FnMut(Value) -> Flow) -> Flow,
) -> Result<Option<Value>, Stop> {
    let mut first = None;
    let flow = run(&mut |value| {
        first = Some(value);
        Err(Stop::Enough)
    });
    match flow {
        Err(Stop::Enough) if first.is_some() => {}
        flow => flow?,
    }
    Ok(first)
}

/// A trail, first step first.
pub(super) fn steps_of(trail: Option<&Trail>) -> Vec<Value> {
    let mut steps = Vec::new();
    let mut at = trail.and_then(Option::as_ref);
    while let Some(node) = at {
        steps.push(node.0.clone());
        at = node.1.0.as_ref();
    }
    steps.reverse();
    steps
}
