//! How many requests may go to an endpoint, and whose: the arithmetic of admission, shared by all
//! worker processes through one stored state.
//!
//! A *scope* is what limits are for: an endpoint as a whole, or one of its models. A *slot* is the
//! right to have one request in flight, a *ticket* the right to send one, with its tokens. No
//! process asks for each request: it holds slots and tickets in blocks, by leases that end by
//! themselves, and every second or so makes an *exchange*: it reports what it used, says what it
//! wants, and is granted what it may hold until the next one ([`Scope::exchange`]). Between two
//! exchanges the *desk* of the process gives out what it holds, to its jobs in turn ([`Desk`]).
//!
//! Pure: no I/O and no clock. The moments of a [`Scope`] are the database's, those of a [`Desk`]
//! the process's own; what one tells the other are spans of time.
//!
//! Beside the operator's limits there is what the endpoint itself says of a model: to wait, that there
//! are too many requests, or nothing at all any more (`pace.rs`, `breaker.rs`), and what it can make use of (`concurrency.rs`).
//!
//! Start with `scope.rs`, then `desk.rs`; `standing.rs` says what a job's owner is told, `waiting.rs` counts waits, `fair.rs` divides, `window.rs` counts the last minute.

mod breaker;
mod concurrency;
mod desk;
mod fair;
mod limits;
mod pace;
mod scope;
mod standing;
mod waiting;
mod window;

pub use breaker::{OutageNotice, OutageState, Probe, Sightings, TRIP};
pub use desk::{Admitted, Attempt, Desk, Granted, Outcome, PATIENCE, Place, WaitId};
pub use limits::{LEASE, MINUTE, Millis, ScopeLimits};
pub use scope::{Amounts, Grant, MOST_ASKED_FOR, Refused, Report, Scope, TICKETS_LAST};
pub use standing::News;
