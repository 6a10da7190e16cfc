//! Tables of every format, and what is wrong in them.

use super::*;
use crate::component::parameters;
use crate::data::Catalogue;
use record::Component;
use serde_json::json;
use std::path::Path;

fn load(json: serde_json::Value) -> Result<Dataset, String> {
    let object = json.as_object().unwrap().clone();
    let component =
        Component { name: "table".to_owned(), parameters: object.into_iter().collect() };
    let catalogue = Catalogue::new(PathBuf::new(), BTreeMap::new());
    let loading = Loading { catalogue: &catalogue, max_tokens: Some(8) };
    let table: Result<Table, Error> = parameters(&component);
    table.and_then(|table| table.load(&loading)).map_err(|error| error.to_string())
}

/// Forty rows of two classes.
fn rows() -> Vec<(String, &'static str)> {
    let class = |row: usize| if row.is_multiple_of(4) { "sad" } else { "glad" };
    (0..40).map(|row| (format!("film {row} was so {}", class(row)), class(row))).collect()
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn every_format_gives_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "id,text,label\n".to_owned();
    let mut tsv = "label\ttext\n".to_owned();
    let mut lines = String::new();
    for (row, (text, label)) in rows().into_iter().enumerate() {
        csv += &format!("{row},\"{text}\",{label}\n");
        tsv += &format!("{label}\t{text}\n");
        lines += &format!("{}\n", json!({ "text": text, "label": label }));
    }
    let files = [
        write(folder.path(), "a.csv", format!("\u{feff}{csv}")),
        write(folder.path(), "a.tsv", tsv),
        write(folder.path(), "a.jsonl", lines),
    ];
    let data = files.map(|path| load(json!({ "path": path, "vocabulary": 200 })).unwrap());
    assert_eq!(data[0].classes, ["glad", "sad"]);
    // A tenth of 30 and of 10 rows each.
    assert_eq!([&data[0].train, &data[0].validation, &data[0].test].map(Part::len), [32, 4, 4]);
    for other in &data[1..] {
        assert_eq!((&other.train, &other.test), (&data[0].train, &data[0].test));
    }
}

#[test]
fn quotation_marks_between_tabs_are_text_and_between_commas_quote() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows();
    let row =
        |(i, (text, label)): (usize, &(String, &str)), separator: char| match (i % 5, separator) {
            (0, '\t') => format!("\"{text}\t{label}\n"),
            (0, _) => format!("\"\"\"{text}\",{label}\n"),
            (1, ',') => format!("\"{text}\",{label}\n"),
            (2, ',') => format!("\"{text}\",\"{label}\"\r\n"),
            _ => format!("{text}{separator}{label}\n"),
        };
    let table = |separator| -> String {
        let rows: String = rows.iter().enumerate().map(|one| row(one, separator)).collect();
        format!("text{separator}label\n{rows}")
    };
    let csv = write(folder.path(), "a.csv", table(','));
    let tsv = write(folder.path(), "a.tsv", table('\t'));
    let [csv, tsv] =
        [csv, tsv].map(|path| load(json!({ "path": path, "vocabulary": 200 })).unwrap());
    assert_eq!(csv.train.len() + csv.validation.len() + csv.test.len(), 40);
    assert_eq!((csv.train, csv.test), (tsv.train, tsv.test));
}

#[test]
fn columns_of_a_parquet_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/types.parquet");
    let of = |key: &str, column: &str| {
        let inputs = if key == "features" { json!([column, "float64"]) } else { json!("text") };
        let name = if key == "features" { "features" } else { "text" };
        let label = if key == "label" { column } else { "category" };
        load(json!({ "path": path, name: inputs, "label": label }))
    };
    assert_eq!(of("label", "category").unwrap().classes, ["bad", "good"]);
    assert_eq!(of("label", "large_text").unwrap().classes, ["bad", "good"]);
    assert_eq!(of("label", "flag").unwrap().classes, ["false", "true"]);
    for column in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"] {
        assert_eq!(of("label", column).unwrap().classes, ["0", "1"], "{column}");
    }
    for column in ["float32", "int8"] {
        let Inputs::Features(features) = of("features", column).unwrap().train.inputs else {
            panic!("{column}")
        };
        assert_eq!(features.width, 2);
        assert_eq!(features.values.contains(&1.0), column == "int8");
    }
    for column in ["time", "duration", "price", "list", "pair", "struct", "half"] {
        let error = of("label", column).unwrap_err();
        let expected = format!("types.parquet: column `{column}` is of type ");
        assert!(error.contains(&expected), "{error}, not {expected}");
        assert!(error.contains("holds texts, integers, floats, booleans or categories"));
    }
}

