//! The routes, and a request's way through them: arrival, key, fault, answer, latency, gate.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::connection::Ending;
use crate::error::SimulatorError;
use crate::fault_kinds::name_of;
use crate::faults::{Fault, FaultPlan};
use crate::gate::Gate;
use crate::options::{Latency, SimulatorOptions};
use crate::payload::{self, Payload};
use crate::recordings::Recordings;
use crate::refusal::Refusal;
use crate::replay::{self, ReplayedAnswer};
use crate::request::{Generation, Scope, Streaming, Surface};
use crate::script::{self, Script};
use crate::statistics::{Bill, Statistics, Tally};
use crate::wire::{self, UsageShown};

/// Bytes of the largest body that is read. The recorded prompts have below 2 000.
const MAX_BODY: usize = 1 << 20;

/// The simulated endpoint without its listener: what it replays, its faults, counts and gate.
/// Cheap to clone; clones are the same endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    recordings: Arc<Recordings>,
    script: Option<Script>,
    seed: u64,
    latency: Latency,
    faults: FaultPlan,
    api_key: Option<ApiKey>,
    gate: Gate,
    statistics: Mutex<Tally>,
    stopping: CancellationToken,
}

/// A key that does not show itself.
struct ApiKey(String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

/// What a request will be answered with, before it is.
struct EndpointReply {
    response: Response,
    wait: Duration,
    fault: Option<String>,
    bill: Option<Bill>,
    end: ConnectionEnd,
}

/// What becomes of the connection with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionEnd {
    Kept,
    Reset,
    ClosedAfter,
}

impl EndpointReply {
    /// An answer for which nothing was generated.
    fn plain(response: Response, fault: Option<&Fault>) -> Self {
        Self {
            response,
            wait: Duration::ZERO,
            fault: fault.map(name_of),
            bill: None,
            end: ConnectionEnd::Kept,
        }
    }
}

impl Endpoint {
    /// An endpoint that replays these recordings. The address in the options plays no part.
    ///
    /// # Errors
    /// Where a rate of the faults is not from 0 to 1, their sum is over 1, or an injected error
    /// cannot be sent over HTTP.
    pub fn new(
        recordings: Arc<Recordings>,
        options: SimulatorOptions,
    ) -> Result<Self, SimulatorError> {
        let shared = Shared {
            recordings,
            script: options.script,
            seed: options.seed,
            latency: options.latency,
            faults: FaultPlan::new(options.seed, options.faults)?,
            api_key: options.api_key.map(ApiKey),
            gate: Gate::default(),
            statistics: Mutex::default(),
            stopping: CancellationToken::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The routes, to be served or nested elsewhere.
    pub fn router(&self) -> Router {
        Router::new()
            .route(Surface::Completions.path(), post(completions))
            .route(Surface::Chat.path(), post(chat_completions))
            .route("/v1/models", get(models))
            .route("/v1/recordings", get(recordings))
            .route("/stats", get(stats))
            .route("/healthz", get(healthz))
            .fallback(unknown_url)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone())
    }

    /// What it replays.
    pub fn recordings(&self) -> &Arc<Recordings> {
        &self.shared.recordings
    }

    /// The gate that can hold answers back, and tells how far things are.
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// The counts since the start.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self
            .shared
            .statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .statistics();
        let progress = self.gate().progress();
        statistics.requests = progress.arrived;
        statistics.in_flight = progress.in_flight();
        statistics.most_in_flight = progress.most_in_flight;
        statistics.abandoned = progress.abandoned;
        statistics
    }

