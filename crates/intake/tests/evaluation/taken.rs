//! Configurations that are taken from jobs: with their models and prompts, and with what else is left out.

use super::{catalog, example};
use frugal_domain::fault::Fault;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{JobSpec, TrialReference};
use frugal_domain::state::JobState;
use frugal_intake::{Datasets, SourceJob, SourceJobs, named_trials};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const JOB: &str = "019abf3e-5f00-7000-8000-000000000001";

/// A job over both models of the example and its prompts, and three of its trials.
fn job(change: impl FnOnce(&mut Value)) -> SourceJob {
    let mut body = example();
    for part in ["configurations", "budgets"] {
        body.as_object_mut().unwrap().remove(part);
    }
    body["search_space"] = json!({"temperature": {"float": [0, 1]}, "n": {"int": [1, 8]}, "max_tokens": {"int": [10, 200]}});
    body["budgets"] = json!({"inference": {"usd": 0.003}, "optimization": {"usd": 1}});
    body["constraints"] = json!([{"metric": "cut_rate", "at_most": 0.2}]);
    change(&mut body);
    let (spec, _) = frugal_intake::job(&body, &catalog(), 1).unwrap();
    let settings = |spec: &JobSpec, model: &str, prompt: &str, n: u32| {
        let named = [
            ("model", json!(model)),
            ("prompt", json!(prompt)),
            ("temperature", json!(0.4)),
            ("n", json!(n)),
            ("max_tokens", json!(100)),
        ];
        let named = named.map(|(name, value)| (name.to_owned(), value));
        let configuration = spec.configuration_of(&BTreeMap::from(named), 0).unwrap();
        spec.settings(&configuration).unwrap()
    };
    let prompts: Vec<String> = spec
        .prompts
        .iter()
        .map(|prompt| prompt.name.clone())
        .collect();
    SourceJob {
        id: JOB.parse().unwrap(),
        state: JobState::Succeeded,
        best: Some(TrialNumber(7)),
        trials: BTreeMap::from([
            (TrialNumber(0), settings(&spec, "small", &prompts[0], 1)),
            (TrialNumber(7), settings(&spec, "large", &prompts[1], 3)),
        ]),
        spec,
    }
}

/// Rows that the job has not seen.
fn fresh() -> Value {
    let rows: Vec<Value> = (10..20)
        .map(|row| json!({"q": format!("{row} + 2?"), "a": row + 2}))
        .collect();
    json!({"instances": rows})
}

fn read(body: &Value, job: SourceJob) -> Result<JobSpec, Vec<Fault>> {
    let jobs = SourceJobs::from([(JOB.to_owned(), job)]);
    frugal_intake::evaluation_over(body, Datasets::new(), &jobs, &catalog(), 7)
        .map(|(spec, _)| spec)
}

fn fault(body: &Value, job: SourceJob) -> (String, String) {
    let mut faults = read(body, job).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.remove(0);
    (fault.pointer, fault.detail)
}

fn described(spec: &JobSpec) -> Vec<Value> {
    let named = spec.evaluation.iter().flat_map(|it| &it.configurations);
    named
        .map(|named| json!(spec.describe(&spec.settings(&named.configuration).unwrap())))
        .collect()
}

#[test]
fn a_winner_and_fresh_rows_are_an_evaluation() {
    let source = job(|_| {});
    let spec = read(
        &json!({"data": fresh(), "configurations": [{"job": JOB}]}),
        source.clone(),
    )
    .unwrap();
    assert_eq!(
        described(&spec),
        [
            json!({"endpoint": "local", "model": "large", "prompt": "steps", "temperature": 0.4, "n": 3, "max_tokens": 100})
        ]
    );
    // What is not said is as the job has it, prices apart, which are those of today.
    assert_eq!(spec.scorer, source.spec.scorer);
    assert_eq!(spec.objective, source.spec.objective);
    assert_eq!(spec.constraints, source.spec.constraints);
    assert_eq!(spec.inference_budget, source.spec.inference_budget);
    assert_eq!((spec.models.len(), spec.prompts.len()), (1, 1));
    assert_eq!(spec.prompts[0].body, source.spec.prompts[1].body);
    let named = &spec.evaluation.as_ref().unwrap().configurations[0];
    assert_eq!(named.name, "configuration-0");
    let from = TrialReference {
        job: JOB.parse::<JobId>().unwrap(),
        trial: TrialNumber(7),
    };
    assert_eq!(named.source, Some(from));
}

#[test]
fn trials_stand_beside_configurations_of_the_document() {
    let mut body = example();
    body["data"] = fresh();
    body["objective"] = json!({"metric": "mean"});
    body["configurations"] = json!([
        {"name": "today", "model": "small", "prompt": "direct", "temperature": 0.1},
        {"name": "baseline", "job": JOB, "trial": 0},
        {"name": "found", "job": JOB}
    ]);
    body["reference"] = json!("baseline");
    let other = job(|body| body["prompts"][1]["messages"][0]["content"] = json!("{{ q }} Slowly."));
    let spec = read(&body, other).unwrap();
    assert_eq!(
        spec.evaluation.as_ref().unwrap().reference_name(),
        "baseline"
    );
    assert_eq!(spec.objective.metric.as_str(), "mean");
    // Their models are there, and so is the first prompt; the other one is not what has its name here.
    assert_eq!(spec.models.len(), 2);
    let prompts: Vec<&str> = spec
        .prompts
        .iter()
        .map(|prompt| prompt.name.as_str())
        .collect();
    assert_eq!(
        prompts,
        ["direct", "steps", format!("steps ({JOB})").as_str()]
    );
    let asked: Vec<Value> = described(&spec)
        .into_iter()
        .map(|one| one["prompt"].clone())
        .collect();
    assert_eq!(asked, [json!("direct"), json!("direct"), json!(prompts[2])]);
    // What the document says itself stands.
    assert_eq!(json!(spec.inference_budget), json!({"usd": 0.001}));
}

