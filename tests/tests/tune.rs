//! `frugal tune`: a job from its file to its result in one process, in a database of its own.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_simulator::{Latency, Simulator, SimulatorOptions};
use frugal_tests::processes::program;
use frugal_tests::steady::{ID, LOCAL_ADDRESS, MOMENT, replaced};
use frugal_tests::sums::{self, JOB};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// A folder with a job, its rows and a configuration, and an endpoint that knows the answers.
struct Home {
    folder: TempDir,
    simulator: Simulator,
}

impl Home {
    async fn new(latency: Duration) -> Self {
        let simulator = frugal_simulator::serve(SimulatorOptions {
            script: Some(sums::script()),
            latency: Latency::constant(latency),
            ..SimulatorOptions::default()
        });
        let simulator = simulator.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL runs as another user than root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        sums::write_into(folder.path());
        let configuration = format!(
            "data_dir = 'data'\n{}",
            sums::endpoints(&simulator.base_url())
        );
        fs::write(folder.path().join("frugal.toml"), configuration).unwrap();
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
    replaced(
        &text,
        &[
            (ID, "ID"),
            (LOCAL_ADDRESS, "127.0.0.1:PORT"),
            (MOMENT, "MOMENT"),
        ],
    )
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

/// Takes the endpoint's key away, and has both commands that drive jobs say so, in place of failing the job.
async fn refuse_without_a_key(home: &Home) {
    let path = home.folder.path().join("frugal.toml");
    let configuration = fs::read_to_string(&path).unwrap();
    let keyed = configuration.replace(
        "[endpoints.local]\n",
        "[endpoints.local]\napi_key_env = 'FRUGAL_TEST_UNSET_KEY'\n",
    );
    fs::write(&path, keyed).unwrap();
    let mut said = String::new();
    for arguments in [
        &["tune", "job.yaml"][..],
        &["serve", "--listen", "127.0.0.1:0", "--log-format", "json"],
    ] {
        let output = home.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{}", steady(&output));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = stderr.lines().rfind(|line| line.starts_with("frugal: "));
        said.push_str(&replaced(error.unwrap_or(&stderr), &[(ID, "ID")]));
        said.push('\n');
    }
    insta::assert_snapshot!("without_a_key", said);
    fs::write(&path, configuration).unwrap();
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
    assert!(home.asked() > 0);
    refuse_without_a_key(&home).await;

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
