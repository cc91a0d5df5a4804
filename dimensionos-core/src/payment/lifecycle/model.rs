//! The rules of the lifecycle against a model that walks the table row by row, over sequences of what can happen to an
//! account. Of two accounts to which the same happens, one is looked after by the job now and then, and both are stored and
//! read back now and then: neither may make a difference.

use proptest::prelude::*;

use super::*;
use crate::auth::Pepper;
use crate::id::{AccountId, ViolationId};
use crate::payment::Paid;
use crate::tos::{Restriction, Sanction};
use crate::users::{AnonymousId, OperatorStatus};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const TRIAL: Duration = Duration::from_hours(30 * 24);
/// Sequences that are tried.
const CASES: u32 = 100_000;

/// Something that happens, in three small numbers.
type Happening = (u8, u8, u16);

/// The states of the contract's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Overdue,
    ReadOnly,
    Suspended,
    Cancelled,
    Erased,
}

/// What is known of an account, kept apart from how the account keeps it.
#[derive(Debug, Clone, Default)]
struct Facts {
    is_free: bool,
    tier: usize,
    paid: [Option<Timestamp>; 3],
    closed: Option<Timestamp>,
    operator: Option<(ServiceStatus, Timestamp)>,
    restrictions: Vec<Restriction>,
}

impl Facts {
    /// One row of the table: where a state leads by itself, and when.
    fn row(&self, state: State, entered: Timestamp) -> Option<(State, Timestamp)> {
        let paid_until = || self.paid[self.tier..].iter().flatten().max().copied().unwrap_or(START);
        Some(match state {
            State::Active if self.is_free => (State::ReadOnly, START.after(TRIAL)),
            State::Active => (State::Overdue, paid_until()),
            State::Overdue => (State::ReadOnly, entered.after(7 * DAY)),
            State::ReadOnly => (State::Suspended, entered.after(30 * DAY)),
            State::Suspended => (State::Cancelled, entered.after(60 * DAY)),
            State::Cancelled => (State::Erased, entered.after(30 * DAY)),
            State::Erased => return None,
        })
    }

    fn walk(&self, now: Timestamp) -> State {
        let (mut state, mut entered) = (State::Active, START);
        while let Some((next, at)) = self.row(state, entered).filter(|(_, at)| *at <= now) {
            (state, entered) = (next, at);
        }
        state
    }

    fn lapsed(&self, now: Timestamp) -> ServiceStatus {
        match self.walk(now) {
            State::Active | State::Overdue => ServiceStatus::Active,
            State::ReadOnly => ServiceStatus::ReadOnly,
            State::Suspended => ServiceStatus::Suspended,
            State::Cancelled | State::Erased => ServiceStatus::Cancelled,
        }
    }

    fn sanctioned(&self, now: Timestamp) -> ServiceStatus {
        let shown = self.restrictions.iter().filter(|own| now < own.until).map(|own| {
            let is_relaxed = own.relaxes_at.is_some_and(|at| at <= now);
            match (own.sanction, is_relaxed) {
                (Sanction::Suspend, false) => ServiceStatus::Suspended,
                (Sanction::Suspend, true) | (Sanction::ReadOnly, false) => ServiceStatus::ReadOnly,
                _ => ServiceStatus::Active,
            }
        });
        shown.max().unwrap_or(ServiceStatus::Active)
    }

    /// The strictest of all, and whose word it is.
    fn standing(&self, now: Timestamp) -> (ServiceStatus, StatusReason) {
        let lapse = if self.is_free { StatusReason::TrialExpired } else { StatusReason::PaymentOverdue };
        let closed = if self.closed.is_some() { ServiceStatus::Cancelled } else { ServiceStatus::Active };
        let decided = self.operator.map_or(ServiceStatus::Active, |(status, _)| status);
        let said = [
            (decided, StatusReason::Operator),
            (self.sanctioned(now), StatusReason::TosViolation),
            (closed, StatusReason::Owner),
            (self.lapsed(now), lapse),
        ];
        let strictest = said.iter().map(|(status, _)| *status).max().unwrap();
        let reason = said.iter().find(|(status, _)| *status == strictest).unwrap().1;
        (strictest, if strictest == ServiceStatus::Active { StatusReason::None } else { reason })
    }

    fn is_gone(&self, now: Timestamp) -> bool {
        let by_operator = self.operator.filter(|(status, _)| *status == ServiceStatus::Cancelled).map(|(_, at)| at);
        let closed = [self.closed, by_operator].into_iter().flatten().any(|at| at.after(30 * DAY) <= now);
        closed || self.walk(now) == State::Erased
    }
}

