//! What each tier grants, and whether an account may use more of it.

pub(crate) mod accounting;
mod book;
mod hold;
mod limits;
mod quota;
pub(crate) mod service;
mod tier;

pub use hold::{ConsumeKey, Hold, KeyedDecision, MAX_KEY_BYTES, MAX_RESERVATION, Reservation};
pub(crate) use limits::Limits;
pub use limits::{Enforcement, LimitOverride, MAX_HOURLY_LIMIT};
pub use quota::{Decision, Resource};
pub use service::Allocations;
pub use tier::{Allocation, DatabaseEngine, TierName, UnknownName};
