//! The loop over trials: ask, evaluate several at once, store each end, tell in order.

use crate::DriveError;
use crate::context::{Best, Context};
use crate::halt::Cause;
use crate::outcome::{self, Utilities};
use crate::trial::{self, Assignment, Tally};
use chrono::Utc;
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::Algorithm;
use frugal_domain::money::Unit;
use frugal_domain::state::{StopReason, TrialState};
use frugal_domain::trial::{Evaluation, PruneReason, Role, TrialOutcome};
use frugal_evaluation::{Evaluator, EvaluatorOptions, Mode, Trial, TrialPlan};
use frugal_search::{
    Ask, Exhausted, Observation, Origin, Outcome, Search, SearchOptions, Searcher,
};
use frugal_store::trials::{NewTrial, TrialEnd};
use frugal_store::{events, jobs, trials};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The number of the baseline's trial. The searcher's proposals follow from 1.
pub(crate) const BASELINE: TrialNumber = TrialNumber(0);

/// A trial that has ended, as the report needs it.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub number: TrialNumber,
    pub settings: Settings,
    pub outcome: TrialOutcome,
    pub utilities: Utilities,
    pub tally: Tally,
    pub trial: Trial,
}

impl Ended {
    /// What was found, if the trial was evaluated.
    pub(crate) const fn evaluation(&self) -> Option<&Evaluation> {
        match &self.outcome {
            TrialOutcome::Evaluated(evaluation) => Some(evaluation),
            _ => None,
        }
    }
}

/// What a session found, and why it ended.
pub(crate) struct Findings {
    pub stop_reason: StopReason,
    pub ended: BTreeMap<TrialNumber, Ended>,
    pub evaluator: Evaluator,
}

type Evaluating<'a> = BoxFuture<'a, (TrialNumber, Result<Ended, DriveError>)>;

/// The state of the loop.
struct Session<'a> {
    context: &'a Context,
    search: Search,
    evaluator: Evaluator,
    /// Upper bounds on prompt tokens, by prompt, each row.
    bounds: Vec<Arc<[u64]>>,
    /// Trials that the searcher has proposed.
    proposed: u32,
    /// Those of them not told yet, oldest first.
    open: VecDeque<TrialNumber>,
    running: FuturesUnordered<Evaluating<'a>>,
    ended: BTreeMap<TrialNumber, Ended>,
    stop: Option<StopReason>,
}

/// Searches until there is a reason to stop. Everything that happened to the job before is
/// lived through again from the database on the way.
///
/// # Errors
/// The job is let go, the database failed, or the job cannot go on.
pub(crate) async fn search(context: &Context) -> Result<Findings, DriveError> {
    let spec = context.spec();
    let mut options = EvaluatorOptions::new(
        context.data.tuning.len(),
        spec.search.pruning,
        spec.inference_budget,
    );
    options.reference.optimization_budget = Some(spec.optimization_budget);
    let mut session = Session {
        context,
        search: new_search(context)?,
        evaluator: Evaluator::new(options),
        bounds: prompt_bounds(context, Role::Search)?,
        proposed: 0,
        open: VecDeque::new(),
        running: FuturesUnordered::new(),
        ended: BTreeMap::new(),
        stop: None,
    };
    if let Some(baseline) = &spec.baseline {
        session
            .begin(BASELINE, baseline.clone(), Role::Baseline, "baseline")
            .await?;
        session.drain().await?;
    }
    while session.fill().await? {
        session.tell_oldest().await?;
    }
    let stop_reason = session.stop.unwrap_or(StopReason::TrialLimit);
    Ok(Findings {
        stop_reason,
        ended: session.ended,
        evaluator: session.evaluator,
    })
}

fn new_search(context: &Context) -> Result<Search, DriveError> {
    let spec = context.spec();
    let budget = spec.optimization_budget;
    let mut start = spec.start.clone();
    start.extend(spec.low_cost_starts());
    let options = SearchOptions {
        algorithm: match spec.search.algorithm {
            Algorithm::Blendsearch => frugal_search::Algorithm::BlendSearch,
            Algorithm::Random => frugal_search::Algorithm::Random,
        },
        space: spec.space.clone(),
        seed: spec.search.seed,
        start,
        low_cost: spec.low_cost_corner().into_iter().collect(),
        cost_budget: Some(in_unit(budget.unit(), budget.amount())),
        cost_floor: None,
    };
    Search::new(options).map_err(|error| DriveError::Internal(error.to_string()))
}

