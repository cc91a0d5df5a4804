//! Signing in, staying signed in, and signing out.

mod access_key;
mod hashing;
mod keys;
mod password;
mod service;
mod session;
mod token;

pub use access_key::{AccessKey, KeyName, NewAccessKey, Role};
pub(crate) use hashing::Passwords;
pub use hashing::{HashCost, HashingLimits};
pub use keys::{InvalidKey, KeyId, Keys, Pepper, SigningKey};
pub use password::{MAX_BYTES as MAX_PASSWORD_BYTES, MIN_CHARACTERS as MIN_PASSWORD_CHARACTERS};
pub use password::{Password, PasswordHash};
pub use service::{Auth, SignedIn};
pub(crate) use session::NewTokens;
pub use session::{RefreshRecord, Session, TokenPair};
pub(crate) use token::TokenMint;
pub use token::{Audience, Issuer, JsonWebKey};
