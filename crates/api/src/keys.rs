//! Keys: how they are made, and how they are told.
//!
//! A key is 256 random bits in hexadecimal digits behind a prefix by which people and scanners of
//! repositories recognise it. Its text is shown once, when it is made. The database has its SHA-256, by
//! which it is found: whoever could time that look-up would learn of hashes, and nothing of keys.

use crate::errors::{ApiError, Code};
use chrono::{DateTime, Utc};
use frugal_domain::access::Scope;
use frugal_store::PgConnection;
use frugal_store::keys::{self, Hash, Key};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a key begins with.
const KEY: &str = "frugal_";
/// What a stream token begins with.
const STREAM_TOKEN: &str = "frugal_stream_";
/// What the secret of a webhook begins with, as Standard Webhooks has it.
const WEBHOOK_SECRET: &str = "whsec_";
/// How many characters of a key are shown later.
const HINT: usize = KEY.len() + 6;
/// The most characters of a name.
const LONGEST_NAME: usize = 100;

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// To whom belongs what is made with it: the name where it is not said.
    pub owner: Option<String>,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The key.
    pub key: Key,
    /// Its text, which is nowhere else.
    pub text: String,
}

/// Makes a key.
///
/// # Errors
/// It makes no sense, its name is taken, or the database is away.
pub async fn issue(
    connection: &mut PgConnection,
    new: NewKey,
    now: DateTime<Utc>,
) -> Result<Issued, ApiError> {
    let refuse = |detail: String| ApiError::new(Code::InvalidKey, detail);
    let name = checked("name", new.name).map_err(refuse)?;
    let owner = new.owner.map(|owner| checked("owner", owner)).transpose();
    let owner = owner.map_err(refuse)?.unwrap_or_else(|| name.clone());
    let mut scopes = new.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        let scopes = Scope::ALL.iter().map(|scope| format!("`{scope}`"));
        let scopes = scopes.collect::<Vec<_>>().join(", ");
        return Err(refuse(format!(
            "a key needs one or more of the scopes {scopes}"
        )));
    }
    if let Some(expiry) = new.expires_at.filter(|expiry| *expiry <= now) {
        return Err(refuse(format!(
            "the key would have expired at {expiry}, before it is made"
        )));
    }
    let text = secret(KEY)?;
    let key = Key {
        id: Uuid::now_v7(),
        hint: text.chars().take(HINT).collect(),
        name,
        owner,
        scopes,
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    if !keys::create(connection, &key, &hash(&text)).await? {
        let detail = format!(
            "a key is called `{}` already; choose another name, or revoke that key first",
            key.name
        );
        return Err(ApiError::new(Code::KeyNameTaken, detail));
    }
    Ok(Issued { key, text })
}

/// A name of a key or an owner, without the space around it.
fn checked(what: &str, name: String) -> Result<String, String> {
    let name = name.trim().to_owned();
    let is_fit = (1..=LONGEST_NAME).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
        && Uuid::parse_str(&name).is_err();
    match is_fit {
        true => Ok(name),
        false => Err(format!(
            "`{what}` must have 1 to {LONGEST_NAME} characters, none of them a control character, and be no UUID"
        )),
    }
}

/// A text that nobody can guess.
fn secret(prefix: &str) -> Result<String, ApiError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(&error))?;
    let mut text = prefix.to_owned();
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

/// What messages to a new webhook are signed with. Digits in hexadecimal are base64 as well.
pub(crate) fn webhook_secret() -> Result<String, ApiError> {
    secret(WEBHOOK_SECRET)
}

/// The text of a new stream token.
pub(crate) fn stream_token() -> Result<String, ApiError> {
    secret(STREAM_TOKEN)
}

/// By what a key or a token is found.
pub(crate) fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// Whether a text can be a key: what cannot is not looked for.
pub(crate) fn is_key(text: &str) -> bool {
    is_secret(text, KEY)
}

/// Whether a text can be a stream token.
pub(crate) fn is_stream_token(text: &str) -> bool {
    is_secret(text, STREAM_TOKEN)
}

fn is_secret(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_secret_is_another_and_is_recognised() {
        let keys: BTreeSet<_> = (0..100).map(|_| secret(KEY).unwrap()).collect();
        assert_eq!(keys.len(), 100);
        let hashes: BTreeSet<_> = keys.iter().map(|key| hash(key)).collect();
        assert_eq!(hashes.len(), 100);
        for key in &keys {
            assert!(is_key(key) && !is_stream_token(key), "{key}");
        }
        let token = stream_token().unwrap();
        assert!(is_stream_token(&token) && !is_key(&token), "{token}");
        for text in ["", "frugal_", "frugal_00", "sk-0123"] {
            assert!(!is_key(text), "{text}");
        }
        assert!(!is_key(&format!("frugal_{}", "g".repeat(64))));
    }

    #[test]
    fn names_are_short_lines_and_no_ids() {
        assert_eq!(checked("name", " ada ".to_owned()), Ok("ada".to_owned()));
        let id = Uuid::nil().to_string();
        let long = "n".repeat(101);
        for name in ["", " ", "a\nb", "a\0", id.as_str(), long.as_str()] {
            assert!(checked("name", name.to_owned()).is_err(), "{name:?}");
        }
    }
}
