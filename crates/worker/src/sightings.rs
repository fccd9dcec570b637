//! What a process sees of the models that its jobs use, told to the database now and then: what they
//! take, whether they answer, and how fast.

use chrono::{DateTime, Utc};
use frugal_domain::abilities::Abilities;
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
    pub(crate) fn new(pool: &PgPool) -> Self {
        Self {
            pool: pool.clone(),
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

    /// A model to be watched.
    pub(crate) fn of(self: &Arc<Self>, client: &Client, endpoint: &str, model: &str) -> Sight {
        Sight {
            watch: Arc::clone(self),
            client: client.clone(),
            key: (endpoint.to_owned(), model.to_owned()),
        }
    }

    /// The lock is never held across an await.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self) {
        let untold: Vec<Sightings> = {
            let mut seen = self.lock();
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

/// A model that is watched.
pub(crate) struct Sight {
    watch: Arc<Watch>,
    client: Client,
    key: (String, String),
}

impl Sight {
    /// Takes in how a request ended, and what its client learned by it.
    pub(crate) fn note(&self, result: &Result<Completion, RequestError>, now: DateTime<Utc>) {
        let learned = self.client.learned(&self.key.1);
        let mut seen = self.watch.lock();
        let seen = seen.entry(self.key.clone()).or_default();
        let untold = seen.untold.get_or_insert_with(|| Sightings {
            endpoint: self.key.0.clone(),
            model: self.key.1.clone(),
            ..Sightings::default()
        });
        count(untold, result, now);
        if learned != seen.stored {
            untold.abilities = Some(learned.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_llm::Attempts;

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
}
