//! The demo's job, through the API, a worker and the simulator on a real database; and what it
//! claims, computed again from the recorded answers, with arithmetic of this file's own.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the test cannot do without fails here, as it would at an assertion"
)]

use frugal::demo::client::Client;
use frugal::demo::progress::Progress;
use frugal::demo::report::{Outcome, Scored};
use frugal::demo::{self, DemoArgs, ENDPOINT, TASK, Way};
use frugal_domain::endpoint::Catalog;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::Pruning;
use frugal_domain::money::{Budget, Prices, Usage, Usd};
use frugal_domain::request::Purpose;
use frugal_domain::trial::Improvement;
use frugal_llm::Clients;
use frugal_simulator::{CellKey, RecordedResponse, Recordings, Simulator, SimulatorOptions};
use frugal_store::PgPool;
use frugal_store::requests::{self, Request, Settled};
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::TestDatabase;
use frugal_webhook::Hooks;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the demo starts, without its latency.
struct World {
    database: TestDatabase,
    pool: PgPool,
    simulator: Simulator,
    catalog: Arc<Catalog>,
    api_url: String,
    stop: CancellationToken,
    parts: JoinSet<()>,
}

impl World {
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        let pool = frugal_store::connect(database.url(), 20).unwrap();
        frugal_store::migrate(&pool).await.unwrap();
        let options = SimulatorOptions {
            latency: SimulatorOptions::default().latency,
            ..demo::simulator_options()
        };
        let simulator = frugal_simulator::serve(options).await.unwrap();
        let base_url = simulator.base_url();
        let catalog = demo::catalog(&DemoArgs::default(), Some(&base_url)).unwrap();
        let catalog = Arc::new(catalog);
        let stop = CancellationToken::new();
        let mut parts = JoinSet::new();
        let worker = frugal_worker::Options {
            pool: pool.clone(),
            catalog: catalog.clone(),
            clients: Arc::new(Clients::new(&catalog, |_| None).unwrap()),
            sandbox: None,
            hooks: Hooks::default(),
            name: "demo".to_owned(),
            slots: 1,
            only: None,
            terms: frugal_worker::Terms::default(),
        };
        parts.spawn(frugal_worker::run(worker, stop.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let state = frugal_api::AppState::new(frugal_api::Options {
            pool: pool.clone(),
            catalog: catalog.clone(),
            body_limit: frugal_api::Options::BODY_LIMIT,
            dataset_limits: frugal_api::Options::DATASET_LIMITS,
            outside: frugal_api::Outside::default(),
            guard: frugal_api::Guard::default(),
            shutdown: stop.clone(),
            grace: Duration::from_secs(5),
            adopt_span: None,
        });
        parts.spawn(async move {
            frugal_api::serve(listener, state, frugal_api::Connections::default()).await;
        });
        Self {
            database,
            pool,
            simulator,
            catalog,
            api_url,
            stop,
            parts,
        }
    }

    /// Carries the demo's job out. Also returns what the simulator billed for it, by model.
    async fn carry_out(&self, way: Way) -> (Outcome, BTreeMap<String, Usage>) {
        let client = Client::new(&self.api_url, None).unwrap();
        let before = self.billed();
        let mut progress = Progress::lines(Box::new(std::io::sink()));
        let args = DemoArgs::default();
        let outcome = demo::carry_out(&client, &args, way, &mut progress, &self.stop).await;
        let billed = self.billed().into_iter().map(|(model, usage)| {
            let before = before.get(&model).copied().unwrap_or_default();
            let usage = Usage {
                prompt_tokens: usage.prompt_tokens - before.prompt_tokens,
                completion_tokens: usage.completion_tokens - before.completion_tokens,
            };
            (model, usage)
        });
        (outcome.unwrap().unwrap(), billed.collect())
    }

    fn billed(&self) -> BTreeMap<String, Usage> {
        let statistics = self.simulator.statistics();
        let models = statistics.models.into_iter().map(|(model, counts)| {
            let billed = counts.billed();
            let usage = Usage {
                prompt_tokens: billed.prompt_tokens,
                completion_tokens: billed.completion_tokens,
            };
            (model, usage)
        });
        models.collect()
    }

    fn prices(&self, model: &str) -> Prices {
        self.catalog.model(ENDPOINT, model).unwrap().prices.unwrap()
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(part) = self.parts.join_next().await {
            part.unwrap();
        }
        self.simulator.shutdown().await.unwrap();
        self.pool.close().await;
        self.database.drop().await;
    }
}

/// A configuration as the API describes it.
struct Settings {
    model: String,
    prompt: String,
    temperature: f64,
    max_tokens: u32,
    n: u32,
}

impl Settings {
    fn read(configuration: &Map<String, Value>) -> Self {
        let text = |name: &str| configuration[name].as_str().unwrap().to_owned();
        let whole = |name: &str| u32::try_from(configuration[name].as_u64().unwrap()).unwrap();
        Self {
            model: text("model"),
            prompt: text("prompt"),
            temperature: configuration["temperature"].as_f64().unwrap(),
            max_tokens: whole("max_tokens"),
            n: whole("n"),
        }
    }
}

/// The recorded answers, and how they are cut and scored, told anew.
struct Recorded {
    recordings: Arc<Recordings>,
    number: Regex,
}

/// A recorded answer under a cap.
struct Cut {
    text: String,
    tokens: u64,
}

impl Recorded {
    fn new() -> Self {
        Self {
            recordings: Recordings::embedded().unwrap(),
            number: Regex::new(r"-?\d[\d,]*(?:\.\d+)?").unwrap(),
        }
    }

