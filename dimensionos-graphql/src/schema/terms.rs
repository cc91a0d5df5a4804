use async_graphql::SimpleObject;
use dimensionos_core::Timestamp;
use dimensionos_core::users::{self, Terms};

use crate::schema::DateTime;

/// A version of the terms of service.
#[derive(Debug, SimpleObject)]
pub struct TermsVersion {
    /// What it is called.
    version: String,
    /// When it comes into force; from then on it has to be accepted.
    effective_at: DateTime,
}

impl From<&users::TermsVersion> for TermsVersion {
    fn from(version: &users::TermsVersion) -> Self {
        Self { version: version.name.to_string(), effective_at: version.effective_at.into() }
    }
}

/// Which terms an account has accepted, and which it has to.
#[derive(Debug, SimpleObject)]
pub struct AccountTerms {
    /// The version it accepted last.
    accepted_version: Option<String>,
    /// When.
    accepted_at: Option<DateTime>,
    /// The version in force.
    current: TermsVersion,
    /// The next version, once it is announced. It may be accepted before its date.
    upcoming: Option<TermsVersion>,
    /// Whether the version in force has still to be accepted. Until then only status, export, erasure and logout work.
    due: bool,
}

impl AccountTerms {
    pub(crate) fn new(accepted: Option<&users::TermsAcceptance>, terms: &Terms, now: Timestamp) -> Self {
        Self {
            accepted_version: accepted.map(|accepted| accepted.version.to_string()),
            accepted_at: accepted.map(|accepted| accepted.accepted_at.into()),
            current: terms.current(now).into(),
            upcoming: terms.upcoming(now).map(TermsVersion::from),
            due: !terms.are_met_by(accepted, now),
        }
    }
}
