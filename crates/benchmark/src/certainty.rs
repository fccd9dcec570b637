//! Whether what a report says of the winner can be trusted: how often it calls an improvement
//! significant where there is none, and how often an interval covers the truth and how wide it is;
//! first of values alone ([`coverage`]), then of whole jobs.

use crate::coverage::{self, LEAST_COVERAGE, MOST_FALSE};
use crate::data_set;
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::recorded;
use crate::run::{self, Found, Job};
use crate::share::Share;
use crate::synthetic::Synthetic;
use crate::table::{self, yes};
use crate::truth;
use frugal_domain::configuration::Settings;
use frugal_domain::job::JobSpec;
use frugal_domain::seed::mix;
use frugal_domain::trial::Improvement;
use frugal_evaluation::statistics::PairedDifferences;
use frugal_tuning::interval_estimate::IntervalEstimate;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::io::Write;

/// Rows that a search sees.
pub const TUNING: usize = 40;

/// Rows that are held out, in jobs of different sizes.
const HELD_OUT: [usize; 4] = [15, 30, 60, 120];

/// A kind of job.
pub struct Kind<'a> {
    /// What it is called.
    pub name: &'static str,
    /// What is posted.
    pub spec: JobSpec,
    /// What answers it.
    pub endpoint: &'a dyn Endpoint,
}

/// What one job's report says, and what is true.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdict {
    /// The report calls the winner a significant improvement.
    pub significant: bool,
    /// Judged by the rows that the winner was chosen by, which no report does.
    pub significant_on_tuning: bool,
    /// Whether the interval of the winner's held-out utility covers its true one, and how wide it
    /// is; nothing without a winner.
    pub utility: Option<(bool, f64)>,
    /// The same of the difference to the baseline.
    pub difference: Option<(bool, f64)>,
    /// The winner's true utility; nothing without a winner.
    pub truth: Option<f64>,
    /// The winner is better than the baseline in truth.
    pub better: bool,
    /// The winner's utility on the rows that chose it less the true one.
    pub curse: Option<f64>,
}

/// Draws so many samples of values whose mean is known, runs jobs of every kind for so many seeds,
/// and writes what came of them.
///
/// # Errors
/// A job makes no sense, or nothing can be written.
pub fn print(out: &mut impl Write, seeds: u64, samples: u64) -> anyhow::Result<()> {
    coverage::print(out, &HELD_OUT, samples)?;
    let even = Synthetic::new(|_| 0.0);
    let uneven = Synthetic::new(ability);
    let null = [
        Kind {
            name: "mean score of up to 8 answers",
            spec: synthetic_spec("mean", &json!({"int": [1, 8]}))?,
            endpoint: &even,
        },
        Kind {
            name: "one answer, right or wrong",
            spec: synthetic_spec("success", &json!(1))?,
            endpoint: &even,
        },
    ];
    writeln!(
        out,
        "\n{seeds} jobs of each kind, {TUNING} rows to search on; shares ± their standard errors.\n\n\
         All configurations equal in truth: the share of jobs whose report would say that the \
         winner is a significant improvement, at most {MOST_FALSE}"
    )?;
    print_null(out, &null, seeds)?;

    let arithmetic = recorded::data_set("arithmetic")?;
    let known = [
        Kind {
            name: "expected success of up to 8 answers",
            spec: synthetic_spec("expected_success", &json!({"int": [1, 8]}))?,
            endpoint: &uneven,
        },
        Kind {
            name: "recorded arithmetic",
            spec: arithmetic.spec,
            endpoint: &arithmetic.corpus,
        },
    ];
    writeln!(
        out,
        "\nOne configuration is best: how often 95 % intervals cover the truth (at least {:.0} % wanted), \
         and their mean width",
        100.0 * LEAST_COVERAGE
    )?;
    print_known(out, &known, seeds)
}

