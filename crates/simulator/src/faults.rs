//! What can go wrong on purpose, and when. Each fault is one that public reports of real endpoints
//! tell of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::SimulatorError;
use crate::refusal::Refusal;

/// One thing that goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An error answer, such as a rate limit; nothing is generated.
    Refused(Refusal),
    /// Status 200, `Content-Length` of the whole body, half of it, and the connection closes.
    Closed,
    /// Status 200 and a well-formed HTTP body that ends in the middle of its JSON.
    Truncated,
    /// The connection is reset before any byte of an answer; nothing is generated.
    Reset,
    /// The right answer, and then the connection closes although it was to be kept.
    IdleClosed,
    /// Status 200 and a page of HTML, as a proxy sends it; nothing is generated.
    Html,
    /// Status 502 and a page of HTML; nothing is generated.
    BadGateway,
    /// The right answer as an event stream, which was not asked for.
    EventStream,
    /// The right answer with `Content-Encoding: gzip`, whatever the client accepts.
    Gzip,
    /// The right answer with `finish_reason` null.
    NullFinishReason,
    /// The right answer with the `finish_reason` `insufficient_system_resource`.
    Interrupted,
    /// As many reasoning tokens as completion tokens, which `usage` has in its details and its total
    /// and not in `completion_tokens`; they are billed.
    ReasoningApart,
    /// `usage` is missing.
    NoUsage,
    /// `usage` counts a thousand times what `n` and `max_tokens` allow, and its total is 0.
    ImpossibleUsage,
    /// The right answer with an unpaired surrogate at the end of each text.
    LoneSurrogate,
    /// Status 200 with an `error` object in place of choices; nothing is generated.
    ErrorInside,
    /// `usage` is null.
    NullUsage,
    /// `usage` counts the completion tokens of the first choice alone.
    UndercountedUsage,
    /// `n` is ignored: one choice, the first of those asked for.
    IgnoredN,
    /// Status 400 where `n` is larger than this; no effect on other requests.
    RefusedN {
        /// The largest `n` that is answered.
        largest: u32,
    },
    /// Status 400 `unsupported_parameter` to `max_tokens`, as models do that want
    /// `max_completion_tokens`; no effect on requests without it.
    RefusedMaxTokens,
    /// Status 400 `unsupported_parameter` to `seed`; no effect on requests without it.
    RefusedSeed,
    /// Status 403. As a rate, it befalls that share of the prompts, and always the same ones.
    RefusedPrompt,
    /// The right answer, this much later.
    Delayed(Duration),
}

