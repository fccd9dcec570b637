//! What cannot be rendered or scored for some row is refused when the job is posted, and when an
//! estimate is asked for.

use super::{any_json, catalog};
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, Instance};
use frugal_intake::{Datasets, estimate};
use frugal_scoring::CompiledPrompt;
use proptest::prelude::*;
use serde_json::{Value, json};

fn document(rows: &Value, prompt: &Value) -> Value {
    json!({
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": prompt,
        "scoring": {"scorer": {"type": "contains", "expected": "x"}}
    })
}

/// The faults of a posted job, which are those of an estimate.
fn faults(document: &Value) -> Vec<Fault> {
    let posted = frugal_intake::job(document, &catalog(), 7).unwrap_err();
    let estimated = estimate::of_document(document, Datasets::new(), None, &catalog()).unwrap_err();
    assert_eq!(posted, estimated);
    posted
}

/// The one fault that a prompt has for some rows.
fn fault(rows: &Value, prompt: &Value) -> (String, String) {
    let mut faults = faults(&document(rows, prompt));
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.remove(0);
    (fault.pointer, fault.detail)
}

#[test]
fn a_prompt_is_rendered_for_every_row() {
    let rows = json!([
        {"q": "1", "meta": {"topic": "sum"}, "list": [1, 2]},
        {"q": "2", "meta": {}, "list": [1]},
        {"q": 3, "meta": {}, "list": [1]},
    ]);
    let told = |prompt: &str| fault(&rows, &json!(prompt)).1;
    insta::assert_snapshot!(told("{{ meta.topic.first }}{{ q }}"), @"cannot be rendered for row 0 and 2 more of the data: line 1: `meta.topic.first` is undefined in this instance; give it to the row, or say what takes its place with the filter `default`");
    insta::assert_snapshot!(told("{{ q }}\n{{ meta.topic }}"), @"cannot be rendered for row 1 and 1 more of the data: line 2: `meta.topic` is undefined in this instance; give it to the row, or say what takes its place with the filter `default`");
    insta::assert_snapshot!(told("{{ list[1] }}"), @"cannot be rendered for row 1 and 1 more of the data: line 1: `list[1]` is undefined in this instance; give it to the row, or say what takes its place with the filter `default`");
    insta::assert_snapshot!(told("{{ q.upper() }}"), @"cannot be rendered for row 0 and 2 more of the data: line 1: string has no method named upper; change the prompt or the row");
    insta::assert_snapshot!(told("{{ q + 1 }}"), @"cannot be rendered for row 0 and 1 more of the data: line 1: tried to use + operator on unsupported types string and number; change the prompt or the row");
    insta::assert_snapshot!(told("{% for i in range(15) %}{{ 'a' * 100000 }}{% endfor %}{{ q }}"), @"cannot be rendered for row 0 and 2 more of the data: the rendered text is 1500001 bytes long; at most 1048576 are allowed; shorten the prompt or the row");
    let remedied = document(&rows, &json!("{{ meta.topic | default('') }}"));
    assert!(frugal_intake::job(&remedied, &catalog(), 7).is_ok());
}

#[test]
fn the_text_to_blame_is_pointed_at() {
    let rows = json!([{"q": {"first": 1}}, {"q": 2}]);
    let bad = json!("{{ q.first }}");
    let pointer = |prompt: Value| fault(&rows, &prompt).0;
    assert_eq!(pointer(bad.clone()), "/prompt");
    assert_eq!(pointer(json!({"text": bad})), "/prompt/text");
    let messages = json!({"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": bad}
    ]});
    assert_eq!(pointer(messages.clone()), "/prompt/messages/1/content");
    let mut many = document(&rows, &Value::Null);
    many["prompts"] = json!([{"text": "{{ q }}"}, messages, bad]);
    let pointers: Vec<_> = faults(&many).into_iter().map(|it| it.pointer).collect();
    assert_eq!(pointers, ["/prompts/1/messages/1/content", "/prompts/2"]);
    // Of messages that are too long together, none is to blame alone.
    let long = json!({"role": "user", "content": "{{ 'a' * 1000000 }}"});
    let all_five = document(&rows, &json!({"messages": vec![long; 5]}));
    let found = faults(&all_five);
    assert_eq!(found[0].pointer, "/prompt/messages");
    insta::assert_snapshot!(found[0].detail, @"cannot be rendered for row 0 and 1 more of the data: the rendered messages are 5000000 bytes long; at most 4194304 are allowed; shorten the messages or the row");
}

#[test]
fn a_row_that_is_held_out_is_rendered_too() {
    let mut held_out = document(&json!([{"q": {"a": 1}}]), &json!("{{ q.a }}"));
    held_out["data"]["holdout"] = json!({"instances": [{"q": {}}]});
    let found = faults(&held_out);
    assert_eq!(found[0].pointer, "/prompt");
    assert!(found[0].detail.contains("row 1 of the data"), "{found:?}");
}

