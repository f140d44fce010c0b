//! A program's text becomes terms: names are looked up once, here, and whatever is unknown or not pure is refused.
//!
//! Lexing and parsing are jaq's; running the terms is `eval`'s job.

mod alternatives;
mod parts;
mod problem;

use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{Def as ParsedDef, Parser, Term as Parsed};
use jaq_core::path::{Opt, Part};

use self::alternatives::Alternatives;
use self::problem::Source;
use super::builtins::{self, Builtin};
use super::json;
use super::number::Number;
use super::term::{Def, Program, Step, Term};
use super::value::Value;

/// Filters that are written in jq themselves.
const PRELUDE: &str = include_str!("prelude.jq");

/// Compiles a program that may use these `variables`, named with their `$`, of which the environment of a run has the values,
/// the last one newest. `Err` says where it is wrong and what with.
pub(super) fn compile<'t>(text: &'t str, variables: &[&'t str]) -> Result<Program, String> {
    let source = Source::new(text);
    let mut compiler = Compiler {
        source: Source::new(PRELUDE),
        scope: Vec::new(),
        functions: Vec::new(),
        defs: Vec::new(),
        alternatives: Alternatives::default(),
    };
    let tokens = Lexer::new(PRELUDE).lex().expect("the prelude is jq");
    let defs = Parser::new(&tokens)
        .parse(Parser::defs)
        .expect("the prelude is jq");
    for def in &defs {
        compiler.define(def)?;
    }
    compiler.source = source;
    let variables = variables.iter().copied().map(Bound::Variable);
    compiler.scope.extend(variables);
    let mut tokens = Lexer::new(text)
        .lex()
        .map_err(|errors| compiler.source.unreadable(&errors))?;
    let taken = compiler.alternatives.take_out(text, &mut tokens);
    taken.map_err(|part| compiler.source.no_pattern(part))?;
    let parsed = Parser::new(&tokens)
        .parse(Parser::term)
        .map_err(|errors| compiler.source.unexpected(&errors))?;
    let main = compiler.term(&parsed)?;
    Ok(Program {
        main,
        defs: compiler.defs,
    })
}

