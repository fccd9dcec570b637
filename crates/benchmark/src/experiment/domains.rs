//! Other domains than mathematics: what has to be set differently.

use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table};
use super::plot::{Drawn, Plot, Series};
use super::texts::{self, Domain, LIMITS, MODELS, MOST_RESPONSES, Made, PROMPTS, TEMPERATURES};
use super::worth::{Grid, Worths, cost, worth};
use crate::data_set::CONFIGURATIONS_PAID;
use crate::parallel;
use crate::run;
use crate::spread::{Sign, Spread, rank_correlation};
use crate::worlds::job::OVER;
use frugal_domain::configuration::Settings;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::Reducer;

const ROWS: usize = 30;
const SHORT_ROWS: usize = 8;
const NUMBERS: [u32; 6] = [1, 2, 4, 8, 16, MOST_RESPONSES];

/// The ways to post a job of a domain.
const WAYS: [&str; 3] = ["as for mathematics", "as delivered", "one answer"];

/// The metric that a way goes by.
const fn metric(way: usize, domain: &Domain) -> Reducer {
    match way {
        0 => Reducer::ExpectedSuccess,
        1 => domain.delivered,
        _ => Reducer::Mean,
    }
}

/// What one job by each way came to, as delivered, and with a judge also in truth.
#[derive(Debug, Clone, Copy)]
struct One {
    shares: [f64; 3],
    numbers: [f64; 3],
    /// How many of the winners cost more than the inference budget.
    over: u64,
    /// Of the judge's best and of the job's winner, the true worth as a share of the truly best; and the
    /// rank correlation of the judge's word with what is true, over configurations.
    judged: Option<[f64; 3]>,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let domains = texts::domains();
    let mut table = Table::new(
        "domains",
        "The winner's worth as it is delivered, as a share of the best of a grid, which winners between its points may \
         pass, by how the job is posted",
        [
            "domain",
            "scorer",
            "delivered",
            "as for mathematics",
            "n",
            "as delivered",
            "n",
            "one answer",
            made::OVER_BUDGET,
        ],
    );
    let mut gains = Vec::new();
    let mut bars = [const { Vec::new() }; 3];
    let mut judged_words = String::new();
    let mut surprises = Vec::new();
    let rows = if effort.short { SHORT_ROWS } else { ROWS };
    for domain in &domains {
        let found = parallel::each(effort.seeds, |seed| one(domain, rows, seed))?;
        let of = |values: &dyn Fn(&One) -> f64| -> Vec<f64> { found.iter().map(values).collect() };
        let shares = [0, 1, 2].map(|way| of(&|one| one.shares[way]));
        let numbers = [0, 1].map(|way| Spread::of(&of(&|one| one.numbers[way])));
        let spreads = [0, 1, 2].map(|way| Spread::of(&shares[way]));
        table.push([
            domain.name.into(),
            domain.scored.into(),
            domain.delivered.to_string().into(),
            spreads[0].into(),
            numbers[0].into(),
            spreads[1].into(),
            numbers[1].into(),
            spreads[2].into(),
            Cell::Count(found.iter().map(|one| one.over).sum()),
        ]);
        for (bar, spread) in bars.iter_mut().zip(spreads) {
            bar.push(spread.value());
        }
        let gain = Spread::of_differences(&shares[1], &shares[0]);
        let alone = Spread::of_differences(&shares[1], &shares[2]);
        gains.push((domain, gain, alone));
        let judged: Vec<[f64; 3]> = found.iter().filter_map(|one| one.judged).collect();
        if !judged.is_empty() {
            let column = |place: usize| -> Spread {
                Spread::of(&judged.iter().map(|one| one[place]).collect::<Vec<_>>())
            };
            let [best, winner, correlation] = [0, 1, 2].map(column);
            judged_words = format!(
                " The judge's word ranks configurations as the truth does with a correlation of {}, and its best is worth \
                 {} of what is truly best (the job's winner {}).",
                correlation.show(2),
                best.per_cent(),
                winner.per_cent()
            );
            if best.mean < 0.95 {
                surprises.push(format!(
                    "With every word of the judge known, its best configuration is worth {} of the truly best: no setting of \
                     the search mends what a judge gets wrong.",
                    best.per_cent()
                ));
            }
        }
        if gain.sign() == Sign::Unclear {
            surprises.push(format!(
                "In {} a job posted as for mathematics cannot be told from one posted for what is delivered ({} of the best).",
                domain.name,
                gain.change(3)
            ));
        }
    }
    let changes: Vec<String> = gains
        .iter()
        .map(|(domain, gain, _)| format!("{} {}", domain.name, gain.change(3)))
        .collect();
    // Where a difference is on a side of 0.
    let named = |which: usize, sign: Sign| {
        let all = gains.iter();
        let on_it = all.filter(|(_, gain, alone)| [gain, alone][which].sign() == sign);
        let names: Vec<&str> = on_it.map(|(domain, ..)| domain.name).collect();
        match names.as_slice() {
            [] => "none of them".to_owned(),
            some => some.join(", "),
        }
    };
    Ok(Findings {
        set_up: format!(
            "Generated answers, as texts, of {} models with {} prompts at {} temperatures to {rows} rows of each domain, \
             scored by the scorers that jobs have where there is one: {}. The dialogue is rated by Frugal's own scorer \
             `judge`, whose questions are answered by a script and not billed; diversity of writing has no scorer (a \
             service of the operator's would give it by `webhook`), is of one answer, and says nothing of how alike \
             answers are to each other. Jobs are profiled, n up to {MOST_RESPONSES}, {CONFIGURATIONS_PAID} times the inference budget over all rows; \
             posted as for mathematics (`expected_success`), with the metric that is delivered, or with one answer alone. \
             What winners are worth is what a user is given: {}. {}",
            MODELS.len(),
            PROMPTS.len(),
            TEMPERATURES.len(),
            domains.iter().map(|domain| format!("{} by {}", domain.name, domain.scored)).collect::<Vec<_>>().join("; "),
            domains
                .iter()
                .map(|domain| format!("{} {}", domain.name, domain.delivered))
                .collect::<Vec<_>>()
                .join(", "),
            made::over_budget()
        ),
        answer: [
            format!(
                "Posting what is delivered as the metric, instead of that of mathematics, gains beyond two standard errors in \
                 {} and loses in {} (of the best: {}).",
                named(0, Sign::Above),
                named(0, Sign::Below),
                changes.join(", ")
            ),
            format!(
                "A search of n, against one answer alone, gains beyond two standard errors in {} and loses in {}.{judged_words}",
                named(1, Sign::Above),
                named(1, Sign::Below)
            ),
        ],
        surprises,
        would_change: "answers of real models, since these are generated: how models err in these domains is assumed, and a \
                       real model errs in ways of its own. A judge without a liking for length would rank configurations \
                       more as the truth does. A measure of how alike n answers are would make several of them worth their \
                       price in writing."
            .to_owned(),
        plots: vec![Plot {
            name: "shares",
            caption: "The winner's worth as delivered, as a share of the best possible, by how the job is posted; two standard errors".to_owned(),
            x: "domain",
            y: "share of the best",
            drawn: Drawn::Bars {
                steps: domains.iter().map(|domain| domain.name.to_owned()).collect(),
                series: WAYS
                    .into_iter()
                    .zip(bars)
                    .map(|(name, values)| Series {
                        name: name.to_owned(),
                        values,
                    })
                    .collect(),
            },
        }],
        tables: vec![table],
    })
}

