//! Waits for a program to end, reads what it writes, and ends it where it takes or writes too much.

use frugal_domain::program::{Ended, Ending};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use std::time::{Duration, Instant};

/// The most that a program may write to its standard output and its standard error together.
const MOST_OUTPUT: usize = 4 << 20;

/// The length of the secret that proves that tests ran to their end.
pub(super) const SECRET_BYTES: usize = 32;

/// What comes from a program's process.
pub(super) struct Pipes {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// The secret, once its tests have run to their end.
    pub proof: OwnedFd,
    /// What went wrong before it was the program.
    pub fault: OwnedFd,
}

/// Watches a program to its end; nothing is returned where whoever asked for it is gone.
///
/// # Errors
/// The program was not started, or cannot be watched.
pub(super) fn watch(
    child: Pid,
    is_group: bool,
    pipes: &Pipes,
    wall: Duration,
    secret: &[u8; SECRET_BYTES],
) -> Result<Option<Ended>, String> {
    let watched = read_on(child, pipes, wall);
    end(child, is_group);
    let status = wait(child).map_err(|error| format!("waitpid: {error}"))?;
    let Some(mut seen) = watched.map_err(|error| format!("poll: {error}"))? else {
        return Ok(None);
    };
    // The process is gone, and what it wrote last is in the pipes still.
    for stream in &mut seen.streams {
        stream
            .read_rest()
            .map_err(|error| format!("read: {error}"))?;
    }
    let [stdout, stderr, proof, fault] = seen.streams;
    if !fault.bytes.is_empty() {
        return Err(text(fault.bytes));
    }
    let is_too_much = stdout.bytes.len() + stderr.bytes.len() > MOST_OUTPUT;
    let ending = match seen.broken_off {
        Some(ending) => ending,
        None if is_too_much => Ending::TooMuchOutput,
        None => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ending::Exited(code),
            (None, Some(signal)) => Ending::Killed(signal),
            (None, None) => return Err("the program neither exited nor was killed".to_owned()),
        },
    };
    Ok(Some(Ended {
        ending,
        passed_tests: seen.broken_off.is_none() && proof.bytes == secret,
        stdout: text(stdout.bytes),
        stderr: text(stderr.bytes),
    }))
}

/// What was seen of a program.
struct Seen<'p> {
    streams: [Stream<'p>; 4],
    /// Why it has to be ended; nothing where it ended by itself.
    broken_off: Option<Ending>,
}

fn read_on(child: Pid, pipes: &Pipes, wall: Duration) -> rustix::io::Result<Option<Seen<'_>>> {
    let ended = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
    let asker = rustix::stdio::stdin();
    let deadline = Instant::now() + wall;
    let mut seen = Seen {
        streams: [
            Stream::new(&pipes.stdout, MOST_OUTPUT + 1)?,
            Stream::new(&pipes.stderr, MOST_OUTPUT + 1)?,
            Stream::new(&pipes.proof, SECRET_BYTES + 1)?,
            Stream::new(&pipes.fault, 4096)?,
        ],
        broken_off: None,
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            seen.broken_off = Some(Ending::TimedOut);
            return Ok(Some(seen));
        }
        let timeout = Timespec::try_from(left).map_err(|_error| rustix::io::Errno::OVERFLOW)?;
        let mut polled = vec![
            PollFd::new(&ended, PollFlags::IN),
            PollFd::from_borrowed_fd(asker, PollFlags::empty()),
        ];
        let open = seen.streams.iter().filter(|stream| stream.is_open);
        polled.extend(open.map(|stream| PollFd::from_borrowed_fd(stream.end, PollFlags::IN)));
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let has_ended = !polled[0].revents().is_empty();
        let is_asker_gone = polled[1]
            .revents()
            .intersects(PollFlags::HUP | PollFlags::ERR);
        if is_asker_gone {
            return Ok(None);
        }
        for stream in &mut seen.streams {
            stream.read_what_is_there()?;
        }
        let written: usize = seen.streams[..2]
            .iter()
            .map(|stream| stream.bytes.len())
            .sum();
        if written > MOST_OUTPUT {
            seen.broken_off = Some(Ending::TooMuchOutput);
            return Ok(Some(seen));
        }
        if has_ended {
            return Ok(Some(seen));
        }
    }
}

/// Ends a program, and all that it started.
fn end(child: Pid, is_group: bool) {
    // One that has ended already is no fault.
    let _ = match is_group {
        true => rustix::process::kill_process_group(child, Signal::KILL),
        false => rustix::process::kill_process(child, Signal::KILL),
    };
}

fn wait(child: Pid) -> rustix::io::Result<WaitStatus> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// What was read from one pipe.
struct Stream<'p> {
    end: BorrowedFd<'p>,
    bytes: Vec<u8>,
    most: usize,
    is_open: bool,
}

impl<'p> Stream<'p> {
    fn new(end: &'p OwnedFd, most: usize) -> rustix::io::Result<Self> {
        rustix::io::ioctl_fionbio(end, true)?;
        Ok(Self {
            end: end.as_fd(),
            bytes: Vec::new(),
            most,
            is_open: true,
        })
    }

    /// Reads once what is there; what is above the most is thrown away.
    fn read_what_is_there(&mut self) -> rustix::io::Result<()> {
        let mut buffer = [0; 1 << 16];
        while self.is_open {
            match rustix::io::read(self.end, &mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(count) => {
                    let room = self.most - self.bytes.len();
                    self.bytes.extend_from_slice(&buffer[..count.min(room)]);
                    return Ok(());
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is left, once nobody writes any more.
    fn read_rest(&mut self) -> rustix::io::Result<()> {
        while self.is_open && self.bytes.len() < self.most {
            let before = self.bytes.len();
            self.read_what_is_there()?;
            if self.bytes.len() == before {
                return Ok(());
            }
        }
        Ok(())
    }
}