impl Fault {
    /// Status 429, with `Retry-After` of this value if one is given (seconds as a rule; "0", "-1"
    /// and "86400" have been seen).
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        let message = "Rate limit reached for requests. Please try again later.";
        let refusal = Refusal::new(429, "requests", Some("rate_limit_exceeded"), message);
        Self::Refused(match retry_after {
            Some(value) => refusal.with_header("retry-after", value),
            None => refusal,
        })
    }

    /// Status 429 whose message alone says when to try again: in a second.
    pub fn rate_limited_in_words() -> Self {
        let message = "Rate limit reached for requests. Please try again in 1s.";
        Self::Refused(Refusal::new(
            429,
            "requests",
            Some("rate_limit_exceeded"),
            message,
        ))
    }

    /// Status 498, which Groq's flexible tier sends where no capacity is left.
    pub fn capacity_exceeded() -> Self {
        let message = "No capacity is left for this request, please try again later.";
        Self::Refused(Refusal::new(
            498,
            "capacity_exceeded",
            Some("capacity_exceeded"),
            message,
        ))
    }

    /// Status 529, as Anthropic's endpoints send it under load.
    pub fn overloaded() -> Self {
        Self::Refused(Refusal::new(529, "overloaded_error", None, "Overloaded"))
    }

    /// Status 429 with the code `insufficient_quota`: no use in trying again.
    pub fn insufficient_quota() -> Self {
        let message =
            "You exceeded your current quota, please check your plan and billing details.";
        Self::Refused(Refusal::new(
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            message,
        ))
    }

    /// Status 500.
    pub fn internal_error() -> Self {
        let message = "The server had an error while processing your request. Sorry about that!";
        Self::Refused(Refusal::new(500, "server_error", None, message))
    }

    /// Status 503.
    pub fn unavailable() -> Self {
        let message = "The engine is currently overloaded, please try again later.";
        Self::Refused(Refusal::new(503, "service_unavailable", None, message))
    }

    /// Status 400 with the code `context_length_exceeded`.
    pub fn context_length_exceeded() -> Self {
        let message = "This model's maximum context length is 128 tokens. Please reduce the length of the messages.";
        Self::Refused(Refusal::invalid(
            Some("context_length_exceeded"),
            Some("messages"),
            message,
        ))
    }

    /// A word for it: `refused_429` and the like for an error answer. The statistics count it under
    /// this word unless it is exactly a [`FaultKind`](crate::FaultKind), which has a name of its own.
    pub fn name(&self) -> String {
        match self {
            Self::Refused(refusal) => return format!("refused_{}", refusal.status),
            Self::Closed => "cut",
            Self::Truncated => "truncated",
            Self::Html => "html",
            Self::ErrorInside => "error_inside",
            Self::NullUsage => "null_usage",
            Self::UndercountedUsage => "undercounted_usage",
            Self::IgnoredN => "ignored_n",
            Self::RefusedN { .. } => "refused_n",
            Self::RefusedMaxTokens => "refused_max_tokens",
            Self::RefusedSeed => "refused_seed",
            Self::RefusedPrompt => "refused_prompt",
            Self::Reset => "reset",
            Self::IdleClosed => "idle_closed",
            Self::BadGateway => "502",
            Self::EventStream => "event_stream",
            Self::Gzip => "gzip",
            Self::NullFinishReason => "null_finish_reason",
            Self::Interrupted => "interrupted",
            Self::ReasoningApart => "reasoning_apart",
            Self::NoUsage => "no_usage",
            Self::ImpossibleUsage => "impossible_usage",
            Self::LoneSurrogate => "lone_surrogate",
            Self::Delayed(_) => "slow",
        }
        .to_owned()
    }

    /// Whether a request has to have something that this fault is about, so that it stands apart
    /// from the faults of which at most one befalls a request.
    fn is_conditional(&self) -> bool {
        matches!(
            self,
            Self::RefusedN { .. }
                | Self::RefusedMaxTokens
                | Self::RefusedSeed
                | Self::RefusedPrompt
        )
    }

    /// Whether the request has what a conditional fault is about.
    fn concerns(&self, request: &Value) -> bool {
        match self {
            Self::RefusedN { largest } => request["n"]
                .as_u64()
                .is_some_and(|n| n > u64::from(*largest)),
            Self::RefusedMaxTokens => !request["max_tokens"].is_null(),
            Self::RefusedSeed => !request["seed"].is_null(),
            _ => true,
        }
    }
}

/// A fault that befalls a share of the requests.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRate {
    /// The fault.
    pub fault: Fault,
    /// The probability, from 0 to 1; 1 makes it a trait of the endpoint.
    pub rate: f64,
}

/// What goes wrong on purpose. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// At most one of these befalls a request, each with its rate; together at most 1. Which one is
    /// decided by a hash of the simulator's seed, the request (path and body) and how often that
    /// request was made before: not by the order in which requests arrive. Refusals of something
    /// that the request has (a prompt, `n`, `max_tokens`, `seed`) go first, each decided by itself,
    /// and do not count towards the sum.
    pub rates: Vec<FaultRate>,
    /// The k-th request that arrives, counted from 1, gets this fault, whatever the rates say.
    pub script: BTreeMap<u64, Fault>,
}

impl Faults {
    /// Faults by the number of the request alone, counted from 1.
    pub fn script(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self {
            rates: Vec::new(),
            script: faults.into_iter().collect(),
        }
    }

