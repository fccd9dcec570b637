//! The body of `POST /jobs`, for its description only: it is read by `frugal_intake`,
//! which finds every fault at once. A test holds the two against each other.

use super::{
    Budget, ConfigurationPost, Constraint, Direction, Metric, Reducer, Reference, SearchPost,
    SearchSpacePost,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A job to be carried out: some data, how an answer is scored, the settings that may vary, what
/// one answer may cost and what the whole search may cost. Everything but the data, the models
/// (or one `model`), the prompts (or one `prompt`) and the scoring has a default. Unknown fields
/// are errors.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!(super::example::job()))]
#[serde(deny_unknown_fields)]
pub struct JobPost {
    /// A name for people.
    #[schema(nullable = true, min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Labels for people and tools, at most 64.
    pub labels: Option<BTreeMap<String, String>>,
    /// The rows to tune on.
    pub data: DataPost,
    /// The models to choose from. Give either this or `model`.
    #[schema(min_items = 1, max_items = 64)]
    pub models: Option<Vec<ModelPost>>,
    /// The only model.
    pub model: Option<ModelPost>,
    /// The prompts to choose from. Give either this or `prompt`.
    #[schema(min_items = 1, max_items = 64)]
    pub prompts: Option<Vec<PromptPost>>,
    /// The only prompt.
    pub prompt: Option<PromptPost>,
    /// The settings that vary, by name. By default `temperature` from 0 to 2 or `top_p` from 0
    /// to 1, `max_tokens` from 50 to 1000, `n` from 1 to 100. Where it is given without
    /// `max_tokens` or `n`, those are 1000 and 1.
    pub search_space: Option<SearchSpacePost>,
    /// How an answer is scored.
    pub scoring: ScoringPost,
    /// What the search is after. By default the most of `scoring.reduce`.
    pub objective: Option<ObjectivePost>,
    /// What a configuration must keep besides to be valid; nothing by default. One that does not
    /// is still evaluated and shown, but it never wins. What an instance may cost is given as
    /// `budgets.inference`.
    #[schema(max_items = 16)]
    pub constraints: Option<Vec<Constraint>>,
    /// What may be spent.
    pub budgets: Option<BudgetsPost>,
    /// Limits other than money.
    pub limits: Option<LimitsPost>,
    /// How the search is run.
    pub search: Option<SearchPost>,
    /// What the winner is compared with: settings by name, or `false` for no comparison. What is
    /// left out, or the whole of it, is what one gets without tuning: the first model that can be
    /// afforded, the first prompt, temperature 1, one response with as many tokens as the space
    /// allows. A model can be afforded if this is expected to cost no more than the inference
    /// budget, responses being taken to have `max_tokens` tokens and no more than 256; if none can
    /// be, it is the cheapest. The values need not be among those of the search space: a baseline is
    /// what one has today. Its model and prompt are among the job's, and its settings are Frugal's
    /// own or have a name that the search space knows.
    pub baseline: Option<BaselinePost>,
    /// Configurations to try first: settings by name. What is left out is as in the default
    /// baseline.
    #[schema(max_items = 64)]
    pub start: Option<Vec<ConfigurationPost>>,
}

/// Settings by name, or `false`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BaselinePost {
    /// `false`: no comparison.
    None(bool),
    /// The settings.
    Configuration(ConfigurationPost),
}

/// The rows of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataPost {
    /// The rows: the variables of the prompts and of the expected answer, by name. A row may
    /// have an `id`; ids must differ.
    #[schema(min_items = 1, max_items = 100_000)]
    pub instances: Vec<Map<String, Value>>,
    /// Rows that only the winner and the baseline are scored on, in the end. None by default.
    pub holdout: Option<HoldoutPost>,
}