fn print_null(out: &mut impl Write, kinds: &[Kind<'_>], seeds: u64) -> anyhow::Result<()> {
    let mut table = table::new([
        "null jobs",
        "held out",
        "significant",
        "few enough",
        "if judged on the search's rows",
    ]);
    for kind in kinds {
        for held_out in HELD_OUT {
            let verdicts = parallel::each(seeds, |seed| judge(kind, TUNING, held_out, seed))?;
            let count = |is: fn(&Verdict) -> bool| Share::of(verdicts.iter().map(is));
            let significant = count(|one| one.significant);
            table.add_row([
                kind.name.to_owned(),
                held_out.to_string(),
                significant.show(),
                yes(significant.keeps_to(MOST_FALSE)).to_owned(),
                count(|one| one.significant_on_tuning).show(),
            ]);
        }
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn print_known(out: &mut impl Write, kinds: &[Kind<'_>], seeds: u64) -> anyhow::Result<()> {
    let mut table = table::new([
        "jobs with a best configuration",
        "held out",
        "utility covered",
        "enough",
        "width",
        "difference covered",
        "width",
        "true utility",
        "better in truth",
        "significant",
    ]);
    for kind in kinds {
        for held_out in HELD_OUT {
            let verdicts = parallel::each(seeds, |seed| judge(kind, TUNING, held_out, seed))?;
            let count = |is: fn(&Verdict) -> bool| Share::of(verdicts.iter().map(is));
            let intervals = |of: fn(&Verdict) -> Option<(bool, f64)>| {
                let found = || verdicts.iter().filter_map(of);
                let covered = Share::of(found().map(|(covered, _)| covered));
                let widths: f64 = found().map(|(_, width)| width).sum();
                (
                    covered,
                    format!("{:.3}", widths / f64::from(covered.of.max(1))),
                )
            };
            let (utility, utility_width) = intervals(|one| one.utility);
            let (difference, difference_width) = intervals(|one| one.difference);
            table.add_row([
                kind.name.to_owned(),
                held_out.to_string(),
                utility.show(),
                yes(utility.reaches(LEAST_COVERAGE)).to_owned(),
                utility_width,
                difference.show(),
                difference_width,
                table::quartiles(verdicts.iter().filter_map(|one| one.truth).collect(), 2),
                count(|one| one.better).show(),
                count(|one| one.significant).show(),
            ]);
        }
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// Runs one job over so many rows drawn from the population, and as many others held out, and holds its
/// report against the truth.
///
/// # Errors
/// The job makes no sense.
pub fn judge(
    kind: &Kind<'_>,
    tuning: usize,
    held_out: usize,
    seed: u64,
) -> anyhow::Result<Verdict> {
    let mut generator = ChaCha8Rng::seed_from_u64(mix(seed));
    let mut rows = |count: usize| -> Vec<usize> {
        let population = kind.endpoint.rows();
        (0..count)
            .map(|_| generator.random_range(0..population))
            .collect()
    };
    let (tuning, holdout) = (rows(tuning), rows(held_out));
    let mut spec = kind.spec.clone();
    spec.search.seed = seed;
    let found = run::run(Job {
        spec: &spec,
        endpoint: kind.endpoint,
        tuning: &tuning,
        holdout: &holdout,
        earlier: None,
    })?;
    Ok(verdict(&spec, kind.endpoint, &found))
}

fn verdict(spec: &JobSpec, endpoint: &dyn Endpoint, found: &Found) -> Verdict {
    let report = &found.report;
    let Some(winner) = found.winner() else {
        return Verdict::default();
    };
    let truth = |settings| truth::utility(endpoint, settings, spec.objective.metric);
    let Some(best) = truth(&winner.settings) else {
        return Verdict::default();
    };
    let direction = spec.objective.direction;
    let held = |estimate: &IntervalEstimate, truth: f64| {
        let interval = estimate.interval;
        let covers = (interval.low..=interval.high).contains(&truth);
        (covers, interval.high - interval.low)
    };
    let mut verdict = Verdict {
        utility: report
            .holdout
            .as_ref()
            .map(|holdout| held(&holdout.winner, best)),
        truth: Some(best),
        curse: report
            .winner
            .as_ref()
            .map(|winner| winner.evaluation.utility.mean - best),
        significant: report.verdict.improvement == Improvement::Significant,
        ..Verdict::default()
    };
    let baseline = found.trials.get(&run::BASELINE);
    if let Some(other) = baseline.and_then(|baseline| truth(&baseline.settings)) {
        let holdout = report.holdout.as_ref();
        let difference = holdout.and_then(|holdout| holdout.difference.as_ref());
        verdict.difference = difference.map(|difference| held(difference, best - other));
        verdict.better = direction.better(best, other);
    }
    let number = report.winner.as_ref().map(|winner| winner.trial);
    let of_winner = number.and_then(|number| found.utilities(number));
    if let Some((winner, baseline)) = of_winner.zip(found.utilities(run::BASELINE)) {
        let paired = PairedDifferences::of(spec.objective.metric, winner, baseline);
        verdict.significant_on_tuning = paired.is_some_and(|differences| {
            differences.improvement(direction) == Improvement::Significant
        });
    }
    verdict
}

/// A job over a synthetic endpoint: two models, two prompts, a temperature.
///
/// # Errors
/// It has faults.
pub fn synthetic_spec(reduce: &str, n: &Value) -> anyhow::Result<JobSpec> {
    let rows: Vec<Value> = (0..TUNING)
        .map(|id| json!({"id": id, "right": "right"}))
        .collect();
    let body = json!({
        "data": {"instances": rows},
        "prompts": [{"name": "short", "text": "{{ id }}"}, {"name": "long", "text": "{{ id }}"}],
        "search_space": {
            "temperature": {"float": [0, 1]},
            "max_tokens": {"int": [60, 200], "scale": "log"},
            "n": n,
        },
        // What is right is the endpoint's to say; this only has to be a scorer.
        "scoring": {"scorer": {"type": "exact", "expected": "{{ right }}"}, "reduce": reduce},
    });
    let models = [("small", 0.1, 0.4), ("large", 0.2, 0.8)];
    data_set::spec(body, &models, 0.000_3)
}

/// Abilities with one best model, prompt and temperature, none of them the default.
pub fn ability(settings: &Settings) -> f64 {
    let model = [0.0, 0.6][settings.sampling.model.min(1)];
    let prompt = [0.0, 0.5][settings.sampling.prompt.min(1)];
    let off = settings.sampling.temperature.unwrap_or(1.0) - 0.3;
    model + prompt - 2.0 * off * off
}
