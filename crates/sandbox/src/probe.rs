//! Whether programs can be run and held here: it is tried.

use crate::options::{Mode, Options};
use crate::sandbox::{Sandbox, SandboxError};
use crate::unavailable::Unavailable;
use crate::wire::{Interpreter, Setup};
use frugal_domain::program::{Ended, Ending, Program};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long the interpreter may take to say where it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says where the interpreter, its library and the shared libraries are that it and its modules use.
const WHERE: &str = r#"
import json, os, sys, sysconfig
for name in ["_bz2", "_ctypes", "_decimal", "_hashlib", "_lzma", "_sqlite3", "_uuid", "zlib"]:
    try:
        __import__(name)
    except ImportError:
        pass
with open("/proc/self/maps") as maps:
    mapped = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
libraries = {os.path.dirname(path) for path in mapped if ".so" in path and os.path.exists(path)}
standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
print(json.dumps({
    "version": list(sys.version_info[:2]),
    "executable": os.path.realpath(sys.executable),
    "folders": sorted(os.path.realpath(path) for path in libraries | standard),
}))
"#;

/// The oldest Python that the runner works with.
const OLDEST: [u32; 2] = [3, 10];

/// Folders whose contents no program is to see, whatever an interpreter is made of.
const TOO_MUCH: [&str; 9] = [
    "/", "/etc", "/home", "/proc", "/root", "/run", "/sys", "/tmp", "/var",
];

const HARMLESS: &str = "import sys\nprint(6 * 7, sys.stdin.read())\n";

/// Says what it can get at.
const HARMFUL: &str = r#"
import os, socket
def attempt(what, deed):
    try:
        deed()
    except OSError:
        return
    print(what)
attempt("the network", socket.socket)
attempt("/etc/passwd", lambda: open("/etc/passwd"))
attempt("the host's processes", lambda: os.listdir("/proc"))
attempt("the file system", lambda: open("/written", "w"))
attempt("a second process", os.fork)
"#;

#[derive(Deserialize)]
struct Found {
    version: [u32; 2],
    executable: PathBuf,
    folders: Vec<PathBuf>,
}

impl Sandbox {
    /// A sandbox, where programs can be run here and one that is up to no good is held.
    ///
    /// # Errors
    /// What is missing.
    pub async fn probe(options: Options) -> Result<Self, Unavailable> {
        let interpreter = interpreter(&options).await?;
        let setup = Setup {
            mode: options.mode,
            interpreter,
            seconds: options.limits.seconds,
            memory_mib: options.limits.memory_mib,
        };
        let mode = options.mode;
        let sandbox = Self::new(options, setup);
        sandbox.start().await.map_err(|error| match error {
            SandboxError::Fault(why) => Unavailable::NoIsolation(why),
            error => Unavailable::NoLauncher(chain(&error)),
        })?;
        let program = |source: &str, tests: &str| Program {
            source: source.to_owned(),
            tests: tests.to_owned(),
            stdin: "asked".to_owned(),
            seconds: 10,
        };
        let harmless = sandbox.ended(&program(HARMLESS, "assert True\n")).await?;
        if !harmless.passed_tests || harmless.stdout.trim() != "42 asked" {
            return Err(Unavailable::Unsound(format!(
                "a harmless program came to this: {harmless:?}"
            )));
        }
        if mode == Mode::On {
            let harmful = sandbox.ended(&program(HARMFUL, "")).await?;
            if harmful.ending != Ending::Exited(0) || !harmful.stdout.is_empty() {
                return Err(Unavailable::Unsound(format!(
                    "a program that is to be held came to this: {harmful:?}"
                )));
            }
        }
        Ok(sandbox)
    }

    async fn ended(&self, program: &Program) -> Result<Ended, Unavailable> {
        let ended = self.run(program).await;
        ended.map_err(|error| Unavailable::Unsound(chain(&error)))
    }
}

/// Asks the interpreter where it is. It is the operator's own, so it may be run as it is.
async fn interpreter(options: &Options) -> Result<Interpreter, Unavailable> {
    let python = &options.python;
    let refuse = |detail: String| Unavailable::NoPython {
        python: python.clone(),
        detail,
    };
    let asked = Command::new(python)
        .args(["-I", "-S", "-B", "-c", WHERE])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_elapsed| refuse("it does not answer".to_owned()))?
        .map_err(|error| refuse(error.to_string()))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        let last = said.trim().lines().last().unwrap_or_default();
        return Err(refuse(format!("{}: {last}", answer.status)));
    }
    let found: Found =
        serde_json::from_slice(&answer.stdout).map_err(|error| refuse(error.to_string()))?;
    if found.version < OLDEST {
        let ([major, minor], [least_major, least_minor]) = (found.version, OLDEST);
        return Err(refuse(format!(
            "it is Python {major}.{minor}, and {least_major}.{least_minor} is needed"
        )));
    }
    if let Some(folder) = found.folders.iter().find(|folder| is_too_much(folder)) {
        return Err(refuse(format!(
            "its library is in {}, which no program is to see",
            folder.display()
        )));
    }
    Ok(Interpreter {
        executable: found.executable,
        folders: found.folders,
    })
}

fn is_too_much(folder: &Path) -> bool {
    TOO_MUCH
        .iter()
        .any(|withheld| folder == Path::new(withheld))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}
