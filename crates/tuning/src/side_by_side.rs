//! Given configurations, evaluated side by side: which rows of which configuration come next, and what
//! each has come to so far.
//!
//! The rows, in an order drawn once per job, are cut into blocks, and every configuration is evaluated on a
//! block before any is on the block after the next. So where the budget or the time ends, all have been
//! seen on the same rows but for the last, and what drifts with time drifts for all alike.
//!
//! Configurations with the same sampling settings share their responses: of them the one with the largest
//! `max_tokens`, and of these the one with the largest `n`, is asked for first, and each of the others uses
//! what is there, cut to its own limit, and asks for the rest. That is fair to each, since a response
//! depends on neither (the paper, section 3). Where latency counts nothing is shared.
//!
//! Blocks are told in the order in which they were begun, whatever the order in which they come back, and
//! begun as soon as enough have been told; so what a block begins with never depends on arrival.

use crate::error::TuningError;
use crate::job::Job;
use crate::outcome::{self, Utilities};
use crate::profiled::Arrived;
use crate::run_key::RunKey;
use crate::seen_rows::SeenRows;
use crate::tally::Tally;
use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{EvaluationSpec, JobSpec, Reuse, Split};
use frugal_domain::metric::Metric;
use frugal_domain::trial::{CostEstimate, Coverage, Estimate, Evaluation, TrialOutcome};
use frugal_evaluation::{
    Corpus, DEFAULT_MISSING_SHARE, Ending, EvaluatedInstance, TrialRun, statistics,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The most blocks that the rows are cut into: each costs a look at all that is known.
const MOST_BLOCKS: usize = 256;

/// The state of the loop.
#[derive(Debug)]
pub(crate) struct SideBySide {
    pub(crate) standings: Vec<Standing>,
    blocks: Vec<Vec<usize>>,
    items: Vec<Item>,
    /// Items that were begun, and of these those that were told.
    begun: usize,
    told: usize,
    in_air: VecDeque<InAir>,
    /// Those in the air that have come back.
    arrived: BTreeMap<RunKey, Arrived>,
    /// Whether the trials were begun.
    pub(crate) has_trials: bool,
}

/// A configuration on a block of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    configuration: usize,
    block: usize,
    /// How many items must have been told before it begins.
    needs: usize,
}

/// An item that was begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InAir {
    pub(crate) configuration: usize,
    /// Its evaluation; none where nothing more is asked for the configuration.
    pub(crate) key: Option<RunKey>,
}

/// What is to be evaluated next.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) configuration: usize,
    pub(crate) rows: Vec<usize>,
    /// The ordinal of its first request.
    pub(crate) first: u32,
}

impl SideBySide {
    /// A loop over the configurations of an evaluation; nothing where the job is none.
    ///
    /// # Errors
    /// A configuration is none of the job's.
    pub(crate) fn new(job: &Job) -> Result<Option<Self>, TuningError> {
        let spec = &job.spec;
        let Some(evaluation) = &spec.evaluation else {
            return Ok(None);
        };
        let named = evaluation.configurations.iter().enumerate();
        let standings = named.map(|(position, named)| {
            let number = EvaluationSpec::trial_of(position);
            let settings = spec.settings(&named.configuration);
            let settings = settings.map_err(|source| TuningError::Configuration {
                trial: number,
                source,
            })?;
            Ok(Standing::new(number, settings, job.rows(Split::Tuning)))
        });
        let standings: Vec<Standing> = standings.collect::<Result<_, TuningError>>()?;
        let order = spec.row_order(job.rows(Split::Tuning));
        let size = block_size(spec, order.len(), standings.len());
        let blocks: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        let settings: Vec<&Settings> = standings.iter().map(|one| one.settings.as_ref()).collect();
        let levels = match spec.measures_own_latency() {
            true => vec![(0, None); settings.len()],
            false => levels(&settings),
        };
        Ok(Some(Self {
            items: items(&levels, blocks.len(), spec.search.reuse),
            blocks,
            standings,
            begun: 0,
            told: 0,
            in_air: VecDeque::new(),
            arrived: BTreeMap::new(),
            has_trials: false,
        }))
    }

    /// What may be begun now, if anything may.
    pub(crate) fn next(&self) -> Option<Next> {
        let item = self.items.get(self.begun)?;
        if self.told < item.needs {
            return None;
        }
        let standing = &self.standings[item.configuration];
        let size = self.blocks.first().map_or(0, Vec::len);
        let before = (item.block * size) as u64 * u64::from(standing.settings.extent.n);
        Some(Next {
            configuration: item.configuration,
            rows: self.blocks[item.block].clone(),
            first: u32::try_from(before).unwrap_or(u32::MAX),
        })
    }

