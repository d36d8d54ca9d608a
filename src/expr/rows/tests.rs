//! Rows against the `csv` crate and `serde_json`, which read whole files where this keeps places.

use proptest::prelude::*;

use super::*;

fn csv(text: &str) -> Table {
    Table::csv(text.as_bytes().to_vec()).unwrap()
}

/// All rows of a table as JSON, by their columns.
fn all(table: Table) -> Vec<serde_json::Value> {
    let rows = Rows::new(&Arc::new(table));
    (0..rows.len()).map(|row| serde_json::to_value(rows.get(row)).unwrap()).collect()
}

fn flaws(result: Result<Table, Vec<Flaw>>) -> Vec<(u64, String)> {
    result.unwrap_err().into_iter().map(|flaw| (flaw.line, flaw.message)).collect()
}

#[test]
fn quotes_line_ends_and_a_byte_order_mark() {
    let table = csv("\u{feff}name,note\r\nann,\"a, \"\"b\"\"\nc\"\r\n\r\nbört,\n\n\"\",last");
    assert_eq!(table.columns().unwrap(), ["name", "note"].map(str::to_owned).into());
    let rows = all(table);
    let expected = serde_json::json!([
        {"name": "ann", "note": "a, \"b\"\nc"}, {"name": "bört", "note": ""}, {"name": "", "note": "last"}
    ]);
    assert_eq!(serde_json::Value::from(rows), expected);
    assert_eq!(all(csv("a\n1\n2")).len(), 2);
    assert_eq!(all(csv("a\r\n1\r\n")).len(), 1);
}

#[test]
fn what_is_wrong_with_a_csv_file_is_reported_with_its_line() {
    let wrong = |text: &str| flaws(Table::csv(text.as_bytes().to_vec()));
    let first = |text: &str| wrong(text).remove(0);
    assert_eq!(first("").0, 1);
    assert!(first("\u{feff}\n\n").1.contains("empty"));
    assert!(first("a,b\n").1.contains("no row"));
    assert_eq!(first("a,b\n1,2\n1,2,3\n"), (3, "this row has 3 fields, and the file 2 columns".into()));
    assert_eq!(wrong("a,b\n1\n1,2\n\"x\ny\"\n1\n2\n3\n").iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 6]);
    assert!(first("a,a\n1,2\n").1.contains("two columns are called `a`"));
    assert!(first("a,\n1,2\n").1.contains("column 2 has no name"));
    assert!(first("a;b\n1;2\n").1.contains("separated by commas"));
    assert!(first("first name\nx\n").1.contains("`first name` can't name a column"));
    assert_eq!(first("a\n1\n\"2\n3\n"), (3, "the quote that opens this field is never closed".into()));
    assert_eq!(first("a\n\"1\" \n").0, 2);
    assert!(first("a\n5\" disk\n").1.contains("put the whole field in quotes"));
    assert!(first("a\r1\r").1.contains("carriage return"));
    assert_eq!(flaws(Table::csv(b"a\n1\n\xff\n".to_vec())), [(3, "this is not UTF-8; save the file as UTF-8".to_owned())]);
}

#[test]
fn json_rows_are_objects_or_scalars() {
    let table =
        Table::json(b"\xef\xbb\xbf [ {\"id\": 1, \"tags\": [\"a\"]},\n {\"id\": 2.5, \"more\": null} ]\n".to_vec()).unwrap();
    assert_eq!(table.columns().unwrap(), ["id", "more", "tags"].map(str::to_owned).into());
    let expected = [serde_json::json!({"id": 1, "tags": ["a"]}), serde_json::json!({"id": 2.5, "more": null})];
    assert_eq!(all(table), expected);
    let scalars = Table::json(b"[1,\"x,]\",true , -2e3,\"\"]".to_vec()).unwrap();
    assert_eq!(scalars.columns(), None);
    assert_eq!(serde_json::Value::from(all(scalars)), serde_json::json!([1, "x,]", true, -2e3, ""]));
}

