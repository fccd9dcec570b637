//! A database, an endpoint, a clock, and workers' admissions with clients of their own.

use crate::clock::ManualClock;
use frugal_domain::endpoint::Catalog;
use frugal_domain::id::JobId;
use frugal_domain::prompt::{Prompt, PromptBody};
use frugal_llm::{
    AttemptEnd, Attempts, Backoff, Blame, Client, CompletionRequest, Permission, PromptInput,
    RequestError, SendGuard,
};
use frugal_scoring::{CompiledPrompt, RenderedPrompt};
use frugal_simulator::{Recordings, Simulator, SimulatorOptions};
use frugal_store::PgPool;
use frugal_tests::postgres::TestDatabase;
use frugal_worker::{Admission, Admittance, Clock, Hearing, Permit};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const MODEL: &str = "gemma-3-270m";
const MINUTE: i64 = 60_000;

/// What all workers of a test have in common.
pub(crate) struct World {
    database: TestDatabase,
    pub(crate) pool: PgPool,
    pub(crate) simulator: Simulator,
    pub(crate) clock: Arc<ManualClock>,
    catalog: Arc<Catalog>,
    log: Arc<Log>,
}

/// What was admitted, and how many of it is under way.
struct Log {
    admitted: Mutex<Vec<i64>>,
    under_way: watch::Sender<usize>,
}

/// What stands for a worker process.
pub(crate) struct Worker {
    admission: Arc<Admission>,
    client: Client,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    pub(crate) async fn new(limits: Value, options: SimulatorOptions) -> Self {
        let database = TestDatabase::create().await;
        let pool = frugal_store::connect(database.url(), 8).unwrap();
        frugal_store::migrate(&pool).await.unwrap();
        let simulator = frugal_simulator::serve(options).await.unwrap();
        let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"local": {
            "base_url": simulator.base_url(),
            "api": "completions",
            "limits": limits,
            "models": {MODEL: {}}
        }}}))
        .unwrap();
        catalog.validate().unwrap();
        Self {
            database,
            pool,
            simulator,
            clock: Arc::new(ManualClock::new()),
            catalog: Arc::new(catalog),
            log: Arc::new(Log {
                admitted: Mutex::default(),
                under_way: watch::Sender::new(0),
            }),
        }
    }

    pub(crate) fn worker(&self) -> Worker {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let admission = Admission::new(&self.pool, &self.catalog, "test", &clock);
        let admission = Arc::new(admission);
        let stop = CancellationToken::new();
        let endpoint = self.catalog.endpoint("local").unwrap();
        // What the client waits by itself is waited in earnest.
        let backoff = Backoff {
            base: Duration::ZERO,
            most: Duration::ZERO,
            most_asked_for: Duration::ZERO,
        };
        let client = Client::with_backoff(
            "local",
            endpoint,
            frugal_llm::Secrets::default(),
            backoff,
            1,
        )
        .unwrap();
        let running = {
            let (admission, stop) = (admission.clone(), stop.clone());
            tokio::spawn(async move { admission.run(&stop).await })
        };
        Worker {
            admission,
            client,
            stop,
            running,
        }
    }

    /// Sends a job's request to the end, in a task of its own.
    pub(crate) fn send(
        &self,
        worker: &Worker,
        job: u128,
        row: usize,
    ) -> JoinHandle<Result<(), RequestError>> {
        let entrance = worker.admission.entrance("local", MODEL).unwrap();
        let admittance = Logged {
            admittance: entrance.admittance(JobId(Uuid::from_u128(job)), 100),
            clock: self.clock.clone(),
            log: self.log.clone(),
        };
        let client = worker.client.clone();
        tokio::spawn(async move {
            let request = request(row);
            let sent = client.complete_admitted(&request, None, &Anything, &admittance);
            sent.await.map(|_| ())
        })
    }

    /// Waits until nothing happens any more at this moment of the clock.
    pub(crate) async fn settle(&self, workers: &[&Worker]) {
        loop {
            for worker in workers {
                worker.admission.settled().await;
            }
            let mut under_way = self.log.under_way.subscribe();
            under_way.wait_for(|count| *count == 0).await.unwrap();
            tokio::task::yield_now().await;
            let mut is_settled = true;
            for worker in workers {
                let settled = worker.admission.settled();
                is_settled &= futures::FutureExt::now_or_never(settled).is_some();
            }
            if is_settled && *self.log.under_way.borrow() == 0 {
                return;
            }
        }
    }

    /// Moves the clock on in steps, until so many milliseconds have passed.
    pub(crate) async fn pass(&self, span: i64, workers: &[&Worker]) {
        for _ in 0..span / 250 {
            self.clock.advance(250);
            self.settle(workers).await;
        }
    }

    /// How many attempts were admitted so far.
    pub(crate) fn admitted(&self) -> usize {
        self.log.admitted.lock().unwrap().len()
    }

    /// The most attempts that were admitted within any minute.
    pub(crate) fn busiest_minute(&self) -> usize {
        let mut admitted = self.log.admitted.lock().unwrap().clone();
        admitted.sort_unstable();
        let within = |(at, from): (usize, &i64)| {
            admitted[at..].partition_point(|moment| *moment < from + MINUTE)
        };
        admitted.iter().enumerate().map(within).max().unwrap_or(0)
    }

    pub(crate) async fn end(self) {
        self.simulator.shutdown().await.unwrap();
        self.pool.close().await;
        self.database.drop().await;
    }
}

