//! Profiled search: the sampling settings are searched, and the extent is read from what was drawn.
//!
//! A response depends neither on `n` nor, but for where it is cut, on `max_tokens` (the paper, section
//! 3). So only the sampling settings are searched; each point of them that is looked at is an arm,
//! with a pool of responses for every row, and the extent of an arm is chosen from its pool under the
//! inference budget. Money goes, batch by batch, to where the expected gain per cost is largest, by a
//! model that arms and rows share. `docs/profiled.md` has the formulae, the constants and their
//! sources.
//!
//! [`Profiled`] is asked for [decisions](Profiled::decide) and told what came of its batches, in the
//! order in which they were decided. It depends on that sequence alone, never on the order in which
//! answers arrive.
//!
//! Start with `batch.rs` (which batch comes next) and `assessment.rs` (what the search believes); that
//! is made from `posterior.rs` (chances), `reach.rs` (rows out of reach), `tokens.rs` (lengths and
//! costs) and `profile.rs` (extents). `openings.rs` says which arms there are at first, `blend.rs` which
//! are proposed where further settings vary, judged by `surrogate.rs`.

mod arm;
mod assessment;
mod batch;
mod blend;
mod chance_table;
mod chances;
mod conclusion;
mod constants;
mod drawing;
mod enqueued;
mod exchange;
mod goal;
mod kernels;
mod openings;
mod posterior;
mod problem;
mod profile;
mod proposals;
mod proposer;
mod proposing;
mod qualities;
mod reach;
mod reduction;
mod selection;
mod standard;
mod surrogate;
mod tokens;
mod votes;
mod whole;

pub use arm::{ArmPlace, Feature, Heat};
pub use exchange::{
    ArmEstimate, ArmResult, Batch, Conclusion, Decision, Drawn, DrawnResponse, Over, Told,
};
pub use problem::{BaselineEstimate, Model, Problem, Rates};
pub use whole::Allowed;

use crate::ask_tell::Origin;
use crate::search::SearchError;
use arm::{Arm, Row};
use assessment::{Assessment, Evidence};
use batch::{Chosen, InAir, Situation};
use constants::{
    FEW_ROWS, FIRST_TEMPERATURE, HOTTEST, MOST_IN_AIR, NEXT_TEMPERATURES, OUTWARD_STEP, PROMISING,
    REFINE_RESPONSES, TEMPERATURE_APART, TEMPERATURE_STEP,
};
use frugal_domain::configuration::{Configuration, Extent};
use frugal_domain::job::JobSpec;
use frugal_domain::scoring::Observation;
use frugal_domain::seed::mix;
use goal::Goal;
use openings::SamplingSpace;
use proposer::Proposer;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use standard::Standard;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Arms at most. Each is looked at before every decision.
pub const MOST_ARMS: usize = 64;
/// Every so many assessments all arms are looked at, those included that no draw had at the top.
const ALL_AWAKE: u64 = 4;
/// The share of an arm's rows that may have no response, for their requests failed, before it is
/// closed, and the rows from which that is judged.
const MOST_FAILED: f64 = 0.2;
const FEW_FAILED: usize = 5;
/// The ratio between limits of tokens at which responses are scored too.
const SHORTER: f64 = 1.5;
/// Right answers of a model and a prompt that all have to be whole, before no more are scored cut.
const WHOLE_ANSWERS: usize = 12;
/// Responses that the guess of what judging costs counts for.
const GUESSED_RESPONSES: f64 = 4.0;

/// A profiled search under way.
#[derive(Debug, Clone)]
pub struct Profiled {
    problem: Problem,
    goal: Goal,
    space: SamplingSpace,
    arms: Vec<Arm>,
    origins: Vec<Origin>,
    proposer: Proposer,
    /// Prompt tokens that an endpoint has counted, by model, prompt and row.
    counted: tokens::Counted,
    /// Pairs of a model and a prompt whose temperatures are opened.
    opened: Vec<(usize, usize)>,
    /// Models of which nothing more is asked.
    closed_models: BTreeSet<usize>,
    /// By model and prompt, the places of rows whose prompts the endpoint refuses.
    left_out: BTreeMap<(usize, usize), BTreeSet<usize>>,
    in_air: VecDeque<InAir>,
    /// Arms that the job's owner has put in and no batch was decided for, oldest first.
    enqueued: VecDeque<usize>,
    spent: f64,
    /// Responses that a judge was asked about.
    judged: usize,
    /// A request could not be paid any more.
    exhausted: bool,
    assessment: Option<Assessment>,
    /// Whether something was told since.
    stale: bool,
    /// Whether arms were opened that no assessment knows of.
    fresh: bool,
    assessments: u64,
    requests_in_flight: usize,
    /// Arms that may be drawn for at most.
    most_begun: usize,
    /// How many may be begun in a row without a new leader.
    patience: Option<usize>,
    /// The last leader, and how many arms had been begun by then.
    last_leader: Option<(usize, usize)>,
}

