//! What a newcomer meets: the files that `frugal init` writes, the configuration that ships, what `frugal serve` says,
//! and the walk of `README.md`.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use clap::ValueEnum;
use frugal::init::Task;
use frugal_simulator::{Script, Simulator, SimulatorOptions};
use frugal_tests::client::ApiClient;
use frugal_tests::pages::blocks;
use frugal_tests::postgres::TestDatabase;
use frugal_tests::processes::{Setting, program};
use regex::Regex;
use reqwest::Method;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Where the simulator is in the configuration that ships.
const SIMULATOR: &str = "127.0.0.1:8081";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The configuration that ships, with the simulator elsewhere. Programs that models wrote are run unconfined, since
/// not every kernel confines them.
fn shipped(simulator: &str) -> String {
    let text = fs::read_to_string(root().join("crates/frugal/frugal.example.toml")).unwrap();
    assert!(text.contains(SIMULATOR));
    let text = text.replace(SIMULATOR, simulator);
    text + "\n[sandbox]\nmode = \"off\"\n"
}

fn setting(database: &TestDatabase, simulator: &str) -> Setting {
    Setting {
        endpoints: shipped(simulator),
        ..Setting::local(database.url(), "http://127.0.0.1:1/v1")
    }
}

/// Has the program write the files of a first job into a folder.
async fn init(folder: &Path, task: Task) -> PathBuf {
    let name = task.to_possible_value().unwrap().get_name().to_owned();
    let folder = folder.join(&name);
    let output = Command::new(program().await)
        .args(["init", "--task", &name])
        .arg(&folder)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    folder
}

async fn simulator(answers: &Path) -> Simulator {
    let script = Script::parse(&fs::read_to_string(answers).unwrap()).unwrap();
    let simulator = frugal_simulator::serve(SimulatorOptions {
        script: Some(script),
        ..SimulatorOptions::default()
    });
    simulator.await.unwrap()
}

#[tokio::test]
async fn the_first_job_of_every_task_is_accepted() {
    let database = TestDatabase::create().await;
    let (server, url) = setting(&database, SIMULATOR).serve(0).await;
    let folder = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    for task in Task::value_variants() {
        jobs.push(init(folder.path(), *task).await.join("job.yaml"));
    }
    // The job of the documents names what the configuration has as well.
    let page = fs::read_to_string(root().join("docs/first-job.md")).unwrap();
    let job = folder.path().join("job.json");
    fs::write(&job, &blocks(&page, "json")[0]).unwrap();
    jobs.push(job);
    for job in jobs {
        let output = Command::new(program().await)
            .arg("estimate")
            .arg(&job)
            .args(["--url", &url])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", job.display());
    }
    drop(server);
    database.drop().await;
}

#[tokio::test]
async fn a_first_job_finds_the_better_model() {
    let folder = tempfile::tempdir().unwrap();
    let written = init(folder.path(), Task::Classification).await;
    let simulator = simulator(&written.join("answers.jsonl")).await;
    let database = TestDatabase::create().await;
    let address = simulator.address().to_string();
    let job = written.join("job.yaml");
    let tuned = setting(&database, &address)
        .try_run(&["tune", job.to_str().unwrap()])
        .await;
    let said = String::from_utf8_lossy(&tuned.stderr);
    assert_eq!(tuned.status.code(), Some(0), "{said}");
    let found = String::from_utf8_lossy(&tuned.stdout);
    assert!(found.contains("Use large with"), "{found}");
    simulator.shutdown().await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_server_says_where_it_is_and_what_it_has() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("frugal.toml"), shipped(SIMULATOR)).unwrap();
    let mut child = Command::new(program().await)
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "human"])
        .current_dir(folder.path())
        .env("DATABASE_URL", database.url())
        .env_remove("OPENAI_API_KEY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        said.push_str(&line);
        said.push('\n');
        if line.starts_with("A first job") {
            break;
        }
    }
    let port = Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    insta::assert_snapshot!("welcome", port.replace_all(&said, "127.0.0.1:PORT"));
    // What it tells to do first can be done.
    let url = port.find(&said).unwrap().as_str();
    let api = ApiClient::new(&format!("http://{url}"));
    let endpoints = api.json("/endpoints").await;
    assert_eq!(endpoints["data"].as_array().unwrap().len(), 1);
    let page = api.request(Method::GET, "/").send().await.unwrap();
    assert!(page.status().is_success());

    // A job that names what is switched off is told why.
    let job = folder.path().join("job.json");
    fs::write(
        &job,
        r#"{"model": {"endpoint": "openai", "model": "gpt-4o-mini"}}"#,
    )
    .unwrap();
    let refused = Command::new(program().await)
        .arg("estimate")
        .arg(&job)
        .args(["--url", &format!("http://{url}")])
        .output()
        .await
        .unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.contains("environment variable OPENAI_API_KEY is not set"),
        "{refused}"
    );
    child.kill().await.unwrap();
    database.drop().await;
}

/// A port that nobody listens on just now.
async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// The shell blocks below a heading of README.md, down to the next heading of its rank.
fn walk() -> String {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, from) = page
        .split_once("\n## From nothing to your own task\n")
        .unwrap();
    let section = from.split("\n## ").next().unwrap();
    blocks(section, "sh").join("\n")
}

#[tokio::test]
async fn the_walk_from_nothing_to_a_task_of_ones_own_is_one() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL runs as another user than root.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (simulator, server) = (free_port().await, free_port().await);
    let walk = walk();
    let lines = walk
        .lines()
        .filter(|line| line.starts_with("frugal "))
        .count();
    assert!(lines >= 7, "{walk}");
    // Nothing but where the two listen is another than in the text.
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n");
    for line in walk.lines() {
        let line = match line.starts_with("frugal simulate ") {
            true => line.replace(" &", &format!(" --bind 127.0.0.1:{simulator} &")),
            false => line.replace("127.0.0.1:8080", &format!("127.0.0.1:{server}")),
        };
        script.push_str(&line);
        script.push('\n');
        if line.starts_with("frugal init") {
            script.push_str(&format!(
                "sed -i 's/{SIMULATOR}/127.0.0.1:{simulator}/' my-task/frugal.toml\n"
            ));
        }
    }
    let path = std::env::var("PATH").unwrap();
    let program = program().await;
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .env("FRUGAL_DATA_DIR", folder.path().join("data"))
        .env("FRUGAL_LISTEN", format!("127.0.0.1:{server}"))
        .env("FRUGAL_URL", format!("http://127.0.0.1:{server}"))
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}\n{errors}");
    assert!(said.contains("Use large with"), "{said}\n{errors}");
    assert_eq!(
        said.matches("The search ended").count(),
        2,
        "{said}\n{errors}"
    );
    let page = fs::read_to_string(folder.path().join("my-task/report.html")).unwrap();
    assert!(page.contains("What to set"));
}
