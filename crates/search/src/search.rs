//! The searchers behind one type, and what all of them share: the numbering of proposals, the
//! order of tells, and that no configuration is proposed twice.

use crate::ask_tell::{
    Ask, Exhausted, Observation, Origin, Outcome, Proposal, Searcher, TellError,
};
use crate::blend_search::{BlendOptions, BlendSearch};
use crate::cfo::Cfo;
use crate::draws::Draws;
use crate::encoding::{Encoding, EncodingError};
use crate::global::Global;
use crate::grid::{GridError, GridSearch};
use crate::known::{ProposalState, Told};
use crate::random::RandomSearch;
use crate::strategy::{SearchState, Start, TurnOutcome};
use crate::tpe::{Tpe, TpeSearch};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::GlobalSearcher;
use frugal_domain::space::Space;
use std::collections::VecDeque;

/// Turns without a proposal before an ask gives up on the optimiser's own rules.
const LARGEST_TURNS: usize = 100;
/// Uniform draws that look for a new point after that.
const LARGEST_DRAWS: usize = 2_000;
/// Finite spaces up to this size are counted out before they are called used up.
const LARGEST_COUNTED: u64 = 100_000;

/// What a search is built from.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// Which optimiser, with its options.
    pub algorithm: Algorithm,
    /// The space.
    pub space: Space,
    /// Fixes all random draws.
    pub seed: u64,
    /// Whole configurations, evaluated first and in order.
    pub start: Vec<Configuration>,
    /// Cheap whole configurations, evaluated next, for algorithms that begin with such.
    pub low_cost_starts: Vec<Configuration>,
    /// The cheap corners, for algorithms that begin with such: evaluated next, and what local
    /// searches begin from again. They may be partial; what they leave open is drawn. Those
    /// settings that they name are explored from there outwards.
    pub low_cost: Vec<Configuration>,
    /// What may be spent in all, in the unit of the observed costs.
    pub cost_budget: Option<f64>,
    /// The least cost that an improvement is taken to have had, in that unit: it keeps free
    /// trials from looking infinitely fast. By default a thousandth of the budget, or 1
    /// without a budget.
    pub cost_floor: Option<f64>,
    /// How many trials may be told in a row that are no better than the best before them, until
    /// the search ends; at least 1. Without it, it never ends for that.
    pub patience: Option<u32>,
}

/// Options that make no search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The space cannot be searched.
    #[error(transparent)]
    Space(#[from] EncodingError),
    /// The grid over the space cannot be searched.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A start is not in the space.
    #[error("start {index} is not in the search space")]
    StartOutside {
        /// Its position among the starts and, after them, the cheap ones.
        index: usize,
    },
    /// A cheap start names a value that is not in the space.
    #[error("low-cost start {index} has a value for `{name}` that is not in the search space")]
    LowCostOutside {
        /// Its position.
        index: usize,
        /// The name that is unknown or has a value outside.
        name: String,
    },
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    ground: SearchState,
    strategy: Strategy,
    /// The proposals without a result, oldest first.
    open: VecDeque<Proposal>,
    /// What is proposed next, whatever the optimiser's own rules say.
    enqueued: VecDeque<Configuration>,
    proposed: u32,
    size: Option<u64>,
    patience: Option<u32>,
    best_loss: f64,
    /// Trials told since one was better than all before it.
    since_best: u32,
    /// Set while another ask would bring nothing but what this one brought.
    standstill: Option<Ask>,
}

#[derive(Debug, Clone)]
enum Strategy {
    Blend(Box<BlendSearch>),
    Cfo(Box<Cfo>),
    Tpe(TpeSearch),
    Random(RandomSearch),
    Grid(Box<GridSearch>),
}

