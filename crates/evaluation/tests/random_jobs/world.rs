//! A made-up job and endpoint: every answer is a function of the job's seed, the trial and the
//! request, and the order of arrival is drawn apart from it.

use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{Direction, Pruning};
use frugal_domain::money::{Budget, Prices, Spend, Usage, Usd};
use frugal_domain::request::{Purpose, RequestKey, ResponseId};
use frugal_domain::spend::SpendCategory;
use frugal_evaluation::{
    Ending, EvaluatedInstance, Evaluator, EvaluatorOptions, Ledger, Mode, OfferedResponse, Receipt,
    ReceivedResponse, RequestFailure, RequestPlan, Reservation, Rival, ScoreKey, ScorePlan, Step,
    TrialPlan, TrialRun,
};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub type Reply = Result<Receipt, RequestFailure>;

/// How the endpoint behaves.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub fail: f64,
    pub refuse: f64,
    pub empty: f64,
    /// The most responses in one answer.
    pub most: u32,
    /// Sometimes an answer is short though the endpoint can do more.
    pub short: f64,
    /// How often a response of the job's own cannot be scored.
    pub unscorable: f64,
    /// Lengths vary by this much about their mean.
    pub spread: f64,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub seed: u64,
    pub pruning: Pruning,
    pub instances: usize,
    pub inference_budget: Option<Budget>,
    pub prompts: Vec<Vec<u64>>,
    pub plans: Vec<TrialPlan>,
    pub endpoint: Endpoint,
    /// Trials open at the same time.
    pub open: usize,
    /// The order in which instances are looked at.
    pub order: Vec<usize>,
    /// Whether trials are held against the best one.
    pub rivals: bool,
    /// Whether another job has answers to some of the prompts.
    pub reuse: bool,
    /// What may be spent in all.
    pub optimization_budget: Option<Budget>,
}

/// All that is seen of a trial from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub batches: Vec<Vec<RequestPlan>>,
    /// By ordinal.
    pub replies: Vec<Reply>,
    pub ending: Ending,
    pub evaluation: Option<Vec<EvaluatedInstance>>,
    /// Responses of another job that the trial was offered.
    pub offered: Vec<OfferedResponse>,
    /// What was to be scored, by the number of batches before it.
    pub scored: Vec<(usize, Vec<ScorePlan>)>,
}

/// The objective: the mean score of the responses.
pub fn objective(instance: &EvaluatedInstance) -> f64 {
    let scores = instance.responses.iter().map(|one| one.observed.score);
    scores.sum::<f64>() / instance.responses.len() as f64
}

impl Job {
    /// How good a response is: right in one of two cases, once it is cut in one of three.
    pub fn score(&self, key: ScoreKey) -> Result<f64, String> {
        let mut hasher = DefaultHasher::new();
        (self.seed, key).hash(&mut hasher);
        let mut rng = ChaCha8Rng::seed_from_u64(hasher.finish());
        let own = key.response.job.is_none() && key.max_tokens.is_none();
        if own && rng.random_bool(self.endpoint.unscorable) {
            return Err("the judge is away".to_owned());
        }
        let right = rng.random_ratio(1, if key.max_tokens.is_some() { 3 } else { 2 });
        Ok(f64::from(u8::from(right)))
    }

