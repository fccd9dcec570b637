//! A client with jobs of its own.
#![expect(
    clippy::expect_used,
    reason = "a client that cannot ask fails here, as it would at an assertion"
)]

use super::Outcome;
use super::log::Log;
use super::model::{Answer, Job, Life, Op, Possible};
use crate::client::ApiClient;
use frugal_simulator::Recordings;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Jobs that a client has at the same time.
const JOBS: usize = 2;

/// How long after a connection broke what was asked along it may still come to be done: it is at the database
/// by then, or never will be.
const SETTLING: Duration = Duration::from_millis(500);

/// The optimization budget of a job that is posted, in cents.
const CENTS: u64 = 10;

/// How long a client thinks at most before it asks the next thing.
const THOUGHT: Duration = Duration::from_millis(120);

/// How long the same is asked again where nothing may be left open.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far clients are, all together, and whether they are to go on.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    asked: Arc<watch::Sender<usize>>,
    over: CancellationToken,
    /// How long after it was posted a job is left to itself; none is where there is no time.
    leave_after: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            asked: Arc::new(watch::Sender::new(0)),
            over: CancellationToken::new(),
            leave_after: None,
        }
    }
}

impl Pace {
    /// Of clients that leave their jobs to themselves so long after they were posted.
    pub(crate) fn leaving(after: Duration) -> Self {
        Self {
            leave_after: Some(after),
            ..Self::default()
        }
    }

    /// Waits until so much was asked.
    pub(crate) async fn reached(&self, steps: usize) {
        // The sender is `self`, so the channel cannot close while this waits.
        let _ = self
            .asked
            .subscribe()
            .wait_for(|asked| *asked >= steps)
            .await;
    }

    /// Nothing more is to be asked.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }
}

/// A client under way.
pub(crate) struct Client {
    number: usize,
    rng: ChaCha8Rng,
    api: watch::Receiver<ApiClient>,
    posted: usize,
    jobs: Vec<Known>,
    outcome: Outcome,
}

/// What a client knows of a job.
struct Known {
    path: String,
    possible: Possible,
    log: Log,
    /// The largest limit on trials that it was ever given.
    most_trials: u64,
    /// The largest budget that it was ever given, in cents.
    most_cents: u64,
    /// The most that it was seen to have spent, in tokens.
    spent: u64,
    posted_at: Instant,
    /// What was asked and answered, for whoever reads of what is wrong.
    history: Vec<String>,
}

