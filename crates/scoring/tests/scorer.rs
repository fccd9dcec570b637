//! Scorers over instances and responses.

#![expect(
    clippy::unwrap_used,
    reason = "what tests build by hand is well formed"
)]

use frugal_domain::scoring::ScorerSpec;
use frugal_scoring::{MAX_PATTERN_BYTES, Scorer};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn instance(answer: Value) -> Map<String, Value> {
    let mut instance = Map::new();
    instance.insert("answer".to_owned(), answer);
    instance
}

fn spec(spec: Value) -> ScorerSpec {
    serde_json::from_value(spec).unwrap()
}

/// The score of each response under one scorer and one answer.
fn check(scorer: Value, answer: Value, cases: &[(&str, bool)]) {
    let told = scorer.to_string();
    let scorer = Scorer::compile(&spec(scorer)).unwrap();
    let instance = instance(answer);
    for (response, right) in cases {
        let score = scorer.score(&instance, response).unwrap();
        assert_eq!(score, f64::from(u8::from(*right)), "{told} {response:?}");
    }
}

/// Answers of a small model as they were recorded, with what they are worth by the rule of each
/// task: the last number on the first line; the key on the first line without regard to case
/// and accents; the JSON object without regard to case.
#[test]
fn recorded_answers_are_scored_by_the_rules_of_their_tasks() {
    check(
        json!({"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}),
        json!("33"),
        &[
            (
                " Sara starts with 30 and gets 3 more. 30 + 3 = 33. The answer is 33.",
                true,
            ),
            (
                " Sara starts with 30 and gets 3 more. 30 + 3 = 31. The answer is 31.",
                false,
            ),
            (" 33\nQuestion: 4 and 5?", true),
            (
                " Sara starts with 30 coins and loses 3. 30 - 3 = 39. Then Sara gets 1,9 or 2 for the answer is 1,9.",
                false,
            ),
        ],
    );
    check(
        json!({"type": "contains", "expected": "{{ answer }}", "extract": "first_line", "ignore_case": true, "ignore_accents": true}),
        json!("Paris"),
        &[
            (" Paris", true),
            (" The capital is PARIS.", true),
            (" Lyon", false),
        ],
    );
    check(
        json!({"type": "exact", "expected": "{{ answer }}", "extract": "json", "ignore_case": true}),
        json!({"name": "George Hill", "age": 59, "city": "Austin", "job": "farmer"}),
        &[
            (
                " {\"name\": \"George Hill\", \"age\": 59, \"city\": \"Austin\", \"job\": \"farmer\"}",
                true,
            ),
            (
                " {\"name\": \"George Hill\", \"age\": 17, \"city\": \"Austin\", \"job\": \"farmer\"}",
                false,
            ),
        ],
    );
}

#[test]
fn faults_of_a_scorer_name_the_field() {
    let fault = |scorer: Value| {
        let error = Scorer::compile(&spec(scorer)).unwrap_err();
        error.to_string()
    };
    insta::assert_snapshot!(fault(json!({"type": "regex", "pattern": "a(b"})), @"pattern: not a regular expression: unclosed group");
    insta::assert_snapshot!(fault(json!({"type": "regex", "pattern": "\\w{1000}{1000}"})), @"pattern: the pattern is too large once compiled; use smaller repetition counts");
    insta::assert_snapshot!(fault(json!({"type": "regex", "pattern": "a".repeat(MAX_PATTERN_BYTES + 1)})), @"pattern: the pattern is 4097 bytes long; at most 4096 are allowed");
    insta::assert_snapshot!(fault(json!({"type": "regex", "pattern": "(".repeat(4000)})), @"pattern: not a regular expression: unclosed group");
    insta::assert_snapshot!(fault(json!({"type": "exact", "expected": "x", "extract": {"regex": "*"}})), @"extract: not a regular expression: repetition operator missing expression");
    insta::assert_snapshot!(fault(json!({"type": "exact", "expected": "a\n{{ answer"})), @"expected: line 2: unexpected end of input, expected end of variable block");
    insta::assert_snapshot!(fault(json!({"type": "choice", "expected": "A", "choices": []})), @"choices: must name at least one choice");
    insta::assert_snapshot!(fault(json!({"type": "choice", "expected": "A", "choices": ["A", " "]})), @"choices: a choice must not be blank");
    insta::assert_snapshot!(fault(json!({"type": "choice", "expected": "A", "choices": ["A", "A "]})), @"choices: names a choice twice");
    insta::assert_snapshot!(fault(json!({"type": "numeric", "expected": "1", "tolerance": -1.0})), @"tolerance: must be 0 or above");
}

#[test]
fn an_instance_without_a_usable_answer_is_a_fault_of_the_data() {
    let fault = |scorer: Value, answer: Value| {
        let scorer = Scorer::compile(&spec(scorer)).unwrap();
        scorer
            .score(&instance(answer), "anything")
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(fault(json!({"type": "exact", "expected": "{{ key }}"}), json!(1)), @"expected: line 1: `key` is undefined in this instance");
    insta::assert_snapshot!(fault(json!({"type": "contains", "expected": "{{ answer }}"}), json!(" ")), @"expected: the text is empty for this instance, and every response contains that");
    insta::assert_snapshot!(fault(json!({"type": "numeric", "expected": "{{ answer }}"}), json!("x".repeat(100))), @"expected: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` holds 0 numbers; it must hold one");
    insta::assert_snapshot!(fault(json!({"type": "numeric", "expected": "{{ answer }}"}), json!("2 + 3 = 5")), @"expected: `2 + 3 = 5` holds 3 numbers; it must hold one");
    insta::assert_snapshot!(fault(json!({"type": "choice", "expected": "{{ answer }}", "choices": ["A", "B"]}), json!("C")), @"expected: `C` is none of the choices");
    insta::assert_snapshot!(fault(json!({"type": "exact", "expected": "{{ answer }}", "extract": "json"}), json!(33)), @"expected: `33` is no JSON object or array, which the extraction `json` is held against");
}

#[test]
fn an_expectation_scores_many_responses() {
    let scorer = Scorer::compile(&spec(
        json!({"type": "numeric", "expected": "{{ answer }}"}),
    ))
    .unwrap();
    let instance = instance(json!(19));
    let expectation = scorer.expectation(&instance).unwrap();
    let scores: Vec<f64> = ["19", "20", ""]
        .iter()
        .map(|text| expectation.score(text).unwrap())
        .collect();
    assert_eq!(scores, [1.0, 0.0, 0.0]);
}

fn any_scorer() -> impl Strategy<Value = ScorerSpec> {
    let extract = prop::sample::select(vec![
        json!("all"),
        json!("first_line"),
        json!("last_line"),
        json!("first_number"),
        json!("last_number"),
        json!("first_line_last_number"),
        json!("json"),
        json!({"regex": "is (.*)"}),
    ]);
    let kind = prop::sample::select(vec!["exact", "contains", "regex", "choice", "numeric"]);
    let folding = any::<(bool, bool)>();
    (kind, extract, folding).prop_map(|(kind, extract, (ignore_case, ignore_accents))| {
        let mut scorer = json!({"type": kind, "expected": "{{ answer }}", "extract": extract});
        match kind {
            "regex" => scorer["pattern"] = json!("a(.)|b"),
            "choice" => scorer["choices"] = json!(["1", "a"]),
            "numeric" => scorer["tolerance"] = json!(0),
            _ => {
                scorer["ignore_case"] = json!(ignore_case);
                scorer["ignore_accents"] = json!(ignore_accents);
            }
        }
        spec(scorer)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_response_scores_0_or_1(
        scorer in any_scorer(), answer in "[a1{}\\[\\]\".é ]{0,6}", response in any::<String>(), tangle in "[-a1{}\\[\\]\",.:é is\n]{0,40}",
    ) {
        let scorer = Scorer::compile(&scorer).unwrap();
        let instance = instance(Value::String(answer));
        for text in [response, tangle] {
            if let Ok(score) = scorer.score(&instance, &text) {
                prop_assert!(score == 0.0 || score == 1.0);
            }
        }
    }

    #[test]
    fn any_pattern_compiles_or_is_refused(pattern in any::<String>(), tangle in "[a(){}|*+?^$\\\\\\[\\]0-9,.-]{0,30}") {
        for pattern in [pattern, tangle] {
            let spec = spec(json!({"type": "regex", "pattern": pattern}));
            if let Err(error) = Scorer::compile(&spec) {
                prop_assert_eq!(error.field, "pattern");
            }
        }
    }
}
