//! What endpoints refuse or fail at, how far that reaches, and when nothing more is asked of a model.
//!
//! Nothing here depends on the order in which requests ended, but for which of them have: a job that
//! is lived through again comes to the same.

use crate::tally::SettledRequest;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::money::Spend;
use frugal_domain::request::{Purpose, RequestKey, Scope};
use frugal_evaluation::RequestFailure;
use std::collections::{BTreeMap, BTreeSet};

/// So many requests of a model that failed, none of them answered, and it is taken to be out of
/// order: each was tried several times.
pub const MOST_UNANSWERED: usize = 8;

/// So many rows, or configurations, that a model refused, none answered, and it is taken to refuse all
/// of them. More than of failures, since one that refuses every other row would be given up by chance
/// else.
pub const MOST_REFUSED: usize = 16;

/// Words with digits from this length on tell requests apart and not reasons: they are ids or times.
const SHORTEST_ID: usize = 6;

/// A request that has ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedRequest {
    pub(crate) key: RequestKey,
    pub(crate) instance: usize,
    /// Why there is no answer, where there is none.
    pub(crate) failure: Option<RequestFailure>,
    /// What it may have cost besides.
    pub(crate) uncertain: Spend,
}

impl EndedRequest {
    pub(crate) fn of(key: RequestKey, instance: usize, settled: &SettledRequest) -> Self {
        Self {
            key,
            instance,
            failure: settled.result.as_ref().err().cloned(),
            uncertain: settled.uncertain,
        }
    }

    /// The refusal of more than the row and the configuration, if it is one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match &self.failure {
            Some(RequestFailure::Refused { scope, reason }) if reaches_a_model(*scope) => {
                Some(Refusal {
                    scope: *scope,
                    reason: reason.clone(),
                })
            }
            _ => None,
        }
    }
}

const fn reaches_a_model(scope: Scope) -> bool {
    matches!(scope, Scope::Model | Scope::Endpoint | Scope::Key)
}

/// Why nothing more is asked of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) scope: Scope,
    /// In the endpoint's words where it has any.
    pub(crate) reason: String,
}

/// Requests that failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedAlike {
    pub(crate) model: usize,
    /// How far the refusal reaches; none where it was no refusal.
    pub(crate) scope: Option<Scope>,
    pub(crate) requests: u64,
    /// The reason, in the words of the first of them.
    pub(crate) reason: String,
}

/// What came of the requests of a job, by model.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    models: Vec<OfModel>,
}

#[derive(Debug, Clone, Default)]
struct OfModel {
    endpoint: String,
    answered: bool,
    failed: usize,
    rows: BTreeSet<usize>,
    configurations: BTreeSet<TrialNumber>,
    /// The first refusal of the model, its endpoint or the key.
    refusal: Option<(RequestKey, Refusal)>,
    uncertain: Spend,
    failures: BTreeMap<(Option<Scope>, String), Alike>,
}

#[derive(Debug, Clone)]
struct Alike {
    requests: u64,
    first: RequestKey,
    reason: String,
}

impl Refusals {
    pub(crate) fn new(spec: &JobSpec) -> Self {
        Self::of_endpoints(spec.models.iter().map(|choice| choice.endpoint.clone()))
    }

    /// Of models at these endpoints, each of one.
    pub(crate) fn of_endpoints(endpoints: impl IntoIterator<Item = String>) -> Self {
        let of_model = |endpoint| OfModel {
            endpoint,
            ..OfModel::default()
        };
        Self {
            models: endpoints.into_iter().map(of_model).collect(),
        }
    }

    /// Takes in how a request to a model ended.
    pub(crate) fn note(&mut self, model: usize, request: &EndedRequest) {
        let Some(of_model) = self.models.get_mut(model) else {
            return;
        };
        of_model.uncertain += request.uncertain;
        let Some(failure) = &request.failure else {
            of_model.answered = true;
            return;
        };
        let Some((scope, reason)) = scope_and_reason(failure) else {
            return;
        };
        of_model.count(request.key, scope, reason);
        // The held-out rows are asked once the search is over.
        if request.key.purpose == Purpose::Validation {
            return;
        }
        match scope {
            None => of_model.failed += 1,
            Some(Scope::Row) => _ = of_model.rows.insert(request.instance),
            Some(Scope::Configuration) => _ = of_model.configurations.insert(request.key.trial),
            Some(_) => {
                let first = of_model.refusal.as_ref().map(|(key, _)| *key);
                if first.is_none_or(|first| request.key < first) {
                    of_model.refusal = request.refusal().map(|refusal| (request.key, refusal));
                }
            }
        }
    }

