//! A client of the API as an internal tool would write one. It holds every answer against
//! `openapi.yaml`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose requests fail ends here, as it would at an assertion"
)]

use crate::contract::{Answer, contract, is_stream};
use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// A client of one server.
#[derive(Debug, Clone)]
pub struct ApiClient {
    base_url: String,
    http: reqwest::Client,
    key: Option<String>,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamedEvent {
    /// The frame's id: the number of the event.
    pub id: i64,
    /// The frame's type.
    pub name: String,
    /// The payload.
    pub payload: Value,
}

impl StreamedEvent {
    /// Whether no event follows.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(
            self.name.as_str(),
            "job.succeeded" | "job.failed" | "job.cancelled"
        )
    }
}

impl ApiClient {
    /// A client of the server at this URL.
    #[must_use]
    pub fn new(base_url: &str) -> Self {
        frugal_llm::install_crypto_provider();
        Self {
            base_url: base_url.to_owned(),
            http: reqwest::Client::new(),
            key: None,
        }
    }

    /// The same that sends a key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// The start of a request, to be finished and given to [`Self::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base_url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request. Its answer is whatever it is, but as openapi.yaml says.
    ///
    /// # Panics
    /// If the server does not answer, or with what openapi.yaml does not say.
    pub async fn send(&self, request: RequestBuilder) -> Response {
        self.try_send(request).await.expect("the server answers")
    }

    /// Sends a request to a server that may be gone before it has answered.
    ///
    /// # Errors
    /// The answer did not come, or not whole.
    ///
    /// # Panics
    /// If the server answers with what openapi.yaml does not say.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let request = request.build().expect("the request is one");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.http.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let check = |body: &[u8]| {
            let answer = Answer {
                method: &method,
                path: &path,
                status,
                headers: &headers,
                body,
            };
            if let Err(mismatch) = contract().check(answer) {
                panic!("{mismatch}");
            }
        };
        if is_stream(&headers) {
            check(&[]);
            return Ok(response);
        }
        let body = response.bytes().await?;
        check(&body);
        let mut read = axum::http::Response::new(body);
        *read.status_mut() = status;
        *read.headers_mut() = headers;
        Ok(read.into())
    }

    /// A GET, whatever its answer.
    pub async fn get(&self, path: &str) -> Response {
        self.send(self.request(Method::GET, path)).await
    }

    /// A GET that succeeds, as JSON.
    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        let status = response.status();
        let body = response.text().await.expect("the body arrives");
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).expect("the body is JSON")
    }

    /// A POST, whatever its answer.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Posts a job that is accepted and returns its path.
    pub async fn submit(&self, job: &Value) -> String {
        self.create("/jobs", job).await
    }

    /// Posts an evaluation that is accepted and returns its path.
    pub async fn evaluate(&self, evaluation: &Value) -> String {
        self.create("/evaluations", evaluation).await
    }

    async fn create(&self, path: &str, body: &Value) -> String {
        let response = self.post(path, body).await;
        let status = response.status();
        let location = response.headers().get("location").cloned();
        let body = response.text().await.expect("the body arrives");
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let location = location.expect("a created job has a location");
        location.to_str().expect("a path").to_owned()
    }

    /// Opens the event stream of a job, after an event where one is given.
    pub async fn stream(
        &self,
        job: &str,
        last_event_id: Option<i64>,
    ) -> impl Stream<Item = StreamedEvent> + Unpin + use<> {
        let mut request = self.request(Method::GET, &format!("{job}/events"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        self.open(request).await
    }

    /// Opens the event stream that a request asks for.
    ///
    /// # Panics
    /// If the answer is no stream, or a frame is not as openapi.yaml says.
    pub async fn open(
        &self,
        request: RequestBuilder,
    ) -> impl Stream<Item = StreamedEvent> + Unpin + use<> {
        let request = request.header("accept", "text/event-stream");
        let response = self.send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        response
            .bytes_stream()
            .eventsource()
            .filter_map(async |frame| {
                let frame = frame.ok()?;
                let payload: Value = serde_json::from_str(&frame.data).expect("payloads are JSON");
                let checked = match frame.event.as_str() {
                    "snapshot" if payload.get("jobs").is_some() => {
                        contract().check_jobs_snapshot(&payload)
                    }
                    "snapshot" => contract().check_snapshot(&payload),
                    _ => contract().check_event(&payload),
                };
                if let Err(mismatch) = checked {
                    panic!("{mismatch}");
                }
                Some(StreamedEvent {
                    id: frame.id.parse().expect("ids are numbers"),
                    name: frame.event,
                    payload,
                })
            })
            .boxed()
    }

    /// Follows a job from an event on to its terminal event.
    pub async fn follow(&self, job: &str, last_event_id: Option<i64>) -> Vec<StreamedEvent> {
        let mut stream = self.stream(job, last_event_id).await;
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            let ends = event.is_terminal();
            events.push(event);
            if ends {
                assert!(
                    stream.next().await.is_none(),
                    "nothing follows the terminal event"
                );
                return events;
            }
        }
        panic!("the stream of {job} ended before the job did: {events:?}");
    }

    /// Every row of a paged list, in the order of the pages.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let parameter = if path.ends_with("/events") {
            "after"
        } else {
            "cursor"
        };
        let mut rows = Vec::new();
        let mut query = String::new();
        loop {
            let page = self.json(&format!("{path}?limit=100{query}")).await;
            rows.extend(page["data"].as_array().expect("a list").iter().cloned());
            if page["has_more"] == false {
                return rows;
            }
            let next = page["next"]
                .as_str()
                .map_or_else(|| page["next"].to_string(), str::to_owned);
            query = format!("&{parameter}={next}");
        }
    }
}