    fn instances(&self) -> &[Value] {
        self.recordings.instances(TASK)
    }

    /// 1 where the last number on the first line that is not blank is the answer's key.
    fn score(&self, instance: usize, text: &str) -> f64 {
        let line = text.lines().find(|line| !line.trim().is_empty());
        let number = self.number.find_iter(line.unwrap_or_default()).last();
        let number = number.map(|found| found.as_str().replace(',', ""));
        let key = self.instances()[instance]["answer"].as_str().unwrap();
        let right = number.and_then(|found| found.parse::<f64>().ok()) == key.parse().ok();
        f64::from(u8::from(right))
    }

    /// The recorded answers at the two temperatures around the one asked for, each with the
    /// probability of that temperature.
    fn around(&self, settings: &Settings, instance: usize) -> Vec<(f64, Vec<Cut>)> {
        let Settings {
            model,
            prompt,
            temperature,
            max_tokens,
            ..
        } = settings;
        let key = CellKey {
            task: TASK,
            model,
            prompt,
            instance: self.instances()[instance]["id"].as_str().unwrap(),
        };
        let recorded = self.recordings.temperatures(TASK, model, prompt);
        let below = recorded.iter().copied().filter(|t| t <= temperature);
        let above = recorded.iter().copied().filter(|t| t >= temperature);
        let low = below.max_by(f64::total_cmp).unwrap();
        let high = above.min_by(f64::total_cmp).unwrap();
        let share = if high > low {
            (temperature - low) / (high - low)
        } else {
            0.0
        };
        let answers = |temperature: f64| {
            let found = self.recordings.nearest_responses(&key, temperature);
            let answers = found.unwrap().iter();
            answers.map(|answer| cut(answer, *max_tokens)).collect()
        };
        vec![(1.0 - share, answers(low)), (share, answers(high))]
    }

    fn prompt_tokens(&self, settings: &Settings, instance: usize) -> u64 {
        let key = CellKey {
            task: TASK,
            model: &settings.model,
            prompt: &settings.prompt,
            instance: self.instances()[instance]["id"].as_str().unwrap(),
        };
        self.recordings.prompt_tokens(&key).unwrap()
    }

