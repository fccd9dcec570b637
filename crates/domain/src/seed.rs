//! Numbers that follow from a seed.

/// A well-spread number from another: the finaliser of SplitMix64 (Steele et al. 2014). Whoever
/// needs one of several independent numbers mixes the seed with what tells them apart.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The numbers below `count` in an order that follows from a seed.
#[must_use]
pub fn order(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| mix(mix(seed) ^ *index as u64));
    order
}
