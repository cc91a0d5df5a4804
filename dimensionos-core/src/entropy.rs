//! Chance, and where it comes from.

use std::fmt;

/// The source of chance failed; nothing secret can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source of randomness failed")]
pub struct EntropyError;

/// Where unpredictable bytes come from. Everything secret (ids, tokens, salts) is made from it.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with bytes nobody can predict.
    ///
    /// # Errors
    /// [`EntropyError`] where the source fails; what `bytes` then holds must not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for random bytes")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}

/// So many unpredictable bytes.
pub(crate) fn bytes<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
