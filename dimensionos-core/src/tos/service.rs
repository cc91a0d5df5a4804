use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::Error;
use crate::allocation::OwnLimits;
use crate::context::{Caller, Context};
use crate::id::{AccessKeyId, AccountId, ViolationId};
use crate::platform::{Inner, admitted, only};
use crate::policy::{Action, Target, allows};
use crate::store::{Access, Tx};
use crate::time::Timestamp;
use crate::tos::complaint::Complaint;
use crate::tos::complaints::NOTICE_WINDOW;
use crate::tos::enforcement::{EnforcementPolicy, Grounds, MAX_AUTOMATED_SUSPENSION_HOURS, MAX_HOURS, STRIKE};
use crate::tos::flag::{Finding, Flag};
use crate::tos::records::{ViolationFilter, ViolationPlace, in_use};
use crate::tos::rule::{Rule, ViolationKind};
use crate::tos::sanction::Sanction;
use crate::tos::violation::{
    Appeal, AppealGround, AppealVerdict, Author, Imposed, Judgement, SealedText, Shadow, Violation,
};
use crate::users::{Account, AccountEvent, Entry};

/// Violations that are listed at once at most: a page that a person reads.
pub const MAX_PAGE: u64 = 100;
/// Violations of one account that a decision looks back at: far more than the strikes that any ladder counts.
const MAX_EARLIER: u64 = 1_000;

/// Appeals of one account that wait at once: more than anybody has reasons for.
pub const MAX_PENDING_APPEALS: u64 = 20;
/// How long one day of suspension without a person has to do: by then a person has looked.
const SUSPENSION_MEMORY: Duration = Duration::from_hours(7 * 24);
const MAX_AUTOMATED_SUSPENSION: Duration = Duration::from_hours(MAX_AUTOMATED_SUSPENSION_HOURS as u64);

fn check_page(first: u64) -> Result<(), Error> {
    if first > MAX_PAGE { Err(Error::invalid("first", format!("more than {MAX_PAGE}"))) } else { Ok(()) }
}

/// Enforcement of the terms of service: what was found, what followed, and how it is contested.
#[derive(Debug)]
pub struct Tos<'a>(pub(crate) &'a Inner);

