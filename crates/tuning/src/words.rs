//! What an evaluation has found, in a sentence.

use crate::amounts;
use crate::comparison::{Better, Comparison, Difference, LEVEL};
use crate::evaluation_report::{Evaluated, Ranked, Rows};
use frugal_domain::job::JobSpec;
use frugal_domain::state::StopReason;
use frugal_domain::trial::Interval;
use frugal_evaluation::statistics::FEWEST_DIFFERING;

/// What there is to tell.
pub(crate) struct Found<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) stop_reason: StopReason,
    /// The name of the configuration that the others are compared with.
    pub(crate) reference: &'a str,
    pub(crate) rows: Rows,
    pub(crate) configurations: &'a [Evaluated],
    pub(crate) comparisons: &'a [Comparison],
    pub(crate) ranking: &'a [Ranked],
}

impl Found<'_> {
    fn metric(&self) -> &'static str {
        self.spec.objective.metric.as_str()
    }

    fn of(&self, name: &str) -> Option<&Evaluated> {
        self.configurations.iter().find(|one| one.name == name)
    }

    /// How a comparison stands in the objective.
    fn difference<'a>(&self, comparison: &'a Comparison) -> Option<&'a Difference> {
        comparison.metrics.get(self.metric())
    }

    /// On how many of the rows.
    fn on(&self, seen: u32) -> String {
        let Rows { of, .. } = self.rows;
        if seen as usize == of {
            return format!("on {of} rows");
        }
        let why = match self.stop_reason {
            StopReason::BudgetExhausted => ", where the budget ended",
            StopReason::Deadline => ", where the time was over",
            StopReason::Cancelled => ", where it was cancelled",
            _ => "",
        };
        format!("on {seen} of {of} rows{why}")
    }

    /// A configuration by itself: how good it is and what it costs.
    fn by_itself(&self, one: &Evaluated) -> Option<String> {
        let utility = one.metrics.get(self.metric())?;
        let cost = one.inference_cost?;
        let budget = match (one.within_inference_budget, self.spec.inference_budget) {
            (Some(true), Some(budget)) => {
                format!(", within the inference budget of {budget}")
            }
            (Some(false), Some(budget)) => {
                format!(", over the inference budget of {budget}")
            }
            _ => String::new(),
        };
        let violated = match one.violated.as_slice() {
            [] => String::new(),
            violated => format!(
                ", and violates the constraint on `{}`",
                violated.join("`, `")
            ),
        };
        Some(format!(
            "`{}` comes to {} in {} (95 % interval {}) at {} an instance{budget}{violated}, {}",
            one.name,
            amounts::three_digits(utility.estimate.mean),
            self.metric(),
            range(utility.interval),
            amounts::cost(cost.unit, cost.cost.estimate.mean),
            self.on(utility.estimate.count)
        ))
    }

    /// What a configuration costs beside the reference.
    fn cost_beside(&self, name: &str) -> String {
        let mean = |name: &str| Some(self.of(name)?.inference_cost?.cost.estimate.mean);
        match (mean(name), mean(self.reference)) {
            (Some(cost), Some(reference)) if reference > 0.0 && cost > 0.0 => {
                let ratio = cost / reference;
                if (ratio - 1.0).abs() < 0.005 {
                    " and costs as much".to_owned()
                } else {
                    format!(" and costs {} as much", amounts::times(ratio))
                }
            }
            _ => String::new(),
        }
    }

    /// A difference in numbers.
    fn in_numbers(&self, difference: &Difference) -> String {
        let corrected = match self.comparisons.len() {
            1 => String::new(),
            others => format!(" after Holm's correction for {others} comparisons"),
        };
        format!(
            "{}{} (95 % interval {}; {}{corrected})",
            if difference.estimate.mean > 0.0 {
                "+"
            } else {
                ""
            },
            amounts::three_digits(difference.estimate.mean),
            range(difference.interval),
            amounts::p_value(difference.adjusted_p_value)
        )
    }
}

/// The sentence.
pub(crate) fn verdict(found: &Found<'_>) -> String {
    let Some(first) = found.ranking.first() else {
        let why = found
            .configurations
            .iter()
            .find_map(|one| one.detail.as_deref());
        return match why {
            Some(why) => format!("no configuration was evaluated: {why}"),
            None => "no configuration was evaluated".to_owned(),
        };
    };
    let alone = || {
        let first = found.of(&first.configuration);
        first
            .and_then(|first| found.by_itself(first))
            .unwrap_or_default()
    };
    if found.configurations.len() == 1 {
        return alone();
    }
    if found.comparisons.is_empty() {
        let was_evaluated = found
            .ranking
            .iter()
            .any(|one| one.configuration == found.reference);
        return match was_evaluated {
            true => format!("only the reference was evaluated: {}", alone()),
            false => format!(
                "the reference `{}` was not evaluated, so nothing was compared with it; the best of the \
                 others: {}",
                found.reference,
                alone()
            ),
        };
    }
    let metric = found.metric();
    // Best first, as the ranking has them.
    let order = |comparison: &&Comparison| {
        let mut places = found.ranking.iter();
        places.position(|one| one.configuration == comparison.configuration)
    };
    let mut compared: Vec<&Comparison> = found.comparisons.iter().collect();
    compared.sort_by_key(order);
    let shown = |better: Better| {
        let mut all = compared.iter();
        all.find(|one| {
            found
                .difference(one)
                .is_some_and(|difference| difference.significant && difference.better == better)
        })
    };
    if let Some(comparison) = shown(Better::Configuration)
        && let Some(difference) = found.difference(comparison)
    {
        let name = &comparison.configuration;
        let but = match found.of(name).and_then(|one| one.valid) {
            Some(false) => ", but it is over the inference budget or violates a constraint",
            _ => "",
        };
        return format!(
            "`{name}` is better than `{}` in {metric} by {}{}, {}{but}",
            found.reference,
            found.in_numbers(difference),
            found.cost_beside(name),
            found.on(comparison.instances)
        );
    }
    let (Some(comparison), Some(difference)) = (
        compared.first(),
        compared.first().and_then(|one| found.difference(one)),
    ) else {
        return format!(
            "no row has a {metric} of both `{}` and another",
            found.reference
        );
    };
    let all_worse = compared.iter().all(|one| {
        found
            .difference(one)
            .is_some_and(|it| it.significant && it.better == Better::Reference)
    });
    let name = &comparison.configuration;
    let numbers = found.in_numbers(difference);
    let cost = found.cost_beside(name);
    let on = found.on(comparison.instances);
    if all_worse {
        let best = if compared.len() == 1 {
            ""
        } else {
            ", the best of the others,"
        };
        return format!(
            "`{}` is better than every other in {metric}: `{name}`{best} differs by {numbers}{cost}, {on}",
            found.reference
        );
    }
    let few = match (comparison.instances as usize) < FEWEST_DIFFERING {
        true => format!("; fewer than {FEWEST_DIFFERING} rows can show no difference"),
        false => String::new(),
    };
    format!(
        "no configuration is shown to be better than `{}` in {metric} at a level of {LEVEL}: `{name}`, the best \
         of the others, differs by {numbers}{cost}, {on}{few}",
        found.reference
    )
}

fn range(interval: Interval) -> String {
    format!(
        "{} to {}",
        amounts::three_digits(interval.low),
        amounts::three_digits(interval.high)
    )
}
