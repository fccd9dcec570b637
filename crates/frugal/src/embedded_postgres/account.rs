//! Whom the server runs as: PostgreSQL refuses to be root.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::EmbeddedPostgresError;

/// An account that root runs the server as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The account to change to: none where we are not root, else the owner of the cluster, else
/// `postgres`, else `nobody`.
pub(super) fn choose(cluster: &Path) -> Result<Option<Account>, EmbeddedPostgresError> {
    let ours = rustix::process::geteuid().as_raw();
    let owner = match std::fs::metadata(cluster) {
        Ok(metadata) => Some((metadata.uid(), metadata.gid())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(EmbeddedPostgresError::io("look at", cluster)(error)),
    };
    match owner {
        Some((uid, _)) if ours != 0 && uid != ours => Err(EmbeddedPostgresError::OtherOwner {
            directory: cluster.to_owned(),
            owner: uid,
            ours,
        }),
        _ if ours != 0 => Ok(None),
        Some((uid, gid)) if uid != 0 => Ok(Some(Account {
            name: format!("with id {uid}"),
            uid,
            gid,
        })),
        _ => {
            let path = Path::new("/etc/passwd");
            let passwd =
                std::fs::read_to_string(path).map_err(EmbeddedPostgresError::io("read", path))?;
            ["postgres", "nobody"]
                .iter()
                .find_map(|name| find(&passwd, name))
                .map(Some)
                .ok_or(EmbeddedPostgresError::NoAccount)
        }
    }
}

/// `name:password:uid:gid:…`; an account that is root under another name does not count.
fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then(|| Account {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

/// Makes a command run under the account. The standard library drops root's other groups too.
pub(super) fn run_as(command: &mut Command, account: Option<&Account>) {
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// Whether the account gets to the directory through all that is above it. Asked of the kernel
/// by a `cd` under the account, since mode bits are not all there is (access lists, mounts).
pub(super) fn check_reach(
    account: Option<&Account>,
    directory: &Path,
) -> Result<(), EmbeddedPostgresError> {
    let Some(account) = account else {
        return Ok(());
    };
    let shell = Path::new("/bin/sh");
    let mut command = Command::new(shell);
    command.args(["-c", "cd -- \"$1\"", "sh"]).arg(directory);
    command.current_dir("/").env_clear();
    command.stdin(Stdio::null()).stderr(Stdio::null());
    run_as(&mut command, Some(account));
    let status = command
        .status()
        .map_err(EmbeddedPostgresError::io("run", shell))?;
    if status.success() {
        return Ok(());
    }
    Err(EmbeddedPostgresError::Unreachable {
        account: account.name.clone(),
        directory: directory.to_owned(),
        closed: closed_ancestor(account, directory),
    })
}

/// The topmost directory whose mode bits keep the account out, for the message.
fn closed_ancestor(account: &Account, directory: &Path) -> String {
    let mut ancestors: Vec<&Path> = directory.ancestors().collect();
    ancestors.reverse();
    let closed = ancestors.into_iter().find(|ancestor| {
        std::fs::metadata(ancestor).is_ok_and(|metadata| {
            let bit = if metadata.uid() == account.uid {
                0o100
            } else if metadata.gid() == account.gid {
                0o010
            } else {
                0o001
            };
            metadata.mode() & bit == 0
        })
    });
    match closed {
        Some(path) => format!(" ({} is closed to it)", path.display()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        toor:x:0:0::/root:/bin/sh\n\
        nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
        broken:x:many:1\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let found = find(PASSWD, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        let found = find(PASSWD, "nobody").unwrap();
        assert_eq!((found.uid, found.gid), (65534, 65533));
        assert_eq!(find(PASSWD, "post"), None);
    }

    #[test]
    fn root_by_another_name_and_broken_lines_are_none() {
        assert_eq!(find(PASSWD, "toor"), None);
        assert_eq!(find(PASSWD, "broken"), None);
    }
}
