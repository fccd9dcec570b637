//! The judges of a job: which questions about answers they are asked, and what became of them.
//!
//! A question is a request like any other, with a worst case that is set aside and a record before it is
//! sent. It is known again by what it is about and not by its ordinal: answers of one trial come to be
//! judged in the order of their arrival. Questions about an answer are numbered through those of all judges.
//! Whose word an answer needs, the scorer says; once all questions to these have ended it reads the replies,
//! and may need the word of others then. An answer of which a judge says nothing that can be read has no
//! score, which is not the same as a bad one.

use crate::ended::BASELINE;
use crate::job::Job;
use crate::past::{Past, Question};
use crate::refusals::{EndedRequest, Refusal, Refusals};
use crate::requests::{Requests, Share};
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
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Why an answer was not judged though nothing failed.
const NOT_ASKED: &str = "the job ended before the judge was asked";

/// What is known of a job's judges.
#[derive(Debug)]
pub(crate) struct Judging {
    judges: Vec<Judge>,
    /// Bytes of the longest answer of a request, and of answers that nothing was sent for: of other jobs,
    /// and those that people have rated.
    own: BTreeMap<RequestKey, u64>,
    given: BTreeMap<ResponseId, u64>,
    /// The next ordinal, by purpose and trial.
    next: BTreeMap<(Purpose, TrialNumber), u32>,
    /// Questions that have not ended, who waits for them, and what is set aside for those in flight.
    open: BTreeMap<RequestKey, (RunKey, Question, Spend)>,
    /// Answers that questions were asked about.
    asked_about: BTreeSet<ScoreKey>,
    /// By judge.
    refusals: Refusals,
    seed: u64,
    budget: Budget,
    heard: Heard,
}

/// One of them.
#[derive(Debug)]
struct Judge {
    spec: JudgeSpec,
    settings: Arc<Settings>,
    /// Which questions about an answer are its own.
    questions: Range<u32>,
    /// Upper bounds on the tokens of a question about an empty answer, by row.
    tuning: Arc<[u64]>,
    holdout: Arc<[u64]>,
    /// What it was paid, or may have been.
    paid: Spend,
    /// What its questions in flight may cost.
    open: Spend,
}

/// What came of the answers that judges were asked about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// Answers.
    pub(crate) answers: u64,
    /// Those of them that have no score, since a judge said nothing that could be read.
    pub(crate) silent: u64,
    /// Why the first of them has no score.
    pub(crate) reason: Option<String>,
    /// The judges whose share of the budget was used up.
    pub(crate) used_up: BTreeSet<usize>,
}

impl Judging {
    /// The judges of a job that has any, with what the past tells of them.
    pub(crate) fn new(job: &Job, past: &Past) -> Option<Self> {
        let specs = &job.spec.judges;
        if specs.is_empty() {
            return None;
        }
        let bounds = &job.prompt_token_bounds;
        let of = |bounds: &[Arc<[u64]>], number: usize| bounds.get(number).cloned();
        let mut first = 0;
        let judges = specs.iter().enumerate().map(|(number, spec)| {
            let questions = first..first + spec.questions;
            first = questions.end;
            Judge {
                settings: Arc::new(spec.settings(job.spec.models.len() + number)),
                questions,
                tuning: of(&bounds.judge_tuning, number).unwrap_or_default(),
                holdout: of(&bounds.judge_holdout, number).unwrap_or_default(),
                paid: Spend::default(),
                open: Spend::default(),
                spec: spec.clone(),
            }
        });
        let mut judging = Self {
            judges: judges.collect(),
            own: BTreeMap::new(),
            given: BTreeMap::new(),
            next: past.judge_ordinals.clone(),
            open: BTreeMap::new(),
            asked_about: past.judgements.keys().map(|asked| asked.score).collect(),
            refusals: Refusals::of_endpoints(specs.iter().map(|spec| spec.model.endpoint.clone())),
            seed: job.spec.search.seed,
            budget: job.spec.optimization_budget,
            heard: Heard::default(),
        };
        for (key, request) in &past.requests {
            judging.answered(*key, &request.settled);
        }
        for offered in past.looked_up.values() {
            judging.looked_up(offered);
        }
        for (judge, labels) in job.labels.iter().enumerate() {
            for (row, label) in labels {
                judging.given.insert(labelled(judge, *row), label.bytes);
            }
        }
        for (question, judgement) in &past.judgements {
            judging.note(judgement.key, *question, &judgement.settled);
        }
        for (key, score) in past.scores.iter() {
            judging.scored(&key, &score);
        }
        Some(judging)
    }

