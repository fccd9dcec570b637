//! Closed sets of names.

use frugal_domain::{job, metric, money, scoring, spend, state, trial};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An enum of names on the wire that mirrors one of the domain, with conversions both ways. A
/// variant that the domain gains or loses is a compile error here.
macro_rules! mirror {
    ($(#[$meta:meta])* $name:ident of $domain:ty { $($(#[$variant_meta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                match value {
                    $(<$domain>::$variant => Self::$variant),+
                }
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant),+
                }
            }
        }
    };
}

mirror! {
    /// Where a job is in its life. `cancelled`, `succeeded` and `failed` are final.
    JobState of state::JobState {
        /// Waits for a worker.
        Queued,
        /// A worker drives it.
        Running,
        /// Asked to pause; the worker has not stopped yet.
        Pausing,
        /// Stopped, to be resumed.
        Paused,
        /// Asked to cancel; the worker has not stopped yet.
        Cancelling,
        /// Ended by request. The trials so far stand.
        Cancelled,
        /// Ended by itself, with a report.
        Succeeded,
        /// Could not go on.
        Failed,
    }
}

mirror! {
    /// Why a job's search ended.
    StopReason of state::StopReason {
        /// No further request fits into the optimization budget.
        BudgetExhausted,
        /// The limit on trials is reached.
        TrialLimit,
        /// The limit on time is reached.
        Deadline,
        /// Every configuration of the space, or of the grid over it, has been tried.
        SpaceExhausted,
        /// The search has converged and finds nothing new.
        Converged,
        /// As many trials in a row as `limits.trials_without_improvement` allows brought nothing
        /// better.
        NoImprovement,
        /// A client cancelled it.
        Cancelled,
        /// The endpoint refuses to serve the job at all.
        EndpointUnusable,
        /// A fault inside Frugal.
        InternalError,
        /// Every worker that took it was lost, several in a row with nothing to show for it, so no
        /// other is risked.
        WorkerLost,
    }
}

mirror! {
    /// Whether the winner is better than the baseline.
    Improvement of trial::Improvement {
        /// Better on instances that the search did not see, and by more than chance would have it.
        Significant,
        /// Better on the instances at hand; that may be chance, or come of choosing by them.
        NotSignificant,
        /// Not better, or there is nothing to compare.
        None,
    }
}

mirror! {
    /// Where a trial is in its life. Only `running` is not final. It has `failed` where requests
    /// failed for good on more than a fifth of the instances; fewer are left out of its numbers, and
    /// never counted as wrong.
    TrialState of state::TrialState {
        /// Being evaluated.
        Running,
        /// Evaluated on every instance.
        Evaluated,
        /// Ended early, or before any request, because it cannot be worth its price.
        Pruned,
        /// The endpoint refuses the configuration.
        Infeasible,
        /// Requests failed for good on more than a fifth of the instances. On fewer, these are left
        /// out of its numbers, and never counted as wrong.
        Failed,
        /// Cut off by the end of the job.
        Stopped,
    }
}

mirror! {
    /// What money was spent for.
    SpendCategory of spend::SpendCategory {
        /// Evaluating what the searcher proposed.
        Search,
        /// Evaluating the configuration that the winner is compared with.
        Baseline,
        /// Scoring the winner and the baseline on the held-out instances.
        Validation,
        /// Asking a model to judge answers.
        Judge,
        /// Requests in flight when a worker died, counted at their worst case.
        Lost,
    }
}

mirror! {
    /// The unit of a cost: US dollars, or tokens of prompt and completion together.
    Unit of money::Unit {
        /// US dollars.
        Usd,
        /// Tokens.
        Tokens,
    }
}

mirror! {
    /// What is made of the scores of an instance's n responses.
    Reducer of scoring::Reducer {
        /// 1 − (1 − s/n)ⁿ where s of n are right: the chance that one of n draws is.
        ExpectedSuccess,
        /// 1 if any is right.
        Success,
        /// The mean of the scores.
        Mean,
    }
}

mirror! {
    /// What is measured on each instance; a configuration's is the mean over the instances.
    Metric of metric::Metric {
        /// 1 − (1 − s/n)ⁿ where s of n responses are right: the chance that one of n draws is.
        ExpectedSuccess,
        /// 1 if any response is right.
        Success,
        /// The mean of the responses' scores.
        Mean,
        /// Milliseconds until all responses were there: those of the slowest request that they
        /// came with, without waiting for a free slot and attempts that failed.
        LatencyMs,
        /// The share of the responses that were cut at `max_tokens`.
        CutRate,
        /// Tokens of the n responses, all together.
        CompletionTokens,
        /// What the instance costs, prompt and all responses, in the unit of the inference
        /// budget, or of the optimization budget where there is none.
        InferenceCost,
    }
}

