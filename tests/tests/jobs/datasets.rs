//! Jobs over datasets, from files to reports.

use crate::takeover::outcomes;
use crate::{World, job};
use flate2::Compression;
use flate2::write::GzEncoder;
use frugal::datasets::{self, AddArgs, DatasetsCommand, DeleteArgs, ListArgs, ServerArgs};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

async fn run(command: DatasetsCommand) -> Result<String, String> {
    let done = datasets::run(&command).await;
    done.map_err(|error| format!("{error:#}"))
}

async fn add(url: &str, file: &Path, name: Option<&str>) -> Result<String, String> {
    let args = AddArgs {
        file: file.to_owned(),
        name: name.map(str::to_owned),
        server: server(url),
    };
    run(DatasetsCommand::Add(args)).await
}

fn server(url: &str) -> ServerArgs {
    ServerArgs {
        url: url.to_owned(),
        key: None,
        key_file: None,
    }
}

/// Writes rows as a packed file with a row on each line.
fn write(file: &Path, rows: &Value) {
    let mut encoder = GzEncoder::new(std::fs::File::create(file).unwrap(), Compression::fast());
    for row in rows.as_array().unwrap() {
        writeln!(encoder, "{row}").unwrap();
    }
    encoder.finish().unwrap();
}

#[tokio::test]
async fn a_job_over_a_dataset_finds_what_the_job_with_its_rows_finds() {
    let world = World::new().await;
    let (frugal, url) = world.setting.serve(2).await;
    let api = ApiClient::new(&url);
    let folder = tempfile::tempdir().unwrap();

    let mut inline = job(12, 8);
    inline["data"]["holdout"] = json!({"share": 0.25});
    let file = folder.path().join("word problems.jsonl.gz");
    write(&file, &inline["data"]["instances"]);
    let added = add(&url, &file, None).await.unwrap();
    assert!(added.starts_with("word problems ("), "{added}");
    assert!(added.contains("\nrows: 12\n"), "{added}");

    let mut named = inline.clone();
    named["data"] = json!({"dataset": "word problems", "holdout": {"share": 0.25}});
    let path = api.submit(&named).await;
    // The job has its rows already.
    let delete = DeleteArgs {
        name: "word problems".to_owned(),
        server: server(&url),
    };
    let deleted = run(DatasetsCommand::Delete(delete)).await;
    assert_eq!(deleted.unwrap(), "deleted word problems\n");
    let other = api.submit(&inline).await;
    tokio::join!(api.follow(&path, None), api.follow(&other, None));
    assert_eq!(outcomes(&api, &path).await, outcomes(&api, &other).await);
    let report = |path: &str| format!("{path}/report");
    let found = api.json(&report(&path)).await;
    let same = api.json(&report(&other)).await;
    assert_eq!(found["winner"]["trial"], same["winner"]["trial"]);
    assert_eq!(found["holdout"]["winner"], same["holdout"]["winner"]);

    assert!(frugal.stop().await);
    world.end().await;
}

#[tokio::test]
async fn datasets_come_from_files() {
    let world = World::new().await;
    let (frugal, url) = world.setting.serve(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let csv = file("sums.csv", "question,answer\n1 + 1,2\n2 + 2,4\n");
    let added = add(&url, &csv, None).await.unwrap();
    assert!(
        added.contains("rows: 2\ncolumns: answer, question\n"),
        "{added}"
    );
    let json = file(
        "other.json",
        r#"[{"question": "1 + 1", "answer": "2"}, {"question": "2 + 2", "answer": "4"}]"#,
    );
    let same = add(&url, &json, Some("sums")).await.unwrap();
    assert!(same.contains("which was there before"), "{same}");
    let some = file("some.ndjson", "{\"q\": 1}\n{\"q\": 2, \"a\": 3}\n");
    let some = add(&url, &some, Some("half / of it")).await.unwrap_err();
    assert!(some.contains("`name` must not hold `/`"), "{some}");
    let some = file("some.ndjson", "{\"q\": 1}\n{\"q\": 2, \"a\": 3}\n");
    let some = add(&url, &some, Some("50 % & more?")).await.unwrap();
    assert!(some.contains("columns: a (in 50.0 %), q\n"), "{some}");

    let faulty = file(
        "faulty.jsonl",
        &format!("{{\"q\": 1}}\n{}", "7\n".repeat(12)),
    );
    let refused = add(&url, &faulty, None).await.unwrap_err();
    let told = "the dataset has 12 faults; line 2: must be an object, not a number; line 3:";
    assert!(refused.contains(told), "{refused}");
    assert!(refused.ends_with("; and 2 more"), "{refused}");
    let absent = add(&url, &folder.path().join("absent.csv"), None).await;
    assert!(absent.unwrap_err().starts_with("cannot read"));

    let list = || {
        run(DatasetsCommand::List(ListArgs {
            server: server(&url),
        }))
    };
    let listed = list().await.unwrap();
    assert!(
        listed.contains("50 % & more?") && listed.contains("sums"),
        "{listed}"
    );
    assert!(!listed.contains("faulty"), "{listed}");
    let delete = |name: &str| {
        DatasetsCommand::Delete(DeleteArgs {
            name: name.to_owned(),
            server: server(&url),
        })
    };
    run(delete("50 % & more?")).await.unwrap();
    let twice = run(delete("50 % & more?")).await.unwrap_err();
    assert!(twice.contains("there is no dataset"), "{twice}");
    assert!(!list().await.unwrap().contains("50 %"));
    assert!(frugal.stop().await);
    world.end().await;
}
