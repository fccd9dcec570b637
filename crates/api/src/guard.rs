//! Who is let in, and how much they may do: what an operator sets.

use frugal_webhook::Reach;
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::time::Duration;

/// Who is let in, and how much they may do.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Whether every request needs a key. Otherwise whoever reaches the server may do everything, and
    /// nothing belongs to anybody.
    pub require_keys: bool,
    /// The names that requests may be addressed to. Where there are none: any where keys are required, else
    /// those of this machine. Addresses in digits are always taken, as no name can be made to lead to them.
    pub hosts: Vec<String>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may use the API: `https://host`, or `*` for all of them.
    pub cors_origins: Vec<String>,
    /// How many requests a key may make in a minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// How many jobs of one owner may be there that have not ended.
    pub jobs_per_owner: Option<u32>,
    /// How many event streams one owner may have open on one server.
    pub streams_per_owner: Option<u32>,
    /// How many bytes the datasets of one owner may have together.
    pub dataset_bytes_per_owner: Option<u64>,
    /// How long idempotency keys are known.
    pub idempotency_keys: Option<Duration>,
    /// Which addresses webhooks may be at beside public ones.
    pub webhooks: Reach,
}

impl Guard {
    /// How long idempotency keys are known where the operator says nothing: a week.
    pub const IDEMPOTENCY_KEYS: Duration = Duration::from_secs(7 * 24 * 3_600);
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            require_keys: false,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            requests_per_minute: None,
            jobs_per_owner: None,
            streams_per_owner: None,
            dataset_bytes_per_owner: None,
            idempotency_keys: Some(Self::IDEMPOTENCY_KEYS),
            webhooks: Reach::default(),
        }
    }
}
