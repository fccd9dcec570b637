#![doc = include_str!("../docs/cfo.md")]

use crate::ask_tell::Origin;
use crate::flow2::Flow2;
use crate::known::{ProposalState, Told};
use crate::region::Region;
use crate::restart::CheapStarts;
use crate::strategy::{SearchState, Start, TurnOutcome};
use frugal_domain::configuration::Configuration;
use std::collections::{BTreeMap, VecDeque};

/// Local search with restarts.
#[derive(Debug, Clone)]
pub struct Cfo {
    starts: VecDeque<Start>,
    starts_open: usize,
    /// Evaluated starts that no search has begun from yet.
    candidates: Vec<(Configuration, Told)>,
    cheap_starts: CheapStarts,
    cost_budget: Option<f64>,
    cost_used: f64,
    /// The search under way; several never run at once.
    local: Option<Flow2>,
    searches: u32,
    turns: u64,
    open: BTreeMap<String, Proposed>,
    region: Region,
    step_size: f64,
}

#[derive(Debug, Clone, Copy)]
enum Proposed {
    Start,
    Restart,
    Local { search: u32, turn: u64 },
}

impl Cfo {
    /// A search that evaluates all starts first, begins from the best of them, and later
    /// restarts from the cheap ones. `step_size` is that of [`Flow2::new`].
    #[must_use]
    pub fn new(
        ground: &SearchState,
        starts: Vec<Start>,
        low_cost: Vec<Configuration>,
        cost_budget: Option<f64>,
        step_size: f64,
    ) -> Self {
        Self {
            region: Region::around(&ground.encoding, &low_cost, step_size),
            step_size,
            cheap_starts: CheapStarts::new(
                low_cost,
                starts.iter().map(|start| &start.configuration),
            ),
            starts: starts.into(),
            starts_open: 0,
            candidates: Vec::new(),
            cost_budget,
            cost_used: 0.0,
            local: None,
            searches: 0,
            turns: 0,
            open: BTreeMap::new(),
        }
    }

    /// Goes on with another budget, in the unit of the observed costs.
    pub fn set_cost_budget(&mut self, budget: f64) {
        self.cost_budget = Some(budget).filter(|budget| *budget > 0.0);
    }

    /// One start, one step of the local search, or one restart.
    pub fn turn(&mut self, ground: &mut SearchState) -> TurnOutcome {
        let turn = self.turns;
        self.turns += 1;
        if let Some((configuration, origin)) = ground.next_start(&mut self.starts) {
            if ground.known.standing(&configuration) != ProposalState::New {
                return TurnOutcome::Nothing;
            }
            self.starts_open += 1;
            return self.propose(ground, configuration, origin, Proposed::Start);
        }
        if self
            .cost_budget
            .is_some_and(|budget| self.cost_used >= budget)
        {
            return TurnOutcome::BudgetSpent;
        }
        match &self.local {
            Some(_) => self.local_turn(ground, turn),
            None => self.restart(ground),
        }
    }

    /// Takes a configuration from outside the rules as if it were a restart.
    pub fn adopt(&mut self, ground: &mut SearchState, configuration: Configuration) -> TurnOutcome {
        self.propose(ground, configuration, Origin::Random, Proposed::Restart)
    }

    /// Hears the result of an open proposal.
    pub fn complete(
        &mut self,
        ground: &mut SearchState,
        configuration: &Configuration,
        told: Told,
    ) {
        ground.known.tell(configuration, told);
        self.cost_used += told.cost;
        match self.open.remove(&configuration.canonical_key()) {
            Some(Proposed::Start) => {
                self.starts_open = self.starts_open.saturating_sub(1);
                self.candidates.push((configuration.clone(), told));
                if self.starts.is_empty() && self.starts_open == 0 && self.local.is_none() {
                    self.begin_from_best_candidate(ground);
                }
            }
            Some(Proposed::Restart) | None => {
                if self.local.is_none() {
                    self.begin(ground, configuration.clone(), told.loss);
                }
            }
            Some(Proposed::Local { search, turn }) => {
                if search == self.searches {
                    self.tell_local(ground, turn, told.loss);
                }
            }
        }
    }

    fn local_turn(&mut self, ground: &mut SearchState, turn: u64) -> TurnOutcome {
        let Some(local) = &mut self.local else {
            return TurnOutcome::Nothing;
        };
        if !local.can_suggest() {
            return TurnOutcome::Nothing;
        }
        let Some(configuration) = local.suggest(&ground.encoding, &mut ground.draws, turn) else {
            self.end_if_converged(ground);
            return TurnOutcome::Nothing;
        };
        match ground.known.standing(&configuration) {
            ProposalState::New => {
                self.region.include(&ground.encoding, &configuration);
                let search = self.searches;
                let origin = Origin::Local { thread: search };
                self.propose(
                    ground,
                    configuration,
                    origin,
                    Proposed::Local { search, turn },
                )
            }
            ProposalState::Open => {
                local.forget(turn);
                TurnOutcome::Nothing
            }
            ProposalState::Told(told) => {
                self.tell_local(ground, turn, told.loss);
                TurnOutcome::Nothing
            }
        }
    }

    fn tell_local(&mut self, ground: &SearchState, turn: u64, loss: f64) {
        if let Some(local) = &mut self.local {
            local.complete(&ground.encoding, turn, loss);
        }
        self.end_if_converged(ground);
    }

    fn end_if_converged(&mut self, ground: &SearchState) {
        if let Some(local) = &self.local
            && local.has_converged(&ground.encoding)
        {
            self.region
                .widen(&ground.encoding, local.best_configuration());
            self.local = None;
            self.begin_from_best_candidate(ground);
        }
    }

    fn restart(&mut self, ground: &mut SearchState) -> TurnOutcome {
        let configuration =
            self.cheap_starts
                .draw(&ground.encoding, &mut ground.draws, &self.region);
        if ground.known.standing(&configuration) != ProposalState::New {
            return TurnOutcome::Nothing;
        }
        self.propose(ground, configuration, Origin::Restart, Proposed::Restart)
    }

    fn propose(
        &mut self,
        ground: &mut SearchState,
        configuration: Configuration,
        origin: Origin,
        proposed: Proposed,
    ) -> TurnOutcome {
        ground.known.open(&configuration);
        self.open.insert(configuration.canonical_key(), proposed);
        TurnOutcome::Proposed {
            configuration,
            origin,
        }
    }

    fn begin(&mut self, ground: &SearchState, configuration: Configuration, loss: f64) {
        self.searches += 1;
        self.region.include(&ground.encoding, &configuration);
        self.local = Some(Flow2::new(
            &ground.encoding,
            configuration,
            loss,
            self.step_size,
        ));
    }

    /// The first of the best where several are equal.
    fn begin_from_best_candidate(&mut self, ground: &SearchState) {
        let best = (0..self.candidates.len()).min_by(|a, b| {
            let loss = |index: &usize| self.candidates.get(*index).map(|(_, told)| told.loss);
            loss(a)
                .unwrap_or(f64::INFINITY)
                .total_cmp(&loss(b).unwrap_or(f64::INFINITY))
        });
        if let Some(best) = best {
            let (configuration, told) = self.candidates.remove(best);
            self.begin(ground, configuration, told.loss);
        }
    }
}
