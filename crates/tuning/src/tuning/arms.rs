//! What moves a profiled search: its decisions, its batches, its trials.

use super::turns::plan_error;
use super::{Phase, Tuning};
use crate::active::Active;
use crate::ended::{BASELINE, EndedTrial};
use crate::error::TuningError;
use crate::outcome::{self, Utilities};
use crate::profiled::{ArmTrial, Arrived, InAir, ProfiledLoop, by_row, told};
use crate::run_key::RunKey;
use crate::search;
use crate::step::{BegunTrial, Change};
use frugal_domain::configuration::{Configuration, Extent, Sampling, Settings};
use frugal_domain::event::EventBody;
use frugal_domain::job::{JobSpec, Split};
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::state::StopReason;
use frugal_domain::trial::{CostEstimate, Coverage, Estimate, Evaluation, TrialOutcome, TrialRole};
use frugal_evaluation::{Corpus, Ending, ScoredDraw, statistics};
use frugal_search::profiled::{
    ArmEstimate, BaselineEstimate, Batch, Decision, Over, Problem, Profiled,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Tuning {
    pub(super) fn profiled_turn(&mut self) -> Result<bool, TuningError> {
        let mut profiled = match self.profiled.take() {
            Some(profiled) => profiled,
            None => self.start_profiled()?,
        };
        let moved = self.move_profiled(&mut profiled);
        let is_over = profiled.over.is_some();
        self.profiled = Some(profiled);
        if is_over && self.phase == Phase::Search {
            self.finish_profiled()?;
        }
        moved
    }

    /// Nothing is left to decide: the search ends, unless the job was continued after that.
    fn finish_profiled(&mut self) -> Result<(), TuningError> {
        let goes_on = self.goes_on_with_other_terms();
        let Some(mut profiled) = self.profiled.take() else {
            return Ok(());
        };
        let concluded = match goes_on {
            true => {
                profiled.over = None;
                Ok(())
            }
            false => self.conclude(&mut profiled),
        };
        self.profiled = Some(profiled);
        concluded
    }

    /// What the search may spend in all, in the unit of the optimization budget.
    fn available(&self) -> f64 {
        let spec = &self.job.spec;
        let unit = spec.optimization_budget.unit();
        let kept = spec
            .kept_for_holdout(self.job.rows(Split::Holdout) as u64)
            .map_or(0, |kept| kept.amount());
        let baseline = self.ended.get(&BASELINE);
        let baseline_cost = baseline.map_or(0, |baseline| unit.of(baseline.tally.spend));
        // What was lost on the way is left out: a search that is lived through again must come to
        // the same decisions. The ledger knows of it, and refuses what cannot be paid.
        let available = spec
            .optimization_budget
            .amount()
            .saturating_sub(kept)
            .saturating_sub(baseline_cost);
        real(available)
    }

    /// The search goes on under what the terms have become.
    pub(super) fn profiled_goes_by_terms(&mut self) {
        let available = self.available();
        if let Some(profiled) = &mut self.profiled {
            profiled.search.go_by(&self.job.spec, available);
            // What was to be told next may be decided before now.
            profiled.waits = false;
        }
    }

    /// The search, which knows what the baseline brought.
    fn start_profiled(&mut self) -> Result<ProfiledLoop, TuningError> {
        let spec = &self.job.spec;
        let unit = spec.optimization_budget.unit();
        let rows = self.job.rows(Split::Tuning);
        let baseline = self.ended.get(&BASELINE);
        let bounds = self.job.prompt_token_bounds.tuning.iter();
        let bounds = bounds.map(|rows| rows.iter().map(|bound| real(*bound)).collect());
        let mut problem = Problem::for_job(
            spec,
            rows,
            &self.job.most_per_request,
            bounds.collect(),
            self.available(),
        );
        problem.baseline = baseline
            .and_then(EndedTrial::evaluation)
            .and_then(|found| baseline_estimate(spec, found));
        problem.judging = self.judging.as_ref().map(|judging| {
            #[expect(clippy::cast_precision_loss, reason = "weighed, not booked")]
            let cost = unit.of(judging.guess()) as f64;
            cost
        });
        let mut search = Profiled::new(spec, problem)?;
        if let (Some(ended), Some(configuration)) = (baseline, &spec.baseline)
            && let Some(limit) = search.drawing_limit(configuration)
            && let Some(arm) = self.evaluator.pool().arm(&ended.settings.sampling)
        {
            let sampling = &ended.settings.sampling;
            let counted = |row: usize| {
                self.evaluator
                    .counted_prompt_tokens(sampling.model, sampling.prompt, row)
            };
            let given = search.give(
                configuration,
                by_row(
                    arm.serving_with_scores(limit)
                        .map(|(response, said)| ScoredDraw::whole(response, said)),
                    counted,
                ),
            );
            if given {
                self.books.let_search_judge_baseline();
            }
        }
        // What was put in while the baseline was evaluated.
        for configuration in &self.enqueued {
            if !self.is_baseline(configuration) {
                search.enqueue(configuration);
            }
        }
        Ok(ProfiledLoop::new(search))
    }

    fn move_profiled(&mut self, profiled: &mut ProfiledLoop) -> Result<bool, TuningError> {
        if profiled.waits {
            let Some(oldest) = profiled.in_air.front().copied() else {
                profiled.waits = false;
                return Ok(true);
            };
            let Some(arrived) = profiled.arrived.remove(&oldest.key) else {
                return Ok(false);
            };
            profiled.in_air.pop_front();
            profiled.waits = false;
            self.changes.decisions += 1;
            self.tell_batch(profiled, oldest, &arrived);
            return Ok(true);
        }
        if !self.may_decide(profiled) {
            if profiled.in_air.is_empty() {
                self.conclude(profiled)?;
            } else {
                profiled.waits = true;
            }
            return Ok(true);
        }
        self.changes.decisions += 1;
        let decision = profiled.search.decide();
        self.show(profiled);
        match decision {
            // Whatever has changed since, it had come to its end before that.
            Decision::Draw(batch) if self.is_beyond_conclusion(profiled, batch.arm) => {
                self.stop.get_or_insert(StopReason::BudgetExhausted);
            }
            Decision::Draw(batch) => self.begin_batch(profiled, batch)?,
            Decision::Wait => profiled.waits = true,
            Decision::Over(over) => profiled.over = Some(over),
        }
        Ok(true)
    }

    /// Whether requests are stored that the search has not come to yet.
    pub(super) fn has_search_ahead(&self) -> bool {
        let mut left = self.past.requests.keys();
        left.any(|key| key.purpose == Purpose::Search)
    }

    /// Whether the search had come to its end before it drew for an arm.
    fn is_beyond_conclusion(&self, profiled: &ProfiledLoop, arm: usize) -> bool {
        let begun = profiled.trials.contains_key(&arm)
            || self.past.trials.contains_key(&profiled.next_number());
        self.had_concluded && !begun
    }

    /// Whether another batch is decided. One that was begun before is, whatever there is now to stop for, and
    /// so is the first of a trial that was begun, though nothing of it may have arrived.
    fn may_decide(&mut self, profiled: &ProfiledLoop) -> bool {
        let has_trial_ahead = self.past.trials.contains_key(&profiled.next_number())
            && self.arm_of_an_end(profiled).is_none();
        if !has_trial_ahead && !self.has_search_ahead() && self.stop.is_none() {
            self.stop = self.reason_to_stop();
        }
        self.stop.is_none()
    }

    /// Begins a batch, and its arm's trial where it is the first.
    fn begin_batch(
        &mut self,
        profiled: &mut ProfiledLoop,
        batch: Batch,
    ) -> Result<(), TuningError> {
        if !profiled.trials.contains_key(&batch.arm) {
            self.begin_arm(profiled, batch.arm)?;
        }
        let Some(trial) = profiled.trials.get_mut(&batch.arm) else {
            return Ok(());
        };
        let number = trial.number;
        let mut settings = trial.settings.as_ref().clone();
        settings.extent = Extent {
            max_tokens: batch.max_tokens,
            n: batch.responses,
        };
        let plan = self.job.trial_plan(number, Purpose::Search, &settings);
        let most = plan.most_per_request.unwrap_or(u32::MAX).max(1);
        let requests = batch.responses.div_ceil(most) as usize * batch.rows.len();
        let first = trial.next_ordinal;
        trial.next_ordinal += u32::try_from(requests).unwrap_or(u32::MAX);
        let run = self
            .evaluator
            .begin_draws(plan, first, batch.rows, batch.limits);
        let run = plan_error(number, run)?;
        let key = RunKey {
            first,
            ..RunKey::of_trial(number)
        };
        let stored = !self.beginning.contains(&number);
        let active = Active::batch(key, Arc::new(settings), run, stored);
        profiled.in_air.push_back(InAir {
            key,
            arm: batch.arm,
            requests: u32::try_from(requests).unwrap_or(u32::MAX),
        });
        self.active.insert(key, active);
        if stored {
            self.ready.insert(key);
        }
        Ok(())
    }

    /// Begins the trial of an arm, or takes up one that was begun before.
    fn begin_arm(&mut self, profiled: &mut ProfiledLoop, arm: usize) -> Result<(), TuningError> {
        let number = profiled.next_number();
        let Some(place) = profiled.search.place(arm) else {
            return Err(TuningError::Stuck(number));
        };
        let at = |extent: Extent| {
            let mut configuration: Configuration = place.configuration.clone();
            let values = &mut configuration.0;
            values.insert("max_tokens".to_owned(), json!(extent.max_tokens));
            values.insert("n".to_owned(), json!(extent.n));
            configuration
        };
        let settings_of = |configuration: &Configuration| {
            let settings = self.job.spec.settings(configuration);
            settings.map_err(|source| TuningError::Configuration {
                trial: number,
                source,
            })
        };
        // Each batch says how it is drawn; shown at the extent that is expected to be the best.
        let drawing = settings_of(&at(Extent {
            max_tokens: place.max_tokens.largest(),
            n: place.n.smallest(),
        }))?;
        let expected = profiled.search.expected_extent(arm);
        let configuration = at(expected.unwrap_or(drawing.extent));
        let settings = settings_of(&configuration)?;
        if let Some(before) = self.past.trials.get(&number)
            && settings_of(&before.configuration)?.sampling != settings.sampling
        {
            return match self.arm_of_an_end(profiled) {
                Some(earlier) => {
                    self.begin_arm(profiled, earlier)?;
                    self.begin_arm(profiled, arm)
                }
                None => Err(TuningError::OtherConfiguration(number)),
            };
        }
        let origin = profiled.search.origin(arm).map(search::origin);
        profiled.trials.insert(
            arm,
            ArmTrial {
                number,
                settings: Arc::new(drawing),
                next_ordinal: 0,
                tally: crate::tally::Tally::default(),
                refused: None,
            },
        );
        self.books.begin();
        if !self.past.trials.contains_key(&number) {
            self.beginning.insert(number);
            let started = EventBody::TrialStarted {
                trial: number,
                role: TrialRole::Search,
                settings: settings.clone(),
            };
            let begun = BegunTrial {
                number,
                role: TrialRole::Search,
                origin: origin.unwrap_or_default(),
                configuration,
                settings,
            };
            self.record(Change::TrialBegun(begun), vec![started]);
        }
        Ok(())
    }

    /// The arm of the next trial, where the end of an earlier run may have begun that, or the end of this one
    /// before its worker died: the end gives the baseline's arm a trial where it wins and has none, which no
    /// decision of the search did. It keeps its number.
    fn arm_of_an_end(&self, profiled: &ProfiledLoop) -> Option<usize> {
        let before = self.past.trials.get(&profiled.next_number())?;
        let sampling_of = |configuration: &Configuration| {
            let settings = self.job.spec.settings(configuration).ok()?;
            Some(settings.sampling)
        };
        let sampling = sampling_of(&before.configuration)?;
        if self.ended.get(&BASELINE)?.settings.sampling != sampling {
            return None;
        }
        let mut arms = (0..).map_while(|arm| Some((arm, profiled.search.place(arm)?)));
        let (arm, _) = arms.find(|(arm, place)| {
            let mut configuration = before.configuration.clone();
            configuration.0.extend(place.configuration.0.clone());
            !profiled.trials.contains_key(arm)
                && sampling_of(&configuration).as_ref() == Some(&sampling)
        })?;
        Some(arm)
    }

    /// A batch has come back; it is told in its turn.
    pub(super) fn batch_arrived(&mut self, active: Active) {
        let key = active.key;
        let (cut_off, new) = (active.was_cut_off(), active.has_news());
        let judged = active.paid_judge();
        let (run, tally, requests) = active.into_batch();
        let arrived = Arrived {
            run,
            tally,
            requests,
            judged,
            cut_off,
            new,
        };
        if let Some(side) = &mut self.side_by_side {
            side.arrive(key, arrived);
        } else if let Some(profiled) = &mut self.profiled {
            profiled.arrived.insert(key, arrived);
        }
    }

    fn tell_batch(&mut self, profiled: &mut ProfiledLoop, batch: InAir, arrived: &Arrived) {
        self.commit_run(&arrived.run);
        let unit = self.job.spec.optimization_budget.unit();
        let mut told = told(arrived, unit);
        let first = RequestKey {
            purpose: batch.key.purpose,
            trial: batch.key.trial,
            ordinal: batch.key.first,
        };
        // What other terms could not pay says nothing of the present ones.
        told.unaffordable &= !self.requests.was_refused(first, batch.requests);
        profiled.search.tell(told);
        if let Some(trial) = profiled.trials.get_mut(&batch.arm) {
            trial.tally.add(arrived.tally);
            let refused = match arrived.run.ending() {
                Some(Ending::Infeasible(detail)) => Some(TrialOutcome::Infeasible {
                    detail: detail.clone(),
                }),
                Some(Ending::Failed(detail)) => Some(TrialOutcome::Failed {
                    detail: detail.clone(),
                }),
                _ => None,
            };
            trial.refused = trial.refused.take().or(refused);
            let model = trial.settings.sampling.model;
            self.told_of(model, &arrived.requests);
        }
        // Once nothing is left to ask, what the models have answered stands.
        if let Some(refusal) = self.told.of_all() {
            self.endpoint_unusable(refusal.reason);
        } else {
            for model in 0..self.job.spec.models.len() {
                if self.told.of_model(model).is_some() {
                    profiled.search.close_model(model);
                }
            }
        }
        *profiled.changed.entry(batch.arm).or_default() |= arrived.new;
        if arrived.cut_off && self.stop.is_none() {
            self.stop = Some(self.reason_to_stop().unwrap_or(StopReason::BudgetExhausted));
        }
    }

    /// Shows what is known of the arms of which something was told, once the search has looked at
    /// it.
    fn show(&mut self, profiled: &mut ProfiledLoop) {
        if !profiled.search.has_assessed() {
            return;
        }
        for (arm, new) in std::mem::take(&mut profiled.changed) {
            let (Some(trial), Some(estimate)) =
                (profiled.trials.get(&arm), profiled.search.estimate(arm))
            else {
                continue;
            };
            let mut events = vec![EventBody::TrialProgress {
                trial: trial.number,
                n: count(estimate.responses),
                instances: count(estimate.rows),
                of: count(self.job.rows(Split::Tuning)),
                spend: trial.tally.spend,
            }];
            let settings = Settings {
                extent: estimate.extent,
                ..trial.settings.as_ref().clone()
            };
            let corpus = self.corpus(&settings.sampling);
            let values = profiled.search.row_values(arm).unwrap_or_default();
            let evaluation = self.evaluation(&estimate, &values, corpus.as_ref());
            let leads = profiled.search.leader() == Some(arm);
            if leads && evaluation.valid {
                let objective = self.job.spec.objective;
                if self
                    .books
                    .lead(&objective, trial.number, &settings, &evaluation)
                {
                    events.push(EventBody::BestUpdated {
                        trial: trial.number,
                        settings: settings.clone(),
                        utility: evaluation.utility,
                        inference_cost: evaluation.inference_cost,
                        spend: Some(self.books.ledger.spent()),
                    });
                }
            }
            // A worker may have died between the answers and this.
            let before = self.past.trials.get(&trial.number);
            let untold = before.is_some_and(|before| before.is_behind(trial.tally));
            if !new && !untold {
                continue;
            }
            events.push(EventBody::BudgetUpdated {
                spend: self.books.ledger.spent(),
            });
            let change = Change::TrialProgressed {
                trial: trial.number,
                settings,
                evaluation,
                tally: trial.tally,
            };
            self.record(change, events);
        }
    }

    /// What the responses of an arm, as they were drawn, add to the metrics of all rows together.
    fn corpus(&self, sampling: &Sampling) -> Option<Corpus> {
        let observed = self.evaluator.pool().arm(sampling)?.observed();
        Corpus::of(observed.iter().map(|(instance, said)| (*instance, said)))
    }

    /// What an arm comes to, as trials show it. The interval is that of reports: of the rows that it was drawn on
    /// as a choice of all that might have been, which the error of a search's estimate does not reckon with.
    fn evaluation(
        &self,
        estimate: &ArmEstimate,
        values: &[f64],
        corpus: Option<&Corpus>,
    ) -> Evaluation {
        let spec = &self.job.spec;
        let unit = spec.cost_unit();
        let rows = count(estimate.rows);
        let of = |(mean, error): (f64, Option<f64>)| Estimate {
            mean,
            standard_error: error,
            count: rows,
        };
        let mut metrics: BTreeMap<String, Estimate> = estimate
            .metrics
            .iter()
            .map(|(metric, value)| (metric.as_str().to_owned(), of(*value)))
            .collect();
        outcome::add_corpus(&mut metrics, corpus);
        let violated = outcome::violated(spec, &metrics, estimate.quality_difference.as_ref());
        let cost = of(estimate.inference_cost);
        let utility = metrics
            .get(spec.objective.metric.as_str())
            .copied()
            .unwrap_or(cost);
        Evaluation {
            utility,
            inference_cost: CostEstimate {
                unit,
                estimate: cost,
            },
            metrics,
            valid: estimate.affordable && violated.is_empty(),
            violated,
            coverage: Some(Coverage {
                instances: rows,
                of: count(self.job.rows(Split::Tuning)),
                responses: count(estimate.responses),
                complete: estimate.complete,
            }),
            utility_interval: statistics::mean_interval(spec.objective.metric, values),
        }
    }

    /// Ends every arm's trial, the winner's first.
    fn conclude(&mut self, profiled: &mut ProfiledLoop) -> Result<(), TuningError> {
        self.changes.decisions += 1;
        let conclusion = profiled.search.conclude();
        if self.stop.is_none() {
            self.stop = Some(match profiled.over {
                Some(Over::BudgetSpent) | None => StopReason::BudgetExhausted,
                Some(Over::TrialLimit) => StopReason::TrialLimit,
                Some(Over::NoImprovement) => StopReason::NoImprovement,
                Some(Over::NothingToGain) => StopReason::Converged,
            });
        }
        let winner = conclusion.winner;
        // What led on the way need not win.
        let direction = self.job.spec.objective.direction;
        self.books.start_over(direction, self.ended.get(&BASELINE));
        // One that the baseline's responses speak for alone has no trial yet.
        if let Some(winner) = winner.filter(|winner| !profiled.trials.contains_key(winner)) {
            self.begin_arm(profiled, winner)?;
        }
        if let Some(earlier) = self.arm_of_an_end(profiled) {
            self.begin_arm(profiled, earlier)?;
        }
        let mut arms: Vec<usize> = profiled.trials.keys().copied().collect();
        arms.sort_by_key(|arm| (winner != Some(*arm), *arm));
        for arm in arms {
            let Some(trial) = profiled.trials.remove(&arm) else {
                continue;
            };
            let result = conclusion.arms.get(&arm);
            let estimate = result.map(|result| &result.estimate);
            let settings = Settings {
                extent: estimate.map_or(trial.settings.extent, |estimate| estimate.extent),
                ..trial.settings.as_ref().clone()
            };
            let corpus = self.corpus(&settings.sampling);
            let outcome = match (trial.refused, estimate) {
                (Some(refused), _) => refused,
                (None, Some(estimate)) if !estimate.closed => {
                    let values = result.map(|result| result.values.values().copied().collect());
                    let values: Vec<f64> = values.unwrap_or_default();
                    TrialOutcome::Evaluated(self.evaluation(estimate, &values, corpus.as_ref()))
                }
                (None, _) if self.closed(trial.settings.sampling.model).is_some() => {
                    let model = trial.settings.sampling.model;
                    self.closed(model)
                        .map_or(TrialOutcome::Stopped, outcome::of_refusal)
                }
                (None, _) if profiled.search.has_failed(arm) => TrialOutcome::Failed {
                    detail: "requests failed on too many rows".to_owned(),
                },
                (None, _) => TrialOutcome::Stopped,
            };
            let utilities: Utilities = result
                .map(|result| result.values.clone())
                .unwrap_or_default();
            let before = self.past.trials.get_mut(&trial.number);
            let stored = before.and_then(|before| before.end.take()).is_some();
            let ended = EndedTrial {
                number: trial.number,
                settings: Arc::new(settings.clone()),
                outcome,
                utilities,
                qualities: Utilities::new(),
                quality_difference: estimate.and_then(|estimate| estimate.quality_difference),
                corpus,
                tally: trial.tally,
                requests: Vec::new(),
                figures: None,
                run: None,
            };
            let wins = winner == Some(arm);
            self.end_arm(ended, stored, settings, wins);
        }
        self.books.release_kept();
        self.phase = Phase::Validation;
        Ok(())
    }
}

/// What a search hears of the baseline.
fn baseline_estimate(spec: &JobSpec, found: &Evaluation) -> Option<BaselineEstimate> {
    let quality = found.metrics.get(spec.objective.quality().as_str())?;
    Some(BaselineEstimate {
        quality: (quality.mean, quality.standard_error.unwrap_or(1.0)),
        // As costs are weighed: in pico-dollars or tokens.
        cost: found.inference_cost.estimate.mean / spec.cost_unit().display(1.0),
    })
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "weighed, not booked")]
const fn real(amount: u64) -> f64 {
    amount as f64
}
