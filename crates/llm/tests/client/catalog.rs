//! Clients from a catalogue as an operator writes it.

use frugal_domain::endpoint::{Api, Catalog};
use frugal_llm::Clients;

const CATALOG: &str = r#"
[endpoints.local]
base_url = "http://127.0.0.1:8080/v1"
api = "completions"
api_key_env = "LOCAL_KEY"
limits = { requests_in_flight = 4 }

[endpoints.local.models."gemma-3-270m"]
input_usd_per_million = 0.02
output_usd_per_million = 0.04
extra = { top_k = 40 }

[endpoints.open]
base_url = "https://127.0.0.1/v1"
allow_unlisted_models = true
"#;

fn catalog() -> Catalog {
    toml::from_str(CATALOG).unwrap()
}

#[test]
fn a_catalogue_is_read_from_toml() {
    let catalog = catalog();
    catalog.validate().unwrap();
    let endpoint = catalog.endpoint("local").unwrap();
    assert_eq!(endpoint.limits.requests_in_flight, 4);
    assert_eq!(endpoint.limits.max_attempts, 6);
    let model = catalog.model("local", "gemma-3-270m").unwrap();
    assert_eq!(endpoint.api_of(model), Api::Completions);
    let prices = model.prices.unwrap();
    assert_eq!((prices.input_pico, prices.output_pico), (20_000, 40_000));
    assert_eq!(model.extra["top_k"], 40);
    let again: Catalog = toml::from_str(&toml::to_string(&catalog).unwrap()).unwrap();
    assert_eq!(again, catalog);
}

#[test]
fn faults_of_shape_are_found_where_they_are() {
    for (from, to, word) in [
        ("api_key_env", "api_key", "api_key"),
        (
            "output_usd_per_million = 0.04",
            "",
            "output_usd_per_million",
        ),
        ("0.04", "-0.04", "output_usd_per_million"),
        ("requests_in_flight", "in_flight", "in_flight"),
        ("\"completions\"", "\"responses\"", "responses"),
    ] {
        let text = CATALOG.replace(from, to);
        let error = toml::from_str::<Catalog>(&text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn clients_take_their_keys_from_the_lookup() {
    let clients = Clients::new(&catalog(), |name| {
        assert_eq!(name, "LOCAL_KEY");
        Some("sk-hunter2".to_owned())
    })
    .unwrap();
    assert_eq!(clients.names().collect::<Vec<_>>(), ["local", "open"]);
    assert!(clients.get("local").is_some() && clients.get("elsewhere").is_none());
    assert!(!format!("{clients:?}").contains("hunter2"));
}

#[test]
fn a_missing_or_unusable_key_is_told_by_its_variable() {
    let error = Clients::new(&catalog(), |_| None).unwrap_err().to_string();
    assert!(
        error.contains("LOCAL_KEY") && error.contains("local"),
        "{error}"
    );
    let unusable = |_: &str| Some("hunter2 and more".to_owned());
    let error = Clients::new(&catalog(), unusable).unwrap_err().to_string();
    assert!(
        error.contains("LOCAL_KEY") && !error.contains("hunter2"),
        "{error}"
    );
}
