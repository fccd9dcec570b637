//! Several deployments behind one name: which one the next attempt goes to, and which of them rest
//! because they refused or are away.

use crate::encode;
use crate::error::{ClientError, Scope};
use crate::key::Secrets;
use crate::transport::Transport;
use frugal_domain::endpoint::Endpoint;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long one rests that wants fewer requests and does not say when to come back: the first time, and
/// twice as long each further time in a row.
const LIMITED: Duration = Duration::from_secs(1);
/// How long one rests that is away, in the same way.
const AWAY: Duration = Duration::from_secs(5);
/// The longest of these rests.
const LONGEST: Duration = Duration::from_secs(60);
/// How long one rests that refused the key, or does not have the model: somebody has to mend it.
const REFUSED: Duration = Duration::from_secs(600);
/// The longest wait that a deployment may ask for; a longer one is cut.
const MOST_ASKED_FOR: Duration = Duration::from_secs(3_600);
/// So many break-downs in a row, and one is taken to be away.
const BREAK_DOWNS: u32 = 3;

/// The deployments of an endpoint.
#[derive(Debug)]
pub(crate) struct Deployments {
    all: Vec<Deployment>,
    standing: Mutex<Standing>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) name: String,
    /// Its entry, as if it were an endpoint alone.
    endpoint: Endpoint,
    pub(crate) transport: Transport,
    in_flight: AtomicUsize,
}

impl Deployment {
    /// Where requests for a model go, below the base URL.
    pub(crate) fn path(&self, api: &str, model: &str) -> String {
        let listed = self.endpoint.model(model);
        let template = listed.and_then(|listed| self.endpoint.path_of(listed));
        encode::path(template, api, model)
    }
}

#[derive(Debug, Default)]
struct Standing {
    /// Who rests, for one model or for all.
    rests: BTreeMap<(usize, Option<String>), Rest>,
    /// Where the next round begins.
    turn: usize,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    /// Faults in a row.
    faults: u32,
    /// Whether it refused for good, as far as it can tell.
    is_refused: bool,
}

/// The deployment that an attempt goes to.
pub(crate) struct Chosen<'a> {
    /// Its place among them.
    pub(crate) place: usize,
    pub(crate) deployment: &'a Deployment,
}

impl Drop for Chosen<'_> {
    fn drop(&mut self) {
        self.deployment.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an attempt tells of its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It works.
    Working,
    /// It wants fewer requests for the model, and asks for a wait or not.
    Limited(Option<Duration>),
    /// It is away.
    Away,
    /// It broke down over the request, which may be to blame.
    BrokenDown,
    /// It refused what goes with every request: the key, the address, or the model.
    Refused(Scope),
}

/// Where a request may go after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To another deployment, at once.
    Elsewhere,
    /// All rest; the first comes back after so long.
    After(Duration),
    /// Nowhere else: there is no other, or all of them refused.
    Nowhere,
}

impl Deployments {
    /// The deployments of an endpoint, with what each is told in confidence.
    ///
    /// # Errors
    /// The transport of one of them cannot be set up.
    pub(crate) fn new(
        name: &str,
        endpoint: &Endpoint,
        secrets: &Secrets,
    ) -> Result<Self, ClientError> {
        let nothing = Secrets::default();
        let all = endpoint.every_deployment().enumerate();
        let all = all.map(|(place, (own_name, own))| {
            let secrets = match place.checked_sub(1) {
                None => secrets,
                Some(further) => secrets.deployments.get(further).unwrap_or(&nothing),
            };
            let transport = Transport::new(name, &own.base_url, own.query.clone(), secrets)?;
            Ok(Deployment {
                name: own_name.to_owned(),
                endpoint: own,
                transport,
                in_flight: AtomicUsize::new(0),
            })
        });
        Ok(Self {
            all: all.collect::<Result<_, ClientError>>()?,
            standing: Mutex::default(),
        })
    }

