use super::*;
use proptest::prelude::*;
use serde_json::json;

fn settings() -> Vec<String> {
    [
        "n",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "top_k",
    ]
    .map(str::to_owned)
    .into()
}

fn judged(status: u16, body: &str) -> Verdict {
    refusal(status, body.as_bytes(), &settings()).verdict
}

fn infeasible(setting: &str) -> Verdict {
    Verdict::Infeasible(Some(setting.to_owned()))
}

#[test]
fn statuses_alone() {
    let expected = |status| match status {
        408 | 409 | 429 | 500 | 502 | 503 | 504 | 520 | 529 => Verdict::Transient,
        301 | 307 | 401 | 402 | 403 | 404 | 405 => Verdict::Fatal,
        _ => Verdict::Failed,
    };
    for status in [
        301, 307, 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 418, 422, 429, 500, 501, 502,
        503, 504, 505, 520, 529,
    ] {
        for body in [
            "",
            "oops",
            "<html><title>Bad</title></html>",
            "{}",
            "[]",
            "null",
            "{\"error\": {\"mess",
        ] {
            assert_eq!(judged(status, body), expected(status), "{status} {body}");
        }
    }
}

#[test]
fn only_replies_behind_which_a_model_may_have_worked_are_possibly_billed() {
    for (status, billed) in [
        (400, false),
        (401, false),
        (408, true),
        (429, false),
        (500, false),
        (502, true),
        (503, false),
        (504, true),
        (529, false),
    ] {
        assert_eq!(
            refusal(status, b"", &[]).possibly_billed,
            billed,
            "{status}"
        );
    }
    assert!(unusable(&Unusable::NotJson, &[]).possibly_billed);
}

