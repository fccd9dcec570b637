//! The table of routes. The OpenAPI document comes from it: a handler that is not here is not
//! served, and one that is here is described.

mod all_events;
mod attempts;
mod audit;
mod datasets;
mod endpoints;
mod enqueued;
mod estimate;
mod evaluations;
mod events;
mod export;
mod health;
mod insight;
mod jobs;
mod keys;
mod lists;
mod metrics;
mod openapi;
mod queue_metrics;
mod report;
mod scorers;
mod shown;
mod steering;
mod stream_tokens;
mod trial_responses;
mod trials;
mod webhooks;
mod winner;

use crate::state::AppState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route.
pub(crate) fn table() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(jobs::create_job, lists::list_jobs))
        .routes(routes!(estimate::estimate_job))
        .routes(routes!(
            jobs::get_job,
            jobs::delete_job,
            steering::change_job
        ))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(steering::pause_job))
        .routes(routes!(steering::resume_job))
        .routes(routes!(attempts::list_attempts))
        .routes(routes!(steering::continue_job))
        .routes(routes!(trials::list_trials, enqueued::enqueue_trial))
        .routes(routes!(trials::get_trial))
        .routes(routes!(trial_responses::list_trial_responses))
        .routes(routes!(events::list_events))
        .routes(routes!(all_events::list_all_events))
        .routes(routes!(report::get_report))
        .routes(routes!(report::get_report_page))
        .routes(routes!(insight::get_pareto))
        .routes(routes!(insight::get_importance))
        .routes(routes!(insight::compare_trials))
        .routes(routes!(winner::get_winner))
        .routes(routes!(export::export_job))
        .routes(routes!(
            evaluations::create_evaluation,
            lists::list_evaluations
        ))
        .routes(routes!(evaluations::estimate_evaluation))
        .routes(routes!(
            evaluations::get_evaluation,
            evaluations::delete_evaluation
        ))
        .routes(routes!(evaluations::pause_evaluation))
        .routes(routes!(evaluations::resume_evaluation))
        .routes(routes!(evaluations::cancel_evaluation))
        .routes(routes!(evaluations::list_evaluation_trials))
        .routes(routes!(evaluations::get_evaluation_trial))
        .routes(routes!(trial_responses::list_evaluation_responses))
        .routes(routes!(evaluations::list_evaluation_attempts))
        .routes(routes!(evaluations::list_evaluation_events))
        .routes(routes!(evaluations::get_evaluation_report))
        .routes(routes!(evaluations::export_evaluation))
        .routes(routes!(datasets::create_dataset, datasets::list_datasets))
        .routes(routes!(datasets::get_dataset, datasets::delete_dataset))
        .routes(routes!(datasets::list_rows))
        .routes(routes!(scorers::validate_scorer))
        .routes(routes!(endpoints::list_endpoints))
        .routes(routes!(endpoints::get_endpoint))
        .routes(routes!(keys::create_key, keys::list_keys))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(stream_tokens::create_stream_token))
        .routes(routes!(webhooks::create_webhook, webhooks::list_webhooks))
        .routes(routes!(webhooks::get_webhook, webhooks::delete_webhook))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(audit::list_audit))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(openapi::get_openapi))
}
