//! Scorers that compare texts, held against the field's reference tools: rouge-score, sacrebleu and the rule
//! of SQuAD's evaluation script. `overlap/fixtures.py` made the fixtures.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_domain::scoring::ScorerSpec;
use frugal_scoring::Scorer;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn scorer(mut fields: Value) -> Scorer {
    fields["expected"] = json!("{{ references | tojson }}");
    fields["references"] = json!("list");
    let spec: ScorerSpec = serde_json::from_value(fields).unwrap();
    Scorer::compile(&spec).unwrap()
}

fn row(references: &Value) -> Map<String, Value> {
    Map::from_iter([("references".to_owned(), references.clone())])
}

/// How far two numbers may be apart that were reckoned in another order.
const NEAR: f64 = 1e-9;

#[test]
fn scores_are_those_of_the_reference_tools() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("overlap/fixtures.json")).unwrap();
    assert!(cases.len() >= 200);
    let mut scorers = vec![
        ("token_f1".to_owned(), scorer(json!({"type": "token_f1"}))),
        ("bleu".to_owned(), scorer(json!({"type": "bleu"}))),
        (
            "bleu lower".to_owned(),
            scorer(json!({"type": "bleu", "ignore_case": true})),
        ),
        ("chrf".to_owned(), scorer(json!({"type": "chrf"}))),
        (
            "chrf++ lower".to_owned(),
            scorer(json!({"type": "chrf", "word_order": 2, "ignore_case": true})),
        ),
    ];
    for variant in ["1", "2", "L"] {
        for measure in ["f1", "precision", "recall"] {
            let fields = json!({"type": "rouge", "variant": variant, "measure": measure});
            scorers.push((format!("rouge{variant} {measure}"), scorer(fields)));
        }
    }
    for case in &cases {
        let row = row(&case["references"]);
        let response = case["response"].as_str().unwrap();
        for (name, scorer) in &scorers {
            let score = scorer.score(&row, response).unwrap();
            let expected = case[name].as_f64().unwrap();
            assert!(
                (score - expected).abs() < NEAR,
                "{name}: {score} for {case}"
            );
        }
    }
}

#[test]
fn edits_are_counted_as_a_share_of_the_longer_text() {
    let scorer = scorer(json!({"type": "edit_similarity", "ignore_case": true}));
    let row = row(&json!(["Kitten", "mitten"]));
    for (response, score) in [
        (" kitten\n", 1.0),
        ("sitting", 1.0 - 3.0 / 7.0),
        ("mittens", 1.0 - 1.0 / 7.0),
        ("", 0.0),
    ] {
        let found = scorer.score(&row, response).unwrap();
        assert!((found - score).abs() < NEAR, "{response}: {found}");
    }
}

#[test]
fn words_of_any_script_count_where_they_are_asked_for() {
    let row = row(&json!(["Москва большой город"]));
    let score = |words: &str| {
        let scorer = scorer(json!({"type": "rouge", "variant": "1", "words": words}));
        scorer.score(&row, "большой ГОРОД").unwrap()
    };
    assert_eq!(score("english"), 0.0);
    assert!((score("unicode") - 0.8).abs() < NEAR);
}

#[test]
fn texts_of_any_length_are_compared_in_bounded_time() {
    let text = "a b c d e f g h ";
    let row = row(&json!([text.repeat(1_000)]));
    for kind in ["token_f1", "rouge", "bleu", "chrf", "edit_similarity"] {
        let scorer = scorer(json!({"type": kind}));
        let expectation = scorer.expectation(&row).unwrap();
        assert!(expectation.score(&text.repeat(1_000)).unwrap() > 1.0 - NEAR);
        // Megabytes are compared by their beginnings.
        let score = expectation.score(&text.repeat(200_000)).unwrap();
        assert_eq!(
            score,
            expectation.score(&text.repeat(100_000)).unwrap(),
            "{kind}"
        );
        assert!(score < 0.7, "{kind}: {score}");
    }
}

proptest! {
    #[test]
    fn scores_are_in_range_and_best_for_the_same_text(
        text in "[a-zA-Z,. é\\n0-9-]{0,40}", reference in "[a-zA-Z,. é\\n0-9-]{0,40}[a-z]{4}"
    ) {
        let row = row(&json!([reference]));
        for kind in ["token_f1", "rouge", "bleu", "chrf", "edit_similarity"] {
            let scorer = scorer(json!({"type": kind}));
            let score = scorer.score(&row, &text).unwrap();
            prop_assert!((0.0..=1.0 + NEAR).contains(&score), "{kind} {score}");
            let same = scorer.score(&row, &reference).unwrap();
            prop_assert!((same - 1.0).abs() < NEAR, "{kind} {same}");
        }
    }
}
