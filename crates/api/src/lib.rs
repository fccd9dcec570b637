//! The HTTP API: routes, wire JSON, errors, event streams, OpenAPI.
//!
//! The only crate that serves HTTP to clients. It writes no SQL (that is the store's), sends no
//! request to an endpoint, and never drives a job: it puts jobs into the database and reads what
//! workers leave there. Times, ids and default seeds are made here, at the edge, and passed in.
//!
//! Wire types ([`wire`]) stand apart from domain types and from rows, so that neither can change
//! what clients see by accident. The OpenAPI document comes from the table of routes.
//!
//! Start with [`routes`] (the table), then [`errors`] (every code), then [`wire::Job`].

mod accept;
mod all_events;
mod all_stream;
mod assets;
mod broadcast;
mod caller;
mod change;
mod connections;
mod dashboard;
mod data;
mod deliveries;
mod docs;
mod door;
mod drawn;
pub mod errors;
mod etag;
mod export;
mod extract;
mod feed;
mod forwarded;
mod found;
mod guard;
mod hosts;
mod idempotency;
pub mod keys;
mod known_keys;
mod limiter;
mod openapi;
mod operations;
mod outside;
mod pagination;
mod pictures;
mod reading;
mod reading_back;
mod report_page;
mod request_id;
mod responses;
pub mod routes;
mod scopes;
mod server;
mod sources;
mod sse;
mod standing;
mod state;
mod table;
mod traffic;
mod upload;
mod wait;
pub mod wire;
mod yaml;

pub use connections::Connections;
pub use frugal_intake::dataset::Limits as DatasetLimits;
pub use guard::Guard;
pub use openapi::{openapi, openapi_yaml};
pub use outside::Outside;
pub use server::{router, serve};
pub use state::{AdoptSpan, AppState, Options};
