//! What pruning is worth: the same job under the same budgets, pruned and not.

use crate::archive::Archive;
use crate::ceiling;
use crate::data_set::DataSet;
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::run::{self, Found, Job};
use crate::table::{self, Quartiles, yes};
use crate::truth;
use frugal_domain::job::{ExtentChoice, Pruning};
use frugal_domain::money::{Budget, Spend};
use frugal_domain::seed::mix;
use frugal_domain::state::StopReason;
use frugal_domain::trial::{PruneReason, TrialOutcome};
use std::io::Write;

/// A way to run a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Off,
    Reference,
    On,
    /// With what an earlier job of the same owner bought, one with another seed.
    Reuse,
    /// The sampling settings searched, and the extents read from what was drawn.
    Profiled,
    /// The same with a tenth of the budget.
    ProfiledTenth,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Off,
        Self::Reference,
        Self::On,
        Self::Reuse,
        Self::Profiled,
        Self::ProfiledTenth,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Reference => "reference",
            Self::On => "on",
            Self::Reuse => "on, reuse",
            Self::Profiled => "profiled",
            Self::ProfiledTenth => "profiled, a tenth",
        }
    }

    const fn pruning(self) -> Pruning {
        match self {
            Self::Off => Pruning::Off,
            Self::Reference => Pruning::Reference,
            Self::On | Self::Reuse | Self::Profiled | Self::ProfiledTenth => Pruning::On,
        }
    }

    const fn extent(self) -> ExtentChoice {
        match self {
            Self::Profiled | Self::ProfiledTenth => ExtentChoice::Profiled,
            Self::Off | Self::Reference | Self::On | Self::Reuse => ExtentChoice::Searched,
        }
    }

    /// What part of the budget it has: one in so many.
    const fn part(self) -> u64 {
        match self {
            Self::ProfiledTenth => 10,
            _ => 1,
        }
    }
}

/// The figures of one job.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    evaluated: u32,
    known_invalid: u32,
    over_budget: u32,
    inferior: u32,
    /// The probability that one of the winner's n answers is right.
    truth: Option<f64>,
    /// Prompt and completion tokens paid for by the search.
    tokens: f64,
    usd: f64,
    /// Responses that trials took from the pool, as often as they did.
    pooled: f64,
    /// It was the budget that ended the search.
    budget_spent: bool,
}

impl Figures {
    fn of(set: &DataSet, found: &Found) -> Self {
        let count = |wanted: fn(&TrialOutcome) -> bool| {
            let trials = found.search().filter(|ended| wanted(&ended.outcome));
            u32::try_from(trials.count()).unwrap_or(u32::MAX)
        };
        let spent: Spend = found.search().map(|ended| ended.spend).sum();
        Self {
            evaluated: count(|outcome| matches!(outcome, TrialOutcome::Evaluated(_))),
            known_invalid: count(|outcome| {
                matches!(
                    outcome,
                    TrialOutcome::Pruned {
                        reason: PruneReason::KnownInvalid
                    }
                )
            }),
            over_budget: count(|outcome| {
                matches!(
                    outcome,
                    TrialOutcome::Pruned {
                        reason: PruneReason::OverBudget { .. }
                    }
                )
            }),
            inferior: count(|outcome| {
                matches!(
                    outcome,
                    TrialOutcome::Pruned {
                        reason: PruneReason::Inferior { .. }
                    }
                )
            }),
            truth: found
                .winner()
                .map(|winner| truth::success(&set.corpus, &winner.settings)),
            tokens: real(spent.tokens),
            usd: found.report.spend.usd.dollars(),
            pooled: real(found.report.savings.reused_responses),
            budget_spent: found.report.stop_reason == StopReason::BudgetExhausted,
        }
    }

