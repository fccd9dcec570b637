//! The basic function: every configuration evaluated on all rows, held against exact values.

use super::effort::Effort;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Group, Plot, Series};
use crate::ceiling;
use crate::data_set::{CONFIGURATIONS_PAID, DataSet};
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::recorded;
use crate::run;
use crate::spread::{Sign, Spread, rank_correlation};
use crate::truth;
use frugal_domain::job::{ExtentChoice, Pruning};
use frugal_domain::trial::TrialOutcome;

/// After how many configurations the best so far is looked at.
const LOOKS: [usize; 6] = [1, 3, 5, 10, 20, 40];

/// A share of the best that a search is expected to find.
const FOUND: f64 = 0.9;

/// A configuration that was evaluated.
struct Evaluated {
    measured: f64,
    /// What measuring it comes to in the mean.
    expected: f64,
    /// The chance that one of its n answers is right.
    exact: f64,
    valid: bool,
}

/// What one job evaluated, in its order, and its winner's place.
struct Search {
    evaluated: Vec<Evaluated>,
    winner: Option<usize>,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let sets = recorded::data_sets()?;
    let sets = effort.some(&sets, 1);
    let mut groups = Vec::new();
    let mut series = Vec::new();
    let mut table = Table::new(
        "agreement",
        "Measured utilities against exact ones, by data set",
        [
            "data",
            "rows",
            "configurations",
            "rank correlation",
            "measured less expected",
            "measured less exact",
            "winner's exact utility",
            "best there is",
            "winner's measured less expected",
        ],
    );
    let (mut correlations, mut noise, mut bias) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shares, mut curses, mut count) = (Vec::new(), Vec::new(), 0);
    for set in sets {
        let searches = parallel::each(effort.seeds, |seed| search(set, seed))?;
        let (_, best) = ceiling::best(set).ok_or_else(|| {
            anyhow::anyhow!("{} has no configuration within its budget", set.name)
        })?;
        let by_search = |of: fn(&Evaluated) -> f64| -> Vec<f64> {
            let mean = |search: &Search| {
                Spread::of(&search.evaluated.iter().map(of).collect::<Vec<_>>()).mean
            };
            searches.iter().map(mean).collect()
        };
        let correlation: Vec<f64> = searches
            .iter()
            .filter_map(|search| {
                let column = |of: fn(&Evaluated) -> f64| -> Vec<f64> {
                    search.evaluated.iter().map(of).collect()
                };
                rank_correlation(&column(|one| one.measured), &column(|one| one.exact))
            })
            .collect();
        let errors = by_search(|one| one.measured - one.expected);
        let biases = by_search(|one| one.measured - one.exact);
        let winners = || {
            let winners = searches.iter();
            winners.filter_map(|search| Some(&search.evaluated[search.winner?]))
        };
        let found: Vec<f64> = winners().map(|one| one.exact).collect();
        let curse: Vec<f64> = winners().map(|one| one.measured - one.expected).collect();
        let evaluated: usize = searches.iter().map(|search| search.evaluated.len()).sum();
        table.push([
            set.name.as_str().into(),
            Cell::Count(set.corpus.rows() as u64),
            Cell::Count(evaluated as u64),
            Spread::of(&correlation).into(),
            Spread::of(&errors).into(),
            Spread::of(&biases).into(),
            Spread::of(&found).into(),
            best.into(),
            Spread::of(&curse).into(),
        ]);
        groups.push(Group {
            name: set.name.clone(),
            points: searches
                .first()
                .into_iter()
                .flat_map(|search| search.evaluated.iter())
                .map(|one| (one.exact, one.measured))
                .collect(),
        });
        series.push(Series {
            name: set.name.clone(),
            values: LOOKS
                .iter()
                .map(|look| {
                    let shares: Vec<f64> = searches
                        .iter()
                        .map(|search| best_after(search, *look) / best)
                        .collect();
                    Spread::of(&shares).value()
                })
                .collect(),
        });
        count += evaluated;
        correlations.extend(correlation);
        noise.extend(errors);
        bias.extend(biases);
        shares.extend(found.iter().map(|found| found / best));
        curses.extend(curse);
    }
    let [correlation, noise, bias, share, curse] =
        [correlations, noise, bias, shares, curses].map(|values| Spread::of(&values));
    let cells = sets.iter().flat_map(|set| set.corpus.shelves.values());
    let cells = cells.flat_map(|shelf| &shelf.cells);
    let samples = cells.flat_map(|cell| &cell.by_temperature);
    let most_recorded = samples.map(|(_, samples)| samples.len()).max();
    let mut surprises = Vec::new();
    surprises.extend(match bias.sign() {
        Sign::Below => Some(format!(
            "1 − (1 − s/n)ⁿ of n answers, the paper's signal, lies {:.3} below the chance that one of n fresh answers \
             is right: the formula bends, so what a row's n answers miss by luck costs more than what they hit by \
             luck gains.",
            -bias.mean
        )),
        Sign::Above => Some(format!(
            "Measured utilities lie {:.3} above the exact chance that one of n answers is right.",
            bias.mean
        )),
        Sign::Unclear => None,
    });
    if share.mean < FOUND {
        surprises.push(format!(
            "With every configuration paid on every row the search finds {} of the best alone, less than {:.0} %.",
            share.per_cent(),
            100.0 * FOUND
        ));
    }
    Ok(Findings {
        set_up: format!(
            "The recorded answers of small models ({} rows by task), BlendSearch over model, prompt, temperature, \
             max_tokens and n, one trial at a time, `pruning: off`: every configuration is evaluated on every row. The \
             optimization budget is {CONFIGURATIONS_PAID} times the inference budget over all rows. The exact utility is the chance that \
             one of a configuration's n answers is right, with the recorded answers as the whole distribution; what \
             measuring comes to in the mean is computed beside it. The best there is was looked for over the whole space.",
            list(&sets.iter().map(|set| set.corpus.rows()).collect::<Vec<_>>())
        ),
        answer: [
            format!(
                "Over {count} configurations measured utilities are {} what measuring comes to in the mean \
                 ({}), and rank the configurations of a job as their exact utilities do with a correlation of {}.",
                noise.sign().words("above", "below", "no different from"),
                noise.change(4),
                correlation.show(3)
            ),
            format!(
                "The winner has {} of the best utility that there is, and its own measured utility is {} what measuring it \
                 comes to in the mean ({}).",
                share.per_cent(),
                curse.sign().words(
                    "above",
                    "below",
                    "as far as these seeds tell no different from"
                ),
                curse.change(3)
            ),
        ],
        surprises,
        would_change: format!(
            "a larger optimization budget, which lets the search see more configurations, and fewer rows, which widen the \
             points around the diagonal, since each carries the noise of its rows' answers. The recordings have at most {} \
             answers by cell, so what a model would have said once in a hundred times has mostly chance 0 here.",
            most_recorded.unwrap_or_default()
        ),
        plots: vec![
            Plot {
                name: "agreement",
                caption: "Measured against exact utility of every configuration that the first seed's job evaluated"
                    .to_owned(),
                x: "exact utility",
                y: "measured utility",
                drawn: Drawn::Points { groups },
            },
            Plot {
                name: "best-so-far",
                caption: "The exact utility of what measures best so far, as a share of the best there is, by configurations evaluated; the band is two standard errors"
                    .to_owned(),
                x: "configurations evaluated",
                y: "share of the best utility",
                drawn: Drawn::Lines {
                    steps: LOOKS.iter().map(ToString::to_string).collect(),
                    series,
                },
            },
        ],
        tables: vec![table],
    })
}

