//! What a process sees of the models that its jobs use, told to the database now and then: what they
//! take, whether they answer, how fast and for what, and what requests wait for.

use crate::admission::Admission;
use chrono::{DateTime, Utc};
use frugal_domain::abilities::Abilities;
use frugal_domain::histogram::{DURATION_BOUNDS_MS, TOKEN_BOUNDS};
use frugal_domain::money::{Prices, Spend};
use frugal_domain::waits;
use frugal_llm::{Client, Completion, RequestError, Scope};
use frugal_store::endpoint_models::{self, Sightings};
use frugal_store::{PgPool, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long what was seen may wait to be told, where nothing was learned.
const PAUSE: Duration = Duration::from_secs(10);

/// What a process saw of all models and has not told yet.
pub(crate) struct Watch {
    pool: PgPool,
    admission: Arc<Admission>,
    seen: Mutex<BTreeMap<(String, String), Seen>>,
    news: Notify,
}

/// What was seen of one model.
#[derive(Default)]
struct Seen {
    untold: Option<Sightings>,
    /// What the database knows of its abilities, as far as is known here.
    stored: Abilities,
}

impl Watch {
    pub(crate) fn new(pool: &PgPool, admission: &Arc<Admission>) -> Self {
        Self {
            pool: pool.clone(),
            admission: Arc::clone(admission),
            seen: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Tells until `shutdown`, and once more then.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        loop {
            let news = tokio::time::timeout(PAUSE, self.news.notified());
            let is_over = shutdown.run_until_cancelled(news).await.is_none();
            self.tell().await;
            if is_over {
                return;
            }
        }
    }

    /// Has what was seen told soon.
    pub(crate) fn tell_soon(&self) {
        self.news.notify_one();
    }

    /// Takes in what all workers learned, so that clients need not find it out again.
    pub(crate) async fn learn(&self, clients: &frugal_llm::Clients) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        let known = endpoint_models::load(&mut connection, Utc::now()).await?;
        for model in known {
            let Sightings {
                endpoint,
                model,
                abilities,
                ..
            } = model.seen;
            let (Some(stored), Some(client)) = (abilities, clients.get(&endpoint)) else {
                continue;
            };
            client.set_learned(&model, stored.clone().or(client.learned(&model)));
            self.lock().entry((endpoint, model)).or_default().stored = stored;
        }
        Ok(())
    }

    /// A model to be watched, with what it charges the job.
    pub(crate) fn of(
        self: &Arc<Self>,
        client: &Client,
        endpoint: &str,
        model: &str,
        prices: Prices,
    ) -> Sight {
        Sight {
            watch: Arc::clone(self),
            client: client.clone(),
            prices,
            key: (endpoint.to_owned(), model.to_owned()),
        }
    }

    /// The lock is never held across an await.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self) {
        let waits = self.admission.take_waits();
        let untold: Vec<Sightings> = {
            let mut seen = self.lock();
            for (endpoint, model, waits) in waits {
                let key = (endpoint, model);
                let untold = seen.entry(key.clone()).or_default().untold(&key);
                waits::add(&mut untold.waits, &waits);
            }
            seen.values_mut()
                .filter_map(|seen| seen.untold.take())
                .collect()
        };
        if untold.is_empty() {
            return;
        }
        let told = async {
            let mut connection = self.pool.acquire().await?;
            endpoint_models::add(&mut connection, &untold, Utc::now()).await
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "what was seen of endpoints is told later");
            let mut seen = self.lock();
            for earlier in untold {
                let key = (earlier.endpoint.clone(), earlier.model.clone());
                match &mut seen.entry(key).or_default().untold {
                    Some(later) => later.add(earlier),
                    none => *none = Some(earlier),
                }
            }
        }
    }
}

impl Seen {
    fn untold(&mut self, (endpoint, model): &(String, String)) -> &mut Sightings {
        self.untold.get_or_insert_with(|| Sightings {
            endpoint: endpoint.clone(),
            model: model.clone(),
            ..Sightings::default()
        })
    }
}

/// A model that is watched.
pub(crate) struct Sight {
    watch: Arc<Watch>,
    client: Client,
    prices: Prices,
    key: (String, String),
}

impl Sight {
    /// Takes in how a request ended that costs so much at worst, and what its client learned by it.
    pub(crate) fn note(
        &self,
        result: &Result<Completion, RequestError>,
        worst_case: Spend,
        now: DateTime<Utc>,
    ) {
        let learned = self.client.learned(&self.key.1);
        let mut seen = self.watch.lock();
        let seen = seen.entry(self.key.clone()).or_default();
        let untold = seen.untold(&self.key);
        count(untold, result, now);
        count_spend(untold, result, self.prices, worst_case);
        if learned != seen.stored {
            seen.untold(&self.key).abilities = Some(learned.clone());
            seen.stored = learned;
            self.watch.tell_soon();
        }
    }
}

