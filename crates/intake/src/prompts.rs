//! The prompts of a job.

use crate::limits::MAX_CHOICES;
use crate::models::ModelRead;
use crate::rows::Rows;
use crate::{rendering, template};
use frugal_domain::endpoint::Api;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::prompt::{Message, Prompt, PromptBody};
use serde_json::Value;
use std::collections::BTreeSet;

/// The prompts; `None` for one with a fault.
pub(crate) fn prompts(
    job: &ObjectReader<'_>,
    models: &[Option<ModelRead<'_>>],
    rows: Option<&Rows>,
) -> Vec<Option<Prompt>> {
    let places = match (job.get("prompts"), job.get("prompt")) {
        (Some(many), Some(one)) => {
            one.fault::<()>("give either `prompt` or `prompts`, not both");
            many.filled_array("prompt").unwrap_or_default()
        }
        (Some(many), None) => many.filled_array("prompt").unwrap_or_default(),
        (None, Some(one)) => vec![one],
        (None, None) => job
            .require(
                "prompts",
                "give at least one {\"text\": …} or {\"messages\": […]}",
            )
            .into_iter()
            .collect(),
    };
    if places.len() > MAX_CHOICES {
        job.at
            .fault::<()>(format!("`prompts` must hold at most {MAX_CHOICES}"));
    }
    let completions_only = models
        .iter()
        .flatten()
        .find(|model| model.api == Api::Completions)
        .map(|model| model.choice.model.as_str());
    let mut names = BTreeSet::new();
    let mut work_left = rendering::MAX_JOB_WORK;
    places
        .iter()
        .enumerate()
        .map(|(index, at)| {
            let prompt = read_prompt(at, index, completions_only, rows)?;
            if let Some(rows) = rows {
                rendering::check(at, &prompt, rows, &mut work_left)?;
            }
            if !names.insert(prompt.name.clone()) {
                return at.fault(format!(
                    "the name `{}` is taken by another prompt",
                    prompt.name
                ));
            }
            Some(prompt)
        })
        .collect()
}

fn read_prompt(
    at: &Reader<'_>,
    index: usize,
    completions_only: Option<&str>,
    rows: Option<&Rows>,
) -> Option<Prompt> {
    let default_name = format!("prompt-{index}");
    if let Value::String(text) = at.value {
        template::check(at, text, rows)?;
        return Some(Prompt {
            name: default_name,
            body: PromptBody::Text(text.clone()),
        });
    }
    let object = at.object()?;
    let name = object
        .get("name")
        .map(|at| at.filled_string().map(str::to_owned));
    let text = object.get("text").map(|at| {
        let text = at.filled_string()?;
        template::check(&at, text, rows)?;
        Some(text.to_owned())
    });
    let messages = object.get("messages").map(|at| {
        if let Some(model) = completions_only {
            at.fault::<()>(format!(
                "the model `{model}` takes no messages; give the prompt as `text`"
            ));
        }
        let places = at.filled_array("message")?;
        let messages: Vec<_> = places.iter().map(|at| read_message(at, rows)).collect();
        messages.into_iter().collect::<Option<Vec<_>>>()
    });
    object.finish();
    let body = match (text, messages) {
        (Some(text), None) => PromptBody::Text(text?),
        (None, Some(messages)) => PromptBody::Messages(messages?),
        _ => return at.fault("give exactly one of `text` and `messages`"),
    };
    Some(Prompt {
        name: name.unwrap_or(Some(default_name))?,
        body,
    })
}

fn read_message(at: &Reader<'_>, rows: Option<&Rows>) -> Option<Message> {
    let object = at.object()?;
    let role = object
        .require("role", "use `system`, `user` or `assistant`")
        .and_then(|at| {
            at.one_of(&[
                ("system", "system"),
                ("developer", "developer"),
                ("user", "user"),
                ("assistant", "assistant"),
            ])
        });
    let content = object
        .require("content", "give the message's text")
        .and_then(|at| {
            let text = at.string()?;
            template::check(&at, text, rows)?;
            Some(text.to_owned())
        });
    object.finish();
    Some(Message {
        role: role?.to_owned(),
        content: content?,
    })
}