/// Who proposed a configuration, as it is stored.
fn origin(origin: Origin) -> String {
    match origin {
        Origin::Start => "start".to_owned(),
        Origin::LowCost => "low_cost".to_owned(),
        Origin::Global => "global".to_owned(),
        Origin::Local { thread } => format!("local:{thread}"),
        Origin::Restart => "restart".to_owned(),
        Origin::Random => "random".to_owned(),
    }
}

/// An amount as a plain number, for the search, which only compares costs.
#[expect(
    clippy::cast_precision_loss,
    reason = "compared by the search, not booked"
)]
fn in_unit(unit: Unit, amount: u64) -> f64 {
    unit.display(amount as f64)
}

/// Upper bounds on the prompt tokens of each row, by prompt.
pub(crate) fn prompt_bounds(context: &Context, role: Role) -> Result<Vec<Arc<[u64]>>, DriveError> {
    let rows = context.rows(role);
    let of = |(prompt, compiled): (usize, &frugal_scoring::CompiledPrompt)| {
        let bounds = rows
            .iter()
            .map(|row| compiled.render(row).map(|text| text.token_bound()));
        bounds.collect::<Result<Arc<[u64]>, _>>().map_err(|error| {
            DriveError::Internal(format!("prompt {prompt} does not render: {error}"))
        })
    };
    context.prompts.iter().enumerate().map(of).collect()
}

/// The evaluator's plan for some settings.
pub(crate) fn trial_plan(
    context: &Context,
    number: TrialNumber,
    settings: &Settings,
    bounds: &[Arc<[u64]>],
    mode: Mode,
) -> TrialPlan {
    TrialPlan {
        number,
        region: settings.region_key(),
        prompt_key: format!("{}/{}", settings.model, settings.prompt),
        sampling: settings.sampling_key(),
        max_tokens: settings.max_tokens,
        n: settings.n,
        most_per_request: context.models[settings.model].most_per_request,
        prices: context.spec().models[settings.model].prices,
        prompt_token_bounds: bounds[settings.prompt].clone(),
        mode,
    }
}

impl<'a> Session<'a> {
    /// Asks for trials until enough are in the air. Returns whether any is.
    async fn fill(&mut self) -> Result<bool, DriveError> {
        let spec = self.context.spec();
        while self.stop.is_none() && self.open.len() < spec.search.parallel_trials as usize {
            if let Some(Cause::End(reason)) = self.context.halt.cause() {
                self.stop = Some(reason);
                break;
            }
            if self.proposed >= spec.limits.trials {
                self.stop = Some(StopReason::TrialLimit);
                break;
            }
            match self.search.ask() {
                Ask::Propose(proposal) => {
                    let number = TrialNumber(proposal.number + 1);
                    let origin = origin(proposal.origin);
                    self.begin(number, proposal.configuration, Role::Search, &origin)
                        .await?;
                    self.open.push_back(number);
                    self.proposed += 1;
                }
                Ask::Wait => break,
                Ask::Exhausted(reason) => {
                    self.stop = Some(match reason {
                        Exhausted::SpaceUsedUp => StopReason::SpaceExhausted,
                        Exhausted::BudgetSpent => StopReason::BudgetExhausted,
                        Exhausted::NothingNew => StopReason::Converged,
                    });
                }
            }
        }
        Ok(!self.open.is_empty())
    }

    /// Begins a trial, or takes up one that was begun before.
    async fn begin(
        &mut self,
        number: TrialNumber,
        configuration: Configuration,
        role: Role,
        origin: &str,
    ) -> Result<(), DriveError> {
        let context = self.context;
        let settings = context
            .spec()
            .settings(&configuration)
            .map_err(|error| DriveError::Internal(error.to_string()))?;
        match context.begun.get(&number) {
            Some(begun) if begun.configuration != configuration => {
                return Err(DriveError::Internal(format!(
                    "replay proposed another configuration for trial {number} than the one stored"
                )));
            }
            Some(_) => context.books().progress.running += 1,
            None => {
                let new = NewTrial {
                    number,
                    role,
                    origin: origin.to_owned(),
                    configuration,
                    settings: settings.clone(),
                };
                store_begin(context, &new).await?;
            }
        }
        let mode = match role {
            Role::Search => Mode::Scheduled,
            _ => Mode::Full,
        };
        let plan = trial_plan(context, number, &settings, &self.bounds, mode);
        let trial = self
            .evaluator
            .begin(plan)
            .map_err(|error| DriveError::Internal(error.to_string()))?;
        let assignment = Assignment {
            role,
            number,
            settings,
        };
        self.running.push(Box::pin(async move {
            (number, run_trial(context, assignment, trial).await)
        }));
        Ok(())
    }

