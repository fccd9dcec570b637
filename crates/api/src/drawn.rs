//! What a trial's numbers rest on: the responses that were drawn for it, taken from those of other trials
//! with the same sampling settings, or taken over from other jobs, as its extent uses them.

use frugal_domain::configuration::{Extent, Settings};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{ExtentChoice, JobKind, JobSpec, Split};
use frugal_domain::metric::Metric;
use frugal_domain::money::{Spend, Unit, Usage, Usd};
use frugal_domain::request::{FinishReason, Purpose, ResponseId};
use frugal_domain::scoring::Reducer;
use frugal_evaluation::sharing::share_out;
use frugal_evaluation::{Arm, DrawnResponse, ScoreKey, Used, metrics};
use frugal_evaluation::{EvaluatedInstance, UsedResponse};
use frugal_store::draws::{self, Drawn, TakenOver};
use frugal_store::jobs::Job;
use frugal_store::trials::{self, StoredTrial};
use frugal_store::{PgConnection, Result};
use std::collections::BTreeMap;

/// What a trial's numbers rest on, on one split of the rows.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What is asked of the endpoint.
    pub(crate) settings: Settings,
    arm: Arm,
    /// How many of the responses to a row count, of those that serve.
    most: usize,
    facts: BTreeMap<ResponseId, Facts>,
    /// Why responses have no score, where it was tried.
    failures: BTreeMap<ScoreKey, String>,
}

/// What is known of a response beside its text.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Why it ended.
    pub(crate) finish_reason: FinishReason,
    /// Its length by our own count of tokens.
    pub(crate) counted: u64,
    /// Tokens of its prompt, as billed.
    pub(crate) prompt_tokens: u64,
    /// Its share of what its request cost this job.
    pub(crate) cost: Spend,
}

impl Seen {
    /// Loads it.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn load(
        connection: &mut PgConnection,
        job: &Job,
        trial: &StoredTrial,
        split: Split,
    ) -> Result<Self> {
        let spec = &job.spec;
        // A profile is read from all that was drawn of an arm; elsewhere a trial takes what is there, and
        // draws what is missing.
        let is_profile =
            spec.kind() == JobKind::Tuning && spec.search.extent == ExtentChoice::Profiled;
        let mut seen = Self {
            settings: trial.settings.clone(),
            arm: Arm::default(),
            most: match is_profile {
                true => usize::MAX,
                false => usize::try_from(trial.settings.extent.n).unwrap_or(usize::MAX),
            },
            facts: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        let mut draws = Vec::new();
        let mut observed = Vec::new();
        for (purpose, numbers) in sources(connection, job, trial, split, is_profile).await? {
            let scores = draws::scores(connection, job.id, purpose, &numbers).await?;
            for (key, score) in scores {
                let key = ScoreKey {
                    response: key.response,
                    max_tokens: key.max_tokens,
                    instance: key.instance as usize,
                };
                match score {
                    Ok(said) => observed.push((key, said)),
                    Err(reason) => _ = seen.failures.insert(key, reason),
                }
            }
            if split == Split::Tuning {
                let taken = draws::taken_over(connection, job.id, &numbers).await?;
                draws.extend(taken.into_iter().map(|one| seen.taken_over(one)));
            }
            let drawn = draws::of_trials(connection, job.id, purpose, &numbers).await?;
            for request in drawn {
                draws.extend(seen.drawn(spec, &request));
            }
        }
        seen.arm = Arm::of(draws, observed);
        Ok(seen)
    }

    fn taken_over(&mut self, one: TakenOver) -> DrawnResponse {
        let ended = !one.finish_reason.is_cut();
        let facts = Facts {
            finish_reason: one.finish_reason,
            counted: one.estimated_tokens,
            prompt_tokens: one.prompt_tokens,
            cost: Spend::default(),
        };
        self.facts.insert(one.id, facts);
        DrawnResponse {
            id: one.id,
            instance: one.instance as usize,
            max_tokens: one.max_tokens,
            tokens: one.completion_tokens,
            ended,
            latency_ms: one.latency_ms,
        }
    }

    fn drawn(&mut self, spec: &JobSpec, request: &Drawn) -> Vec<DrawnResponse> {
        let lengths = request.responses.iter().map(|one| one.estimated_tokens);
        let lengths: Vec<u64> = lengths.collect();
        let tokens = share_out(request.usage.completion_tokens, &lengths);
        let costs = self.costs(spec, request, &tokens);
        let responses = request.responses.iter().zip(tokens).zip(costs);
        let one = |((response, tokens), cost): ((&draws::DrawnResponse, u64), Spend)| {
            let id = ResponseId {
                job: None,
                request: request.key,
                position: response.position,
            };
            let facts = Facts {
                finish_reason: response.finish_reason.clone(),
                counted: response.estimated_tokens,
                prompt_tokens: request.usage.prompt_tokens,
                cost,
            };
            self.facts.insert(id, facts);
            DrawnResponse {
                id,
                instance: request.instance as usize,
                max_tokens: request.max_tokens,
                tokens,
                ended: !response.finish_reason.is_cut(),
                latency_ms: request.latency_ms,
            }
        };
        responses.map(one).collect()
    }

    /// What each response of a request cost: the prompt and the request itself in equal parts, its own
    /// tokens by their number.
    fn costs(&self, spec: &JobSpec, request: &Drawn, tokens: &[u64]) -> Vec<Spend> {
        let prices = spec.models.get(self.settings.sampling.model);
        let prices = prices.map(|model| model.prices).unwrap_or_default();
        let all = tokens.len().max(1) as u64;
        let prompt = Usage {
            prompt_tokens: request.usage.prompt_tokens,
            completion_tokens: 0,
        };
        let prompt = Spend::of(prompt, prices);
        let of_tokens = |tokens: &u64| {
            let own = tokens.saturating_mul(prices.output_pico);
            (prompt.usd.pico() / all).saturating_add(own)
        };
        let dollars: Vec<u64> = tokens.iter().map(of_tokens).collect();
        let counted: Vec<u64> = tokens
            .iter()
            .map(|own| (prompt.tokens / all).saturating_add(*own))
            .collect();
        let dollars = share_out(request.cost.usd.pico(), &dollars);
        let counted = share_out(request.cost.tokens, &counted);
        let spend = |(usd, tokens)| Spend {
            usd: Usd::from_pico(usd),
            tokens,
        };
        dollars.into_iter().zip(counted).map(spend).collect()
    }

    /// The extent that the responses are used at.
    pub(crate) fn extent(&self) -> Extent {
        self.settings.extent
    }

    /// The responses, by the position of the row that they answer, in the order in which they are used.
    pub(crate) fn responses(&self) -> BTreeMap<usize, Vec<Used>> {
        let mut by_row: BTreeMap<usize, Vec<Used>> = BTreeMap::new();
        for used in self.arm.used(self.extent().max_tokens, self.most) {
            by_row.entry(used.draw.instance).or_default().push(used);
        }
        by_row
    }

    /// What is known of a response beside its text.
    pub(crate) fn facts(&self, response: &ResponseId) -> Option<&Facts> {
        self.facts.get(response)
    }

    /// Why a response has no score, where it was tried.
    pub(crate) fn failure(&self, key: &ScoreKey) -> Option<&str> {
        self.failures.get(key).map(String::as_str)
    }

    /// A metric of each row that has responses with scores: of answers what its responses are worth together,
    /// and of what they take that of the first n.
    pub(crate) fn values(&self, spec: &JobSpec, metric: Metric) -> BTreeMap<usize, f64> {
        if let Some(reducer) = reducer_of(metric) {
            return self
                .arm
                .worth_by_instance(self.extent(), reducer, self.most);
        }
        let n = self.extent().n as usize;
        let unit = spec.cost_unit();
        let of_row = |(row, used): (usize, Vec<Used>)| {
            let value = self.taken(spec, row, used.get(..n.min(used.len()))?, metric, unit)?;
            Some((row, value))
        };
        self.responses().into_iter().filter_map(of_row).collect()
    }

    fn taken(
        &self,
        spec: &JobSpec,
        row: usize,
        used: &[Used],
        metric: Metric,
        unit: Unit,
    ) -> Option<f64> {
        let first = self.facts(&used.first()?.draw.id)?;
        let completion_tokens = used.iter().map(Used::tokens);
        let usage = Usage {
            prompt_tokens: first.prompt_tokens,
            completion_tokens: completion_tokens.fold(0, u64::saturating_add),
        };
        let model = spec.models.get(self.settings.sampling.model)?;
        let response = |one: &Used| UsedResponse {
            id: one.draw.id,
            observed: one.observed.unwrap_or_else(|| 0.0.into()),
            completion_tokens: one.tokens(),
            ended: one.ended(),
            latency_ms: one.draw.latency_ms,
        };
        let instance = EvaluatedInstance {
            instance: row,
            responses: used.iter().map(response).collect(),
            prompt_tokens: usage.prompt_tokens,
            inference_cost: Spend::of(usage, model.prices),
        };
        Some(metrics::value(metric, &instance, unit))
    }
}