    /// What [`Self::next`] gave is begun, by this evaluation if anything is asked for.
    pub(crate) fn begin(&mut self, configuration: usize, key: Option<RunKey>) {
        self.begun += 1;
        self.in_air.push_back(InAir { configuration, key });
    }

    /// An evaluation has come back; it is told in its turn.
    pub(crate) fn arrive(&mut self, key: RunKey, arrived: Arrived) {
        self.arrived.insert(key, arrived);
    }

    /// The oldest item in the air, with what came back of it; nothing where that has not.
    pub(crate) fn tell(&mut self) -> Option<(InAir, Option<Arrived>)> {
        let oldest = *self.in_air.front()?;
        let arrived = match oldest.key {
            Some(key) => Some(self.arrived.remove(&key)?),
            None => None,
        };
        self.in_air.pop_front();
        self.told += 1;
        Some((oldest, arrived))
    }

    /// Whether nothing is in the air.
    pub(crate) fn none_in_air(&self) -> bool {
        self.in_air.is_empty()
    }

    /// Rows that a configuration was seen on and all the others too, those aside of which nothing was
    /// found.
    pub(crate) fn seen_by_all(&self) -> usize {
        let found = self.standings.iter().filter(|one| one.instances() > 0);
        let rows = found.map(|one| one.rows().collect::<BTreeSet<usize>>());
        let common = rows.reduce(|all, one| all.intersection(&one).copied().collect());
        common.map_or(0, |common| common.len())
    }
}

/// How many rows a block has: so many that one block of all configurations keeps all requests in
/// flight that there may be.
fn block_size(spec: &JobSpec, rows: usize, configurations: usize) -> usize {
    let in_flight = usize::try_from(spec.search.requests_in_flight).unwrap_or(usize::MAX);
    in_flight
        .div_ceil(configurations.max(1))
        .max(rows.div_ceil(MOST_BLOCKS))
        .max(1)
}

/// By configuration, how many others with the same sampling settings come before it, and which is the
/// last of these.
fn levels(settings: &[&Settings]) -> Vec<(usize, Option<usize>)> {
    let extent = |index: usize| (settings[index].extent.max_tokens, settings[index].extent.n);
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, one) in settings.iter().enumerate() {
        groups.entry(&one.sampling).or_default().push(index);
    }
    let mut levels = vec![(0, None); settings.len()];
    for mut group in groups.into_values() {
        group.sort_by(|one, other| extent(*other).cmp(&extent(*one)).then(one.cmp(other)));
        for (level, pair) in (1..).zip(group.windows(2)) {
            levels[pair[1]] = (level, Some(pair[0]));
        }
    }
    levels
}

/// Every configuration on every block, in the order in which they begin. One that uses the responses of
/// another comes a block later, so that these are there.
fn items(levels: &[(usize, Option<usize>)], blocks: usize, reuse: Reuse) -> Vec<Item> {
    let mut staged: Vec<(usize, usize, usize)> = Vec::new();
    for (configuration, (level, _)) in levels.iter().enumerate() {
        staged.extend((0..blocks).map(|block| (block + level, configuration, block)));
    }
    staged.sort_unstable();
    let places = staged.iter().enumerate();
    let places = places.map(|(place, (_, configuration, block))| ((*configuration, *block), place));
    let places: BTreeMap<(usize, usize), usize> = places.collect();
    let behind = |configuration: usize, block: usize| {
        places
            .get(&(configuration, block))
            .map_or(0, |place| place + 1)
    };
    let item = |(stage, configuration, block): &(usize, usize, usize)| {
        // No more than two stages are in the air.
        let window = staged.partition_point(|(other, _, _)| other + 2 <= *stage);
        let (_, before) = levels[*configuration];
        let shared = before.map_or(0, |before| behind(before, *block));
        // What other jobs have for it is looked for once, with its first block.
        let offered = match reuse {
            Reuse::Owner if *block > 0 => behind(*configuration, 0),
            Reuse::Owner | Reuse::Job => 0,
        };
        Item {
            configuration: *configuration,
            block: *block,
            needs: window.max(shared).max(offered),
        }
    };
    staged.iter().map(item).collect()
}

