//! What something is worth by the chance of a right answer: worked out at some chances, read between them.

/// Worths at so many chances from 0 to 1, which lie the closer the smaller they are.
#[derive(Debug, Clone)]
pub(super) struct ChanceTable<const POINTS: usize>([f64; POINTS]);

impl<const POINTS: usize> ChanceTable<POINTS> {
    /// Of what is worth so much at a chance.
    pub(super) fn of(worth: impl Fn(f64) -> f64) -> Self {
        Self(std::array::from_fn(|point| worth(Self::chance(point))))
    }

    fn chance(point: usize) -> f64 {
        (point as f64 / (POINTS - 1) as f64).powi(2)
    }

    /// The worth at a chance: between two points by their distance.
    pub(super) fn at(&self, chance: f64) -> f64 {
        let chance = chance.clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among the points"
        )]
        let below = ((chance.sqrt() * (POINTS - 1) as f64) as usize).min(POINTS - 2);
        let [low, high] = [below, below + 1].map(Self::chance);
        let (from, to) = (self.0[below], self.0[below + 1]);
        from + (to - from) * (chance - low) / (high - low)
    }
}
