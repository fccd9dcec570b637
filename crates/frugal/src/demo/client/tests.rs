use super::*;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// What a server streams on one connection; it ends the connection afterwards.
type Script = Vec<String>;

#[derive(Clone)]
struct Mock {
    scripts: Arc<Mutex<std::vec::IntoIter<Script>>>,
    /// The Last-Event-ID of each connection.
    asked_after: Arc<Mutex<Vec<Option<String>>>>,
}

/// Serves scripts, one per connection, then 204.
async fn mock(scripts: Vec<Script>) -> (Client, Mock) {
    let mock = Mock {
        scripts: Arc::new(Mutex::new(scripts.into_iter())),
        asked_after: Arc::default(),
    };
    let router = Router::new()
        .route("/jobs/{id}/events", get(stream))
        .route("/jobs", post(refuse))
        .with_state(mock.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Client::new(&url, None).unwrap(), mock)
}

async fn stream(
    State(mock): State<Mock>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> axum::response::Response {
    assert_eq!(id, "7");
    let after = headers.get("last-event-id");
    let after = after.map(|id| id.to_str().unwrap().to_owned());
    mock.asked_after.lock().unwrap().push(after);
    match mock.scripts.lock().unwrap().next() {
        Some(script) => ([(CONTENT_TYPE, "text/event-stream")], script.concat()).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn refuse() -> impl IntoResponse {
    let problem = json!({
        "type": "about:blank", "title": "Unprocessable Entity", "status": 422,
        "code": "invalid_job", "detail": "the job has 2 faults",
        "errors": [
            {"pointer": "/data", "detail": "is missing"},
            {"pointer": "/models", "detail": "is empty"},
        ],
    });
    (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string())
}

fn frame(seq: i64, kind: &str) -> String {
    let payload = json!({"seq": seq, "type": kind, "job_id": "7", "data": {}});
    format!("id: {seq}\nevent: {kind}\ndata: {payload}\n\n")
}

/// What `follow` shows, and how it ends.
async fn follow(client: &Client) -> (Vec<i64>, anyhow::Result<()>) {
    let mut seen = Vec::new();
    let end = client.follow("7", |event| seen.push(event.seq)).await;
    (seen, end)
}

#[tokio::test]
async fn a_cut_stream_is_taken_up_where_it_ended() {
    let (client, mock) = mock(vec![
        vec![
            frame(1, "job.queued"),
            ": alive\n\n".to_owned(),
            frame(2, "job.running"),
        ],
        // Cut within a frame, and with one that was seen before.
        vec![
            frame(2, "job.running"),
            frame(3, "trial.started"),
            "id: 4\ndata: {\"se".to_owned(),
        ],
        vec![
            "event: note\ndata: not an event of the job\n\n".to_owned(),
            frame(4, "trial.evaluated"),
            frame(5, "job.succeeded"),
            // It was continued since.
            frame(6, "job.continued"),
            frame(7, "job.succeeded"),
        ],
    ])
    .await;
    let (seen, end) = follow(&client).await;
    end.unwrap();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    let asked_after = mock.asked_after.lock().unwrap().clone();
    assert_eq!(
        asked_after,
        [None, Some("2".to_owned()), Some("3".to_owned())]
    );
}

#[tokio::test]
async fn a_gap_is_asked_for_again() {
    let (client, mock) = mock(vec![
        vec![frame(1, "job.queued"), frame(3, "trial.started")],
        vec![
            frame(2, "job.running"),
            frame(3, "trial.started"),
            frame(4, "job.cancelled"),
        ],
    ])
    .await;
    let (seen, end) = follow(&client).await;
    end.unwrap();
    assert_eq!(seen, [1, 2, 3, 4]);
    let asked_after = mock.asked_after.lock().unwrap().clone();
    assert_eq!(asked_after, [None, Some("1".to_owned())]);
}

#[tokio::test]
async fn no_content_ends_a_job_whose_last_event_was_seen() {
    let (client, _) = mock(vec![vec![frame(1, "job.queued")]]).await;
    let (seen, end) = follow(&client).await;
    end.unwrap();
    assert_eq!(seen, [1]);
}

#[tokio::test]
async fn what_the_server_refuses_is_not_asked_for_again() {
    let (client, mock) = mock(Vec::new()).await;
    let error = client.follow("7/none", |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    assert!(mock.asked_after.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_names_every_fault() {
    let (client, _) = mock(Vec::new()).await;
    let error = client.post_job(&json!({})).await.unwrap_err();
    insta::assert_snapshot!(
        format!("{error:#}"),
        @"the job was not accepted: 422 Unprocessable Entity: the job has 2 faults; /data: is missing; /models: is empty"
    );
}
