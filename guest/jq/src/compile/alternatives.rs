//! `?//`, which jaq's parser does not know: what follows it is taken out of the tokens before they are parsed, and found
//! again by the pattern that it is an alternative to.

use jaq_core::load::lex::{Lexer, StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Parser, Pattern, Term};
use jaq_core::load::span;

use super::Compiler;

/// The alternatives of a program: the place of a pattern's first variable, and the patterns that are tried behind it.
#[derive(Default)]
pub(super) struct Alternatives<'t>(Vec<(usize, Vec<Pattern<&'t str>>)>);

impl<'t> Alternatives<'t> {
    /// Takes them out of the tokens of a program. `Err`: the part that is no pattern.
    pub(super) fn take_out(
        &mut self,
        text: &'t str,
        tokens: &mut Vec<Token<&'t str>>,
    ) -> Result<(), &'t str> {
        let mut at = 0;
        while at < tokens.len() {
            match &mut tokens[at] {
                Token(_, Tok::Block(inner)) => self.take_out(text, inner)?,
                Token(_, Tok::Str(parts)) => {
                    for part in parts {
                        if let StrPart::Term(Token(_, Tok::Block(inner))) = part {
                            self.take_out(text, inner)?;
                        }
                    }
                }
                Token("as", Tok::Word) => self.take_behind(text, at + 1, tokens)?,
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    /// Takes out those that follow the pattern at this token. A pattern is always one token.
    fn take_behind(
        &mut self,
        text: &'t str,
        first: usize,
        tokens: &mut Vec<Token<&'t str>>,
    ) -> Result<(), &'t str> {
        let mut others = Vec::new();
        while let Some([Token("?", _), Token("//", _), Token(..)]) =
            tokens.get(first + 1..first + 4)
        {
            let part = tokens[first + 3].0;
            tokens.drain(first + 1..first + 4);
            others.push(self.pattern(text, part)?);
        }
        if !others.is_empty() {
            let pattern = self.pattern(text, tokens[first].0)?;
            let variable = first_variable(&pattern).ok_or(tokens[first].0)?;
            self.0.push((span(text, variable).start, others));
        }
        Ok(())
    }

    fn pattern(&mut self, text: &'t str, part: &'t str) -> Result<Pattern<&'t str>, &'t str> {
        let mut tokens = Lexer::new(part).lex().map_err(|_| part)?;
        self.take_out(text, &mut tokens)?;
        tokens.splice(0..0, [Token(".", Tok::Sym), Token("as", Tok::Word)]);
        tokens.extend([Token("|", Tok::Sym), Token(".", Tok::Sym)]);
        match Parser::new(&tokens).parse(Parser::term) {
            Ok(Term::BinOp(_, BinaryOp::Pipe(Some(pattern)), _)) => Ok(pattern),
            _ => Err(part),
        }
    }
}

impl<'t> Compiler<'t> {
    /// The patterns that are tried when this one does not fit, if there are any.
    pub(super) fn alternatives(&self, pattern: &Pattern<&'t str>) -> Option<Vec<Pattern<&'t str>>> {
        let at = self.source.offset(first_variable(pattern)?);
        let mut known = self.alternatives.0.iter();
        let (_, others) = known.find(|(variable, _)| *variable == at)?;
        Some(others.clone())
    }
}

fn first_variable<'t>(pattern: &Pattern<&'t str>) -> Option<&'t str> {
    match pattern {
        Pattern::Var(name) => Some(name),
        Pattern::Arr(patterns) => patterns.iter().find_map(first_variable),
        Pattern::Obj(members) => members
            .iter()
            .find_map(|(_, pattern)| first_variable(pattern)),
    }
}
