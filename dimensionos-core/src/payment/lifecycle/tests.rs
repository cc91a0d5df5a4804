use super::*;
use crate::auth::Pepper;
use crate::id::AccountId;
use crate::users::{AccountEvent, AnonymousId, OperatorStatus};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const TRIAL: Duration = Duration::from_hours(30 * 24);
const INSTANT: Duration = Duration::from_millis(1);

fn lifecycle() -> Lifecycle {
    Lifecycle::new(LapsePeriods::default(), Terms::default())
}

fn account() -> Account {
    let (tag, pepper) = (AnonymousId::from_bytes([0; 32]), Pepper::from_bytes([0; 32]).id());
    let terms = Terms::default().accept(None, START).ok();
    Account { trial_ends_at: START.after(TRIAL), terms, ..Account::new(AccountId::from_bits(1), tag, pepper, START) }
}

fn paid(until: Timestamp) -> Account {
    let mut account = Account { tier: TierName::Starter, ..account() };
    account.paid.add(TierName::Starter, until);
    account
}

fn shown(account: &Account, now: Timestamp) -> (ServiceStatus, StatusReason, Timestamp) {
    let standing = lifecycle().standing(account, now);
    (standing.status, standing.reason, standing.since)
}

#[test]
fn each_step_is_taken_on_its_millisecond_and_not_before() {
    let until = START.after(100 * DAY);
    for (account, first, reason) in [
        (account(), START.after(TRIAL), StatusReason::TrialExpired),
        (paid(until), until.after(7 * DAY), StatusReason::PaymentOverdue),
    ] {
        let steps = [
            (first, ServiceStatus::Active, ServiceStatus::ReadOnly),
            (first.after(30 * DAY), ServiceStatus::ReadOnly, ServiceStatus::Suspended),
            (first.after(90 * DAY), ServiceStatus::Suspended, ServiceStatus::Cancelled),
        ];
        for (at, before, after) in steps {
            assert_eq!(shown(&account, at.before(INSTANT)).0, before);
            assert_eq!(shown(&account, at), (after, reason, at));
        }
        let gone = first.after(120 * DAY);
        assert!(!lifecycle().is_gone(&account, gone.before(INSTANT)));
        assert!(lifecycle().is_gone(&account, gone));
    }
}

#[test]
fn a_payment_brings_back_exactly_what_was_before_it_lapsed() {
    let until = START.after(10 * DAY);
    for days in [18, 50, 120] {
        let now = until.after(days * DAY);
        let mut account = paid(until);
        assert_ne!(shown(&account, now).0, ServiceStatus::Active);
        lifecycle().change(&mut account, now, |account| account.paid.add(TierName::Starter, now.after(30 * DAY)));
        assert_eq!(shown(&account, now), (ServiceStatus::Active, StatusReason::None, now));
        // What an operator did is not paid off.
        let mut barred = paid(until);
        let note = "report 17".parse().unwrap();
        barred.operator_status = Some(OperatorStatus { status: ServiceStatus::ReadOnly, since: START, note });
        lifecycle().change(&mut barred, now, |account| account.paid.add(TierName::Starter, now.after(30 * DAY)));
        assert_eq!(shown(&barred, now), (ServiceStatus::ReadOnly, StatusReason::Operator, START));
    }
}

#[test]
fn a_payment_is_told_in_one_word_with_its_dates() {
    let until = START.after(100 * DAY);
    let state = |account: &Account, now| {
        let PaymentState { status, paid_until, overdue_since } = lifecycle().payment(account, now);
        (status, paid_until, overdue_since)
    };
    assert_eq!(state(&account(), START), (PaymentStatus::NotRequired, None, None));
    assert_eq!(state(&account(), START.after(TRIAL)), (PaymentStatus::Unpaid, None, None));
    assert_eq!(state(&paid(until), until.before(INSTANT)), (PaymentStatus::Paid, Some(until), None));
    assert_eq!(state(&paid(until), until), (PaymentStatus::Overdue, Some(until), Some(until)));
    assert_eq!(shown(&paid(until), until).0, ServiceStatus::Active, "there is a week's grace");
}

#[test]
fn the_stricter_of_a_lapse_and_a_decision_shows_and_lifting_one_leaves_the_other() {
    use ServiceStatus::{Cancelled, ReadOnly, Suspended};
    let lapsed_at = START.after(TRIAL);
    let suspended_at = lapsed_at.after(30 * DAY);
    let shown = |status, now| {
        let note = "report 17".parse().unwrap();
        let decided = Some(OperatorStatus { status, since: START.after(DAY), note });
        let (status, reason, _) = shown(&Account { operator_status: decided, ..account() }, now);
        (status, reason)
    };
    assert_eq!(shown(Suspended, START.after(DAY)), (Suspended, StatusReason::Operator));
    assert_eq!(shown(Suspended, lapsed_at), (Suspended, StatusReason::Operator));
    assert_eq!(shown(ReadOnly, lapsed_at), (ReadOnly, StatusReason::Operator));
    assert_eq!(shown(ReadOnly, suspended_at), (Suspended, StatusReason::TrialExpired));
    assert_eq!(shown(Suspended, suspended_at), (Suspended, StatusReason::Operator));
    assert_eq!(shown(Suspended, suspended_at.after(60 * DAY)), (Cancelled, StatusReason::TrialExpired));
}

