//! The data directory and what is in it: the lock, the cluster, the socket.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::EmbeddedPostgresError;
use super::account::Account;

/// The longest directory that a socket may live in, in bytes: `sun_path` holds 103 bytes and a
/// closing zero on the strictest system (macOS; Linux has four more), and the name takes 14.
const LONGEST_SOCKET_DIRECTORY: usize = 103 - "/.s.PGSQL.5432".len();
/// The lock on a data directory: held by an open file, so the kernel lets go of it however we end.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn acquire(data_dir: &Path) -> Result<Self, EmbeddedPostgresError> {
        let path = data_dir.join("frugal.lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(EmbeddedPostgresError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Only for the message: an empty or odd file is no reason for another error.
                let _ = file.read_to_string(&mut text);
                let holder = match text.trim().parse::<u32>() {
                    Ok(id) => format!(" (process {id})"),
                    Err(_) => String::new(),
                };
                return Err(EmbeddedPostgresError::InUse {
                    directory: data_dir.to_owned(),
                    holder,
                });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(EmbeddedPostgresError::io("lock", &path)(source));
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(EmbeddedPostgresError::io("write", &path))?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, were it not for a child that is between fork and exec just now and
        // holds the same open file for a moment longer.
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "cannot unlock the data directory");
        }
    }
}

/// A directory of our own under the temp directory, which is deleted when it is dropped.
pub(super) fn fresh_directory(prefix: &str) -> Result<TempDir, EmbeddedPostgresError> {
    let temp = std::env::temp_dir();
    let directory = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(&temp)
        .map_err(EmbeddedPostgresError::io("make a directory in", &temp))?;
    // Passable, not readable, for the server's account; what matters inside has its own mode.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).map_err(
        EmbeddedPostgresError::io("set the mode of", directory.path()),
    )?;
    Ok(directory)
}

/// The data directory, made if it is missing.
pub(super) fn make_data_directory(
    data_dir: &Path,
    account: Option<&Account>,
) -> Result<(), EmbeddedPostgresError> {
    if data_dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(data_dir)
        .map_err(EmbeddedPostgresError::io("make the directory", data_dir))?;
    // Under root the server's account has to pass; otherwise the directory is ours alone.
    let mode = if account.is_some() { 0o711 } else { 0o700 };
    fs::set_permissions(data_dir, fs::Permissions::from_mode(mode))
        .map_err(EmbeddedPostgresError::io("set the mode of", data_dir))
}

/// A directory of mode 0700 that belongs to the server's account.
pub(super) fn make_private_directory(
    path: &Path,
    account: Option<&Account>,
) -> Result<(), EmbeddedPostgresError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return Err(EmbeddedPostgresError::io("make the directory", path)(error)),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(EmbeddedPostgresError::io("set the mode of", path))?;
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid))
            .map_err(EmbeddedPostgresError::io("change the owner of", path))?;
    }
    Ok(())
}

/// The socket's directory: in the data directory, or in a short one of its own where the path
/// would be too long for a socket or cannot be written in a URL.
pub(super) fn socket_directory(
    data_dir: &Path,
    account: Option<&Account>,
) -> Result<(PathBuf, Option<TempDir>), EmbeddedPostgresError> {
    let wished = data_dir.join("socket");
    if wished.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY && wished.to_str().is_some() {
        make_private_directory(&wished, account)?;
        return Ok((wished, None));
    }
    let temp = std::env::temp_dir();
    let place = if temp.as_os_str().len() + "/frugal-123456/s".len() <= LONGEST_SOCKET_DIRECTORY {
        temp
    } else {
        PathBuf::from("/tmp")
    };
    let outer = tempfile::Builder::new()
        .prefix("frugal-")
        .permissions(fs::Permissions::from_mode(0o711))
        .tempdir_in(&place)
        .map_err(EmbeddedPostgresError::io("make a directory in", &place))?;
    let socket = outer.path().join("s");
    make_private_directory(&socket, account)?;
    Ok((socket, Some(outer)))
}

/// The major version that wrote the cluster, or `None` where there is no cluster yet.
pub(super) fn cluster_version(cluster: &Path) -> Result<Option<u32>, EmbeddedPostgresError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(version) => Ok(Some(version)),
            Err(_) => Err(EmbeddedPostgresError::NotACluster(cluster.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_dir(cluster) {
            Ok(entries) => match entries.count() {
                0 => Ok(None),
                _ => Err(EmbeddedPostgresError::NotACluster(cluster.to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedPostgresError::io("read", cluster)(error)),
        },
        Err(error) => Err(EmbeddedPostgresError::io("read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_its_socket_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("x".repeat(120));
        fs::create_dir(&long).unwrap();
        let (socket, elsewhere) = socket_directory(&long, None).unwrap();
        assert!(elsewhere.is_some());
        assert!(socket.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY);
        let mode = fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_short_path_keeps_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, elsewhere) = socket_directory(directory.path(), None).unwrap();
        assert_eq!(socket, directory.path().join("socket"));
        assert!(elsewhere.is_none());
    }

    #[test]
    fn a_cluster_is_known_by_its_version_file() {
        let directory = tempfile::tempdir().unwrap();
        let cluster = directory.path().join("postgres");
        assert_eq!(cluster_version(&cluster).unwrap(), None);
        fs::create_dir(&cluster).unwrap();
        assert_eq!(cluster_version(&cluster).unwrap(), None);
        fs::write(cluster.join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(cluster_version(&cluster).unwrap(), Some(15));
        fs::remove_file(cluster.join("PG_VERSION")).unwrap();
        fs::write(cluster.join("letters.txt"), "dear").unwrap();
        assert!(matches!(
            cluster_version(&cluster),
            Err(EmbeddedPostgresError::NotACluster(_))
        ));
    }

    #[test]
    fn the_lock_has_one_holder_who_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let held = Lock::acquire(directory.path()).unwrap();
        let refused = Lock::acquire(directory.path()).unwrap_err().to_string();
        let us = format!("(process {})", std::process::id());
        assert!(refused.contains(&us), "{refused}");
        drop(held);
        Lock::acquire(directory.path()).unwrap();
    }
}
