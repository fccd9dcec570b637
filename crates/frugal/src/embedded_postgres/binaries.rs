//! Where PostgreSQL's programs are, and which of several versions to take.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedPostgresError;

/// The oldest major version that Frugal's SQL runs on.
const MINIMUM_MAJOR: u32 = 14;

/// Directories with one subdirectory per version, and what follows below that.
const VERSIONED_PLACES: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"), // Debian, Ubuntu, Gentoo
    ("/usr", "bin"),                // Red Hat: /usr/pgsql-17/bin
    ("/opt/homebrew/opt", "bin"),   // Homebrew: postgresql@17/bin
    ("/usr/local/opt", "bin"),      // Homebrew on Intel
];

/// The two programs that it takes, of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    pub major: u32,
}

/// Every installation there is, in order of preference: those on PATH, then those in the
/// distributions' places, newest first. With `explicit` that one and no other.
pub(super) fn find(explicit: Option<&Path>) -> Result<Vec<Binaries>, EmbeddedPostgresError> {
    if let Some(directory) = explicit {
        return match inspect(directory) {
            Some(binaries) => Ok(vec![binaries]),
            None => Err(EmbeddedPostgresError::NotThere(directory.to_owned())),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = among(&path, &VERSIONED_PLACES);
    if found.is_empty() {
        return Err(EmbeddedPostgresError::NotInstalled);
    }
    Ok(found)
}

fn among(path: &OsStr, places: &[(&str, &str)]) -> Vec<Binaries> {
    let mut found: Vec<Binaries> = std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .filter_map(|directory| inspect(&directory))
        .collect();
    let mut elsewhere: Vec<Binaries> = places
        .iter()
        .flat_map(|(place, below)| versions_in(Path::new(place), below))
        .filter_map(|directory| inspect(&directory))
        .collect();
    elsewhere.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    found.extend(elsewhere);
    found
}

/// `PLACE/*/BELOW` for all names that are a version, with or without a PostgreSQL prefix.
fn versions_in(place: &Path, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let version = name
                .strip_prefix("pgsql-")
                .or_else(|| name.strip_prefix("postgresql@"))
                .unwrap_or(&name);
            leading_number(version).is_some()
        })
        .map(|entry| entry.path().join(below))
        .collect()
}

fn inspect(directory: &Path) -> Option<Binaries> {
    let initdb = directory.join("initdb");
    let postgres = directory.join("postgres");
    if !initdb.is_file() || !postgres.is_file() {
        return None;
    }
    // Root may ask for the version, though not for anything else.
    let output = Command::new(&postgres).arg("--version").output().ok()?;
    let major = parse_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries {
        initdb,
        postgres,
        major,
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` gives 15, `… 18beta1` gives 18.
fn parse_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    leading_number(version)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The installation that a new cluster is made with.
pub(super) fn for_new_cluster(found: &[Binaries]) -> Result<&Binaries, EmbeddedPostgresError> {
    if let Some(binaries) = found.iter().find(|each| each.major >= MINIMUM_MAJOR) {
        return Ok(binaries);
    }
    match found.iter().max_by_key(|each| each.major) {
        Some(newest) => Err(EmbeddedPostgresError::TooOld {
            found: newest.major,
            minimum: MINIMUM_MAJOR,
            directory: newest
                .postgres
                .parent()
                .unwrap_or(Path::new("/"))
                .to_owned(),
        }),
        None => Err(EmbeddedPostgresError::NotInstalled),
    }
}

/// The installation that can read the cluster: only the same major version can.
pub(super) fn for_cluster<'a>(
    found: &'a [Binaries],
    version: u32,
    cluster: &Path,
) -> Result<&'a Binaries, EmbeddedPostgresError> {
    if let Some(binaries) = found.iter().find(|each| each.major == version) {
        return Ok(binaries);
    }
    let installed = for_new_cluster(found)?.major;
    Err(EmbeddedPostgresError::OtherVersion {
        directory: cluster.to_owned(),
        cluster: version,
        installed,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn install(directory: &Path, version: &str) {
        std::fs::create_dir_all(directory).unwrap();
        let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
        for name in ["initdb", "postgres"] {
            let file = directory.join(name);
            std::fs::write(&file, &script).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn majors(found: &[Binaries]) -> Vec<u32> {
        found.iter().map(|each| each.major).collect()
    }

    #[test]
    fn versions_are_read() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("mysqld 8.0"), None);
    }

    #[test]
    fn path_comes_first_then_the_newest() {
        let root = tempfile::tempdir().unwrap();
        let on_path = root.path().join("path");
        install(&on_path, "15.1");
        let place = root.path().join("lib");
        install(&place.join("9/bin"), "9.6.24");
        install(&place.join("17/bin"), "17.2");
        install(&place.join("16/bin"), "16.6");
        install(&place.join("old/bin"), "18.0");
        let place = place.to_str().unwrap();

        let found = among(on_path.as_os_str(), &[(place, "bin")]);
        assert_eq!(majors(&found), [15, 17, 16, 9]);
        assert_eq!(for_new_cluster(&found).unwrap().major, 15);
        assert_eq!(
            for_cluster(&found, 16, Path::new("/c")).unwrap().major,
            16,
            "a cluster finds its own version behind the preferred one"
        );

        let found = among(OsStr::new("/nowhere"), &[(place, "bin")]);
        assert_eq!(majors(&found), [17, 16, 9]);
    }

    #[test]
    fn a_cluster_of_another_version_is_refused_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        install(root.path(), "17.2");
        let found = find(Some(root.path())).unwrap();
        let refused = for_cluster(&found, 15, Path::new("/c"))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("written by PostgreSQL 15"), "{refused}");
        assert!(refused.contains("postgresql-15"), "{refused}");
    }

    #[test]
    fn too_old_is_said() {
        let root = tempfile::tempdir().unwrap();
        install(root.path(), "9.6.24");
        let found = find(Some(root.path())).unwrap();
        let refused = for_new_cluster(&found).unwrap_err().to_string();
        assert!(refused.contains("PostgreSQL 9"), "{refused}");
        assert!(refused.contains("version 14 or newer"), "{refused}");
    }

    #[test]
    fn nothing_found_says_how_to_get_it() {
        assert!(among(OsStr::new("/nowhere"), &[]).is_empty());
        let refused = for_new_cluster(&[]).unwrap_err().to_string();
        assert!(refused.contains("apt-get install postgresql"), "{refused}");
        let empty = tempfile::tempdir().unwrap();
        let refused = find(Some(empty.path())).unwrap_err().to_string();
        assert!(refused.contains("FRUGAL_POSTGRES_BIN"), "{refused}");
    }
}
