//! Several worker processes, or what stands for them, against one database and one endpoint: what
//! they send together.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

mod clock;
mod processes;
mod rates;
mod trouble;
mod world;
