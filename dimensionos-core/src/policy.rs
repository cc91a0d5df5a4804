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
    /// Look through all accounts.
    ListAccounts,
    /// See what an account uses.
    SeeUsage,
    /// Follow what an account uses as it changes.
    WatchUsage,
    /// Meter an account from inside the program.
    Meter,
    /// Ask whether an account may use more.
    AskQuota,
    /// Use of an account's quotas, or set some of them aside.
    Consume,
    /// Set limits of an account's own.
    SetLimits,
    /// See the tag an account is known by.
    SeeTag,
    /// See its sessions, and how many codes it has left.
    SeeIdentity,
    /// Take out everything that is known of an account.
    Export,
    /// End sessions of an account.
    Logout,
    /// Prove again to know the password.
    Reauthenticate,
    /// Erase an account.
    Erase,
    /// Accept terms for an account.
    AcceptTerms,
    /// Change what opens an account: its password and recovery codes.
    ChangeCredentials,
    /// Get a token for another service.
    VisitService,
    /// Set the status of an account.
    SetStatus,
    /// End every session of somebody else's account.
    EndSessions,
    /// Report usage from outside, for any account.
    ReportUsage,
    /// Let a new agent report.
    CreateAgent,
    /// Let a new operator in.
    CreateOperator,
    /// Look through all agents.
    ListAgents,
    /// See what was found against an account.
    SeeViolations,
    /// Contest it, and answer complaints.
    Appeal,
    /// Decide what follows from what was found, for any account.
    Enforce,
    /// Say what a detector found.
    RaiseFlag,
    /// Show that an account was paid for.
    Pay,
    /// Move an account to another tier.
    ChangeTier,
    /// Cancel an account, to be restored within a time.
    Cancel,
    /// Restore it.
    Restore,
    /// See what the service does by itself, and how that went.
    SeeJobs,
    /// Have it done at once.
    RunJob,
    /// Change what tiers grant, and see whom that would meet.
    SetTiers,
}

