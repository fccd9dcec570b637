//! `frugal submit`, `frugal watch` and what else is done with jobs from a terminal: a client of the API.

pub mod document;
mod show;

use crate::datasets::ServerArgs;
use crate::demo::client::Client;
use crate::demo::progress::Progress;
use crate::demo::report::Outcome;
use crate::demo::{Way, table};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use frugal_domain::money::Budget;
use frugal_domain::state::JobState;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How the program ends where a job that it was to wait for has failed.
const JOB_FAILED: u8 = 3;
/// How it ends where such a job was cancelled.
const JOB_CANCELLED: u8 = 4;
/// What stands for the job that was posted last.
const LATEST: &str = "latest";

/// What to do about jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Post a job from a file (JSON or YAML) to a server that runs, and print its id
    ///
    /// The file is the body of POST /jobs, in JSON or YAML. Where its `data` has `file` in place of `instances`, that
    /// names a file of rows (.jsonl, .csv or .json, each also with .gz), from the folder of the job's own file: it is
    /// posted as a dataset first.
    #[command(after_help = EXITS)]
    Submit(SubmitArgs),
    /// Say what a job may cost and what is probably a mistake in it, without posting it
    ///
    /// Rows in a file of their own are posted, as with `frugal submit`: the server reads them.
    Estimate(FileArgs),
    /// Follow a job until it has ended, then show what it found; begun again, it goes on where the job is
    #[command(after_help = EXITS)]
    Watch(JobArgs),
    /// List jobs, newest first
    Jobs(ListArgs),
    /// Show how far a job is
    Show(JobArgs),
    /// Show what a job has found
    Report(ReportArgs),
    /// List the trials of a job, the best first
    Trials(JobArgs),
    /// Pause a job: what is in flight comes home, nothing more is sent
    Pause(JobArgs),
    /// Let a paused job go on
    Resume(JobArgs),
    /// Cancel a job; what it found stays
    Cancel(JobArgs),
    /// Go on with a job that has ended, with a larger budget; nothing is paid for twice
    Continue(ContinueArgs),
    /// Put configurations of your own into a job that goes on: they are tried next, and may win
    ///
    /// The file holds settings by name, such as {"temperature": 0.4, "max_tokens": 64}, or a list of such. What is
    /// left out is as in the default baseline; of several models one must be named. One that the job has a trial of
    /// costs nothing and is shown as it stands, so the same file put in once more tells what became of it.
    Enqueue(EnqueueArgs),
    /// Print everything of a job as JSON lines
    Export(JobArgs),
}

/// Exit codes, for scripts.
const EXITS: &str = "Exit codes: 0 where the job succeeded (or, without --watch, was taken), 1 where something could \
                     not be done, 2 for a mistake in the command, 3 where the job failed, 4 where it was cancelled.";

/// What `frugal submit` takes.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The job
    #[command(flatten)]
    pub job: FileArgs,
    /// Follow it to its end, then show what it found
    #[arg(long)]
    pub watch: bool,
}

/// A job in a file.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The file: .json, or .yaml and .yml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How answers are printed.
    #[command(flatten)]
    pub form: FormArgs,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A job of the server's.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// Its id, or `latest` for the one that was posted last
    #[arg(value_name = "ID")]
    pub id: String,
    /// How answers are printed.
    #[command(flatten)]
    pub form: FormArgs,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What `frugal report` takes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// Write it as a page to read, print or send, into FILE or else to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "json")]
    pub html: Option<Option<PathBuf>>,
}

/// What `frugal jobs` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only jobs in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// How many at most
    #[arg(long, default_value_t = 20, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    /// How answers are printed.
    #[command(flatten)]
    pub form: FormArgs,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What `frugal continue` takes.
#[derive(Debug, Args)]
pub struct ContinueArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// What it may spend in all from now on, in the unit of its budget: dollars or tokens
    #[arg(long, value_name = "AMOUNT")]
    pub budget: f64,
}

/// What `frugal enqueue` takes.
#[derive(Debug, Args)]
pub struct EnqueueArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// The file: .json, or .yaml and .yml; `-` for standard input in either form
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// How answers are printed.
#[derive(Debug, Args)]
pub struct FormArgs {
    /// Print what the server answers, as JSON
    #[arg(long)]
    pub json: bool,
}

