//! What the description of the API says of each operation, for the door: its name, and which types of
//! content it has.

use axum::http::Method;
use std::collections::HashMap;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, PathItem, RefOr};

/// The operations by method and path.
#[derive(Debug, Default)]
pub(crate) struct Operations(HashMap<(Method, String), Described>);

/// An operation.
#[derive(Debug, Default)]
struct Described {
    name: String,
    /// The types of what it answers with where all goes well; nothing where it has no content then.
    types: Vec<String>,
}

impl Operations {
    /// Those of a description.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let mut operations = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in methods(item) {
                operations.insert((method, path.clone()), described(operation));
            }
        }
        Self(operations)
    }

    /// The name of an operation.
    pub(crate) fn name(&self, method: &Method, path: &str) -> &str {
        self.get(method, path).map_or("", |found| &found.name)
    }

    /// The types of what an operation answers with where all goes well.
    pub(crate) fn types(&self, method: &Method, path: &str) -> &[String] {
        self.get(method, path).map_or(&[], |found| &found.types)
    }

    fn get(&self, method: &Method, path: &str) -> Option<&Described> {
        // What is answered to HEAD is the head of what is answered to GET.
        let method = match *method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        self.0.get(&(method, path.to_owned()))
    }
}

/// The operations of a path.
fn methods(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn described(operation: &Operation) -> Described {
    let responses = operation.responses.responses.iter();
    let good = responses.filter(|(status, _)| status.starts_with('2'));
    let types = good.flat_map(|(_, response)| match response {
        RefOr::T(response) => response.content.keys().cloned().collect(),
        RefOr::Ref(_) => Vec::new(),
    });
    Described {
        name: operation.operation_id.clone().unwrap_or_default(),
        types: types.collect(),
    }
}
