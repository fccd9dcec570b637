//! Bounds what holding a value against a schema takes. References make of a small schema one that has a value
//! looked at 2ⁿ times, and nothing in the rules ends that: so every look at a value counts, and the one that is
//! too many unwinds out of them.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The most looks at one value and what is in it, those at long texts counting for more.
pub(super) const MOST: u64 = 1_000_000;
/// The same where it is told what is amiss, of which every look may leave something in memory.
pub(super) const MOST_TOLD: u64 = 100_000;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// What unwinds where too much was done.
struct TooMuch;

/// Counts what was done.
pub(super) fn spend(looks: usize) {
    let looks = u64::try_from(looks).unwrap_or(u64::MAX);
    match LEFT.get().checked_sub(looks) {
        Some(left) => LEFT.set(left),
        // It is no panic: no hook is called, and it ends in `bounded`.
        None => resume_unwind(Box::new(TooMuch)),
    }
}

/// What work comes to that takes no more than so many looks; nothing where it takes more.
pub(super) fn bounded<T>(most: u64, work: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(most);
    // What was unwound out of is dropped with all its state.
    let done = catch_unwind(AssertUnwindSafe(work));
    LEFT.set(u64::MAX);
    match done {
        Ok(done) => Some(done),
        Err(payload) if payload.is::<TooMuch>() => None,
        Err(payload) => resume_unwind(payload),
    }
}
