//! What an operator can set.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
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

/// The argument by which a program is a launcher. Nobody but a sandbox gives it.
const LAUNCH: &str = "sandbox-launch";

impl Launcher {
    /// The program that this process runs, even where its file has been replaced meanwhile. It has to look
    /// whether it [is a launcher](is_launcher) before it does anything else.
    #[must_use]
    pub fn this_program() -> Self {
        Self::of(PathBuf::from("/proc/self/exe"))
    }

    /// Another program that does the same.
    #[must_use]
    pub fn of(program: PathBuf) -> Self {
        Self {
            program,
            arguments: vec![LAUNCH.to_owned()],
        }
    }
}

/// Whether these arguments, the program's own name among them, make it a launcher: it is then to call
/// [`crate::launch`] and do nothing else.
#[must_use]
pub fn is_launcher(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.nth(1).is_some_and(|first| first == LAUNCH)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_argument_makes_a_launcher() {
        let is = |arguments: &[&str]| is_launcher(arguments.iter().map(OsString::from));
        assert!(is(&["frugal", LAUNCH]));
        assert!(!is(&["frugal"]));
        assert!(!is(&[LAUNCH, "serve"]));
        assert!(!is(&["frugal", "serve", LAUNCH]));
    }
}
