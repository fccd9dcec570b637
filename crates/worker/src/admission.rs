//! Which attempts may be made, shared with all other workers through the database.
//!
//! [`frugal_admission`] has the arithmetic. Here are the desks of this process, one for each
//! endpoint, the requests that wait at them, and the exchanges with the database.

use crate::clock::Clock;
use chrono::{TimeDelta, Utc};
use frugal_admission::{
    Admitted, Attempt, Desk, Grant, Millis, News, Outcome, Place, Report, Scope, ScopeLimits,
    WaitId,
};
use frugal_domain::endpoint::Catalog;
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::waits::Waits;
use frugal_llm::{AttemptEnd, Blame, EndpointState};
use frugal_store::{PgPool, Result, admission};
use futures::future::join_all;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The admission of one worker process.
pub struct Admission {
    counters: BTreeMap<String, Arc<Counter>>,
    catalog: Arc<Catalog>,
    listeners: Listeners,
}

/// Who hears what is to be told of a job.
type Listeners = Arc<Mutex<HashMap<JobId, UnboundedSender<EventBody>>>>;

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("endpoints", &self.counters.keys())
            .finish_non_exhaustive()
    }
}

/// Where the requests of one endpoint wait.
struct Counter {
    endpoint: String,
    pool: PgPool,
    /// The process's name among the holders of an endpoint's limits.
    worker: String,
    clock: Arc<dyn Clock>,
    line: Mutex<Line>,
    /// There is something new at the desk.
    news: Notify,
    exchanged: watch::Sender<()>,
    listeners: Listeners,
}

/// A desk and who waits at it.
struct Line {
    desk: Desk,
    waiting: HashMap<WaitId, (oneshot::Sender<Permit>, Arc<Mutex<Memory>>)>,
}

impl Admission {
    /// The admission of a process to all endpoints of a catalogue. `name` is for people: processes
    /// may have the same.
    #[must_use]
    pub fn new(pool: &PgPool, catalog: &Arc<Catalog>, name: &str, clock: &Arc<dyn Clock>) -> Self {
        // The hasher's keys are the standard library's one source of randomness.
        let worker = format!("{name}-{:016x}", RandomState::new().hash_one(name));
        let listeners = Listeners::default();
        let counters = catalog.endpoints.iter().map(|(name, endpoint)| {
            let counter = Counter {
                endpoint: name.clone(),
                pool: pool.clone(),
                worker: worker.clone(),
                clock: Arc::clone(clock),
                line: Mutex::new(Line {
                    desk: Desk::new(ScopeLimits::from(&endpoint.limits)),
                    waiting: HashMap::new(),
                }),
                news: Notify::new(),
                exchanged: watch::Sender::new(()),
                listeners: Arc::clone(&listeners),
            };
            (name.clone(), Arc::new(counter))
        });
        Self {
            counters: counters.collect(),
            catalog: Arc::clone(catalog),
            listeners,
        }
    }

    /// Makes the exchanges until `shutdown`, and then gives back what the process holds.
    pub async fn run(&self, shutdown: &CancellationToken) {
        join_all(self.counters.values().map(|counter| counter.run(shutdown))).await;
    }

    /// Where a job's requests to a model are admitted; none where the catalogue does not have it.
    #[must_use]
    pub fn entrance(&self, endpoint: &str, model: &str) -> Option<Entrance> {
        let entry = self.catalog.endpoint(endpoint)?;
        let limits = ScopeLimits::of_model(&entry.limits, &entry.model(model)?.limits);
        let counter = Arc::clone(self.counters.get(endpoint)?);
        let place = counter.line().desk.place(model, limits);
        Some(Entrance { counter, place })
    }

    /// Listens to what a job's owner is to be told, for as long as the job is driven here.
    #[must_use]
    pub fn listen(&self, job: JobId) -> Hearing<'_> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let listeners = self.listeners.lock();
        let mut listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        listeners.insert(job, sender);
        Hearing {
            admission: self,
            job,
            receiver,
        }
    }

    /// The waits of this process since the last time this was asked for, by endpoint and model.
    pub fn take_waits(&self) -> Vec<(String, String, Waits)> {
        let mut all = Vec::new();
        for (endpoint, counter) in &self.counters {
            let now = counter.clock.now();
            let waits = counter.line().desk.take_waits(now);
            all.extend(
                waits
                    .into_iter()
                    .map(|(model, waits)| (endpoint.clone(), model, waits)),
            );
        }
        all
    }

    /// Waits until no exchange is due any more.
    pub async fn settled(&self) {
        for counter in self.counters.values() {
            let is_settled = |_: &()| {
                let due = counter.line().desk.exchange_due();
                due.is_none_or(|due| due > counter.clock.now())
            };
            // The sender is the counter's own, so it is there.
            drop(counter.exchanged.subscribe().wait_for(is_settled).await);
        }
    }
}

