//! What is left of an erased account: enough to refuse a second trial, and good for nothing else.

use std::time::Duration;

use crate::auth::{Keys, TombstoneKey};
use crate::time::Timestamp;
use crate::users::{AnonymousId, Identity};

/// How long a tombstone stays: nobody registers anew each year for a month for free, and after that nothing is known.
pub const TOMBSTONE_LIFETIME: Duration = Duration::from_hours(365 * 24);

const LABEL: &[u8] = b"dimensionos/tombstone/v1";

/// A keyed tag of an erased account's tag, under a key of its own. Without that key it matches nothing, and with it it
/// answers one question: did whoever registers under this identity have a trial?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The tag.
    pub tag: [u8; 32],
    /// When it is forgotten: on a midnight, so that it does not tell when the account was erased.
    pub until: Timestamp,
}

impl Tombstone {
    /// What remains of an account that is erased now.
    pub(crate) fn of(account: &AnonymousId, keys: &Keys, now: Timestamp) -> Self {
        let until = now.after(TOMBSTONE_LIFETIME).start_of_day();
        Self { tag: tag(keys.first_tombstone_key(), account), until }
    }

    /// The tags that whoever has this identity may have left behind.
    pub(crate) fn tags(identity: &Identity, keys: &Keys) -> Vec<[u8; 32]> {
        let identities = keys.tags(identity);
        let each = |key: &TombstoneKey| identities.iter().map(|own| tag(key, own)).collect::<Vec<_>>();
        keys.tombstone_keys().iter().flat_map(each).collect()
    }
}

fn tag(key: &TombstoneKey, account: &AnonymousId) -> [u8; 32] {
    key.tag(LABEL, account.as_bytes())
}
