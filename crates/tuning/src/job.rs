//! What a job is tuned with, besides its past.

use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{JobSpec, Split};
use frugal_domain::request::Purpose;
use frugal_evaluation::{EvaluatorOptions, Mode, TrialPlan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a job from the start.
#[derive(Debug, Clone)]
pub struct Job {
    /// What was posted.
    pub spec: Arc<JobSpec>,
    /// By the model's position, the most responses that one request yields; no limit where absent.
    pub most_per_request: Vec<Option<u32>>,
    /// Upper bounds on the tokens of the prompts. They also say how many rows there are.
    pub prompt_token_bounds: PromptTokenBounds,
    /// By judge, answers that people have rated, by the position of their rows among those that the search
    /// sees.
    pub labels: Vec<BTreeMap<usize, LabelledAnswer>>,
}

/// An answer that people have rated, as far as a job needs to know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelledAnswer {
    /// How good they find it, from 0 to 1.
    pub rating: f64,
    /// Bytes of its text.
    pub bytes: u64,
}

/// Upper bounds on the tokens of each row's prompt, by the prompt's position.
#[derive(Debug, Clone, Default)]
pub struct PromptTokenBounds {
    /// On the rows that the search sees.
    pub tuning: Vec<Arc<[u64]>>,
    /// On the rows held out from it.
    pub holdout: Vec<Arc<[u64]>>,
    /// By judge, on the tokens of a question about an empty answer to each row that the search sees.
    pub judge_tuning: Vec<Arc<[u64]>>,
    /// The same on the rows held out.
    pub judge_holdout: Vec<Arc<[u64]>>,
}

impl PromptTokenBounds {
    /// The bounds on the rows of a split, by the prompt's position.
    pub(crate) fn of(&self, split: Split) -> &[Arc<[u64]>] {
        match split {
            Split::Tuning => &self.tuning,
            Split::Holdout => &self.holdout,
        }
    }
}

impl Job {
    fn bounds(&self, split: Split) -> &[Arc<[u64]>] {
        self.prompt_token_bounds.of(split)
    }

    /// How many rows a split has.
    pub(crate) fn rows(&self, split: Split) -> usize {
        self.bounds(split).first().map_or(0, |rows| rows.len())
    }

    /// How trials of the search and the baseline are evaluated.
    pub(crate) fn evaluator_options(&self) -> EvaluatorOptions {
        let rows = self.rows(Split::Tuning);
        let spec = &self.spec;
        let mut options = EvaluatorOptions::new(rows, spec.search.pruning, spec.inference_budget);
        options.reference.optimization_budget = Some(spec.optimization_budget);
        options.order = spec.row_order(rows);
        options.is_shared = !spec.measures_own_latency();
        options
    }

    /// The evaluator's plan for some settings.
    pub(crate) fn trial_plan(
        &self,
        number: TrialNumber,
        purpose: Purpose,
        settings: &Settings,
    ) -> TrialPlan {
        let sampling = &settings.sampling;
        let bounds = self.bounds(purpose.split()).get(sampling.prompt);
        TrialPlan {
            number,
            purpose,
            settings: settings.clone(),
            most_per_request: self.most_per_request.get(sampling.model).copied().flatten(),
            prices: self.spec.models[sampling.model].prices,
            prompt_token_bounds: bounds.cloned().unwrap_or_default(),
            mode: match purpose {
                Purpose::Search => Mode::Scheduled,
                Purpose::Baseline => Mode::Bounded {
                    allowance: self.spec.baseline_allowance(),
                    // What others are held against must be known, whatever it costs an instance.
                    beyond_budget: self.spec.objective.refers_to_baseline(),
                },
                _ => Mode::Full,
            },
        }
    }
}