    /// Configurations tried: evaluated in full or pruned.
    fn tried(&self) -> f64 {
        f64::from(self.evaluated + self.known_invalid + self.over_budget + self.inferior)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
const fn real(count: u64) -> f64 {
    count as f64
}

/// Runs every way on every data set for so many seeds, and writes the figures.
///
/// # Errors
/// A job makes no sense, or nothing can be written.
pub fn print(out: &mut impl Write, sets: &[DataSet], seeds: u64) -> anyhow::Result<()> {
    writeln!(
        out,
        "Medians (quartiles) of {seeds} seeds, each way with the same budgets but where a tenth is said.\n\n\
         tried: configurations evaluated in full or pruned, for whichever of three reasons\n\
         utility: the winner's in truth, the chance that one of its n answers is right\n\
         tokens: of prompts and completions, bought per configuration tried\n\
         pooled: responses per configuration tried that were there already\n\
         on, reuse: with all responses that an earlier job with another seed had bought\n\
         profiled: sampling settings searched, extents read from what was drawn; a tenth: of the budget"
    )?;
    let mut wishes = String::new();
    for set in sets {
        let [off, reference, on, ..] = print_set(out, set, seeds)?;
        wishes.push_str(&format!(
            "{}: tried with pruning on ≥ reference ≥ off ({on} ≥ {reference} ≥ {off}): {}\n",
            set.name,
            yes(on >= reference && reference >= off)
        ));
    }
    write!(out, "\n{wishes}")?;
    Ok(())
}

/// Writes the table of a data set. Returns the medians of the configurations tried.
fn print_set(out: &mut impl Write, set: &DataSet, seeds: u64) -> anyhow::Result<[f64; 6]> {
    let mut table = table::new([
        "pruning",
        "tried",
        "in full",
        "known invalid",
        "over budget",
        "inferior",
        "utility",
        "tokens",
        "pooled",
        "spend, $",
    ]);
    let mut medians = [0.0; 6];
    let mut ended_early = 0;
    for (way, median) in Way::ALL.into_iter().zip(&mut medians) {
        let figures = parallel::each(seeds, |seed| measure(set, way, seed))?;
        let all =
            |figure: &dyn Fn(&Figures) -> f64| -> Vec<f64> { figures.iter().map(figure).collect() };
        let tried = all(&Figures::tried);
        let count =
            |figure: fn(&Figures) -> u32| table::quartiles(all(&|one| f64::from(figure(one))), 0);
        let per_trial =
            |figure: fn(&Figures) -> f64| all(&|one| figure(one) / one.tried().max(1.0));
        table.add_row([
            way.name().to_owned(),
            table::quartiles(tried.clone(), 0),
            count(|one| one.evaluated),
            count(|one| one.known_invalid),
            count(|one| one.over_budget),
            count(|one| one.inferior),
            table::quartiles(figures.iter().filter_map(|one| one.truth).collect(), 3),
            table::quartiles(per_trial(|one| one.tokens), 0),
            table::quartiles(per_trial(|one| one.pooled), 0),
            table::quartiles(all(&|one| one.usd), 4),
        ]);
        *median = Quartiles::of(tried).map_or(0.0, |tried| tried.median);
        ended_early += figures.iter().filter(|one| !one.budget_spent).count();
    }
    writeln!(
        out,
        "\n{}: {} rows, at most {} per row and {} in all\n{table}",
        set.name,
        set.corpus.rows(),
        set.spec.inference_budget.map_or_else(String::new, amount),
        amount(set.spec.optimization_budget),
    )?;
    if let Some((settings, utility)) = ceiling::best(set) {
        let mut described = set.spec.describe(&settings);
        described.retain(|name, _| !matches!(name.as_str(), "endpoint" | "stop"));
        writeln!(
            out,
            "the best there is: {utility:.3} with {}",
            serde_json::Value::Object(described)
        )?;
    }
    if ended_early > 0 {
        writeln!(
            out,
            "{ended_early} jobs ended before their budget was spent"
        )?;
    }
    Ok(medians)
}

fn amount(budget: Budget) -> String {
    match budget {
        Budget::Usd(usd) => usd.to_string(),
        Budget::Tokens(tokens) => format!("{tokens} tokens"),
    }
}

/// Runs one job, and the one before it where there is one.
fn measure(set: &DataSet, way: Way, seed: u64) -> anyhow::Result<Figures> {
    let earlier = match way {
        Way::Reuse => Some(job(set, way, mix(seed), None)?.bought),
        _ => None,
    };
    let found = job(set, way, seed, earlier.as_ref())?;
    Ok(Figures::of(set, &found))
}

fn job(set: &DataSet, way: Way, seed: u64, earlier: Option<&Archive>) -> anyhow::Result<Found> {
    let mut spec = set.spec.clone();
    spec.search.seed = seed;
    spec.search.pruning = way.pruning();
    spec.search.extent = way.extent();
    let budget = spec.optimization_budget;
    spec.optimization_budget = budget.unit().budget(budget.amount() / way.part());
    let rows: Vec<usize> = (0..set.corpus.rows()).collect();
    run::run(Job {
        spec: &spec,
        endpoint: &set.corpus,
        tuning: &rows,
        holdout: &[],
        earlier,
    })
}
