use std::fmt;

use zeroize::Zeroizing;

use crate::auth::Pepper;
use crate::entropy::{self, Entropy, EntropyError};
use crate::id::AccountId;

const SEAL_LABEL: &[u8] = b"dimensionos/subject-seed/v1";

/// 256 random bits of an account, from which its name at each service is made: whoever has two of the names cannot tell
/// that they are one account's.
pub(crate) struct SubjectSeed(Zeroizing<[u8; 32]>);

impl SubjectSeed {
    pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        entropy::bytes(entropy).map(Zeroizing::new).map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
impl From<[u8; 32]> for SubjectSeed {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// A seed as it is kept: under the pepper of the account's tag, so that the database alone leads to no name at any
/// service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealedSeed([u8; 32]);

impl SealedSeed {
    /// The sealed seed of those bytes, as a store holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store to hold.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn seal(seed: &SubjectSeed, pepper: &Pepper, account: AccountId) -> Self {
        Self(*covered(seed.as_bytes(), pepper, account))
    }

    pub(crate) fn open(&self, pepper: &Pepper, account: AccountId) -> SubjectSeed {
        SubjectSeed(covered(&self.0, pepper, account))
    }
}

/// Covers or uncovers by a pad that is of one pepper and one account, and so covers one seed alone.
fn covered(bytes: &[u8; 32], pepper: &Pepper, account: AccountId) -> Zeroizing<[u8; 32]> {
    let mut pad = Zeroizing::new(pepper.tag(SEAL_LABEL, &account.bits().to_be_bytes()));
    pad.iter_mut().zip(bytes).for_each(|(pad, byte)| *pad ^= byte);
    pad
}

impl fmt::Debug for SealedSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSeed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn a_seed_opens_under_its_own_pepper_for_its_own_account_alone() {
        let seed = SubjectSeed::random(&OsEntropy).unwrap();
        let (pepper, other) = (Pepper::from_bytes([1; 32]), Pepper::from_bytes([2; 32]));
        let (ada, bob) = (AccountId::from_bits(1), AccountId::from_bits(2));
        let sealed = SealedSeed::seal(&seed, &pepper, ada);
        assert_ne!(sealed.as_bytes(), seed.as_bytes());
        assert_eq!(sealed.open(&pepper, ada).as_bytes(), seed.as_bytes());
        assert_ne!(sealed.open(&other, ada).as_bytes(), seed.as_bytes());
        assert_ne!(sealed.open(&pepper, bob).as_bytes(), seed.as_bytes());
    }
}
