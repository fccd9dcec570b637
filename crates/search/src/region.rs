//! The admissible region: how far from the local searches the global one may propose
//! (BlendSearch, section 3.3).

use crate::encoding::Encoding;
use frugal_domain::configuration::Configuration;

/// Bounds of the slots that the cheap starts name, in [0, 1] before widening. Slots that no
/// cheap start names are free.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    step_size: f64,
    bounds: Vec<Option<(f64, f64)>>,
}

impl Region {
    /// The smallest region that holds all of the given, possibly partial, configurations.
    /// `step_size` is that of the local searches, in [0, 1].
    #[must_use]
    pub fn around(encoding: &Encoding, starts: &[Configuration], step_size: f64) -> Self {
        let mut bounds = vec![None; encoding.slots().len()];
        for start in starts {
            for slot in encoding.active(start).slots {
                if let (Some(bound), Some(place)) =
                    (bounds.get_mut(slot), encoding.place(slot, start))
                {
                    let (low, high) = bound.unwrap_or((place, place));
                    *bound = Some((low.min(place), high.max(place)));
                }
            }
        }
        Self { step_size, bounds }
    }

    /// How far beyond its bounds the region still admits.
    #[must_use]
    pub fn step_size(&self) -> f64 {
        self.step_size
    }

    /// The bounds of a slot; `None` where it is free.
    #[must_use]
    pub fn bounds(&self, slot: usize) -> Option<(f64, f64)> {
        self.bounds.get(slot).copied().flatten()
    }

    /// Whether a configuration is in the region, widened by one step size on every side.
    #[must_use]
    pub fn admits(&self, encoding: &Encoding, configuration: &Configuration) -> bool {
        encoding
            .active(configuration)
            .slots
            .into_iter()
            .all(
                |slot| match (self.bounds(slot), encoding.place(slot, configuration)) {
                    (Some((low, high)), Some(place)) => {
                        place + self.step_size >= low && place <= high + self.step_size
                    }
                    _ => true,
                },
            )
    }

    /// The configuration of the widened region that is nearest to the given one.
    #[must_use]
    pub fn nearest(&self, encoding: &Encoding, configuration: &Configuration) -> Configuration {
        let mut nearest = configuration.clone();
        for slot in encoding.active(configuration).slots {
            let (Some((low, high)), Some(place)) =
                (self.bounds(slot), encoding.place(slot, configuration))
            else {
                continue;
            };
            let low = (low - self.step_size).max(0.0);
            let high = (high + self.step_size).min(1.0);
            if !(low..=high).contains(&place) {
                encoding.set(&mut nearest, slot, place.max(low).min(high));
            }
        }
        nearest
    }

    /// Makes the region hold a configuration.
    pub fn include(&mut self, encoding: &Encoding, configuration: &Configuration) {
        for slot in encoding.active(configuration).slots {
            if let (Some(Some((low, high))), Some(place)) = (
                self.bounds.get_mut(slot),
                encoding.place(slot, configuration),
            ) {
                *low = low.min(place);
                *high = high.max(place);
            }
        }
    }

    /// Widens the bounds of the slots that are active in a configuration by one step size.
    pub fn widen(&mut self, encoding: &Encoding, configuration: &Configuration) {
        for slot in encoding.active(configuration).slots {
            if let Some(Some((low, high))) = self.bounds.get_mut(slot) {
                *low -= self.step_size;
                *high += self.step_size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::space::{Dimension, Domain, Scale, Space};
    use serde_json::json;

    fn unit(name: &str) -> Dimension {
        Dimension {
            name: name.into(),
            domain: Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
        }
    }

    fn configuration(value: serde_json::Value) -> Configuration {
        serde_json::from_value(value).unwrap()
    }

    /// `x` and then one of two branches, each with a `y` of its own.
    fn encoding() -> Encoding {
        let branch = || Space {
            dimensions: vec![unit("y")],
        };
        Encoding::new(Space {
            dimensions: vec![
                unit("x"),
                Dimension {
                    name: "kind".into(),
                    domain: Domain::OneOf {
                        branches: vec![branch(), branch()],
                    },
                },
            ],
        })
        .unwrap()
    }

    #[test]
    fn only_settings_of_a_cheap_start_are_bounded() {
        let encoding = encoding();
        let region = Region::around(
            &encoding,
            &[configuration(json!({"kind": 0, "y": 0.5}))],
            0.1,
        );
        for (kind, y, admitted) in [(0, 0.59, true), (0, 0.61, false), (1, 0.61, true)] {
            let there = configuration(json!({"x": 1.0, "kind": kind, "y": y}));
            assert_eq!(region.admits(&encoding, &there), admitted, "{there:?}");
        }
    }

    #[test]
    fn the_region_widens_in_the_converged_branch_alone() {
        let encoding = encoding();
        let starts = [
            configuration(json!({"kind": 0, "y": 0.5})),
            configuration(json!({"kind": 1, "y": 0.2})),
        ];
        let mut region = Region::around(&encoding, &starts, 0.1);
        region.widen(&encoding, &starts[0]);
        let bounds: Vec<_> = (0..3).map(|slot| region.bounds(slot)).collect();
        assert_eq!(bounds, [None, Some((0.4, 0.6)), Some((0.2, 0.2))]);
        region.include(&encoding, &configuration(json!({"kind": 1, "y": 0.9})));
        assert_eq!(region.bounds(2), Some((0.2, 0.9)));
    }
}
