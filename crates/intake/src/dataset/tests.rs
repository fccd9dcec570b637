//! Datasets read in every form: the same rows, and every fault with its line.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    rows: 1000,
};

/// Reads bytes that come in parts of this size.
fn read_in(format: Format, bytes: &[u8], part: usize) -> Result<DatasetRows, Refused> {
    let mut reader = DatasetReader::new(format, LIMITS);
    for part in bytes.chunks(part.max(1)) {
        reader.push(part).map_err(Refused::TooLarge)?;
    }
    reader.finish()
}

fn read(format: Format, text: &str) -> Result<DatasetRows, Refused> {
    read_in(format, text.as_bytes(), usize::MAX)
}

fn rows(read: DatasetRows) -> Vec<Value> {
    let rows = read.rows.iter();
    rows.map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// The faults, each in one line.
fn faults(read: Result<DatasetRows, Refused>) -> String {
    match read {
        Err(Refused::Faults { first, .. }) => {
            let lines = first.iter();
            let lines = lines.map(|it| format!("{} {:?} {}", it.line, it.pointer, it.detail));
            lines.collect::<Vec<_>>().join("\n")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn lines_may_end_in_any_way_and_be_blank() {
    let text = "\u{FEFF}{\"q\": 1}\r\n\n  \r\n{\"q\": 2, \"a\": null}";
    let read = read(Format::Lines, text).unwrap();
    let columns = read.columns.iter();
    let columns: Vec<_> = columns.map(|it| (it.name.as_str(), it.rows)).collect();
    assert_eq!(columns, [("a", 1), ("q", 2)]);
    assert_eq!(read.bytes, read.rows.join("\n").len() as u64 + 1);
    assert_eq!(rows(read), [json!({"q": 1}), json!({"q": 2, "a": null})]);
}

#[test]
fn fields_of_csv_are_texts() {
    let text =
        "\u{FEFF}id,q,\"a, b\"\r\n\r\n1,\"two\r\nlines, \"\"quoted\"\"\",\r\n  \r\n2,007,\"x\"";
    assert_eq!(
        rows(read(Format::Csv, text).unwrap()),
        [
            json!({"id": "1", "q": "two\r\nlines, \"quoted\"", "a, b": ""}),
            json!({"id": "2", "q": "007", "a, b": "x"}),
        ]
    );
}

#[test]
fn an_array_may_be_written_in_any_way() {
    let text = "\u{FEFF}\n [ {\"q\": \"]},[\\\"\"},\n\n{\"q\":\n[{}, \"\\\\\"]} ]\n";
    assert_eq!(
        rows(read(Format::Array, text).unwrap()),
        [json!({"q": "]},[\""}), json!({"q": [{}, "\\"]})]
    );
}

#[test]
fn faults_of_lines_are_told_with_their_lines() {
    let text = "\n{\"q\": 1,}\r\n7\n{\"id\": 3, \"a\": {\"b\": \"\\u0000\"}}\n{\"id\": 3}\n[";
    insta::assert_snapshot!(faults(read(Format::Lines, text)), @r#"
    2 "" is not JSON: trailing comma (column 9)
    3 "" must be an object, not a number
    4 "/a/b" holds a NUL character; remove it
    5 "" has the id 3 of the row on line 4; ids must differ
    6 "" is not JSON: EOF while parsing a list (column 1)
    "#);
    let latin = read_in(Format::Lines, b"{\"q\": 1}\n{\"q\": \"\xE9\"}", 3);
    insta::assert_snapshot!(faults(latin), @r#"2 "" is not valid UTF-8; save the file as UTF-8"#);
    insta::assert_snapshot!(faults(read(Format::Lines, " \n")), @r#"1 "" a dataset must hold at least one row"#);
    insta::assert_snapshot!(faults(read(Format::Lines, "\n[\n{}\n]")), @r#"2 "" begins an array where a row is expected on each line; send an array as `application/json`"#);
}

#[test]
fn faults_of_csv_are_told_with_their_lines() {
    let text = "q,a\r\n\r\n1\r\n\"two\nlines\",2\n1,2,3\r\n1,\0\n4,\"open\n\n";
    insta::assert_snapshot!(faults(read(Format::Csv, text)), @r#"
    3 "" the number of fields is 1, and the first line names 2; put fields that hold commas or line breaks in double quotes
    6 "" the number of fields is 3, and the first line names 2; put fields that hold commas or line breaks in double quotes
    7 "/a" holds a NUL character; remove it
    8 "" a quote is opened in this row and never closed; close it, or write a quote within a field as two
    "#);
    insta::assert_snapshot!(faults(read(Format::Csv, "\na,,a,b\n1\n")), @r#"
    2 "" column 2 has no name; the first line must name every column
    2 "" the column `a` is there twice; give each a name of its own
    "#);
    let split_letter = read_in(Format::Csv, b"a,b\n1,2\n\xC3,\xA9\n", 2);
    insta::assert_snapshot!(faults(split_letter), @r#"3 "" is not valid UTF-8; save the file as UTF-8"#);
    let names = read_in(Format::Csv, b"a,\xE9\n1,2\n", 100);
    insta::assert_snapshot!(faults(names), @r#"1 "" is not valid UTF-8; save the file as UTF-8"#);
    insta::assert_snapshot!(faults(read(Format::Csv, "a,b\n")), @r#"1 "" a dataset must hold at least one row"#);
}

#[test]
fn faults_of_arrays_are_told_with_their_lines() {
    let text = "[\n  {\"q\": 1},\n  {\"q\":\n    tru},\n  , 8, {\"id\": 1},\n {\"id\": 1},\n]\n[]";
    insta::assert_snapshot!(faults(read(Format::Array, text)), @r#"
    4 "" is not JSON: expected ident (column 8)
    5 "" a row is missing beside a comma; remove the comma
    5 "" must be an object, not a number
    6 "" has the id 1 of the row on line 5; ids must differ
    7 "" a row is missing beside a comma; remove the comma
    8 "" something follows the end of the array; remove it
    "#);
    insta::assert_snapshot!(faults(read(Format::Array, "{\"rows\": []}")), @r#"1 "" must be an array of rows, such as [{…}, {…}]; rows on lines of their own are sent as `application/jsonl`"#);
    insta::assert_snapshot!(faults(read(Format::Array, "[{\"q\": 1},\n{\"q\"")), @r#"2 "" the array has no end; is the file cut off, or a quote or bracket missing?"#);
    insta::assert_snapshot!(faults(read(Format::Array, "[ ]")), @r#"1 "" a dataset must hold at least one row"#);
}

#[test]
fn a_long_list_of_faults_is_cut_and_counted() {
    let Err(Refused::Faults { first, count }) = read(Format::Lines, &"x\n".repeat(150)) else {
        panic!("the lines are no JSON");
    };
    assert_eq!((first.len(), count), (100, 150));
}

#[test]
fn datasets_are_bounded() {
    let mut reader = DatasetReader::new(Format::Lines, LIMITS);
    assert_eq!(
        reader.push(&[b' '; 1 << 20]).and(reader.push(b" ")),
        Err(TooLarge::Bytes(1 << 20))
    );
    assert!(read(Format::Lines, &"{}\n".repeat(1000)).is_ok());
    let too_many = read(Format::Lines, &"{}\n".repeat(1001));
    assert_eq!(too_many, Err(Refused::TooLarge(TooLarge::Rows(1000))));
    // The last row may come with the end.
    let too_many = read(Format::Lines, &"\n{}".repeat(1001));
    assert_eq!(too_many, Err(Refused::TooLarge(TooLarge::Rows(1000))));
}

#[test]
fn numbers_are_as_the_database_gives_them_back() {
    let written = read(Format::Lines, "{\"n\": 1e17, \"m\": 1.50}").unwrap();
    let plain = read(Format::Lines, "{\"m\": 1.5, \"n\": 100000000000000000}").unwrap();
    assert_eq!(written, plain);
}

#[test]
fn names_are_texts_that_paths_can_hold() {
    for good in ["gsm8k", "word problems, v2", "é"] {
        assert_eq!(name(good), Ok(()));
    }
    let id = "019abf3e-5f00-7000-8000-000000000000";
    for bad in ["", " ", " a", "a/b", "a\nb", "a\0", id, &"n".repeat(201)] {
        assert!(name(bad).is_err(), "{bad:?}");
    }
}

/// Rows of texts alone, all with the same fields, as CSV can hold them.
fn tables() -> impl Strategy<Value = (Vec<String>, Vec<Vec<String>>)> {
    let names = prop::collection::btree_set("[a-z ,\"é]{0,3}[a-z]", 2..5);
    names.prop_flat_map(|names| {
        let width = names.len();
        let row = prop::collection::vec("[ -~é\r\n]{0,6}", width);
        let names: Vec<_> = names.into_iter().collect();
        (Just(names), prop::collection::vec(row, 1..8))
    })
}

fn as_csv(rows: &[Vec<String>]) -> String {
    let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
    let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
    rows.iter().map(line).collect::<Vec<_>>().join("\r\n")
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Lines), Just(Format::Array), Just(Format::Csv)]
}

proptest! {
    #[test]
    fn the_same_rows_are_the_same_dataset_in_every_form((names, table) in tables(), part in 1..9_usize) {
        // Two rows may not share an id.
        prop_assume!(!names.iter().any(|name| name == "id"));
        let objects: Vec<Value> = table.iter().map(|row| {
            let fields = names.iter().cloned().zip(row.iter().cloned().map(Value::from));
            Value::Object(fields.collect::<Map<_, _>>())
        }).collect();
        let lines: Vec<_> = objects.iter().map(Value::to_string).collect();
        let lines = read_in(Format::Lines, lines.join("\n").as_bytes(), part).unwrap();
        let array = serde_json::to_string_pretty(&objects).unwrap();
        prop_assert_eq!(&read_in(Format::Array, array.as_bytes(), part).unwrap(), &lines);
        let mut table = table;
        table.insert(0, names);
        prop_assert_eq!(&read_in(Format::Csv, as_csv(&table).as_bytes(), part).unwrap(), &lines);
        prop_assert_eq!(rows(lines), objects);
    }

    #[test]
    fn any_bytes_are_read_or_refused(format in format(), bytes in prop::collection::vec(any::<u8>(), 0..200), part in 1..20_usize) {
        let whole = read_in(format, &bytes, usize::MAX);
        // However they come.
        prop_assert_eq!(&read_in(format, &bytes, part), &whole);
        if let Ok(read) = whole {
            prop_assert!(!read.rows.is_empty());
        }
    }

    #[test]
    fn whatever_looks_like_rows_is_read_or_refused(format in format(), text in r#"([\[\]{},:"\\\r\n a1]|"a":|\{"a":1\}){0,40}"#, part in 1..20_usize) {
        let whole = read_in(format, text.as_bytes(), usize::MAX);
        prop_assert_eq!(&read_in(format, text.as_bytes(), part), &whole);
        if let Err(Refused::Faults { first, count }) = whole {
            let lines = text.matches('\n').count() as u64 + 1;
            prop_assert!(count >= first.len());
            prop_assert!(first.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
}
