//! A client of Frugal's API: posts a job, follows its events, fetches what it found; posts, lists and
//! deletes datasets.

use super::report::{Job, Report};
use anyhow::{Context, anyhow, bail};
use eventsource_stream::Eventsource;
use futures::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How often in a row a stream may bring nothing new before it is given up.
const MOST_FRUITLESS: u32 = 20;
/// How long to wait after a stream that brought nothing new.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for a connection, and for anything on one: streams are kept alive with
/// comments far more often.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(90);
/// How long an upload may take, at the end of which the answer begins.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(900);
/// The most faults of a refusal that are told.
const MOST_TOLD: usize = 10;

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// 1, 2, 3, … within the job, without gaps.
    pub seq: i64,
    /// What kind of thing, such as `trial.evaluated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest, by kind.
    #[serde(default)]
    pub data: Value,
}

impl Event {
    /// Whether no event of the job follows, unless it is continued.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "job.succeeded" | "job.failed" | "job.cancelled"
        )
    }
}

/// A dataset of the server's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dataset {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// The fields that rows have.
    pub columns: Vec<Column>,
    /// How many jobs were made of it.
    pub jobs: u64,
    /// When it was posted.
    pub created_at: String,
}

/// A field of a dataset's rows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The share of the rows that have it.
    pub share: f64,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    /// Where the next one begins.
    next: Option<String>,
}

/// How a stream of events ended.
enum StreamEnd {
    /// With the job's last event.
    Over,
    /// Before it.
    Cut,
}

/// A client of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    api_url: String,
}

impl Client {
    /// A client of the server at this URL, such as `http://127.0.0.1:8080`, with a key where it needs one.
    ///
    /// # Errors
    /// The machine cannot make HTTP clients, or the key can be none.
    pub fn new(api_url: &str, key: Option<&str>) -> anyhow::Result<Self> {
        Self::waiting(api_url, key, READ_TIMEOUT)
    }

    /// A client of the server at this URL that waits until a long upload is through.
    ///
    /// # Errors
    /// The machine cannot make HTTP clients.
    pub fn for_uploads(api_url: &str, key: Option<&str>) -> anyhow::Result<Self> {
        Self::waiting(api_url, key, UPLOAD_TIMEOUT)
    }