    /// Why nothing more is asked of a model: it was refused, alone or with its endpoint or the key; or
    /// none of its requests was answered, and many failed.
    pub(crate) fn of_model(&self, model: usize) -> Option<Refusal> {
        let own = self.models.get(model)?;
        let refusal = own.refusal.as_ref().or_else(|| {
            let beside = self.models.iter();
            let beside = beside.filter(|other| other.endpoint == own.endpoint);
            let refusals = beside.filter_map(|other| other.refusal.as_ref());
            refusals
                .filter(|(_, refusal)| refusal.scope != Scope::Model)
                .min_by_key(|(key, _)| *key)
        });
        match refusal {
            Some((_, refusal)) => Some(refusal.clone()),
            None => own.out_of_order(),
        }
    }

    /// Why nothing more is asked of any model, where that is so.
    pub(crate) fn of_all(&self) -> Option<Refusal> {
        let all = (0..self.models.len()).map(|model| self.of_model(model));
        let all: Option<Vec<Refusal>> = all.collect();
        let of_endpoint = |refusal: &Refusal| refusal.scope != Scope::Model;
        let mut all = all?;
        let place = all.iter().position(of_endpoint).unwrap_or_default();
        (!all.is_empty()).then(|| all.swap_remove(place))
    }

    /// Whether any request was answered.
    pub(crate) fn any_answered(&self) -> bool {
        self.models.iter().any(|model| model.answered)
    }

    /// Whether a model answered any request.
    pub(crate) fn has_answered(&self, model: usize) -> bool {
        self.models.get(model).is_some_and(|model| model.answered)
    }

    /// What cannot have been billed though it was counted: what may have been worked on by models that
    /// never answered and that their endpoints turned out not to have, or not for this key.
    pub(crate) fn not_billed(&self) -> Spend {
        let mut all = Spend::default();
        for (model, own) in self.models.iter().enumerate() {
            let refused = self.of_model(model);
            if !own.answered && refused.is_some() && own.out_of_order() != refused {
                all += own.uncertain;
            }
        }
        all
    }

    /// The requests that failed, by reason: the most frequent first.
    pub(crate) fn failures(&self) -> Vec<FailedAlike> {
        let mut all: Vec<FailedAlike> = Vec::new();
        for (model, own) in self.models.iter().enumerate() {
            let failures = own.failures.iter();
            all.extend(failures.map(|((scope, _), alike)| FailedAlike {
                model,
                scope: *scope,
                requests: alike.requests,
                reason: alike.reason.clone(),
            }));
        }
        all.sort_by_key(|alike| std::cmp::Reverse(alike.requests));
        all
    }
}

impl OfModel {
    fn count(&mut self, key: RequestKey, scope: Option<Scope>, reason: &str) {
        let alike = self
            .failures
            .entry((scope, without_ids(reason)))
            .or_insert_with(|| Alike {
                requests: 0,
                first: key,
                reason: reason.to_owned(),
            });
        alike.requests += 1;
        if key < alike.first {
            alike.first = key;
            reason.clone_into(&mut alike.reason);
        }
    }

    /// That it answered nothing and failed or refused all the same.
    fn out_of_order(&self) -> Option<Refusal> {
        let refused = self.rows.len().max(self.configurations.len());
        if self.answered || self.failed < MOST_UNANSWERED && refused < MOST_REFUSED {
            return None;
        }
        let all: u64 = self.failures.values().map(|alike| alike.requests).sum();
        let most = self.failures.values();
        let most = most.max_by_key(|alike| (alike.requests, std::cmp::Reverse(alike.first)))?;
        Some(Refusal {
            scope: Scope::Model,
            reason: format!("none of {all} requests was answered: {}", most.reason),
        })
    }
}

fn scope_and_reason(failure: &RequestFailure) -> Option<(Option<Scope>, &str)> {
    match failure {
        RequestFailure::Infeasible(reason) => Some((Some(Scope::Configuration), reason)),
        RequestFailure::Refused { scope, reason } => Some((Some(*scope), reason)),
        RequestFailure::Failed(reason) => Some((None, reason)),
        RequestFailure::Unaffordable => None,
    }
}

