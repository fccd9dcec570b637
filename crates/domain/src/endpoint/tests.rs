//! Catalogues as operators write them, and what is wrong with them.

use super::*;
use serde_json::json;

fn catalog(endpoint: Value) -> Catalog {
    serde_json::from_value(json!({"endpoints": {"local": endpoint}})).unwrap()
}

fn fault(endpoint: Value) -> String {
    catalog(endpoint).validate().unwrap_err().to_string()
}

#[test]
fn defaults_are_filled_in() {
    let catalog = catalog(json!({
        "base_url": "http://127.0.0.1:8080/v1",
        "models": {"small": {"input_usd_per_million": 0.02, "output_usd_per_million": 0.04}}
    }));
    catalog.validate().unwrap();
    let endpoint = catalog.endpoint("local").unwrap();
    assert_eq!(endpoint.limits, Limits::default());
    let model = catalog.model("local", "small").unwrap();
    assert_eq!(endpoint.api_of(model), Api::Chat);
    let prices = model.prices.unwrap();
    assert_eq!((prices.input_pico, prices.output_pico), (20_000, 40_000));
}

#[test]
fn only_offered_models_are_found() {
    let listed = json!({"base_url": "http://h/v1", "models": {"a": {"api": "completions"}}});
    let closed = catalog(listed.clone());
    assert!(closed.model("local", "a").is_some());
    assert!(closed.model("local", "b").is_none());
    assert!(closed.model("elsewhere", "a").is_none());

    let mut open = listed;
    open["allow_unlisted_models"] = json!(true);
    let open = catalog(open);
    assert_eq!(open.model("local", "b"), Some(&Model::default()));
    assert_eq!(
        open.model("local", "a").unwrap().api,
        Some(Api::Completions)
    );
}

#[test]
fn a_catalogue_survives_json() {
    let before = catalog(json!({
        "base_url": "https://host/v1", "api_key_env": "KEY",
        "models": {"m": {
            "input_usd_per_million": 0.15, "output_usd_per_million": 0.6,
            "usd_per_request": 0.001, "cached_input_usd_per_million": 0.075, "max_n": 4,
            "max_tokens_name": "max_completion_tokens", "omit": ["seed"],
            "path": "/{model}/{api}", "extra": {"reasoning_effort": "low"},
            "limits": {"requests_per_minute": 60, "tokens_per_minute": 100_000}
        }},
        "path": "/deployments/{model}/{api}", "query": {"api-version": "2024-10-21"},
        "headers": {"x-title": "frugal", "api-key": {"env": "AZURE_KEY"}}
    }));
    before.validate().unwrap();
    let after = serde_json::to_value(&before).unwrap();
    assert_eq!(serde_json::from_value::<Catalog>(after).unwrap(), before);
    let endpoint = before.endpoint("local").unwrap();
    let model = before.model("local", "m").unwrap();
    assert_eq!(endpoint.path_of(model), Some("/{model}/{api}"));
    assert_eq!(model.prices.unwrap().cached_input_pico, Some(75_000));
    let variable = HeaderSource::Variable {
        env: "AZURE_KEY".to_owned(),
    };
    assert_eq!(endpoint.headers["api-key"], variable);
}

