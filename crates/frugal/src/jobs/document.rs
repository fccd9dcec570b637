//! What is posted from files: a job as the API takes it, and configurations to put into one.

use crate::datasets;
use crate::demo::client::Client;
use anyhow::{Context, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// The file that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// The field of `data` that names a file of rows. It is this program's own: the API knows datasets alone.
const FILE: &str = "file";
/// The field that names a dataset.
const DATASET: &str = "dataset";
/// How many bytes of a file's hash tell its dataset from others of the same name.
const HASHED: usize = 6;

/// Reads a job, and posts its rows where they stand in a file of their own.
///
/// # Errors
/// A file cannot be read or is of no known kind, or the server does not take the rows.
pub async fn read(path: &Path, client: &Client) -> anyhow::Result<Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut job = parse(path, &text)?;
    let Some(data) = job.get_mut("data").and_then(Value::as_object_mut) else {
        return Ok(job);
    };
    let Some(file) = data.remove(FILE) else {
        return Ok(job);
    };
    let Value::String(file) = file else {
        bail!(
            "/data/file: give the path of a file of rows, from the folder of {}",
            path.display()
        );
    };
    for other in ["instances", DATASET] {
        if data.contains_key(other) {
            bail!("/data/file: give either this or `{other}`");
        }
    }
    let rows = path.parent().unwrap_or_else(|| Path::new("")).join(file);
    let name = post(&rows, client)
        .await
        .with_context(|| format!("/data/file: {}", rows.display()))?;
    data.insert(DATASET.to_owned(), Value::String(name));
    Ok(job)
}

/// Reads one configuration or a list of them, from a file or from standard input.
///
/// # Errors
/// The file cannot be read or is of no known kind, or it holds something else.
pub async fn configurations(path: &Path) -> anyhow::Result<Vec<Value>> {
    if path == Path::new(STANDARD_INPUT) {
        // Whoever types it may take their time, and Ctrl-C is to be heard meanwhile.
        let read = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
        let text = read.await?.context("cannot read standard input")?;
        // Nothing says which of the two it is; broken JSON is told of as YAML, with its place all the same.
        let document = serde_json::from_str(&text).or_else(|_| yaml_serde::from_str(&text));
        let document = document.context("cannot read standard input")?;
        return listed(document).context("standard input holds no configuration");
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    listed(parse(path, &text)?)
        .with_context(|| format!("{} holds no configuration", path.display()))
}

/// The configurations of a document.
fn listed(document: Value) -> anyhow::Result<Vec<Value>> {
    let all = match document {
        Value::Array(all) => all,
        one => vec![one],
    };
    if all.is_empty() || !all.iter().all(Value::is_object) {
        bail!("give settings by name, such as {{\"temperature\": 0.4}}, or a list of such");
    }
    Ok(all)
}

/// The document of a file, by its ending.
fn parse(path: &Path, text: &str) -> anyhow::Result<Value> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let read = match ending {
        Some("json") => serde_json::from_str(text).map_err(anyhow::Error::from),
        Some("yaml" | "yml") => yaml_serde::from_str(text).map_err(anyhow::Error::from),
        _ => bail!(
            "{} is of no known kind; name it .json, .yaml or .yml",
            path.display()
        ),
    };
    read.with_context(|| format!("cannot read {}", path.display()))
}

/// Posts the rows of a file under a name that changes with them, and gives the name: posted again they are the
/// dataset that is there.
async fn post(file: &Path, client: &Client) -> anyhow::Result<String> {
    let (stem, content_type) = datasets::kind(file)?;
    let rows = tokio::fs::read(file).await.context("cannot read it")?;
    let mut name = format!("{stem}-");
    for byte in Sha256::digest(&rows).iter().take(HASHED) {
        let _ = write!(name, "{byte:02x}");
    }
    let (_, dataset) = client.post_dataset(&name, content_type, rows).await?;
    Ok(dataset.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_may_stand_alone_or_in_a_list() {
        let one = json!({"temperature": 0.4});
        assert_eq!(listed(one.clone()).unwrap(), vec![one.clone()]);
        let two = json!([one, {"n": 2}]);
        assert_eq!(listed(two).unwrap(), [one, json!({"n": 2})]);
        for wrong in [json!([]), json!(null), json!([{}, 7]), json!("n: 2")] {
            let error = listed(wrong).unwrap_err().to_string();
            assert!(error.contains("settings by name"), "{error}");
        }
    }

    #[test]
    fn jobs_are_read_by_their_endings() {
        let expected = json!({"name": "sums", "search_space": {"n": {"int": [1, 8]}}});
        let json = expected.to_string();
        assert_eq!(parse(Path::new("a/job.json"), &json).unwrap(), expected);
        let yaml = "name: sums\nsearch_space:\n  n: {int: [1, 8]}\n";
        for name in ["job.yaml", "job.yml"] {
            assert_eq!(parse(Path::new(name), yaml).unwrap(), expected);
        }
        for (name, text) in [
            ("job.toml", ""),
            ("job", "{}"),
            ("job.json", "{"),
            ("job.yaml", "a: ["),
        ] {
            let error = format!("{:#}", parse(Path::new(name), text).unwrap_err());
            assert!(error.contains(name), "{error}");
        }
    }
}