impl Profiled {
    /// A search of a job that has drawn nothing. Of the problem's budget, `requests_in_flight` may be
    /// in the air.
    ///
    /// # Errors
    /// The space cannot be searched.
    pub fn new(spec: &JobSpec, problem: Problem) -> Result<Self, SearchError> {
        let space = SamplingSpace::of(spec);
        let unit = spec.cost_unit().display(1.0);
        let rows = problem.rows();
        let standard = problem.objective.cheapest.map(|rule| {
            let baseline = problem.baseline.map(|baseline| baseline.quality);
            Standard::new(rule, baseline)
        });
        // What is cheaper is cheaper than the baseline, as a rule.
        let of_baseline = problem.baseline.map(|baseline| baseline.cost);
        let half_cost = of_baseline
            .filter(|cost| standard.is_some() && *cost > 0.0)
            .or(problem.inference_budget)
            .unwrap_or(problem.optimization_budget / rows.max(1) as f64);
        let counted = vec![vec![vec![None; rows]; problem.prompts()]; problem.models.len()];
        let mut search = Self {
            goal: Goal::new(
                problem.objective,
                problem.constraints.clone(),
                standard,
                half_cost,
                unit,
            ),
            proposer: Proposer::of(spec, &space)?,
            arms: Vec::new(),
            origins: Vec::new(),
            space,
            counted,
            opened: Vec::new(),
            closed_models: BTreeSet::new(),
            left_out: BTreeMap::new(),
            in_air: VecDeque::new(),
            enqueued: VecDeque::new(),
            spent: 0.0,
            judged: 0,
            exhausted: false,
            assessment: None,
            stale: true,
            fresh: false,
            assessments: 0,
            requests_in_flight: spec.search.requests_in_flight as usize,
            most_begun: spec.limits.trials as usize,
            patience: spec
                .limits
                .trials_without_improvement
                .map(|patience| patience as usize),
            last_leader: None,
            problem,
        };
        let given: Vec<ArmPlace> = spec
            .start
            .iter()
            .filter_map(|start| search.space.place(&sampling_of(start.clone())))
            .collect();
        for place in given {
            search.open(place, Origin::Start);
        }
        for place in search.space.grid(FIRST_TEMPERATURE) {
            search.open(place, Origin::Grid);
        }
        Ok(search)
    }

    /// Opens an arm, unless it is there or there are too many.
    fn open(&mut self, place: ArmPlace, origin: Origin) -> Option<usize> {
        if let Some(known) = self.arms.iter().position(|arm| arm.place == place) {
            return Some(known);
        }
        if self.arms.len() >= MOST_ARMS && origin != Origin::Owner {
            return None;
        }
        let pair = (place.model, place.prompt);
        let mut arm = Arm::new(place, self.problem.rows());
        arm.closed = self.closed_models.contains(&pair.0);
        self.arms.push(arm);
        self.origins.push(origin);
        self.leave_out(pair, []);
        self.stale = true;
        Some(self.arms.len() - 1)
    }

    /// Where an arm lies.
    #[must_use]
    pub fn place(&self, arm: usize) -> Option<&ArmPlace> {
        self.arms.get(arm).map(|arm| &arm.place)
    }

    /// Which rule opened an arm.
    #[must_use]
    pub fn origin(&self, arm: usize) -> Option<Origin> {
        self.origins.get(arm).copied()
    }

    /// What comes next.
    pub fn decide(&mut self) -> Decision {
        let air: f64 = self.in_air.iter().map(|batch| batch.cost).sum();
        let requests: usize = self.in_air.iter().map(|batch| batch.rows.len()).sum();
        let most = self.problem.optimization_budget * MOST_IN_AIR;
        let room = self.in_air.is_empty()
            || requests < self.requests_in_flight && air < most && !self.exhausted;
        let chosen = if !room || self.exhausted {
            None
        } else {
            self.choose()
        };
        match chosen.filter(|chosen| self.in_air.is_empty() || air + chosen.cost <= most) {
            Some(chosen) => Decision::Draw(self.launch(chosen)),
            None if !self.in_air.is_empty() => Decision::Wait,
            None => Decision::Over(self.why_over()),
        }
    }

