//! The responses of an arm, as they are kept of very many.
//!
//! What all responses of a request have in common is there once, and a response is found by its request
//! and its position: those of a request mostly come one after the other, so that their run is noted and not
//! each of them.

use crate::compact::CompactObservation;
use crate::draw::DrawnResponse;
use crate::other_jobs::OtherJobs;
use frugal_domain::request::{RequestKey, ResponseId};
use frugal_domain::scoring::Observation;
use std::collections::BTreeMap;

/// Responses in the order in which they came, each once, with what was said of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draws {
    draws: Vec<Draw>,
    requests: Vec<Request>,
    jobs: OtherJobs,
    /// By job, request and position of the first response of a run, the place of that.
    runs: BTreeMap<(u32, RequestKey, u32), usize>,
    /// What was said of responses cut to a limit, by their places.
    cut: BTreeMap<(usize, u32), CompactObservation>,
}

/// A response, but for what its request says.
#[derive(Debug, Clone)]
struct Draw {
    /// The place of its request.
    request: u32,
    position: u32,
    tokens: u64,
    ended: bool,
    /// What was said of all of it.
    observed: Option<CompactObservation>,
}

/// What the responses of a request that come one after the other have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    job: u32,
    key: RequestKey,
    instance: usize,
    max_tokens: u32,
    latency_ms: u64,
}

impl Draws {
    /// Responses.
    pub(crate) fn len(&self) -> usize {
        self.draws.len()
    }

    /// The response at a place.
    pub(crate) fn get(&self, place: usize) -> Option<DrawnResponse> {
        self.draws.get(place).map(|draw| self.drawn(draw))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = DrawnResponse> {
        self.draws.iter().map(|draw| self.drawn(draw))
    }

    fn drawn(&self, draw: &Draw) -> DrawnResponse {
        let of = &self.requests[draw.request as usize];
        DrawnResponse {
            id: ResponseId {
                job: self.jobs.job(of.job),
                request: of.key,
                position: draw.position,
            },
            instance: of.instance,
            max_tokens: of.max_tokens,
            tokens: draw.tokens,
            ended: draw.ended,
            latency_ms: of.latency_ms,
        }
    }

    /// Where a response is.
    fn place(&self, id: ResponseId) -> Option<usize> {
        let job = self.jobs.number(id.job)?;
        let ends = (job, id.request, 0)..=(job, id.request, id.position);
        let (run, first) = self.runs.range(ends).next_back()?;
        let place = first + usize::try_from(id.position - run.2).ok()?;
        let draw = self.draws.get(place)?;
        let of = self.requests.get(draw.request as usize)?;
        let same = draw.position == id.position && (of.job, of.key) == (job, id.request);
        same.then_some(place)
    }

    /// Takes in a response, unless it is there already. Whether it is new.
    pub(crate) fn add(&mut self, draw: DrawnResponse) -> bool {
        if self.place(draw.id).is_some() {
            return false;
        }
        let job = self.jobs.learn(draw.id.job);
        let request = Request {
            job,
            key: draw.id.request,
            instance: draw.instance,
            max_tokens: draw.max_tokens,
            latency_ms: draw.latency_ms,
        };
        let goes_on = self.requests.last() == Some(&request);
        if !goes_on {
            push(&mut self.requests, request);
        }
        let last = self.draws.last().filter(|_| goes_on);
        if last.is_none_or(|last| last.position.checked_add(1) != Some(draw.id.position)) {
            let run = (job, draw.id.request, draw.id.position);
            self.runs.insert(run, self.draws.len());
        }
        let draw = Draw {
            request: number(self.requests.len() - 1),
            position: draw.id.position,
            tokens: draw.tokens,
            ended: draw.ended,
            observed: None,
        };
        push(&mut self.draws, draw);
        true
    }

    /// What was said of the response at a place: of all of it, or cut to a limit.
    pub(crate) fn observed(&self, place: usize, max_tokens: Option<u32>) -> Option<Observation> {
        let compact = match max_tokens {
            None => self.draws.get(place)?.observed.as_ref(),
            Some(max_tokens) => self.cut.get(&(place, max_tokens)),
        };
        compact.map(Observation::from)
    }

    /// The same of a response that answers an instance, if it is here.
    pub(crate) fn observed_of(
        &self,
        id: ResponseId,
        instance: usize,
        max_tokens: Option<u32>,
    ) -> Option<Observation> {
        let place = self.place(id)?;
        let here = self.get(place)?.instance == instance;
        here.then(|| self.observed(place, max_tokens)).flatten()
    }

    /// Keeps what was said of a response that answers an instance, if it is here.
    pub(crate) fn observe(
        &mut self,
        id: ResponseId,
        instance: usize,
        max_tokens: Option<u32>,
        observed: Observation,
    ) {
        let Some(place) = self.place(id) else {
            return;
        };
        let of = self.draws[place].request as usize;
        if self.requests[of].instance != instance {
            return;
        }
        match max_tokens {
            None => self.draws[place].observed = Some(observed.into()),
            Some(max_tokens) => _ = self.cut.insert((place, max_tokens), observed.into()),
        }
    }
}

/// Adds one at the end, with room for an eighth more where there is none: doubled, as a vector does by itself,
/// half of the room would be empty at worst.
fn push<T>(into: &mut Vec<T>, one: T) {
    if into.len() == into.capacity() {
        into.reserve_exact(into.len() / 8 + 4);
    }
    into.push(one);
}

/// A number of things that fit into memory, of which there are far fewer than a `u32` counts.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::id::TrialNumber;
    use frugal_domain::request::Purpose;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn draw(job: u8, ordinal: u32, position: u32) -> DrawnResponse {
        let jobs = [
            "019abf3e-5f00-7000-8000-000000000001",
            "019abf3e-5f00-7000-8000-000000000002",
        ];
        let job = usize::from(job).checked_sub(1).map(|job| jobs[job]);
        DrawnResponse {
            id: ResponseId {
                job: job.and_then(|job| job.parse().ok()),
                request: RequestKey {
                    purpose: Purpose::Search,
                    trial: TrialNumber(1),
                    ordinal,
                },
                position,
            },
            instance: ordinal as usize % 3,
            max_tokens: 100 + ordinal,
            tokens: u64::from(position),
            ended: position.is_multiple_of(2),
            latency_ms: ordinal.into(),
        }
    }

