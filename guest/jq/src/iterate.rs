//! Filters that take filters and loop: each round is a step, and none is inside the last one.

use super::builtins::Special;
use super::eval::{Env, Flow, Item, Machine, Out, Stop, first_of, not_too_deep, steps_of};

use super::number::Number;
use super::paths;
use super::term::Term;
use super::value::{Object, Value};
use super::{math, shown};
use crate::text::quoted;

impl<'p> Machine<'p> {
    #[inline(never)]
    pub(super) fn special(
        &self,
        special: Special,
        arguments: &'p [Term],
        env: &Env<'p>,
        item: Item,
        out: Out,
    ) -> Flow {
        match (special, arguments) {
            (Special::Error, _) => Err(Stop::Error(item.value)),
            (Special::Select, [condition]) => {
                self.values(condition, env, item.value.clone(), &mut |condition| {
                    if condition.is_true() {
                        out(item.clone())
                    } else {
                        Ok(())
                    }
                })
            }
            (Special::Path, [term]) => {
                let input = Item {
                    value: item.value,
                    trail: Some(None),
                };
                self.run(term, env, input, &mut |found| {
                    let path = Value::array(steps_of(found.trail.as_ref()));
                    out(Item::value(not_too_deep(path, "path")?))
                })
            }
            (Special::GetPath, [path]) => self.get_path(path, env, &item, out),
            (Special::Range, [from, to, by]) => {
                self.values(by, env, item.value.clone(), &mut |by| {
                    self.values(to, env, item.value.clone(), &mut |to| {
                        self.values(from, env, item.value.clone(), &mut |from| {
                            self.range(from, &to, &by, out)
                        })
                    })
                })
            }
            (Special::First, [term]) => self.limit(1, term, env, item, out),
            (Special::Limit, [count, term]) => {
                self.values(count, env, item.value.clone(), &mut |count| {
                    self.limit(whole_count(&count)?, term, env, item.clone(), out)
                })
            }
            (Special::Skip, [count, term]) => {
                self.values(count, env, item.value.clone(), &mut |count| {
                    let mut left = whole_count(&count)?;
                    self.run(term, env, item.clone(), &mut |item| {
                        if left == 0 {
                            return out(item);
                        }
                        left -= 1;
                        Ok(())
                    })
                })
            }
            (Special::Last, [term]) => {
                let mut last = None;
                self.run(term, env, item, &mut |item| {
                    last = Some(item);
                    Ok(())
                })?;
                last.map_or(Ok(()), out)
            }
            (Special::IsEmpty, [term]) => {
                let first = self.first(term, env, item.value)?;
                out(Item::value(Value::Bool(first.is_none())))
            }
            (Special::Any | Special::All, [over, condition]) => {
                let wanted = special == Special::Any;
                let found = self.finds(over, condition, wanted, env, item.value)?;
                out(Item::value(Value::Bool(found)))
            }
            (Special::Recurse | Special::Repeat, [term]) => self.recurse(term, env, item, out),
            (Special::While | Special::Until, [condition, update]) => {
                let until = special == Special::Until;
                self.run_while((condition, update), until, env, item, out)
            }
            (Special::Walk, [term]) => {
                let mut out = |value| out(Item::value(value));
                self.walk(term, env, item.value, &mut out)
            }
            // `empty`; any other has the arguments it was found by.
            _ => Ok(()),
        }
    }

    fn get_path(&self, path: &'p Term, env: &Env<'p>, item: &Item, out: Out) -> Flow {
        self.values(path, env, item.value.clone(), &mut |path| {
            let Value::Array(steps) = path else {
                return Err(Stop::from(format!(
                    "cannot follow {}: a path is an array",
                    quoted(&shown(&path))
                )));
            };
            let mut at = item.clone();
            for step in steps.iter() {
                let value = paths::index(&at.value, step)?;
                at = at.below(step, value);
            }
            out(at)
        })
    }

    fn range(&self, from: Value, to: &Value, by: &Value, out: Out) -> Flow {
        let zero = Value::int(0);
        let mut at = from;
        while if *by > zero {
            at < *to
        } else {
            *by < zero && at > *to
        } {
            self.step()?;
            out(Item::value(at.clone()))?;
            at = math::add(at, by.clone())?;
        }
        Ok(())
    }