impl Search {
    /// A search that has proposed nothing.
    ///
    /// # Errors
    /// Where the space cannot be searched or a start is not in it.
    pub fn new(options: SearchOptions) -> Result<Self, SearchError> {
        let encoding = Encoding::new(options.space)?;
        let (low_cost_starts, low_cost) = if options.algorithm.low_cost_starts() {
            (options.low_cost_starts, options.low_cost)
        } else {
            Default::default()
        };
        let given = options.start.iter().map(|start| (start, Origin::Start));
        let cheap = low_cost_starts.iter().map(|start| (start, Origin::LowCost));
        let mut starts = Vec::new();
        for (index, (start, origin)) in given.chain(cheap).enumerate() {
            let configuration = encoding
                .normal_form(start)
                .ok_or(SearchError::StartOutside { index })?;
            starts.push(Start {
                configuration,
                origin,
            });
        }
        for (index, partial) in low_cost.iter().enumerate() {
            if let Some(name) = encoding.first_outside(partial) {
                return Err(SearchError::LowCostOutside { index, name });
            }
            starts.push(Start {
                configuration: partial.clone(),
                origin: Origin::LowCost,
            });
        }
        let size = encoding.count();
        let mut ground = SearchState::new(encoding, Draws::seeded(options.seed));
        let cost_budget = options.cost_budget.filter(|budget| *budget > 0.0);
        let strategy = match options.algorithm {
            Algorithm::Blendsearch(own) => {
                let options = BlendOptions {
                    starts,
                    low_cost,
                    cost_budget,
                    cost_floor: options
                        .cost_floor
                        .or(cost_budget.map(|budget| budget / 1000.0))
                        .filter(|floor| floor.is_finite() && *floor > 0.0)
                        .unwrap_or(1.0),
                    step_size: own.step_size,
                };
                let global = match own.global {
                    GlobalSearcher::Tpe => {
                        Global::Tpe(Tpe::new(own.startup_trials, own.candidates))
                    }
                    GlobalSearcher::Random => Global::Random,
                };
                Strategy::Blend(Box::new(BlendSearch::new(&ground, options, global)))
            }
            Algorithm::Cfo(own) => {
                let cfo = Cfo::new(&ground, starts, low_cost, cost_budget, own.step_size);
                Strategy::Cfo(Box::new(cfo))
            }
            Algorithm::Tpe(own) => {
                let tpe = Tpe::new(own.startup_trials, own.candidates);
                Strategy::Tpe(TpeSearch::new(starts, tpe))
            }
            Algorithm::Random(own) => {
                Strategy::Random(RandomSearch::new(&mut ground, starts, own.sequence))
            }
            Algorithm::Grid(own) => {
                Strategy::Grid(Box::new(GridSearch::new(&mut ground, starts, own)?))
            }
        };
        Ok(Self {
            ground,
            strategy,
            open: VecDeque::new(),
            enqueued: VecDeque::new(),
            proposed: 0,
            size,
            patience: options.patience,
            best_loss: f64::INFINITY,
            since_best: 0,
            standstill: None,
        })
    }

    /// Goes on with another budget, in the unit of the observed costs, and another patience.
    pub fn change_limits(&mut self, cost_budget: f64, patience: Option<u32>) {
        match &mut self.strategy {
            Strategy::Blend(blend) => blend.set_cost_budget(cost_budget),
            Strategy::Cfo(cfo) => cfo.set_cost_budget(cost_budget),
            Strategy::Tpe(_) | Strategy::Random(_) | Strategy::Grid(_) => {}
        }
        self.patience = patience;
        self.standstill = None;
    }

    /// Has a configuration proposed next, behind others that were enqueued before: neither a budget nor a
    /// patience that is used up is in its way. The optimiser learns from what comes of it. One that was
    /// proposed before, or is not in the space, is not proposed again.
    pub fn enqueue(&mut self, configuration: &Configuration) {
        let Some(configuration) = self.ground.encoding.normal_form(configuration) else {
            return;
        };
        self.enqueued.push_back(configuration);
        self.standstill = None;
    }

    /// Whether something that was enqueued is to be proposed next.
    #[must_use]
    pub fn has_enqueued(&self) -> bool {
        self.enqueued.iter().any(|one| self.is_new(one))
    }

    fn is_new(&self, configuration: &Configuration) -> bool {
        self.ground.known.standing(configuration) == ProposalState::New
    }

