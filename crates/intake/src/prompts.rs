//! The prompts of a job.

use crate::limits::MAX_CHOICES;
use crate::models::ModelRead;
use crate::rows::Rows;
use crate::{demonstrations, rendering, template};
use frugal_domain::endpoint::Api;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::prompt::{Message, Prompt, PromptBody};
use frugal_scoring::{CompiledPrompt, DEMONSTRATIONS};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The prompts; `None` for one with a fault.
pub(crate) fn prompts(
    job: &ObjectReader<'_>,
    models: &[Option<ModelRead<'_>>],
    demonstrations: Option<&demonstrations::Read>,
    rows: Option<&Rows>,
) -> Vec<Option<Prompt>> {
    let places = match (job.get("prompts"), job.get("prompt")) {
        (Some(many), Some(one)) => {
            one.fault::<()>("give either `prompt` or `prompts`, not both");
            many.filled_array_within("prompt", MAX_CHOICES)
                .unwrap_or_default()
        }
        (Some(many), None) => many
            .filled_array_within("prompt", MAX_CHOICES)
            .unwrap_or_default(),
        (None, Some(one)) => vec![one],
        (None, None) => job
            .require(
                "prompts",
                "give at least one {\"text\": …} or {\"messages\": […]}",
            )
            .into_iter()
            .collect(),
    };
    let completions_only = models
        .iter()
        .flatten()
        .find(|model| model.api == Api::Completions)
        .map(|model| model.choice.model.as_str());
    let given: &[&str] = match demonstrations {
        Some(_) => &[DEMONSTRATIONS],
        None => &[],
    };
    let pool = match (demonstrations, rows) {
        (Some(read), Some(rows)) => read.pool_of(rows.all()).into(),
        _ => Arc::default(),
    };
    let mut names = BTreeSet::new();
    let mut work_left = rendering::MAX_JOB_WORK;
    let mut prompts = Vec::with_capacity(places.len());
    for (index, at) in places.iter().enumerate() {
        let Some(prompt) = read_prompt(at, index, completions_only, rows, given) else {
            prompts.push(None);
            continue;
        };
        // One that shows demonstrations is a prompt in each of the ways of showing them.
        let ways = match demonstrations.filter(|_| shows(&prompt)) {
            Some(read) => read.spread(&prompt),
            None => vec![prompt],
        };
        for prompt in ways {
            let sound = rows.is_none_or(|rows| {
                rendering::check(at, &prompt, &pool, rows, &mut work_left).is_some()
            });
            let name = prompt.name.clone();
            prompts.push(sound.then_some(prompt));
            if !names.insert(name.clone()) {
                at.fault::<()>(format!("the name `{name}` is taken by another prompt"));
            }
            // The others have the same fault.
            if !sound {
                break;
            }
        }
    }
    if prompts.len() > MAX_CHOICES && places.len() <= MAX_CHOICES {
        job.at.fault::<()>(format!(
            "the prompts and the ways of showing demonstrations make {} prompts; at most {MAX_CHOICES} are \
             allowed",
            prompts.len()
        ));
    }
    prompts
}

/// Whether a prompt has demonstrations in it.
fn shows(prompt: &Prompt) -> bool {
    CompiledPrompt::compile(prompt)
        .is_ok_and(|compiled| compiled.variables().contains(DEMONSTRATIONS))
}

fn read_prompt(
    at: &Reader<'_>,
    index: usize,
    completions_only: Option<&str>,
    rows: Option<&Rows>,
    given: &[&str],
) -> Option<Prompt> {
    let default_name = format!("prompt-{index}");
    if let Value::String(text) = at.value {
        template::check_with(at, text, rows, given)?;
        return Some(Prompt {
            name: default_name,
            body: PromptBody::Text(text.clone()),
            demonstrations: None,
        });
    }
    let object = at.object()?;
    let name = object
        .get("name")
        .map(|at| at.filled_string().map(str::to_owned));
    let text = object.get("text").map(|at| {
        let text = at.filled_string()?;
        template::check_with(&at, text, rows, given)?;
        Some(text.to_owned())
    });
    let messages = object.get("messages").map(|at| {
        if let Some(model) = completions_only {
            at.fault::<()>(format!(
                "the model `{model}` takes no messages; give the prompt as `text`"
            ));
        }
        let places = at.filled_array("message")?;
        let messages: Vec<_> = places
            .iter()
            .map(|at| read_message(at, rows, given))
            .collect();
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
        demonstrations: None,
    })
}

fn read_message(at: &Reader<'_>, rows: Option<&Rows>, given: &[&str]) -> Option<Message> {
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
            template::check_with(&at, text, rows, given)?;
            Some(text.to_owned())
        });
    object.finish();
    Some(Message {
        role: role?.to_owned(),
        content: content?,
    })
}
