//! The sandbox as those see it who have programs to run: launchers that are kept, and one at a time for
//! each program.

use crate::options::Options;
use crate::wire::{self, Reply, Setup};
use frugal_domain::program::{Ended, Program};
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{AcquireError, Semaphore};

/// How often a program is given to a launcher before the fault of launchers is taken as lasting.
const ATTEMPTS: u32 = 3;

/// What a launcher may take beyond what its program may, before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs programs. A clone is the same sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

/// What went wrong on this side. It says nothing about the program.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A launcher does not start or broke down.
    #[error("the launcher of programs broke down")]
    Launcher(#[from] io::Error),
    /// A launcher does not answer.
    #[error("the launcher of programs does not answer")]
    Silent,
    /// A launcher could not do its part.
    #[error("the program could not be run: {0}")]
    Fault(String),
    /// The sandbox is at its end.
    #[error("the sandbox is closed")]
    Closed(#[from] AcquireError),
}

#[derive(Debug)]
struct Shared {
    options: Options,
    setup: Setup,
    turns: Semaphore,
    /// Launchers that have nothing to do.
    idle: Mutex<Vec<Running>>,
}

impl Sandbox {
    pub(crate) fn new(options: Options, setup: Setup) -> Self {
        let at_once = usize::try_from(options.limits.programs_at_once).unwrap_or(1);
        Self {
            shared: Arc::new(Shared {
                options,
                setup,
                turns: Semaphore::new(at_once.max(1)),
                idle: Mutex::default(),
            }),
        }
    }

    /// How it was set up.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Runs a program once there is room for it.
    ///
    /// # Errors
    /// It could not be run, several times in a row. Whatever the program does is no error.
    pub async fn run(&self, program: &Program) -> Result<Ended, SandboxError> {
        let _turn = self.shared.turns.acquire().await?;
        let message = wire::frame(program)?;
        let seconds = program.seconds.clamp(1, self.shared.setup.seconds.max(1));
        let patience = PATIENCE + Duration::from_secs(2 * u64::from(seconds));
        let mut attempt = 1;
        loop {
            match self.try_once(&message, patience).await {
                Err(_lost) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    /// Gives a program to one launcher. One that is at fault is not used again: it ends as it is dropped.
    async fn try_once(&self, message: &[u8], patience: Duration) -> Result<Ended, SandboxError> {
        let answered = tokio::time::timeout(patience, async {
            let idle = self.idle().pop();
            let mut launcher = match idle {
                Some(launcher) => launcher,
                None => self.start().await?,
            };
            let reply = launcher.ask(message).await?;
            Ok::<_, SandboxError>((launcher, reply))
        });
        let (launcher, reply) = answered.await.map_err(|_elapsed| SandboxError::Silent)??;
        match reply {
            Reply::Ended(ended) => {
                self.idle().push(launcher);
                Ok(ended)
            }
            Reply::Fault(why) => Err(SandboxError::Fault(why)),
            Reply::Ready => Err(SandboxError::Fault("it was never begun".to_owned())),
        }
    }

    /// Starts a launcher.
    pub(crate) async fn start(&self) -> Result<Running, SandboxError> {
        let launcher = &self.shared.options.launcher;
        let mut process = Command::new(&launcher.program)
            .args(&launcher.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("its pipes are not there").into());
        };
        let mut running = Running {
            stdin,
            stdout,
            _process: process,
        };
        match running.ask(&wire::frame(&self.shared.setup)?).await? {
            Reply::Ready => Ok(running),
            Reply::Fault(why) => Err(SandboxError::Fault(why)),
            Reply::Ended(_) => Err(SandboxError::Fault("it ended before it began".to_owned())),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        let idle = self.shared.idle.lock();
        idle.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A launcher under way.
#[derive(Debug)]
pub(crate) struct Running {
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Ends as it is dropped.
    _process: Child,
}

impl Running {
    async fn ask(&mut self, message: &[u8]) -> io::Result<Reply> {
        self.stdin.write_all(message).await?;
        let mut announced = [0; 4];
        self.stdout.read_exact(&mut announced).await?;
        let mut body = vec![0; wire::length(announced)?];
        self.stdout.read_exact(&mut body).await?;
        Ok(serde_json::from_slice(&body)?)
    }
}
