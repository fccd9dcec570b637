//! A made-up endpoint, and a driver in memory that keeps what a database would keep and answers in
//! an order drawn apart from the answers.

use frugal_domain::configuration::{Configuration, Extent};
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{ExtentChoice, JobSpec, Terms};
use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{RequestKey, ResponseId, Scope};
use frugal_domain::seed::mix;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Receipt, ReceivedResponse, RequestFailure, ScoreKey, ScorePlan};
use frugal_tuning::{
    Change, EarlierValidation, EnqueuedTrial, Job, JobEnding, Past, PastRequest, PastTrial,
    PromptTokenBounds, Record, RequestEnd, RequestToSend, ScoreBatch, Scored, SettledRequest, Step,
    Tally, TermsChange, Tuning,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Rows that the search sees, and rows held out.
pub const TUNING: usize = 12;
pub const HOLDOUT: usize = 6;

/// A job over two models, two prompts and a temperature, in its stored form.
pub fn spec(changes: &[(&str, Value)]) -> JobSpec {
    let model = |name: &str, input: u64, output: u64| {
        json!({"endpoint": "e", "model": name,
               "prices": {"input_pico": input, "output_pico": output, "request_pico": 0}})
    };
    let int = |low: i64, high: i64| json!({"int": {"low": low, "high": high, "scale": "log", "step": null}});
    let space = json!([
        {"name": "model", "domain": {"one_of": {"branches": [[], []]}}},
        {"name": "prompt", "domain": {"choice": {"values": ["a", "b"], "ordered": false}}},
        {"name": "temperature", "domain": {"float": {"low": 0.0, "high": 1.0, "scale": "linear", "step": null}}},
        {"name": "max_tokens", "domain": int(16, 128)},
        {"name": "n", "domain": int(1, 8)},
    ]);
    let mut stored = json!({
        "name": null, "labels": {},
        "models": [model("small", 100_000, 400_000), model("large", 200_000, 800_000)],
        "prompts": [{"name": "a", "body": {"text": "{{ q }}"}}, {"name": "b", "body": {"text": "{{ q }}!"}}],
        "space": space,
        "scorer": {"type": "exact", "expected": "{{ a }}"},
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "constraints": [],
        "inference_budget": {"usd": 0.000_2},
        "optimization_budget": {"usd": 0.05},
        "limits": {"trials": 30, "seconds": null, "trials_without_improvement": null},
        "search": {"algorithm": "blendsearch", "seed": 7, "extent": "searched", "pruning": "on", "reuse": "job",
                   "parallel_trials": 4, "requests_in_flight": 16},
        "baseline": {"model": 0, "prompt": "a", "temperature": 1.0, "max_tokens": 64, "n": 1},
        "start": [],
    });
    for (pointer, value) in changes {
        *stored.pointer_mut(pointer).unwrap() = value.clone();
    }
    serde_json::from_value(stored).unwrap()
}

/// What the endpoint bills besides what it is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// Tokens before each prompt.
    pub prompt: u64,
    /// Tokens of reasoning, outside of `max_tokens`: up to so many for each response, and at least half.
    pub response: u64,
    /// The first so many requests of the job fail.
    pub failures: u32,
}

/// Why a request is refused, or fails, if it does.
pub type Refuses = fn(&RequestToSend) -> Option<RequestFailure>;

/// A refusal that reaches so far.
pub fn refused(scope: Scope, reason: &str) -> RequestFailure {
    RequestFailure::Refused {
        scope,
        reason: reason.to_owned(),
    }
}

/// A job in memory, with everything that a database would hold of it.
pub struct World {
    pub spec: Arc<JobSpec>,
    tuning: Tuning,
    holdout: usize,
    order: ChaCha8Rng,
    /// Requests in flight, in the order of sending.
    pub in_flight: Vec<RequestToSend>,
    /// What is to be stored, in this order.
    records: VecDeque<Record>,
    /// What is being scored.
    scoring: Vec<ScoreBatch>,
    /// What is stored.
    pub past: Past,
    pub events: Vec<EventBody>,
    /// How many steps were carried out.
    pub steps: usize,
    /// Requests sent, lost ones again.
    pub sent: Vec<RequestKey>,
    /// From this many requests of validation on the endpoint is of no use.
    pub unusable_from_validation: Option<u32>,
    pub beside: Beside,
    /// What the endpoint refuses, or fails at, each time at the worst case.
    pub refuses: Refuses,
    /// Configurations under which every answer is right.
    pub is_good: fn(&Configuration) -> bool,
    /// Who proposed each trial.
    pub origins: BTreeMap<TrialNumber, String>,
    /// The winner that was scored on held-out rows last.
    validated: Option<(TrialNumber, Extent)>,
    pub finished: bool,
}

