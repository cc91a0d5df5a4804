//! Filing, answering and ending complaints of copyright.

use std::time::Duration;

use crate::Error;
use crate::context::{Caller, Context};
use crate::id::{AccessKeyId, AccountId, ViolationId};
use crate::policy::{Action, Target, allows};
use crate::store::{Access, Tx};
use crate::time::Timestamp;
use crate::tos::complaint::{COMPLAINANT_MEMORY, Complaint, ComplaintState, NoticeElement, PaperDigest, is_abusive};
use crate::tos::flag::{Counterfactual, Exit, Figure, Flag, MAX_SUPPORTING};
use crate::tos::records::ViolationFilter;
use crate::tos::rule::{Rule, Severity, ViolationKind};
use crate::tos::service::{judge, of_kind, operator};
use crate::tos::{Tos, Violation};

/// How long a notice counts when the next one comes: who has had three in half a year is a repeat infringer.
pub const NOTICE_WINDOW: Duration = Duration::from_hours(180 * 24);
/// Complaints that a complainant is judged by: the newest of a year.
const MAX_JUDGED: u64 = 10_000;

/// A complaint as an operator files it.
#[derive(Debug, Clone)]
pub struct NewComplaint {
    /// Whose account it is about.
    pub account: AccountId,
    /// SHA-256 of the notice as it was received.
    pub notice: PaperDigest,
    /// SHA-256 of who complains, in any form that is the same each time; kept under a key.
    pub complainant: Option<PaperDigest>,
    /// What the notice lacks; nothing where it is complete.
    pub missing: Vec<NoticeElement>,
}

impl Tos<'_> {
    /// Files a complaint. A complete notice counts at once; an incomplete one has no effect until it is completed, and one
    /// of a complainant who has been wrong too often waits for [`release_complaint`](Self::release_complaint).
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `NotFound`; `Conflict` where that notice was filed
    /// against the account before.
    pub async fn file_complaint(&self, context: &Context, new: NewComplaint) -> Result<Violation, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::Enforce, Target::Service)?;
        inner.admit(&context.caller, Action::Enforce, new.account).await?;
        let operator = acting(context);
        let now = inner.clock.now();
        let secrets = inner.secrets();
        let pepper = secrets.keys.first_pepper();
        let tag = |digest: PaperDigest| pepper.tag(b"dimensionos/complainant/v1", digest.as_bytes());
        let complainant = new.complainant.map(|digest| PaperDigest::from_bytes(tag(digest)));
        let filter = ViolationFilter {
            kind: Some(ViolationKind::Copyright),
            from: Some(now.before(COMPLAINANT_MEMORY)),
            ..ViolationFilter::default()
        };
        let earlier = inner.store.begin(Access::Read).await?.violations(&filter, None, MAX_JUDGED).await?;
        let theirs = earlier.iter().filter_map(|violation| violation.complaint.as_ref());
        let is_held =
            complainant.is_some() && is_abusive(theirs.filter(|complaint| complaint.complainant == complainant), now);
        let mut missing = new.missing;
        missing.sort_unstable();
        missing.dedup();
        let complaint = Complaint {
            notice: new.notice,
            received_at: now,
            complainant,
            missing,
            is_held,
            counter: None,
            court_at: None,
            withdrawn_at: None,
        };
        let own = earlier.iter().filter(|one| one.account == new.account);
        let flag = notice_flag(counted(own, now), is_in_force(&complaint, now), now);
        self.decide(new.account, flag, Some(complaint), operator).await
    }

    /// What the notice lacked has come: it counts from now on.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `NotFound`; `Conflict` where nothing is missing.
    pub async fn complete_complaint(&self, context: &Context, id: ViolationId) -> Result<Violation, Error> {
        self.put_in_force(context, id, |complaint, now| {
            let was_incomplete = complaint.state(now) == ComplaintState::Incomplete;
            complaint.missing.clear();
            was_incomplete
        })
        .await
    }

    /// A person has looked at the complaint of somebody who has been wrong too often: it counts from now on.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator; `NotFound`; `Conflict` where it does not wait.
    pub async fn release_complaint(&self, context: &Context, id: ViolationId) -> Result<Violation, Error> {
        operator(context)?;
        self.put_in_force(context, id, |complaint, now| {
            let was_held = complaint.state(now) == ComplaintState::Held;
            complaint.is_held = false;
            was_held
        })
        .await
    }

    /// Answers a complaint: unless the complainant goes to court within ten business days, what follows from it ends then.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; `Conflict` where there is nothing to counter; those of
    /// the account's status.
    pub async fn counter_notice(
        &self,
        context: &Context,
        id: ViolationId,
        notice: PaperDigest,
    ) -> Result<Violation, Error> {
        let account = self.admit(context, Action::Appeal, id).await?;
        self.amend(account, None, id, "there is nothing to counter", move |complaint, now| {
            let is_open = complaint.state(now) == ComplaintState::Noticed;
            complaint.counter = Some((notice, now));
            is_open
        })
        .await
    }

    /// The complainant has gone to court: what follows from the complaint stays.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `NotFound`; `Conflict` where no counter-notice is
    /// running.
    pub async fn report_court(&self, context: &Context, id: ViolationId) -> Result<Violation, Error> {
        let account = self.admit(context, Action::Enforce, id).await?;
        self.amend(account, acting(context), id, "no counter-notice is running", |complaint, now| {
            let is_running = complaint.state(now) == ComplaintState::Countered;
            complaint.court_at = Some(now);
            is_running
        })
        .await
    }

    /// The complainant has taken it back: what follows from it ends.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `NotFound`; `Conflict` where it came to nothing before.
    pub async fn withdraw_complaint(&self, context: &Context, id: ViolationId) -> Result<Violation, Error> {
        let account = self.admit(context, Action::Enforce, id).await?;
        self.amend(account, acting(context), id, "it has come to nothing before", |complaint, now| {
            let is_open = !complaint.was_unfounded(now);
            complaint.withdrawn_at = Some(now);
            is_open
        })
        .await
    }

    /// Changes a complaint, where the change is one that may be made: `act` says so.
    async fn amend(
        &self,
        account: AccountId,
        operator: Option<AccessKeyId>,
        id: ViolationId,
        reason: &'static str,
        act: impl FnOnce(&mut Complaint, Timestamp) -> bool + Send + 'static,
    ) -> Result<Violation, Error> {
        self.change(account, move |tx, now| {
            Box::pin(async move {
                let mut violation = amended(tx, id, reason, now, act).await?;
                violation.handle(operator);
                tx.update_violation(&violation).await?;
                Ok(violation)
            })
        })
        .await
    }

    /// The same, and decides anew what follows: before, nothing did.
    async fn put_in_force(
        &self,
        context: &Context,
        id: ViolationId,
        act: impl FnOnce(&mut Complaint, Timestamp) -> bool + Send + 'static,
    ) -> Result<Violation, Error> {
        let account = self.admit(context, Action::Enforce, id).await?;
        let operator = acting(context);
        self.change(account, move |tx, now| {
            Box::pin(async move {
                let mut violation = amended(tx, id, "it does not wait for that", now, act).await?;
                if violation.complaint.as_ref().is_some_and(|complaint| is_in_force(complaint, now)) {
                    let mut earlier = of_kind(tx, account, ViolationKind::Copyright).await?;
                    earlier.retain(|one| one.id != id);
                    let flag = notice_flag(counted(&earlier, now), true, now);
                    violation.judged(judge(tx, &earlier, flag, now).await?);
                }
                violation.handle(operator);
                tx.update_violation(&violation).await?;
                Ok(violation)
            })
        })
        .await
    }
}

