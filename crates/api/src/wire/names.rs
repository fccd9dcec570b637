//! Closed sets of names.

use frugal_domain::{delivery, event, job, metric, money, request, scoring, spend, state, trial};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A closed set of the domain's on the wire, under the domain's names. What it is to clients is
/// described here; that a name comes or goes is seen in the committed OpenAPI document.
macro_rules! named {
    ($(#[doc = $line:literal])+ $name:ident of $domain:ty) => {
        $(#[doc = $line])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($domain);

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let lines = [$($line),+].map(str::trim);
                let names = <$domain>::ALL.iter().map(|value| value.as_str());
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(lines.join("\n")))
                    .enum_values(Some(names))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

named! {
    /// Where a job is in its life. `cancelled`, `succeeded` and `failed` are final.
    JobState of state::JobState
}

named! {
    /// Why a job's search ended.
    StopReason of state::StopReason
}

named! {
    /// How an attempt at a job ended. The job ended with it (`succeeded`, `failed`, `cancelled`), by a
    /// fault inside the server in one case (`panicked`), or was paused; or its worker was stopped and gave
    /// the job back (`given_back`), gave it back since the database was out of reach (`broken_off`), or
    /// was not heard of any more (`lost`).
    AttemptEnding of state::AttemptEnding
}

named! {
    /// What a job's requests wait for before they are sent: others have as many in flight as the
    /// endpoint or the model takes at once (`requests_in_flight`), a minute's requests or tokens are
    /// used up (`requests_per_minute`, `tokens_per_minute`), the endpoint asked to wait
    /// (`retry_after`), or refused requests for being too many, so that they are sent more slowly
    /// (`pace`).
    WaitReason of event::WaitReason
}

named! {
    /// Where a delivery stands: it is to be sent, or sent again (`pending`), the receiver has taken it, as it answered
    /// with 2xx (`delivered`), or it was sent as often as it may be, or the receiver answered with 410, since it wants
    /// no more (`failed`).
    DeliveryState of delivery::DeliveryState
}

named! {
    /// What a job is doing: its judges are tried on answers that people have rated (`calibration`), the baseline
    /// is evaluated, configurations are (`search`), or the winner and the baseline are scored on the held-out
    /// rows (`validation`).
    Phase of event::Phase
}

named! {
    /// Whether the winner is better than the baseline.
    Improvement of trial::Improvement
}

named! {
    /// Where a trial is in its life. Only `running` is not final. It has `failed` where requests
    /// failed for good on more than a fifth of the instances; fewer are left out of its numbers, and
    /// never counted as wrong.
    TrialState of state::TrialState
}

named! {
    /// What money was spent for. `lost` and `uncertain` are no bills but the most that may have been
    /// billed: for requests in flight when a worker died or the job ended, and for attempts that brought
    /// nothing, such as time-outs.
    SpendCategory of spend::SpendCategory
}

named! {
    /// How far an endpoint's refusal reaches: one row with its prompt, one configuration, one model, all
    /// models of an endpoint, or all that the key is for.
    RefusalScope of request::Scope
}

named! {
    /// The unit of a cost: US dollars, or tokens of prompt and completion together.
    Unit of money::Unit
}

named! {
    /// What is made of the scores of an instance's n responses: the chance that one of n such answers is
    /// right (`expected_success`), the best of them (`success`: pass@n), their mean, or the worst of them
    /// (`min`: pass^n, all are right), or the score of the answer that most of them give (`majority`, or
    /// self-consistency: one vote each, none where no answer is found; where several answers have as many
    /// votes, the mean of their scores). The majority needs a scorer that tells answers apart: `exact`,
    /// `choice`, `numeric`, `math`, `regex` or `json`. The best of n (`best_of_n`) is the score of the response
    /// that `scoring.selector` says the most of; where it says as much of several, the mean of their scores.
    Reducer of scoring::Reducer
}

named! {
    /// What is measured on each instance; a configuration's is the mean over the instances.
    Metric of metric::Metric
}

named! {
    /// Whether more is better.
    Direction of job::Direction
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

named! {
    /// What BlendSearch has propose next to its local searches.
    GlobalSearcher of job::algorithm::GlobalSearcher
}

named! {
    /// Where the draws of random search come from: `uniform` ones are independent of one another,
    /// those of `halton` and `sobol` keep away from one another.
    Sequence of job::algorithm::Sequence
}

named! {
    /// In what order a grid is tried: `shuffled` by the seed, or `sequential`, where the first
    /// setting's values change fastest.
    GridOrder of job::algorithm::GridOrder
}

named! {
    /// Whose responses may be used again.
    Reuse of job::Reuse
}

named! {
    /// How `n` and `max_tokens` are chosen.
    ExtentChoice of job::ExtentChoice
}

named! {
    /// When configurations are thrown out early.
    Pruning of job::Pruning
}

named! {
    /// Why no trial used a value of the search space: its prompts alone are over the inference
    /// budget; the optimization budget, the limit on trials or the time came to its end before; the
    /// job was cancelled before; or the search ended by itself and did not expect it to be worth its
    /// price.
    UntriedReason of trial::UntriedReason
}

named! {
    /// What a trial is for.
    TrialRole of trial::TrialRole
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
        let described = serde_json::json!(JobState::schema());
        let names: Vec<_> = state::JobState::ALL.iter().map(|it| it.as_str()).collect();
        assert_eq!(described["enum"], serde_json::json!(names));
        for state in state::JobState::ALL {
            let served = serde_json::json!(JobState::from(*state));
            assert_eq!(served, state.as_str());
            let read: JobState = serde_json::from_value(served).unwrap();
            assert_eq!(state::JobState::from(read), *state);
        }
        assert!(serde_json::from_value::<JobState>("busy".into()).is_err());
        for algorithm in job::Algorithm::all() {
            assert_eq!(
                serde_json::json!(Algorithm::from(&algorithm)),
                algorithm.as_str()
            );
        }
    }
}
