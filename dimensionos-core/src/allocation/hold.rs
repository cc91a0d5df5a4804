//! What is granted of a quota and not used yet, and what was decided under a key.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::Error;
use crate::allocation::{Decision, Resource};
use crate::id::{AccountId, HoldId};
use crate::secret::SecretDigest;
use crate::time::Timestamp;

/// The longest that a reservation may wait to be committed: a day, as the longest of jobs.
pub const MAX_RESERVATION: Duration = Duration::from_hours(24);
/// How long what was granted of a level counts beside its readings: until a reading shows it, which agents report every
/// second and the slowest of them every few minutes.
pub(crate) const LEVEL_HOLD: Duration = Duration::from_secs(300);
/// How long a decision is remembered under its key: a client that was cut off tries again within a day.
pub(crate) const KEY_RETENTION: Duration = Duration::from_hours(24);
/// Bytes of a key.
pub const MAX_KEY_BYTES: usize = 256;

/// Units of a resource that count as used until they are, or until it expires: a reservation, or what a process may use
/// without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Names it.
    pub id: HoldId,
    /// Whose quota it is of.
    pub account: AccountId,
    /// Of what.
    pub resource: Resource,
    /// How many units are left in it.
    pub amount: u64,
    /// From when on it counts no more.
    pub expires_at: Timestamp,
}

/// A quota that is set aside: [`commit`](crate::allocation::Allocations::commit) what of it was used, or
/// [`release`](crate::allocation::Allocations::release) it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Names it.
    pub id: HoldId,
    /// What was decided. Where that is no, nothing is set aside.
    pub decision: Decision,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What a caller calls one use of a quota, so that trying again counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeKey(String);

impl ConsumeKey {
    /// Takes a key of 1 to [`MAX_KEY_BYTES`] bytes.
    ///
    /// # Errors
    /// `InvalidInput` for any other.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > MAX_KEY_BYTES {
            return Err(Error::invalid("key", format!("not from 1 to {MAX_KEY_BYTES} bytes")));
        }
        Ok(Self(text.to_owned()))
    }

    /// What the storage knows it by, which tells nothing of what a caller may have put in it.
    pub(crate) fn digest(&self, account: AccountId) -> SecretDigest {
        let digest = Sha256::new()
            .chain_update(b"dimensionos/consume-key/v1\0")
            .chain_update(account.bits().to_be_bytes())
            .chain_update(self.0.as_bytes());
        SecretDigest::from_bytes(digest.finalize().into())
    }
}

/// What was decided under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedDecision {
    /// The key, as the storage knows it.
    pub key: SecretDigest,
    /// Whose quota.
    pub account: AccountId,
    /// How much was asked for.
    pub amount: u64,
    /// What was decided.
    pub decision: Decision,
    /// Until when it is remembered.
    pub expires_at: Timestamp,
}
