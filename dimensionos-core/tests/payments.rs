//! What pays for an account, what does not, and what follows.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dimensionos_core::allocation::{Resource, TierName};
use dimensionos_core::auth::BillingKey;
use dimensionos_core::jobs::{JobName, JobOutcome};
use dimensionos_core::monitoring::{Level, Sample};
use dimensionos_core::payment::{
    Attester, Grant, LapseStep, PaymentStatus, ServiceStatus, StatusReason, TOMBSTONE_LIFETIME,
};
use dimensionos_core::users::{AccountEvent, Registration};
use dimensionos_core::{AccountId, Clock, Code, Context, Error, OsEntropy, Platform, Timestamp};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use setting::{DAY, Setting, ada, attester, code, keys, password, platform};

/// A compact JWS of that header and payload under a billing key.
fn signed(header: &Value, claims: &Value, key: u8) -> String {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = Ed25519KeyPair::from_seed_unchecked(&[key; 32]).unwrap().sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims(account: AccountId, now: Timestamp) -> Value {
    json!({
        "iss": "dimensionos-billing", "aud": "dimensionos", "jti": "invoice 17", "iat": now.as_seconds(),
        "exp": now.after(DAY).as_seconds(), "sub": account.to_string(), "tier": "STARTER",
        "paidUntil": now.after(DAY * 30).as_seconds(),
    })
}

async fn standing(setting: &Setting, account: AccountId) -> (ServiceStatus, StatusReason) {
    let standing = setting.platform.users().standing(&Context::system(), account).await.unwrap();
    (standing.status, standing.reason)
}

/// Has the job run, and says how many accounts it looked at.
async fn follow_clock(platform: &Platform) -> u64 {
    let run = platform.jobs().run(&Context::system(), JobName::Lifecycle).await.unwrap();
    let JobOutcome::Ok { done } = run.outcome else { panic!("{run:?}") };
    done
}

#[tokio::test]
async fn a_payment_is_counted_once_also_after_a_restart_and_by_another_server() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let own = setting.context(&registered.tokens).await;
    let until = setting.clock.now().after(DAY * 30);
    let attestation = setting.attest(registered.account.id, TierName::Starter, until);
    let another = platform(&setting.store, &setting.clock, keys(&[1])).await;
    let (one, other) = (setting.platform.payment(), another.payment());
    let both = tokio::join!(one.report(&own, &attestation), other.report(&own, &attestation));
    let (first, second): (Vec<_>, Vec<_>) = [both.0, both.1].into_iter().partition(Result::is_ok);
    assert_eq!((first.len(), second.len()), (1, 1));
    let account = first.into_iter().next().unwrap().unwrap();
    assert_eq!(account.tier, TierName::Starter);
    let state = setting.platform.payment().state_of(&account);
    assert_eq!((state.status, state.paid_until), (PaymentStatus::Paid, Some(until)));
    for server in
        [setting.platform.clone(), another.clone(), platform(&setting.store, &setting.clock, keys(&[1])).await]
    {
        assert_eq!(code(server.payment().report(&own, &attestation).await), Code::AttestationSpent);
        assert_eq!(server.users().account(&own, account.id).await.unwrap().paid, account.paid);
    }
}

