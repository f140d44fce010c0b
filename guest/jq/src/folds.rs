//! Terms that gather, catch or change: `reduce`, `try`, `//` and the assignments.

use super::eval::{Env, Flow, Item, Machine, Out, Stop, Trail};
use super::paths;
use super::term::{Fold, Term};
use super::value::Value;

impl<'p> Machine<'p> {
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
