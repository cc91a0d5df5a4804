//! Whether an account is in good standing, and since when.

pub mod lifecycle;

pub use lifecycle::{ServiceStatus, Standing, StatusReason, Trial};
