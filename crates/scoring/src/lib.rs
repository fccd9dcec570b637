//! Prompt rendering and scorers: from an instance to what is asked, and from what was answered to
//! how good it is.
//!
//! This crate does no I/O, reads no clock and knows no runtime; the same input always gives
//! the same output. It never runs code that a model wrote: where a score takes that, it says what is to
//! be run and what the outcome is worth ([`Assessment`]). It loads no template but the text that
//! it is given, and bounds the work that a template or a pattern may cause.
//!
//! Start with [`Scorer`] (is one response right?), then [`CompiledPrompt`] and [`Template`].

mod assessment;
mod code_block;
mod code_filters;
mod composite;
mod demonstrations;
mod exact_json;
mod explained;
mod extract;
mod fold;
mod hook;
mod json;
mod json_path;
mod json_reader;
mod judge;
mod math;
mod number;
mod overlap;
mod pattern;
mod prompt;
mod references;
mod run;
mod schema;
mod scorer;
mod scorer_error;
mod scorers;
mod template;
mod verdict;

/// The version of the scorers' rules, stored with each score. A change by which a scorer says something else of
/// the same response raises it, so that what was said before is not taken for its word.
pub const VERSION: u32 = 1;

pub use assessment::Assessment;
pub use demonstrations::DEMONSTRATIONS;
pub use explained::{Explained, ExplainedPart};
pub use extract::Extract;
pub use hook::{HookItem, read_scores};
pub use judge::{Judge, Label, Style};
pub use pattern::MAX_PATTERN_BYTES;
pub use prompt::{CompiledPrompt, MAX_PROMPT_BYTES, PromptError, RenderedPrompt};
pub use run::Run;
pub use scorer::{
    Expectation, Scorer, has_answers, is_graded, keeps_parts, outside, outside_of, parts, read,
    templates, with_answers,
};
pub use scorer_error::{ScoreError, ScorerError};
pub use scorers::Outside;
pub use template::{
    FUEL, MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_TOKENS, ROW, Template, TemplateError,
};
pub use verdict::Pending;
