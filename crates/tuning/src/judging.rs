//! The judge of a job: which questions about answers it is asked, and what became of them.
//!
//! A question is a request like any other, with a worst case that is set aside and a record before it is
//! sent. It is known again by what it is about and not by its number: answers of one trial come to be
//! judged in the order of their arrival. Once all questions about an answer have ended, a scorer reads
//! the replies; an answer that has none that can be read has no score, which is not the same as a bad one.

use crate::ended::BASELINE;
use crate::job::Job;
use crate::past::{Past, Question};
use crate::refusals::{EndedRequest, Refusal, Refusals};
use crate::requests::Requests;
use crate::run_key::RunKey;
use crate::seed;
use crate::step::{Judged, RequestEnd, RequestToSend, Scored};
use crate::tally::{SettledRequest, Tally};
use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JudgeSpec;
use frugal_domain::money::{Budget, Spend, Usage};
use frugal_domain::request::{Purpose, RequestKey, ResponseId, Scope};
use frugal_domain::scoring::Observation;
use frugal_evaluation::{OfferedResponse, RequestFailure, ScoreKey, ScorePlan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why an answer was not judged though nothing failed.
const NOT_ASKED: &str = "the job ended before the judge was asked";

/// What is known of a job's judge.
#[derive(Debug)]
pub(crate) struct Judging {
    spec: JudgeSpec,
    settings: Arc<Settings>,
    /// Upper bounds on the tokens of a question about an empty answer, by row.
    tuning: Arc<[u64]>,
    holdout: Arc<[u64]>,
    /// Bytes of the longest answer of a request, and of answers that nothing was sent for: of other jobs,
    /// and those that people have rated.
    own: BTreeMap<RequestKey, u64>,
    given: BTreeMap<ResponseId, u64>,
    /// The next ordinal, by purpose and trial.
    next: BTreeMap<(Purpose, TrialNumber), u32>,
    /// Questions that have not ended, and who waits for them.
    open: BTreeMap<RequestKey, (RunKey, Question)>,
    refusals: Refusals,
    seed: u64,
    budget: Budget,
    heard: Heard,
}

/// What came of the answers that the judge was asked about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// Answers.
    pub(crate) answers: u64,
    /// Those of them of which it said nothing that could be read.
    pub(crate) silent: u64,
    /// Why the first of them has no score.
    pub(crate) reason: Option<String>,
}

impl Judging {
    /// The judge of a job that has one, with what the past tells of it.
    pub(crate) fn new(job: &Job, past: &Past) -> Option<Self> {
        let spec = job.spec.judge.clone()?;
        let bounds = &job.prompt_token_bounds;
        let mut judging = Self {
            settings: Arc::new(spec.settings(job.spec.models.len())),
            tuning: Arc::clone(&bounds.judge_tuning),
            holdout: Arc::clone(&bounds.judge_holdout),
            own: BTreeMap::new(),
            given: BTreeMap::new(),
            next: past.judge_ordinals.clone(),
            open: BTreeMap::new(),
            refusals: Refusals::of_endpoints([spec.model.endpoint.clone()]),
            seed: job.spec.search.seed,
            budget: job.spec.optimization_budget,
            heard: Heard::default(),
            spec,
        };
        for (key, request) in &past.requests {
            judging.answered(*key, &request.settled);
        }
        for offered in past.looked_up.values() {
            judging.looked_up(offered);
        }
        for (row, label) in &job.labels {
            judging.given.insert(labelled(*row), label.bytes);
        }
        for (question, judgement) in &past.judgements {
            judging.note(judgement.key, question.score.instance, &judgement.settled);
        }
        for score in past.scores.values() {
            judging.scored(score);
        }
        Some(judging)
    }

    /// Takes in what the judge said of an answer.
    pub(crate) fn scored(&mut self, score: &Result<Observation, String>) {
        self.heard.answers += 1;
        if let Err(reason) = score {
            self.heard.silent += 1;
            self.heard.reason.get_or_insert_with(|| reason.clone());
        }
    }

