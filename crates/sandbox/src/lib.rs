//! Runs Python programs that nobody trusts, such as those that a model wrote, and tells how they ended.
//!
//! Two processes share the work. The [`Sandbox`] is in the program that has something to run; it keeps
//! a few launchers, processes of their own, and gives each a program at a time. A launcher (see
//! [`launch`]) goes where there is nothing to take: an unprivileged account, namespaces of its own for
//! users, processes, mounts, network, IPC and the host's name, and a read-only file system that holds
//! the interpreter and nothing else. Every program runs there as one process in yet another set of
//! namespaces, with an empty folder of its own to write to, under Landlock where the kernel has it, a
//! list of permitted system calls, and limits.
//!
//! What it never does: give a program a network, a file of the host, its environment, or a second
//! process. What it cannot do: tell a program that computes the right answer from one that knows
//! how it is tested and was written to look as if it passed.
//!
//! Start with [`Sandbox::probe`], then `launcher.rs`.

mod launcher;
mod options;
mod probe;
mod sandbox;
mod unavailable;
mod wire;

pub use launcher::launch;
pub use options::{Launcher, Limits, Mode, Options, is_launcher};
pub use sandbox::{Sandbox, SandboxError};
pub use unavailable::Unavailable;
