//! One program from its source to its end.

use super::calls::Filters;
use super::told::told;
use super::watch::{self, Pipes, SECRET_BYTES};
use super::{process, root};
use crate::wire::Setup;
use frugal_domain::program::{Ended, Program};
use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
    path_beneath_rules,
};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::rand::GetRandomFlags;
use rustix::thread::{CapabilitySet, UnshareFlags};
use std::convert::Infallible;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How a program is run within the interpreter.
const RUNNER: &str = include_str!("runner.py");

/// The longest file that a program may write. It is also the size of its folder.
const MOST_FILE_BYTES: u64 = 16 << 20;
const MOST_OPEN_FILES: u64 = 64;
const MOST_THREADS: u64 = 64;

/// What a program is apart in from the one before and the one after.
const APART: UnshareFlags = UnshareFlags::NEWPID
    .union(UnshareFlags::NEWNS)
    .union(UnshareFlags::NEWIPC);

/// What the process exits with where it does not become the program. The reason is told otherwise.
const NOT_STARTED: i32 = 70;

/// What programs are started by.
pub(super) struct Runner {
    python: PathBuf,
    most_seconds: u32,
    memory_bytes: u64,
    /// Nothing where programs are not confined.
    filters: Option<Filters>,
}

impl Runner {
    pub(super) fn confined(setup: &Setup) -> Result<Self, String> {
        let mut runner = Self::unconfined(setup);
        runner.filters = Some(Filters::compile()?);
        Ok(runner)
    }

    pub(super) fn unconfined(setup: &Setup) -> Self {
        Self {
            python: setup.interpreter.executable.clone(),
            most_seconds: setup.seconds.max(1),
            memory_bytes: u64::from(setup.memory_mib) << 20,
            filters: None,
        }
    }

    /// Runs a program; nothing is returned where whoever asked for it is gone.
    ///
    /// # Errors
    /// What the launcher could not do. The program is not to be blamed.
    pub(super) fn run(&self, program: &Program) -> Result<Option<Ended>, String> {
        let seconds = program.seconds.clamp(1, self.most_seconds);
        let mut secret = [0; SECRET_BYTES];
        rustix::rand::getrandom(&mut secret, GetRandomFlags::empty())
            .map_err(|error| told("getrandom", error))?;
        let (source, tests) = (program.source.as_bytes(), program.tests.as_bytes());
        let payload = sealed(&[source, tests, &secret]).map_err(|e| told("memfd_create", e))?;
        let stdin = sealed(&[program.stdin.as_bytes()]).map_err(|e| told("memfd_create", e))?;
        let (stdout, to_stdout) = pipe()?;
        let (stderr, to_stderr) = pipe()?;
        let (proof, to_proof) = pipe()?;
        let (fault, to_fault) = pipe()?;
        let apart = match self.filters {
            Some(_) => APART,
            None => UnshareFlags::empty(),
        };
        let child = process::fork(apart).map_err(|error| told("clone", error))?;
        let Some(child) = child else {
            let ends = Ends {
                payload,
                stdin,
                stdout: to_stdout,
                stderr: to_stderr,
                proof: to_proof,
                lengths: [source.len(), tests.len()],
            };
            let why = match self.become_program(seconds, ends) {
                Ok(never) => match never {},
                Err(why) => why,
            };
            // Nobody is left to tell where this fails.
            let _ = rustix::io::write(&to_fault, why.as_bytes());
            std::process::exit(NOT_STARTED);
        };
        drop((to_stdout, to_stderr, to_proof, to_fault, payload, stdin));
        let pipes = Pipes {
            stdout,
            stderr,
            proof,
            fault,
        };
        let is_group = self.filters.is_none();
        let wall = Duration::from_secs(2 * u64::from(seconds));
        watch::watch(child, is_group, &pipes, wall, &secret)
    }