/// The exact utility of the valid configuration that measures best of the first so many.
fn best_after(search: &Search, count: usize) -> f64 {
    let seen = search.evaluated.iter().take(count).filter(|one| one.valid);
    let best = seen.max_by(|one, other| one.measured.total_cmp(&other.measured));
    best.map_or(0.0, |best| best.exact)
}

fn search(set: &DataSet, seed: u64) -> anyhow::Result<Search> {
    let mut spec = set.spec.clone();
    spec.search.seed = seed;
    spec.search.pruning = Pruning::Off;
    spec.search.extent = ExtentChoice::Searched;
    spec.search.parallel_trials = 1;
    let found = run::over_all_rows(&spec, &set.corpus)?;
    let winner = found.report.winner.as_ref().map(|winner| winner.trial);
    let mut search = Search {
        evaluated: Vec::new(),
        winner: None,
    };
    for (number, trial) in &found.trials {
        let TrialOutcome::Evaluated(evaluation) = &trial.outcome else {
            continue;
        };
        if Some(*number) == winner {
            search.winner = Some(search.evaluated.len());
        }
        let expected = truth::utility(&set.corpus, &trial.settings, spec.objective.metric);
        search.evaluated.push(Evaluated {
            measured: evaluation.utility.mean,
            expected: expected.unwrap_or(f64::NAN),
            exact: truth::success(&set.corpus, &trial.settings),
            valid: evaluation.valid,
        });
    }
    Ok(search)
}
