//! What can go wrong, as facts a caller can act on.

use std::str::FromStr;
use std::time::Duration;

use crate::allocation::{Decision, TierName, UnknownName};
use crate::auth::Challenge;
use crate::entropy::EntropyError;
use crate::payment::StatusReason;
use crate::payment::voucher::{InvalidElement, InvalidVoucher};
use crate::store::StoreError;

/// Why a call was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call needs somebody to be signed in.
    #[error("sign in first")]
    Unauthenticated,
    /// The caller is known, and may not do this.
    #[error("not allowed")]
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    #[error("{what} not found")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// A value that cannot be meant.
    #[error("{field}: {reason}")]
    InvalidInput {
        /// The input's name.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Unknown account, wrong password or wrong code: which of them is never told.
    #[error("unknown account, wrong password or wrong code")]
    InvalidCredentials,
    /// The token was good and has run out.
    #[error("the token has expired")]
    TokenExpired,
    /// The token is no good: malformed, forged, revoked or of another server.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The refresh token was used before; its whole session has been ended.
    #[error("the refresh token was used before, so its session has been ended")]
    TokenReused,
    /// The call needs a password check within the last five minutes.
    #[error("check the password again first")]
    ReauthenticationRequired,
    /// The password would be guessed.
    #[error("the password is too weak")]
    WeakPassword {
        /// What would make it better.
        hint: String,
    },
    /// An account under this identity exists already.
    #[error("this identity is in use")]
    IdentityUnavailable,
    /// Too many attempts have failed. Waiting helps, and so does the same call with the challenge solved.
    #[error("too many attempts have failed")]
    RateLimited {
        /// When it goes on without a proof.
        retry_after: Duration,
        /// What it goes on with at once.
        challenge: Box<Challenge>,
    },
    /// Terms have come into force that the account has not accepted. It may see itself, export, accept, erase itself and
    /// sign out.
    #[error("the terms in force are not accepted")]
    TermsNotAccepted,
    /// More work is waiting than can be done soon.
    #[error("too much is waiting")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The account may read, export, pay, appeal and sign out, and nothing else.
    #[error("the account is read-only")]
    ServiceReadOnly {
        /// Why.
        reason: StatusReason,
    },
    /// The account may see why, export, pay, appeal and sign out, and nothing else.
    #[error("the account is suspended")]
    ServiceSuspended {
        /// Why.
        reason: StatusReason,
    },
    /// The account is closed.
    #[error("the account is cancelled")]
    ServiceCancelled {
        /// Why.
        reason: StatusReason,
    },
    /// What was asked for would pass the account's allocation.
    #[error("quota of {:?} exceeded", .0.resource)]
    QuotaExceeded(
        /// The figures it was decided on.
        Box<Decision>,
    ),
    /// What the account stores does not fit in the tier it asks for.
    #[error("what is stored does not fit")]
    DoesNotFit {
        /// The figures of everything that does not.
        exceeding: Vec<Decision>,
    },
    /// The tier is not paid for.
    #[error("{} is not paid for", .tier.name())]
    PaymentRequired {
        /// Which.
        tier: TierName,
        /// What it costs a month, in US cents.
        price_cents: u64,
    },
    /// Evidence of a payment that cannot be believed, or is not for this account.
    #[error("the attestation is not valid: {reason}")]
    AttestationInvalid {
        /// Why not.
        reason: &'static str,
    },
    /// Evidence of a payment that was counted before.
    #[error("the attestation was counted before")]
    AttestationSpent,
    /// Somebody else was first, or two things may not be called the same.
    #[error("conflict: {reason}")]
    Conflict {
        /// With what.
        reason: &'static str,
    },
    /// The storage failed. Nothing of the call was done.
    #[error("the storage failed")]
    Store(#[from] StoreError),
    /// The source of chance failed. Nothing of the call was done.
    #[error("no randomness")]
    Entropy(#[from] EntropyError),
    /// A fault of this program.
    #[error("internal fault: {what}")]
    Internal {
        /// Which step failed.
        what: &'static str,
    },
}

/// The stable name of a kind of [`Error`], as answers carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the Error variant of the same name")]
pub enum Code {
    Unauthenticated,
    Forbidden,
    NotFound,
    InvalidInput,
    InvalidCredentials,
    TokenExpired,
    TokenInvalid,
    TokenReused,
    ReauthenticationRequired,
    WeakPassword,
    IdentityUnavailable,
    RateLimited,
    TermsNotAccepted,
    Busy,
    ServiceReadOnly,
    ServiceSuspended,
    ServiceCancelled,
    QuotaExceeded,
    PaymentRequired,
    AttestationInvalid,
    AttestationSpent,
    Conflict,
    Internal,
}

impl Code {
    const ALL: [Self; 23] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::InvalidInput,
        Self::InvalidCredentials,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::TokenReused,
        Self::ReauthenticationRequired,
        Self::WeakPassword,
        Self::IdentityUnavailable,
        Self::RateLimited,
        Self::TermsNotAccepted,
        Self::Busy,
        Self::ServiceReadOnly,
        Self::ServiceSuspended,
        Self::ServiceCancelled,
        Self::QuotaExceeded,
        Self::PaymentRequired,
        Self::AttestationInvalid,
        Self::AttestationSpent,
        Self::Conflict,
        Self::Internal,
    ];

    /// The name, such as `NOT_FOUND`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::InvalidInput => "INVALID_INPUT",
            Self::InvalidCredentials => "INVALID_CREDENTIALS",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::TokenReused => "TOKEN_REUSED",
            Self::ReauthenticationRequired => "REAUTHENTICATION_REQUIRED",
            Self::WeakPassword => "WEAK_PASSWORD",
            Self::IdentityUnavailable => "IDENTITY_UNAVAILABLE",
            Self::RateLimited => "RATE_LIMITED",
            Self::TermsNotAccepted => "TERMS_NOT_ACCEPTED",
            Self::Busy => "BUSY",
            Self::ServiceReadOnly => "SERVICE_READ_ONLY",
            Self::ServiceSuspended => "SERVICE_SUSPENDED",
            Self::ServiceCancelled => "SERVICE_CANCELLED",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::PaymentRequired => "PAYMENT_REQUIRED",
            Self::AttestationInvalid => "ATTESTATION_INVALID",
            Self::AttestationSpent => "ATTESTATION_SPENT",
            Self::Conflict => "CONFLICT",
            Self::Internal => "INTERNAL",
        }
    }
}