    pub fn random(seed: u64, pruning: Pruning) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let instances = rng.random_range(1..=18);
        let prompts: Vec<Vec<u64>> = (0..2)
            .map(|_| (0..instances).map(|_| rng.random_range(1..200)).collect())
            .collect();
        let prices = Prices {
            input_pico: rng.random_range(0..30),
            output_pico: rng.random_range(0..60),
            request_pico: if rng.random_bool(0.3) {
                rng.random_range(0..500)
            } else {
                0
            },
            cached_input_pico: None,
        };
        let amount = rng.random_range(100..40_000);
        let inference_budget = match rng.random_range(0..8) {
            0 => None,
            1..4 => Some(Budget::Tokens(amount / 20)),
            _ => Some(Budget::Usd(Usd::from_pico(amount))),
        };
        let most_per_request = rng.random_bool(0.2).then(|| rng.random_range(1..4));
        let caps = [rng.random_range(1..40), rng.random_range(20..120), 300];
        let plans = (0..rng.random_range(2..9))
            .map(|number| {
                let prompt = rng.random_range(0..2_usize);
                let temperature = rng.random_range(0..2);
                let looseness = rng.random_range(0..80);
                TrialPlan {
                    number: TrialNumber(number),
                    purpose: Purpose::Search,
                    settings: Settings {
                        sampling: Sampling {
                            model: 0,
                            prompt,
                            temperature: Some(f64::from(temperature)),
                            top_p: None,
                            stop: Vec::new(),
                            extra: BTreeMap::new(),
                        },
                        extent: Extent {
                            max_tokens: caps[rng.random_range(0..3_usize)],
                            n: rng.random_range(1..20),
                        },
                    },
                    most_per_request,
                    prices,
                    prompt_token_bounds: prompts[prompt].iter().map(|p| p + looseness).collect(),
                    mode: if rng.random_bool(0.1) {
                        Mode::Full
                    } else {
                        Mode::Scheduled
                    },
                }
            })
            .collect();
        let faulty = rng.random_bool(0.5);
        let rate = |rate: f64| if faulty { rate } else { 0.0 };
        let endpoint = Endpoint {
            fail: rate([0.0, 0.02, 0.2][rng.random_range(0..3_usize)]),
            refuse: rate(0.002),
            empty: rate(0.01),
            most: if faulty && rng.random_bool(0.5) {
                rng.random_range(1..6)
            } else {
                1_000
            },
            short: rate(0.1),
            unscorable: rate(0.002),
            spread: rng.random_range(0.0..1.0),
        };
        let mut order: Vec<usize> = (0..instances).collect();
        order.shuffle(&mut rng);
        Self {
            order,
            rivals: rng.random_bool(0.5),
            reuse: rng.random_bool(0.3),
            optimization_budget: None,
            seed,
            pruning,
            instances,
            inference_budget,
            prompts,
            plans,
            endpoint,
            open: rng.random_range(1..4),
        }
    }

    pub fn evaluator(&self) -> Evaluator {
        let budget = self.inference_budget;
        Evaluator::new(EvaluatorOptions {
            order: self.order.clone(),
            ..EvaluatorOptions::new(self.instances, self.pruning, budget)
        })
    }

    /// What another job has under a trial's sampling settings. The first trial finds nothing.
    fn offered(&self, plan: &TrialPlan) -> Vec<OfferedResponse> {
        if !self.reuse || plan.number.0 == 0 {
            return Vec::new();
        }
        let mut hasher = DefaultHasher::new();
        let sampling = &plan.settings.sampling;
        let temperature = sampling.temperature.unwrap_or_default();
        (self.seed, sampling.prompt, temperature.to_bits()).hash(&mut hasher);
        let mut rng = ChaCha8Rng::seed_from_u64(hasher.finish());
        let job: JobId = "019abf3e-5f00-7000-8000-000000000000".parse().unwrap();
        (0..rng.random_range(0..20))
            .map(|ordinal| {
                let max_tokens = rng.random_range(10..200);
                let tokens = rng.random_range(1..=u64::from(max_tokens));
                let instance = rng.random_range(0..self.instances);
                OfferedResponse {
                    id: ResponseId {
                        job: Some(job),
                        request: RequestKey {
                            purpose: Purpose::Search,
                            // One trial of the other job under each of the settings.
                            trial: TrialNumber((2.0 * temperature) as u32 + sampling.prompt as u32),
                            ordinal,
                        },
                        position: 0,
                    },
                    instance,
                    max_tokens,
                    prompt_tokens: self.prompts[sampling.prompt][instance],
                    tokens,
                    ended: tokens < u64::from(max_tokens),
                    latency_ms: 5,
                    bytes: 0,
                }
            })
            .collect()
    }

    /// What the endpoint answers to a request.
    pub fn reply(&self, plan: &TrialPlan, request: &RequestPlan) -> Reply {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(plan.number.0) << 32 | u64::from(request.key.ordinal));
        if rng.random_bool(self.endpoint.fail) {
            return Err(RequestFailure::Failed("the endpoint is away".to_owned()));
        }
        if rng.random_bool(self.endpoint.refuse) {
            return Err(RequestFailure::Infeasible("no such setting".to_owned()));
        }
        let prompt = plan.settings.sampling.prompt;
        let mut count = request.n.min(self.endpoint.most);
        if count > 1 && rng.random_bool(self.endpoint.short) {
            count = rng.random_range(1..count);
        }
        if rng.random_bool(self.endpoint.empty) {
            count = 0;
        }
        let mean = 10.0 + 17.0 * (request.instance % 5) as f64;
        let spread = mean * self.endpoint.spread;
        let lengths: Vec<(u64, bool)> = (0..count)
            .map(|_| {
                let length = (mean + rng.random_range(-1.0..=1.0) * spread) as u64;
                (
                    length.min(request.max_tokens.into()),
                    length <= request.max_tokens.into(),
                )
            })
            .collect();
        Ok(Receipt {
            latency_ms: 0,
            usage: Usage {
                prompt_tokens: self.prompts[prompt][request.instance],
                completion_tokens: lengths.iter().map(|(length, _)| length).sum(),
            },
            responses: lengths
                .iter()
                .map(|&(length, ended)| ReceivedResponse {
                    estimated_tokens: length,
                    ended,
                })
                .collect(),
        })
    }

    /// Runs the job. Answers arrive in an order drawn from `arrival`; in that of the requests
    /// where it is absent.
    pub fn run(&self, arrival: Option<u64>) -> (Vec<Record>, Evaluator) {
        let mut ledger = Ledger::new(self.optimization_budget);
        self.run_on(&mut ledger, arrival)
    }

    /// The same, on these books.
    pub fn run_on(&self, ledger: &mut Ledger, arrival: Option<u64>) -> (Vec<Record>, Evaluator) {
        let mut best = f64::NEG_INFINITY;
        let mut arrival = arrival.map(ChaCha8Rng::seed_from_u64);
        let mut evaluator = self.evaluator();
        let mut plans = self.plans.iter();
        let mut open = VecDeque::new();
        for plan in plans.by_ref().take(self.open) {
            open.push_back(Open::begin(self, &evaluator, plan));
        }
        let mut records = Vec::new();
        while !open.is_empty() {
            let which = draw(&mut arrival, open.len());
            open[which].advance(self, ledger, &mut arrival);
            while let Some(first) = open.pop_front_if(|open| open.ending.is_some()) {
                evaluator.commit(&first.trial);
                if let Some(rival) = self.rival(&first, &mut best) {
                    evaluator.set_rival(rival);
                }
                records.push(first.record());
                if let Some(plan) = plans.next() {
                    open.push_back(Open::begin(self, &evaluator, plan));
                }
            }
        }
        (records, evaluator)
    }
}

