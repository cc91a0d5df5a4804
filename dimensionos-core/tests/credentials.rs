//! What opens an account, what changes it, and what guessing comes to.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use std::time::Duration;

use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::{Audience, HashCost, Password, Recovery, RecoveryCode, SignIn, Source};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::{Identity, Registration};
use dimensionos_core::{Caller, Clock, Code, Context, Error, MemoryStore, Platform, Refusal};
use setting::{DAY, Setting, ada, code, keys, password, platform};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn another() -> Password {
    Password::new("copper lantern meadow 58").unwrap()
}

fn recovery(code: &RecoveryCode) -> Recovery {
    Recovery { identity: ada(), code: code.clone(), new_password: another(), proof: None }
}

fn from(last: u8) -> Context {
    Context::anonymous().from_source(Some(Source::new([192, 0, 2, last].into())))
}

#[tokio::test]
async fn a_recovery_code_opens_the_account_once_and_ends_every_session() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let auth = setting.platform.auth();
    let anonymous = Context::anonymous();
    assert_eq!(registered.recovery_codes.len(), 10);
    let other_session = setting.login().await.unwrap();
    let recovered = auth.recover(&anonymous, recovery(&registered.recovery_codes[3])).await.unwrap();
    for access in [registered.tokens.access_token.expose(), &other_session] {
        assert_eq!(setting.caller(access).await, Caller::Refused(Refusal::Invalid));
    }
    assert_eq!(code(auth.refresh(&anonymous, &registered.tokens.refresh_token).await), Code::TokenInvalid);
    let context = setting.context(&recovered.tokens).await;
    assert_eq!(auth.recovery_codes_left(&context, registered.account.id).await.unwrap(), 9);
    // The old password and the used code open nothing; the new password and the other codes do.
    assert_eq!(code(setting.login().await), Code::InvalidCredentials);
    auth.login(&anonymous, SignIn::new(ada(), another())).await.unwrap();
    assert_eq!(code(auth.recover(&anonymous, recovery(&registered.recovery_codes[3])).await), Code::InvalidCredentials);
    auth.recover(&anonymous, recovery(&registered.recovery_codes[4])).await.unwrap();
}

#[tokio::test]
async fn a_wrong_code_and_an_unknown_account_look_alike_and_spend_nothing() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let auth = setting.platform.auth();
    let anonymous = Context::anonymous();
    let stranger = Setting::new().await.register().await.recovery_codes.remove(0);
    let unknown = Recovery {
        identity: Identity::email("nobody@example.org").unwrap(),
        ..recovery(&registered.recovery_codes[0])
    };
    let wrong = auth.recover(&anonymous, recovery(&stranger)).await.unwrap_err();
    let unknown = auth.recover(&anonymous, unknown).await.unwrap_err();
    assert_eq!(wrong.to_string(), unknown.to_string());
    assert_eq!([wrong.code(), unknown.code()], [Code::InvalidCredentials; 2]);
    let weak = Recovery { new_password: Password::new("short").unwrap(), ..recovery(&registered.recovery_codes[0]) };
    assert_eq!(code(auth.recover(&anonymous, weak).await), Code::WeakPassword);
    auth.recover(&anonymous, recovery(&registered.recovery_codes[0])).await.unwrap();
}

