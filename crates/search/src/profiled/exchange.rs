//! What a profiled search asks for, what it is told in return, and what it comes to.

use frugal_domain::configuration::Extent;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::Observation;
use frugal_domain::trial::QualityDifference;
use std::collections::BTreeMap;

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Ask for these responses.
    Draw(Batch),
    /// Nothing until the oldest batch in the air has been told.
    Wait,
    /// Nothing more.
    Over(Over),
}

/// Why there is nothing more to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing that could still be paid would tell anything.
    NothingToGain,
    /// What would tell something cannot be paid.
    BudgetSpent,
    /// As many arms were drawn for as the job allows, and these have no more to tell.
    TrialLimit,
    /// As many arms in a row as the job allows brought no new leader, and there is no more to tell
    /// of those that there are.
    NoImprovement,
}

/// Requests that belong together: some rows of one arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The arm, numbered in the order of its opening.
    pub arm: usize,
    /// The rows, by their own positions.
    pub rows: Vec<usize>,
    /// Responses for each row.
    pub responses: u32,
    /// The limit of tokens that they are drawn under.
    pub max_tokens: u32,
    /// Limits of tokens, in rising order, at which responses that score are scored too, to see how
    /// much of them is [enough](DrawnResponse::enough).
    pub limits: Vec<u32>,
}

/// What came of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Rows with responses.
    pub drawn: Vec<Drawn>,
    /// Rows whose requests failed for good.
    pub failed: Vec<usize>,
    /// Those of them whose prompts the endpoint refuses, whatever the arm.
    pub left_out: Vec<usize>,
    /// Whether the endpoint refuses the arm's settings.
    pub refused: bool,
    /// Whether some of it could not be paid any more.
    pub unaffordable: bool,
    /// What it cost, in the unit of the optimization budget.
    pub cost: f64,
    /// The part of it that a judge was paid, and how many responses it was asked about.
    pub judged: (f64, usize),
}

/// What one row's requests brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The row.
    pub row: usize,
    /// Tokens of its prompt, where the endpoint counted them.
    pub prompt_tokens: Option<u64>,
    /// The responses.
    pub responses: Vec<DrawnResponse>,
}

/// A response, scored as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnResponse {
    /// Its length.
    pub tokens: u64,
    /// Whether it ended by itself.
    pub ended: bool,
    /// What was said of it.
    pub observed: Observation,
    /// The fewest of its tokens that are known to score as well as all of it.
    pub enough: u64,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
}

/// What the search says of an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmEstimate {
    /// The extent that it is best at.
    pub extent: Extent,
    /// Every metric there, with its standard error where that is known. Those of answers are
    /// estimates of the search, shrunk towards what other arms and rows say.
    pub metrics: BTreeMap<Metric, (f64, Option<f64>)>,
    /// The inference cost and its standard error, in dollars or tokens.
    pub inference_cost: (f64, Option<f64>),
    /// Whether that is within the inference budget and no constraint is violated.
    pub affordable: bool,
    /// What the quality of its answers is less that of what it is to be as good as, where the cheapest
    /// is sought.
    pub quality_difference: Option<QualityDifference>,
    /// Whether it cannot be evaluated: it is refused, or too many of its requests failed.
    pub closed: bool,
    /// Whether every row was seen.
    pub complete: bool,
    /// Rows seen.
    pub rows: usize,
    /// The fewest responses of any of them.
    pub responses: usize,
}

/// What a search comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conclusion {
    /// The best arm, if any can be afforded.
    pub winner: Option<usize>,
    /// Every arm that has responses.
    pub arms: BTreeMap<usize, ArmResult>,
}

/// What a search comes to for one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmResult {
    /// The estimate.
    pub estimate: ArmEstimate,
    /// The objective on each row that it was drawn on: of answers what is expected of the row, of
    /// other metrics what was seen there.
    pub values: BTreeMap<usize, f64>,
}
