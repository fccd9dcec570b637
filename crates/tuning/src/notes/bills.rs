//! What was odd about how models billed: more than what was set aside, or usage that had to be
//! estimated.

use super::fact::{Fact, Note, share};
use super::untried::model_name;
use crate::amounts;
use crate::findings::Findings;

/// For each model that bills more than the bounds that worst cases rest on, how much.
pub(super) fn overheads<'a>(findings: &'a Findings<'_>) -> impl Iterator<Item = Note> + 'a {
    let models = findings.spec.models.iter().enumerate();
    models.filter_map(|(model, choice)| {
        let overhead = findings.overheads.of(model);
        let (prompt, response) = (overhead.prompt_above, overhead.response_above);
        if !overhead.is_notable() {
            return None;
        }
        let prompts = (prompt > 0).then(|| {
            format!(
                "its prompts have up to {prompt} tokens more than their texts can have, so its \
                 endpoint adds a text of its own"
            )
        });
        let responses = (response > 0).then(|| {
            format!(
                "its responses have up to {response} tokens more than `max_tokens`, as where \
                 reasoning is billed outside of it"
            )
        });
        let what: Vec<String> = prompts.into_iter().chain(responses).collect();
        let name = model_name(findings.spec, model as u64);
        Some(Note {
            detail: format!(
                "`{name}` bills more than what is asked of it can come to: {}; all of it is in the \
                 costs. Until the first answer of a model and a prompt that cannot be known, and from \
                 then on requests are sent only where the optimization budget covers it",
                what.join(", and ")
            ),
            fact: Fact::Overhead {
                endpoint: choice.endpoint.clone(),
                model: choice.model.clone(),
                prompt_tokens: prompt,
                response_tokens: response,
            },
        })
    })
}

/// For each model whose usage was estimated, how often.
pub(super) fn estimated_usage<'a>(findings: &'a Findings<'_>) -> impl Iterator<Item = Note> + 'a {
    let models = findings.spec.models.iter().enumerate();
    models.filter_map(|(model, choice)| {
        let overhead = findings.overheads.of(model);
        let share = share(overhead.estimated, overhead.answers)?;
        if overhead.estimated == 0 {
            return None;
        }
        let name = model_name(findings.spec, model as u64);
        Some(Note {
            detail: format!(
                "{} of {} answers of `{name}` ({}) came without their tokens, or with fewer than \
                 their texts have, as where only the first of `n` responses is counted: they are \
                 counted from the texts, and brought to the endpoint's own measure by answers that \
                 it did count, so costs are estimates; hold them against the endpoint's bill",
                overhead.estimated,
                overhead.answers,
                amounts::percent(share)
            ),
            fact: Fact::UsageEstimated {
                endpoint: choice.endpoint.clone(),
                model: choice.model.clone(),
                answers: overhead.estimated,
                of: overhead.answers,
            },
        })
    })
}
