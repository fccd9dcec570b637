//! The real `frugal` program as child processes: servers and workers that tests may kill.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose processes do not start fails here, as it would at an assertion"
)]

use clap::CommandFactory;
use frugal::cli::Cli;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A running `frugal serve` or `frugal worker`. It is killed when dropped.
#[derive(Debug)]
pub struct Frugal {
    child: Child,
    /// Its log; nothing once it is read on.
    lines: Option<Lines<BufReader<ChildStderr>>>,
    errors: Errors,
    _directory: TempDir,
}

/// The errors that processes have logged since their logs were read on.
#[derive(Debug, Clone, Default)]
pub struct Errors(Arc<Mutex<Vec<String>>>);

impl Errors {
    /// A line of the log each.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let errors = self.0.lock();
        errors.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read(&self, line: String) {
        if line.contains(r#""level":"ERROR""#) {
            let errors = self.0.lock();
            errors.unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}

/// What the processes of a test have in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The database.
    pub database_url: String,
    /// The catalogue of endpoints, as a part of `frugal.toml`.
    pub endpoints: String,
    /// How long a silent worker keeps its job.
    pub lease_seconds: u32,
    /// The keys of `[queue]`, a line each.
    pub queue: String,
    /// Variables of the environment, such as secrets.
    pub environment: BTreeMap<String, String>,
    /// The program, where it is not the one that is built beside the test.
    pub program: Option<PathBuf>,
    /// What they complain of.
    pub errors: Errors,
}

impl Setting {
    /// A catalogue with one endpoint, `local`, that serves the recorded models by completions.
    #[must_use]
    pub fn local(database_url: &str, base_url: &str) -> Self {
        let endpoints = format!(
            r#"
            [endpoints.local]
            base_url = "{base_url}"
            api = "completions"
            [endpoints.local.models."gemma-3-270m"]
            input_usd_per_million = 0.02
            output_usd_per_million = 0.04
            [endpoints.local.models."smollm2-135m-instruct"]
            input_usd_per_million = 0.01
            output_usd_per_million = 0.02
            "#
        );
        Self {
            database_url: database_url.to_owned(),
            endpoints,
            lease_seconds: 5,
            queue: String::new(),
            environment: BTreeMap::new(),
            program: None,
            errors: Errors::default(),
        }
    }

    /// Starts a server on a free port and waits until it serves. With no workers it only
    /// accepts jobs. Returns its URL.
    pub async fn serve(&self, workers: u32) -> (Frugal, String) {
        let workers = workers.to_string();
        let mut frugal = self
            .start(&["serve", "--listen", "127.0.0.1:0", "--workers", &workers])
            .await;
        let fields = frugal.wait_for("serving").await;
        let address = fields["address"]
            .as_str()
            .expect("the log names the address")
            .to_owned();
        (frugal, format!("http://{address}"))
    }

    /// Starts a worker for one job at a time and waits until it looks for jobs.
    pub async fn worker(&self) -> Frugal {
        self.worker_with(1).await
    }

    /// Starts a worker for so many jobs at a time and waits until it looks for jobs.
    pub async fn worker_with(&self, slots: u32) -> Frugal {
        let slots = slots.to_string();
        let mut frugal = self.start(&["worker", "--workers", &slots]).await;
        frugal.wait_for("driving jobs").await;
        frugal
    }

    /// Runs a command to its end, and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command to its end, whatever that is.
    pub async fn try_run(&self, arguments: &[&str]) -> Output {
        let (mut command, _directory) = self.command(arguments).await;
        command.output().await.expect("the program starts")
    }

    /// A command under this configuration, and the directory that holds it.
    async fn command(&self, arguments: &[&str]) -> (Command, TempDir) {
        let directory = tempfile::tempdir().expect("a directory for the configuration");
        let config = directory.path().join("frugal.toml");
        let text = format!(
            "lease_seconds = {}\n{}\n[queue]\n{}\n",
            self.lease_seconds, self.endpoints, self.queue
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        let program = match &self.program {
            Some(program) => program.clone(),
            None => program().await,
        };
        let mut command = Command::new(program);
        command.args(arguments);
        // Clients of a server read no configuration.
        let all = Cli::command();
        let named = arguments.first().and_then(|name| all.find_subcommand(name));
        if named.is_some_and(|named| named.get_arguments().any(|one| one.get_id() == "config")) {
            command
                .arg("--config")
                .arg(&config)
                .args(["--log", "info", "--log-format", "json"]);
        }
        command
            .env("DATABASE_URL", &self.database_url)
            .envs(&self.environment)
            .current_dir(directory.path())
            .stdin(Stdio::null());
        (command, directory)
    }

    async fn start(&self, arguments: &[&str]) -> Frugal {
        let (mut command, directory) = self.command(arguments).await;
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("its log is piped");
        Frugal {
            child,
            lines: Some(BufReader::new(stderr).lines()),
            errors: self.errors.clone(),
            _directory: directory,
        }
    }
}

impl Frugal {
    /// Reads the log until a message comes, and returns the fields that came with it.
    ///
    /// # Panics
    /// If the program ends before it says so.
    pub async fn wait_for(&mut self, message: &str) -> serde_json::Value {
        let mut said = String::new();
        let lines = self.lines.as_mut().expect("the log is not read on");
        while let Some(line) = lines.next_line().await.expect("the log can be read") {
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == message {
                return entry;
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("the program ended before it said `{message}`:\n{said}");
    }

    /// Reads its log from now on, so that it never waits for somebody to do so.
    pub fn read_on(&mut self) {
        if let Some(mut lines) = self.lines.take() {
            let errors = self.errors.clone();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    errors.read(line);
                }
            });
        }
    }

    /// Ends the process at once, as `kill -9` does.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// The number of the process.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Sends the process a signal by its name, such as `STOP` or `CONT`.
    ///
    /// # Panics
    /// If the process has ended.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let name = format!("-{name}");
        let sent = Command::new("kill").args([&name, &id]).status().await;
        assert!(sent.expect("kill is there").success());
    }

    /// Asks the process to stop and waits until it has. Returns whether it ended well.
    pub async fn stop(self) -> bool {
        self.signal("TERM").await;
        self.ended().await.success()
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub async fn ended(mut self) -> ExitStatus {
        // Its log is read on, or a full pipe would keep it from stopping.
        self.read_on();
        self.child
            .wait()
            .await
            .expect("the process can be waited for")
    }
}

/// The program, built if it is not there. Tests of a workspace run are built together with it.
///
/// # Panics
/// It cannot be built.
pub async fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    let folder = test.parent().expect("a program is in a folder");
    // Tests are in target/PROFILE/deps, programs beside the one that is looked for.
    let profile = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent(),
        _ => Some(folder),
    };
    let program = profile.unwrap_or(folder).join("frugal");
    if !program.exists() {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--package", "frugal"])
            .status()
            .await;
        assert!(built.expect("cargo is there").success());
    }
    program
}

/// Resident memory of a process, in KiB.
///
/// # Panics
/// It has ended.
#[must_use]
pub fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    size.expect("Linux tells its memory")
}
