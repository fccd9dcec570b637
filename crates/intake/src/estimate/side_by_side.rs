//! What an evaluation may cost: each of its configurations, and all of them together.

use super::{Basis, Cost, Costs, Point, Responses};
use frugal_domain::configuration::{Extent, Settings};
use frugal_domain::fault::Fault;
use frugal_domain::job::JobSpec;
use frugal_domain::job::points::NotAPoint;
use frugal_domain::money::Spend;

/// What an evaluation may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationEstimate {
    /// Each configuration on all rows by itself, in the order in which they are given.
    pub configurations: Vec<Point>,
    /// All of them: responses that several use are paid for once.
    pub expected: Spend,
    /// The same where every response has `max_tokens`, and every prompt the allowance besides.
    pub at_most: Spend,
    /// Rows that the budget pays for under every configuration.
    pub rows: PayableRows,
}

/// Rows that the budget of an evaluation pays for under every configuration; never more than there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayableRows {
    /// Rows of the data.
    pub of: u64,
    /// With responses as long as expected.
    pub expected: u64,
    /// With every response at `max_tokens`.
    pub at_least: u64,
}

impl EvaluationEstimate {
    /// That the budget is not expected to pay for every row, where it is not.
    #[must_use]
    pub fn warning(&self, spec: &JobSpec) -> Option<Fault> {
        let PayableRows { of, expected, .. } = self.rows;
        if expected >= of {
            return None;
        }
        let budget = spec.optimization_budget;
        let amount = |spend: Spend| budget.unit().budget(budget.unit().of(spend));
        Some(Fault {
            pointer: "/budgets/evaluation".to_owned(),
            detail: format!(
                "{budget} is expected to pay for {expected} of {of} rows under every configuration: all of them \
                 may cost {}, and at most {}. The rows that it pays for are seen under all configurations \
                 alike; raise it, or take fewer rows with `data.sample`",
                amount(self.expected),
                amount(self.at_most)
            ),
        })
    }
}

/// What the configurations of an evaluation may cost.
///
/// # Errors
/// One of them is none of the evaluation's.
pub fn side_by_side(spec: &JobSpec, basis: &Basis) -> Result<EvaluationEstimate, NotAPoint> {
    let costs = Costs { spec, basis };
    let named = spec.evaluation.iter().flat_map(|it| &it.configurations);
    let settings: Vec<Settings> = named
        .map(|named| spec.settings(&named.configuration))
        .collect::<Result<_, _>>()?;
    let all = |responses| costs.together(&settings, responses);
    let (expected, at_most) = (all(Responses::Half), all(Responses::Full));
    let unit = spec.optimization_budget.unit();
    let payable = |cost: Cost| {
        let rows = u128::from(basis.tuning_rows);
        let paid = u128::from(spec.optimization_budget.amount()) * rows;
        let paid = paid.checked_div(cost.of(unit)).unwrap_or(rows);
        u64::try_from(paid.min(rows)).unwrap_or(basis.tuning_rows)
    };
    Ok(EvaluationEstimate {
        expected: expected.spend(),
        at_most: at_most.spend(),
        rows: PayableRows {
            of: basis.tuning_rows,
            expected: payable(expected),
            at_least: payable(at_most),
        },
        configurations: settings.into_iter().map(|one| costs.point(one)).collect(),
    })
}

impl Costs<'_> {
    /// What all of them cost together. Those with the same sampling settings share responses: the one
    /// with the largest `max_tokens`, and of these with the largest `n`, is asked for first, and the
    /// others for what is left. A judge is asked about every answer of each, since a cut one is another.
    fn together(&self, settings: &[Settings], responses: Responses) -> Cost {
        let extent = |one: &Settings| (one.extent.max_tokens, one.extent.n);
        let mut order: Vec<&Settings> = settings.iter().collect();
        order.sort_by_key(|one| std::cmp::Reverse(extent(one)));
        let shares = !self.spec.measures_own_latency();
        let mut total = Cost { pico: 0, tokens: 0 };
        for (place, one) in order.iter().enumerate() {
            let before = order[..place].iter().filter(|_| shares);
            let alike = before.filter(|other| other.sampling == one.sampling);
            let there = alike.map(|other| other.extent.n).max().unwrap_or(0);
            let Extent { max_tokens, n } = one.extent;
            let asked = n.saturating_sub(there);
            if asked > 0 {
                let (model, prompt) = (one.sampling.model, one.sampling.prompt);
                total = total.and(self.of(model, prompt, asked, max_tokens, responses));
            }
            total = total.and(self.judged(one, responses));
        }
        total
    }
}
