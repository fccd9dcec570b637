//! Demonstrations in the prompt, their number and choice searched, against fixed ones.

use super::effort::Effort;
use super::page::{Cell, Findings, Table};
use super::plot::{Drawn, Plot, Series};
use super::spread::{Sign, Spread};
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::worlds::{Recipe, Template, World, job, optimum};
use frugal_domain::job::JobSpec;
use frugal_domain::prompt::{DemonstrationChoice, Demonstrations};
use frugal_domain::seed::mix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};

const FACTORS: [f64; 3] = [2.0, 5.0, 25.0];
const WORLDS: usize = 8;
const ROWS: usize = 40;
/// Rows of the pool that demonstrations are taken from.
const POOL: usize = 30;
/// Draws of a searched choice.
const DRAWS: usize = 4;

/// A way to show demonstrations.
struct Shown {
    name: &'static str,
    count: Value,
    choice: Value,
}

fn ways() -> [Shown; 6] {
    let shown = |name, count, choice| Shown {
        name,
        count,
        choice,
    };
    [
        shown("none", json!([0]), json!(["first"])),
        shown("4 first", json!([4]), json!(["first"])),
        shown("8 first", json!([8]), json!(["first"])),
        shown("8 similar", json!([8]), json!(["similar"])),
        shown(
            "number and choice searched",
            json!([0, 2, 4, 8]),
            json!(["first", "similar"]),
        ),
        shown(
            "draws searched too",
            json!([0, 2, 4, 8]),
            json!(["first", "similar", "search"]),
        ),
    ]
}

/// Places of the ways that search.
const SEARCHED: [usize; 2] = [4, 5];

/// What demonstrations do in a world: drawn, not measured of a model.
#[derive(Debug, Clone)]
struct Effects {
    /// What many of them add to the log-odds of a right answer.
    gain: f64,
    /// How many add half of it.
    half: f64,
    /// What is added beside that by similar ones, by the first ones, and by each draw.
    similar: f64,
    first: f64,
    draws: [f64; DRAWS],
    /// Tokens of one.
    tokens: u64,
}

impl Effects {
    fn drawn(seed: u64) -> Self {
        let generator = &mut ChaCha8Rng::seed_from_u64(mix(0x6465_6d6f ^ mix(seed)));
        let normal = |generator: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(generator) };
        Self {
            gain: 0.8 + 0.6 * normal(generator),
            half: generator.random_range(0.7..2.5),
            similar: 0.3 + 0.4 * normal(generator),
            first: 0.35 * normal(generator),
            draws: std::array::from_fn(|_| 0.35 * normal(generator)),
            tokens: generator.random_range(20..80),
        }
    }

    fn bonus(&self, shown: Demonstrations) -> f64 {
        let share = 1.0 - (-f64::from(shown.count) * std::f64::consts::LN_2 / self.half).exp();
        let choice = match shown.choice {
            DemonstrationChoice::First => self.first,
            DemonstrationChoice::Similar => self.similar,
            DemonstrationChoice::Random { draw } => {
                let drawn = self.draws.iter().zip(0..);
                drawn
                    .filter(|(_, number)| *number == draw)
                    .map(|(gain, _)| *gain)
                    .sum()
            }
        };
        share * (self.gain + choice)
    }
}

