//! The program as a client of a server: what a terminal shows of a job, from its file to its report.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_simulator::{Simulator, SimulatorOptions};
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::TestDatabase;
use frugal_tests::processes::{Frugal, Setting, program};
use frugal_tests::steady::{ID, MOMENT, replaced};
use frugal_tests::sums::{self, JOB};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A server with one worker over an endpoint of known answers, and a folder with a job.
struct World {
    setting: Setting,
    url: String,
    folder: TempDir,
    database: TestDatabase,
    _simulator: Simulator,
    _server: Frugal,
}

impl World {
    async fn start() -> Self {
        let simulator = frugal_simulator::serve(SimulatorOptions {
            script: Some(sums::script()),
            ..SimulatorOptions::default()
        });
        let simulator = simulator.await.unwrap();
        let database = TestDatabase::create().await;
        let setting = Setting {
            endpoints: sums::endpoints(&simulator.base_url()),
            ..Setting::local(database.url(), &simulator.base_url())
        };
        let (server, url) = setting.serve(1).await;
        let folder = tempfile::tempdir().unwrap();
        sums::write_into(folder.path());
        Self {
            setting,
            url,
            folder,
            database,
            _simulator: simulator,
            _server: server,
        }
    }

    fn file(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command against the server, whatever its end.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--url", &self.url]);
        self.setting.try_run(&all).await
    }

    /// Runs a command against the server that reads this from standard input, whatever its end.
    async fn given(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(program().await)
            .args(arguments)
            .args(["--url", &self.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input.as_bytes()).await.unwrap();
        drop(pipe);
        child.wait_with_output().await.unwrap()
    }

    /// What a command prints that succeeds.
    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn end(self) {
        drop(self._server);
        self.database.drop().await;
    }
}

/// A text without what is another in each run.
fn steady(text: &str) -> String {
    replaced(
        text,
        &[
            (ID, "00000000-0000-0000-0000-000000000000"),
            (MOMENT, "2026-01-01T00:00:00.000000Z"),
        ],
    )
}

/// A report's page without its style, and without what depends on which answers came first.
fn steady_page(page: &str) -> String {
    replaced(
        &steady(page),
        &[
            ("(?s)<style>.*?</style>", "<style/>"),
            (
                r"(?s)<section>\n<h2>The best so far</h2>.*?</section>",
                "<section/>",
            ),
            ("sha256-[^&]+", "sha256-HASH"),
            (r"\d{1,2} [A-Z][a-z]+ \d{4} at \d\d:\d\d", "MOMENT"),
        ],
    )
}

#[tokio::test]
async fn a_page_shows_names_and_loads_nothing() {
    let world = World::start().await;
    let hostile = "</title><script>alert(1)</script>";
    let named = JOB
        .replace("name: sums from a file", &format!("name: '{hostile}'"))
        .replace("name: think", "name: '\"><img src=x onerror=alert(2)>'");
    std::fs::write(world.file("hostile.yaml"), named).unwrap();
    world
        .says(&["submit", &world.file("hostile.yaml"), "--watch"])
        .await;
    let page = world.says(&["report", "latest", "--html"]).await;
    let names = page
        .replace("&lt;script&gt;alert(1)&lt;", "")
        .replace("&lt;img src=x onerror", "");
    assert!(names.len() < page.len(), "{page}");
    for loaded in [
        "<script", "<img", "src=", "href=", "url(", "@import", "style=\"",
    ] {
        assert!(!names.contains(loaded), "{loaded}: {names}");
    }
    let api = ApiClient::new(&world.url);
    let jobs = api.json("/jobs?limit=1").await;
    let path = jobs["data"][0]["links"]["report_page"].as_str().unwrap();
    let answer = api.request(Method::GET, path).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    let policy = header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && policy.ends_with("frame-ancestors 'none'"),
        "{policy}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_job_goes_from_its_file_to_its_report() {
    let world = World::start().await;
    let job = world.file("job.yaml");
    insta::assert_snapshot!("estimate", steady(&world.says(&["estimate", &job]).await));

    let id = world.says(&["submit", &job]).await;
    let id = id.trim_end();
    let watched = world.says(&["watch", id]).await;
    assert_eq!(watched, world.says(&["report", id]).await);
    insta::assert_snapshot!("report", watched);
    insta::assert_snapshot!(
        "jobs",
        steady(&world.says(&["jobs", "--state", "succeeded"]).await)
    );
    insta::assert_snapshot!("show", steady(&world.says(&["show", "latest"]).await));
    insta::assert_snapshot!("trials", world.says(&["trials", "latest"]).await);

    let report: Value = serde_json::from_str(&world.says(&["report", id, "--json"]).await).unwrap();
    assert!(report["stop_reason"].is_string());
    let summary = report["summary"].as_str().unwrap();
    assert!(watched.contains(summary), "{summary}");

    let page = world.says(&["report", id, "--html"]).await;
    assert!(
        page.contains(&format!("<p class=\"lead\">{summary}</p>")),
        "{page}"
    );
    insta::assert_snapshot!("page", steady_page(&page));
    let file = world.file("report.html");
    world.says(&["report", id, "--html", &file]).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), page);
    let lines = world.says(&["export", id]).await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() > 100, "{} lines", lines.len());

    // The same file again is the same dataset, and more money goes on where the job was.
    let again = world.run(&["submit", &job, "--watch"]).await;
    assert_eq!(again.status.code(), Some(0));
    let datasets = world.says(&["datasets", "list"]).await;
    assert_eq!(datasets.matches("sums-").count(), 1, "{datasets}");
    let more = world
        .says(&["continue", id, "--budget", "0.02", "--json"])
        .await;
    let more: Value = serde_json::from_str(&more).unwrap();
    assert_eq!(more["budgets"]["optimization"]["usd"], json!(0.02));
    world.says(&["watch", id]).await;
    world.end().await;
}