    fn choose(&mut self) -> Option<Chosen> {
        if self.arms.iter().all(|arm| arm.seen == 0) {
            return if self.in_air.is_empty() {
                self.first()
            } else {
                None
            };
        }
        loop {
            if self.stale {
                self.assess();
                // Arms that were opened last time have their say before others take their place.
                self.fresh = !self.fresh && self.open_arms();
                self.stale = self.fresh;
                let leader = self.leader();
                if let Some(leader) = leader
                    && self.last_leader.is_none_or(|(last, _)| last != leader)
                {
                    self.last_leader = Some((leader, self.begun()));
                }
            }
            let in_air: Vec<InAir> = self.in_air.iter().cloned().collect();
            let assessment = self.assessment.as_ref()?;
            let situation = Situation {
                problem: &self.problem,
                // Arms that were opened just now wait for the next decision, unless there is
                // nothing else to do: one assessment takes long enough.
                arms: &self.arms[..assessment.profiles.len()],
                assessment,
                in_air: &in_air,
                left: self.left(),
                may_begin: self.begun() < self.most_begun && !self.is_out_of_patience(),
            };
            let enqueued = self.next_enqueued(assessment);
            let look = enqueued.and_then(|arm| situation.look(arm));
            let chosen = look.or_else(|| situation.choose());
            if chosen.is_some() || !self.stale {
                return chosen;
            }
        }
    }

    /// Arms that were drawn for, or are about to be, but for those that the job's owner has put in.
    fn begun(&self) -> usize {
        let in_air = |arm: usize| self.in_air.iter().any(|batch| batch.arm == arm);
        (0..self.arms.len())
            .filter(|arm| self.arms[*arm].drawn > 0 || in_air(*arm))
            .filter(|arm| self.origins[*arm] != Origin::Owner)
            .count()
    }

    fn is_out_of_patience(&self) -> bool {
        let since = self
            .last_leader
            .map_or(0, |(_, begun)| self.begun().saturating_sub(begun));
        self.patience
            .is_some_and(|patience| since >= patience.max(1))
    }

    /// Goes on under what the job's terms have become. `available` is what it may spend in all, in the unit
    /// of the optimization budget; where that is more than before, what could not be paid may be now.
    pub fn go_by(&mut self, spec: &JobSpec, available: f64) {
        self.exhausted &= available <= self.problem.optimization_budget;
        self.problem.optimization_budget = available;
        self.requests_in_flight = spec.search.requests_in_flight as usize;
        self.most_begun = spec.limits.trials as usize;
        self.patience = spec
            .limits
            .trials_without_improvement
            .map(|patience| patience as usize);
        self.stale = true;
    }

    fn left(&self) -> f64 {
        let air: f64 = self.in_air.iter().map(|batch| batch.cost).sum();
        self.problem.optimization_budget - self.spent - air
    }

    /// The first of all: one response of the cheapest arm, which tells how prompts are counted.
    fn first(&self) -> Option<Chosen> {
        let guess = tokens::Tokens::guess(&self.problem, &self.arms, &self.counted);
        let open = (0..self.arms.len()).filter(|arm| !self.arms[*arm].closed);
        let priced = open.filter_map(|arm| {
            let row = (0..self.problem.rows()).find(|row| !self.arms[arm].settled(*row))?;
            let cap = self.arms[arm].cap();
            let cost = guess
                .cost(&self.problem, &self.arms, arm, cap)
                .spent(1.0, None);
            Some((arm, row, cost))
        });
        let (arm, row, cost) = priced.min_by(|one, other| one.2.total_cmp(&other.2))?;
        (cost <= self.left()).then(|| Chosen {
            arm,
            rows: vec![row],
            responses: 1,
            cost,
        })
    }

