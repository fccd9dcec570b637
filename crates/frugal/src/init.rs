//! `frugal init`: a configuration and a first job for a task, to run at once and then to change.
//!
//! The tasks are the jobs of `examples/`, which come with answers to be run against.

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The file of rows, as the job names it.
const ROWS: &str = "rows.jsonl";
/// The share of the rows that the search does not see.
const HELD_OUT: f64 = 0.4;
/// The configuration, the same for every task.
const CONFIGURATION: &str = include_str!("../frugal.example.toml");

/// The parts of a job in the order in which they are written, each with what is to be said of it.
const PARTS: [(&str, &str); 9] = [
    ("name", "What people call it."),
    (
        "data",
        "The rows: what a prompt is filled with and what a good answer is. Put your own into the file, one JSON object a \
         line, or name a table (.csv) or an array (.json); the prompts and the scoring below name its fields. The rows \
         held out are never seen by the search: only they can show whether its winner is better than what you have. \
         Some hundred rows in all tell much more than these few.",
    ),
    (
        "models",
        "The models to choose from, at endpoints of frugal.toml.",
    ),
    (
        "prompts",
        "The prompts to choose from: templates over the fields of a row. Give two or more to have them compared.",
    ),
    (
        "demonstrations",
        "How many of the other rows a prompt shows as examples.",
    ),
    (
        "search_space",
        "The settings that may vary: a value, {choice: […]}, {int: [from, to]} or {float: [from, to]}; with top_p in place \
         of temperature, and stop, if you like.",
    ),
    (
        "scoring",
        "What a good answer is: docs/scoring.md has the scorers.",
    ),
    (
        "budgets",
        "What may be spent: inference is the most that a row may cost once it is in use, prompt and all n answers \
         together; optimization is the most that this search may cost. Dollars ({usd: …}) or tokens ({tokens: …}).",
    ),
    (
        "search",
        "How it is searched. The same seed draws the same.",
    ),
];

/// What `frugal init` takes.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to write to
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,
    /// What the first job is about
    #[arg(long, value_enum, default_value_t, value_name = "TASK")]
    pub task: Task,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
}

/// What a first job is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// One of several labels for a text
    #[default]
    Classification,
    /// Fields of a text, as JSON
    Extraction,
    /// Word problems with a number or a formula for an answer
    Math,
    /// Functions in Python, held to their tests
    Code,
    /// Short answers to questions about a text
    Qa,
    /// A text in a sentence, held against given ones
    Summaries,
    /// The same, rated by a model
    Judge,
}

impl Task {
    /// The job, and the answers to its rows.
    const fn example(self) -> (&'static str, &'static str) {
        macro_rules! example {
            ($folder:literal) => {
                (
                    include_str!(concat!("../../../examples/", $folder, "/job.json")),
                    include_str!(concat!("../../../examples/", $folder, "/answers.jsonl")),
                )
            };
        }
        match self {
            Self::Classification => example!("classification"),
            Self::Extraction => example!("extraction"),
            Self::Math => example!("mathematics"),
            Self::Code => example!("code"),
            Self::Qa => example!("question-answering"),
            Self::Summaries => example!("summaries-rouge"),
            Self::Judge => example!("summaries-judge"),
        }
    }

