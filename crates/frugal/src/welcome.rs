//! What `frugal serve` says to people once it serves: where it is, what it has, and what to do first.

use crate::demo::table::new_table;
use frugal_domain::endpoint::{Api, Catalog, Endpoint, Model};
use std::fmt::Write;
use std::net::SocketAddr;

/// The text.
#[must_use]
pub fn text(address: SocketAddr, has_tls: bool, workers: u32, catalog: &Catalog) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let drives = match workers {
        0 => "takes jobs, which workers elsewhere drive".to_owned(),
        1 => "drives one job at once".to_owned(),
        workers => format!("drives {workers} jobs at once"),
    };
    let mut text = format!(
        "Frugal {} serves {url} and {drives}.\n",
        env!("CARGO_PKG_VERSION")
    );
    if catalog.endpoints.is_empty() {
        text.push_str("There is no endpoint that can be used, so jobs have none to name.\n");
    } else {
        let _ = writeln!(text, "{}", endpoints(catalog));
    }
    for (name, unset) in &catalog.switched_off {
        let _ = writeln!(text, "{name} is switched off: {unset} is not set.");
    }
    let _ = write!(
        text,
        "In a browser:      {url}/\n\
         From a terminal:   curl {url}/endpoints\n\
         A first job:       frugal init, then frugal submit job.yaml --watch\n"
    );
    text
}

/// The endpoints and their models, with what is known of each.
fn endpoints(catalog: &Catalog) -> comfy_table::Table {
    let mut table = new_table([
        "endpoint",
        "model",
        "API",
        "price",
        "n at once",
        "in flight",
    ]);
    for (name, endpoint) in &catalog.endpoints {
        for (model, known) in &endpoint.models {
            table.add_row([
                name.clone(),
                model.clone(),
                api(endpoint, known).to_owned(),
                if known.prices.is_some() {
                    "known"
                } else {
                    "none: budgets in tokens"
                }
                .to_owned(),
                known
                    .max_n
                    .map_or_else(|| "any".to_owned(), |most| most.to_string()),
                endpoint.limits.requests_in_flight.to_string(),
            ]);
        }
        if endpoint.models.is_empty() || endpoint.allow_unlisted_models {
            let others = if endpoint.allow_unlisted_models {
                "others too"
            } else {
                "none"
            };
            table.add_row([name.as_str(), others]);
        }
    }
    table
}

const fn api(endpoint: &Endpoint, model: &Model) -> &'static str {
    let api = match model.api {
        Some(api) => api,
        None => endpoint.api,
    };
    match api {
        Api::Chat => "chat",
        Api::Completions => "completions",
    }
}
