//! What responses that are tried want beyond reading: programs are run and hooks asked, for a few validations
//! at a time and not for long. A server has other things to do.

use crate::errors::ApiError;
use chrono::{SecondsFormat, Utc};
use frugal_sandbox::Sandbox;
use frugal_scoring::{Assessment, HookItem, Pending, Run, read_scores};
use frugal_webhook::Hooks;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Validations that run programs or ask hooks at the same time; others wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Programs of one validation that are run at the same time, as far as the sandbox has room.
const PROGRAMS_AT_ONCE: usize = 4;

/// How long all of it may take. What is not done by then has no score.
const LONGEST: Duration = Duration::from_secs(60);

/// What can be done.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Where programs are run; nothing where that is nowhere.
    pub sandbox: Option<Sandbox>,
    /// The operator's hooks.
    pub hooks: Hooks,
}

impl Outside {
    /// Does what responses want, until they want nothing more or the time is over.
    ///
    /// # Errors
    /// The server is about to end.
    pub(crate) async fn see_to(&self, assessments: &mut [Assessment]) -> Result<(), ApiError> {
        if assessments.iter().all(|one| one.wanted().is_empty()) {
            return Ok(());
        }
        let turn = TURNS.acquire().await;
        let _turn = turn.map_err(|error| ApiError::internal(&error))?;
        let seen_to = tokio::time::timeout(LONGEST, self.see_to_all(assessments)).await;
        if seen_to.is_err() {
            let seconds = LONGEST.as_secs();
            let reason = format!(
                "the {seconds} seconds that a validation may take were over; try fewer responses"
            );
            give_up(assessments, &reason);
        }
        Ok(())
    }

    async fn see_to_all(&self, assessments: &mut [Assessment]) {
        loop {
            let running = assessments.iter_mut().map(|one| self.run(one).boxed());
            let running: Vec<BoxFuture<'_, ()>> = running.collect();
            stream::iter(running)
                .buffer_unordered(PROGRAMS_AT_ONCE)
                .collect::<()>()
                .await;
            if !self.ask(assessments).await {
                return;
            }
        }
    }

    /// Runs the programs that a response wants.
    async fn run(&self, assessed: &mut Assessment) {
        loop {
            let wanted = assessed.wanted();
            let mut wanted = wanted.into_iter();
            let is_run = |part: &usize| matches!(assessed.pending(*part), Some(Pending::Run(_)));
            let Some(part) = wanted.find(is_run) else {
                return;
            };
            let score = match (&self.sandbox, assessed.run(part)) {
                (Some(sandbox), Some(run)) => run_all(sandbox, run).await,
                _ => Err("there is no sandbox".to_owned()),
            };
            assessed.tell(part, score);
        }
    }

    /// Asks hooks about the responses that want one, and tells them. Whether any did.
    async fn ask(&self, assessments: &mut [Assessment]) -> bool {
        let mut by_hook: BTreeMap<String, Vec<(usize, usize, HookItem)>> = BTreeMap::new();
        for (place, one) in assessments.iter().enumerate() {
            for part in one.wanted() {
                if let Some(Pending::Webhook(item)) = one.pending(part) {
                    let of_hook = by_hook.entry(item.hook.clone()).or_default();
                    of_hook.push((place, part, item.clone()));
                }
            }
        }
        let is_any = !by_hook.is_empty();
        for (name, asked) in by_hook {
            let size = self.hooks.get(&name).map_or(1, |hook| hook.batch_size());
            for asked in asked.chunks(size) {
                let items: Vec<&HookItem> = asked.iter().map(|(_, _, item)| item).collect();
                let scores = self.deliver(&name, &items).await;
                let none = |reason: String| vec![Err(reason); asked.len()];
                let scores = scores.unwrap_or_else(none);
                for ((place, part, _), score) in asked.iter().zip(scores) {
                    if let Some(one) = assessments.get_mut(*place) {
                        one.tell(*part, score);
                    }
                }
            }
        }
        is_any
    }

    async fn deliver(
        &self,
        name: &str,
        items: &[&HookItem],
    ) -> Result<Vec<Result<f64, String>>, String> {
        let hook = self.hooks.get(name);
        let hook = hook.ok_or_else(|| format!("the webhook `{name}` is not to be had"))?;
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let body = HookItem::message(None, &now, items.iter().copied());
        let id = format!("msg_{}", Uuid::now_v7().simple());
        let read = |answer: &[u8]| read_scores(answer, items.len());
        let delivered = hook.deliver(&id, body.as_bytes(), read).await;
        delivered.map_err(|undelivered| undelivered.to_string())
    }
}

/// Runs programs, one after the other. What goes wrong with the sandbox is a score that is missing.
async fn run_all(sandbox: &Sandbox, run: &mut Run) -> Result<f64, String> {
    while let Some(program) = run.next() {
        let ended = sandbox.run(program).await;
        run.ended(&ended.map_err(|error| error.to_string())?);
    }
    Ok(run.score())
}

/// Tells all that still want something that there will be no score.
fn give_up(assessments: &mut [Assessment], reason: &str) {
    for one in assessments {
        let mut wanted = one.wanted();
        while let Some(part) = wanted.pop() {
            one.tell(part, Err(reason.to_owned()));
            wanted = one.wanted();
        }
    }
}
