//! Where the rows of a job come from, and which of them are taken.

use crate::{catalog, example};
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, DatasetReference, Instance, JobSpec};
use frugal_intake::{Dataset, Datasets};
use serde_json::{Value, json};

/// Twelve rows: eight to train on, of two subjects, and four to test with.
fn row(number: usize) -> Value {
    let split = if number < 8 { "train" } else { "test" };
    let subject = ["sums", "words"][number % 2];
    json!({"question": number.to_string(), "answer": "1", "split": split, "subject": subject})
}

fn rows() -> Vec<Instance> {
    let rows = (0..12).map(|number| row(number).as_object().unwrap().clone());
    rows.collect()
}

fn dataset(name: &str, rows: Vec<Instance>) -> (String, Dataset) {
    let reference = DatasetReference {
        id: "019abf3e-5f00-7000-8000-000000000000".parse().unwrap(),
        name: name.to_owned(),
        sha256: "00".to_owned(),
    };
    (name.to_owned(), Dataset { reference, rows })
}

fn read(data: &Value) -> Result<(JobSpec, Data), Vec<Fault>> {
    let mut body = example();
    body["data"] = data.clone();
    let named = frugal_intake::named_datasets(&body);
    let datasets = [
        dataset("mixed", rows()),
        dataset("tests", rows().split_off(8)),
    ];
    let datasets: Datasets = datasets
        .into_iter()
        .filter(|(name, _)| named.contains(name))
        .collect();
    frugal_intake::job_over(&body, datasets, &catalog(), 7)
}

/// The numbers of the rows to tune on and of those held out.
fn numbers(data: &Value) -> (Vec<usize>, Vec<usize>) {
    let (_, data) = read(data).unwrap();
    let of = |rows: &[Instance]| {
        let numbers = rows
            .iter()
            .map(|row| row["question"].as_str().unwrap().parse().unwrap());
        numbers.collect()
    };
    (of(&data.tuning), of(&data.holdout))
}

