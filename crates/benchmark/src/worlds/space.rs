//! The space that jobs on worlds search, from the least to the most of each setting.

/// Temperatures.
pub const TEMPERATURES: [f64; 2] = [0.0, 1.5];

/// Limits of tokens.
pub const MAX_TOKENS: [u32; 2] = [10, 1000];

/// Numbers of responses.
pub const RESPONSES: [u32; 2] = [1, 100];
