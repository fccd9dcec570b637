//! The demonstration: a job on recorded answers of real models (or on a model of one's own),
//! posted and followed over HTTP like any client would, and shown on the terminal.
//!
//! What the demo tunes is in [`job`], how it talks with the API in [`client`], what is seen
//! while it runs in [`progress`], and what is printed in the end in [`table`]. Database,
//! endpoint, API and workers are started by the program around it.

mod args;
pub mod client;
mod job;
pub mod progress;
pub mod report;
pub mod table;

pub use args::{ApiName, DemoArgs, SEED};
pub use job::{ENDPOINT, TASK, Way, catalog, job, simulator_options};

use anyhow::{Context, bail};
use client::Client;
use frugal_domain::job::Pruning;
use frugal_domain::state::{JobState, StopReason};
use progress::Progress;
use report::Outcome;
use std::io::Write;
use tokio_util::sync::CancellationToken;

/// Runs the demo against an API that is being served, on the terminal: progress goes to standard
/// error, results to standard output. It returns once the results are printed, or early and
/// without them when `shutdown` is cancelled.
///
/// # Errors
/// The API refuses the job or is away, the job fails, or the terminal cannot be written to.
pub async fn run(
    args: &DemoArgs,
    api_url: &str,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(text) =
        demonstrate(args, api_url, &mut Progress::on_standard_error(), shutdown).await?
    else {
        return Ok(());
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Runs the demo's job or jobs. Returns the text of the results, or nothing where `shutdown` was
/// cancelled before there were any.
///
/// # Errors
/// The API refuses a job or is away, or a job fails.
pub async fn demonstrate(
    args: &DemoArgs,
    api_url: &str,
    progress: &mut Progress,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<String>> {
    let client = Client::new(api_url, None)?;
    let ways: &[Way] = if args.compare_pruning {
        &[
            Way::Searched(Pruning::Off),
            Way::Searched(Pruning::On),
            Way::Default,
        ]
    } else {
        &[Way::Default]
    };
    let mut outcomes = Vec::new();
    for way in ways {
        match carry_out(&client, args, *way, progress, shutdown).await? {
            Some(outcome) => outcomes.push(outcome),
            None => return Ok(None),
        }
    }
    let Some(last) = outcomes.last() else {
        return Ok(None);
    };
    let mut text = table::found(last);
    text.push_str(&match outcomes.as_slice() {
        [off, on, _] => table::compared(off, on),
        _ => table::spent(last),
    });
    text.push_str(&table::notes(last));
    if !args.exit {
        text.push_str(&table::links(api_url, &last.job.id));
    }
    Ok(Some(text))
}

/// Posts the demo's job, follows it to its end, and fetches what it found. Where `shutdown` is
/// cancelled before that, the job is cancelled too, and nothing is returned.
///
/// # Errors
/// The API refuses the job or is away, or the job does not succeed.
pub async fn carry_out(
    client: &Client,
    args: &DemoArgs,
    way: Way,
    progress: &mut Progress,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Outcome>> {
    let posted = client.post_job(&job(args, way)?).await?;
    progress.begin(&posted, way);
    let follow = client.follow(&posted.id, |event| progress.see(event));
    let followed = shutdown.run_until_cancelled(follow).await;
    progress.end();
    let Some(followed) = followed else {
        // In a database that outlives the demo the next worker would take the job up again.
        client.cancel(&posted.id).await?;
        return Ok(None);
    };
    followed?;
    let job = client.job(&posted.id).await?;
    match job.state {
        JobState::Succeeded => {}
        state => {
            let reason = job.stop_reason.map_or("", StopReason::as_str);
            let detail = job.detail.as_deref().unwrap_or(reason);
            bail!("the job ended as {state}: {detail}");
        }
    }
    let report = client.report(&posted.id).await?;
    Ok(Some(Outcome { job, report }))
}
