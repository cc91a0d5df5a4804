//! What was found against an account, what followed from it, and how it may be contested.

use std::str::FromStr;
use std::time::Duration;

use crate::allocation::UnknownName;
use crate::id::{AccessKeyId, AccountId, ViolationId};
use crate::time::Timestamp;
use crate::tos::complaint::Complaint;
use crate::tos::enforcement::{Decision, Grounds, INCIDENT};
use crate::tos::flag::Flag;
use crate::tos::rule::{Rule, Severity, ViolationKind};
use crate::tos::sanction::{APPEAL_PATIENCE, Restriction, Sanction};
use crate::tos::statement::StatementOfReasons;

/// How long a finding is kept after all that followed from it has ended.
pub const VIOLATION_RETENTION: Duration = Duration::from_hours(365 * 24);
/// How long one finding stands for a flag that stays up: then it is found anew.
const MAX_INCIDENT: Duration = Duration::from_hours(24);
/// How long a finding without a sanction is shown as open.
pub const NOTICE_TIME: Duration = Duration::from_hours(7 * 24);

/// Where a violation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationState {
    /// It is held against the account.
    Open,
    /// An appeal was rejected.
    Upheld,
    /// An appeal was granted: it counts no more.
    Overruled,
    /// What followed from it has ended.
    Expired,
}

impl ViolationState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Upheld, Self::Overruled, Self::Expired];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Upheld => "UPHELD",
            Self::Overruled => "OVERRULED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl FromStr for ViolationState {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownName)
    }
}

/// Why an account does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppealGround {
    /// Somebody else did it.
    NotMe,
    /// It was what the account is for.
    LegitimateUse,
    /// The figures are wrong.
    WrongMeasurement,
    /// The rule is wrong.
    UnfairRule,
    /// Something else.
    Other,
}

impl AppealGround {
    /// Every ground.
    pub const ALL: [Self; 5] =
        [Self::NotMe, Self::LegitimateUse, Self::WrongMeasurement, Self::UnfairRule, Self::Other];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotMe => "NOT_ME",
            Self::LegitimateUse => "LEGITIMATE_USE",
            Self::WrongMeasurement => "WRONG_MEASUREMENT",
            Self::UnfairRule => "UNFAIR_RULE",
            Self::Other => "OTHER",
        }
    }
}

impl FromStr for AppealGround {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|ground| ground.name() == text).ok_or(UnknownName)
    }
}

/// What became of an appeal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppealState {
    /// Nobody has decided it yet.
    Pending,
    /// The violation was overruled.
    Granted,
    /// The violation was upheld.
    Rejected,
}

/// An appeal against a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appeal {
    /// Why.
    pub ground: AppealGround,
    /// When.
    pub filed_at: Timestamp,
    /// The statement, sealed to the operators' key; dropped once the appeal is decided.
    pub sealed_statement: Option<SealedText>,
    /// When it was decided, and by whom.
    pub decided: Option<(Timestamp, AccessKeyId)>,
}

/// A text that this service cannot read: sealed with age to a key that it does not hold, in its armoured form.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedText(String);

/// A text that is not sealed, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an armoured age file of at most {MAX_SEALED_BYTES} bytes")]
pub struct NotSealed;

/// The longest sealed text: ten pages.
pub const MAX_SEALED_BYTES: usize = 32_768;

impl SealedText {
    /// The armoured text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SealedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedText({} bytes)", self.0.len())
    }
}

impl FromStr for SealedText {
    type Err = NotSealed;

    /// Takes what looks sealed: text in clear would be kept where nobody expects it.
    fn from_str(text: &str) -> Result<Self, NotSealed> {
        const HEAD: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
        const FOOT: &str = "-----END AGE ENCRYPTED FILE-----";
        if text.len() > MAX_SEALED_BYTES {
            return Err(NotSealed);
        }
        let body = text.trim().strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(FOOT)).ok_or(NotSealed)?;
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let mut lines = body.trim().lines().map(|line| line.trim_end_matches('\r'));
        // The header of the age format, in base64: "age-encryption.org/v1".
        let first = lines.clone().next().ok_or(NotSealed)?;
        if first.starts_with("YWdlLWVuY3J5cHRpb24ub3JnL3Yx")
            && lines.all(|line| line.len() <= 64 && line.chars().all(is_base64))
        {
            Ok(Self(text.trim().to_owned()))
        } else {
            Err(NotSealed)
        }
    }
}

