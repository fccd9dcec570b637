//! Recordings are read from a folder as they are embedded, and refused where they do not fit.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use frugal_simulator::{CellKey, Endpoint, Recordings, RecordingsError, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

fn row(instance: &str, temperature: f64, text: &str) -> Value {
    json!({
        "model": "m", "prompt": "p", "instance": instance, "temperature": temperature, "seed": 1, "prompt_tokens": 3,
        "responses": [{
            "text": text, "finish_reason": "stop", "token_lengths": [text.len()], "completion_tokens": 2,
        }],
    })
}

/// A folder with the task `t`, its two instances `a` and `b`, and these rows.
fn folder(template: &str, rows: &[Value]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let prompts = json!({"stop": ["\n\n"], "max_tokens": 8, "prompts": {"t": {"p": template}}});
    fs::write(folder.path().join("prompts.json"), prompts.to_string()).unwrap();
    let instances = "{\"id\": \"a\", \"q\": \"A\"}\n\n{\"id\": \"b\", \"q\": \"B\"}\n";
    fs::write(folder.path().join("t.instances.jsonl"), instances).unwrap();
    write_rows(folder.path(), rows);
    folder
}

fn write_rows(folder: &Path, rows: &[Value]) {
    let file = fs::File::create(folder.join("t.responses.jsonl.gz")).unwrap();
    let mut encoder = GzEncoder::new(file, Compression::fast());
    for row in rows {
        writeln!(encoder, "{row}").unwrap();
    }
    encoder.finish().unwrap();
}

fn key(instance: &str) -> CellKey<'_> {
    CellKey {
        task: "t",
        model: "m",
        prompt: "p",
        instance,
    }
}

#[test]
fn a_folder_reads_as_the_embedded_recordings() {
    let loaded = Recordings::load(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")).unwrap();
    let embedded = Recordings::embedded().unwrap();
    assert_eq!(loaded.cell_keys(), embedded.cell_keys());
    let mut responses = 0;
    for key in loaded.cell_keys() {
        for &temperature in loaded.temperatures(key.task, key.model, key.prompt) {
            assert_eq!(
                loaded.responses(&key, temperature),
                embedded.responses(&key, temperature)
            );
            responses += loaded.responses(&key, temperature).len();
        }
    }
    assert_eq!(responses, 7243 + 2712 + 1666);
}

#[test]
fn every_rendered_prompt_is_recognised() {
    let recordings = Recordings::embedded().unwrap();
    for key in recordings.cell_keys() {
        let text = recordings
            .render(key.task, key.prompt, key.instance)
            .unwrap();
        assert!(!text.contains("{{"), "{text}");
        let place = recordings.recognise(&text).unwrap();
        assert_eq!(
            (place.task.as_str(), place.prompt.as_str()),
            (key.task, key.prompt)
        );
        assert_eq!(place.instance, key.instance);
        assert_eq!(recordings.recognise(&format!("{text} ")), None);
    }
}

#[test]
fn missing_rows_fall_back_to_the_nearest_temperature() {
    let rows = [
        row("a", 0.0, "cold"),
        row("a", 0.5, "warm"),
        row("a", 1.0, "hot"),
        row("b", 0.5, "only"),
    ];
    let folder = folder("{{ q }}", &rows);
    let recordings = Recordings::load(folder.path()).unwrap();
    assert_eq!(recordings.temperatures("t", "m", "p"), [0.0, 0.5, 1.0]);
    let nearest = |instance: &'static str, temperature| {
        recordings
            .nearest_responses(&key(instance), temperature)
            .unwrap()[0]
            .text
            .clone()
    };
    assert_eq!(nearest("a", 1.0), "hot");
    assert_eq!(nearest("a", 0.25), "cold", "of two equally near, the lower");
    assert_eq!(nearest("b", 0.0), "only");
    assert_eq!(nearest("b", 1.0), "only");
    assert!(recordings.responses(&key("b"), 0.0).is_empty());
    assert_eq!(recordings.nearest_responses(&key("c"), 0.0), None);
}

#[tokio::test]
async fn an_instance_without_answers_is_refused() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    let folder = folder("{{ q }}", &[row("a", 0.5, "x"), row("a", 1.0, "y")]);
    let recordings = Recordings::load(folder.path()).unwrap();
    let endpoint = Endpoint::new(recordings.into(), SimulatorOptions::default()).unwrap();
    let cases = [
        (json!({"prompt": "A"}), 200),
        (json!({"prompt": "B"}), 400),
        (json!({"prompt": "A", "temperature": 0.4}), 400),
        (json!({"prompt": "A", "max_tokens": 9}), 400),
    ];
    for (mut body, status) in cases {
        body["model"] = json!("m");
        let request = Request::post("/v1/completions")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = endpoint.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{body}");
    }
}

#[test]
fn recordings_that_do_not_fit_are_refused() {
    let good = row("a", 0.5, "x");
    let broken = |change: fn(&mut Value)| {
        let mut row = good.clone();
        change(&mut row);
        Recordings::load(folder("{{ q }}", &[row]).path()).unwrap_err()
    };
    let inconsistent: [fn(&mut Value); 6] = [
        |row| row["instance"] = json!("z"),
        |row| row["prompt"] = json!("z"),
        |row| row["temperature"] = json!(-1.0),
        |row| row["responses"][0]["text"] = json!("xy"),
        |row| row["responses"][0]["completion_tokens"] = json!(1),
        |row| row["responses"][0]["finish_reason"] = json!("length"),
    ];
    for change in inconsistent {
        assert!(matches!(
            broken(change),
            RecordingsError::Inconsistent { .. }
        ));
    }
    assert!(matches!(
        broken(|row| row["model"] = json!(3)),
        RecordingsError::Malformed { row: 1, .. }
    ));
    let mut recounted = row("a", 1.0, "x");
    recounted["prompt_tokens"] = json!(4);
    assert!(Recordings::load(folder("{{ q }}", &[good.clone(), recounted]).path()).is_err());

    for template in ["{{ nothing }}", "{{ q", "the same for all"] {
        let error = Recordings::load(folder(template, &[]).path()).unwrap_err();
        assert!(
            matches!(error, RecordingsError::Inconsistent { .. }),
            "{template}: {error}"
        );
    }
    let cut = folder("{{ q }}", std::slice::from_ref(&good));
    let file = cut.path().join("t.responses.jsonl.gz");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(
        Recordings::load(cut.path()),
        Err(RecordingsError::Unreadable { .. })
    ));
    fs::remove_file(&file).unwrap();
    assert!(matches!(
        Recordings::load(cut.path()),
        Err(RecordingsError::Unreadable { .. })
    ));
}