#[tokio::test]
async fn a_job_is_steered_and_its_end_told_by_the_exit_code() {
    let world = World::start().await;
    let later = JOB.replace("\nname:", "\nnot_before: 2100-01-01T00:00:00Z\nname:");
    std::fs::write(world.file("later.yaml"), later).unwrap();
    world.says(&["submit", &world.file("later.yaml")]).await;
    for (command, state) in [
        ("pause", "paused"),
        ("resume", "queued"),
        ("cancel", "cancelled"),
    ] {
        let said = world.says(&[command, "latest"]).await;
        assert!(
            said.lines().next().unwrap().contains(state),
            "{command}: {said}"
        );
    }
    let watched = world.run(&["watch", "latest"]).await;
    assert_eq!(watched.status.code(), Some(4));

    // A model that is refused each time.
    let failing = JOB
        .replace("model: small", "model: small\nlimits: {trials: 1}")
        .replace("{{ question }}", "nobody knows {{ answer }}");
    std::fs::write(world.file("failing.yaml"), failing).unwrap();
    let failed = world
        .run(&["submit", &world.file("failing.yaml"), "--watch"])
        .await;
    let said = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(3), "{said}");
    assert!(said.contains("The job failed: "), "{said}");
    world.end().await;
}

#[tokio::test]
async fn configurations_are_put_into_a_job_from_a_file_and_from_a_pipe() {
    let world = World::start().await;
    let later = JOB.replace("\nname:", "\nnot_before: 2100-01-01T00:00:00Z\nname:");
    std::fs::write(world.file("later.yaml"), later).unwrap();
    let id = world.says(&["submit", &world.file("later.yaml")]).await;
    let id = id.trim_end();
    let mine = "- {prompt: think, temperature: 0.25, max_tokens: 16, n: 4}\n- {prompt: plain, temperature: 0.5}\n";
    std::fs::write(world.file("mine.yaml"), mine).unwrap();
    let mine = world.file("mine.yaml");
    insta::assert_snapshot!("enqueued", world.says(&["enqueue", "latest", &mine]).await);

    // The second is outside of the space: the first is in, and shown.
    let piped =
        r#"[{"prompt": "think", "temperature": 0.75}, {"temperature": 9}, {"temperature": 1}]"#;
    let output = world.given(&["enqueue", id, "-"], piped).await;
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("0.750"), "{shown}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("configuration 2 of 3 was not put in, and none after it: 422")
            && error.contains("/configuration/temperature"),
        "{error}"
    );
    let yaml = "temperature: 1\nprompt: think\n";
    let output = world.given(&["enqueue", id, "-", "--json"], yaml).await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown[0]["number"], 4, "{shown}");
    for empty in ["", "[]"] {
        let output = world.given(&["enqueue", id, "-"], empty).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("settings by name"), "{error}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_words() {
    let world = World::start().await;
    std::fs::write(
        world.file("wrong.json"),
        r#"{"data": {"instances": []}, "modle": "small"}"#,
    )
    .unwrap();
    std::fs::write(
        world.file("both.json"),
        r#"{"data": {"instances": [{}], "file": "sums.csv"}}"#,
    )
    .unwrap();
    let mut said = String::new();
    for arguments in [
        vec!["submit", "nowhere.json"],
        vec!["submit", "wrong.json"],
        vec!["submit", "both.json"],
        vec!["estimate", "sums.csv"],
        vec!["show", "latest"],
        vec!["show", "../datasets"],
        vec!["show", "00000000-0000-0000-0000-000000000000"],
    ] {
        let in_folder: Vec<String> = arguments
            .iter()
            .map(
                |argument| match argument.contains('.') && !argument.contains('/') {
                    true => world.file(argument),
                    false => (*argument).to_owned(),
                },
            )
            .collect();
        let output = world
            .run(&in_folder.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        let error = error.replace(world.folder.path().to_str().unwrap(), "FOLDER");
        said.push_str(&format!("$ frugal {}\n{error}\n", arguments.join(" ")));
    }
    insta::assert_snapshot!("refusals", steady(&said));
    world.end().await;
}

#[tokio::test]
async fn a_terminal_shows_a_bar_while_a_job_runs() {
    let world = World::start().await;
    let id = world.says(&["submit", &world.file("job.yaml")]).await;
    // `script` gives the program a terminal of its own.
    let watch = format!(
        "{} watch {} --url {}",
        program().await.display(),
        id.trim_end(),
        world.url
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &watch, "/dev/null"])
        .env("TERM", "xterm")
        .current_dir(world.folder.path())
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    let seen = String::from_utf8_lossy(&output.stdout);
    // The bar's colour, and what stays when it is gone.
    assert!(seen.contains("\u{1b}[32m"), "{seen}");
    assert!(seen.contains("winner"), "{seen}");
    world.end().await;
}