/// The news of one job: of long waits and of endpoints that are out of order.
#[derive(Debug)]
pub struct Hearing<'a> {
    admission: &'a Admission,
    job: JobId,
    receiver: UnboundedReceiver<EventBody>,
}

impl Hearing<'_> {
    /// The next event that the job is to have.
    pub async fn next(&mut self) -> EventBody {
        match self.receiver.recv().await {
            Some(event) => event,
            // The sender is kept until this is dropped.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        let listeners = self.admission.listeners.lock();
        let mut listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        listeners.remove(&self.job);
        drop(listeners);
        for counter in self.admission.counters.values() {
            counter.line().desk.leave(self.job);
        }
    }
}

/// Where requests to one model of an endpoint are admitted.
#[derive(Clone)]
pub struct Entrance {
    counter: Arc<Counter>,
    place: Place,
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance")
            .field("endpoint", &self.counter.endpoint)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Entrance {
    /// The admission of one request of a job, which asks for so many tokens at worst.
    #[must_use]
    pub fn admittance(&self, job: JobId, tokens: u64) -> Admittance {
        let memory = Memory {
            worked: self.counter.line().desk.worked(self.place),
            spared: false,
        };
        Admittance {
            counter: Arc::clone(&self.counter),
            memory: Arc::new(Mutex::new(memory)),
            attempt: Attempt {
                job,
                place: self.place,
                tokens,
                is_retry: false,
            },
        }
    }
}

/// The admission of one request.
pub struct Admittance {
    counter: Arc<Counter>,
    attempt: Attempt,
    memory: Arc<Mutex<Memory>>,
}

/// What a request remembers of its attempts.
struct Memory {
    /// How often its model's endpoint had been seen to work.
    worked: u64,
    /// Whether its last attempt was not its own fault.
    spared: bool,
}

impl fmt::Debug for Admittance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admittance")
            .field("endpoint", &self.counter.endpoint)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl frugal_llm::Admission for Admittance {
    type Permit = Permit;

    async fn admit(&self, is_retry: bool) -> Permit {
        // One whose endpoint is out of order goes to the end of the line, so that it is not always
        // the same that probes.
        let is_spared = {
            let memory = self.memory.lock();
            memory.unwrap_or_else(PoisonError::into_inner).spared
        };
        let attempt = Attempt {
            is_retry: is_retry && !is_spared,
            ..self.attempt
        };
        let (sender, receiver) = oneshot::channel();
        let wait = {
            let mut line = self.counter.line();
            let wait = line.desk.ask(attempt);
            let memory = Arc::clone(&self.memory);
            line.waiting.insert(wait, (sender, memory));
            wait
        };
        let _place = PlaceInLine {
            counter: &self.counter,
            attempt,
            wait,
        };
        self.counter.serve();
        match receiver.await {
            Ok(permit) => permit,
            // The sender is kept until the place in the line is given up.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Gives the place in the line up when whoever waits goes away.
struct PlaceInLine<'a> {
    counter: &'a Counter,
    attempt: Attempt,
    wait: WaitId,
}

impl Drop for PlaceInLine<'_> {
    fn drop(&mut self) {
        let mut line = self.counter.line();
        if line.waiting.remove(&self.wait).is_some() {
            line.desk.withdraw(&self.attempt, self.wait);
            line.desk.count_waits(self.counter.clock.now());
        }
    }
}

/// The right to make one attempt.
pub struct Permit {
    counter: Arc<Counter>,
    admitted: Admitted,
    /// The request's own; none where the request went away.
    memory: Option<Arc<Mutex<Memory>>>,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("admitted", &self.admitted)
            .finish_non_exhaustive()
    }
}

impl frugal_llm::Permit for Permit {
    fn ended(self, end: &AttemptEnd) -> Blame {
        let Some(memory) = &self.memory else {
            return Blame::Request;
        };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = end.reason.as_deref().unwrap_or_default();
        let asked_for = end
            .asked_for
            .map(|span| Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX));
        let outcome = match end.state {
            EndpointState::Working => Outcome::Working(end.completion_tokens),
            EndpointState::RateLimited => Outcome::RateLimited(asked_for),
            EndpointState::Unavailable => Outcome::Unavailable(reason),
            EndpointState::BrokenDown => Outcome::BrokenDown(reason),
        };
        let now = self.counter.clock.now();
        let mut line = self.counter.line();
        memory.spared = line
            .desk
            .learn(now, &self.admitted, outcome, &mut memory.worked);
        match memory.spared {
            true => Blame::Endpoint,
            false => Blame::Request,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counter.line().desk.ended(&self.admitted);
        self.counter.serve();
    }
}

impl Counter {
    /// The lock is never held across an await, nor while a permit is dropped.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out the permits that there are.
    fn serve(self: &Arc<Self>) {
        let mut handed_out = Vec::new();
        {
            let mut line = self.line();
            for granted in line.desk.grant(self.clock.now()) {
                let (sender, memory) = line.waiting.remove(&granted.wait).unzip();
                let permit = Permit {
                    counter: Arc::clone(self),
                    admitted: granted.admitted,
                    memory,
                };
                handed_out.push((sender, permit));
            }
        }
        for (sender, permit) in handed_out {
            // Where nobody waits for it any more, it is dropped, and so goes to the next.
            if let Some(sender) = sender {
                drop(sender.send(permit));
            }
        }
        self.news.notify_one();
    }

