//! Scores: the one place where a scorer is called. What it said is stored before anything is
//! derived from it. What a scorer cannot do by itself is done here: programs are run in the sandbox, and a
//! judge's replies are read.

use crate::context::Context;
use crate::error::DriveError;
use crate::judge;
use chrono::Utc;
use frugal_domain::job::Instance;
use frugal_domain::request::ResponseId;
use frugal_domain::scoring::Observation;
use frugal_evaluation::{Cut, ScorePlan};
use frugal_sandbox::Sandbox;
use frugal_scoring::{Pending, Run, Scorer, Verdict};
use frugal_store::responses::{self, StoredResponse};
use frugal_store::scores::{self, NewScore};
use frugal_tuning::{ScoreBatch, Scored};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Billed tokens over those of our own count from which on some of them must have been hidden: no
/// two tokenizers differ by so much on text.
const LARGEST_RATIO: u64 = 3;

/// The text of a response, with its length in tokens by our own count.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    text: Arc<str>,
    estimated_tokens: u64,
}

impl Text {
    /// All of it.
    pub(crate) fn whole(&self) -> &str {
        &self.text
    }

    /// As a plan has it scored: whole, or cut.
    pub(crate) fn as_scored(&self, plan: &ScorePlan) -> &str {
        match plan.cut {
            Some(cut) => frugal_tokens::cut(&self.text, kept(cut, self.estimated_tokens)),
            None => &self.text,
        }
    }
}

impl From<StoredResponse> for Text {
    fn from(response: StoredResponse) -> Self {
        Self {
            text: response.text.into(),
            estimated_tokens: response.estimated_tokens,
        }
    }
}

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

/// How many tokens of a text to keep by our tokenizer, which counts `estimated` in all of it.
///
/// Tokenizers differ, so the limit is taken in proportion. Where far more was billed than the text
/// has, the rest was hidden reasoning, which comes first: the limit then leaves the text what it
/// leaves.
fn kept(cut: Cut, estimated: u64) -> u64 {
    let (billed, limit) = (cut.tokens, u64::from(cut.max_tokens));
    if billed == 0 {
        return limit;
    }
    if billed / LARGEST_RATIO > estimated {
        return limit.saturating_sub(billed - estimated);
    }
    let kept = u128::from(limit) * u128::from(estimated) / u128::from(billed);
    u64::try_from(kept).unwrap_or(u64::MAX)
}

/// The texts of responses: those that have just arrived are at hand, others are in the database. A
/// response that is scored at several limits is there once.
pub(crate) async fn texts(
    context: &Context,
    responses: impl Iterator<Item = ResponseId>,
) -> Result<BTreeMap<ResponseId, Text>, DriveError> {
    let wanted: BTreeSet<ResponseId> = responses.collect();
    let mut found = BTreeMap::new();
    let mut stored = Vec::new();
    {
        let mut arrived = context.arrived();
        for id in wanted {
            match arrived.remove(&id) {
                Some(text) => _ = found.insert(id, text),
                None => stored.push(id),
            }
        }
    }
    if !stored.is_empty() {
        let mut connection = context.pool.acquire().await?;
        let job = context.claim.job;
        for (id, response) in responses::texts(&mut connection, job, &stored).await? {
            found.insert(id, response.into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(tokens: u64, max_tokens: u32) -> Cut {
        Cut { tokens, max_tokens }
    }

    #[test]
    fn the_limit_is_taken_in_proportion_where_tokenizers_differ() {
        assert_eq!(kept(cut(100, 50), 100), 50);
        assert_eq!(kept(cut(100, 50), 80), 40);
        assert_eq!(kept(cut(100, 50), 120), 60);
        assert_eq!(kept(cut(0, 50), 7), 50);
    }

    #[test]
    fn hidden_reasoning_uses_the_limit_up_first() {
        // 500 tokens of reasoning and 20 of text.
        assert_eq!(kept(cut(520, 300), 20), 0);
        assert_eq!(kept(cut(520, 510), 20), 10);
        assert_eq!(kept(cut(520, 519), 20), 19);
    }
}
