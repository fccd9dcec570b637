//! A program that a model wrote, as it is to be run, and what became of it.

use serde::{Deserialize, Serialize};

/// A Python program, its tests and what it is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Its source.
    pub source: String,
    /// What is run after it, in the same module; nothing where this is empty.
    pub tests: String,
    /// Its standard input.
    pub stdin: String,
    /// How many seconds of processor time it may take. Its wall clock may run twice as long.
    pub seconds: u32,
}

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// Whether its tests ran to their last line. A program that leaves before has not passed them,
    /// whatever its exit code is.
    pub passed_tests: bool,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal: it crashed, or passed a limit.
    Killed(i32),
    /// It was ended because its wall clock ran out.
    TimedOut,
    /// It was ended because it wrote too much.
    TooMuchOutput,
}

/// Whether a server runs programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It does.
    Ready {
        /// What a program may be given at most.
        seconds: u32,
    },
    /// It does not.
    Absent {
        /// Why not.
        why: String,
    },
}

impl Default for Availability {
    fn default() -> Self {
        Self::Absent {
            why: "it has no sandbox".to_owned(),
        }
    }
}
