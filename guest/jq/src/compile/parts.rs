//! Compiling what has parts of its own: strings with terms in them, operators, patterns and folds.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern as ParsedPattern, Term as Parsed};

use super::super::builtins::{self, Builtin, Native};
use super::super::term::{Fold, Pattern, Piece, Term};
use super::super::value::Value;
use super::{Bound, Compiler};

impl<'t> Compiler<'t> {
    pub(super) fn string(
        &mut self,
        format: Option<&'t str>,
        parts: &[StrPart<&'t str, Parsed<&'t str>>],
    ) -> Result<Term, String> {
        let format = match format {
            Some(name) => self.native(name)?,
            None => builtins::TO_STRING,
        };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut plain = String::new();
        for part in parts {
            match part {
                StrPart::Str(text) => plain.push_str(text),
                StrPart::Char(char) => plain.push(*char),
                StrPart::Term(term) => {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                    pieces.push(Piece::Term(self.term(term)?));
                }
            }
        }
        if pieces.is_empty() {
            return Ok(Term::Value(Value::text(plain)));
        }
        pieces.push(Piece::Plain(plain));
        Ok(Term::Text(format, pieces))
    }

    fn native(&self, name: &'t str) -> Result<&'static Native, String> {
        match builtins::find(name, 0) {
            Some(Builtin::Native(native)) => Ok(native),
            _ => Err(self.source.unknown("format", name)),
        }
    }

    pub(super) fn operator(
        &mut self,
        left: &Parsed<&'t str>,
        op: &BinaryOp<&'t str>,
        right: &Parsed<&'t str>,
    ) -> Result<Term, String> {
        let left = self.boxed(left)?;
        if let BinaryOp::Pipe(Some(pattern)) = op {
            if let Some(others) = self.alternatives(pattern) {
                return self.bind_any(left, pattern, &others, right);
            }
            let (pattern, names) = self.pattern(pattern)?;
            let right = self.within(names, |own| own.term(right))?;
            return Ok(Term::Bind(left, Box::new((pattern, right))));
        }
        let right = self.boxed(right)?;
        Ok(match op {
            BinaryOp::Pipe(_) => Term::Pipe(left, right),
            BinaryOp::Comma => Term::Comma(left, right),
            BinaryOp::Alt => Term::Alternative(left, right),
            BinaryOp::Or => Term::Logic(left, true, right),
            BinaryOp::And => Term::Logic(left, false, right),
            BinaryOp::Math(math) => Term::Math(left, *math, right),
            BinaryOp::Cmp(cmp) => Term::Compare(left, *cmp, right),
            BinaryOp::Assign => Term::Assign(left, right),
            BinaryOp::Update => Term::Update(left, right),
            BinaryOp::UpdateMath(math) => Term::UpdateMath(left, *math, right),
            BinaryOp::UpdateAlt => Term::UpdateAlternative(left, right),
        })
    }

    /// `as P ?// Q`: what comes then sees the variables of all patterns, null where the pattern at hand has none of that name.
    fn bind_any(
        &mut self,
        left: Box<Term>,
        first: &ParsedPattern<&'t str>,
        others: &[ParsedPattern<&'t str>],
        right: &Parsed<&'t str>,
    ) -> Result<Term, String> {
        let mut patterns = Vec::new();
        let mut all = Vec::new();
        for parsed in std::iter::once(first).chain(others) {
            let (pattern, names) = self.pattern(parsed)?;
            all.extend(names.iter().cloned());
            patterns.push((pattern, names));
        }
        let nulls = all.len();
        let patterns = patterns.into_iter().map(|(pattern, names)| {
            let scope = all.iter().cloned().chain(names).collect();
            let then = self.within(scope, |own| own.term(right))?;
            Ok((pattern, then))
        });
        let patterns = patterns.collect::<Result<Vec<_>, String>>()?;
        Ok(Term::BindAny(left, nulls, patterns))
    }

    /// A pattern, and the variables it binds in the order in which they enter the environment.
    fn pattern(
        &mut self,
        parsed: &ParsedPattern<&'t str>,
    ) -> Result<(Pattern, Vec<Bound<'t>>), String> {
        let mut names = Vec::new();
        let pattern = self.subpattern(parsed, &mut names)?;
        Ok((pattern, names))
    }

    fn subpattern(
        &mut self,
        parsed: &ParsedPattern<&'t str>,
        names: &mut Vec<Bound<'t>>,
    ) -> Result<Pattern, String> {
        let mut within = Vec::new();
        match parsed {
            ParsedPattern::Var(name) => {
                names.push(Bound::Variable(name));
                return Ok(Pattern::Variable);
            }
            ParsedPattern::Arr(patterns) => {
                for (at, pattern) in patterns.iter().enumerate() {
                    within.push((
                        Term::Value(Value::count(at)),
                        self.subpattern(pattern, names)?,
                    ));
                }
            }
            ParsedPattern::Obj(members) => {
                for (key, pattern) in members {
                    within.push((self.term(key)?, self.subpattern(pattern, names)?));
                }
            }
        }
        Ok(Pattern::Within(within))
    }

    pub(super) fn fold(
        &mut self,
        word: &'t str,
        over: &Parsed<&'t str>,
        pattern: &ParsedPattern<&'t str>,
        arguments: &[Parsed<&'t str>],
    ) -> Result<Term, String> {
        let (init, update, extract) = match (word, arguments) {
            (_, [init, update]) => (init, update, None),
            ("foreach", [init, update, extract]) => (init, update, Some(extract)),
            _ => return Err(self.source.unknown_filter(word, arguments.len())),
        };
        if self.alternatives(pattern).is_some() {
            return Err(self.source.no_alternatives(word));
        }
        let over = self.term(over)?;
        let init = self.term(init)?;
        let (pattern, names) = self.pattern(pattern)?;
        let (update, extract) = self.within(names, |own| {
            let extract = extract.map(|extract| own.term(extract)).transpose();
            own.term(update).and_then(|update| Ok((update, extract?)))
        })?;
        Ok(Term::Fold(Box::new(Fold {
            over,
            pattern,
            init,
            update,
            extract,
            emits: word == "foreach",
        })))
    }
}
