use std::fmt;

use crate::allocation::TierName;
use crate::auth::KeyId;
use crate::id::AccountId;
use crate::time::Timestamp;
use crate::users::{AnonymousId, OperatorStatus, TermsAcceptance};

/// What is kept of an account: no address, no name, nothing that leads to a person without the pepper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its random id.
    pub id: AccountId,
    /// The keyed tag of the identity it signs in with.
    pub anonymous_id: AnonymousId,
    /// The pepper the tag was made under.
    pub pepper: KeyId,
    /// What it is allotted by.
    pub tier: TierName,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its trial began; it ends [`TRIAL`](crate::payment::lifecycle::TRIAL) later.
    pub trial_started_at: Timestamp,
    /// Raised to end every token made before; compared on each use of one.
    pub epoch: u64,
    /// What an operator decided about it, apart from what its payments say.
    pub operator_status: Option<OperatorStatus>,
    /// The terms it accepted last.
    pub terms: Option<TermsAcceptance>,
    /// What its names at other services are made from; absent until the first is asked for.
    pub subject_seed: Option<SubjectSeed>,
}

/// 256 random bits of an account, from which its name at each service is made: whoever has two of the names cannot tell
/// that they are one account's.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectSeed([u8; 32]);

impl SubjectSeed {
    /// The seed of those bytes, as a store holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store to hold.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SubjectSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectSeed")
    }
}
