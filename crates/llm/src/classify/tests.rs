use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

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

fn about(settings: &[String]) -> Circumstances<'_> {
    Circumstances {
        settings,
        n: 8,
        model: "org/small",
        has_answered: false,
        has_version: true,
    }
}

fn refused(status: u16, body: &[u8]) -> AttemptFault {
    let answer = Refusal {
        status,
        body,
        location: None,
        asks_to_wait: false,
    };
    refusal(answer, about(&settings()))
}

fn judged(status: u16, body: &str) -> Verdict {
    refused(status, body.as_bytes()).verdict
}

/// The setting that a refusal is blamed on.
fn blamed(status: u16, body: &Value) -> Option<String> {
    match judged(status, &body.to_string()) {
        Verdict::Infeasible(refused) => refused.name,
        verdict => panic!("{body}: {verdict:?}"),
    }
}

const ROW: Verdict = Verdict::Failed(Scope::Row);
const MODEL: Verdict = Verdict::Fatal(Scope::Model);
const ENDPOINT: Verdict = Verdict::Fatal(Scope::Endpoint);
const KEY: Verdict = Verdict::Fatal(Scope::Key);

#[test]
fn statuses_alone() {
    let expected = |status| match status {
        408 | 409 | 425 | 498 | 499 | 500 | 502 | 503 | 504 | 520..=527 | 529 | 530 => {
            Verdict::Transient
        }
        429 => Verdict::Limited,
        301 | 307 | 404 | 405 | 410 => ENDPOINT,
        401..=403 => KEY,
        505 => Verdict::Failed(Scope::Endpoint),
        _ => ROW,
    };
    for status in [
        301, 307, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 425, 429, 498,
        499, 500, 501, 502, 503, 504, 505, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530,
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
        (408, false),
        (409, false),
        (425, false),
        (498, false),
        (499, true),
        (429, false),
        (500, false),
        (502, true),
        (503, false),
        (504, true),
        (529, false),
    ] {
        assert_eq!(refused(status, b"").possibly_billed, billed, "{status}");
    }
    for (fault, billed) in [
        (Unusable::NotJson, true),
        (Unusable::NoChoices, true),
        (Unusable::Interrupted("abort".to_owned()), true),
        (Unusable::Page("Sign in".to_owned()), false),
        (Unusable::NoReply("OK".to_owned()), false),
    ] {
        let judged = unusable(&fault, about(&[]));
        assert_eq!(judged.possibly_billed, billed, "{fault:?}");
        assert_eq!(judged.verdict, Verdict::Transient);
    }
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
            matches!(verdict, Verdict::Infeasible(_)) || verdict == ROW,
            "{error}: {verdict:?}"
        );
        // What is not known to be about the length would be the row's own in many of these cases,
        // so the words have to be known by themselves.
        assert!(
            wordings::about_context_length(&ErrorBody::of(&error)),
            "{error}"
        );
    }
    // The same words under 429 are a rate limit.
    let limited = json!({"error": {"message": "too many tokens per minute"}});
    assert_eq!(judged(429, &limited.to_string()), Verdict::Limited);
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
        assert_eq!(blamed(status, &error).as_deref(), Some(setting), "{error}");
    }
    let bounds = json!({"error": {"message": "Value must be between 1 <= value <= 4, but got 8"}});
    assert_eq!(blamed(400, &bounds).as_deref(), Some("n"));
    let unnamed = json!({"error": {"message": "no such thing", "code": "unknown_parameter"}});
    assert_eq!(blamed(400, &unnamed), None);
}

#[test]
fn a_bad_request_that_is_about_no_setting_is_the_requests_own() {
    for error in [
        json!({"error": {"message": "Invalid JSON"}}),
        json!({"error": {"message": "image not found in an input, and none is in the conversation"}}),
        json!({"error": {"message": "invalid role", "param": "messages[0].role", "code": "invalid_value"}}),
        json!({"error": {"message": "it's not in 'no'"}}),
    ] {
        assert_eq!(judged(400, &error.to_string()), ROW, "{error}");
    }
}

