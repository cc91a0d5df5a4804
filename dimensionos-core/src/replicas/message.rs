//! What processes tell one another, as it travels.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, ReplicaId, ViolationId};
use crate::monitoring::{Counter, Level, Sample};
use crate::payment::{LapseStep, ServiceStatus, StatusReason};
use crate::time::Timestamp;
use crate::users::AccountEvent;

/// The first byte of every message. A process takes no other format than its own: where two versions of the program run
/// side by side, each learns from the database what the other did, a second later.
const FORMAT: u8 = 1;

/// Bytes of one message at most, so that it fits into one of any bus: NATS takes a megabyte.
const MAX_BYTES: usize = 256 * 1024;
/// Accounts that one message names.
pub(super) const MAX_ACCOUNTS: usize = MAX_BYTES / 32;

/// What one process tells others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// Accounts were changed.
    Changed(Vec<AccountId>),
    /// A tier has another version.
    Tiers,
    /// A process begins to listen, and wants to know what the others follow.
    Hello,
    /// A process follows these accounts, in a round of telling all of them.
    Follows(ReplicaId, u64, Vec<AccountId>),
    /// What was counted of accounts that the process follows to whom this goes.
    Counted(Vec<Delta>),
    /// What happened to such an account.
    Happened(AccountId, AccountEvent),
}

/// What one transaction counted of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) account: AccountId,
    /// The version of what the account used before.
    pub(crate) before: u64,
    /// And after.
    pub(crate) version: u64,
    pub(crate) samples: Vec<Sample>,
}

type Id = [u8; 16];

#[derive(Serialize, Deserialize)]
enum Wire {
    Changed(Vec<Id>),
    Tiers,
    Hello,
    Follows(Id, u64, Vec<Id>),
    Counted(Vec<(Id, u64, u64, Vec<WireSample>)>),
    Happened(Id, WireEvent),
}

/// When, a bit for each field that was measured, and the figures of those.
pub(crate) type WireSample = (i64, u16, Vec<u64>);

#[derive(Serialize, Deserialize)]
enum WireEvent {
    Status(u8, u8, u8, i64),
    Step(u8, u8, i64, u8),
    Violation(Id),
}

impl Message {
    /// As it travels; absent for what does not.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let ids = |accounts: &[AccountId]| accounts.iter().map(|account| account.bits().to_be_bytes()).collect();
        let wire = match self {
            Self::Changed(accounts) => Wire::Changed(ids(accounts)),
            Self::Tiers => Wire::Tiers,
            Self::Hello => Wire::Hello,
            Self::Follows(replica, round, accounts) => {
                Wire::Follows(replica.bits().to_be_bytes(), *round, ids(accounts))
            }
            Self::Counted(deltas) => Wire::Counted(deltas.iter().map(wire_delta).collect()),
            Self::Happened(account, event) => Wire::Happened(account.bits().to_be_bytes(), wire_event(event)?),
        };
        postcard::to_extend(&wire, vec![FORMAT]).ok()
    }

    /// Reads what came; absent where it is of another format.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, bytes) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let ids = |ids: Vec<Id>| ids.into_iter().map(account).collect();
        Some(match postcard::from_bytes(bytes).ok()? {
            Wire::Changed(accounts) => Self::Changed(ids(accounts)),
            Wire::Tiers => Self::Tiers,
            Wire::Hello => Self::Hello,
            Wire::Follows(replica, round, accounts) => {
                Self::Follows(ReplicaId::from_bits(u128::from_be_bytes(replica)), round, ids(accounts))
            }
            Wire::Counted(deltas) => {
                let delta = |(id, before, version, samples): (Id, u64, u64, Vec<WireSample>)| Delta {
                    account: account(id),
                    before,
                    version,
                    samples: samples.iter().map(sample).collect(),
                };
                Self::Counted(deltas.into_iter().map(delta).collect())
            }
            Wire::Happened(id, happened) => Self::Happened(account(id), event(&happened)?),
        })
    }
}

