//! Tiers that change at a stated instant: for whom, from when on, and by whose word.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use std::time::Duration;

use dimensionos_core::allocation::{
    Allocation, HeavyUser, LimitOverride, REREAD_INTERVAL, Resource, TIER_NOTICE, TierChange, TierExcess, TierName,
    TierVersionState,
};
use dimensionos_core::auth::Role;
use dimensionos_core::monitoring::{Counter, Level, Sample, UsagePeriod};
use dimensionos_core::payment::lifecycle;
use dimensionos_core::secret::BearerToken;
use dimensionos_core::tos::{Counterfactual, Exit, Figure, Flag, Rule};
use dimensionos_core::users::{AccountEvent, Registration};
use dimensionos_core::{AccountId, Clock, Code, Context, Error, Platform, Timestamp};
use futures_util::{FutureExt, StreamExt};
use setting::{DAY, Setting, code, keys, password};

const SYSTEM: Context = Context::system();
const HOUR: Duration = Duration::from_secs(3_600);
const MILLISECOND: Duration = Duration::from_millis(1);
const GIGABYTE: u64 = 1_000_000_000;

/// FREE with a tenth of its calls and half of its storage.
fn less(from: Timestamp) -> TierChange {
    let change = TierChange::new(TierName::Free, from);
    TierChange { api_calls_per_hour: Some(100), storage_gigabytes: Some(5), ..change }
}

async fn register(platform: &Platform) -> AccountId {
    let registration = Registration::new(None, password());
    platform.users().register(&Context::anonymous(), registration).await.unwrap().account.id
}

/// What an account may do in an hour, by everything that tells it.
async fn calls_per_hour(platform: &Platform, account: AccountId) -> u64 {
    let allocation = platform.allocation();
    let of_tier = allocation.tier(TierName::Free);
    assert_eq!(allocation.tiers()[0], of_tier);
    assert_eq!(allocation.of(&SYSTEM, account).await.unwrap(), of_tier);
    assert_eq!(allocation.follow(&SYSTEM, account).await.unwrap().now(), of_tier);
    let usage = platform.monitoring().usage(&SYSTEM, account, UsagePeriod::Hour).await.unwrap();
    let calls = usage.resources.iter().find(|usage| usage.resource == Resource::ApiCalls).unwrap();
    assert_eq!(calls.limit, Some(of_tier.api_calls_per_hour));
    let asked = allocation.check(&SYSTEM, account, Resource::ApiCalls, 1).await.unwrap();
    assert_eq!(asked.limit, Some(of_tier.api_calls_per_hour));
    of_tier.api_calls_per_hour
}

