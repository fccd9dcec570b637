//! The processes that are measured, and the processor time that they have used, as Linux tells it.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The kernel counts processor time for programs in hundredths of a second.
const MS_PER_TICK: f64 = 10.0;

/// How long a program may take until it says that it serves; making a cluster is part of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program `frugal`: the one that is given, or the one beside this one.
///
/// # Errors
/// It is not known where this one is.
pub fn frugal(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(match given {
        Some(program) => program.to_owned(),
        None => std::env::current_exe()?.with_file_name("frugal"),
    })
}

/// A child process that is asked to stop when dropped, and waited for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself; either way it is waited for.
            let _ = kill_process(pid, Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

/// A running `frugal simulate`.
pub struct Simulating {
    running: Running,
    /// What endpoints are configured with.
    pub base_url: String,
    /// Host and port.
    pub address: String,
}

impl Simulating {
    /// Starts it on a free port, with so many milliseconds for each answer.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, latency: u64) -> anyhow::Result<Self> {
        let latency = latency.to_string();
        let mut command = Command::new(program);
        command
            .args(["simulate", "--bind", "127.0.0.1:0", "--log", "warn"])
            .args(["--latency", &latency, "--token-latency", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut running = Running(
            command
                .spawn()
                .with_context(|| format!("cannot run {}", program.display()))?,
        );
        let said = running.0.stdout.take().context("its output is not piped")?;
        for line in BufReader::new(said).lines() {
            let line = line?;
            if let Some(base_url) = line.strip_prefix("Replaying recorded answers at ") {
                let address = base_url.trim_start_matches("http://");
                let (address, _) = address.split_once('/').context("a URL without a path")?;
                return Ok(Self {
                    running,
                    base_url: base_url.to_owned(),
                    address: address.to_owned(),
                });
            }
        }
        bail!("the simulator ended before it said where it serves")
    }
}

/// A running `frugal serve` with a PostgreSQL of its own.
pub struct Serving {
    // Its files go after it.
    running: Running,
    directory: TempDir,
    /// Host and port.
    pub address: String,
    postmaster: u32,
}

impl Serving {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, endpoints: &str, jobs: u32) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        // The server's account, which is another than root, has to come by.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let config = directory.path().join("frugal.toml");
        let text = format!("lease_seconds = 30\nworkers = {jobs}\n{endpoints}");
        fs::write(&config, text)?;
        let data = directory.path().join("data");
        let running = Running(
            Command::new(program)
                .args(["serve", "--listen", "127.0.0.1:0", "--config"])
                .arg(&config)
                .arg("--data-dir")
                .arg(&data)
                .args(["--log", "info", "--log-format", "json"])
                .env_remove("DATABASE_URL")
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(directory.path().join("log"))?)
                .spawn()?,
        );
        let mut this = Self {
            running,
            directory,
            address: String::new(),
            postmaster: 0,
        };
        this.address = this.serves_at()?;
        // The first line of its lock file is the server's id.
        let lock = fs::read_to_string(data.join("postgres/postmaster.pid"))?;
        let id = lock.lines().next().unwrap_or_default();
        this.postmaster = id.trim().parse().context("no server of its own")?;
        Ok(this)
    }

    /// Waits until the log says where it serves.
    fn serves_at(&mut self) -> anyhow::Result<String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.running.0.try_wait()?.is_none() {
            let log = self.log()?;
            let entries = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let serving = entries
                .filter(|entry| entry["message"] == "serving")
                .find_map(|entry| Some(entry["address"].as_str()?.to_owned()));
            if let Some(address) = serving {
                return Ok(address);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the server does not start: {}", self.log()?)
    }

    /// What it has logged.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.directory.path().join("log"))?)
    }
}

/// Milliseconds of processor time.
#[derive(Debug, Clone, Copy)]
pub struct ProcessorTime {
    pub frugal: f64,
    pub postgres: f64,
    pub simulator: f64,
}

impl ProcessorTime {
    /// What has been used since the processes began.
    ///
    /// # Errors
    /// This is no Linux, or a process is gone.
    pub fn read(simulating: &Simulating, serving: &Serving) -> anyhow::Result<Self> {
        let own = |id: u32| Ok::<_, anyhow::Error>(Status::read(id)?.own);
        let server = Status::read(serving.postmaster)?;
        let mut postgres = server.own + server.ended_children;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that ends meanwhile is counted with its parent the next time.
            if let Ok(status) = Status::read(id)
                && status.parent == serving.postmaster
            {
                postgres += status.own;
            }
        }
        Ok(Self {
            frugal: own(serving.running.0.id())?,
            postgres,
            simulator: own(simulating.running.0.id())?,
        })
    }

    /// What was used between an earlier moment and this one.
    pub fn since(self, before: Self) -> Self {
        Self {
            frugal: self.frugal - before.frugal,
            postgres: self.postgres - before.postgres,
            simulator: self.simulator - before.simulator,
        }
    }
}

/// What `/proc/PID/stat` says of a process; times are in milliseconds.
struct Status {
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Status {
    fn read(id: u32) -> anyhow::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
        Self::parse(&text).with_context(|| format!("/proc/{id}/stat says `{text}`"))
    }

    /// Its fields are those of proc(5), of which the second, the program's name in brackets, may hold
    /// anything: the third is the first one after it.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let ms = |field: usize| Some((ticks(field)? + ticks(field + 1)?) * MS_PER_TICK);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ms(14)?,
            ended_children: ms(16)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_read_whatever_its_name() {
        let text = "12 (a) b (c) S 7 1 1 0 -1 4194560 9 9 0 0 250 50 30 10 20 0 4 0 100";
        let status = Status::parse(text).unwrap();
        assert_eq!(status.parent, 7);
        assert_eq!((status.own, status.ended_children), (3000.0, 400.0));
        assert!(Status::parse("12 (a) S 7").is_none());
    }
}
