//! Problems as the OpenAPI document describes them: which codes a route may answer with.

use crate::errors::{Code, PROBLEM_JSON};
use crate::wire::Problem;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// The problems of a route, as a member of its `responses`:
/// `Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>`. Those that every route has
/// need not be named.
pub(crate) struct Problems<const CODES: u64>;

/// A set of codes for [`Problems`], a bit for each: a type cannot take them as a list.
pub(crate) const fn codes(mut codes: &[Code]) -> u64 {
    let mut set = 0;
    while let [code, rest @ ..] = codes {
        set |= 1 << *code as u64;
        codes = rest;
    }
    set
}

impl<const CODES: u64> IntoResponses for Problems<CODES> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let named = |code: &&Code| CODES & codes(&[**code]) != 0;
        let mut by_status = BTreeMap::<StatusCode, Vec<Code>>::new();
        for code in Code::ALL.iter().filter(named) {
            let (status, _) = code.status_and_name();
            by_status.entry(status).or_default().push(*code);
        }
        let described = by_status.into_iter().map(|(status, codes)| {
            let response = match codes.as_slice() {
                [code] => shared(*code),
                codes => problem(codes).into(),
            };
            (status.as_str().to_owned(), response)
        });
        described.collect()
    }
}

/// The description of each code by the name under which routes refer to it.
pub(crate) fn components() -> impl Iterator<Item = (String, RefOr<Response>)> {
    let codes = Code::ALL.iter();
    codes.map(|code| (component(*code), problem(&[*code]).into()))
}

/// A reference to the description of a code.
pub(crate) fn shared(code: Code) -> RefOr<Response> {
    Ref::from_response_name(component(code)).into()
}

fn component(code: Code) -> String {
    format!("{code:?}")
}

/// A problem with any of these codes.
fn problem(codes: &[Code]) -> Response {
    let meanings = codes.iter().map(|code| {
        let (_, name) = code.status_and_name();
        format!("`{name}`: {}.", code.meaning())
    });
    ResponseBuilder::new()
        .description(meanings.collect::<Vec<_>>().join(" "))
        .content(
            PROBLEM_JSON,
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(Problem::name())))
                .build(),
        )
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn codes_of_one_status_are_described_together() {
        type Four = Problems<
            {
                codes(&[
                    Code::NotFound,
                    Code::SchemaNotCurrent,
                    Code::InvalidJson,
                    Code::InvalidParameter,
                ])
            },
        >;
        let responses = json!(Four::responses());
        let statuses: Vec<_> = responses.as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["400", "404", "503"]);
        assert_eq!(
            responses["400"]["description"],
            "`invalid_json`: The body is not JSON. `invalid_parameter`: A query parameter or a header cannot be read."
        );
        let schema = &responses["400"]["content"][PROBLEM_JSON]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/Problem");
        assert_eq!(responses["404"]["$ref"], "#/components/responses/NotFound");
    }

    #[test]
    fn every_code_has_a_description_and_a_bit_of_its_own() {
        let components: BTreeMap<_, _> = components().collect();
        assert_eq!(components.len(), Code::ALL.len());
        assert_eq!(codes(Code::ALL).count_ones() as usize, Code::ALL.len());
    }
}
