//! What a record becomes in a row, and that a reader finds it again.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::folder::Folder;
use crate::settings::data_file::Compression;
use crate::sink::files::write::BARE;

fn layout(columns: &[&str], pointers: Option<&[&str]>, formulas: Formulas) -> CsvLayout {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    CsvLayout {
        columns: texts(columns),
        pointers: pointers.map(texts),
        formulas: formulas.word().to_owned(),
        delimiter: Delimiter::Comma.word().to_owned(),
        has_mark: false,
    }
}

fn written(layout: &CsvLayout, joined: &str) -> String {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap().unwrap();
    let output = Output::create(&folder, "f", BARE, Compression::None, None).unwrap();
    let mut table = CsvFile::new(output, layout).unwrap();
    if !joined.is_empty() {
        table.write(b"{}").unwrap();
        table.restart().unwrap();
        table.write(joined.as_bytes()).unwrap();
    }
    table.finish().unwrap();
    std::fs::read_to_string(temp.path().join("f")).unwrap()
}

fn members(columns: &[&str], joined: &str) -> String {
    written(&layout(columns, None, Formulas::Keep), joined)
}

#[test]
fn every_kind_of_value_has_its_cell() {
    let text = members(
        &["id", "v"],
        "{\"id\":1,\"v\":1.10}\n{\"id\":2,\"v\":true}\n{\"id\":3,\"v\":null}\n{\"v\":\"\",\"id\":4}\n{\"id\":5}\n{\"id\":6,\"v\":[1, {\"a\":\"b\"}]}\n{\"id\":12345678901234567890123,\"v\":\"a\\nb\\u00e9\"}\n{\"id\":7,\"v\":\"1,2\"}",
    );

    assert_eq!(
        text,
        "id,v\r\n1,1.10\r\n2,true\r\n3,\r\n4,\"\"\r\n5,\r\n6,\"[1, {\"\"a\"\":\"\"b\"\"}]\"\r\n12345678901234567890123,\"a\nb\u{e9}\"\r\n7,\"1,2\"\r\n"
    );
}

#[test]
fn of_one_column_no_line_is_empty() {
    let text = members(&["a"], "{\"a\":\"\"}\n{}\n{\"a\":\"x\"}");

    assert_eq!(text, "a\r\n\"\"\r\n\"\"\r\nx\r\n");
}

#[test]
fn of_two_members_of_one_name_the_last_counts_and_half_a_character_is_no_text() {
    let text = members(&["a"], "{\"a\":1,\"a\":2}\n{\"a\":\"x\\ud800\"}");

    assert_eq!(text, "a\r\n2\r\nx\u{fffd}\r\n");
}

#[test]
fn a_mark_and_a_semicolon_are_as_excel_wants_them() {
    let mut layout = layout(&["a;b", "c"], None, Formulas::Keep);
    layout.has_mark = true;
    layout.delimiter = Delimiter::Semicolon.word().to_owned();

    let text = written(&layout, "{\"a;b\":1.5,\"c\":\"1,5;2\"}\n{\"c\":\"a,b\"}");

    assert_eq!(text, "\u{feff}\"a;b\";c\r\n1.5;\"1,5;2\"\r\n;a,b\r\n");
    layout.delimiter = Delimiter::Tab.word().to_owned();
    let tabs = written(&layout, "{\"a;b\":1,\"c\":\"x\\ty\"}");
    assert_eq!(tabs, "\u{feff}a;b\tc\r\n1\t\"x\ty\"\r\n");
}

#[test]
fn a_number_with_a_sign_is_no_formula() {
    let cells = [
        ("-5.00", "-5.00"),
        ("+5", "+5"),
        ("-1,234.50", "\"-1,234.50\""),
        ("-1e-3", "-1e-3"),
        ("-.5", "-.5"),
        ("-2+3", "'-2+3"),
        ("+49 30 123456", "'+49 30 123456"),
        ("-", "'-"),
        ("+e5", "'+e5"),
        ("=1", "'=1"),
        ("@1", "'@1"),
    ];
    let layout = layout(&["a"], None, Formulas::Escape);
    for (text, cell) in cells {
        let row = written(&layout, &json!({ "a": text }).to_string());
        assert_eq!(row, format!("a\r\n{cell}\r\n"));
    }
}

#[test]
fn columns_are_found_by_their_pointers() {
    let layout = layout(
        &["total", "first", "again"],
        Some(&["/totals/gross", "/lines/0", "/totals/gross"]),
        Formulas::Keep,
    );

    let text = written(
        &layout,
        "{\"totals\":{\"gross\":1.0},\"lines\":[\"a\",\"b\"]}\n{}",
    );

    assert_eq!(text, "total,first,again\r\n1.0,a,1.0\r\n,,\r\n");
}

#[test]
fn text_that_is_a_formula_is_escaped_where_it_is_asked_for_and_numbers_never_are() {
    let records = "{\"=a\":\"=1+1\",\"b\":-5}\n{\"=a\":\"-5\",\"b\":\"\\tx\"}\n{\"=a\":\"@x\",\"b\":\"\\r\"}\n{\"=a\":\"+1\",\"b\":\"a=b\"}";

    let escaped = written(&layout(&["=a", "b"], None, Formulas::Escape), records);
    let kept = written(&layout(&["=a", "b"], None, Formulas::Keep), records);

    assert_eq!(
        escaped,
        "'=a,b\r\n'=1+1,-5\r\n-5,'\tx\r\n'@x,\"'\r\"\r\n+1,a=b\r\n"
    );
    assert_eq!(kept, "=a,b\r\n=1+1,-5\r\n-5,\tx\r\n@x,\"\r\"\r\n+1,a=b\r\n");
}

#[test]
fn a_table_of_nothing_has_its_header_alone_and_without_columns_nothing() {
    assert_eq!(members(&["a", "b"], ""), "a,b\r\n");
    assert_eq!(members(&[], ""), "");
}

/// What is in a cell, and whether it is quoted or not is not asked.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,6}".prop_map(Value::from),
        "[\",\r\n='a\u{e9}\u{1f600}\0\t]{0,6}".prop_map(Value::from),
        "[\"\r\na]{0,3}".prop_map(|text| json!([text, { "x": text }])),
    ]
}

proptest! {
    #[test]
    fn a_reader_of_csv_finds_what_was_written(
        names in prop::collection::btree_set("[a-c\",\n=]{0,3}", 1..5),
        rows in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, values()), 5), 0..8),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut joined: Vec<String> = Vec::new();
        let mut model: Vec<Vec<String>> = vec![names.iter().map(|name| (*name).to_owned()).collect()];
        for row in &rows {
            let found = || names.iter().zip(row);
            let members = found().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
            joined.push(Value::Object(members.collect()).to_string());
            model.push(found().map(|(_, value)| value.as_ref().map_or_else(String::new, cell)).collect());
        }

        let text = members(&names, &joined.join("\n"));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let read: Vec<Vec<String>> = reader.records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect();

        prop_assert_eq!(read, model);
    }
}
