//! Connections that servers close, and how endpoints are reached.

use crate::server::{Server, completed, endpoint, request};
use frugal_domain::endpoint::{Api, Catalog, HeaderSource, Model};
use frugal_llm::{Clients, RequestError, Scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"choices": [{"text": "one", "finish_reason": "stop"}], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}"#;

/// Reads one request; whether there was one.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut block = [0; 4096];
    loop {
        let count = stream.read(&mut block).await.unwrap_or(0);
        request.extend_from_slice(&block[..count]);
        // The bodies here are JSON objects, sent in one piece with their ends.
        if count == 0 || request.ends_with(b"}") {
            return !request.is_empty();
        }
    }
}

/// A server that answers so many requests on each connection, and closes it at the next one without
/// a word. Gives its URL and a count of the requests it read.
async fn closing_after(answers: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requests = Arc::clone(&counted);
            tokio::spawn(async move {
                for _ in 0..answers {
                    if !read_request(&mut stream).await {
                        return;
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                    let length = BODY.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{BODY}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                if read_request(&mut stream).await {
                    requests.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (url, requests)
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_idled_costs_nothing() {
    let (url, requests) = closing_after(1).await;
    let client = crate::server::client(&endpoint(&url), None);
    let first = client.complete(&request(1), None).await.unwrap();
    assert_eq!(first.diagnostics.reconnections, 0);
    let second = client.complete(&request(1), None).await.unwrap();
    assert_eq!(second.diagnostics.reconnections, 1);
    let attempts = second.attempts;
    assert_eq!((attempts.made, attempts.possibly_billed), (1, 0));
    // The first; the one on the closing connection; the same on a connection of its own.
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_without_an_answer_may_be_billed() {
    let (url, requests) = closing_after(0).await;
    let client = crate::server::client(&endpoint(&url), None);
    let error = client.complete(&request(1), None).await.unwrap_err();
    let attempts = error.attempts();
    assert_eq!((attempts.made, attempts.possibly_billed), (3, 3));
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn deployments_are_reached_by_path_query_and_headers() {
    let server = Server::new([completed(&["one"], 2, 1)]).await;
    let mut azure = endpoint(server.base_url.trim_end_matches("/v1"));
    azure.api = Api::Completions;
    azure.path = Some("/openai/deployments/{model}/{api}".to_owned());
    azure
        .query
        .insert("api-version".to_owned(), "2024-10-21".to_owned());
    azure.headers.insert(
        "api-key".to_owned(),
        HeaderSource::Variable {
            env: "AZURE_KEY".to_owned(),
        },
    );
    azure.headers.insert(
        "x-title".to_owned(),
        HeaderSource::Value("a job".to_owned()),
    );
    azure.models.insert("m".to_owned(), Model::default());
    let catalog = Catalog {
        endpoints: [("azure".to_owned(), azure)].into(),
        ..Catalog::default()
    };
    let variable = |name: &str| (name == "AZURE_KEY").then(|| "hunter2-hunter2".to_owned());
    let clients = Clients::new(&catalog, variable).unwrap();
    assert!(!format!("{clients:?}").contains("hunter2"));
    let client = clients.get("azure").unwrap();
    client.complete(&request(1), None).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/openai/deployments/m/completions");
    assert_eq!(asked.query.as_deref(), Some("api-version=2024-10-21"));
    assert_eq!(asked.headers["api-key"], "hunter2-hunter2");
    assert_eq!(asked.headers["x-title"], "a job");

    let missing = Clients::new(&catalog, |_| None).unwrap_err().to_string();
    assert!(missing.contains("AZURE_KEY"), "{missing}");
}

#[tokio::test]
async fn a_key_is_read_from_its_file() {
    let server = Server::new([completed(&["one"], 2, 1)]).await;
    let file = std::env::temp_dir().join(format!("frugal-key-{}", std::process::id()));
    std::fs::write(&file, "sk-hunter2\n").unwrap();
    let mut filed = endpoint(&server.base_url);
    filed.api_key_file = Some(file.to_str().unwrap().to_owned());
    let catalog = Catalog {
        endpoints: [("local".to_owned(), filed)].into(),
        ..Catalog::default()
    };
    let clients = Clients::new(&catalog, |_| None).unwrap();
    std::fs::remove_file(&file).unwrap();
    let client = clients.get("local").unwrap();
    client.complete(&request(1), None).await.unwrap();
    assert_eq!(
        server.asked()[0].headers["authorization"],
        "Bearer sk-hunter2"
    );

    let gone = Clients::new(&catalog, |_| None).unwrap_err().to_string();
    assert!(gone.contains("cannot read the key"), "{gone}");
}

#[tokio::test]
async fn a_base_url_without_its_version_is_pointed_out() {
    let server = Server::by_rule(|_| {
        crate::server::Turn::Json(404, serde_json::json!({"detail": "Not Found"}))
    })
    .await;
    let bare = endpoint(server.base_url.trim_end_matches("/v1"));
    let client = crate::server::client(&bare, None);
    let error = client.complete(&request(1), None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the endpoint answered with status 404: Not Found; does base_url lack /v1?"
    );
    assert!(matches!(
        error,
        RequestError::Fatal {
            scope: Scope::Endpoint,
            ..
        }
    ));
}
