//! `Accept`: who wants what there is not is told so, rather than given something else.

use crate::errors::{ApiError, Code};
use axum::http::{HeaderMap, header};

/// Holds what a client takes against what an operation has.
///
/// # Errors
/// It takes none of it.
pub(crate) fn check(headers: &HeaderMap, has: &[String]) -> Result<(), ApiError> {
    let values = headers.get_all(header::ACCEPT).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let accepted = values.iter().flat_map(|value| value.split(','));
    let ranges: Vec<Range> = accepted.filter_map(Range::read).collect();
    // Whoever names nothing takes all, and so do clients that write what cannot be read.
    if ranges.is_empty() || has.is_empty() || has.iter().any(|kind| is_taken(&ranges, kind)) {
        return Ok(());
    }
    let there = has.iter().map(|kind| format!("`{kind}`"));
    let there = there.collect::<Vec<_>>().join(" or ");
    Err(ApiError::new(
        Code::NotAcceptable,
        format!(
            "what is here is {there}, which `Accept` does not name; leave `Accept` out, or add `*/*`"
        ),
    ))
}

/// A range of media types with its weight (RFC 9110, section 12.5.1).
struct Range {
    kind: String,
    is_wanted: bool,
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        let (major, minor) = kind.split_once('/')?;
        if major.is_empty() || minor.is_empty() {
            return None;
        }
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let is_weight = name.trim().eq_ignore_ascii_case("q");
            is_weight
                .then(|| value.trim().parse::<f32>().ok())
                .flatten()
        });
        Some(Self {
            is_wanted: weight.is_none_or(|weight| weight > 0.0),
            kind,
        })
    }

    /// How closely it names a type: 2 as it is, 1 by its first half, 0 with all others.
    fn names(&self, kind: &str) -> Option<u8> {
        let major = kind.split('/').next().unwrap_or_default();
        match self.kind.as_str() {
            "*/*" => Some(0),
            named if named == kind => Some(2),
            named => (named.strip_suffix("/*") == Some(major)).then_some(1),
        }
    }
}

/// Whether the range that names a type most closely wants it.
fn is_taken(ranges: &[Range], kind: &str) -> bool {
    let ranges = ranges.iter();
    let closest = ranges
        .filter_map(|range| Some((range.names(kind)?, range.is_wanted)))
        .max();
    closest.is_some_and(|(_, is_wanted)| is_wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused() {
        let takes = |accept: &str, has: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let has: Vec<String> = has.iter().map(|&kind| kind.to_owned()).collect();
            check(&headers, &has).is_ok()
        };
        let json = ["application/json"];
        for accept in [
            "*/*",
            "application/*",
            "Application/JSON; q=0.5",
            "text/html, */*;q=0.1",
            "json",
            "",
        ] {
            assert!(takes(accept, &json), "{accept}");
        }
        for accept in [
            "text/html",
            "application/json;q=0",
            "application/json; q=0.0, */*",
            "text/*",
        ] {
            assert!(!takes(accept, &json), "{accept}");
        }
        assert!(takes(
            "text/event-stream",
            &["application/json", "text/event-stream"]
        ));
        assert!(takes("text/html", &[]));
        assert!(check(&HeaderMap::new(), &["text/plain".to_owned()]).is_ok());
    }
}