    /// Cancelled when the server is to stop.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.shared.stopping
    }

    fn authorise(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(ApiKey(key)) = &self.shared.api_key else {
            return Ok(());
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let given = given
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match given {
            Some((_, given)) if given.trim() == key => Ok(()),
            Some(_) => {
                Err(
                    Refusal::invalid(Some("invalid_api_key"), None, "Incorrect API key provided.")
                        .with_status(401),
                )
            }
            None => {
                Err(Refusal::invalid(None, None, "You didn't provide an API key.").with_status(401))
            }
        }
    }

    async fn generate(&self, surface: Surface, request: Request) -> Response {
        let authorised = self.authorise(request.headers());
        // Absent where the router is served by other means than this crate's.
        let ending = request.extensions().get::<ConnectInfo<Ending>>();
        let ending = ending.map(|ConnectInfo(ending)| ending.clone());
        let stopping = self.stopping();
        let body = tokio::select! {
            body = Bytes::from_request(request, &()) => body,
            () = stopping.cancelled() => return shutting_down().into_response(),
        };
        let arrival = self.gate().arrive();
        let mut hasher = DefaultHasher::new();
        (surface.path(), body.as_ref().ok()).hash(&mut hasher);
        let hash = hasher.finish();
        let outcome = match (authorised, body) {
            (Err(refusal), _) => EndpointReply::plain(refusal.into_response(), None),
            (Ok(()), Ok(body)) => {
                let fault = self
                    .shared
                    .faults
                    .fault(arrival.number, surface.path(), &body);
                self.outcome(surface, &body, fault)
            }
            (Ok(()), Err(rejection)) => {
                let refusal = Refusal::invalid(None, None, rejection.body_text());
                EndpointReply::plain(
                    refusal
                        .with_status(rejection.status().as_u16())
                        .into_response(),
                    None,
                )
            }
        };
        let leave = async {
            if !outcome.wait.is_zero() {
                tokio::time::sleep(outcome.wait).await;
            }
            arrival.pass().await;
        };
        let outcome = tokio::select! {
            biased;
            () = leave => outcome,
            () = stopping.cancelled() => EndpointReply::plain(shutting_down().into_response(), None),
        };
        let status =
            (outcome.end != ConnectionEnd::Reset).then(|| outcome.response.status().as_u16());
        tracing::debug!(
            number = arrival.number,
            path = surface.path(),
            status,
            fault = outcome.fault,
            "request answered"
        );
        self.shared
            .statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(hash, status, outcome.fault, outcome.bill);
        arrival.answer();
        match (ending, outcome.end) {
            (Some(ending), ConnectionEnd::Reset) => ending.reset(),
            (Some(ending), ConnectionEnd::ClosedAfter) => ending.close_after_answer(),
            _ => {}
        }
        outcome.response
    }

    fn outcome(&self, surface: Surface, body: &[u8], fault: Option<&Fault>) -> EndpointReply {
        match fault {
            Some(Fault::Refused(refusal)) => {
                return EndpointReply::plain(refusal.clone().into_response(), fault);
            }
            Some(Fault::Html) => return EndpointReply::plain(wire::html(), fault),
            Some(Fault::BadGateway) => return EndpointReply::plain(wire::bad_gateway(), fault),
            Some(Fault::RefusedPrompt) => {
                let message = "This prompt was refused by the provider's moderation.";
                let refusal = Refusal::invalid(Some("content_policy_violation"), None, message);
                let response = refusal.with_status(403).into_response();
                return EndpointReply::plain(response, fault);
            }
            Some(Fault::Reset) => {
                return EndpointReply {
                    end: ConnectionEnd::Reset,
                    ..EndpointReply::plain(wire::broken(), fault)
                };
            }
            Some(Fault::ErrorInside) => return EndpointReply::plain(wire::error_inside(), fault),
            _ => {}
        }
        let replayed = self.replayed(surface, body);
        match replayed {
            Ok((request, answer)) => self.answered(surface, &request, answer, fault),
            Err(refusal) => {
                let wait = match fault {
                    Some(Fault::Delayed(wait)) => *wait,
                    _ => Duration::ZERO,
                };
                let fault = fault.filter(|fault| matches!(fault, Fault::Delayed(_)));
                EndpointReply {
                    wait,
                    ..EndpointReply::plain(refusal.into_response(), fault)
                }
            }
        }
    }

    /// The request with its answer, by the script or the recordings.
    fn replayed(
        &self,
        surface: Surface,
        body: &[u8],
    ) -> Result<(Generation, ReplayedAnswer), Refusal> {
        let Shared {
            recordings,
            script,
            seed,
            ..
        } = &*self.shared;
        let scope = Scope {
            longest: match script {
                Some(_) => script::LONGEST,
                None => recordings.max_tokens(),
            },
            is_recorded: script.is_none(),
        };
        let request = Generation::parse(surface, body, scope)?;
        let answer = match script {
            Some(script) => script.answer(*seed, &request)?,
            None => replay::answer(recordings, *seed, &request)?,
        };
        Ok((request, answer))
    }

    /// The outcome of a request that has an answer; the fault may still spoil it.
    fn answered(
        &self,
        surface: Surface,
        request: &Generation,
        mut answer: ReplayedAnswer,
        fault: Option<&Fault>,
    ) -> EndpointReply {
        let mut usage = UsageShown::True;
        let mut delay = Duration::ZERO;
        let mut struck = fault;
        match fault {
            Some(Fault::RefusedN { largest }) if request.n > *largest => {
                let message = format!(
                    "Value must be between 1 <= value <= {largest}, but got {}",
                    request.n
                );
                let refusal = Refusal::invalid(Some("invalid_value"), Some("n"), message);
                return EndpointReply::plain(refusal.into_response(), fault);
            }
            Some(Fault::RefusedMaxTokens) if request.names_max_tokens => {
                let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
                let refusal =
                    Refusal::invalid(Some("unsupported_parameter"), Some("max_tokens"), message);
                return EndpointReply::plain(refusal.into_response(), fault);
            }
            Some(Fault::RefusedSeed) if request.seed.is_some() => {
                let message = "Unsupported parameter: 'seed' is not supported with this model.";
                let refusal =
                    Refusal::invalid(Some("unsupported_parameter"), Some("seed"), message);
                return EndpointReply::plain(refusal.into_response(), fault);
            }
            Some(Fault::RefusedN { .. } | Fault::RefusedMaxTokens | Fault::RefusedSeed) => {
                struck = None;
            }
            // It was asked for.
            Some(Fault::EventStream) if request.stream.is_some() => struck = None,
            Some(Fault::NoUsage) => usage = UsageShown::Absent,
            Some(Fault::ImpossibleUsage) => usage = UsageShown::Impossible,
            Some(Fault::ReasoningApart) => usage = UsageShown::ReasoningApart,
            Some(Fault::NullUsage) => usage = UsageShown::Null,
            Some(Fault::UndercountedUsage) => usage = UsageShown::FirstChoice,
            Some(Fault::IgnoredN) => answer.cuts.truncate(1),
            Some(Fault::Delayed(wait)) => delay = *wait,
            _ => {}
        }
        let mut body = wire::body(surface, request, &answer, usage);
        match fault {
            Some(Fault::NullFinishReason) => wire::set_finish_reason(&mut body, None),
            Some(Fault::Interrupted) => {
                wire::set_finish_reason(&mut body, Some("insufficient_system_resource"));
            }
            _ => {}
        }
        if fault == Some(&Fault::LoneSurrogate) {
            payload::mark_surrogates(&mut body);
        }
        let unasked = (fault == Some(&Fault::EventStream)).then_some(Streaming {
            include_usage: true,
        });
        let payload = match request.stream.or(unasked) {
            Some(streaming) => Payload::event_stream(surface, &body, streaming),
            None => Payload::json(&body),
        };
        let response = match fault {
            Some(Fault::Closed) => payload.closed(),
            Some(Fault::Truncated) => payload.truncated(),
            Some(Fault::Gzip) => payload.gzip(),
            Some(Fault::LoneSurrogate) => payload.with_surrogates().whole(),
            _ => payload.whole(),
        };
        let mut generated = answer.usage();
        if usage == UsageShown::ReasoningApart {
            generated.completion_tokens += answer.completion_tokens();
        }
        let bill = Bill {
            model: request.model.clone(),
            usage: generated,
            delivered: !matches!(fault, Some(Fault::Closed | Fault::Truncated)),
        };
        EndpointReply {
            response,
            wait: self
                .shared
                .latency
                .of(answer.longest())
                .saturating_add(delay),
            fault: struck.map(name_of),
            bill: Some(bill),
            end: match fault {
                Some(Fault::IdleClosed) => ConnectionEnd::ClosedAfter,
                _ => ConnectionEnd::Kept,
            },
        }
    }
}

