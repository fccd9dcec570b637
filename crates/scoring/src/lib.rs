//! Prompt rendering and scorers: from an instance to what is asked, and from what was answered to
//! how good it is.
//!
//! This crate does no I/O, reads no clock and knows no runtime; the same input always gives
//! the same output. It never runs code that a model wrote, loads no template but the text that
//! it is given, and bounds the work that a template or a pattern may cause.
//!
//! Start with [`Scorer`] (is one response right?), then [`CompiledPrompt`] and [`Template`].

mod extract;
mod fold;
mod json;
mod math;
mod number;
mod overlap;
mod pattern;
mod prompt;
mod references;
mod scorer;
mod scorer_error;
mod scorers;
mod template;

pub use extract::Extract;
pub use pattern::MAX_PATTERN_BYTES;
pub use prompt::{CompiledPrompt, MAX_PROMPT_BYTES, PromptError, RenderedPrompt};
pub use scorer::{Expectation, Scorer, is_graded, read};
pub use scorer_error::{ScoreError, ScorerError};
pub use template::{
    FUEL, MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_TOKENS, ROW, Template, TemplateError,
};
