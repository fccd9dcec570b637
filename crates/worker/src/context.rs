//! What everything that works on one job shares.

use crate::admission::{Admission, Entrance};
use crate::error::DriveError;
use crate::halt::Halt;
use crate::heartbeat::Lease;
use crate::options::Options;
use crate::past::{self, Parts};
use crate::prompt;
use crate::shared::Shared;
use crate::sightings::{Sight, Watch};
use crate::text::Text;
use crate::writes::Writes;
use frugal_domain::abilities::Abilities;
use frugal_domain::job::{Data, JobSpec, ModelChoice};
use frugal_domain::request::ResponseId;
use frugal_domain::state::JobState;
use frugal_llm::Client;
use frugal_sandbox::Sandbox;
use frugal_scoring::{CompiledPrompt, Outside, Scorer};
use frugal_store::changes::{self, OwnerChange};
use frugal_store::queue::Claim;
use frugal_store::{PgConnection, PgPool, jobs};
use frugal_tuning::{Job, Past, PromptTokenBounds, Tuning};
use frugal_webhook::Hooks;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a model is reached.
pub(crate) struct Access {
    pub client: Client,
    pub entrance: Entrance,
    pub sight: Sight,
}

/// A job under way.
pub(crate) struct Context {
    pub pool: PgPool,
    /// What requests are stored through.
    pub writes: Arc<Writes>,
    pub claim: Claim,
    pub job: jobs::Job,
    pub data: Arc<Data>,
    pub halt: Arc<Halt>,
    pub lease: Lease,
    /// How the job's models are reached, by the model's position; behind those to choose from its judges.
    pub models: Vec<Access>,
    pub prompts: Vec<CompiledPrompt>,
    pub scorer: Arc<Scorer>,
    /// What chooses which of a row's responses is given, where something does.
    pub selector: Option<Arc<Scorer>>,
    /// Where programs are run; there where the scorer needs it.
    pub sandbox: Option<Sandbox>,
    /// The operator's hooks.
    pub hooks: Hooks,
    /// How long requests under way may take to arrive once the job is to stop.
    pub grace: Duration,
    /// How long answers wait for a database that is out of reach.
    pub outage: Duration,
    tuning: Mutex<Tuning>,
    /// What parts of a composite came to, of responses that have no score yet.
    parts: Mutex<Parts>,
    /// Texts that have arrived and are not scored yet.
    arrived: Mutex<HashMap<ResponseId, Text>>,
    /// The number of the last change of its owner's that the loop was built with.
    pub last_change: u32,
    /// Why requests failed, by model, as far as the operator's log has it.
    failures: Mutex<BTreeSet<(usize, String)>>,
}

impl Context {
    /// Loads a job with everything that happened to it so far.
    pub(crate) async fn load(
        options: &Options,
        shared: &Shared,
        claim: Claim,
        halt: &Arc<Halt>,
        lease: Lease,
    ) -> Result<Self, DriveError> {
        let Shared {
            admission,
            watch,
            writes,
            ..
        } = shared;
        watch.learn(&options.clients).await?;
        let mut connection = options.pool.acquire().await?;
        let job = jobs::find(&mut connection, claim.job)
            .await?
            .ok_or(DriveError::LetGo)?;
        // Its worker was lost before it had stopped.
        if job.state == JobState::Pausing {
            return Err(DriveError::Paused);
        }
        let outside = frugal_scoring::outside(&job.spec.scorer);
        if outside.contains(&Outside::Programs) && options.sandbox.is_none() {
            return Err(DriveError::NoSandbox);
        }
        let data = frugal_store::instances::load(&mut connection, claim.job).await?;
        let changes = changes::after(&mut connection, claim.job, 0).await?;
        let past = past::load(&mut connection, claim.job, job.run - 1, &changes).await?;
        // The loop begins with what the job was begun with, and comes to its changes at their places.
        let mut begun_with = job.spec.clone();
        if let Some(first) = past::terms_changes(&changes).next() {
            first.terms_before.give(&mut begun_with);
        }
        let parts = match frugal_scoring::keeps_parts(&job.spec.scorer) {
            true => past::parts(&mut connection, claim.job, &past).await?,
            false => BTreeMap::new(),
        };
        let models = models(options, admission, watch, &job.spec)?;
        let most_per_request = match jobs::most_per_request(&mut connection, claim.job).await? {
            Some(kept) => kept,
            None => begin(&mut connection, options, claim, &job.spec, &past).await?,
        };
        drop(connection);
        let prompts = prompt::compile(&job.spec)?;
        let scorer = Scorer::compile(&job.spec.scorer)?;
        let selector = job.spec.selector.as_ref().map(Scorer::compile);
        let selector = selector.transpose()?.map(Arc::new);
        let tuned = Job {
            spec: Arc::new(begun_with),
            most_per_request,
            prompt_token_bounds: PromptTokenBounds {
                tuning: prompt::token_bounds(&prompts, &data.tuning)?,
                holdout: prompt::token_bounds(&prompts, &data.holdout)?,
                judge_tuning: prompt::question_bounds(&scorer, &data.tuning)?,
                judge_holdout: prompt::question_bounds(&scorer, &data.holdout)?,
            },
            labels: prompt::labels(&scorer, &data.tuning)?,
        };
        Ok(Self {
            pool: options.pool.clone(),
            writes: Arc::clone(writes),
            claim,
            data: Arc::new(data),
            halt: Arc::clone(halt),
            lease,
            models,
            prompts,
            scorer: Arc::new(scorer),
            selector,
            sandbox: options.sandbox.clone(),
            grace: options.terms.grace,
            outage: options.terms.outage,
            hooks: options.hooks.clone(),
            tuning: Mutex::new(Tuning::new(tuned, past)?),
            parts: Mutex::new(parts),
            arrived: Mutex::default(),
            failures: Mutex::default(),
            last_change: changes.last().map_or(0, OwnerChange::number),
            job,
        })
    }

