//! From a prompt and an instance to what is sent.

use crate::demonstrations::{DEMONSTRATIONS, Shown};
use crate::template::{ROW, Template, TemplateError};
use frugal_domain::prompt::{Message, Prompt, PromptBody};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest rendered prompt, in bytes, all its messages together.
pub const MAX_PROMPT_BYTES: usize = 4 * 1024 * 1024;

/// Tokens that a text prompt may have beyond its bytes: the token that begins a sequence, the
/// space that some tokenisers put in front.
const REQUEST_TOKENS: u64 = 8;

/// Tokens that chat templates wrap around one message: its marks, its role, line ends.
const MESSAGE_TOKENS: u64 = 16;

/// Tokens that a chat template adds once: the mark of the answer's beginning, and the system
/// message that some models put in where the request brings none (dates, a self-description).
const CHAT_TOKENS: u64 = 128;

/// A prompt whose templates are compiled.
#[derive(Debug, Clone)]
pub struct CompiledPrompt {
    body: Body,
    shown: Option<Shown>,
}

#[derive(Debug, Clone)]
enum Body {
    Text(Template),
    Messages(Vec<(String, Template)>),
}

/// Why a prompt cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// One of its templates is at fault.
    #[error("{field}: {error}")]
    Template {
        /// Which one, as a JSON pointer within the prompt: `/text` or `/messages/0/content`.
        field: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// All messages together are longer than [`MAX_PROMPT_BYTES`].
    #[error("the rendered messages are {bytes} bytes long; at most {MAX_PROMPT_BYTES} are allowed")]
    TooLong {
        /// Their length.
        bytes: usize,
    },
}

impl CompiledPrompt {
    /// Compiles the templates of a prompt.
    ///
    /// # Errors
    /// The first template that does not compile.
    pub fn compile(prompt: &Prompt) -> Result<Self, PromptError> {
        let body = match &prompt.body {
            PromptBody::Text(text) => Body::Text(Template::compile(text).map_err(in_text)?),
            PromptBody::Messages(messages) => Body::Messages(
                messages
                    .iter()
                    .enumerate()
                    .map(|(index, message)| {
                        let template =
                            Template::compile(&message.content).map_err(in_message(index))?;
                        Ok((message.role.clone(), template))
                    })
                    .collect::<Result<_, PromptError>>()?,
            ),
        };
        Ok(Self { body, shown: None })
    }

    /// Compiles the templates of a job's prompt, which may show rows of the job's pool.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn of_job(prompt: &Prompt, pool: &Arc<[Map<String, Value>]>) -> Result<Self, PromptError> {
        let mut compiled = Self::compile(prompt)?;
        if let Some(demonstrations) = prompt.demonstrations {
            // Which rows are near is not asked of what only the demonstrations show.
            let mut fields = compiled.variables();
            fields.remove(DEMONSTRATIONS);
            if fields.contains(ROW) {
                fields.clear();
            }
            compiled.shown = Some(Shown::new(demonstrations, Arc::clone(pool), fields));
        }
        Ok(compiled)
    }

    /// The variables that the prompt takes from an instance, by name.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        let mut variables: BTreeSet<String> = match &self.body {
            Body::Text(template) => template.variables().clone(),
            Body::Messages(messages) => messages
                .iter()
                .flat_map(|(_, template)| template.variables().iter().cloned())
                .collect(),
        };
        if self.shown.is_some() {
            variables.remove(DEMONSTRATIONS);
        }
        variables
    }

    /// What is sent for an instance.
    ///
    /// # Errors
    /// A template cannot be rendered for this instance, or the prompt gets too long.
    pub fn render(&self, instance: &Map<String, Value>) -> Result<RenderedPrompt, PromptError> {
        let (rendered, _) = self.render_measured(instance)?;
        Ok(rendered)
    }

    /// What is sent for an instance, and the work that it took, in units of [`crate::FUEL`].
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_measured(
        &self,
        instance: &Map<String, Value>,
    ) -> Result<(RenderedPrompt, u64), PromptError> {
        if let Some(shown) = &self.shown {
            let mut instance = instance.clone();
            instance.insert(DEMONSTRATIONS.to_owned(), shown.of(&instance));
            return self.render_body(&instance);
        }
        self.render_body(instance)
    }

    fn render_body(
        &self,
        instance: &Map<String, Value>,
    ) -> Result<(RenderedPrompt, u64), PromptError> {
        match &self.body {
            Body::Text(template) => {
                let (text, work) = template.render_measured(instance).map_err(in_text)?;
                Ok((RenderedPrompt::Text(text), work))
            }
            Body::Messages(messages) => {
                let (mut bytes, mut total) = (0, 0);
                let mut rendered = Vec::with_capacity(messages.len());
                for (index, (role, template)) in messages.iter().enumerate() {
                    let (content, work) = template
                        .render_measured(instance)
                        .map_err(in_message(index))?;
                    total += work;
                    bytes += content.len();
                    if bytes > MAX_PROMPT_BYTES {
                        return Err(PromptError::TooLong { bytes });
                    }
                    rendered.push(Message {
                        role: role.clone(),
                        content,
                    });
                }
                Ok((RenderedPrompt::Messages(rendered), total))
            }
        }
    }
}

fn in_text(error: TemplateError) -> PromptError {
    PromptError::Template {
        field: "/text".to_owned(),
        error,
    }
}

fn in_message(index: usize) -> impl Fn(TemplateError) -> PromptError {
    move |error| PromptError::Template {
        field: format!("/messages/{index}/content"),
        error,
    }
}

/// A prompt with an instance's values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderedPrompt {
    /// One text.
    Text(String),
    /// Chat messages.
    Messages(Vec<Message>),
}

impl RenderedPrompt {
    /// An upper bound of the prompt's tokens, for reserving the worst case before anything is
    /// sent.
    ///
    /// A token of a byte-level or byte-fallback tokeniser stands for at least one byte of
    /// UTF-8, so a text never has more tokens than bytes. On top come the tokens that no text
    /// stands for: 8 for a text sent as it is; for chat messages 16 each and 128 for the
    /// request, which covers the chat templates of the common open models, the system message
    /// that some add included. A text may be sent as a user's message, so it is given the
    /// larger of the two. A server that adds a longer system prompt of its own is not covered.
    #[must_use]
    pub fn token_bound(&self) -> u64 {
        let bytes = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
        let sum = |total: u64, more: u64| total.saturating_add(more);
        match self {
            Self::Text(text) => [bytes(text), MESSAGE_TOKENS, CHAT_TOKENS]
                .into_iter()
                .fold(REQUEST_TOKENS, sum),
            Self::Messages(messages) => messages
                .iter()
                .flat_map(|message| {
                    [
                        bytes(&message.role),
                        bytes(&message.content),
                        MESSAGE_TOKENS,
                    ]
                })
                .fold(CHAT_TOKENS, sum),
        }
    }
}
