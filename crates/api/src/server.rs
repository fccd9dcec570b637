//! The server around the routes: what every request and every answer has in common.

use crate::errors::{ApiError, Code};
use crate::state::AppState;
use crate::{dashboard, openapi, routes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

/// The header that names a request, in answers and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every route, with what all requests have in common. Event streams and long polls also need
/// [`serve`], which listens for the hints that wake them.
pub fn router(state: AppState) -> Router {
    let (routes, document) = routes::table().split_for_parts();
    let document = Arc::new(openapi::complete(document));
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_response(log_response)
                // Faults of the inside are logged where they are found, once.
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::custom(
            |payload: Box<dyn std::any::Any + Send>| {
                ApiError::panicked(payload.as_ref()).into_response()
            },
        ));
    routes
        .merge(dashboard::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        // The description of the routes cannot be reached from one of them: it comes from all.
        .layer(Extension(document))
        .layer(layers)
}

/// Serves until the shutdown that the state was made with, then takes no further connection and lets
/// requests under way end within the grace; streams and long polls end at once.
///
/// # Errors
/// The listener breaks down.
pub async fn serve(listener: TcpListener, state: AppState) -> std::io::Result<()> {
    let shutdown = state.shutdown().clone();
    let listening = state.changes().listen(state.pool(), &shutdown);
    let serving = axum::serve(listener, router(state.clone()))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let grace_over = async {
        shutdown.cancelled().await;
        tokio::time::sleep(state.grace()).await;
    };
    let ((), served) = tokio::join!(listening, async {
        let served = tokio::select! {
            served = serving.into_future() => served,
            () = grace_over => {
                tracing::warn!("requests are broken off: the grace is over");
                Ok(())
            }
        };
        // Where serving broke down, listening is of no use any more.
        shutdown.cancel();
        served
    });
    served
}

/// The span of a request: the matched path, so that ids do not make every span another.
fn span(request: &Request) -> Span {
    let path = request.extensions().get::<MatchedPath>();
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    tracing::info_span!(
        "request",
        method = %request.method(),
        path = path.map(MatchedPath::as_str),
        id
    )
}

fn log_response<B>(response: &Response<B>, latency: Duration, _: &Span) {
    tracing::debug!(
        status = response.status().as_u16(),
        latency_ms = latency.as_millis(),
        "answered"
    );
}

async fn nothing_here(uri: Uri) -> ApiError {
    ApiError::new(
        Code::NotFound,
        format!(
            "there is nothing at `{}`; /openapi.yaml lists what there is",
            uri.path()
        ),
    )
}

async fn method_not_allowed(uri: Uri) -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        format!(
            "`{}` does not take this method; /openapi.yaml lists what it takes",
            uri.path()
        ),
    )
}
