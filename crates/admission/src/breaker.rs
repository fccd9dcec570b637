//! Whether a model is served at all: after failures in a row its requests are held back, and one at a
//! time tries whether it is back.

use crate::limits::{LEASE, MINUTE, Millis};
use serde::{Deserialize, Serialize};

/// So many attempts in a row that failed for the endpoint's sake, over all workers and requests and
/// with no answer between them, are an outage.
pub const TRIP: u32 = 5;

/// From an outage's beginning to the first probe; each further one comes after twice as long.
const FIRST_PROBE: Millis = 1_000;
/// The longest time between two probes.
const LAST_PROBE: Millis = 30_000;

/// For so long requests are held back for an outage and no attempt of theirs is counted. After that
/// they are let through and fail as they do: what has been gone for so long does not come back by
/// itself, and its jobs are to end in words.
const LONGEST_OUTAGE: Millis = 60 * MINUTE;
/// The same where the model has never answered: there may be none at this address.
const LONGEST_START: Millis = MINUTE;

/// What all workers know of a model's failures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Breaker {
    /// Whether it was ever found working.
    has_worked: bool,
    /// Failures in a row.
    failures: u32,
    outage: Option<Outage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outage {
    since: Millis,
    reason: String,
    probes: u32,
    probe_at: Millis,
    /// Who probes, and until when that holds.
    prober: Option<(String, Millis)>,
}

/// What a worker saw since the last exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sightings {
    /// Whether the endpoint worked.
    pub worked: bool,
    /// Failures in a row since it last did.
    pub failures: u32,
    /// What the last of them said.
    pub reason: Option<String>,
    /// What the worker does about a probe that it may make.
    pub probe: Probe,
}

/// What a worker does about a probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Probe {
    /// It has none, or has not used it.
    #[default]
    Idle,
    /// Its request is under way.
    UnderWay,
    /// It failed.
    Failed,
    /// It ended without a word.
    GivenUp,
}

/// An outage as a worker is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutageNotice {
    /// What the endpoint last said or did.
    pub reason: String,
    /// How long it has been.
    pub for_so_long: Millis,
    /// How long until the next probe.
    pub probe_in: Millis,
    /// Whether this worker may send one request, to probe.
    pub is_prober: bool,
    /// Whether it has lasted so long that it is not waited for any more.
    pub is_given_up: bool,
}

/// A time during which a model answers nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutageState {
    /// Since when.
    pub since: Millis,
    /// What the endpoint last said or did.
    pub reason: String,
    /// When the next request tries whether it is back.
    pub probe_at: Millis,
}

impl Breaker {
    /// Whether the model was ever found working.
    pub(crate) const fn has_worked(&self) -> bool {
        self.has_worked
    }

    /// The outage, while there is one.
    pub(crate) fn outage(&self) -> Option<OutageState> {
        self.outage.as_ref().map(|outage| OutageState {
            since: outage.since,
            reason: outage.reason.clone(),
            probe_at: outage.probe_at,
        })
    }

