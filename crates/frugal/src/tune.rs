//! `frugal tune`: one job from its file to its result in one process, without a server of the user's.
//!
//! It is the API, a worker and a client of the API together, over the database that `frugal serve` would use.
//! Which job a file stands for is told by a label, so that one that was begun is found again; the worker drives
//! that job alone, whatever else stands in the database.

use crate::config::Config;
use crate::database::Database;
use crate::demo::Way;
use crate::demo::client::Client;
use crate::demo::progress::Progress;
use crate::demo::report::{Budgets, Job};
use crate::demo::table::budget_amount;
use crate::embedded_postgres::EmbeddedPostgresError;
use crate::jobs::{self, FormArgs, document};
use crate::sandbox::{self, Place};
use crate::server::{Server, listen, usable, worker_options};
use anyhow::{Context, bail};
use clap::Args;
use frugal_domain::endpoint::Catalog;
use frugal_domain::id::JobId;
use frugal_domain::money::Budget;
use frugal_domain::state::JobState;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How the program ends where it was broken off and can go on.
const BROKEN_OFF: u8 = 5;
/// The label that tells which file a job came from.
const LABEL: &str = "tune";
/// How many bytes of a hash tell a job from others.
const HASHED: usize = 16;
/// How long a job may take to pause beyond the time that requests in flight are given.
const TO_PAUSE: Duration = Duration::from_secs(5);
/// What may be another in a document of the same job: places and their fields.
const CHANGEABLE: [(&str, &str); 3] = [("", "name"), ("", "labels"), ("/budgets", "optimization")];

/// How this command ends.
pub const EXITS: &str = "Exit codes: 0 where the job succeeded, 1 where something could not be done, 2 for a mistake \
                         in the command, 3 where the job failed, 4 where it was cancelled, 5 where it was broken off \
                         and can go on.";

/// What `frugal tune` takes.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// The job: .json, or .yaml and .yml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the result is printed.
    #[command(flatten)]
    pub form: FormArgs,
}

/// A job in a list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    state: JobState,
    budgets: Budgets,
    created_at: String,
}

/// The job of a file, as it was found or posted.
struct Begun {
    job: Job,
    /// What is to be said of it first.
    note: Option<String>,
}

/// Tunes the job of a file, and prints its result to `out` and what else is to be said to `notes`. Where `shutdown`
/// is cancelled before the end, the job is paused.
///
/// # Errors
/// No endpoint is configured, the database does not start, the file is not to be had, or the job is refused.
pub async fn run(
    config: &Config,
    args: &TuneArgs,
    out: &mut impl Write,
    notes: &mut impl Write,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    if config.endpoints.endpoints.is_empty() {
        bail!(
            "no endpoint is configured: name one below [endpoints] in frugal.toml, or name that file with --config; `frugal init` writes one"
        );
    }
    let database = open(config, args).await?;
    let tuned = async {
        frugal_store::migrate(database.pool())
            .await
            .context("cannot bring the schema up to date")?;
        in_process(config, &database, args, (out, notes), shutdown).await
    };
    let tuned = tokio::select! {
        tuned = tuned => tuned,
        lost = database.lost() => lost.map(|()| ExitCode::FAILURE),
    };
    database.close().await;
    tuned
}

/// The database, or what to do where a server has it.
async fn open(config: &Config, args: &TuneArgs) -> anyhow::Result<Database> {
    let opened = Database::open(config).await;
    opened.map_err(|error| match error.downcast_ref() {
        Some(EmbeddedPostgresError::InUse { .. }) => error.context(format!(
            "post the job to the server that runs, with `frugal submit {} --watch`, or give another --data-dir",
            args.file.display()
        )),
        _ => error,
    })
}

/// Serves the API to this process, and has the one job seen to.
async fn in_process(
    config: &Config,
    database: &Database,
    args: &TuneArgs,
    (out, notes): (&mut impl Write, &mut impl Write),
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let Place { sandbox, programs } = sandbox::find(&config.sandbox).await;
    let catalog = Arc::new(Catalog {
        programs,
        ..usable(config)
    });
    let server = Server {
        workers: 0,
        sandbox: sandbox.clone(),
        ..Server::for_itself(config, database.pool(), Arc::clone(&catalog))
    };
    let worker = frugal_worker::Options {
        sandbox,
        ..worker_options(database.pool(), &catalog, 1, server.terms.clone())?
    };
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let api_url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let tuning = async {
        let tuned = see_to(&api_url, worker, args, (out, notes), shutdown).await;
        stop.cancel();
        tuned
    };
    let (served, tuned) = tokio::join!(server.run(listener, stop.clone()), tuning);
    served.and(tuned)
}