#[test]
fn prompts_with_demonstrations_bring_their_rows_along() {
    let with_examples = |first: &str| {
        let first = first.to_owned();
        job(move |body| {
            body["prompts"] = json!([
                {"name": "plain", "text": "{{ q }}"},
                {"name": "shown", "text": "{% for one in demonstrations %}{{ one.q }} {{ one.a }}\n{% endfor %}{{ q }}"}
            ]);
            body["demonstrations"] =
                json!({"pool": [{"q": first, "a": 2}, {"q": "2 + 2?", "a": 4}], "count": 2});
        })
    };
    let source = with_examples("1 + 1?");
    let body = json!({"data": fresh(), "configurations": [{"job": JOB}]});
    let spec = read(&body, source.clone()).unwrap();
    assert_eq!(spec.pool, source.spec.pool);
    assert_eq!(
        spec.prompts[0].demonstrations,
        source.spec.prompts[1].demonstrations
    );
    // Those of another job are other rows.
    let second = "019abf3e-5f00-7000-8000-000000000002";
    let jobs = SourceJobs::from([
        (JOB.to_owned(), source),
        (second.to_owned(), with_examples("0 + 0?")),
    ]);
    let both = json!({"data": fresh(), "configurations": [{"job": JOB}, {"job": second}]});
    let faults =
        frugal_intake::evaluation_over(&both, Datasets::new(), &jobs, &catalog(), 7).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].pointer, "/configurations/1/job");
}

#[test]
fn what_cannot_be_taken_is_told_at_its_place() {
    let body = |configuration: Value| json!({"data": fresh(), "configurations": [configuration]});
    let missing = "019abf3e-5f00-7000-8000-00000000000f";
    for (document, source, pointer, detail) in [
        (
            body(json!({"job": missing, "trial": 1})),
            job(|_| {}),
            "/configurations/0/job",
            format!("there is no job `{missing}`; `GET /jobs` lists those that there are"),
        ),
        (
            body(json!({"job": JOB, "trial": 3})),
            job(|_| {}),
            "/configurations/0/trial",
            format!("the job `{JOB}` has no trial 3 that has ended"),
        ),
        (
            body(json!({"job": JOB, "n": 3})),
            job(|_| {}),
            "/configurations/0/n",
            "is not a known field; known here: `job`, `name`, `trial`".to_owned(),
        ),
        (
            body(json!({"job": JOB})),
            SourceJob {
                state: JobState::Running,
                ..job(|_| {})
            },
            "/configurations/0/job",
            format!(
                "the job `{JOB}` is running, so it has no winner yet; wait for its end, or name a `trial` of it"
            ),
        ),
        (
            body(json!({"job": JOB})),
            SourceJob {
                best: None,
                ..job(|_| {})
            },
            "/configurations/0/job",
            format!(
                "the job `{JOB}` found no valid configuration, so it has no winner; name a `trial` of it"
            ),
        ),
    ] {
        let faults = read(&document, source).unwrap_err();
        let found: Vec<(&str, &str)> = faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.detail.as_str()))
            .collect();
        assert!(
            found.contains(&(pointer, detail.as_str())),
            "{pointer}: {found:?}"
        );
    }
    // A fault in what is taken is told where the job is named.
    let mut lacking = body(json!({"job": JOB}));
    lacking["data"] = json!({"instances": [{"q": "1 + 1?"}]});
    let (pointer, detail) = fault(&lacking, job(|_| {}));
    assert_eq!(pointer, "/configurations/0/job");
    assert!(
        detail.starts_with("as nothing else is said, `scoring` is that of the job: "),
        "{detail}"
    );
    // So is a prompt that the rows have no values for.
    let mut lacking = body(json!({"job": JOB}));
    lacking["data"] = json!({"instances": [{"a": 1}]});
    assert_eq!(fault(&lacking, job(|_| {})).0, "/configurations/0/job");
}

#[test]
fn the_trials_that_a_document_names_are_known_before_it_is_read() {
    let document = json!({"configurations": [
        {"job": "a"}, {"job": "b", "trial": 3}, {"job": "a", "trial": 1}, {"job": 7}, {"model": "m"}, {"job": "b", "trial": -1}
    ]});
    let named = named_trials(&document);
    let of = |id: &str| named[id].iter().map(|trial| trial.0).collect::<Vec<u32>>();
    assert_eq!((named.len(), of("a"), of("b")), (2, vec![1], vec![3]));
    assert!(named_trials(&json!([])).is_empty());
}
