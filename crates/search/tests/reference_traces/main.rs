//! The optimisers held to the traces of the reference implementation, step by step, with the
//! recorded draws in the place of the generator.
//!
//! The traces are read from the folder in `FRUGAL_REFERENCE_DIR`, or else from the
//! repository's `tests/reference`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a trace that cannot be read or followed fails the test"
)]

mod blend_search;
mod flow2;
mod search_thread;
mod trace;