impl Worker {
    /// What a job of this worker is told.
    pub(crate) fn listen(&self, job: u128) -> Hearing<'_> {
        self.admission.listen(JobId(Uuid::from_u128(job)))
    }

    /// Stops it in order, so that it gives back what it holds.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    /// Ends it as a crash does: it says nothing any more.
    pub(crate) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}

/// An admission that notes when it admitted.
struct Logged {
    admittance: Admittance,
    clock: Arc<ManualClock>,
    log: Arc<Log>,
}

struct LoggedPermit {
    permit: Option<Permit>,
    log: Arc<Log>,
}

impl frugal_llm::Admission for Logged {
    type Permit = LoggedPermit;

    async fn admit(&self, is_retry: bool) -> LoggedPermit {
        let permit = self.admittance.admit(is_retry).await;
        self.log.admitted.lock().unwrap().push(self.clock.now());
        self.log.under_way.send_modify(|count| *count += 1);
        LoggedPermit {
            permit: Some(permit),
            log: self.log.clone(),
        }
    }
}

impl frugal_llm::Permit for LoggedPermit {
    fn ended(mut self, end: &AttemptEnd) -> Blame {
        self.permit.take().unwrap().ended(end)
    }
}

impl Drop for LoggedPermit {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.log.under_way.send_modify(|count| *count -= 1);
    }
}

/// A guard that lets everything pass.
struct Anything;

impl SendGuard for Anything {
    async fn may_send(&self, _: Attempts, _: bool) -> Permission {
        Permission::Granted
    }

    async fn withdrawn(&self) {
        std::future::pending::<()>().await;
    }
}

/// A request that the simulator knows.
fn request(row: usize) -> CompletionRequest {
    let recordings = Recordings::embedded().unwrap();
    let rows = recordings.instances("arithmetic");
    let template = &recordings.prompts("arithmetic")[0].template;
    let prompt = CompiledPrompt::compile(&Prompt {
        name: "prompt".to_owned(),
        body: PromptBody::Text(template.clone()),
        demonstrations: None,
    });
    let row = rows[row % rows.len()].as_object().unwrap();
    let RenderedPrompt::Text(text) = prompt.unwrap().render(row).unwrap() else {
        unreachable!("a text renders to a text");
    };
    CompletionRequest {
        model: MODEL.to_owned(),
        prompt: PromptInput::Text(text),
        n: 1,
        max_tokens: 16,
        temperature: Some(1.0),
        top_p: None,
        stop: vec!["\n\n".to_owned()],
        seed: Some(1),
        extra: std::collections::BTreeMap::new(),
    }
}