impl Client {
    pub(super) fn new(seed: u64, number: usize, api: watch::Receiver<ApiClient>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number as u64 + 1);
        Self {
            number,
            rng,
            api,
            posted: 0,
            jobs: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// Asks things as long as clients are to go on.
    pub(super) async fn ask(mut self, pace: Pace) -> Self {
        while !pace.over.is_cancelled() {
            let thought = THOUGHT.mul_f64(self.rng.random());
            tokio::time::sleep(thought).await;
            let before = self.outcome.steps();
            if let Some(age) = pace.leave_after {
                self.leave(age).await;
            }
            if self.jobs.len() < JOBS {
                self.post().await;
            } else {
                let job = self.rng.random_range(0..self.jobs.len());
                let known = self.jobs.swap_remove(job);
                if let Some(known) = self.step(known).await {
                    self.jobs.push(known);
                }
            }
            let asked = self.outcome.steps() - before;
            pace.asked.send_modify(|all| *all += asked);
        }
        self
    }

    /// Leaves jobs to themselves that were posted so long ago: they come to an end, and their server removes
    /// them when it may.
    async fn leave(&mut self, age: Duration) {
        let old = |known: &mut Known| known.posted_at.elapsed() >= age;
        for known in self.jobs.extract_if(.., old).collect::<Vec<_>>() {
            let until = Instant::now() + PATIENCE;
            loop {
                let api = self.api.borrow().clone();
                let asked = ask(&api, &known.path, Op::Cancel).await;
                if asked.answer != Answer::Unknown || Instant::now() > until {
                    break;
                }
                tokio::time::sleep(SETTLING).await;
            }
        }
    }

    /// Posts a job under a key, again and again until it is answered, and knows it from then on.
    async fn post(&mut self) {
        let name = format!("{}-{}", self.number, self.posted);
        self.posted += 1;
        let trials = self.rng.random_range(2..=6);
        let body = job(&name, trials, self.rng.random_range(0..1_000_000));
        let key = format!("{name}-{}", self.rng.random::<u64>());
        let until = Instant::now() + PATIENCE;
        loop {
            let api = self.api.borrow().clone();
            let request = api.request(Method::POST, "/jobs").json(&body);
            let sent = api.try_send(request.header("idempotency-key", &key)).await;
            let status = sent.as_ref().map(|response| response.status().as_u16());
            let answer = ("post", status.ok());
            *self.outcome.answers.entry(answer).or_default() += 1;
            match (answer.1, sent) {
                (Some(201), Ok(response)) => {
                    let shown = shown(response).await;
                    let path = shown["links"]["self"].as_str().unwrap_or_default();
                    self.outcome.jobs += 1;
                    let posted = Job {
                        life: Life::Queued,
                        run: 1,
                        trials,
                        cents: CENTS,
                        name,
                        is_pruned: false,
                    };
                    self.jobs.push(Known {
                        path: path.to_owned(),
                        possible: Possible::new(posted),
                        log: Log::default(),
                        most_trials: trials,
                        most_cents: CENTS,
                        spent: 0,
                        posted_at: Instant::now(),
                        history: Vec::new(),
                    });
                    return;
                }
                // It may be under way still, or the server.
                (None | Some(503 | 409), _) if Instant::now() < until => {
                    tokio::time::sleep(SETTLING).await;
                }
                (status, _) => {
                    let what = format!("`{name}` was posted and answered with {status:?}");
                    self.outcome.violations.push(what);
                    return;
                }
            }
        }
    }

    /// Asks one thing of a job, or some at once, and holds the answers against the model. Gives the job back
    /// unless it is gone, or nothing is known of it any more.
    async fn step(&mut self, mut known: Known) -> Option<Known> {
        let at_once = *[1, 1, 1, 2, 3].choose(&mut self.rng).unwrap_or(&1);
        let ops: Vec<_> = (0..at_once).map(|_| self.choose(&mut known)).collect();
        let api = self.api.borrow().clone();
        let asking = ops.into_iter().map(|op| ask(&api, &known.path, op));
        let asked = futures::future::join_all(asking).await;
        let mut answers = Vec::new();
        for Asked {
            op,
            status,
            answer,
            spent,
            wrong,
        } in asked
        {
            *self.outcome.answers.entry((name(&op), status)).or_default() += 1;
            self.wrong(&known, wrong);
            // What was told to one that asked at the same time may have been read before.
            if let Some(spent) = spent.filter(|_| at_once == 1) {
                if spent < known.spent {
                    let what = format!("it had spent {} tokens and now {spent}", known.spent);
                    self.wrong(&known, Some(what));
                }
                known.spent = spent;
            }
            answers.push((op, answer));
        }
        if answers.iter().any(|(_, answer)| *answer == Answer::Unknown) {
            tokio::time::sleep(SETTLING).await;
        }
        let Some(after) = known.possible.after(&answers) else {
            let before = &known.possible;
            let what = format!("it may have been {before} and answered {answers:?}");
            self.wrong(&known, Some(what));
            return None;
        };
        known.history.push(format!("{answers:?}"));
        known.possible = after;
        if self.rng.random_ratio(1, 4) {
            self.read_events(&mut known).await;
        }
        let lives = known.possible.may(|job| job.life != Life::Deleted);
        lives.then_some(known)
    }

    fn choose(&mut self, known: &mut Known) -> Op {
        match self.rng.random_range(0..100) {
            0..28 => Op::Read,
            28..36 => Op::Report,
            36..50 => Op::Pause,
            50..66 => Op::Resume,
            66..72 => Op::Cancel,
            72..76 => Op::Delete,
            76..83 => Op::Rename(format!("name {}", self.rng.random_range(0..1_000))),
            83..91 => Op::Limit(self.rng.random_range(2..=known.most_trials)),
            _ => {
                known.most_trials += self.rng.random_range(1..=2);
                let cents = self.rng.random_bool(0.5).then(|| {
                    known.most_cents += 1;
                    known.most_cents
                });
                Op::Continue(known.most_trials, cents)
            }
        }
    }

    fn wrong(&mut self, known: &Known, what: impl IntoIterator<Item = String>) {
        let what = what.into_iter();
        let history = known.history.join("\n    ");
        let what = what.map(|what| format!("{}: {what}, after\n    {history}", known.path));
        self.outcome.violations.extend(what);
    }

    /// Reads the events that came since.
    async fn read_events(&mut self, known: &mut Known) {
        let api = self.api.borrow().clone();
        loop {
            let path = format!("{}/events?limit=100&after={}", known.path, known.log.last);
            let request = api.request(Method::GET, &path);
            let sent = api.try_send(request.header("accept", "application/json"));
            let Ok(response) = sent.await else {
                return;
            };
            match response.status().as_u16() {
                200 => {}
                404 if known.possible.may(|job| job.life == Life::Deleted) => return,
                410 if known.possible.may(|job| job.is_pruned) => return,
                503 => return,
                status => {
                    let what = format!("its events were answered with {status}");
                    return self.wrong(known, Some(what));
                }
            }
            let page = shown(response).await;
            let events = page["data"].as_array().map(Vec::as_slice);
            for event in events.unwrap_or_default() {
                self.outcome.events += 1;
                let wrong = known.log.read(event);
                self.wrong(known, wrong);
            }
            if page["has_more"] != true {
                return;
            }
        }
    }

    /// Lets all jobs come to their end, and holds what is there then against what it knows.
    pub(super) async fn end(mut self, patience: Duration) -> Outcome {
        let until = Instant::now() + patience;
        for mut known in std::mem::take(&mut self.jobs) {
            loop {
                let ended = |job: &Job| job.life.has_ended() || job.life == Life::Deleted;
                if !known.possible.may(|job| !ended(job)) {
                    break;
                }
                if Instant::now() > until {
                    let what = format!("it does not end, and may be {}", known.possible);
                    self.wrong(&known, Some(what));
                    break;
                }
                let mut answers = Vec::new();
                for op in [Op::Resume, Op::Read] {
                    let api = self.api.borrow().clone();
                    let asked = ask(&api, &known.path, op).await;
                    self.wrong(&known, asked.wrong);
                    answers.push((asked.op, asked.answer));
                }
                for answer in answers {
                    match known.possible.after(std::slice::from_ref(&answer)) {
                        Some(after) => known.possible = after,
                        None => {
                            let before = &known.possible;
                            let what = format!("it may have been {before} and answered {answer:?}");
                            self.wrong(&known, Some(what));
                            known.possible = Possible::new(Job {
                                life: Life::Deleted,
                                run: 0,
                                trials: 0,
                                cents: 0,
                                name: String::new(),
                                is_pruned: false,
                            });
                        }
                    }
                }
                tokio::time::sleep(THOUGHT).await;
            }
            // Of what is pruned there is nothing left to look at.
            let is_whole = |job: &Job| job.life.has_ended() && !job.is_pruned;
            if !known.possible.may(|job| !is_whole(job)) {
                self.read_events(&mut known).await;
                if !known.log.tells_of_the_end() {
                    self.wrong(&known, Some("its events do not tell of its end".to_owned()));
                }
                let api = self.api.borrow().clone();
                let wrong = crate::checks::books_of(&api, &known.path).await;
                self.wrong(&known, wrong);
            }
        }
        self.outcome
    }
}

/// What was asked, and what came of it.
struct Asked {
    op: Op,
    status: Option<u16>,
    answer: Answer,
    spent: Option<u64>,
    /// What no job may be answered.
    wrong: Option<String>,
}

const fn name(op: &Op) -> &'static str {
    match op {
        Op::Pause => "pause",
        Op::Resume => "resume",
        Op::Cancel => "cancel",
        Op::Delete => "delete",
        Op::Rename(_) => "rename",
        Op::Limit(_) => "change the limit",
        Op::Continue(..) => "continue",
        Op::Read => "read",
        Op::Report => "read the report",
    }
}