/// Rows held out from the search: either a share of the instances, drawn by the seed, or rows
/// of their own.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum HoldoutPost {
    /// A share.
    Share {
        /// The share of the instances that is held out.
        #[schema(minimum = 0, exclusive_maximum = 1, example = 0.3)]
        share: f64,
    },
    /// Rows.
    Instances {
        /// The rows.
        #[schema(min_items = 1, max_items = 100_000)]
        instances: Vec<Map<String, Value>>,
    },
}

/// A model that the job may choose.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPost {
    /// One of the endpoints of `GET /endpoints`.
    #[schema(min_length = 1, example = "local")]
    pub endpoint: String,
    /// One of its models.
    #[schema(min_length = 1, example = "gemma-3-270m")]
    pub model: String,
    /// Settings that vary for this model only.
    pub search_space: Option<SearchSpacePost>,
}

/// What is asked, as a Jinja template over an instance: a text, or an object with exactly one
/// of `text` and `messages`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PromptPost {
    /// A text. Its name is `prompt-0`, `prompt-1`, … by its position.
    Plain(String),
    /// A text with a name: sent as it is to a completions model, as the user's message to a
    /// chat model.
    Text {
        /// Unlike that of any other prompt of the job; `prompt-0`, `prompt-1`, … by default.
        #[schema(nullable = true)]
        name: Option<String>,
        /// The template.
        #[schema(min_length = 1)]
        text: String,
    },
    /// Chat messages. Models that take text only cannot be asked this way.
    Messages {
        /// Unlike that of any other prompt of the job; `prompt-0`, `prompt-1`, … by default.
        #[schema(nullable = true)]
        name: Option<String>,
        /// The messages.
        #[schema(min_items = 1)]
        messages: Vec<MessagePost>,
    },
}

/// A chat message.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagePost {
    /// Whose it is.
    pub role: MessageRole,
    /// Its text, a template.
    pub content: String,
}

/// Whose a chat message is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// Instructions.
    System,
    /// Instructions, under the newer name.
    Developer,
    /// The user's.
    User,
    /// The model's.
    Assistant,
}

/// How an answer is scored.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoringPost {
    /// Scores one response: 1 for right, 0 for wrong.
    pub scorer: ScorerPost,
    /// What is made of the scores of an instance's n responses; `expected_success` by default, and `mean`
    /// where the scorer gives shares (`json`, `token_f1`, `rouge`, `bleu`, `chrf`, `edit_similarity`).
    pub reduce: Option<Reducer>,
}

