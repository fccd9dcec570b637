//! Codes and wordings of many servers, by what they are about. Codes are looked for as a whole and
//! in lower case, wordings anywhere in a message.

use super::error_body::ErrorBody;

/// Nothing is left to pay with. Some vendors say "you exceeded your current quota" of any limit, so
/// that wording is not among them.
pub(crate) fn no_credit(error: &ErrorBody) -> bool {
    error.says(&[
        "insufficient_quota",
        "insufficient_credits",
        "insufficient_credit",
        "insufficient_balance",
        "insufficient_funds",
        "billing_hard_limit_reached",
        "billing_not_active",
        "budget_exceeded",
        "budget_exceeded_error",
        "exceeded_budget",
        "payment_required",
        "arrearage",
    ]) || error.mentions(&[
        "insufficient balance",
        "insufficient credit",
        "insufficient fund",
        "insufficient quota",
        "credit balance is too low",
        "out of credits",
        "not enough credit",
        "crossed budget",
        "crossed spend",
        "over budget",
        "budget exceeded",
        "budget has been exceeded",
        "exceeded budget",
        "exceededbudget",
        "exceeded your budget",
        "spending limit",
        "spend limit",
        "hard limit has been reached",
        "payment required",
    ])
}

/// A filter refused the prompt.
pub(crate) fn filtered(error: &ErrorBody) -> bool {
    error.flagged
        || error.says(&[
            "content_filter",
            "content_filtered",
            "contentfilter",
            "content_policy_violation",
            "responsibleaipolicyviolation",
            "moderation_blocked",
            "data_inspection_failed",
            "datainspectionfailed",
            "prohibited_content",
        ])
}

/// What was asked is refused for what it says, or by a rule about that.
pub(crate) fn about_content(error: &ErrorBody) -> bool {
    const SUBJECTS: [&str; 8] = [
        "input",
        "prompt",
        "content",
        "message",
        "request",
        "text",
        "conversation",
        "query",
    ];
    const OBJECTIONS: [&str; 12] = [
        "flagged",
        "moderation",
        "unsafe",
        "harmful",
        "safety",
        "policy",
        "policies",
        "inappropriate",
        "sensitive",
        "blocked",
        "refused this",
        "refused the",
    ];
    error.mentions(&SUBJECTS) && error.mentions(&OBJECTIONS)
}

/// The key is not accepted.
pub(crate) fn about_key(error: &ErrorBody) -> bool {
    error.says(&[
        "invalid_api_key",
        "api_key_invalid",
        "invalid_key",
        "authentication_error",
        "authenticationerror",
        "authentication_failed",
        "invalid_authentication",
        "unauthorized",
        "unauthenticated",
        "token_expired",
        "expired_api_key",
        "account_deactivated",
        "access_terminated",
    ]) || error.mentions(&[
        "api key",
        "api-key",
        "api_key",
        "apikey",
        "access key",
        "access token",
        "auth token",
        "bearer token",
        "authorization header",
        "authentication",
        "unauthorized",
        "unauthenticated",
        "credential",
        "key is not valid",
        "key is invalid",
        "key not valid",
        "key has expired",
        "key is expired",
        "key expired",
        "key was revoked",
        "key has been revoked",
        "key is disabled",
        "key is wrong",
        "incorrect key",
        "token is expired",
        "token has expired",
        "virtual key",
        "account is not active",
        "account has been",
    ])
}

/// The account as a whole is not let in, whatever it asks.
pub(crate) fn about_access(error: &ErrorBody) -> bool {
    error.mentions(&[
        "country",
        "region",
        "territory",
        "ip address",
        "your ip",
        "account",
        "organization",
        "subscription",
        "your plan",
        "project",
        "workspace",
    ])
}

