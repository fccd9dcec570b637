//! Delivers messages to hooks, the operator's own services.
//!
//! A message is signed as Standard Webhooks has it (<https://www.standardwebhooks.com>): `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`, an HMAC-SHA256 of the two and the body. What may pass (a fault of the
//! connection, a time-out, 408, 425, 429 and 5xx, an answer that makes no sense) is tried again after a wait,
//! with the same id and a new timestamp, so that a hook can tell that it has had the message. Redirects
//! are not followed: the operator named one address.
//!
//! Start with [`Hooks`] and [`Hook::deliver`].

mod error;
mod hook;
mod hooks;
mod signer;

pub use error::{HookError, Undelivered};
pub use frugal_domain::backoff::Backoff;
pub use hook::Hook;
pub use hooks::Hooks;
pub use signer::Signer;