/// Scores one response: 1 for right, 0 for wrong, and some between for what is right in part. `expected`
/// is a template over the instance.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ScorerPost {
    /// The extracted text equals the expected one, up to white space at both ends.
    Exact {
        /// What a right answer is.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// Which part of the response is compared; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `é` and `e` are the same; no by default.
        #[schema(nullable = true)]
        ignore_accents: Option<bool>,
        /// Whether marks of punctuation count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_punctuation: Option<bool>,
        /// Whether the words a, an and the count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_articles: Option<bool>,
        /// Whether any white space is as good as one space; no by default.
        #[schema(nullable = true)]
        ignore_space: Option<bool>,
    },
    /// The extracted text contains the expected one, or of a list of them any or all.
    Contains {
        /// What a right answer holds.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// Whether `expected` is one text or a list of them; `one` by default.
        references: Option<ReferencesPost>,
        /// How many of a list there must be; `any` by default.
        matches: Option<MatchesPost>,
        /// Which part of the response is searched; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `é` and `e` are the same; no by default.
        #[schema(nullable = true)]
        ignore_accents: Option<bool>,
        /// Whether marks of punctuation count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_punctuation: Option<bool>,
        /// Whether the words a, an and the count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_articles: Option<bool>,
        /// Whether any white space is as good as one space; no by default.
        #[schema(nullable = true)]
        ignore_space: Option<bool>,
    },
    /// The extracted text matches a pattern; with `expected`, the first capture group (or the
    /// whole match where there is none) must equal it.
    Regex {
        /// A regular expression in the syntax of the Rust crate `regex`.
        #[schema(min_length = 1)]
        pattern: String,
        /// What the capture must be, where given.
        #[schema(nullable = true)]
        expected: Option<String>,
        /// Which part of the response is searched; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `A` and `a` are the same in what it captures; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `é` and `e` are the same; no by default.
        #[schema(nullable = true)]
        ignore_accents: Option<bool>,
        /// Whether marks of punctuation count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_punctuation: Option<bool>,
        /// Whether the words a, an and the count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_articles: Option<bool>,
        /// Whether any white space is as good as one space; no by default.
        #[schema(nullable = true)]
        ignore_space: Option<bool>,
    },
    /// The first of the choices that the extracted text names is the expected one.
    Choice {
        /// The right choice.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// All choices.
        #[schema(min_items = 1, example = json!(["A", "B", "C", "D"]))]
        choices: Vec<String>,
        /// Which part of the response is searched; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `é` and `e` are the same; no by default.
        #[schema(nullable = true)]
        ignore_accents: Option<bool>,
        /// Whether marks of punctuation count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_punctuation: Option<bool>,
        /// Whether the words a, an and the count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_articles: Option<bool>,
        /// Whether any white space is as good as one space; no by default.
        #[schema(nullable = true)]
        ignore_space: Option<bool>,
    },
    /// The extracted number equals the expected one.
    Numeric {
        /// The right number.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// Which number of the response is compared; `last_number` by default.
        extract: Option<ExtractPost>,
        /// How far off it may be, as a share of the expected number or of 1, whichever is
        /// larger; 0 by default.
        #[schema(nullable = true, minimum = 0)]
        tolerance: Option<f64>,
    },
    /// The answer is the expected one as mathematics, in LaTeX or without: numbers to the last digit, fractions,
    /// roots, percent, sets, points, intervals, matrices, equations, expressions in symbols, several answers,
    /// and words.
    Math {
        /// The right answer, such as `\frac{1}{2}`, or a worked solution with its answer in `\boxed{…}` or
        /// behind `####`.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// Which part of the response is the answer; `math_answer` by default.
        extract: Option<ExtractPost>,
        /// The decimals that numbers with a point are rounded to. Without it numbers that end are compared
        /// exactly, and with one that has no end, such as 1/3 or π, to six decimals.
        #[schema(nullable = true, minimum = 0, maximum = 30)]
        precision: Option<u32>,
    },
    /// The text holds a JSON value: 1 where it keeps to the schema, or is any where none is given; with
    /// `expected`, the share of its fields that are right.
    Json {
        /// The right value, an object or an array: its fields count one by one, those of objects within
        /// objects too, and arrays as a whole.
        #[schema(nullable = true, example = "{{ answer }}")]
        expected: Option<String>,
        /// Which part of the response is searched; its first JSON object or array by default.
        extract: Option<ExtractPost>,
        /// A JSON schema (draft 2020-12 unless it names another), which refers to nothing outside of
        /// itself. What does not keep to it scores 0.
        #[schema(nullable = true, value_type = Option<std::collections::HashMap<String, serde_json::Value>>)]
        schema: Option<Value>,
        /// What becomes of fields that `expected` has not; `ignored` by default.
        extra_fields: Option<ExtraFieldsPost>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `é` and `e` are the same; no by default.
        #[schema(nullable = true)]
        ignore_accents: Option<bool>,
        /// Whether marks of punctuation count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_punctuation: Option<bool>,
        /// Whether the words a, an and the count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_articles: Option<bool>,
        /// Whether any white space is as good as one space; no by default.
        #[schema(nullable = true)]
        ignore_space: Option<bool>,
    },
    /// The words that the extracted text and the expected one have in common, as SQuAD's evaluation
    /// script counts them: the F1, without case, punctuation and the articles a, an, the.
    TokenF1 {
        /// What a right answer says.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// Which part of the response is compared; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `expected` is one text or a list of them; `one` by default.
        references: Option<ReferencesPost>,
    },
    /// ROUGE, as the package rouge-score reckons it without stemming.
    Rouge {
        /// What a right answer says.
        #[schema(min_length = 1, example = "{{ summary }}")]
        expected: String,
        /// Which part of the response is compared; all of it by default.
        extract: Option<ExtractPost>,
        /// What is compared; `L` by default.
        variant: Option<RougeVariant>,
        /// What of the agreement counts; `f1` by default.
        measure: Option<RougeMeasure>,
        /// What words are made of; `english` by default.
        words: Option<RougeWords>,
        /// Whether `expected` is one text or a list of them; `one` by default.
        references: Option<ReferencesPost>,
    },
    /// BLEU of one text, from 0 to 1, as sacrebleu reckons it: tokeniser 13a, exponential smoothing, no
    /// order that the text is too short for.
    Bleu {
        /// What a right answer says.
        #[schema(min_length = 1, example = "{{ translation }}")]
        expected: String,
        /// Which part of the response is compared; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `expected` is one text or a list of them; `one` by default.
        references: Option<ReferencesPost>,
    },
    /// chrF of one text, from 0 to 1, as sacrebleu reckons it, with n-grams of up to 6 characters.
    Chrf {
        /// What a right answer says.
        #[schema(min_length = 1, example = "{{ translation }}")]
        expected: String,
        /// Which part of the response is compared; all of it by default.
        extract: Option<ExtractPost>,
        /// The longest n-grams of words that count too; 0 by default, 2 for chrF++.
        #[schema(nullable = true, minimum = 0, maximum = 4)]
        word_order: Option<u8>,
        /// How many times as much recall counts as precision; 2 by default.
        #[schema(nullable = true, exclusive_minimum = 0, maximum = 100)]
        beta: Option<f64>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `expected` is one text or a list of them; `one` by default.
        references: Option<ReferencesPost>,
    },
    /// One less the share of characters that must be put in, taken out or changed to make the extracted
    /// text the expected one (Levenshtein, of the longer of the two).
    EditSimilarity {
        /// What a right answer is.
        #[schema(min_length = 1, example = "{{ answer }}")]
        expected: String,
        /// Which part of the response is compared; all of it by default.
        extract: Option<ExtractPost>,
        /// Whether `A` and `a` are the same; no by default.
        #[schema(nullable = true)]
        ignore_case: Option<bool>,
        /// Whether `é` and `e` are the same; no by default.
        #[schema(nullable = true)]
        ignore_accents: Option<bool>,
        /// Whether marks of punctuation count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_punctuation: Option<bool>,
        /// Whether the words a, an and the count for nothing; no by default.
        #[schema(nullable = true)]
        ignore_articles: Option<bool>,
        /// Whether any white space is as good as one space; no by default.
        #[schema(nullable = true)]
        ignore_space: Option<bool>,
        /// Whether `expected` is one text or a list of them; `one` by default.
        references: Option<ReferencesPost>,
    },
}