/// The model is not there, or not for this key.
pub(crate) fn about_model(error: &ErrorBody, model: &str) -> bool {
    const CODES: [&str; 8] = [
        "model_not_found",
        "deploymentnotfound",
        "invalid_model",
        "model_not_available",
        "model_not_supported",
        "unknown_model",
        "model_decommissioned",
        "model_access_denied",
    ];
    const WORDINGS: [&str; 14] = [
        "invalid model",
        "unknown model",
        "no such model",
        "unsupported model",
        "not a valid model",
        "not a chat model",
        "model not found",
        "model not exist",
        "model does not exist",
        "model is not available",
        "model is not supported",
        "model has been decommissioned",
        "access to model",
        "access to the model",
    ];
    const ABSENT: [&str; 14] = [
        "not found",
        "not exist",
        "doesn't exist",
        "not available",
        "unavailable",
        "not supported",
        "not a valid",
        "decommissioned",
        "deprecated",
        "no access",
        "not have access",
        "not allowed",
        "no endpoints",
        "not deployed",
    ];
    if error.says(&CODES) || error.mentions(&WORDINGS) {
        return true;
    }
    // "model `org/name` does not exist": the name, or a name, stands between the words.
    let named = error.lower.contains(&model.to_lowercase()) && model.len() > 2;
    let subject = error.lower.contains("model") || error.lower.contains("deployment");
    let quoted = error.lower.contains("model '")
        || error.lower.contains("model `")
        || error.lower.contains("model \"")
        || error.lower.contains("model=");
    subject && (named || quoted) && error.mentions(&ABSENT)
}

/// Too much was asked in too short a time.
pub(crate) fn rate_limited(error: &ErrorBody) -> bool {
    rate_limit_code(error)
        || error.mentions(&[
            "rate limit",
            "rate-limit",
            "ratelimit",
            "too many requests",
            "throttl",
            "quota exceeded for",
        ])
}

/// The same by its code, which means it whatever the status is.
pub(crate) fn rate_limit_code(error: &ErrorBody) -> bool {
    error.says(&[
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limit_reached",
        "ratelimitexceeded",
        "userratelimitexceeded",
        "too_many_requests",
        "toomanyrequests",
        "throttlingexception",
        "throttling",
        "throttled",
        "resource_exhausted",
        "requests_limit_exceeded",
        "tokens_limit_exceeded",
    ])
}

/// The server has no room just now.
pub(crate) fn busy(error: &ErrorBody) -> bool {
    error.says(&[
        "overloaded_error",
        "overloaded",
        "capacity_exceeded",
        "server_overloaded",
        "engine_overloaded",
        "model_overloaded",
        "slow_down",
    ]) || error.mentions(&[
        "overloaded",
        "no capacity",
        "over capacity",
        "at capacity",
        "insufficient capacity",
        "try again later",
        "please try again in",
        "please retry",
        "temporarily unavailable",
    ])
}

/// The prompt, or the prompt and what is to come, are longer than the model's context.
pub(crate) fn about_context_length(error: &ErrorBody) -> bool {
    error.says(&[
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
        "prompt_too_long",
        "string_above_max_length",
        "request_too_large",
        "tokens_exceeded",
    ]) || error.parameters.iter().any(|name| name == "input_tokens")
        || error.mentions(&[
            "context length",
            "context window",
            "context size",
            "context limit",
            "maximum context",
            "maximum model length",
            "max_model_len",
            "maximum input length",
            "maximum sequence length",
            "maximum prompt length",
            "maximum number of tokens",
            "maximum number of input tokens",
            "maximum allowed number of input tokens",
            "input token count",
            "prompt is too long",
            "prompt too long",
            "input is too long",
            "input too long",
            "input length",
            "too many tokens",
            "too many input tokens",
            "range of input length",
            "must be <= max_total_tokens",
            "`inputs` tokens + `max_new_tokens`",
        ])
}

/// A parameter is not one that the model takes, whatever its value.
pub(crate) fn unsupported(error: &ErrorBody) -> bool {
    error.says(&[
        "unsupported_parameter",
        "unknown_parameter",
        "unrecognized_parameter",
        "extra_forbidden",
        "value_error.extra",
    ]) || error.mentions(&[
        "unsupported parameter",
        "unsupported argument",
        "unknown parameter",
        "unknown field",
        "unknown name",
        "unknown argument",
        "unrecognized",
        "unexpected keyword",
        "unexpected parameter",
        "unexpected field",
        "inputs are not permitted",
        "fields not permitted",
        "additional properties",
    ])
}

/// Codes of a parameter that is refused, or of its value.
pub(crate) fn refused_parameter(error: &ErrorBody) -> bool {
    error.says(&[
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "unrecognized_parameter",
        "invalid_value",
        "invalid_parameter",
        "invalid_parameter_error",
        "invalid_parameter_value",
        "extra_forbidden",
    ]) || error.mentions(&[
        "value must be between",
        "handle the requested parameters",
        "unsupported parameter",
        "unrecognized request argument",
    ])
}
