//! Restarts: a cheap start once more, with noise.

use crate::draws::Draws;
use crate::encoding::Encoding;
use crate::region::Region;
use frugal_domain::configuration::Configuration;

/// The cheap starts, possibly partial, that a search begins from again.
#[derive(Debug, Clone)]
pub struct CheapStarts(Vec<CheapStart>);

#[derive(Debug, Clone)]
struct CheapStart {
    partial: Configuration,
    /// The first use is the start as it is; those after it get noise.
    used: bool,
}

impl CheapStarts {
    /// `evaluated` are the configurations that the search evaluates first: a cheap start among
    /// them counts as used.
    pub fn new<'c>(
        starts: Vec<Configuration>,
        evaluated: impl Iterator<Item = &'c Configuration> + Clone,
    ) -> Self {
        Self(
            starts
                .into_iter()
                .map(|partial| CheapStart {
                    used: evaluated.clone().any(|start| *start == partial),
                    partial,
                })
                .collect(),
        )
    }

    /// A cheap start, any of them, with Gaussian noise as wide as the region is (reference
    /// rule: unordered choices stay, and what the start leaves open is drawn). Without cheap
    /// starts, a uniform draw.
    pub fn draw(
        &mut self,
        encoding: &Encoding,
        draws: &mut Draws,
        region: &Region,
    ) -> Configuration {
        let chosen = draws.index(self.0.len());
        let Some(start) = self.0.get_mut(chosen) else {
            return encoding.random(draws);
        };
        let mut partial = start.partial.clone();
        if start.used {
            let step = region.step_size();
            for slot in encoding.active(&partial).slots {
                let unordered = encoding
                    .slots()
                    .get(slot)
                    .is_none_or(|slot| slot.axis.is_unordered());
                let (Some((low, high)), Some(place)) =
                    (region.bounds(slot), encoding.place(slot, &partial))
                else {
                    continue;
                };
                if unordered {
                    continue;
                }
                let width = high - low;
                let deviation = if width == 0.0 { step } else { width };
                let (low, high) = ((low - step).max(0.0), (high + step).min(1.0));
                let noisy = place + draws.gaussian(deviation);
                encoding.set(&mut partial, slot, noisy.min(high).max(low));
            }
        }
        start.used = true;
        encoding.complete(&partial, draws)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::space::{Dimension, Domain, Scale, Space};
    use serde_json::json;

    #[test]
    fn the_second_use_has_noise_within_the_widened_region() {
        let domain = |values: Option<Vec<serde_json::Value>>| match values {
            Some(values) => Domain::Choice {
                values,
                ordered: false,
            },
            None => Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
        };
        let dimension = |name: &str, values| Dimension {
            name: name.into(),
            domain: domain(values),
        };
        let encoding = Encoding::new(Space {
            dimensions: vec![
                dimension("x", None),
                dimension("free", None),
                dimension("model", Some(vec![json!("a"), json!("b")])),
            ],
        })
        .unwrap();
        let start: Configuration = serde_json::from_value(json!({"x": 0.5, "model": "b"})).unwrap();
        let region = Region::around(&encoding, std::slice::from_ref(&start), 0.1);
        let mut starts = CheapStarts::new(vec![start], std::iter::empty());
        let mut draws = Draws::seeded(5);
        let first = starts.draw(&encoding, &mut draws, &region);
        assert_eq!(first.get("x"), Some(&json!(0.5)));
        let mut places = Vec::new();
        for _ in 0..50 {
            let next = starts.draw(&encoding, &mut draws, &region);
            assert_eq!(next.get("model"), Some(&json!("b")));
            places.push(next.get("x").unwrap().as_f64().unwrap());
        }
        assert!(places.iter().all(|x| (0.4 - 1e-9..=0.6 + 1e-9).contains(x)));
        assert!(places.iter().any(|x| (x - 0.5).abs() > 0.02));
    }
}