/// Whose requests a trial's responses come from, by what they were sent for; its own come first. It drew what was
/// missing when it began, so that what was drawn beside it by others that were in the air counts for them alone.
async fn sources(
    connection: &mut PgConnection,
    job: &Job,
    trial: &StoredTrial,
    split: Split,
    is_profile: bool,
) -> Result<Vec<(Purpose, Vec<TrialNumber>)>> {
    if split == Split::Holdout {
        return Ok(vec![(Purpose::Validation, vec![trial.number])]);
    }
    let own = (Purpose::from(trial.role), vec![trial.number]);
    if job.spec.measures_own_latency() {
        return Ok(vec![own]);
    }
    // In the order of the trials, which is that in which later ones took what they had.
    let mut others: Vec<(Purpose, Vec<TrialNumber>)> = Vec::new();
    let below = (!is_profile).then_some(trial.number);
    for (number, role, settings) in trials::settings(connection, job.id, below).await? {
        if number == trial.number || settings.sampling != trial.settings.sampling {
            continue;
        }
        let purpose = Purpose::from(role);
        match others.last_mut() {
            Some((last, numbers)) if *last == purpose => numbers.push(number),
            _ => others.push((purpose, vec![number])),
        }
    }
    Ok(std::iter::once(own).chain(others).collect())
}

/// The reducer that a metric of answers is by; nothing of a metric of what answers take.
fn reducer_of(metric: Metric) -> Option<Reducer> {
    let reducers = Reducer::ALL.iter().copied();
    let mut reducers = reducers.filter(|reducer| Metric::from(*reducer) == metric);
    reducers.next()
}

/// The metric of answers that a job is about: its objective, what must be as good as others, or, where it is
/// after neither, the mean of the scores.
pub(crate) fn quality(spec: &JobSpec) -> Metric {
    let standard = spec.objective.cheapest.map(|standard| standard.metric);
    let asked = [standard, Some(spec.objective.metric)];
    let mut asked = asked.into_iter().flatten();
    asked
        .find(|metric| reducer_of(*metric).is_some())
        .unwrap_or(Metric::Mean)
}
