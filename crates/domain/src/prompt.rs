//! Prompts: what is asked, as a template over an instance.

use serde::{Deserialize, Serialize};

/// A prompt of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its name, unlike that of any other prompt of the job.
    pub name: String,
    /// What it says.
    pub body: PromptBody,
}

/// What a prompt says, in Jinja syntax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptBody {
    /// One text: sent as it is to a completions endpoint, as the user's message to a chat one.
    Text(String),
    /// Chat messages.
    Messages(Vec<Message>),
}

/// A chat message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `developer`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}
