//! Subcommands of the program, with few seeds.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use std::path::Path;
use std::process::Command;

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_frugal-benchmark"))
        .args(arguments)
        .env_remove("FRUGAL_JHU_DIR")
        .env_remove("FRUGAL_HUMANEVAL_DIR")
        .output()
        .unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaints}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn pruning_is_measured_on_every_recorded_task() {
    let text = output(&["pruning", "--seeds", "1"]);
    for name in ["arithmetic", "extraction", "capitals"] {
        let wish = format!("{name}: tried with pruning on ≥ reference ≥ off");
        assert!(text.contains(&wish), "{text}");
    }
    for way in ["off", "reference", "on", "on, reuse"] {
        let rows = text
            .lines()
            .filter(|line| line.starts_with(&format!("│ {way} ")));
        assert_eq!(rows.count(), 3, "{text}");
    }
}

#[test]
fn certainty_is_measured_for_every_kind_of_job() {
    let text = output(&["certainty", "--seeds", "1", "--samples", "2"]);
    // Four sizes of four kinds of jobs, and of 22 shapes of values.
    let rows = text
        .lines()
        .filter(|line| line.starts_with('│') && line.contains(" ± "))
        .count();
    assert_eq!(rows, 4 * (4 + 22), "{text}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let status = Command::new(env!("CARGO_BIN_EXE_frugal-benchmark"))
        .args(["pruning", "--seeds", "1", "--jhu", "/nowhere"])
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
}

#[test]
fn a_python_that_is_not_there_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_frugal-benchmark"))
        .args(["math", "--python", "/nowhere/python"])
        .env_remove("FRUGAL_DATA_DIR")
        .output()
        .unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(complaints.contains("/nowhere/python"), "{complaints}");
}

#[test]
fn every_experiment_runs_and_writes_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let text = output(&["experiment", "all", "--short", "--out", out]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let index = read("README.md");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names.len(), 10, "{text}");
    for name in names {
        let page = read(&format!("{name}.md"));
        for part in [
            "**Question.**",
            "**Answer.**",
            "## Set-up",
            "## Figures",
            "## Numbers",
            "## Surprises",
            "## What would change it",
            "--short",
        ] {
            assert!(page.contains(part), "{name} has no {part}: {page}");
        }
        // The pages that are committed ask the same.
        let question = page.lines().find(|line| line.starts_with("**Question.**"));
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/experiments");
        let committed = std::fs::read_to_string(committed.join(format!("{name}.md"))).unwrap();
        assert!(
            committed.contains(question.unwrap()),
            "docs/experiments/{name}.md is of before"
        );
        // A number that could not be had would stand in a sentence as NaN.
        assert!(!page.contains("NaN"), "{page}");
        assert!(index.contains(&format!("({name}.md)")), "{index}");
        let data: serde_json::Value = serde_json::from_str(&read(&format!("{name}.json"))).unwrap();
        let tables = data["tables"].as_object().unwrap();
        assert!(!tables.is_empty(), "{name}");
        for table in tables.keys() {
            assert!(
                read(&format!("{name}.{table}.csv")).lines().count() > 1,
                "{name}"
            );
        }
        let links = page
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links {
            assert!(folder.path().join(link).is_file(), "{name} names {link}");
        }
    }
}

#[test]
fn an_experiment_that_there_is_not_is_an_error_that_names_those_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_frugal-benchmark"))
        .args(["experiment", "nothing"])
        .output()
        .unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        complaints.contains("`nothing` is no experiment; there are all, without-pruning"),
        "{complaints}"
    );
}
