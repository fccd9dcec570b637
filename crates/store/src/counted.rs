//! Settled requests as a job that is taken up needs them: with what is counted of their responses, and without texts.

use crate::Result;
use crate::requests::{self, Request};
use crate::responses::StoredResponse;
use frugal_domain::id::JobId;
use frugal_domain::request::RequestKey;
use futures::TryStreamExt;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// What is counted of the responses of a request, whose texts stay where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// The estimated tokens of each, and whether it was cut at its cap.
    pub responses: Vec<(u64, bool)>,
    /// How many have no text, or nothing but white space.
    pub empty: u32,
    /// Bytes of the longest text.
    pub longest: u64,
}

impl Counted {
    /// What is counted of these.
    pub fn of<'a>(responses: impl IntoIterator<Item = &'a StoredResponse>) -> Self {
        let mut counted = Self::default();
        for response in responses {
            counted.count(response);
        }
        counted
    }

    fn count(&mut self, response: &StoredResponse) {
        let is_cut = response.finish_reason.is_cut();
        self.responses.push((response.estimated_tokens, is_cut));
        self.empty += u32::from(response.text.trim().is_empty());
        self.longest = self.longest.max(response.text.len() as u64);
    }
}

/// All settled requests of a job as [`requests::load`] has them, with what is counted of their responses in the place of
/// these: rows are read one after the other, and no text is kept.
///
/// # Errors
/// The database is away.
pub async fn load(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<RequestKey, (Request, Counted)>> {
    let settled = requests::settled(&mut *connection, job).await?.into_iter();
    let mut settled: BTreeMap<RequestKey, (Request, Counted)> = settled
        .map(|(key, request)| (key, (request, Counted::default())))
        .collect();
    let mut responses = requests::responses(connection, job);
    while let Some((key, response)) = responses.try_next().await? {
        if let Some((_, counted)) = settled.get_mut(&key) {
            counted.count(&response);
        }
    }
    drop(responses);
    Ok(settled)
}