    /// The judge that a question is asked of, by its number.
    fn judge_of(&self, question: u32) -> usize {
        let mut judges = self.judges.iter();
        let found = judges.position(|judge| judge.questions.contains(&question));
        found.unwrap_or_default()
    }

    /// A judge, so that it is told from the others.
    fn name(&self, judge: usize) -> String {
        match self.judges.get(judge) {
            Some(judge) if self.judges.len() > 1 => {
                format!("the judge `{}`", judge.spec.model.model)
            }
            _ => "the judge".to_owned(),
        }
    }

    /// Takes in what an answer comes to, if a judge was asked about it.
    pub(crate) fn scored(&mut self, key: &ScoreKey, score: &Result<Observation, String>) {
        if !self.asked_about.contains(key) {
            return;
        }
        self.heard.answers += 1;
        if let Err(reason) = score {
            self.heard.silent += 1;
            self.heard.reason.get_or_insert_with(|| reason.clone());
        }
    }

    /// What came of the answers that judges were asked about.
    pub(crate) const fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What judging one answer may cost, before anything is known: of each judge a third of the bound on the
    /// tokens, as of text, and replies of half their limit.
    pub(crate) fn guess(&self) -> Spend {
        self.judges.iter().map(Judge::guess).sum()
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

    /// The questions of a judge about one answer.
    fn questions(&self, judge: usize) -> Range<u32> {
        let judge = self.judges.get(judge);
        judge
            .map(|judge| judge.questions.clone())
            .unwrap_or_default()
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

    /// The request of a question; nothing where it is no judge's.
    fn ask(&mut self, run: RunKey, plan: ScorePlan, number: u32) -> Option<RequestToSend> {
        let judge = self.judges.get(self.judge_of(number))?;
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
        self.open.insert(key, (run, question, Spend::default()));
        self.asked_about.insert(plan.key);
        let prompt_bound = judge
            .frame(purpose, plan.key.instance)
            .saturating_add(self.bytes(plan.key.response));
        let usage = Usage {
            prompt_tokens: prompt_bound,
            completion_tokens: judge.spec.max_tokens.into(),
        };
        Some(RequestToSend {
            key,
            settings: Arc::clone(&judge.settings),
            instance: plan.key.instance,
            n: 1,
            max_tokens: judge.spec.max_tokens,
            prompt_tokens: prompt_bound,
            prompt_is_counted: false,
            worst_case: Spend::of(usage, judge.spec.model.prices),
            seed: seed::of_question(self.seed, question),
            judged: Some(Judged {
                plan,
                number,
                prompt_bound,
            }),
        })
    }

    /// Whether the share of the budget that a request's judge has pays what it may cost. Others have none.
    pub(crate) fn pays(&mut self, request: &RequestToSend, worst: Spend) -> Share {
        let Some(judged) = &request.judged else {
            return Share::Pays;
        };
        let number = self.judge_of(judged.number);
        let Some(judge) = self.judges.get(number) else {
            return Share::Pays;
        };
        let has_holdout = !judge.holdout.is_empty();
        let split = request.key.purpose.split();
        let Some(allowance) = judge.spec.allowance(self.budget, split, has_holdout) else {
            return Share::Pays;
        };
        let unit = self.budget.unit();
        let fits = |spend: Spend| unit.of(spend) <= allowance;
        if fits(judge.paid + judge.open + worst) {
            return Share::Pays;
        }
        if fits(judge.paid + worst) {
            return Share::Later;
        }
        self.heard.used_up.insert(number);
        Share::UsedUp
    }

    /// Sets aside what a question may cost that is about to be sent.
    pub(crate) fn sent(&mut self, request: &RequestToSend) {
        let Some((_, question, set_aside)) = self.open.get_mut(&request.key) else {
            return;
        };
        *set_aside = request.worst_case;
        let number = question.number;
        let place = self.judge_of(number);
        if let Some(judge) = self.judges.get_mut(place) {
            judge.open += request.worst_case;
        }
    }

    /// The most tokens of an answer: a token is at least one byte.
    fn bytes(&self, response: ResponseId) -> u64 {
        let own = || self.own.get(&response.request);
        let bytes = self.given.get(&response).or_else(own);
        bytes.copied().unwrap_or_default()
    }

    /// Who waits for a question, which waits no longer.
    pub(crate) fn end(&mut self, key: RequestKey) -> Option<(RunKey, Question)> {
        let (run, question, set_aside) = self.open.remove(&key)?;
        let judge = self.judge_of(question.number);
        if let Some(judge) = self.judges.get_mut(judge) {
            judge.open = judge.open.saturating_sub(set_aside);
        }
        Some((run, question))
    }

    /// Takes in what became of a question.
    pub(crate) fn note(&mut self, key: RequestKey, question: Question, settled: &SettledRequest) {
        let mut ended = EndedRequest::of(key, question.score.instance, settled);
        // All questions to a judge are asked with the same settings: what refuses these refuses the judge.
        if let Some(RequestFailure::Infeasible(reason)) = &ended.failure {
            ended.failure = Some(RequestFailure::Refused {
                scope: Scope::Model,
                reason: reason.clone(),
            });
        }
        let judge = self.judge_of(question.number);
        self.refusals.note(judge, &ended);
        if let Some(judge) = self.judges.get_mut(judge) {
            judge.paid += settled.cost;
            judge.paid += settled.uncertain;
        }
    }

    /// Why a judge can be asked nothing more, if there is such a one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.judges.iter().enumerate().find_map(|(number, judge)| {
            let mut refusal = self.refusals.of_model(number)?;
            let model = &judge.spec.model;
            refusal.reason = format!(
                "the judge `{}` at `{}` cannot be asked: {}",
                model.model, model.endpoint, refusal.reason
            );
            Some(refusal)
        })
    }

    /// Whether the judge that a question in flight is asked of has answered any.
    pub(crate) fn has_answered(&self, key: RequestKey) -> bool {
        let question = self.open.get(&key).map(|(_, question, _)| question.number);
        question.is_some_and(|number| self.refusals.has_answered(self.judge_of(number)))
    }
}

