//! For tests of this crate and of whatever is built on it: a clock that is set by hand, and the cases that every
//! [`Store`](crate::store::Store) has to pass.

mod clock;
pub mod conformance;

pub use clock::FixedClock;
