//! What happens to an account, as it happens.

use async_graphql::{SimpleObject, Union};
use dimensionos_core::users;

use crate::schema::DateTime;
use crate::schema::account::{ServiceStatus, StatusReason};
use crate::schema::monitoring::Resource;
use crate::schema::payment::LapseStep;
use crate::schema::violation::ViolationRaised;

/// Something that happened to an account.
#[derive(Debug, Union)]
pub enum AccountEvent {
    /// What it may do has changed.
    StatusChanged(StatusChanged),
    /// It has passed a part of a limit.
    QuotaCrossed(QuotaCrossed),
    /// Something was found against it.
    ViolationRaised(ViolationRaised),
    /// Time is about to take something from it.
    StepAhead(StepAhead),
}

/// What an account may do has changed.
#[derive(Debug, SimpleObject)]
pub struct StatusChanged {
    /// What it was.
    from: ServiceStatus,
    /// What it is.
    to: ServiceStatus,
    /// Why.
    reason: StatusReason,
    /// Since when.
    at: DateTime,
}

/// Once on the way up and once on the way down, at 80 % and at 100 %.
#[derive(Debug, SimpleObject)]
pub struct QuotaCrossed {
    /// Of what.
    resource: Resource,
    /// Which part of the limit: 80 or 100.
    percent: i32,
    /// Whether use is at or above that part now.
    above: bool,
    /// When it was noticed.
    at: DateTime,
}

/// Time is about to take something from an account, unless somebody does something. Told seven, three and one days
/// before, once each.
#[derive(Debug, SimpleObject)]
pub struct StepAhead {
    /// Which step.
    step: LapseStep,
    /// Why.
    reason: StatusReason,
    /// When the step is taken.
    at: DateTime,
    /// How many days before: 7, 3 or 1.
    days_before: i32,
}

impl AccountEvent {
    /// The event as the schema has it; absent for one that it does not have.
    pub(crate) fn of(event: users::AccountEvent) -> Option<Self> {
        match event {
            users::AccountEvent::StatusChanged { from, to, reason, at } => {
                let (from, to, reason) = (from.into(), to.into(), reason.into());
                Some(Self::StatusChanged(StatusChanged { from, to, reason, at: at.into() }))
            }
            users::AccountEvent::QuotaCrossed { resource, percent, is_above, at } => {
                let (resource, percent) = (resource.into(), i32::from(percent));
                Some(Self::QuotaCrossed(QuotaCrossed { resource, percent, above: is_above, at: at.into() }))
            }
            users::AccountEvent::ViolationRaised { violation } => {
                Some(Self::ViolationRaised(ViolationRaised { id: violation }))
            }
            users::AccountEvent::StepAhead { step, reason, at, days } => {
                let (step, reason, days_before) = (step.into(), reason.into(), days.into());
                Some(Self::StepAhead(StepAhead { step, reason, at: at.into(), days_before }))
            }
            _ => None,
        }
    }
}
