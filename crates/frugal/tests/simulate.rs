//! `frugal simulate` as a program: answers and faults from files.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program, ended with the test.
struct Simulator {
    child: Child,
    base_url: String,
}

impl Simulator {
    fn start(arguments: &[&str]) -> Self {
        let mut child = simulate(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let line = stdout.lines().next().unwrap().unwrap();
        let base_url = line.rsplit(' ').next().unwrap().to_owned();
        assert!(base_url.starts_with("http://127.0.0.1:"), "{line}");
        Self { child, base_url }
    }

    async fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        frugal_llm::install_crypto_provider();
        let request = reqwest::Client::new().post(format!("{}/{path}", self.base_url));
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        (status, body)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn simulate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frugal"));
    command
        .args(["simulate", "--bind", "127.0.0.1:0"])
        .args(arguments);
    command
}

/// What a run that does not start says.
fn complaint(arguments: &[&str]) -> String {
    let output = simulate(arguments).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn texts(answer: &Value) -> Vec<String> {
    let choices = answer["choices"].as_array().unwrap();
    let text = |choice: &Value| {
        let text = choice["text"].as_str();
        text.or(choice["message"]["content"].as_str())
            .unwrap()
            .to_owned()
    };
    choices.iter().map(text).collect()
}

#[tokio::test]
async fn answers_of_ones_own_are_drawn_by_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = file(
        folder.path(),
        "answers.jsonl",
        "{\"contains\": \"2 + 3\", \"answers\": [\"5\", {\"text\": \"6\", \"weight\": 0.25}]}\n\
         {\"prompt\": \"Spell out: nine\", \"answers\": [\"n i n e, that is how it is written\"]}\n",
    );
    let simulator =
        Simulator::start(&["--seed", "1", "--data", &data, "--answer", "I do not know"]);
    let sum = json!({
        "model": "any", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is 2 + 3?"},
            {"role": "assistant", "content": "Let me see."},
            {"role": "user", "content": "Well?"}
        ],
        "n": 100, "temperature": 1, "top_p": 0.9, "max_tokens": 5
    });
    let (status, answer) = simulator.ask("chat/completions", &sum).await;
    assert_eq!(status, 200, "{answer}");
    let right = texts(&answer).iter().filter(|text| *text == "5").count();
    assert!((70..90).contains(&right), "{right} of 100 with seed 1");
    // As with recorded answers, fewer responses are the first of more.
    let mut fewer = sum.clone();
    fewer["n"] = json!(10);
    let (_, again) = simulator.ask("chat/completions", &fewer).await;
    assert_eq!(texts(&again), texts(&answer)[..10]);

    let cut = json!({"model": "any", "prompt": "Spell out: nine", "max_tokens": 3});
    let (_, answer) = simulator.ask("completions", &cut).await;
    assert_eq!(texts(&answer), ["n i n"]);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    let stopped =
        json!({"model": "any", "prompt": "Spell out: nine", "max_tokens": 50, "stop": [","]});
    let (_, answer) = simulator.ask("completions", &stopped).await;
    assert_eq!(texts(&answer), ["n i n e"]);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");

    let other = json!({"model": "any", "prompt": "What else?", "max_tokens": 50});
    let (_, answer) = simulator.ask("completions", &other).await;
    assert_eq!(texts(&answer), ["I do not know"]);
    // Without a cap a chat is answered in whole, as OpenAI does.
    let message = json!({"role": "user", "content": "Spell out: nine"});
    let chat = json!({"model": "any", "messages": [message]});
    let (_, answer) = simulator.ask("chat/completions", &chat).await;
    assert_eq!(texts(&answer), ["n i n e, that is how it is written"]);
}

#[tokio::test]
async fn a_prompt_without_an_answer_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[{\"model\": \"large\", \"prompt\": \"Hello\", \"answers\": [\"Hi\"]}]";
    let data = file(folder.path(), "answers.json", text);
    let simulator = Simulator::start(&["--data", &data]);
    let ask = |model: &str| json!({"model": model, "prompt": "Hello"});
    assert_eq!(simulator.ask("completions", &ask("large")).await.0, 200);
    let (status, answer) = simulator.ask("completions", &ask("small")).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (400, &json!("unknown_prompt"))
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("'small'") && message.contains("--answer"),
        "{message}"
    );
}

#[tokio::test]
async fn faults_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        file(folder.path(), "faults.toml", "rate_limited = 1"),
        file(folder.path(), "faults.json", "{\"rate_limited\": 1}"),
    ];
    for faults in files {
        let simulator = Simulator::start(&["--answer", "yes", "--faults", &format!("@{faults}")]);
        let (status, _) = simulator
            .ask("completions", &json!({"model": "m", "prompt": "p"}))
            .await;
        assert_eq!(status, 429, "{faults}");
    }
}

#[test]
fn files_that_make_no_sense_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = file(
        folder.path(),
        "data.jsonl",
        "{\"answers\": [\"a\"]}\n{\"answers\": []}",
    );
    let faults = file(folder.path(), "faults.toml", "rate_limited = 2");
    let no_table = file(folder.path(), "faults.json", "[1]");
    for (arguments, told) in [
        (
            ["--data", data.as_str()],
            "data.jsonl: line 2: answers: is empty",
        ),
        (["--data", "/nowhere"], "--data: cannot read /nowhere"),
        (["--faults", &format!("@{faults}")], "faults.toml"),
        (
            ["--faults", &format!("@{no_table}")],
            "faults.json is no object of rates",
        ),
        (["--faults", "@/nowhere"], "--faults: cannot read /nowhere"),
    ] {
        let complaint = complaint(&arguments);
        assert!(complaint.contains(told), "{complaint}");
    }
}
