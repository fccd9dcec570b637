//! The same jobs by the real programs: a world answers over HTTP, `frugal serve` runs the job, and what its
//! winner is worth is read from the world. Says also how much sooner a job ends than if its requests had
//! followed one another.

use super::job::{self, Winner};
use super::space::sampling;
use super::way::{Way, ways};
use super::world::World;
use super::{FreeSettings, load, mean, pooled, worst_median};
use crate::endpoint::Endpoint;
use crate::processes::{self, Serving};
use crate::table::{self, Quartiles};
use crate::{http, spread::Spread};
use anyhow::{Context, ensure};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use clap::Args;
use frugal_domain::configuration::{Extent, Settings};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Seconds that an answer about a job is waited for at a time.
const WAIT: u64 = 20;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Measure {
    /// The program `frugal`; by default the one beside this one.
    #[arg(long)]
    pub frugal: Option<PathBuf>,
    /// Jobs on each world.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 11)]
    pub first_seed: u64,
    /// Optimization budgets, as multiples of the inference budget over all rows.
    #[arg(long, value_delimiter = ',', default_value = "2,5,25")]
    pub factors: Vec<f64>,
    /// Milliseconds that each answer takes.
    #[arg(long, default_value_t = 200)]
    pub latency: u64,
    /// How many requests a job may have under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_in_flight: u32,
    /// A folder of other worlds.
    #[arg(long, env = "FRUGAL_WORLDS_DIR")]
    pub worlds: Option<PathBuf>,
}

/// Runs the jobs, one after the other, and prints what they came to.
///
/// # Errors
/// A world cannot be read, a program does not start, or a job does not end with a report.
pub fn print(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    let worlds = load(measure.worlds.as_deref(), FreeSettings::Temperature)?;
    let program = processes::frugal(measure.frugal.as_deref())?;
    let known = ways();
    let way = known.first().context("no way to search")?;
    let mut table = table::new([
        "budget ×",
        "mean",
        "mean of medians",
        "worst median",
        "over budget",
        "no winner",
        "seconds",
        "in flight",
        "lowest",
    ]);
    let all: Vec<Vec<Seen>> = worlds
        .iter()
        .map(|(world, _)| seen(world, measure, &program, way))
        .collect::<anyhow::Result<_>>()?;
    for factor in &measure.factors {
        let of_factor = |seen: &Vec<Seen>| {
            let of_it = seen.iter().filter(|one| one.factor == *factor);
            of_it.copied().collect()
        };
        let by_world: Vec<Vec<Seen>> = all.iter().map(of_factor).collect();
        let shares = |(seen, (_, best)): (&Vec<Seen>, &(World, f64))| {
            seen.iter()
                .map(|one| one.winner.utility / best)
                .collect::<Vec<f64>>()
        };
        let shares: Vec<Vec<f64>> = by_world.iter().zip(&worlds).map(shares).collect();
        let means: Vec<Spread> = shares.iter().map(|one| Spread::of(one)).collect();
        let of_worlds: Vec<Quartiles> = shares.into_iter().filter_map(Quartiles::of).collect();
        let all = by_world.concat();
        let count = |of: &dyn Fn(&Seen) -> bool| all.iter().filter(|one| of(one)).count();
        let lowest = all.iter().map(|one| one.in_flight(measure.latency));
        table.add_row([
            format!("{factor}"),
            pooled(&means),
            format!("{:.3}", mean(&of_worlds, |one| one.median)),
            format!("{:.3}", worst_median(&of_worlds)),
            format!(
                "{} of {}",
                count(&|one| one.winner.is_over_budget()),
                all.len()
            ),
            count(&|one| !one.winner.won).to_string(),
            format!("{:.1}", mean(&all, |one| one.took.as_secs_f64())),
            format!("{:.1}", mean(&all, |one| one.in_flight(measure.latency))),
            format!("{:.1}", lowest.fold(f64::INFINITY, f64::min)),
        ]);
    }
    writeln!(
        out,
        "{table}\nThe winner's exact utility as a share of the best, {} jobs on each of {} worlds; seeds from {}.\n\
         An answer takes {} ms; {} requests are allowed in flight. In flight on the average, and in the job that has\n\
         the fewest: the latency of all requests together over the time from posting a job to its end.",
        measure.seeds,
        worlds.len(),
        measure.first_seed,
        measure.latency,
        measure.requests_in_flight,
    )?;
    Ok(())
}

/// What was seen of a job.
#[derive(Debug, Clone, Copy)]
struct Seen {
    factor: f64,
    winner: Winner,
    took: Duration,
    requests: u64,
}

impl Seen {
    /// Requests in flight on the average, which is also how many times sooner the job ended than if they had
    /// followed one another.
    fn in_flight(&self, latency: u64) -> f64 {
        self.requests as f64 * Duration::from_millis(latency).as_secs_f64()
            / self.took.as_secs_f64()
    }
}

