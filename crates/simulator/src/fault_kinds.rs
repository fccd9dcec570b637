//! The kinds of faults by name, as a command line asks for them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::SimulatorError;
use crate::faults::{Fault, FaultRate, Faults, check_rate};

/// A kind of fault that can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct FaultKind {
    /// The name, under which the statistics count it too.
    pub name: &'static str,
    /// What the client sees of it, in a line.
    pub effect: &'static str,
    make: fn() -> Fault,
}

impl FaultKind {
    const fn new(name: &'static str, effect: &'static str, make: fn() -> Fault) -> Self {
        Self { name, effect, make }
    }

    /// All kinds, in the order in which they are listed.
    pub const ALL: &'static [Self] = &[
        Self::new("rate_limited", "429 with `Retry-After: 1`", || {
            Fault::rate_limited(Some("1"))
        }),
        Self::new(
            "rate_limited_in_words",
            "429 that says in its message to try again in 1s",
            Fault::rate_limited_in_words,
        ),
        Self::new("rate_limited_silent", "429 that names no wait", || {
            Fault::rate_limited(None)
        }),
        Self::new(
            "insufficient_quota",
            "429 that no trying again helps",
            Fault::insufficient_quota,
        ),
        Self::new("500", "500, an internal error", Fault::internal_error),
        Self::new("502", "502 with a page of HTML", || Fault::BadGateway),
        Self::new("503", "503, overloaded", Fault::unavailable),
        Self::new("529", "529, overloaded", Fault::overloaded),
        Self::new("498", "498, no capacity left", Fault::capacity_exceeded),
        Self::new(
            "context_length",
            "400 with the code context_length_exceeded",
            Fault::context_length_exceeded,
        ),
        Self::new(
            "reset",
            "the connection is reset before any byte of an answer",
            || Fault::Reset,
        ),
        Self::new(
            "cut",
            "the connection closes in the middle of the body",
            || Fault::Closed,
        ),
        Self::new(
            "truncated",
            "a whole HTTP body that ends in the middle of its JSON",
            || Fault::Truncated,
        ),
        Self::new(
            "idle_closed",
            "the right answer, and the kept connection closes unannounced",
            || Fault::IdleClosed,
        ),
        Self::new("slow", "the right answer, two seconds later", || {
            Fault::Delayed(Duration::from_secs(2))
        }),
        Self::new("html", "200 with a page of HTML", || Fault::Html),
        Self::new("error_inside", "200 with an error object", || {
            Fault::ErrorInside
        }),
        Self::new(
            "event_stream",
            "the answer as an event stream, which nobody asked for",
            || Fault::EventStream,
        ),
        Self::new("gzip", "the answer gzipped, whatever was accepted", || {
            Fault::Gzip
        }),
        Self::new("null_finish_reason", "finish_reason is null", || {
            Fault::NullFinishReason
        }),
        Self::new(
            "interrupted",
            "finish_reason is insufficient_system_resource",
            || Fault::Interrupted,
        ),
        Self::new(
            "reasoning_apart",
            "reasoning tokens are billed and not in completion_tokens",
            || Fault::ReasoningApart,
        ),
        Self::new("no_usage", "usage is missing", || Fault::NoUsage),
        Self::new("null_usage", "usage is null", || Fault::NullUsage),
        Self::new(
            "undercounted_usage",
            "usage counts the first choice alone",
            || Fault::UndercountedUsage,
        ),
        Self::new(
            "impossible_usage",
            "usage counts more than was allowed, and a total below its parts",
            || Fault::ImpossibleUsage,
        ),
        Self::new(
            "lone_surrogate",
            "each text ends with half of a surrogate pair",
            || Fault::LoneSurrogate,
        ),
        Self::new("ignored_n", "one choice whatever n", || Fault::IgnoredN),
        Self::new("refused_n", "400 where n is over 1", || Fault::RefusedN {
            largest: 1,
        }),
        Self::new(
            "refused_max_tokens",
            "400 to max_tokens in favour of max_completion_tokens",
            || Fault::RefusedMaxTokens,
        ),
        Self::new("refused_seed", "400 to seed", || Fault::RefusedSeed),
        Self::new(
            "refused_prompt",
            "403 to this share of the prompts, each time",
            || Fault::RefusedPrompt,
        ),
    ];

    /// The fault.
    pub fn fault(self) -> Fault {
        (self.make)()
    }

    /// All kinds with their effects, a line each.
    pub fn listing() -> String {
        let width = Self::ALL.iter().map(|kind| kind.name.len()).max();
        let width = width.unwrap_or_default();
        let mut listing = String::new();
        for kind in Self::ALL {
            // Writing to a string does not fail.
            let _ = writeln!(listing, "  {:width$}  {}", kind.name, kind.effect);
        }
        listing
    }
}

