//! Seeds of requests, which are the same when they are asked again.

use crate::past::Question;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::seed::mix;

/// A seed for each request of its own, from the job's seed and the request's place in the job.
pub(crate) fn of_request(job: u64, key: RequestKey) -> u32 {
    let place = (u64::from(key.trial.0) << 32) | u64::from(key.ordinal);
    u32::try_from(mix(mix(job ^ place_of(key.purpose)) ^ place) >> 33).unwrap_or_default()
}

/// A seed for each question of its own, which is the same in whatever order answers arrive.
pub(crate) fn of_question(job: u64, question: Question) -> u32 {
    let Question { score, number } = question;
    let response = score.response;
    let other = response.job.map_or(0, |job| {
        let (high, low) = job.0.as_u64_pair();
        mix(high) ^ low
    });
    let parts = [
        other,
        place_of(response.request.purpose),
        (u64::from(response.request.trial.0) << 32) | u64::from(response.request.ordinal),
        (u64::from(response.position) << 32) | u64::from(score.max_tokens.unwrap_or_default()),
        (score.instance as u64) << 8 | u64::from(number),
    ];
    let mixed = parts
        .into_iter()
        .fold(mix(job), |seed, part| mix(seed ^ part));
    u32::try_from(mixed >> 33).unwrap_or_default()
}

fn place_of(purpose: Purpose) -> u64 {
    let place = Purpose::ALL.iter().position(|other| *other == purpose);
    place.unwrap_or_default() as u64
}
