//! A trial's configuration in forms that can be pasted elsewhere.

use frugal_domain::configuration::Settings;
use frugal_domain::endpoint::Api;
use frugal_domain::job::{DEMONSTRATIONS, JobSpec};
use frugal_domain::prompt::{Message, PromptBody};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use utoipa::ToSchema;

/// The most tokens of a response, as Frugal and most endpoints call it.
const MAX_TOKENS: &str = "max_tokens";

/// A form that a configuration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The body of a request to an OpenAI-compatible endpoint, as JSON.
    Openai,
    /// A call of LiteLLM, in Python.
    Litellm,
    /// A model of LangChain with its prompt, in Python.
    Langchain,
    /// A command of curl.
    Curl,
}

/// A configuration in a form that can be pasted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Winner {
    /// The trial that it is of.
    pub trial: u32,
    /// The form.
    pub form: Form,
    /// The text. The prompt stands in it as its template, in Jinja's syntax: the fields of a row are to be put
    /// in its place.
    pub text: String,
}

impl Winner {
    /// The configuration of a trial, for a model that is asked so, whose name for `max_tokens` may be another.
    #[must_use]
    pub fn of(
        spec: &JobSpec,
        trial: u32,
        settings: &Settings,
        (api, max_tokens_name): (Api, Option<&str>),
        form: Form,
    ) -> Self {
        let request = Request {
            max_tokens_name: max_tokens_name.unwrap_or(MAX_TOKENS).to_owned(),
            ..Request::of(spec, settings, api)
        };
        let text = match form {
            Form::Openai => request.body_text(),
            Form::Curl => request.curl(),
            Form::Litellm => request.litellm(),
            Form::Langchain => request.langchain(),
        };
        Self { trial, form, text }
    }
}

/// A request, ready to be written.
struct Request {
    model: String,
    api: Api,
    messages: Vec<(String, String)>,
    /// Everything but the model and the prompt.
    parameters: Map<String, Value>,
    /// What the endpoint calls `max_tokens`.
    max_tokens_name: String,
}

impl Request {
    fn of(spec: &JobSpec, settings: &Settings, api: Api) -> Self {
        let mut parameters = spec.describe(settings);
        let model = match parameters.remove("model") {
            Some(Value::String(model)) => model,
            _ => String::new(),
        };
        parameters.remove("endpoint");
        parameters.remove("prompt");
        parameters.remove(DEMONSTRATIONS);
        let prompt = spec.prompts.get(settings.sampling.prompt);
        let messages = match prompt.map(|prompt| &prompt.body) {
            Some(PromptBody::Text(text)) => vec![("user".to_owned(), text.clone())],
            Some(PromptBody::Messages(messages)) => {
                let message = |message: &Message| (message.role.clone(), message.content.clone());
                messages.iter().map(message).collect()
            }
            None => Vec::new(),
        };
        Self {
            model,
            api,
            messages,
            parameters,
            max_tokens_name: MAX_TOKENS.to_owned(),
        }
    }

    /// A text prompt is sent as it is where the model is asked for completions.
    fn is_completion(&self) -> bool {
        self.api == Api::Completions && self.messages.len() == 1
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(self.model));
        if self.is_completion() {
            let prompt = self.messages.first().map(|(_, text)| text);
            body.insert("prompt".to_owned(), json!(prompt));
        } else {
            body.insert("messages".to_owned(), self.messages_value());
        }
        for (name, value) in &self.parameters {
            let name = match name == MAX_TOKENS {
                true => &self.max_tokens_name,
                false => name,
            };
            body.insert(name.clone(), value.clone());
        }
        body
    }

    fn messages_value(&self) -> Value {
        let message =
            |(role, content): &(String, String)| json!({"role": role, "content": content});
        self.messages.iter().map(message).collect()
    }

    fn body_text(&self) -> String {
        serde_json::to_string_pretty(&self.body()).unwrap_or_default()
    }

    fn curl(&self) -> String {
        let path = match self.is_completion() {
            true => "completions",
            false => "chat/completions",
        };
        // A quote ends the text of the shell, stands by itself, and begins it again.
        let body = self.body_text().replace('\'', "'\\''");
        format!(
            "curl \"$OPENAI_BASE_URL/{path}\" \\\n  -H \"Authorization: Bearer $OPENAI_API_KEY\" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'\n"
        )
    }

    fn litellm(&self) -> String {
        let mut text = "import os\n\nimport litellm\n\n".to_owned();
        let call = match self.is_completion() {
            true => "text_completion",
            false => "completion",
        };
        let _ = writeln!(text, "response = litellm.{call}(");
        let _ = writeln!(
            text,
            "    model={},",
            python(&json!(format!("openai/{}", self.model)))
        );
        text.push_str("    api_base=os.environ[\"OPENAI_BASE_URL\"],\n");
        match self.is_completion() {
            true => {
                let prompt = self.messages.first().map(|(_, text)| text);
                let _ = writeln!(text, "    prompt={},", python(&json!(prompt)));
            }
            false => {
                let _ = writeln!(text, "    messages={},", python(&self.messages_value()));
            }
        }
        for (name, value) in &self.parameters {
            let _ = writeln!(text, "    {name}={},", python(value));
        }
        text.push_str(")\n");
        text
    }

    fn langchain(&self) -> String {
        const OWN: &[&str] = &["temperature", "top_p", "max_tokens", "n", "stop"];
        let mut text = "import os\n\nfrom langchain_core.prompts import ChatPromptTemplate\nfrom langchain_openai import ChatOpenAI\n\n".to_owned();
        text.push_str("model = ChatOpenAI(\n");
        let _ = writeln!(text, "    model={},", python(&json!(self.model)));
        text.push_str("    base_url=os.environ[\"OPENAI_BASE_URL\"],\n");
        let mut extra = Map::new();
        for (name, value) in &self.parameters {
            match OWN.contains(&name.as_str()) {
                true => _ = writeln!(text, "    {name}={},", python(value)),
                false => _ = extra.insert(name.clone(), value.clone()),
            }
        }
        if !extra.is_empty() {
            let _ = writeln!(text, "    extra_body={},", python(&Value::Object(extra)));
        }
        text.push_str(")\nprompt = ChatPromptTemplate.from_messages(\n    [\n");
        for (role, content) in &self.messages {
            let pair = [json!(role), json!(content)];
            let _ = writeln!(
                text,
                "        ({}, {}),",
                python(&pair[0]),
                python(&pair[1])
            );
        }
        text.push_str("    ],\n    template_format=\"jinja2\",\n)\nchain = prompt | model\n");
        text
    }
}

/// A value as Python writes it. Texts are written as JSON has them, which Python reads the same.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", python(&json!(name)), python(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(api: Api) -> Request {
        let parameters = json!({
            "temperature": 0.5, "max_tokens": 64, "n": 3, "stop": ["\n"], "min_p": 0.1, "echo": true
        });
        Request {
            model: "m".to_owned(),
            api,
            messages: vec![("user".to_owned(), "What's \"{{ q }}\"?\nSay.".to_owned())],
            parameters: parameters.as_object().cloned().unwrap(),
            max_tokens_name: "max_completion_tokens".to_owned(),
        }
    }

    #[test]
    fn forms_can_be_pasted() {
        let chat = request(Api::Chat);
        let all = [
            chat.body_text(),
            chat.curl(),
            chat.litellm(),
            chat.langchain(),
            request(Api::Completions).litellm(),
        ];
        insta::assert_snapshot!("forms", all.join("\n----\n"));
    }
}
