//! Bounds on what one job may hold.

/// The most models, prompts, labels, settings, sub-spaces and start points of one job, each.
pub(crate) const MAX_CHOICES: usize = 64;
