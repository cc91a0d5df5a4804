//! The rows of the tables whose columns have names in code. Usage, whose columns follow the lists of levels and
//! counters, is written and read in `usage`.

pub(crate) mod access_key;
pub(crate) mod account;
pub(crate) mod account_change;
pub(crate) mod detector_state;
pub(crate) mod enforcement_policy;
pub(crate) mod job_lease;
pub(crate) mod job_run;
pub(crate) mod limit_override;
pub(crate) mod password;
pub(crate) mod quota_decision;
pub(crate) mod quota_hold;
pub(crate) mod recovery_code;
pub(crate) mod refresh_token;
pub(crate) mod session;
pub(crate) mod spent_attestation;
pub(crate) mod spent_voucher;
pub(crate) mod tier_version;
pub(crate) mod trial_tombstone;
pub(crate) mod usage_flush;
pub(crate) mod usage_source;
pub(crate) mod violation;
pub(crate) mod voucher_key;
