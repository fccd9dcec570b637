//! Arms that the blended search proposes: local steps from the best arms and draws from the whole
//! space, as in BlendSearch ([`crate::blend_search`]), of which those come next that a
//! [surrogate](super::surrogate) expects the most of.
//!
//! BlendSearch itself gives each trial to a local search or to the global one by how fast these have
//! been. Here an arm is seen on some rows only, its worth changes with every answer, and what the
//! first arms told counts for all of the space, so the points are judged instead.

use super::arm::{Arm, ArmPlace};
use super::assessment::Assessment;
use super::constants::SAMPLES;
use super::openings::SamplingSpace;
use super::surrogate::{Judged, Point, Surrogate, USUAL_EFFECT};
use super::tokens::mean;
use crate::ask_tell::Origin;
use crate::draws::Draws;
use crate::encoding::{Encoding, random_value};
use crate::search::SearchError;
use frugal_domain::configuration::Configuration;
use frugal_domain::job::{MODEL, PROMPT};
use std::collections::VecDeque;

/// Proposals at most that have not been drawn for, and after how many assessments one of them gives
/// way to another.
const MOST_UNSEEN: usize = 4;
const PATIENCE: u64 = 6;
/// Points that are judged for one proposal: draws from the whole space, other settings of the best
/// arms under another arm's model and prompt, and local steps.
const GLOBAL: usize = 40;
const CROSSED: usize = 20;
const LOCAL: usize = 100;
/// The best of these are bettered by so many single steps each.
const CLIMBERS: usize = 3;
const CLIMB: usize = 30;
/// The best arms that steps begin from.
const LEADERS: usize = 6;
/// Settings that a local step changes at most, and how likely it draws one anew instead of moving it.
const MOST_CHANGED: usize = 3;
const ANEW: f64 = 0.3;

/// The variance of the worth of an arm that is not in question.
const UNDRAWN_VARIANCE: f64 = 0.002;

/// An arm with what it is expected to be worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) arm: usize,
    pub(super) place: &'a ArmPlace,
    pub(super) worth: f64,
    pub(super) variance: f64,
}

impl<'a> Known<'a> {
    /// The arms that were drawn for, best first.
    pub(super) fn of(arms: &'a [Arm], assessment: &Assessment) -> Vec<Self> {
        // What all arms have in common does not tell one from another.
        let drawn = assessment.worths.iter().flatten();
        let count = drawn.clone().count().max(1) as f64;
        let shared =
            |sample: usize| drawn.clone().map(|worths| worths[sample]).sum::<f64>() / count;
        let shared: Vec<f64> = (0..SAMPLES).map(shared).collect();
        let level = mean(&shared);
        let known = |(index, arm): (usize, &'a Arm)| {
            let place = &arm.place;
            let (worth, variance) = match (&assessment.worths[index], assessment.means[index]) {
                (Some(worths), Some(worth)) => {
                    let both = worths.iter().zip(&shared);
                    let own = both.map(|(one, shared)| (one - worth - shared + level).powi(2));
                    (worth, own.sum::<f64>() / (SAMPLES - 1) as f64)
                }
                _ => {
                    let worth = assessment.profiles[index].standing.worth();
                    (worth.unwrap_or_default(), UNDRAWN_VARIANCE)
                }
            };
            Self {
                arm: index,
                place,
                worth,
                variance,
            }
        };
        let arms = arms.iter().enumerate();
        // One that cannot be had tells that its likes cannot either. Those that were opened since
        // tell nothing.
        let told = |index: usize, arm: &Arm| {
            let profile = assessment.profiles.get(index);
            profile.is_some_and(|profile| arm.seen > 0 || profile.standing.worth().is_none())
        };
        let seen = arms.filter(|(index, arm)| told(*index, arm) && !arm.closed);
        let mut known: Vec<Self> = seen.map(known).collect();
        known.sort_by(|one, other| other.worth.total_cmp(&one.worth));
        known
    }
}

/// The blended search.
#[derive(Debug, Clone)]
pub(super) struct Blend {
    encoding: Encoding,
    draws: Draws,
    /// The settings besides the model, the prompt and the temperature.
    names: Vec<String>,
    /// How much each matters, after how hot an arm samples.
    effects: Vec<f64>,
    /// A local step of a numeric setting, its range being 1.
    step: f64,
    /// Proposals that have not been drawn for, oldest first, each with the assessment after which it
    /// came.
    unseen: Vec<(usize, u64)>,
    /// Those of them that give way to others.
    giving_way: VecDeque<usize>,
}

