//! Metrics of whole corpora, from what scorers count of each text, held against the field's reference tools.
//! `crates/scoring/tests/overlap/fixtures.py` made the fixtures.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_domain::metric::CorpusMetric;
use frugal_domain::scoring::ScorerSpec;
use frugal_evaluation::Corpus;
use frugal_scoring::Scorer;
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

/// The metric of texts together, by what was counted of each.
fn corpus(scorer: &Scorer, cases: &[Value]) -> Corpus {
    let observed = cases.iter().map(|case| {
        let response = case["response"].as_str().unwrap();
        scorer.observe(&row(&case["references"]), response).unwrap()
    });
    let observed: Vec<_> = observed.map(|one| [one]).collect();
    Corpus::of(observed.iter().enumerate()).unwrap()
}

#[test]
fn corpora_are_scored_as_by_the_reference_tools() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../scoring/tests/overlap/fixtures.json")).unwrap();
    let corpora: Vec<Value> =
        serde_json::from_str(include_str!("../../scoring/tests/overlap/corpora.json")).unwrap();
    assert!(corpora.len() >= 30);
    let place = |told: &Value| usize::try_from(told.as_u64().unwrap()).unwrap();
    for told in &corpora {
        let cases = &cases[place(&told["first"])..place(&told["last"])];
        for (fields, names) in [
            (
                json!({"type": "bleu"}),
                vec![(CorpusMetric::Bleu, "corpus_bleu")],
            ),
            (
                json!({"type": "bleu", "ignore_case": true}),
                vec![(CorpusMetric::Bleu, "corpus_bleu lower")],
            ),
            (
                json!({"type": "token_f1"}),
                vec![
                    (CorpusMetric::F1, "corpus_f1"),
                    (CorpusMetric::Precision, "corpus_precision"),
                    (CorpusMetric::Recall, "corpus_recall"),
                ],
            ),
        ] {
            let found = corpus(&scorer(fields), cases);
            for (metric, name) in names {
                let found = found.estimate(metric).unwrap().estimate.mean;
                let expected = told[name].as_f64().unwrap();
                assert!(
                    (found - expected).abs() < NEAR,
                    "{name}: {found} for {told}"
                );
            }
        }
    }
}
