//! Prepaid time that nobody can link to whoever bought it.
//!
//! A buyer blinds random nonces, the server evaluates them against one attestation without seeing them, and whoever
//! holds what comes out redeems it later, for any account. It is RFC 9497 in its verifiable mode over ristretto255: the
//! proof beside every evaluation says that the key was the published one, which is the same for everybody, so that no
//! buyer is marked by a key of its own. What the server is shown at the two ends has no byte in common but what is
//! public: the epoch, the denomination and that key. What one who runs all of it can still infer is in `PRIVACY.md`.
//!
//! The server's side is [`IssuingKey`]; the buyer's is `Order`, behind the feature `voucher-client`.

mod chance;
#[cfg(feature = "voucher-client")]
mod client;
mod denomination;
mod element;
mod epoch;
mod issuer;
mod ring;
mod service;
mod token;

#[cfg(feature = "voucher-client")]
pub use client::{InvalidOrder, IssueRefused, Order};
pub use denomination::{Denomination, InvalidDenomination, MAX_DAYS};
pub use element::{Blinded, Evaluated, InvalidElement, IssueProof, MAX_VOUCHERS, PublicKey};
pub use epoch::{Epoch, REDEEMABLE_EPOCHS};
pub use issuer::{Issue, IssuingKey, PublishedKey};
pub(crate) use ring::KeyRing;
pub use token::{InvalidVoucher, Nullifier, Voucher};

#[cfg(test)]
mod tests;
