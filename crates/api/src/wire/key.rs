//! Keys, stream tokens and the audit as clients see them.

use chrono::{DateTime, Utc};
use frugal_domain::access;
use frugal_store::{audit, keys};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a key allows. `admin` is all of it, with what belongs to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To read the owner's jobs, datasets and evaluations, and what they found.
    Read,
    /// To post, change, steer and delete them.
    Write,
    /// To read the metrics.
    Metrics,
    /// To do all of it, with what belongs to anybody, and to make and revoke keys.
    Admin,
}

impl From<access::Scope> for Scope {
    fn from(scope: access::Scope) -> Self {
        match scope {
            access::Scope::Read => Self::Read,
            access::Scope::Write => Self::Write,
            access::Scope::Metrics => Self::Metrics,
            access::Scope::Admin => Self::Admin,
        }
    }
}

impl From<Scope> for access::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Metrics => Self::Metrics,
            Scope::Admin => Self::Admin,
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPost {
    /// What people call it: 1 to 100 characters that no other key has.
    #[schema(min_length = 1, max_length = 100, example = "ada's notebook")]
    pub name: String,
    /// To whom belongs what is made with it; the name by default. Keys of one owner reach the same jobs.
    #[schema(min_length = 1, max_length = 100, example = "ada")]
    pub owner: Option<String>,
    /// What it allows; `read` and `write` by default.
    #[schema(min_items = 1)]
    pub scopes: Option<Vec<Scope>>,
    /// When it ends by itself; never by default.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key without its text.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Key {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// To whom belongs what is made with it.
    pub owner: String,
    /// The first characters of its text.
    #[schema(example = "frugal_3f9a01")]
    pub hint: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself; `null` where it does not.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, to a minute or so; `null` where it never was.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked; `null` where it was not.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<keys::Key> for Key {
    fn from(key: keys::Key) -> Self {
        let keys::Key {
            id,
            name,
            owner,
            hint,
            scopes,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        } = key;
        Self {
            id,
            name,
            owner,
            hint,
            scopes: scopes.into_iter().map(Scope::from).collect(),
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        }
    }
}

/// A key that was just made, with its text.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NewKey {
    /// The key.
    #[serde(flatten)]
    pub about: Key,
    /// Its text, to be sent as `Authorization: Bearer …`. It is shown here and never again.
    pub key: String,
}

/// All keys.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Keys {
    /// What this is.
    #[schema(pattern = "^list$")]
    pub object: &'static str,
    /// The keys, newest first, those that were revoked as well.
    pub data: Vec<Key>,
}

/// A token that follows events for a short time in a key's stead.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StreamToken {
    /// To be put at the end of the URL of events: `?token=…`.
    pub token: String,
    /// Until when a stream can be opened with it. One that is open stays open.
    pub expires_at: DateTime<Utc>,
}

/// A change that was made through the API, or to its keys at the database.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// With which key; `null` where nobody has to have one, and for what was done at the database.
    pub key_id: Option<Uuid>,
    /// What the key was called then.
    pub key_name: Option<String>,
    /// To whom the key belonged.
    pub owner: Option<String>,
    /// The operation: its `operationId` in this description.
    #[schema(example = "create_job")]
    pub action: String,
    /// The path of what was changed.
    pub subject: String,
    /// The client's address.
    pub address: Option<String>,
    /// The `x-request-id` of the request, under which the operator's log has it.
    pub request_id: Option<String>,
}

impl From<audit::Numbered> for AuditEntry {
    fn from(numbered: audit::Numbered) -> Self {
        let audit::Entry {
            at,
            key_id,
            key_name,
            owner,
            action,
            subject,
            address,
            request_id,
        } = numbered.entry;
        Self {
            at,
            key_id,
            key_name,
            owner,
            action,
            subject,
            address,
            request_id,
        }
    }
}