mirror! {
    /// Whether more is better.
    Direction of job::Direction {
        /// More is better.
        Maximize,
        /// Less is better.
        Minimize,
    }
}

/// How configurations are proposed: `blendsearch` blends a global, model-based search with
/// cost-frugal local searches; `cfo` is the cost-frugal local search alone, with restarts; `tpe`
/// is the tree-structured Parzen estimator alone; `random` draws; `grid` tries every combination
/// of a few values per setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// A global model-based search and cost-frugal local searches, blended.
    Blendsearch,
    /// Cost-frugal local search with restarts.
    Cfo,
    /// The tree-structured Parzen estimator alone.
    Tpe,
    /// Random draws.
    Random,
    /// Every combination of a few values per setting.
    Grid,
}

impl From<&job::Algorithm> for Algorithm {
    fn from(algorithm: &job::Algorithm) -> Self {
        match algorithm {
            job::Algorithm::Blendsearch(_) => Self::Blendsearch,
            job::Algorithm::Cfo(_) => Self::Cfo,
            job::Algorithm::Tpe(_) => Self::Tpe,
            job::Algorithm::Random(_) => Self::Random,
            job::Algorithm::Grid(_) => Self::Grid,
        }
    }
}

mirror! {
    /// What BlendSearch has propose next to its local searches.
    GlobalSearcher of job::algorithm::GlobalSearcher {
        /// The tree-structured Parzen estimator.
        Tpe,
        /// Uniform draws.
        Random,
    }
}

mirror! {
    /// Where the draws of random search come from: `uniform` ones are independent of one another,
    /// those of `halton` and `sobol` keep away from one another.
    Sequence of job::algorithm::Sequence {
        /// Each draw independent of the others.
        Uniform,
        /// Halton's sequence with shuffled digits: draws that keep away from one another.
        Halton,
        /// Sobol's sequence with a random shift: the same, more even in powers of two.
        Sobol,
    }
}

mirror! {
    /// In what order a grid is tried: `shuffled` by the seed, or `sequential`, where the first
    /// setting's values change fastest.
    GridOrder of job::algorithm::GridOrder {
        /// Shuffled by the seed, so that a search that ends early has seen something of
        /// everywhere.
        Shuffled,
        /// The first setting's values change fastest.
        Sequential,
    }
}

mirror! {
    /// Whose responses may be used again.
    Reuse of job::Reuse {
        /// The job's own.
        Job,
        /// Those of every job of the same owner that has ended, where endpoint, model, rendered
        /// prompt and sampling settings are the same.
        Owner,
    }
}

mirror! {
    /// When configurations are thrown out early.
    Pruning of job::Pruning {
        /// As soon as they are over the inference budget or significantly worse than the best.
        On,
        /// Never: each is evaluated in full.
        Off,
        /// By the published schedule, to the request: for comparisons.
        Reference,
    }
}

mirror! {
    /// What a trial is for.
    TrialRole of trial::TrialRole {
        /// What the searcher proposed.
        Search,
        /// What the winner is compared with.
        Baseline,
    }
}

/// Why a trial was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PruneReasonName {
    /// Known to be over the inference budget from an earlier trial; nothing was requested.
    KnownInvalid,
    /// Found to be over the inference budget on the way.
    OverBudget,
    /// Significantly worse than the best trial, on the instances seen.
    Inferior,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_domain() {
        for state in state::JobState::ALL {
            assert_eq!(serde_json::json!(JobState::from(*state)), state.as_str());
        }
        for reason in state::StopReason::ALL {
            assert_eq!(
                serde_json::json!(StopReason::from(*reason)),
                reason.as_str()
            );
        }
        for state in state::TrialState::ALL {
            assert_eq!(serde_json::json!(TrialState::from(*state)), state.as_str());
        }
        for category in spend::SpendCategory::ALL {
            assert_eq!(
                serde_json::json!(SpendCategory::from(*category)),
                category.as_str()
            );
        }
        for reducer in scoring::Reducer::ALL {
            assert_eq!(serde_json::json!(Reducer::from(*reducer)), reducer.as_str());
        }
        for metric in metric::Metric::ALL {
            assert_eq!(serde_json::json!(Metric::from(*metric)), metric.as_str());
        }
        for algorithm in job::Algorithm::all() {
            assert_eq!(
                serde_json::json!(Algorithm::from(&algorithm)),
                algorithm.as_str()
            );
        }
    }
}
