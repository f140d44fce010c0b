//! Which members of its input a program looks at: of a record of many, those alone need be made into values.
//!
//! What is not plainly a look at members, looks at the whole.

use std::rc::Rc;

use super::builtins::Special;
use super::term::{Pattern, Piece, Program, Step, Term};
use super::value::Value;

/// The names of the members; `None`: it may look at all of its input, or hand it on.
pub(super) fn looked_at(program: &Program) -> Option<Vec<Rc<str>>> {
    let mut looks = Looks { names: Vec::new() };
    looks.within(&program.main)?;
    Some(looks.names)
}

struct Looks {
    names: Vec<Rc<str>>,
}

impl Looks {
    /// A term whose outputs are made of members. `None`: it looks at the whole, or hands it on.
    fn within(&mut self, term: &Term) -> Option<()> {
        (!self.term(term)?).then_some(())
    }

    fn all<'p>(&mut self, terms: impl IntoIterator<Item = &'p Term>) -> Option<bool> {
        for term in terms {
            self.within(term)?;
        }
        Some(false)
    }

    /// Whether an output may be the input itself. `None`: the term looks at the whole.
    fn term(&mut self, term: &Term) -> Option<bool> {
        match term {
            Term::Identity => Some(true),
            Term::Value(_) | Term::Variable(_) | Term::Special(Special::Empty, _) => Some(false),
            Term::Special(Special::Select, condition) => {
                self.all(condition)?;
                Some(true)
            }
            Term::Text(_, pieces) => {
                let terms = pieces.iter().filter_map(|piece| match piece {
                    Piece::Plain(_) => None,
                    Piece::Term(term) => Some(term),
                });
                self.all(terms)
            }
            Term::Array(inner) | Term::Negate(inner) => self.all([&**inner]),
            Term::Object(members) => {
                self.all(members.iter().flat_map(|(name, value)| [name, value]))
            }
            Term::Math(left, _, right)
            | Term::Compare(left, _, right)
            | Term::Logic(left, _, right) => self.all([&**left, &**right]),
            Term::Comma(left, right) | Term::Alternative(left, right) => {
                Some(self.term(left)? | self.term(right)?)
            }
            // The next term sees outputs; those that are no input are made of members that are known by then.
            Term::Pipe(left, right) => Some(self.term(left)? && self.term(right)?),
            Term::Bind(value, then) => {
                self.within(value)?;
                self.pattern(&then.0)?;
                self.term(&then.1)
            }
            Term::If(parts) => {
                self.within(&parts.0)?;
                Some(self.term(&parts.1)? | self.term(&parts.2)?)
            }
            // `catch` sees the error.
            Term::Try(tried, _) => self.term(tried),
            Term::Path(base, steps) => self.path(base, steps),
            _ => None,
        }
    }

    fn path(&mut self, base: &Term, steps: &[(Step, bool)]) -> Option<bool> {
        let mut steps = steps.iter().map(|(step, _)| step);
        if let Term::Identity = base {
            let Some(Step::Index(Term::Value(Value::Text(name)))) = steps.next() else {
                return None;
            };
            self.names.push(name.clone());
        } else {
            self.within(base)?;
        }
        // What is within the brackets is asked of the whole input.
        for step in steps {
            match step {
                Step::Each => {}
                Step::Index(index) => self.within(index)?,
                Step::Slice(from, to) => {
                    self.all(from.iter().chain(to))?;
                }
            }
        }
        Some(false)
    }

    fn pattern(&mut self, pattern: &Pattern) -> Option<()> {
        if let Pattern::Within(within) = pattern {
            for (name, pattern) in within {
                self.within(name)?;
                self.pattern(pattern)?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile;
    use super::*;

    fn names(program: &str) -> Option<String> {
        let names = looked_at(&compile(program, &[]).unwrap())?;
        Some(names.join(" "))
    }

    #[test]
    fn members_are_told_from_the_whole() {
        for (program, wanted) in [
            ("{id, name, at: .updated.at}", "id name updated"),
            ("{id, \"n-\\(.n)\": [.a[] | {x, y}]}", "id n a"),
            ("select(.live) | {id}", "live id"),
            (
                "if .gone then empty else {id, t: (.t | tonumber * 100)} end",
                "gone id t",
            ),
            (".items[] as {sku: $s, $n} | {$s, $n, of: .id}", "items id"),
            (
                "{a: .list[.from:.to], b: .map[.key]}",
                "list from to map key",
            ),
            (
                "{a: (.a // .b), c: (try .c.d catch .), e: -.e, f: (.f and .g)}",
                "a b c e f g",
            ),
            (".a, .b | {c: .}", "a b"),
            ("{}", ""),
        ] {
            assert_eq!(names(program).as_deref(), Some(wanted), "{program}");
        }
    }

    #[test]
    fn what_may_look_at_the_whole_does() {
        for program in [
            ".",
            "del(.a)",
            ". + {a: 1}",
            ".a = 1",
            ".a |= 1",
            "{a: .}",
            "[.]",
            "{id, all: (. | tojson)}",
            "keys",
            "{n: length}",
            ".[]",
            ".[\"a\", \"b\"]",
            ".[.a]",
            "select(.a)",
            "if .a then {b} else . end",
            ". as $x | {a}",
            ". as {a: $b} | {$b}",
            "try . catch {a}",
            "(., .a) | [.]",
            "{a: (select(.b))}",
            "def f: .b; {a: f}",
            "{a: ([.b] | map(.)), c: to_entries}",
            "reduce .a[] as $x (.; .)",
            "path(.a)",
            "..",
            "{a: \"\\(.)\"}",
            "first(.a, .b)",
            "label $out | {a}, break $out",
        ] {
            assert_eq!(names(program), None, "{program}");
        }
    }
}
