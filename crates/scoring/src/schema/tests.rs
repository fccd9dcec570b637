use super::Schema;
use proptest::prelude::*;
use serde_json::{Value, json};

fn is_kept(schema: &Value, text: &str) -> bool {
    let schema = Schema::compile(schema).unwrap();
    let is_kept = schema.is_kept_by(text).unwrap();
    assert_eq!(schema.violation(text).is_none(), is_kept, "{text}");
    is_kept
}

#[test]
fn numbers_are_held_to_the_last_digit() {
    let long = "12345678901234567891234";
    for (schema, kept, not_kept) in [
        (
            json!({"const": long}),
            vec!["12345678901234567891234", "12345678901234567891234.0"],
            vec!["12345678901234567891235", "1.2345678901234568e22"],
        ),
        (
            json!({"const": 18_446_744_073_709_551_615_u64}),
            vec!["18446744073709551615", "18446744073709551615.0"],
            vec!["18446744073709551616", "18446744073709551614"],
        ),
        (
            json!({"enum": [1, 1e22, [long]]}),
            vec![
                "1.0",
                "10000000000000000000000",
                "[12345678901234567891234]",
            ],
            vec!["10000000000000000000001", "[12345678901234567891235]"],
        ),
        (
            json!({"minimum": 9_007_199_254_740_993_u64}),
            vec!["9007199254740993", "9007199254740993.5"],
            vec!["9007199254740992.9999"],
        ),
        (
            json!({"maximum": long}),
            vec!["12345678901234567891234", "-1e300"],
            vec!["12345678901234567891235", "12345678901234567891234.01"],
        ),
        (
            json!({"exclusiveMinimum": long}),
            vec!["12345678901234567891235"],
            vec!["12345678901234567891234"],
        ),
        (
            json!({"exclusiveMaximum": 0.1}),
            vec!["0.09999999999999999999999"],
            vec!["0.1", "0.10000000000000000000001"],
        ),
        (
            json!({"multipleOf": 10}),
            vec!["12345678901234567891230", "1e30", "0"],
            vec!["12345678901234567891234", "1e-1"],
        ),
        (
            json!({"multipleOf": 0.1}),
            vec!["0.3", "1.1", "123456789012345678901.3"],
            vec!["0.35", "123456789012345678901.35"],
        ),
        (
            json!({"type": "integer"}),
            vec!["12345678901234567891234", "1e20", "3.0"],
            vec!["12345678901234567891234.5", "9007199254740992.5"],
        ),
        (
            json!({"uniqueItems": true}),
            vec![
                "[12345678901234567891234, 12345678901234567891235]",
                "[1, \"1\"]",
            ],
            vec!["[1, 1.0]", "[{\"a\": 1, \"b\": 2}, {\"b\": 2.0, \"a\": 1}]"],
        ),
        // A text is a text, whatever its digits.
        (
            json!({"type": "string", "pattern": "^[0-9]{23}$"}),
            vec!["\"12345678901234567891234\""],
            vec!["12345678901234567891234"],
        ),
        // The words of the rules may be names and values.
        (
            json!({"properties": {"minimum": {"minimum": long}, "const": {"const": {"minimum": "5"}}}}),
            vec![
                "{\"minimum\": 12345678901234567891234}",
                "{\"const\": {\"minimum\": \"5\"}}",
            ],
            vec!["{\"minimum\": 5}", "{\"const\": {\"minimum\": 5}}"],
        ),
        // In draft 4 one word says how another one is meant.
        (
            json!({
                "$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": true
            }),
            vec!["3.1"],
            vec!["3"],
        ),
    ] {
        for text in kept {
            assert!(is_kept(&schema, text), "{schema} {text}");
        }
        for text in not_kept {
            assert!(!is_kept(&schema, text), "{schema} {text}");
        }
    }
}

#[test]
fn what_is_not_kept_is_told_with_all_digits() {
    let schema = json!({"properties": {"id": {"maximum": "12345678901234567891234"}, "kind": {"enum": ["a", 1]}}});
    let schema = Schema::compile(&schema).unwrap();
    let told = |text: &str| schema.violation(text).unwrap();
    assert_eq!(
        told("{\"id\": 12345678901234567891235}"),
        "the value does not keep to the schema at `/id`: 12345678901234567891235 is greater than the maximum of \
         12345678901234567891234"
    );
    assert_eq!(
        told("{\"kind\": \"b\"}"),
        "the value does not keep to the schema at `/kind`: the value is not one of [\"a\",1]"
    );
}

#[test]
fn numbers_without_end_take_bounded_time() {
    let schema = json!({"multipleOf": 7, "minimum": -5, "uniqueItems": true});
    let digits = "9".repeat(200_000);
    for text in [
        digits.clone(),
        format!("[{digits}, {digits}1]"),
        "1e308".to_owned(),
        "1e-2147483648".to_owned(),
        "1e999999999999".to_owned(),
    ] {
        let schema = Schema::compile(&schema).unwrap();
        schema.is_kept_by(&text).unwrap();
    }
}