#[tokio::test]
async fn what_is_no_evidence_is_refused_and_changes_nothing() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let own = setting.context(&registered.tokens).await;
    let (account, now) = (registered.account.id, setting.clock.now());
    let payment = setting.platform.payment();
    let header = json!({ "alg": "EdDSA", "typ": "payment+jwt" });
    let with = |name: &str, value: Value| {
        let mut claims = claims(account, now);
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims(account, now);
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let good = signed(&header, &claims(account, now), 7);
    let mut refused = vec![
        String::new(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        "x".repeat(5_000),
        signed(&header, &claims(account, now), 8),
        format!("{}.", good.rsplit_once('.').unwrap().0),
        good.replacen("eyJ", "eyK", 1),
    ];
    // The algorithm is what it has to be, whatever is said: also where the public key is taken for a shared secret.
    for alg in ["none", "None", "HS256", "RS256", "EdDSA2", "eddsa", ""] {
        refused.push(signed(&json!({ "alg": alg }), &claims(account, now), 7));
        refused
            .push(format!("{}.", signed(&json!({ "alg": alg }), &claims(account, now), 7).rsplit_once('.').unwrap().0));
    }
    for header in [
        json!({ "alg": "EdDSA", "typ": "at+jwt" }),
        json!({ "alg": "EdDSA", "kid": "another" }),
        json!({ "alg": "EdDSA", "crit": ["exp"] }),
        json!({ "typ": "payment+jwt" }),
    ] {
        refused.push(signed(&header, &claims(account, now), 7));
    }
    let seconds = |at: Timestamp| json!(at.as_seconds());
    for claims in [
        with("iss", json!("another")),
        with("aud", json!("another")),
        with("aud", json!(["dimensionos", "another"])),
        with("jti", json!("")),
        with("jti", json!("x".repeat(129))),
        with("exp", seconds(now)),
        with("exp", json!(i64::MAX)),
        with("exp", json!("tomorrow")),
        with("iat", seconds(now.after(Duration::from_secs(120)))),
        with("nbf", seconds(now.after(Duration::from_secs(120)))),
        with("sub", json!(AccountId::from_bits(17).to_string())),
        with("sub", json!("ada@example.org")),
        with("tier", json!("FREE")),
        with("tier", json!("GOLD")),
        with("paidUntil", seconds(now)),
        with("paidUntil", json!(now.as_millis())),
        with("paidUntil", json!(-1)),
        with("vouchers", json!({ "tier": "STARTER", "days": 30, "count": 1 })),
        json!({}),
        json!([]),
    ] {
        refused.push(signed(&header, &claims, 7));
    }
    for name in ["iss", "aud", "jti", "iat", "exp", "sub", "tier", "paidUntil"] {
        refused.push(signed(&header, &without(name), 7));
    }
    for text in &refused {
        assert_eq!(code(payment.report(&own, text).await), Code::AttestationInvalid, "{text}");
    }
    assert_eq!(setting.platform.users().me(&own).await.unwrap(), registered.account);
    // None of them has used up the good one, which is taken from any billing system's library.
    let plain = signed(&json!({ "alg": "EdDSA", "typ": "JWT" }), &claims(account, now), 7);
    assert_eq!(payment.report(&own, &plain).await.unwrap().tier, TierName::Starter);
    assert_eq!(code(payment.report(&own, &good).await), Code::AttestationSpent, "they have one jti");
}

#[tokio::test]
async fn who_may_not_report_a_payment_is_told_so() {
    let setting = Setting::new().await;
    let account = setting.register().await.account;
    let attestation = setting.attest(account.id, TierName::Pro, setting.clock.now().after(DAY));
    let payment = setting.platform.payment();
    assert_eq!(code(payment.report(&Context::anonymous(), &attestation).await), Code::Unauthenticated);
    // One for an account that is not there is kept for when it is.
    let nobody = setting.attest(AccountId::from_bits(17), TierName::Pro, setting.clock.now().after(DAY));
    for _ in 0..2 {
        assert_eq!(code(payment.report(&Context::system(), &nobody).await), Code::NotFound);
    }
    let grant = Grant::Vouchers { denomination: "PRO:30".parse().unwrap(), count: 5 };
    let vouchers = attester().attest(grant, setting.clock.now(), DAY, &OsEntropy).unwrap();
    assert_eq!(code(payment.report(&Context::system(), &vouchers).await), Code::AttestationInvalid);
    let stranger = Attester { key: BillingKey::from_bytes([8; 32]), ..attester() };
    let (tier, until) = (TierName::Pro, setting.clock.now().after(DAY));
    let forged =
        stranger.attest(Grant::Account { account: account.id, tier, until }, setting.clock.now(), DAY, &OsEntropy);
    assert_eq!(code(payment.report(&Context::system(), &forged.unwrap()).await), Code::AttestationInvalid);
}

#[tokio::test]
async fn a_payment_lifts_a_lapse_at_every_step_and_leaves_what_an_operator_did() {
    for (days, lapsed) in
        [(31, ServiceStatus::ReadOnly), (61, ServiceStatus::Suspended), (121, ServiceStatus::Cancelled)]
    {
        let setting = Setting::new().await;
        let account = setting.register().await.account.id;
        setting.clock.advance(DAY * days);
        assert_eq!(standing(&setting, account).await, (lapsed, StatusReason::TrialExpired));
        let own = Context::new(setting.caller(&setting.login().await.unwrap()).await);
        let until = setting.clock.now().after(DAY * 30);
        let attestation = setting.attest(account, TierName::Pro, until);
        setting.platform.payment().report(&own, &attestation).await.unwrap();
        assert_eq!(standing(&setting, account).await, (ServiceStatus::Active, StatusReason::None));
        let since = setting.platform.users().standing(&own, account).await.unwrap().since;
        assert_eq!(since, setting.clock.now());
        // And again, from the end of what was paid for: a week of grace, and the same steps.
        setting.clock.advance(DAY * 30);
        let me = setting.platform.users().account(&Context::system(), account).await.unwrap();
        assert_eq!(setting.platform.payment().state_of(&me).status, PaymentStatus::Overdue);
        assert_eq!(standing(&setting, account).await, (ServiceStatus::Active, StatusReason::None));
        setting.clock.advance(DAY * 7);
        assert_eq!(standing(&setting, account).await, (ServiceStatus::ReadOnly, StatusReason::PaymentOverdue));
        let note = "report 17".parse().unwrap();
        let users = setting.platform.users();
        users.set_status(&Context::system(), account, ServiceStatus::Suspended, note).await.unwrap();
        setting.pay(account, TierName::Pro, setting.clock.now().after(DAY)).await.unwrap();
        assert_eq!(standing(&setting, account).await, (ServiceStatus::Suspended, StatusReason::Operator));
    }
}

#[tokio::test]
async fn an_account_whose_time_has_come_is_gone_whether_or_not_anybody_removed_it() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let own = setting.context(&registered.tokens).await;
    let refresh = registered.tokens.refresh_token;
    setting.clock.advance(DAY * 150);
    let (users, auth) = (setting.platform.users(), setting.platform.auth());
    let account = registered.account.id;
    assert_eq!(code(users.account(&Context::system(), account).await), Code::NotFound);
    assert_eq!(code(setting.login().await), Code::InvalidCredentials);
    assert_eq!(code(auth.refresh(&Context::anonymous(), &refresh).await), Code::TokenInvalid);
    assert_eq!(code(setting.pay(account, TierName::Pro, setting.clock.now().after(DAY)).await), Code::NotFound);
    let note = "report 17".parse().unwrap();
    let set = users.set_status(&Context::system(), account, ServiceStatus::Active, note).await;
    assert_eq!(code(set), Code::NotFound);
    assert!(matches!(users.me(&own).await, Err(Error::TokenInvalid | Error::TokenExpired | Error::NotFound { .. })));
    // The same identity is free, and its trial is not.
    let again = setting.register().await.account;
    assert_ne!(again.id, account);
    assert_eq!(standing(&setting, again.id).await, (ServiceStatus::ReadOnly, StatusReason::TrialExpired));
}