    /// Waits for a trial to end.
    async fn advance(&mut self) -> Result<(), DriveError> {
        let context = self.context;
        let Some((number, result)) = self.running.next().await else {
            return Err(DriveError::Internal("no trial is under way".to_owned()));
        };
        let ended = result?;
        if matches!(ended.outcome, TrialOutcome::Stopped) && self.stop.is_none() {
            self.stop = Some(match context.halt.cause() {
                Some(Cause::End(reason)) => reason,
                _ => StopReason::BudgetExhausted,
            });
        }
        self.ended.insert(number, ended);
        Ok(())
    }

    /// Tells the searcher of the oldest open trial, once that has ended. One tell a turn, and
    /// asks in between: the sequence of asks and tells, which everything random depends on, is
    /// the same whichever trial ends first.
    async fn tell_oldest(&mut self) -> Result<(), DriveError> {
        let Some(oldest) = self.open.pop_front() else {
            return Ok(());
        };
        while !self.ended.contains_key(&oldest) {
            self.advance().await?;
        }
        let ended = &self.ended[&oldest];
        self.evaluator.commit(&ended.trial);
        if let Some(observation) = observation(self.context, ended) {
            self.search
                .tell(oldest.0 - 1, observation)
                .map_err(|error| DriveError::Internal(error.to_string()))?;
        }
        Ok(())
    }

    /// Waits for the baseline, which the searcher does not hear of.
    async fn drain(&mut self) -> Result<(), DriveError> {
        while !self.running.is_empty() {
            self.advance().await?;
        }
        if let Some(baseline) = self.ended.get(&BASELINE) {
            self.evaluator.commit(&baseline.trial);
        }
        Ok(())
    }
}

/// Waits until the job is to stop and requests under way have had their time to arrive.
pub(crate) async fn grace_over(context: &Context) {
    context.halt.thrown().await;
    tokio::time::sleep(context.grace).await;
}

/// What the searcher hears of a trial; nothing of one that the end of the job cut off.
fn observation(context: &Context, ended: &Ended) -> Option<Observation> {
    let spec = context.spec();
    let outcome = match &ended.outcome {
        TrialOutcome::Evaluated(evaluation) if evaluation.valid => Outcome::Evaluated {
            loss: spec.objective.direction.loss(evaluation.utility.mean),
        },
        TrialOutcome::Evaluated(_) | TrialOutcome::Pruned { .. } => Outcome::Pruned,
        TrialOutcome::Infeasible { .. } => Outcome::Infeasible,
        TrialOutcome::Failed { .. } => Outcome::Failed,
        TrialOutcome::Stopped => return None,
    };
    let unit = spec.optimization_budget.unit();
    let cost = in_unit(unit, unit.of(ended.tally.spend));
    Some(Observation { outcome, cost })
}

/// Evaluates a trial and stores its end, unless an earlier worker did.
async fn run_trial(
    context: &Context,
    assignment: Assignment,
    mut trial: Trial,
) -> Result<Ended, DriveError> {
    let before = context
        .begun
        .get(&assignment.number)
        .and_then(|begun| begun.outcome.as_ref());
    let mut tally = Tally::default();
    let (outcome, utilities) = if let Some(TrialOutcome::Stopped) = before {
        (TrialOutcome::Stopped, Utilities::new())
    } else {
        let evaluated = tokio::select! {
            evaluated = trial::evaluate(context, &assignment, &mut trial, &mut tally) => evaluated,
            () = grace_over(context) => Err(DriveError::LetGo),
        };
        match evaluated {
            Ok(()) => outcome::of(context, &trial)?,
            Err(DriveError::LetGo) if matches!(context.halt.cause(), Some(Cause::End(_))) => {
                (TrialOutcome::Stopped, Utilities::new())
            }
            Err(error) => return Err(error),
        }
    };
    let Assignment {
        number, settings, ..
    } = assignment;
    let ended = Ended {
        number,
        settings,
        outcome,
        utilities,
        tally,
        trial,
    };
    match before {
        None => store_end(context, &ended).await?,
        Some(stored) if kind(stored) == kind(&ended.outcome) => {
            note_end(context, &ended);
        }
        Some(_) => {
            return Err(DriveError::Internal(format!(
                "replay of trial {number} ended in another way than the one stored"
            )));
        }
    }
    Ok(ended)
}