/// A proposal.
pub(super) struct Proposed {
    pub(super) place: ArmPlace,
    pub(super) origin: Origin,
    /// The arm that gives way to it, if one does.
    pub(super) instead_of: Option<usize>,
}

struct Candidate {
    place: ArmPlace,
    origin: Origin,
    gain: f64,
}

impl Blend {
    pub(super) fn new(space: &SamplingSpace, step: f64, seed: u64) -> Result<Self, SearchError> {
        let names = space.others();
        Ok(Self {
            encoding: Encoding::new(space.space().clone())?,
            draws: Draws::seeded(seed),
            effects: vec![USUAL_EFFECT; names.len() + 1],
            names,
            step,
            unseen: Vec::new(),
            giving_way: VecDeque::new(),
        })
    }

    /// How many settings may vary besides the model, the prompt and the temperature.
    pub(super) const fn settings(&self) -> usize {
        self.names.len()
    }

    /// Whether there is room for a proposal after so many assessments: few wait, or some of them give
    /// way, at once where they cannot be afforded.
    pub(super) fn has_room(
        &mut self,
        assessments: u64,
        affordable: impl Fn(usize) -> bool,
    ) -> bool {
        let gives_way =
            |(arm, since): &(usize, u64)| assessments >= since + PATIENCE || !affordable(*arm);
        let giving_way = self.unseen.iter().filter(|unseen| gives_way(unseen));
        self.giving_way = giving_way.map(|(arm, _)| *arm).collect();
        self.unseen.len() < MOST_UNSEEN || !self.giving_way.is_empty()
    }

    /// Hears that an arm is drawn for.
    pub(super) fn asked(&mut self, arm: usize) {
        self.unseen.retain(|(unseen, _)| *unseen != arm);
    }