#[tokio::test]
async fn the_job_erases_and_leaves_a_tombstone_that_refuses_a_second_trial_for_a_year() {
    let setting = Setting::new().await;
    let first = setting.register().await.account;
    setting.clock.advance(DAY * 150);
    let system = Context::system();
    assert_eq!(follow_clock(&setting.platform).await, 1);
    assert_eq!(code(setting.platform.users().account(&system, first.id).await), Code::NotFound);
    let second = setting.register().await;
    assert_eq!(second.account.trial_ends_at, second.account.created_at);
    assert_eq!(standing(&setting, second.account.id).await, (ServiceStatus::ReadOnly, StatusReason::TrialExpired));
    // It may pay, as anybody.
    setting.pay(second.account.id, TierName::Starter, setting.clock.now().after(DAY)).await.unwrap();
    let own = setting.context(&second.tokens).await;
    setting.platform.users().erase(&own, &password(), None).await.unwrap();
    // Another identity has its trial.
    let other = Registration::new(None, password());
    let other = setting.platform.users().register(&Context::anonymous(), other).await.unwrap().account;
    assert_eq!(other.trial_ends_at, other.created_at.after(DAY * 30));
    setting.clock.advance(TOMBSTONE_LIFETIME - DAY * 2);
    assert_eq!(follow_clock(&setting.platform).await, 1, "the other is gone by then");
    let third = setting.register().await;
    assert_eq!(third.account.trial_ends_at, third.account.created_at, "the year begins anew with each erasure");
    let own = setting.context(&third.tokens).await;
    setting.pay(third.account.id, TierName::Starter, setting.clock.now().after(DAY)).await.unwrap();
    setting.platform.users().erase(&own, &password(), None).await.unwrap();
    setting.clock.advance(TOMBSTONE_LIFETIME);
    let fourth = setting.register().await.account;
    assert_eq!(fourth.trial_ends_at, fourth.created_at.after(DAY * 30));
}

