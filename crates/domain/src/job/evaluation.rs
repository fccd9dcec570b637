//! Configurations that are given, to be evaluated side by side in the place of a search.

use crate::configuration::Configuration;
use crate::id::{JobId, TrialNumber};
use crate::names::names;
use serde::{Deserialize, Serialize};

names! {
    /// What a job is for.
    pub enum JobKind: "kind of job" {
        /// Finding the best configuration of a search space.
        Tuning = "tuning",
        /// Telling how good given configurations are.
        Evaluation = "evaluation",
    }
}

/// What an evaluation is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationSpec {
    /// The configurations, at least one, with names of their own. That at position i is evaluated by
    /// trial i + 1.
    pub configurations: Vec<NamedConfiguration>,
    /// Which of them the others are compared with, by position.
    pub reference: usize,
    /// Whether latency is to be measured, whatever else asks for it: no configuration then uses a
    /// response that another asked for.
    #[serde(default)]
    pub measures_latency: bool,
}

impl EvaluationSpec {
    /// The configuration that the others are compared with.
    #[must_use]
    pub fn reference_name(&self) -> &str {
        let reference = self.configurations.get(self.reference);
        reference.map_or("", |reference| reference.name.as_str())
    }

    /// The number of the trial that evaluates the configuration at a position.
    #[must_use]
    pub fn trial_of(position: usize) -> TrialNumber {
        TrialNumber(u32::try_from(position + 1).unwrap_or(u32::MAX))
    }
}

/// A configuration with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedConfiguration {
    /// Its name, unlike that of any other of the evaluation.
    pub name: String,
    /// What it is: the position of its model as `model` and the name of its prompt as `prompt`, where
    /// there are several, and its settings.
    pub configuration: Configuration,
    /// The trial of another job that it was taken from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<TrialReference>,
}

/// A trial of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReference {
    /// The job.
    pub job: JobId,
    /// Its trial.
    pub trial: TrialNumber,
}