    /// What came of the answers that it was asked about.
    pub(crate) const fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What judging one answer may cost, before anything is known: a third of the bound on the tokens, as
    /// of text, and replies of half their limit.
    pub(crate) fn guess(&self) -> Spend {
        let rows = self.tuning.len().max(1) as u64;
        let frames = self
            .tuning
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(*one));
        let one = Usage {
            prompt_tokens: frames / rows / 3,
            completion_tokens: u64::from(self.spec.max_tokens).div_ceil(2),
        };
        let one = Spend::of(one, self.spec.model.prices);
        (0..self.spec.questions).map(|_| one).sum()
    }

    /// How many answers a part of the optimization budget, one in so many, is expected to have judged; at
    /// least one.
    pub(crate) fn most_answers(&self, parts: u64) -> usize {
        let unit = self.budget.unit();
        let one = unit.of(self.guess()).max(1);
        usize::try_from(self.budget.amount() / parts / one)
            .unwrap_or(usize::MAX)
            .max(1)
    }

    /// Questions about one answer.
    pub(crate) const fn questions(&self) -> u32 {
        self.spec.questions
    }

    /// Takes in how long the answers to a request are.
    pub(crate) fn answered(&mut self, key: RequestKey, settled: &SettledRequest) {
        if settled.result.is_ok() && !key.purpose.is_judging() {
            self.own.insert(key, settled.longest_text);
        }
    }

    /// The same of answers that other jobs have.
    pub(crate) fn looked_up(&mut self, offered: &[OfferedResponse]) {
        let bytes = offered.iter().map(|one| (one.id, one.bytes));
        self.given.extend(bytes);
    }

    /// The request of a question.
    pub(crate) fn ask(&mut self, run: RunKey, plan: ScorePlan, number: u32) -> RequestToSend {
        let purpose = run.purpose.judging();
        let next = self.next.entry((purpose, run.trial)).or_default();
        let key = RequestKey {
            purpose,
            trial: run.trial,
            ordinal: *next,
        };
        *next += 1;
        let question = Question {
            score: plan.key,
            number,
        };
        self.open.insert(key, (run, question));
        let prompt_bound = self.bound(purpose, plan.key);
        let usage = Usage {
            prompt_tokens: prompt_bound,
            completion_tokens: self.spec.max_tokens.into(),
        };
        RequestToSend {
            key,
            settings: Arc::clone(&self.settings),
            instance: plan.key.instance,
            n: 1,
            max_tokens: self.spec.max_tokens,
            prompt_tokens: prompt_bound,
            prompt_is_counted: false,
            worst_case: Spend::of(usage, self.spec.model.prices),
            seed: seed::of_question(self.seed, question),
            judged: Some(Judged {
                plan,
                number,
                prompt_bound,
            }),
        }
    }

    fn bound(&self, purpose: Purpose, score: ScoreKey) -> u64 {
        let rows = match purpose {
            Purpose::ValidationJudge => &self.holdout,
            _ => &self.tuning,
        };
        let frame = rows.get(score.instance).copied().unwrap_or(u64::MAX);
        let response = score.response;
        let own = || self.own.get(&response.request);
        let bytes = self.given.get(&response).or_else(own);
        // A token is at least one byte.
        frame.saturating_add(bytes.copied().unwrap_or_default())
    }

    /// Who waits for a question, which waits no longer.
    pub(crate) fn end(&mut self, key: RequestKey) -> Option<(RunKey, Question)> {
        self.open.remove(&key)
    }

    /// Takes in what became of a question about an answer to an instance.
    pub(crate) fn note(&mut self, key: RequestKey, instance: usize, settled: &SettledRequest) {
        let mut ended = EndedRequest::of(key, instance, settled);
        // All questions are asked with the same settings: what refuses these refuses the judge.
        if let Some(RequestFailure::Infeasible(reason)) = &ended.failure {
            ended.failure = Some(RequestFailure::Refused {
                scope: Scope::Model,
                reason: reason.clone(),
            });
        }
        self.refusals.note(0, &ended);
    }

    /// Why the judge can be asked nothing more, if it cannot.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let mut refusal = self.refusals.of_model(0)?;
        let model = &self.spec.model;
        refusal.reason = format!(
            "the judge `{}` at `{}` cannot be asked: {}",
            model.model, model.endpoint, refusal.reason
        );
        Some(refusal)
    }

    /// Whether it has answered any question.
    pub(crate) fn has_answered(&self) -> bool {
        self.refusals.has_answered(0)
    }
}

/// The answer that a row brings along.
pub(crate) const fn labelled(row: usize) -> ResponseId {
    #[expect(clippy::cast_possible_truncation, reason = "rows are far fewer")]
    let ordinal = row as u32;
    ResponseId {
        job: None,
        request: RequestKey {
            purpose: Purpose::Labelled,
            trial: BASELINE,
            ordinal,
        },
        position: 0,
    }
}

/// What it takes to ask a judge.
pub(crate) struct Around<'a> {
    pub(crate) judging: &'a mut Judging,
    pub(crate) past: &'a mut Past,
    pub(crate) requests: &'a mut Requests,
    /// Whether nothing new is to be sent.
    pub(crate) halted: bool,
}

/// Answers that the judge is being asked about, all that one evaluation waits for.
#[derive(Debug, Default)]
pub(crate) struct Inquiry {
    answers: BTreeMap<ScoreKey, InQuestion>,
    /// What it cost, and about how many answers it was.
    paid: (Spend, usize),
    /// Requests settled.
    settled: u32,
    cut_off: bool,
}