/// Asks something of the job at this path.
async fn ask(api: &ApiClient, path: &str, op: Op) -> Asked {
    let post = |what: &str| api.request(Method::POST, &format!("{path}/{what}"));
    let patch = |change: Value| {
        let request = api.request(Method::PATCH, path).body(change.to_string());
        request.header("content-type", "application/merge-patch+json")
    };
    let request = match &op {
        Op::Pause => post("pause"),
        Op::Resume => post("resume"),
        Op::Cancel => post("cancel"),
        Op::Delete => api.request(Method::DELETE, path),
        Op::Rename(name) => patch(json!({"name": name})),
        Op::Limit(trials) => patch(json!({"limits": {"trials": trials}})),
        Op::Continue(trials, cents) => {
            let mut change = json!({"limits": {"trials": trials}});
            if let Some(cents) = cents {
                change["budgets"] = json!({"optimization": {"usd": dollars(*cents)}});
            }
            post("continue").json(&change)
        }
        Op::Read => api.request(Method::GET, path),
        Op::Report => api.request(Method::GET, &format!("{path}/report")),
    };
    let mut asked = Asked {
        op,
        status: None,
        answer: Answer::Unknown,
        spent: None,
        wrong: None,
    };
    let Ok(response) = api.try_send(request).await else {
        return asked;
    };
    let status = response.status().as_u16();
    asked.status = Some(status);
    match status {
        503 => {}
        200 | 202 if asked.op != Op::Report => {
            let shown = shown(response).await;
            asked.spent = shown["spend"]["tokens"].as_u64();
            let ended = !shown["finished_at"].is_null();
            match read(&shown) {
                Some(job) if job.life.has_ended() == ended => {
                    asked.answer = Answer::Known(status, Some(job));
                }
                _ => {
                    let (state, detail) = (&shown["state"], &shown["detail"]);
                    asked.wrong = Some(format!("it is shown as {state}, {detail}, ended: {ended}"));
                }
            }
        }
        _ => asked.answer = Answer::Known(status, None),
    }
    asked
}