impl World {
    /// A new job whose answers arrive in this order.
    pub fn new(spec: JobSpec, order: u64) -> Self {
        Self::taken_up(spec, order, Past::default(), Vec::new())
    }

    /// The same without held-out rows.
    pub fn without_holdout(spec: JobSpec, order: u64) -> Self {
        Self::taken_up_without_holdout(spec, order, Past::default(), Vec::new())
    }

    /// A job that another worker had before.
    pub fn taken_up(spec: JobSpec, order: u64, past: Past, events: Vec<EventBody>) -> Self {
        Self::over(HOLDOUT, spec, order, past, events)
    }

    /// The same without held-out rows.
    pub fn taken_up_without_holdout(
        spec: JobSpec,
        order: u64,
        past: Past,
        events: Vec<EventBody>,
    ) -> Self {
        Self::over(0, spec, order, past, events)
    }

    fn over(holdout: usize, spec: JobSpec, order: u64, past: Past, events: Vec<EventBody>) -> Self {
        let spec = Arc::new(spec);
        let bounds = |rows: usize| vec![vec![40; rows].into(); 2];
        let job = Job {
            spec: Arc::clone(&spec),
            most_per_request: vec![None, Some(3)],
            prompt_token_bounds: PromptTokenBounds {
                tuning: bounds(TUNING),
                holdout: bounds(holdout),
                ..PromptTokenBounds::default()
            },
            labels: Vec::new(),
        };
        Self {
            tuning: Tuning::new(job, past.clone()).unwrap(),
            holdout,
            spec,
            order: ChaCha8Rng::seed_from_u64(order),
            in_flight: Vec::new(),
            records: VecDeque::new(),
            scoring: Vec::new(),
            past,
            events,
            steps: 0,
            sent: Vec::new(),
            unusable_from_validation: None,
            beside: Beside::default(),
            refuses: |_| None,
            is_good: |_| false,
            origins: BTreeMap::new(),
            validated: None,
            finished: false,
        }
    }

    /// The job's loop, to be told what a driver hears from outside.
    pub fn tuning(&mut self) -> &mut Tuning {
        &mut self.tuning
    }

    /// The owner changes the terms while the job runs.
    pub fn change(&mut self, change: impl FnOnce(&mut Terms)) {
        let last = self.past.changes.last();
        let mut terms = last.map_or_else(|| Terms::of(&self.spec), |change| change.terms);
        change(&mut terms);
        let change = TermsChange {
            number: self.next_change(),
            terms,
            place: None,
            unaffordable: BTreeSet::new(),
            continues: false,
            told: false,
        };
        self.past.changes.push(change.clone());
        self.tuning.change_terms(change);
    }

    /// The number of the owner's next change.
    fn next_change(&self) -> u32 {
        let terms = self.past.changes.iter().map(|change| change.number);
        let enqueued = self.past.enqueued.iter().map(|one| one.number);
        terms.chain(enqueued).max().map_or(1, |last| last + 1)
    }

    /// The owner puts a configuration in while the job runs.
    pub fn enqueue(&mut self, configuration: Configuration) {
        let enqueued = EnqueuedTrial {
            number: self.next_change(),
            configuration,
            place: None,
        };
        self.past.enqueued.push(enqueued.clone());
        self.tuning.enqueue(enqueued);
    }

    /// The trials of a configuration.
    pub fn trials_of(&self, configuration: &Configuration) -> Vec<TrialNumber> {
        let settings = |configuration| self.spec.settings(configuration).unwrap();
        let wanted = settings(configuration);
        let trials = self.past.trials.iter();
        trials
            .filter(|(number, trial)| {
                let asks = settings(&trial.configuration);
                self.spec.is_trial_of(&wanted, **number, &asks)
            })
            .map(|(number, _)| *number)
            .collect()
    }

    /// The job has ended, and its owner continues it under other terms, as a database would take that in.
    pub fn go_on(mut self, order: u64, change: impl FnOnce(&mut Terms)) -> Self {
        assert!(self.finished);
        let last = self.past.changes.last();
        let mut terms = last.map_or_else(|| Terms::of(&self.spec), |change| change.terms);
        change(&mut terms);
        self.past.changes.push(TermsChange {
            number: self.next_change(),
            terms,
            place: None,
            unaffordable: BTreeSet::new(),
            continues: true,
            told: true,
        });
        let profiled = self.spec.search.extent == ExtentChoice::Profiled;
        for (number, trial) in &mut self.past.trials {
            let stopped = matches!(trial.end, Some((TrialOutcome::Stopped, _)));
            if stopped || profiled && number.0 > 0 {
                trial.end = None;
            }
        }
        if std::mem::take(&mut self.past.validation_completed) {
            self.past.earlier_validations.push(EarlierValidation {
                run: self.past.earlier_runs,
                winner: self.validated,
            });
        }
        self.past.earlier_runs += 1;
        self.crash(order)
    }

