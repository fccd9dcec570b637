//! Everything of a job as a stream of lines: rows leave PostgreSQL as fast as the client takes them, and
//! no more of them is held than a few chunks.

use crate::errors::ApiError;
use crate::found;
use crate::state::AppState;
use crate::wire::{
    EXPORT_FORMAT, Evaluation, Event, ExportEnd, ExportLine, ExportStart, ExportedEnqueuedTrial,
    ExportedEvaluationReport, ExportedReport, FieldError, Job, Trial,
};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use chrono::Utc;
use flate2::Compression;
use flate2::write::GzEncoder;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_store::changes::{self, OwnerChange};
use frugal_store::{PgConnection, attempts, exports, jobs, terms, trials};
use futures::{Stream, TryStreamExt};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

/// Exports at the same time, since each holds a connection and a picture of the database; others wait
/// for their turn.
static TURNS: Semaphore = Semaphore::const_new(4);

/// How much is sent at once, in bytes.
const CHUNK: usize = 64 << 10;

/// How long a client may take for a chunk before the export ends: as long as it lasts, PostgreSQL keeps
/// what others have deleted since.
const PATIENCE: Duration = Duration::from_secs(60);

/// The export of a job of a kind, packed with gzip or not. It begins once the job is found.
pub(crate) async fn body(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    is_packed: bool,
) -> Result<Body, ApiError> {
    let turn = TURNS
        .acquire()
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let mut connection = exports::begin(state.pool()).await?;
    let job = found::job(&mut connection, kind, id).await?;
    let (chunks, taken) = mpsc::channel(2);
    let export = Export {
        out: Packing::new(is_packed),
        chunks: chunks.clone(),
        lines: BTreeMap::new(),
    };
    let shutdown = state.shutdown().clone();
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = export.run(connection, job, turn) => ended,
            // Whoever leaves frees the connection.
            () = chunks.closed() => return,
            () = shutdown.cancelled() => Err(Broken::Shutdown),
        };
        if let Err(broken) = ended {
            tracing::warn!(job = %id, error = %broken, "an export broke off");
            // A body that ends with an error does not look whole.
            let _ = chunks.try_send(Err(io::Error::other("the export broke off")));
        }
    });
    Ok(Body::from_stream(futures::stream::unfold(
        taken,
        |mut taken| async move { Some((taken.recv().await?, taken)) },
    )))
}