/// Divides what was counted into messages that are not too long. What is too long by itself is left out: whoever follows the
/// account finds that something is missing, and asks the database.
pub(super) fn counted(deltas: Vec<Delta>) -> Vec<Message> {
    let mut messages = vec![Vec::new()];
    let mut bytes = 0;
    for delta in deltas {
        // An id, two versions and the lengths; and a sample with all its figures as long as they can be.
        let length = 40 + delta.samples.iter().map(|sample| 16 + fields(sample) * 10).sum::<usize>();
        if length > MAX_BYTES {
            continue;
        }
        if bytes + length > MAX_BYTES {
            messages.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        if let Some(last) = messages.last_mut() {
            last.push(delta);
        }
    }
    messages.retain(|deltas| !deltas.is_empty());
    messages.into_iter().map(Message::Counted).collect()
}

fn fields(sample: &Sample) -> usize {
    sample.measured().count_ones() as usize
}

fn account(id: Id) -> AccountId {
    AccountId::from_bits(u128::from_be_bytes(id))
}

fn wire_delta(delta: &Delta) -> (Id, u64, u64, Vec<WireSample>) {
    let samples = delta.samples.iter().map(wire_sample).collect();
    (delta.account.bits().to_be_bytes(), delta.before, delta.version, samples)
}

pub(crate) fn wire_sample(sample: &Sample) -> WireSample {
    let levels = Level::ALL.into_iter().filter_map(|level| sample.level(level));
    let counters = Counter::ALL.into_iter().filter_map(|counter| sample.added(counter));
    (sample.taken_at().as_millis(), sample.measured(), levels.chain(counters).collect())
}

/// What is missing of the figures was not measured.
pub(crate) fn sample((at, measured, figures): &WireSample) -> Sample {
    let mut figures = figures.iter();
    let mut sample = Sample::at(Timestamp::from_millis(*at));
    for level in Level::ALL.into_iter().filter(|level| measured & level.bit() != 0) {
        figures.next().into_iter().for_each(|value| sample.set_level(level, *value));
    }
    for counter in Counter::ALL.into_iter().filter(|counter| measured & counter.bit() != 0) {
        figures.next().into_iter().for_each(|amount| sample.add(counter, *amount));
    }
    sample
}

const STATUSES: [ServiceStatus; 4] =
    [ServiceStatus::Active, ServiceStatus::ReadOnly, ServiceStatus::Suspended, ServiceStatus::Cancelled];
const REASONS: [StatusReason; 6] = [
    StatusReason::None,
    StatusReason::TrialExpired,
    StatusReason::PaymentOverdue,
    StatusReason::TosViolation,
    StatusReason::Operator,
    StatusReason::Owner,
];
const STEPS: [LapseStep; 5] =
    [LapseStep::Overdue, LapseStep::ReadOnly, LapseStep::Suspended, LapseStep::Cancelled, LapseStep::Erased];

fn place<T: PartialEq>(all: &[T], one: &T) -> Option<u8> {
    u8::try_from(all.iter().position(|known| known == one)?).ok()
}

fn wire_event(event: &AccountEvent) -> Option<WireEvent> {
    Some(match event {
        AccountEvent::StatusChanged { from, to, reason, at } => {
            WireEvent::Status(place(&STATUSES, from)?, place(&STATUSES, to)?, place(&REASONS, reason)?, at.as_millis())
        }
        AccountEvent::StepAhead { step, reason, at, days } => {
            WireEvent::Step(place(&STEPS, step)?, place(&REASONS, reason)?, at.as_millis(), *days)
        }
        AccountEvent::ViolationRaised { violation } => WireEvent::Violation(violation.bits().to_be_bytes()),
        // Whoever follows an account knows what it uses, and tells that itself.
        AccountEvent::QuotaCrossed { .. } => return None,
    })
}

fn event(wire: &WireEvent) -> Option<AccountEvent> {
    let status = |place: u8| STATUSES.get(usize::from(place)).copied();
    let reason = |place: u8| REASONS.get(usize::from(place)).copied();
    Some(match *wire {
        WireEvent::Status(from, to, why, at) => AccountEvent::StatusChanged {
            from: status(from)?,
            to: status(to)?,
            reason: reason(why)?,
            at: Timestamp::from_millis(at),
        },
        WireEvent::Step(step, why, at, days) => AccountEvent::StepAhead {
            step: STEPS.get(usize::from(step)).copied()?,
            reason: reason(why)?,
            at: Timestamp::from_millis(at),
            days,
        },
        WireEvent::Violation(id) => {
            AccountEvent::ViolationRaised { violation: ViolationId::from_bits(u128::from_be_bytes(id)) }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_sample() -> impl Strategy<Value = Sample> {
        let levels = proptest::collection::vec(proptest::option::of(0..1_u64 << 53), Level::ALL.len());
        let counters = proptest::collection::vec(proptest::option::of(0..1_u64 << 53), Counter::ALL.len());
        (0..253_402_300_799_999_i64, levels, counters).prop_map(|(at, levels, counters)| {
            let mut sample = Sample::at(Timestamp::from_millis(at));
            for (level, value) in Level::ALL.into_iter().zip(levels) {
                value.into_iter().for_each(|value| sample.set_level(level, value));
            }
            for (counter, amount) in Counter::ALL.into_iter().zip(counters) {
                amount.into_iter().for_each(|amount| sample.add(counter, amount));
            }
            sample
        })
    }

    fn an_event() -> impl Strategy<Value = AccountEvent> {
        let at = (0..253_402_300_799_999_i64).prop_map(Timestamp::from_millis);
        let status = proptest::sample::select(STATUSES.to_vec());
        let reason = proptest::sample::select(REASONS.to_vec());
        prop_oneof![
            (status.clone(), status, reason.clone(), at.clone())
                .prop_map(|(from, to, reason, at)| AccountEvent::StatusChanged { from, to, reason, at }),
            (proptest::sample::select(STEPS.to_vec()), reason, at, any::<u8>())
                .prop_map(|(step, reason, at, days)| AccountEvent::StepAhead { step, reason, at, days }),
            any::<u128>().prop_map(|id| AccountEvent::ViolationRaised { violation: ViolationId::from_bits(id) }),
        ]
    }

    fn a_message() -> impl Strategy<Value = Message> {
        let accounts = proptest::collection::vec(any::<u128>().prop_map(AccountId::from_bits), 0..20);
        let samples = proptest::collection::vec(a_sample(), 0..5);
        let delta = (any::<u128>(), any::<u64>(), any::<u64>(), samples).prop_map(|(id, before, version, samples)| {
            Delta { account: AccountId::from_bits(id), before, version, samples }
        });
        prop_oneof![
            accounts.clone().prop_map(Message::Changed),
            Just(Message::Tiers),
            Just(Message::Hello),
            (any::<u128>(), any::<u64>(), accounts).prop_map(|(id, round, accounts)| Message::Follows(
                ReplicaId::from_bits(id),
                round,
                accounts
            )),
            proptest::collection::vec(delta, 0..20).prop_map(Message::Counted),
            (any::<u128>(), an_event()).prop_map(|(id, event)| Message::Happened(AccountId::from_bits(id), event)),
        ]
    }

    proptest! {
        #[test]
        fn a_message_comes_as_it_was_sent(message in a_message()) {
            let bytes = message.encode().unwrap();
            prop_assert_eq!(Message::decode(&bytes), Some(message));
        }

        #[test]
        fn what_is_no_message_is_passed_over(bytes: Vec<u8>) {
            // Never a panic; and what is read is a message, which travels again.
            if let Some(message) = Message::decode(&bytes) {
                prop_assert!(message.encode().is_some());
            }
        }

        #[test]
        fn no_message_is_too_long(count in 1..200_usize, samples in proptest::collection::vec(a_sample(), 1..60)) {
            let delta = |id: usize| Delta {
                account: AccountId::from_bits(id as u128),
                before: u64::MAX,
                version: u64::MAX,
                samples: samples.clone(),
            };
            let messages = counted((0..count).map(delta).collect());
            let mut accounts = 0;
            for message in &messages {
                prop_assert!(message.encode().unwrap().len() <= MAX_BYTES);
                let Message::Counted(deltas) = message else { continue };
                accounts += deltas.len();
            }
            prop_assert_eq!(accounts, count);
        }
    }

    #[test]
    fn what_is_too_long_by_itself_is_left_out() {
        let sample =
            Level::ALL.into_iter().fold(Sample::at(Timestamp::EPOCH), |sample, level| sample.with_level(level, 1));
        let delta = |samples| Delta { account: AccountId::from_bits(1), before: 0, version: 1, samples };
        let messages = counted(vec![delta(vec![sample]), delta(vec![sample; 5_000]), delta(vec![sample])]);
        assert_eq!(messages, [Message::Counted(vec![delta(vec![sample]); 2])]);
    }

    #[test]
    fn another_format_is_passed_over() {
        let mut bytes = Message::Hello.encode().unwrap();
        bytes[0] = FORMAT + 1;
        assert_eq!(Message::decode(&bytes), None);
        assert_eq!(Message::decode(&[]), None);
    }
}
