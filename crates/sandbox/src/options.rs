//! What an operator can set.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How programs are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether they are isolated.
    pub mode: Mode,
    /// The interpreter.
    pub python: PathBuf,
    /// What starts them.
    pub launcher: Launcher,
    /// What they may use.
    pub limits: Limits,
}

/// The command whose process calls [`crate::launch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Whether programs are isolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They reach nothing.
    #[default]
    On,
    /// They may do whatever this process's account may: read its files, use its network, end its
    /// processes. Only their time, memory and output are limited.
    Off,
}

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Its seconds at most, whatever it asks for.
    pub seconds: u32,
    /// Its address space, in MiB.
    pub memory_mib: u32,
    /// How many programs run at the same time.
    pub programs_at_once: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            seconds: 30,
            memory_mib: 512,
            programs_at_once: u32::try_from(cores).unwrap_or(1),
        }
    }
}
