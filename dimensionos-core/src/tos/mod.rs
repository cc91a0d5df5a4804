//! Enforcement of the terms of service by numbers alone.
//!
//! Three parts that know nothing of one another: detectors take counts and raise [`Flag`]s; a policy, which is data,
//! decides what follows from them; sanctions act, each with its statement of reasons, an end, and a way to contest it. No
//! part of it sees content, a name or an address.

mod complaint;
mod complaints;
pub mod detectors;
mod enforcement;
mod flag;
mod latch;
pub(crate) mod policies;
mod records;
mod rule;
mod sanction;
pub(crate) mod sentinel;
mod service;
mod signal;
mod statement;
mod violation;

pub use complaint::{
    Complaint, ComplaintState, InvalidDigest, MAX_UNFOUNDED, NoticeElement, PaperDigest, RESTORE_AFTER, RESTORE_BY,
    is_abusive, is_business_day,
};
pub use complaints::{NOTICE_WINDOW, NewComplaint};
pub use enforcement::{
    Decision, EnforcementPolicy, Grounds, INCIDENT, InvalidPolicy, MAX_AUTOMATED_SUSPENSION_HOURS, MAX_HOURS,
    MAX_POLICY_BYTES, MAX_STEPS, STRIKE, Step, furthest,
};
pub use flag::{Counterfactual, Exit, Figure, Finding, Flag, MAX_SUPPORTING};
pub use latch::{LEAVE_AT, Latch, RAISE_AGAIN_AT, Turn};
pub use policies::{Replay, SMALLEST_GROUP, TransparencyLine};
pub use records::{PolicyMode, PolicyRecord, ViolationCount, ViolationFilter, ViolationPlace};
pub use rule::{Rule, Severity, ViolationKind};
pub use sanction::{APPEAL_PATIENCE, Restriction, Sanction, THROTTLE_PART};
pub(crate) use sanction::{last_ended, strictest, throttled};
pub use service::{MAX_PAGE, MAX_PENDING_APPEALS, Tos};
pub use signal::{Signal, Signals};
pub use statement::{REDRESS, StatementOfReasons};
pub use violation::{
    Appeal, AppealGround, AppealState, AppealVerdict, Author, Imposed, MAX_SEALED_BYTES, NOTICE_TIME, NotSealed,
    SealedText, Shadow, VIOLATION_RETENTION, Violation, ViolationState,
};