/// Who imposed a sanction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The policy of that version, by itself.
    Policy(u32),
    /// An operator.
    Operator(AccessKeyId),
}

/// A sanction with everything that the account it falls on is owed. There is no other way to one than through a
/// statement of reasons:
///
/// ```compile_fail
/// use dimensionos_core::tos::{Imposed, Sanction};
/// let imposed = Imposed { sanction: Sanction::Suspend };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Imposed {
    sanction: Sanction,
    since: Timestamp,
    author: Author,
    statement: StatementOfReasons,
}

impl Imposed {
    /// What a policy decided by itself.
    pub(crate) fn by_policy(version: u32, decision: Decision, flag: Flag, now: Timestamp) -> Self {
        let until = if decision.sanction == Sanction::None { NOTICE_TIME } else { decision.lasting };
        let statement = StatementOfReasons::new(flag, true, Some(now.after(until)));
        Self { sanction: decision.sanction, since: now, author: Author::Policy(version), statement }
    }

    /// What an operator decided about what was found before.
    pub(crate) fn by_operator(
        &self,
        operator: AccessKeyId,
        sanction: Sanction,
        until: Timestamp,
        now: Timestamp,
    ) -> Self {
        let statement = StatementOfReasons::new(*self.statement.flag(), false, Some(until));
        Self { sanction, since: now, author: Author::Operator(operator), statement }
    }

    /// One step less: what an appeal that waited too long took off it stays off.
    pub(crate) fn relax(&mut self) {
        self.sanction = self.sanction.relaxed();
    }

    /// The same for a shorter time, or one step less where no time is left.
    pub(crate) fn no_longer_than(&mut self, end: Timestamp, flag: Flag) {
        if end <= self.since {
            self.relax();
        } else if end < self.until() {
            self.statement = StatementOfReasons::new(flag, self.statement.is_automated(), Some(end));
        }
    }

    /// As a storage kept it; for storages.
    #[must_use]
    pub const fn restore(sanction: Sanction, since: Timestamp, author: Author, statement: StatementOfReasons) -> Self {
        Self { sanction, since, author, statement }
    }

    /// What was imposed.
    #[must_use]
    pub const fn sanction(&self) -> Sanction {
        self.sanction
    }

    /// Since when.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// By whom.
    #[must_use]
    pub const fn author(&self) -> Author {
        self.author
    }

    /// Why.
    #[must_use]
    pub const fn statement(&self) -> &StatementOfReasons {
        &self.statement
    }

    /// When it ends by itself.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.statement.expires_at().unwrap_or(Timestamp::LAST)
    }
}

/// What the policy in shadow would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow {
    /// Its version.
    pub version: u32,
    /// What would have followed.
    pub sanction: Sanction,
}

/// Something found against an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// Its id.
    pub id: ViolationId,
    /// Whose.
    pub account: AccountId,
    /// When it was found.
    pub detected_at: Timestamp,
    /// When the flag went down by itself.
    pub lowered_at: Option<Timestamp>,
    /// What followed, and why.
    pub imposed: Imposed,
    /// What was decided from, so that the decision can be made again.
    pub grounds: Grounds,
    /// The policy that decided first, whoever has decided since.
    pub policy: u32,
    /// What that policy decided.
    pub decided: Sanction,
    /// What another policy would have decided.
    pub shadow: Option<Shadow>,
    /// What its holder says to it.
    pub appeal: Option<Appeal>,
    /// Where the appeal led, as stored: the rest of the state follows from the clock.
    pub verdict: Option<AppealVerdict>,
    /// The complaint it follows from, where it is about copyright.
    pub complaint: Option<Complaint>,
    /// The operators who had a part in it: none of them decides its appeal.
    pub handled_by: Vec<AccessKeyId>,
}

/// What the policies say to a flag.
pub(crate) struct Judgement {
    pub(crate) grounds: Grounds,
    /// The version of the policy in force.
    pub(crate) policy: u32,
    pub(crate) imposed: Imposed,
    pub(crate) shadow: Option<Shadow>,
}

/// How an appeal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppealVerdict {
    /// For the account.
    Overruled,
    /// Against it.
    Upheld,
}

impl Violation {
    /// What kind of breach it is.
    #[must_use]
    pub const fn kind(&self) -> ViolationKind {
        self.grounds.rule.kind()
    }

