//! The evaluator held to jaq's: what programs give there, they give here, but for what `decided.txt` says and why.
//!
//! `TIDEGATE_PROGRAMS=100000` draws that many of them; a failure prints the smallest program that shows it, and
//! `PROPTEST_RNG_SEED=N` draws the same ones again.

mod programs;

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt::Write as _;

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, unwrap_valr};
use jaq_json::{Num, Val};
use proptest::prelude::Rng as _;
use proptest::prop_assert_eq;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use super::*;

/// Programs drawn where the environment says nothing else; each takes a few milliseconds.
const PROGRAMS: u32 = 2000;
/// Outputs that are compared; a program with more is compared up to here.
const OUTPUTS_MAX: usize = 1000;

/// What a program gave: its outputs, and whether an error came behind them.
pub(super) struct Gave<V> {
    pub(super) values: Vec<V>,
    pub(super) error: Option<String>,
}

pub(super) fn ours(program: &str, input: &str) -> Result<Gave<Value>, String> {
    let compiled = Jq::compile(program)?;
    Ok(gave(&compiled, read(input)?))
}

fn gave(compiled: &Jq, input: Value) -> Gave<Value> {
    let mut values = Vec::new();
    let ran = compiled.run(input, &mut |value| {
        values.push(value);
        if values.len() < OUTPUTS_MAX {
            Ok(())
        } else {
            Err("enough".to_owned())
        }
    });
    let error = ran
        .err()
        .map(|why| why.to_string())
        .filter(|why| why != "enough");
    Gave { values, error }
}

/// `None`: jaq does not know such a program.
fn theirs(program: &str, input: &str) -> Option<Gave<Val>> {
    let arena = Arena::default();
    let defs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let file = File {
        path: (),
        code: program,
    };
    let modules = Loader::new(defs).load(&arena, file).ok()?;
    let funs = jaq_core::funs::<JustLut<Val>>()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let compiled = Compiler::default().with_funs(funs).compile(modules).ok()?;
    let input = jaq_json::read::parse_single(input.as_bytes()).expect("the input is JSON");
    let context = Ctx::<JustLut<Val>>::new(&compiled.lut, Vars::new([]));
    let (mut values, mut error) = (Vec::new(), None);
    for found in compiled
        .id
        .run((context, input))
        .map(unwrap_valr)
        .take(OUTPUTS_MAX)
    {
        match found {
            Ok(value) => values.push(value),
            Err(why) => {
                error = Some(why.to_string());
                break;
            }
        }
    }
    Some(Gave { values, error })
}

/// Whether two values are the same. Digits count where jaq keeps them; what it calculated is a double.
fn same(ours: &Value, theirs: &Val) -> bool {
    match (ours, theirs) {
        (Value::Null, Val::Null) => true,
        (Value::Bool(ours), Val::Bool(theirs)) => ours == theirs,
        (Value::Number(ours), Val::Num(theirs)) => same_number(ours, theirs),
        (Value::Text(ours), Val::TStr(theirs)) => same_text(ours, &String::from_utf8_lossy(theirs)),
        (Value::Array(ours), Val::Arr(theirs)) => {
            let mut pairs = ours.iter().zip(theirs.iter());
            ours.len() == theirs.len() && pairs.all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Val::Obj(theirs)) => {
            let mut members = ours.iter();
            ours.len() == theirs.len()
                && members.all(|(name, ours)| {
                    let theirs = theirs.get(&Val::utf8_str(name.to_string()));
                    theirs.is_some_and(|theirs| same(ours, theirs))
                })
        }
        _ => false,
    }
}

/// A double that is a whole number is written `3` here, and `3.0` in jaq.
fn same_text(ours: &str, theirs: &str) -> bool {
    ours == theirs
        || ours
            == regex::Regex::new(r"(\d)\.0\b")
                .unwrap()
                .replace_all(theirs, "$1")
}

fn same_number(ours: &Number, theirs: &Num) -> bool {
    match theirs {
        Num::Float(theirs) => {
            let ours = ours.as_f64();
            ours.partial_cmp(theirs) == Some(Ordering::Equal) || ours.is_nan() && theirs.is_nan()
        }
        exact => *ours == Number::parse(&exact.to_string()),
    }
}

