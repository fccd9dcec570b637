//! What moves an evaluation: its trials, their blocks of rows, their ends.

use super::turns::plan_error;
use super::{Phase, Tuning};
use crate::active::Active;
use crate::ended::EndedTrial;
use crate::error::TuningError;
use crate::outcome::{self, Utilities};
use crate::profiled::Arrived;
use crate::run_key::RunKey;
use crate::side_by_side::{Next, SideBySide};
use crate::step::{BegunTrial, Change};
use frugal_domain::event::EventBody;
use frugal_domain::job::Split;
use frugal_domain::request::Purpose;
use frugal_domain::state::StopReason;
use frugal_domain::trial::TrialRole;
use frugal_evaluation::Ending;

/// Who proposes the configurations of an evaluation.
const GIVEN: &str = "given";

impl Tuning {
    pub(super) fn side_by_side_turn(&mut self, mut side: SideBySide) -> Result<bool, TuningError> {
        let moved = self.move_side_by_side(&mut side);
        self.side_by_side = Some(side);
        moved
    }

    fn move_side_by_side(&mut self, side: &mut SideBySide) -> Result<bool, TuningError> {
        if !side.has_trials {
            side.has_trials = true;
            self.begin_given(side)?;
            return Ok(true);
        }
        if self.may_begin_rows()
            && let Some(next) = side.next()
        {
            self.begin_rows(side, next)?;
            return Ok(true);
        }
        if let Some((oldest, arrived)) = side.tell() {
            if let Some(arrived) = arrived {
                self.tell_rows(side, oldest.configuration, &arrived);
            }
            return Ok(true);
        }
        if !side.none_in_air() {
            return Ok(false);
        }
        self.conclude_given(side);
        Ok(true)
    }

    /// Begins the trial of every configuration, or takes up those that were begun before.
    fn begin_given(&mut self, side: &SideBySide) -> Result<(), TuningError> {
        let spec = self.job.spec.clone();
        let named = spec.evaluation.iter().flat_map(|it| &it.configurations);
        for (standing, named) in side.standings.iter().zip(named) {
            let number = standing.number;
            self.books.begin();
            if let Some(before) = self.past.trials.get(&number) {
                if before.configuration != named.configuration {
                    return Err(TuningError::OtherConfiguration(number));
                }
                continue;
            }
            self.beginning.insert(number);
            let settings = standing.settings.as_ref().clone();
            let started = EventBody::TrialStarted {
                trial: number,
                role: TrialRole::Evaluation,
                settings: settings.clone(),
            };
            let begun = BegunTrial {
                number,
                role: TrialRole::Evaluation,
                origin: GIVEN.to_owned(),
                configuration: named.configuration.clone(),
                settings,
            };
            self.record(Change::TrialBegun(begun), vec![started]);
        }
        Ok(())
    }

    /// Whether further rows are begun. Those that were before are, whatever there is now to stop for.
    fn may_begin_rows(&mut self) -> bool {
        let mut left = self.past.requests.keys();
        let replays = left.any(|key| key.purpose == Purpose::Evaluation);
        if !replays && self.stop.is_none() {
            self.stop = self.reason_to_stop();
        }
        replays || self.stop.is_none()
    }

    /// Begins a configuration on a block of rows.
    fn begin_rows(&mut self, side: &mut SideBySide, next: Next) -> Result<(), TuningError> {
        let standing = &mut side.standings[next.configuration];
        let number = standing.number;
        if standing.refused.is_none() {
            let refusal = self.closed(standing.settings.sampling.model);
            standing.refused = refusal.map(outcome::of_refusal);
        }
        if standing.refused.is_some() {
            side.begin(next.configuration, None);
            return Ok(());
        }
        let settings = standing.settings.clone();
        let plan = self.job.trial_plan(number, Purpose::Evaluation, &settings);
        let run = self.evaluator.begin_rows(plan, next.first, next.rows);
        let run = plan_error(number, run)?;
        let key = RunKey {
            purpose: Purpose::Evaluation,
            trial: number,
            first: next.first,
        };
        let stored = !self.beginning.contains(&number);
        self.active
            .insert(key, Active::batch(key, settings, run, stored));
        if stored {
            self.ready.insert(key);
        }
        side.begin(next.configuration, Some(key));
        Ok(())
    }

    fn tell_rows(&mut self, side: &mut SideBySide, configuration: usize, arrived: &Arrived) {
        let rows = self.job.rows(Split::Tuning);
        let spec = self.job.spec.clone();
        self.commit_run(&arrived.run);
        let standing = &mut side.standings[configuration];
        standing.take(&spec, rows, arrived);
        self.told_of(standing.settings.sampling.model, &arrived.requests);
        if let Some(refusal) = self.told.of_all() {
            self.endpoint_unusable(refusal.reason);
        }
        let cut_short = arrived.run.ending() == Some(&Ending::BudgetExhausted);
        if self.stop.is_none() && (arrived.cut_off || cut_short) {
            self.stop = Some(self.reason_to_stop().unwrap_or(StopReason::BudgetExhausted));
        }
        // A worker may have died between the answers and this.
        let before = self.past.trials.get(&standing.number);
        let untold = before.is_some_and(|before| before.is_behind(standing.tally));
        let evaluation = standing.evaluation(&spec, rows);
        let untold = untold && evaluation.is_some();
        if !arrived.new && !untold {
            return;
        }
        let mut events = vec![EventBody::TrialProgress {
            trial: standing.number,
            n: standing.settings.extent.n,
            instances: u32::try_from(standing.instances()).unwrap_or(u32::MAX),
            of: u32::try_from(rows).unwrap_or(u32::MAX),
            spend: standing.tally.spend,
        }];
        events.push(EventBody::BudgetUpdated {
            spend: self.books.ledger.spent(),
        });
        let change = match evaluation {
            Some(evaluation) => Change::TrialProgressed {
                trial: standing.number,
                settings: standing.settings.as_ref().clone(),
                evaluation,
                tally: standing.tally,
            },
            None => Change::Progressed,
        };
        self.record(change, events);
    }

    /// Ends every trial.
    fn conclude_given(&mut self, side: &SideBySide) {
        self.stop.get_or_insert(StopReason::Completed);
        let rows = self.job.rows(Split::Tuning);
        let spec = self.job.spec.clone();
        for standing in &side.standings {
            let before = self.past.trials.get_mut(&standing.number);
            let stored = before.and_then(|before| before.end.take()).is_some();
            let utilities = standing.by_row(&spec, spec.objective.metric);
            let ended = EndedTrial {
                number: standing.number,
                settings: standing.settings.clone(),
                outcome: standing.outcome(&spec, rows),
                utilities: utilities.unwrap_or_default(),
                qualities: Utilities::new(),
                quality_difference: None,
                corpus: None,
                tally: standing.tally,
                requests: Vec::new(),
                figures: None,
                run: None,
            };
            self.books.count_end(&ended.outcome);
            self.store_end(ended, stored, None, None);
        }
        self.books.release_kept();
        self.phase = Phase::Validation;
    }
}