impl Judge {
    /// What judging one answer may cost.
    fn guess(&self) -> Spend {
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

    /// The most tokens of a question about an empty answer to a row.
    fn frame(&self, purpose: Purpose, instance: usize) -> u64 {
        let rows = match purpose {
            Purpose::ValidationJudge => &self.holdout,
            _ => &self.tuning,
        };
        rows.get(instance).copied().unwrap_or(u64::MAX)
    }
}

/// The answer that a row brings along for a judge to be tried on.
pub(crate) const fn labelled(judge: usize, row: usize) -> ResponseId {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rows and judges are far fewer"
    )]
    let (ordinal, position) = (row as u32, judge as u32);
    ResponseId {
        job: None,
        request: RequestKey {
            purpose: Purpose::Labelled,
            trial: BASELINE,
            ordinal,
        },
        position,
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

/// Answers that judges are being asked about, all that one evaluation waits for.
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
    /// Whether questions were asked since the replies were read.
    is_unread: bool,
    /// The judges that were asked since then.
    asked: Vec<usize>,
    /// The replies of all judges, each with the number of its question.
    replies: Vec<(u32, ResponseId)>,
    /// Why a question brought none.
    failure: Option<String>,
}

/// What judges have replied to.
#[derive(Debug, Default)]
pub(crate) struct Replied {
    /// Answers about which all that were asked said something, with the replies.
    pub(crate) plans: Vec<ScorePlan>,
    pub(crate) replies: BTreeMap<ScoreKey, Vec<(u32, ResponseId)>>,
    /// Those about which one did not.
    pub(crate) silent: Vec<Scored>,
}

impl Inquiry {
    /// Asks judges, each by its number, about answers what they were not asked before.
    pub(crate) fn ask(
        &mut self,
        run: RunKey,
        asks: Vec<(ScorePlan, Vec<usize>)>,
        around: &mut Around<'_>,
    ) {
        let mut requests = Vec::new();
        for (plan, judges) in asks {
            let answer = self.answers.entry(plan.key).or_insert_with(|| {
                self.paid.1 += 1;
                InQuestion::new(plan)
            });
            answer.is_unread = true;
            let questions = judges.iter().map(|judge| around.judging.questions(*judge));
            let questions: Vec<u32> = questions.flatten().collect();
            answer.asked = judges;
            for number in questions {
                let question = Question {
                    score: plan.key,
                    number,
                };
                if let Some(before) = around.past.judgements.remove(&question) {
                    self.paid.0 += before.settled.cost;
                    self.settled += 1;
                    answer.take(before.key, number, &before.settled, around.judging);
                } else if around.halted {
                    self.cut_off = true;
                    answer.fail(NOT_ASKED);
                } else if let Some(request) = around.judging.ask(run, plan, number) {
                    answer.open += 1;
                    requests.push(request);
                }
            }
        }
        around.requests.push_first(requests);
    }

