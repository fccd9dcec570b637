//! Files that run Frugal elsewhere, held against the program: they can be read, and the commands,
//! settings, paths and metrics that they name are there.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use clap::Parser;
use clap::error::ErrorKind;
use frugal::cli::Cli;
use frugal::config::{Config, ConfigFile, Flags};
use frugal_tests::pages::blocks;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The files of a folder and those below it, with what they say.
fn files(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let text = fs::read_to_string(&path).unwrap();
                    found.insert(path, text);
                }
            }
        }
    }
    found
}

/// All files that run the program, and the pages that say how.
fn all() -> BTreeMap<PathBuf, String> {
    let mut found = files("deploy");
    found.extend(files(".github"));
    found.extend(files("docs"));
    for name in ["docker-compose.yml", "Dockerfile", "README.md"] {
        let path = root().join(name);
        let text = fs::read_to_string(&path).unwrap();
        found.insert(path, text);
    }
    found
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending))
}

/// The documents of every YAML file.
fn documents() -> Vec<(PathBuf, Value)> {
    let mut documents = Vec::new();
    for (path, text) in all() {
        if !ends_with(&path, &["yaml", "yml"]) {
            continue;
        }
        for document in yaml_serde::Deserializer::from_str(&text) {
            let value = Value::deserialize(document);
            assert!(value.is_ok(), "{}: {value:?}", path.display());
            documents.push((path.clone(), value.unwrap()));
        }
    }
    documents
}

/// Every object within a value.
fn objects(value: &Value) -> Vec<&serde_json::Map<String, Value>> {
    let within = match value {
        Value::Object(members) => members.values().flat_map(objects).collect(),
        Value::Array(items) => items.iter().flat_map(objects).collect(),
        _ => Vec::new(),
    };
    value.as_object().into_iter().chain(within).collect()
}

/// Command lines of the program, as words behind its name.
fn commands() -> Vec<(PathBuf, Vec<String>)> {
    // As a shell reads a plain line: texts in quotes are one word, and a comment is none.
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).unwrap();
    let words = |line: &str| -> Vec<String> {
        let found = word.captures_iter(line);
        let found = found.map(|one| one.get(1).or(one.get(2)).unwrap().as_str().to_owned());
        found.take_while(|one| one != "#").collect()
    };
    let mut found = Vec::new();
    for (path, document) in documents() {
        for object in objects(&document) {
            if object.get("image").and_then(Value::as_str) != Some("frugal") {
                continue;
            }
            let arguments = object.get("args").or(object.get("command")).unwrap();
            let arguments = arguments.as_array().unwrap().iter();
            let arguments = arguments.map(|it| it.as_str().unwrap().to_owned());
            found.push((path.clone(), arguments.collect()));
        }
    }
    let inline = Regex::new(r"`frugal ([^`]+)`").unwrap();
    for (path, text) in all() {
        if ends_with(&path, &["service"]) {
            let started = text
                .lines()
                .filter_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/frugal "));
            found.extend(started.map(|line| (path.clone(), words(line))));
        }
        if ends_with(&path, &["md"]) && path.starts_with(root().join("docs")) {
            let blocks = blocks(&text, "sh");
            let lines = blocks.iter().flat_map(|block| block.lines());
            let lines = lines.filter_map(|line| line.strip_prefix("frugal "));
            let spans = inline.captures_iter(&text).map(|span| span[1].to_owned());
            let lines = lines.map(str::to_owned).chain(spans);
            found.extend(lines.map(|line| (path.clone(), words(&line))));
        }
    }
    found
}

#[test]
fn every_command_is_one() {
    let commands = commands();
    assert!(commands.len() > 12, "{commands:?}");
    for (path, words) in commands {
        let line = std::iter::once("frugal".to_owned()).chain(words.clone());
        if let Err(error) = Cli::try_parse_from(line)
            && !matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            )
        {
            assert_eq!(error.to_string(), "", "{}: {words:?}", path.display());
        }
    }
}