async fn completions(State(endpoint): State<Endpoint>, request: Request) -> Response {
    endpoint.generate(Surface::Completions, request).await
}

async fn chat_completions(State(endpoint): State<Endpoint>, request: Request) -> Response {
    endpoint.generate(Surface::Chat, request).await
}

async fn models(State(endpoint): State<Endpoint>, headers: HeaderMap) -> Result<Response, Refusal> {
    endpoint.authorise(&headers)?;
    let models: Vec<&str> = match &endpoint.shared.script {
        Some(script) => script.models().into_iter().collect(),
        None => endpoint.recordings().all_models(),
    };
    Ok(Json(wire::models(&models)).into_response())
}

async fn recordings(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    endpoint.authorise(&headers)?;
    Ok(Json(wire::recordings(endpoint.recordings())).into_response())
}

async fn stats(State(endpoint): State<Endpoint>) -> Response {
    Json(wire::statistics(&endpoint.statistics())).into_response()
}

async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn unknown_url(method: Method, uri: Uri) -> Refusal {
    let message = format!("Unknown request URL: {method} {}.", uri.path());
    Refusal::invalid(Some("unknown_url"), None, message).with_status(404)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let message = format!("Not allowed to {method} on {}.", uri.path());
    Refusal::invalid(Some("method_not_supported"), None, message).with_status(405)
}

fn shutting_down() -> Refusal {
    Refusal::new(
        503,
        "service_unavailable",
        None,
        "The simulator is shutting down.",
    )
}
