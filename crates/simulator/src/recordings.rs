//! What there is to replay: tasks, their instances and prompts, and the recorded responses.

mod load;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why recordings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// A file is missing or unreadable.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or a row of it is not the JSON that it should be.
    #[error("{file}, row {row}: not what a recording looks like")]
    Malformed {
        /// The file's name.
        file: String,
        /// The row, counted from 1.
        row: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The rows can be read, and contradict one another or themselves.
    #[error("{file}: {detail}")]
    Inconsistent {
        /// The file's name.
        file: String,
        /// What does not fit.
        detail: String,
    },
}

/// Why a response ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model ended by itself or on a stop string.
    Stop,
    /// The cap on tokens cut it.
    Length,
}

impl FinishReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// One recorded response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedResponse {
    /// The text, without the stop string that ended it.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Characters (Unicode scalar values) of each token, in order; they add up to the text.
    ///
    /// A last length of 0 in a response that stopped is a newline that began the recorded stop
    /// string and so is no part of the text.
    pub token_lengths: Vec<u32>,
    /// Generated tokens: one for each length, and one more where the response stopped by itself.
    pub completion_tokens: u32,
}

/// A prompt template of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The name, unique within the task.
    pub name: String,
    /// The template (Jinja, of which it uses `{{ name }}` alone).
    pub template: String,
}

/// Where recorded responses are found, but for the temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey<'a> {
    /// The task's name.
    pub task: &'a str,
    /// The model's name.
    pub model: &'a str,
    /// The prompt's name.
    pub prompt: &'a str,
    /// The instance's `id`.
    pub instance: &'a str,
}

/// What a prompt's text was recognised as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The task's name.
    pub task: String,
    /// The prompt's name.
    pub prompt: String,
    /// The instance's `id`.
    pub instance: String,
}

/// Recorded responses of real models, parsed and checked.
#[derive(Debug)]
pub struct Recordings {
    tasks: BTreeMap<String, Task>,
    models: BTreeSet<String>,
    /// Rendered prompt to what it is.
    places: HashMap<String, Place>,
    max_tokens: u32,
    stop: Vec<String>,
}

#[derive(Debug)]
struct Task {
    instances: Vec<Value>,
    prompts: Vec<Prompt>,
    /// Model, then prompt.
    cells: BTreeMap<String, BTreeMap<String, Cell>>,
}

/// The responses of one model to one prompt of one task.
#[derive(Debug, Default)]
struct Cell {
    /// Ascending.
    temperatures: Vec<f64>,
    instances: BTreeMap<String, Answers>,
}

/// The responses to one instance.
#[derive(Debug)]
struct Answers {
    prompt_tokens: u64,
    /// Ascending in temperature, none empty.
    by_temperature: Vec<(f64, Vec<RecordedResponse>)>,
}

impl Recordings {
    /// The names of the tasks, in order.
    pub fn tasks(&self) -> Vec<&str> {
        self.tasks.keys().map(String::as_str).collect()
    }

    /// The names of all models, in order.
    pub fn all_models(&self) -> Vec<&str> {
        self.models.iter().map(String::as_str).collect()
    }

    /// The names of the models that the task was recorded with, in order.
    pub fn models(&self, task: &str) -> Vec<&str> {
        let task = self.tasks.get(task);
        task.map_or_else(Vec::new, |task| {
            task.cells.keys().map(String::as_str).collect()
        })
    }

    /// The instances of a task as recorded: `id`, `question` or `text`, and `answer` (the key).
    pub fn instances(&self, task: &str) -> &[Value] {
        self.tasks.get(task).map_or(&[], |task| &task.instances)
    }

    /// The prompts of a task.
    pub fn prompts(&self, task: &str) -> &[Prompt] {
        self.tasks.get(task).map_or(&[], |task| &task.prompts)
    }

    /// The temperatures at which a model was recorded on a prompt, ascending.
    pub fn temperatures(&self, task: &str, model: &str, prompt: &str) -> &[f64] {
        self.cell(task, model, prompt)
            .map_or(&[], |cell| &cell.temperatures)
    }