impl Job {
    /// The trial as the one to beat, if it is the best so far.
    fn rival(&self, open: &Open, best: &mut f64) -> Option<Rival> {
        let Some(Ending::Evaluated {
            within_budget: true,
        }) = open.ending
        else {
            return None;
        };
        let instances = open.trial.evaluation()?;
        let utilities: BTreeMap<usize, f64> = instances
            .iter()
            .map(|one| (one.instance, objective(one)))
            .collect();
        let mean = utilities.values().sum::<f64>() / utilities.len() as f64;
        if !self.rivals || mean <= *best {
            return None;
        }
        *best = mean;
        Some(Rival {
            trial: open.trial.plan().number,
            utilities,
            direction: Direction::Maximize,
            objective: Arc::new(objective),
        })
    }
}

fn draw(arrival: &mut Option<ChaCha8Rng>, below: usize) -> usize {
    arrival.as_mut().map_or(0, |rng| rng.random_range(0..below))
}

struct Open {
    trial: TrialRun,
    waiting: Vec<(RequestPlan, Option<Reservation>)>,
    offered: Vec<OfferedResponse>,
    scored: Vec<(usize, Vec<ScorePlan>)>,
    batches: Vec<Vec<RequestPlan>>,
    replies: Vec<Option<Reply>>,
    ending: Option<Ending>,
}

impl Open {
    fn begin(job: &Job, evaluator: &Evaluator, plan: &TrialPlan) -> Self {
        let mut trial = evaluator.begin(plan.clone()).unwrap();
        let offered = job.offered(plan);
        trial.offer(offered.clone());
        Self {
            trial,
            offered,
            scored: Vec::new(),
            waiting: Vec::new(),
            batches: Vec::new(),
            replies: Vec::new(),
            ending: None,
        }
    }

    /// One answer arrives, or one step is taken.
    fn advance(&mut self, job: &Job, ledger: &mut Ledger, arrival: &mut Option<ChaCha8Rng>) {
        if self.ending.is_some() {
            return;
        }
        if !self.waiting.is_empty() {
            assert_eq!(self.trial.step(), Step::Wait);
            let which = draw(arrival, self.waiting.len());
            let (request, reserved) = self.waiting.remove(which);
            let reply = match reserved {
                Some(reservation) => {
                    let reply = job.reply(self.trial.plan(), &request);
                    let paid = reply.as_ref().map_or_else(
                        |_| Spend::default(),
                        |receipt| Spend::of(receipt.usage, self.trial.plan().prices),
                    );
                    ledger.settle(reservation, paid, SpendCategory::Search);
                    reply
                }
                None => Err(RequestFailure::Unaffordable),
            };
            self.replies[request.key.ordinal as usize] = Some(reply.clone());
            self.trial.receive(request.key.ordinal, reply).unwrap();
            return;
        }
        match self.trial.step() {
            Step::Score(plans) => {
                assert!(!plans.is_empty());
                assert_eq!(self.trial.step(), Step::Wait);
                let scores = plans.iter().map(|plan| (plan.key, job.score(plan.key)));
                self.trial.receive_scores(scores);
                self.scored.push((self.batches.len(), plans));
            }
            Step::Request(batch) => {
                assert!(
                    !batch.is_empty() && self.batches.len() < 1_000,
                    "no end in sight"
                );
                assert!(self.trial.unanswered().eq(&batch));
                for request in &batch {
                    assert_eq!(request.key.ordinal as usize, self.replies.len());
                    self.replies.push(None);
                }
                self.waiting = batch
                    .iter()
                    .map(|request| (*request, ledger.reserve(request.worst_case).ok()))
                    .collect();
                if let Some(budget) = ledger.budget() {
                    assert!(budget.covers(ledger.spent() + ledger.reserved()));
                }
                self.batches.push(batch);
            }
            Step::Wait => panic!("waits though everything is answered"),
            Step::Ended(ending) => self.ending = Some(ending),
        }
    }

    fn record(self) -> Record {
        Record {
            batches: self.batches,
            replies: self.replies.into_iter().map(Option::unwrap).collect(),
            ending: self.ending.unwrap(),
            evaluation: self.trial.evaluation(),
            offered: self.offered,
            scored: self.scored,
        }
    }
}