/// What a configuration has come to so far.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) number: TrialNumber,
    pub(crate) settings: Arc<Settings>,
    /// Every metric on each row that it was seen on.
    seen: SeenRows,
    /// What the rows add to the metrics of all of them together.
    pub(crate) corpus: Option<Corpus>,
    /// Some response gives an answer.
    has_votes: bool,
    /// The fewest responses of a row.
    fewest_responses: u32,
    /// What the rows cost under it, in the unit of inference costs.
    cost: u128,
    /// Tokens of the rows' prompts and of the responses that it uses.
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Rows without an answer, and why; of these those whose prompts are refused.
    pub(crate) unanswered: BTreeMap<usize, String>,
    left_out: BTreeSet<usize>,
    pub(crate) tally: Tally,
    /// Requests that failed for good.
    pub(crate) failed_requests: u64,
    /// Responses that it used and that were not bought for it.
    pub(crate) shared_responses: u64,
    /// How it ends, where it is refused or fails.
    pub(crate) refused: Option<TrialOutcome>,
}

impl Standing {
    fn new(number: TrialNumber, settings: Settings, rows: usize) -> Self {
        Self {
            number,
            settings: Arc::new(settings),
            seen: SeenRows::new(rows),
            corpus: None,
            has_votes: false,
            fewest_responses: u32::MAX,
            cost: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            unanswered: BTreeMap::new(),
            left_out: BTreeSet::new(),
            tally: Tally::default(),
            failed_requests: 0,
            shared_responses: 0,
            refused: None,
        }
    }

    /// Takes in a block.
    pub(crate) fn take(&mut self, spec: &JobSpec, rows: usize, arrived: &Arrived) {
        let run = &arrived.run;
        let found = run.complete();
        self.take_rows(spec, &found);
        self.shared_responses += run.pooled_responses();
        for (row, reason, is_left_out) in run.without_answer() {
            self.unanswered.insert(row, reason.to_owned());
            if is_left_out {
                self.left_out.insert(row);
            }
        }
        self.tally.add(arrived.tally);
        let failed = arrived.requests.iter().filter(|one| one.failure.is_some());
        self.failed_requests += failed.count() as u64;
        let refused = refusal(run).or_else(|| self.too_many_unanswered(rows));
        self.refused = self.refused.take().or(refused);
    }

    fn take_rows(&mut self, spec: &JobSpec, found: &[EvaluatedInstance]) {
        let unit = spec.cost_unit();
        match (&mut self.corpus, outcome::corpus_of(found)) {
            (Some(corpus), Some(further)) => corpus.extend(further),
            (corpus, further) => *corpus = corpus.take().or(further),
        }
        for row in found {
            self.seen.take(row, unit);
            let count = u32::try_from(row.responses.len()).unwrap_or(u32::MAX);
            self.fewest_responses = self.fewest_responses.min(count);
            self.cost += u128::from(unit.of(row.inference_cost));
            self.prompt_tokens += row.prompt_tokens;
            for response in &row.responses {
                self.has_votes |= response.observed.answer.is_some();
                self.completion_tokens += response.completion_tokens;
            }
        }
    }

