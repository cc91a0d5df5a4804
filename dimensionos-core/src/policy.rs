//! Who may do what: the only place that decides it.

use crate::Error;
use crate::context::{Caller, Refusal};
use crate::id::AccountId;
use crate::payment::{ServiceStatus, Standing};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See an account's tier, status, trial and allocation.
    SeeAccount,
    /// See what an account uses.
    SeeUsage,
    /// Follow what an account uses as it changes.
    WatchUsage,
    /// Meter an account from inside the program.
    Meter,
    /// Ask whether an account may use more.
    AskQuota,
    /// End sessions of an account.
    Logout,
    /// Report usage from outside, for any account.
    ReportUsage,
    /// Let a new agent report.
    CreateAgent,
    /// Let a new operator in.
    CreateOperator,
}

impl Action {
    /// Every action, for the table under test.
    pub const ALL: [Self; 9] = [
        Self::SeeAccount,
        Self::SeeUsage,
        Self::WatchUsage,
        Self::Meter,
        Self::AskQuota,
        Self::Logout,
        Self::ReportUsage,
        Self::CreateAgent,
        Self::CreateOperator,
    ];
}

/// What a caller wants to do it to.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The service as a whole.
    Service,
    /// One account, in its present standing.
    Account(AccountId, Standing),
}

/// Decides whether `caller` may do `action` to `target`.
///
/// # Errors
/// `Unauthenticated`, `TokenExpired` or `TokenInvalid` where somebody has to be signed in; `NotFound` where the caller
/// may not know that the target exists; `Forbidden` where it may know and may not act; `ServiceReadOnly`,
/// `ServiceSuspended` or `ServiceCancelled` where the account's own status forbids it.
pub fn allows(caller: &Caller, action: Action, target: Target) -> Result<(), Error> {
    match caller {
        Caller::System => Ok(()),
        Caller::Anonymous => Err(Error::Unauthenticated),
        Caller::Refused(Refusal::Expired) => Err(Error::TokenExpired),
        Caller::Refused(Refusal::Invalid) => Err(Error::TokenInvalid),
        Caller::Agent(_) => match action {
            Action::ReportUsage => Ok(()),
            _ => Err(Error::Forbidden),
        },
        Caller::Operator(_) => match action {
            Action::CreateAgent => Ok(()),
            _ => Err(Error::Forbidden),
        },
        Caller::Account(principal) => match target {
            Target::Account(id, _) if id != principal.account => Err(Error::no_account()),
            Target::Account(_, standing) => owner(action, standing),
            Target::Service => Err(Error::Forbidden),
        },
    }
}

fn owner(action: Action, standing: Standing) -> Result<(), Error> {
    let reason = standing.reason;
    match (action, standing.status) {
        (Action::Meter | Action::ReportUsage | Action::CreateAgent | Action::CreateOperator, _) => {
            Err(Error::Forbidden)
        }
        // Nobody is ever locked in: signing out works in every status.
        (Action::Logout, _) => Ok(()),
        (_, ServiceStatus::Cancelled) => Err(Error::ServiceCancelled { reason }),
        (Action::SeeAccount, _) => Ok(()),
        (Action::SeeUsage | Action::WatchUsage | Action::AskQuota, ServiceStatus::Suspended) => {
            Err(Error::ServiceSuspended { reason })
        }
        (Action::SeeUsage | Action::WatchUsage | Action::AskQuota, _) => Ok(()),
    }
}

/// Decides whether an account in that standing may start or renew a session.
///
/// # Errors
/// `ServiceCancelled` for a cancelled account. A suspended one may sign in: that is how it learns why.
pub fn allows_sign_in(standing: Standing) -> Result<(), Error> {
    match standing.status {
        ServiceStatus::Cancelled => Err(Error::ServiceCancelled { reason: standing.reason }),
        ServiceStatus::Active | ServiceStatus::ReadOnly | ServiceStatus::Suspended => Ok(()),
    }
}