#[test]
fn braces_of_other_languages_are_seen_through() {
    let rows = json!([{"question": "2 + 1", "Standard Question": "?"}]);
    let (pointer, detail) = fault(&rows, &json!("Q: {question}\nA:"));
    assert_eq!(pointer, "/prompt");
    insta::assert_snapshot!(detail, @"uses no field of the data, and holds `{question}`, which is plain text; write `{{ question }}` for the field's value");
    let (_, detail) = fault(&rows, &json!("Q: {{ Standard Question }}"));
    insta::assert_snapshot!(detail, @r#"line 1: unexpected identifier, expected end of variable block; the name of the field `Standard Question` is no identifier: write `{{ row["Standard Question"] }}`"#);
    // Braces beside a field are text that is meant.
    let meant = document(&rows, &json!("{{ question }} Answer as {question}."));
    assert!(frugal_intake::job(&meant, &catalog(), 7).is_ok());
}

#[test]
fn a_right_answer_that_is_missing_is_a_fault() {
    let mut null = document(&json!([{"a": "1"}, {"a": null}]), &json!("{{ a }}"));
    null["scoring"]["scorer"] = json!({"type": "exact", "expected": "{{ a }}"});
    let found = faults(&null);
    assert_eq!(found[0].pointer, "/scoring/scorer/expected");
    insta::assert_snapshot!(found[0].detail, @"row 1 of the data: `a` is null, which is no right answer; give one or leave the row out");
    null["scoring"]["scorer"]["expected"] = json!("{{ a or 'nothing' }}");
    let found = frugal_intake::job(&null, &catalog(), 7);
    assert!(found.is_ok(), "{found:?}");
}

/// Rows with some of the fields that templates below take, of any kind.
fn any_row() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]", any_json(), 1..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn any_prompt() -> impl Strategy<Value = Value> {
    let piece = prop::sample::select(vec![
        "{{ a }}",
        "{{ b }}",
        "{{ a.b }}",
        "{{ a[1] }}",
        "{{ a[b] }}",
        "{{ a.b|default('-') }}",
        "{{ a.upper() }}",
        "{{ a|length }}",
        "{{ a|join(b) }}",
        "{{ a + b }}",
        "{{ a ~ b }}",
        "{{ (a ~ '')[3] }}",
        "{{ (a ~ '')|int }}",
        "{% for x in a %}{{ x }}{% endfor %}",
        "{% if a is defined %}{{ b }}{% endif %}",
        "{% for x in range(a) %}{{ x }}{% endfor %}",
        "{a}",
        "text",
    ]);
    let text = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    let content = |text: &String| json!({"role": "user", "content": text});
    prop_oneof![
        text.clone().prop_map(Value::from),
        prop::collection::vec(text, 1..3).prop_map(move |texts| {
            let messages: Vec<_> = texts.iter().map(content).collect();
            json!({"messages": messages})
        }),
    ]
}

/// A row as it comes back from the database, which keeps numbers as decimals written out.
fn from_the_database(row: &Instance) -> Instance {
    fn written_out(value: &Value) -> String {
        match value {
            Value::Number(number) if number.is_f64() => {
                let number = number.as_f64().unwrap();
                let text = number.to_string();
                // What is written without an exponent keeps its decimals.
                match number.abs() < 1e16 && !text.contains('.') {
                    true => format!("{text}.0"),
                    false => text,
                }
            }
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(written_out).collect();
                format!("[{}]", items.join(","))
            }
            Value::Object(fields) => {
                let field = |(name, value)| format!("{}:{}", json!(name), written_out(value));
                let fields: Vec<_> = fields.iter().map(field).collect();
                format!("{{{}}}", fields.join(","))
            }
            _ => value.to_string(),
        }
    }
    serde_json::from_str(&written_out(&Value::Object(row.clone()))).unwrap()
}

fn check_renders(prompt: &CompiledPrompt, data: &Data) -> Result<(), TestCaseError> {
    for row in data.tuning.iter().chain(&data.holdout) {
        let stored = from_the_database(row);
        let rendered = prompt.render(&stored);
        prop_assert!(rendered.is_ok(), "{rendered:?}");
        prop_assert_eq!(rendered, prompt.render(row));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A job is refused where its estimate is, for the same reasons; and where it is not, all its
    /// prompts can be rendered for all rows as they are stored.
    #[test]
    fn jobs_and_estimates_are_refused_alike(
        rows in prop::collection::vec(any_row(), 1..5),
        prompts in prop::collection::vec(any_prompt(), 1..3),
        share in 0.0_f64..0.6,
        seed in any::<u64>(),
    ) {
        let mut body = document(&json!(rows), &Value::Null);
        body["prompts"] = prompts.into();
        body["data"]["holdout"] = json!({"share": share});
        let posted = frugal_intake::job(&body, &catalog(), seed);
        let estimated = estimate::of_document(&body, Datasets::new(), None, &catalog());
        match (posted, estimated) {
            (Err(posted), Err(estimated)) => prop_assert_eq!(posted, estimated),
            (Ok((spec, data)), Ok(_)) => {
                for prompt in &spec.prompts {
                    check_renders(&CompiledPrompt::compile(prompt).unwrap(), &data)?;
                }
            }
            (posted, estimated) => {
                let (posted, estimated) = (posted.map(drop), estimated.map(drop));
                prop_assert!(false, "posted: {posted:?}; estimated: {estimated:?}");
            }
        }
    }
}