#[test]
fn unknown_and_half_given_fields_are_refused() {
    for (model, word) in [
        (json!({"input_usd_per_millon": 1.0}), "input_usd_per_millon"),
        (
            json!({"input_usd_per_million": 1.0}),
            "output_usd_per_million",
        ),
        (json!({"usd_per_request": 1.0}), "input_usd_per_million"),
        (
            json!({"cached_input_usd_per_million": 1.0}),
            "input_usd_per_million",
        ),
        (
            json!({"input_usd_per_million": 1.0, "output_usd_per_million": 1.0,
                   "cached_input_usd_per_million": 1.5}),
            "cached_input_usd_per_million",
        ),
        (
            json!({"input_usd_per_million": -1.0, "output_usd_per_million": 1.0}),
            "input_usd_per_million",
        ),
        (
            json!({"input_usd_per_million": 1.0, "output_usd_per_million": 1e9}),
            "output_usd_per_million",
        ),
    ] {
        let error = serde_json::from_value::<Model>(model)
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn faults_name_the_field_and_the_remedy() {
    let url = |url: &str| json!({"base_url": url, "allow_unlisted_models": true});
    let with = |fields: Value| {
        let mut endpoint = url("http://h/v1");
        for (name, value) in fields.as_object().unwrap() {
            endpoint[name] = value.clone();
        }
        endpoint
    };
    for (endpoint, expected) in [
        (
            url("ftp://host"),
            "endpoints.local.base_url: must begin with https://",
        ),
        (url("https://"), "endpoints.local.base_url: has no host"),
        (
            url("https://:80/v1"),
            "endpoints.local.base_url: has no host",
        ),
        (
            url("http://host/v1?key=x"),
            "endpoints.local.base_url: must end with its path",
        ),
        (
            url("http://host /v1"),
            "endpoints.local.base_url: must not hold white space",
        ),
        (
            url("http://host/v1/chat/completions/"),
            "endpoints.local.base_url: must end before /chat/completions",
        ),
        (
            with(json!({"path": "deployments"})),
            "endpoints.local.path: must begin with a slash",
        ),
        (
            with(json!({"path": "/{name}/{api}"})),
            "endpoints.local.path: may hold {model} and {api}",
        ),
        (
            with(json!({"path": "/x?y"})),
            "endpoints.local.path: must not hold white space, a query",
        ),
        (
            with(json!({"headers": {"a b": "x"}})),
            "endpoints.local.headers.\"a b\": is not the name of a header",
        ),
        (
            with(json!({"headers": {"x-a": {"env": "sk-1"}}})),
            "endpoints.local.headers.x-a: env must be the name",
        ),
        (
            with(json!({"headers": {"x-a": "two\nlines"}})),
            "endpoints.local.headers.x-a: holds characters",
        ),
        (
            with(json!({"api_key_env": "KEY", "api_key_file": "/key"})),
            "endpoints.local.api_key_file: the key is in api_key_env already",
        ),
        (
            json!({"base_url": "http://h", "models": {"m": {"max_tokens_name": ""}}}),
            "endpoints.local.models.m.max_tokens_name: must not be empty",
        ),
        (
            json!({"base_url": "http://h"}),
            "endpoints.local.models: no model is listed",
        ),
        (
            json!({"base_url": "http://h", "models": {"a/b": {"max_n": 0}}}),
            "endpoints.local.models.\"a/b\".max_n: must be at least 1",
        ),
        (
            json!({"base_url": "http://h", "allow_unlisted_models": true,
                   "limits": {"max_attempts": 0}}),
            "endpoints.local.limits.max_attempts: is 0; must be from 1 to 20",
        ),
        (
            json!({"base_url": "http://h", "allow_unlisted_models": true,
                   "limits": {"requests_per_minute": 0}}),
            "endpoints.local.limits.requests_per_minute: is 0; must be from 1 to 10000000",
        ),
        (
            json!({"base_url": "http://h", "models": {"m": {
                "limits": {"tokens_per_minute": 0}}}}),
            "endpoints.local.models.m.limits.tokens_per_minute: is 0; must be from 1",
        ),
    ] {
        let found = fault(endpoint);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn secrets_in_the_wrong_place_are_not_repeated() {
    for endpoint in [
        json!({"base_url": "https://user:hunter2@host/v1", "allow_unlisted_models": true}),
        json!({"base_url": "https://host/v1", "allow_unlisted_models": true,
               "api_key_env": "sk-hunter2"}),
    ] {
        let found = fault(endpoint);
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn a_deployment_has_what_it_leaves_out_from_its_endpoint() {
    let catalog = catalog(json!({
        "base_url": "https://one.example/v1",
        "api_key_env": "ONE",
        "headers": {"x-title": "frugal"},
        "query": {"api-version": "1"},
        "allow_unlisted_models": true,
        "models": {"small": {"path": "/deployments/first/{api}"}},
        "deployments": [
            {"name": "key", "api_key_env": "TWO"},
            {"name": "region", "base_url": "https://two.example/v1", "path": "/deployments/{model}/{api}", "query": {"api-version": "2"}}
        ]
    }));
    catalog.validate().unwrap();
    let endpoint = catalog.endpoint("local").unwrap();
    let all: Vec<_> = endpoint.every_deployment().collect();
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [FIRST, "key", "region"]);
    let (key, region) = (&all[1].1, &all[2].1);
    assert_eq!(key.base_url, "https://one.example/v1");
    assert_eq!(key.api_key_env.as_deref(), Some("TWO"));
    assert_eq!(key.headers.len(), 1);
    // The endpoint's key and headers do not go elsewhere.
    assert_eq!(
        (region.api_key_env.as_deref(), region.headers.len()),
        (None, 0)
    );
    assert_eq!(region.query["api-version"], "2");
    let small = region.model("small").unwrap();
    assert_eq!(region.path_of(small), Some("/deployments/{model}/{api}"));
    assert_eq!(
        all[0].1.path_of(endpoint.model("small").unwrap()),
        Some("/deployments/first/{api}")
    );
}

#[test]
fn deployments_that_make_no_sense_are_refused_where_they_stand() {
    let with = |deployments: Value| {
        fault(json!({
            "base_url": "https://one.example/v1",
            "allow_unlisted_models": true,
            "deployments": deployments
        }))
    };
    for (deployments, field) in [
        (
            json!([{"name": "", "api_key_env": "TWO"}]),
            "endpoints.local.deployments.0.name",
        ),
        (
            json!([{"name": "same"}]),
            "endpoints.local.deployments.0.name",
        ),
        (
            json!([{"name": "first", "api_key_env": "TWO"}]),
            "endpoints.local.deployments.0.name",
        ),
        (
            json!([{"name": "two", "api_key_env": "TWO"}, {"name": "two", "api_key_env": "THREE"}]),
            "endpoints.local.deployments.1.name",
        ),
        (
            json!([{"name": "two", "base_url": "two.example"}]),
            "endpoints.local.deployments.0.base_url",
        ),
        (
            json!([{"name": "two", "path": "chat"}]),
            "endpoints.local.deployments.0.path",
        ),
        (
            json!([{"name": "two", "api_key_env": "sk-123"}]),
            "endpoints.local.deployments.0.api_key_env",
        ),
        (
            json!([{"name": "two", "api_key_env": "TWO", "api_key_file": "two"}]),
            "endpoints.local.deployments.0.api_key_file",
        ),
    ] {
        let told = with(deployments);
        assert!(told.starts_with(&format!("{field}: ")), "{told}");
    }
}

#[test]
fn an_endpoint_without_its_keys_is_switched_off() {
    let catalog: Catalog = serde_json::from_value(json!({"endpoints": {
        "open": {"base_url": "http://127.0.0.1/v1"},
        "keyed": {"base_url": "https://host/v1", "api_key_env": "KEY"},
        "headed": {"base_url": "https://host/v1", "headers": {"x-key": {"env": "HEADER"}, "x-title": "a"}},
        "several": {"base_url": "https://host/v1", "api_key_env": "KEY", "deployments": [
            {"name": "other", "api_key_env": "OTHER"},
        ]},
    }}))
    .unwrap();
    let all = catalog.clone().usable(|_| true);
    assert_eq!((all.endpoints.len(), all.switched_off.len()), (4, 0));
    let some = catalog.usable(|name| name == "KEY");
    assert_eq!(some.names().collect::<Vec<_>>(), ["keyed", "open"]);
    let off: Vec<_> = some.switched_off.iter().collect();
    let expected = [("headed", "HEADER"), ("several", "OTHER")];
    assert_eq!(
        off,
        expected
            .map(|(name, unset)| (name.to_owned(), unset.to_owned()))
            .iter()
            .map(|(a, b)| (a, b))
            .collect::<Vec<_>>()
    );
}
