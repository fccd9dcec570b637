//! What the search believes: every arm at its best extent, and joint draws of what that is worth.

use super::arm::Arm;
use super::constants::SAMPLES;
use super::goal::Goal;
use super::kernels::Kernels;
use super::posterior::{Counts, Posterior, logistic};
use super::problem::Problem;
use super::profile::{Known, Profile, Standing};
use super::qualities::{Lots, Qualities};
use super::reach::{GRID, Reach};
use super::reduction::{is_of_answers, reduce};
use super::selection::Selection;
use super::standard::Standard;
use super::tokens::{Cost, Counted, Tokens};
use super::votes::Spreads;
use frugal_domain::metric::Metric;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, StandardNormal};
use std::cell::OnceCell;

/// Costs less sure than this are also looked at from their cheap side.
const UNSURE: f64 = 0.025;
/// What the cheap side must gain to be taken.
const LEAST_HOPE: f64 = 0.02;
/// Errors of the prompt's and the responses' cost within which an arm may still be affordable, and the
/// least error of a response's while nothing was drawn for its model and prompt: a guess that is
/// three times too high must not keep an arm from being looked at.
const HOPE: f64 = 2.0;
const UNSEEN_ERROR: f64 = 1.0;

/// What the search believes after some number of answers.
#[derive(Debug, Clone)]
pub(super) struct Assessment {
    /// Every arm at its best extent.
    pub(super) profiles: Vec<Profile>,
    /// Draws of its worth by arm; none where it is not in question.
    pub(super) worths: Vec<Option<Vec<f64>>>,
    /// Their means, by arm.
    pub(super) means: Vec<Option<f64>>,
    /// Arms that no draw has at the top.
    pub(super) hopeless: Vec<bool>,
    /// What arms come to beside what they must be as good as, where the cheapest is sought.
    pub(super) qualities: Option<Qualities>,
    counts: Counts,
    tokens: Tokens,
    posterior: Posterior,
    reach: Reach,
    priors: Vec<OnceCell<Vec<[f64; GRID]>>>,
    spreads: Vec<OnceCell<Vec<Spreads>>>,
    selections: Vec<OnceCell<Selection>>,
}

/// What an assessment is made from.
pub(super) struct Evidence<'a> {
    pub(super) problem: &'a Problem,
    pub(super) goal: &'a Goal,
    pub(super) arms: &'a [Arm],
    pub(super) counted: &'a Counted,
    pub(super) before: Option<&'a Assessment>,
    /// Arms to leave out of question this time.
    pub(super) asleep: &'a [bool],
}