#[test]
fn numbers_and_a_column_of_splits() {
    let folder = tempfile::tempdir().unwrap();
    let text = "x,y,kind,part\n1,2.5,a,train\n2,-1,b,train\n0,0,a,validation\n3,1e3,b,test\n";
    let path = write(folder.path(), "a.csv", text);
    let json = json!({ "path": path, "features": ["y", "x"], "label": "kind", "split": "part" });
    let data = load(json).unwrap();
    let Inputs::Features(features) = &data.train.inputs else { panic!() };
    assert_eq!((features.width, features.values.as_slice()), (2, &[2.5, 1.0, -1.0, 2.0][..]));
    assert_eq!((data.train.labels, data.test.labels), (vec![0, 1], vec![1]));
}

/// (±10³⁹ − mean) / deviation, of the training split; a column of numbers whose squares overflow is one too.
#[test]
fn numbers_beyond_single_precision_are_standardized() {
    let folder = tempfile::tempdir().unwrap();
    let text = "x,y,label,s\n1e39,1e300,a,train\n-1e39,3e300,b,train\n1e38,2e300,a,validation\n2e39,5e300,b,test\n";
    let json = json!({
        "path": write(folder.path(), "a.csv", text), "features": ["x", "y"], "split": "s",
    });
    let data = load(json).unwrap();
    let values = |inputs: &Inputs| {
        let Inputs::Features(features) = inputs else { panic!() };
        features.values.clone()
    };
    for (part, right) in [
        (&data.train, &[1.0, -1.0, -1.0, 1.0][..]),
        (&data.validation, &[0.1, 0.0]),
        (&data.test, &[2.0, 3.0]),
    ] {
        let found = values(&part.inputs);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(found.iter().zip(right).all(near) && found.len() == right.len(), "{found:?}");
    }
    let text = text.replace("1e39,1e300,a,train", "1,1,a,train").replace("-1e39,3e300", "2,2");
    let json = json!({
        "path": write(folder.path(), "b.csv", &text), "features": ["x", "y"], "split": "s",
    });
    let error = load(json).unwrap_err();
    assert!(
        error.contains("b.csv: line 4: `y` is `2e300`, too far from the training split"),
        "{error}"
    );
}

#[test]
fn columns_that_single_precision_cannot_hold_are_standardized_before() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: u32| {
        let far = 1.7e12 + 18_000.0 * f64::from(i);
        let huge = if i.is_multiple_of(2) { 3e38 } else { -3e38 };
        let split = ["train", "train", "validation", "test"][i as usize % 4];
        let same = if split == "train" { 0.1 } else { 0.2 };
        format!("{far},{huge},{i},{same},{},{split}\n", i.is_multiple_of(2))
    };
    let text =
        "far,huge,plain,same,label,split\n".to_owned() + &(0..400).map(row).collect::<String>();
    let path = write(folder.path(), "a.csv", text);
    let data = load(json!({
        "path": path, "features": ["far", "huge", "plain", "same"], "split": "split",
    }));
    let data = data.unwrap();
    let (Inputs::Features(features), Inputs::Features(test)) =
        (data.train.inputs, data.test.inputs)
    else {
        panic!()
    };
    let column = |place: usize| -> Vec<f64> {
        features.values.iter().skip(place).step_by(4).map(|x| f64::from(*x)).collect()
    };
    for place in 0..2 {
        let values = column(place);
        let mean = values.iter().sum::<f64>() / 200.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 200.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    }
    // Equal steps stay equal: 4 rows make two of training.
    let far = column(0);
    let step = (far[199] - far[0]) / 398.0;
    assert!(far.windows(2).all(|pair| (pair[1] - pair[0]) / step > 0.9), "{far:?}");
    // What is constant in training is no noise that blows others up.
    assert!(column(3).iter().all(|x| x.abs() < 1e-12));
    assert!((f64::from(test.example(0)[3]) - 0.1).abs() < 1e-6);
    // Others are as they are in the file.
    assert_eq!(column(2)[..4], [0.0, 1.0, 4.0, 5.0]);
}