/// Why an export is not whole.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the database cannot be read: {0}")]
    Store(#[from] frugal_store::Error),
    #[error("a line cannot be written: {0}")]
    Write(#[from] io::Error),
    #[error("a line is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the client took nothing for {} s", PATIENCE.as_secs())]
    Stalled,
    #[error("the client has left")]
    Left,
    #[error("the server stops")]
    Shutdown,
}

/// An export under way.
struct Export {
    out: Packing,
    chunks: mpsc::Sender<io::Result<Bytes>>,
    lines: BTreeMap<&'static str, u64>,
}

impl Export {
    async fn run(
        mut self,
        mut connection: PgConnection,
        job: jobs::Job,
        _turn: SemaphorePermit<'static>,
    ) -> Result<(), Broken> {
        let (id, shown) = (job.id, job.clone());
        let spec = &shown.spec;
        let start = ExportStart {
            format: EXPORT_FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            exported_at: Utc::now(),
        };
        self.line(ExportLine::Export(start)).await?;
        let best = match job.best_trial {
            Some(number) => trials::find(&mut connection, id, number).await?,
            None => None,
        };
        let warnings = jobs::warnings(&mut connection, id).await?;
        let warnings = warnings.into_iter().map(FieldError::from).collect();
        let itself = match spec.kind() {
            JobKind::Tuning => ExportLine::Job(Box::new(Job {
                warnings,
                ..Job::new(job, best.as_ref())
            })),
            JobKind::Evaluation => ExportLine::Evaluation(Box::new(Evaluation {
                warnings,
                ..Evaluation::new(job)
            })),
        };
        self.line(itself).await?;
        let specification = serde_json::from_value(serde_json::to_value(spec)?)?;
        self.line(ExportLine::Specification(specification)).await?;
        let connection = &mut connection;
        for change in changes::after(connection, id, 0).await? {
            let line = match change {
                OwnerChange::Terms(change) => ExportLine::TermsChange(change.into()),
                OwnerChange::Trial(trial) => {
                    ExportLine::EnqueuedTrial(ExportedEnqueuedTrial::new(spec, &trial))
                }
            };
            self.line(line).await?;
        }
        let mut attempts = attempts::list(connection, id, None, u32::MAX).await?;
        attempts.reverse();
        for attempt in attempts {
            self.line(ExportLine::Attempt(attempt.into())).await?;
        }
        self.all(exports::instances(connection, id)).await?;
        let lines = exports::trials(connection, id)
            .map_ok(|trial| ExportLine::Trial(Box::new(Trial::new(&shown, trial))));
        self.all(lines).await?;
        self.all(exports::adopted(connection, id)).await?;
        self.all(exports::requests(connection, id)).await?;
        self.all(exports::responses(connection, id)).await?;
        self.all(exports::scores(connection, id)).await?;
        let lines = exports::events(connection, id)
            .map_ok(|event| ExportLine::Event(Box::new(Event::new(spec, event))));
        self.all(lines).await?;
        for earlier in terms::earlier_reports(connection, id).await? {
            self.line(ExportLine::EarlierReport(earlier.into())).await?;
        }
        if let Some(report) = jobs::report(connection, id).await?
            && !report.is_null()
        {
            let report = match spec.kind() {
                JobKind::Tuning => ExportLine::Report(ExportedReport(report)),
                JobKind::Evaluation => {
                    ExportLine::EvaluationReport(ExportedEvaluationReport(report))
                }
            };
            self.line(report).await?;
        }
        let lines = std::mem::take(&mut self.lines);
        self.line(ExportLine::End(ExportEnd { lines })).await?;
        let rest = self.out.finish()?;
        send(&self.chunks, rest).await
    }

    async fn all<R: Into<ExportLine>>(
        &mut self,
        rows: impl Stream<Item = frugal_store::Result<R>>,
    ) -> Result<(), Broken> {
        futures::pin_mut!(rows);
        while let Some(row) = rows.try_next().await? {
            self.line(row.into()).await?;
        }
        Ok(())
    }

    async fn line(&mut self, line: ExportLine) -> Result<(), Broken> {
        *self.lines.entry(line.name()).or_default() += 1;
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")?;
        match self.out.chunk() {
            Some(chunk) => send(&self.chunks, chunk).await,
            None => Ok(()),
        }
    }
}

async fn send(chunks: &mpsc::Sender<io::Result<Bytes>>, chunk: Vec<u8>) -> Result<(), Broken> {
    let sent = tokio::time::timeout(PATIENCE, chunks.send(Ok(chunk.into()))).await;
    sent.map_err(|_| Broken::Stalled)?.map_err(|_| Broken::Left)
}

/// What is written and not sent yet.
enum Packing {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Packing {
    fn new(is_packed: bool) -> Self {
        match is_packed {
            true => Self::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            false => Self::Plain(Vec::new()),
        }
    }

    /// What has come together, once that is enough for a chunk.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let written = match self {
            Self::Plain(written) => written,
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        (written.len() >= CHUNK).then(|| std::mem::take(written))
    }

    /// What is left.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(written) => Ok(written),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl Write for Packing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(written) => written.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(written) => written.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

/// Whether the client takes gzip (RFC 9110, section 12.5.3).
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values.filter_map(|value| value.to_str().ok());
    let mut wildcard = false;
    for coding in codings.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok());
        let is_wanted = weight.is_none_or(|weight| weight > 0.0);
        match name.as_str() {
            "gzip" | "x-gzip" => return is_wanted,
            "*" => wildcard = is_wanted,
            _ => {}
        }
    }
    wildcard
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (accepted, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip; q=0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("br, identity", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(accepted);
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
            assert_eq!(takes_gzip(&headers), takes, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