/// The name under which the statistics count a fault: its kind's, if it is exactly that.
pub(crate) fn name_of(fault: &Fault) -> String {
    FaultKind::ALL
        .iter()
        .find(|kind| kind.fault() == *fault)
        .map_or_else(|| fault.name(), |kind| kind.name.to_owned())
}

/// Faults by the names of their kinds, each with its rate.
///
/// # Errors
/// A name is not that of a [`FaultKind`] or comes twice, or a rate is not from 0 to 1.
pub fn faults_by_name<'a>(
    rates: impl IntoIterator<Item = (&'a str, f64)>,
) -> Result<Faults, SimulatorError> {
    let mut faults = Faults::default();
    let mut seen = Vec::new();
    for (name, rate) in rates {
        let Some(kind) = FaultKind::ALL.iter().find(|kind| kind.name == name) else {
            let known: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.name).collect();
            return Err(SimulatorError::Faults(format!(
                "{name:?} is no kind of fault; there are {}",
                known.join(", ")
            )));
        };
        if seen.contains(&name) {
            return Err(SimulatorError::Faults(format!("{name} is given twice")));
        }
        check_rate(name, rate)?;
        seen.push(name);
        faults.rates.push(FaultRate {
            fault: kind.fault(),
            rate,
        });
    }
    Ok(faults)
}

/// Faults as a command line has them: `rate_limited=0.1,500=0.05`.
///
/// # Errors
/// As for [`faults_by_name`], or where an entry is not a name and a number from 0 to 1.
pub fn parse_faults(spec: &str) -> Result<Faults, SimulatorError> {
    let mut rates = Vec::new();
    for entry in spec.split(',').map(str::trim) {
        let parsed = entry
            .split_once('=')
            .and_then(|(name, rate)| Some((name.trim(), rate.trim().parse().ok()?)));
        let Some((name, rate)) = parsed else {
            return Err(SimulatorError::Faults(format!(
                "{entry:?} is not KIND=RATE with a rate from 0 to 1"
            )));
        };
        rates.push((name, rate));
    }
    let faults = faults_by_name(rates)?;
    faults.check()?;
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_by_name() {
        let faults = parse_faults("rate_limited_silent=0.25, cut=0.5").unwrap();
        let expected = [(Fault::rate_limited(None), 0.25), (Fault::Closed, 0.5)];
        assert_eq!(
            faults.rates,
            expected.map(|(fault, rate)| FaultRate { fault, rate })
        );
    }

    #[test]
    fn bad_specs_name_the_kind() {
        let said = |spec: &str| parse_faults(spec).unwrap_err().to_string();
        let unknown = said("cut=0.1,rate_limit=0.1");
        assert!(unknown.contains("\"rate_limit\""), "{unknown}");
        for kind in FaultKind::ALL {
            assert!(unknown.contains(kind.name), "{unknown}");
        }
        for spec in ["cut", "cut=", "cut=a", "cut=2", "cut=NaN", "cut=-1"] {
            assert!(said(spec).contains("cut"), "{spec}");
        }
        assert!(said("rate_limited=2").contains("of rate_limited "));
        assert!(said("cut=0.1,cut=0.1").contains("twice"));
        assert!(said("").contains("KIND=RATE"));
        assert!(said("cut=0.6,html=0.6").contains("over 1"));
        // What only some requests can meet comes on top.
        assert!(parse_faults("cut=1,refused_max_tokens=1").is_ok());
    }

    #[test]
    fn every_kind_is_counted_under_its_name() {
        for kind in FaultKind::ALL {
            assert_eq!(name_of(&kind.fault()), kind.name);
        }
    }
}