    /// The mean utility that endless draws from the recorded answers would show: no luck of
    /// draws and no choice of the luckiest is left in it.
    fn expected_utility(&self, settings: &Settings) -> f64 {
        let instances = self.instances().len();
        let of = |instance| {
            let around = self.around(settings, instance);
            let right = around.iter().map(|(weight, answers)| {
                let scores = answers.iter().map(|a| self.score(instance, &a.text));
                weight * mean(&scores.collect::<Vec<_>>())
            });
            expected_reduction(right.sum(), settings.n)
        };
        mean(&(0..instances).map(of).collect::<Vec<_>>())
    }
}

/// The first tokens of a recorded answer, by their recorded lengths.
fn cut(answer: &RecordedResponse, max_tokens: u32) -> Cut {
    if answer.completion_tokens <= max_tokens {
        return Cut {
            text: answer.text.clone(),
            tokens: answer.completion_tokens.into(),
        };
    }
    let kept: u32 = answer.token_lengths.iter().take(max_tokens as usize).sum();
    Cut {
        text: answer.text.chars().take(kept as usize).collect(),
        tokens: max_tokens.into(),
    }
}

/// 1 − (1 − s/n)ⁿ, the chance that one of n draws from n responses of which s are right is.
fn reduction(right: f64, n: u32) -> f64 {
    let wrong = 1.0 - right / f64::from(n);
    1.0 - (0..n).fold(1.0, |product, _| product * wrong)
}

/// Its expectation where each response is right with probability p: a sum over the binomial
/// distribution, whose weights follow from one another.
fn expected_reduction(p: f64, n: u32) -> f64 {
    if p >= 1.0 {
        return 1.0;
    }
    let mut weight = (0..n).fold(1.0, |product, _| product * (1.0 - p));
    let mut sum = 0.0;
    for right in 1..=n {
        weight *= f64::from(n - right + 1) / f64::from(right) * p / (1.0 - p);
        sum += weight * reduction(f64::from(right), n);
    }
    sum
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The answered requests of a job by trial: of the search, and of the held-out rows.
async fn answered(world: &World, outcome: &Outcome) -> [BTreeMap<TrialNumber, Vec<Request>>; 2] {
    let id = JobId(outcome.job.id.parse().unwrap());
    let mut connection = world.pool.acquire().await.unwrap();
    let stored = requests::load(&mut connection, id).await.unwrap();
    let [mut search, mut validation] = [BTreeMap::new(), BTreeMap::new()];
    for (key, request) in stored {
        let by_trial: &mut BTreeMap<_, Vec<_>> = match key.purpose {
            Purpose::Search | Purpose::Baseline => &mut search,
            _ => &mut validation,
        };
        by_trial.entry(key.trial).or_default().push(request);
    }
    [search, validation]
}

/// The places of the demo's rows among the recorded ones: of those that the search sees, and of
/// those held out.
fn splits(world: &World) -> [Vec<usize>; 2] {
    let body = demo::job(&DemoArgs::default(), Way::Default).unwrap();
    let (_, data) = frugal_intake::job(&body, &world.catalog, 0).unwrap();
    let recordings = Recordings::embedded().unwrap();
    let recorded = recordings.instances(TASK);
    let place = |row: &Map<String, Value>| recorded.iter().position(|one| one["id"] == row["id"]);
    [data.tuning, data.holdout].map(|rows| rows.iter().map(|row| place(row).unwrap()).collect())
}

/// What was answered for one instance of a trial.
#[derive(Default)]
struct Own {
    scores: Vec<f64>,
    completion_tokens: u64,
}

/// Checks that a trial's stored responses are recorded ones, and sums them up by instance.
fn replayed(
    recorded: &Recorded,
    settings: &Settings,
    requests: &[Request],
    rows: &[usize],
) -> BTreeMap<usize, Own> {
    let own = rows.iter().map(|row| (*row, Own::default()));
    let mut own: BTreeMap<usize, Own> = own.collect();
    for request in requests {
        let instance = rows[request.instance as usize];
        let Settled::Answered(answer) = &request.settled else {
            panic!("the simulator was told to fail nothing");
        };
        assert_eq!(request.max_tokens, settings.max_tokens);
        assert_eq!(answer.responses.len(), request.n as usize);
        assert_eq!(
            answer.usage.prompt_tokens,
            recorded.prompt_tokens(settings, instance)
        );
        let around = recorded.around(settings, instance);
        // Where recorded answers differ in nothing but their tokens, any of them may be it.
        let (mut fewest, mut most) = (0, 0);
        for response in &answer.responses {
            let drawable = around.iter().filter(|(weight, _)| *weight > 0.0);
            let alike = drawable.flat_map(|(_, answers)| answers);
            let alike = alike.filter(|answer| answer.text == response.text);
            let tokens: Vec<u64> = alike.map(|answer| answer.tokens).collect();
            assert!(!tokens.is_empty(), "never recorded: {:?}", response.text);
            fewest += tokens.iter().min().unwrap();
            most += tokens.iter().max().unwrap();
            let own = own.get_mut(&instance).unwrap();
            own.scores.push(recorded.score(instance, &response.text));
        }
        assert!((fewest..=most).contains(&answer.usage.completion_tokens));
        own.get_mut(&instance).unwrap().completion_tokens += answer.usage.completion_tokens;
    }
    own
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs())
}

/// Computes a trial's utility and inference cost again, and holds them against the API's.
/// Not where it used responses that an earlier trial had paid for: returns whether it did not.
fn recompute(
    world: &World,
    trial: &Value,
    settings: &Settings,
    own: &BTreeMap<usize, Own>,
) -> bool {
    if own
        .values()
        .any(|own| own.scores.len() != settings.n as usize)
    {
        return false;
    }
    let prices = world.prices(&settings.model);
    let recorded = Recorded::new();
    let utilities = own
        .values()
        .map(|own| reduction(own.scores.iter().sum(), settings.n));
    let costs = own.iter().map(|(instance, own)| {
        let prompt = recorded.prompt_tokens(settings, *instance) * prices.input_pico;
        (prompt + own.completion_tokens * prices.output_pico) as f64 / 1e12
    });
    let (utility, cost) = (
        mean(&utilities.collect::<Vec<_>>()),
        mean(&costs.collect::<Vec<_>>()),
    );
    let shown = |field: &str| trial[field]["mean"].as_f64().unwrap();
    assert!(close(shown("utility"), utility), "{trial}: {utility}");
    assert!(close(shown("inference_cost"), cost), "{trial}: {cost}");
    true
}

/// Holds everything that a job shows against its stored responses and those against the
/// recordings.
async fn audit(world: &World, outcome: &Outcome, billed: &BTreeMap<String, Usage>) {
    let recorded = Recorded::new();
    let api = ApiClient::new(&world.api_url);
    let trials = api.all(&format!("/jobs/{}/trials", outcome.job.id)).await;
    let [search, validation] = answered(world, outcome).await;
    let [tuning, holdout] = splits(world);
    let mut usage: BTreeMap<String, Usage> = BTreeMap::new();
    let mut recomputed = Vec::new();
    for trial in &trials {
        let settings = Settings::read(trial["configuration"].as_object().unwrap());
        let number = u32::try_from(trial["number"].as_u64().unwrap()).unwrap();
        let of = |by_trial: &BTreeMap<TrialNumber, Vec<Request>>| {
            let requests = by_trial.get(&TrialNumber(number));
            requests.cloned().unwrap_or_default()
        };
        let (own_requests, held_out) = (of(&search), of(&validation));
        let own = replayed(&recorded, &settings, &own_requests, &tuning);
        replayed(&recorded, &settings, &held_out, &holdout);
        let of_model = usage.entry(settings.model.clone()).or_default();
        for request in own_requests.iter().chain(&held_out) {
            if let Settled::Answered(answer) = &request.settled {
                of_model.prompt_tokens += answer.usage.prompt_tokens;
                of_model.completion_tokens += answer.usage.completion_tokens;
            }
        }
        if trial["state"] == "evaluated" && recompute(world, trial, &settings, &own) {
            recomputed.push(number);
        }
        if trial["pruned"]["reason"] == "known_invalid" {
            assert!(own_requests.is_empty(), "{trial}");
        }
    }

    assert_eq!(&usage, billed, "what was stored is what was billed");
    let spent = usage
        .iter()
        .map(|(model, usage)| world.prices(model).cost(*usage));
    let spent: Usd = spent.sum();
    assert_eq!(outcome.report.spend.usd, spent);
    assert!(
        outcome
            .job
            .budgets
            .optimization
            .covers(outcome.report.spend)
    );

    let (baseline, winner) = both(outcome);
    assert!(recomputed.contains(&baseline.trial) && recomputed.contains(&winner.trial));
    let Some(Budget::Usd(most)) = outcome.job.budgets.inference else {
        panic!("the demo budgets dollars");
    };
    for side in [baseline, winner] {
        let cost = side.inference_cost.estimate.mean;
        assert!(side.valid && cost <= most.dollars(), "{cost}");
    }
}

fn both(outcome: &Outcome) -> (&Scored, &Scored) {
    let report = &outcome.report;
    (
        report.baseline.as_ref().unwrap(),
        report.winner.as_ref().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_keeps_its_promises() {
    let world = World::start().await;
    let (off, billed_off) = world.carry_out(Way::Searched(Pruning::Off)).await;
    let (on, billed_on) = world.carry_out(Way::Searched(Pruning::On)).await;
    audit(&world, &off, &billed_off).await;
    audit(&world, &on, &billed_on).await;

    // The winner beats the default under the same inference budget: on the rows held out, and in
    // the mean over everything that was recorded; and it is no worse than what is found when each
    // configuration is evaluated apart.
    let (found, billed) = world.carry_out(Way::Default).await;
    let spent = billed
        .iter()
        .map(|(model, usage)| world.prices(model).cost(*usage));
    assert_eq!(found.report.spend.usd, spent.sum());
    assert!(found.job.budgets.optimization.covers(found.report.spend));
    assert_eq!(found.report.improvement, Improvement::Significant);
    let recorded = Recorded::new();
    let expected = |side: &Scored| recorded.expected_utility(&Settings::read(&side.configuration));
    let (baseline, winner) = both(&found);
    let (default, tuned) = (expected(baseline), expected(winner));
    assert!(tuned > default, "{tuned} against {default}");
    let apart = expected(both(&on).1);
    assert!(tuned >= apart, "{tuned} against {apart}");

    // Pruning buys at least three times as many configurations for the same money.
    let (few, many) = (
        off.report.configurations_tried(),
        on.report.configurations_tried(),
    );
    assert_eq!(off.report.trials.pruned_before_requests, 0);
    assert_eq!(off.report.trials.pruned_on_the_way, 0);
    assert!(many >= 3 * few, "{many} against {few}");
    world.end().await;
}

#[test]
fn the_expected_reduction_is_that_of_every_outcome() {
    // Three responses, each right with probability 0.4, counted out.
    let mut sum = 0.0;
    for outcome in 0..8_u32 {
        let right = outcome.count_ones();
        let weight = (0..3).fold(1.0, |product, bit| {
            product * if outcome & (1 << bit) == 0 { 0.6 } else { 0.4 }
        });
        sum += weight * reduction(right.into(), 3);
    }
    assert!(close(expected_reduction(0.4, 3), sum));
    assert!(close(expected_reduction(0.3, 1), 0.3));
    assert_eq!(expected_reduction(0.0, 7), 0.0);
    assert_eq!(expected_reduction(1.0, 7), 1.0);
}
