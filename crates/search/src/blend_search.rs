#![doc = include_str!("../docs/blendsearch.md")]

use crate::ask_tell::Origin;
use crate::flow2::Flow2;
use crate::global::Global;
use crate::known::{ProposalState, Told};
use crate::region::Region;
use crate::restart::CheapStarts;
use crate::search_thread::SearchThread;
use crate::strategy::{SearchState, Start, TurnOutcome};
use frugal_domain::configuration::Configuration;
use std::collections::{BTreeMap, VecDeque};

/// The number of the global thread.
pub const GLOBAL: u32 = 0;

/// Trials under way from which on global proposals are moved into the admissible region rather than
/// given up.
const CROWD: usize = 5;

/// What a blend is set up with.
#[derive(Debug, Clone)]
pub struct BlendOptions {
    /// Evaluated first, in order, for the global thread. Without any, one is drawn.
    pub starts: Vec<Start>,
    /// The cheap starts, possibly partial: what restarts begin from. The settings that they
    /// name bound the admissible region.
    pub low_cost: Vec<Configuration>,
    /// What may be spent in all.
    pub cost_budget: Option<f64>,
    /// The least cost that an improvement is taken to have had, in the unit of the costs.
    pub cost_floor: f64,
    /// The first step of a local search, as in [`Flow2::new`], and the margin of the admissible
    /// region (0.1 in the reference implementation).
    pub step_size: f64,
}

/// The blend of a global search and local ones. Thread 0 is the global one, and the starts are its
/// proposals.
#[derive(Debug, Clone)]
pub struct BlendSearch {
    starts: VecDeque<Start>,
    cheap_starts: CheapStarts,
    cost_budget: Option<f64>,
    cost_floor: f64,
    step_size: f64,
    cost_used: f64,
    best_loss: f64,
    global: Global,
    global_thread: SearchThread,
    /// By number, in the order of creation.
    local_threads: BTreeMap<u32, LocalThread>,
    threads_created: u32,
    turns: u64,
    /// By canonical key: the thread and the turn that an open proposal came from.
    open: BTreeMap<String, Proposed>,
    /// Around the local searches.
    local_region: Region,
    /// The same, relaxed by the global proposals that are open.
    global_region: Region,
}

/// A local search and its statistics.
#[derive(Debug, Clone)]
pub struct LocalThread {
    /// Its statistics.
    pub statistics: SearchThread,
    /// The search.
    pub search: Flow2,
}

#[derive(Debug, Clone, Copy)]
struct Proposed {
    thread: u32,
    turn: u64,
}

impl BlendSearch {
    /// A blend that has proposed nothing.
    #[must_use]
    pub fn new(ground: &SearchState, options: BlendOptions, global: Global) -> Self {
        let region = Region::around(&ground.encoding, &options.low_cost, options.step_size);
        let mut starts: VecDeque<Start> = options.starts.into();
        if starts.is_empty() {
            starts.push_back(Start {
                configuration: Configuration::default(),
                origin: Origin::Random,
            });
        }
        Self {
            cheap_starts: CheapStarts::new(
                options.low_cost,
                starts.iter().map(|start| &start.configuration),
            ),
            starts,
            cost_budget: options.cost_budget,
            cost_floor: options.cost_floor,
            step_size: options.step_size,
            cost_used: 0.0,
            best_loss: f64::INFINITY,
            global,
            global_thread: SearchThread::global(options.cost_floor),
            local_threads: BTreeMap::new(),
            threads_created: 0,
            turns: 0,
            open: BTreeMap::new(),
            local_region: region.clone(),
            global_region: region,
        }
    }

    /// Goes on with another budget, in the unit of the observed costs.
    pub fn set_cost_budget(&mut self, budget: f64) {
        self.cost_budget = Some(budget).filter(|budget| *budget > 0.0);
    }

    /// The statistics of the global thread.
    #[must_use]
    pub fn global_thread(&self) -> &SearchThread {
        &self.global_thread
    }