/// What one job came to.
#[derive(Debug, Clone, Copy)]
struct One {
    share: f64,
    /// Demonstrations that the winner's prompt shows.
    count: f64,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let factors = effort.some(&FACTORS, 1);
    let worlds = if effort.short { 1 } else { WORLDS };
    let ways = ways();
    let mut table = Table::new(
        "demonstrations",
        "The winner's exact utility as a share of the best that any number and choice allows",
        [
            "budget ×",
            "demonstrations",
            "prompts",
            "share of the best",
            "worst job",
            "shown by the winner",
        ],
    );
    // What any way could reach, so that all are held against the same.
    let best = parallel::each(worlds as u64, |seed| {
        let (world, _) = posted(seed, &ways[SEARCHED[1]], 2.0, 1)?;
        Ok(optimum::best(&world))
    })?;
    let mut found: Vec<Vec<Vec<One>>> = Vec::new();
    for factor in factors {
        let mut of_ways = Vec::new();
        for way in &ways {
            let jobs = parallel::each(worlds as u64 * effort.seeds, |index| {
                let seed = index / effort.seeds;
                let (world, spec) = posted(seed, way, *factor, 1 + index % effort.seeds)?;
                let found = job::search(&world, &spec)?;
                let best = best[usize::try_from(seed)?];
                Ok(found.winner().map_or(
                    One {
                        share: 0.0,
                        count: 0.0,
                    },
                    |winner| {
                        let prompt = &spec.prompts[winner.settings.sampling.prompt];
                        let count = prompt.demonstrations.map_or(0, |shown| shown.count);
                        One {
                            share: world.truth(&winner.settings).0 / best,
                            count: f64::from(count),
                        }
                    },
                ))
            })?;
            let (_, spec) = posted(0, way, *factor, 1)?;
            let shares: Vec<f64> = jobs.iter().map(|one| one.share).collect();
            let counts: Vec<f64> = jobs.iter().map(|one| one.count).collect();
            table.push([
                (*factor).into(),
                way.name.into(),
                Cell::Count(spec.prompts.len() as u64),
                Spread::of(&shares).into(),
                shares.iter().copied().fold(f64::INFINITY, f64::min).into(),
                Spread::of(&counts).into(),
            ]);
            of_ways.push(jobs);
        }
        found.push(of_ways);
    }
    let shares = |step: usize, way: usize| -> Vec<f64> {
        found[step][way].iter().map(|one| one.share).collect()
    };
    // The fixed way that is best on average, which nobody knows beforehand.
    let best_fixed = |step: usize| {
        let fixed = 0..SEARCHED[0];
        let mean = |way: usize| Spread::of(&shares(step, way)).mean;
        fixed
            .max_by(|one, other| mean(*one).total_cmp(&mean(*other)))
            .unwrap_or(0)
    };
    let gains: Vec<(usize, Spread, Spread)> = (0..factors.len())
        .map(|step| {
            let fixed = best_fixed(step);
            let against = |way| Spread::of_differences(&shares(step, way), &shares(step, fixed));
            (fixed, against(SEARCHED[0]), against(SEARCHED[1]))
        })
        .collect();
    let said: Vec<String> = factors
        .iter()
        .zip(&gains)
        .map(|(factor, (fixed, gain, _))| {
            format!(
                "{:+.3} ± {:.3} at {factor}× (there `{}`)",
                gain.mean, gain.error, ways[*fixed].name
            )
        })
        .collect();
    let last = factors.len() - 1;
    let none = Spread::of_differences(&shares(last, SEARCHED[0]), &shares(last, 0));
    let draws: Vec<f64> = (0..factors.len())
        .flat_map(|step| {
            let pairs = shares(step, SEARCHED[1])
                .into_iter()
                .zip(shares(step, SEARCHED[0]));
            pairs.map(|(one, other)| one - other).collect::<Vec<_>>()
        })
        .collect();
    let draws = Spread::of(&draws);
    let mut surprises = Vec::new();
    for (factor, (fixed, gain, _)) in factors.iter().zip(&gains) {
        if gain.sign() == Sign::Below {
            surprises.push(format!(
                "At {factor}× searching loses to always showing `{}` ({:+.3} ± {:.3} of the best).",
                ways[*fixed].name, gain.mean, gain.error
            ));
        }
    }
    let all = || found[last][SEARCHED[0]].iter();
    let bare = all().filter(|one| one.count == 0.0).count();
    if bare > 0 {
        surprises.push(format!(
            "In {bare} of {} jobs at {}× the winner shows no demonstrations, since what they cost buys answers instead or \
             they do harm there.",
            all().count(),
            factors[last]
        ));
    }
    Ok(Findings {
        set_up: format!(
            "There is no live model here: {worlds} generated worlds of {ROWS} rows in which demonstrations have an effect \
             that is drawn (crates/benchmark/src/experiment/demonstrations.rs). They add 0.8 ± 0.6 to the log-odds of a \
             right answer where there are many, half of it with 0.7 to 2.5 of them; the choice adds 0.3 ± 0.4 (similar), \
             0 ± 0.35 (first, and each of four draws); one costs 20 to 80 tokens of the prompt. Models heed them by a \
             factor of 0.4 to 1.4. The jobs are posted with a `demonstrations` of a pool of {POOL} rows and spread into \
             prompts as the API does; the best is that of all numbers and choices together."
        ),
        answer: [
            format!(
                "Against the fixed way that is best over all worlds, which nobody knows beforehand, searching number and \
                 choice (first or similar; 0, 2, 4 or 8) changes the winner's share of the best by {}, and against showing \
                 none by {:+.3} ± {:.3} at {}×.",
                said.join(", "),
                none.mean,
                none.error,
                factors[last]
            ),
            format!(
                "Searching four draws besides {} ({:+.3} ± {:.3} over all budgets).",
                draws.sign().words(
                    "gains more",
                    "costs more than it gains",
                    "makes no difference that these seeds tell"
                ),
                draws.mean,
                draws.error
            ),
        ],
        surprises,
        would_change: "The effects are assumed. Where the choice of demonstrations matters more than here, searching it \
                       gains more; where prompts are priced as dear as answers, fewer are shown. On a real model, \
                       `tests/live/run` posts a job to one, and a job with `demonstrations` answers the question there."
            .to_owned(),
        plots: vec![Plot {
            name: "shares",
            caption: "The winner's exact utility as a share of the best that any number and choice allows; the band is two standard errors".to_owned(),
            x: "optimization budget, × inference budget × rows",
            y: "share of the best",
            drawn: Drawn::Lines {
                steps: factors.iter().map(|factor| format!("{factor}×")).collect(),
                series: ways
                    .iter()
                    .enumerate()
                    .map(|(way, shown)| Series {
                        name: shown.name.to_owned(),
                        values: (0..factors.len())
                            .map(|step| Spread::of(&shares(step, way)).value())
                            .collect(),
                    })
                    .collect(),
            },
        }],
        tables: vec![table],
    })
}