    /// Tells the jobs what there is to tell.
    fn tell(&self) {
        let now = self.clock.now();
        let news = self.line().desk.news(now);
        if news.is_empty() {
            return;
        }
        let listeners = self.listeners.lock();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        for (job, model, one) in news {
            if let Some(listener) = listeners.get(&job) {
                // Who does not listen any more has ended.
                drop(listener.send(self.event(now, model, one)));
            }
        }
    }

    fn event(&self, now: Millis, model: String, news: News) -> EventBody {
        let endpoint = self.endpoint.clone();
        match news {
            News::Waiting { reason, until } => {
                let clock = self.clock.in_place_of_the_databases();
                let clock = clock.unwrap_or_else(Utc::now);
                EventBody::EndpointWaiting {
                    endpoint,
                    model,
                    reason,
                    until: until.map(|until| clock + TimeDelta::milliseconds(until - now)),
                }
            }
            News::Degraded(reason) => EventBody::EndpointDegraded {
                endpoint,
                model,
                reason,
            },
            News::Recovered => EventBody::EndpointRecovered { endpoint, model },
        }
    }

    async fn run(self: &Arc<Self>, shutdown: &CancellationToken) {
        let beating = async {
            loop {
                self.tell();
                let due = self.line().desk.exchange_due();
                match due {
                    Some(due) if due <= self.clock.now() => {
                        self.exchange().await;
                        self.serve();
                    }
                    Some(due) => {
                        tokio::select! {
                            () = self.clock.sleep_until(due) => {}
                            () = self.news.notified() => {}
                        }
                    }
                    None => self.news.notified().await,
                }
            }
        };
        shutdown.run_until_cancelled(beating).await;
        let holds_something = {
            let mut line = self.line();
            line.desk.close();
            line.desk.exchange_due().is_some()
        };
        if holds_something {
            self.exchange().await;
        }
    }

    /// Tells the database what was used and is wanted, and the desk what it may hold.
    async fn exchange(&self) {
        let begun = self.clock.now();
        let reports = self.line().desk.begin_exchange(begun);
        let exchanged = self.exchange_in_database(&reports).await;
        let now = self.clock.now();
        match exchanged {
            Ok(grants) => self.line().desk.end_exchange(begun, now, &grants),
            Err(error) => {
                tracing::warn!(%error, endpoint = %self.endpoint, "no exchange of limits");
                self.line().desk.fail_exchange(now, &reports);
            }
        }
        self.exchanged.send_replace(());
    }

    async fn exchange_in_database(
        &self,
        reports: &[(String, ScopeLimits, Report)],
    ) -> Result<Vec<(String, Report, Grant)>> {
        let models: Vec<String> = reports.iter().map(|(model, ..)| model.clone()).collect();
        let mut transaction = self.pool.begin().await?;
        let mut states = admission::lock(&mut transaction, &self.endpoint, &models).await?;
        let now = match self.clock.in_place_of_the_databases() {
            Some(now) => now,
            None => admission::clock(&mut transaction).await?,
        };
        let now: Millis = now.timestamp_millis();
        let mut grants = Vec::with_capacity(reports.len());
        for (model, limits, report) in reports {
            let state = states.remove(model).unwrap_or_default();
            // Soft as it is, a state that another version wrote is begun anew.
            let mut scope: Scope = serde_json::from_value(state).unwrap_or_default();
            let grant = scope.exchange(now, &self.worker, limits, report);
            let state = serde_json::to_value(&scope).unwrap_or_default();
            states.insert(model.clone(), state);
            grants.push((model.clone(), report.clone(), grant));
        }
        admission::save(&mut transaction, &self.endpoint, states).await?;
        transaction.commit().await?;
        Ok(grants)
    }
}
