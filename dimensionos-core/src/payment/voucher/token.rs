use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::payment::voucher::denomination::DENOMINATION_BYTES;
use crate::payment::voucher::{Denomination, Epoch};

/// Random bytes that a voucher is made of.
pub(super) const NONCE_BYTES: usize = 32;

/// Bytes of the function's output that a voucher carries. It has 64; half of them cannot be guessed either, and make a
/// text that still fits where a long password does.
pub(super) const OUTPUT_BYTES: usize = 32;

const PREFIX: &str = "dimv_";
const VERSION: u8 = 1;
const BYTES: usize = 1 + 2 + DENOMINATION_BYTES + NONCE_BYTES + OUTPUT_BYTES;
const NULLIFIER_LABEL: &[u8] = b"dimensionos/voucher-nullifier/v1";

/// Prepaid time, for whoever holds the text: `dimv_` and then, in base64url, a version, the epoch, the denomination,
/// the nonce and what the server's function makes of it.
#[derive(Clone)]
pub struct Voucher {
    epoch: Epoch,
    denomination: Denomination,
    nonce: Zeroizing<[u8; NONCE_BYTES]>,
    output: Zeroizing<[u8; OUTPUT_BYTES]>,
}

/// A text that is no voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a voucher, which is dimv_ and 94 letters, digits, hyphens or underscores")]
pub struct InvalidVoucher;

impl Voucher {
    #[cfg(any(test, feature = "voucher-client"))]
    pub(super) fn new(
        (epoch, denomination): (Epoch, Denomination),
        nonce: Zeroizing<[u8; NONCE_BYTES]>,
        output: Zeroizing<[u8; OUTPUT_BYTES]>,
    ) -> Self {
        Self { epoch, denomination, nonce, output }
    }

    /// When it was bought, as closely as it says.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What it is worth.
    #[must_use]
    pub const fn denomination(&self) -> Denomination {
        self.denomination
    }

    pub(super) fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce
    }

    pub(super) fn output(&self) -> &[u8; OUTPUT_BYTES] {
        &self.output
    }

    /// What is stored once it is spent.
    #[must_use]
    pub fn nullifier(&self) -> Nullifier {
        let digest = Sha256::new().chain_update(NULLIFIER_LABEL).chain_update([0]);
        let digest = digest.chain_update(self.epoch.number().to_be_bytes()).chain_update(self.denomination.to_bytes());
        Nullifier(digest.chain_update(self.nonce.as_slice()).finalize().into())
    }

    /// The voucher in clear: whoever reads it can spend it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.push(VERSION);
        bytes.extend(self.epoch.number().to_be_bytes());
        bytes.extend(self.denomination.to_bytes());
        bytes.extend(self.nonce.iter().chain(self.output.iter()));
        let digits = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Zeroizing::new([PREFIX, &digits].concat())
    }
}

impl FromStr for Voucher {
    type Err = InvalidVoucher;

    fn from_str(text: &str) -> Result<Self, InvalidVoucher> {
        let digits = text.strip_prefix(PREFIX).ok_or(InvalidVoucher)?;
        // Longer ones are not even looked at.
        if digits.len() != (BYTES * 4).div_ceil(3) {
            return Err(InvalidVoucher);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(digits).map_err(|_| InvalidVoucher)?);
        let ([VERSION], rest) = take(&bytes)? else { return Err(InvalidVoucher) };
        let (epoch, rest) = take(rest)?;
        let (denomination, rest) = take(rest)?;
        let (nonce, rest) = take(rest)?;
        let (output, _) = take(rest)?;
        Ok(Self {
            epoch: Epoch::from_number(u16::from_be_bytes(*epoch)),
            denomination: Denomination::from_bytes(*denomination).map_err(|_| InvalidVoucher)?,
            nonce: Zeroizing::new(*nonce),
            output: Zeroizing::new(*output),
        })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), InvalidVoucher> {
    bytes.split_first_chunk().ok_or(InvalidVoucher)
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Voucher")
    }
}

/// What is stored of a voucher once it is spent: a digest of its nonce, which nobody was shown before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nullifier([u8; 32]);

impl Nullifier {
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

impl fmt::Debug for Nullifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nullifier")
    }
}