    /// Does one thing: a step of the loop, or the arrival of an answer. Whether the job goes on.
    pub fn turn(&mut self) -> bool {
        if self.finished {
            return false;
        }
        self.steps += 1;
        match self.tuning.next_step().unwrap() {
            Some(step) => self.take(step),
            None => self.something_ends(),
        }
        true
    }

    /// An answer arrives, scores are there, or the next record is stored, whichever is first.
    fn something_ends(&mut self) {
        let (scoring, in_flight) = (self.scoring.len(), self.in_flight.len());
        let under_way = scoring + in_flight + usize::from(!self.records.is_empty());
        assert!(under_way > 0, "the job waits for nothing");
        let which = self.order.random_range(0..under_way);
        if which < scoring {
            let batch = self.scoring.remove(which);
            self.score(&batch);
        } else if which < scoring + in_flight {
            let request = self.in_flight.remove(which - scoring);
            self.arrive(&request);
        } else if let Some(record) = self.records.pop_front() {
            self.record(record);
        }
    }

    fn score(&mut self, batch: &ScoreBatch) {
        let is_good = |plan: &ScorePlan| {
            let trial = self.past.trials.get(&plan.key.response.request.trial);
            trial.is_some_and(|trial| (self.is_good)(&trial.configuration))
        };
        let plans = batch.plans.iter();
        let scores: Vec<Scored> = plans
            .map(|plan| match is_good(plan) {
                true => (plan.key, Ok(1.0.into())),
                false => score(plan),
            })
            .collect();
        for (key, score) in &scores {
            self.past.scores.insert(*key, score.clone());
        }
        self.tuning.scored(batch.of, scores);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send(request) => {
                let trial = self.past.trials.get(&request.key.trial);
                assert!(
                    trial.is_some(),
                    "its trial is stored before {}",
                    request.key
                );
                self.sent.push(request.key);
                self.in_flight.push(request);
            }
            Step::Score(batch) => self.scoring.push(batch),
            Step::LookUp(wanted) => {
                self.past.looked_up.insert(wanted.trial, Vec::new());
                self.tuning.looked_up(wanted.trial, Vec::new());
            }
            Step::Record(record) => self.records.push_back(*record),
            Step::Finish => {
                assert!(self.in_flight.is_empty(), "nothing is in flight at the end");
                assert!(
                    self.scoring.is_empty(),
                    "nothing is being scored at the end"
                );
                while let Some(record) = self.records.pop_front() {
                    self.record(record);
                }
                self.finished = true;
            }
        }
    }

    /// Goes on until nothing is under way any more, though the job has not ended.
    pub fn rest(&mut self) {
        while !self.finished {
            let Some(step) = self.tuning.next_step().unwrap() else {
                if self.scoring.is_empty() && self.in_flight.is_empty() && self.records.is_empty() {
                    return;
                }
                self.something_ends();
                continue;
            };
            self.take(step);
        }
    }

    /// Drives the job to its end.
    pub fn run(&mut self) -> JobEnding {
        while self.turn() {}
        self.tuning.ending()
    }

    /// The answer to a request arrives: it is stored, and the loop hears of it.
    pub fn arrive(&mut self, request: &RequestToSend) {
        let settled = self.answer(request);
        self.past.requests.insert(
            request.key,
            PastRequest {
                instance: request.instance,
                n: request.n,
                max_tokens: request.max_tokens,
                settled: settled.clone(),
            },
        );
        let end = RequestEnd::Settled(settled);
        self.tuning.request_ended(request.key, end).unwrap();
    }

    /// The worker dies here: what was in flight may be billed, and the next one starts from what is
    /// stored.
    pub fn crash(mut self, order: u64) -> Self {
        for request in &self.in_flight {
            self.past.lost += request.worst_case;
        }
        let spec = self.spec.as_ref().clone();
        let mut next = Self::over(self.holdout, spec, order, self.past, self.events);
        next.beside = self.beside;
        next.refuses = self.refuses;
        next.is_good = self.is_good;
        next.origins = self.origins;
        next.validated = self.validated;
        next
    }

    fn record(&mut self, record: Record) {
        let winner = record.events.iter().find_map(|event| match event {
            EventBody::ValidationCompleted { trial, extent, .. } => trial.zip(*extent),
            _ => None,
        });
        self.events.extend(record.events);
        match record.change {
            Change::TrialBegun(begun) => {
                self.origins.insert(begun.number, begun.origin);
                let past = PastTrial {
                    configuration: begun.configuration,
                    shown: Tally::default(),
                    end: None,
                };
                self.past.trials.insert(begun.number, past);
                self.tuning.trial_begun(begun.number);
            }
            Change::TrialEnded {
                trial,
                outcome,
                tally,
                ..
            } => {
                let stored = self.past.trials.get_mut(&trial).unwrap();
                stored.shown = tally;
                stored.end = Some((outcome, tally));
            }
            Change::TrialProgressed { trial, tally, .. } => {
                self.past.trials.get_mut(&trial).unwrap().shown = tally;
            }
            Change::Validated => {
                self.past.validation_completed = true;
                self.validated = winner;
            }
            Change::TermsChanged(change) => {
                self.tuning.change_stored(change.number);
                let told = self.past.changes.iter_mut();
                for stored in told.filter(|stored| stored.number == change.number) {
                    *stored = change.clone();
                }
            }
            Change::TrialEnqueued(enqueued) => {
                self.tuning.change_stored(enqueued.number);
                let told = self.past.enqueued.iter_mut();
                for stored in told.filter(|stored| stored.number == enqueued.number) {
                    *stored = enqueued.clone();
                }
            }
            Change::Progressed => {}
        }
    }

    /// How every trial ended and what it used.
    pub fn outcomes(&self) -> BTreeMap<TrialNumber, (TrialOutcome, Tally)> {
        let ended = self.past.trials.iter();
        ended
            .filter_map(|(number, trial)| Some((*number, trial.end.clone()?)))
            .collect()
    }

    /// What an endpoint answers: a function of the request's seed alone.
    fn answer(&self, request: &RequestToSend) -> SettledRequest {
        let failed = |result: RequestFailure, uncertain: Spend| SettledRequest {
            result: Err(result),
            cost: Spend::default(),
            uncertain,
            usage_estimated: false,
            empty_responses: 0,
            longest_text: 0,
        };
        if self.unusable_from_validation.is_some_and(|from| {
            request.key.purpose.as_str() == "validation" && request.key.ordinal >= from
        }) {
            return failed(refused(Scope::Key, "no credit left"), Spend::default());
        }
        match (self.refuses)(request) {
            Some(failure @ RequestFailure::Failed(_)) => {
                return failed(failure, request.worst_case);
            }
            Some(failure) => return failed(failure, Spend::default()),
            None => {}
        }
        let mut draws = ChaCha8Rng::seed_from_u64(request.seed.into());
        if self.past.requests.len() < self.beside.failures as usize {
            let overloaded = RequestFailure::Failed("overloaded".to_owned());
            return failed(overloaded, Spend::default());
        }
        if draws.random_bool(0.02) {
            let overloaded = RequestFailure::Failed("overloaded".to_owned());
            return failed(overloaded, Spend::default());
        }
        let responses: Vec<ReceivedResponse> = (0..request.n.min(3))
            .map(|_| {
                let length = draws.random_range(4..90_u32);
                ReceivedResponse {
                    estimated_tokens: length.min(request.max_tokens).into(),
                    ended: length <= request.max_tokens,
                }
            })
            .collect();
        let written: u64 = responses.iter().map(|one| one.estimated_tokens).sum();
        let most = self.beside.response;
        let reasoning = draws.random_range(most / 2..=most);
        let usage = Usage {
            prompt_tokens: 20 + (request.instance as u64) + self.beside.prompt,
            completion_tokens: written + reasoning * responses.len() as u64,
        };
        let prices = self.spec.models[request.settings.sampling.model].prices;
        SettledRequest {
            result: Ok(Receipt {
                usage,
                latency_ms: 10,
                responses,
            }),
            cost: Spend::of(usage, prices),
            uncertain: Spend::default(),
            usage_estimated: false,
            empty_responses: 0,
            longest_text: 0,
        }
    }
}

/// How good a response is: a function of which one it is and where it is cut. Hard instances are
/// hard for all.
fn score(plan: &ScorePlan) -> Scored {
    let ScoreKey {
        response,
        max_tokens,
        instance,
    } = plan.key;
    let ResponseId {
        request, position, ..
    } = response;
    let place = (u64::from(request.trial.0) << 40)
        ^ (u64::from(request.ordinal) << 20)
        ^ (u64::from(position) << 10)
        ^ u64::from(max_tokens.unwrap_or_default());
    let hardness = mix(instance as u64) % 100;
    let right = mix(place) % 100 >= hardness;
    (plan.key, Ok(f64::from(u8::from(right)).into()))
}
