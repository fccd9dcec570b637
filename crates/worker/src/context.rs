//! What everything that works on one job shares.

use crate::DriveError;
use crate::halt::Halt;
use crate::report::Counts;
use crate::run::Options;
use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Data, Instance, JobSpec};
use frugal_domain::money::Spend;
use frugal_domain::request::Purpose;
use frugal_domain::request::RequestKey;
use frugal_domain::spend::{SpendByCategory, SpendCategory};
use frugal_domain::trial::{Estimate, Progress};
use frugal_evaluation::{DoesNotFit, Ledger, Reservation};
use frugal_llm::Client;
use frugal_scoring::{CompiledPrompt, Scorer};
use frugal_store::queue::Claim;
use frugal_store::requests::{self, Request};
use frugal_store::reuse::{self, Adopted};
use frugal_store::{PgPool, jobs, trials};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// A job under way.
pub(crate) struct Context {
    pub pool: PgPool,
    pub claim: Claim,
    pub job: jobs::Job,
    pub data: Data,
    pub halt: Halt,
    /// The clients of the job's models, by the model's position.
    pub models: Vec<ModelClient>,
    pub prompts: Vec<CompiledPrompt>,
    pub scorer: Scorer,
    /// Trials that a worker before this one began, by number.
    pub begun: BTreeMap<TrialNumber, trials::StoredTrial>,
    /// What the trials have taken over from other jobs, by trial, for replay.
    pub adopted: BTreeMap<TrialNumber, Vec<Adopted>>,
    /// Requests that are settled, for replay.
    pub settled: BTreeMap<RequestKey, Request>,
    pub in_flight: Semaphore,
    /// How long requests under way may take to arrive once the job is to stop.
    pub grace: Duration,
    books: Mutex<Books>,
    /// Held from the moment when the summary is taken until it is stored: what is stored later
    /// is never older.
    pub recording: tokio::sync::Mutex<()>,
    /// Told whenever a reservation is given back.
    pub freed: Notify,
}

/// The client of one of the job's models.
pub(crate) struct ModelClient {
    pub client: Client,
    /// The most responses that one request yields.
    pub most_per_request: Option<u32>,
}

/// The running totals of a job.
pub(crate) struct Books {
    pub ledger: Ledger,
    /// What is kept back from the search for the held-out instances.
    pub kept: Option<Reservation>,
    pub progress: Progress,
    pub counts: Counts,
    pub best: Option<Best>,
}

/// The best valid trial so far.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    pub trial: TrialNumber,
    pub settings: Settings,
    pub utility: Estimate,
    /// Less is better.
    pub loss: f64,
    /// In the cost unit as people read it.
    pub cost: f64,
}

impl Best {
    /// Whether this one is to be preferred: better; or as good and cheaper; or as both and
    /// earlier. The order in which trials end does not matter.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let key = |best: &Self| (best.loss, best.cost, best.trial);
        key(self).partial_cmp(&key(other)) == Some(std::cmp::Ordering::Less)
    }
}

impl Books {
    /// Sets a worst case aside.
    ///
    /// # Errors
    /// It does not fit. `fits_alone` then says whether waiting helps: whether it would fit once
    /// the requests under way are settled. What is kept back is not given back for it.
    pub(crate) fn reserve(&mut self, worst: Spend) -> Result<Reservation, DoesNotFit> {
        let kept = self
            .kept
            .as_ref()
            .map(Reservation::worst)
            .unwrap_or_default();
        self.ledger.reserve(worst).map_err(|refused| {
            let others_hold = self.ledger.reserved() != kept;
            DoesNotFit {
                fits_alone: refused.fits_alone && others_hold,
                ..refused
            }
        })
    }
}

impl Context {
    /// Loads a job with everything that was paid so far.
    pub(crate) async fn load(options: &Options, claim: Claim) -> Result<Self, DriveError> {
        let mut connection = options.pool.acquire().await?;
        let job = jobs::find(&mut connection, claim.job)
            .await?
            .ok_or(DriveError::LetGo)?;
        let data = frugal_store::instances::load(&mut connection, claim.job).await?;
        let begun = trials::load(&mut connection, claim.job).await?;
        let settled = requests::load(&mut connection, claim.job).await?;
        let adopted = reuse::load(&mut connection, claim.job).await?;
        let lost = requests::lost(&mut connection, claim.job).await?;
        drop(connection);

        let mut ledger = Ledger::new(Some(job.spec.optimization_budget));
        if lost != Spend::default() {
            ledger.record(lost, SpendCategory::Lost);
        }
        let mut progress = Progress::default();
        let mut counts = Counts::default();
        for (key, request) in &settled {
            ledger.record(request.settled.cost(), key.purpose.into());
            counts.add(&request.settled);
            progress.requests += 1;
            if let requests::Settled::Answered(answer) = &request.settled {
                progress.responses += answer.responses.len() as u64;
            }
        }
        let in_flight = job.spec.search.requests_in_flight;
        Ok(Self {
            pool: options.pool.clone(),
            claim,
            halt: Halt::default(),
            models: model_clients(options, &job.spec)?,
            prompts: compile_prompts(&job.spec)?,
            scorer: Scorer::compile(&job.spec.scorer)
                .map_err(|error| DriveError::Internal(error.to_string()))?,
            begun: begun
                .into_iter()
                .map(|trial| (trial.number, trial))
                .collect(),
            adopted,
            settled,
            in_flight: Semaphore::new(in_flight as usize),
            grace: options.grace,
            books: Mutex::new(Books {
                ledger,
                kept: None,
                progress,
                counts,
                best: None,
            }),
            recording: tokio::sync::Mutex::default(),
            freed: Notify::new(),
            job,
            data,
        })
    }

    /// What was posted.
    pub(crate) fn spec(&self) -> &JobSpec {
        &self.job.spec
    }

    /// The rows that a trial of this role is evaluated on.
    pub(crate) fn rows(&self, purpose: Purpose) -> &[Instance] {
        match purpose {
            Purpose::Validation => &self.data.holdout,
            _ => &self.data.tuning,
        }
    }

    /// The running totals. The lock is held for a few instructions and never across an await.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The summary that polling reads.
    pub(crate) fn summary(&self) -> (Progress, SpendByCategory, Option<TrialNumber>) {
        let books = self.books();
        let best = books.best.as_ref().map(|best| best.trial);
        (books.progress, books.ledger.by_category().clone(), best)
    }
}

fn model_clients(options: &Options, spec: &JobSpec) -> Result<Vec<ModelClient>, DriveError> {
    let gone = |what: &str| {
        DriveError::Endpoint(format!(
            "{what} is no longer among this server's endpoints; ask its operator"
        ))
    };
    spec.models
        .iter()
        .map(|choice| {
            let client = options
                .clients
                .get(&choice.endpoint)
                .ok_or_else(|| gone(&format!("`{}`", choice.endpoint)))?;
            let model = options
                .catalog
                .model(&choice.endpoint, &choice.model)
                .ok_or_else(|| gone(&format!("the model `{}`", choice.model)))?;
            Ok(ModelClient {
                client: client.clone(),
                most_per_request: model.max_n,
            })
        })
        .collect()
}

fn compile_prompts(spec: &JobSpec) -> Result<Vec<CompiledPrompt>, DriveError> {
    spec.prompts
        .iter()
        .map(|prompt| {
            CompiledPrompt::compile(prompt).map_err(|error| DriveError::Internal(error.to_string()))
        })
        .collect()
}