    /// Takes in what was asked in the past about an answer whose score is known, if that was for the same
    /// evaluation: it is paid for once, and counts again when it is lived through again.
    pub(crate) fn recall(&mut self, run: RunKey, key: ScoreKey, past: &mut Past) {
        let asked = past.judgements.range(Question::all_about(key));
        let own = asked.filter(|(_, judgement)| {
            judgement.key.trial == run.trial && judgement.key.purpose == run.purpose.judging()
        });
        let own: Vec<Question> = own.map(|(question, _)| *question).collect();
        self.paid.1 += usize::from(!own.is_empty());
        for question in own {
            if let Some(before) = past.judgements.remove(&question) {
                self.paid.0 += before.settled.cost;
                self.settled += 1;
            }
        }
    }

    /// Takes what became of a question. One that was not asked, or given up, is not answered any more: the
    /// job is to stop, or cannot pay it.
    pub(crate) fn ended(
        &mut self,
        key: RequestKey,
        question: Question,
        end: &RequestEnd,
        judging: &Judging,
    ) {
        match end {
            RequestEnd::Settled(settled) => {
                self.paid.0 += settled.cost;
                self.settled += 1;
            }
            RequestEnd::NotSent | RequestEnd::GivenUp { .. } => self.cut_off = true,
        }
        let Some(answer) = self.answers.get_mut(&question.score) else {
            return;
        };
        answer.open = answer.open.saturating_sub(1);
        match end {
            RequestEnd::Settled(settled) => answer.take(key, question.number, settled, judging),
            RequestEnd::NotSent | RequestEnd::GivenUp { .. } => answer.fail(NOT_ASKED),
        }
    }

    /// Whether questions have not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.answers.values().any(|answer| answer.open > 0)
    }

    /// Whether there are answers whose replies were not read.
    pub(crate) fn is_unread(&self) -> bool {
        self.answers.values().any(|answer| answer.is_unread)
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

    /// The replies that were not read, once all questions have ended. An answer of which a judge says nothing
    /// is settled with that.
    pub(crate) fn replied(&mut self, judging: &Judging) -> Replied {
        let mut replied = Replied::default();
        for (key, answer) in &mut self.answers {
            if !std::mem::take(&mut answer.is_unread) {
                continue;
            }
            let says = |judge: &usize| {
                let own = judging.questions(*judge);
                answer
                    .replies
                    .iter()
                    .any(|(number, _)| own.contains(number))
            };
            if answer.asked.iter().all(says) {
                replied.plans.push(answer.plan);
                replied.replies.insert(*key, answer.replies.clone());
            } else {
                let failure = answer.failure.clone().unwrap_or_default();
                replied.silent.push((*key, Err(failure)));
            }
        }
        for (key, _) in &replied.silent {
            self.answers.remove(key);
        }
        replied
    }

    /// Forgets an answer whose score is known.
    pub(crate) fn settle(&mut self, key: ScoreKey) {
        self.answers.remove(&key);
    }
}

impl InQuestion {
    const fn new(plan: ScorePlan) -> Self {
        Self {
            plan,
            open: 0,
            is_unread: false,
            asked: Vec::new(),
            replies: Vec::new(),
            failure: None,
        }
    }

    /// Takes what a question brought.
    fn take(&mut self, key: RequestKey, number: u32, settled: &SettledRequest, judging: &Judging) {
        let name = || judging.name(judging.judge_of(number));
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
            Ok(_) => self.fail(&format!("{}'s reply is empty", name())),
            Err(
                RequestFailure::Infeasible(reason)
                | RequestFailure::Refused { reason, .. }
                | RequestFailure::Failed(reason),
            ) => self.fail(&format!("{} could not be asked: {reason}", name())),
            Err(RequestFailure::Unaffordable) => self.fail(NOT_ASKED),
        }
    }

    /// A question brought nothing, for this reason.
    fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| reason.to_owned());
    }
}
