//! The secrets of a deployment: the pepper that keys every tag, the key that signs tokens, and the one of vouchers.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Error;
use crate::entropy::{self, Entropy, EntropyError};
use crate::users::identity::parse_hex;
use crate::users::{AnonymousId, Identity};

/// Names a key without giving it away: the first 64 bits of a digest of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl KeyId {
    fn of(label: &[u8], key: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::new().chain_update(label).chain_update([0]).chain_update(key).finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// The id of those 64 bits, as a store holds them.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits, for a store to hold.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hex digits (32 random bytes)")]
pub struct InvalidKey;

macro_rules! key {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; 32]>);

        impl $name {
            /// A new random one.
            ///
            /// # Errors
            /// [`EntropyError`] where the source of chance fails.
            pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
                entropy::bytes(entropy).map(Self::from_bytes)
            }

            /// The one of those bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Zeroizing::new(bytes))
            }

            /// The key in clear as 64 hex digits: for the file or setting it is kept in.
            #[must_use]
            pub fn expose(&self) -> Zeroizing<String> {
                use std::fmt::Write;
                let mut text = String::with_capacity(64);
                for byte in self.0.iter() {
                    // Writing to a String of enough capacity cannot fail.
                    let _ = write!(text, "{byte:02x}");
                }
                Zeroizing::new(text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidKey;

            fn from_str(text: &str) -> Result<Self, InvalidKey> {
                parse_hex(text).map(Self::from_bytes).ok_or(InvalidKey)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

key! {
    /// The key of every tag and of every password's first step. It is kept outside the database: without it, a stolen
    /// database says nothing about who the accounts are.
    Pepper
}
key! {
    /// The seed of the Ed25519 key that signs access tokens.
    SigningKey
}
key! {
    /// What the keys of vouchers are derived from. Whoever has it can make vouchers, and cannot tell whose they are.
    VoucherKey
}

impl VoucherKey {
    /// The one of a deployment that was given none: made from its pepper, and of no use without it.
    fn derived(pepper: &Pepper) -> Self {
        Self::from_bytes(pepper.tag(b"dimensionos/voucher-secret/v1", b""))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

key! {
    /// The key of what is left of erased accounts. Destroying it forgets them all.
    TombstoneKey
}
key! {
    /// The seed of the Ed25519 key that attests payments. Only the billing system has it.
    BillingKey
}

/// The public half of a [`BillingKey`]: whose attestations a deployment believes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BillingPublicKey([u8; 32]);

impl BillingPublicKey {
    /// The key of those bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for BillingPublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        parse_hex(text).map(Self).ok_or(InvalidKey)
    }
}

impl fmt::Display for BillingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BillingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BillingKey {
    pub(crate) fn seed(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl TombstoneKey {
    /// The one of a deployment that was given none: made from its pepper, and of no use without it.
    fn derived(pepper: &Pepper) -> Self {
        Self::from_bytes(pepper.tag(b"dimensionos/tombstone-key/v1", b""))
    }

    /// HMAC-SHA-256 over a label, a zero byte and a message.
    pub(crate) fn tag(&self, label: &[u8], message: &[u8]) -> [u8; 32] {
        Pepper(self.0.clone()).tag(label, message)
    }
}

impl Pepper {
    /// Its name, to store beside what was made under it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(b"dimensionos/pepper-id/v1", self.0.as_slice())
    }

    /// HMAC-SHA-256 over a label, a zero byte and a message.
    pub(crate) fn tag(&self, label: &[u8], message: &[u8]) -> [u8; 32] {
        let mut mac = self.mac();
        mac.update(label);
        mac.update(&[0]);
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether a tag is the one of that label and message, in a time that says nothing about it.
    pub(crate) fn verify(&self, label: &[u8], message: &[u8], tag: &[u8]) -> bool {
        let mut mac = self.mac();
        mac.update(label);
        mac.update(&[0]);
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.as_slice()).expect("HMAC takes a key of any length")
    }
}

impl SigningKey {
    /// The key pair as PKCS #8 with its public key, and the public key alone.
    pub(crate) fn pair(&self) -> Result<(Zeroizing<Vec<u8>>, [u8; 32]), InvalidKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.0.as_slice()).map_err(|_| InvalidKey)?;
        let document = pair.to_pkcs8().map_err(|_| InvalidKey)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| InvalidKey)?;
        Ok((Zeroizing::new(document.as_ref().to_vec()), public))
    }
}

/// The secrets of a deployment. Of each list the first makes, and all verify: put a new key first, and drop the old one
/// when nothing of it is left.
#[derive(Debug, Clone)]
pub struct Keys {
    peppers: Vec<Pepper>,
    pub(crate) signing: Vec<SigningKey>,
    tombstones: Vec<TombstoneKey>,
    vouchers: Vec<VoucherKey>,
    billing: Vec<BillingPublicKey>,
}

impl Keys {
    /// Keys that were kept from before.
    ///
    /// # Errors
    /// `InvalidInput` where either list is empty.
    pub fn new(peppers: Vec<Pepper>, signing: Vec<SigningKey>) -> Result<Self, Error> {
        if peppers.is_empty() {
            return Err(Error::invalid("pepper", "at least one is needed"));
        }
        if signing.is_empty() {
            return Err(Error::invalid("signingKey", "at least one is needed"));
        }
        let tombstones = peppers.iter().map(TombstoneKey::derived).collect();
        let vouchers = peppers.iter().map(VoucherKey::derived).collect();
        Ok(Self { peppers, signing, tombstones, vouchers, billing: Vec::new() })
    }

    /// With those whose attestations of payments are believed; otherwise nobody's are.
    #[must_use]
    pub fn with_billing(mut self, keys: Vec<BillingPublicKey>) -> Self {
        self.billing = keys;
        self
    }

    /// With keys of their own for what is left of erased accounts; otherwise the peppers make them.
    #[must_use]
    pub fn with_tombstones(mut self, keys: Vec<TombstoneKey>) -> Self {
        if !keys.is_empty() {
            self.tombstones = keys;
        }
        self
    }

    /// With keys of their own for vouchers; otherwise the peppers make them. A key has to stay for as long as vouchers are
    /// good that were made with it: two years and a quarter.
    #[must_use]
    pub fn with_vouchers(mut self, keys: Vec<VoucherKey>) -> Self {
        if !keys.is_empty() {
            self.vouchers = keys;
        }
        self
    }

    /// One new random key of each kind. Keep them wherever the accounts are to outlive the program: under another
    /// pepper nobody can sign in.
    ///
    /// # Errors
    /// [`EntropyError`] where the source of chance fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let pepper = Pepper::generate(entropy)?;
        let (tombstones, vouchers) = (vec![TombstoneKey::derived(&pepper)], vec![VoucherKey::derived(&pepper)]);
        Ok(Self {
            peppers: vec![pepper],
            signing: vec![SigningKey::generate(entropy)?],
            tombstones,
            vouchers,
            billing: Vec::new(),
        })
    }

    /// The pepper that new tags are made under.
    pub(crate) fn first_pepper(&self) -> &Pepper {
        // Both constructors put at least one there.
        &self.peppers[0]
    }

    /// The key that new tombstones are made under.
    pub(crate) fn first_tombstone_key(&self) -> &TombstoneKey {
        // Every constructor puts at least one there.
        &self.tombstones[0]
    }

    pub(crate) fn voucher_keys(&self) -> &[VoucherKey] {
        &self.vouchers
    }

    pub(crate) fn billing(&self) -> &[BillingPublicKey] {
        &self.billing
    }

    pub(crate) fn tombstone_keys(&self) -> &[TombstoneKey] {
        &self.tombstones
    }

    pub(crate) fn pepper(&self, id: KeyId) -> Option<&Pepper> {
        self.peppers.iter().find(|pepper| pepper.id() == id)
    }

    /// The tags of an identity under every pepper, the newest first.
    pub(crate) fn tags(&self, identity: &Identity) -> Vec<AnonymousId> {
        self.peppers.iter().map(|pepper| identity.anonymous_id(pepper)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn a_key_reads_back_and_prints_only_its_name() {
        let pepper = Pepper::generate(&OsEntropy).unwrap();
        let again: Pepper = pepper.expose().parse().unwrap();
        assert_eq!(again.id(), pepper.id());
        assert_eq!(format!("{pepper:?}"), "Pepper");
        assert!("00".parse::<SigningKey>().is_err());
    }

    #[test]
    fn an_empty_list_of_keys_is_refused() {
        let signing = SigningKey::from_bytes([1; 32]);
        assert!(Keys::new(vec![], vec![signing]).is_err());
        assert!(Keys::new(vec![Pepper::from_bytes([1; 32])], vec![]).is_err());
    }
}