/// A state that jobs are looked for in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It was asked to pause.
    Pausing,
    /// It is paused.
    Paused,
    /// It was asked to end.
    Cancelling,
    /// It was cancelled.
    Cancelled,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed,
}

/// Carries a command out, writing to `out`.
///
/// # Errors
/// A file is not to be had or makes no sense, or the server is away or refuses.
pub async fn run(command: &JobsCommand, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        JobsCommand::Submit(args) => return submit(args, out).await,
        JobsCommand::Watch(args) => return watch(args, out).await,
        JobsCommand::Export(args) => {
            let (client, id) = named(args).await?;
            let mut lines = client.open(&format!("/jobs/{id}/export")).await?;
            while let Some(piece) = lines.chunk().await? {
                out.write_all(&piece)?;
            }
        }
        JobsCommand::Estimate(args) => {
            let client = args.server.client()?;
            let job = document::read(&args.file, &client).await?;
            let estimate = client.ask(Method::POST, "/jobs/estimate", Some(&job));
            print(&args.form, &estimate.await?, show::estimate, out)?;
        }
        JobsCommand::Jobs(args) => {
            let state = args.state.and_then(|state| state.to_possible_value());
            let state =
                state.map_or_else(String::new, |state| format!("&state={}", state.get_name()));
            let path = format!("/jobs?limit={}{state}", args.limit);
            let jobs = args.server.client()?.ask(Method::GET, &path, None).await?;
            print(&args.form, &jobs, show::jobs, out)?;
        }
        JobsCommand::Show(args) => {
            let (client, id) = named(args).await?;
            let job = client
                .ask(Method::GET, &format!("/jobs/{id}"), None)
                .await?;
            print(&args.form, &job, show::job, out)?;
        }
        JobsCommand::Report(args) => report(args, out).await?,
        JobsCommand::Trials(args) => {
            let (client, id) = named(args).await?;
            let job = client
                .ask(Method::GET, &format!("/jobs/{id}"), None)
                .await?;
            let less_is_better = job.pointer("/objective/direction") == Some(&json!("minimize"));
            let trials = Value::Array(client.all(&format!("/jobs/{id}/trials")).await?);
            let words = |trials: &Value| show::trials(trials, less_is_better);
            print(&args.form, &trials, words, out)?;
        }
        JobsCommand::Pause(args) => steer(args, "pause", out).await?,
        JobsCommand::Resume(args) => steer(args, "resume", out).await?,
        JobsCommand::Cancel(args) => steer(args, "cancel", out).await?,
        JobsCommand::Continue(args) => go_on(args, out).await?,
        JobsCommand::Enqueue(args) => enqueue(args, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an answer as it is, or in words.
fn print(
    form: &FormArgs,
    answer: &Value,
    words: impl FnOnce(&Value) -> anyhow::Result<String>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if form.json {
        writeln!(out, "{answer:#}")?;
    } else {
        let text =
            words(answer).context("the server's answer is of another version than this program")?;
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// The server, and the id of the job that is meant.
async fn named(args: &JobArgs) -> anyhow::Result<(Client, String)> {
    let client = args.server.client()?;
    if args.id != LATEST {
        // It becomes a part of a path.
        let is_plain = args
            .id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !is_plain {
            bail!(
                "`{}` is no id of a job; give one of those that `frugal jobs` lists, or `{LATEST}`",
                args.id
            );
        }
        return Ok((client, args.id.clone()));
    }
    let newest = client.ask(Method::GET, "/jobs?limit=1", None).await?;
    let id = newest.pointer("/data/0/id").and_then(Value::as_str);
    let id = id.context("there is no job yet")?.to_owned();
    Ok((client, id))
}

async fn submit(args: &SubmitArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let FileArgs { file, form, server } = &args.job;
    let client = server.client()?;
    let job = document::read(file, &client).await?;
    let posted = client.ask(Method::POST, "/jobs", Some(&job)).await;
    let posted = posted.context("the job was not accepted")?;
    if args.watch {
        let id = posted["id"]
            .as_str()
            .context("the server's answer has no id")?;
        return follow(&client, id, form, out).await;
    }
    print(form, &posted, show::posted, out)?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(args: &JobArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (client, id) = named(args).await?;
    follow(&client, &id, &args.form, out).await
}

/// Follows a job to its end, on standard error, and prints what it found.
async fn follow(
    client: &Client,
    id: &str,
    form: &FormArgs,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::on_standard_error();
    progress.begin(&client.job(id).await?, Way::Default);
    let followed = client.follow(id, |event| progress.see(event)).await;
    progress.end();
    followed?;
    ended(client, id, form, out).await
}

/// Prints what a job has found that has ended, and says by the exit code how it did.
///
/// # Errors
/// The server is away, has no report of it, or nothing can be printed.
pub async fn ended(
    client: &Client,
    id: &str,
    form: &FormArgs,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let job = client.job(id).await?;
    match (found(client, id, form, out).await, job.state) {
        (Ok(()), _) => {}
        // One that was never begun has no report.
        (Err(_), JobState::Failed | JobState::Cancelled) => {}
        (Err(error), _) => return Err(error),
    }
    match job.state {
        JobState::Failed => {
            let detail = job
                .detail
                .unwrap_or_else(|| "no reason is on record".to_owned());
            writeln!(out, "The job failed: {detail}")?;
            Ok(ExitCode::from(JOB_FAILED))
        }
        JobState::Cancelled => {
            writeln!(out, "The job was cancelled.")?;
            Ok(ExitCode::from(JOB_CANCELLED))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

async fn report(args: &ReportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (client, id) = named(&args.job).await?;
    let Some(file) = &args.html else {
        return found(&client, &id, &args.job.form, out).await;
    };
    let page = client.open(&format!("/jobs/{id}/report.html")).await?;
    let page = page.bytes().await?;
    match file {
        Some(file) => std::fs::write(file, page)
            .with_context(|| format!("--html: cannot write {}", file.display())),
        None => Ok(out.write_all(&page)?),
    }
}

/// Prints a job's report.
async fn found(
    client: &Client,
    id: &str,
    form: &FormArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if form.json {
        let report = client
            .ask(Method::GET, &format!("/jobs/{id}/report"), None)
            .await?;
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    let outcome = Outcome {
        job: client.job(id).await?,
        report: client.report(id).await?,
    };
    for text in [
        table::found(&outcome),
        table::spent(&outcome),
        table::notes(&outcome),
    ] {
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Asks for something of a job, and shows it as it then is.
async fn steer(args: &JobArgs, wish: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let (client, id) = named(args).await?;
    let job = client
        .ask(Method::POST, &format!("/jobs/{id}/{wish}"), None)
        .await?;
    print(&args.form, &job, show::job, out)
}

async fn go_on(args: &ContinueArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (client, id) = named(&args.job).await?;
    let unit = match client.job(&id).await?.budgets.optimization {
        Budget::Usd(_) => "usd",
        Budget::Tokens(_) => "tokens",
    };
    // Tokens are whole numbers in the document.
    let amount = match unit {
        "tokens" => json!(args.budget.round()),
        _ => json!(args.budget),
    };
    let body = json!({"budgets": {"optimization": {unit: amount}}});
    let job = client
        .ask(Method::POST, &format!("/jobs/{id}/continue"), Some(&body))
        .await?;
    print(&args.job.form, &job, show::job, out)
}

/// Puts configurations into a job one after the other, and shows what became of each.
async fn enqueue(args: &EnqueueArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let configurations = document::configurations(&args.file).await?;
    let (client, id) = named(&args.job).await?;
    let path = format!("/jobs/{id}/trials");
    let count = configurations.len();
    let mut answers = Vec::new();
    let mut refused = None;
    for configuration in configurations {
        let body = json!({"configuration": configuration});
        match client.ask(Method::POST, &path, Some(&body)).await {
            Ok(answer) => answers.push(answer),
            Err(error) => {
                let number = answers.len() + 1;
                refused = Some(error.context(format!(
                    "configuration {number} of {count} was not put in, and none after it"
                )));
                break;
            }
        }
    }
    // Those before a refused one are in, and worth knowing of.
    if !answers.is_empty() {
        print(&args.job.form, &Value::Array(answers), show::enqueued, out)?;
    }
    refused.map_or(Ok(()), Err)
}