/// The operator who acts, where one does.
const fn acting(context: &Context) -> Option<AccessKeyId> {
    match context.caller {
        Caller::Operator(operator) => Some(operator),
        _ => None,
    }
}

/// Notices that count at an instant.
fn counted<'a>(earlier: impl IntoIterator<Item = &'a Violation>, now: Timestamp) -> usize {
    let in_window = |one: &&Violation| one.counts(now) && now.since(one.detected_at) <= NOTICE_WINDOW;
    earlier.into_iter().filter(in_window).count()
}

async fn amended(
    tx: &mut dyn Tx,
    id: ViolationId,
    reason: &'static str,
    now: Timestamp,
    act: impl FnOnce(&mut Complaint, Timestamp) -> bool,
) -> Result<Violation, Error> {
    let mut violation = tx.violation(id).await?.ok_or(Error::no_violation())?;
    let Some(complaint) = violation.complaint.as_mut() else { return Err(Error::Conflict { reason }) };
    if act(complaint, now) { Ok(violation) } else { Err(Error::Conflict { reason }) }
}

fn is_in_force(complaint: &Complaint, now: Timestamp) -> bool {
    complaint.state(now) == ComplaintState::Noticed
}

/// What a notice is to the policies: one more than those that count already. One that has no effect is only shown.
fn notice_flag(counted: usize, is_in_force: bool, now: Timestamp) -> Flag {
    const SIGNAL: &str = "complete_notices";
    #[expect(clippy::cast_precision_loss, reason = "there are some dozens")]
    let observed = (counted + usize::from(is_in_force)) as f64;
    Flag {
        rule: Rule::CopyrightNotice,
        severity: if is_in_force { Severity::Restrict } else { Severity::Notice },
        figure: Figure { signal: SIGNAL, observed, limit: 0.0 },
        window: NOTICE_WINDOW,
        since: now,
        at: now,
        tier: None,
        supporting: [None; MAX_SUPPORTING],
        exit: Exit { at_most: 0.0, lasting: Duration::ZERO },
        counterfactual: Counterfactual { signal: SIGNAL, at_most: 0.0 },
    }
}
