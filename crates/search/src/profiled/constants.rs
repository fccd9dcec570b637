//! What the model takes for granted before it has seen anything, and how the search weighs gains.
//!
//! The values were found on worlds of known truth (`frugal-benchmark worlds`); `docs/profiled.md`
//! says what each is worth. Chances are modelled as log-odds, so the deviations are in log-odds.

/// The mean log-odds of a right answer at the reference temperature.
pub(super) const PRIOR_LOG_ODDS: f64 = -0.3;
/// Log-odds that cooling pushes away from: colder sampling makes a likely answer likelier.
pub(super) const PIVOT: f64 = -0.5;

/// Deviations of an arm's mean log-odds: what all arms share, what a model has, a prompt, both
/// together, and what the temperature adds.
pub(super) const MEAN_ALL: f64 = 1.5;
pub(super) const MEAN_MODEL: f64 = 1.0;
pub(super) const MEAN_PROMPT: f64 = 0.5;
pub(super) const MEAN_PAIR: f64 = 0.3;
pub(super) const MEAN_HEAT: f64 = 0.15;
/// What all other sampling settings add, where the space has any.
pub(super) const MEAN_OTHER: f64 = 0.4;
/// How far two temperatures must lie apart to be unlike in the mean.
pub(super) const MEAN_HEAT_LENGTH: f64 = 0.4;

/// Deviations of an instance's log-odds from its arm's mean, with the same parts: an instance is
/// hard for everyone, for a model, under a prompt, …
pub(super) const ROW_ALL: f64 = 1.3;
pub(super) const ROW_MODEL: f64 = 1.1;
pub(super) const ROW_PROMPT: f64 = 0.3;
pub(super) const ROW_PAIR: f64 = 0.8;
pub(super) const ROW_HEAT: f64 = 0.25;
pub(super) const ROW_OTHER: f64 = 0.5;
/// An arm's own, shared with no other.
pub(super) const ROW_OWN: f64 = 0.35;
/// How far two temperatures must lie apart to be unlike on an instance.
pub(super) const ROW_HEAT_LENGTH: f64 = 0.5;

/// How alike a temperature and a `top_p` are at most.
pub(super) const ACROSS_KINDS: f64 = 0.8;
/// How far two values of another numeric setting must lie apart to be unlike, its range being 1.
pub(super) const OTHER_LENGTH: f64 = 0.4;
/// How alike two values of another setting are that are not numbers.
pub(super) const OTHER_UNLIKE: f64 = 0.3;

/// The temperature that the deviations above are stated at; others scale them by the root of its
/// ratio to them, within bounds.
pub(super) const REFERENCE_TEMPERATURE: f64 = 0.8;
pub(super) const LEAST_TEMPERATURE_SCALE: f64 = 0.8;
pub(super) const LARGEST_TEMPERATURE_SCALE: f64 = 2.5;
/// Above this temperature the mean falls, by so much per unit.
pub(super) const HOT: f64 = 1.0;
pub(super) const HOT_SLOPE: f64 = 2.5;

/// The share of instances out of reach of a model (chance 0) before anything is known, and how many
/// observations that is worth.
pub(super) const UNREACHABLE_SHARE: f64 = 0.25;
pub(super) const UNREACHABLE_WEIGHT: f64 = 4.0;
/// The part of it that is the model's own fault; the rest is one prompt's.
pub(super) const UNREACHABLE_BY_MODEL: f64 = 0.5;
/// How many wrong answers in a row count at most against an instance that was never right.
pub(super) const MOST_WRONG: f64 = 20.0;
/// The chance that an instance that was never right is out of reach of one arm for reasons of its
/// own.
pub(super) const OWN_UNREACHABLE: f64 = 0.03;
/// The weight of a wide prior mixed into what the model says of an instance.
pub(super) const WIDE: f64 = 0.1;

