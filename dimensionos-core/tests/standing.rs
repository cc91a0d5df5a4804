//! What an operator, new terms, an export and an erasure do to an account.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use std::time::Duration;

use dimensionos_core::auth::{HashCost, Password, SignIn};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::payment::{ServiceStatus, StatusReason};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::{Registration, Terms, TermsVersion};
use dimensionos_core::{Caller, Clock, Code, Context, MemoryStore, Platform, Refusal};
use setting::{DAY, Setting, ada, code, keys, password};

#[tokio::test]
async fn a_suspended_account_is_refused_on_the_next_call_and_let_in_again_on_the_one_after() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let (id, system) = (registered.account.id, Context::system());
    let context = setting.context(&registered.tokens).await;
    let (users, monitoring) = (setting.platform.users(), setting.platform.monitoring());
    let note = || "report 17".parse().unwrap();
    for (status, metrics, codes) in [
        (ServiceStatus::ReadOnly, None, Some(Code::ServiceReadOnly)),
        (ServiceStatus::Suspended, Some(Code::ServiceSuspended), Some(Code::ServiceSuspended)),
        (ServiceStatus::Cancelled, Some(Code::ServiceCancelled), Some(Code::ServiceCancelled)),
        (ServiceStatus::Active, None, None),
    ] {
        let set = users.set_status(&system, id, status, note()).await.unwrap();
        assert_eq!(users.standing_of(&set).status, status);
        let seen = monitoring.metrics(&context, id).await.err().map(|error| error.code());
        assert_eq!(seen, metrics, "{status:?}");
        let listening = setting.platform.recheck_listener(&context.caller).await.err().map(|error| error.code());
        assert_eq!(listening, metrics, "{status:?}");
        let renewed = setting.platform.auth().renew_recovery_codes(&context).await.err().map(|error| error.code());
        assert_eq!(renewed, codes, "{status:?}");
        setting.login().await.unwrap();
    }
    let standing = users.standing(&context, id).await.unwrap();
    assert_eq!((standing.status, standing.reason), (ServiceStatus::Active, StatusReason::None));
    assert_eq!(code(users.set_status(&context, id, ServiceStatus::Active, note()).await), Code::Forbidden);
}

fn terms(clock: &FixedClock) -> Terms {
    let version = |name: &str, effective_at| TermsVersion { name: name.parse().unwrap(), effective_at };
    Terms::new(vec![version("1", clock.now()), version("2", clock.now().after(DAY))]).unwrap()
}