const TIERS: [TierName; 3] = [TierName::Starter, TierName::Pro, TierName::Enterprise];

/// Both accounts, and what is known of them.
struct Pair {
    lifecycle: Lifecycle,
    now: Timestamp,
    facts: Facts,
    looked_after: Account,
    left_alone: Account,
}

impl Pair {
    fn new() -> Self {
        let tag = AnonymousId::from_bytes([0; 32]);
        let account = Account::new(AccountId::from_bits(1), tag, Pepper::from_bytes([0; 32]).id(), START);
        let account =
            Account { trial_ends_at: START.after(TRIAL), terms: Terms::default().accept(None, START).ok(), ..account };
        Self {
            lifecycle: Lifecycle::new(LapsePeriods::default(), Terms::default()),
            now: START,
            facts: Facts { is_free: true, ..Facts::default() },
            looked_after: account.clone(),
            left_alone: account,
        }
    }

    fn change(&mut self, act: impl Fn(&mut Account)) {
        self.lifecycle.change(&mut self.looked_after, self.now, &act);
        act(&mut self.left_alone);
    }

    fn happen(&mut self, (kind, which, amount): Happening) {
        let (now, tier) = (self.now, usize::from(which) % 3);
        let hours = Duration::from_hours(u64::from(amount) % 2_000);
        let statuses = [ServiceStatus::ReadOnly, ServiceStatus::Suspended, ServiceStatus::Cancelled];
        match kind % 12 {
            0..=2 => self.now = now.after(hours),
            3 => self.now = now.before(hours / 40),
            4 => {
                let until = now.after(hours + DAY);
                self.facts.paid[tier] = self.facts.paid[tier].max(Some(until));
                (self.facts.tier, self.facts.is_free) = (tier, false);
                self.change(|account| {
                    account.paid.add(TIERS[tier], until);
                    account.tier = TIERS[tier];
                });
            }
            5 if self.looked_after.paid.covers(TIERS[tier], now) => {
                (self.facts.tier, self.facts.is_free) = (tier, false);
                self.change(|account| account.tier = TIERS[tier]);
            }
            6 => {
                self.facts.operator = Some((statuses[tier], now));
                let note = "report 17".parse::<crate::users::StatusNote>().unwrap();
                self.change(|account| {
                    let note = note.clone();
                    account.operator_status = Some(OperatorStatus { status: statuses[tier], since: now, note });
                });
            }
            7 => {
                self.facts.operator = None;
                self.change(|account| account.operator_status = None);
            }
            8 => {
                let sanction = [Sanction::Throttle, Sanction::ReadOnly, Sanction::Suspend][tier];
                let relaxes_at = (which > 127).then(|| now.after(hours / 2));
                let violation = ViolationId::from_bits(u128::from(amount));
                let restriction = Restriction { violation, sanction, since: now, until: now.after(hours), relaxes_at };
                self.facts.restrictions.push(restriction);
                self.change(|account| account.restrictions.push(restriction));
            }
            9 if which > 127 => {
                self.facts.closed = Some(now);
                self.change(|account| account.cancelled_at = Some(now));
            }
            9 => {
                self.facts.closed = None;
                self.change(|account| account.cancelled_at = None);
            }
            10 => drop(self.lifecycle.catch_up(&mut self.looked_after, now)),
            _ => {
                let stored = self.looked_after.clone();
                self.looked_after = Account {
                    paid: Paid::from_text(stored.paid.to_text().as_deref()).unwrap(),
                    restrictions: Restriction::from_text(&Restriction::to_text(&stored.restrictions)).unwrap(),
                    ..stored
                };
            }
        }
    }

    fn check(&self) {
        let expected = self.facts.standing(self.now);
        for account in [&self.looked_after, &self.left_alone] {
            let standing = self.lifecycle.standing(account, self.now);
            assert_eq!((standing.status, standing.reason), expected);
            assert_eq!(self.lifecycle.is_gone(account, self.now), self.facts.is_gone(self.now));
        }
        let payment = |account| self.lifecycle.payment(account, self.now);
        assert_eq!(payment(&self.looked_after), payment(&self.left_alone));
        let step = |account| self.lifecycle.next_step(account, self.now);
        assert_eq!(step(&self.looked_after), step(&self.left_alone));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]
    #[test]
    fn an_account_is_what_the_table_says_whether_or_not_the_job_ran(
        happenings in prop::collection::vec(any::<Happening>(), 1..20),
    ) {
        let mut pair = Pair::new();
        pair.check();
        for happening in happenings {
            pair.happen(happening);
            pair.check();
            // Nothing happens any more to an account that is gone.
            if pair.facts.is_gone(pair.now) {
                break;
            }
        }
    }
}
