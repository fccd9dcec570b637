//! Demonstrations in the prompt, their number and choice searched, against fixed ones.

use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Plot, Series};
use crate::parallel;
use crate::run;
use crate::spread::{Sign, Spread};
use crate::worlds::job::Winner;
use crate::worlds::way::Way;
use crate::worlds::{Recipe, Template, World, job, optimum};
use frugal_domain::job::JobSpec;
use frugal_domain::prompt::{DemonstrationChoice, Demonstrations};
use frugal_domain::seed::mix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;
use std::ops::Range;

const FACTORS: [f64; 3] = [2.0, 5.0, 25.0];
const WORLDS: usize = 8;
const ROWS: usize = 40;
/// Rows of the pool that demonstrations are taken from.
const POOL: usize = 30;
/// Draws of a searched choice.
const DRAWS: usize = 4;

/// Numbers of demonstrations that are searched.
const COUNTS: [u32; 4] = [0, 2, 4, 8];
/// What many demonstrations add to the log-odds of a right answer, what similar ones add beside that, and
/// what the first ones and each draw do: the mean over worlds and the standard deviation.
const GAIN: [f64; 2] = [0.8, 0.6];
const SIMILAR: [f64; 2] = [0.3, 0.4];
const OTHERS: [f64; 2] = [0.0, 0.35];
/// How many demonstrations add half of what many do.
const HALF: Range<f64> = 0.7..2.5;
/// Tokens of a demonstration.
const TOKENS: Range<u64> = 20..80;
/// The factor by which models heed demonstrations.
const HEEDS: Range<f64> = 0.4..1.4;

/// Ways to show demonstrations.
fn ways() -> [Way; 6] {
    let text = "{% for one in demonstrations %}Q: {{ one.question }}\nA: {{ one.answer }}\n\n{% endfor %}\
                Q: {{ question }}\nA:";
    let shown = |name, counts: &[u32], choices: &[&str]| Way {
        name,
        changes: json!({
            "prompts": [{"name": "plain", "text": text}],
            "demonstrations": {
                "pool": (ROWS..ROWS + POOL).map(job::row).collect::<Vec<_>>(),
                "count": counts,
                "choice": choices,
            },
        }),
        at_defaults: false,
    };
    [
        shown("none", &[0], &["first"]),
        shown("4 first", &[4], &["first"]),
        shown("8 first", &[8], &["first"]),
        shown("8 similar", &[8], &["similar"]),
        shown("number and choice searched", &COUNTS, &["first", "similar"]),
        shown(
            "draws searched too",
            &COUNTS,
            &["first", "similar", "search"],
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
        let normal = |[mean, deviation]: [f64; 2], generator: &mut ChaCha8Rng| -> f64 {
            let drawn: f64 = StandardNormal.sample(generator);
            mean + deviation * drawn
        };
        Self {
            gain: normal(GAIN, generator),
            half: generator.random_range(HALF),
            similar: normal(SIMILAR, generator),
            first: normal(OTHERS, generator),
            draws: std::array::from_fn(|_| normal(OTHERS, generator)),
            tokens: generator.random_range(TOKENS),
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
    winner: Winner,
    share: f64,
    /// Demonstrations that the winner's prompt shows.
    count: f64,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let factors = effort.some(&FACTORS, 1);
    let worlds = effort.count(WORLDS);
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
            made::OVER_BUDGET,
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
            let jobs = effort.by_seed(worlds, |which, seed| {
                let (world, spec) = posted(which as u64, way, *factor, 1 + seed)?;
                let found = run::over_all_rows(&spec, &world)?;
                let settings = found.winner().map(|winner| &winner.settings);
                let winner = Winner::of(&world, settings);
                let prompt = settings.map(|settings| &spec.prompts[settings.sampling.prompt]);
                let shown = prompt.and_then(|prompt| prompt.demonstrations);
                Ok(One {
                    winner,
                    share: winner.utility / best[which],
                    count: f64::from(shown.map_or(0, |shown| shown.count)),
                })
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
                Cell::count(&jobs, |one| one.winner.is_over_budget()),
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
                "{} at {factor}× (there `{}`)",
                gain.change(3),
                ways[*fixed].name
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
                "At {factor}× searching loses to always showing `{}` ({} of the best).",
                ways[*fixed].name,
                gain.change(3)
            ));
        }
    }
    let all = || found[last][SEARCHED[0]].iter();
    let bare = all()
        .filter(|one| one.winner.won && one.count == 0.0)
        .count();
    if bare > 0 {
        surprises.push(format!(
            "In {bare} of {} jobs at {}× that could show demonstrations the winner shows none.",
            all().count(),
            factors[last]
        ));
    }
    Ok(Findings {
        set_up: format!(
            "There is no live model here: {worlds} generated worlds of {ROWS} rows in which demonstrations have an effect \
             that is drawn (crates/benchmark/src/experiment/demonstrations.rs). They add {} ± {} to the log-odds of a \
             right answer where there are many, half of it with {} to {} of them; the choice adds {} ± {} (similar), \
             {} ± {} (first, and each of {DRAWS} draws); one costs {} to {} tokens of the prompt. Models heed them by a \
             factor of {} to {}. The jobs are posted with a `demonstrations` of a pool of {POOL} rows and spread into \
             prompts as the API does; the best is that of all numbers and choices together. {}",
            GAIN[0],
            GAIN[1],
            HALF.start,
            HALF.end,
            SIMILAR[0],
            SIMILAR[1],
            OTHERS[0],
            OTHERS[1],
            TOKENS.start,
            TOKENS.end,
            HEEDS.start,
            HEEDS.end,
            made::over_budget()
        ),
        answer: [
            format!(
                "Against the fixed way that is best over all worlds, which nobody knows beforehand, searching number and \
                 choice (first or similar; {}) changes the winner's share of the best by {}, and against showing none by {} \
                 at {}×.",
                list(&COUNTS),
                said.join(", "),
                none.change(3),
                factors[last]
            ),
            format!(
                "Searching {DRAWS} draws besides {} ({} over all budgets).",
                draws.sign().words(
                    "gains more",
                    "costs more than it gains",
                    "makes no difference that these seeds tell"
                ),
                draws.change(3)
            ),
        ],
        surprises,
        would_change: "other effects, since these are assumed. Where the choice of demonstrations matters more than here, searching it \
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
fn posted(seed: u64, way: &Way, factor: f64, search_seed: u64) -> anyhow::Result<(World, JobSpec)> {
    let mut recipe = Recipe::drawn(1_000 + seed, ROWS);
    let generator = &mut ChaCha8Rng::seed_from_u64(mix(0x6865_6564 ^ mix(seed)));
    for model in &mut recipe.models {
        model.heeds = generator.random_range(HEEDS);
        // Demonstrations are what tells prompts apart; the rows are neither hopeless nor easy.
        model.skill = generator.random_range(-2.0..0.0);
    }
    recipe.templates = vec![Template::plain("plain")];
    // A prompt's tokens are to leave money for demonstrations and for answers.
    recipe.inference_budget *= 2.0;
    let bare = recipe.world()?;
    let spec = job::spec(&bare, factor, search_seed, way)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

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