/// How a program differs from what it does in jaq; `None`: not at all, or jaq does not know it.
fn difference(program: &str, input: &str) -> Option<String> {
    let theirs = theirs(program, input)?;
    let ours = match ours(program, input) {
        Ok(ours) => ours,
        Err(why) => return Some(format!("{program}\n  is refused: {why}")),
    };
    let mut pairs = ours.values.iter().zip(&theirs.values);
    let are_same = ours.values.len() == theirs.values.len()
        && ours.error.is_some() == theirs.error.is_some()
        && pairs.all(|(ours, theirs)| same(ours, theirs));
    if are_same {
        return None;
    }
    let mut text = format!("{program} on {input}\n  here:  ");
    for value in &ours.values {
        let _ = write!(text, " {}", shown(value));
    }
    let _ = write!(text, " {}\n  in jaq:", error(ours.error.as_deref()));
    for value in &theirs.values {
        let _ = write!(text, " {value}");
    }
    let _ = write!(text, " {}", error(theirs.error.as_deref()));
    Some(text)
}

fn error(why: Option<&str>) -> String {
    why.map_or_else(String::new, |why| format!("! {why}"))
}

#[test]
fn the_table_differs_from_jaq_only_where_it_was_decided() {
    let decided = decided(include_str!("oracle/decided.txt"));
    let cases = include_str!("cases.txt").lines().map(|line| {
        let (program, rest) = line.split_once('⇒').unwrap();
        let (input, _) = rest.split_once('⇒').unwrap();
        (program.trim(), input.trim())
    });
    let all: BTreeSet<_> = cases.chain(decided.iter().copied()).collect();
    let mut wrong = String::new();
    for (program, input) in all {
        let is_decided = decided.contains(&(program, input));
        match difference(program, input) {
            Some(found) if !is_decided => writeln!(wrong, "{found}").unwrap(),
            None if is_decided => writeln!(wrong, "{program} on {input}: as in jaq").unwrap(),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn any_program_gives_what_it_gives_in_jaq() {
    all(|program, input| {
        // jaq has no limits: what meets one here might never end there.
        let here = ours(program, input).ok().and_then(|ours| ours.error);
        if here.is_some_and(|why| why.contains(" more than ")) {
            return Err(TestCaseError::reject("meets a limit"));
        }
        difference(program, input).map_or(Ok(()), |found| Err(TestCaseError::fail(found)))
    });
}

#[test]
fn any_program_gives_the_same_where_only_what_it_looks_at_is_read() {
    let few = Cell::new(0);
    all(|program, input| {
        for program in [
            program.to_owned(),
            format!("{{k: {program}, b}}"),
            format!("select(.b) | [{program}]"),
            format!(".a | {program}"),
        ] {
            let input = format!("{{\"b\":{input},\"c\":[1],\"a\":{{\"a\":{input},\"b\":2}}}}");
            let compiled = Jq::compile(&program).map_err(TestCaseError::fail)?;
            let looked_at = compiled.read(&input, &mut Names::default());
            let looked_at = looked_at.map_err(TestCaseError::fail)?;
            let whole = read(&input).map_err(TestCaseError::fail)?;
            few.set(few.get() + u32::from(looked_at != whole));
            let (found, wanted) = (gave(&compiled, looked_at), gave(&compiled, whole));
            prop_assert_eq!(
                (found.values, found.error),
                (wanted.values, wanted.error),
                "{}",
                program
            );
        }
        Ok(())
    });
    assert!(
        few.get() > programs_drawn() / 4,
        "{} of less than all",
        few.get()
    );
}

/// Draws programs and inputs, and holds each pair to this.
fn all(holds: impl Fn(&str, &str) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: programs_drawn(),
        failure_persistence: None,
        ..Config::default()
    };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => TestRunner::new(config.clone()).rng().next_u64(),
    };
    let rng_seed = RngSeed::Fixed(seed);
    let mut runner = TestRunner::new(Config { rng_seed, ..config });
    let cases = (programs::programs(), programs::inputs());
    let ran = runner.run(&cases, |(program, input)| holds(&program, &input));
    if let Err(error) = ran {
        panic!("{error}\n`PROPTEST_RNG_SEED={seed}` draws the same ones again");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how many programs are drawn is no setting of a run"
)]
fn programs_drawn() -> u32 {
    let drawn = std::env::var("TIDEGATE_PROGRAMS").ok();
    drawn.and_then(|text| text.parse().ok()).unwrap_or(PROGRAMS)
}
