//! The loop over trials: ask, evaluate several at once, store each end, tell in order.

use crate::DriveError;
use crate::context::Context;
use crate::halt::Cause;
use crate::outcome::{self, Utilities};
use crate::record;
use crate::trial::{self, Assignment, Tally};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::request::Purpose;
use frugal_domain::state::{StopReason, TrialState};
use frugal_domain::trial::{Evaluation, TrialOutcome, TrialRole};
use frugal_evaluation::{Evaluator, EvaluatorOptions, Mode, Rival, Trial, TrialPlan};
use frugal_scoring::reduce;
use frugal_search::{Ask, Observation, Origin, Search, SearchOptions, Searcher};
use frugal_store::trials::NewTrial;
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

    /// What the searcher hears of it, the others being those that ended so far.
    fn observation(
        &self,
        context: &Context,
        others: &BTreeMap<TrialNumber, Self>,
    ) -> Option<Observation> {
        let utility_of = |number| Some(others.get(&number)?.evaluation()?.utility.mean);
        let spend = self.tally.spend;
        Observation::of(context.spec(), &self.outcome, spend, utility_of)
    }

    /// The trial as one to hold others against.
    fn rival(&self, context: &Context) -> Option<Rival> {
        let spec = context.spec();
        Rival::of(spec, self.number, &self.outcome, &self.utilities, reduce)
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
    options.order = spec.row_order(context.data.tuning.len());
    let mut session = Session {
        context,
        search: new_search(context)?,
        evaluator: Evaluator::new(options),
        bounds: prompt_bounds(context, Purpose::Search)?,
        proposed: 0,
        open: VecDeque::new(),
        running: FuturesUnordered::new(),
        ended: BTreeMap::new(),
        stop: None,
    };
    if let Err(error) = session.run().await {
        // What the other trials have in flight is paid for: it is waited for and stored.
        context.halt.throw(Cause::LetGo);
        while session.running.next().await.is_some() {}
        return Err(error);
    }
    let stop_reason = session.stop.unwrap_or(StopReason::TrialLimit);
    Ok(Findings {
        stop_reason,
        ended: session.ended,
        evaluator: session.evaluator,
    })
}

fn new_search(context: &Context) -> Result<Search, DriveError> {
    Search::new(SearchOptions::for_job(context.spec()))
        .map_err(|error| DriveError::Internal(error.to_string()))
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
        Origin::Grid => "grid".to_owned(),
    }
}

/// Upper bounds on the prompt tokens of each row, by prompt.
pub(crate) fn prompt_bounds(
    context: &Context,
    purpose: Purpose,
) -> Result<Vec<Arc<[u64]>>, DriveError> {
    let rows = context.rows(purpose);
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
        settings: settings.clone(),
        most_per_request: context.models[settings.sampling.model].most_per_request,
        prices: context.spec().models[settings.sampling.model].prices,
        prompt_token_bounds: bounds[settings.sampling.prompt].clone(),
        mode,
    }
}

impl<'a> Session<'a> {
    /// The baseline, then trials until there is a reason to stop.
    async fn run(&mut self) -> Result<(), DriveError> {
        if let Some(baseline) = &self.context.spec().baseline {
            self.begin(BASELINE, baseline.clone(), Purpose::Baseline, "baseline")?;
            self.drain().await?;
        }
        while self.fill()? {
            self.tell_oldest().await?;
        }
        Ok(())
    }

    /// Asks for trials until enough are in the air. Returns whether any is.
    fn fill(&mut self) -> Result<bool, DriveError> {
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
                    self.begin(number, proposal.configuration, Purpose::Search, &origin)?;
                    self.open.push_back(number);
                    self.proposed += 1;
                }
                Ask::Wait => break,
                Ask::Exhausted(reason) => {
                    self.stop = Some(reason.into());
                }
            }
        }
        Ok(!self.open.is_empty())
    }

    /// Begins a trial, or takes up one that was begun before.
    fn begin(
        &mut self,
        number: TrialNumber,
        configuration: Configuration,
        purpose: Purpose,
        origin: &str,
    ) -> Result<(), DriveError> {
        let context = self.context;
        let settings = context
            .spec()
            .settings(&configuration)
            .map_err(|error| DriveError::Internal(error.to_string()))?;
        let begun = context.begun.get(&number);
        if begun.is_some_and(|begun| begun.configuration != configuration) {
            return Err(DriveError::Internal(format!(
                "replay proposed another configuration for trial {number} than the one stored"
            )));
        }
        let role = match purpose {
            Purpose::Baseline => TrialRole::Baseline,
            _ => TrialRole::Search,
        };
        let new = begun.is_none().then(|| NewTrial {
            number,
            role,
            origin: origin.to_owned(),
            configuration,
            settings: settings.clone(),
        });
        let mode = match purpose {
            Purpose::Search => Mode::Scheduled,
            _ => Mode::Full,
        };
        let plan = trial_plan(context, number, &settings, &self.bounds, mode);
        let trial = self
            .evaluator
            .begin(plan)
            .map_err(|error| DriveError::Internal(error.to_string()))?;
        let assignment = Assignment {
            purpose,
            number,
            settings,
        };
        // All that waits is in here: this loop must never wait for anything while the trials
        // under way are not polled, for they may hold what it waits for.
        self.running.push(Box::pin(async move {
            let ended = run_trial(context, new, assignment, trial).await;
            (number, ended)
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
        if let Some(rival) = ended.rival(self.context) {
            self.evaluator.set_rival(rival);
        }
        // A search that is to stop is not asked again, so it need not hear either; a trial that
        // was cut off has nothing to tell.
        if self.stop.is_none()
            && let Some(observation) = ended.observation(self.context, &self.ended)
        {
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
            if let Some(rival) = baseline.rival(self.context) {
                self.evaluator.set_rival(rival);
            }
        }
        Ok(())
    }
}

/// Waits until the job is to stop and requests under way have had their time to arrive.
pub(crate) async fn grace_over(context: &Context, purpose: Purpose) {
    context.halt.thrown(purpose).await;
    tokio::time::sleep(context.grace).await;
}

/// Evaluates a trial and stores its end, unless an earlier worker did.
async fn run_trial(
    context: &Context,
    new: Option<NewTrial>,
    assignment: Assignment,
    mut trial: Trial,
) -> Result<Ended, DriveError> {
    context.books().progress.running += 1;
    if let Some(new) = new {
        record::begin(context, &new).await?;
    }
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
            () = grace_over(context, assignment.purpose) => Err(DriveError::LetGo),
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
        None => record::end(context, &ended).await?,
        Some(stored) if kind(stored) == kind(&ended.outcome) => {
            record::count_end(context, &ended);
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
