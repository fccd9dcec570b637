//! Scores: the one place where a scorer is called. What it said is stored before anything is
//! derived from it. What a scorer cannot do by itself is done here: programs are run in the sandbox, and a
//! judge's replies are read.

use crate::context::Context;
use crate::error::DriveError;
use crate::judge;
use crate::text::Text;
use crate::texts::texts;
use chrono::Utc;
use frugal_domain::job::Instance;
use frugal_domain::scoring::Observation;
use frugal_evaluation::ScorePlan;
use frugal_sandbox::Sandbox;
use frugal_scoring::{Pending, Run, Scorer, Verdict};
use frugal_store::scores::{self, NewScore};
use frugal_tuning::{ScoreBatch, Scored};
use futures::future::join_all;
use std::sync::Arc;

/// Scores responses, whole or cut, off the threads that everything else runs on, and stores the
/// scores. Where a judge was asked about them, its replies are read.
///
/// # Errors
/// The database failed, the lease is lost, or a text is not there.
pub(crate) async fn score(context: &Context, batch: ScoreBatch) -> Result<Vec<Scored>, DriveError> {
    let scored = if batch.replies.is_empty() {
        by_rule(context, batch).await?
    } else {
        judge::read_replies(context, batch).await?
    };
    let new: Vec<NewScore> = scored
        .iter()
        .map(|(key, score)| {
            Ok(NewScore {
                key: scores::ScoreKey {
                    response: key.response,
                    max_tokens: key.max_tokens,
                    instance: u32::try_from(key.instance)?,
                },
                score: score.clone(),
            })
        })
        .collect::<Result<_, DriveError>>()?;
    let mut connection = context.pool.acquire().await?;
    scores::insert(&mut connection, context.claim, &new, Utc::now()).await?;
    Ok(scored)
}

async fn by_rule(context: &Context, batch: ScoreBatch) -> Result<Vec<Scored>, DriveError> {
    let texts = texts(context, batch.plans.iter().map(|plan| plan.key.response)).await?;
    let mut work = Vec::with_capacity(batch.plans.len());
    for plan in batch.plans {
        let response = plan.key.response;
        let text = texts
            .get(&response)
            .cloned()
            .ok_or(DriveError::NoText(response))?;
        work.push((plan, text));
    }
    let (data, scorer) = (Arc::clone(&context.data), Arc::clone(&context.scorer));
    let split = batch.of.purpose.split();
    let verdicts = tokio::task::spawn_blocking(move || {
        let one = |(plan, text): (ScorePlan, Text)| {
            let verdict = verdict(&scorer, data.rows(split), &plan, &text);
            (plan.key, verdict)
        };
        work.into_iter().map(one).collect::<Vec<_>>()
    })
    .await?;
    // The sandbox, which all jobs share, says how many of them run at a time.
    let scored = verdicts.into_iter().map(async |(key, verdict)| {
        let observed = match verdict {
            Ok(Verdict::Score(observed)) => Ok(observed),
            Ok(Verdict::Pending(Pending::Run(run))) => run_programs(context, run).await,
            Ok(Verdict::Pending(Pending::Ask)) => Err("the judge was not asked".to_owned()),
            Err(error) => Err(error),
        };
        (key, observed)
    });
    Ok(join_all(scored).await)
}

/// Runs the programs that a score takes. What goes wrong with the sandbox is a score that is missing, and
/// never a bad one.
async fn run_programs(context: &Context, mut run: Run) -> Result<Observation, String> {
    let sandbox: &Sandbox = match &context.sandbox {
        Some(sandbox) => sandbox,
        None => return Err("there is no sandbox".to_owned()),
    };
    while let Some(program) = run.next() {
        match sandbox.run(program).await {
            Ok(ended) => run.ended(&ended),
            Err(error) => {
                tracing::error!(%error, cause = ?std::error::Error::source(&error), "a program could not be run");
                return Err(error.to_string());
            }
        }
    }
    Ok(run.score().into())
}

fn verdict(
    scorer: &Scorer,
    rows: &[Instance],
    plan: &ScorePlan,
    text: &Text,
) -> Result<Verdict, String> {
    let row = rows
        .get(plan.key.instance)
        .ok_or_else(|| format!("there is no row {}", plan.key.instance))?;
    let expectation = scorer.expectation(row).map_err(|error| error.to_string())?;
    Ok(expectation.verdict(text.as_scored(plan)))
}