fn count(seen: &mut Sightings, result: &Result<Completion, RequestError>, now: DateTime<Utc>) {
    match result {
        Ok(completion) => {
            let latency = u64::try_from(completion.latency.as_millis()).unwrap_or(u64::MAX);
            seen.answered += 1;
            seen.usage_estimated += u64::from(completion.usage_estimated);
            seen.last_success_at = Some(now);
            seen.last_latency_ms = Some(latency);
            seen.latency_ms_total = seen.latency_ms_total.saturating_add(latency);
            seen.latency_buckets.record(&DURATION_BOUNDS_MS, latency);
            let (usage, details) = (completion.usage, completion.usage_details);
            seen.input_tokens += usage.prompt_tokens;
            seen.input_token_buckets
                .record(&TOKEN_BOUNDS, usage.prompt_tokens);
            seen.output_tokens += usage.completion_tokens;
            seen.output_token_buckets
                .record(&TOKEN_BOUNDS, usage.completion_tokens);
            seen.cached_input_tokens += details.cached_tokens;
            seen.reasoning_output_tokens += details.reasoning_tokens;
        }
        Err(RequestError::Withdrawn { .. }) => {}
        Err(
            RequestError::Infeasible { .. }
            | RequestError::Failed {
                scope: Some(Scope::Row | Scope::Configuration),
                ..
            },
        ) => seen.refused += 1,
        Err(error @ (RequestError::Failed { .. } | RequestError::Fatal { .. })) => {
            seen.failed += 1;
            seen.last_failure_at = Some(now);
            seen.last_failure = Some(error.to_string());
        }
    }
}

/// What the request goes into the job's books with.
fn count_spend(
    seen: &mut Sightings,
    result: &Result<Completion, RequestError>,
    prices: Prices,
    worst_case: Spend,
) {
    let attempts = match result {
        Ok(completion) => {
            let details = completion.usage_details;
            let cost = Spend::with_cache(completion.usage, details, prices);
            seen.spend_pico_usd += cost.usd.pico();
            completion.attempts
        }
        Err(error) => error.attempts(),
    };
    seen.uncertain_spend_pico_usd += attempts.uncertain(worst_case).usd.pico();
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::histogram::Buckets;
    use frugal_domain::money::{Usage, UsageDetails, Usd};
    use frugal_llm::{Attempts, Diagnostics};

    fn failed(scope: Option<Scope>) -> Result<Completion, RequestError> {
        Err(RequestError::Failed {
            reason: "no such luck".to_owned(),
            transient: scope.is_none(),
            scope,
            retry_after: None,
            attempts: Attempts::default(),
        })
    }

    #[test]
    fn what_is_asked_for_wrongly_is_no_failure_of_the_endpoint() {
        let now = Utc::now();
        let mut seen = Sightings::default();
        for result in [
            failed(Some(Scope::Row)),
            failed(Some(Scope::Configuration)),
            Err(RequestError::Infeasible {
                reason: "too warm".to_owned(),
                parameter: None,
                attempts: Attempts::default(),
            }),
            Err(RequestError::Withdrawn {
                attempts: Attempts::default(),
            }),
        ] {
            count(&mut seen, &result, now);
        }
        assert_eq!((seen.refused, seen.failed), (3, 0));
        assert_eq!(seen.last_failure_at, None);
        count(&mut seen, &failed(None), now);
        count(&mut seen, &failed(Some(Scope::Endpoint)), now);
        assert_eq!((seen.refused, seen.failed), (3, 2));
        assert_eq!(seen.last_failure.as_deref(), Some("no such luck"));
        assert_eq!(seen.last_failure_at, Some(now));
    }

    #[test]
    fn what_requests_use_cost_and_take_adds_up() {
        let completion = |latency_ms, prompt_tokens| Completion {
            usage: Usage {
                prompt_tokens,
                completion_tokens: 20,
            },
            usage_estimated: false,
            usage_details: UsageDetails {
                cached_tokens: 4,
                reasoning_tokens: 5,
            },
            diagnostics: Diagnostics::default(),
            choices: Vec::new(),
            attempts: Attempts {
                made: 3,
                possibly_billed: 2,
            },
            latency: Duration::from_millis(latency_ms),
        };
        let prices = Prices::per_million(1.0, 2.0, 0.0).unwrap();
        let worst_case = Spend {
            usd: Usd::from_pico(1_000),
            tokens: 100,
        };
        let withdrawn = Err(RequestError::Withdrawn {
            attempts: Attempts {
                made: 1,
                possibly_billed: 1,
            },
        });
        let mut seen = Sightings::default();
        for result in [
            Ok(completion(15, 10)),
            Ok(completion(90_000, 16)),
            withdrawn,
        ] {
            count(&mut seen, &result, Utc::now());
            count_spend(&mut seen, &result, prices, worst_case);
        }
        assert_eq!((seen.input_tokens, seen.output_tokens), (26, 40));
        assert_eq!(
            (seen.cached_input_tokens, seen.reasoning_output_tokens),
            (8, 10)
        );
        // 26 input tokens and 40 output tokens.
        assert_eq!(seen.spend_pico_usd, 26_000_000 + 80_000_000);
        assert_eq!(seen.uncertain_spend_pico_usd, 5_000);
        let latencies = Buckets::new([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(seen.latency_buckets, latencies);
        let inputs = Buckets::new([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(seen.input_token_buckets, inputs);
        assert_eq!(seen.output_token_buckets.count(), 2);
    }
}
