//! `[sandbox]`: how programs are run that models wrote.

use super::number::Number;
use frugal_sandbox::{Limits, Mode};
use serde::Deserialize;
use std::path::PathBuf;

/// Where Debian and most others have the interpreter.
const DEFAULT_PYTHON: &str = "/usr/bin/python3";

/// How programs are run that models wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxConfig {
    /// Whether they are isolated.
    pub mode: Mode,
    /// The interpreter.
    pub python: PathBuf,
    /// What they may use.
    pub limits: Limits,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            mode: Mode::On,
            python: PathBuf::from(DEFAULT_PYTHON),
            limits: Limits::default(),
        }
    }
}

/// The table's keys in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SandboxKeys {
    mode: Option<String>,
    python: Option<PathBuf>,
    seconds: Option<i64>,
    memory_mib: Option<i64>,
    programs_at_once: Option<i64>,
}

/// A key whose value makes no sense.
#[derive(Debug)]
pub(super) struct SandboxFault {
    pub key: &'static str,
    pub problem: String,
}

impl SandboxKeys {
    /// Checks the values.
    pub(super) fn resolve(self) -> Result<SandboxConfig, SandboxFault> {
        let default = SandboxConfig::default();
        let fault = |key, problem| Err(SandboxFault { key, problem });
        let mode = match self.mode.as_deref() {
            None | Some("on") => Mode::On,
            Some("off") => Mode::Off,
            Some(other) => {
                return fault(
                    "mode",
                    format!("`{other}` will not do; give \"on\" or \"off\""),
                );
            }
        };
        let python = self.python.unwrap_or(default.python);
        if !python.is_absolute() {
            let problem = format!(
                "`{}` will not do; give the interpreter's whole path",
                python.display()
            );
            return fault("python", problem);
        }
        let number = |key, given: Option<i64>, range, otherwise| match given {
            None => Ok(otherwise),
            Some(given) => Number { key, given }
                .within(range)
                .map_err(|(key, problem)| SandboxFault { key, problem }),
        };
        let Limits {
            seconds,
            memory_mib,
            programs_at_once,
        } = default.limits;
        Ok(SandboxConfig {
            mode,
            python,
            limits: Limits {
                seconds: number("seconds", self.seconds, 1..=600, seconds)?,
                // The interpreter alone takes some 30.
                memory_mib: number("memory_mib", self.memory_mib, 64..=65_536, memory_mib)?,
                programs_at_once: number(
                    "programs_at_once",
                    self.programs_at_once,
                    1..=256,
                    programs_at_once,
                )?,
            },
        })
    }
}
