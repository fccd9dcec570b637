//! The house rules that the compiler does not keep: which crate may use which, and what may
//! stand where. ARCHITECTURE.md says why.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate may use of the others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("admission", &["domain"]),
    ("dashboard", &[]),
    ("search", &["domain"]),
    ("evaluation", &["domain"]),
    ("sandbox", &["domain"]),
    ("scoring", &["domain"]),
    ("tokens", &["domain"]),
    ("llm", &["domain", "tokens"]),
    ("store", &["domain"]),
    ("webhook", &["domain"]),
    ("simulator", &["domain"]),
    ("tuning", &["domain", "search", "evaluation"]),
    ("intake", &["domain", "evaluation", "scoring", "tokens"]),
    (
        "worker",
        &[
            "admission",
            "domain",
            "evaluation",
            "tuning",
            "sandbox",
            "scoring",
            "tokens",
            "llm",
            "store",
            "webhook",
        ],
    ),
    (
        "api",
        &[
            "admission",
            "dashboard",
            "domain",
            "evaluation",
            "intake",
            "sandbox",
            "scoring",
            "store",
            "tokens",
            "webhook",
        ],
    ),
    (
        "frugal",
        &[
            "api",
            "domain",
            "llm",
            "sandbox",
            "simulator",
            "store",
            "webhook",
            "worker",
        ],
    ),
    (
        "benchmark",
        &[
            "domain",
            "evaluation",
            "intake",
            "sandbox",
            "scoring",
            "simulator",
            "tuning",
        ],
    ),
];

/// The crates that do no I/O, read no clock and start no thread.
const PURE: &[&str] = &[
    "domain",
    "admission",
    "search",
    "evaluation",
    "tuning",
    "scoring",
    "tokens",
    "intake",
];

/// Libraries that only some crates may use, and why.
const LIBRARIES: &[(&str, &[&str])] = &[
    // What the kernel is asked for to hold programs.
    ("landlock", &["sandbox"]),
    ("libc", &["sandbox"]),
    ("seccompiler", &["sandbox"]),
    // HTTP is served by the API; the simulator and the worlds of the benchmark are endpoints to call.
    ("axum", &["api", "benchmark", "simulator"]),
    // Endpoints are called by `llm`, hooks by `webhook`; the program's demonstration is a client of Frugal's
    // own API.
    ("reqwest", &["llm", "webhook", "frugal"]),
    // Others hold connections and transactions of the store's, and write no query.
    ("sqlx", &["store", "worker", "api", "frugal"]),
    // Wherever tokens are counted, they are counted alike.
    ("tiktoken-rs", &["tokens"]),
    (
        "tokio",
        &[
            "llm",
            "sandbox",
            "store",
            "worker",
            "api",
            "simulator",
            "webhook",
            "frugal",
            "benchmark",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The dependencies of each crate, those for tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    crates
        .map(|entry| {
            let path = entry.unwrap().path();
            let manifest: toml::Table = fs::read_to_string(path.join("Cargo.toml"))
                .unwrap()
                .parse()
                .unwrap();
            let table = manifest
                .get("dependencies")
                .and_then(|table| table.as_table());
            let names = table
                .into_iter()
                .flat_map(|table| table.keys().cloned())
                .collect();
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                names,
            )
        })
        .collect()
}

#[test]
fn every_edge_between_crates_is_a_permitted_one() {
    let dependencies = dependencies();
    let known: BTreeSet<_> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(dependencies.keys().cloned().collect::<BTreeSet<_>>(), known);
    for (name, permitted) in MAY_USE {
        for used in dependencies[*name]
            .iter()
            .filter_map(|used| used.strip_prefix("frugal-"))
        {
            assert!(permitted.contains(&used), "{name} uses {used}");
        }
    }
}

#[test]
fn libraries_stand_where_they_belong() {
    for (name, used) in dependencies() {
        for (library, permitted) in LIBRARIES {
            assert!(
                !used.contains(*library) || permitted.contains(&name.as_str()),
                "{name} uses {library}"
            );
        }
    }
}

/// The Rust sources below a folder, with their texts.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// The sources of the crates, without their tests.
fn program_sources() -> Vec<(String, PathBuf, String)> {
    let mut found = Vec::new();
    for (name, _) in MAY_USE {
        for (path, text) in sources(&root().join("crates").join(name).join("src")) {
            let is_test = path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs");
            if !is_test {
                let program = text.split("#[cfg(test)]").next().unwrap_or_default();
                found.push(((*name).to_owned(), path, program.to_owned()));
            }
        }
    }
    found
}

#[test]
fn no_files_of_a_crate_import_in_a_circle() {
    let mut found = Vec::new();
    for (name, _) in MAY_USE {
        let folder = root().join("crates").join(name).join("src");
        let files = sources(&folder).into_iter().map(|(path, text)| {
            let path = path.strip_prefix(&folder).unwrap();
            (path.to_str().unwrap().replace('\\', "/"), text)
        });
        for circle in imports::circles(&files.collect()) {
            found.push(format!("{name}: {circle}"));
        }
    }
    assert!(
        found.is_empty(),
        "files import in circles:\n{}",
        found.join("\n")
    );
}

#[test]
fn queries_stand_in_the_store_alone() {
    for (name, path, text) in program_sources() {
        let has_query = [
            "query!(",
            "query_as!(",
            "query_scalar!(",
            "sqlx::query",
            "raw_sql",
        ]
        .iter()
        .any(|call| text.contains(call));
        assert!(
            !has_query || name == "store",
            "{} has a query",
            path.display()
        );
    }
}

#[test]
fn the_pure_crates_touch_nothing_outside_of_them() {
    let outside = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "Instant::now",
        "SystemTime",
        "Utc::now",
        "std::thread",
    ];
    for (name, path, text) in program_sources() {
        if PURE.contains(&name.as_str()) {
            for what in outside {
                assert!(!text.contains(what), "{} has {what}", path.display());
            }
        }
    }
}

#[test]
fn one_file_alone_is_unsafe() {
    for (_, path, text) in program_sources() {
        let makes_processes = path.ends_with("sandbox/src/launcher/process.rs");
        assert!(
            !text.contains("unsafe {") || makes_processes,
            "{} has unsafe code",
            path.display()
        );
    }
}

#[test]
fn crates_say_what_they_are_for_and_files_stay_short() {
    for (name, path, text) in program_sources() {
        if path.ends_with("lib.rs") {
            assert!(
                text.starts_with("//!"),
                "the crate {name} does not say what it is for"
            );
        }
        // The text may be a page of the documentation that the file takes in.
        assert!(
            text.starts_with("//!") || text.starts_with("#![doc = include_str!("),
            "{} does not say what it is for",
            path.display()
        );
        assert!(
            !text.contains("#[allow("),
            "{} allows what it should expect",
            path.display()
        );
    }
    for folder in ["crates", "tests"] {
        for (path, text) in sources(&root().join(folder)) {
            assert!(
                text.lines().count() <= 800,
                "{} is too long",
                path.display()
            );
        }
    }
}