/// A schema whose references have a value looked at 2ⁿ times.
fn chain(link: impl Fn(Value) -> Value, end: Value) -> Value {
    let mut defs = serde_json::Map::new();
    for number in 0..40 {
        let next = json!({"$ref": format!("#/$defs/a{}", number + 1)});
        defs.insert(format!("a{number}"), link(next));
    }
    defs.insert("a40".to_owned(), end);
    json!({"$ref": "#/$defs/a0", "$defs": defs})
}

#[test]
fn schemas_that_multiply_end_in_words() {
    let any = |next: Value| json!({"anyOf": [next, next]});
    let all = |next: Value| json!({"allOf": [next, next]});
    let one = |next: Value| json!({"oneOf": [next, {"not": next}]});
    let schemas = [
        chain(any, json!({"type": "string"})),
        chain(any, json!(false)),
        chain(any, json!({"const": 3})),
        chain(all, json!({})),
        chain(all, json!(true)),
        chain(all, json!({"type": "object"})),
        chain(one, json!({"type": "object"})),
        json!({"anyOf": [
            {"properties": {"a": {"$ref": "#"}}, "required": ["z"]},
            {"properties": {"a": {"$ref": "#"}}, "required": ["y"]}
        ]}),
        json!({"items": {"enum": (0..9_000).collect::<Vec<_>>()}}),
    ];
    let deep = format!("{}1{}", "{\"a\": ".repeat(100), "}".repeat(100));
    let long = format!("[{}]", vec!["9001"; 1_000].join(","));
    for schema in schemas {
        let compiled = Schema::compile(&schema).unwrap();
        for text in ["{}", &deep, &long] {
            let found = compiled.is_kept_by(text);
            if let Err(reason) = found {
                assert!(
                    reason.starts_with("it takes more than 1000000 steps"),
                    "{reason}"
                );
            }
            compiled.violation(text);
        }
    }
    // What was unwound out of is as good as before.
    let plain = json!({"properties": {"a": {"type": "integer"}, "b": false}});
    assert!(is_kept(&plain, "{\"a\": 1}") && !is_kept(&plain, "{\"b\": 1}"));
}

#[test]
fn what_is_left_over_is_asked_of_schemas_that_stay_small() {
    let left = |next: Value| json!({"anyOf": [next, next], "unevaluatedProperties": false});
    let fault = Schema::compile(&chain(left, json!({}))).unwrap_err();
    let detail = fault.to_string();
    assert!(
        detail.contains("comes to more than 500 schemas"),
        "{detail}"
    );
    let by_name =
        json!({"$defs": {"a": {"$anchor": "a"}}, "$ref": "#a", "unevaluatedProperties": false});
    let detail = Schema::compile(&by_name).unwrap_err().to_string();
    assert!(detail.contains("references by place alone"), "{detail}");
    let schema = json!({
        "$defs": {"named": {"properties": {"name": {"type": "string"}}}, "tree": {"items": {"$ref": "#/$defs/tree"}}},
        "allOf": [{"$ref": "#/$defs/named"}], "properties": {"age": {"$ref": "#/$defs/tree"}},
        "unevaluatedProperties": false
    });
    assert!(is_kept(&schema, "{\"name\": \"Ann\", \"age\": [3]}"));
    assert!(!is_kept(&schema, "{\"name\": \"Ann\", \"city\": 3}"));
}

/// Schemas and values in which numbers are small.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_i64..9).prop_map(Value::from),
        (-9_i64..9).prop_map(|number| json!(number as f64 / 4.0)),
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    /// Where numbers are not rounded the rules are those of the crate over its own values.
    #[test]
    fn small_numbers_are_judged_as_ever(
        value in value(),
        bounds in (-9_i64..9, -9_i64..9, 1_i64..5),
        given in prop::collection::vec(value(), 1..4),
        of_type in prop::sample::select(vec!["integer", "number", "string", "object", "array", "null", "boolean"]),
    ) {
        let (low, high, unit) = bounds;
        let text = value.to_string();
        for rule in [
            json!({"minimum": low, "exclusiveMaximum": high as f64 / 2.0}),
            json!({"exclusiveMinimum": low, "maximum": high}),
            json!({"multipleOf": unit as f64 / 4.0}),
            json!({"enum": given}),
            json!({"const": given[0]}),
            json!({"type": of_type, "uniqueItems": true, "minLength": 2}),
        ] {
            let members = json!({
                "anyOf": [rule, {"properties": {"a": rule}, "additionalProperties": rule, "items": rule, "type":
                    ["object", "array"]}]
            });
            for schema in [rule, members] {
                let plain = jsonschema::validator_for(&schema).unwrap();
                prop_assert_eq!(is_kept(&schema, &text), plain.is_valid(&value), "{} {}", schema, text);
            }
        }
    }
}
