//! What a job has bought, as a database keeps it: to score it, cut or whole, and to offer it to
//! later jobs.

use crate::endpoint::{Answered, Endpoint};
use frugal_domain::configuration::{Sampling, Settings};
use frugal_domain::id::JobId;
use frugal_domain::request::{RequestKey, ResponseId};
use frugal_domain::scoring::Observation;
use frugal_evaluation::{OfferedResponse, ScoreKey};
use frugal_tuning::RequestToSend;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The requests that a job paid for, with their answers.
#[derive(Debug, Default)]
pub struct Archive {
    requests: BTreeMap<RequestKey, Bought>,
    by_sampling: BTreeMap<Sampling, Vec<RequestKey>>,
}

#[derive(Debug)]
struct Bought {
    settings: Arc<Settings>,
    row: usize,
    max_tokens: u32,
    answered: Answered,
}

impl Archive {
    /// How many requests there are.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Keeps the answer to a request about a row of the endpoint.
    pub fn keep(&mut self, request: &RequestToSend, row: usize, answered: Answered) {
        let sampling = request.settings.sampling.clone();
        self.by_sampling
            .entry(sampling)
            .or_default()
            .push(request.key);
        let bought = Bought {
            settings: Arc::clone(&request.settings),
            row,
            max_tokens: request.max_tokens,
            answered,
        };
        self.requests.insert(request.key, bought);
    }

    /// What is said of a response, cut where the key says so; nothing if it is not here.
    pub fn observation(&self, endpoint: &dyn Endpoint, key: ScoreKey) -> Option<Observation> {
        let ResponseId {
            request, position, ..
        } = key.response;
        let bought = self.requests.get(&request)?;
        let draws = &bought.answered.draws;
        let draw = *draws.get(usize::try_from(position).ok()?)?;
        let max_tokens = key.max_tokens.unwrap_or(bought.max_tokens);
        Some(endpoint.observation(&bought.settings, bought.row, draw, max_tokens))
    }

    /// All responses with these sampling settings to some rows, for another job to whom the rows
    /// are its instances.
    pub fn offer(&self, job: JobId, sampling: &Sampling, rows: &[usize]) -> Vec<OfferedResponse> {
        let keys = self.by_sampling.get(sampling).into_iter().flatten();
        let mut offered = Vec::new();
        for key in keys {
            let Some(bought) = self.requests.get(key) else {
                continue;
            };
            let Some(instance) = rows.iter().position(|row| *row == bought.row) else {
                continue;
            };
            let responses = bought.answered.responses.iter().zip(0_u32..);
            offered.extend(responses.map(|(response, position)| OfferedResponse {
                id: ResponseId {
                    job: Some(job),
                    request: *key,
                    position,
                },
                instance,
                max_tokens: bought.max_tokens,
                prompt_tokens: bought.answered.usage.prompt_tokens,
                tokens: response.tokens,
                ended: response.ended,
                latency_ms: 0,
                bytes: 0,
            }));
        }
        offered
    }
}
