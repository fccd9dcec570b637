//! The best utility that a world's inference budget allows, looked for with the truth at hand.

use super::overlay::Overlay;
use super::space::{MAX_TOKENS, RESPONSES, sampling};
use super::world::World;
use frugal_domain::configuration::Sampling;
use serde_json::{Value, json};

/// Temperatures and limits of tokens that the best is looked for among.
const TEMPERATURES: [f64; 13] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2,
];
const LIMITS: usize = 40;
/// Values of a numeric setting that is laid over a world.
const VALUES: u32 = 25;
/// Times that all settings are gone through: of every pair of a model and a prompt, and of the most
/// promising ones, so many.
const FIRST_ROUNDS: usize = 2;
const ROUNDS: usize = 6;
const PROMISING: usize = 4;

/// The best that there is. Where settings are laid over the world, one after the other is moved to its
/// best value until none moves, which finds the best as long as they depend little on each other.
pub fn best(world: &World) -> f64 {
    let axes: Vec<Axis> = world.overlay.as_ref().map_or_else(Vec::new, axes);
    let mut found = Vec::new();
    for model in 0..world.models.len() {
        for prompt in 0..world.templates.len() {
            let mut point = Point {
                utility: 0.0,
                sampling: sampling(model, prompt, Some(1.0), None),
            };
            point.move_along(world, &temperatures());
            point.climb(world, &axes, FIRST_ROUNDS);
            found.push(point);
        }
    }
    found.sort_by(|one, other| other.utility.total_cmp(&one.utility));
    for point in found.iter_mut().take(PROMISING) {
        point.climb(world, &axes, ROUNDS);
    }
    found.iter().map(|point| point.utility).fold(0.0, f64::max)
}

/// A setting with the values that it is tried at.
struct Axis {
    name: String,
    values: Vec<Value>,
}

fn temperatures() -> Axis {
    Axis {
        name: "temperature".to_owned(),
        values: TEMPERATURES.iter().map(|value| json!(value)).collect(),
    }
}

fn axes(overlay: &Overlay) -> Vec<Axis> {
    let values = |domain: &Value| -> Vec<Value> {
        let bounds = |kind: &str| {
            let bounds = domain.get(kind)?;
            Some((bounds.get(0)?.as_f64()?, bounds.get(1)?.as_f64()?))
        };
        if let Some((low, high)) = bounds("float") {
            let last = f64::from(VALUES - 1);
            let place = |step| low + (high - low) * f64::from(step) / last;
            return (0..VALUES).map(|step| json!(place(step))).collect();
        }
        if let Some((low, high)) = bounds("int") {
            let mut value = low;
            let mut values = Vec::new();
            while value <= high {
                values.push(json!(value));
                value += 1.0;
            }
            return values;
        }
        domain["choice"].as_array().cloned().unwrap_or_default()
    };
    let space = overlay.search_space();
    let settings = space.as_object().into_iter().flatten();
    let settings = settings.map(|(name, domain)| Axis {
        name: name.clone(),
        values: values(domain),
    });
    settings.chain([temperatures()]).collect()
}

/// The best found so far of one model and prompt.
struct Point {
    utility: f64,
    sampling: Sampling,
}

impl Point {
    /// Moves one setting after the other, so many times at most.
    fn climb(&mut self, world: &World, axes: &[Axis], rounds: usize) {
        for _ in 0..rounds {
            let before = self.utility;
            for axis in axes {
                self.move_along(world, axis);
            }
            if self.utility <= before {
                break;
            }
        }
    }

    /// Moves one setting to its best value.
    fn move_along(&mut self, world: &World, axis: &Axis) {
        for value in &axis.values {
            let mut sampling = self.sampling.clone();
            match axis.name.as_str() {
                "temperature" => sampling.temperature = value.as_f64(),
                "top_p" => sampling.top_p = value.as_f64(),
                name => {
                    sampling.extra.insert(name.to_owned(), value.clone());
                }
            }
            let utility = at_best_extent(world, &sampling);
            if utility > self.utility {
                *self = Self { utility, sampling };
            }
        }
    }
}

/// The utility at the best extent that the inference budget allows; 0 where it allows none.
pub fn at_best_extent(world: &World, sampling: &Sampling) -> f64 {
    let answers = world.answers(sampling);
    let [fewest, most] = MAX_TOKENS.map(f64::from);
    let mut best = 0.0_f64;
    for step in 0..LIMITS {
        let share = step as f64 / (LIMITS - 1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between the two limits"
        )]
        let max_tokens = (fewest * (most / fewest).powf(share)).round() as u32;
        let row_values = answers.row_values(max_tokens);
        let cost = |n: f64| row_values.cost(n);
        let one = cost(1.0);
        if one > world.inference_budget {
            continue;
        }
        // The cost is a straight line in n.
        let more = (world.inference_budget - one) / (cost(2.0) - one).max(1e-15);
        best = best.max(row_values.utility((1.0 + more).min(RESPONSES[1].into()).floor()));
    }
    best
}