    /// The model at a position: one of those to choose from, or behind them a judge.
    pub(crate) fn model(&self, position: usize) -> &ModelChoice {
        let spec = self.spec();
        let behind = position.checked_sub(spec.models.len());
        match behind.and_then(|judge| spec.judges.get(judge)) {
            Some(judge) => &judge.model,
            None => &spec.models[position],
        }
    }

    /// What was posted.
    pub(crate) fn spec(&self) -> &JobSpec {
        &self.job.spec
    }

    /// The job's loop. The lock is never held across an await.
    pub(crate) fn tuning(&self) -> MutexGuard<'_, Tuning> {
        self.tuning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether requests to a model failed for this reason for the first time. Remembers it.
    pub(crate) fn is_new_failure(&self, model: usize, reason: String) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.insert((model, reason))
    }

    /// What parts of a composite came to, of responses that have no score yet. It is stored.
    pub(crate) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts that wait to be scored.
    pub(crate) fn arrived(&self) -> MutexGuard<'_, HashMap<ResponseId, Text>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most responses that one request yields, by the model's position, for a job that is begun. It
/// is kept for the job's whole life: what is found out meanwhile must not change what it asks.
async fn begin(
    connection: &mut PgConnection,
    options: &Options,
    claim: Claim,
    spec: &JobSpec,
    past: &Past,
) -> Result<Vec<Option<u32>>, DriveError> {
    // One that sent requests before this was kept went by the operator's word alone.
    let goes_by_what_was_learned = past.requests.is_empty();
    let models = spec.models.iter().map(|choice| {
        let model = options.catalog.model(&choice.endpoint, &choice.model)?;
        let stated = Abilities::stated(model);
        let client = options.clients.get(&choice.endpoint)?;
        match goes_by_what_was_learned {
            true => stated.or(client.learned(&choice.model)).max_n,
            false => stated.max_n,
        }
    });
    let most_per_request: Vec<_> = models.collect();
    jobs::keep_most_per_request(connection, claim, &most_per_request).await?;
    Ok(most_per_request)
}

/// How each model of a job is reached.
fn models(
    options: &Options,
    admission: &Admission,
    watch: &Arc<Watch>,
    spec: &JobSpec,
) -> Result<Vec<Access>, DriveError> {
    let gone = |what: &str| {
        DriveError::Endpoint(format!(
            "{what} is no longer among this server's endpoints; ask its operator"
        ))
    };
    spec.asked_models()
        .map(|choice| {
            let client = options
                .clients
                .get(&choice.endpoint)
                .ok_or_else(|| gone(&format!("`{}`", choice.endpoint)))?;
            let entrance = admission
                .entrance(&choice.endpoint, &choice.model)
                .ok_or_else(|| gone(&format!("the model `{}`", choice.model)))?;
            Ok(Access {
                client: client.clone(),
                entrance,
                sight: watch.of(client, &choice.endpoint, &choice.model, choice.prices),
            })
        })
        .collect()
}
