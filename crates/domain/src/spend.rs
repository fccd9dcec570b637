//! What a job's money goes to.

use crate::money::Spend;
use crate::names::names;
use crate::request::Purpose;
use std::collections::BTreeMap;

names! {
    /// What money was spent for.
    pub enum SpendCategory: "spend category" {
        /// Evaluating configurations that the searcher proposed.
        Search = "search",
        /// Evaluating the configuration that the winner is compared with.
        Baseline = "baseline",
        /// Evaluating configurations that an evaluation was given.
        Evaluation = "evaluation",
        /// Scoring the winner and the baseline on held-out instances.
        Validation = "validation",
        /// Asking a model to judge answers.
        Judge = "judge",
        /// Requests in flight when a worker died, counted at their worst case: they may have been
        /// billed, so the budget could be passed if they were forgotten.
        Lost = "lost",
        /// Attempts that brought nothing and may have been billed all the same, such as time-outs,
        /// counted at their worst case.
        Uncertain = "uncertain",
    }
}

impl From<Purpose> for SpendCategory {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Search => Self::Search,
            Purpose::Baseline => Self::Baseline,
            Purpose::Evaluation => Self::Evaluation,
            Purpose::Validation => Self::Validation,
            Purpose::Judge | Purpose::ValidationJudge | Purpose::Labelled => Self::Judge,
        }
    }
}

/// What was spent, by category. Categories on which nothing was spent may be absent.
pub type SpendByCategory = BTreeMap<SpendCategory, Spend>;
