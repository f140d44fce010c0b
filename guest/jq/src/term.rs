//! What a program is compiled to.

use jaq_core::ops::{Cmp, Math};

use super::builtins::{Native, Special};
use super::value::Value;

/// A compiled program.
pub(super) struct Program {
    pub(super) main: Term,
    pub(super) defs: Vec<Def>,
}

/// A definition: for each parameter whether it is a variable, and the body.
pub(super) struct Def {
    pub(super) variables: Vec<bool>,
    pub(super) body: Term,
}

/// A filter. Places in the environment count from the newest entry.
pub(super) enum Term {
    Identity,
    Recurse,
    Value(Value),
    /// A string with the pieces that are put into it, each by the same format.
    Text(&'static Native, Vec<Piece>),
    Array(Box<Term>),
    Object(Vec<(Term, Term)>),
    Negate(Box<Term>),
    Pipe(Box<Term>, Box<Term>),
    Bind(Box<Term>, Box<(Pattern, Term)>),
    /// `as P ?// Q`: how many variables there are in all, and each pattern with what comes then, before which stand so many nulls.
    BindAny(Box<Term>, usize, Vec<(Pattern, Term)>),
    Comma(Box<Term>, Box<Term>),
    Alternative(Box<Term>, Box<Term>),
    /// `or` ends at the first that is true, `and` at the first that is not.
    Logic(Box<Term>, bool, Box<Term>),
    Math(Box<Term>, Math, Box<Term>),
    Compare(Box<Term>, Cmp, Box<Term>),
    Assign(Box<Term>, Box<Term>),
    Update(Box<Term>, Box<Term>),
    UpdateMath(Box<Term>, Math, Box<Term>),
    UpdateAlternative(Box<Term>, Box<Term>),
    Try(Box<Term>, Option<Box<Term>>),
    If(Box<(Term, Term, Term)>),
    Fold(Box<Fold>),
    Path(Box<Term>, Vec<(Step, bool)>),
    Variable(usize),
    Argument(usize),
    /// Which definition, how many entries of the environment it does not see, and the arguments.
    Call(usize, usize, Vec<Term>),
    Native(&'static Native, Vec<Term>),
    Special(Special, Vec<Term>),
    Label(Box<Term>),
    Break(usize),
}

impl Term {
    /// How a program writes it, where it builds a value of others.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Object(_) => "{…}",
            Self::Assign(..) => "=",
            Self::Update(..) => "|=",
            Self::UpdateMath(..) => "+=",
            Self::UpdateAlternative(..) => "//=",
            Self::Native(native, _) => native.name.trim_start_matches('_'),
            _ => "[…]",
        }
    }
}

pub(super) enum Piece {
    Plain(String),
    Term(Term),
}

/// One step of a path; the flag beside it says whether errors are passed over.
pub(super) enum Step {
    Each,
    Index(Term),
    Slice(Option<Term>, Option<Term>),
}

pub(super) enum Pattern {
    Variable,
    Within(Vec<(Term, Pattern)>),
}

/// `reduce`, or `foreach` when it emits.
pub(super) struct Fold {
    pub(super) over: Term,
    pub(super) pattern: Pattern,
    pub(super) init: Term,
    pub(super) update: Term,
    pub(super) extract: Option<Term>,
    pub(super) emits: bool,
}
