//! What each tier grants, and whether an account may use more of it.

mod quota;
pub(crate) mod service;
mod tier;

pub use quota::{Decision, Resource};
pub use service::Allocations;
pub use tier::{Allocation, DatabaseEngine, TierName, UnknownName};