/// Runs the jobs of a world, by programs that serve them all.
fn seen(world: &World, measure: &Measure, program: &Path, way: &Way) -> anyhow::Result<Vec<Seen>> {
    let answering = Answering::start(world.clone(), measure.latency)?;
    let serving = Serving::start(program, &endpoints(world, &answering.address), 1)?;
    let run = |(factor, seed)| {
        let mut body = job::document(world, factor, seed, way);
        job::merge(
            &mut body,
            &json!({
                "data": {"instances": (0..world.rows()).map(|row| long_row(world, row)).collect::<Vec<_>>()},
                "scoring": {"scorer": {"extract": {"regex": r"#### (\S+)"}}},
                "search": {"requests_in_flight": measure.requests_in_flight},
            }),
        );
        let before = answering.requests();
        let begun = Instant::now();
        let created = http::post(&serving.address, "/jobs", &body)?;
        let id = created["id"].as_str().context("a job without an id")?;
        let ended = loop {
            let job = http::get(&serving.address, &format!("/jobs/{id}?wait={WAIT}"))?;
            if job["finished_at"].is_string() {
                break job;
            }
        };
        let took = begun.elapsed();
        ensure!(
            ended["state"] == "succeeded",
            "a job did not succeed: {ended}"
        );
        let report = http::get(&serving.address, &format!("/jobs/{id}/report"))?;
        Ok(Seen {
            factor,
            winner: Winner::of(world, settings(world, &report["winner"])?.as_ref()),
            took,
            requests: answering.requests() - before,
        })
    };
    let seeds = || measure.first_seed..measure.first_seed + measure.seeds;
    let factors = measure.factors.iter();
    factors
        .flat_map(|factor| seeds().map(|seed| (*factor, seed)))
        .map(run)
        .collect()
}

/// A row whose text is as long in bytes as it has tokens at least, and ends in its number.
fn long_row(world: &World, row: usize) -> Value {
    let mut written = job::row(row);
    let longest = (0..world.templates.len()).map(|prompt| world.tokens_of_prompt(prompt, row));
    let padding = usize::try_from(longest.max().unwrap_or(0)).unwrap_or(0);
    written["question"] = format!("{} [[{row}]]", "x".repeat(padding)).into();
    written
}

/// The catalogue with the world's models.
fn endpoints(world: &World, address: &str) -> String {
    let name = job::ENDPOINT;
    let mut text =
        format!("[endpoints.{name}]\nbase_url = \"http://{address}/v1\"\napi = \"completions\"\n");
    for model in &world.models {
        let (input, output) = model.usd_per_million;
        text += &format!(
            "[endpoints.{name}.models.\"{}\"]\ninput_usd_per_million = {input:?}\n\
             output_usd_per_million = {output:?}\n",
            model.name
        );
    }
    text
}

/// A winner's settings, from its configuration as reports have it.
fn settings(world: &World, winner: &Value) -> anyhow::Result<Option<Settings>> {
    let configuration = &winner["configuration"];
    if configuration.is_null() {
        return Ok(None);
    }
    let whole = |name: &str| {
        let value = configuration[name].as_u64();
        let value = value.with_context(|| format!("the winner has no {name}"))?;
        Ok::<_, anyhow::Error>(u32::try_from(value)?)
    };
    let named = |name: &str, among: &mut dyn Iterator<Item = String>| {
        let value = configuration[name].as_str().unwrap_or_default();
        let found = among.zip(0..).find(|(known, _)| known == value);
        Ok::<_, anyhow::Error>(found.with_context(|| format!("the winner's {name}"))?.1)
    };
    let prompts = (0..world.templates.len()).map(|prompt| world.prompt_name(prompt));
    let models = world.models.iter().map(|model| model.name.clone());
    Ok(Some(Settings {
        sampling: sampling(
            named("model", &mut models.into_iter())?,
            named("prompt", &mut prompts.into_iter())?,
            configuration["temperature"].as_f64(),
            configuration["top_p"].as_f64(),
        ),
        extent: Extent {
            max_tokens: whole("max_tokens")?,
            n: whole("n")?,
        },
    }))
}

/// A world that answers over HTTP until it is dropped.
struct Answering {
    address: String,
    world: Arc<Served>,
    // Ends what runs in it.
    _runtime: Runtime,
}

/// What requests are answered from.
struct Served {
    world: World,
    latency: Duration,
    requests: AtomicU64,
}

impl Answering {
    fn start(world: World, latency: u64) -> anyhow::Result<Self> {
        let served = Arc::new(Served {
            world,
            latency: Duration::from_millis(latency),
            requests: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let router = Router::new()
            .route("/v1/completions", post(complete))
            .with_state(Arc::clone(&served));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            world: served,
            _runtime: runtime,
        })
    }

    /// Requests that were answered so far.
    fn requests(&self) -> u64 {
        self.world.requests.load(Ordering::Relaxed)
    }
}