#[tokio::test]
async fn a_version_holds_everywhere_from_its_millisecond_on_and_not_before() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let (account, idle) = (register(platform).await, register(platform).await);
    let allocation = platform.allocation();
    let from = clock.now().after(HOUR).after(Duration::from_millis(500));
    let applied = allocation.apply_tier(&SYSTEM, &less(from)).await.unwrap();
    assert_eq!((applied.version, applied.effective_from), (2, from));
    let meter = platform.monitoring().meter(&SYSTEM, account).await.unwrap();
    let consume = async |amount| meter.consume(Resource::ApiCalls, amount, clock.now()).await.unwrap();
    let reserve = async |gigabytes| {
        let bytes = gigabytes * GIGABYTE;
        let reserved = allocation.reserve(&SYSTEM, account, Resource::Storage, bytes, HOUR).await.unwrap();
        let id = reserved.id;
        if reserved.decision.is_allowed {
            allocation.release(&SYSTEM, account, id).await.unwrap();
        }
        (reserved.decision.is_allowed, reserved.decision.limit)
    };

    // A quarter of a second before it: what is granted in advance is granted for that long.
    clock.set(from.before(Duration::from_millis(1_250)));
    for _ in 0..60 {
        assert!(consume(2).await.is_allowed, "some of it by the storage, and some of what that granted in advance");
    }
    clock.set(from.before(MILLISECOND));
    assert_eq!(calls_per_hour(platform, account).await, 1_000);
    assert_eq!(reserve(6).await, (true, Some(10 * GIGABYTE)));
    let last = consume(1).await;
    assert_eq!((last.is_allowed, last.limit, last.used), (true, Some(1_000), 121));

    clock.set(from);
    assert_eq!(calls_per_hour(platform, account).await, 100);
    assert_eq!(calls_per_hour(platform, idle).await, 100);
    let refused = consume(1).await;
    assert_eq!((refused.is_allowed, refused.limit, refused.reason), (false, Some(100), Some(Code::QuotaExceeded)));
    let refused = allocation.consume(&SYSTEM, account, Resource::ApiCalls, 1, None).await.unwrap();
    assert_eq!((refused.is_allowed, refused.used), (false, 121), "nothing is left of what was granted in advance");
    assert_eq!((reserve(6).await, reserve(5).await), ((false, Some(5 * GIGABYTE)), (true, Some(5 * GIGABYTE))));
    // Those that are not changed are as they were.
    assert_eq!(allocation.tier(TierName::Pro), Allocation::initial(TierName::Pro));
    assert_eq!(allocation.tier(TierName::Free).file_operations_per_hour, 10_000);
    // A clock that is set back finds what was granted then.
    clock.set(from.before(MILLISECOND));
    assert_eq!(calls_per_hour(platform, idle).await, 1_000);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_past_a_limit_by_its_change_alone_is_told() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let (account, other) = (register(platform).await, register(platform).await);
    setting.pay(other, TierName::Starter, clock.now().after(30 * DAY)).await.unwrap();
    let from = clock.now().after(TIER_NOTICE);
    platform.allocation().apply_tier(&SYSTEM, &less(from)).await.unwrap();
    let sample =
        Sample::at(clock.now()).with_level(Level::StorageBytes, 4 * GIGABYTE).with_added(Counter::ApiCalls, 100);
    let mut listening = Vec::new();
    for id in [account, other] {
        platform.monitoring().meter(&SYSTEM, id).await.unwrap().record(&sample);
        listening.push(platform.users().events(&SYSTEM, id).await.unwrap());
    }
    platform.monitoring().flush().await.unwrap();
    let mut heard = || {
        let mut crossed = [Vec::new(), Vec::new()];
        for (events, crossed) in listening.iter_mut().zip(&mut crossed) {
            while let Some(Some(event)) = events.next().now_or_never() {
                if let AccountEvent::QuotaCrossed { resource, percent, is_above, at } = event {
                    assert_eq!(at, clock.now());
                    crossed.push((resource, percent, is_above));
                }
            }
        }
        crossed
    };
    clock.set(from.before(MILLISECOND));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(heard(), [vec![], vec![]]);
    // Nothing is recorded any more, and it is noticed all the same.
    clock.set(from);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let past = [(Resource::Storage, 80, true), (Resource::ApiCalls, 80, true), (Resource::ApiCalls, 100, true)];
    assert_eq!(heard(), [past.to_vec(), vec![]], "those on another tier are not concerned");
    let back =
        TierChange { api_calls_per_hour: Some(1_000), storage_gigabytes: Some(10), ..less(from.after(TIER_NOTICE)) };
    platform.allocation().apply_tier(&SYSTEM, &back).await.unwrap();
    clock.set(back.effective_from);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(heard()[0], past.map(|(resource, percent, _)| (resource, percent, false)));
}

#[tokio::test]
async fn a_throttled_account_keeps_its_part_of_what_its_tier_grants_then() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let account = register(platform).await;
    let rule = Rule::Scan;
    let flag = Flag {
        rule,
        severity: rule.severity(),
        figure: Figure { signal: "distinct_peers", observed: 40.0, limit: 15.0 },
        window: Duration::from_secs(60),
        since: clock.now(),
        at: clock.now(),
        tier: None,
        supporting: [None; 4],
        exit: Exit { at_most: 11.25, lasting: Duration::from_secs(120) },
        counterfactual: Counterfactual { signal: "distinct_peers", at_most: 15.0 },
    };
    platform.tos().raise(&SYSTEM, account, flag).await.unwrap();
    let allocation = platform.allocation();
    let followed = allocation.follow(&SYSTEM, account).await.unwrap();
    let limits = async || {
        let check = async |resource| allocation.check(&SYSTEM, account, resource, 1).await.unwrap().limit.unwrap();
        let shown = allocation.of(&SYSTEM, account).await.unwrap();
        assert_eq!(followed.now(), shown);
        let consumed = allocation.consume(&SYSTEM, account, Resource::ApiCalls, 1, None).await.unwrap();
        (
            check(Resource::ApiCalls).await,
            shown.api_calls_per_hour,
            consumed.limit,
            check(Resource::FileOperations).await,
        )
    };
    assert_eq!(limits().await, (100, 100, Some(100), 1_000));
    let from = clock.now().after(TIER_NOTICE);
    allocation.apply_tier(&SYSTEM, &less(from)).await.unwrap();
    clock.set(from.before(MILLISECOND));
    assert_eq!(limits().await, (100, 100, Some(100), 1_000));
    clock.set(from);
    assert_eq!(limits().await, (10, 10, Some(10), 1_000));
}