/// What `expected` holds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferencesPost {
    /// A text.
    One,
    /// A JSON array of texts, as from `{{ answers | tojson }}`: the best agreement counts.
    List,
}

/// How many of a list of texts there must be.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchesPost {
    /// One of them.
    Any,
    /// Each of them.
    All,
}

/// What becomes of fields that are not expected.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtraFieldsPost {
    /// Nothing.
    Ignored,
    /// Each counts as one that is not right.
    Wrong,
}

/// What ROUGE compares.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub enum RougeVariant {
    /// Words.
    #[serde(rename = "1")]
    Words,
    /// Pairs of words.
    #[serde(rename = "2")]
    Pairs,
    /// The longest common subsequence of words.
    #[serde(rename = "L")]
    Subsequence,
}

/// What of an agreement counts.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RougeMeasure {
    /// The harmonic mean of both.
    F1,
    /// What of the response is in the reference.
    Precision,
    /// What of the reference is in the response.
    Recall,
}

/// What a word is made of.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RougeWords {
    /// The letters a to z and digits, as in the reference implementation.
    English,
    /// Letters and digits of any script.
    Unicode,
}

/// Which part of a response is looked at: one of the names, what a pattern captures, or what comes after a
/// mark.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ExtractPost {
    /// A part with a name.
    Named(ExtractName),
    /// What a pattern captures: the first group, or the whole match where there is none.
    Regex {
        /// The pattern.
        #[schema(min_length = 1)]
        regex: String,
    },
    /// What comes after the last of these marks.
    After {
        /// The mark, such as `####`.
        #[schema(min_length = 1)]
        after: String,
    },
}