fn fault(data: &Value) -> String {
    let faults = read(data).unwrap_err();
    let faults = faults
        .iter()
        .map(|it| format!("{} {}", it.pointer, it.detail));
    faults.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_dataset_stands_for_its_rows() {
    for more in [json!({}), json!({"holdout": {"share": 0.25}})] {
        let (mut named, mut inline) = (more.clone(), more);
        named["dataset"] = json!("mixed");
        inline["instances"] = json!(rows());
        let (with_name, rows) = read(&named).unwrap();
        let (mut without, same) = read(&inline).unwrap();
        assert_eq!(rows, same);
        assert_eq!(without.dataset, None);
        without.dataset = with_name.dataset.clone();
        assert_eq!(with_name, without);
        assert_eq!(with_name.dataset.unwrap().name, "mixed");
        assert_eq!(with_name.holdout_dataset, None);
    }
}

#[test]
fn rows_are_split_by_their_values() {
    let train: Vec<_> = (0..8).collect();
    let test: Vec<_> = (8..12).collect();
    for source in [json!({"dataset": "mixed"}), json!({"instances": rows()})] {
        let with = |key: &str, value: Value| {
            let mut data = source.clone();
            data[key] = value;
            data
        };
        let mut data = with("holdout", json!({"where": {"split": "test"}}));
        assert_eq!(numbers(&data), (train.clone(), test.clone()));
        data["where"] = json!({"subject": "sums"});
        assert_eq!(numbers(&data), (vec![0, 2, 4, 6], test.clone()));
        let data = with(
            "where",
            json!({"split": ["train", "dev"], "subject": ["words"]}),
        );
        assert_eq!(numbers(&data), (vec![1, 3, 5, 7], vec![]));
    }
}

#[test]
fn held_out_rows_may_be_those_of_another_dataset() {
    let data = json!({
        "dataset": "mixed", "where": {"split": "train"},
        "holdout": {"dataset": "tests", "where": {"subject": "words"}}
    });
    assert_eq!(numbers(&data), ((0..8).collect(), vec![9, 11]));
    assert_eq!(
        read(&data).unwrap().0.holdout_dataset.unwrap().name,
        "tests"
    );
    // Or of the same one.
    let data = json!({
        "dataset": "mixed", "where": {"split": "train"},
        "holdout": {"dataset": "mixed", "where": {"split": "test"}}
    });
    assert_eq!(numbers(&data), ((0..8).collect(), (8..12).collect()));
}

#[test]
fn a_sample_follows_from_its_own_seed() {
    let data = json!({"dataset": "mixed", "sample": {"rows": 5}});
    let (five, _) = numbers(&data);
    assert_eq!(five.len(), 5);
    assert!(five.is_sorted(), "{five:?}");
    assert_eq!(numbers(&data).0, five);
    let other = json!({"dataset": "mixed", "sample": {"rows": 5, "seed": 1}});
    assert_ne!(numbers(&other).0, five);
    let all = json!({"dataset": "mixed", "sample": {"rows": 12}});
    assert_eq!(numbers(&all).0, (0..12).collect::<Vec<_>>());
    // What is held out is drawn of the sample where it is a share, and apart where it is not.
    let share = json!({"dataset": "mixed", "sample": {"rows": 5}, "holdout": {"share": 0.4}});
    let (tuning, holdout) = numbers(&share);
    assert_eq!((tuning.len(), holdout.len()), (3, 2));
    assert!(tuning.iter().chain(&holdout).all(|row| five.contains(row)));
    let apart = json!({
        "dataset": "mixed", "sample": {"rows": 3},
        "holdout": {"where": {"split": "test"}, "sample": {"rows": 2}}
    });
    let (tuning, holdout) = numbers(&apart);
    assert_eq!((tuning.len(), holdout.len()), (3, 2));
    assert!(tuning.iter().all(|row| *row < 8) && holdout.iter().all(|row| *row >= 8));
}

#[test]
fn rows_are_told_by_their_places_in_the_dataset() {
    let mut body = example();
    body["data"] = json!({"dataset": "mixed", "where": {"split": "test"}});
    let mut rows = rows();
    rows[9].remove("answer");
    let datasets = Datasets::from([dataset("mixed", rows)]);
    let faults = frugal_intake::job_over(&body, datasets, &catalog(), 7).unwrap_err();
    insta::assert_snapshot!(faults[0].detail, @"the variable `answer` is absent from row 9 of the data, which has `question`, `split`, `subject`");
}

#[test]
fn what_cannot_be_taken_is_a_fault() {
    insta::assert_snapshot!(fault(&json!({"dataset": "mixd"})), @"/data/dataset there is no dataset `mixd`; `GET /datasets` lists those that there are, and `POST /datasets` takes another");
    insta::assert_snapshot!(fault(&json!({"dataset": "mixed", "holdout": {"dataset": "none"}})), @"/data/holdout/dataset there is no dataset `none`; `GET /datasets` lists those that there are, and `POST /datasets` takes another");
    insta::assert_snapshot!(fault(&json!({"dataset": "mixed", "instances": rows()})), @"/data/dataset give either `instances` or `dataset`, not both");
    insta::assert_snapshot!(fault(&json!({})), @"/data/instances is missing; give at least one row, or the name of a `dataset`");
    insta::assert_snapshot!(fault(&json!({"dataset": 7})), @"/data/dataset must be a string, not a number");
    let with = |key: &str, value: Value| {
        let mut data = json!({"dataset": "mixed"});
        data[key] = value;
        fault(&data)
    };
    insta::assert_snapshot!(with("where", json!({"split": "dev"})), @r#"/data/where no row has such a value in `split`; there is `"test"`, `"train"`"#);
    insta::assert_snapshot!(with("where", json!({"splt": "train"})), @"/data/where no row has the field `splt`; there is `answer`, `question`, `split`, `subject`");
    insta::assert_snapshot!(with("where", json!({"split": ["train"], "question": "9"})), @"/data/where no row has all of these values; name fewer fields");
    insta::assert_snapshot!(with("where", json!({"question": "99"})), @r#"/data/where no row has such a value in `question`; there is `"0"`, `"1"`, `"10"`, `"11"`, `"2"`, more"#);
    insta::assert_snapshot!(with("where", json!({})), @r#"/data/where must name at least one field, such as {"split": "train"}"#);
    insta::assert_snapshot!(with("where", json!({"split": [], "subject": {"is": "sums"}})), @r#"
    /data/where/split must hold at least one value
    /data/where/subject must be a text, a number, true, false or null
    "#);
    insta::assert_snapshot!(with("holdout", json!({"where": {"answer": "1"}})), @"/data/holdout/where leaves no row to tune on; hold fewer out");
    insta::assert_snapshot!(with("holdout", json!({"share": 0.5, "where": {"split": "test"}})), @"/data/holdout give one of `share`, `instances`, `dataset` and `where`; `where` and `sample` also go with `instances` or `dataset`");
    insta::assert_snapshot!(with("holdout", json!({"share": 0.5, "sample": {"rows": 1}})), @"/data/holdout give one of `share`, `instances`, `dataset` and `where`; `where` and `sample` also go with `instances` or `dataset`");
    insta::assert_snapshot!(with("sample", json!({"rows": 0, "sed": 1})), @r#"
    /data/sample/rows must be from 1 to 4294967295, not 0
    /data/sample/sed is not a known field; known here: `rows`, `seed`
    "#);
    insta::assert_snapshot!(with("sample", json!({"seed": -1})), @r#"
    /data/sample/rows is missing; say how many rows are taken
    /data/sample/seed must be from 0 to 9223372036854775807, not -1
    "#);
    let letters = "é".repeat(100);
    let long = json!({"instances": [{"q": letters}], "where": {"q": 1}});
    let told = format!("there is `\"{}…`", "é".repeat(59));
    assert!(fault(&long).contains(&told), "{}", fault(&long));
    let held_out = json!({
        "dataset": "mixed", "where": {"split": "test"}, "holdout": {"where": {"split": "test"}}
    });
    insta::assert_snapshot!(fault(&held_out), @r#"/data/where no row has such a value in `split`; there is `"train"`"#);
}

#[test]
fn a_job_takes_at_most_so_many_rows() {
    let many = (0..100_001).map(|_| row(0).as_object().unwrap().clone());
    let datasets = Datasets::from([dataset("mixed", many.collect())]);
    let mut body = example();
    // With faults elsewhere the rows are not rendered.
    body["prompts"] = json!([]);
    body["scoring"] = json!({});
    body["data"] = json!({"dataset": "mixed"});
    let faults = frugal_intake::job_over(&body, datasets.clone(), &catalog(), 7).unwrap_err();
    insta::assert_snapshot!(format!("{} {}", faults[0].pointer, faults[0].detail), @"/data/dataset must be at most 100000 rows; take some of them with `where` or `sample`");
    body["data"]["sample"] = json!({"rows": 100_000});
    let faults = frugal_intake::job_over(&body, datasets, &catalog(), 7).unwrap_err();
    assert!(faults.iter().all(|it| !it.pointer.starts_with("/data")));
}