/// Finds the job or posts it, drives it to its end, and prints what it found.
async fn see_to(
    api_url: &str,
    worker: frugal_worker::Options,
    args: &TuneArgs,
    (out, notes): (&mut impl Write, &mut impl Write),
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let client = Client::new(api_url, None)?;
    let Begun { job, note } = begin(&client, args).await?;
    if let Some(note) = note {
        writeln!(notes, "{note}")?;
    }
    if !job.state.is_terminal() {
        writeln!(
            notes,
            "In a browser, while it runs: {api_url}/#/jobs/{}",
            job.id
        )?;
        let patience = worker.terms.grace + TO_PAUSE;
        let stop = CancellationToken::new();
        let only = frugal_worker::Options {
            only: Some(job.id.parse::<JobId>().context("the job has no id")?),
            ..worker
        };
        let following = async {
            let followed = follow(&client, &job, shutdown, patience).await;
            stop.cancel();
            followed
        };
        let ((), followed) = tokio::join!(frugal_worker::run(only, stop.clone()), following);
        if !followed? {
            let file = args.file.display();
            writeln!(
                notes,
                "Broken off. What was bought is kept; `frugal tune {file}` goes on from there."
            )?;
            return Ok(ExitCode::from(BROKEN_OFF));
        }
    }
    jobs::ended(&client, &job.id, &args.form, out).await
}

/// Finds the job that a file stands for and has it go on, or posts it.
async fn begin(client: &Client, args: &TuneArgs) -> anyhow::Result<Begun> {
    let document = document::read(&args.file, client).await?;
    let name = name_of(&document);
    let wanted = Budgets::deserialize(&document["budgets"]).map(|budgets| budgets.optimization);
    let path = format!("/jobs?label={LABEL}:{name}&limit=1");
    let listed = client.ask(Method::GET, &path, None).await?;
    let earlier = Option::<Listed>::deserialize(&listed["data"][0])
        .context("the list of jobs cannot be read")?;
    let Some(earlier) = earlier else {
        return post(client, document, &name, None).await;
    };
    let more = wanted
        .ok()
        .filter(|wanted| *wanted != earlier.budgets.optimization);
    match earlier.state {
        JobState::Failed | JobState::Cancelled => {
            // What it has bought is taken over where it can be.
            let mut behind = document.clone();
            if let Some(job) = behind.as_object_mut()
                && !job.contains_key("warm_start")
            {
                job.insert("warm_start".to_owned(), json!({"job": earlier.id}));
                let begun = post(client, behind, &name, Some(&earlier)).await;
                if begun.is_ok() {
                    return begun;
                }
            }
            post(client, document, &name, Some(&earlier)).await
        }
        JobState::Succeeded => again(client, &document, &earlier, more).await,
        JobState::Cancelling => Ok(Begun {
            job: client.job(&earlier.id).await?,
            note: Some("It was cancelled, and comes to its end now.".to_owned()),
        }),
        _ => resume(client, &document, &earlier, more).await,
    }
}

/// Refuses a job that cannot be driven as this program is configured: an endpoint may have lost its key, and the
/// worker would have the job fail.
async fn check(client: &Client, document: &Value) -> anyhow::Result<()> {
    let checked = client.ask(Method::POST, "/jobs/estimate", Some(document));
    checked
        .await
        .map(drop)
        .context("the job was begun before, and cannot go on")
}

/// Posts a job under the name that its file gives it.
async fn post(
    client: &Client,
    mut document: Value,
    name: &str,
    earlier: Option<&Listed>,
) -> anyhow::Result<Begun> {
    if let Some(job) = document.as_object_mut() {
        let labels = job.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(LABEL.to_owned(), json!(name));
        }
    }
    let note = earlier.map(|earlier| {
        format!(
            "The job of {} {}; it is begun anew.",
            earlier.created_at,
            match earlier.state {
                JobState::Cancelled => "was cancelled",
                _ => "failed",
            }
        )
    });
    Ok(Begun {
        job: client.post_job(&document).await?,
        note,
    })
}

