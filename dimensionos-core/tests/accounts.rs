//! What time, keys and sessions do to accounts, on a clock that is set by hand.

mod setting;

use std::time::Duration;

use dimensionos_core::auth::{KeyName, Role, SignIn};
use dimensionos_core::users::Registration;
use dimensionos_core::{Caller, Code, Context, Platform, Refusal};
use setting::{DAY, Setting, ada, code, keys, password, platform};

#[tokio::test]
async fn a_trial_that_ends_closes_the_account_step_by_step() {
    let setting = Setting::new().await;
    let account = setting.register().await.account.id;
    let monitoring = setting.platform.monitoring();
    let watch = async |context: &Context| monitoring.watch(context, account, DAY).await.map(drop);
    for (days, seen, watched) in [
        (29, None, None),
        // READ_ONLY: reading goes on.
        (1, None, None),
        // SUSPENDED: only the account itself can be seen.
        (30, None, Some(Code::ServiceSuspended)),
        // CANCELLED: nothing.
        (60, Some(Code::ServiceCancelled), Some(Code::ServiceCancelled)),
    ] {
        setting.clock.advance(DAY * days - Duration::from_secs(1));
        let access = setting.login().await.unwrap();
        setting.clock.advance(Duration::from_secs(1));
        let context = Context::new(setting.caller(&access).await);
        assert_eq!(setting.platform.users().me(&context).await.err().map(|error| error.code()), seen, "{days}");
        assert_eq!(watch(&context).await.err().map(|error| error.code()), watched, "{days}");
        let kept = setting.platform.recheck_listener(&context.caller).await.err().map(|error| error.code());
        assert_eq!(kept, watched, "{days}");
        // Nobody is locked in, or out of what is left.
        setting.platform.auth().logout(&context).await.unwrap();
        setting.login().await.unwrap();
    }
}

