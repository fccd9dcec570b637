//! The sandbox of this process, where there is one.

use crate::config::SandboxConfig;
use frugal_domain::program::Availability;
use frugal_sandbox::{Launcher, Mode, Options, Sandbox};

/// The sandbox, and what jobs are told of it.
#[derive(Debug, Default)]
pub struct Place {
    /// Where programs are run; nothing where that is nowhere.
    pub sandbox: Option<Sandbox>,
    /// The same, for those who read jobs.
    pub programs: Availability,
}

/// Finds out whether programs can be run here, and says so.
pub async fn find(config: &SandboxConfig) -> Place {
    let options = Options {
        mode: config.mode,
        python: config.python.clone(),
        launcher: Launcher::this_program(),
        limits: config.limits,
    };
    match Sandbox::probe(options).await {
        Ok(sandbox) => {
            match config.mode {
                Mode::On => tracing::info!("programs that models wrote are run in a sandbox"),
                Mode::Off => tracing::warn!(
                    "programs that models wrote are run unconfined: they may do whatever this process may ([sandbox] mode = \"off\")"
                ),
            }
            let seconds = config.limits.seconds;
            Place {
                sandbox: Some(sandbox),
                programs: Availability::Ready { seconds },
            }
        }
        Err(why) => {
            tracing::info!(%why, "jobs whose scorer runs programs are refused");
            Place {
                sandbox: None,
                programs: Availability::Absent {
                    why: why.to_string(),
                },
            }
        }
    }
}