#[test]
fn what_stops_the_job_says_how_far_it_reaches() {
    for (status, error, expected) in [
        (
            429,
            json!({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}),
            KEY,
        ),
        (
            429,
            json!({"error": {"message": "x", "type": "insufficient_quota"}}),
            KEY,
        ),
        (
            429,
            json!({"error": {"message": "ExceededBudget: User=u over budget. Crossed budget: Spend=1.2, Budget=1.0", "code": "429"}}),
            KEY,
        ),
        (
            400,
            json!({"error": {"message": "Budget has been exceeded! Current cost: 3, Max budget: 2", "type": "budget_exceeded"}}),
            KEY,
        ),
        (
            400,
            json!({"error": {"message": "x", "code": "billing_hard_limit_reached"}}),
            KEY,
        ),
        (
            400,
            json!([{"error": {"message": "the key is not valid", "code": 400, "status": "INVALID_ARGUMENT", "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}]),
            KEY,
        ),
        (
            400,
            json!({"error": {"message": "Incorrect API key provided: x"}}),
            KEY,
        ),
        (498, json!({"message": "the access token has expired"}), KEY),
        (
            401,
            json!({"error": {"message": "Incorrect API key provided"}}),
            KEY,
        ),
        (
            403,
            json!({"error": {"message": "Country, region, or territory not supported", "code": "unsupported_country_region_territory"}}),
            KEY,
        ),
        (
            400,
            json!({"error": {"message": "The model does not exist", "param": "model"}}),
            MODEL,
        ),
        (
            400,
            json!({"error": {"message": "x", "code": "model_not_found"}}),
            MODEL,
        ),
        (
            400,
            json!({"error": {"message": "Invalid model name passed in model=org/small. Call `/v1/models` to view available models."}}),
            MODEL,
        ),
        (
            404,
            json!({"error": {"message": "The model `m` does not exist", "code": 404}}),
            MODEL,
        ),
        (
            404,
            json!({"error": {"message": "This is not a chat model and thus not supported in the v1/chat/completions endpoint."}}),
            MODEL,
        ),
        (
            403,
            json!({"error": {"message": "Project `p` does not have access to model `org/small`", "code": "model_not_found"}}),
            MODEL,
        ),
        (404, json!({"detail": "Not Found"}), ENDPOINT),
        (405, json!({"detail": "Method Not Allowed"}), ENDPOINT),
    ] {
        assert_eq!(judged(status, &error.to_string()), expected, "{error}");
    }
    // One vendor says these words of any rate limit; without the code they are not final.
    let vague = json!({"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details", "status": "RESOURCE_EXHAUSTED"}});
    assert_eq!(judged(429, &vague.to_string()), Verdict::Limited);
    let too_large = json!({"error": {"message": "Request too large for m on tokens per min", "type": "tokens"}});
    assert_eq!(judged(429, &too_large.to_string()), ROW);
}

#[test]
fn what_one_prompt_is_refused_for_stops_nothing_else() {
    for (status, error) in [
        (
            403,
            json!({"error": {"message": "the provider refused this input", "code": 403, "metadata": {"raw": "PERMISSION_DENIED", "provider_name": "P"}}}),
        ),
        (
            403,
            json!({"error": {"message": "Your request was blocked by our content policy"}}),
        ),
        (
            400,
            json!({"object": "error", "message": "the prompt has 1300 tokens and the context length is 512", "type": "BadRequestError", "param": null, "code": 400}),
        ),
        (413, json!({"error": {"message": "Request body too large"}})),
        (
            400,
            json!({"error": {"message": "invalid image", "param": "messages[0].content"}}),
        ),
    ] {
        assert_eq!(judged(status, &error.to_string()), ROW, "{error}");
    }
    // A refusal that says nothing is not about a key that was taken before.
    let bare = Refusal {
        status: 403,
        body: b"Forbidden",
        location: None,
        asks_to_wait: false,
    };
    let settings = settings();
    let answered = Circumstances {
        has_answered: true,
        ..about(&settings)
    };
    assert_eq!(refusal(bare, about(&settings)).verdict, KEY);
    assert_eq!(refusal(bare, answered).verdict, ROW);
    // Nor about a path that was there before.
    let lost = Refusal {
        status: 404,
        ..bare
    };
    assert_eq!(refusal(lost, about(&settings)).verdict, ENDPOINT);
    assert_eq!(refusal(lost, answered).verdict, Verdict::Transient);
}

#[test]
fn limits_are_known_under_any_status() {
    for (status, error) in [
        (429, json!({"error": {"message": "slow down"}})),
        (
            400,
            json!({"__type": "ThrottlingException", "message": "x"}),
        ),
        (
            403,
            json!({"error": {"message": "User rate limit exceeded", "errors": [{"reason": "userRateLimitExceeded"}]}}),
        ),
        (
            430,
            json!({"error": {"message": "Too many requests, try again later"}}),
        ),
        (
            503,
            json!({"error": {"message": "x", "type": "too_many_requests"}}),
        ),
    ] {
        assert_eq!(
            judged(status, &error.to_string()),
            Verdict::Limited,
            "{error}"
        );
    }
    // A server that says when to come back is waited for.
    let asks = |status| {
        let answer = Refusal {
            status,
            body: b"busy",
            location: None,
            asks_to_wait: true,
        };
        refusal(answer, about(&settings())).verdict
    };
    for (status, expected) in [
        (503, Verdict::Limited),
        (529, Verdict::Limited),
        (498, Verdict::Limited),
        (460, Verdict::Limited),
        (500, Verdict::Transient),
        (502, Verdict::Transient),
        (400, ROW),
        (413, ROW),
    ] {
        assert_eq!(asks(status), expected, "{status}");
    }
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
    for (error, expected, billed) in [
        (
            json!({"error": {"message": "overloaded"}}),
            Verdict::Transient,
            true,
        ),
        (
            json!({"error": {"code": 502, "message": "upstream"}}),
            Verdict::Transient,
            true,
        ),
        (
            json!({"error": {"code": "429", "message": "slow down"}}),
            Verdict::Limited,
            false,
        ),
        (json!({"error": {"code": 401, "message": "no"}}), KEY, false),
        (
            json!({"error": {"code": "context_length_exceeded", "message": "the prompt is too long"}}),
            ROW,
            false,
        ),
        (json!({"error": "busy"}), Verdict::Transient, true),
    ] {
        let fault = unusable(&Unusable::Error(error.clone()), about(&settings()));
        assert_eq!(
            (fault.verdict, fault.possibly_billed),
            (expected, billed),
            "{error}"
        );
    }
    let setting = json!({"error": {"type": "invalid_request_error", "message": "top_p is bad"}});
    let fault = unusable(&Unusable::Error(setting), about(&settings()));
    assert!(
        matches!(fault.verdict, Verdict::Infeasible(refused) if refused.name.as_deref() == Some("top_p"))
    );
}

#[test]
fn reasons_say_what_to_look_at() {
    let page = "\n<!DOCTYPE html><html><head><title> 502 Bad Gateway </title></head></html>";
    assert_eq!(
        refused(502, page.as_bytes()).reason,
        "the endpoint answered with status 502: a web page, \"502 Bad Gateway\""
    );
    let settings = settings();
    let unversioned = Circumstances {
        has_version: false,
        ..about(&settings)
    };
    let sign_in = Unusable::Page("Sign in".to_owned());
    assert_eq!(
        unusable(&sign_in, unversioned).reason,
        "the endpoint answered with an HTML page, \"Sign in\", not JSON; does base_url lack /v1?"
    );
    let answer = |status, body| Refusal {
        status,
        body,
        location: None,
        asks_to_wait: false,
    };
    assert_eq!(
        refusal(answer(404, b"{\"detail\": \"Not Found\"}"), unversioned).reason,
        "the endpoint answered with status 404: Not Found; does base_url lack /v1?"
    );
    let moved = Refusal {
        location: Some("https://elsewhere/v1/chat/completions"),
        ..answer(307, b"")
    };
    assert_eq!(
        refusal(moved, unversioned).reason,
        "the endpoint answered with status 307; it redirects to https://elsewhere/v1/chat/completions, \
         where the key is not sent; set base_url to where it leads"
    );
    let extra =
        json!({"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]});
    assert_eq!(
        refused(422, extra.to_string().as_bytes()).reason,
        "the endpoint answered with status 422: top_k: Extra inputs are not permitted"
    );
}

proptest! {
    #[test]
    fn any_refusal_is_judged_without_panic(status in 300_u16..700, body in ".{0,200}") {
        refused(status, body.as_bytes());
        refused(status, json!({"error": {"message": body}}).to_string().as_bytes());
    }

    #[test]
    fn any_page_is_judged_without_panic(body in "<(title|/title|>|<|ä|İ| ){0,12}") {
        refused(500, body.as_bytes());
    }
}
