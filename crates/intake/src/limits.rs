//! Bounds on what one job may hold.

/// The most models, prompts, labels and start points of one job, each.
pub(crate) const MAX_CHOICES: usize = 64;