    /// The keys of all cells, in order.
    pub fn cell_keys(&self) -> Vec<CellKey<'_>> {
        let mut keys = Vec::new();
        for (task, recorded) in &self.tasks {
            for (model, prompts) in &recorded.cells {
                for (prompt, cell) in prompts {
                    keys.extend(cell.instances.keys().map(|instance| CellKey {
                        task,
                        model,
                        prompt,
                        instance,
                    }));
                }
            }
        }
        keys
    }

    /// The responses of a cell at exactly this recorded temperature, in the order of recording;
    /// empty where there are none.
    pub fn responses(&self, key: &CellKey<'_>, temperature: f64) -> &[RecordedResponse] {
        let found = self.answers(key).and_then(|answers| {
            answers
                .by_temperature
                .iter()
                .find(|(recorded, _)| *recorded == temperature)
        });
        found.map_or(&[], |(_, responses)| responses)
    }

    /// The responses of a cell at the recorded temperature nearest to this one that has any (of two
    /// equally near, the lower). `None` where the cell has no responses at all.
    pub fn nearest_responses(
        &self,
        key: &CellKey<'_>,
        temperature: f64,
    ) -> Option<&[RecordedResponse]> {
        let by_temperature = &self.answers(key)?.by_temperature;
        let nearest = by_temperature.iter().min_by(|(left, _), (right, _)| {
            (left - temperature)
                .abs()
                .total_cmp(&(right - temperature).abs())
        });
        nearest.map(|(_, responses)| responses.as_slice())
    }

    /// The tokens of the rendered prompt, as the model counted them.
    pub fn prompt_tokens(&self, key: &CellKey<'_>) -> Option<u64> {
        self.answers(key).map(|answers| answers.prompt_tokens)
    }

    /// The text of a prompt for an instance.
    pub fn render(&self, task: &str, prompt: &str, instance: &str) -> Option<String> {
        let task = self.tasks.get(task)?;
        let prompt = task
            .prompts
            .iter()
            .find(|candidate| candidate.name == prompt)?;
        let instance = task
            .instances
            .iter()
            .find(|candidate| candidate["id"] == instance)?;
        render(&prompt.template, instance).ok()
    }

    /// What a prompt's exact text is, if it is one of the recorded ones.
    pub fn recognise(&self, text: &str) -> Option<&Place> {
        self.places.get(text)
    }

    /// The cap on tokens that was in force at the recording: no answer can be longer.
    pub fn max_tokens(&self) -> u32 {
        self.max_tokens
    }

    /// The stop strings that were in force at the recording, and so always are.
    pub fn stop(&self) -> &[String] {
        &self.stop
    }

    fn cell(&self, task: &str, model: &str, prompt: &str) -> Option<&Cell> {
        self.tasks.get(task)?.cells.get(model)?.get(prompt)
    }

    fn answers(&self, key: &CellKey<'_>) -> Option<&Answers> {
        self.cell(key.task, key.model, key.prompt)?
            .instances
            .get(key.instance)
    }
}

/// Fills `{{ name }}` with the instance's value of that name: a string as it is, else its JSON.
fn render(template: &str, instance: &Value) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            return Err("a placeholder is not closed".to_owned());
        };
        text.push_str(before);
        match instance.get(name.trim()) {
            Some(Value::String(value)) => text.push_str(value),
            Some(value) => text.push_str(&value.to_string()),
            None => return Err(format!("no value for {}", name.trim())),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_render() {
        let instance = json!({"question": "2 {{ x }}?", "age": 3});
        assert_eq!(
            render("Q: {{question}} {{ age }}.", &instance),
            Ok("Q: 2 {{ x }}? 3.".to_owned())
        );
        assert_eq!(render("none", &instance), Ok("none".to_owned()));
        assert!(render("{{ other }}", &instance).is_err());
        assert!(render("{{ question", &instance).is_err());
    }
}
