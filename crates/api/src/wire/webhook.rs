//! Webhooks and deliveries as clients see them.

use super::names::DeliveryState;
use chrono::{DateTime, Utc};
use frugal_domain::secret::Secret;
use frugal_store::webhooks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A webhook to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookPost {
    /// Where events are posted to: `https://`, and a public host unless the operator allows it.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "https://ci.example.com/hooks/frugal"
    )]
    pub url: String,
    /// The types of events that are wanted beside those that end jobs (`job.succeeded`, `job.failed` and `job.cancelled`),
    /// which always are.
    #[serde(default)]
    #[schema(max_items = 50, example = json!(["job.running", "best.updated"]))]
    pub types: Vec<String>,
    /// Only jobs with all of these labels are told of; all by default.
    #[serde(default)]
    #[schema(example = json!({"team": "search"}))]
    pub labels: BTreeMap<String, String>,
    /// What messages are signed with: `whsec_` and 24 to 64 bytes in base64. One is made where there is none.
    #[schema(value_type = Option<String>, min_length = 38, max_length = 100)]
    pub secret: Option<Secret>,
}

/// An address that the events of an owner's jobs are posted to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// Where events are posted to.
    pub url: String,
    /// The types of events that are posted beside those that end jobs.
    pub types: Vec<String>,
    /// Only jobs with all of these labels are told of.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl From<webhooks::Webhook> for Webhook {
    fn from(webhook: webhooks::Webhook) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url,
            types: webhook.types,
            labels: webhook.labels,
            created_at: webhook.created_at,
        }
    }
}

/// A webhook that was just made.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NewWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub about: Webhook,
    /// What messages to it are signed with, as Standard Webhooks has it. It is not shown again.
    #[schema(value_type = String, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: Secret,
}

/// An event on its way to a webhook.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delivery {
    /// The `webhook-id` of its messages, the same in each attempt.
    pub id: String,
    /// The job.
    pub job_id: Uuid,
    /// The type of the event.
    #[schema(example = "job.succeeded")]
    pub r#type: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The status that the receiver answered with last.
    #[schema(minimum = 100, maximum = 999)]
    pub status: Option<u16>,
    /// Why the last attempt failed.
    pub fault: Option<String>,
    /// When the event came to be delivered.
    pub created_at: DateTime<Utc>,
    /// When the last attempt ended.
    pub attempted_at: Option<DateTime<Utc>>,
}

/// The `webhook-id` of the messages of one event to one webhook.
pub(crate) fn message_id(webhook: Uuid, position: i64) -> String {
    format!("msg_{}_{position}", webhook.simple())
}

impl Delivery {
    /// A delivery to a webhook.
    #[must_use]
    pub fn new(webhook: Uuid, delivery: webhooks::Delivery) -> Self {
        Self {
            id: message_id(webhook, delivery.position),
            job_id: delivery.job.0,
            r#type: delivery.r#type,
            state: delivery.state.into(),
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            status: delivery.status,
            fault: delivery.fault,
            created_at: delivery.created_at,
            attempted_at: delivery.attempted_at,
        }
    }
}
