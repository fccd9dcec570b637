//! Datasets: posted in every form, refused with lines, listed, read, deleted.

use crate::{body, catalog, header, id, job, start};
use flate2::Compression;
use flate2::write::GzEncoder;
use frugal_api::DatasetLimits;
use frugal_store::{instances, jobs};
use frugal_tests::app::TestApp;
use frugal_tests::contract::contract;
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};
use std::io::Write;

const LINES: &str = "application/jsonl";
const CSV: &str = "text/csv";

/// Posts rows under a name.
async fn post(app: &TestApp, name: &str, kind: &str, rows: impl Into<Vec<u8>>) -> Response {
    let url = Url::parse_with_params("http://frugal/datasets", [("name", name)]).unwrap();
    let path = format!("/datasets?{}", url.query().unwrap());
    let request = app.api.request(Method::POST, &path);
    let request = request.header("content-type", kind).body(rows.into());
    app.api.send(request).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn delete(app: &TestApp, path: &str) -> Response {
    app.api.send(app.api.request(Method::DELETE, path)).await
}

/// Rows with numbers, in lines.
fn sums(count: usize) -> String {
    let line = |n: usize| format!("{{\"question\": \"{n} + {n}\", \"answer\": {}}}\n", n + n);
    (0..count).map(line).collect()
}

#[tokio::test]
async fn a_posted_dataset_says_what_it_is() {
    let app = start().await;
    let rows = format!("{}{{\"question\": \"what?\"}}", sums(9));
    let response = post(&app, "sums", LINES, rows.clone()).await;
    let location = header(&response, "location").unwrap().to_owned();
    let created = body(response, 201).await;
    let id = created["id"].as_str().unwrap();
    assert_eq!(location, format!("/datasets/{id}"));
    insta::assert_json_snapshot!("created_dataset", created, {
        ".id" => "[id]",
        ".created_at" => "[time]",
        ".links" => "[links]",
    });
    assert_eq!(app.api.json(&location).await, created);
    assert_eq!(app.api.json("/datasets/sums").await, created);

    // The same again is the same; other rows need another name.
    let again = post(&app, "sums", LINES, rows.replace(": ", ":\t")).await;
    assert_eq!(header(&again, "location"), Some(location.as_str()));
    assert_eq!(body(again, 200).await, created);
    let other = post(&app, "sums", LINES, sums(3)).await;
    insta::assert_json_snapshot!("dataset_name_taken", body(other, 409).await);
    let other = body(post(&app, "more sums", LINES, rows).await, 201).await;
    assert_ne!(other["id"], created["id"]);
    assert_eq!(other["sha256"], created["sha256"]);
    assert_eq!(app.api.json("/datasets/more%20sums").await, other);
    app.end().await;
}

#[tokio::test]
async fn the_same_rows_are_the_same_dataset_in_every_form() {
    let app = start().await;
    let lines = "{\"q\": \"1,5\", \"a\": \"x\"}\n\n{\"a\": \"\", \"q\": \"é\"}\n";
    let csv = "\u{FEFF}q,a\r\n\"1,5\",x\r\né,\r\n";
    let array = "[{\"q\": \"1,5\", \"a\": \"x\"},\n {\"q\": \"\\u00e9\", \"a\": \"\"}]";
    let first = body(post(&app, "rows", LINES, lines).await, 201).await;
    for (kind, text) in [
        ("application/x-ndjson", lines),
        ("text/csv; charset=utf-8", csv),
        ("application/json", array),
    ] {
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let same = post(&app, "rows", kind, bytes).await;
            assert_eq!(body(same, 200).await, first, "{kind}");
        }
        let request = app.api.request(Method::POST, "/datasets?name=rows");
        let request = request.header("content-type", kind);
        let request = request.header("content-encoding", "gzip");
        let packed = app.api.send(request.body(gzip(text.as_bytes()))).await;
        assert_eq!(body(packed, 200).await, first, "{kind}");
    }
    // Files that were packed apart and put together are one.
    let (head, tail) = lines.split_at(20);
    let two = [gzip(head.as_bytes()), gzip(tail.as_bytes())].concat();
    assert_eq!(body(post(&app, "rows", LINES, two).await, 200).await, first);
    assert_eq!(app.api.all("/datasets").await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn every_fault_is_told_with_its_line() {
    let app = start().await;
    let lines = "{\"q\": 1}\n{\"q\": 2,}\n\n[3]\n{\"id\": 4, \"q\": \"\\u0000\"}\n{\"id\": 4}\n";
    let refused = post(&app, "faults", LINES, lines).await;
    insta::assert_json_snapshot!("faults_of_lines", body(refused, 422).await);
    let csv = "q,a\n1,2\n\"two\nlines\",3,4\n5\n";
    let refused = post(&app, "faults", CSV, csv).await;
    insta::assert_json_snapshot!("faults_of_csv", body(refused, 422).await);
    let refused = post(&app, "faults", CSV, "q,a,q\n1,2,3\n").await;
    insta::assert_json_snapshot!("duplicate_column", body(refused, 422).await);
    let refused = post(&app, "faults", "application/json", "{\"instances\": []}").await;
    insta::assert_json_snapshot!("no_array", body(refused, 422).await);
    let refused = post(&app, "faults", LINES, "7\n".repeat(150)).await;
    let refused = body(refused, 422).await;
    assert_eq!(
        refused["detail"],
        "the dataset has 150 faults; the first 100 are listed"
    );
    assert_eq!(refused["errors"][99]["line"], 100);
    let refused = post(&app, "faults", LINES, "").await;
    insta::assert_json_snapshot!("empty_dataset", body(refused, 422).await);
    assert_eq!(app.api.all("/datasets").await, [json!(null); 0]);
    app.end().await;
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_refused() {
    let app = start().await;
    let whole = gzip(sums(100).as_bytes());
    let cut = post(&app, "cut", LINES, &whole[..whole.len() - 9]).await;
    insta::assert_json_snapshot!("gzip_cut_off", body(cut, 422).await);
    let mut damaged = whole.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    let damaged = body(post(&app, "damaged", LINES, damaged).await, 422).await;
    assert_eq!(damaged["code"], "invalid_dataset");
    for (coding, rows, status) in [("gzip", sums(1), 422), ("br", sums(1), 415)] {
        let request = app.api.request(Method::POST, "/datasets?name=coded");
        let request = request.header("content-type", LINES);
        let request = request.header("content-encoding", coding);
        body(app.api.send(request.body(rows)).await, status).await;
    }
    let wrong = post(&app, "kind", "text/plain", sums(1)).await;
    insta::assert_json_snapshot!("unknown_kind_of_rows", body(wrong, 415).await);
    assert_eq!(app.api.all("/datasets").await, [json!(null); 0]);
    app.end().await;
}

#[tokio::test]
async fn datasets_are_bounded() {
    let limits = DatasetLimits {
        bytes: 100_000,
        rows: 50,
    };
    let app = TestApp::with_dataset_limits(catalog(), limits).await;
    let many = post(&app, "many", LINES, sums(51)).await;
    insta::assert_json_snapshot!("too_many_rows", body(many, 413).await);
    // Far over the limit: the client has its answer all the same.
    for length in [100_001, 3_000_000] {
        let large = post(&app, "large", LINES, vec![b' '; length]).await;
        insta::assert_json_snapshot!("dataset_too_large", body(large, 413).await);
    }
    // A bomb: within the limit packed, and far above it unpacked.
    let bomb = gzip(&vec![b' '; 1 << 25]);
    assert!(bomb.len() < 100_000);
    let bomb = post(&app, "bomb", LINES, bomb).await;
    insta::assert_json_snapshot!("dataset_too_large", body(bomb, 413).await);
    body(post(&app, "fits", LINES, sums(50)).await, 201).await;
    assert_eq!(app.api.all("/datasets").await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn names_are_checked_before_rows() {
    let app = start().await;
    for name in ["", "a/b", "019abf3e-5f00-7000-8000-000000000000"] {
        let refused = body(post(&app, name, LINES, sums(1)).await, 400).await;
        assert_eq!(refused["code"], "invalid_parameter", "{name}");
    }
    let nameless = app.api.request(Method::POST, "/datasets");
    let nameless = nameless.header("content-type", LINES).body(sums(1));
    let refused = body(app.api.send(nameless).await, 400).await;
    insta::assert_json_snapshot!("dataset_without_a_name", refused);
    app.end().await;
}

#[tokio::test]
async fn datasets_and_their_rows_come_in_pages() {
    let app = start().await;
    for name in ["one", "two", "three"] {
        body(post(&app, name, LINES, sums(7)).await, 201).await;
    }
    let names = |page: &Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap();
        rows.iter().map(|row| row["name"].to_string()).collect()
    };
    let first = app.api.json("/datasets?limit=2").await;
    assert_eq!(names(&first), ["\"three\"", "\"two\""]);
    let next = first["next"].as_str().unwrap();
    let second = app
        .api
        .json(&format!("/datasets?limit=2&cursor={next}"))
        .await;
    assert_eq!(names(&second), ["\"one\""]);
    assert_eq!(second["has_more"], false);

    let first = app.api.json("/datasets/two/rows?limit=3").await;
    insta::assert_json_snapshot!("rows_of_a_dataset", first);
    let next = first["next"].as_str().unwrap();
    let second = app
        .api
        .json(&format!("/datasets/two/rows?cursor={next}"))
        .await;
    let rows = second["data"].as_array().unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| row["row"].as_u64().unwrap())
        .collect();
    assert_eq!(rows, [3, 4, 5, 6]);
    for query in [
        "/datasets?cursor=j0",
        "/datasets/two/rows?cursor=d0",
        "/datasets?name=two",
    ] {
        let problem = body(app.api.get(query).await, 400).await;
        assert_eq!(problem["code"], "invalid_parameter", "{query}");
    }
    app.end().await;
}

#[tokio::test]
async fn a_large_dataset_is_stored_whole_and_in_order() {
    let app = start().await;
    let created = body(
        post(&app, "large", LINES, gzip(sums(2_500).as_bytes())).await,
        201,
    )
    .await;
    assert_eq!(created["rows"], 2_500);
    let rows = app.api.all("/datasets/large/rows").await;
    assert_eq!(rows.len(), 2_500);
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row["row"], number);
        assert_eq!(row["data"]["answer"], 2 * number);
    }
    app.end().await;
}

#[tokio::test]
async fn a_deleted_dataset_is_gone() {
    let app = start().await;
    let created = body(post(&app, "sums", LINES, sums(3)).await, 201).await;
    let path = created["links"]["self"].as_str().unwrap();
    let deleted = delete(&app, "/datasets/sums").await;
    assert_eq!(deleted.status().as_u16(), 204);
    for path in [
        path,
        "/datasets/sums",
        "/datasets/sums/rows",
        "/datasets/%00",
    ] {
        let problem = body(app.api.get(path).await, 404).await;
        assert_eq!(problem["code"], "not_found", "{path}");
    }
    let twice = body(delete(&app, path).await, 404).await;
    assert_eq!(twice["code"], "not_found");
    // Its name is free again.
    body(post(&app, "sums", LINES, sums(4)).await, 201).await;
    app.end().await;
}

#[tokio::test]
async fn datasets_posted_at_once_are_one() {
    let app = start().await;
    let posts = (0..4).map(|_| post(&app, "sums", LINES, sums(1_500)));
    let answers = futures::future::join_all(posts).await;
    let mut statuses: Vec<_> = answers.iter().map(|it| it.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
    assert_eq!(app.api.all("/datasets").await.len(), 1);
    assert_eq!(app.api.all("/datasets/sums/rows").await.len(), 1_500);
    app.end().await;
}

/// A job over this data.
fn job_over(data: Value) -> Value {
    let mut job = job();
    job["data"] = data;
    job["search"] = json!({"seed": 1});
    job
}

/// Posts a job, and gives what it shows and what is stored of it.
async fn stored(app: &TestApp, job: &Value) -> (Value, jobs::Job, frugal_domain::job::Data) {
    contract().check_request("/jobs", job).unwrap();
    let path = app.api.submit(job).await;
    let shown = app.api.json(&path).await;
    let mut connection = app.pool.acquire().await.unwrap();
    let found = jobs::find(&mut connection, id(&path)).await.unwrap();
    let data = instances::load(&mut connection, id(&path)).await.unwrap();
    (shown, found.unwrap(), data)
}

#[tokio::test]
async fn a_job_over_a_dataset_is_the_job_with_its_rows() {
    let app = start().await;
    let rows: Vec<Value> = (0..20)
        .map(|n| json!({"id": n, "question": format!("{n} + {n}"), "answer": (2 * n).to_string()}))
        .collect();
    let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
    let dataset = body(post(&app, "sums", LINES, lines.join("\n")).await, 201).await;
    let named = |name: &Value| job_over(json!({"dataset": name, "holdout": {"share": 0.25}}));
    let inline = job_over(json!({"instances": rows, "holdout": {"share": 0.25}}));
    let (shown, inline, data) = stored(&app, &inline).await;
    assert_eq!(shown["dataset"], Value::Null);
    assert_eq!((data.tuning.len(), data.holdout.len()), (15, 5));
    for name in [&dataset["name"], &dataset["id"]] {
        let (shown, found, same) = stored(&app, &named(name)).await;
        insta::assert_json_snapshot!("dataset_of_a_job", shown["dataset"], {".id" => "[id]"});
        assert_eq!(shown["dataset"]["id"], dataset["id"]);
        assert_eq!(same, data);
        let mut spec = found.spec;
        spec.dataset = None;
        assert_eq!(spec, inline.spec);
    }
    let estimate = app
        .api
        .post("/jobs/estimate", &named(&dataset["name"]))
        .await;
    let estimate = body(estimate, 200).await;
    assert_eq!(estimate["rows"], json!({"tuning": 15, "holdout": 5}));

    // The jobs have the rows when the dataset is gone.
    assert_eq!(app.api.json("/datasets/sums").await["jobs"], 2);
    assert_eq!(delete(&app, "/datasets/sums").await.status().as_u16(), 204);
    let listed = app.api.json("/jobs?limit=1").await;
    let path = listed["data"][0]["links"]["self"].as_str().unwrap();
    assert_eq!(app.api.json(path).await["dataset"]["name"], "sums");
    let mut connection = app.pool.acquire().await.unwrap();
    assert_eq!(
        instances::load(&mut connection, id(path)).await.unwrap(),
        data
    );
    drop(connection);
    let gone = body(app.api.post("/jobs", &named(&json!("sums"))).await, 422).await;
    insta::assert_json_snapshot!("job_over_no_dataset", gone);
    let gone = app.api.post("/jobs/estimate", &named(&json!("sums"))).await;
    assert_eq!(
        body(gone, 422).await["errors"][0]["pointer"],
        "/data/dataset"
    );
    app.end().await;
}

#[tokio::test]
async fn a_job_takes_some_rows_of_datasets() {
    let app = start().await;
    let csv = "question,answer,split\n1 + 1,2,train\n2 + 2,4,test\n3 + 3,6,train\n";
    body(post(&app, "sums", CSV, csv).await, 201).await;
    body(post(&app, "tests", CSV, csv).await, 201).await;
    let answers = |rows: &[frugal_domain::job::Instance]| -> Vec<String> {
        rows.iter().map(|row| row["answer"].to_string()).collect()
    };
    let by_value = json!({
        "dataset": "sums", "where": {"split": ["train", "dev"]}, "sample": {"rows": 1000},
        "holdout": {"where": {"split": "test"}}
    });
    let (_, _, data) = stored(&app, &job_over(by_value)).await;
    assert_eq!(answers(&data.tuning), ["\"2\"", "\"6\""]);
    assert_eq!(answers(&data.holdout), ["\"4\""]);
    let two = json!({
        "dataset": "sums", "sample": {"rows": 2, "seed": 3}, "holdout": {"dataset": "tests"}
    });
    let (shown, _, data) = stored(&app, &job_over(two)).await;
    assert_eq!((data.tuning.len(), data.holdout.len()), (2, 3));
    assert_eq!(shown["holdout_dataset"]["name"], "tests");
    for (name, jobs) in [("sums", 2), ("tests", 1)] {
        assert_eq!(
            app.api.json(&format!("/datasets/{name}")).await["jobs"],
            jobs
        );
    }
    app.end().await;
}
