//! What a launcher gives up: root, and the host's namespaces.

use super::process;
use super::told::told;
use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, Pid, Signal};
use rustix::thread::UnshareFlags;
use std::fs;

/// The account of nobody, within and, where the server is root, without.
const NOBODY: u32 = 65_534;

/// What a launcher is apart in. Processes come with the copy that serves.
const APART: UnshareFlags = UnshareFlags::NEWNS
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWUTS);

/// Makes sure that a copy of this process would be all of it.
pub(super) fn has_one_thread() -> Result<(), String> {
    let threads =
        fs::read_dir("/proc/self/task").map_err(|error| told("/proc/self/task", error))?;
    match threads.count() {
        1 => Ok(()),
        more => Err(format!("the launcher has {more} threads and must have one")),
    }
}

/// Becomes nobody where this is root, so that the limits on processes and the permissions of files hold.
pub(super) fn give_up_root() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[])
        .and_then(|()| rustix::thread::set_thread_res_gid(group, group, group))
        .and_then(|()| rustix::thread::set_thread_res_uid(user, user, user))
        .map_err(|error| {
            told(
                "this root account cannot become nobody; let another account run this",
                error,
            )
        })
}

/// Goes into namespaces of its own. The process that starts programs is a copy of this one, the first of
/// its namespace: when it ends, the kernel ends whatever it started. Nothing is returned in the copy.
pub(super) fn enter_namespaces() -> Result<Option<Pid>, String> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    // One who has changed accounts may otherwise not write the files below.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(|error| told("prctl", error))?;
    process::unshare(UnshareFlags::NEWUSER).map_err(|error| match error {
        rustix::io::Errno::PERM | rustix::io::Errno::NOSPC | rustix::io::Errno::INVAL => format!(
            "no user namespace can be made ({error}; see the sysctls user.max_user_namespaces and kernel.unprivileged_userns_clone)"
        ),
        _ => told("unshare", error),
    })?;
    // An unprivileged process may map its own account alone, and must give up changing groups before.
    write("/proc/self/setgroups", "deny")?;
    write(
        "/proc/self/uid_map",
        &format!("{NOBODY} {} 1", user.as_raw()),
    )?;
    write(
        "/proc/self/gid_map",
        &format!("{NOBODY} {} 1", group.as_raw()),
    )?;
    process::unshare(APART).map_err(|error| {
        format!(
            "no namespaces can be made within a user namespace ({error}; see the sysctl kernel.apparmor_restrict_unprivileged_userns)"
        )
    })?;
    rustix::system::sethostname(b"sandbox").map_err(|error| told("sethostname", error))?;
    let copy = process::fork(UnshareFlags::NEWPID)
        .map_err(|error| told("clone with CLONE_NEWPID", error))?;
    if copy.is_none() {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| told("prctl", error))?;
    }
    Ok(copy)
}

fn write(path: &str, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| told(path, error))
}
