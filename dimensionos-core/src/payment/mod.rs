//! Whether an account is in good standing, and since when: what was paid for, and what time does where nothing was.

mod announce;
mod attestation;
pub(crate) mod job;
pub mod lifecycle;
mod paid;
mod service;
mod status;
mod tier_change;
mod tombstone;
pub mod voucher;

pub use announce::{Notice, Told};
pub(crate) use attestation::Trust;
pub use attestation::{Attestation, Attester, BillingIssuer, Grant, SpentAttestation};
pub use lifecycle::{LapsePeriods, LapseStep, Lifecycle, NextStep, PaymentState, Trial};
pub use paid::Paid;
pub use service::Payments;
pub use status::{PaymentStatus, ServiceStatus, Standing, StatusReason};
pub use tombstone::{TOMBSTONE_LIFETIME, Tombstone};