/// A reason without the ids and times in it, so that the same reason reads the same.
#[must_use]
pub fn without_ids(reason: &str) -> String {
    let is_id = |word: &str| {
        word.len() >= SHORTEST_ID && word.contains(|letter: char| letter.is_ascii_digit())
    };
    let words = reason.split(' ');
    let words: Vec<&str> = words
        .map(|word| if is_id(word) { "…" } else { word })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::money::Usd;

    fn refusals(endpoints: &[&str]) -> Refusals {
        let of_model = |endpoint: &&str| OfModel {
            endpoint: (*endpoint).to_owned(),
            ..OfModel::default()
        };
        Refusals {
            models: endpoints.iter().map(of_model).collect(),
        }
    }

    fn ended(ordinal: u32, failure: Option<RequestFailure>) -> EndedRequest {
        EndedRequest {
            key: RequestKey {
                purpose: Purpose::Search,
                trial: TrialNumber(1),
                ordinal,
            },
            instance: ordinal as usize,
            failure,
            uncertain: Spend {
                usd: Usd::from_pico(10),
                tokens: 1,
            },
        }
    }

    fn refused(scope: Scope) -> Option<RequestFailure> {
        Some(RequestFailure::Refused {
            scope,
            reason: format!("refused by {scope}"),
        })
    }

    #[test]
    fn a_refusal_reaches_as_far_as_its_scope_says() {
        let reach = |scope: Scope| {
            let mut all = refusals(&["a", "a", "b"]);
            all.note(0, &ended(0, refused(scope)));
            (0..3)
                .filter(|model| all.of_model(*model).is_some())
                .count()
        };
        assert_eq!(reach(Scope::Row), 0);
        assert_eq!(reach(Scope::Configuration), 0);
        assert_eq!(reach(Scope::Model), 1);
        assert_eq!(reach(Scope::Endpoint), 2);
        assert_eq!(reach(Scope::Key), 2);
    }

    #[test]
    fn nothing_is_left_once_every_model_is_refused() {
        let mut all = refusals(&["a", "b"]);
        all.note(0, &ended(3, refused(Scope::Model)));
        assert_eq!(all.of_all(), None);
        all.note(1, &ended(4, refused(Scope::Key)));
        // Of the key more is to be said than of one model.
        assert_eq!(
            all.of_all(),
            Some(Refusal {
                scope: Scope::Key,
                reason: "refused by key".to_owned()
            })
        );
    }

    #[test]
    fn many_failures_count_only_where_nothing_was_ever_answered() {
        let failed = || Some(RequestFailure::Failed("no reply".to_owned()));
        for answered in [false, true] {
            let mut all = refusals(&["a"]);
            for ordinal in 0..8 {
                assert_eq!(all.of_model(0), None, "{ordinal}");
                all.note(0, &ended(ordinal, failed()));
            }
            if answered {
                all.note(0, &ended(99, None));
            }
            let reason = all.of_model(0).map(|refusal| refusal.reason);
            let expected = "none of 8 requests was answered: no reply";
            assert_eq!(reason.as_deref(), (!answered).then_some(expected));
            assert_eq!(all.any_answered(), answered);
        }
    }

    #[test]
    fn rows_are_counted_once_however_often_they_are_refused() {
        let mut all = refusals(&["a"]);
        for ordinal in 0..40 {
            let row = EndedRequest {
                instance: (ordinal % 15) as usize,
                ..ended(ordinal, refused(Scope::Row))
            };
            all.note(0, &row);
        }
        assert_eq!(all.of_model(0), None);
        all.note(0, &ended(99, refused(Scope::Row)));
        assert!(all.of_model(0).is_some());
    }

    #[test]
    fn what_a_model_that_is_not_there_may_have_cost_is_no_cost() {
        let failed = || Some(RequestFailure::Failed("no reply".to_owned()));
        let usd = |all: &Refusals| all.not_billed().usd.pico();
        let mut all = refusals(&["a", "a"]);
        for ordinal in 0..8 {
            all.note(0, &ended(ordinal, failed()));
        }
        assert_eq!(usd(&all), 0, "it may be at work on them");
        all.note(0, &ended(8, refused(Scope::Model)));
        assert_eq!(usd(&all), 90);
        // One that answers may have been at work on what brought nothing.
        all.note(1, &ended(9, None));
        all.note(1, &ended(10, refused(Scope::Key)));
        assert_eq!(usd(&all), 90);
    }

    #[test]
    fn reasons_are_the_same_whatever_the_ids_in_them() {
        let mut all = refusals(&["a"]);
        for (ordinal, id) in [(7, "req_81f3a"), (2, "req_0c44e")] {
            let reason = format!("status 500: request {id} went wrong");
            all.note(0, &ended(ordinal, Some(RequestFailure::Failed(reason))));
        }
        let failures = all.failures();
        assert_eq!(failures.len(), 1);
        assert_eq!(
            (failures[0].requests, failures[0].reason.as_str()),
            (2, "status 500: request req_0c44e went wrong")
        );
    }
}