impl Assessment {
    pub(super) fn new(evidence: &Evidence<'_>, generator: &mut ChaCha8Rng) -> Self {
        let Evidence {
            problem,
            goal,
            arms,
            counted,
            before,
            asleep,
        } = *evidence;
        // What the others are held against is always in question.
        let reference = goal.standard().and_then(Standard::arm).map(|(arm, _)| arm);
        let live: Vec<bool> = (0..arms.len())
            .map(|arm| {
                let asleep = asleep.get(arm).copied().unwrap_or(false);
                (!asleep || reference == Some(arm)) && !arms[arm].closed
            })
            .collect();
        let hopeful: Vec<bool> = before.map_or_else(Vec::new, |before| {
            before.hopeless.iter().map(|hopeless| !hopeless).collect()
        });
        let counts = Counts::of(arms);
        let tokens = Tokens::guess(problem, arms, counted);
        let kernels = Kernels::of(arms);
        let unreachable = |arm: usize, row: usize| {
            let place = &arms[arm].place;
            before.map_or(0.0, |before| {
                before.reach.chances(place.model, place.prompt)[row]
            })
        };
        let posterior = Posterior::fit(
            &kernels,
            &counts,
            unreachable,
            before.map(|before| &before.posterior),
            &live,
            &hopeful,
            generator,
        );
        let reach = Reach::new(
            arms,
            &counts,
            &posterior,
            problem.models.len(),
            problem.prompts(),
        );
        let mut assessment = Self {
            profiles: Vec::with_capacity(arms.len()),
            worths: Vec::with_capacity(arms.len()),
            means: Vec::new(),
            hopeless: Vec::new(),
            qualities: None,
            counts,
            tokens,
            posterior,
            reach,
            priors: vec![OnceCell::new(); arms.len()],
            spreads: vec![OnceCell::new(); arms.len()],
            selections: vec![OnceCell::new(); arms.len()],
        };
        let shares: Vec<Vec<f64>> = (0..problem.models.len())
            .map(|model| {
                let share = assessment.reach.share(model);
                draw_shares(share.alpha, share.beta, generator)
            })
            .collect();
        // One number per model, row and draw decides whether the row is out of reach.
        let lots: Vec<Vec<f64>> = (0..problem.models.len())
            .map(|_| {
                (0..problem.rows() * SAMPLES)
                    .map(|_| generator.random::<f64>())
                    .collect()
            })
            .collect();
        for arm in 0..arms.len() {
            let known = assessment.known(problem, goal, arms);
            let (profile, worths) = if live[arm] {
                let model = arms[arm].place.model;
                known.draw(arm, &shares[model], &lots[model], generator)
            } else {
                let before = before.and_then(|before| before.profiles.get(arm).copied());
                (before.unwrap_or_else(|| known.profile(arm, 0.0)), None)
            };
            assessment.profiles.push(profile);
            assessment.worths.push(worths);
        }
        if let Some(standard) = goal.standard() {
            let lots = Lots {
                shares,
                of_rows: lots,
            };
            let both = assessment.profiles.iter().zip(&assessment.worths);
            let in_question: Vec<Option<Profile>> = both
                .map(|(profile, worths)| worths.as_ref().map(|_| *profile))
                .collect();
            let known = assessment.known(problem, goal, arms);
            let qualities = Qualities::draw(&known, standard, &in_question, lots, generator);
            qualities.weigh(&mut assessment.worths, arms, standard);
            assessment.qualities = Some(qualities);
        }
        assessment.means = assessment
            .worths
            .iter()
            .map(|worths| worths.as_ref().map(|worths| super::tokens::mean(worths)))
            .collect();
        let top = assessment
            .means
            .iter()
            .flatten()
            .copied()
            .fold(0.0, f64::max);
        assessment.hopeless = assessment
            .worths
            .iter()
            .map(|worths| {
                worths
                    .as_ref()
                    .is_none_or(|worths| worths.iter().all(|worth| *worth < top))
            })
            .collect();
        assessment
    }

    /// What profiles are read from.
    pub(super) fn known<'a>(
        &'a self,
        problem: &'a Problem,
        goal: &'a Goal,
        arms: &'a [Arm],
    ) -> Known<'a> {
        Known {
            problem,
            goal,
            arms,
            counts: &self.counts,
            tokens: &self.tokens,
            posterior: &self.posterior,
            reach: &self.reach,
            priors: &self.priors,
            spreads: &self.spreads,
            selections: &self.selections,
        }
    }

    /// The arm with the highest mean; none while it is unlikely that any can be had.
    pub(super) fn leader(&self) -> Option<usize> {
        let means = self.means.iter().enumerate();
        let means = means.filter_map(|(arm, mean)| Some((arm, (*mean)?)));
        let means = means.filter(|(_, mean)| *mean > 0.0);
        means
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
            .map(|(arm, _)| arm)
    }

    /// The share of draws that each arm wins.
    pub(super) fn wins(&self) -> Vec<f64> {
        let mut wins = vec![0.0; self.worths.len()];
        for sample in 0..SAMPLES {
            let worths = self.worths.iter().enumerate();
            let best = worths
                .filter_map(|(arm, worths)| Some((arm, worths.as_ref()?[sample])))
                .reduce(|best, next| if next.1 > best.1 { next } else { best });
            if let Some((arm, _)) = best {
                wins[arm] += 1.0 / SAMPLES as f64;
            }
        }
        wins
    }

    /// The covariance of two arms' worth.
    pub(super) fn covariance(&self, one: usize, other: usize) -> f64 {
        let (Some(first), Some(second)) = (&self.worths[one], &self.worths[other]) else {
            return 0.0;
        };
        let (a, b) = (
            self.means[one].unwrap_or_default(),
            self.means[other].unwrap_or_default(),
        );
        let products = first.iter().zip(second).map(|(x, y)| (x - a) * (y - b));
        products.sum::<f64>() / (SAMPLES - 1) as f64
    }
}