    /// What is to be looked at next, given the arms that were drawn for, best first. `places` are
    /// those of all arms, of which there may be `more`.
    pub(super) fn next(
        &mut self,
        space: &SamplingSpace,
        known: &[Known<'_>],
        places: &[&ArmPlace],
        mut more: usize,
    ) -> Vec<Proposed> {
        let judged = known.iter().map(|known| Judged {
            point: Point::of(known.place, &self.names),
            worth: known.worth,
            variance: known.variance,
        });
        let Some(mut surrogate) = Surrogate::of(judged.collect(), &mut self.effects) else {
            return Vec::new();
        };
        let mut giving_way = std::mem::take(&mut self.giving_way);
        self.unseen.retain(|(arm, _)| !giving_way.contains(arm));
        for (arm, _) in &self.unseen {
            surrogate.suppose(Point::of(places[*arm], &self.names));
        }
        let mut proposed: Vec<Proposed> = Vec::new();
        for _ in self.unseen.len()..MOST_UNSEEN {
            if giving_way.is_empty() {
                if more == 0 {
                    break;
                }
                more -= 1;
            }
            let taken = |place: &ArmPlace| {
                places.contains(&place) || proposed.iter().any(|own| own.place == *place)
            };
            let Some(best) = self.best(space, known, &surrogate, taken) else {
                break;
            };
            surrogate.suppose(Point::of(&best.place, &self.names));
            proposed.push(Proposed {
                place: best.place,
                origin: best.origin,
                instead_of: giving_way.pop_front(),
            });
        }
        proposed
    }

    /// Notes which arm a proposal became.
    pub(super) fn opened(&mut self, arm: usize, assessments: u64) {
        self.unseen.push((arm, assessments));
    }

    /// The point that the most is expected of.
    fn best(
        &mut self,
        space: &SamplingSpace,
        known: &[Known<'_>],
        surrogate: &Surrogate,
        taken: impl Fn(&ArmPlace) -> bool,
    ) -> Option<Candidate> {
        let mut pool = Vec::with_capacity(GLOBAL + CROSSED + LOCAL);
        for number in 0..GLOBAL + CROSSED + LOCAL {
            let (configuration, origin) = if number < GLOBAL {
                (self.encoding.random(&mut self.draws), Origin::Global)
            } else {
                let leader = &known[self.leader(known.len())];
                let origin = Origin::Local {
                    thread: u32::try_from(leader.arm + 1).unwrap_or(u32::MAX),
                };
                let from = &leader.place.configuration;
                let configuration = if number < GLOBAL + CROSSED {
                    let other = &known[self.draws.index(known.len())];
                    self.crossed(from, &other.place.configuration)
                } else {
                    let changed = 1 + self.draws.index(MOST_CHANGED);
                    self.stepped(from, changed)
                };
                (configuration, origin)
            };
            pool.extend(self.judged(space, surrogate, &configuration, origin, &taken));
        }
        // The order of equals is that of the drawing.
        pool.sort_by(|one, other| other.gain.total_cmp(&one.gain));
        pool.truncate(CLIMBERS);
        for candidate in &mut pool {
            for _ in 0..CLIMB {
                let stepped = self.stepped(&candidate.place.configuration, 1);
                let next = self.judged(space, surrogate, &stepped, candidate.origin, &taken);
                if let Some(next) = next.filter(|next| next.gain > candidate.gain) {
                    *candidate = next;
                }
            }
        }
        pool.into_iter()
            .reduce(|best, next| if next.gain > best.gain { next } else { best })
    }

    fn judged(
        &self,
        space: &SamplingSpace,
        surrogate: &Surrogate,
        configuration: &Configuration,
        origin: Origin,
        taken: impl Fn(&ArmPlace) -> bool,
    ) -> Option<Candidate> {
        let place = space.place(configuration).filter(|place| !taken(place))?;
        let gain = surrogate.expected_improvement(&Point::of(&place, &self.names));
        Some(Candidate {
            place,
            origin,
            gain,
        })
    }

    /// One of the best, the better the likelier.
    fn leader(&mut self, count: usize) -> usize {
        let most = count.min(LEADERS);
        self.draws.index(most).min(self.draws.index(most))
    }

    /// The settings of one point under the model and the prompt of another.
    fn crossed(&mut self, from: &Configuration, other: &Configuration) -> Configuration {
        let mut partial = from.clone();
        for name in [MODEL, PROMPT] {
            if let Some(value) = other.get(name) {
                partial.0.insert(name.to_owned(), value.clone());
            }
        }
        self.encoding.complete(&partial, &mut self.draws)
    }

    /// A point with so many settings moved.
    fn stepped(&mut self, from: &Configuration, changed: usize) -> Configuration {
        let slots = self.encoding.active(from).slots;
        let mut configuration = from.clone();
        if slots.is_empty() {
            return configuration;
        }
        for _ in 0..changed {
            let slot = slots[self.draws.index(slots.len())];
            let axis = &self.encoding.slots()[slot].axis;
            match self.encoding.place(slot, from) {
                Some(place) if !axis.is_unordered() && self.draws.uniform() >= ANEW => {
                    let moved = place + self.draws.gaussian(self.step);
                    self.encoding
                        .set(&mut configuration, slot, moved.clamp(0.0, 1.0));
                }
                _ => {
                    let value = random_value(axis, self.encoding.is_exact(), &mut self.draws);
                    let name = self.encoding.slots()[slot].name.clone();
                    configuration.0.insert(name, value);
                }
            }
        }
        configuration
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiled::arm::Feature;
    use frugal_domain::job::JobSpec;
    use serde_json::{Value, json};

    const STEP: f64 = 0.1;

    /// A job whose responses depend on four numbers and a style.
    fn space() -> SamplingSpace {
        let float = |name: &str| {
            json!({"name": name,
                   "domain": {"float": {"low": -2.0, "high": 2.0, "scale": "linear", "step": null}}})
        };
        let int = |name: &str| {
            json!({"name": name,
                   "domain": {"int": {"low": 1, "high": 100, "scale": "log", "step": null}}})
        };
        let styles = json!({"choice": {"values": ["a", "b", "c"], "ordered": false}});
        let stored = json!({
            "name": null, "labels": {},
            "models": [{"endpoint": "e", "model": "m",
                        "prices": {"input_pico": 1, "output_pico": 1, "request_pico": 0}}],
            "prompts": [{"name": "p", "body": {"text": "{{ q }}"}}],
            "space": [float("one"), float("two"), float("three"), float("four"),
                      {"name": "style", "domain": styles}, int("max_tokens"), int("n")],
            "scorer": {"type": "exact", "expected": "{{ a }}"},
            "objective": {"metric": "expected_success", "direction": "maximize"},
            "constraints": [],
            "inference_budget": null,
            "optimization_budget": {"usd": 1.0},
            "limits": {"trials": 1000, "seconds": null, "trials_without_improvement": null},
            "search": {"algorithm": "blendsearch", "seed": 7, "extent": "profiled", "pruning": "on",
                       "reuse": "job", "parallel_trials": 4, "requests_in_flight": 16},
            "baseline": null,
            "start": [],
        });
        let spec: JobSpec = serde_json::from_value(stored).unwrap();
        SamplingSpace::of(&spec)
    }

    /// At most 0.8: where the numbers are at three quarters of their range, in style b; the last
    /// number has no effect.
    fn worth(place: &ArmPlace) -> f64 {
        let numbers = ["one", "two", "three"].map(|name| match place.others.get(name) {
            Some(Feature::Number(at)) => 0.25 * (at - 0.75).powi(2),
            _ => 1.0,
        });
        let style = place.others.get("style") == Some(&Feature::Name("\"b\"".to_owned()));
        0.8 - numbers.iter().sum::<f64>() - if style { 0.0 } else { 0.1 }
    }

    /// The arms after so many proposals were looked at one by one, the first at the middle of all.
    fn searched(seed: u64, count: usize) -> Vec<ArmPlace> {
        let space = space();
        let mut blend = Blend::new(&space, STEP, seed).unwrap();
        let middle = json!({"one": 0.0, "two": 0.0, "three": 0.0, "four": 0.0, "style": "a"});
        let middle: std::collections::BTreeMap<String, Value> =
            serde_json::from_value(middle).unwrap();
        let mut arms = vec![space.place(&Configuration(middle)).unwrap()];
        while arms.len() < count {
            assert!(blend.has_room(arms.len() as u64, |_| true));
            let mut known: Vec<Known<'_>> = arms
                .iter()
                .enumerate()
                .map(|(arm, place)| Known {
                    arm,
                    place,
                    worth: worth(place),
                    variance: 1e-4,
                })
                .collect();
            known.sort_by(|one, other| other.worth.total_cmp(&one.worth));
            let places: Vec<&ArmPlace> = arms.iter().collect();
            let next = blend.next(&space, &known, &places, 1).pop().unwrap();
            assert_eq!(next.instead_of, None);
            assert!(!arms.contains(&next.place));
            assert!(space.space().contains(&next.place.configuration));
            blend.opened(arms.len(), arms.len() as u64);
            blend.asked(arms.len());
            arms.push(next.place);
        }
        arms
    }

    #[test]
    fn the_best_of_several_settings_is_found_in_few_looks() {
        let space = space();
        let encoding = Encoding::new(space.space().clone()).unwrap();
        const SEEDS: u64 = 6;
        let (mut found, mut drawn) = (0.0, 0.0);
        for seed in 0..SEEDS {
            let best = |arms: &[ArmPlace]| arms.iter().map(worth).fold(0.0, f64::max);
            found += best(&searched(seed, 30)) / SEEDS as f64;
            let mut draws = Draws::seeded(seed);
            let random = (0..30).map(|_| space.place(&encoding.random(&mut draws)).unwrap());
            drawn += best(&random.collect::<Vec<_>>()) / SEEDS as f64;
        }
        assert!(found > 0.785, "{found}");
        assert!(found > drawn + 0.005, "{found}, by chance {drawn}");
    }

    #[test]
    fn proposals_are_a_function_of_the_seed_and_what_was_told() {
        assert_eq!(searched(5, 12), searched(5, 12));
        assert_ne!(searched(5, 12), searched(6, 12));
    }

    #[test]
    fn what_cannot_be_afforded_gives_way_at_once_and_what_waits_in_time() {
        let space = space();
        let places = searched(1, 1 + MOST_UNSEEN);
        let mut blend = Blend::new(&space, STEP, 1).unwrap();
        for arm in 1..=MOST_UNSEEN {
            blend.opened(arm, 10);
        }
        assert!(!blend.has_room(11, |_| true));
        assert!(blend.has_room(10 + PATIENCE, |_| true));
        assert!(blend.has_room(11, |arm| arm != 2));
        let known = [Known {
            arm: 0,
            place: &places[0],
            worth: 0.5,
            variance: 1e-4,
        }];
        let all: Vec<&ArmPlace> = places.iter().collect();
        let proposed = blend.next(&space, &known, &all, 0);
        let instead_of: Vec<_> = proposed.iter().map(|one| one.instead_of).collect();
        assert_eq!(instead_of, [Some(2)]);
    }
}
