//! Scorers, as they are posted.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

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
        #[schema(min_items = 1, max_items = 1000, example = json!(["A", "B", "C", "D"]))]
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
    /// A model says how good a response is. Its requests are paid from the optimization budget, and are no
    /// part of the inference cost.
    Judge {
        /// The operator's name of the endpoint that the judge is asked at.
        #[schema(min_length = 1)]
        endpoint: String,
        /// The model that judges.
        #[schema(min_length = 1)]
        model: String,
        /// What makes a response good, as a template over the instance. What is around it is Frugal's: the
        /// response, how to rate it and in which form.
        #[schema(
            min_length = 1,
            example = "Is the summary true to the text, and short?\n\nText: {{ text }}"
        )]
        rubric: String,
        /// Whether it rates a response, or compares it with `expected`; `rating` by default.
        style: Option<JudgeStylePost>,
        /// The worst and the best rating, which score 0 and 1; [1, 5] by default.
        #[schema(nullable = true, min_items = 2, max_items = 2)]
        scale: Option<Vec<f64>>,
        /// A reference that the judge is shown, or compares the response with.
        #[schema(nullable = true, example = "{{ summary }}")]
        expected: Option<String>,
        /// How often it is asked the same, the mean of what it says being the score; 1 by default. Pairs are
        /// asked about in both orders each time.
        #[schema(nullable = true, minimum = 1, maximum = 16)]
        repeats: Option<u32>,
        /// The most tokens of a reply; 256 by default.
        #[schema(nullable = true, minimum = 1, maximum = 1_000_000)]
        max_tokens: Option<u32>,
        /// How hot it samples; 0 by default, and the endpoint's own choice where it is null.
        #[schema(nullable = true, minimum = 0, maximum = 2)]
        temperature: Option<f64>,
        /// The most of the optimization budget that its requests may use, as a part of it; all of it by default.
        /// Where instances are held out the search leaves a quarter of the share for these. Where it is used up
        /// the search ends (`budget_exhausted`, and the note `judge_share`).
        #[schema(nullable = true, exclusive_minimum = 0, maximum = 1)]
        share: Option<f64>,
        /// Answers that people have rated, which the judge is tried on first: the report says how far it may
        /// be trusted (the note `judge_agreement`). Instances without one are passed over.
        labels: Option<JudgeLabelsPost>,
        /// Which part of the response is judged; all of it by default.
        extract: Option<ExtractPost>,
    },
    /// The weighted mean of what several scorers say. It has no `expected` of its own. What is read is looked at
    /// first, then programs are run, then webhooks and last judges asked, required parts before others; a part that is required
    /// and scores 0 spares what is left, and one without a score makes none.
    Composite {
        /// The scorers.
        #[schema(min_items = 1, max_items = 16)]
        parts: Vec<PartPost>,
    },
    /// A service of the operator's says how good a response is, one score from 0 to 1 or none with a reason. The
    /// operator lists it, and it is told the row, the response and what is expected.
    Webhook {
        /// The operator's name of the service.
        #[schema(min_length = 1, example = "grader")]
        name: String,
        /// What a right answer is, for the service to know.
        #[schema(nullable = true, example = "{{ answer }}")]
        expected: Option<String>,
        /// Which part of the response it is told; all of it by default.
        extract: Option<ExtractPost>,
    },
    /// The response is a program, which is run in a sandbox without network and files. Either `tests` or
    /// `cases` is given. A server that has no sandbox refuses it.
    Code {
        /// What it is written in; `python` by default.
        language: Option<LanguagePost>,
        /// What is run after the program, in the same module: a program passes where this runs to its end.
        #[schema(nullable = true, min_length = 1, example = "{{ test }}")]
        tests: Option<String>,
        /// The name of the function that `check`, which the tests define, is called with.
        #[schema(nullable = true, min_length = 1, example = "{{ entry_point }}")]
        entry_point: Option<String>,
        /// What is put before the response, where that is the rest of a program.
        #[schema(nullable = true, min_length = 1, example = "{{ prompt }}")]
        prefix: Option<String>,
        /// What the program is given and has to write, a run for each: a JSON array of
        /// `{"stdin": …, "stdout": …}`, or an object of two arrays, `inputs` and `outputs`. Outputs are compared
        /// by lines without white space at their ends.
        #[schema(nullable = true, min_length = 1, example = "{{ cases }}")]
        cases: Option<String>,
        /// Whether the score is the share of cases that pass, and not 1 where all do; no by default.
        #[schema(nullable = true)]
        partial: Option<bool>,
        /// What a run may take of processor time, and twice that of time; 5 by default.
        #[schema(nullable = true, minimum = 1, maximum = 60)]
        seconds: Option<u32>,
        /// Which part of the response is the program; `code` by default.
        extract: Option<ExtractPost>,
        /// Marks at the first of which the program ends; none by default.
        #[schema(nullable = true, example = json!(["\nclass", "\ndef", "\n#", "\nif", "\nprint"]))]
        stop_at: Option<Vec<String>>,
    },
}

/// What a program is written in.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LanguagePost {
    /// Python 3, its standard library alone.
    Python,
}

/// A part of a composite scorer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartPost {
    /// How much its score counts beside the others; 1 by default.
    #[schema(nullable = true, minimum = 0.000_001, maximum = 1_000_000)]
    pub weight: Option<f64>,
    /// Whether all of it scores 0 where this part does; no by default.
    #[schema(nullable = true)]
    pub required: Option<bool>,
    /// Any scorer but another composite.
    #[schema(no_recursion)]
    pub scorer: Box<ScorerPost>,
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
    /// What is at a path of its first JSON object or array; a text without its quotes.
    JsonPath {
        /// Names and places, one after the other (RFC 9535, singular queries).
        #[schema(min_length = 1, example = "$.answers[0].value")]
        json_path: String,
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
    /// The same, and all of it where it has no such block.
    Code,
    /// What is in its last `\boxed{…}`.
    Boxed,
    /// Its mathematical answer: the last box, what follows the last `answer is`, `answer:` or `####`, the last
    /// `$…$`, the mathematics that its last line ends with, or its last number.
    MathAnswer,
}

/// Answers that people have rated, as templates over the instance.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeLabelsPost {
    /// The answer.
    #[schema(min_length = 1, example = "{{ sample }}")]
    pub answer: String,
    /// Their rating: a number of the scale; of a pair from 0, where the reference is better, to 1.
    #[schema(min_length = 1, example = "{{ rating }}")]
    pub rating: String,
}

/// How a judge is asked.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JudgeStylePost {
    /// How good is this response, as a number?
    Rating,
    /// Which is better, this response or the reference?
    Pairwise,
}
