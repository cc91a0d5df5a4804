//! For tests of this crate and of whatever is built on it: a clock that is set by hand, a storage whose commits break,
//! and the cases that every [`Store`](crate::store::Store) has to pass.

mod breaking;
mod clock;
pub mod conformance;

pub use breaking::{Break, BreakingStore};
pub use clock::FixedClock;
