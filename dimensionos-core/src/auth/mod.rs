//! Signing in, staying signed in, and signing out.

mod access_key;
mod hashing;
mod keys;
mod password;
mod proof;
mod recovery;
mod secrets;
mod service;
mod session;
mod throttle;
mod token;

pub use access_key::{AccessKey, KeyName, NewAccessKey, Role};
pub(crate) use hashing::Passwords;
pub use hashing::{HashCost, HashingLimits};
pub use keys::{InvalidKey, KeyId, Keys, Pepper, SigningKey};
pub use password::{MAX_BYTES as MAX_PASSWORD_BYTES, MIN_CHARACTERS as MIN_PASSWORD_CHARACTERS};
pub use password::{Password, PasswordHash, PasswordRule};
pub(crate) use proof::Guess;
pub use proof::{Challenge, Proof};
pub use recovery::{RECOVERY_CODES, RecoveryCode};
pub(crate) use secrets::Secrets;
pub(crate) use service::set_codes;
pub use service::{Auth, Recovery, SignIn, SignedIn};
pub(crate) use session::NewTokens;
pub use session::{RefreshRecord, Session, TokenPair};
pub(crate) use throttle::Throttle;
pub use throttle::{GuessLimits, Source};
pub(crate) use token::TokenMint;
pub use token::{Audience, Issuer, JsonWebKey, ServiceToken};