    fn launch(&mut self, chosen: Chosen) -> Batch {
        let error = self
            .assessment
            .as_ref()
            .and_then(|assessment| assessment.profiles.get(chosen.arm))
            .map_or(0.0, |profile| profile.cost.error);
        let limits = self.shorter_limits(chosen.arm);
        self.in_air.push_back(InAir {
            arm: chosen.arm,
            rows: chosen.rows.clone(),
            cost: chosen.cost * (1.0 + error),
            shortest: limits.first().copied(),
        });
        self.proposer.asked(chosen.arm);
        self.arms[chosen.arm].asked = true;
        self.enqueued.retain(|arm| *arm != chosen.arm);
        Batch {
            limits,
            arm: chosen.arm,
            rows: chosen
                .rows
                .iter()
                .map(|place| self.problem.order[*place])
                .collect(),
            responses: u32::try_from(chosen.responses).unwrap_or(u32::MAX),
            max_tokens: self.arms[chosen.arm].limit,
        }
    }

    /// The limits of tokens below that of drawing at which an arm's responses are scored too; none where
    /// limits make no difference or every score costs money, or where so many right answers of its model and prompt have to be
    /// whole that the others will.
    fn shorter_limits(&self, arm: usize) -> Vec<u32> {
        let place = &self.arms[arm].place;
        if !self.goal.is_about_answers() || self.problem.judging.is_some() {
            return Vec::new();
        }
        let (mut cut, mut enough) = (0, 0);
        for arm in &self.arms {
            if (arm.place.model, arm.place.prompt) == (place.model, place.prompt) {
                cut += arm.cut;
                enough += arm.shorter_enough;
            }
        }
        if cut >= WHOLE_ANSWERS && enough == 0 {
            return Vec::new();
        }
        let allowed = &place.max_tokens;
        let mut limits = Vec::new();
        let mut limit = self.arms[arm].cap() / SHORTER;
        while let Some(shorter) = allowed.at_most(limit) {
            limits.push(shorter);
            limit = f64::from(shorter) / SHORTER;
        }
        limits.sort_unstable();
        limits.dedup();
        limits
    }

    fn why_over(&self) -> Over {
        // What one more response of the leader costs tells whether money is what is missing.
        let leader = self.assessment.as_ref().and_then(|known| {
            let leader = known.leader()?;
            Some(known.profiles[leader].cost.spent(1.0, None))
        });
        match leader {
            Some(cost)
                if !self.exhausted
                    && cost * 2.0 <= self.left()
                    && !batch::is_spent(self.left(), &self.problem) =>
            {
                if self.begun() >= self.most_begun {
                    Over::TrialLimit
                } else if self.is_out_of_patience() {
                    Over::NoImprovement
                } else {
                    Over::NothingToGain
                }
            }
            _ => Over::BudgetSpent,
        }
    }

    /// Takes in what was drawn before the search at a point of its space: the baseline's responses
    /// tell as much as any. Whether the search has any of such a point now.
    pub fn give(&mut self, configuration: &Configuration, drawn: Vec<Drawn>) -> bool {
        let point = sampling_of(configuration.canonical());
        if !self.space.space().contains(&point) {
            return false;
        }
        let place = self.space.place(&point);
        let Some(arm) = place.and_then(|place| self.open(place, Origin::Start)) else {
            return false;
        };
        self.stale = true;
        self.take_in(arm, drawn, None);
        // What a larger limit would have brought, the arm's responses do not tell.
        if let (Some(extent), Some(standard)) = (extent_of(configuration), self.goal.standard_mut())
            && f64::from(extent.max_tokens) <= self.arms[arm].cap()
        {
            standard.set_arm(arm, extent);
        }
        self.arms[arm].seen > 0
    }

    /// The limit of tokens that responses at a point of the space are drawn under at first.
    #[must_use]
    pub fn drawing_limit(&self, configuration: &Configuration) -> Option<u32> {
        Some(self.space.place(configuration)?.max_tokens.largest())
    }

    /// Hears what came of the oldest batch in the air.
    pub fn tell(&mut self, told: Told) {
        let Some(batch) = self.in_air.pop_front() else {
            return;
        };
        self.stale = true;
        self.spent += told.cost;
        self.learn_judging(told.judged);
        self.exhausted |= told.unaffordable;
        self.arms[batch.arm].spent += told.cost;
        self.take_in(batch.arm, told.drawn, batch.shortest);
        let places = self.places();
        let place_of = |row: &usize| places.get(row).copied();
        let arm = &mut self.arms[batch.arm];
        for place in told.failed.iter().filter_map(place_of) {
            arm.failed[place] = true;
        }
        let pair = (arm.place.model, arm.place.prompt);
        self.leave_out(pair, told.left_out.iter().filter_map(place_of));
        let arm = &mut self.arms[batch.arm];
        let missing = arm.missing();
        let asked = missing + arm.seen;
        let too_many =
            asked >= FEW_FAILED.min(arm.rows.len()) && missing as f64 > MOST_FAILED * asked as f64;
        arm.closed |= told.refused || too_many;
    }

