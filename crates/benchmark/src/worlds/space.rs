//! The space that jobs on worlds search, from the least to the most of each setting.

use frugal_domain::configuration::Sampling;
use std::collections::BTreeMap;

/// Temperatures.
pub const TEMPERATURES: [f64; 2] = [0.0, 1.5];

/// Limits of tokens.
pub const MAX_TOKENS: [u32; 2] = [10, 1000];

/// Numbers of responses.
pub const RESPONSES: [u32; 2] = [1, 100];

/// Sampling settings of a world that has no further ones.
pub const fn sampling(
    model: usize,
    prompt: usize,
    temperature: Option<f64>,
    top_p: Option<f64>,
) -> Sampling {
    Sampling {
        model,
        prompt,
        temperature,
        top_p,
        stop: Vec::new(),
        extra: BTreeMap::new(),
    }
}