/// A world in which demonstrations have their effect, and a job that shows them in some ways.
fn posted(
    seed: u64,
    way: &Shown,
    factor: f64,
    search_seed: u64,
) -> anyhow::Result<(World, JobSpec)> {
    let mut recipe = Recipe::drawn(1_000 + seed, ROWS);
    let generator = &mut ChaCha8Rng::seed_from_u64(mix(0x6865_6564 ^ mix(seed)));
    for model in &mut recipe.models {
        model.heeds = generator.random_range(0.4..1.4);
        // Demonstrations are what tells prompts apart; the rows are neither hopeless nor easy.
        model.skill = generator.random_range(-2.0..0.0);
    }
    recipe.templates = vec![Template::plain("plain")];
    // A prompt's tokens are to leave money for demonstrations and for answers.
    recipe.inference_budget *= 2.0;
    let bare = recipe.world()?;
    let spec = spec(&bare, way, factor, search_seed)?;
    let effects = Effects::drawn(seed);
    recipe.templates = spec
        .prompts
        .iter()
        .map(|prompt| {
            let plain = Template::plain(&prompt.name);
            prompt.demonstrations.map_or_else(
                || plain.clone(),
                |shown| {
                    let tokens = u64::from(shown.count) * effects.tokens;
                    plain.clone().adding(effects.bonus(shown), tokens)
                },
            )
        })
        .collect();
    Ok((recipe.world()?, spec))
}

fn spec(world: &World, way: &Shown, factor: f64, seed: u64) -> anyhow::Result<JobSpec> {
    let rows = world.rows();
    let row = |number: usize| json!({"question": format!("[[{number}]]"), "answer": "1"});
    let models: Vec<Value> = world
        .models
        .iter()
        .map(|model| json!({"endpoint": job::ENDPOINT, "model": model.name}))
        .collect();
    let text = "{% for one in demonstrations %}Q: {{ one.question }}\nA: {{ one.answer }}\n\n{% endfor %}\
                Q: {{ question }}\nA:";
    let body = json!({
        "data": {"instances": (0..rows).map(row).collect::<Vec<_>>()},
        "models": models,
        "prompts": [{"name": "plain", "text": text}],
        "demonstrations": {
            "pool": (rows..rows + POOL).map(row).collect::<Vec<_>>(),
            "count": way.count,
            "choice": way.choice,
        },
        "search_space": {
            "temperature": {"float": [0, 1.5]},
            "max_tokens": {"int": [10, 1000], "scale": "log"},
            "n": {"int": [1, 100]},
        },
        "scoring": {"scorer": {"type": "exact", "expected": "{{ answer }}"}},
        "budgets": {
            "inference": {"usd": job::rounded(world.inference_budget)},
            "optimization": {"usd": job::rounded(factor * world.inference_budget * rows as f64)},
        },
        "limits": {"trials": 10_000},
        "search": {"seed": seed},
    });
    let (spec, _) = frugal_intake::job(&body, &job::catalog(world), seed)
        .map_err(|faults| anyhow::anyhow!("the job has faults: {faults:?}"))?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_has_the_effect_of_what_it_shows() {
        let ways = ways();
        let (world, spec) = posted(1, &ways[SEARCHED[1]], 2.0, 1).unwrap();
        assert_eq!(world.templates.len(), spec.prompts.len());
        // None, and 2, 4 or 8 that are the first, similar or of a draw.
        assert_eq!(spec.prompts.len(), 1 + 3 * (2 + DRAWS));
        let effects = Effects::drawn(1);
        let eight = spec
            .prompts
            .iter()
            .position(|prompt| prompt.demonstrations.is_some_and(|shown| shown.count == 8))
            .unwrap();
        let settings = |prompt| {
            let mut settings = spec.settings(&spec.default_configuration()).unwrap();
            settings.sampling.prompt = prompt;
            settings
        };
        let bare = spec
            .prompts
            .iter()
            .position(|prompt| prompt.demonstrations.is_none_or(|shown| shown.count == 0))
            .unwrap();
        let tokens = |prompt| world.prompt_tokens(&settings(prompt), 0);
        assert_eq!(tokens(eight), tokens(bare) + 8 * effects.tokens);
    }

    #[test]
    fn equal_ways_have_equal_effects_in_every_job() {
        let ways = ways();
        let [fixed, searched] = [2, 4].map(|way| {
            let (world, spec) = posted(2, &ways[way], 2.0, 1).unwrap();
            let place = spec.prompts.iter().position(|prompt| {
                prompt.demonstrations.is_some_and(|shown| {
                    shown.count == 8 && shown.choice == DemonstrationChoice::First
                })
            });
            let mut settings = spec.settings(&spec.default_configuration()).unwrap();
            settings.sampling.prompt = place.unwrap();
            world.truth(&settings)
        });
        assert_eq!(fixed, searched);
    }
}
