//! Whether an account is in good standing, and since when.

pub mod lifecycle;
pub mod voucher;

pub use lifecycle::{ServiceStatus, Standing, StatusReason, Trial};