/// What is in the environment when a term is run, the newest last.
#[derive(Clone)]
enum Bound<'t> {
    Variable(&'t str),
    Filter,
    Label(&'t str),
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Function {
    /// A definition, and how much of the environment it was made in.
    Def { at: usize, scope: usize },
    /// An argument that is in the environment.
    Argument(usize),
}

struct Compiler<'t> {
    source: Source<'t>,
    scope: Vec<Bound<'t>>,
    functions: Vec<(&'t str, usize, Function)>,
    defs: Vec<Def>,
    alternatives: Alternatives<'t>,
}

impl<'t> Compiler<'t> {
    fn define(&mut self, def: &ParsedDef<&'t str>) -> Result<(), String> {
        let at = self.defs.len();
        let scope = self.scope.len();
        let variables = def.args.iter().map(|name| name.starts_with('$')).collect();
        self.defs.push(Def {
            variables,
            body: Term::Identity,
        });
        let function = Function::Def { at, scope };
        self.functions.push((def.name, def.args.len(), function));
        let functions = self.functions.len();
        for name in &def.args {
            let place = self.scope.len();
            if name.starts_with('$') {
                self.scope.push(Bound::Variable(name));
            } else {
                self.scope.push(Bound::Filter);
                self.functions.push((name, 0, Function::Argument(place)));
            }
        }
        let body = self.term(&def.body);
        self.scope.truncate(scope);
        self.functions.truncate(functions);
        self.defs[at].body = body?;
        Ok(())
    }

    fn term(&mut self, parsed: &Parsed<&'t str>) -> Result<Term, String> {
        Ok(match parsed {
            Parsed::Id => Term::Identity,
            Parsed::Recurse => Term::Recurse,
            Parsed::Num(digits) => Term::Value(Value::Number(number(digits))),
            Parsed::Str(format, parts) => self.string(*format, parts)?,
            Parsed::Arr(inner) => match inner {
                Some(inner) => Term::Array(self.boxed(inner)?),
                None => Term::Value(Value::array(Vec::new())),
            },
            Parsed::Obj(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| self.member(name, value.as_ref()));
                Term::Object(members.collect::<Result<_, _>>()?)
            }
            Parsed::Neg(inner) => Term::Negate(self.boxed(inner)?),
            Parsed::BinOp(left, op, right) => self.operator(left, op, right)?,
            Parsed::Label(name, inner) => {
                let inner = self.within(vec![Bound::Label(name)], |own| own.boxed(inner))?;
                Term::Label(inner)
            }
            Parsed::Break(name) => Term::Break(self.place(
                name,
                "label",
                |bound| matches!(bound, Bound::Label(known) if known == name),
            )?),
            Parsed::Fold(word, over, pattern, arguments) => {
                self.fold(word, over, pattern, arguments)?
            }
            Parsed::TryCatch(inner, catch) => {
                let catch = catch.as_ref().map(|catch| self.boxed(catch));
                Term::Try(self.boxed(inner)?, catch.transpose()?)
            }
            Parsed::IfThenElse(branches, otherwise) => {
                let mut term = match otherwise {
                    Some(otherwise) => self.term(otherwise)?,
                    None => Term::Identity,
                };
                for (condition, then) in branches.iter().rev() {
                    term = Term::If(Box::new((self.term(condition)?, self.term(then)?, term)));
                }
                term
            }
            Parsed::Def(defs, rest) => {
                let functions = self.functions.len();
                for def in defs {
                    self.define(def)?;
                }
                let rest = self.term(rest);
                self.functions.truncate(functions);
                rest?
            }
            Parsed::Call(name, arguments) => self.call(name, arguments)?,
            Parsed::Var(name) => Term::Variable(self.place(
                name,
                "variable",
                |bound| matches!(bound, Bound::Variable(known) if known == name),
            )?),
            Parsed::Path(base, path) => {
                let base = self.boxed(base)?;
                let steps = path
                    .0
                    .iter()
                    .map(|(part, optional)| self.step(part, *optional));
                Term::Path(base, steps.collect::<Result<_, _>>()?)
            }
        })
    }

    fn boxed(&mut self, parsed: &Parsed<&'t str>) -> Result<Box<Term>, String> {
        self.term(parsed).map(Box::new)
    }

    fn within<T>(&mut self, bound: Vec<Bound<'t>>, compile: impl FnOnce(&mut Self) -> T) -> T {
        let scope = self.scope.len();
        self.scope.extend(bound);
        let compiled = compile(self);
        self.scope.truncate(scope);
        compiled
    }

    /// How many entries of the environment are newer than the one that is looked for.
    fn place(
        &self,
        name: &'t str,
        what: &str,
        is: impl Fn(&Bound<'t>) -> bool,
    ) -> Result<usize, String> {
        let mut newest_first = self.scope.iter().rev();
        newest_first
            .position(is)
            .ok_or_else(|| self.source.unknown(what, name))
    }

    fn step(
        &mut self,
        part: &Part<Parsed<&'t str>>,
        optional: Opt,
    ) -> Result<(Step, bool), String> {
        let step = match part {
            Part::Index(index) => Step::Index(self.term(index)?),
            Part::Range(None, None) => Step::Each,
            Part::Range(from, to) => {
                let from = from.as_ref().map(|from| self.term(from)).transpose()?;
                let to = to.as_ref().map(|to| self.term(to)).transpose()?;
                Step::Slice(from, to)
            }
        };
        Ok((step, matches!(optional, Opt::Optional)))
    }

    fn member(
        &mut self,
        name: &Parsed<&'t str>,
        value: Option<&Parsed<&'t str>>,
    ) -> Result<(Term, Term), String> {
        let key = match name {
            Parsed::Var(variable) => Term::Value(Value::text(&variable[1..])),
            name => self.term(name)?,
        };
        let value = match (value, name) {
            (Some(value), _) => self.term(value)?,
            (None, Parsed::Var(_)) => self.term(name)?,
            (None, name) => {
                let step = (Step::Index(self.term(name)?), false);
                Term::Path(Box::new(Term::Identity), vec![step])
            }
        };
        Ok((key, value))
    }

    fn call(&mut self, name: &'t str, arguments: &[Parsed<&'t str>]) -> Result<Term, String> {
        let arity = arguments.len();
        match (name, arity) {
            ("null", 0) => return Ok(Term::Value(Value::Null)),
            ("true", 0) => return Ok(Term::Value(Value::Bool(true))),
            ("false", 0) => return Ok(Term::Value(Value::Bool(false))),
            _ => {}
        }
        let known = self.functions.iter().rev();
        let known = known
            .clone()
            .find(|(known, parameters, _)| *known == name && *parameters == arity)
            .map(|(_, _, function)| *function);
        let compiled = |own: &mut Self| -> Result<Vec<Term>, String> {
            arguments
                .iter()
                .map(|argument| own.term(argument))
                .collect()
        };
        match known {
            Some(Function::Argument(place)) => Ok(Term::Argument(self.scope.len() - 1 - place)),
            Some(Function::Def { at, scope }) => {
                let skip = self.scope.len() - scope;
                Ok(Term::Call(at, skip, compiled(self)?))
            }
            None => match builtins::find(name, arity) {
                Some(Builtin::Native(native)) => Ok(Term::Native(native, compiled(self)?)),
                Some(Builtin::Special(special)) => Ok(Term::Special(special, compiled(self)?)),
                None => Err(self.source.unknown_filter(name, arity)),
            },
        }
    }
}

/// A number of the program; `1.` and `.5` are some that JSON does not know.
fn number(digits: &str) -> Number {
    match json::read(digits) {
        Ok(Value::Number(number)) => number,
        _ => Number::Float(digits.parse().unwrap_or(f64::NAN)),
    }
}
