//! The scorer `math`, held against judgements of what is the same in mathematics.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_domain::scoring::ScorerSpec;
use frugal_scoring::Scorer;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn scorer(fields: &Value) -> Scorer {
    let mut spec = json!({"type": "math", "expected": "{{ answer }}"});
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let spec: ScorerSpec = serde_json::from_value(spec).unwrap();
    Scorer::compile(&spec).unwrap()
}

fn row(answer: &str) -> Map<String, Value> {
    Map::from_iter([("answer".to_owned(), json!(answer))])
}

/// What is expected, a response, and whether it is right.
type Pair = (String, String, bool);

/// The pairs of `math/pairs.txt`, with what each shows.
fn pairs() -> Vec<(String, Pair)> {
    let mut shows = String::new();
    let mut pairs = Vec::new();
    for line in include_str!("math/pairs.txt").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut shows);
        } else if !line.is_empty() && !line.starts_with('#') {
            let (sides, equal) = match line.split_once(" == ") {
                Some(sides) => (sides, true),
                None => (line.split_once(" != ").unwrap(), false),
            };
            let response = sides.1.replace('⏎', "\n");
            pairs.push((shows.clone(), (sides.0.to_owned(), response, equal)));
        }
    }
    pairs
}

#[test]
fn answers_are_told_apart_as_in_the_table() {
    let pairs = pairs();
    let unequal = pairs.iter().filter(|(_, (.., equal))| !equal).count();
    assert!(pairs.len() >= 350 && unequal >= 110);
    let scorer = scorer(&json!({}));
    let mut wrong = Vec::new();
    for (shows, (expected, response, equal)) in &pairs {
        let score = scorer.score(&row(expected), response);
        if score != Ok(f64::from(u8::from(*equal))) {
            wrong.push(format!(
                "{shows}: {expected} and {response} should be {equal}: {score:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} pairs:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn numbers_with_a_point_are_rounded_where_it_is_asked_for() {
    let check = |precision: Value, expected: &str, response: &str, equal: bool| {
        let scorer = scorer(&json!({"precision": precision}));
        let score = scorer.score(&row(expected), response).unwrap();
        assert_eq!(score == 1.0, equal, "{expected} {response} {precision}");
    };
    check(json!(2), "3.14", "3.14159", true);
    check(json!(3), "3.14", "3.14159", false);
    check(json!(2), "\\pi", "3.14", true);
    check(json!(2), "\\frac{1}{3}", "0.33", true);
    check(json!(2), "5", "6", false);
    check(json!(null), "3.14", "3.14159", false);
    check(json!(null), "\\pi", "3.141593", true);
}

#[test]
fn an_extraction_that_is_given_takes_the_place_of_the_search() {
    let check = |extract: Value, expected: &str, response: &str, equal: bool| {
        let scorer = scorer(&json!({"extract": extract}));
        let score = scorer.score(&row(expected), response).unwrap();
        assert_eq!(score == 1.0, equal, "{expected} {response} {extract}");
    };
    check(json!("first_number"), "3", "3 of 4", true);
    check(json!("all"), "\\frac12", "0.5", true);
    check(json!("all"), "\\frac12", "The answer is 0.5", false);
    check(json!({"regex": "x is (.*)"}), "2", "x is 2", true);
}

#[test]
fn an_expectation_may_be_a_worked_solution() {
    let scorer = scorer(&json!({}));
    for expected in ["She has 2 + 3 = 5.\n#### 5", "So $x = \\boxed{5}$."] {
        assert_eq!(scorer.score(&row(expected), "x = 5"), Ok(1.0), "{expected}");
    }
}

#[test]
fn an_expectation_that_cannot_be_read_is_a_fault_of_the_row() {
    let fault = |expected: &str| {
        let error = scorer(&json!({})).score(&row(expected), "5").unwrap_err();
        error.to_string()
    };
    insta::assert_snapshot!(fault("\\frac{1}{"), @r"expected: `\frac{1}{` cannot be read as mathematics: there is nothing where an answer should be");
    insta::assert_snapshot!(fault("\\left( 1, 2"), @r"expected: `\left( 1, 2` cannot be read as mathematics: there is a bracket that is not closed");
    insta::assert_snapshot!(fault(" "), @"expected: `` cannot be read as mathematics: there is nothing where an answer should be");
    insta::assert_snapshot!(fault("2^"), @"expected: `2^` cannot be read as mathematics: there is nothing where a number or a symbol should be");
}

#[test]
fn beyond_its_bounds_only_the_same_text_is_the_same() {
    let scorer = scorer(&json!({}));
    let brackets = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    for text in [
        "9^{9^{9}}".to_owned(),
        "(a+b+c+d)^{40}".to_owned(),
        "9".repeat(3_000),
        brackets(500),
        "x!".repeat(1_500),
        format!("x{}", "!".repeat(3_000)),
        "x^".repeat(1_500) + "x",
        "1/".repeat(1_900) + "1",
        "\\binom{300}{150}".repeat(200),
        (1..99)
            .map(|i| format!("\\frac{{1}}{{x+{i}}}+"))
            .collect::<String>()
            + "1",
        "1,".repeat(1_000) + "1",
        "x ".repeat(5_000),
    ] {
        let told = &text[..text.len().min(40)];
        assert_eq!(scorer.score(&row(&text), &text), Ok(1.0), "{told}");
        let other = format!("{text}+1");
        assert_eq!(scorer.score(&row(&text), &other), Ok(0.0), "{told}");
    }
}

/// Texts of what mathematics is made of.
fn tangle() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "\\frac",
        "\\sqrt",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\\{",
        "\\}",
        "^",
        "_",
        "1",
        "23",
        ".5",
        ",",
        "x",
        "y",
        "+",
        "-",
        "*",
        "/",
        "\\pm",
        "\\pi",
        "=",
        "<",
        "!",
        "%",
        "|",
        "\\cup",
        "\\text{",
        " ",
        "$",
        "\\boxed{",
        "\\sin",
        "\\log",
        "e",
        "i",
        "9999999",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "&",
        "\\\\",
        "1e999",
        "\\binom",
        "\\infty",
        "answer is ",
        "cm",
        "°",
        "²",
        "\\overline{",
        "0.",
        "and",
        "####",
        "\n",
        "\\",
        "…",
    ]);
    prop::collection::vec(parts, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_texts_are_compared_without_fault(text in any::<String>(), left in tangle(), right in tangle()) {
        let scorer = scorer(&json!({}));
        for (expected, response) in [(&left, &right), (&right, &text), (&text, &left)] {
            if let Ok(score) = scorer.score(&row(expected), response) {
                prop_assert!(score == 0.0 || score == 1.0);
            }
        }
    }

    #[test]
    fn what_can_be_read_is_itself(text in tangle()) {
        let scorer = scorer(&json!({"extract": "all"}));
        if let Ok(score) = scorer.score(&row(&text), &text) {
            // A worked solution is held against its answer.
            prop_assume!(!text.contains("\\boxed") && !text.contains("####"));
            prop_assert_eq!(score, 1.0);
        }
    }

    #[test]
    fn fractions_are_compared_exactly(above in -1_000_000_000_i64..1_000_000_000, below in 1_i64..1_000_000_000, times in 1_i64..1_000) {
        let scorer = scorer(&json!({}));
        let expected = format!("\\frac{{{above}}}{{{below}}}");
        let same = format!("{}/{}", above * times, below * times);
        prop_assert_eq!(scorer.score(&row(&expected), &same), Ok(1.0));
        let other = format!("{}/{}", above * times + 1, below * times);
        prop_assert_eq!(scorer.score(&row(&expected), &other), Ok(0.0));
    }

    #[test]
    fn polynomials_are_the_same_however_they_are_ordered(mut terms in prop::collection::vec((1_i64..100, 0_u32..6), 1..6), turn in 0_usize..6, off in 0_usize..6) {
        let scorer = scorer(&json!({}));
        let write = |terms: &[(i64, u32)]| {
            let terms: Vec<String> = terms.iter().map(|(c, p)| format!("{c}x^{{{p}}}")).collect();
            terms.join("+")
        };
        let expected = write(&terms);
        let turn = turn % terms.len();
        terms.rotate_left(turn);
        prop_assert_eq!(scorer.score(&row(&expected), &write(&terms)), Ok(1.0));
        let off = off % terms.len();
        terms[off].0 += 1;
        prop_assert_eq!(scorer.score(&row(&expected), &write(&terms)), Ok(0.0));
    }
}
