//! The server as a child process: watched, its log kept, and never left behind.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

/// How many lines of log are kept for error messages.
const TAIL: usize = 20;
/// How long each of the server's ways to end is given before the next harsher one.
const SHUTDOWN: [(Signal, Duration); 3] = [
    // Fast: roll back, disconnect everybody, write a checkpoint.
    (Signal::INT, Duration::from_secs(30)),
    // Immediate: leave at once; the next start recovers from the log.
    (Signal::QUIT, Duration::from_secs(5)),
    // The kernel's way; the backends notice that their postmaster is gone and leave too.
    (Signal::KILL, Duration::from_secs(5)),
];

/// A child process with the thread that watches it. Dropping it ends the child and waits for that.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

#[derive(Debug)]
struct Shared {
    /// `None` once the child has been reaped. Signals are sent under this lock, so never to a
    /// process that was given the same id afterwards.
    child: Mutex<Option<Child>>,
    reaped: Condvar,
    tail: Mutex<VecDeque<String>>,
}

/// Whether `setpriv` can have the kernel send a signal to the server when we die.
pub(super) fn can_die_with_parent() -> bool {
    Command::new("setpriv")
        .args(["--pdeathsig", "INT", "--", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Process {
    /// Starts the command with a thread of its own to watch it.
    ///
    /// The thread is also the one that spawns: the kernel's parent-death signal is sent when the
    /// spawning *thread* ends, and a runtime's threads may end long before the process does.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in a terminal goes to the whole group, and the database
            // must outlive what still wants to write to it.
            .process_group(0);
        let shared = Arc::new(Shared {
            child: Mutex::new(None),
            reaped: Condvar::new(),
            tail: Mutex::new(VecDeque::with_capacity(TAIL)),
        });
        let (ended_sender, ended) = watch::channel(None);
        let (spawned_sender, spawned) = std::sync::mpsc::sync_channel(1);
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .spawn(move || {
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => {
                        // The receiver waits below; nothing is lost if it does not.
                        let _ = spawned_sender.send(Err(error));
                        return;
                    }
                };
                let id = child.id();
                let pid = Pid::from_child(&child);
                let stderr = child.stderr.take();
                *lock(&theirs.child) = Some(child);
                let _ = spawned_sender.send(Ok(id));
                // The log is read to its end first, so that whoever sees the status sees it all.
                if let Some(stderr) = stderr {
                    theirs.read_log(stderr);
                }
                theirs.reap(pid, &ended_sender);
            })?;
        let id = spawned.recv().map_err(io::Error::other)??;
        Ok(Self { id, shared, ended })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits until the process has ended.
    pub(super) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|status| *status) {
            Ok(Some(status)) => status,
            // Only if the watching thread is gone, which sends before it goes.
            Ok(None) | Err(_) => ExitStatus::default(),
        }
    }

    /// The last lines of log, in one line.
    pub(super) fn log_tail(&self) -> String {
        let tail = lock(&self.shared.tail);
        let lines: Vec<&str> = tail.iter().map(String::as_str).collect();
        lines.join("; ")
    }

    /// Ends the process, by harsher means each time that it does not.
    pub(super) async fn stop(&self) -> ExitStatus {
        for (signal, patience) in SHUTDOWN {
            self.shared.signal(signal);
            if let Ok(status) = tokio::time::timeout(patience, self.ended()).await {
                return status;
            }
            tracing::warn!(
                ?signal,
                ?patience,
                "embedded PostgreSQL does not end, trying harsher means"
            );
        }
        self.ended().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for (signal, patience) in SHUTDOWN {
            self.shared.signal(signal);
            let child = lock(&self.shared.child);
            let (child, _) = self
                .shared
                .reaped
                .wait_timeout_while(child, patience, |child| child.is_some())
                .unwrap_or_else(PoisonError::into_inner);
            if child.is_none() {
                return;
            }
        }
    }
}

impl Shared {
    fn signal(&self, signal: Signal) {
        if let Some(child) = &*lock(&self.child)
            && let Err(error) = kill_process(Pid::from_child(child), signal)
        {
            tracing::debug!(%error, ?signal, "cannot signal embedded PostgreSQL");
        }
    }

    fn read_log(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            // PostgreSQL's errors are its clients' to report; only its own collapse is ours.
            if line.contains("PANIC: ") {
                tracing::error!(target: "postgres", "{line}");
            } else {
                tracing::debug!(target: "postgres", "{line}");
            }
            let mut tail = lock(&self.tail);
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    }

    /// Waits for the end without taking the status, then takes it under the lock: between the two
    /// the id cannot belong to anybody else.
    fn reap(&self, pid: Pid, ended: &watch::Sender<Option<ExitStatus>>) {
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(pid), options) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
        let mut child = lock(&self.child);
        let status = child.as_mut().and_then(|child| child.wait().ok());
        *child = None;
        drop(child);
        self.reaped.notify_all();
        ended.send_replace(Some(status.unwrap_or_default()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole at every moment, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn the_status_comes_with_the_whole_log() {
        let process = Process::spawn(shell("echo one >&2; echo two >&2; exit 3")).unwrap();
        assert_eq!(process.ended().await.code(), Some(3));
        assert_eq!(process.log_tail(), "one; two");
        assert_eq!(
            process.stop().await.code(),
            Some(3),
            "stopping again is harmless"
        );
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let script = "i=0; while [ $i -lt 50 ]; do echo line$i >&2; i=$((i+1)); done";
        let process = Process::spawn(shell(script)).unwrap();
        process.ended().await;
        let tail = process.log_tail();
        assert_eq!(tail.split("; ").count(), TAIL);
        assert!(tail.starts_with("line30"), "{tail}");
        assert!(tail.ends_with("line49"), "{tail}");
    }

    #[tokio::test]
    async fn stopping_interrupts() {
        let process = Process::spawn(shell("exec sleep 600")).unwrap();
        assert_eq!(
            process.stop().await.signal(),
            Some(Signal::INT.as_raw()),
            "the first signal is that of a fast shutdown"
        );
    }

    #[test]
    fn dropping_ends_the_child() {
        let process = Process::spawn(shell("exec sleep 600")).unwrap();
        let shared = Arc::clone(&process.shared);
        drop(process);
        assert!(lock(&shared.child).is_none());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = Process::spawn(Command::new("/nowhere/postgres")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
