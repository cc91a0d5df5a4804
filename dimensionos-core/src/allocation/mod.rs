//! What each tier grants, and whether an account may use more of it.

pub(crate) mod accounting;
mod allotted;
mod book;
pub(crate) mod changes;
mod hold;
mod limits;
mod quota;
pub(crate) mod schedule;
mod service;
mod tier;
mod version;

pub use allotted::Allotted;
pub use changes::{HeavyUse, HeavyUser, MAX_LISTED_USERS, REREAD_INTERVAL, TierExcess, TierPlan};
pub use hold::{ConsumeKey, Hold, KeyedDecision, MAX_KEY_BYTES, MAX_RESERVATION, Reservation};
pub use limits::{Enforcement, LimitOverride, MAX_HOURLY_LIMIT};
pub(crate) use limits::{Limits, OwnLimits, TiersAt, limit};
pub use quota::{Decision, Resource};
pub use service::Allocations;
pub use tier::{Allocation, DatabaseEngine, TierName, UnknownName};
pub use version::{MAX_TRIAL_DAYS, TIER_NOTICE, TierChange, TierVersion, TierVersionState};
