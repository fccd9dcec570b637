//! Tokens where no endpoint has told their number: counts of texts and prompts, and texts cut to
//! a number of tokens. They are estimates: the tokenizer is `o200k_base` whatever the model's
//! own is.
//!
//! This crate does no I/O. The first call of any function builds the tokenizer, which takes a
//! good part of a second, and long texts take their time: from asynchronous code they are best
//! called on a thread for blocking work.
//!
//! Start with [`count`], then [`count_prompt`] and [`cut`].

mod count;
mod cut;
mod tokenizer;

pub use count::{Prompt, count, count_prompt};
pub use cut::{cut, cut_as_billed};
