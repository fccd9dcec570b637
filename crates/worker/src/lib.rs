//! Claims jobs and drives them: does what [`frugal_tuning::Tuning`] asks for, with a database, a
//! network and a clock, and decides nothing itself.
//!
//! A job is rebuilt by replay whenever a worker takes it: the machine is told the job's past, lives
//! through it again without a step, and goes on from there. Nothing lives in memory alone.
//!
//! It serves no HTTP; it meets the API in the database. Start with [`run`], then `drive.rs` (one job
//! from claim to end), `context.rs` (what is loaded), `play.rs` (the loop over the machine's steps)
//! and, for each kind of step, `send.rs`, `score.rs`, `look_up.rs` and `record.rs`. What `send.rs` stores goes through `writes.rs`. When a request may
//! be sent is the matter of `admission.rs`; what is seen of endpoints on the way is that of
//! `sightings.rs`.

mod admission;
mod clock;
mod context;
mod drive;
mod error;
mod halt;
mod heartbeat;
mod hook;
mod in_hand;
mod judge;
mod look_up;
mod options;
mod past;
mod play;
mod prompt;
mod record;
mod run;
mod score;
mod selector;
mod send;
mod shared;
mod sightings;
mod steer;
mod stored;
mod taken_scores;
mod tell;
mod text;
mod texts;
mod writes;

pub use admission::{Admission, Admittance, Entrance, Hearing, Permit};
pub use clock::{Clock, SystemClock};
pub use options::{Options, Terms};
pub use run::run;
