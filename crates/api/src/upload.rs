//! Datasets as they are posted: unpacked and read while they arrive, so that no body is held whole.

use crate::errors::{ApiError, Code};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use flate2::write::MultiGzDecoder;
use frugal_intake::dataset::{DatasetReader, DatasetRows, Format, Limits, Refused, TooLarge};
use futures::StreamExt;
use std::io::Write;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a dataset may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Datasets that arrive at the same time, since their rows are held until all are there; others wait
/// for their turn.
static TURNS: Semaphore = Semaphore::const_new(4);

/// The first bytes of whatever gzip has packed.
const GZIP: &[u8] = &[0x1F, 0x8B];

/// Reads a posted dataset.
///
/// # Errors
/// It is declared as nothing that is known, is packed otherwise than by gzip, is too large or has faults.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: Limits,
) -> Result<DatasetRows, ApiError> {
    let declared = format(headers).and_then(|format| Ok((format, is_packed(headers)?)));
    let (format, is_packed) = match declared {
        Ok(declared) => declared,
        Err(error) => return Err(refuse(body, limits, error).await),
    };
    let _turn = TURNS
        .acquire()
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let mut unpacker = Unpacker::new(DatasetReader::new(format, limits), is_packed);
    let reading = async {
        let mut chunks = body.into_data_stream();
        let mut seen = 0_u64;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| invalid("the body broke off before its end"))?;
            seen = seen.saturating_add(chunk.len() as u64);
            let taken = match seen > limits.bytes {
                // Packed, it can hold less than it is long.
                true => Err(Unreadable::TooLarge(TooLarge::Bytes(limits.bytes))),
                // A few packed bytes can be many rows.
                false => off_the_async_threads(move || unpacker.take(&chunk)).await?,
            };
            match taken {
                Ok(next) => unpacker = next,
                Err(error) => {
                    pass_over(&mut chunks, limits.bytes).await;
                    return Err(error.into());
                }
            }
        }
        let rows = off_the_async_threads(move || unpacker.finish()).await?;
        rows.map_err(ApiError::from)
    };
    tokio::time::timeout(TIMEOUT, reading).await.map_err(|_| {
        let seconds = TIMEOUT.as_secs();
        let detail = format!("the body did not arrive within {seconds} seconds");
        ApiError::new(Code::BodyTimeout, detail)
    })?
}

/// Refuses a body that nothing was read of: it is passed over first.
pub(crate) async fn refuse(body: Body, limits: Limits, error: ApiError) -> ApiError {
    let mut chunks = body.into_data_stream();
    let passing = pass_over(&mut chunks, limits.bytes);
    // One that does not come to its end in time hears of nothing.
    let _ = tokio::time::timeout(TIMEOUT, passing).await;
    error
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal(&error))
}

/// Reads on for a while: a client that is still sending would otherwise see a broken connection in the
/// place of the answer.
async fn pass_over(chunks: &mut axum::body::BodyDataStream, bytes: u64) {
    let mut left = bytes;
    while left > 0
        && let Some(Ok(chunk)) = chunks.next().await
    {
        left = left.saturating_sub(chunk.len() as u64);
    }
}

/// What the rows are declared as.
fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next();
    match essence
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/x-ndjson"
        | "application/ndjson" => Ok(Format::Lines),
        "application/json" => Ok(Format::Array),
        "text/csv" => Ok(Format::Csv),
        other => Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!(
                "rows of the type `{other}` are not known; send them with the `Content-Type` \
                 `application/jsonl`, `text/csv` or `application/json`"
            ),
        )),
    }
}

/// Whether the body is declared to be packed. One that is packed and does not say so is recognised.
fn is_packed(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(coding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    match coding
        .to_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "gzip" | "x-gzip" => Ok(true),
        "" | "identity" => Ok(false),
        other => Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!("the content coding `{other}` is not known; use `gzip` or none"),
        )),
    }
}

fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidDataset, detail)
}

/// Unpacks what is packed, and hands all to the reader.
enum Unpacker {
    /// Too little was seen to know whether it is packed.
    Begun(Sink, Vec<u8>),
    Plain(Sink),
    Packed(MultiGzDecoder<Sink>),
}

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    TooLarge(TooLarge),
    #[error("the body is not gzip, or is damaged: {0}")]
    Packing(std::io::Error),
    #[error("the dataset has faults")]
    Refused(Refused),
}

impl From<Unreadable> for ApiError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::TooLarge(too_large) | Unreadable::Refused(Refused::TooLarge(too_large)) => {
                let (remedy, setting) = match too_large {
                    TooLarge::Bytes(_) => ("post less", "dataset_limit_bytes"),
                    TooLarge::Rows(_) => ("post fewer", "dataset_limit_rows"),
                };
                Self::new(
                    Code::BodyTooLarge,
                    format!("{too_large}; {remedy}, or ask the operator to raise `{setting}`"),
                )
            }
            Unreadable::Refused(Refused::Faults { first, count }) => {
                Self::invalid_dataset(first, count)
            }
            Unreadable::Packing(_) => invalid(error.to_string()),
        }
    }
}

impl Unpacker {
    fn new(reader: DatasetReader, is_packed: bool) -> Self {
        let sink = Sink {
            reader,
            too_large: None,
        };
        match is_packed {
            true => Self::Packed(MultiGzDecoder::new(sink)),
            false => Self::Begun(sink, Vec::new()),
        }
    }

    /// Takes the next bytes.
    fn take(self, chunk: &[u8]) -> Result<Self, Unreadable> {
        match self {
            Self::Begun(sink, mut head) => {
                head.extend_from_slice(chunk);
                if head.len() < GZIP.len() {
                    return Ok(Self::Begun(sink, head));
                }
                let begun = match head.starts_with(GZIP) {
                    true => Self::Packed(MultiGzDecoder::new(sink)),
                    false => Self::Plain(sink),
                };
                begun.take(&head)
            }
            Self::Plain(mut sink) => {
                sink.reader.push(chunk).map_err(Unreadable::TooLarge)?;
                Ok(Self::Plain(sink))
            }
            Self::Packed(mut decoder) => match decoder.write_all(chunk) {
                Ok(()) => Ok(Self::Packed(decoder)),
                Err(error) => Err(decoder.get_ref().blame(error)),
            },
        }
    }

    /// All rows, once all bytes were taken.
    fn finish(self) -> Result<DatasetRows, Unreadable> {
        let sink = match self {
            Self::Begun(sink, head) => return Self::Plain(sink).take(&head)?.finish(),
            Self::Plain(sink) => sink,
            Self::Packed(mut decoder) => {
                if let Err(error) = decoder.try_finish() {
                    return Err(decoder.get_ref().blame(error));
                }
                decoder.finish().map_err(Unreadable::Packing)?
            }
        };
        sink.reader.finish().map_err(Unreadable::Refused)
    }
}

/// Where unpacked bytes go.
struct Sink {
    reader: DatasetReader,
    too_large: Option<TooLarge>,
}

impl Sink {
    /// Why unpacking failed.
    fn blame(&self, error: std::io::Error) -> Unreadable {
        match self.too_large {
            Some(too_large) => Unreadable::TooLarge(too_large),
            None => Unreadable::Packing(error),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.reader.push(bytes).map_err(|too_large| {
            self.too_large = Some(too_large);
            std::io::Error::other(too_large)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