    /// Chooses one for an attempt: of those that do not rest, one with the fewest requests in flight,
    /// in turn, and not the one that was `tried` last if there is another; where all rest, the one that
    /// comes back first, those that refused last.
    pub(crate) fn choose(&self, model: &str, tried: Option<usize>, now: Instant) -> Chosen<'_> {
        let mut standing = self.standing();
        let turn = standing.turn;
        standing.turn = turn.wrapping_add(1);
        let count = self.all.len();
        let rank = |place: usize| {
            let rests_until = standing.rests_until(place, model).filter(|end| *end > now);
            let in_flight = self.all[place].in_flight.load(Ordering::Relaxed);
            let after_turn = (place + count - turn % count) % count;
            let is_refused = standing.is_refused(place, model, now);
            (
                is_refused,
                rests_until,
                tried == Some(place),
                in_flight,
                after_turn,
            )
        };
        let place = (0..count).min_by_key(|place| rank(*place)).unwrap_or(0);
        let deployment = &self.all[place];
        deployment.in_flight.fetch_add(1, Ordering::Relaxed);
        Chosen { place, deployment }
    }

    /// Takes in what an attempt told, and says where its request may go next.
    pub(crate) fn hear(&self, place: usize, model: &str, heard: Heard, now: Instant) -> Next {
        if self.all.len() == 1 {
            return Next::Nowhere;
        }
        let mut standing = self.standing();
        standing.note(place, model, heard, now);
        if matches!(heard, Heard::Working | Heard::BrokenDown) {
            return Next::Nowhere;
        }
        let mut next = Next::Nowhere;
        for other in 0..self.all.len() {
            if standing.is_refused(other, model, now) {
                continue;
            }
            let end = standing.rests_until(other, model);
            match end.filter(|end| *end > now) {
                None => return Next::Elsewhere,
                Some(end) => {
                    let span = end - now;
                    next = match next {
                        Next::After(shorter) if shorter <= span => next,
                        _ => Next::After(span),
                    };
                }
            }
        }
        next
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn note(&mut self, place: usize, model: &str, heard: Heard, now: Instant) {
        let of_model = (place, Some(model.to_owned()));
        let (key, shortest, is_refused) = match heard {
            Heard::Working => {
                self.rests.remove(&of_model);
                self.rests.remove(&(place, None));
                return;
            }
            Heard::Limited(_) => (of_model, LIMITED, false),
            Heard::Away | Heard::BrokenDown => ((place, None), AWAY, false),
            Heard::Refused(Scope::Model) => (of_model, REFUSED, true),
            Heard::Refused(_) => ((place, None), REFUSED, true),
        };
        let before = self.rests.get(&key).copied();
        // Those that were under way together tell of one fault.
        let faults = before.map_or(1, |rest| match rest.until > now {
            true => rest.faults,
            false => rest.faults.saturating_add(1),
        });
        let grown = shortest.saturating_mul(2_u32.saturating_pow(faults - 1));
        let span = match heard {
            Heard::Limited(Some(asked_for)) => asked_for.clamp(LIMITED, MOST_ASKED_FOR),
            Heard::Refused(_) => REFUSED,
            // One break-down may be the request's fault.
            Heard::BrokenDown if faults < BREAK_DOWNS => Duration::ZERO,
            _ => grown.min(LONGEST),
        };
        let rest = Rest {
            // What comes home late does not shorten a rest.
            until: before.map_or(now + span, |rest| rest.until.max(now + span)),
            faults,
            is_refused,
        };
        self.rests.insert(key, rest);
    }

    /// Until when a deployment rests, for all models or for this one.
    fn rests_until(&self, place: usize, model: &str) -> Option<Instant> {
        self.both(place, model).map(|rest| rest.until).max()
    }

    /// Whether it rests since it refused.
    fn is_refused(&self, place: usize, model: &str, now: Instant) -> bool {
        self.both(place, model)
            .any(|rest| rest.is_refused && rest.until > now)
    }

    fn both(&self, place: usize, model: &str) -> impl Iterator<Item = &Rest> {
        let of_all = self.rests.get(&(place, None));
        of_all
            .into_iter()
            .chain(self.rests.get(&(place, Some(model.to_owned()))))
    }
}

#[cfg(test)]
mod tests;
