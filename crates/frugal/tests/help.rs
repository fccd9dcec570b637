//! What `--help` says of every command.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use std::process::Command;

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_frugal"))
        .args(command)
        .arg("--help")
        // Its environment would show as defaults.
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_says_what_it_takes() {
    insta::assert_snapshot!("frugal", help(&[]));
    for command in [
        "serve",
        "worker",
        "migrate",
        "prune",
        "simulate",
        "openapi",
        "demo",
        "tune",
        "init",
        "completions",
        "man",
    ] {
        insta::assert_snapshot!(command, help(&[command]));
    }
    insta::assert_snapshot!("keys", help(&["keys"]));
    for command in ["create", "list", "revoke"] {
        insta::assert_snapshot!(format!("keys_{command}"), help(&["keys", command]));
    }
    insta::assert_snapshot!("audit", help(&["audit"]));
    insta::assert_snapshot!("endpoints", help(&["endpoints"]));
    insta::assert_snapshot!("datasets", help(&["datasets"]));
    for command in ["add", "list", "delete"] {
        let of_command = help(&["datasets", command]);
        insta::assert_snapshot!(format!("datasets_{command}"), of_command);
    }
    for command in [
        "submit", "estimate", "watch", "jobs", "show", "report", "trials", "pause", "resume",
        "cancel", "continue", "enqueue", "export",
    ] {
        insta::assert_snapshot!(format!("jobs_{command}"), help(&[command]));
    }
    insta::assert_snapshot!("endpoints_check", help(&["endpoints", "check"]));
}

#[test]
fn shells_and_the_manual_know_every_command() {
    let says = |command: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_frugal"))
            .args(command)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = says(&["completions", shell]);
        for command in ["tune", "submit", "endpoints"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert!(says(&["man"]).contains("frugal\\-tune(1)"));
    let folder = tempfile::tempdir().unwrap();
    says(&["man", "--to", folder.path().to_str().unwrap()]);
    for page in ["frugal.1", "frugal-tune.1", "frugal-keys-create.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}
