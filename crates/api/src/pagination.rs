//! Keyset cursors: where the next page of a list begins. Rows that come or go in between
//! neither repeat nor hide others.

use crate::errors::{ApiError, Code};
use crate::wire::List;
use frugal_domain::id::{DatasetId, JobId, TrialNumber};
use uuid::Uuid;

/// The rows of a page where the client does not say.
const DEFAULT_LIMIT: u32 = 20;
/// The most rows of a page.
const MAX_LIMIT: u32 = 100;

/// How many rows the client wants.
pub(crate) fn limit(given: Option<u32>) -> Result<u32, ApiError> {
    match given {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(limit) => Err(ApiError::new(
            Code::InvalidParameter,
            format!("`limit` is {limit}; it must be from 1 to {MAX_LIMIT}"),
        )),
    }
}

/// The key of a list's last row, as clients carry it. They must not look inside.
pub(crate) trait Cursor: Sized {
    /// As a text that is safe in a URL.
    fn write(&self) -> String;
    /// From that text.
    fn read(text: &str) -> Option<Self>;
}

/// What a key is, in a fixed number of hexadecimal digits.
trait Digits: Sized {
    /// The digits.
    fn write(&self) -> String;
    /// From them.
    fn read(digits: &str) -> Option<Self>;
}

impl Digits for Uuid {
    fn write(&self) -> String {
        self.simple().to_string()
    }

    fn read(digits: &str) -> Option<Self> {
        Self::try_parse(hexadecimal(digits, 32)?).ok()
    }
}

/// One that the database holds as a signed integer.
impl Digits for u32 {
    fn write(&self) -> String {
        format!("{self:08x}")
    }

    fn read(digits: &str) -> Option<Self> {
        let number = Self::from_str_radix(hexadecimal(digits, 8)?, 16).ok()?;
        i32::try_from(number).is_ok().then_some(number)
    }
}

impl Digits for i64 {
    fn write(&self) -> String {
        format!("{self:016x}")
    }

    fn read(digits: &str) -> Option<Self> {
        Self::from_str_radix(hexadecimal(digits, 16)?, 16).ok()
    }
}

/// So many digits and nothing else: a sign or a hyphen would be read too.
fn hexadecimal(digits: &str, count: usize) -> Option<&str> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(digits).filter(|digits| digits.len() == count && is_hex)
}

/// The position of a row in its dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowPosition(pub u32);

/// The number of an attempt at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptNumber(pub u32);

/// The number of an entry of the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuditNumber(pub i64);

/// The id of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WebhookId(pub Uuid);

/// The position of the event of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryPosition(pub i64);

/// Keys are written as a letter, by which those of other lists are told from them, and their digits.
macro_rules! cursors {
    ($($key:ident: $letter:literal),+ $(,)?) => {
        $(impl Cursor for $key {
            fn write(&self) -> String {
                format!("{}{}", $letter, Digits::write(&self.0))
            }

            fn read(text: &str) -> Option<Self> {
                text.strip_prefix($letter).and_then(Digits::read).map(Self)
            }
        })+
    };
}

cursors!(
    JobId: 'j',
    DatasetId: 'd',
    TrialNumber: 't',
    RowPosition: 'r',
    AttemptNumber: 'a',
    AuditNumber: 'c',
    WebhookId: 'w',
    DeliveryPosition: 'p',
);

/// Where the client wants the page to begin.
pub(crate) fn cursor<C: Cursor>(given: Option<&str>) -> Result<Option<C>, ApiError> {
    given
        .map(|text| {
            C::read(text).ok_or_else(|| {
                ApiError::new(
                    Code::InvalidParameter,
                    "`cursor` is not one of this list's; take it from `next` of the page before, or leave it out",
                )
            })
        })
        .transpose()
}

/// A page of at most `limit` rows, of rows that were read with a limit one higher.
pub(crate) fn page<R, W, C: Cursor>(
    mut rows: Vec<R>,
    limit: u32,
    key: impl Fn(&R) -> C,
    wire: impl Fn(R) -> W,
) -> List<W> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|row| key(row).write());
    List::new(rows.into_iter().map(wire).collect(), has_more, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_way_to_the_client_and_back() {
        let job = JobId(Uuid::from_u128(0x0192_f3a4));
        assert_eq!(JobId::read(&job.write()), Some(job));
        let dataset = DatasetId(Uuid::from_u128(0x0192_f3a4));
        assert_eq!(DatasetId::read(&dataset.write()), Some(dataset));
        assert_eq!(DatasetId::read(&job.write()), None);
        for number in [0, 1, 4_000_000, i32::MAX.unsigned_abs()] {
            let row = RowPosition(number);
            assert_eq!(RowPosition::read(&row.write()), Some(row));
            let attempt = AttemptNumber(number);
            assert_eq!(AttemptNumber::read(&attempt.write()), Some(attempt));
            let number = TrialNumber(number);
            assert_eq!(TrialNumber::read(&number.write()), Some(number));
        }
        let webhook = WebhookId(job.0);
        assert_eq!(WebhookId::read(&webhook.write()), Some(webhook));
        for number in [0, i64::MAX] {
            let entry = AuditNumber(number);
            assert_eq!(AuditNumber::read(&entry.write()), Some(entry));
            let delivery = DeliveryPosition(number);
            assert_eq!(DeliveryPosition::read(&delivery.write()), Some(delivery));
            assert_eq!(DeliveryPosition::read(&entry.write()), None);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "j",
            "t",
            "jzz",
            "t1",
            "tffffffff",
            "t+0000001",
            "j{00000000-0000-0000-0000-00000}",
        ] {
            assert!(JobId::read(text).is_none(), "{text}");
            assert!(TrialNumber::read(text).is_none(), "{text}");
            assert!(cursor::<JobId>(Some(text)).is_err());
        }
    }

    #[test]
    fn a_page_knows_whether_there_is_more() {
        let numbers = |count: u32| (0..count).rev().collect::<Vec<_>>();
        let full = page(numbers(3), 2, |n| TrialNumber(*n), |n| n);
        assert_eq!((full.data, full.has_more), (vec![2, 1], true));
        assert_eq!(full.next.as_deref(), Some("t00000001"));
        let last = page(numbers(2), 2, |n| TrialNumber(*n), |n| n);
        assert_eq!(
            (last.data, last.has_more, last.next),
            (vec![1, 0], false, None)
        );
        let empty = page(numbers(0), 2, |n| TrialNumber(*n), |n| n);
        assert_eq!(
            (empty.data.len(), empty.has_more, empty.next),
            (0, false, None)
        );
    }

    #[test]
    fn limits_are_from_1_to_100() {
        assert_eq!(limit(None).unwrap(), 20);
        assert_eq!(limit(Some(100)).unwrap(), 100);
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(101)).is_err());
    }
}
