use rand_core::{TryCryptoRng, TryRngCore};

use crate::entropy::{Entropy, EntropyError};

/// Fills that one scalar may take. One in sixteen is a scalar, so honest chance needs more with probability 2^-190; a
/// source that repeats itself would be asked for ever.
const MOST_FILLS: u16 = 2_048;

/// Lets `voprf` draw one scalar from an [`Entropy`].
pub(super) struct Chance<'a> {
    entropy: &'a dyn Entropy,
    fills_left: u16,
}

impl<'a> Chance<'a> {
    pub(super) fn new(entropy: &'a dyn Entropy) -> Self {
        Self { entropy, fills_left: MOST_FILLS }
    }

    fn draw<const N: usize>(&mut self) -> Result<[u8; N], EntropyError> {
        let mut bytes = [0; N];
        self.try_fill_bytes(&mut bytes)?;
        Ok(bytes)
    }
}

impl TryRngCore for Chance<'_> {
    type Error = EntropyError;

    fn try_next_u32(&mut self) -> Result<u32, EntropyError> {
        self.draw().map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, EntropyError> {
        self.draw().map(u64::from_le_bytes)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.fills_left = self.fills_left.checked_sub(1).ok_or(EntropyError)?;
        self.entropy.fill(bytes)
    }
}

impl TryCryptoRng for Chance<'_> {}