    /// One fault that befalls this share of the requests.
    pub fn rate(fault: Fault, rate: f64) -> Self {
        Self {
            rates: vec![FaultRate { fault, rate }],
            script: BTreeMap::new(),
        }
    }

    /// Whether the rates make sense and each fault can be sent.
    ///
    /// # Errors
    /// A rate is not from 0 to 1, their sum is over 1, or an injected error cannot be sent over
    /// HTTP.
    pub fn check(&self) -> Result<(), SimulatorError> {
        let mut total = 0.0;
        for FaultRate { fault, rate } in &self.rates {
            check_rate(&fault.name(), *rate)?;
            if !fault.is_conditional() {
                total += rate;
            }
        }
        // Room for the rounding of a sum such as 10 × 0.1.
        if total > 1.0 + 1e-9 {
            return Err(SimulatorError::Faults(format!(
                "the rates add up to {total}, over 1"
            )));
        }
        for fault in self
            .rates
            .iter()
            .map(|entry| &entry.fault)
            .chain(self.script.values())
        {
            if let Fault::Refused(refusal) = fault
                && let Some(detail) = refusal.fault_in_form()
            {
                return Err(SimulatorError::Faults(detail));
            }
        }
        Ok(())
    }
}

/// Whether a rate makes sense; `name` is what it is of.
pub(crate) fn check_rate(name: &str, rate: f64) -> Result<(), SimulatorError> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(());
    }
    Err(SimulatorError::Faults(format!(
        "the rate {rate} of {name} is not from 0 to 1"
    )))
}

/// Decides which fault a request gets.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    seed: u64,
    faults: Faults,
    /// How often each request, by the hash of its content, was made.
    attempts: Mutex<HashMap<[u8; 32], u64>>,
}

impl FaultPlan {
    pub(crate) fn new(seed: u64, faults: Faults) -> Result<Self, SimulatorError> {
        faults.check()?;
        Ok(Self {
            seed,
            faults,
            attempts: Mutex::default(),
        })
    }

