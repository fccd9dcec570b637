//! Scores: the one place where a scorer is called. What it said is stored before anything is
//! derived from it. What a scorer cannot do by itself is done here: programs are run in the sandbox, and
//! hooks are asked, and
//! judges' replies are read. Which judges have to be asked first is said, and asked for by the job's loop.

use crate::context::Context;
use crate::error::DriveError;
use crate::hook::{self, Ended};
use crate::in_hand::{InHand, Said};
use crate::judge::{self, Replies};
use crate::selector::{preference, with_preference};
use crate::stored::{self, stored_key};
use crate::taken_scores;
use crate::text::Text;
use crate::texts::texts;
use frugal_domain::job::Instance;
use frugal_domain::request::Purpose;
use frugal_evaluation::ScorePlan;
use frugal_sandbox::Sandbox;
use frugal_scoring::{Assessment, Pending, Run, Scorer};
use frugal_store::scores::{NewScore, Score};
use frugal_tuning::{ScoreBatch, Scored, ScoredBatch};
use futures::future::join_all;
use std::sync::Arc;

/// Scores responses, whole or cut, off the threads that everything else runs on, and stores the
/// scores. Where judges were asked about them, their replies are read.
///
/// # Errors
/// The database failed, the lease is lost, or a text is not there.
pub(crate) async fn score(
    context: &Context,
    mut batch: ScoreBatch,
) -> Result<ScoredBatch, DriveError> {
    if batch.of.purpose == Purpose::Labelled {
        let scores = judge::read_labelled(context, &batch).await?;
        stored::store(context, &whole(&scores)?).await?;
        return Ok(scores.into());
    }
    let split = batch.of.purpose.split();
    let taken = taken_scores::take(context, split, &mut batch.plans).await?;
    if !taken.is_empty() {
        stored::store(context, &whole(&taken)?).await?;
    }
    let mut in_hand = assess(context, &batch).await?;
    let replies = judge::replies(context, &batch).await?;
    for one in &mut in_hand {
        tell_known(context, &replies, one);
    }
    let ended = loop {
        // The sandbox, which all jobs share, says how many of them run at a time.
        let running = in_hand.iter_mut().map(|one| run_programs(context, one));
        join_all(running).await;
        match hook::ask(context, batch.of.purpose, &mut in_hand).await? {
            Ok(true) => {}
            Ok(false) => break None,
            Err(ended) => break Some(ended),
        }
    };
    let mut scored = settle(context, in_hand, ended.is_some()).await?;
    scored.scores.extend(taken);
    if let Some(Ended::Unusable(reason)) = ended {
        scored.unusable = Some(reason);
    }
    Ok(scored)
}

/// What the scorer says of the responses by itself.
async fn assess(context: &Context, batch: &ScoreBatch) -> Result<Vec<InHand>, DriveError> {
    let texts = texts(context, batch.plans.iter().map(|plan| plan.key.response)).await?;
    let mut work = Vec::with_capacity(batch.plans.len());
    for plan in &batch.plans {
        let response = plan.key.response;
        let text = texts
            .get(&response)
            .cloned()
            .ok_or(DriveError::NoText(response))?;
        work.push((*plan, text));
    }
    let (data, scorer) = (Arc::clone(&context.data), Arc::clone(&context.scorer));
    let selector = context.selector.clone();
    let split = batch.of.purpose.split();
    let assessed = tokio::task::spawn_blocking(move || {
        let one = |(plan, text): (ScorePlan, Text)| InHand {
            assessed: by_rule(&scorer, data.rows(split), &plan, &text),
            preference: preference(selector.as_deref(), data.rows(split), &plan, &text),
            plan,
            text,
            new: Vec::new(),
            is_stored: false,
        };
        work.into_iter().map(one).collect::<Vec<_>>()
    });
    Ok(assessed.await?)
}

fn by_rule(
    scorer: &Scorer,
    rows: &[Instance],
    plan: &ScorePlan,
    text: &Text,
) -> Result<Assessment, String> {
    let row = rows
        .get(plan.key.instance)
        .ok_or_else(|| format!("there is no row {}", plan.key.instance))?;
    let expectation = scorer.expectation(row).map_err(|error| error.to_string())?;
    Ok(expectation.assess(text.as_scored(plan)))
}