    /// How it fails where more rows have no answer than may. Those whose prompts are refused say nothing
    /// of the configuration and are judged apart: one may be whatever their number.
    fn too_many_unanswered(&self, rows: usize) -> Option<TrialOutcome> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of rows are far below 2^53"
        )]
        let beyond = |count: usize, least: f64| {
            count as f64 > (DEFAULT_MISSING_SHARE * rows as f64).max(least)
        };
        let left_out = self.left_out.len();
        let many_left_out = beyond(left_out, 1.0);
        if !many_left_out && !beyond(self.unanswered.len() - left_out, 0.0) {
            return None;
        }
        let mut reasons = self.unanswered.iter();
        let reason = reasons.find(|(row, _)| self.left_out.contains(row) == many_left_out);
        Some(TrialOutcome::Failed {
            detail: format!(
                "{} of {rows} instances have no answer: {}",
                self.unanswered.len(),
                reason.map_or("", |(_, reason)| reason)
            ),
        })
    }

    /// Rows that it was seen on.
    pub(crate) fn instances(&self) -> usize {
        self.seen.count()
    }

    /// The same, which.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.seen.rows()
    }

    /// A metric on each row, in their order; nothing of one that does not tell anything here.
    pub(crate) fn values(&self, spec: &JobSpec, metric: Metric) -> Option<Vec<f64>> {
        self.tells(spec, metric).then(|| self.seen.values(metric))
    }

    /// The same, by row.
    pub(crate) fn by_row(&self, spec: &JobSpec, metric: Metric) -> Option<Utilities> {
        self.tells(spec, metric).then(|| self.seen.by_row(metric))
    }

    /// Whether a metric tells anything here.
    fn tells(&self, spec: &JobSpec, metric: Metric) -> bool {
        let tells = match metric {
            Metric::Majority => self.has_votes || spec.asks_for(metric),
            Metric::BestOfN => spec.selector.is_some(),
            _ => true,
        };
        tells && self.seen.count() > 0
    }

    /// Whether its mean cost is within the inference budget, to the last digit; where there is one.
    pub(crate) fn is_within_budget(&self, spec: &JobSpec) -> Option<bool> {
        let budget = spec.inference_budget?;
        Some(self.cost <= u128::from(budget.amount()) * self.instances() as u128)
    }

    /// What it comes to so far; nothing where it was seen on no row.
    pub(crate) fn evaluation(&self, spec: &JobSpec, rows: usize) -> Option<Evaluation> {
        let estimate = |metric: Metric| statistics::estimate(&self.values(spec, metric)?);
        let named = Metric::ALL.iter().filter_map(|metric| {
            let name = metric.as_str().to_owned();
            Some((name, estimate(*metric)?))
        });
        let mut metrics: BTreeMap<String, Estimate> = named.collect();
        outcome::add_corpus(&mut metrics, self.corpus.as_ref());
        let violated = outcome::violated(spec, &metrics, None);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(Evaluation {
            utility: estimate(spec.objective.metric)?,
            inference_cost: CostEstimate {
                unit: spec.cost_unit(),
                estimate: estimate(Metric::InferenceCost)?,
            },
            metrics,
            valid: self.is_within_budget(spec) != Some(false) && violated.is_empty(),
            violated,
            coverage: Some(Coverage {
                instances: count(self.instances()),
                of: count(rows),
                responses: self.fewest_responses,
                complete: self.instances() + self.unanswered.len() >= rows,
            }),
            utility_interval: self
                .values(spec, spec.objective.metric)
                .and_then(|values| statistics::mean_interval(spec.objective.metric, &values)),
        })
    }

    /// How it ends.
    pub(crate) fn outcome(&self, spec: &JobSpec, rows: usize) -> TrialOutcome {
        match (&self.refused, self.evaluation(spec, rows)) {
            (Some(refused), _) => refused.clone(),
            (None, Some(evaluation)) => TrialOutcome::Evaluated(evaluation),
            (None, None) => TrialOutcome::Stopped,
        }
    }
}

/// How a configuration ends that is refused.
fn refusal(run: &TrialRun) -> Option<TrialOutcome> {
    match run.ending()? {
        Ending::Infeasible(detail) => Some(TrialOutcome::Infeasible {
            detail: detail.clone(),
        }),
        Ending::Failed(detail) => Some(TrialOutcome::Failed {
            detail: detail.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::configuration::{Extent, Sampling};
    use proptest::prelude::*;

    fn settings(temperature: f64, max_tokens: u32, n: u32) -> Settings {
        Settings {
            sampling: Sampling {
                model: 0,
                prompt: 0,
                temperature: Some(temperature),
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent { max_tokens, n },
        }
    }

    #[test]
    fn responses_go_from_the_longest_to_the_shortest() {
        let all = [
            settings(0.5, 100, 1),
            settings(1.0, 100, 1),
            settings(0.5, 200, 2),
            settings(0.5, 200, 4),
        ];
        let levels = levels(&all.each_ref());
        assert_eq!(levels, [(2, Some(2)), (0, None), (1, Some(3)), (0, None)]);
    }

    proptest! {
        /// However many are told at once, every item comes to begin, what it shares is there, and the
        /// configurations are never further apart than two blocks.
        #[test]
        fn every_configuration_gets_to_every_block(
            alike in prop::collection::vec(0..3_u32, 1..8),
            blocks in 1..9_usize,
            owner: bool,
        ) {
            let settings: Vec<Settings> = alike
                .iter()
                .zip(1..)
                .map(|(group, n)| settings(f64::from(*group), 100, n))
                .collect();
            let levels = levels(&settings.iter().collect::<Vec<_>>());
            let reuse = if owner { Reuse::Owner } else { Reuse::Job };
            let items = items(&levels, blocks, reuse);
            prop_assert_eq!(items.len(), blocks * alike.len());
            let mut reached = vec![0; alike.len()];
            for (place, item) in items.iter().enumerate() {
                prop_assert!(item.needs <= place, "{:?} waits for itself", item);
                prop_assert_eq!(item.block, reached[item.configuration], "blocks in order");
                reached[item.configuration] += 1;
                if let (_, Some(before)) = levels[item.configuration] {
                    let place = items.iter().position(|other| {
                        (other.configuration, other.block) == (before, item.block)
                    });
                    prop_assert!(place.unwrap() < item.needs);
                }
            }
        }
    }
}