/// A part of a response.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtractName {
    /// All of it.
    All,
    /// Its first line that is not blank.
    FirstLine,
    /// Its last line that is not blank.
    LastLine,
    /// Its first number.
    FirstNumber,
    /// Its last number.
    LastNumber,
    /// The last number on its first line that is not blank.
    FirstLineLastNumber,
    /// Its first JSON object or array.
    Json,
    /// What is in its first fenced block of code.
    FirstCodeBlock,
    /// What is in its last `\boxed{…}`.
    Boxed,
    /// Its mathematical answer: the last box, what follows the last `answer is`, `answer:` or `####`, the last
    /// `$…$`, the mathematics that its last line ends with, or its last number.
    MathAnswer,
}

/// What the search is after.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectivePost {
    /// The metric; `scoring.reduce` by default.
    pub metric: Option<Metric>,
    /// Whether more is better; `maximize` by default.
    pub direction: Option<Direction>,
    /// In place of both: the least inference cost of answers that are as good as others.
    pub cheapest: Option<CheapestPost>,
}

/// The least inference cost of answers that are as good as the baseline's, or as some value says: those
/// of configurations whose mean of a metric is, with this confidence, no lower than the reference's less
/// the margin. `{}` is the least cost of answers as good as the baseline's.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheapestPost {
    /// What says how good answers are: `expected_success`, `success` or `mean`; `scoring.reduce` by
    /// default.
    pub metric: Option<Metric>,
    /// What they must be as good as: `"baseline"` (the default), instance by instance, or a mean of the
    /// metric from 0 to 1.
    pub as_good_as: Option<Reference>,
    /// How much lower the mean may be and still be as good; 0.05 by default.
    #[schema(nullable = true, minimum = 0, exclusive_maximum = 1, example = 0.02)]
    pub margin: Option<f64>,
    /// How sure it is to be that the mean is no lower; 0.95 by default.
    #[schema(nullable = true, minimum = 0.5, maximum = 0.999, example = 0.95)]
    pub confidence: Option<f64>,
}

/// What may be spent. Dollars need models with known prices; tokens do not.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetsPost {
    /// The most that one instance may cost under a configuration; no limit by default.
    pub inference: Option<Budget>,
    /// The most that the whole job may spend; by default 1 dollar, or 1,000,000 tokens where a
    /// model has no price.
    pub optimization: Option<Budget>,
}

/// Limits other than money.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPost {
    /// The most trials that the searcher may propose; 100 by default.
    #[schema(nullable = true, minimum = 1, maximum = 100_000)]
    pub trials: Option<u32>,
    /// The most seconds from the first start; no limit by default.
    #[schema(nullable = true, minimum = 1, maximum = 2_678_400)]
    pub seconds: Option<u64>,
    /// The search ends after so many trials in a row that are no better than the best before
    /// them; those that were pruned, refused or failed count too. Trials under way are then
    /// waited for, and the search goes on if one of them is better. No limit by default.
    #[schema(nullable = true, minimum = 1, maximum = 100_000)]
    pub trials_without_improvement: Option<u32>,
}
