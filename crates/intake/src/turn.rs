//! Reads when a job's turn is to be.

use chrono::{DateTime, Utc};
use frugal_domain::fault::Reader;
use frugal_domain::job::Priority;

/// How urgent a job is.
pub(crate) fn priority(at: &Reader<'_>) -> Option<Priority> {
    let (lowest, highest) = (Priority::LOWEST.get(), Priority::HIGHEST.get());
    let number = at.integer_within(lowest.into(), highest.into())?;
    Priority::new(i16::try_from(number).ok()?)
}

/// A moment in the form of RFC 3339.
pub(crate) fn moment(at: &Reader<'_>) -> Option<DateTime<Utc>> {
    let text = at.string()?;
    let Ok(moment) = DateTime::parse_from_rfc3339(text) else {
        return at.fault(
            "must be a time as RFC 3339 writes it, with its offset, such as 2030-01-31T22:00:00Z",
        );
    };
    Some(moment.to_utc())
}