/// The way in which a trial ended.
const fn kind(outcome: &TrialOutcome) -> TrialState {
    match outcome {
        TrialOutcome::Evaluated(_) => TrialState::Evaluated,
        TrialOutcome::Pruned { .. } => TrialState::Pruned,
        TrialOutcome::Infeasible { .. } => TrialState::Infeasible,
        TrialOutcome::Failed { .. } => TrialState::Failed,
        TrialOutcome::Stopped => TrialState::Stopped,
    }
}

/// Counts the end of a trial on the books. Returns the new best, if it is one.
fn note_end(context: &Context, ended: &Ended) -> Option<Best> {
    let direction = context.spec().objective.direction;
    let mut books = context.books();
    let progress = &mut books.progress;
    progress.running = progress.running.saturating_sub(1);
    match &ended.outcome {
        TrialOutcome::Evaluated(_) => progress.evaluated += 1,
        TrialOutcome::Pruned {
            reason: PruneReason::KnownInvalid,
        } => {
            progress.pruned_before_requests += 1;
        }
        TrialOutcome::Pruned { .. } => progress.pruned_on_the_way += 1,
        TrialOutcome::Infeasible { .. } => progress.infeasible += 1,
        TrialOutcome::Failed { .. } => progress.failed += 1,
        TrialOutcome::Stopped => progress.stopped += 1,
    }
    let evaluation = ended.evaluation().filter(|evaluation| evaluation.valid)?;
    let candidate = Best {
        trial: ended.number,
        settings: ended.settings.clone(),
        utility: evaluation.utility,
        loss: direction.loss(evaluation.utility.mean),
        cost: evaluation.inference_cost.estimate.mean,
    };
    if books
        .best
        .as_ref()
        .is_some_and(|best| !candidate.beats(best))
    {
        return None;
    }
    books.best = Some(candidate.clone());
    Some(candidate)
}

/// Stores that a trial begins, with its event.
async fn store_begin(context: &Context, new: &NewTrial) -> Result<(), DriveError> {
    let now = Utc::now();
    let claim = context.claim;
    context.books().progress.running += 1;
    let (progress, spend, best) = context.summary();
    let started = EventBody::TrialStarted {
        trial: new.number,
        role: new.role,
        settings: new.settings.clone(),
    };
    let mut transaction = context.pool.begin().await?;
    trials::begin(&mut transaction, claim, new, now).await?;
    jobs::update_summary(
        &mut transaction,
        claim.job,
        claim.attempt,
        &progress,
        &spend,
        best,
    )
    .await?;
    events::append(&mut transaction, claim.job, &[started], now).await?;
    Ok(transaction.commit().await?)
}

/// Stores how a trial ended: its row, the job's summary and the events, in one transaction.
async fn store_end(context: &Context, ended: &Ended) -> Result<(), DriveError> {
    let Ended {
        number: trial,
        outcome,
        tally,
        ..
    } = ended;
    let trial = *trial;
    let spend = tally.spend;
    let event = match outcome.clone() {
        TrialOutcome::Evaluated(Evaluation {
            utility,
            inference_cost,
            valid,
            ..
        }) => EventBody::TrialEvaluated {
            trial,
            utility,
            inference_cost,
            valid,
            spend,
        },
        TrialOutcome::Pruned { reason } => EventBody::TrialPruned {
            trial,
            reason,
            spend,
        },
        TrialOutcome::Infeasible { detail } => EventBody::TrialInfeasible {
            trial,
            detail,
            spend,
        },
        TrialOutcome::Failed { detail } => EventBody::TrialFailed {
            trial,
            detail,
            spend,
        },
        TrialOutcome::Stopped => EventBody::TrialStopped { trial, spend },
    };
    let mut bodies = vec![event];
    if let Some(best) = note_end(context, ended)
        && let Some(evaluation) = ended.evaluation()
    {
        bodies.push(EventBody::BestUpdated {
            trial,
            settings: best.settings,
            utility: best.utility,
            inference_cost: evaluation.inference_cost,
        });
    }
    let (progress, by_role, best) = context.summary();
    bodies.push(EventBody::BudgetUpdated {
        spend: by_role.values().copied().sum(),
    });
    let end = TrialEnd {
        outcome: outcome.clone(),
        spend,
        requests: tally.requests,
        responses: tally.responses,
    };
    let now = Utc::now();
    let claim = context.claim;
    let mut transaction = context.pool.begin().await?;
    trials::finish(&mut transaction, claim, trial, &end, now).await?;
    jobs::update_summary(
        &mut transaction,
        claim.job,
        claim.attempt,
        &progress,
        &by_role,
        best,
    )
    .await?;
    events::append(&mut transaction, claim.job, &bodies, now).await?;
    Ok(transaction.commit().await?)
}