    fn limit(&self, count: u64, term: &'p Term, env: &Env<'p>, item: Item, out: Out) -> Flow {
        if count == 0 {
            return Ok(());
        }
        let mut left = count;
        let flow = self.run(term, env, item, &mut |item| {
            out(item)?;
            left -= 1;
            if left == 0 { Err(Stop::Enough) } else { Ok(()) }
        });
        match flow {
            // It is ours only when the last one was taken: one from further out comes before that.
            Err(Stop::Enough) if left == 0 => Ok(()),
            flow => flow,
        }
    }

    /// Whether `condition` is `wanted` for one of the outputs of `over`; if not, the opposite of `wanted`.
    fn finds(
        &self,
        over: &'p Term,
        condition: &'p Term,
        wanted: bool,
        env: &Env<'p>,
        value: Value,
    ) -> Result<bool, Stop> {
        let mut found = false;
        let flow = self.values(over, env, value, &mut |value| {
            self.values(condition, env, value, &mut |condition| {
                found = condition.is_true() == wanted;
                if found { Err(Stop::Enough) } else { Ok(()) }
            })
        });
        match flow {
            Err(Stop::Enough) if found => {}
            flow => flow?,
        }
        Ok(if found { wanted } else { !wanted })
    }

    /// `..`: the value and all that is in it.
    #[inline(never)]
    pub(super) fn descend(&self, item: Item, out: Out) -> Flow {
        rounds(item, &mut |item, next| {
            self.step()?;
            self.each(&item, true, next)?;
            out(item)
        })
    }

    fn recurse(&self, term: &'p Term, env: &Env<'p>, item: Item, out: Out) -> Flow {
        rounds(item, &mut |item, next| {
            out(item.clone())?;
            self.run(term, env, item, next)
        })
    }

    /// `while`, and `until` when it only emits where `condition` holds, which is the end of it.
    fn run_while(
        &self,
        (condition, update): (&'p Term, &'p Term),
        until: bool,
        env: &Env<'p>,
        item: Item,
        out: Out,
    ) -> Flow {
        rounds(item, &mut |item, next| {
            let holds = self.first(condition, env, item.value.clone())?;
            let holds = holds.is_some_and(|value| value.is_true());
            if holds {
                out(item.clone())?;
            }
            if holds == until {
                return Ok(());
            }
            self.run(update, env, item, next)
        })
    }

    /// Runs `term` on all that is in a value, the innermost first, then on the value.
    fn walk(
        &self,
        term: &'p Term,
        env: &Env<'p>,
        value: Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let walked = match &value {
            Value::Array(values) => {
                let mut walked = Vec::with_capacity(values.len());
                for value in values.iter() {
                    self.walk(term, env, value.clone(), &mut |value| {
                        walked.push(value);
                        Ok(())
                    })?;
                }
                Value::array(walked)
            }
            Value::Object(object) => {
                let mut walked = Object::default();
                for (name, value) in object.iter() {
                    let first = first_of(|out| self.walk(term, env, value.clone(), out))?;
                    if let Some(value) = first {
                        walked.insert(name.clone(), value);
                    }
                }
                Value::Object(walked.into())
            }
            _ => value,
        };
        self.values(term, env, not_too_deep(walked, "walk")?, out)
    }
}

/// Does a round for an item, and for each that a round hands on, which comes before what the rounds before it handed on.
fn rounds(item: Item, round: &mut dyn FnMut(Item, Out) -> Flow) -> Flow {
    let mut waiting = vec![item];
    while let Some(item) = waiting.pop() {
        let from = waiting.len();
        round(item, &mut |inner| {
            waiting.push(inner);
            Ok(())
        })?;
        waiting[from..].reverse();
    }
    Ok(())
}

fn whole_count(value: &Value) -> Result<u64, Stop> {
    match value {
        Value::Number(number) if !matches!(number, Number::Float(float) if float.is_nan()) => {
            let count = number
                .as_int()
                .unwrap_or(if number.as_f64() > 0.0 { i64::MAX } else { 0 });
            Ok(u64::try_from(count).unwrap_or(0))
        }
        other => Err(Stop::from(format!(
            "cannot count to {}",
            quoted(&shown(other))
        ))),
    }
}
