mod oracle;
mod real;

use std::collections::BTreeSet;

use super::*;

/// Programs whose outputs differ from an oracle's on purpose; each line: program, input, and why.
fn decided(lines: &'static str) -> BTreeSet<(&'static str, &'static str)> {
    let lines = lines.lines();
    let lines = lines.map(|line| line.split('⇒').map(str::trim).collect::<Vec<_>>());
    lines
        .map(|parts| match parts[..] {
            [program, input, why] if !why.is_empty() => (program, input),
            _ => panic!("a program, an input and a reason: {parts:?}"),
        })
        .collect()
}

fn outputs(program: &str, input: &str) -> Result<Vec<String>, String> {
    let program = Jq::compile(program)?;
    let run = |input: Value| {
        let mut found = Vec::new();
        let ran = program.run(input, &mut |value| {
            let mut out = Vec::new();
            write(&value, &mut out)?;
            found.push(String::from_utf8(out).unwrap());
            Ok(())
        });
        ran.map(|()| found).map_err(|why| why.to_string())
    };
    let found = run(read(input)?);
    let looked_at = program.read(input, &mut Names::default())?;
    assert_eq!(run(looked_at), found, "of what is looked at alone");
    found
}

/// Each line: program, input and outputs, with ` ⇒ ` between them; an error is written with `!` before it.
fn check(table: &str) {
    let mut wrong = Vec::new();
    for line in table.lines() {
        let parts: Vec<&str> = line.split('⇒').map(str::trim).collect();
        let [program, input, wanted] = parts[..] else {
            panic!("three parts: {line}");
        };
        let found = match outputs(program, input) {
            Ok(found) => found.join(" "),
            Err(why) => format!("! {why}"),
        };
        if found != wanted {
            wrong.push(format!(
                "{program} on {input}\n  wanted {wanted}\n  found  {found}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn variables_have_the_values_of_the_run_wherever_they_are_used() {
    let text = "def f: $a; def g($b): $b + f; [g(1), $b, (2 as $a | $a), f, .x]";
    let program = Jq::compile_with(text, &["$a", "$b"]).unwrap();
    let input = program.read(r#"{"x":5,"y":6}"#, &mut Names::default());
    let values = [read("10").unwrap(), read(r#""b""#).unwrap()];
    let mut found = Vec::new();

    let ran = program.run_with(input.unwrap(), &values, &mut |value| {
        found.push(shown(&value));
        Ok(())
    });

    assert_eq!(ran, Ok(()));
    assert_eq!(found, [r#"[11,"b",2,10,5]"#]);
}

#[test]
fn a_variable_that_was_not_named_is_unknown() {
    let unknown = Jq::compile_with("$a", &["$b"]).unwrap_err();

    assert!(unknown.contains("there is no variable `$a`"), "{unknown}");
}

#[test]
fn programs_give_what_jq_gives() {
    check(include_str!("tests/cases.txt"));
}

#[test]
fn what_is_wrong_with_a_program_is_said_with_its_place() {
    check(include_str!("tests/refused.txt"));
}

#[test]
fn numbers_that_are_not_touched_keep_their_digits() {
    let record = r#"{"a":1.10,"b":1234567890123456789012345678901234567890,"c":1e400,"d":-0,"e":9007199254740993,"f":-0.0,"g":1E+2}"#;

    assert_eq!(outputs("(.)", record).unwrap(), [record]);
    assert_eq!(
        outputs("{b, c} | [.b, .c]", record).unwrap(),
        ["[1234567890123456789012345678901234567890,1e400]"]
    );
}

#[test]
fn variables_have_the_values_of_the_run_and_others_are_unknown() {
    let compiled = Jq::compile_with("def f: $b; .a + $a + f", &["$a", "$b"]).unwrap();
    let mut found = Vec::new();

    let input = read(r#"{"a":1}"#).unwrap();
    let ran = compiled.run_within(
        input,
        &[Value::int(10), Value::int(100)],
        99,
        &mut |value| {
            found.push(shown(&value));
            Ok(())
        },
    );

    assert_eq!((ran, found), (Ok(()), vec!["111".to_owned()]));
    let unknown = Jq::compile_with("$c", &["$a"]).unwrap_err();
    assert_eq!(unknown, "line 1, column 1: there is no variable `$c`");
}

#[test]
fn several_programs_read_one_input_as_far_as_they_look_at_it() {
    let read = |programs: [&str; 2]| {
        let programs = programs.map(|program| Jq::compile(program).unwrap());
        let programs: Vec<&Jq> = programs.iter().collect();
        let text = r#"{"a":1,"b":2,"c":[3]}"#;
        Jq::read_for_all(&programs, text, &mut Names::default()).map(|value| shown(&value))
    };

    assert_eq!(read([".a", ".c[]"]).as_deref(), Ok(r#"{"a":1,"c":[3]}"#));
    assert_eq!(
        read([".a", "length"]).as_deref(),
        Ok(r#"{"a":1,"b":2,"c":[3]}"#)
    );
}

#[test]
fn a_program_without_end_is_stopped() {
    let stopped = |program: &str| outputs(program, "0").unwrap_err();

    assert_eq!(stopped("last(repeat(.))"), "takes more than 5000000 steps");
    assert_eq!(
        stopped("[range(1e18)] | length"),
        "takes more than 5000000 steps"
    );
    assert_eq!(stopped("until(false; .)"), "takes more than 5000000 steps");
    assert_eq!(
        stopped("[limit(1e12; repeat(1))]"),
        "takes more than 5000000 steps"
    );
    assert_eq!(
        stopped("def f: try f catch f; f"),
        "has more than 400 filters inside each other"
    );
    assert_eq!(
        stopped("def f: 1 + f; f"),
        "has more than 400 filters inside each other"
    );
    assert!(stopped("reduce range(99) as $i (\"x\"; . + .)").contains("builds more than"));
    assert!(stopped("\"x\" * 1e12").contains("builds more than"));
}

#[test]
fn a_value_that_is_too_deep_is_an_error_wherever_it_is_built() {
    let mut wrong = Vec::new();
    for line in include_str!("tests/deep.txt").lines() {
        let (program, builder) = line.split_once('⇒').unwrap();
        let wanted = format!(
            "`{}` builds a value nested deeper than 127 levels",
            builder.trim()
        );
        let found = outputs(program, "0");
        if found.as_ref() != Err(&wanted) {
            wrong.push(format!("{program}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_taken_out_of_a_value_does_not_count() {
    let taken_out = "reduce range(1000) as $x (0; {a: ., b: [1]} | .a = $x)";
    let halved =
        "reduce range(126) as $x (0; [.]) | [.] | first | [[.[0][0]]] | [.] | tojson | length";
    let doubled = "reduce range(127) as $x (0; [., .]) | try [.] catch 1";

    assert_eq!(outputs(taken_out, "0").unwrap(), [r#"{"a":999,"b":[1]}"#]);
    assert_eq!(outputs(halved, "0").unwrap(), ["255"]);
    assert_eq!(outputs(doubled, "0").unwrap(), ["1"]);
}

#[test]
fn a_path_is_as_long_as_it_is() {
    let program = "null | path(last(limit(400000; repeat(.a)))) | length";

    assert_eq!(outputs(program, "0").unwrap(), ["399999"]);
}

#[test]
fn what_stops_a_program_is_not_caught_by_it() {
    assert_eq!(
        outputs("try repeat(.) catch 1 | empty", "0").unwrap_err(),
        "takes more than 5000000 steps"
    );
}