#[derive(Debug)]
struct InQuestion {
    plan: ScorePlan,
    /// Questions that have not ended.
    open: u32,
    /// The replies, each with the number of its question.
    replies: Vec<(u32, ResponseId)>,
    /// Why a question brought none.
    failure: Option<String>,
}

/// What the judge has replied to.
#[derive(Debug, Default)]
pub(crate) struct Replied {
    /// Answers about which it said something, with the replies.
    pub(crate) plans: Vec<ScorePlan>,
    pub(crate) replies: BTreeMap<ScoreKey, Vec<(u32, ResponseId)>>,
    /// Those about which it did not.
    pub(crate) silent: Vec<Scored>,
}

impl Inquiry {
    /// Asks what was not asked before.
    pub(crate) fn ask(&mut self, run: RunKey, plans: Vec<ScorePlan>, around: &mut Around<'_>) {
        let mut requests = Vec::new();
        for plan in plans {
            let mut answer = InQuestion {
                plan,
                open: 0,
                replies: Vec::new(),
                failure: None,
            };
            for number in 0..around.judging.questions() {
                let question = Question {
                    score: plan.key,
                    number,
                };
                if let Some(before) = around.past.judgements.remove(&question) {
                    self.count(&before.settled);
                    answer.take(before.key, number, &before.settled);
                } else if around.halted {
                    self.cut_off = true;
                    answer.fail(NOT_ASKED);
                } else {
                    answer.open += 1;
                    requests.push(around.judging.ask(run, plan, number));
                }
            }
            self.paid.1 += 1;
            self.answers.insert(plan.key, answer);
        }
        around.requests.push_first(requests);
    }

    /// Takes what became of a question. One that was not asked, or given up, is not answered any more: the
    /// job is to stop, or cannot pay it.
    pub(crate) fn ended(&mut self, key: RequestKey, question: Question, end: &RequestEnd) {
        match end {
            RequestEnd::Settled(settled) => self.count(settled),
            RequestEnd::NotSent | RequestEnd::GivenUp { .. } => self.cut_off = true,
        }
        let Some(answer) = self.answers.get_mut(&question.score) else {
            return;
        };
        answer.open = answer.open.saturating_sub(1);
        match end {
            RequestEnd::Settled(settled) => answer.take(key, question.number, settled),
            RequestEnd::NotSent | RequestEnd::GivenUp { .. } => answer.fail(NOT_ASKED),
        }
    }

    fn count(&mut self, settled: &SettledRequest) {
        self.paid.0 += settled.cost;
        self.settled += 1;
    }

    /// Whether questions have not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.answers.values().any(|answer| answer.open > 0)
    }

    /// Whether there are answers whose replies were not read.
    pub(crate) fn is_unread(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether the end of the job kept a question from being asked.
    pub(crate) const fn was_cut_off(&self) -> bool {
        self.cut_off
    }

    /// What it cost so far, and about how many answers it was.
    pub(crate) const fn paid(&self) -> (Spend, usize) {
        self.paid
    }

    /// What it used so far.
    pub(crate) const fn tally(&self) -> Tally {
        Tally {
            spend: self.paid.0,
            requests: self.settled,
            responses: 0,
        }
    }

    /// The replies, once all questions have ended.
    pub(crate) fn replied(&mut self) -> Replied {
        let mut replied = Replied::default();
        for (key, answer) in std::mem::take(&mut self.answers) {
            if answer.replies.is_empty() {
                let failure = answer.failure.unwrap_or_default();
                replied.silent.push((key, Err(failure)));
            } else {
                replied.plans.push(answer.plan);
                replied.replies.insert(key, answer.replies);
            }
        }
        replied
    }
}

impl InQuestion {
    /// Takes what a question brought.
    fn take(&mut self, key: RequestKey, number: u32, settled: &SettledRequest) {
        match &settled.result {
            Ok(receipt) if !receipt.responses.is_empty() => {
                let reply = ResponseId {
                    job: None,
                    request: key,
                    position: 0,
                };
                // By their numbers, whatever the order of arrival.
                let place = self.replies.partition_point(|(other, _)| *other < number);
                self.replies.insert(place, (number, reply));
            }
            Ok(_) => self.fail("the judge's reply is empty"),
            Err(
                RequestFailure::Infeasible(reason)
                | RequestFailure::Refused { reason, .. }
                | RequestFailure::Failed(reason),
            ) => self.fail(&format!("the judge could not be asked: {reason}")),
            Err(RequestFailure::Unaffordable) => self.fail(NOT_ASKED),
        }
    }

    /// A question brought nothing, for this reason.
    fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| reason.to_owned());
    }
}
