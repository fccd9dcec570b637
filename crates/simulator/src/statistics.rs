//! What the simulator has answered and what a provider would bill for it.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

/// Requests, their responses and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Requests with status 200 that generated something.
    pub requests: u64,
    /// Generated responses (choices).
    pub responses: u64,
    /// Prompt tokens, once per request whatever its `n`.
    pub prompt_tokens: u64,
    /// Completion tokens over all responses.
    pub completion_tokens: u64,
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.responses += other.responses;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
    }
}

/// What one model generated. A provider bills the sum of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ModelStatistics {
    /// In bodies that were sent whole.
    pub delivered: Usage,
    /// In bodies that a fault broke, so that the client could not read them.
    pub undelivered: Usage,
}

impl ModelStatistics {
    /// What a provider would bill: delivered or not.
    pub fn billed(&self) -> Usage {
        let mut billed = self.delivered;
        billed.add(self.undelivered);
        billed
    }
}

/// Counts since the start. `statuses`, `faults` and `models` count answers that have left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Generation requests that arrived.
    pub requests: u64,
    /// Generation requests that are under way now.
    pub in_flight: u64,
    /// The most generation requests that were under way at once.
    pub most_in_flight: u64,
    /// Generation requests whose client went away before the answer; nothing is billed for them.
    pub abandoned: u64,
    /// Answers that were sent whole to a request whose like, to the byte, had had one before.
    pub repeated: u64,
    /// Answers to generation requests by HTTP status. A connection that was reset has none.
    pub statuses: BTreeMap<u16, u64>,
    /// Faults that struck, by the name of their [`FaultKind`](crate::FaultKind), or else by
    /// [`Fault::name`](crate::Fault::name).
    pub faults: BTreeMap<String, u64>,
    /// What was generated, by model.
    pub models: BTreeMap<String, ModelStatistics>,
}

impl Statistics {
    /// What a provider would bill over all models.
    pub fn billed(&self) -> Usage {
        let mut billed = Usage::default();
        for model in self.models.values() {
            billed.add(model.billed());
        }
        billed
    }
}

/// What one answer generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bill {
    pub(crate) model: String,
    pub(crate) usage: Usage,
    pub(crate) delivered: bool,
}

/// What the statistics are counted in.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    statistics: Statistics,
    /// Hashes of the requests that had an answer sent whole.
    answered: HashSet<u64>,
}

impl Tally {
    /// The counts so far.
    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics.clone()
    }

    /// Counts the answer to a request of this hash.
    pub(crate) fn count(
        &mut self,
        request: u64,
        status: Option<u16>,
        fault: Option<String>,
        bill: Option<Bill>,
    ) {
        let statistics = &mut self.statistics;
        if let Some(status) = status {
            *statistics.statuses.entry(status).or_default() += 1;
        }
        if let Some(fault) = fault {
            *statistics.faults.entry(fault).or_default() += 1;
        }
        if let Some(Bill {
            model,
            usage,
            delivered,
        }) = bill
        {
            if delivered && !self.answered.insert(request) {
                statistics.repeated += 1;
            }
            let model = statistics.models.entry(model).or_default();
            let bucket = if delivered {
                &mut model.delivered
            } else {
                &mut model.undelivered
            };
            bucket.add(usage);
        }
    }
}