impl Action {
    /// Every action, for the table under test.
    pub const ALL: [Self; 34] = [
        Self::SeeAccount,
        Self::ListAccounts,
        Self::SeeUsage,
        Self::WatchUsage,
        Self::Meter,
        Self::AskQuota,
        Self::Consume,
        Self::SetLimits,
        Self::SeeTag,
        Self::SeeIdentity,
        Self::Export,
        Self::Logout,
        Self::Reauthenticate,
        Self::Erase,
        Self::AcceptTerms,
        Self::ChangeCredentials,
        Self::VisitService,
        Self::SetStatus,
        Self::EndSessions,
        Self::ReportUsage,
        Self::CreateAgent,
        Self::CreateOperator,
        Self::ListAgents,
        Self::SeeViolations,
        Self::Appeal,
        Self::Enforce,
        Self::RaiseFlag,
        Self::Pay,
        Self::ChangeTier,
        Self::Cancel,
        Self::Restore,
        Self::SeeJobs,
        Self::RunJob,
        Self::SetTiers,
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
/// `ServiceSuspended` or `ServiceCancelled` where the account's own status forbids it; `TermsNotAccepted` where it has
/// first to accept the terms in force.
pub fn allows(caller: &Caller, action: Action, target: Target) -> Result<(), Error> {
    match caller {
        Caller::System => Ok(()),
        Caller::Anonymous => Err(Error::Unauthenticated),
        Caller::Refused(Refusal::Expired) => Err(Error::TokenExpired),
        Caller::Refused(Refusal::Invalid) => Err(Error::TokenInvalid),
        Caller::Agent(_) => match action {
            Action::ReportUsage | Action::Consume => Ok(()),
            _ => Err(Error::Forbidden),
        },
        Caller::Operator(_) => match action {
            Action::CreateAgent
            | Action::ListAgents
            | Action::SeeAccount
            | Action::ListAccounts
            | Action::SeeUsage
            | Action::SetLimits
            | Action::SetStatus
            | Action::EndSessions
            | Action::SeeViolations
            | Action::Enforce
            | Action::Pay
            | Action::SeeJobs
            | Action::SetTiers => Ok(()),
            _ => Err(Error::Forbidden),
        },
        Caller::Account(principal) => match target {
            Target::Account(id, _) if id != principal.account => Err(Error::no_account()),
            Target::Account(_, standing) => holder_may(action, standing),
            Target::Service => Err(Error::Forbidden),
        },
    }
}

/// What an account's own holder may do, by the account's status and by whether terms in force are not accepted yet.
pub(crate) fn holder_may(action: Action, standing: Standing) -> Result<(), Error> {
    let Some(open) = openness(action) else { return Err(Error::Forbidden) };
    let reason = standing.reason;
    // Whoever may read only after accepting terms must be able to accept them, and to leave instead.
    let is_way_out = standing.are_terms_due
        && standing.status == ServiceStatus::ReadOnly
        && matches!(action, Action::AcceptTerms | Action::Erase | Action::Reauthenticate);
    match standing.status {
        status if is_way_out || open.covers(status) => {}
        ServiceStatus::Active => {}
        ServiceStatus::ReadOnly => return Err(Error::ServiceReadOnly { reason }),
        ServiceStatus::Suspended => return Err(Error::ServiceSuspended { reason }),
        ServiceStatus::Cancelled => return Err(Error::ServiceCancelled { reason }),
    }
    if standing.are_terms_due && !is_open_before_acceptance(action) {
        return Err(Error::TermsNotAccepted);
    }
    Ok(())
}

/// In which statuses an action is open; all are while the account is active.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// In every status.
    Always,
    /// Also while suspended.
    UntilCancelled,
    /// Also while read-only: what only reads.
    UntilSuspended,
    /// In no other status.
    WhileActive,
    /// What is left at the end: in good standing, and once cancelled.
    ActiveOrCancelled,
}

impl Open {
    const fn covers(self, status: ServiceStatus) -> bool {
        use ServiceStatus::{Active, Cancelled, ReadOnly, Suspended};
        match self {
            Self::Always => true,
            Self::UntilCancelled => matches!(status, Active | ReadOnly | Suspended),
            Self::UntilSuspended => matches!(status, Active | ReadOnly),
            Self::WhileActive => matches!(status, Active),
            Self::ActiveOrCancelled => matches!(status, Active | Cancelled),
        }
    }
}

/// The table of what a status leaves open. Absent is what is never the holder's to do.
const fn openness(action: Action) -> Option<Open> {
    Some(match action {
        // Nobody is ever locked in, and a payment is always welcome.
        Action::Logout | Action::Pay => Open::Always,
        Action::SeeAccount | Action::SeeTag | Action::Export | Action::SeeViolations | Action::Appeal => {
            Open::UntilCancelled
        }
        Action::SeeUsage | Action::WatchUsage | Action::AskQuota | Action::SeeIdentity => Open::UntilSuspended,
        Action::AcceptTerms
        | Action::ChangeCredentials
        | Action::VisitService
        | Action::ChangeTier
        | Action::Cancel => Open::WhileActive,
        Action::Erase | Action::Reauthenticate | Action::Restore => Open::ActiveOrCancelled,
        Action::ListAccounts
        | Action::Meter
        | Action::Consume
        | Action::SetLimits
        | Action::ReportUsage
        | Action::CreateAgent
        | Action::CreateOperator
        | Action::ListAgents
        | Action::SetStatus
        | Action::EndSessions
        | Action::Enforce
        | Action::RaiseFlag
        | Action::SeeJobs
        | Action::RunJob
        | Action::SetTiers => {
            return None;
        }
    })
}

/// Whoever does not accept new terms can still see and take what is theirs, and leave.
const fn is_open_before_acceptance(action: Action) -> bool {
    matches!(
        action,
        Action::SeeAccount
            | Action::SeeTag
            | Action::Export
            | Action::SeeViolations
            | Action::Appeal
            | Action::Logout
            | Action::Reauthenticate
            | Action::Erase
            | Action::AcceptTerms
            | Action::Pay
            | Action::Cancel
            | Action::Restore
    )
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
        standing(id, status, false)
    }

    fn standing(id: AccountId, status: ServiceStatus, are_terms_due: bool) -> Target {
        Target::Account(id, Standing { status, reason: StatusReason::None, since: Timestamp::EPOCH, are_terms_due })
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
            ("active, terms due", standing(OWN, ServiceStatus::Active, true)),
            ("read-only, terms due", standing(OWN, ServiceStatus::ReadOnly, true)),
            ("suspended, terms due", standing(OWN, ServiceStatus::Suspended, true)),
            ("cancelled, terms due", standing(OWN, ServiceStatus::Cancelled, true)),
        ];
        let mut table = String::new();
        for (caller_name, caller) in &callers {
            for action in Action::ALL {
                write!(table, "{caller_name:8}  {:17}", format!("{action:?}")).unwrap();
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
