//! A made-up job and endpoint: every answer is a function of the job's seed, the trial and the
//! request, and the order of arrival is drawn apart from it.

use frugal_domain::id::TrialNumber;
use frugal_domain::job::Pruning;
use frugal_domain::money::{Budget, Prices, Usage, Usd};
use frugal_evaluation::{
    Answer, Ending, EvaluatedInstance, Evaluator, EvaluatorOptions, Mode, RequestFailure,
    RequestPlan, Response, Step, Trial, TrialPlan,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

pub type Reply = Result<Answer, RequestFailure>;

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
}

/// All that is seen of a trial from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub batches: Vec<Vec<RequestPlan>>,
    /// By ordinal.
    pub replies: Vec<Reply>,
    pub ending: Ending,
    pub evaluation: Option<Vec<EvaluatedInstance>>,
}

impl Job {
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
                    region: format!("m/{prompt}"),
                    prompt_key: format!("m/{prompt}"),
                    sampling: format!("m/{prompt}/{temperature}"),
                    max_tokens: caps[rng.random_range(0..3_usize)],
                    n: rng.random_range(1..20),
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
            spread: rng.random_range(0.0..1.0),
        };
        Self {
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
        Evaluator::new(EvaluatorOptions::new(self.instances, self.pruning, budget))
    }

    /// What the endpoint answers to a request.
    pub fn reply(&self, plan: &TrialPlan, request: &RequestPlan) -> Reply {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(plan.number.0) << 32 | u64::from(request.ordinal));
        if rng.random_bool(self.endpoint.fail) {
            return Err(RequestFailure::Failed("the endpoint is away".to_owned()));
        }
        if rng.random_bool(self.endpoint.refuse) {
            return Err(RequestFailure::Infeasible("no such setting".to_owned()));
        }
        let prompt = usize::from(plan.prompt_key.ends_with('1'));
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
        Ok(Answer {
            latency_ms: 0,
            usage: Usage {
                prompt_tokens: self.prompts[prompt][request.instance],
                completion_tokens: lengths.iter().map(|(length, _)| length).sum(),
            },
            responses: lengths
                .iter()
                .map(|&(length, ended)| Response {
                    estimated_tokens: length,
                    ended,
                    score: f64::from(u8::from(rng.random_bool(0.5))),
                })
                .collect(),
        })
    }

    /// Runs the job. Answers arrive in an order drawn from `arrival`; in that of the requests
    /// where it is absent.
    pub fn run(&self, arrival: Option<u64>) -> (Vec<Record>, Evaluator) {
        let mut arrival = arrival.map(ChaCha8Rng::seed_from_u64);
        let mut evaluator = self.evaluator();
        let mut plans = self.plans.iter();
        let mut open = VecDeque::new();
        for plan in plans.by_ref().take(self.open) {
            open.push_back(Open::begin(&evaluator, plan));
        }
        let mut records = Vec::new();
        while !open.is_empty() {
            let which = draw(&mut arrival, open.len());
            open[which].advance(self, &mut arrival);
            while let Some(first) = open.pop_front_if(|open| open.ending.is_some()) {
                evaluator.commit(&first.trial);
                records.push(first.record());
                if let Some(plan) = plans.next() {
                    open.push_back(Open::begin(&evaluator, plan));
                }
            }
        }
        (records, evaluator)
    }
}

fn draw(arrival: &mut Option<ChaCha8Rng>, below: usize) -> usize {
    arrival.as_mut().map_or(0, |rng| rng.random_range(0..below))
}

struct Open {
    trial: Trial,
    waiting: Vec<RequestPlan>,
    batches: Vec<Vec<RequestPlan>>,
    replies: Vec<Option<Reply>>,
    ending: Option<Ending>,
}

impl Open {
    fn begin(evaluator: &Evaluator, plan: &TrialPlan) -> Self {
        Self {
            trial: evaluator.begin(plan.clone()).unwrap(),
            waiting: Vec::new(),
            batches: Vec::new(),
            replies: Vec::new(),
            ending: None,
        }
    }

    /// One answer arrives, or one step is taken.
    fn advance(&mut self, job: &Job, arrival: &mut Option<ChaCha8Rng>) {
        if self.ending.is_some() {
            return;
        }
        if !self.waiting.is_empty() {
            assert_eq!(self.trial.step(), Step::Wait);
            let which = draw(arrival, self.waiting.len());
            let request = self.waiting.remove(which);
            let reply = job.reply(self.trial.plan(), &request);
            self.replies[request.ordinal as usize] = Some(reply.clone());
            self.trial.receive(request.ordinal, reply).unwrap();
            return;
        }
        match self.trial.step() {
            Step::Request(batch) => {
                assert!(
                    !batch.is_empty() && self.batches.len() < 1_000,
                    "no end in sight"
                );
                assert!(self.trial.unanswered().eq(&batch));
                for request in &batch {
                    assert_eq!(request.ordinal as usize, self.replies.len());
                    self.replies.push(None);
                }
                self.waiting.clone_from(&batch);
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
        }
    }
}