async fn shown(response: Response) -> Value {
    let text = response.text().await.unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// A job as it is shown.
fn read(shown: &Value) -> Option<Job> {
    Some(Job {
        life: Life::named(shown["state"].as_str()?, shown["stop_reason"].as_str())?,
        run: shown["run"].as_u64()?,
        trials: shown["limits"]["trials"].as_u64()?,
        cents: cents(&shown["budgets"]["optimization"]["usd"])?,
        name: shown["name"].as_str()?.to_owned(),
        is_pruned: !shown["pruned"].is_null(),
    })
}

/// So many cents in dollars, as the API takes them.
#[expect(clippy::cast_precision_loss, reason = "budgets are small")]
fn dollars(cents: u64) -> f64 {
    cents as f64 / 100.0
}

/// A budget in dollars, as the API shows it, in whole cents.
fn cents(shown: &Value) -> Option<u64> {
    format!("{:.0}", shown.as_f64()? * 100.0).parse().ok()
}

/// A small job.
fn job(name: &str, trials: u64, seed: u64) -> Value {
    let recordings = Recordings::embedded().expect("there are recordings");
    let rows: Vec<_> = recordings.instances("arithmetic").iter().take(4).collect();
    let prompt = recordings.prompts("arithmetic").first();
    json!({
        "name": name,
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": prompt.map(|prompt| &prompt.template),
        "search_space": {
            "temperature": {"float": [0, 1.3]},
            "max_tokens": {"int": [8, 64], "scale": "log"},
            "n": {"int": [1, 4], "scale": "log"},
            "stop": ["\n\n"]
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}
        },
        "budgets": {"inference": {"usd": 0.00002}, "optimization": {"usd": dollars(CENTS)}},
        "limits": {"trials": trials},
        "search": {"seed": seed, "requests_in_flight": 4}
    })
}
