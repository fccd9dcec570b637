//! The server around the routes: what every request and every answer has in common.

use crate::connections::{self, Connections};
use crate::door::{self, Door};
use crate::errors::{ApiError, Code};
use crate::guard::Guard;
use crate::hosts;
use crate::known_keys::KNOWN_FOR;
use crate::operations::Operations;
use crate::request_id::{self, REQUEST_ID};
use crate::state::AppState;
use crate::{dashboard, deliveries, docs, idempotency, openapi, routes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use chrono::Utc;
use frugal_store::keys;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::{Span, field};

/// How long a browser may go by what it was told of another origin's server.
const PREFLIGHT_IS_KEPT: Duration = Duration::from_secs(600);

/// Every route, with what all requests have in common. Event streams and long polls also need
/// [`serve`], which listens for the hints that wake them.
pub fn router(state: AppState) -> Router {
    let (routes, document) = routes::table().split_for_parts();
    let document = Arc::new(openapi::complete(document));
    let door = Door {
        state: state.clone(),
        operations: Arc::new(Operations::of(&document)),
    };
    let docs = docs::router(document.clone());
    let adopt_span = state.adopt_span();
    let layers = ServiceBuilder::new()
        .map_request(request_id::without_unfit)
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(move |request: &Request| {
                    let span = span(request);
                    if let Some(adopt) = adopt_span {
                        adopt(request.headers(), &span);
                    }
                    span
                })
                .on_response(log_response)
                // Faults of the inside are logged where they are found, once.
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            kept,
        ))
        .layer(CatchPanicLayer::custom(
            |payload: Box<dyn std::any::Any + Send>| {
                ApiError::panicked(payload.as_ref()).into_response()
            },
        ))
        .layer(
            CompressionLayer::new()
                .gzip(true)
                .compress_when(compressed()),
        )
        .layer(middleware::from_fn_with_state(state.clone(), hosts::check))
        .layer(cors(state.guard()))
        .layer(middleware::from_fn_with_state(door, door::admit));
    routes
        .merge(dashboard::router())
        .merge(docs)
        .fallback(nothing_here)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        // The description of the routes cannot be reached from one of them: it comes from all.
        .layer(Extension(document))
        .layer(layers)
}

/// Serves until the shutdown that the state was made with, then takes no further connection and lets
/// requests under way end within the grace; streams and long polls end at once.
pub async fn serve(listener: TcpListener, state: AppState, connections: Connections) {
    let shutdown = state.shutdown();
    let listening = state.changes().listen(state.pool(), shutdown);
    let app = router(state.clone());
    let watching = keys_in_use(&state);
    let delivering = deliveries::run(&state);
    let traffic = state.traffic();
    let grace = state.grace();
    let serving = connections::serve(listener, app, connections, traffic, grace, shutdown);
    tokio::join!(listening, watching, delivering, serving);
}

/// Ends the streams of keys that were revoked, by whatever process, or have expired.
async fn keys_in_use(state: &AppState) {
    let watching = async {
        loop {
            tokio::time::sleep(KNOWN_FOR).await;
            if let Err(error) = end_streams(state).await {
                tracing::debug!(%error, "keys cannot be looked up for the moment");
            }
        }
    };
    state.shutdown().run_until_cancelled(watching).await;
}

async fn end_streams(state: &AppState) -> Result<(), frugal_store::Error> {
    let in_use = state.streams().keys();
    if in_use.is_empty() {
        return Ok(());
    }
    let mut connection = state.pool().acquire().await?;
    let good = keys::good(&mut connection, &in_use, Utc::now()).await?;
    let of_no_use = in_use.into_iter().filter(|key| !good.contains(key));
    of_no_use.for_each(|key| state.streams().end(key));
    Ok(())
}

/// Whether an answer may be kept where it says nothing itself: one with an `ETag` may be, to be asked for anew
/// each time; the others change at any moment and are their owner's.
fn kept<B>(response: &Response<B>) -> Option<HeaderValue> {
    let kept = match response.headers().contains_key(header::ETAG) {
        true => "private, no-cache",
        false => "no-store",
    };
    Some(HeaderValue::from_static(kept))
}

/// Which answers are packed for clients that take gzip: not those that are shorter than a packet, and no
/// streams, whose frames are wanted at once.
fn compressed() -> impl Predicate {
    SizeAbove::new(1_400).and(NotForContentType::SSE)
}

/// Which pages of other origins may use the API, and what they may send and see.
fn cors(guard: &Guard) -> CorsLayer {
    let origins = guard.cors_origins.iter();
    let origin = match guard.cors_origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static(idempotency::HEADER),
            HeaderName::from_static("last-event-id"),
            REQUEST_ID,
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static(idempotency::REPLAYED),
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_IS_KEPT)
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
        id,
        status = field::Empty
    )
}

fn log_response<B>(response: &Response<B>, latency: Duration, span: &Span) {
    span.record("status", response.status().as_u16());
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
            "there is nothing at `{}`; /docs lists what there is",
            uri.path()
        ),
    )
}

async fn method_not_allowed(uri: Uri) -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        format!(
            "`{}` does not take this method; /docs lists what it takes",
            uri.path()
        ),
    )
}