    /// Takes everything away from this process, and makes it the program.
    fn become_program(&self, seconds: u32, ends: Ends) -> Result<Infallible, String> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| told("prctl", error))?;
        match self.filters {
            Some(_) => root::mount_scratch().map_err(|error| told("mount", error))?,
            None => {
                // All that it starts is ended by this group.
                rustix::process::setsid().map_err(|error| told("setsid", error))?;
                rustix::process::chdir(std::env::temp_dir())
                    .map_err(|error| told("chdir", error))?;
            }
        }
        rustix::stdio::dup2_stdin(&ends.stdin).map_err(|error| told("dup2", error))?;
        rustix::stdio::dup2_stdout(&ends.stdout).map_err(|error| told("dup2", error))?;
        rustix::stdio::dup2_stderr(&ends.stderr).map_err(|error| told("dup2", error))?;
        for kept in [&ends.payload, &ends.proof] {
            rustix::io::fcntl_setfd(kept, FdFlags::empty())
                .map_err(|error| told("fcntl", error))?;
        }
        self.limit(seconds)
            .map_err(|error| told("setrlimit", error))?;
        let mut python = Command::new(&self.python);
        python
            // Nothing but the standard library, and nothing is written beside it.
            .args(["-S", "-s", "-B", "-X", "utf8", "-c", RUNNER])
            .arg(ends.payload.as_raw_fd().to_string())
            .arg(ends.proof.as_raw_fd().to_string())
            .args(ends.lengths.map(|length| length.to_string()))
            .env_clear()
            // Sets and texts hash alike each time, so that a program does the same each time.
            .env("PYTHONHASHSEED", "0");
        if let Some(filters) = &self.filters {
            restrict_files().map_err(|error| told("landlock", error))?;
            give_up_capabilities().map_err(|error| told("prctl", error))?;
            filters.apply().map_err(|error| told("seccomp", error))?;
        }
        Err(told("the interpreter does not start", python.exec()))
    }

    fn limit(&self, seconds: u32) -> rustix::io::Result<()> {
        let limits = [
            (Resource::As, self.memory_bytes),
            (Resource::Core, 0),
            // The first process of a namespace has no use of signals that it does not catch, so
            // there is no softer limit before.
            (Resource::Cpu, u64::from(seconds)),
            (Resource::Fsize, MOST_FILE_BYTES),
            (Resource::Nofile, MOST_OPEN_FILES),
            (Resource::Msgqueue, 0),
            (Resource::Memlock, 0),
        ];
        for (resource, most) in limits {
            set(resource, most)?;
        }
        // Where the account is not the programs' own, what else it runs would count.
        if self.filters.is_some() {
            set(Resource::Nproc, MOST_THREADS)?;
        }
        Ok(())
    }
}

/// What the program's process is given.
struct Ends {
    payload: OwnedFd,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    proof: OwnedFd,
    /// How much of the payload is the source, and how much the tests.
    lengths: [usize; 2],
}

fn set(resource: Resource, most: u64) -> rustix::io::Result<()> {
    // One that is lower already stays.
    let most = rustix::process::getrlimit(resource)
        .maximum
        .map_or(most, |maximum| maximum.min(most));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    rustix::process::setrlimit(resource, limit)
}

/// A file in memory that holds these parts and never changes.
fn sealed(parts: &[&[u8]]) -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("program", flags)?);
    for part in parts {
        file.write_all(part)?;
    }
    file.rewind()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// A pipe that no other program inherits: its end to read, and its end to write.
fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| told("pipe", error))
}

/// Holds the process to reading everywhere and writing in its folder, as far as the kernel has Landlock.
fn restrict_files() -> Result<(), landlock::RulesetError> {
    let abi = ABI::V6;
    let (all, read) = (AccessFs::from_all(abi), AccessFs::from_read(abi));
    Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(["/"], read))?
        .add_rules(path_beneath_rules([root::SCRATCH], all))?
        .add_rules(path_beneath_rules(
            ["/dev/null"],
            read | AccessFs::WriteFile,
        ))?
        .restrict_self()?;
    Ok(())
}

/// Leaves nothing to be regained when the interpreter is executed, which takes what there still is.
fn give_up_capabilities() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // One that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    rustix::thread::set_no_new_privs(true)
}