    /// Where it stands at an instant.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ViolationState {
        match self.verdict {
            Some(AppealVerdict::Overruled) => ViolationState::Overruled,
            _ if self.ends_at() <= now => ViolationState::Expired,
            Some(AppealVerdict::Upheld) => ViolationState::Upheld,
            None => ViolationState::Open,
        }
    }

    /// The sanction as it is or was: what was imposed, but for what an unanswered appeal took off it. Nothing where it was
    /// overruled.
    #[must_use]
    pub fn sanction(&self, now: Timestamp) -> Sanction {
        match self.verdict {
            Some(AppealVerdict::Overruled) => Sanction::None,
            _ if self.relaxes_at().is_some_and(|at| at <= now) => self.imposed.sanction().relaxed(),
            _ => self.imposed.sanction(),
        }
    }

    /// Where its appeal stands.
    #[must_use]
    pub fn appeal_state(&self) -> Option<AppealState> {
        self.appeal.as_ref().map(|_| match self.verdict {
            None => AppealState::Pending,
            Some(AppealVerdict::Overruled) => AppealState::Granted,
            Some(AppealVerdict::Upheld) => AppealState::Rejected,
        })
    }

    /// Whether it counts against the account when something is found again.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.verdict != Some(AppealVerdict::Overruled)
            && self.grounds.severity > Severity::Notice
            && self.complaint.as_ref().is_none_or(|complaint| complaint.counts(now))
    }

    /// When what follows from it ends by itself: at its date, or when its complaint comes to nothing.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        let settled = self.complaint.as_ref().and_then(Complaint::settled_at);
        settled.map_or(self.imposed.until(), |settled| settled.min(self.imposed.until()))
    }

    /// Whether a sanction may follow from it at all: what is only shown, and a complaint without effect, leads to none.
    #[must_use]
    pub fn may_be_sanctioned(&self, now: Timestamp) -> bool {
        self.counts(now)
    }

    /// Whether a flag of that rule is part of it: it is still up, or was within the last hour, and nobody has overruled it.
    pub(crate) fn is_same_incident(&self, rule: Rule, now: Timestamp) -> bool {
        self.grounds.rule == rule
            && self.verdict != Some(AppealVerdict::Overruled)
            && self.complaint.is_none()
            && match self.lowered_at {
                // Up for a day is another day's.
                None => now.since(self.detected_at) <= MAX_INCIDENT,
                Some(lowered) => now.since(lowered) <= INCIDENT,
            }
    }

    /// Puts what was judged in the place of what followed before: it may be contested anew.
    pub(crate) fn judged(&mut self, judgement: Judgement) {
        self.decided = judgement.imposed.sanction();
        (self.grounds, self.policy) = (judgement.grounds, judgement.policy);
        (self.imposed, self.shadow) = (judgement.imposed, judgement.shadow);
        (self.appeal, self.verdict) = (None, None);
    }

    /// Notes that an operator had a part in it.
    pub(crate) fn handle(&mut self, operator: Option<AccessKeyId>) {
        self.handled_by.extend(operator.filter(|operator| !self.handled_by.contains(operator)));
    }

    /// When its sanction goes a step down because nobody answers its appeal.
    pub(crate) fn relaxes_at(&self) -> Option<Timestamp> {
        self.appeal.as_ref().filter(|_| self.verdict.is_none()).map(|appeal| appeal.filed_at.after(APPEAL_PATIENCE))
    }

    /// What it restricts the account to, for the account to carry; absent where it restricts nothing.
    pub(crate) fn restriction(&self, now: Timestamp) -> Option<Restriction> {
        let is_over = self.ends_at() <= now || self.verdict == Some(AppealVerdict::Overruled);
        let imposed = self.imposed.sanction();
        (!is_over && imposed >= Sanction::Throttle).then(|| Restriction {
            violation: self.id,
            sanction: imposed,
            since: self.imposed.since(),
            until: self.ends_at(),
            relaxes_at: self.relaxes_at(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sealed_is_refused() {
        let head = "-----BEGIN AGE ENCRYPTED FILE-----\n";
        let foot = "\n-----END AGE ENCRYPTED FILE-----";
        let sealed = format!("{head}YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSB4\nAAAA{foot}\n");
        assert!(sealed.parse::<SealedText>().is_ok());
        for text in [
            String::new(),
            "it was not me".to_owned(),
            format!("{head}it was not me{foot}"),
            format!("{head}{foot}"),
            format!("{head}YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+\nit was not me, you know{foot}"),
            format!("{head}YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+\n{}{foot}", "A".repeat(MAX_SEALED_BYTES)),
        ] {
            assert_eq!(text.parse::<SealedText>(), Err(NotSealed), "{text}");
        }
    }
}
