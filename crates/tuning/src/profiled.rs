//! The loop of a profiled search: which batches are in the air, and what each arm's trial came to.
//!
//! Batches are told in the order in which they were decided, whatever the order in which they come
//! back; so what is decided never depends on that.

use crate::refusals::EndedRequest;
use crate::run_key::RunKey;
use crate::tally::Tally;
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::money::{Spend, Unit};
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Ending, ScoredDraw, TrialRun};
use frugal_search::profiled::{Drawn, DrawnResponse, Over, Profiled, Told};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The state of the loop.
#[derive(Debug)]
pub(crate) struct ProfiledLoop {
    pub(crate) search: Profiled,
    /// The trials, by arm.
    pub(crate) trials: BTreeMap<usize, ArmTrial>,
    /// Batches that were not told yet, in the order of their decisions.
    pub(crate) in_air: VecDeque<InAir>,
    /// Those of them that have come back.
    pub(crate) arrived: BTreeMap<RunKey, Arrived>,
    /// Nothing is decided before the oldest batch has been told.
    pub(crate) waits: bool,
    /// Arms of which something was told since they were last shown, and whether any of it was new.
    pub(crate) changed: BTreeMap<usize, bool>,
    /// Why nothing more is decided.
    pub(crate) over: Option<Over>,
}

/// A batch in the air.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InAir {
    pub(crate) key: RunKey,
    pub(crate) arm: usize,
    /// How many requests were planned for it.
    pub(crate) requests: u32,
}

/// A batch that has come back.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) run: TrialRun,
    pub(crate) tally: Tally,
    /// Its requests, in the order of their ordinals.
    pub(crate) requests: Vec<EndedRequest>,
    /// What a judge was paid for it, and about how many answers it was asked.
    pub(crate) judged: (Spend, usize),
    /// The end of the job kept something from it.
    pub(crate) cut_off: bool,
    /// Some of it was not known from the past.
    pub(crate) new: bool,
}

/// The trial of an arm.
#[derive(Debug)]
pub(crate) struct ArmTrial {
    pub(crate) number: TrialNumber,
    /// What it asks of the endpoint, at the extent that it is drawn under.
    pub(crate) settings: Arc<Settings>,
    pub(crate) next_ordinal: u32,
    pub(crate) tally: Tally,
    /// How it ends, where the endpoint refuses it.
    pub(crate) refused: Option<TrialOutcome>,
}

impl ProfiledLoop {
    pub(crate) fn new(search: Profiled) -> Self {
        Self {
            search,
            trials: BTreeMap::new(),
            in_air: VecDeque::new(),
            arrived: BTreeMap::new(),
            waits: false,
            changed: BTreeMap::new(),
            over: None,
        }
    }

    /// Looks at a configuration next that the job's owner has put in, unless its arm has a trial.
    pub(crate) fn enqueue(&mut self, configuration: &Configuration) {
        self.search.enqueue(configuration);
        // What was to be told next may be decided before now.
        self.waits = false;
    }

    /// The number of the next arm's trial. The baseline is number 0.
    pub(crate) fn next_number(&self) -> TrialNumber {
        TrialNumber(u32::try_from(self.trials.len() + 1).unwrap_or(u32::MAX))
    }
}

/// What the search hears of a batch that has come back. Costs are in the unit of the optimization
/// budget.
pub(crate) fn told(arrived: &Arrived, unit: Unit) -> Told {
    let run = &arrived.run;
    #[expect(clippy::cast_precision_loss, reason = "weighed, not booked")]
    let amount = |spend| unit.of(spend) as f64;
    Told {
        drawn: by_row(run.drawn(), |row| run.counted_prompt_tokens(row)),
        failed: run.failed_rows(),
        left_out: run.left_out().keys().copied().collect(),
        refused: matches!(
            run.ending(),
            Some(Ending::Infeasible(_) | Ending::Failed(_))
        ),
        unaffordable: matches!(run.ending(), Some(Ending::BudgetExhausted)),
        cost: amount(arrived.tally.spend),
        judged: (amount(arrived.judged.0), arrived.judged.1),
    }
}

/// Responses with their scores, row by row, as the search hears of them.
pub(crate) fn by_row(
    responses: impl Iterator<Item = ScoredDraw>,
    counted_prompt_tokens: impl Fn(usize) -> Option<u64>,
) -> Vec<Drawn> {
    let mut rows: BTreeMap<usize, Vec<DrawnResponse>> = BTreeMap::new();
    for ScoredDraw {
        response,
        observed,
        enough,
    } in responses
    {
        rows.entry(response.instance)
            .or_default()
            .push(DrawnResponse {
                tokens: response.tokens,
                ended: response.ended,
                observed,
                enough,
                latency_ms: response.latency_ms,
            });
    }
    rows.into_iter()
        .map(|(row, responses)| Drawn {
            row,
            prompt_tokens: counted_prompt_tokens(row),
            responses,
        })
        .collect()
}