#[test]
fn every_variable_is_read() {
    let variable = Regex::new(r"\bFRUGAL_[A-Z_]+").unwrap();
    let sources = [
        "crates/frugal/src/config.rs",
        "crates/frugal/src/datasets.rs",
        "crates/benchmark/src/main.rs",
    ];
    let sources = sources.map(|path| fs::read_to_string(root().join(path)).unwrap());
    let mut seen = 0;
    for (path, text) in all() {
        for name in variable.find_iter(&text) {
            let quoted = format!("\"{}\"", name.as_str());
            let is_read = sources.iter().any(|source| source.contains(&quoted));
            assert!(is_read, "{}: {}", path.display(), name.as_str());
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn every_setting_is_one() {
    let mut settings = vec![(
        PathBuf::from("example"),
        fs::read_to_string(root().join("crates/frugal/frugal.example.toml")).unwrap(),
    )];
    for (path, text) in all() {
        if ends_with(&path, &["toml"]) {
            settings.push((path, text));
        } else if ends_with(&path, &["md"]) {
            let blocks = blocks(&text, "toml").into_iter();
            settings.extend(blocks.map(|block| (path.clone(), block)));
        }
    }
    assert!(settings.len() > 5);
    for (path, text) in settings {
        let file = ConfigFile {
            path: path.clone(),
            text,
        };
        let resolved = Config::resolve(Some(&file), |_| None, &Flags::default(), false);
        if let Err(error) = resolved {
            let is_example_of_one_part = error.to_string().contains("missing field");
            assert!(
                is_example_of_one_part,
                "{}: {error}\n{}",
                path.display(),
                file.text
            );
        }
    }
}

#[test]
fn probes_and_figures_are_served() {
    let described = serde_json::to_value(frugal_api::openapi()).unwrap();
    let paths = described["paths"].as_object().unwrap();
    let metrics = metrics_source();
    let metric = Regex::new(r"frugal_[a-z_]+").unwrap();
    let (mut probes, mut figures) = (0, 0);
    for (path, document) in documents() {
        for object in objects(&document) {
            let probed = object.get("httpGet").map(|probe| &probe["path"]);
            let scraped = object.get("prometheus.io/path");
            for served in probed.into_iter().chain(scraped) {
                assert!(
                    paths.contains_key(served.as_str().unwrap()),
                    "{}: {served}",
                    path.display()
                );
                probes += 1;
            }
            let query = object
                .get("query")
                .and_then(Value::as_str)
                .unwrap_or_default();
            for name in metric.find_iter(query) {
                let quoted = format!("\"{}\"", name.as_str());
                assert!(metrics.contains(&quoted), "{}: {query}", path.display());
                figures += 1;
            }
        }
    }
    assert!(probes >= 4 && figures >= 1, "{probes} {figures}");
}

/// The sources that name what `/metrics` has.
fn metrics_source() -> String {
    let files = ["routes/metrics.rs", "routes/queue_metrics.rs", "traffic.rs"];
    let texts = files.map(|file| {
        let path = root().join("crates/api/src").join(file);
        fs::read_to_string(path).unwrap()
    });
    texts.concat()
}

#[test]
fn the_dashboard_shows_figures_that_there_are() {
    let text = fs::read_to_string(root().join("deploy/grafana/frugal.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let metrics = metrics_source();
    let metric = Regex::new(r"\b(frugal|gen_ai_client|http_server|db_client)_[a-z_]+[({]").unwrap();
    let mut seen = 0;
    for object in objects(&dashboard) {
        let Some(expression) = object.get("expr").and_then(Value::as_str) else {
            continue;
        };
        for name in metric.find_iter(expression) {
            let name = name.as_str().trim_end_matches(['{', '(']);
            let endings = ["_total", "_bucket", "_count", "_usd", "_seconds"];
            // What stands in the source is without what the format adds.
            let bare = endings.iter().fold(vec![name], |mut names, ending| {
                let shorter = names.iter().filter_map(|name| name.strip_suffix(ending));
                let shorter: Vec<_> = shorter.collect();
                names.extend(shorter);
                names
            });
            let is_served = bare
                .iter()
                .any(|name| metrics.contains(&format!("\"{name}\"")));
            assert!(is_served, "{expression}: {name}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn files_name_each_other_rightly() {
    let kustomization = "deploy/kubernetes/kustomization.yaml";
    let (_, document) = documents()
        .into_iter()
        .find(|(path, _)| path.ends_with(kustomization))
        .unwrap();
    let of_map = document["configMapGenerator"][0]["files"]
        .as_array()
        .unwrap();
    for name in document["resources"]
        .as_array()
        .unwrap()
        .iter()
        .chain(of_map)
    {
        let path = root()
            .join("deploy/kubernetes")
            .join(name.as_str().unwrap());
        assert!(path.exists(), "{}", path.display());
    }
    let workflow = fs::read_to_string(root().join(".github/workflows/ci.yml")).unwrap();
    assert!(workflow.contains("- run: .ci/run\n"));
    // A budget and a scaler hold for pods that there are.
    let labels = |document: &Value, at: &str| document.pointer(at).cloned();
    let pods: Vec<_> = documents()
        .iter()
        .filter_map(|(_, document)| labels(document, "/spec/template/metadata/labels"))
        .collect();
    for (path, document) in documents() {
        if document["kind"] == "PodDisruptionBudget" {
            let chosen = labels(&document, "/spec/selector/matchLabels").unwrap();
            assert!(pods.contains(&chosen), "{}: {chosen}", path.display());
        }
        if document["kind"] == "ScaledObject" {
            let name = &document["spec"]["scaleTargetRef"]["name"];
            let mut named = documents().into_iter().map(|(_, other)| other);
            assert!(
                named.any(
                    |other| other["kind"] == "Deployment" && other["metadata"]["name"] == *name
                )
            );
        }
    }
}

#[test]
fn units_are_sections_of_keys_and_values() {
    let section = Regex::new(r"^\[[A-Z][a-z]+\]$").unwrap();
    let entry = Regex::new(r"^[A-Z][A-Za-z]+=.+$").unwrap();
    for (path, text) in files("deploy/systemd") {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            assert!(
                section.is_match(line) || entry.is_match(line),
                "{}: {line}",
                path.display()
            );
        }
    }
}