impl Tos<'_> {
    /// What was found against an account, newest first.
    ///
    /// # Errors
    /// `NotFound` where there is no such account, or it is not the caller's; `InvalidInput` for a page of more than
    /// [`MAX_PAGE`]; those of the account's status.
    pub async fn violations(
        &self,
        context: &Context,
        account: AccountId,
        after: Option<ViolationPlace>,
        first: u64,
    ) -> Result<Vec<Violation>, Error> {
        only(self.violations_of_each(context, &[account], after, first).await?)
    }

    /// The same of several accounts, none of them twice, each by itself, in the order asked.
    ///
    /// # Errors
    /// `InvalidInput` for the page; where the storage fails; and of each account as [`violations`](Self::violations).
    pub async fn violations_of_each(
        &self,
        context: &Context,
        accounts: &[AccountId],
        after: Option<ViolationPlace>,
        first: u64,
    ) -> Result<Vec<Result<Vec<Violation>, Error>>, Error> {
        let Self(inner) = self;
        let entries = inner.admit_each(&context.caller, Action::SeeViolations, accounts).await?;
        let admitted = admitted(&entries);
        let mut found: HashMap<AccountId, Vec<Violation>> = HashMap::new();
        if !admitted.is_empty() {
            check_page(first)?;
            for one in inner.store.begin(Access::Read).await?.violations_of(&admitted, after, first + 1).await? {
                found.entry(one.account).or_default().push(one);
            }
        }
        Ok(entries.into_iter().map(|entry| Ok(found.remove(&entry?.account.id).unwrap_or_default())).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; those of the account's status.
    pub async fn violation(&self, context: &Context, id: ViolationId) -> Result<Violation, Error> {
        let Self(inner) = self;
        // Who may see none learns nothing of this one.
        if !matches!(context.caller, Caller::Account(_)) {
            allows(&context.caller, Action::SeeViolations, Target::Service)?;
        }
        let found = inner.store.begin(Access::Read).await?.violation(id).await?;
        let violation = found.ok_or(Error::no_violation())?;
        match inner.admit(&context.caller, Action::SeeViolations, violation.account).await {
            // Whoever may not know of the account learns nothing of what was found against it.
            Err(Error::NotFound { .. }) => Err(Error::no_violation()),
            admitted => admitted.map(|_| violation),
        }
    }

    /// What was found against any account, newest first: the operators' queues.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `InvalidInput` for a page of more than [`MAX_PAGE`].
    pub async fn queue(
        &self,
        context: &Context,
        filter: &ViolationFilter,
        after: Option<ViolationPlace>,
        first: u64,
    ) -> Result<Vec<Violation>, Error> {
        allows(&context.caller, Action::Enforce, Target::Service)?;
        self.list(filter, after, first).await
    }

    async fn list(
        &self,
        filter: &ViolationFilter,
        after: Option<ViolationPlace>,
        first: u64,
    ) -> Result<Vec<Violation>, Error> {
        check_page(first)?;
        // One more than a page says whether there is a next one.
        Ok(self.0.store.begin(Access::Read).await?.violations(filter, after, first + 1).await?)
    }

    /// Takes what a detector found, decides by the policy in force what follows, and does it. Detectors of the platform
    /// are fed by its meters; this is for those of the embedding program.
    ///
    /// # Errors
    /// `Forbidden` for any caller but the program; `NotFound`.
    pub async fn raise(&self, context: &Context, account: AccountId, flag: Flag) -> Result<Violation, Error> {
        allows(&context.caller, Action::RaiseFlag, Target::Service)?;
        self.decide(account, flag, None, None).await
    }

    /// Does what follows from what this process's own detectors found.
    pub(crate) async fn take(&self, account: AccountId, finding: Finding) -> Result<(), Error> {
        match finding {
            Finding::Raised(flag) => self.decide(account, flag, None, None).await.map(drop),
            Finding::Lowered { rule, at } => self.lower(account, rule, at).await,
        }
    }

    /// Writes down what follows from a flag.
    pub(super) async fn decide(
        &self,
        account: AccountId,
        flag: Flag,
        complaint: Option<Complaint>,
        operator: Option<AccessKeyId>,
    ) -> Result<Violation, Error> {
        let id = ViolationId::random(&*self.0.entropy)?;
        self.change(account, move |tx, now| {
            Box::pin(async move {
                let earlier = of_kind(tx, account, flag.rule.kind()).await?;
                if let Some(complaint) = &complaint {
                    let is_repeat =
                        |one: &Violation| one.complaint.as_ref().is_some_and(|own| own.notice == complaint.notice);
                    if earlier.iter().any(is_repeat) {
                        return Err(Error::Conflict { reason: "that notice was filed before" });
                    }
                } else if let Some(known) = earlier.iter().find(|one| one.is_same_incident(flag.rule, now)) {
                    // Up again, or found again by a process that was ended in between: it is held against the account
                    // once, with the reasons it was given first, unless it has become worse.
                    let mut again = Violation { lowered_at: None, ..known.clone() };
                    if flag.severity.min(flag.rule.severity()) > again.grounds.severity {
                        let others: Vec<Violation> = earlier.iter().filter(|one| one.id != again.id).cloned().collect();
                        again.judged(judge(tx, &others, flag, now).await?);
                    }
                    tx.update_violation(&again).await?;
                    return Ok(again);
                }
                let Judgement { grounds, policy, imposed, shadow } = judge(tx, &earlier, flag, now).await?;
                let violation = Violation {
                    id,
                    account,
                    detected_at: now,
                    lowered_at: None,
                    decided: imposed.sanction(),
                    imposed,
                    grounds,
                    policy,
                    shadow,
                    appeal: None,
                    verdict: None,
                    complaint,
                    handled_by: operator.into_iter().collect(),
                };
                tx.insert_violation(&violation).await?;
                Ok(violation)
            })
        })
        .await
    }

    /// Notes that a flag went down by itself; what was imposed runs to its end.
    async fn lower(&self, account: AccountId, rule: Rule, at: Timestamp) -> Result<(), Error> {
        let mut tx = self.0.store.begin(Access::Write).await?;
        // Held until the end of this: an appeal that is filed meanwhile would be written over otherwise.
        let _held = tx.account(account).await?.ok_or(Error::no_account())?;
        let all = of_kind(&mut *tx, account, rule.kind()).await?;
        let is_up = |violation: &Violation| violation.grounds.rule == rule && violation.lowered_at.is_none();
        for mut violation in all.into_iter().filter(is_up) {
            violation.lowered_at = Some(at);
            tx.update_violation(&violation).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Contests a violation, once. A statement is sealed to the operators' key: this service cannot read it, and drops it
    /// when the appeal is decided.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; `Conflict` where it was contested before; those of the
    /// account's status.
    pub async fn appeal(
        &self,
        context: &Context,
        id: ViolationId,
        ground: AppealGround,
        sealed_statement: Option<SealedText>,
    ) -> Result<Violation, Error> {
        let account = self.admit(context, Action::Appeal, id).await?;
        self.change(account, move |tx, now| {
            Box::pin(async move {
                let mut violation = tx.violation(id).await?.ok_or(Error::no_violation())?;
                if violation.appeal.is_some() {
                    return Err(Error::Conflict { reason: "it has been appealed against" });
                }
                let pending =
                    ViolationFilter { account: Some(account), is_appealed: true, ..ViolationFilter::default() };
                if tx.violations(&pending, None, MAX_PENDING_APPEALS).await?.len() as u64 == MAX_PENDING_APPEALS {
                    return Err(Error::Conflict { reason: "20 appeals wait to be decided" });
                }
                violation.appeal = Some(Appeal { ground, filed_at: now, sealed_statement, decided: None });
                tx.update_violation(&violation).await?;
                Ok(violation)
            })
        })
        .await
    }

    /// Decides an appeal: where it is granted the violation is overruled, what followed from it ends, and it counts no
    /// more.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator, and for the operator who imposed it; `NotFound`; `Conflict` where it
    /// was not appealed against, or has been decided.
    pub async fn decide_appeal(&self, context: &Context, id: ViolationId, grant: bool) -> Result<Violation, Error> {
        let operator = operator(context)?;
        let account = self.admit(context, Action::Enforce, id).await?;
        self.change(account, move |tx, now| {
            Box::pin(async move {
                let mut violation = tx.violation(id).await?.ok_or(Error::no_violation())?;
                if violation.handled_by.contains(&operator) {
                    return Err(Error::Forbidden);
                }
                let was_relaxed = violation.relaxes_at().is_some_and(|at| at <= now);
                let Some(appeal) = violation.appeal.as_mut().filter(|appeal| appeal.decided.is_none()) else {
                    return Err(Error::Conflict { reason: "there is no appeal to decide" });
                };
                appeal.decided = Some((now, operator));
                appeal.sealed_statement = None;
                violation.verdict = Some(if grant { AppealVerdict::Overruled } else { AppealVerdict::Upheld });
                if was_relaxed && !grant {
                    violation.imposed.relax();
                }
                tx.update_violation(&violation).await?;
                Ok(violation)
            })
        })
        .await
    }

    /// Puts another sanction in the place of what followed from a violation: a stricter one, a milder one, or none.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator; `NotFound`; `InvalidInput` for an end that has passed or is more than
    /// a year away; `Conflict` where the violation was overruled.
    pub async fn impose(
        &self,
        context: &Context,
        id: ViolationId,
        sanction: Sanction,
        until: Timestamp,
    ) -> Result<Violation, Error> {
        let operator = operator(context)?;
        let account = self.admit(context, Action::Enforce, id).await?;
        let now = self.0.clock.now();
        if until <= now {
            return Err(Error::invalid("until", "has passed"));
        }
        if until.since(now) > Duration::from_hours(u64::from(MAX_HOURS)) {
            return Err(Error::invalid("until", "more than a year away"));
        }
        self.change(account, move |tx, now| {
            Box::pin(async move {
                let mut violation = tx.violation(id).await?.ok_or(Error::no_violation())?;
                if violation.verdict == Some(AppealVerdict::Overruled) {
                    return Err(Error::Conflict { reason: "it was overruled" });
                }
                if sanction > Sanction::None && !violation.may_be_sanctioned(now) {
                    return Err(Error::Conflict { reason: "no sanction follows from it" });
                }
                // What is new, or goes further than what was contested, may be contested anew.
                if violation.verdict.is_some() || sanction > violation.imposed.sanction() {
                    (violation.appeal, violation.verdict) = (None, None);
                }
                violation.imposed = violation.imposed.by_operator(operator, sanction, until, now);
                violation.handle(Some(operator));
                tx.update_violation(&violation).await?;
                Ok(violation)
            })
        })
        .await
    }

    /// Lets a caller act on a violation, and says whose it is.
    pub(super) async fn admit(&self, context: &Context, action: Action, id: ViolationId) -> Result<AccountId, Error> {
        let Self(inner) = self;
        // Who may not do it to any account, or to its own, learns nothing of this one.
        match &context.caller {
            Caller::Account(principal) => drop(inner.admit(&context.caller, action, principal.account).await?),
            caller => allows(caller, action, Target::Service)?,
        }
        let found = inner.store.begin(Access::Read).await?.violation(id).await?;
        let account = found.ok_or(Error::no_violation())?.account;
        match inner.admit(&context.caller, action, account).await {
            Err(Error::NotFound { .. }) => Err(Error::no_violation()),
            admitted => admitted.map(|_| account),
        }
    }

    /// Changes what is held against an account, and with it, in the same transaction, what that restricts the account to.
    pub(super) async fn change<F>(&self, id: AccountId, act: F) -> Result<Violation, Error>
    where
        F: for<'t> FnOnce(&'t mut dyn Tx, Timestamp) -> BoxFuture<'t, Result<Violation, Error>> + Send,
    {
        let Self(inner) = self;
        let cell = inner.metering.cell(&*inner.store, id, inner.clock.now()).await?;
        // One after the other to the end, so that limits in memory are those of the last commit.
        let _turn = inner.enforcing.lock().await;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = tx.account(id).await?.ok_or(Error::no_account())?;
        let now = inner.clock.now();
        let violation = act(&mut *tx, now).await?;
        let before = account.clone();
        let events = inner.lifecycle.change(&mut account, now, |account| {
            restrict(account, &violation, now);
        });
        let own = OwnLimits::of(&account, tx.overrides(id).await?);
        if account == before {
            inner.commit(tx, id).await?;
        } else {
            tx.update_account(&account).await?;
            let sessions = tx.sessions(id).await?;
            let tier = account.tier;
            inner.commit_shown(tx, Entry { account, sessions }).await?;
            inner.metering.limits.keep(id, own);
            inner.metering.set_limits(&cell, tier);
        }
        inner.tell(id, vec![AccountEvent::ViolationRaised { violation: violation.id }]);
        inner.tell(id, events);
        Ok(violation)
    }
}

/// The operator who asks: a person has to have decided.
pub(super) fn operator(context: &Context) -> Result<AccessKeyId, Error> {
    match context.caller {
        Caller::Operator(operator) => Ok(operator),
        // Who may not do it is told so in the words of the policy.
        _ => Err(allows(&context.caller, Action::Enforce, Target::Service).err().unwrap_or(Error::Forbidden)),
    }
}

/// Puts what a violation restricts its account to in the place of what it did before, and drops what has ended.
fn restrict(account: &mut Account, violation: &Violation, now: Timestamp) {
    // What ended goes, and since when the account is active stays known.
    if let Some(ended) = super::last_ended(&account.restrictions, now) {
        account.active_since = account.active_since.max(ended);
    }
    account.restrictions.retain(|own| own.violation != violation.id && own.until > now);
    account.restrictions.extend(violation.restriction(now));
}

/// What was found of one kind against an account, newest first.
pub(super) async fn of_kind(tx: &mut dyn Tx, account: AccountId, kind: ViolationKind) -> Result<Vec<Violation>, Error> {
    let filter = ViolationFilter { account: Some(account), kind: Some(kind), ..ViolationFilter::default() };
    Ok(tx.violations(&filter, None, MAX_EARLIER).await?)
}

/// What the policies say to a flag, in the light of what was found of its kind before.
pub(super) async fn judge(
    tx: &mut dyn Tx,
    earlier: &[Violation],
    flag: Flag,
    now: Timestamp,
) -> Result<Judgement, Error> {
    let earlier: Vec<&Violation> = earlier.iter().filter(|violation| violation.counts(now)).collect();
    let records = tx.policies().await?;
    let (in_force, shadow) = in_use(&records);
    let policy = in_force.cloned().unwrap_or_default();
    let strikes = |policy: &EnforcementPolicy| match flag.rule {
        // Notices do not fade: they count for half a year, and then no more.
        Rule::CopyrightNotice => {
            let counted = earlier.iter().filter(|one| now.since(one.detected_at) <= NOTICE_WINDOW).count();
            u32::try_from(counted).unwrap_or(u32::MAX).saturating_mul(STRIKE)
        }
        _ => policy.strikes(earlier.iter().map(|one| one.detected_at), now),
    };
    let severity = flag.severity.min(flag.rule.severity());
    let grounds = Grounds { rule: flag.rule, severity, strikes: strikes(&policy) };
    let shadow = shadow.map(|shadow| {
        let decision = shadow.decide(&Grounds { strikes: strikes(shadow), ..grounds });
        Shadow { version: shadow.version, sanction: decision.sanction }
    });
    let mut imposed = Imposed::by_policy(policy.version, policy.decide(&grounds), flag, now);
    if imposed.sanction() == Sanction::Suspend {
        imposed.no_longer_than(suspended_since(&earlier, now).after(MAX_AUTOMATED_SUSPENSION), flag);
    }
    Ok(Judgement { grounds, policy: policy.version, imposed, shadow })
}

/// When the account was first suspended without a person, of the last days: whatever follows, that is over a day later.
fn suspended_since(earlier: &[&Violation], now: Timestamp) -> Timestamp {
    let automated = earlier.iter().map(|violation| &violation.imposed).filter(|imposed| {
        imposed.sanction() == Sanction::Suspend
            && matches!(imposed.author(), Author::Policy(_))
            && now.since(imposed.since()) <= SUSPENSION_MEMORY
    });
    automated.map(Imposed::since).min().unwrap_or(now)
}
