//! What listeners are told of what time does, once each, and when there will be more to tell.

use std::time::Duration;

use crate::payment::{Lifecycle, NextStep, ServiceStatus};
use crate::time::Timestamp;
use crate::users::{Account, AccountEvent};

/// How many days before a step its account is told: a week to arrange a payment, and twice more for whoever missed it.
const NOTICE_DAYS: [u8; 3] = [7, 3, 1];

/// What an account's listeners were told last.
///
/// It decides nothing about the account: where nobody runs the job that tells, the account is as it is all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its status.
    pub status: ServiceStatus,
    /// The last notice of a step ahead.
    pub notice: Option<Notice>,
    /// When there is more to tell, or something to do; no later than then.
    pub due_at: Timestamp,
}

/// A notice of a step ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// When the step is.
    pub step_at: Timestamp,
    /// How many days before.
    pub days: u8,
}

impl Told {
    /// Nothing but that the account is there, since that instant.
    #[must_use]
    pub const fn nothing(since: Timestamp) -> Self {
        Self { status: ServiceStatus::Active, notice: None, due_at: since }
    }
}

impl Lifecycle {
    /// Changes an account, and gives what is to be told: what time did before, and what the change did.
    pub(crate) fn change(
        &self,
        account: &mut Account,
        now: Timestamp,
        act: impl FnOnce(&mut Account),
    ) -> Vec<AccountEvent> {
        let mut events = self.catch_up(account, now);
        let before = self.standing(account, now).status;
        act(account);
        if before != ServiceStatus::Active && self.standing(account, now).status == ServiceStatus::Active {
            account.active_since = now;
        }
        events.extend(self.tell(account, now, now));
        events
    }

    /// Gives what time did to an account that is not told yet.
    pub(crate) fn catch_up(&self, account: &mut Account, now: Timestamp) -> Vec<AccountEvent> {
        let since = self.standing(account, now).since;
        // What was due is what happened, unless more has happened since.
        let at = since.max(account.told.due_at).min(now);
        self.tell(account, at, now)
    }

    fn tell(&self, account: &mut Account, at: Timestamp, now: Timestamp) -> Vec<AccountEvent> {
        let standing = self.standing(account, now);
        let next = self.next_step(account, now);
        let (from, to) = (account.told.status, standing.status);
        let changed = (from != to).then_some(AccountEvent::StatusChanged { from, to, reason: standing.reason, at });
        let notice = next.and_then(|next| due(&next, now)).filter(|notice| !is_told(account.told.notice, *notice));
        let ahead = next.zip(notice).map(|(NextStep { step, reason, at, .. }, Notice { days, .. })| {
            AccountEvent::StepAhead { step, reason, at, days }
        });
        account.told.status = to;
        account.told.notice = notice.or(account.told.notice);
        account.told.due_at = self.due_at(account, next, now);
        changed.into_iter().chain(ahead).collect()
    }

    /// When something changes next by itself, or is to be told.
    fn due_at(&self, account: &Account, next: Option<NextStep>, now: Timestamp) -> Timestamp {
        let steps = next.iter().flat_map(|next| notices(next).map(|(at, _)| at).chain([next.at]));
        let restrictions = account.restrictions.iter().flat_map(|own| [Some(own.until), own.relaxes_at]).flatten();
        steps.chain(restrictions).filter(|at| *at > now).min().unwrap_or_else(|| self.erased_at(account))
    }
}

/// The notices of a step: only those that fall after the step before it, when it was not yet the next.
fn notices(next: &NextStep) -> impl Iterator<Item = (Timestamp, u8)> + use<> {
    let (at, after) = (next.at, next.after);
    let day = Duration::from_hours(24);
    NOTICE_DAYS
        .into_iter()
        .map(move |days| (at.before(day * u32::from(days)), days))
        .filter(move |(at, _)| *at >= after)
}

/// The notice that is due: the last whose time has come. Those before it are of no use any more.
fn due(next: &NextStep, now: Timestamp) -> Option<Notice> {
    let (_, days) = notices(next).filter(|(at, _)| *at <= now).last()?;
    Some(Notice { step_at: next.at, days })
}

fn is_told(last: Option<Notice>, notice: Notice) -> bool {
    last.is_some_and(|last| last.step_at == notice.step_at && last.days <= notice.days)
}