    /// Learns what it costs to have a response judged: the guess counts like a few of them.
    fn learn_judging(&mut self, (cost, responses): (f64, usize)) {
        let Some(judging) = &mut self.problem.judging else {
            return;
        };
        let known = GUESSED_RESPONSES + self.judged as f64;
        self.judged += responses;
        *judging = (*judging * known + cost) / (known + responses as f64);
    }

    /// Asks nothing more of a model, whose arms can never be evaluated.
    pub fn close_model(&mut self, model: usize) {
        self.closed_models.insert(model);
        for arm in &mut self.arms {
            arm.closed |= arm.place.model == model;
        }
        self.stale = true;
    }

    /// Goes on without rows of a model and a prompt. They say nothing of the arm that met them, so no
    /// arm is closed for them, unless there are so many that its mean would be one of other rows.
    fn leave_out(&mut self, pair: (usize, usize), rows: impl IntoIterator<Item = usize>) {
        let all = self.problem.rows();
        let left_out = self.left_out.entry(pair).or_default();
        left_out.extend(rows);
        let few = (MOST_FAILED * all as f64).max(1.0);
        let too_many = left_out.len() as f64 > few || left_out.len() == all;
        let arms = self.arms.iter_mut();
        for arm in arms.filter(|arm| (arm.place.model, arm.place.prompt) == pair) {
            for place in &*left_out {
                arm.failed[*place] = true;
                arm.left_out[*place] = true;
            }
            arm.closed |= too_many;
        }
    }

    /// The rows' places in the order.
    fn places(&self) -> BTreeMap<usize, usize> {
        let order = self.problem.order.iter().enumerate();
        order.map(|(place, row)| (*row, place)).collect()
    }

    /// Adds responses to an arm. `shortest` is the shortest limit of tokens that they were scored at
    /// too, if they were.
    fn take_in(&mut self, arm: usize, all: Vec<Drawn>, shortest: Option<u32>) {
        let place_of = self.places();
        let arm = &mut self.arms[arm];
        for drawn in all {
            let Some(&place) = place_of.get(&drawn.row) else {
                continue;
            };
            if let Some(tokens) = drawn.prompt_tokens.filter(|tokens| *tokens > 0) {
                self.counted[arm.place.model][arm.place.prompt][place].get_or_insert(tokens as f64);
            }
            if drawn.responses.is_empty() {
                continue;
            }
            arm.drawn += drawn.responses.len();
            if arm.rows[place].is_none() {
                arm.seen += 1;
            }
            let row = arm.rows[place].get_or_insert_with(Row::default);
            for response in drawn.responses {
                if response.observed.score > 0.0
                    && shortest.is_some_and(|shortest| u64::from(shortest) < response.tokens)
                {
                    arm.cut += 1;
                    arm.shorter_enough += usize::from(response.enough < response.tokens);
                }
                row.tokens.push(response.tokens as f64);
                row.enough.push(response.enough.min(response.tokens) as f64);
                row.ended.push(response.ended);
                let Observation {
                    score,
                    answer,
                    preference,
                    counts: _,
                } = response.observed;
                row.scores.push(within_range(score));
                row.answers.push(answer);
                row.preferences.push(preference.map(within_range));
                row.latencies.push(response.latency_ms as f64);
            }
        }
    }

    fn assess(&mut self) {
        self.assessments += 1;
        let all_awake = self.assessments.is_multiple_of(ALL_AWAKE);
        self.assess_with(all_awake);
    }

    fn assess_with(&mut self, all_awake: bool) {
        if self.goal.lets_answers_be_cut() {
            let reference = self.goal.standard().and_then(Standard::arm);
            drawing::lower_limits(&mut self.arms, reference);
        }
        let asleep = match &self.assessment {
            Some(before) if !all_awake => before.hopeless.clone(),
            _ => Vec::new(),
        };
        let mut generator =
            ChaCha8Rng::seed_from_u64(mix(self.problem.seed) ^ mix(self.assessments));
        let assessment = Assessment::new(
            &Evidence {
                problem: &self.problem,
                goal: &self.goal,
                arms: &self.arms,
                counted: &self.counted,
                before: self.assessment.as_ref(),
                asleep: &asleep,
            },
            &mut generator,
        );
        if let (Some(standard), Some(qualities)) = (self.goal.standard_mut(), &assessment.qualities)
        {
            standard.learn(
                &qualities.reference,
                &qualities.differences,
                &qualities.offsets,
            );
        }
        self.assessment = Some(assessment);
    }

