//! Accounts, and the tags they are known by.

mod account;
mod directory;
mod events;
mod export;
pub mod identity;
mod listing;
mod service;
mod status;
mod subject;
mod terms;

pub use account::Account;
pub(crate) use directory::{Directory, Entry};
pub use events::AccountEvent;
pub(crate) use events::Events;
pub use export::Export;
pub use identity::{AccountNumber, AnonymousId, EmailDigest, Identity};
pub use listing::{AccountFilter, AccountPage, AccountPlace, MAX_ACCOUNT_PAGE, MAX_LOOKED_AT};
pub use service::{Registered, Registration, Users};
pub use status::{OperatorStatus, StatusNote};
pub use subject::SealedSeed;
pub(crate) use subject::SubjectSeed;
pub use terms::{Terms, TermsAcceptance, TermsName, TermsVersion};
