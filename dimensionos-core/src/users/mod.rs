//! Accounts, and the tags they are known by.

mod account;
mod directory;
pub mod identity;
mod service;

pub use account::Account;
pub(crate) use directory::Directory;
pub use identity::{AccountNumber, AnonymousId, EmailDigest, Identity};
pub use service::{Registered, Registration, Users};
