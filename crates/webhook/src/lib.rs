//! Delivers messages to hooks, the operator's own services, and to the webhooks of owners.
//!
//! A message is signed as Standard Webhooks has it (<https://www.standardwebhooks.com>): `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`, an HMAC-SHA256 of the two and the body. What may pass (a fault of the
//! connection, a time-out, 408, 425, 429 and 5xx, an answer that makes no sense) is tried again after a wait,
//! with the same id and a new timestamp, so that a hook can tell that it has had the message. Redirects
//! are not followed: the operator named one address.
//!
//! Owners name addresses of their own ([`Courier`]): public ones, and those that the operator allows ([`Reach`]).
//!
//! Start with [`Hooks`] and [`Hook::deliver`].

mod courier;
mod error;
mod hook;
mod hooks;
mod posting;
mod reach;
mod signer;

pub use courier::{Courier, Message, NotTaken};
pub use error::{HookError, Undelivered};
pub use frugal_domain::backoff::Backoff;
pub use hook::Hook;
pub use hooks::Hooks;
pub use reach::Reach;
pub use signer::Signer;