impl Known<'_> {
    /// An arm's profile, and draws of what it is worth there; none where it cannot be afforded.
    fn draw(
        &self,
        arm: usize,
        shares: &[f64],
        lots: &[f64],
        generator: &mut ChaCha8Rng,
    ) -> (Profile, Option<Vec<f64>>) {
        let data = &self.arms[arm];
        let model = data.place.model;
        let mut profile = self.profile(arm, 0.0);
        let plain = profile.standing;
        if profile.cost.error > UNSURE && !data.complete() {
            let hopeful = self.profile(arm, -1.0);
            let gained = match (hopeful.standing.worth(), plain.worth()) {
                (Some(hoped), Some(worth)) => hoped > worth + LEAST_HOPE,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if gained {
                profile = hopeful;
            }
        }
        let cost = profile.cost;
        if profile.standing == Standing::TooDear && !self.may_fit(arm, &cost) {
            return (profile, None);
        }
        let unreachable = self.unreachable(arm);
        let group = self.reach.chances(model, data.place.prompt);
        let own: Vec<f64> = unreachable
            .iter()
            .zip(group)
            .map(|(all, group)| ((all - group) / (1.0 - group).max(1e-9)).clamp(0.0, 1.0))
            .collect();
        let rows = self.problem.rows();
        let kept = profile.kept.exp();
        let others = self
            .goal
            .others(self.arms, arm, f64::from(profile.extent.max_tokens));
        let answers: Vec<_> = self
            .goal
            .metrics()
            .filter(|one| is_of_answers(*one))
            .collect();
        let odds = &self.posterior.samples[arm];
        let mut worths = Vec::with_capacity(SAMPLES);
        let mut wrong = Vec::with_capacity(rows);
        // The mean over the draws at the profile's own n, which is set against its estimate.
        let mut plain_mean = 0.0;
        for sample in 0..SAMPLES {
            let dear: f64 = StandardNormal.sample(generator);
            let prompt: f64 = StandardNormal.sample(generator);
            let drawn = Cost {
                prompt: cost.prompt * (cost.prompt_error * prompt).exp(),
                response: cost.response * (cost.error * dear).exp(),
                ..cost
            };
            let n = self.drawn_number(&profile, &drawn, model, &data.place.n);
            // The chance that an answer is wrong, which is what powers are taken of.
            wrong.clear();
            if !answers.is_empty() {
                let group = self.reach.group(model, data.place.prompt);
                wrong.extend((0..rows).map(|row| {
                    let group = group.unreachable(shares[sample], row);
                    let out = group + (1.0 - group) * own[row];
                    if lots[row * SAMPLES + sample] < out {
                        1.0
                    } else {
                        1.0 - kept * logistic(odds[row * SAMPLES + sample])
                    }
                }));
            }
            let worth_of = |n: f64| {
                let inference = self.goal.display(drawn.of(n, self.most(model)));
                self.goal.weigh(|metric| {
                    if is_of_answers(metric) {
                        self.mean_of_rows(arm, metric, &wrong, n)
                    } else {
                        others.value(metric, n, inference)
                    }
                })
            };
            let plain = worth_of(f64::from(profile.extent.n));
            plain_mean += plain.unwrap_or_default();
            let same = n.is_some_and(|n| n == f64::from(profile.extent.n));
            // Cost counts only where it is the objective; n is the same then.
            worths.push(if same { plain } else { n.and_then(worth_of) });
        }
        plain_mean /= SAMPLES as f64;
        let worths = worths
            .into_iter()
            .map(|worth| match (worth, profile.standing) {
                (Some(worth), Standing::Worth(estimate)) if self.goal.standard().is_none() => {
                    (worth + estimate - plain_mean).max(0.0)
                }
                (Some(worth), _) => worth,
                // Too dear in this draw: what is sure of it remains, where n can give way.
                (None, _) if self.goal.takes_most() => plain.worth().unwrap_or_default(),
                (None, _) => 0.0,
            });
        (profile, Some(worths.collect()))
    }

    /// What n answers to each row come to, the mean over the rows, from the chance that one is wrong.
    fn mean_of_rows(&self, arm: usize, metric: Metric, wrong: &[f64], n: f64) -> f64 {
        let rows = wrong.len() as f64;
        let all_wrong =
            |power: i32| 1.0 - wrong.iter().map(|wrong| wrong.powi(power)).sum::<f64>() / rows;
        match metric {
            Metric::Min => {
                wrong
                    .iter()
                    .map(|wrong| (1.0 - wrong).powi(whole(n)))
                    .sum::<f64>()
                    / rows
            }
            Metric::Majority | Metric::BestOfN => {
                let worth = wrong.iter().enumerate().map(|(row, wrong)| {
                    reduce(metric, 1.0 - wrong, n, self.manner(arm, row, metric))
                });
                worth.sum::<f64>() / rows
            }
            Metric::Mean => all_wrong(1),
            _ => all_wrong(whole(n)),
        }
    }

    /// Whether an arm that looks too dear may turn out to be affordable.
    pub(super) fn may_fit(&self, arm: usize, cost: &Cost) -> bool {
        let place = &self.arms[arm].place;
        let seen = self.arms.iter().any(|other| {
            other.seen > 0 && (other.place.model, other.place.prompt) == (place.model, place.prompt)
        });
        let error = if seen {
            cost.error
        } else {
            cost.error.max(UNSEEN_ERROR)
        };
        let cheap = Cost {
            prompt: cost.prompt * (-HOPE * cost.prompt_error).exp(),
            response: cost.response * (-HOPE * error).exp(),
            ..*cost
        };
        self.fits(&cheap, f64::from(place.n.smallest()), place.model)
    }

    /// The n of a draw, given what it costs there; nothing where not even the least fits.
    fn drawn_number(
        &self,
        profile: &Profile,
        cost: &Cost,
        model: usize,
        allowed: &super::whole::Allowed,
    ) -> Option<f64> {
        let fits = |n: u32| self.fits(cost, f64::from(n), model);
        if !self.goal.takes_most() {
            return fits(profile.extent.n).then(|| f64::from(profile.extent.n));
        }
        if !fits(allowed.smallest()) {
            return None;
        }
        let (mut low, mut high) = (allowed.smallest(), allowed.largest());
        while low < high {
            let middle = high - (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        allowed.at_most(f64::from(low)).map(f64::from)
    }
}

/// Draws of the share of rows out of reach.
fn draw_shares(alpha: f64, beta: f64, generator: &mut ChaCha8Rng) -> Vec<f64> {
    match Beta::new(alpha.max(1e-6), beta.max(1e-6)) {
        Ok(distribution) => (0..SAMPLES)
            .map(|_| distribution.sample(generator))
            .collect(),
        Err(_) => vec![alpha / (alpha + beta); SAMPLES],
    }
}

/// A number of responses as a power.
fn whole(n: f64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number; a larger one than fits saturates"
    )]
    let n = n as i32;
    n
}
