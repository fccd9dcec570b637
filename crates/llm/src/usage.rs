//! Tokens where the endpoint is silent, tells a part, or cannot be right. Nothing is ever taken
//! for 0.

use crate::calibration::{Calibration, Measured};
use crate::decode::{RawChoice, RawUsage};
use crate::request::Choice;
use frugal_domain::money::{Usage, UsageDetails};
use frugal_domain::request::FinishReason;

/// Tokens that a server may add where nobody sees them, to a prompt or to a response: a template,
/// descriptions of tools, reasoning that it does not report. As much as the usual largest budget
/// for thinking.
const UNSEEN: u64 = 32_768;

/// The most tokens of reasoning that one response is believed to have.
const MOST_REASONING: u64 = 262_144;

/// Tokens that a response may have beyond its cap: servers count the end of a text differently.
const OVERSHOOT: u64 = 16;

/// What was asked, as far as it bounds what can have been used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Responses.
    pub(crate) n: u32,
    /// The most tokens of each.
    pub(crate) max_tokens: u32,
    /// Bytes of the prompt. A token is at least one byte.
    pub(crate) prompt_bytes: u64,
}

impl Asked {
    /// How many responses may have been billed: those that were asked for, or those that came where they are more.
    fn responses(self, came: &[Choice]) -> u64 {
        let came = u64::try_from(came.len()).unwrap_or(u64::MAX);
        came.max(self.n.into())
    }
}

/// Responses with their counts of tokens.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) choices: Vec<Choice>,
    /// Tokens of the reasoning that is shown, by this crate's own count.
    pub(crate) shown_reasoning: u64,
}

/// What the usage of a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) usage: Usage,
    pub(crate) details: UsageDetails,
    /// Whether any number of the usage is an estimate.
    pub(crate) estimated: bool,
    /// How many of the reported numbers cannot be right.
    pub(crate) impossible: u32,
    /// What it tells of how the endpoint counts.
    pub(crate) measured: Option<Measured>,
}

/// Responses with their counts of tokens, from all that can be seen of them.
///
/// A response that used its cap up was cut, whatever its endpoint says; that is known where there
/// is one response, or where all together used up as much as they could.
pub(crate) fn counted(choices: Vec<RawChoice>, reported: RawUsage, max_tokens: u32) -> Counted {
    let responses = u64::try_from(choices.len()).unwrap_or(u64::MAX);
    let all_cut = reported.completion_tokens == Some(responses.saturating_mul(max_tokens.into()));
    let mut shown_reasoning = 0_u64;
    let count = |raw: RawChoice| {
        let reasoning = frugal_tokens::count(&raw.reasoning);
        shown_reasoning = shown_reasoning.saturating_add(reasoning);
        let seen = frugal_tokens::count(&raw.text).saturating_add(reasoning);
        let finish_reason = match raw.finish_reason {
            FinishReason::Stop if all_cut => FinishReason::Length,
            reason => reason,
        };
        let estimated_tokens = if seen == 0 && finish_reason == FinishReason::Length {
            u64::from(max_tokens)
        } else {
            seen.max(1)
        };
        Choice {
            text: raw.text,
            finish_reason,
            estimated_tokens,
        }
    };
    Counted {
        choices: choices.into_iter().map(count).collect(),
        shown_reasoning,
    }
}

/// Whether the prompt has to be counted: its number is missing, is 0, as some servers report a
/// prompt that they had cached, or cannot be right.
pub(crate) fn prompt_is_missing(reported: RawUsage, asked: Asked) -> bool {
    reported
        .prompt_tokens
        .is_none_or(|tokens| tokens == 0 || tokens > most_of_prompt(asked))
}

fn most_of_prompt(asked: Asked) -> u64 {
    asked.prompt_bytes.saturating_add(UNSEEN)
}