/// Joint draws from the posterior.
pub(super) const SAMPLES: usize = 48;
/// Arms that the regression takes in at most.
pub(super) const MOST_REGRESSED: usize = 16;
/// Iterations of the Laplace approximation at most, where it starts from nothing and where from an
/// earlier one; and the change of log-odds that ends them.
pub(super) const ITERATIONS: usize = 12;
pub(super) const WARM_ITERATIONS: usize = 4;
pub(super) const CONVERGED: f64 = 0.02;

/// Tokens of a response before any was seen.
pub(super) const PRIOR_LENGTH: f64 = 150.0;
/// Right answers, and rows of them, from which on nothing much longer than the longest is drawn any more.
pub(super) const MANY_RIGHT_ANSWERS: f64 = 12.0;
pub(super) const FEW_RIGHT_ROWS: usize = 4;
/// How many times as long something must be for that, and what is added to that over the number of right answers:
/// of few, the longest is no bound on the next.
pub(super) const ABOVE_RIGHT: f64 = 1.25;
pub(super) const ABOVE_FEW_RIGHT: f64 = 9.0;
/// A limit of tokens is lowered to this share of it or less.
pub(super) const LEAST_LOWERED: f64 = 0.8;
/// Tokens per byte of a prompt before any was counted.
pub(super) const PRIOR_TOKENS_PER_BYTE: f64 = 0.3;
/// The error of the log of a prompt's price while a model's own count is unknown.
pub(super) const UNCOUNTED_PROMPT: f64 = 0.13;

/// Standard errors by which costs are taken higher when the winner is chosen.
pub(super) const COST_MARGIN: f64 = 1.5;
/// Deviations of the utility that are taken off when the winner is chosen, and of an arm that was not
/// seen on every row: what the draws say of it is too sure.
pub(super) const UTILITY_MARGIN: f64 = 0.5;
pub(super) const UNFINISHED_MARGIN: f64 = 1.5;
/// The share of rows that an arm must have seen to win unfinished against one that was finished.
pub(super) const UNFINISHED_SHARE: f64 = 0.25;
/// Instances that an arm must have seen for its temperatures to be opened, or to win unfinished.
pub(super) const FEW_ROWS: usize = 4;
/// The share of samples that an arm must win for its temperatures to be opened.
pub(super) const PROMISING: f64 = 0.15;
/// Responses per instance after which a leader's neighbours are opened.
pub(super) const REFINE_RESPONSES: f64 = 3.0;

/// The temperature that every model and prompt is opened at, and those that follow.
pub(super) const FIRST_TEMPERATURE: f64 = 0.8;
pub(super) const NEXT_TEMPERATURES: [f64; 2] = [0.3, 1.1];
/// The step beyond the hottest or the coldest, where that leads.
pub(super) const OUTWARD_STEP: f64 = 0.3;
/// A local step around a leader, and the least distance between neighbours.
pub(super) const TEMPERATURE_STEP: f64 = 0.15;
pub(super) const TEMPERATURE_APART: f64 = 0.1;
pub(super) const HOTTEST: f64 = 1.5;

/// A request asks for at least n over this many responses.
pub(super) const REQUESTS_PER_N: f64 = 12.0;
/// The most responses per instance that a batch asks for again.
pub(super) const MOST_AGAIN: usize = 128;
/// The least that a batch should cost, as a share of the optimization budget: smaller ones would
/// take more decisions than they are worth.
pub(super) const LEAST_BATCH: f64 = 0.015;
/// The least cost that a gain is divided by, as a share of the optimization budget.
pub(super) const COST_FLOOR: f64 = 1.0 / 400.0;
/// The gain of utility below which the leader is finished first.
pub(super) const LEAST_GAIN: f64 = 5e-4;
/// The gain of utility below which nothing is bought any more.
pub(super) const NOTHING: f64 = 1e-7;
/// The share of the budget below which nothing more is bought once the leader was asked for on every row: worst
/// cases that have to be set aside let less and less of it be under way at once, and it brings next to nothing.
pub(super) const LEAST_LEFT: f64 = 0.05;
/// What is kept back to finish the leader, over its estimate.
pub(super) const RESERVE: f64 = 1.1;
/// The most money in the air, as a share of the optimization budget.
pub(super) const MOST_IN_AIR: f64 = 0.1;