#[tokio::test]
async fn a_tier_is_changed_upwards_when_paid_for_and_downwards_when_it_fits() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let (account, own) = (registered.account.id, setting.context(&registered.tokens).await);
    let payment = setting.platform.payment();
    let refused = payment.change_tier(&own, TierName::Pro).await.unwrap_err();
    assert!(matches!(refused, Error::PaymentRequired { tier: TierName::Pro, price_cents: 5_000 }), "{refused}");
    setting.pay(account, TierName::Pro, setting.clock.now().after(DAY * 30)).await.unwrap();
    assert_eq!(code(payment.change_tier(&own, TierName::Enterprise).await), Code::PaymentRequired);
    assert_eq!(code(payment.change_tier(&own, TierName::Free).await), Code::Conflict);

    // Three TB do not fit in one; one fits to the byte.
    let meter = setting.platform.monitoring().meter(&Context::system(), account).await.unwrap();
    let stored = |bytes| Sample::at(setting.clock.now()).with_level(Level::StorageBytes, bytes);
    meter.record(&stored(1_000_000_000_001));
    let refused = payment.change_tier(&own, TierName::Starter).await.unwrap_err();
    let Error::DoesNotFit { exceeding } = refused else { panic!("{refused}") };
    let figures: Vec<_> = exceeding.iter().map(|one| (one.resource, one.limit, one.used)).collect();
    assert_eq!(figures, [(Resource::Storage, Some(1_000_000_000_000), 1_000_000_000_001)]);
    assert_eq!(setting.platform.users().me(&own).await.unwrap().tier, TierName::Pro);
    setting.clock.advance(Duration::from_secs(1));
    meter.record(&stored(1_000_000_000_000));
    let changed = payment.change_tier(&own, TierName::Starter).await.unwrap();
    assert_eq!(changed.tier, TierName::Starter);
    let limit = setting.platform.allocation().of(&own, account).await.unwrap().api_calls_per_hour;
    assert_eq!(limit, 10_000, "at once");
    let check = setting.platform.allocation().check(&own, account, Resource::ApiCalls, 10_001).await.unwrap();
    assert_eq!((check.is_allowed, check.limit), (false, Some(10_000)));
    // What was paid for is still there.
    assert_eq!(payment.change_tier(&own, TierName::Pro).await.unwrap().tier, TierName::Pro);
    assert_eq!(payment.change_tier(&own, TierName::Pro).await.unwrap().tier, TierName::Pro);
}

#[tokio::test]
async fn a_lapsed_account_may_move_to_a_lower_tier_that_is_paid_for_and_to_no_other() {
    let setting = Setting::new().await;
    let account = setting.register().await.account.id;
    let now = setting.clock.now();
    setting.pay(account, TierName::Starter, now.after(DAY * 300)).await.unwrap();
    setting.pay(account, TierName::Enterprise, now.after(DAY * 10)).await.unwrap();
    setting.clock.advance(DAY * 60);
    assert_eq!(standing(&setting, account).await, (ServiceStatus::Suspended, StatusReason::PaymentOverdue));
    let own = Context::new(setting.caller(&setting.login().await.unwrap()).await);
    let payment = setting.platform.payment();
    assert_eq!(code(payment.change_tier(&own, TierName::Pro).await), Code::ServiceSuspended);
    payment.change_tier(&own, TierName::Starter).await.unwrap();
    assert_eq!(standing(&setting, account).await, (ServiceStatus::Active, StatusReason::None));
    let note = "report 17".parse().unwrap();
    let users = setting.platform.users();
    users.set_status(&Context::system(), account, ServiceStatus::ReadOnly, note).await.unwrap();
    assert_eq!(code(payment.change_tier(&own, TierName::Starter).await), Code::ServiceReadOnly);
}

