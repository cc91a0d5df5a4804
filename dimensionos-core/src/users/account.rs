use crate::allocation::TierName;
use crate::auth::{KeyId, Keys};
use crate::id::AccountId;
use crate::payment::{Paid, Told};
use crate::time::Timestamp;
use crate::tos::Restriction;
use crate::users::{AnonymousId, Identity, OperatorStatus, SealedSeed, TermsAcceptance};

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
    /// When its trial began.
    pub trial_started_at: Timestamp,
    /// When its trial ends; where it has none, when it was registered.
    pub trial_ends_at: Timestamp,
    /// Until when each tier is paid for.
    pub paid: Paid,
    /// When its holder cancelled it.
    pub cancelled_at: Option<Timestamp>,
    /// Since when it is active, or was last: since it was registered, or somebody lifted what was in its way.
    pub active_since: Timestamp,
    /// What its listeners were told last.
    pub told: Told,
    /// Raised to end every token made before; compared on each use of one.
    pub epoch: u64,
    /// What an operator decided about it, apart from what its payments say.
    pub operator_status: Option<OperatorStatus>,
    /// What breaches of the terms restrict it to; ended ones stay until the next is written.
    pub restrictions: Vec<Restriction>,
    /// The terms it accepted last.
    pub terms: Option<TermsAcceptance>,
    /// What its names at other services are made from; absent until the first is asked for.
    pub subject_seed: Option<SealedSeed>,
}

impl Account {
    /// One on the FREE tier that was registered then, without a trial and under no terms yet.
    #[must_use]
    pub fn new(id: AccountId, anonymous_id: AnonymousId, pepper: KeyId, now: Timestamp) -> Self {
        Self {
            id,
            anonymous_id,
            pepper,
            tier: TierName::Free,
            created_at: now,
            trial_started_at: now,
            trial_ends_at: now,
            paid: Paid::default(),
            cancelled_at: None,
            active_since: now,
            told: Told::nothing(now),
            epoch: 0,
            operator_status: None,
            restrictions: Vec::new(),
            terms: None,
            subject_seed: None,
        }
    }

    /// Brings an account that has just proved who it is under the first pepper. Keys that do not know its present one are
    /// older than it, and move nothing.
    pub(crate) fn move_under(&mut self, identity: &Identity, keys: &Keys) {
        let first = keys.first_pepper();
        let Some(before) = keys.pepper(self.pepper).filter(|before| before.id() != first.id()) else { return };
        let seed = self.subject_seed.map(|sealed| sealed.open(before, self.id));
        self.subject_seed = seed.map(|seed| SealedSeed::seal(&seed, first, self.id));
        self.anonymous_id = identity.anonymous_id(first);
        self.pepper = first.id();
    }
}