/// A request for completions, as far as it is heeded.
#[derive(Debug, Deserialize)]
struct Asked {
    model: String,
    prompt: String,
    max_tokens: u32,
    #[serde(default = "one")]
    n: u32,
    temperature: Option<f64>,
    top_p: Option<f64>,
}

const fn one() -> u32 {
    1
}

async fn complete(
    State(served): State<Arc<Served>>,
    Json(asked): Json<Asked>,
) -> (StatusCode, Json<Value>) {
    // Each request draws other responses.
    let number = served.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(served.latency).await;
    match answer(&served.world, &asked, number) {
        Ok(answer) => (StatusCode::OK, Json(answer)),
        Err(reason) => {
            let error = json!({"error": {"message": reason.to_string()}});
            (StatusCode::BAD_REQUEST, Json(error))
        }
    }
}

fn answer(world: &World, asked: &Asked, number: u64) -> anyhow::Result<Value> {
    let model = world
        .models
        .iter()
        .position(|model| model.name == asked.model);
    let prompts = (0..world.templates.len())
        .filter(|prompt| asked.prompt.starts_with(&world.templates[*prompt].prefix));
    let row = asked
        .prompt
        .rsplit_once("[[")
        .and_then(|(_, end)| end.strip_suffix("]]"));
    let row: usize = row.context("a prompt without a row")?.parse()?;
    ensure!(row < world.rows(), "a row that there is not");
    let settings = Settings {
        sampling: sampling(
            model.context("no such model")?,
            prompts
                .max_by_key(|prompt| world.templates[*prompt].prefix.len())
                .context("no such prompt")?,
            asked.temperature,
            asked.top_p,
        ),
        extent: Extent {
            max_tokens: asked.max_tokens,
            n: asked.n,
        },
    };
    let answered = world
        .answer(&settings, row, asked.n, asked.max_tokens, number)
        .map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    let choices = answered.responses.iter().enumerate();
    let choices: Vec<Value> = choices
        .map(|(index, response)| {
            let words = usize::try_from(response.tokens).unwrap_or(0);
            let text = match (response.ended, response.score > 0.0) {
                (false, _) => "so ".repeat(words),
                (true, right) => {
                    let said = if right { "1" } else { "0" };
                    format!("{}#### {said}", "so ".repeat(words.saturating_sub(2)))
                }
            };
            let reason = if response.ended { "stop" } else { "length" };
            json!({"index": index, "text": text, "finish_reason": reason, "logprobs": null})
        })
        .collect();
    let usage = answered.usage;
    Ok(json!({
        "id": format!("cmpl-{number}"),
        "object": "text_completion",
        "created": 0,
        "model": asked.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(world: &World, row: usize) -> Asked {
        let template = &world.templates[0];
        let text = long_row(world, row);
        Asked {
            model: world.models[0].name.clone(),
            prompt: format!(
                "{}{}",
                template.prefix,
                text["question"].as_str().unwrap_or_default()
            ),
            max_tokens: 1000,
            n: 40,
            temperature: Some(0.8),
            top_p: None,
        }
    }

    #[test]
    fn a_world_answers_what_it_would_in_memory() {
        let worlds = crate::worlds::bundled().unwrap();
        let world = &worlds[0].0;
        let asked = asked(world, 3);
        let said = answer(world, &asked, 7).unwrap();
        let usage = &said["usage"];
        assert_eq!(usage["prompt_tokens"], world.tokens_of_prompt(0, 3));
        let choices = said["choices"].as_array().unwrap();
        let right = choices
            .iter()
            .filter(|choice| choice["text"].as_str().unwrap().ends_with("#### 1"));
        let settings = Settings {
            sampling: sampling(0, 0, Some(0.8), None),
            extent: Extent {
                max_tokens: 1000,
                n: 40,
            },
        };
        let known = world.answer(&settings, 3, 40, 1000, 7).unwrap();
        let scores: f64 = known.responses.iter().map(|one| one.score).sum();
        assert_eq!((choices.len(), right.count() as f64), (40, scores));
        assert_eq!(usage["completion_tokens"], known.usage.completion_tokens);

        let nowhere = Asked {
            prompt: "[[100000]]".to_owned(),
            ..asked
        };
        assert!(answer(world, &nowhere, 8).is_err());
    }

    #[test]
    fn a_winner_is_read_by_its_names() {
        let worlds = crate::worlds::bundled().unwrap();
        let world = &worlds[0].0;
        let winner = json!({"configuration": {
            "model": world.models[1].name, "prompt": world.prompt_name(1),
            "temperature": 0.3, "max_tokens": 200, "n": 5,
        }});
        let read = settings(world, &winner).unwrap().unwrap();
        assert_eq!((read.sampling.model, read.sampling.prompt), (1, 1));
        assert_eq!((read.extent.max_tokens, read.extent.n), (200, 5));
        assert_eq!(settings(world, &Value::Null).unwrap(), None);
        let unknown = json!({"configuration": {"model": "gone", "n": 1, "max_tokens": 1}});
        assert!(settings(world, &unknown).is_err());
    }
}