    /// Takes in what a worker saw. `wants` says whether it has a request that could probe.
    pub(crate) fn exchange(
        &mut self,
        now: Millis,
        worker: &str,
        seen: &Sightings,
        wants: bool,
    ) -> (u32, Option<OutageNotice>) {
        if seen.worked {
            *self = Self {
                has_worked: true,
                ..Self::default()
            };
        }
        self.failures = self.failures.saturating_add(seen.failures);
        if self.failures >= TRIP && self.outage.is_none() {
            self.outage = Some(Outage {
                since: now,
                reason: String::new(),
                probes: 0,
                probe_at: now + FIRST_PROBE,
                prober: None,
            });
        }
        let Some(outage) = &mut self.outage else {
            return (self.failures, None);
        };
        if let Some(reason) = &seen.reason {
            outage.reason.clone_from(reason);
        }
        let is_mine = |prober: &Option<(String, Millis)>| {
            prober.as_ref().is_some_and(|(name, _)| name == worker)
        };
        if is_mine(&outage.prober) {
            match seen.probe {
                Probe::Failed => {
                    outage.probes += 1;
                    let wait = FIRST_PROBE.saturating_mul(2_i64.saturating_pow(outage.probes));
                    outage.probe_at = now + wait.min(LAST_PROBE);
                    outage.prober = None;
                }
                Probe::GivenUp => outage.prober = None,
                Probe::UnderWay => outage.prober = Some((worker.to_owned(), now + LEASE)),
                Probe::Idle if wants => outage.prober = Some((worker.to_owned(), now + LEASE)),
                Probe::Idle => outage.prober = None,
            }
        }
        let is_free = outage
            .prober
            .as_ref()
            .is_none_or(|(_, until)| *until <= now);
        if wants && is_free && now >= outage.probe_at {
            outage.prober = Some((worker.to_owned(), now + LEASE));
        }
        let longest = match self.has_worked {
            true => LONGEST_OUTAGE,
            false => LONGEST_START,
        };
        let notice = OutageNotice {
            reason: outage.reason.clone(),
            for_so_long: now - outage.since,
            probe_in: (outage.probe_at - now).max(0),
            is_prober: is_mine(&outage.prober),
            is_given_up: now - outage.since >= longest,
        };
        (self.failures, Some(notice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failures: u32) -> Sightings {
        Sightings {
            failures,
            reason: Some("down".to_owned()),
            ..Sightings::default()
        }
    }

    fn probe(probe: Probe) -> Sightings {
        Sightings {
            probe,
            failures: u32::from(probe == Probe::Failed),
            ..Sightings::default()
        }
    }

    #[test]
    fn failures_in_a_row_over_all_workers_are_an_outage() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.exchange(0, "a", &failed(3), true), (3, None));
        let answered = Sightings {
            worked: true,
            failures: 2,
            ..Sightings::default()
        };
        assert_eq!(breaker.exchange(1, "b", &answered, true), (2, None));
        assert_eq!(breaker.outage(), None);
        let (_, notice) = breaker.exchange(2, "a", &failed(3), true);
        let outage = breaker.outage().unwrap();
        assert_eq!((outage.since, outage.probe_at), (2, 2 + FIRST_PROBE));
        let notice = notice.unwrap();
        assert_eq!((notice.reason.as_str(), notice.is_prober), ("down", false));
        assert_eq!(notice.probe_in, FIRST_PROBE);
    }

    #[test]
    fn one_probes_at_a_time_at_growing_intervals_until_it_is_answered() {
        let mut breaker = Breaker::default();
        breaker.exchange(0, "a", &failed(TRIP), true);
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..7 {
            let (_, notice) = breaker.exchange(now, "a", &Sightings::default(), true);
            now += notice.unwrap().probe_in;
            let (_, mine) = breaker.exchange(now, "a", &Sightings::default(), true);
            assert!(mine.unwrap().is_prober);
            let (_, other) = breaker.exchange(now, "b", &Sightings::default(), true);
            assert!(!other.unwrap().is_prober);
            let (_, notice) = breaker.exchange(now, "a", &probe(Probe::Failed), true);
            waits.push(notice.unwrap().probe_in);
        }
        assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        let worked = Sightings {
            worked: true,
            ..Sightings::default()
        };
        assert_eq!(breaker.exchange(now, "a", &worked, true), (0, None));
    }

    #[test]
    fn a_prober_that_vanishes_or_gives_up_makes_way() {
        let mut breaker = Breaker::default();
        breaker.exchange(0, "a", &failed(TRIP), true);
        let may_probe = |breaker: &mut Breaker, now, name: &str, seen: &Sightings| {
            breaker.exchange(now, name, seen, true).1.unwrap().is_prober
        };
        assert!(may_probe(
            &mut breaker,
            FIRST_PROBE,
            "a",
            &Sightings::default()
        ));
        let later = FIRST_PROBE + LEASE - 1;
        assert!(!may_probe(&mut breaker, later, "b", &Sightings::default()));
        assert!(may_probe(&mut breaker, later, "a", &probe(Probe::UnderWay)));
        assert!(!may_probe(
            &mut breaker,
            later + 2,
            "b",
            &Sightings::default()
        ));
        assert!(may_probe(
            &mut breaker,
            later + LEASE,
            "b",
            &Sightings::default()
        ));
        breaker.exchange(later + LEASE, "b", &probe(Probe::GivenUp), false);
        assert!(may_probe(
            &mut breaker,
            later + LEASE,
            "c",
            &Sightings::default()
        ));
    }
}
