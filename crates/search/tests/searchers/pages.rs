//! The page of each algorithm has its options, with their defaults.

use frugal_domain::job::Algorithm;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn each_page_has_the_algorithms_options_with_their_defaults() {
    for algorithm in Algorithm::all() {
        let name = algorithm.as_str();
        let path = format!("{}/docs/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&path).unwrap();
        for heading in [
            "## What it is for",
            "## How it works",
            "## Options",
            "## Source",
        ] {
            assert!(page.contains(heading), "{name} has no `{heading}`");
        }
        let documented: BTreeMap<String, String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .map(|row| {
                let cells: Vec<&str> = row.split(" | ").collect();
                let option = cells[0].trim_end_matches('`').to_owned();
                (option, cells[2].trim_matches('`').to_owned())
            })
            .collect();
        let Value::Object(mut stored) = serde_json::to_value(algorithm).unwrap() else {
            panic!("an algorithm is stored as an object")
        };
        stored.remove("algorithm");
        let options: BTreeMap<String, String> = stored
            .into_iter()
            .map(|(option, default)| {
                let text = default.as_str().map(str::to_owned);
                (option, text.unwrap_or_else(|| default.to_string()))
            })
            .collect();
        assert_eq!(documented, options, "{name}");
    }
}