#[test]
fn equal_rows_are_in_one_split_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    // Rows that differ in single precision alone are different, and numbers are equal however they are written.
    let row = |i: u32| {
        let (x, y) = (1_700_000_000 + 3 * (i % 100), i / 100 % 3);
        let y = if i.is_multiple_of(2) { format!("{y}") } else { format!("{y}.0") };
        format!("{x},{y},{}\n", (i % 100) % 2)
    };
    let text = "x,y,label\n".to_owned() + &(0..900).map(row).collect::<String>();
    let path = write(folder.path(), "a.csv", text);
    let data = load(json!({ "path": path, "features": ["x", "y"] })).unwrap();
    let rows = |part: &Part| -> BTreeSet<Vec<u32>> {
        let Inputs::Features(features) = &part.inputs else { panic!() };
        (0..part.len()).map(|i| features.example(i).iter().map(|x| x.to_bits()).collect()).collect()
    };
    assert_eq!([&data.train, &data.validation, &data.test].map(Part::len), [720, 90, 90]);
    let parts = [&data.train, &data.validation, &data.test].map(rows);
    assert_eq!(parts.each_ref().map(BTreeSet::len), [240, 30, 30]);
    assert_eq!(parts.iter().flatten().collect::<BTreeSet<_>>().len(), 300);
}

#[test]
fn a_part_of_a_table_that_is_sorted_has_every_class() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: u32| format!("{i},{}\n", if i < 150 { "a" } else { "b" });
    let text = "x,label\n".to_owned() + &(0..200).map(row).collect::<String>();
    let path = write(folder.path(), "a.csv", text);
    let parameters = json!({ "path": path, "features": ["x"] });
    let mut spec: record::DataSpec = serde_json::from_value(json!({ "name": "table" })).unwrap();
    spec.parameters = parameters.as_object().unwrap().clone().into_iter().collect();
    spec.train_limit = Some(40);
    let catalogue = Catalogue::new(PathBuf::new(), BTreeMap::new());
    let model = serde_json::from_value(json!({ "name": "mlp", "widths": [4] })).unwrap();
    let data = catalogue.load(&spec, &model).unwrap();
    let of_class = |class| data.train.labels.iter().filter(|label| **label == class).count();
    assert_eq!([of_class(0), of_class(1)], [30, 10]);
    assert_eq!(catalogue.load(&spec, &model).unwrap().train, data.train);
}

