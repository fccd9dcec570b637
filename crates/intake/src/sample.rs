//! Prompts of a sample of the rows, and how many tokens they have.

use frugal_domain::endpoint::Api;
use frugal_domain::seed::mix;
use frugal_scoring::RenderedPrompt;

/// The rows in an order such that the first of them are a fair sample.
pub(crate) fn shuffled<T>(rows: &[T]) -> impl Iterator<Item = &T> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|index| mix(*index as u64));
    order.into_iter().map(|index| &rows[index])
}

/// A prompt as a model gets it.
pub(crate) fn as_sent(rendered: &RenderedPrompt, api: Api) -> frugal_tokens::Prompt<'_> {
    match (rendered, api) {
        (RenderedPrompt::Text(text), Api::Completions) => frugal_tokens::Prompt::Text(text),
        (RenderedPrompt::Text(text), Api::Chat) => frugal_tokens::Prompt::User(text),
        (RenderedPrompt::Messages(messages), _) => frugal_tokens::Prompt::Messages(messages),
    }
}
