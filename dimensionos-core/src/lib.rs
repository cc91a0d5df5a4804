//! Accounts, tiers and metering for hosting platforms, without knowing people.
//!
//! A platform that runs other people's workloads needs accounts, what each tier allots, what each account uses, and
//! what it may still use. This crate does that and keeps no address, no name and no content: an account is known by a
//! keyed tag of the address it signs in with, and usage is numbers.
//!
//! ```
//! use dimensionos_core::allocation::Resource;
//! use dimensionos_core::auth::Password;
//! use dimensionos_core::monitoring::{Counter, Level, Sample};
//! use dimensionos_core::users::{Identity, Registration};
//! use dimensionos_core::{Context, MemoryStore, Platform};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), dimensionos_core::Error> {
//! let platform = Platform::builder(MemoryStore::new()).open().await?;
//!
//! // The address is tagged in memory and forgotten.
//! let identity = Some(Identity::email("ada@example.org")?);
//! let password = Password::new("violet harbour kestrel 41")?;
//! let ada = platform.users().register(&Context::anonymous(), Registration::new(identity, password)).await?.account;
//!
//! // The program meters for itself: a handle once, then a sample whenever something happens.
//! let system = Context::system();
//! let meter = platform.monitoring().meter(&system, ada.id).await?;
//! let now = platform.clock().now();
//! meter.record(&Sample::at(now).with_level(Level::StorageBytes, 9_000_000_000).with_added(Counter::ApiCalls, 1));
//!
//! // FREE has 10 GB: one more fits, two do not, and the refusal says why.
//! let one = platform.allocation().check(&system, ada.id, Resource::Storage, 1_000_000_000).await?;
//! assert!(one.is_allowed);
//! let two = platform.allocation().check(&system, ada.id, Resource::Storage, 2_000_000_000).await?;
//! assert_eq!((two.is_allowed, two.used, two.remaining()), (false, 9_000_000_000, Some(1_000_000_000)));
//! # Ok(())
//! # }
//! ```
//!
//! Everything is reached through [`Platform`]; the first argument of every call says who asks ([`Context`]); the time
//! and chance come from a [`Clock`] and an [`Entropy`] that can be replaced. [`MemoryStore`] keeps nothing beyond the
//! process; `dimensionos-store` adds SQLite and PostgreSQL, and `dimensionos-graphql` a server.

pub mod allocation;
pub mod auth;
mod context;
mod crockford;
mod entropy;
mod error;
pub mod id;
pub mod jobs;
pub mod monitoring;
mod name;
pub mod payment;
mod platform;
pub mod policy;
pub mod privacy;
pub mod replicas;
pub mod secret;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub mod tos;
pub mod users;
mod words;

pub use context::{Caller, Context, Principal, Refusal};
pub use entropy::{Entropy, EntropyError, OsEntropy};
pub use error::{Code, Error};
pub use id::{AccountId, RequestId};
pub use platform::{Platform, PlatformBuilder};
pub use store::MemoryStore;
pub use time::{Clock, InvalidTimestamp, SystemClock, Timestamp};

/// The README's code is tested with the rest.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
