//! How sure a report is: its intervals, jobs in which nothing is better, the winner's curse, and what
//! held-out rows cost.

use super::effort::Effort;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Plot, Series};
use crate::certainty::{Kind, TUNING, Verdict, ability, judge, synthetic_spec};
use crate::coverage::{self, LEAST_COVERAGE, MOST_FALSE};
use crate::parallel;
use crate::shapes::{PAIR_SHAPES, SHAPES};
use crate::share::Share;
use crate::spread::{Sign, Spread};
use crate::synthetic::{self, Synthetic};
use frugal_evaluation::statistics::FEWEST_DIFFERING;
use serde_json::json;

const SIZES: [usize; 4] = [15, 30, 60, 120];
/// Samples of a shape and a size, for each seed.
const SAMPLES: u64 = 50;
/// Rows of the jobs in which rows are shared out, and how many of them are held out.
const SHARED_OUT: usize = 80;
const HELD_OUT: [usize; 4] = [0, 20, 40, 60];
/// The most answers of the jobs that search their number.
const MOST_RESPONSES: u32 = 8;

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let sizes = effort.some(&SIZES, 1);
    let samples = if effort.short {
        4
    } else {
        SAMPLES * effort.seeds
    };
    let (intervals, widths, covered) = intervals(sizes, samples, effort)?;
    let differences = differences(sizes, samples, effort)?;
    let even = Synthetic::new(|_| 0.0);
    let uneven = Synthetic::new(ability);
    let (several, one, four) = (json!({"int": [1, MOST_RESPONSES]}), json!(1), json!(4));
    let kind = |endpoint, name, reduce, n| -> anyhow::Result<Kind<'_>> {
        Ok(Kind {
            name,
            spec: synthetic_spec(reduce, n)?,
            endpoint,
        })
    };
    let nulls = [
        kind(&even, "mean of several", "mean", &several)?,
        kind(&even, "success of one", "success", &one)?,
    ];
    let known = [
        kind(
            &uneven,
            "expected_success of several",
            "expected_success",
            &several,
        )?,
        kind(&uneven, "mean of several", "mean", &several)?,
        kind(&uneven, "min of 4", "min", &four)?,
    ];
    let jobs = |kind: &Kind<'_>, tuning: usize, held_out: usize| {
        parallel::each(effort.seeds, |seed| judge(kind, tuning, held_out, seed))
    };

    let mut null_table = Table::new(
        "null-jobs",
        "Jobs in which all configurations are alike: the share that calls its winner significantly better",
        [
            "metric",
            "held out",
            "significant",
            "if judged on the search's rows",
            "jobs",
        ],
    );
    let mut nulls_judged = Vec::new();
    for kind in effort.some(&nulls, 1) {
        for held_out in sizes {
            let verdicts = jobs(kind, TUNING, *held_out)?;
            null_table.push([
                kind.name.into(),
                Cell::Count(*held_out as u64),
                share(&verdicts, |one| one.significant).into(),
                share(&verdicts, |one| one.significant_on_tuning).into(),
                Cell::Count(verdicts.len() as u64),
            ]);
            nulls_judged.extend(verdicts);
        }
    }

    let mut curse_table = Table::new(
        "curse",
        "The winner's utility on the rows that chose it less its true one, by rows and metric",
        ["metric", "rows", "estimated less true", "true utility"],
    );
    let mut curses = Vec::new();
    let mut curse_lines = Vec::new();
    for kind in effort.some(&known, 1) {
        let mut line = Vec::new();
        for rows in sizes {
            let verdicts = jobs(kind, *rows, 0)?;
            let curse: Vec<f64> = verdicts.iter().filter_map(|one| one.curse).collect();
            let truth: Vec<f64> = verdicts.iter().filter_map(|one| one.truth).collect();
            let curse = Spread::of(&curse);
            curse_table.push([
                kind.name.into(),
                Cell::Count(*rows as u64),
                curse.into(),
                Spread::of(&truth).into(),
            ]);
            line.push(curse.value());
            curses.push((kind.name, *rows, curse));
        }
        curse_lines.push(Series {
            name: kind.name.to_owned(),
            values: line,
        });
    }

    let mut held_table = Table::new(
        "held-out",
        format!("{SHARED_OUT} rows shared out between the search and what is held out"),
        [
            "metric",
            "held out",
            "true utility",
            "better in truth",
            "significant",
        ],
    );
    let mut held_lines = Vec::new();
    let mut held = Vec::new();
    for kind in effort.some(&known, 1) {
        let mut line = Vec::new();
        let mut truths = Vec::new();
        for held_out in effort.some(&HELD_OUT, 2) {
            let verdicts = jobs(kind, SHARED_OUT - held_out, *held_out)?;
            let truth: Vec<f64> = verdicts
                .iter()
                .map(|one| one.truth.unwrap_or(0.0))
                .collect();
            let significant = share(&verdicts, |one| one.significant);
            held_table.push([
                kind.name.into(),
                Cell::Count(*held_out as u64),
                Spread::of(&truth).into(),
                share(&verdicts, |one| one.better).into(),
                significant.into(),
            ]);
            line.push(Spread::of(&truth).value());
            truths.push((*held_out, truth, significant));
        }
        held_lines.push(Series {
            name: kind.name.to_owned(),
            values: line,
        });
        held.push((kind.name, truths));
    }

    let called = Share::of(nulls_judged.iter().map(|one| one.significant));
    let on_tuning = Share::of(nulls_judged.iter().map(|one| one.significant_on_tuning));
    let keeps = called.keeps_to(MOST_FALSE);
    let least = covered
        .iter()
        .min_by(|one, other| one.2.value().total_cmp(&other.2.value()));
    let least_text = least.map_or_else(String::new, |(shape, size, share)| {
        format!("the least is {} (`{shape}`, {size} rows)", share.show())
    });
    let short_of_it = covered
        .iter()
        .filter(|(.., share)| !share.reaches(LEAST_COVERAGE))
        .count();
    let first_size = sizes[0];
    let curse_of = |rows: usize| -> Vec<f64> {
        curses
            .iter()
            .filter(|one| one.1 == rows)
            .map(|one| one.2.mean)
            .collect()
    };
    let last_size = sizes[sizes.len() - 1];
    let [few, many] = [first_size, last_size].map(|rows| Spread::of(&curse_of(rows)).mean);
    let costs: Vec<String> = held
        .iter()
        .filter_map(|(name, truths)| {
            let (first, last) = (truths.first()?, truths.last()?);
            let change = Spread::of_differences(&last.1, &first.1);
            Some(format!(
                "{} ({name}, {} held out: significant in {:.0} %)",
                change.change(3),
                last.0,
                100.0 * last.2.mean
            ))
        })
        .collect();
    let mut surprises = Vec::new();
    if !keeps {
        surprises.push(format!(
            "Null jobs call their winner significantly better more often than in {:.1} %.",
            100.0 * MOST_FALSE
        ));
    }
    if !on_tuning.keeps_to(MOST_FALSE) {
        surprises.push(format!(
            "Judged on the rows that chose it, {} of null jobs' winners would be called significantly better.",
            on_tuning.show()
        ));
    }
    let largest = curses.iter().filter(|(_, rows, _)| *rows == last_size);
    for (name, rows, curse) in largest.filter(|(.., curse)| curse.sign() == Sign::Above) {
        surprises.push(format!(
            "With as many as {rows} rows the winner of `{name}` is still estimated above what it is worth ({}).",
            curse.change(3)
        ));
    }
    for (name, rows, curse) in &curses {
        if curse.sign() == Sign::Below {
            surprises.push(format!(
                "With {rows} rows the winner of `{name}` is estimated below what it is worth ({}).",
                curse.change(3)
            ));
        }
    }
    Ok(Findings {
        set_up: format!(
            "{samples} samples of each of {} shapes of values and {} of paired differences at {} rows, whose means are \
             known; then {} whole jobs of each kind on a synthetic endpoint ({} rows, {} models, {} prompts, a temperature, \
             where there are several answers up to {MOST_RESPONSES}) whose truth is known, rows drawn from it anew by seed: \
             null jobs in which all configurations are alike, with {TUNING} rows to search on, and jobs with one best \
             configuration.",
            SHAPES.len(),
            PAIR_SHAPES.len(),
            list(sizes),
            effort.seeds,
            synthetic::ROWS,
            nulls[0].spec.models.len(),
            nulls[0].spec.prompts.len()
        ),
        answer: [
            format!(
                "The reports' 95 % intervals cover the truth in at least {:.0} % of samples, within two standard errors, {} \
                 ({least_text}), and {} of null jobs call their winner significantly better, {} {:.1} %.",
                100.0 * LEAST_COVERAGE,
                match short_of_it {
                    0 => "at every number of rows and shape of values".to_owned(),
                    some => format!(
                        "but for {some} of the {} numbers of rows and shapes of values",
                        covered.len()
                    ),
                },
                called.show(),
                if keeps { "which keeps to" } else { "more than" },
                100.0 * MOST_FALSE
            ),
            format!(
                "The winner's estimate is off by {few:+.3} with {first_size} rows and {many:+.3} with {last_size}, means of \
                 the metrics, and holding rows out instead of searching on them changes the winner's true utility by {}.",
                costs.join("; ")
            ),
        ],
        surprises,
        would_change: format!(
            "fewer than {FEWEST_DIFFERING} held-out rows, which leave no power at all, and utilities nearer to 1 than those \
             here, which need more rows before a failure is seen. Where costs have heavier tails than the lognormal ones \
             here, intervals of costs cover less. More configurations alike make the curse larger, since the best of more \
             is further from the mean."
        ),
        plots: vec![
            Plot {
                name: "coverage",
                caption: "The shape of values that 95 % intervals cover least, by rows: Frugal's, the bootstrap's, Student's".to_owned(),
                x: "rows",
                y: "share that covers the truth",
                drawn: Drawn::Lines {
                    steps: sizes.iter().map(ToString::to_string).collect(),
                    series: widths,
                },
            },
            Plot {
                name: "curse",
                caption: "The winner's utility as estimated on the rows that chose it less its true one; the band is two standard errors".to_owned(),
                x: "rows",
                y: "estimated less true",
                drawn: Drawn::Lines {
                    steps: sizes.iter().map(ToString::to_string).collect(),
                    series: curse_lines,
                },
            },
            Plot {
                name: "held-out",
                caption: format!("The winner's true utility by how many of {SHARED_OUT} rows are held out; the band is two standard errors"),
                x: "rows held out",
                y: "true utility",
                drawn: Drawn::Lines {
                    steps: effort.some(&HELD_OUT, 2).iter().map(ToString::to_string).collect(),
                    series: held_lines,
                },
            },
        ],
        tables: vec![intervals, differences, null_table, curse_table, held_table],
    })
}

