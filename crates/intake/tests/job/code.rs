//! Programs as answers: refused where none are run, and held against the rows.

use crate::{catalog, example};
use frugal_domain::endpoint::Catalog;
use frugal_domain::metric::Metric;
use frugal_domain::program::Availability;
use serde_json::{Value, json};

/// What is wrong with the example under this scorer and with these rows, as pointer and detail.
fn faults(scorer: Value, row: Value, programs: Availability) -> Vec<(String, String)> {
    let mut body = example();
    body["data"] = json!({"instances": vec![row; 4]});
    body["scoring"] = json!({"scorer": scorer});
    body["objective"] = json!(null);
    let catalog = Catalog {
        programs,
        ..catalog()
    };
    let read = frugal_intake::job(&body, &catalog, 7);
    let faults = read.err().unwrap_or_default().into_iter();
    faults.map(|fault| (fault.pointer, fault.detail)).collect()
}

fn row() -> Value {
    json!({"question": "double x", "test": "assert f(1) == 2", "cases": [{"stdout": "1"}]})
}

const READY: Availability = Availability::Ready { seconds: 10 };

#[test]
fn a_server_without_a_sandbox_refuses_it_with_the_reason() {
    let scorer = json!({"type": "code", "tests": "{{ test }}"});
    assert_eq!(faults(scorer.clone(), row(), READY), []);
    let absent = Availability::Absent {
        why: "there is no Python".to_owned(),
    };
    let refused = faults(scorer, row(), absent);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, "/scoring/scorer/type");
    insta::assert_snapshot!(refused[0].1, @"runs programs, which this server does not: there is no Python; ask its operator, or use another scorer");
    let long = json!({"type": "code", "tests": "{{ test }}", "seconds": 11});
    let refused = faults(long, row(), READY);
    assert_eq!(refused[0].0, "/scoring/scorer/seconds");
    assert!(refused[0].1.contains("at most 10"), "{refused:?}");
}

#[test]
fn every_row_has_to_have_what_programs_are_held_against() {
    let scorer = json!({"type": "code", "tests": "{{ test }}", "prefix": "{{ prompt }}"});
    let refused = faults(scorer, row(), READY);
    assert_eq!(refused[0].0, "/scoring/scorer/prefix");
    assert!(
        refused[0].1.contains("`prompt` is absent from row 0"),
        "{refused:?}"
    );
    let scorer = json!({"type": "code", "tests": "{{ test"});
    assert_eq!(faults(scorer, row(), READY)[0].0, "/scoring/scorer/tests");
    let scorer = json!({"type": "code", "tests": "{{ test }}"});
    for nothing in [json!(""), json!(null)] {
        let mut row = row();
        row["test"] = nothing;
        let refused = faults(scorer.clone(), row, READY);
        assert_eq!(refused[0].0, "/scoring/scorer/tests", "{refused:?}");
        assert!(refused[0].1.contains("row 0"), "{refused:?}");
    }
}

#[test]
fn the_share_of_cases_is_a_mean_and_passing_a_chance() {
    let reducer = |scorer: Value| {
        let mut body = example();
        body["data"] = json!({"instances": vec![row(); 4]});
        body["scoring"] = json!({"scorer": scorer});
        body["objective"] = json!(null);
        let catalog = Catalog {
            programs: READY,
            ..catalog()
        };
        let (spec, _) = frugal_intake::job(&body, &catalog, 7).unwrap();
        spec.objective.metric
    };
    let whole = json!({"type": "code", "cases": "{{ cases }}"});
    assert_eq!(reducer(whole), Metric::ExpectedSuccess);
    let partial = json!({"type": "code", "cases": "{{ cases }}", "partial": true});
    assert_eq!(reducer(partial), Metric::Mean);
}
