//! `frugal tune`: a job from its file to its result in one process, in a database of its own.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_simulator::{Latency, Script, Simulator, SimulatorOptions};
use frugal_tests::processes::program;
use regex::Regex;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

const JOB: &str = r#"
name: sums
data: {file: sums.csv, holdout: 0.4}
model: small
prompts:
  - {name: plain, text: "{{ question }}"}
  - {name: think, text: "{{ question }} Think."}
search_space:
  temperature: {float: [0, 1.5]}
  max_tokens: {int: [8, 64], scale: log}
  n: {int: [1, 8], scale: log}
scoring:
  scorer: {type: numeric, expected: "{{ answer }}"}
  reduce: majority
budgets:
  inference: {usd: 0.0002}
  optimization: {usd: 0.01}
search: {seed: 7}
"#;

/// A folder with a job, its rows and a configuration, and an endpoint that knows the answers.
struct Home {
    folder: TempDir,
    simulator: Simulator,
}

impl Home {
    async fn new(latency: Duration) -> Self {
        let answers: Vec<Value> = (0..20)
            .flat_map(|one| {
                let question = format!("What is {one} + {}?", 2 * one + 1);
                let wrong = json!({"text": format!("It is {}.", one + 77), "weight": 0.5});
                let right = format!("First I add them. It is {}.", 3 * one + 1);
                let brief = json!({"text": format!("{}.", 3 * one + 1), "weight": 0.2});
                [
                    json!({"contains": format!("{question} Think."), "answers": [&right, &wrong]}),
                    json!({"contains": question, "answers": [&wrong, &brief]}),
                ]
            })
            .collect();
        let simulator = frugal_simulator::serve(SimulatorOptions {
            script: Some(Script::parse(&Value::Array(answers).to_string()).unwrap()),
            latency: Latency {
                base: latency,
                ..Latency::default()
            },
            ..SimulatorOptions::default()
        });
        let simulator = simulator.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL runs as another user than root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let configuration = format!(
            "data_dir = 'data'\n[endpoints.local]\nbase_url = '{}'\n[endpoints.local.models.small]\n\
             input_usd_per_million = 0.5\noutput_usd_per_million = 1.5\n",
            simulator.base_url()
        );
        let rows = (0..20).map(|one| format!("What is {one} + {}?,{}\n", 2 * one + 1, 3 * one + 1));
        let table: String = std::iter::once("question,answer\n".to_owned())
            .chain(rows)
            .collect();
        for (name, text) in [
            ("frugal.toml", configuration.as_str()),
            ("job.yaml", JOB),
            ("sums.csv", &table),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, simulator }
    }

    async fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program().await);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).await.output().await.unwrap()
    }

    /// Requests that the endpoint was asked so far.
    fn asked(&self) -> u64 {
        self.simulator.statistics().requests
    }

    async fn end(self) {
        self.simulator.shutdown().await.unwrap();
    }
}

/// What was printed, without what is another in each run.
fn steady(output: &Output) -> String {
    let text = format!(
        "{}--- standard error\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let mut text = text;
    for (pattern, instead) in [
        ("[0-9a-f]{8}-[0-9a-f-]{27}", "ID"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "MOMENT"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, instead)
            .into_owned();
    }
    text
}

#[tokio::test]
async fn a_job_is_tuned_once_and_goes_on_with_more_money() {
    let home = Home::new(Duration::ZERO).await;
    let first = home.run(&["tune", "job.yaml"]).await;
    assert_eq!(first.status.code(), Some(0), "{}", steady(&first));
    // What is told on the way depends on which answers come first.
    let said = steady(&first);
    let (told, on_the_way) = said.split_once("of $0.01: ").unwrap();
    assert!(on_the_way.contains("trials"), "{on_the_way}");
    let (told, _) = told.rsplit_once('\n').unwrap();
    insta::assert_snapshot!("tuned", told);

    let asked = home.asked();
    let again = home.run(&["tune", "job.yaml"]).await;
    assert_eq!(again.status.code(), Some(0), "{}", steady(&again));
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(home.asked(), asked, "nothing is paid twice");
    insta::assert_snapshot!("tuned_again", steady(&again).split_once("---").unwrap().1);

    let richer = JOB.replace("optimization: {usd: 0.01}", "optimization: {usd: 0.02}");
    fs::write(home.folder.path().join("job.yaml"), richer).unwrap();
    let more = home.run(&["tune", "job.yaml", "--json"]).await;
    assert_eq!(more.status.code(), Some(0), "{}", steady(&more));
    let report: Value = serde_json::from_slice(&more.stdout).unwrap();
    assert_eq!(report["budgets"]["optimization"]["usd"], 0.02);
    let jobs = home.run(&["tune", "job.yaml", "--json"]).await;
    assert_eq!(jobs.stdout, more.stdout);
    home.end().await;
}

/// Reads a program's notes until a line has this in it.
async fn wait_for(child: &mut Child, words: &str) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains(words) {
            return;
        }
        said.push(line);
    }
    assert_eq!(said, Vec::<String>::new(), "`{words}` was not said");
}

#[tokio::test]
async fn a_job_that_is_broken_off_goes_on_where_it_was() {
    let home = Home::new(Duration::from_millis(40)).await;
    let mut command = home.command(&["tune", "job.yaml"]).await;
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress comes with the first best.
    wait_for(&mut child, "best").await;
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.unwrap().success());
    let mut said = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).await.unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!(status.code(), Some(5), "{said}");
    let words = "Broken off. What was bought is kept; `frugal tune job.yaml` goes on from there.";
    assert!(said.contains(words), "{said}");
    let asked = home.asked();
    assert!(asked > 0);

    let whole = Home::new(Duration::ZERO).await;
    let undisturbed = whole.run(&["tune", "job.yaml"]).await;
    let resumed = home.run(&["tune", "job.yaml"]).await;
    assert_eq!(resumed.status.code(), Some(0), "{}", steady(&resumed));
    assert!(steady(&resumed).contains("goes on where it was"));
    assert_eq!(resumed.stdout, undisturbed.stdout);
    assert_eq!(home.asked(), whole.asked(), "nothing is paid twice");
    home.end().await;
    whole.end().await;
}

#[tokio::test]
async fn what_is_missing_is_said_with_its_remedy() {
    let home = Home::new(Duration::ZERO).await;
    let mut said = String::new();
    let nowhere = home.folder.path().join("empty");
    fs::create_dir(&nowhere).unwrap();
    let mut command = home.command(&["tune", "job.yaml"]).await;
    let output = command.env("FRUGAL_POSTGRES_BIN", &nowhere).output().await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    said.push_str(&String::from_utf8_lossy(&output.stderr));

    let config = home.folder.path().join("frugal.toml");
    fs::write(&config, "data_dir = 'data'\n").unwrap();
    let output = home.run(&["tune", "job.yaml"]).await;
    assert_eq!(output.status.code(), Some(1));
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    let said = said.replace(home.folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!("missing", said);
    home.end().await;
}
