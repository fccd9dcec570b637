//! The file system that programs see: the interpreter, its library, two devices, and an empty folder.

use super::told::told;
use crate::wire::Interpreter;
use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where it is put together, and where programs find their folder.
pub(super) const SCRATCH: &str = "/tmp";

/// Where the dynamic loader is looked for, whatever the interpreter's library says.
const LOADERS: [&str; 4] = ["/lib", "/lib64", "/usr/lib64", "/lib32"];

/// What some of Python's modules expect to be there.
const DEVICES: [&str; 2] = ["/dev/null", "/dev/urandom"];

const HARMLESS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Makes it and moves this process into it. The host's is out of reach afterwards.
pub(super) fn enter(interpreter: &Interpreter) -> Result<(), String> {
    let root = Path::new(SCRATCH);
    // What is mounted here must not show on the host.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|error| told("the mounts cannot be made private", error))?;
    rustix::mount::mount("tmpfs", root, "tmpfs", HARMLESS, c"size=1m,mode=0755")
        .map_err(|error| told("no tmpfs can be mounted", error))?;
    for folder in folders(interpreter) {
        make(root, &folder, true)?;
        bind(root, &folder, HARMLESS)?;
    }
    make(root, &interpreter.executable, false)?;
    bind(root, &interpreter.executable, HARMLESS)?;
    for device in DEVICES.map(Path::new) {
        make(root, device, false)?;
        bind(root, device, MountFlags::NOSUID | MountFlags::NOEXEC)?;
    }
    fs::create_dir(root.join("tmp")).map_err(|error| told(SCRATCH, error))?;
    // The new root and the old one trade places at one path, where the old one is then taken away.
    rustix::process::chdir(root).map_err(|error| told("chdir", error))?;
    rustix::process::pivot_root(".", ".").map_err(|error| told("pivot_root", error))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(|error| told("the host's file system does not go away", error))?;
    rustix::process::chdir("/").map_err(|error| told("chdir", error))?;
    let read_only = MountFlags::BIND | MountFlags::RDONLY | HARMLESS;
    rustix::mount::mount_remount("/", read_only, c"")
        .map_err(|error| told("the root cannot be made read-only", error))
}

/// The folders that are shown: each once, and none within another.
fn folders(interpreter: &Interpreter) -> BTreeSet<PathBuf> {
    let loaders = LOADERS
        .iter()
        .filter(|loader| !is_link(Path::new(loader)))
        .map(PathBuf::from);
    let wanted: BTreeSet<PathBuf> = interpreter
        .folders
        .iter()
        .cloned()
        .chain(loaders.filter(|loader| loader.is_dir()))
        .collect();
    let is_outermost = |folder: &&PathBuf| {
        let mut above = folder.ancestors().skip(1);
        !above.any(|above| wanted.contains(above))
    };
    wanted.iter().filter(is_outermost).cloned().collect()
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Makes what a mount goes over: a folder or an empty file, at the same path below the new root. Links on
/// the way, such as `/lib`, become links again.
fn make(root: &Path, path: &Path, is_folder: bool) -> Result<(), String> {
    link(root)?;
    let target = below(root, path);
    let folder = match is_folder {
        true => Some(target.as_path()),
        false => target.parent(),
    };
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(|error| told(&path.display().to_string(), error))?;
    }
    if !is_folder && !target.exists() {
        fs::File::create(&target).map_err(|error| told(&path.display().to_string(), error))?;
    }
    Ok(())
}

/// Repeats the host's links to where its libraries are.
fn link(root: &Path) -> Result<(), String> {
    for loader in LOADERS.map(Path::new) {
        let there = below(root, loader);
        if is_link(loader) && !is_link(&there) {
            let to = fs::read_link(loader).map_err(|error| told("readlink", error))?;
            if let Some(parent) = there.parent() {
                fs::create_dir_all(parent).map_err(|error| told("mkdir", error))?;
            }
            symlink(to, there).map_err(|error| told("symlink", error))?;
        }
    }
    Ok(())
}

/// Shows a file or folder of the host's, read-only.
fn bind(root: &Path, path: &Path, flags: MountFlags) -> Result<(), String> {
    let target = below(root, path);
    let why = |error| told(&format!("{} cannot be shown", path.display()), error);
    rustix::mount::mount_bind_recursive(path, &target).map_err(why)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | flags;
    rustix::mount::mount_remount(&target, flags, c"").map_err(why)
}

/// Where a path of the host's is below the new root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Mounts a program's own folder, which goes away with its namespace.
pub(super) fn mount_scratch() -> rustix::io::Result<()> {
    let flags = HARMLESS | MountFlags::NOEXEC;
    let size = c"size=16m,nr_inodes=1024,mode=0700";
    rustix::mount::mount("tmpfs", SCRATCH, "tmpfs", flags, size)?;
    rustix::process::chdir(SCRATCH)?;
    rustix::process::umask(Mode::from_raw_mode(0o077));
    Ok(())
}