#[test]
fn what_is_wrong_with_a_json_file_is_reported_with_its_line() {
    let first = |text: &str| flaws(Table::json(text.as_bytes().to_vec())).remove(0);
    assert!(first(" \n").1.contains("empty"));
    assert!(first("{\"a\": 1}").1.contains("no array"));
    assert!(first("[]").1.contains("at least one row"));
    assert_eq!(first("[1,\n,2]"), (2, "a row is missing here".into()));
    assert_eq!(first("[1,\n2,]").0, 2);
    assert_eq!(first("[1,\n{\"a\":\n tru}]").0, 3);
    assert!(first("[1,\n{\"a\":\n tru}]").1.starts_with("this is not JSON: "));
    assert!(first("[[1]]").1.contains("this row is an array"));
    assert!(first("[1 2]").1.contains("comma"));
    assert!(first("[1").1.contains("missing"));
    assert_eq!(first("[1]\nx"), (2, "something follows the array".into()));
}

#[test]
fn a_row_is_read_by_name_and_a_table_costs_its_size_once() {
    let mut text = String::from("id,name\n");
    (0..1000).for_each(|i| text.push_str(&format!("{i},user-{i}\n")));
    let length = text.len();
    let table = Arc::new(csv(&text));
    assert!(table.size() <= length + 4 * 1001 + 64, "{} for {length}", table.size());
    let rows = Rows::new(&table);
    assert_eq!(rows.get(777).get_attr("name").unwrap().as_str(), Some("user-777"));
    assert!(rows.get(777).get_attr("nothing").unwrap().is_undefined());
    assert!(rows.get(1000).is_undefined());
    assert!(!format!("{table:?} {rows:?}").contains("user-3"), "what data holds may be secret");
}

/// Any text that a field may hold.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z0-9 ]{0,6}", 1 => "[a-z,\"\n\r é]{0,8}"]
}

proptest! {
    #[test]
    fn fields_are_those_of_the_csv_crate(
        rows in prop::collection::vec(prop::collection::vec(field(), 3), 1..20),
        quotes in 0..3u8,
        crlf: bool,
        mark: bool,
    ) {
        let style = [::csv::QuoteStyle::Necessary, ::csv::QuoteStyle::Always, ::csv::QuoteStyle::NonNumeric][usize::from(quotes)];
        let end = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let written = writer.into_inner().unwrap();
        let mut bytes = if mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        bytes.extend_from_slice(&written);
        let mut reader = ::csv::Reader::from_reader(&written[..]);
        let theirs: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let table = Arc::new(Table::csv(bytes).unwrap());
        let ours = Rows::new(&table);
        prop_assert_eq!(ours.len() as usize, theirs.len());
        // In no order, as picks come.
        for (row, record) in theirs.iter().enumerate().rev() {
            for (column, name) in ["a", "b", "c"].into_iter().enumerate() {
                let value = ours.get(row as u64).get_attr(name).unwrap();
                prop_assert_eq!(value.as_str(), Some(&record[column]), "row {} column {}", row, name);
                prop_assert_eq!(&record[column], &rows[row][column]);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop::sample::select(b"a,\"\n\r1{}[]:\xc3\xa9 ".to_vec()), 0..60)) {
        for table in [Table::csv(bytes.clone()), Table::json(bytes.clone())].into_iter().flatten() {
            let rows = Rows::new(&Arc::new(table));
            prop_assert!((0..rows.len()).all(|row| !rows.get(row).is_undefined()));
        }
    }

    #[test]
    fn json_rows_are_those_of_serde_json(rows in prop::collection::vec(prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,6}".prop_map(serde_json::Value::from),
        (".{0,3}", any::<bool>()).prop_map(|(key, flag)| serde_json::json!({key: flag, "x": [1, {"y": null}]})),
    ], 1..20), pretty: bool) {
        let text = if pretty { serde_json::to_vec_pretty(&rows).unwrap() } else { serde_json::to_vec(&rows).unwrap() };
        prop_assert_eq!(all(Table::json(text).unwrap()), rows);
    }
}