#[tokio::test]
async fn of_many_who_use_one_code_at_once_one_gets_in() {
    let setting = Setting::new().await;
    let code = setting.register().await.recovery_codes.remove(0);
    let auth = setting.platform.auth();
    let anonymous = Context::anonymous();
    let tries = (0..8).map(|_| auth.recover(&anonymous, recovery(&code)));
    let opened = futures_util::future::join_all(tries).await;
    assert_eq!(opened.iter().filter(|one| one.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session_at_once() {
    let setting = Setting::new().await;
    let first = setting.register().await.tokens;
    let second = setting.login().await.unwrap();
    let auth = setting.platform.auth();
    let context = setting.context(&first).await;
    let wrong = auth.change_password(&context, &another(), &another(), None).await;
    assert_eq!(code(wrong), Code::InvalidCredentials);
    let weak = Password::new("short").unwrap();
    assert_eq!(code(auth.change_password(&context, &password(), &weak, None).await), Code::WeakPassword);
    assert!(matches!(setting.caller(&second).await, Caller::Account(_)));
    let changed = auth.change_password(&context, &password(), &another(), None).await.unwrap().tokens;
    for access in [first.access_token.expose(), &second] {
        assert_eq!(setting.caller(access).await, Caller::Refused(Refusal::Invalid));
    }
    assert!(matches!(setting.caller(changed.access_token.expose()).await, Caller::Account(_)));
    assert_eq!(code(setting.login().await), Code::InvalidCredentials);
}

#[tokio::test]
async fn what_asks_for_the_password_asks_again_after_five_minutes() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let auth = setting.platform.auth();
    setting.clock.advance(FIVE_MINUTES);
    let context = setting.context(&registered.tokens).await;
    let renewed = auth.renew_recovery_codes(&context).await.unwrap();
    setting.clock.advance(Duration::from_secs(1));
    assert_eq!(code(auth.renew_recovery_codes(&context).await), Code::ReauthenticationRequired);
    assert_eq!(
        code(auth.change_password(&context, &password(), &another(), None).await),
        Code::ReauthenticationRequired
    );
    assert_eq!(code(setting.platform.users().erase(&context, &password(), None).await), Code::ReauthenticationRequired);
    // Refreshing is no proof of the password.
    let refreshed = auth.refresh(&Context::anonymous(), &registered.tokens.refresh_token).await.unwrap();
    let context = setting.context(&refreshed.tokens).await;
    assert_eq!(code(auth.renew_recovery_codes(&context).await), Code::ReauthenticationRequired);
    assert_eq!(code(auth.reauthenticate(&context, &another(), None).await), Code::InvalidCredentials);
    assert_eq!(code(auth.renew_recovery_codes(&context).await), Code::ReauthenticationRequired);
    auth.reauthenticate(&context, &password(), None).await.unwrap();
    let newest = auth.renew_recovery_codes(&context).await.unwrap();
    // Each set replaces the one before.
    let anonymous = Context::anonymous();
    for old in [&registered.recovery_codes[0], &renewed[0]] {
        assert_eq!(code(auth.recover(&anonymous, recovery(old)).await), Code::InvalidCredentials);
    }
    auth.recover(&anonymous, recovery(&newest[0])).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_wrong_guesses_leave_the_owner_a_way_in_at_the_second_try() {
    let setting = Setting::new().await;
    setting.register().await;
    let auth = setting.platform.auth();
    let (mut checked, mut refused) = (0, 0);
    for number in 0..10_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        let context = Context::anonymous().from_source(Some(Source::new(address.into())));
        match auth.login(&context, SignIn::new(ada(), another())).await {
            Err(Error::InvalidCredentials) => checked += 1,
            Err(Error::RateLimited { .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((checked, refused), (50, 9_950));
    let Err(Error::RateLimited { challenge, .. }) = auth.login(&from(1), SignIn::new(ada(), password())).await else {
        panic!("the count has not run off")
    };
    let sign_in = SignIn { proof: Some(challenge.solve()), ..SignIn::new(ada(), password()) };
    auth.login(&from(1), sign_in).await.unwrap();
    // Other accounts are not concerned.
    let bob = Identity::email("bob@example.org").unwrap();
    let registration = Registration::new(Some(bob.clone()), password());
    setting.platform.users().register(&from(1), registration).await.unwrap();
    auth.login(&from(1), SignIn::new(bob, password())).await.unwrap();
}

#[tokio::test]
async fn a_source_that_fails_too_often_is_asked_for_work_and_others_are_not() {
    let setting = Setting::new().await;
    setting.register().await;
    let auth = setting.platform.auth();
    let unknown = |number: u32| Identity::email(&format!("nobody{number}@example.org")).unwrap();
    for number in 0..20 {
        let guess = auth.login(&from(1), SignIn::new(unknown(number), password())).await;
        assert_eq!(code(guess), Code::InvalidCredentials);
    }
    // Also for a right password, and for every other way of guessing.
    assert_eq!(code(auth.login(&from(1), SignIn::new(ada(), password())).await), Code::RateLimited);
    let registration = Registration::new(Some(ada()), password());
    assert_eq!(code(setting.platform.users().register(&from(1), registration).await), Code::RateLimited);
    auth.login(&from(2), SignIn::new(ada(), password())).await.unwrap();
    setting.clock.advance(Duration::from_secs(30));
    auth.login(&from(1), SignIn::new(ada(), password())).await.unwrap();
}

#[tokio::test]
async fn asking_for_taken_identities_counts_and_registering_does_not() {
    let setting = Setting::new().await;
    setting.register().await;
    let users = setting.platform.users();
    for _ in 0..30 {
        users.register(&from(1), Registration::new(None, password())).await.unwrap();
    }
    for _ in 0..20 {
        let taken = users.register(&from(1), Registration::new(Some(ada()), password())).await;
        assert_eq!(code(taken), Code::IdentityUnavailable);
    }
    let refused = users.register(&from(1), Registration::new(None, password())).await;
    let Err(Error::RateLimited { challenge, .. }) = refused else { panic!("{refused:?}") };
    // Work opens it also where there is no identity to bind it to.
    let worked = Registration { proof: Some(challenge.solve()), ..Registration::new(None, password()) };
    users.register(&from(1), worked).await.unwrap();
    // It does not count against the account itself.
    setting.platform.auth().login(&from(2), SignIn::new(ada(), password())).await.unwrap();
}

#[tokio::test]
async fn many_who_sign_in_while_keys_and_cost_are_replaced_all_get_in() {
    let setting = Setting::new().await;
    setting.register().await;
    let keys = keys(&[2, 1]);
    let builder = Platform::builder(setting.store.clone()).clock(setting.clock.clone()).keys(keys);
    // At a higher cost, too: each of them would bring the hash up to it.
    let platform = builder.hash_cost(HashCost::new(10).unwrap()).open().await.unwrap();
    let (auth, anonymous) = (platform.auth(), Context::anonymous());
    let logins = (0..20).map(|_| auth.login(&anonymous, SignIn::new(ada(), password())));
    for login in futures_util::future::join_all(logins).await {
        login.unwrap();
    }
}

#[tokio::test]
async fn what_was_checked_before_a_password_changed_is_not_done_after_it() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let auth = setting.platform.auth();
    let context = setting.context(&registered.tokens).await;
    // Everything at once: whatever comes after the change is refused, and nobody is erased by an old password.
    let (old, new) = (password(), another());
    let (changed, renewed, erased) =
        tokio::join!(auth.change_password(&context, &old, &new, None), auth.renew_recovery_codes(&context), async {
            setting.platform.users().erase(&context, &password(), None).await
        },);
    match (changed, erased) {
        (Ok(changed), Err(_)) => {
            auth.login(&Context::anonymous(), SignIn::new(ada(), another())).await.unwrap();
            assert!(matches!(setting.context(&changed.tokens).await.caller, Caller::Account(_)));
        }
        (Err(_), Ok(())) => assert_eq!(code(setting.login().await), Code::InvalidCredentials),
        both => panic!("{both:?}"),
    }
    drop(renewed);
}

#[tokio::test]
async fn a_session_can_be_ended_from_another_and_only_by_its_own_account() {
    let setting = Setting::new().await;
    let first = setting.register().await;
    setting.clock.advance(Duration::from_secs(1));
    let second = setting.login().await.unwrap();
    let auth = setting.platform.auth();
    let context = setting.context(&first.tokens).await;
    let sessions = auth.sessions(&context, first.account.id).await.unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].id, first.tokens.principal.session);
    let stranger = setting.platform.users().register(&Context::anonymous(), Registration::new(None, password())).await;
    let stranger = setting.context(&stranger.unwrap().tokens).await;
    assert_eq!(code(auth.end_session(&stranger, sessions[1].id).await), Code::NotFound);
    assert_eq!(code(auth.sessions(&stranger, first.account.id).await), Code::NotFound);
    auth.end_session(&context, sessions[1].id).await.unwrap();
    assert_eq!(setting.caller(&second).await, Caller::Refused(Refusal::Invalid));
    assert_eq!(code(auth.end_session(&context, sessions[1].id).await), Code::NotFound);
    assert_eq!(auth.sessions(&context, first.account.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn past_a_hundred_sessions_the_oldest_ends() {
    let setting = Setting::new().await;
    let first = setting.register().await;
    for _ in 0..100 {
        setting.clock.advance(Duration::from_secs(1));
        setting.login().await.unwrap();
    }
    assert_eq!(setting.caller(first.tokens.access_token.expose()).await, Caller::Refused(Refusal::Invalid));
    let context = Context::new(setting.caller(&setting.login().await.unwrap()).await);
    let auth = setting.platform.auth();
    assert_eq!(auth.sessions(&context, first.account.id).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_sign_in_is_renewed_for_a_year_at_most() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let next_year = setting.clock.now().after(DAY * 400);
    setting.pay(registered.account.id, TierName::Starter, next_year).await.unwrap();
    let mut tokens = registered.tokens;
    let auth = setting.platform.auth();
    for _ in 0..12 {
        setting.clock.advance(DAY * 29);
        tokens = auth.refresh(&Context::anonymous(), &tokens.refresh_token).await.unwrap().tokens;
    }
    let ends_at = tokens.refresh_token_expires_at;
    assert_eq!(ends_at.since(setting.clock.now()), DAY * (365 - 12 * 29));
    setting.clock.advance(DAY * (365 - 12 * 29) - Duration::from_secs(60));
    tokens = auth.refresh(&Context::anonymous(), &tokens.refresh_token).await.unwrap().tokens;
    assert_eq!((tokens.refresh_token_expires_at, tokens.access_token_expires_at), (ends_at, ends_at.floor(1)));
    setting.clock.advance(Duration::from_secs(60));
    assert_eq!(code(auth.refresh(&Context::anonymous(), &tokens.refresh_token).await), Code::TokenExpired);
}

#[tokio::test]
async fn keys_are_replaced_without_a_token_failing_in_between() {
    let (store, clock) = (MemoryStore::new(), FixedClock::default());
    let signing = |seeds: &[u8]| {
        let signing = seeds.iter().map(|seed| dimensionos_core::auth::SigningKey::from_bytes([*seed; 32])).collect();
        dimensionos_core::auth::Keys::new(vec![dimensionos_core::auth::Pepper::from_bytes([1; 32])], signing).unwrap()
    };
    let platform: Platform = platform(&store, &clock, signing(&[1])).await;
    let setting = Setting { platform, clock, store };
    let old = setting.register().await.tokens.access_token.expose().to_owned();
    let is_good = async |access: &str| matches!(setting.caller(access).await, Caller::Account(_));
    assert!(is_good(&old).await);
    setting.platform.replace_keys(signing(&[2, 1])).unwrap();
    let new = setting.login().await.unwrap();
    assert!(is_good(&old).await && is_good(&new).await);
    assert_eq!(setting.platform.auth().public_keys().len(), 2);
    setting.platform.replace_keys(signing(&[2])).unwrap();
    // Also a token whose signature was verified before.
    assert!(!is_good(&old).await && is_good(&new).await);
}

#[tokio::test]
async fn an_account_has_a_lasting_name_at_each_service_it_may_visit() {
    let (store, clock) = (MemoryStore::new(), FixedClock::default());
    let services = ["billing", "forum"].map(Audience::new);
    let builder = Platform::builder(store.clone()).clock(clock.clone()).keys(keys(&[1]));
    let builder = builder.hash_cost(HashCost::for_tests());
    let platform = builder.services(services.to_vec()).open().await.unwrap();
    let setting = Setting { platform, clock, store };
    let tokens = setting.register().await.tokens;
    let context = setting.context(&tokens).await;
    let auth = setting.platform.auth();
    let names = async |context: &Context| {
        let mut names = Vec::new();
        for service in &services {
            names.push(auth.service_token(context, service).await.unwrap().subject);
        }
        names
    };
    let first = names(&context).await;
    assert_ne!(first[0], first[1]);
    assert_eq!(names(&context).await, first);
    // Whatever the peppers are.
    setting.platform.replace_keys(keys(&[2, 1])).unwrap();
    setting.login().await.unwrap();
    assert_eq!(names(&context).await, first);
    assert_eq!(code(auth.service_token(&context, &Audience::new("another")).await), Code::NotFound);
    let own = Platform::builder(MemoryStore::new()).services(vec![Audience::default()]).open().await;
    assert_eq!(code(own), Code::InvalidInput);
}