    /// The files of a first job, by their names.
    fn files(self) -> anyhow::Result<[(&'static str, String); 4]> {
        let (job, answers) = self.example();
        let mut job: Map<String, Value> = serde_json::from_str(job)?;
        let data = json!({"file": ROWS, "holdout": HELD_OUT});
        let data = job.insert("data".to_owned(), data);
        let rows = data.as_ref().and_then(|data| data["instances"].as_array());
        let mut lines = String::new();
        for row in rows.into_iter().flatten() {
            let _ = writeln!(lines, "{row}");
        }
        Ok([
            ("frugal.toml", CONFIGURATION.to_owned()),
            ("job.yaml", commented(&mut job)?),
            (ROWS, lines),
            ("answers.jsonl", answers.to_owned()),
        ])
    }
}

/// A job in YAML, with what is to be said of each part above it.
fn commented(job: &mut Map<String, Value>) -> anyhow::Result<String> {
    let mut text = "# A job for Frugal: the body of POST /jobs (docs/jobs.md).\n".to_owned();
    for (name, words) in PARTS {
        let Some(part) = job.remove(name) else {
            continue;
        };
        text.push('\n');
        let mut line = "#".to_owned();
        for word in words.split(' ') {
            if line.len() + 1 + word.len() > 100 {
                let _ = writeln!(text, "{line}");
                line = "#".to_owned();
            }
            let _ = write!(line, " {word}");
        }
        let _ = writeln!(text, "{line}");
        text.push_str(&yaml_serde::to_string(&json!({name: part}))?);
    }
    if let Some(name) = job.keys().next() {
        bail!("the example has a part `{name}` of which nothing is said");
    }
    Ok(text)
}

/// Writes the files, and says what to do next.
///
/// # Errors
/// A file is there and is another, unless it may be written over, or one cannot be written.
pub fn run(args: &InitArgs) -> anyhow::Result<String> {
    let InitArgs {
        folder,
        task,
        force,
    } = args;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = task.files()?;
    let mut missing = Vec::new();
    let mut others = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(there) if there == text.as_bytes() => {}
            Ok(_) => others.push((path, text)),
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push((path, text)),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    if !others.is_empty() && !force {
        let names: Vec<_> = others
            .iter()
            .map(|(path, _)| path.display().to_string())
            .collect();
        bail!(
            "{} would be written over, so nothing was written; name another folder, or allow it with --force",
            names.join(", ")
        );
    }
    for (path, text) in &missing {
        write(path, text, std::fs::OpenOptions::new().create_new(true))?;
    }
    for (path, text) in &others {
        write(path, text, std::fs::OpenOptions::new().truncate(true))?;
    }
    Ok(next(folder))
}

fn write(path: &Path, text: &str, how: &mut std::fs::OpenOptions) -> anyhow::Result<()> {
    let file = how.write(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// What to do with the files.
fn next(folder: &Path) -> String {
    let enter = match folder == Path::new(".") {
        true => String::new(),
        false => format!("  cd {}\n", folder.display()),
    };
    format!(
        "frugal.toml names endpoints, job.yaml what is tuned, {ROWS} its rows, and answers.jsonl what stands in for a \
         model's answers to them. Try it, without a key and for nothing:\n\n\
         {enter}  frugal simulate --data answers.jsonl &\n  frugal tune job.yaml\n\n\
         Then put rows and prompts of your own into {ROWS} and job.yaml, and an endpoint of your own into frugal.toml; \
         `frugal endpoints check` says what it can do.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_unless_it_may_go() {
        let folder = tempfile::tempdir().unwrap();
        let args = |task, force| InitArgs {
            folder: folder.path().join("new"),
            task,
            force,
        };
        run(&args(Task::Math, false)).unwrap();
        // Once more changes nothing, and neither does a refusal.
        run(&args(Task::Math, false)).unwrap();
        let job = folder.path().join("new/job.yaml");
        let before = std::fs::read_to_string(&job).unwrap();
        let refused = run(&args(Task::Code, false)).unwrap_err().to_string();
        assert!(
            refused.contains("job.yaml") && refused.contains("--force"),
            "{refused}"
        );
        assert!(!refused.contains("frugal.toml"), "{refused}");
        assert_eq!(std::fs::read_to_string(&job).unwrap(), before);
        run(&args(Task::Code, true)).unwrap();
        assert_ne!(std::fs::read_to_string(&job).unwrap(), before);
    }

    #[test]
    fn a_first_job_says_what_its_parts_are() {
        let files = Task::Classification.files().unwrap();
        insta::assert_snapshot!(files[1].1);
    }
}