#[tokio::test]
async fn a_trial_is_as_long_as_its_tier_says_on_the_day_of_registration() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let from = clock.now().after(HOUR);
    let change = TierChange { trial_days: Some(7), ..TierChange::new(TierName::Free, from) };
    platform.allocation().apply_tier(&SYSTEM, &change).await.unwrap();
    let days_left = async |account| {
        let account = platform.users().account(&SYSTEM, account).await.unwrap();
        lifecycle::trial(&account, clock.now()).unwrap().days_left
    };
    clock.set(from.before(MILLISECOND));
    let early = register(platform).await;
    clock.set(from);
    let late = register(platform).await;
    assert_eq!((days_left(early).await, days_left(late).await), (30, 7), "a trial that has begun goes on");
}

#[tokio::test(start_paused = true)]
async fn processes_on_one_database_agree_at_every_instant() {
    let setting = Setting::new().await;
    let other = setting::platform(&setting.store, &setting.clock, keys(&[1])).await;
    let (platforms, clock) = ([&setting.platform, &other], &setting.clock);
    let account = register(&other).await;
    let agree = async || {
        let [one, other] = platforms.map(|platform| calls_per_hour(platform, account));
        let (one, other) = (one.await, other.await);
        assert_eq!(one, other);
        one
    };
    let from = clock.now().after(TIER_NOTICE);
    platforms[0].allocation().apply_tier(&SYSTEM, &less(from)).await.unwrap();
    // Between its writing and its reading it is not in force anywhere.
    for _ in 0..=REREAD_INTERVAL.as_secs() {
        assert_eq!(agree().await, 1_000);
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(clock.now() < from);
    // Known by now, and not read again: of what follows each decides by itself.
    clock.set(from.before(MILLISECOND));
    assert_eq!(agree().await, 1_000);
    clock.set(from);
    assert_eq!(agree().await, 100);
    // Each goes on from what the other did.
    let next = clock.now().after(TIER_NOTICE);
    let back = TierChange { api_calls_per_hour: Some(500), ..TierChange::new(TierName::Free, next) };
    let applied = platforms[1].allocation().apply_tier(&SYSTEM, &back).await.unwrap();
    assert_eq!((applied.version, applied.allocation.storage_gigabytes), (3, 5));
    tokio::time::sleep(REREAD_INTERVAL).await;
    clock.set(next);
    assert_eq!(agree().await, 500);
}

#[tokio::test]
async fn a_plan_tells_who_is_past_what_would_be_lowered_and_changes_nothing() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let allocation = platform.allocation();
    let mut accounts = Vec::new();
    for number in 0..5 {
        let account = register(platform).await;
        let sample = Sample::at(clock.now())
            .with_level(Level::StorageBytes, (number + 3) * GIGABYTE)
            .with_added(Counter::ApiCalls, 99 + number / 4)
            .with_added(Counter::BytesSent, 75_000_000 * number);
        platform.monitoring().meter(&SYSTEM, account).await.unwrap().record(&sample);
        accounts.push(account);
    }
    platform.monitoring().flush().await.unwrap();
    let from = clock.now().after(DAY);
    // Of the last, one limit is its own by then; another of its own will have ended.
    let own = |resource, until| LimitOverride { resource, limit: 1, until };
    allocation.set_override(&SYSTEM, accounts[4], own(Resource::Storage, from.after(MILLISECOND))).await.unwrap();
    allocation.set_override(&SYSTEM, accounts[4], own(Resource::BytesSent, from)).await.unwrap();
    let change = TierChange {
        bandwidth_bits_per_second: Some(20_000_000),
        ram_megabytes: Some(8_192),
        api_calls_per_hour: Some(99),
        ..less(from)
    };
    let plan = allocation.plan_tier(&SYSTEM, &change).await.unwrap();
    assert_eq!((plan.present.version, plan.proposed.version, plan.accounts), (1, 2, 5));
    assert_eq!((plan.proposed.allocation.ram_megabytes, plan.replaced.len()), (8_192, 0));
    let user = |place: usize, used| HeavyUser { account: accounts[place], used };
    let excess = |resource, old_limit, new_limit, heaviest: Vec<HeavyUser>| TierExcess {
        resource,
        old_limit,
        new_limit,
        accounts: heaviest.len() as u64,
        heaviest,
    };
    let minute = |bits: u64| bits / 8 * 60;
    let expected = [
        excess(Resource::Storage, 10 * GIGABYTE, 5 * GIGABYTE, vec![user(3, 6 * GIGABYTE)]),
        excess(
            Resource::BytesSent,
            minute(1_000_000_000),
            minute(20_000_000),
            vec![user(4, 300_000_000), user(3, 225_000_000)],
        ),
        excess(Resource::BytesReceived, minute(1_000_000_000), minute(20_000_000), vec![]),
        excess(Resource::ApiCalls, 1_000, 99, vec![user(4, 100)]),
    ];
    assert_eq!(plan.excesses, expected);
    // An hour later the calls have run off, and what is stored is still there.
    clock.advance(2 * HOUR);
    let plan = allocation.plan_tier(&SYSTEM, &change).await.unwrap();
    let counts: Vec<u64> = plan.excesses.iter().map(|excess| excess.accounts).collect();
    assert_eq!(counts, [1, 0, 0, 0]);

    let versions = allocation.tier_versions(&SYSTEM).await.unwrap();
    assert_eq!(versions.len(), 4, "a plan is no change");
    let applied = allocation.apply_tier(&SYSTEM, &change).await.unwrap();
    assert_eq!(applied, plan.proposed, "what is applied is what was planned");
    // For a later date the plan goes by what holds then; for an earlier one it takes the other's place.
    let later = TierChange { storage_gigabytes: Some(4), ..TierChange::new(TierName::Free, from.after(DAY)) };
    let plan = allocation.plan_tier(&SYSTEM, &later).await.unwrap();
    assert_eq!((plan.present, plan.excesses[0].old_limit), (applied, 5 * GIGABYTE));
    let sooner = TierChange { storage_gigabytes: Some(4), ..TierChange::new(TierName::Free, from.before(MILLISECOND)) };
    assert_eq!(allocation.plan_tier(&SYSTEM, &sooner).await.unwrap().replaced, [2]);
    allocation.apply_tier(&SYSTEM, &sooner).await.unwrap();
    let versions = allocation.tier_versions(&SYSTEM).await.unwrap();
    let states: Vec<_> = versions[..3].iter().map(|version| version.state(&versions, clock.now())).collect();
    assert_eq!(states, [TierVersionState::InForce, TierVersionState::Replaced, TierVersionState::Upcoming]);
    clock.set(from.after(DAY));
    assert_eq!(allocation.tier(TierName::Free).storage_gigabytes, 4);
    assert_eq!(allocation.tier(TierName::Free).api_calls_per_hour, 1_000);
}

