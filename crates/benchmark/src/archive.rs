//! What a job has bought, as a database keeps it: to cut responses shorter, and to offer them to
//! later jobs.

use crate::endpoint::{Answered, Draw, Endpoint};
use frugal_domain::configuration::{Sampling, Settings};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::request::Purpose;
use frugal_evaluation::{Cut, CutPlan, Offered, RequestPlan, ResponseId, Source};
use std::collections::BTreeMap;

/// The requests that a job paid for, with their answers.
#[derive(Debug, Default)]
pub struct Archive {
    requests: BTreeMap<Key, Request>,
    by_sampling: BTreeMap<Sampling, Vec<Key>>,
}

type Key = (Purpose, TrialNumber, u32);

#[derive(Debug)]
struct Request {
    settings: Settings,
    row: usize,
    max_tokens: u32,
    answered: Answered,
}

impl Archive {
    /// Keeps the answer to a request about a row of the endpoint.
    pub fn keep(
        &mut self,
        purpose: Purpose,
        trial: TrialNumber,
        plan: &RequestPlan,
        row: usize,
        settings: &Settings,
        answered: Answered,
    ) {
        let key = (purpose, trial, plan.ordinal);
        let sampling = self.by_sampling.entry(settings.sampling.clone());
        sampling.or_default().push(key);
        let request = Request {
            settings: settings.clone(),
            row,
            max_tokens: plan.max_tokens,
            answered,
        };
        self.requests.insert(key, request);
    }

    /// Cuts a response of a purpose and scores what is left; nothing if it is not here.
    pub fn cut(&self, endpoint: &dyn Endpoint, purpose: Purpose, plan: &CutPlan) -> Option<Cut> {
        let request = self
            .requests
            .get(&(purpose, plan.id.trial, plan.id.ordinal))?;
        let draw: Draw = *request
            .answered
            .draws
            .get(usize::try_from(plan.id.position).ok()?)?;
        let response = endpoint.response(&request.settings, request.row, draw, plan.max_tokens);
        Some(Cut {
            id: plan.id,
            score: response.score,
        })
    }

    /// All responses with these sampling settings to some rows, for another job to whom the rows
    /// are its instances.
    pub fn offer(&self, job: JobId, sampling: &Sampling, rows: &[usize]) -> Vec<Offered> {
        let keys = self.by_sampling.get(sampling).into_iter().flatten();
        let mut offered = Vec::new();
        for key @ (purpose, trial, ordinal) in keys {
            let Some(request) = self.requests.get(key) else {
                continue;
            };
            let Some(instance) = rows.iter().position(|row| *row == request.row) else {
                continue;
            };
            let responses = request.answered.responses.iter().zip(0_u32..);
            offered.extend(responses.map(|(response, position)| Offered {
                id: ResponseId {
                    source: Source::Other {
                        job,
                        purpose: *purpose,
                    },
                    trial: *trial,
                    ordinal: *ordinal,
                    position,
                },
                instance,
                max_tokens: request.max_tokens,
                prompt_tokens: request.answered.usage.prompt_tokens,
                tokens: response.estimated_tokens,
                ended: response.ended,
                score: response.score,
                latency_ms: 0,
            }));
        }
        offered
    }
}
