use super::*;

#[test]
fn a_program_of_one_dot_is_none() {
    assert!(Transform::compile(" . ", &[]).unwrap().is_none());
    assert!(Transform::compile("{id}", &[]).unwrap().is_some());
}

#[test]
fn outputs_are_lines_in_their_order() {
    let transform = Transform::compile(".lines[] + {order: .id}, 7", &[])
        .unwrap()
        .unwrap();
    let record = tidegate_jq::read(r#"{"id":3,"lines":[{"n":1},{"n":2}]}"#).unwrap();
    let mut outputs = Outputs::default();

    transform.apply(record, &[], &mut outputs).unwrap();

    let found: Vec<_> = outputs.iter().collect();
    assert_eq!(
        found,
        [
            (r#"{"n":1,"order":3}"#, true),
            (r#"{"n":2,"order":3}"#, true),
            ("7", false)
        ]
    );
}

#[test]
fn outputs_are_limited_in_number_and_bytes() {
    let refused = |program: &str| {
        let transform = Transform::compile(program, &[]).unwrap().unwrap();
        transform
            .apply(Value::Null, &[], &mut Outputs::default())
            .unwrap_err()
            .to_string()
    };

    assert_eq!(refused("range(1e18)"), "has more than 10000 outputs");
    assert_eq!(
        refused(r#""x" * 9e6 | ., ."#),
        "has more than 16777216 bytes of output"
    );
    assert!(refused("nan").contains("NaN"));
}
