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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Principal;
    use crate::id::{AccessKeyId, SessionId};
    use crate::payment::StatusReason;
    use crate::time::Timestamp;

    const OWN: AccountId = AccountId::from_bits(1);
    const OTHER: AccountId = AccountId::from_bits(2);

    fn account(id: AccountId, status: ServiceStatus) -> Target {
        Target::Account(id, Standing { status, reason: StatusReason::None, since: Timestamp::EPOCH })
    }

    fn owner() -> Caller {
        let expires_at = Timestamp::EPOCH;
        Caller::Account(Principal { account: OWN, session: SessionId::from_bits(3), epoch: 0, expires_at })
    }

    /// Every caller, action and target, and what is decided; the table beside this file is the decision under review.
    #[test]
    fn the_table_of_who_may_do_what_is_the_reviewed_one() {
        use std::fmt::Write;
        let key = AccessKeyId::from_bits(4);
        let callers = [
            ("nobody", Caller::Anonymous),
            ("expired", Caller::Refused(Refusal::Expired)),
            ("invalid", Caller::Refused(Refusal::Invalid)),
            ("account", owner()),
            ("agent", Caller::Agent(key)),
            ("operator", Caller::Operator(key)),
            ("program", Caller::System),
        ];
        let targets = [
            ("service", Target::Service),
            ("other", account(OTHER, ServiceStatus::Active)),
            ("active", account(OWN, ServiceStatus::Active)),
            ("read-only", account(OWN, ServiceStatus::ReadOnly)),
            ("suspended", account(OWN, ServiceStatus::Suspended)),
            ("cancelled", account(OWN, ServiceStatus::Cancelled)),
        ];
        let mut table = String::new();
        for (caller_name, caller) in &callers {
            for action in Action::ALL {
                write!(table, "{caller_name:8}  {:14}", format!("{action:?}")).unwrap();
                for (target_name, target) in targets {
                    let decision = allows(caller, action, target).err().map_or("yes", |error| error.code().name());
                    write!(table, "  {target_name}: {decision}").unwrap();
                }
                table.push('\n');
            }
        }
        assert_eq!(table, include_str!("policy.table"), "the new table:\n{table}");
    }
}
