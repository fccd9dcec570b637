//! Prompts: what is asked, as a template over an instance.

use serde::{Deserialize, Serialize};

/// A prompt of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its name, unlike that of any other prompt of the job.
    pub name: String,
    /// What it says.
    pub body: PromptBody,
    /// Which demonstrations it shows, if it shows any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<Demonstrations>,
}

/// Which rows of the job's pool a prompt shows as examples. No row is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstrations {
    /// How many.
    pub count: u32,
    /// Which of them.
    pub choice: DemonstrationChoice,
}

/// Which rows of a pool are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemonstrationChoice {
    /// The first ones.
    First,
    /// Those that come first in an order that is drawn, the same for all rows.
    Random {
        /// Which draw.
        draw: u32,
    },
    /// Those that have most words in common with the row, the nearest one last.
    Similar,
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