impl FromStr for Code {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|code| code.name() == text).ok_or(UnknownName)
    }
}

impl Error {
    /// The stable name of this kind of error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::Forbidden,
            Self::NotFound { .. } => Code::NotFound,
            Self::InvalidInput { .. } => Code::InvalidInput,
            Self::InvalidCredentials => Code::InvalidCredentials,
            Self::TokenExpired => Code::TokenExpired,
            Self::TokenInvalid => Code::TokenInvalid,
            Self::TokenReused => Code::TokenReused,
            Self::ReauthenticationRequired => Code::ReauthenticationRequired,
            Self::WeakPassword { .. } => Code::WeakPassword,
            Self::IdentityUnavailable => Code::IdentityUnavailable,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::TermsNotAccepted => Code::TermsNotAccepted,
            Self::Busy { .. } => Code::Busy,
            Self::ServiceReadOnly { .. } => Code::ServiceReadOnly,
            Self::ServiceSuspended { .. } => Code::ServiceSuspended,
            Self::ServiceCancelled { .. } => Code::ServiceCancelled,
            Self::QuotaExceeded(_) | Self::DoesNotFit { .. } => Code::QuotaExceeded,
            Self::PaymentRequired { .. } => Code::PaymentRequired,
            Self::AttestationInvalid { .. } => Code::AttestationInvalid,
            Self::AttestationSpent => Code::AttestationSpent,
            Self::Conflict { .. } => Code::Conflict,
            Self::Store(StoreError::Conflict) => Code::Conflict,
            Self::Store(StoreError::Busy) => Code::Busy,
            Self::Store(StoreError::Unavailable { .. }) | Self::Entropy(_) | Self::Internal { .. } => Code::Internal,
        }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput { field, reason: reason.into() }
    }

    pub(crate) const fn no_violation() -> Self {
        Self::NotFound { what: "violation" }
    }

    pub(crate) const fn no_account() -> Self {
        Self::NotFound { what: "account" }
    }
}

impl From<InvalidElement> for Error {
    fn from(invalid: InvalidElement) -> Self {
        Self::invalid("blindedElements", invalid.to_string())
    }
}

impl From<InvalidVoucher> for Error {
    /// Whatever is wrong with a voucher, it is refused in the same way.
    fn from(_: InvalidVoucher) -> Self {
        Self::AttestationInvalid { reason: "it is no voucher" }
    }
}