#[test]
fn a_cancelled_account_is_gone_a_month_later_whoever_cancelled_it() {
    let by_holder = Account { cancelled_at: Some(START.after(DAY)), ..account() };
    assert_eq!(shown(&by_holder, START.after(DAY)), (ServiceStatus::Cancelled, StatusReason::Owner, START.after(DAY)));
    let note = "report 17".parse().unwrap();
    let status = OperatorStatus { status: ServiceStatus::Cancelled, since: START.after(DAY), note };
    let by_operator = Account { operator_status: Some(status), ..account() };
    for account in [by_holder, by_operator] {
        assert_eq!(lifecycle().erased_at(&account), START.after(31 * DAY));
        let next = lifecycle().next_step(&account, START.after(2 * DAY)).unwrap();
        assert_eq!((next.step, next.at), (LapseStep::Erased, START.after(31 * DAY)));
    }
}

#[test]
fn notices_come_seven_three_and_one_days_before_a_step_once_each() {
    let mut account = account();
    let mut told = Vec::new();
    for hour in 0..=(151 * 24) {
        let now = START.after(Duration::from_hours(hour));
        if lifecycle().is_gone(&account, now) {
            break;
        }
        for event in lifecycle().catch_up(&mut account, now) {
            told.push((hour / 24, event));
        }
        assert!(account.told.due_at > now, "there is always something ahead");
    }
    let notices = |step, at: u64| {
        [7, 3, 1].map(|days| {
            let reason = StatusReason::TrialExpired;
            let (days, at) = (u8::try_from(days).unwrap(), START.after(Duration::from_hours(at * 24)));
            AccountEvent::StepAhead { step, reason, at, days }
        })
    };
    let mut expected = Vec::new();
    let mut from = ServiceStatus::Active;
    for (step, to, day) in [
        (LapseStep::ReadOnly, ServiceStatus::ReadOnly, 30),
        (LapseStep::Suspended, ServiceStatus::Suspended, 60),
        (LapseStep::Cancelled, ServiceStatus::Cancelled, 120),
    ] {
        expected.extend([7, 3, 1].map(|before| day - before).into_iter().zip(notices(step, day)));
        let at = START.after(Duration::from_hours(day * 24));
        expected.push((day, AccountEvent::StatusChanged { from, to, reason: StatusReason::TrialExpired, at }));
        from = to;
    }
    expected.extend([143, 147, 149].into_iter().zip(notices(LapseStep::Erased, 150)));
    assert_eq!(told, expected);
}

#[test]
fn a_listener_who_comes_late_is_told_how_things_stand_and_no_more() {
    let mut account = account();
    let now = START.after(59 * DAY);
    let events = lifecycle().catch_up(&mut account, now);
    let (from, to, reason) = (ServiceStatus::Active, ServiceStatus::ReadOnly, StatusReason::TrialExpired);
    let at = START.after(TRIAL);
    let ahead = AccountEvent::StepAhead { step: LapseStep::Suspended, reason, at: START.after(60 * DAY), days: 1 };
    assert_eq!(events, [AccountEvent::StatusChanged { from, to, reason, at }, ahead]);
    assert_eq!(lifecycle().catch_up(&mut account, now), []);
}

#[test]
fn a_trial_counts_down_from_thirty_to_none() {
    let account = account();
    let left = |passed| trial(&account, START.after(passed)).unwrap().days_left;
    assert_eq!(left(Duration::ZERO), 30);
    assert_eq!(left(Duration::from_secs(1)), 30);
    assert_eq!(left(DAY), 29);
    assert_eq!(left(TRIAL), 0);
    assert_eq!(left(TRIAL + DAY), 0);
    assert!(trial(&paid(START), START).is_none());
}

#[test]
fn periods_that_would_erase_at_once_or_never_are_refused() {
    let (none, forever) = (Duration::ZERO, LapsePeriods::MAX + INSTANT);
    assert!(LapsePeriods::new(none, none, none, DAY).is_ok());
    assert!(LapsePeriods::new(none, none, none, DAY.saturating_sub(INSTANT)).is_err());
    assert!(LapsePeriods::new(none, forever, none, DAY).is_err());
}
