//! The one place of the workspace with `unsafe`: making a process as the kernel's `clone` does.
#![expect(
    unsafe_code,
    reason = "no library makes a process in new namespaces safely"
)]

use rustix::io;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// What `clone` says to the one that it made.
const CHILD: libc::c_long = 0;

/// Makes a copy of this process in new namespaces. It returns twice: nothing in the copy, and the copy's
/// process id in the original.
///
/// A launcher has one thread, which is checked before this is called.
pub(super) fn fork(new: UnshareFlags) -> io::Result<Option<Pid>> {
    let flags = libc::c_long::from(new.bits()) | libc::c_long::from(libc::SIGCHLD);
    // SAFETY: Without CLONE_VM the copy has memory of its own, and with no stack given it goes on
    // on its copy of this one, as after `fork`. The process has one thread, so no lock is held that
    // nobody would release in the copy. No pointer is passed.
    let made = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match made {
        CHILD => Ok(None),
        id if id > 0 => i32::try_from(id)
            .ok()
            .and_then(Pid::from_raw)
            .map(Some)
            .ok_or(io::Errno::OVERFLOW),
        _ => Err(last_error()),
    }
}

/// Moves this process into new namespaces.
pub(super) fn unshare(new: UnshareFlags) -> io::Result<()> {
    // SAFETY: Only CLONE_FILES bears on the validity of descriptors, and is never among these.
    unsafe { rustix::thread::unshare_unsafe(new - UnshareFlags::FILES) }
}

fn last_error() -> io::Errno {
    io::Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(io::Errno::INVAL)
}
