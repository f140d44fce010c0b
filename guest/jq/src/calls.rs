//! Terms with parts: objects and strings that are put together, and filters with arguments. Each combination is an output.

use std::rc::Rc;

use super::builtins::Native;
use super::eval::{Bound, Env, Flow, Item, Machine, Out, Stop, bound, push};
use super::shown;
use super::term::{Def, Piece, Term};
use super::value::{Object, Value};
use crate::text::quoted;

impl<'p> Machine<'p> {
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
}