#[tokio::test]
async fn new_terms_are_announced_then_required_and_leaving_stays_open() {
    let (store, clock) = (MemoryStore::new(), FixedClock::default());
    let builder = Platform::builder(store.clone()).clock(clock.clone()).keys(keys(&[1]));
    let platform = builder.hash_cost(HashCost::for_tests()).terms(terms(&clock)).open().await.unwrap();
    let setting = Setting { platform, clock, store };
    let registered = setting.register().await;
    let id = registered.account.id;
    assert_eq!(registered.account.terms.unwrap().version.as_str(), "1");
    setting.clock.advance(DAY);
    let access = setting.login().await.unwrap();
    let context = Context::new(setting.caller(&access).await);
    let monitoring = setting.platform.monitoring();
    assert_eq!(code(monitoring.metrics(&context, id).await), Code::TermsNotAccepted);
    assert_eq!(code(setting.platform.recheck_listener(&context.caller).await), Code::TermsNotAccepted);
    setting.platform.users().me(&context).await.unwrap();
    setting.platform.users().export(&context, id).await.unwrap();
    // Accepted at sign-in, or by itself.
    let auth = setting.platform.auth();
    let accepting = |name: &str| SignIn { terms: Some(name.parse().unwrap()), ..SignIn::new(ada(), password()) };
    for unknown in ["1", "3"] {
        assert_eq!(code(auth.login(&Context::anonymous(), accepting(unknown)).await), Code::InvalidInput);
    }
    let accepted = auth.login(&Context::anonymous(), accepting("2")).await.unwrap().account;
    assert_eq!(accepted.terms.unwrap().accepted_at, setting.clock.now());
    monitoring.metrics(&context, id).await.unwrap();

    let late = setting.platform.users().register(&Context::anonymous(), Registration::new(None, password())).await;
    assert_eq!(late.unwrap().account.terms.unwrap().version.as_str(), "2");
    assert_eq!(code(setting.platform.users().accept_terms(&context, &"1".parse().unwrap()).await), Code::InvalidInput);
    setting.platform.users().accept_terms(&context, &"2".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_account_under_terms_it_does_not_accept_can_be_erased() {
    let (store, clock) = (MemoryStore::new(), FixedClock::default());
    let builder = Platform::builder(store.clone()).clock(clock.clone()).keys(keys(&[1]));
    let platform = builder.hash_cost(HashCost::for_tests()).terms(terms(&clock)).open().await.unwrap();
    let setting = Setting { platform, clock, store };
    setting.register().await;
    setting.clock.advance(DAY);
    let access = setting.login().await.unwrap();
    let context = Context::new(setting.caller(&access).await);
    setting.platform.users().erase(&context, &password(), None).await.unwrap();
    assert_eq!(setting.caller(&access).await, Caller::Refused(Refusal::Invalid));
}

#[tokio::test]
async fn an_export_tells_everything_and_shows_no_secret() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let (id, system) = (registered.account.id, Context::system());
    let meter = setting.platform.monitoring().meter(&system, id).await.unwrap();
    let now = setting.clock.now();
    meter.record(&Sample::at(now).with_level(Level::RamBytes, 77_001).with_added(Counter::ApiCalls, 3));
    let context = setting.context(&registered.tokens).await;
    let export = setting.platform.users().export(&context, id).await.unwrap();
    let export = serde_json::to_value(&export).unwrap();
    assert_eq!(export["account"]["id"], id.to_string());
    assert_eq!(export["account"]["anonymousId"], registered.account.anonymous_id.to_string());
    assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(export["refreshTokens"].as_array().unwrap().len(), 1);
    assert_eq!(export["password"]["pepperId"], registered.account.pepper.to_string());
    assert_eq!(export["recoveryCodesLeft"], 10);
    assert_eq!(export["account"]["terms"]["version"], "1");
    assert_eq!(export["readings"]["ram_bytes"]["value"], 77_001);
    for resolution in ["minutes", "hours", "days"] {
        assert_eq!(export["usage"][resolution][0]["totals"]["api_calls"], 3, "{resolution}");
    }
    assert!(!export.to_string().contains("$2b$"));
    let stranger = setting.platform.users().register(&Context::anonymous(), Registration::new(None, password())).await;
    let stranger = setting.context(&stranger.unwrap().tokens).await;
    assert_eq!(code(setting.platform.users().export(&stranger, id).await), Code::NotFound);
}

#[tokio::test]
async fn an_erased_account_is_gone_and_what_is_metered_after_leaves_no_trace() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let (id, system) = (registered.account.id, Context::system());
    let meter = setting.platform.monitoring().meter(&system, id).await.unwrap();
    let sample = Sample::at(setting.clock.now()).with_added(Counter::ApiCalls, 3);
    meter.record(&sample);
    let context = setting.context(&registered.tokens).await;
    let users = setting.platform.users();
    let wrong = Password::new("copper lantern meadow 58").unwrap();
    assert_eq!(code(users.erase(&context, &wrong, None).await), Code::InvalidCredentials);
    users.erase(&context, &password(), None).await.unwrap();
    meter.record(&sample);
    setting.platform.monitoring().flush().await.unwrap();
    assert_eq!(code(users.account(&system, id).await), Code::NotFound);
    let mut tx =
        dimensionos_core::store::Store::begin(&setting.store, dimensionos_core::store::Access::Read).await.unwrap();
    let end = setting.clock.now().after(Duration::from_secs(60));
    for resolution in dimensionos_core::monitoring::Resolution::ALL {
        let rows = tx.usage(id, resolution, dimensionos_core::Timestamp::EPOCH, end).await.unwrap();
        assert!(rows.is_empty(), "{resolution:?}");
    }
    drop(tx);
    assert_eq!(code(setting.login().await), Code::InvalidCredentials);
    // The identity is free again.
    setting.register().await;
}