#[tokio::test]
async fn tiers_are_operators_matter_and_what_is_refused_is_not_written() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let (allocation, from) = (platform.allocation(), clock.now().after(HOUR));
    let registered = setting.register().await;
    let account = setting.context(&registered.tokens).await;
    let mut callers = vec![(Context::anonymous(), Code::Unauthenticated), (account, Code::Forbidden)];
    for role in [Role::Agent, Role::Operator] {
        let key = platform.auth().create_key(&SYSTEM, role, "a".parse().unwrap()).await.unwrap();
        let caller = platform.auth().caller(&BearerToken::new(key.token.expose())).await.unwrap();
        callers.push((Context::new(caller), Code::Forbidden));
    }
    let (operator, _) = callers.pop().unwrap();
    for (context, refusal) in &callers {
        assert_eq!(code(allocation.plan_tier(context, &less(from)).await), *refusal);
        assert_eq!(code(allocation.apply_tier(context, &less(from)).await), *refusal);
        assert_eq!(code(allocation.tier_versions(context).await), *refusal);
    }
    let wrong = [
        ("from", less(clock.now().after(TIER_NOTICE).before(MILLISECOND))),
        ("from", less(clock.now())),
        ("storageGigabytes", TierChange { storage_gigabytes: Some(0), ..less(from) }),
        ("apiCallsPerHour", TierChange { api_calls_per_hour: Some(u64::from(u32::MAX) + 1), ..less(from) }),
        ("trialDays", TierChange { tier: TierName::Pro, trial_days: Some(1), ..less(from) }),
        ("change", TierChange::new(TierName::Free, from)),
    ];
    for (field, change) in wrong {
        for refused in [
            allocation.plan_tier(&operator, &change).await.map(drop),
            allocation.apply_tier(&operator, &change).await.map(drop),
        ] {
            assert!(matches!(refused, Err(Error::InvalidInput { field: told, .. }) if told == field), "{refused:?}");
        }
    }
    assert_eq!(allocation.tier_versions(&operator).await.unwrap().len(), 4);
    allocation.plan_tier(&operator, &less(from)).await.unwrap();
    allocation.apply_tier(&operator, &less(clock.now().after(TIER_NOTICE))).await.unwrap();
    assert_eq!(allocation.tier_versions(&operator).await.unwrap().len(), 5);
}