    /// Opens what has become worth a look. Whether there is any.
    fn open_arms(&mut self) -> bool {
        let Some(assessment) = &self.assessment else {
            return false;
        };
        let before = self.arms.len();
        let wins = assessment.wins();
        let leader = assessment.leader();
        let rows = self.problem.rows();
        let mut places = Vec::new();
        for (index, arm) in self.arms.iter().enumerate() {
            let leads = leader == Some(index);
            let pair = (arm.place.model, arm.place.prompt);
            let enough = arm.seen >= FEW_ROWS.min(rows);
            if enough && (leads || wins[index] >= PROMISING) && !self.opened.contains(&pair) {
                self.opened.push(pair);
                for temperature in NEXT_TEMPERATURES {
                    places.extend(self.space.at(&arm.place, temperature));
                }
            }
            if let (true, Heat::Temperature(temperature)) =
                (leads && arm.complete(), arm.place.heat)
            {
                places.extend(self.outward(arm, temperature));
            }
            if let (true, Heat::Temperature(temperature)) =
                (leads && self.is_refined(index), arm.place.heat)
            {
                for step in [TEMPERATURE_STEP, -TEMPERATURE_STEP] {
                    let wanted = temperature + step;
                    if !(0.0..=HOTTEST).contains(&wanted) {
                        continue;
                    }
                    let near = self.arms.iter().any(|other| {
                        other.same_but_heat(arm)
                            && matches!(other.place.heat, Heat::Temperature(heat)
                                if (heat - wanted).abs() <= TEMPERATURE_APART)
                    });
                    if !near {
                        places.extend(self.space.at(&arm.place, wanted));
                    }
                }
            }
        }
        for place in places {
            self.open(place, Origin::Grid);
        }
        let opened = self.arms.len() > before;
        self.propose(leader) || opened
    }

    /// One step further where a leader is the hottest or the coldest of its kind: what is best may lie
    /// well beyond it, as at 0 where one response is all that can be afforded.
    fn outward(&self, leader: &Arm, temperature: f64) -> Option<ArmPlace> {
        let others = self.arms.iter().filter(|other| other.same_but_heat(leader));
        let heats = others.filter_map(|other| match other.place.heat {
            Heat::Temperature(heat) if (heat - temperature).abs() > TEMPERATURE_APART => Some(heat),
            _ => None,
        });
        let (colder, hotter): (Vec<f64>, Vec<f64>) = heats.partition(|heat| *heat < temperature);
        let wanted = match (colder.is_empty(), hotter.is_empty()) {
            (false, true) => (temperature + OUTWARD_STEP).min(HOTTEST),
            (true, false) => (temperature - OUTWARD_STEP).max(0.0),
            _ => return None,
        };
        ((wanted - temperature).abs() > TEMPERATURE_APART)
            .then(|| self.space.at(&leader.place, wanted))
            .flatten()
    }

    /// Whether an arm was seen in full several times over, so that its neighbours are of interest.
    fn is_refined(&self, arm: usize) -> bool {
        let arm = &self.arms[arm];
        let responses = arm.drawn as f64 / self.problem.rows() as f64;
        arm.complete() && responses >= REFINE_RESPONSES
    }
}

/// A configuration without its extent.
fn sampling_of(mut configuration: Configuration) -> Configuration {
    let values = &mut configuration.0;
    values.retain(|name, _| name != "n" && name != "max_tokens");
    configuration
}

/// The extent of a configuration.
fn extent_of(configuration: &Configuration) -> Option<Extent> {
    let whole = |name: &str| u32::try_from(configuration.0.get(name)?.as_u64()?).ok();
    Some(Extent {
        max_tokens: whole("max_tokens")?,
        n: whole("n")?,
    })
}

fn within_range(score: f64) -> f64 {
    if score.is_nan() {
        0.0
    } else {
        score.clamp(0.0, 1.0)
    }
}