/// Coverage and width of the intervals of means; with the least coverage by rows as lines, and every
/// coverage of Frugal's own.
type Intervals = (Table, Vec<Series>, Vec<(&'static str, usize, Share)>);

fn intervals(sizes: &[usize], samples: u64, effort: Effort<'_>) -> anyhow::Result<Intervals> {
    let mut table = Table::new(
        "intervals",
        "95 % intervals of means: how often they cover the truth, and their width",
        [
            "values",
            "metric",
            "rows",
            "covered",
            "width",
            "bootstrap covered",
            "bootstrap width",
            "Student covered",
            "Student width",
        ],
    );
    let mut covered = Vec::new();
    let mut least = [const { Vec::new() }; 3];
    for size in sizes {
        let mut worst = [1.0_f64; 3];
        for shape in effort.some(&SHAPES, 3) {
            let found = coverage::of_means(shape, *size, samples)?;
            let [own, bootstrap, student] = found;
            table.push([
                shape.name.into(),
                shape.metric.to_string().into(),
                Cell::Count(*size as u64),
                Spread::from(own.covered).into(),
                own.mean_width.into(),
                Spread::from(bootstrap.covered).into(),
                bootstrap.mean_width.into(),
                Spread::from(student.covered).into(),
                student.mean_width.into(),
            ]);
            covered.push((shape.name, *size, own.covered));
            for (worst, one) in worst.iter_mut().zip(found) {
                *worst = worst.min(one.covered.value());
            }
        }
        for (least, worst) in least.iter_mut().zip(worst) {
            least.push(Some((worst, 0.0)));
        }
    }
    let lines = ["Frugal's", "bootstrap", "Student's"]
        .into_iter()
        .zip(least);
    let lines = lines.map(|(name, values)| Series {
        name: name.to_owned(),
        values,
    });
    Ok((table, lines.collect(), covered))
}

fn differences(sizes: &[usize], samples: u64, effort: Effort<'_>) -> anyhow::Result<Table> {
    let mut table = Table::new(
        "differences",
        "95 % intervals of paired differences, and how often the first is called significantly better",
        [
            "differences",
            "metric",
            "rows",
            "mean",
            "covered",
            "width",
            "significant",
            "bootstrap covered",
            "bootstrap significant",
        ],
    );
    for shape in effort.some(&PAIR_SHAPES, 2) {
        for size in sizes {
            let [own, bootstrap] = coverage::of_differences(shape, *size, samples)?;
            table.push([
                shape.name.into(),
                shape.metric.to_string().into(),
                Cell::Count(*size as u64),
                shape.mean.into(),
                own.covered.value().into(),
                own.mean_width.into(),
                own.significant.value().into(),
                bootstrap.covered.value().into(),
                bootstrap.significant.value().into(),
            ]);
        }
    }
    Ok(table)
}

/// In what share of some jobs it is so.
fn share(verdicts: &[Verdict], is: fn(&Verdict) -> bool) -> Spread {
    Share::of(verdicts.iter().map(is)).into()
}