    proptest! {
        #[test]
        fn what_comes_in_any_order_is_there_once_and_found(
            came in proptest::collection::vec((0..3_u8, 0..4_u32, 0..6_u32), 0..60),
            scored in proptest::collection::vec((0..3_u8, 0..4_u32, 0..6_u32, proptest::option::of(0..3_u32)), 0..60),
        ) {
            let mut draws = Draws::default();
            let mut expected = Vec::new();
            let mut known = BTreeSet::new();
            for (job, ordinal, position) in came {
                let one = draw(job, ordinal, position);
                let new = known.insert(one.id);
                prop_assert_eq!(draws.add(one), new);
                expected.extend(new.then_some(one));
            }
            prop_assert_eq!(draws.len(), expected.len());
            prop_assert_eq!(&draws.iter().collect::<Vec<_>>(), &expected);
            let mut said = BTreeMap::new();
            for (number, (job, ordinal, position, max_tokens)) in (0_u32..).zip(scored) {
                let one = draw(job, ordinal, position);
                let score = Observation::from(f64::from(number));
                draws.observe(one.id, one.instance, max_tokens, score);
                draws.observe(one.id, one.instance + 1, max_tokens, 0.5.into());
                if known.contains(&one.id) {
                    said.insert((one.id, max_tokens), score);
                }
            }
            for (place, one) in expected.iter().enumerate() {
                for max_tokens in [None, Some(0), Some(1), Some(2), Some(3)] {
                    let expected = said.get(&(one.id, max_tokens)).copied();
                    prop_assert_eq!(draws.observed(place, max_tokens), expected);
                    prop_assert_eq!(draws.observed_of(one.id, one.instance, max_tokens), expected);
                }
            }
        }
    }
}
