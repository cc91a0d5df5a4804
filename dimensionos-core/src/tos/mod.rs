//! Enforcement of the terms of service by numbers alone.
//!
//! Detectors take counts and raise [`Flag`]s; a policy decides what follows from them; sanctions act. No part of it sees
//! content, a name or an address.

pub mod detectors;
mod flag;
mod latch;
mod rule;
mod signal;

pub use flag::{Counterfactual, Exit, Figure, Finding, Flag, MAX_SUPPORTING};
pub use latch::{LEAVE_AT, Latch, RAISE_AGAIN_AT, Turn};
pub use rule::{Rule, Severity, ViolationKind};
pub use signal::{Signal, Signals};
