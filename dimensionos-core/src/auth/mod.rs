//! Signing in, staying signed in, and signing out.

mod access_key;
mod credentials;
mod hashing;
mod keys;
mod password;
mod proof;
mod recovery;
mod secrets;
mod service;
mod session;
mod sign_in;
mod sign_out;
mod tally;
mod throttle;
mod token;
mod visit;

pub use access_key::{AccessKey, KeyName, NewAccessKey, Role};
pub use credentials::Recovery;
pub(crate) use credentials::{held, set_codes};
pub(crate) use hashing::Passwords;
pub use hashing::{HashCost, HashingLimits};
pub use keys::{BillingKey, BillingPublicKey, InvalidKey, KeyId, Keys, Pepper, SigningKey, TombstoneKey, VoucherKey};
pub use password::{MAX_BYTES as MAX_PASSWORD_BYTES, MIN_CHARACTERS as MIN_PASSWORD_CHARACTERS};
pub use password::{Password, PasswordHash, PasswordRule};
pub(crate) use proof::Guess;
pub use proof::{Challenge, Proof};
pub use recovery::{RECOVERY_CODES, RecoveryCode};
pub(crate) use secrets::Secrets;
pub use service::{Auth, SignedIn};
pub(crate) use session::NewTokens;
pub use session::{RefreshRecord, Session, TokenPair};
pub use sign_in::SignIn;
pub(crate) use throttle::{Attempt, Guesser, Throttle};
pub use throttle::{GuessLimits, Source};
pub(crate) use token::TokenMint;
pub use token::{Audience, Issuer, JsonWebKey, ServiceToken};