#[test]
fn what_is_wrong_is_told_with_file_and_row() {
    let folder = tempfile::tempdir().unwrap();
    let whole = "text,label\ngood,1\nbad,0\n";
    let file = |name: &str, content: &[u8]| json!({ "path": write(folder.path(), name, content) });
    let with = |mut json: serde_json::Value, key: &str, value: serde_json::Value| {
        json[key] = value;
        json
    };
    let wrong = [
        (json!({ "path": "/nowhere.csv" }), "cannot read /nowhere.csv"),
        (file("a.xlsx", b""), "a.xlsx: must end in .csv"),
        (
            file("a.csv", b"txt,label\na,1\n"),
            "has no column `text` (did you mean `txt`?); it has txt, label",
        ),
        (file("b.csv", b"text,label\na\xff,1\n"), "b.csv: line 2: is not UTF-8"),
        (file("c.csv", b"text,label\na,1,2\n"), "c.csv: line 2: has 3 cells, but the header has 2"),
        (
            file("w.csv", b"text,label\na,1\n\"b,0\nc,1\n"),
            "w.csv: line 3: a cell begins with \" and does not end with one",
        ),
        (
            file("x.csv", b"text,label\na,1\n\"b\" c,0\nc,1\n"),
            "x.csv: line 3: a cell begins with \" and does not end with one",
        ),
        (file("d.csv", b"text,label\na,1\n ,0\n"), "d.csv: line 3: `text` is empty"),
        (
            with(file("q.csv", b"x,x,label\n1,2,a\n2,1,b\n"), "features", json!(["x"])),
            "q.csv: has two columns `x`",
        ),
        (
            with(file("r.csv", b"x,label\n1,a\n2,b\n"), "features", json!(["x", "x"])),
            "name a column twice",
        ),
        (file("s.csv", b"text;label\na;1\n"), "s.csv: its cells are separated by semicolons"),
        (file("t.csv", b"text\tlabel\na\t1\n"), "or the file another ending"),
        (
            file("u.jsonl", b"{\"text\": [1], \"label\": 0}\n"),
            "u.jsonl: line 1: `text` must be a text, a number, or true or false",
        ),
        (
            with(
                file(
                    "v.csv",
                    b"text,label,s\na,0,train\nb,1,train\nc,0.0,train\nd,1,test\n e,1,validation\n",
                ),
                "split",
                json!("s"),
            ),
            "the labels `0` and `0.0` of `label` are one number",
        ),
        (file("e.csv", b"text,label\na,1\nb,1\n"), "`label` has one class"),
        (file("f.csv", b"text,label\n"), "f.csv: holds no row"),
        (file("y.csv", b""), "y.csv: is empty"),
        (file("z.tsv", b"\n"), "z.tsv: is empty"),
        (file("z.jsonl", b"\n"), "z.jsonl: is empty"),
        (file("g.csv", whole.as_bytes()), "class `0` has 1 example, but 3 are needed"),
        (
            file("h.jsonl", b"{\"text\": \"a\", \"label\": 1}\n[1]\n"),
            "h.jsonl: line 2: is no JSON object",
        ),
        (file("i.jsonl", b"{\"text\": \"a\"}\n"), "i.jsonl: line 1: has no column `label`"),
        (file("j.parquet", b"no parquet"), "j.parquet: "),
        (
            with(file("k.csv", b"x,label\n1,a\none,b\n"), "features", json!(["x"])),
            "k.csv: line 3: `x` is `one`, but must be a number",
        ),
        (
            with(file("l.csv", b"text,label,s\na,1,train\nb,0,dev\n"), "split", json!("s")),
            "l.csv: line 3: `s` is `dev`, but must be one of train, validation, test",
        ),
        (
            with(file("m.csv", b"text,label,s\na,1,train\nb,0,train\n"), "split", json!("s")),
            "`s` says `validation` of no row",
        ),
        (
            with(file("n.csv", whole.as_bytes()), "validation", json!("v.csv")),
            "must be given together",
        ),
        (
            with(file("o.csv", whole.as_bytes()), "text", json!("label")),
            "is among what the network sees",
        ),
        (
            with(
                with(file("p.csv", whole.as_bytes()), "split", json!("s")),
                "held_out",
                json!(0.1),
            ),
            "contradicts `split`",
        ),
    ];
    for (json, reason) in wrong {
        let error = load(json).unwrap_err();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
    let train = write(folder.path(), "train.csv", whole);
    let dotted = folder.path().join("./train.csv");
    let apart = write(folder.path(), "apart.csv", whole);
    let json = json!({ "path": train, "validation": apart, "test": dotted });
    let error = load(json).unwrap_err();
    assert!(error.contains("must be other files than `path` and each other"), "{error}");
    let validation = write(folder.path(), "validation.csv", whole);
    let other = write(folder.path(), "other.csv", "text,label\nfine,2\n");
    let json = json!({ "path": train, "validation": validation, "test": other });
    let error = load(json).unwrap_err();
    assert!(
        error.contains("other.csv: line 2: the label `2` is not in the training split"),
        "{error}"
    );
}