    fn waiting(api_url: &str, key: Option<&str>, read_timeout: Duration) -> anyhow::Result<Self> {
        frugal_llm::install_crypto_provider();
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let value = HeaderValue::try_from(format!("Bearer {key}"));
            let mut value = value.context("the key has characters that no key has")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(read_timeout)
            .default_headers(headers)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            api_url: api_url.trim_end_matches('/').to_owned(),
        })
    }

    /// Posts a job.
    ///
    /// # Errors
    /// The server is away or refuses the job; the message has every fault.
    pub async fn post_job(&self, body: &Value) -> anyhow::Result<Job> {
        let url = format!("{}/jobs", self.api_url);
        let sent = self.http.post(&url).json(body).send().await;
        read(sent, &url).await.context("the job was not accepted")
    }

    /// Whatever the server answers to a request of this path and query.
    ///
    /// # Errors
    /// The server is away or refuses; the message has every fault.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.api_url);
        let mut request = self.http.request(method, &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request.send().await, &url).await
    }

    /// What the server has at a path, to be read as it comes.
    ///
    /// # Errors
    /// The server is away or does not have it.
    pub async fn open(&self, path: &str) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.api_url);
        let sent = self.http.get(&url).send().await;
        let response = sent.with_context(|| format!("cannot reach {url}"))?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal(response).await),
        }
    }

    /// A job as it stands.
    ///
    /// # Errors
    /// The server is away or does not have it.
    pub async fn job(&self, id: &str) -> anyhow::Result<Job> {
        self.get(&format!("/jobs/{id}")).await
    }

    /// What a job has found.
    ///
    /// # Errors
    /// The server is away or has no report of it.
    pub async fn report(&self, id: &str) -> anyhow::Result<Report> {
        self.get(&format!("/jobs/{id}/report")).await
    }

    /// Asks for a job to be cancelled.
    ///
    /// # Errors
    /// The server is away, or the job has ended.
    pub async fn cancel(&self, id: &str) -> anyhow::Result<Job> {
        let url = format!("{}/jobs/{id}/cancel", self.api_url);
        read(self.http.post(&url).send().await, &url).await
    }

    /// Posts a dataset, and says whether it is new.
    ///
    /// # Errors
    /// The server is away or refuses the rows; the message has the first faults.
    pub async fn post_dataset(
        &self,
        name: &str,
        content_type: &'static str,
        rows: impl Into<Body>,
    ) -> anyhow::Result<(bool, Dataset)> {
        let mut url = self.url(&["datasets"])?;
        url.query_pairs_mut().append_pair("name", name);
        let request = self.http.post(url.clone());
        let sent = request
            .header(CONTENT_TYPE, content_type)
            .body(rows)
            .send()
            .await;
        let is_new = sent
            .as_ref()
            .is_ok_and(|it| it.status() == StatusCode::CREATED);
        let dataset = read(sent, url.as_str()).await;
        Ok((is_new, dataset.context("the dataset was not accepted")?))
    }

    /// All of a list, page by page.
    ///
    /// # Errors
    /// The server is away or does not have it.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Page<T> = self.get(&format!("{path}?limit=100{cursor}")).await?;
            all.extend(page.data);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Deletes the dataset with this name or id.
    ///
    /// # Errors
    /// The server is away or does not have it.
    pub async fn delete_dataset(&self, name: &str) -> anyhow::Result<()> {
        let url = self.url(&["datasets", name])?;
        let sent = self.http.delete(url.clone()).send().await;
        let response = sent.with_context(|| format!("cannot reach {url}"))?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(refusal(response).await),
        }
    }

    /// The URL of a path whose parts may hold anything.
    fn url(&self, parts: &[&str]) -> anyhow::Result<Url> {
        let url = Url::parse(&self.api_url);
        let mut url = url.with_context(|| format!("`{}` is no URL", self.api_url))?;
        match url.path_segments_mut() {
            Ok(mut path) => drop(path.pop_if_empty().extend(parts)),
            Err(()) => bail!("`{}` is no URL of a server", self.api_url),
        }
        Ok(url)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.api_url);
        let sent = self.http.get(&url).send().await;
        read(sent, &url).await
    }

    /// Follows a job to its last event, each event once and in order, however often the stream
    /// is cut.
    ///
    /// # Errors
    /// The server refuses, or brings nothing new however often it is asked.
    pub async fn follow(&self, id: &str, mut see: impl FnMut(&Event)) -> anyhow::Result<()> {
        let mut last = 0;
        let mut fruitless = 0;
        loop {
            let before = last;
            let end = self.follow_once(id, &mut last, &mut see).await?;
            let trouble = match end {
                Ok(StreamEnd::Over) => return Ok(()),
                Ok(StreamEnd::Cut) => anyhow!("the stream ends before the job"),
                Err(error) => error,
            };
            if last > before {
                fruitless = 0;
                continue;
            }
            fruitless += 1;
            if fruitless >= MOST_FRUITLESS {
                return Err(trouble.context("cannot follow the job's events"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Follows one stream from the event after `last`. The outer error is final, the inner one
    /// may pass.
    async fn follow_once(
        &self,
        id: &str,
        last: &mut i64,
        see: &mut impl FnMut(&Event),
    ) -> anyhow::Result<anyhow::Result<StreamEnd>> {
        let url = format!("{}/jobs/{id}/events", self.api_url);
        let mut request = self.http.get(&url).header(ACCEPT, "text/event-stream");
        if *last > 0 {
            request = request.header(HeaderName::from_static("last-event-id"), *last);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(error.into())),
        };
        match response.status() {
            StatusCode::OK => {}
            // The job is over, and its last event has been seen.
            StatusCode::NO_CONTENT => return Ok(Ok(StreamEnd::Over)),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Ok(Err(refusal(response).await));
            }
            _ => return Err(refusal(response).await),
        }
        let mut stream = response.bytes_stream().eventsource();
        // A job that was continued goes on after an event that was its last.
        let mut end = StreamEnd::Cut;
        while let Some(frame) = stream.next().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => return Ok(Err(anyhow!("the stream broke: {error}"))),
            };
            // Frames that are no events of the job have no number.
            let Ok(event) = serde_json::from_str::<Event>(&frame.data) else {
                continue;
            };
            if event.seq <= *last {
                continue;
            }
            if event.seq != *last + 1 {
                return Ok(Err(anyhow!("event {} follows event {last}", event.seq)));
            }
            *last = event.seq;
            see(&event);
            end = match event.is_terminal() {
                true => StreamEnd::Over,
                false => StreamEnd::Cut,
            };
        }
        Ok(Ok(end))
    }
}

/// Reads an answer's JSON.
async fn read<T: DeserializeOwned>(
    sent: reqwest::Result<Response>,
    url: &str,
) -> anyhow::Result<T> {
    let response = sent.with_context(|| format!("cannot reach {url}"))?;
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let body = response.bytes().await?;
    serde_json::from_slice(&body).with_context(|| format!("{url} answered something else"))
}

/// A refusal in words: an RFC 9457 problem with its faults, or the bare status.
async fn refusal(response: Response) -> anyhow::Error {
    let status = response.status();
    let refusal = async {
        let problem: Problem = response.json().await?;
        let mut words = vec![problem.detail.unwrap_or(problem.title)];
        let others = problem.errors.len().saturating_sub(MOST_TOLD);
        for fault in problem.errors.into_iter().take(MOST_TOLD) {
            let place = match fault.line {
                Some(line) if fault.pointer.is_empty() => format!("line {line}"),
                Some(line) => format!("line {line}, {}", fault.pointer),
                None => fault.pointer,
            };
            words.push(format!("{place}: {}", fault.detail));
        }
        if others > 0 {
            words.push(format!("and {others} more"));
        }
        bail!("{status}: {}", words.join("; "))
    };
    let refused: anyhow::Result<()> = refusal.await;
    match refused {
        Err(error) if !error.is::<reqwest::Error>() => error,
        _ => anyhow!("the server answered {status}"),
    }
}

/// What the API's errors look like.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<NotedFault>,
}

#[derive(Deserialize)]
struct NotedFault {
    line: Option<u64>,
    pointer: String,
    detail: String,
}

#[cfg(test)]
mod tests;