#[tokio::test]
async fn a_holder_cancels_and_takes_it_back_within_a_month() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let (account, own) = (registered.account.id, setting.context(&registered.tokens).await);
    let users = setting.platform.users();
    assert_eq!(code(users.restore(&own).await), Code::Conflict);
    let wrong = dimensionos_core::auth::Password::new("not the right one 12").unwrap();
    assert_eq!(code(users.cancel(&own, &wrong, None).await), Code::InvalidCredentials);
    users.cancel(&own, &password(), None).await.unwrap();
    assert_eq!(standing(&setting, account).await, (ServiceStatus::Cancelled, StatusReason::Owner));
    assert_eq!(code(users.me(&own).await), Code::ServiceCancelled);
    // A payment is counted, and does not undo what the holder wants.
    setting.pay(account, TierName::Starter, setting.clock.now().after(DAY * 60)).await.unwrap();
    assert_eq!(standing(&setting, account).await, (ServiceStatus::Cancelled, StatusReason::Owner));
    setting.clock.advance(DAY * 29);
    let own = Context::new(setting.caller(&setting.login().await.unwrap()).await);
    users.restore(&own).await.unwrap();
    assert_eq!(standing(&setting, account).await, (ServiceStatus::Active, StatusReason::None));
    users.cancel(&own, &password(), None).await.unwrap();
    setting.clock.advance(DAY * 30);
    assert_eq!(code(users.account(&Context::system(), account).await), Code::NotFound);
}

#[tokio::test]
async fn each_notice_and_each_step_is_told_once_also_across_restarts() {
    let setting = Setting::new().await;
    let account = setting.register().await.account.id;
    let system = Context::system();
    let mut told = Vec::new();
    for day in 0..150 {
        // Another process each day; what was told is in the storage.
        let server = platform(&setting.store, &setting.clock, keys(&[1])).await;
        let mut events = server.users().events(&system, account).await.unwrap();
        for _ in 0..2 {
            follow_clock(&server).await;
        }
        while let Some(Some(event)) = events.next().now_or_never() {
            told.push((day, event));
        }
        server.close().await.unwrap();
        setting.clock.advance(DAY);
    }
    let days: Vec<_> = told.iter().map(|(day, _)| *day).collect();
    assert_eq!(days, [23, 27, 29, 30, 53, 57, 59, 60, 113, 117, 119, 120, 143, 147, 149], "{told:?}");
    let reason = StatusReason::TrialExpired;
    let at = told.iter().find_map(|(_, event)| match event {
        AccountEvent::StatusChanged { at, to: ServiceStatus::ReadOnly, .. } => Some(*at),
        _ => None,
    });
    let ahead = AccountEvent::StepAhead { step: LapseStep::ReadOnly, reason, at: at.unwrap(), days: 7 };
    assert_eq!(told[0], (23, ahead));
}

#[tokio::test]
async fn a_tombstone_matches_nothing_under_other_keys() {
    let setting = Setting::new().await;
    setting.register().await;
    setting.clock.advance(DAY * 150);
    follow_clock(&setting.platform).await;
    let strangers = keys(&[1]).with_tombstones(vec![dimensionos_core::auth::TombstoneKey::from_bytes([3; 32])]);
    let elsewhere = platform(&setting.store, &setting.clock, strangers).await;
    let account = elsewhere.users().register(&Context::anonymous(), Registration::new(Some(ada()), password())).await;
    let account = account.unwrap().account;
    assert_eq!(account.trial_ends_at, account.created_at.after(DAY * 30));
}

#[tokio::test]
async fn a_tombstone_outlives_a_change_of_the_pepper() {
    let setting = Setting::new().await;
    setting.register().await;
    setting.clock.advance(DAY * 150);
    follow_clock(&setting.platform).await;
    let rotated = platform(&setting.store, &setting.clock, keys(&[2, 1])).await;
    let again = rotated.users().register(&Context::anonymous(), Registration::new(Some(ada()), password())).await;
    let again = again.unwrap().account;
    assert_eq!(again.trial_ends_at, again.created_at);
}