/// Tells what parts came to before, and what the judges replied.
fn tell_known(context: &Context, replies: &Replies, one: &mut InHand) {
    let Ok(assessed) = &mut one.assessed else {
        return;
    };
    let key = one.plan.key;
    for ((_, part), score) in context.parts().range((key, 0)..=(key, u32::MAX)) {
        let score = score.clone().map(|observed| observed.score);
        assessed.tell(*part as usize, score);
    }
    let scorer = &context.scorer;
    for judge in 0..scorer.judges().count() {
        let said = judge::said(scorer, judge, replies.get(&key));
        if let (Some(part), Some(said)) = (scorer.part_of(judge), said) {
            assessed.tell(part, said);
        }
    }
}

/// Runs the programs that a score takes, as long as it takes any.
async fn run_programs(context: &Context, one: &mut InHand) {
    let Ok(assessed) = &mut one.assessed else {
        return;
    };
    loop {
        let wanted = assessed.wanted();
        let is_run = |part: &usize| matches!(assessed.pending(*part), Some(Pending::Run(_)));
        let runs: Vec<usize> = wanted.into_iter().filter(is_run).collect();
        if runs.is_empty() {
            return;
        }
        for part in runs {
            if let Some(run) = assessed.run(part) {
                let score = run_all(context.sandbox.as_ref(), run).await;
                assessed.tell(part, score.clone());
                one.new.push(Said {
                    part,
                    score,
                    is_stored: false,
                });
            }
        }
    }
}

/// Runs programs, one after the other. What goes wrong with the sandbox is a score that is missing, and
/// never a bad one.
async fn run_all(sandbox: Option<&Sandbox>, run: &mut Run) -> Result<f64, String> {
    let sandbox = sandbox.ok_or("there is no sandbox")?;
    while let Some(program) = run.next() {
        match sandbox.run(program).await {
            Ok(ended) => run.ended(&ended),
            Err(error) => {
                tracing::error!(%error, cause = ?std::error::Error::source(&error), "a program could not be run");
                return Err(error.to_string());
            }
        }
    }
    Ok(run.score())
}

/// Stores the scores that are settled, and what parts came to of those that are not, and says whose word
/// these need. Where it ended early, those that still want a hook are cut off.
async fn settle(
    context: &Context,
    in_hand: Vec<InHand>,
    ended_early: bool,
) -> Result<ScoredBatch, DriveError> {
    let mut batch = ScoredBatch::default();
    let mut unstored = Vec::new();
    let mut open = Vec::new();
    for one in in_hand {
        let key = one.plan.key;
        let outcome = match &one.assessed {
            Ok(assessed) => assessed.outcome(),
            Err(reason) => Some(Err(reason.clone())),
        };
        match (outcome, one.assessed) {
            (Some(score), _) => {
                let score = with_preference(score, one.preference);
                if !one.is_stored {
                    unstored.push((key, score.clone()));
                }
                batch.scores.push((key, score));
            }
            (None, assessed) => {
                let wanted = assessed.map(|assessed| assessed.wanted());
                let wanted = wanted.unwrap_or_default().into_iter();
                let judges = wanted.filter_map(|part| context.scorer.judge_of(part));
                let judges: Vec<usize> = judges.collect();
                open.push((key, one.new));
                if ended_early && judges.is_empty() {
                    batch.cut_off.push(key);
                    continue;
                }
                batch.asks.push((key, judges));
                // The questions about it need it.
                context.arrived().insert(key.response, one.text);
            }
        }
    }
    let mut new = whole(&unstored)?;
    let mut parts = Vec::new();
    for (key, said) in open {
        for said in said {
            let part = u32::try_from(said.part)?;
            let score: Score = said.score.map(Into::into);
            if !said.is_stored {
                new.push(NewScore {
                    key: stored_key(key)?,
                    part: Some(part),
                    score: score.clone(),
                });
            }
            parts.push(((key, part), score));
        }
    }
    stored::store(context, &new).await?;
    let mut known = context.parts();
    for (key, _) in &batch.scores {
        // What the parts came to is of no more use.
        let settled: Vec<_> = known.range((*key, 0)..=(*key, u32::MAX)).collect();
        let settled: Vec<_> = settled.into_iter().map(|(key, _)| *key).collect();
        for key in settled {
            known.remove(&key);
        }
    }
    known.extend(parts);
    drop(known);
    Ok(batch)
}

/// Scores by the whole scorer, as they are stored.
fn whole(scored: &[Scored]) -> Result<Vec<NewScore>, DriveError> {
    let new = scored.iter().map(|(key, score)| {
        Ok(NewScore {
            key: stored_key(*key)?,
            part: None,
            score: score.clone(),
        })
    });
    new.collect()
}