#[tokio::test]
async fn an_access_token_lasts_its_hour_and_no_second_more() {
    let setting = Setting::new().await;
    let access = setting.register().await.tokens.access_token.expose().to_owned();
    setting.clock.advance(Duration::from_secs(3_599));
    let caller = setting.caller(&access).await;
    assert!(matches!(caller, Caller::Account(_)));
    setting.clock.advance(Duration::from_secs(1));
    assert_eq!(setting.caller(&access).await, Caller::Refused(Refusal::Expired));
    assert_eq!(code(setting.platform.recheck_listener(&caller).await), Code::TokenExpired);
    let context = Context::new(setting.caller(&access).await);
    assert_eq!(code(setting.platform.users().me(&context).await), Code::TokenExpired);
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_session_but_for_two_tabs() {
    let setting = Setting::new().await;
    let tokens = setting.register().await.tokens;
    let auth = setting.platform.auth();
    let anonymous = Context::anonymous();
    let first = auth.refresh(&anonymous, &tokens.refresh_token).await.unwrap();
    setting.clock.advance(Duration::from_secs(10));
    let second = auth.refresh(&anonymous, &tokens.refresh_token).await.unwrap();
    for pair in [&first, &second] {
        assert!(matches!(setting.caller(pair.tokens.access_token.expose()).await, Caller::Account(_)));
    }
    setting.clock.advance(Duration::from_secs(1));
    assert_eq!(code(auth.refresh(&anonymous, &tokens.refresh_token).await), Code::TokenReused);
    // The thief's pair and the victim's are both worthless from now on.
    for pair in [first, second] {
        let access = pair.tokens.access_token.expose();
        assert_eq!(setting.caller(access).await, Caller::Refused(Refusal::Invalid));
        assert_eq!(code(auth.refresh(&anonymous, &pair.tokens.refresh_token).await), Code::TokenInvalid);
    }
    // Other sessions of the account are none of this one's business.
    setting.login().await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_lasts_thirty_days_from_its_own_making() {
    let setting = Setting::new().await;
    let tokens = setting.register().await.tokens;
    let auth = setting.platform.auth();
    setting.clock.advance(DAY * 30 - Duration::from_secs(1));
    let renewed = auth.refresh(&Context::anonymous(), &tokens.refresh_token).await.unwrap().tokens;
    setting.clock.advance(DAY * 30);
    assert_eq!(code(auth.refresh(&Context::anonymous(), &renewed.refresh_token).await), Code::TokenExpired);
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_token_at_once() {
    let setting = Setting::new().await;
    let first = setting.register().await.tokens.access_token.expose().to_owned();
    let second = setting.login().await.unwrap();
    let listener = setting.caller(&second).await;
    let context = Context::new(setting.caller(&first).await);
    setting.platform.auth().logout_everywhere(&context).await.unwrap();
    for access in [first, second] {
        assert_eq!(setting.caller(&access).await, Caller::Refused(Refusal::Invalid));
    }
    assert_eq!(code(setting.platform.recheck_listener(&listener).await), Code::TokenInvalid);
}

#[tokio::test]
async fn a_hundred_refreshes_of_one_token_leave_one_live_session() {
    let setting = Setting::new().await;
    let tokens = setting.register().await.tokens;
    let auth = setting.platform.auth();
    let anonymous = Context::anonymous();
    let pairs = futures_util::future::join_all((0..100).map(|_| auth.refresh(&anonymous, &tokens.refresh_token))).await;
    let mut sessions = std::collections::BTreeSet::new();
    for pair in pairs {
        let pair = pair.unwrap().tokens;
        assert!(matches!(setting.caller(pair.access_token.expose()).await, Caller::Account(_)));
        sessions.insert(pair.principal.session);
    }
    assert_eq!(sessions.len(), 1);
}

#[tokio::test]
async fn a_login_under_an_old_pepper_brings_the_account_under_the_new_one() {
    let setting = Setting::new().await;
    let before = setting.register().await.account;
    let both = platform(&setting.store, &setting.clock, keys(&[2, 1])).await;
    // Still taken, though its tag is an old one.
    let again = Registration::new(Some(ada()), password());
    assert_eq!(code(both.users().register(&Context::anonymous(), again).await), Code::IdentityUnavailable);
    let login =
        async |platform: &Platform| platform.auth().login(&Context::anonymous(), SignIn::new(ada(), password())).await;
    let after = login(&both).await.unwrap().account;
    assert_eq!(after.id, before.id);
    assert_ne!((after.anonymous_id, after.pepper), (before.anonymous_id, before.pepper));
    let new_alone = platform(&setting.store, &setting.clock, keys(&[2])).await;
    assert_eq!(login(&new_alone).await.unwrap().account.id, before.id);
    assert_eq!(code(login(&setting.platform).await), Code::InvalidCredentials);
}

#[tokio::test]
async fn a_key_opens_what_its_role_may_and_no_more() {
    let setting = Setting::new().await;
    let registered = setting.register().await;
    let name = || "one".parse::<KeyName>().unwrap();
    let system = Context::system();
    let auth = setting.platform.auth();
    let agent = auth.create_key(&system, Role::Agent, name()).await.unwrap();
    let operator = auth.create_key(&system, Role::Operator, name()).await.unwrap();
    assert_eq!(code(auth.create_key(&system, Role::Agent, name()).await), Code::Conflict);
    assert_eq!(setting.caller(agent.token.expose()).await, Caller::Agent(agent.key.id));
    let operator_context = Context::new(setting.caller(operator.token.expose()).await);
    let other: KeyName = "two".parse().unwrap();
    auth.create_key(&operator_context, Role::Agent, other.clone()).await.unwrap();
    assert_eq!(code(auth.create_key(&operator_context, Role::Operator, other).await), Code::Forbidden);
    let account = registered.account.id;
    // An operator sees that an account is there and how it stands, and nothing that is its holder's alone.
    let users = setting.platform.users();
    let seen = users.account(&operator_context, account).await.unwrap();
    assert_eq!(code(users.tag(&operator_context, &seen)), Code::Forbidden);
    assert_eq!(code(users.export(&operator_context, account).await), Code::Forbidden);
    assert_eq!(code(auth.sessions(&operator_context, account).await), Code::Forbidden);
    // A token of one role with the other's prefix is nobody's.
    let crossed = agent.token.expose().replacen("dima_", "dimo_", 1);
    assert_eq!(setting.caller(&crossed).await, Caller::Refused(Refusal::Invalid));
}