fn one(domain: &Domain, rows: usize, seed: u64) -> anyhow::Result<One> {
    let Made { set, truth } = domain.made(rows, seed)?;
    let pairs: Vec<(usize, usize)> = set.corpus.shelves.keys().copied().collect();
    let limits = [LIMITS[1], LIMITS[2], LIMITS[3], LIMITS[4], 2 * LIMITS[4]];
    let grid = Grid {
        pairs: &pairs,
        temperatures: &TEMPERATURES,
        limits: &limits,
        numbers: &NUMBERS,
    };
    let worths = Worths::of(&set.corpus, &set.spec, &grid, &[domain.delivered])?;
    let best = worths
        .best(0)
        .map_or(0.0, |(_, worth)| worth[0])
        .max(f64::MIN_POSITIVE);
    let mut one = One {
        shares: [0.0; 3],
        numbers: [0.0; 3],
        over: 0,
        judged: None,
    };
    let mut delivered: Option<Settings> = None;
    for way in 0..WAYS.len() {
        let mut spec = set.spec.clone();
        spec.search.seed = seed + 1;
        spec.objective.metric = Metric::from(metric(way, domain));
        if way == 2 {
            spec = with_one_answer(spec);
        }
        let found = run::over_all_rows(&spec, &set.corpus)?;
        if let Some(winner) = found.winner() {
            one.shares[way] = worth(&set.corpus, &winner.settings, domain.delivered)? / best;
            one.numbers[way] = f64::from(winner.settings.extent.n);
            one.over += u64::from(cost(&set.corpus, &spec, &winner.settings) > OVER);
            if way == 1 {
                delivered = Some(winner.settings.clone());
            }
        }
    }
    if let Some((truth, winner)) = truth.zip(delivered) {
        let true_worths = Worths::of(&truth, &set.spec, &grid, &[domain.delivered])?;
        let best = true_worths
            .best(0)
            .map_or(0.0, |(_, worth)| worth[0])
            .max(f64::MIN_POSITIVE);
        let column = |worths: &Worths| -> Vec<f64> {
            worths.all.iter().map(|(_, worth)| worth[0]).collect()
        };
        let preferred = worths.best(0).map(|(settings, _)| settings.clone());
        let preferred = preferred.map(|settings| worth(&truth, &settings, domain.delivered));
        one.judged = Some([
            preferred.transpose()?.unwrap_or(0.0) / best,
            worth(&truth, &winner, domain.delivered)? / best,
            rank_correlation(&column(&worths), &column(&true_worths)).unwrap_or(0.0),
        ]);
    }
    Ok(one)
}

/// The same job with n fixed to 1.
fn with_one_answer(mut spec: frugal_domain::job::JobSpec) -> frugal_domain::job::JobSpec {
    for dimension in &mut spec.space.dimensions {
        if dimension.name == "n" {
            dimension.domain = frugal_domain::space::Domain::Constant {
                value: serde_json::json!(1),
            };
        }
    }
    spec
}
