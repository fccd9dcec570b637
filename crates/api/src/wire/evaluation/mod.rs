//! Evaluations: as they are posted, as clients see them, what they may cost and what they have found.

mod estimate;
mod post;
mod report;
mod resource;

pub use estimate::{EvaluationCosts, EvaluationEstimate, PayableRows};
pub use post::{
    EvaluationBudgetsPost, EvaluationLimitsPost, EvaluationPost, GivenConfigurationPost,
};
pub use report::{
    Better, Comparison, Correction, CostInterval, Difference, Evaluated, EvaluationReport, Ranked,
    SeenRows, TokenCounts,
};
pub use resource::{
    Evaluation, EvaluationBudgets, EvaluationLimits, GivenConfiguration, TrialReference,
};