#[test]
fn context_lengths_by_code_param_and_wording() {
    for (status, error) in [
        (
            400,
            json!({"error": {"message": "This model's maximum context length is 4097 tokens, however you requested 5000 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}),
        ),
        (
            400,
            json!({"error": {"message": "You passed 25 input tokens and requested 1000 output tokens.", "type": "BadRequestError", "param": "input_tokens", "code": 400}}),
        ),
        (
            400,
            json!({"object": "error", "message": "This model's maximum context length is 2048 tokens.", "type": "BadRequestError", "param": null, "code": 400}),
        ),
        (
            400,
            json!({"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error", "n_prompt_tokens": 1407, "n_ctx": 256}}),
        ),
        (
            500,
            json!({"error": {"code": 500, "message": "too long", "type": "exceed_context_size_error"}}),
        ),
        (
            422,
            json!({"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096", "error_type": "validation"}),
        ),
        (
            400,
            json!([{"error": {"code": 400, "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).", "status": "INVALID_ARGUMENT"}}]),
        ),
        (
            413,
            json!({"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}),
        ),
        (
            400,
            json!({"detail": "Requested tokens (900) exceed context window of 512"}),
        ),
    ] {
        let verdict = judged(status, &error.to_string());
        assert!(
            matches!(verdict, Verdict::Infeasible(_)),
            "{error}: {verdict:?}"
        );
    }
    // The same words under 429 are a rate limit.
    let limited = json!({"error": {"message": "too many tokens per minute"}});
    assert_eq!(judged(429, &limited.to_string()), Verdict::Transient);
}

#[test]
fn refused_settings_are_named() {
    for (status, error, setting) in [
        (
            400,
            json!({"error": {"message": "Unsupported parameter", "param": "max_tokens", "code": "unsupported_parameter"}}),
            "max_tokens",
        ),
        (
            400,
            json!({"error": {"message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}}),
            "temperature",
        ),
        (
            400,
            json!({"object": "error", "message": "n must be 1 when using greedy sampling, got 4.", "code": 400}),
            "n",
        ),
        (
            400,
            json!({"error": {"message": "Only one completion choice is allowed, got `n` = 2"}}),
            "n",
        ),
        (
            400,
            json!({"error": "This server does not support n > 1."}),
            "n",
        ),
        (
            400,
            json!({"object": "error", "message": "top_p must be in (0, 1], got 0.0."}),
            "top_p",
        ),
        (
            422,
            json!({"detail": [{"loc": ["body", "stop"], "msg": "too many items", "type": "value_error"}]}),
            "stop",
        ),
        (
            400,
            json!({"error": {"message": "unknown", "param": "body.top_k"}}),
            "top_k",
        ),
        (
            501,
            json!({"error": {"message": "seed is not implemented"}}),
            "seed",
        ),
    ] {
        assert_eq!(
            judged(status, &error.to_string()),
            infeasible(setting),
            "{error}"
        );
    }
    for error in [
        json!({"error": {"message": "Value must be between 1 <= value <= 4, but got 8"}}),
        json!({"error": {"message": "no such thing", "code": "unknown_parameter"}}),
    ] {
        assert_eq!(
            judged(400, &error.to_string()),
            Verdict::Infeasible(None),
            "{error}"
        );
    }
}

#[test]
fn a_bad_request_that_is_about_no_setting_is_the_requests_own() {
    for error in [
        json!({"error": {"message": "Invalid JSON"}}),
        json!({"error": {"message": "image not found in an input, and none is in the conversation"}}),
        json!({"error": {"message": "invalid role", "param": "messages[0].role", "code": "invalid_value"}}),
        json!({"error": {"message": "it's not in 'no'"}}),
    ] {
        assert_eq!(judged(400, &error.to_string()), Verdict::Failed, "{error}");
    }
}

#[test]
fn what_stops_the_job() {
    for (status, error) in [
        (
            429,
            json!({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}),
        ),
        (
            429,
            json!({"error": {"message": "x", "type": "insufficient_quota"}}),
        ),
        (
            400,
            json!({"error": {"message": "x", "code": "billing_hard_limit_reached"}}),
        ),
        (
            400,
            json!({"error": {"message": "The model does not exist", "param": "model"}}),
        ),
        (
            400,
            json!({"error": {"message": "x", "code": "model_not_found"}}),
        ),
        (
            404,
            json!({"error": {"message": "The model `m` does not exist", "code": 404}}),
        ),
        (
            401,
            json!({"error": {"message": "Incorrect API key provided"}}),
        ),
    ] {
        assert_eq!(
            judged(status, &error.to_string()),
            Verdict::Fatal,
            "{error}"
        );
    }
    // One vendor says these words of any rate limit; without the code they are not final.
    let vague = json!({"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}});
    assert_eq!(judged(429, &vague.to_string()), Verdict::Transient);
    let too_large = json!({"error": {"message": "Request too large for m on tokens per min", "type": "tokens"}});
    assert_eq!(judged(429, &too_large.to_string()), Verdict::Failed);
}

#[test]
fn refusals_of_a_filter_are_results() {
    for (status, error) in [
        (
            400,
            json!({"error": {"message": "x", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        ),
        (
            400,
            json!({"error": {"message": "x", "code": null, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        ),
        (
            403,
            json!({"error": {"message": "flagged", "code": 403, "metadata": {"flagged_input": "…"}}}),
        ),
    ] {
        assert_eq!(
            judged(status, &error.to_string()),
            Verdict::Filtered,
            "{error}"
        );
    }
}

#[test]
fn errors_under_a_status_of_success() {
    for (error, expected) in [
        (
            json!({"error": {"message": "overloaded"}}),
            Verdict::Transient,
        ),
        (
            json!({"error": {"code": 502, "message": "upstream"}}),
            Verdict::Transient,
        ),
        (
            json!({"error": {"code": "429", "message": "slow down"}}),
            Verdict::Transient,
        ),
        (
            json!({"error": {"code": 401, "message": "no"}}),
            Verdict::Fatal,
        ),
        (
            json!({"error": {"type": "invalid_request_error", "message": "top_p is bad"}}),
            infeasible("top_p"),
        ),
        (
            json!({"error": {"code": "context_length_exceeded", "message": ""}}),
            Verdict::Infeasible(None),
        ),
        (json!({"error": "busy"}), Verdict::Transient),
    ] {
        let fault = unusable(&Unusable::Error(error.clone()), &settings());
        assert_eq!(fault.verdict, expected, "{error}");
        assert!(fault.possibly_billed);
    }
}

#[test]
fn pages_are_told_by_their_title() {
    let page = "\n<!DOCTYPE html><html><head><title> 502 Bad Gateway </title></head></html>";
    let fault = refusal(502, page.as_bytes(), &[]);
    assert_eq!(
        fault.reason,
        "the endpoint answered with status 502: a web page, \"502 Bad Gateway\""
    );
}

proptest! {
    #[test]
    fn any_refusal_is_judged_without_panic(status in 300_u16..700, body in ".{0,200}") {
        refusal(status, body.as_bytes(), &settings());
        refusal(status, json!({"error": {"message": body}}).to_string().as_bytes(), &settings());
    }

    #[test]
    fn any_page_is_judged_without_panic(body in "<(title|/title|>|<|ä|İ| ){0,12}") {
        refusal(500, body.as_bytes(), &settings());
    }
}
