use crate::auth::{Audience, InvalidKey, Issuer, Keys, TokenMint};
use crate::payment::voucher::KeyRing;

/// The keys in use, and what is made with them. Replaced whole, so that no call sees half of a change.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) keys: Keys,
    pub(crate) tokens: TokenMint,
    /// The keys of vouchers that were used since.
    pub(crate) vouchers: KeyRing,
}

impl Secrets {
    pub(crate) fn new(keys: Keys, issuer: Issuer, audience: Audience) -> Result<Self, InvalidKey> {
        let tokens = TokenMint::new(&keys, issuer, audience)?;
        Ok(Self { keys, tokens, vouchers: KeyRing::default() })
    }
}
