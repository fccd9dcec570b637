//! The built files: what they are of, and that they ask nobody else for anything.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_dashboard::{FILES, FOLDER, PAGE};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

/// The sources that `web/build.mjs` builds of, by their names from `web/`, as it names them.
fn sources() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(web().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // Made from openapi.yaml to check types, and not a part of what is built.
        .filter(|name| name != "schema.d.ts")
        .map(|name| format!("src/{name}"))
        .collect();
    names.extend(
        [
            "app.css",
            "build.mjs",
            "icon.svg",
            "index.html",
            "package-lock.json",
            "tsconfig.json",
        ]
        .map(str::to_owned),
    );
    names.sort();
    names
}

#[test]
fn what_is_committed_was_built_of_these_sources() {
    let mut hash = Sha256::new();
    for name in sources() {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(fs::read(web().join(&name)).unwrap());
        hash.update([0]);
    }
    let sum: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let built = include_str!("../dist/sources.sha256").trim();
    assert_eq!(
        built, sum,
        "build the dashboard again: npm ci && npm run build, in crates/dashboard/web"
    );
}

#[test]
fn the_page_loads_what_is_served_and_nothing_else() {
    let page = std::str::from_utf8(PAGE.content).unwrap();
    let mut loaded = 0;
    for (_, rest) in page
        .match_indices("=\"/")
        .map(|(at, _)| page.split_at(at + 2))
    {
        let (path, _) = rest.split_once('"').unwrap();
        let name = path.strip_prefix(FOLDER).unwrap();
        assert!(FILES.iter().any(|file| file.name == name), "{path}");
        loaded += 1;
    }
    assert_eq!(loaded, 3, "the script, the style and the icon");
    assert!(!page.contains("//"), "no other host: {page}");
    let style = FILES.iter().find(|file| file.name == "app.css").unwrap();
    let style = std::str::from_utf8(style.content).unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
}