    /// The fault of the request that arrived as number `arrival`, counted from 1.
    pub(crate) fn fault(&self, arrival: u64, path: &str, body: &[u8]) -> Option<&Fault> {
        if let Some(fault) = self.faults.script.get(&arrival) {
            return Some(fault);
        }
        if self.faults.rates.is_empty() {
            return None;
        }
        let content: [u8; 32] = Sha256::new()
            .chain_update(path)
            .chain_update([0])
            .chain_update(body)
            .finalize()
            .into();
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = attempts.entry(content).or_insert(0);
            *count += 1;
            *count
        };
        let digest = Sha256::new()
            .chain_update(b"fault")
            .chain_update(self.seed.to_le_bytes())
            .chain_update(content)
            .chain_update(attempt.to_le_bytes())
            .finalize();
        if let Some(fault) = self.conditional(body, &digest.into()) {
            return Some(fault);
        }
        let mut draw: f64 = ChaCha8Rng::from_seed(digest.into()).random();
        let exclusive = self.faults.rates.iter();
        for FaultRate { fault, rate } in exclusive.filter(|entry| !entry.fault.is_conditional()) {
            if draw < *rate {
                return Some(fault);
            }
            draw -= rate;
        }
        None
    }

    /// The first refusal of something that the request has, each drawn by itself: of a prompt by the
    /// prompt alone, of the others by the attempt.
    fn conditional(&self, body: &[u8], attempt: &[u8; 32]) -> Option<&Fault> {
        let conditional = |entry: &&FaultRate| entry.fault.is_conditional();
        if !self.faults.rates.iter().any(|entry| conditional(&entry)) {
            return None;
        }
        // A body that is no JSON is refused for that.
        let request: Value = serde_json::from_slice(body).ok()?;
        let entries = self.faults.rates.iter().filter(conditional);
        let mut entries = entries.filter(|entry| entry.fault.concerns(&request));
        let struck = entries.find(|FaultRate { fault, rate }| {
            let hash = Sha256::new().chain_update(fault.name());
            let hash = match fault {
                Fault::RefusedPrompt => hash
                    .chain_update(self.seed.to_le_bytes())
                    .chain_update(request["prompt"].to_string())
                    .chain_update(request["messages"].to_string()),
                _ => hash.chain_update(attempt),
            };
            ChaCha8Rng::from_seed(hash.finalize().into()).random::<f64>() < *rate
        })?;
        Some(&struck.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> FaultPlan {
        let rates = vec![
            FaultRate {
                fault: Fault::Closed,
                rate: 0.25,
            },
            FaultRate {
                fault: Fault::NullUsage,
                rate: 0.5,
            },
        ];
        FaultPlan::new(
            seed,
            Faults {
                rates,
                script: BTreeMap::from([(3, Fault::Html)]),
            },
        )
        .unwrap()
    }

    #[test]
    fn the_script_goes_before_the_rates() {
        for seed in 0..20 {
            assert_eq!(
                plan(seed).fault(3, "/", b"body"),
                Some(&Fault::Html),
                "seed {seed}"
            );
            assert_ne!(
                plan(seed).fault(4, "/", b"body"),
                Some(&Fault::Html),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn the_order_of_arrival_decides_nothing() {
        let bodies: Vec<[u8; 2]> = (0..200_u16).map(u16::to_le_bytes).collect();
        let forward = plan(7);
        let ahead: Vec<_> = bodies
            .iter()
            .map(|body| forward.fault(100, "/", body))
            .collect();
        let backward = plan(7);
        let mut behind: Vec<_> = bodies
            .iter()
            .rev()
            .map(|body| backward.fault(100, "/", body))
            .collect();
        behind.reverse();
        assert_eq!(ahead, behind);
        let elsewhere = plan(7);
        let other_path: Vec<_> = bodies
            .iter()
            .map(|body| elsewhere.fault(100, "/other", body))
            .collect();
        assert_ne!(ahead, other_path);
    }

    #[test]
    fn each_attempt_is_drawn_anew_at_its_rate() {
        let plan = plan(11);
        let drawn: Vec<_> = (0..4000).map(|_| plan.fault(100, "/", b"same")).collect();
        let count = |fault: Option<&Fault>| drawn.iter().filter(|&&drawn| drawn == fault).count();
        // 5 standard deviations are 137 and 158.
        assert!(
            count(Some(&Fault::Closed)).abs_diff(1000) < 140,
            "{}",
            count(Some(&Fault::Closed))
        );
        assert!(
            count(Some(&Fault::NullUsage)).abs_diff(2000) < 160,
            "{}",
            count(Some(&Fault::NullUsage))
        );
    }

    #[test]
    fn a_rate_of_one_always_strikes_and_of_zero_never() {
        let always = FaultPlan::new(1, Faults::rate(Fault::IgnoredN, 1.0)).unwrap();
        let never = FaultPlan::new(1, Faults::rate(Fault::IgnoredN, 0.0)).unwrap();
        for arrival in 1..500 {
            assert_eq!(always.fault(arrival, "/", b""), Some(&Fault::IgnoredN));
            assert_eq!(never.fault(arrival, "/", b""), None);
        }
    }

    #[test]
    fn senseless_faults_are_refused() {
        for rate in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(
                FaultPlan::new(0, Faults::rate(Fault::Html, rate)).is_err(),
                "{rate}"
            );
        }
        let many = Faults {
            rates: vec![
                FaultRate {
                    fault: Fault::Html,
                    rate: 0.6
                };
                2
            ],
            ..Faults::default()
        };
        assert!(FaultPlan::new(0, many).is_err());
        let tenths = Faults {
            rates: vec![
                FaultRate {
                    fault: Fault::Html,
                    rate: 0.1
                };
                10
            ],
            ..Faults::default()
        };
        assert!(FaultPlan::new(0, tenths).is_ok());
        assert!(
            FaultPlan::new(0, Faults::script([(1, Fault::rate_limited(Some("1\n")))])).is_err()
        );
        let success = Fault::Refused(Refusal::new(200, "x", None, "x"));
        assert!(FaultPlan::new(0, Faults::script([(1, success)])).is_err());
    }
}
