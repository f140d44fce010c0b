//! Going into values: `.a[0]`, `.[]`, slices, and taking a value apart by a pattern.

use super::eval::{Bound, Env, Flow, Item, Machine, Out, Stop, push};
use super::term::{Pattern, Step, Term};
use super::value::Value;
use super::{paths, shown};
use crate::text::quoted;

/// A bound of a slice that is not given.
const NONE: &Term = &Term::Value(Value::Null);

impl<'p> Machine<'p> {
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
}

fn step_in(item: &Item, index: &Value, optional: bool, out: Out) -> Flow {
    match paths::index(&item.value, index) {
        Ok(value) => out(item.below(index, value)),
        Err(_) if optional => Ok(()),
        Err(why) => Err(Stop::from(why)),
    }
}