/// The usage of a request. The prompt is only counted where [`prompt_is_missing`]. `counted` are
/// all responses that came, also those beyond `n`. Where the endpoint counts fewer than came, the rest
/// is estimated by what is known of how it counts.
pub(crate) fn settle(
    reported: RawUsage,
    counted: &Counted,
    asked: Asked,
    calibration: Calibration,
    count_prompt: impl FnOnce() -> u64,
) -> Settled {
    let mut impossible = reported.impossible;
    let mut believed = |number: Option<u64>, most: u64| {
        impossible += u32::from(number.is_some_and(|tokens| tokens > most));
        number.filter(|tokens| *tokens <= most)
    };
    let choices = &counted.choices;
    let responses = asked.responses(choices);
    let reasoning = believed(
        reported.reasoning_tokens,
        responses.saturating_mul(MOST_REASONING),
    );
    let most = responses
        .saturating_mul(u64::from(asked.max_tokens).saturating_add(OVERSHOOT))
        .max(sum(choices.iter()).saturating_mul(2))
        .saturating_add(reasoning.unwrap_or(0))
        .saturating_add(responses.saturating_mul(UNSEEN));
    let prompt =
        believed(reported.prompt_tokens, most_of_prompt(asked)).filter(|tokens| *tokens > 0);
    let completion = believed(reported.completion_tokens, most);
    let cached = believed(reported.cached_tokens, most_of_prompt(asked));
    // What the total has beyond the prompt are completion tokens, whatever else is reported.
    let beyond = reported.total_tokens.zip(prompt);
    let beyond = beyond.map(|(total, prompt)| total.saturating_sub(prompt));
    let beyond = beyond.filter(|tokens| *tokens > 0 && *tokens <= most);
    let whole = match (completion.max(beyond), reasoning) {
        // More reasoning than all together: it was counted apart.
        (Some(whole), Some(reasoning)) if reasoning > whole => {
            Some(completion.unwrap_or(0).saturating_add(reasoning))
        }
        (whole, _) => whole,
    };
    let reasons = reasoning.unwrap_or(0) > 0 || counted.shown_reasoning > 0;
    let Completed {
        tokens: completion_tokens,
        estimated: guessed,
        measured,
    } = completion_tokens(whole, choices, calibration, reasons, asked);
    let prompt_tokens = prompt.unwrap_or_else(count_prompt);
    let reasoning_tokens = reasoning.unwrap_or(counted.shown_reasoning);
    Settled {
        usage: Usage {
            prompt_tokens,
            completion_tokens,
        },
        details: UsageDetails {
            cached_tokens: cached.unwrap_or(0).min(prompt_tokens),
            reasoning_tokens: reasoning_tokens.min(completion_tokens),
        },
        estimated: guessed || prompt.is_none(),
        impossible,
        measured,
    }
}

/// The completion tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Completed {
    tokens: u64,
    estimated: bool,
    measured: Option<Measured>,
}

/// The completion tokens of a request: as reported, or estimated where that cannot be all, and never by
/// an estimate more than what was asked for. What is more than one response may have is no count of the
/// first alone. Responses with reasoning tell nothing of how texts are counted: some endpoints count it,
/// and some do not.
fn completion_tokens(
    reported: Option<u64>,
    choices: &[Choice],
    calibration: Calibration,
    reasons: bool,
    asked: Asked,
) -> Completed {
    let cap = u64::from(asked.max_tokens);
    let longest = asked.responses(choices).saturating_mul(cap);
    let first_alone = reported
        .filter(|tokens| !reasons && *tokens <= cap.saturating_add(OVERSHOOT))
        .and_then(|tokens| calibration.first_alone(tokens, choices));
    if let Some(first) = first_alone {
        let all = calibration.all_from_first(first, choices);
        return Completed {
            tokens: all.min(longest.max(first.reported)),
            estimated: true,
            measured: Some(first),
        };
    }
    match reported {
        Some(tokens) if is_plausible(tokens, choices) => Completed {
            tokens,
            estimated: false,
            measured: match choices {
                [only] if !reasons && !only.text.is_empty() => Some(Measured::new(tokens, only)),
                _ => None,
            },
        },
        _ => {
            let own = sum(choices.iter());
            Completed {
                tokens: calibration.tokens(own).min(longest.max(own)),
                estimated: true,
                measured: None,
            }
        }
    }
}

/// Some servers report one response of several: then the number is smaller than the number of
/// responses, or far below what can be seen. `o200k_base` has one of the largest vocabularies
/// in use, so an honest count is rarely below its own, let alone below three fifths of it.
fn is_plausible(reported: u64, choices: &[Choice]) -> bool {
    let with_text = || choices.iter().filter(|choice| !choice.text.is_empty());
    let visible = sum(with_text());
    let responses = u64::try_from(with_text().count()).unwrap_or(u64::MAX);
    // A filter may leave nothing, at no tokens. Whatever else came is at least one.
    let filtered = |choice: &Choice| {
        choice.text.is_empty() && choice.finish_reason == FinishReason::ContentFilter
    };
    (reported > 0 || choices.iter().all(filtered))
        && reported >= responses
        && (choices.len() < 2 || reported.saturating_mul(5) >= visible.saturating_mul(3))
}

fn sum<'a>(choices: impl Iterator<Item = &'a Choice>) -> u64 {
    choices.fold(0, |sum, choice| sum.saturating_add(choice.estimated_tokens))
}

#[cfg(test)]
mod tests;
