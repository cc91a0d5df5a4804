use crate::allocation::TierName;
use crate::auth::KeyId;
use crate::id::AccountId;
use crate::time::Timestamp;
use crate::users::AnonymousId;

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
}
