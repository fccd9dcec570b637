//! A launcher by itself, for the tests. `frugal sandbox-launch` is the same within the program.

use std::process::ExitCode;

fn main() -> ExitCode {
    frugal_sandbox::launch()
}
