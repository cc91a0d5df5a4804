//! What buyer and server send each other: points of the group, the proof, and the public key. All of it is public.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use voprf::{BlindedElement, EvaluationElement, Proof, Ristretto255};

use crate::payment::voucher::{Denomination, Epoch};

/// Vouchers that one attestation buys at most: some eight years of months, and some ten milliseconds of a core.
pub const MAX_VOUCHERS: usize = 100;

const REQUEST_LABEL: &[u8] = b"dimensionos/voucher-request/v1";

/// A text that is no point of the group, no proof or no key; or none or too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 1 to 100 elements of ristretto255 in base64url")]
pub struct InvalidElement;

macro_rules! elements {
    ($(#[doc = $doc:literal])+ $name:ident, $element:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone)]
        pub struct $name {
            pub(super) points: Vec<$element<Ristretto255>>,
            /// The same as they are sent: a point takes as long to be written as to be read.
            bytes: Vec<[u8; 32]>,
        }

        impl $name {
            /// Reads them, each in base64url.
            ///
            /// # Errors
            /// [`InvalidElement`] where one is no point of the group, or the neutral one, which every key leaves as it
            /// is; for none of them, and for more than [`MAX_VOUCHERS`].
            pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, InvalidElement> {
                if texts.is_empty() || texts.len() > MAX_VOUCHERS {
                    return Err(InvalidElement);
                }
                let read = texts.iter().map(|text| {
                    let bytes = decode::<32>(text.as_ref())?;
                    let point = $element::deserialize(&bytes).map_err(|_| InvalidElement)?;
                    Ok((point, bytes))
                });
                let (points, bytes) = read.collect::<Result<_, _>>()?;
                Ok(Self { points, bytes })
            }

            /// How many there are; never none.
            #[must_use]
            pub fn count(&self) -> usize {
                self.points.len()
            }

            /// Each in base64url.
            #[must_use]
            pub fn texts(&self) -> Vec<String> {
                self.bytes.iter().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).collect()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

elements! {
    /// Nonces as the server is shown them: multiplied by numbers that only the buyer knows, so that any nonce could be
    /// behind any of them.
    Blinded, BlindedElement
}
elements! {
    /// The same, multiplied by the server's key.
    Evaluated, EvaluationElement
}

impl Blinded {
    #[cfg(any(test, feature = "voucher-client"))]
    pub(super) fn new(points: Vec<BlindedElement<Ristretto255>>) -> Self {
        let bytes = points.iter().map(|point| point.serialize().into()).collect();
        Self { points, bytes }
    }

    /// What is kept of a request: whether one that comes again is the same. It names the epoch that the request was met
    /// in, so that one that comes again in the next epoch is met under the first key, and not under two.
    #[must_use]
    pub fn digest(&self, epoch: Epoch, denomination: Denomination) -> [u8; 32] {
        let digest = Sha256::new().chain_update(REQUEST_LABEL).chain_update([0]);
        let digest = digest.chain_update(epoch.number().to_be_bytes()).chain_update(denomination.to_bytes());
        self.bytes.iter().fold(digest, Sha256::chain_update).finalize().into()
    }
}

impl Evaluated {
    pub(super) fn new(points: Vec<EvaluationElement<Ristretto255>>) -> Self {
        let bytes = points.iter().map(|point| point.serialize().into()).collect();
        Self { points, bytes }
    }
}

/// The proof that all elements of one answer were evaluated under the key that goes with a public key.
#[derive(Clone)]
pub struct IssueProof(pub(super) Proof<Ristretto255>);

impl FromStr for IssueProof {
    type Err = InvalidElement;

    fn from_str(text: &str) -> Result<Self, InvalidElement> {
        Proof::deserialize(&decode::<64>(text)?).map(Self).map_err(|_| InvalidElement)
    }
}

impl fmt::Display for IssueProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.serialize()))
    }
}

impl fmt::Debug for IssueProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssueProof")
    }
}

/// The public key of an epoch and denomination.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The one of those bytes, as a store holds them.
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

impl FromStr for PublicKey {
    type Err = InvalidElement;

    fn from_str(text: &str) -> Result<Self, InvalidElement> {
        decode(text).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], InvalidElement> {
    // Longer ones are not even looked at.
    if text.len() != (N * 4).div_ceil(3) {
        return Err(InvalidElement);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidElement)?;
    bytes.try_into().map_err(|_| InvalidElement)
}