/// Has a job go on that has succeeded, where its file gives it more money by now.
async fn again(
    client: &Client,
    document: &Value,
    earlier: &Listed,
    more: Option<Budget>,
) -> anyhow::Result<Begun> {
    let Listed {
        id,
        created_at,
        budgets,
        ..
    } = earlier;
    let more = more.filter(|more| more.amount() > budgets.optimization.amount());
    let note = match more {
        None => format!(
            "This is the result of {created_at}, for which nothing was paid now. A larger budgets.optimization has it \
             go on; another search.seed makes it another search."
        ),
        Some(budget) => {
            check(client, document).await?;
            let continued = client
                .ask(
                    Method::POST,
                    &format!("/jobs/{id}/continue"),
                    Some(&given(budget)),
                )
                .await;
            match continued {
                Ok(_) => format!(
                    "It goes on where it ended, with {} in all.",
                    budget_amount(budget)
                ),
                Err(error) => {
                    format!("This is the result of {created_at}; it does not go on: {error:#}")
                }
            }
        }
    };
    Ok(Begun {
        job: client.job(id).await?,
        note: Some(note),
    })
}

/// Has a job go on that has not ended.
async fn resume(
    client: &Client,
    document: &Value,
    earlier: &Listed,
    other: Option<Budget>,
) -> anyhow::Result<Begun> {
    check(client, document).await?;
    let Listed { id, .. } = earlier;
    if let Some(budget) = other {
        let path = format!("/jobs/{id}");
        let changed = client.ask(Method::PATCH, &path, Some(&given(budget))).await;
        changed.context(
            "the job was begun with another budget, which cannot be changed to this one",
        )?;
    }
    client
        .ask(Method::POST, &format!("/jobs/{id}/resume"), None)
        .await?;
    Ok(Begun {
        job: client.job(id).await?,
        note: Some("It was begun before, and goes on where it was.".to_owned()),
    })
}

/// A change of what a job may spend.
fn given(budget: Budget) -> Value {
    json!({"budgets": {"optimization": budget}})
}

/// Follows a job to its end, on standard error, and says whether it has come to it. Where `shutdown` is cancelled
/// before, the job is paused, for so long at most.
async fn follow(
    client: &Client,
    job: &Job,
    shutdown: &CancellationToken,
    patience: Duration,
) -> anyhow::Result<bool> {
    let mut progress = Progress::on_standard_error();
    progress.begin(job, Way::Default);
    let followed = client.follow(&job.id, |event| progress.see(event));
    let followed = shutdown.run_until_cancelled(followed).await;
    progress.end();
    if let Some(followed) = followed {
        return followed.map(|()| true);
    }
    // One that ended meanwhile cannot be paused; one that does not pause in time is given back by its worker.
    let _ = tokio::time::timeout(patience, pause(client, &job.id)).await;
    Ok(client.job(&job.id).await?.state.is_terminal())
}

/// Pauses a job, and waits until it is.
async fn pause(client: &Client, id: &str) -> anyhow::Result<()> {
    client
        .ask(Method::POST, &format!("/jobs/{id}/pause"), None)
        .await?;
    let path = format!("/jobs/{id}?wait=5");
    while client.ask(Method::GET, &path, None).await?["state"] == JobState::Pausing.as_str() {}
    Ok(())
}

/// What tells a job from others: everything in its document but what it is called and what it may spend.
fn name_of(document: &Value) -> String {
    let mut document = document.clone();
    for (place, field) in CHANGEABLE {
        let object = document.pointer_mut(place).and_then(Value::as_object_mut);
        object.and_then(|object| object.remove(field));
    }
    let hash = Sha256::digest(document.to_string());
    let mut name = String::new();
    for byte in hash.iter().take(HASHED) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_the_same_under_another_name_and_budget_and_no_other_way() {
        let job = json!({
            "name": "a", "labels": {"a": "b"}, "prompt": "{{ q }}",
            "budgets": {"inference": {"usd": 1}, "optimization": {"usd": 2}},
        });
        let with = |place: &str, value: Value| {
            let mut other = job.clone();
            *other.pointer_mut(place).unwrap() = value;
            name_of(&other)
        };
        let name = name_of(&job);
        assert_eq!(name.len(), 2 * HASHED);
        assert_eq!(name, with("/name", json!("b")));
        assert_eq!(name, with("/labels", json!({})));
        assert_eq!(name, with("/budgets/optimization", json!({"usd": 3})));
        assert_ne!(name, with("/prompt", json!("{{ r }}")));
        assert_ne!(name, with("/budgets/inference", json!({"usd": 2})));
        let mut bare = job.clone();
        bare["budgets"] = json!({"inference": {"usd": 1}});
        assert_eq!(name, name_of(&bare));
    }
}