    /// The global searcher.
    pub fn global_mut(&mut self) -> &mut Global {
        &mut self.global
    }

    /// The local threads that are alive, by number.
    #[must_use]
    pub fn local_threads(&self) -> &BTreeMap<u32, LocalThread> {
        &self.local_threads
    }

    /// The admissible region, not relaxed.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.local_region
    }

    /// The thread that an open proposal came from; a start belongs to the global thread.
    #[must_use]
    pub fn thread_of(&self, configuration: &Configuration) -> Option<u32> {
        self.open
            .get(&configuration.canonical_key())
            .map(|proposed| proposed.thread)
    }

    /// Gives one turn to the thread whose it is.
    pub fn turn(&mut self, ground: &mut SearchState) -> TurnOutcome {
        let turn = self.turns;
        self.turns += 1;
        if let Some((configuration, origin)) = ground.next_start(&mut self.starts) {
            if ground.known.standing(&configuration) != ProposalState::New {
                return TurnOutcome::Nothing;
            }
            self.global_thread.running += 1;
            return self.propose(ground, configuration, origin, GLOBAL, turn);
        }
        if self
            .cost_budget
            .is_some_and(|budget| budget > 0.0 && self.cost_used >= budget)
        {
            return TurnOutcome::BudgetSpent;
        }
        let (first, second) = self.select();
        match first {
            Some(thread) => self.local_turn(ground, thread, turn, true),
            None => self.global_turn(ground, second, turn),
        }
    }

    /// Takes a configuration from outside the rules as a proposal of the global thread.
    pub fn adopt(&mut self, ground: &mut SearchState, configuration: Configuration) -> TurnOutcome {
        let turn = self.turns;
        self.turns += 1;
        self.global_thread.running += 1;
        self.propose(ground, configuration, Origin::Random, GLOBAL, turn)
    }

    /// Hears the result of an open proposal.
    pub fn complete(
        &mut self,
        ground: &mut SearchState,
        configuration: &Configuration,
        told: Told,
    ) {
        self.cost_used += told.cost;
        // All trials teach the global searcher, those of local threads too (in the reference
        // implementation an option): what has been paid for is made use of.
        self.global.learn(ground, configuration, told.loss);
        self.answer(ground, configuration, told);
    }

    /// Hears the result of a proposal that is known already: it costs nothing again, and the
    /// global searcher does not count it twice.
    pub fn answer(&mut self, ground: &mut SearchState, configuration: &Configuration, told: Told) {
        ground.known.tell(configuration, told);
        let proposed = self.open.remove(&configuration.canonical_key());
        self.best_loss = self.best_loss.min(told.loss);
        let mut to_clean = None;
        match proposed {
            Some(Proposed { thread, turn }) if thread != GLOBAL => {
                if let Some(local) = self.local_threads.get_mut(&thread) {
                    local.search.complete(&ground.encoding, turn, told.loss);
                    local.statistics.complete(told.loss, told.cost);
                    to_clean = Some(thread);
                }
            }
            _ => {
                self.global_thread.complete(told.loss, told.cost);
                if self.deserves_thread(told.loss) {
                    to_clean = Some(self.create_thread(ground, configuration, told));
                }
            }
        }
        self.global_region = self.local_region.clone();
        if let Some(thread) = to_clean {
            self.clean(ground, thread);
        }
    }

    fn propose(
        &mut self,
        ground: &mut SearchState,
        configuration: Configuration,
        origin: Origin,
        thread: u32,
        turn: u64,
    ) -> TurnOutcome {
        ground.known.open(&configuration);
        self.open
            .insert(configuration.canonical_key(), Proposed { thread, turn });
        TurnOutcome::Proposed {
            configuration,
            origin,
        }
    }

    /// A turn of a local thread. `preferred` is false where it stands in for the global one.
    fn local_turn(
        &mut self,
        ground: &mut SearchState,
        thread: u32,
        turn: u64,
        preferred: bool,
    ) -> TurnOutcome {
        let Some(local) = self.local_threads.get_mut(&thread) else {
            return TurnOutcome::Nothing;
        };
        let suggested = local
            .search
            .suggest(&ground.encoding, &mut ground.draws, turn);
        let Some(configuration) = suggested else {
            if preferred && local.search.has_converged(&ground.encoding) {
                self.widen_around(ground, thread);
                self.local_threads.remove(&thread);
            }
            return TurnOutcome::Nothing;
        };
        local.statistics.running += 1;
        match ground.known.standing(&configuration) {
            ProposalState::New => {
                self.local_region.include(&ground.encoding, &configuration);
                self.global_region = self.local_region.clone();
                self.propose(
                    ground,
                    configuration,
                    Origin::Local { thread },
                    thread,
                    turn,
                )
            }
            ProposalState::Open => {
                local.search.forget(turn);
                local.statistics.running = local.statistics.running.saturating_sub(1);
                TurnOutcome::Nothing
            }
            ProposalState::Told(told) => {
                // Answered from what is known, and told once more (reference rule).
                local.search.complete(&ground.encoding, turn, told.loss);
                local.statistics.complete(told.loss, told.cost);
                self.clean(ground, thread);
                TurnOutcome::Nothing
            }
        }
    }

    fn global_turn(
        &mut self,
        ground: &mut SearchState,
        second: Option<u32>,
        turn: u64,
    ) -> TurnOutcome {
        let suggested = self.global.suggest(ground);
        if suggested.is_some() {
            self.global_thread.running += 1;
        }
        let fresh = match suggested {
            None => None,
            Some(configuration) => match ground.known.standing(&configuration) {
                ProposalState::New => Some(configuration),
                ProposalState::Open => None,
                ProposalState::Told(told) => {
                    self.global_thread.complete(told.loss, told.cost);
                    None
                }
            },
        };
        let (mut configuration, mut origin, drawn) = match fresh {
            Some(configuration) => (configuration, Origin::Global, false),
            None => {
                // Where the global searcher fails, a uniform draw stands in for it.
                let configuration = ground.encoding.random(&mut ground.draws);
                if ground.known.standing(&configuration) != ProposalState::New {
                    return TurnOutcome::Nothing;
                }
                (configuration, Origin::Random, true)
            }
        };
        if self.global_region.admits(&ground.encoding, &configuration) {
            self.global_thread.running += u32::from(drawn);
        } else if let Some(thread) = second {
            return self.local_turn(ground, thread, turn, false);
        } else if let Some(nearest) = self.nearest_admissible(ground, &configuration) {
            self.global_thread.running += u32::from(drawn);
            configuration = nearest;
        } else {
            configuration =
                self.cheap_starts
                    .draw(&ground.encoding, &mut ground.draws, &self.local_region);
            origin = Origin::Restart;
            self.global_thread.running += 1;
            if ground.known.standing(&configuration) == ProposalState::Open {
                return TurnOutcome::Nothing;
            }
            // A known one is proposed again (reference rule), for the caller to answer.
        }
        self.global_region.include(&ground.encoding, &configuration);
        self.propose(ground, configuration, origin, GLOBAL, turn)
    }

    /// While [many](CROWD) trials are under way: the new configuration of the admissible region that
    /// is nearest to an inadmissible one. The local threads have no room for so many, and the
    /// region would grow too slowly by restarts alone.
    fn nearest_admissible(
        &self,
        ground: &SearchState,
        configuration: &Configuration,
    ) -> Option<Configuration> {
        if self.open.len() < CROWD {
            return None;
        }
        let nearest = self.global_region.nearest(&ground.encoding, configuration);
        (ground.known.standing(&nearest) == ProposalState::New).then_some(nearest)
    }

    /// The thread of the highest priority (`None` for the global one), and the local thread to
    /// stand in for the global one.
    fn select(&mut self) -> (Option<u32>, Option<u32>) {
        let mut cost = match self.cost_budget {
            Some(budget) if budget > 0.0 => (budget - self.cost_used).max(0.0),
            _ => f64::INFINITY,
        };
        let largest_speed = self
            .statistics_mut()
            .map(|thread| thread.speed)
            .fold(0.0, f64::max);
        let target = self.best_loss;
        for thread in self.statistics_mut() {
            thread.update_eci(target, largest_speed);
            cost = cost.min(thread.eci);
        }
        for thread in self.statistics_mut() {
            thread.update_priority(cost);
        }
        let (mut first, mut second) = (None, None);
        let mut highest = self.global_thread.priority;
        let mut highest_local = f64::NEG_INFINITY;
        for (number, local) in &self.local_threads {
            if !local.search.can_suggest() {
                continue;
            }
            let priority = local.statistics.priority;
            if priority > highest {
                highest = priority;
                first = Some(*number);
            }
            if second.is_none() || priority > highest_local {
                highest_local = priority;
                second = Some(*number);
            }
        }
        (first, second)
    }

    fn statistics_mut(&mut self) -> impl Iterator<Item = &mut SearchThread> {
        std::iter::once(&mut self.global_thread).chain(
            self.local_threads
                .values_mut()
                .map(|local| &mut local.statistics),
        )
    }

    /// Whether a result of the global thread is better than the median of the local threads.
    fn deserves_thread(&self, loss: f64) -> bool {
        let mut losses: Vec<f64> = self
            .local_threads
            .values()
            .map(|local| local.statistics.best_loss)
            .collect();
        losses.sort_by(f64::total_cmp);
        let middle = losses.len() / 2;
        match losses.get(middle) {
            None => true,
            Some(upper) if losses.len() % 2 == 1 => loss < *upper,
            Some(upper) => {
                let lower = losses.get(middle - 1).copied().unwrap_or(*upper);
                loss < (lower + upper) / 2.0
            }
        }
    }

    fn create_thread(
        &mut self,
        ground: &SearchState,
        configuration: &Configuration,
        told: Told,
    ) -> u32 {
        self.threads_created += 1;
        self.local_threads.insert(
            self.threads_created,
            LocalThread {
                statistics: SearchThread::local(told.loss, told.cost, self.cost_floor),
                search: Flow2::new(
                    &ground.encoding,
                    configuration.clone(),
                    told.loss,
                    self.step_size,
                ),
            },
        );
        self.local_region.include(&ground.encoding, configuration);
        self.threads_created
    }

    /// Merges threads that have reached one another, and ends a converged one.
    fn clean(&mut self, ground: &SearchState, thread: u32) {
        let Some(cleaned) = self.local_threads.get(&thread) else {
            return;
        };
        let others = || self.local_threads.iter().filter(|(n, _)| **n != thread);
        let mut ended: Vec<u32> = others()
            .filter(|(_, other)| is_inferior(ground, other, cleaned))
            .map(|(number, _)| *number)
            .collect();
        let merged = others().any(|(_, other)| is_inferior(ground, cleaned, other));
        let converged = cleaned.search.has_converged(&ground.encoding);
        if converged {
            self.widen_around(ground, thread);
        }
        if merged || converged {
            ended.push(thread);
        }
        for number in ended {
            self.local_threads.remove(&number);
        }
    }

    /// Widens the admissible region in the branches of a converged thread.
    fn widen_around(&mut self, ground: &SearchState, thread: u32) {
        if let Some(local) = self.local_threads.get(&thread) {
            self.local_region
                .widen(&ground.encoding, local.search.best_configuration());
        }
    }
}

/// Whether one thread has nothing that the other does not reach: its best is no better than
/// the other's second best, and within a step of it.
fn is_inferior(ground: &SearchState, thread: &LocalThread, other: &LocalThread) -> bool {
    thread.statistics.best_loss >= other.statistics.second_best_loss
        && other.search.reaches(&ground.encoding, &thread.search)
}
