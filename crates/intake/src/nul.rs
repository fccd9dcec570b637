//! Texts with a NUL character, which PostgreSQL cannot hold.

use frugal_domain::fault::Reader;
use serde_json::Value;

/// Notes a fault for each text with a NUL character, which cannot be stored.
pub(crate) fn refuse(at: &Reader<'_>) {
    match at.value {
        Value::String(text) if text.contains('\0') => {
            at.fault::<()>("holds a NUL character; remove it");
        }
        Value::Array(_) => at
            .array_within(usize::MAX)
            .into_iter()
            .flatten()
            .for_each(|item| refuse(&item)),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                at.fault::<()>("has a key with a NUL character; remove it");
            }
            if let Some(object) = at.object() {
                object.members().for_each(|(_, member)| refuse(&member));
            }
        }
        _ => {}
    }
}