    /// The proposals without a result, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Proposal> {
        self.open.iter()
    }

    fn seek(&mut self) -> Ask {
        while let Some(configuration) = self.enqueued.pop_front() {
            if self.is_new(&configuration) {
                self.adopt(&configuration);
                return self.propose(configuration, Origin::Owner);
            }
        }
        if self.is_used_up() {
            return self.nothing(Exhausted::SpaceUsedUp);
        }
        // A trial that is still open may bring the improvement; then the search goes on.
        if self
            .patience
            .is_some_and(|patience| self.since_best >= patience.max(1))
        {
            return self.nothing(Exhausted::NoImprovement);
        }
        for _ in 0..LARGEST_TURNS {
            let turn = match &mut self.strategy {
                Strategy::Blend(blend) => blend.turn(&mut self.ground),
                Strategy::Cfo(cfo) => cfo.turn(&mut self.ground),
                Strategy::Tpe(tpe) => tpe.turn(&mut self.ground),
                Strategy::Random(random) => random.turn(&mut self.ground),
                Strategy::Grid(grid) => grid.turn(&mut self.ground),
            };
            match turn {
                TurnOutcome::Proposed {
                    configuration,
                    origin,
                } => match (
                    self.ground.known.standing(&configuration),
                    &mut self.strategy,
                ) {
                    (ProposalState::Told(told), Strategy::Blend(blend)) => {
                        blend.answer(&mut self.ground, &configuration, told);
                    }
                    _ => return self.propose(configuration, origin),
                },
                TurnOutcome::Nothing => {}
                TurnOutcome::BudgetSpent => return Ask::Exhausted(Exhausted::BudgetSpent),
                TurnOutcome::UsedUp => return self.nothing(Exhausted::SpaceUsedUp),
            }
        }
        if !self.open.is_empty() {
            return Ask::Wait;
        }
        match self.unseen() {
            Ok(configuration) => {
                self.adopt(&configuration);
                self.propose(configuration, Origin::Random)
            }
            Err(reason) => self.nothing(reason),
        }
    }

    /// Takes a configuration from outside the optimiser's rules for one of its own.
    fn adopt(&mut self, configuration: &Configuration) {
        match &mut self.strategy {
            Strategy::Blend(blend) => {
                blend.adopt(&mut self.ground, configuration.clone());
            }
            Strategy::Cfo(cfo) => {
                cfo.adopt(&mut self.ground, configuration.clone());
            }
            Strategy::Tpe(_) | Strategy::Random(_) | Strategy::Grid(_) => {
                self.ground.known.open(configuration);
            }
        }
    }

    fn propose(&mut self, configuration: Configuration, origin: Origin) -> Ask {
        let proposal = Proposal {
            number: self.proposed,
            configuration,
            origin,
        };
        self.proposed += 1;
        self.open.push_back(proposal.clone());
        Ask::Propose(proposal)
    }

    fn nothing(&self, reason: Exhausted) -> Ask {
        if self.open.is_empty() {
            Ask::Exhausted(reason)
        } else {
            Ask::Wait
        }
    }

    fn is_used_up(&self) -> bool {
        self.size.is_some_and(|size| {
            u64::try_from(self.ground.known.len()).is_ok_and(|known| known >= size)
        })
    }

    /// A configuration that has not been proposed, from uniform draws and then, where the
    /// space is small enough, from a count through all of it. (Configurations that differ only
    /// in what has no effect are one, so the count may be all seen before its size is reached.)
    fn unseen(&mut self) -> Result<Configuration, Exhausted> {
        let SearchState {
            encoding,
            draws,
            known,
        } = &mut self.ground;
        for _ in 0..LARGEST_DRAWS {
            let configuration = encoding.random(draws);
            if known.standing(&configuration) == ProposalState::New {
                return Ok(configuration);
            }
        }
        match self.size {
            Some(size) if size <= LARGEST_COUNTED => (0..size)
                .map(|index| encoding.nth(index))
                .find(|configuration| known.standing(configuration) == ProposalState::New)
                .ok_or(Exhausted::SpaceUsedUp),
            _ => Err(Exhausted::NothingNew),
        }
    }
}

impl Searcher for Search {
    fn ask(&mut self) -> Ask {
        if let Some(ask) = &self.standstill {
            return ask.clone();
        }
        let ask = self.seek();
        if !matches!(ask, Ask::Propose(_)) {
            self.standstill = Some(ask.clone());
        }
        ask
    }

    fn tell(&mut self, proposal: u32, observation: Observation) -> Result<(), TellError> {
        let told = proposal;
        match self.open.front().map(|open| open.number) {
            None => return Err(TellError::NoneOpen { told }),
            Some(expected) if expected != told => {
                return Err(TellError::OutOfOrder { told, expected });
            }
            Some(_) => {}
        }
        let Some(Proposal { configuration, .. }) = self.open.pop_front() else {
            return Err(TellError::NoneOpen { told });
        };
        let told = Told {
            loss: match observation.outcome {
                // What was not seen to its end cannot win.
                Outcome::Inferior { .. } => observation.outcome.loss().max(self.best_loss),
                outcome => outcome.loss(),
            },
            cost: Some(observation.cost)
                .filter(|cost| cost.is_finite() && *cost > 0.0)
                .unwrap_or(0.0),
        };
        if told.loss < self.best_loss {
            self.best_loss = told.loss;
            self.since_best = 0;
        } else {
            self.since_best = self.since_best.saturating_add(1);
        }
        match &mut self.strategy {
            Strategy::Blend(blend) => blend.complete(&mut self.ground, &configuration, told),
            Strategy::Cfo(cfo) => cfo.complete(&mut self.ground, &configuration, told),
            Strategy::Tpe(tpe) => tpe.complete(&mut self.ground, &configuration, told),
            Strategy::Random(_) | Strategy::Grid(_) => self.ground.known.tell(&configuration, told),
        }
        self.standstill = None;
        Ok(())
    }
}
